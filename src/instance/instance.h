/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An instance: one run of an image in a vessel, with its limits, as a user handles it (docker's "container").
 *
 * Owned by whoever opened it; instance_free() releases the handle, not the instance. On disk it is the folder
 * <root>/instances/<id> (64 hex digits): config.json, written once at creation; state.json, replaced at every change
 * that a command reports as done; lock; upper/ and work/ of its overlay; log, log.1 …. <state>/instances/<id> exists
 * while it runs and holds what has no meaning after a reboot: run.json (the monitor's own record: processes with
 * their start times), the bundle, the socket. Names are symbolic links <root>/instances/by-name/<name> -> ../<id>:
 * two creators of one name cannot both win.
 *
 * What is running is decided by looking (monitor's and first process's number with start time), never by what a file
 * says alone: instance_find() and instance_list() look, and put right what a killed process of ours left. A folder
 * without state.json whose lock is free is what a killed creator left, and goes.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "instance/settings.h"

/* Where everything is, and who we are; made once by main() and passed down. */
struct host {
        char *root;      /* durable state */
        char *state;     /* until reboot */
        char *libexec;   /* folder of onggi-monitor and onggi-image */
        char **programs; /* folders in which the other programs are */
        char *runtime;   /* path of onggi-runtime */
        bool rootless;   /* an ordinary user: inside a user namespace of its own */
};

/*
 * root and state may be NULL: $ONGGI_ROOT, $ONGGI_STATE, then the defaults of docs/architecture.md. For an ordinary
 * user the process enters the user and mount namespace that all of that user's commands share (userns.h); so call it
 * before any thread is started and before files are opened. Programs are found in $ONGGI_LIBEXEC, beside the running
 * program or as installed.
 */
int host_open(const char *root, const char *state, struct host **host, struct error *err);
void host_close(struct host *host);
/* The path of a program of ours; the caller's, NULL where it is not there (or there is no memory). */
char *host_program(const struct host *host, const char *name);

enum instance_status {
        INSTANCE_CREATED,
        INSTANCE_RUNNING,
        INSTANCE_PAUSED,
        INSTANCE_RESTARTING, /* waits for the next try of its restart policy */
        INSTANCE_EXITED,
        INSTANCE_DEAD, /* its files cannot be read; it can only be removed */
};
const char *instance_status_name(enum instance_status status); /* as docker writes them: "created", "running", … */

struct instance {
        struct host *host; /* borrowed */
        char id[65];
        char *name;
        int folder;     /* <root>/instances/<id> */
        json_t *config; /* config.json */
        json_t *state;  /* state.json, as last read or written */
        json_t *run;    /* run.json while its monitor lives, NULL otherwise */
        enum instance_status status;
};

/* ---- Making and finding ---- */

/*
 * Creates, from the image in the store: config.json, name, pinned image, volumes that are missing. All or nothing.
 * `durable` makes it survive a power cut before it returns (`run --rm` needs none).
 * -EEXIST names the instance that has the name; -ENOENT: the image, with what to do.
 */
int instance_create(struct host *host, const struct instance_settings *settings, bool durable,
                    struct instance **instance, struct error *err);

/* By name, id, or a unique prefix of an id. Looks and repairs. -ENOENT, or -EEXIST where a prefix fits several. */
int instance_find(struct host *host, const char *name, struct instance **instance, struct error *err);
void instance_free(struct instance *instance);
/* Looks again (after a wait, an event). -ENOENT when it is gone. */
int instance_refresh(struct instance *instance, struct error *err);

struct instance_filter {
        bool all;     /* stopped ones too */
        int64_t last; /* only the n newest, of any status; 0: all */
        /*
         * docker's "key=value": id name label status exited ancestor volume network health before since publish expose; and podman's
         * restart-policy and should-start-on-boot (true: always; unless-stopped that the user has not stopped)
         */
        char *const *filters;
};
/* Newest first; *list is an array of *count owned handles. Repairs everything it meets, leftovers without an instance
 * too. */
int instance_list(struct host *host, const struct instance_filter *filter, struct instance ***list, size_t *count,
                  struct error *err);
void instance_list_free(struct instance **list, size_t count);

/* ---- What it is ---- */

/* One line of `ps` as strings, with docker's names: ID Names Image Command CreatedAt RunningFor Status State Ports
 * Labels Mounts Networks LocalVolumes Size (only with `size`). ID is whole; the command shortens it. The caller's;
 * NULL without memory. */
json_t *instance_summary(struct instance *instance, bool size);
/* Docker's inspect object; with `size` also SizeRw. The caller's. */
int instance_inspect(struct instance *instance, bool size, json_t **object, struct error *err);
/* Published ports: [{"container": "80/tcp", "host_address", "host": 8080}, …]; the caller's. */
int instance_ports(struct instance *instance, json_t **ports, struct error *err);
/* Its processes as ps(1) shows them: rows of columns, titles first; NULL-terminated lists. `arguments`: ps options,
 * NULL: -ef. */
int instance_top(struct instance *instance, char *const *arguments, char ***lines, struct error *err);

/* ---- Its life ---- */

/* How the caller's terminal or streams take part (run, start -a, attach). */
struct attachment {
        bool streams;             /* copy output here; false: only wait for the exit */
        bool no_output, no_error; /* … but not that of standard output, or standard error */
        bool input;               /* pass standard input on */
        bool signal_proxy;        /* pass signals on where there is no terminal */
        const char *detach_keys;  /* NULL: "ctrl-p,ctrl-q" */
};

/* Starts it, returns when its program runs. Starting a running one is success (docker's way). */
int instance_start(struct instance *instance, struct error *err);
/* Starts it attached from its first byte on. Returns as instance_attach() does. */
int instance_start_attached(struct instance *instance, const struct attachment *attachment, int *exit_code,
                            struct error *err);
/* Until it exits or the user detaches: *exit_code is the program's, or -1 after a detach. Its terminal settings are
 * put back. */
int instance_attach(struct instance *instance, const struct attachment *attachment, int *exit_code, struct error *err);
/* Waits for its (next) exit; at once if it does not run. */
int instance_wait(struct instance *instance, int *exit_code, struct error *err);

/* Sends its stop signal (or `signal` > 0) and, after `timeout` seconds (-1: its own setting), SIGKILL. No restart
 * follows. Success if it does not run. */
int instance_stop(struct instance *instance, int signal, int timeout, struct error *err);
/* Stop, then start. */
int instance_restart(struct instance *instance, int signal, int timeout, struct error *err);
int instance_kill(struct instance *instance, int signal, struct error *err);
int instance_pause(struct instance *instance, struct error *err);
int instance_unpause(struct instance *instance, struct error *err);
/* Takes the limits and the restart policy that `changes` gives; anything else in it is refused. Lasts over restarts. */
int instance_update(struct instance *instance, const struct instance_settings *changes, struct error *err);
int instance_rename(struct instance *instance, const char *name, struct error *err);
/* -EBUSY while it runs unless `force` (then it is killed). `volumes`: its anonymous volumes too (always so after
 * --rm). */
int instance_remove(struct instance *instance, bool force, bool volumes, struct error *err);

/*
 * create, start, and unless `detach` attach and wait, remove with --rm: `onggi run`. With `detach` *exit_code is 0
 * and *id (the caller's) the id. An error before the program runs sets *exit_code to 125, 126 (cannot be executed) or
 * 127 (not found).
 */
int instance_run(struct host *host, const struct instance_settings *settings, bool detach,
                 const struct attachment *attachment, char **id, int *exit_code, struct error *err);

/* ---- Another program inside ---- */

struct exec_settings {
        char *const *command; /* NULL-terminated */
        bool detach, interactive, tty, privileged;
        const char *user, *workdir;
        char *const *environment; /* -e NAME=VALUE or NAME */
        char *const *environment_files;
        const char *detach_keys;
};
/* *exit_code: the program's own; 125, 126, 127 with an error. */
int instance_exec(struct instance *instance, const struct exec_settings *settings, int *exit_code, struct error *err);

/* ---- Clean-up ---- */

/* Removes all that do not run (and fit the filters); *removed are their ids, *freed the bytes. */
int instance_prune(struct host *host, char *const *filter_texts, char ***removed, uint64_t *freed, struct error *err);

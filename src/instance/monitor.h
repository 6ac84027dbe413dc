/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-monitor: the process that stays with one instance. It holds its mounts, terminal, log and socket, waits for
 * it, restarts it and checks its health.
 *
 * It is started by `onggi` with the run folder as its argument and descriptors at fixed numbers; what it is to do is in
 * monitor.json there. It owns run.json, which nobody else writes. When all is over it executes onggi-finish, unless a
 * client has said that it will clean up itself. One thread, one epoll(7) loop, no timer while nothing is due;
 * everything that happens often works without allocation.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "instance/log.h"
#include "instance/message.h"
#include "instance/restart.h"

/* Descriptors that the starter passes on. */
enum { MONITOR_FD_STARTER = 3, MONITOR_FD_LOCK = 4, MONITOR_FD_ROOT = 5, MONITOR_FD_FOLDER = 6, MONITOR_FD_COUNT = 7 };

struct monitor;

/* Something that epoll watches; fd -1: nothing at the moment. */
struct source {
        int fd;
        void (*ready)(struct monitor *monitor, struct source *source, uint32_t events);
};

struct client {
        struct source source;
        struct client *next;
        uint32_t flags;          /* enum hello_flags */
        struct message *pending; /* output that did not fit into its socket, as type and data */
};

enum health_state { HEALTH_NONE, HEALTH_STARTING, HEALTH_HEALTHY, HEALTH_UNHEALTHY };

struct health {
        json_t *test;                                             /* the arguments; NULL: no check */
        uint64_t interval, timeout, start_period, start_interval; /* ns */
        int64_t retries;
        enum health_state state;
        int64_t failures; /* in a row */
        json_t *log;      /* the last five results, docker's "Log" */
        uint64_t began;   /* CLOCK_MONOTONIC ns, of the container */
        pid_t pid;        /* the check that runs now, 0: none */
        char started[31];
        struct source timer, output;
        bool timed_out;
        char text[4096]; /* its output's beginning */
        size_t length;
};

struct monitor {
        /* what it is to do: monitor.json; strings borrow from `settings` */
        json_t *settings;
        const char *id, *name, *image, *runtime, *containers, *root, *state, *finish, *cgroup;
        const char *guardian;                                /* vessel.h; NULL: the first process is the program */
        const char *engine;                                  /* NULL: the processor itself */
        bool tty, interactive, rootless, keeps_log, removes; /* removes: nobody asks how it ended, --rm */
        int stop_signal;
        int64_t stop_timeout; /* ms */
        struct restart_policy policy;

        /* what it has */
        int run_folder, folder;
        const char *run_path;
        int epoll;
        struct log_writer log;
        struct source signals, listener, output, error, terminal, input, restart_timer, stop_timer;
        int container[3]; /* the program's ends of its streams while it is being started, -1 otherwise */
        struct client *clients;
        struct message *input_pending; /* input that the program did not take yet */
        size_t input_offset;
        bool input_ends;         /* with what is pending */
        struct message *scratch; /* one buffer for whatever is on its way */

        /* how it stands */
        pid_t pid; /* the container's first process; 0: none */
        int pidfd;
        const char *status;
        char started[31], finished[31];
        struct timespec began;
        int exit_code;
        bool oom_killed, stopped, paused, over;
        bool stopped_by_user; /* and not by a signal to us, as at a shutdown */
        int64_t restart_count;
        struct restart_history history;
        char error_text[1024], reason[128]; /* reason: in short, for lists */
        struct health health;
};

/* ---- monitor_container.c ---- */
/* Runs the container. On failure *exit_code is as of exit_code.h. */
int container_run(struct monitor *monitor, int *exit_code, struct error *err);
/* Runs the runtime's `<verb> …` to its end. */
int container_runtime(struct monitor *monitor, const char *verb, const char *option, struct error *err);
/* Sends a signal to the container's program, which may be out of our sight. Does not wait for its arrival there. */
int container_signal(struct monitor *monitor, int signal);
/* What the vessel has left word of about the end of its program, or "". */
void container_reason(struct monitor *monitor, char *text, size_t size);
/* How often the kernel's OOM killer has killed in its control group. */
uint64_t container_oom_kills(const struct monitor *monitor);
/* How much memory its control group may use, in bytes; UINT64_MAX: as much as there is. */
uint64_t container_memory_limit(const struct monitor *monitor);

/* ---- monitor_streams.c ---- */
int streams_open(struct monitor *monitor, struct error *err);
/* After the container has ended: reads what is left, then closes. */
void streams_drain(struct monitor *monitor);
void streams_close(struct monitor *monitor);
/* Takes the terminal that the runtime sent to run/console. */
int streams_take_terminal(struct monitor *monitor, struct error *err);
/* Stops or goes on reading output: while a client has not taken what it was sent. */
void streams_hold(struct monitor *monitor, bool hold);
/* Input of a client; the message is taken over where it does not fit at once. */
void streams_input(struct monitor *monitor, struct message *message);
/* No more input comes: a pipe is closed after what is on its way. A terminal has no end but the user's ^D. */
void streams_end_input(struct monitor *monitor);
void streams_resize(struct monitor *monitor, unsigned rows, unsigned columns);

/* ---- monitor_clients.c ---- */
int clients_open(struct monitor *monitor, struct error *err);
struct client *clients_add(struct monitor *monitor, int fd, uint32_t flags);
/* Sends to all clients that have one of the flags. */
void clients_send(struct monitor *monitor, uint32_t flags, enum message_type type, const void *data, size_t length);
bool clients_will_finish(const struct monitor *monitor);
/* To be called when input has become pending, or is no more: nobody's input is read meanwhile. */
void clients_watch(struct monitor *monitor);
/* Waits, a bounded time, until what clients have not taken yet is taken. */
void clients_flush(struct monitor *monitor);

/* ---- monitor_life.c ---- */
int life_start(struct monitor *monitor, struct error *err);
void life_signals(struct monitor *monitor, struct source *source, uint32_t events);
void life_stop(struct monitor *monitor, int signal, int64_t timeout);
void life_kill(struct monitor *monitor, int signal, struct error *err);
void life_freeze(struct monitor *monitor, bool freeze, struct error *err);
void life_save(struct monitor *monitor);

/* ---- health.c ---- */
void health_read(struct monitor *monitor, json_t *settings);
void health_begin(struct monitor *monitor);                     /* the container runs */
void health_end(struct monitor *monitor);                       /* it ended */
bool health_reap(struct monitor *monitor, pid_t pid, int code); /* whether it was a check */

/* ---- monitor_main.c ---- */
int monitor_watch(struct monitor *monitor, struct source *source, uint32_t events);
void monitor_forget(struct monitor *monitor, struct source *source);
/* Arms a timer source (made on first use) to go off once after `nanoseconds`; 0 disarms. */
int monitor_timer(struct monitor *monitor, struct source *source, uint64_t nanoseconds);
uint64_t monitor_clock(void);

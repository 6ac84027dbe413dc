/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting an instance: what is made for it, in order, and undone in one place when a step fails.
 *
 * Run folder, overlay, volumes, network, files, OCI configuration, monitor. Everything lies in the run folder or is
 * found by the instance's id, so that instance_finish() can undo it for a starter that was killed.
 */
#pragma once

#include "base/error.h"
#include "instance/id_map.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/spec.h"

struct start {
        struct instance *instance;
        struct host *host;
        struct instance_settings settings;
        int run_folder, root; /* root: the detached mount */
        char *run_path, *root_path;
        struct mount_setting *mounts; /* volumes' sources replaced by paths */
        size_t mount_count;
        struct identity identity;
        struct id_range ids[ID_RANGES_MAX];
        size_t id_count;
        int userns;                                 /* with those ids, -1: none */
        char *userns_path;                          /* where it is pinned; NULL: the runtime makes one of its own */
        char *hostname, *files, *network_namespace; /* network_namespace NULL: the host's, "": one of its own */
        pid_t pid_of, ipc_of;
        char *shm; /* --ipc shareable, or shared with one: the folder that is /dev/shm */
        char *init;
        char *image_file;   /* the image as a virtual machine has it; NULL: none is needed */
        const char *engine; /* that runs its instructions; NULL: the processor itself */
};

/* ---- start_files.c ---- */
/* hosts, hostname and resolv.conf in the run folder. */
int start_files(struct start *start, struct error *err);

/* ---- start_network.c ---- */
int start_network(struct start *start, struct error *err);

/* ---- start_root.c ---- */
/* Mounts the root, finds the user, resolves volumes and fills new ones. */
int start_root(struct start *start, struct error *err);
/* The image's layers with the instance's own on top, and the working folder in it. */
int start_overlay_root(struct start *start, struct error *err);

/* ---- start_monitor.c ---- */
/*
 * Writes the bundle and monitor.json and executes the monitor with the instance's held lock; returns the connection
 * when the program runs. `hello` are the flags of that connection. On failure *exit_code is 125, 126 or 127.
 */
int start_monitor(struct start *start, int lock, uint32_t hello, int *exit_code, struct error *err);

/* ---- start.c ---- */
/* Under `lock`, which is given up in any case. Returns the connection; everything is undone on failure. */
int instance_launch(struct instance *instance, int lock, uint32_t hello, int *exit_code, struct error *err);
/* The running instance of that name, for a namespace that is shared: its first process. */
int running_process(struct host *host, const char *option, const char *name, pid_t *pid, struct error *err);
/* As instance_create(), with the lock held on return: *lock. `transient`: goes if its creator is killed before it
 * runs. */
int instance_create_locked(struct host *host, const struct instance_settings *settings, bool durable, bool transient,
                           struct instance **instance, int *lock, struct error *err);

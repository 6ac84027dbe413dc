/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of onggi-init share: the guest, as its process 1 sees it.
 *
 * Process 1 boots the machine (init_main.c), then waits for events alone: children that end, and control connections.
 * Whatever may take time or reads what a stranger wrote (programs started later, copies, statistics) is a process of
 * its own for each connection. All signals stay blocked in all of them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "guest/main_program.h"
#include "hosted/event_loop.h"

struct agent_server;

struct guest {
        struct event_loop loop;
        struct event_source children; /* a signalfd of SIGCHLD */
        struct main_program program;
        struct agent_server *agent;
        struct agent_state state;
        bool shut_down; /* the host wants it to end */
};

/* Starts the main program, which was made. */
int guest_start(struct guest *guest, struct error *err);

/* ---- The agent ---- */

/* Listens; `control` is a port of the host to connect to, or 0. */
int agent_server_open(struct guest *guest, unsigned control, struct agent_server **agent, struct error *err);
/* Tells all control connections guest->state, and a text. */
void agent_server_tell(struct agent_server *agent, const char *text);
/* Waits until the host has got what was last said on each connection, half a second at most. */
void agent_server_drain(struct agent_server *agent);

/* ---- Processes for one connection, which blocks: they serve it and end ---- */

/*
 * Says to process 1 which program this one has started: its process number, a pidfd, and the master of its terminal or
 * -1.
 */
void agent_report(int report, uint32_t process, int pidfd, int terminal);

void agent_exec(int connection, int report, const char *document, size_t length);
void agent_statistics(int connection);
/* In the root folder of `program`. */
void agent_copy_in(int connection, pid_t program, const char *path);
void agent_copy_out(int connection, pid_t program, const char *path);

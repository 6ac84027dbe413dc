/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a program without copying our own page tables first: vfork(2) with a stack of its own.
 *
 * fork(2) costs more than what a small program does in its life. The child shares our memory until it executes, while
 * we wait; so `prepare` makes system calls only and changes nothing that we still need.
 */
#pragma once

#include <sys/types.h>

struct spawning {
        const char *path;
        char *const *arguments;
        void (*prepare)(const void *context); /* descriptors, session …; _exit(2)s where it fails; NULL: nothing */
        const void *context;
};

/* Signals are unblocked in the child. Returns its number or a negative errno; a program that cannot be executed is
 * exit code 126. */
pid_t spawn_program(const struct spawning *spawning);

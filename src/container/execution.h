/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From a process inside the container to its program: one order of steps for the first process and for `exec`.
 *
 * execution_prepare() does all that can fail for a reason that the caller of create should hear; execution_finish()
 * does what must come last and executes. Between the two the first process waits to be started. A step's place is
 * where it is because: the terminal and the keyring need the runtime's rights; limits come before the user changes,
 * or raising them fails; a seccomp filter without no_new_privs needs CAP_SYS_ADMIN and so precedes the change of
 * user, with no_new_privs it comes after all else, because it need not allow what the steps before it call; the
 * program is looked up as its user.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "container/program.h"
#include "container/seccomp.h"

struct execution {
        const char *id;
        struct program *program;
        const struct seccomp *seccomp;   /* NULL: no filter */
        const struct scheduling *memory; /* linux.memoryPolicy, or NULL */
        bool has_personality;
        unsigned long personality;
        bool set_groups;  /* false where setgroups(2) is denied */
        bool keyring;     /* a session keyring of the container's own */
        int proc;         /* the host's /proc for security labels; -1 where the program has none */
        int terminal;     /* slave; -1: keep standard input and output */
        int preserve;     /* descriptors from 3 on that the program gets */
        int channel;      /* to the runtime, for seccomp's listener */
        int report;       /* where a failure goes: close-on-exec */
        int gate, result; /* FIFOs of a first process that waits to be started, else -1 */

        char *path; /* found by execution_prepare() */
};

/* Opens execution->proc if the program needs it: before the container's root is entered. */
int execution_open_proc(struct execution *execution, struct error *err);

/*
 * Closes all descriptors but 0 to 2 and those that are named above: from here on paths of the image are followed, and
 * behind /proc/self/fd a folder of the host would be a way out.
 */
int execution_prepare(struct execution *execution, struct error *err);

/* Loads what is left and becomes the program. Returns only to say why not. */
int execution_finish(struct execution *execution, struct error *err);

/* Whether process `pid` ("self" or a number) may call setgroups(2): /proc/PID/setgroups of its user namespace. */
bool execution_may_set_groups(const char *pid);

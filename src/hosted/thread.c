/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/thread.h"

#include <signal.h>

/* A device model's deepest call needs a few KiB; a disk's vector of buffers 4 KiB more. */
#define STACK_SIZE (256 << 10)

int thread_start(pthread_t *thread, void *(*run)(void *context), void *context)
{
        pthread_attr_t attributes;
        sigset_t blocked, before;
        sigfillset(&blocked);
        sigdelset(&blocked, SIGUSR1);
        int r = pthread_attr_init(&attributes);
        if (r)
                return -r;
        pthread_attr_setstacksize(&attributes, STACK_SIZE);
        /* The new thread inherits the mask: the process's signals are its first thread's. */
        pthread_sigmask(SIG_SETMASK, &blocked, &before);
        r = pthread_create(thread, &attributes, run, context);
        pthread_sigmask(SIG_SETMASK, &before, NULL);
        pthread_attr_destroy(&attributes);
        return -r;
}

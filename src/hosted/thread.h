/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Threads of the process: a small stack each, and no signals but the one that brings a processor out of the guest.
 */
#pragma once

#include <pthread.h>

/* 0, or a negative errno. */
int thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

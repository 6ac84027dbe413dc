/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shared folder as its guest's FUSE client sees it: requests in, answers out (linux/fuse.h, protocol 7.31 to 7.38).
 *
 * The guest may send anything: a request is copied once, its lengths, names, numbers of inodes and files are checked
 * before they are used, and what is wrong is answered by an error. Names are single steps from O_PATH descriptors,
 * links are never followed, only regular files and folders are ever opened. Data of reads and writes goes straight
 * between the guest's memory and the file. Permissions are the guest kernel's business (it checks them by owner and
 * mode, as virtiofs has it); what is made belongs to who makes it there. Locks are the guest kernel's own.
 *
 * The session belongs to the process of the folder (shared_process.h). Each of its threads has a worker and answers one
 * request at a time. A thread's working folder must be its /proc/self/fd (descriptors are opened again by their
 * number there), and its umask its own.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "machine/virtio/queue.h"

enum shared_cache {
        SHARED_CACHE_AUTO,   /* attributes and names for a second; data until the file changes */
        SHARED_CACHE_ALWAYS, /* the folder changes by nobody else's hand */
        SHARED_CACHE_NEVER,
};

struct shared_session_settings {
        bool read_only, writeback;
        enum shared_cache cache;
        unsigned descriptors; /* how many the session may hold */
};

struct shared_session;
struct shared_worker;

/* `folder`: O_PATH descriptor, taken over. */
int shared_session_open(int folder, const struct shared_session_settings *settings, struct shared_session **session);
void shared_session_close(struct shared_session *session);
/* The guest's client is gone: its files are closed. No request is under way. */
void shared_session_reset(struct shared_session *session);

/* Made by the thread itself: it looks at the thread's capabilities. */
int shared_worker_open(struct shared_session *session, struct shared_worker **worker);
void shared_worker_close(struct shared_worker *worker);

/* Answers one request in the chain's writable buffers; returns how many bytes were written there. */
uint32_t shared_worker_answer(struct shared_worker *worker, const struct virtqueue_chain *chain);

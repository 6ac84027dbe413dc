/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A shared folder's session under a hostile FUSE client: requests of any kind, length and content, in buffers of any
 * size, on a folder of its own. Nothing may appear beside that folder, and an answer is never longer than it says.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "hosted/shared_session_private.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define REQUEST_MAX 512
#define ANSWER_MAX  1024
#define REQUESTS    64

static char folder[] = "/tmp/onggi-fuzz-XXXXXX";

static void remove_folder(void)
{
        if (chdir("/") == 0)
                tree_remove(AT_FDCWD, folder, NULL);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
        (void)argc;
        (void)argv;
        if (!mkdtemp(folder))
                abort();
        atexit(remove_folder);
        return 0;
}

struct input {
        const uint8_t *data;
        size_t size;
};

static uint8_t take(struct input *input)
{
        if (!input->size)
                return 0;
        input->size--;
        return *input->data++;
}

/* Most requests are of a kind that there is, on numbers that there may be. */
static size_t make_request(struct input *input, unsigned char *request)
{
        struct fuse_in_header in = { .opcode = take(input) % 60, .nodeid = take(input) % 8 };
        size_t length = take(input) + (size_t)(take(input) & 1) * 256;
        if (in.opcode == 59)
                in.nodeid = UINT64_MAX;
        if (length > REQUEST_MAX - sizeof(in))
                length = REQUEST_MAX - sizeof(in);
        memcpy(request, &in, sizeof(in));
        for (size_t i = 0; i < length; i++)
                request[sizeof(in) + i] = take(input);
        return sizeof(in) + length;
}

static void send_request(struct input *input, struct shared_worker *worker)
{
        struct virtqueue_chain chain = { .readable = 0 };
        unsigned char *request = malloc(REQUEST_MAX);
        size_t length = make_request(input, request), room = take(input) * 4u, cut = take(input), first;
        unsigned char *answer = malloc(room + 1); /* on the heap, so that what is beyond it is poisoned */
        first = cut && cut < length ? cut : length;
        chain.parts[chain.readable++] = (struct virtqueue_part){ request, (uint32_t)first, { 0 } };
        if (first < length)
                chain.parts[chain.readable++] =
                        (struct virtqueue_part){ request + first, (uint32_t)(length - first), { 0 } };
        first = cut && cut < room ? cut : room;
        if (first)
                chain.parts[chain.readable + chain.writable++] =
                        (struct virtqueue_part){ answer, (uint32_t)first, { 0 } };
        if (first < room)
                chain.parts[chain.readable + chain.writable++] =
                        (struct virtqueue_part){ answer + first, (uint32_t)(room - first), { 0 } };
        if (shared_worker_answer(worker, &chain) > room)
                abort();
        free(request);
        free(answer);
}

static void populate(void)
{
        char path[64];
        snprintf(path, sizeof(path), "%s/f", folder);
        mkdir(folder, 0700);
        close(open(path, O_CREAT | O_WRONLY, 0600));
        snprintf(path, sizeof(path), "%s/l", folder);
        (void)!symlink("/etc", path);
        snprintf(path, sizeof(path), "%s/d", folder);
        mkdir(path, 0700);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct input input = { data, size };
        struct shared_session *session;
        struct shared_worker *worker;
        const struct shared_session_settings settings = { .descriptors = 16,
                                                          .cache = take(&input) % 3,
                                                          .read_only = take(&input) % 4 == 0 };
        populate();
        if (shared_session_open(open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC), &settings, &session) < 0 ||
            chdir("/proc/self/fd") < 0 || shared_worker_open(session, &worker) < 0)
                abort();
        for (unsigned i = 0; i < REQUESTS && input.size; i++)
                send_request(&input, worker);
        shared_worker_close(worker);
        shared_session_close(session);
        tree_remove(AT_FDCWD, folder, NULL);
        return 0;
}

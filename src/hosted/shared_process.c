/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/shared_process.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "hosted/jail.h"
#include "hosted/jail_folder.h"
#include "hosted/thread.h"

#define RESERVED_DESCRIPTORS 64 /* for all that is neither an inode nor an open file */

struct server;

/* A queue and the thread that serves it. */
struct served_queue {
        struct server *server;
        unsigned index;
        pthread_mutex_t lock; /* held while the queue is served */
        struct virtqueue queue;
        bool stopping; /* asks the thread to let go */
};

struct server {
        const struct shared_process *process;
        struct shared_session *session;
        struct served_queue queues[VIRTIO_FILESYSTEM_QUEUES_MAX];
        int channel;
        int ready[2]; /* a thread is: a byte, 0 or an errno */
};

static void ring(int fd)
{
        uint64_t one = 1;
        (void)!write(fd, &one, sizeof(one));
}

/* ---- Queues ---- */

/* Until the queue is empty, broken, or wanted back. */
static void serve(struct served_queue *served, struct shared_worker *worker, struct virtqueue_chain *chain)
{
        struct virtqueue *queue = &served->queue;
        const struct shared_process *process = served->server->process;
        int r = 0;
        do {
                virtqueue_quiet(queue);
                while (!__atomic_load_n(&served->stopping, __ATOMIC_ACQUIRE) && (r = virtqueue_pop(queue, chain)) > 0) {
                        virtqueue_push(queue, chain, shared_worker_answer(worker, chain));
                        if (virtqueue_should_interrupt(queue))
                                ring(process->calls[served->index]);
                }
        } while (!r && virtqueue_wait(queue));
        if (r < 0)
                ring(process->broken);
}

static void tell(struct server *server, int result)
{
        uint8_t byte = (uint8_t)-result;
        (void)!write(server->ready[1], &byte, 1);
}

static void *serve_queue(void *context)
{
        struct served_queue *served = context;
        struct server *server = served->server;
        struct shared_worker *worker = NULL;
        struct virtqueue_chain *chain = malloc(sizeof(*chain));
        uint64_t count;
        /* A working folder and a umask of its own: see shared_session.h. */
        int r = !chain ? -ENOMEM : unshare(CLONE_FS) < 0 ? -errno : shared_worker_open(server->session, &worker);
        if (!r && !server->process->no_jail)
                r = jail_confine(JAIL_FOLDER);
        tell(server, r);
        while (!r && read(server->process->kicks[served->index], &count, sizeof(count)) == sizeof(count)) {
                pthread_mutex_lock(&served->lock);
                if (served->queue.ready && !served->queue.broken)
                        serve(served, worker, chain);
                pthread_mutex_unlock(&served->lock);
        }
        return NULL;
}

/* ---- The channel ---- */

static void stop(struct server *server)
{
        for (unsigned i = 0; i < server->process->queue_count; i++) {
                struct served_queue *served = &server->queues[i];
                __atomic_store_n(&served->stopping, true, __ATOMIC_RELEASE);
                pthread_mutex_lock(&served->lock);
                served->queue.ready = false;
                pthread_mutex_unlock(&served->lock);
        }
        shared_session_reset(server->session);
}

static void start(struct server *server, const struct shared_message *message)
{
        for (unsigned i = 0; i < server->process->queue_count && i < message->count; i++) {
                struct served_queue *served = &server->queues[i];
                const struct virtqueue *from = &message->queues[i];
                pthread_mutex_lock(&served->lock);
                virtqueue_init(&served->queue, server->process->memory, VIRTIO_FILESYSTEM_QUEUE_SIZE);
                served->queue.packed = from->packed;
                served->queue.event_index = from->event_index;
                served->queue.indirect = from->indirect;
                served->queue.size = from->size;
                served->queue.descriptors = from->descriptors;
                served->queue.driver = from->driver;
                served->queue.device = from->device;
                if (from->ready && virtqueue_enable(&served->queue) < 0)
                        ring(server->process->broken);
                __atomic_store_n(&served->stopping, false, __ATOMIC_RELEASE);
                pthread_mutex_unlock(&served->lock);
                /* Requests may have come before. */
                ring(server->process->kicks[i]);
        }
}

static void serve_channel(struct server *server)
{
        struct shared_message message;
        for (;;) {
                ssize_t n = recv(server->channel, &message, sizeof(message), 0);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n != sizeof(message))
                        return;
                stop(server);
                if (message.command == SHARED_START)
                        start(server, &message);
                uint8_t done = 0;
                if (send(server->channel, &done, 1, MSG_NOSIGNAL) != 1)
                        return;
        }
}

/* ---- Its start ---- */

/* Standard error stays, for what must be said; the rest of this process's descriptors are the parent's business. */
static void keep_descriptors(const struct shared_process *process, int channel, int folder, int numbers)
{
        int kept[2 * VIRTIO_FILESYSTEM_QUEUES_MAX + 4], count = 0;
        for (unsigned i = 0; i < process->queue_count; i++) {
                kept[count++] = process->kicks[i];
                kept[count++] = process->calls[i];
        }
        kept[count++] = channel;
        kept[count++] = process->broken;
        kept[count++] = folder;
        kept[count++] = numbers;
        descriptors_close_except(STDERR_FILENO + 1, kept, (size_t)count);
}

static int no_input_nor_output(void)
{
        int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (fd < 0 || dup2(fd, STDIN_FILENO) < 0 || dup2(fd, STDOUT_FILENO) < 0)
                return -errno;
        close(fd);
        return 0;
}

/* As many descriptors as there may be. */
static unsigned raise_descriptors(void)
{
        struct rlimit limit;
        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return 512;
        limit.rlim_cur = limit.rlim_max < (1u << 20) ? limit.rlim_max : 1u << 20;
        setrlimit(RLIMIT_NOFILE, &limit);
        return limit.rlim_cur > 2 * RESERVED_DESCRIPTORS ? (unsigned)limit.rlim_cur - RESERVED_DESCRIPTORS
                                                         : RESERVED_DESCRIPTORS;
}

static int start_threads(struct server *server)
{
        uint8_t result = 0;
        if (pipe2(server->ready, O_CLOEXEC) < 0)
                return -errno;
        for (unsigned i = 0; i < server->process->queue_count; i++) {
                struct served_queue *served = &server->queues[i];
                pthread_t thread;
                *served = (struct served_queue){ .server = server, .index = i };
                pthread_mutex_init(&served->lock, NULL);
                int r = thread_start(&thread, serve_queue, served);
                if (r < 0)
                        return r;
                pthread_detach(thread);
                if (read(server->ready[0], &result, 1) != 1 || result)
                        return -(int)result;
        }
        return 0;
}

static int open_session(struct server *server, int folder)
{
        struct shared_session_settings settings = server->process->session;
        settings.descriptors = raise_descriptors();
        return shared_session_open(folder, &settings, &server->session);
}

/* Opens, jails, and serves until the channel ends; a first byte on it says that it does. */
static int run(const struct shared_process *process, int channel, struct error *err)
{
        struct server server = { .process = process, .channel = channel };
        int folder = -1, numbers = -1;
        int r = no_input_nor_output();
        if (!r)
                r = jail_folder_enter(process->path, process->session.read_only, process->no_jail, &folder, &numbers,
                                      err);
        if (r < 0)
                return r;
        keep_descriptors(process, channel, folder, numbers);
        if (fchdir(numbers) < 0)
                return error_errno(err, "cannot use /proc/self/fd");
        close(numbers);
        signal(SIGXFSZ, SIG_IGN); /* a limit on file sizes is the guest's error */
        r = open_session(&server, folder);
        if (!r)
                r = jail_folder_lock(folder, process->session.read_only, process->no_jail, err);
        if (!r)
                r = start_threads(&server);
        if (!r && !process->no_jail)
                r = jail_confine(JAIL_FOLDER);
        if (r < 0)
                return err->code ? r : error_code(err, r, "cannot serve %s", process->path);
        uint8_t ready = 0;
        if (send(channel, &ready, 1, MSG_NOSIGNAL) == 1)
                serve_channel(&server);
        return 0;
}

static void run_and_exit(const struct shared_process *process, int channel)
{
        struct error err = { 0 };
        prctl(PR_SET_NAME, "onggi-share");
        /* It watches the channel's end; a thread that hangs in a file system must not outlive the guest either. */
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (run(process, channel, &err) < 0)
                (void)send(channel, &err, sizeof(err), MSG_NOSIGNAL);
        _exit(EXIT_SUCCESS);
}

static int wait_until_ready(int channel, struct error *err)
{
        struct error said;
        ssize_t n = recv(channel, &said, sizeof(said), 0);
        if (n == 1)
                return 0;
        if (n != sizeof(said) || said.code >= 0)
                return error_set(err, -EIO, "its process ended");
        said.text[sizeof(said.text) - 1] = 0;
        *err = said;
        return said.code;
}

/* With process numbers of its own, where we may: then it can name no other process. */
static pid_t make_process(void)
{
        struct clone_args args = { .flags = CLONE_NEWPID, .exit_signal = SIGCHLD };
        pid_t pid = (pid_t)syscall(SYS_clone3, &args, sizeof(args));
        return pid < 0 ? fork() : pid;
}

pid_t shared_process_start(const struct shared_process *process, int *channel, struct error *err)
{
        int ends[2];
        if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
                return error_errno(err, "cannot make a channel");
        pid_t pid = make_process();
        if (!pid)
                run_and_exit(process, ends[1]);
        close(ends[1]);
        int r = pid < 0 ? error_errno(err, "cannot make a process") : wait_until_ready(ends[0], err);
        if (r < 0) {
                close(ends[0]);
                if (pid > 0)
                        waitpid(pid, NULL, 0);
                return r;
        }
        *channel = ends[0];
        return pid;
}

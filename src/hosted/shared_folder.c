/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/shared_folder.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/process.h"
#include "base/text.h"
#include "hosted/shared_process.h"
#include "hosted/vmm_private.h"

#define QUEUES_MAX VIRTIO_FILESYSTEM_QUEUES_MAX

/* An eventfd by which the process says that a queue's driver is to be interrupted. */
struct call {
        struct shared_folder *folder;
        unsigned queue;
        struct event_source source;
};

struct shared_folder {
        struct vmm *vmm;
        pid_t pid;
        int channel; /* to the process; -1 when it is gone */
        unsigned queue_count;
        struct doorbell doorbells[QUEUES_MAX];
        struct call calls[QUEUES_MAX];
        struct event_source broken, end;
        struct virtio_transport transport;
        struct virtio_filesystem filesystem;
};

/* ---- What the device asks for; the machine's lock is held ---- */

/* Returns whether the process has done it. */
static bool command(struct shared_folder *folder, enum shared_command what, const struct virtqueue *queues)
{
        struct shared_message message = { .command = what, .count = folder->queue_count };
        uint8_t done;
        if (queues)
                memcpy(message.queues, queues, folder->queue_count * sizeof(*queues));
        return send(folder->channel, &message, sizeof(message), MSG_NOSIGNAL) == sizeof(message) &&
               recv(folder->channel, &done, 1, 0) == 1;
}

static void start_queues(void *owner, const struct virtqueue *queues, unsigned count)
{
        (void)count;
        command(owner, SHARED_START, queues);
}

static void stop_queues(void *owner)
{
        command(owner, SHARED_STOP, NULL);
}

/* Where the engine has no faster way, or the driver notifies in another. */
static void kick(void *owner, unsigned queue)
{
        struct shared_folder *folder = owner;
        uint64_t one = 1;
        (void)!write(folder->doorbells[queue].fd, &one, sizeof(one));
}

/* ---- What the process says ---- */

static void called(void *owner, uint32_t events)
{
        struct call *call = owner;
        struct shared_folder *folder = call->folder;
        uint64_t count;
        (void)events;
        (void)!read(call->source.fd, &count, sizeof(count));
        pthread_mutex_lock(&folder->vmm->lock);
        virtio_filesystem_signal(&folder->filesystem, call->queue);
        pthread_mutex_unlock(&folder->vmm->lock);
}

static void queue_broke(void *owner, uint32_t events)
{
        struct shared_folder *folder = owner;
        uint64_t count;
        (void)events;
        (void)!read(folder->broken.fd, &count, sizeof(count));
        pthread_mutex_lock(&folder->vmm->lock);
        virtio_filesystem_break(&folder->filesystem, "the driver broke a queue");
        pthread_mutex_unlock(&folder->vmm->lock);
}

static void process_ended(void *owner, uint32_t events)
{
        struct shared_folder *folder = owner;
        char why[96];
        int status = 0;
        (void)events;
        event_loop_remove(&folder->vmm->loop, &folder->end);
        waitpid(folder->pid, &status, 0);
        folder->pid = -1;
        snprintf(why, sizeof(why), "the process that served it has ended%s%s", WIFSIGNALED(status) ? " by " : "",
                 WIFSIGNALED(status) ? signal_name(WTERMSIG(status)) : "");
        pthread_mutex_lock(&folder->vmm->lock);
        virtio_filesystem_break(&folder->filesystem, why);
        pthread_mutex_unlock(&folder->vmm->lock);
}

/* ---- Making and ending it ---- */

static int listen_to(struct shared_folder *folder, struct event_source *source, int fd,
                     void (*ready)(void *owner, uint32_t events), void *owner, uint32_t events)
{
        *source = (struct event_source){ .fd = fd, .ready = ready, .owner = owner };
        return fd < 0 ? -errno : event_loop_add(&folder->vmm->loop, source, events);
}

/* What the process could take back before it is read must not stop the loop: those do not block. */
static int open_events(struct shared_folder *folder, struct error *err)
{
        int r = doorbells_open(folder->vmm, &folder->transport, folder->queue_count, folder->doorbells, err);
        if (r < 0)
                return r;
        for (unsigned i = 0; i < folder->queue_count && !r; i++) {
                struct call *call = &folder->calls[i];
                *call = (struct call){ .folder = folder, .queue = i };
                r = listen_to(folder, &call->source, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), called, call, EPOLLIN);
        }
        if (!r)
                r = listen_to(folder, &folder->broken, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), queue_broke, folder,
                              EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot wait for a shared folder's events") : 0;
}

static int start_process(struct shared_folder *folder, const struct shared_folder_settings *settings, bool no_jail,
                         struct error *err)
{
        struct shared_process process = {
                .path = settings->path,
                .session = settings->session,
                .memory = &folder->vmm->machine.memory,
                .queue_count = folder->queue_count,
                .broken = folder->broken.fd,
                .no_jail = no_jail,
        };
        for (unsigned i = 0; i < folder->queue_count; i++) {
                process.kicks[i] = folder->doorbells[i].fd;
                process.calls[i] = folder->calls[i].source.fd;
        }
        folder->pid = shared_process_start(&process, &folder->channel, err);
        if (folder->pid < 0)
                return error_prefix(err, "cannot share %s", settings->path);
        int r = listen_to(folder, &folder->end, folder->channel, process_ended, folder, EPOLLRDHUP);
        return r < 0 ? error_code(err, r, "cannot wait for a shared folder's process") : 0;
}

void shared_folder_close(struct shared_folder *folder)
{
        /* The process ends with its channel. */
        if (folder->channel >= 0)
                close(folder->channel);
        if (folder->pid > 0)
                waitpid(folder->pid, NULL, 0);
        doorbells_close(folder->doorbells, folder->queue_count);
        for (unsigned i = 0; i < folder->queue_count; i++)
                if (folder->calls[i].source.fd >= 0)
                        close(folder->calls[i].source.fd);
        if (folder->broken.fd >= 0)
                close(folder->broken.fd);
        free(folder);
}

DEFINE_CLEANUP(folder, struct shared_folder, shared_folder_close)

int shared_folder_open(struct vmm *vmm, const struct shared_folder_settings *settings, bool no_jail,
                       struct shared_folder **result, struct error *err)
{
        _cleanup_(folder) struct shared_folder *folder = calloc(1, sizeof(*folder));
        if (!folder)
                return error_memory(err);
        folder->vmm = vmm;
        folder->channel = folder->broken.fd = -1;
        folder->queue_count = 1 + settings->queues;
        for (unsigned i = 0; i < folder->queue_count; i++)
                folder->calls[i].source.fd = folder->doorbells[i].fd = -1;
        int r = open_events(folder, err);
        if (!r)
                r = start_process(folder, settings, no_jail, err);
        if (r < 0)
                return r;
        const struct filesystem_backend backend = {
                .owner = folder,
                .start = start_queues,
                .stop = stop_queues,
                .kick = kick,
        };
        virtio_filesystem_init(&folder->filesystem, &backend, settings->tag, settings->queues);
        r = machine_add_virtio(&vmm->machine, &folder->transport, &folder->filesystem.device);
        if (r < 0)
                return error_code(err, r, "there is no place for shared folder %s on the machine", settings->tag);
        *result = TAKE_PTR(folder);
        return 0;
}

/* ---- The option ---- */

#define FORM "TAG=FOLDER[,ro][,cache=auto|always|never][,writeback][,queues=N]"

static int set_item(const char *item, struct shared_folder_settings *settings, struct error *err)
{
        static const char *const caches[] = {
                [SHARED_CACHE_AUTO] = "cache=auto",
                [SHARED_CACHE_ALWAYS] = "cache=always",
                [SHARED_CACHE_NEVER] = "cache=never",
        };
        uint64_t queues;
        for (size_t i = 0; i < ARRAY_SIZE(caches); i++)
                if (!strcmp(item, caches[i])) {
                        settings->session.cache = (enum shared_cache)i;
                        return 0;
                }
        if (!strcmp(item, "ro")) {
                settings->session.read_only = true;
                return 0;
        }
        if (!strcmp(item, "writeback")) {
                settings->session.writeback = true;
                return 0;
        }
        if (text_starts(item, "queues=") && !parse_u64(item + strlen("queues="), &queues)) {
                if (!queues || queues > QUEUES_MAX - 1)
                        return error_set(err, -EINVAL, "a shared folder has 1 to %d request queues, not %s",
                                         QUEUES_MAX - 1, item + strlen("queues="));
                settings->queues = (unsigned)queues;
                return 0;
        }
        return error_set(err, -EINVAL, "--share does not know \"%s\"; it takes " FORM, item);
}

/* The folder, up to a comma that is not doubled. Returns what follows, or NULL where it does not fit. */
static const char *take_path(const char *text, char *path, size_t room)
{
        size_t length = 0;
        while (*text && (*text != ',' || text[1] == ',')) {
                text += *text == ',';
                if (length == room - 1)
                        return NULL;
                path[length++] = *text++;
        }
        path[length] = 0;
        return length ? text : NULL;
}

int shared_folder_parse(const char *text, unsigned cpus, struct shared_folder_settings *settings, struct error *err)
{
        *settings = (struct shared_folder_settings){ .queues = cpus < QUEUES_MAX - 1 ? cpus : QUEUES_MAX - 1 };
        const char *equals = strchr(text, '=');
        size_t tag = equals ? (size_t)(equals - text) : 0;
        if (!tag || tag > VIRTIO_FILESYSTEM_TAG)
                return error_set(err, -EINVAL, "--share needs a tag of 1 to %d letters: " FORM, VIRTIO_FILESYSTEM_TAG);
        memcpy(settings->tag, text, tag);
        const char *rest = take_path(equals + 1, settings->path, sizeof(settings->path));
        if (!rest)
                return error_set(err, -EINVAL, "--share needs a folder: " FORM);
        _cleanup_free_ char *copy = strdup(rest);
        if (!copy)
                return error_memory(err);
        char *items = copy + (*copy == ',');
        for (char *item; *copy && (item = strsep(&items, ","));) {
                int r = set_item(item, settings, err);
                if (r < 0)
                        return r;
        }
        return 0;
}

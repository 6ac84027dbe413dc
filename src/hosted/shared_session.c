/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "hosted/shared_session_private.h"

#define OLDEST_MINOR 31 /* the first protocol that virtiofs spoke: Linux 5.4 */

/* ---- Arguments and answers ---- */

const void *shared_take(struct shared_call *call, size_t size)
{
        if (size > call->length - call->at)
                return NULL;
        const void *taken = call->worker->arguments + call->at;
        call->at += size;
        return taken;
}

const char *shared_take_string(struct shared_call *call)
{
        const char *string = call->worker->arguments + call->at;
        const char *end = memchr(string, 0, call->length - call->at);
        if (!end)
                return NULL;
        call->at += (size_t)(end - string) + 1;
        return string;
}

const char *shared_take_name(struct shared_call *call)
{
        const char *name = shared_take_string(call);
        bool sound = name && *name && !strchr(name, '/') && strcmp(name, ".") && strcmp(name, "..");
        return sound ? name : NULL;
}

int shared_put(struct shared_call *call, const void *bytes, size_t size)
{
        if (size > call->room - call->reply_length)
                return -ERANGE;
        memcpy(call->worker->reply + call->reply_length, bytes, size);
        call->reply_length += size;
        return 0;
}

/* ---- Who does it ---- */

static void set_capabilities(uint64_t effective, uint64_t permitted)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
                { .effective = (uint32_t)effective, .permitted = (uint32_t)permitted },
                { .effective = (uint32_t)(effective >> 32), .permitted = (uint32_t)(permitted >> 32) },
        };
        (void)syscall(SYS_capset, &header, data);
}

static uint64_t permitted_capabilities(void)
{
        struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
        struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = { 0 };
        if (syscall(SYS_capget, &header, data) < 0)
                return 0;
        return data[0].permitted | (uint64_t)data[1].permitted << 32;
}

void shared_keep_bits(struct shared_worker *worker, bool keep)
{
        if (!worker->may_keep_bits || worker->keeps_bits == keep)
                return;
        uint64_t bit = 1ULL << CAP_FSETID;
        set_capabilities(keep ? worker->capabilities : worker->capabilities & ~bit, worker->capabilities);
        worker->keeps_bits = keep;
}

/* The system calls, and not the library's: each thread is somebody by itself. */
static int become(struct shared_worker *worker, uint32_t uid, uint32_t gid)
{
        if (!worker->may_become)
                return 0;
        if (worker->gid != gid) {
                syscall(SYS_setfsgid, gid);
                if ((uint32_t)syscall(SYS_setfsgid, -1) != gid)
                        return -EPERM;
                worker->gid = gid;
        }
        if (worker->uid != uid) {
                syscall(SYS_setfsuid, uid);
                if ((uint32_t)syscall(SYS_setfsuid, -1) != uid)
                        return -EPERM;
                worker->uid = uid;
        }
        return 0;
}

static int become_caller(struct shared_call *call)
{
        /* A set-group-ID bit that its maker may not set is cleared as for any other user. */
        shared_keep_bits(call->worker, !call->in.uid);
        return become(call->worker, call->in.uid, call->in.gid);
}

/* ---- Files of the host ---- */

struct shared_number shared_number_of(int fd)
{
        struct shared_number number;
        snprintf(number.text, sizeof(number.text), "%d", fd);
        return number;
}

int shared_open_again(struct shared_inode *inode, int flags)
{
        if (inode->identity.type != S_IFREG && inode->identity.type != S_IFDIR)
                return inode->identity.type == S_IFLNK ? -ELOOP : -ENXIO;
        int fd = open(shared_number_of(inode->fd).text, (flags & ~O_NOFOLLOW) | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
        return fd < 0 ? -errno : fd;
}

/* ---- INIT ---- */

#define WANTED                                                                                                         \
        (FUSE_ASYNC_READ | FUSE_ATOMIC_O_TRUNC | FUSE_BIG_WRITES | FUSE_DONT_MASK | FUSE_AUTO_INVAL_DATA |             \
         FUSE_DO_READDIRPLUS | FUSE_READDIRPLUS_AUTO | FUSE_ASYNC_DIO | FUSE_PARALLEL_DIROPS |                         \
         FUSE_HANDLE_KILLPRIV_V2 | FUSE_MAX_PAGES | FUSE_CACHE_SYMLINKS | FUSE_SUBMOUNTS | FUSE_SETXATTR_EXT)

static int init(struct shared_call *call)
{
        const struct fuse_init_in *in = shared_take(call, offsetof(struct fuse_init_in, flags2));
        if (!in)
                return -EINVAL;
        struct shared_session *session = call->session;
        struct fuse_init_out out = { .major = FUSE_KERNEL_VERSION, .minor = FUSE_KERNEL_MINOR_VERSION };
        if (in->major < FUSE_KERNEL_VERSION || (in->major == FUSE_KERNEL_VERSION && in->minor < OLDEST_MINOR))
                return -EPROTO;
        /* A newer client sees our number and asks again: "Version negotiation" in linux/fuse.h. */
        if (in->major > FUSE_KERNEL_VERSION)
                return shared_put(call, &out, sizeof(out));
        uint32_t wanted = WANTED | (session->settings.writeback ? FUSE_WRITEBACK_CACHE : 0);
        if (session->settings.cache == SHARED_CACHE_ALWAYS)
                wanted &= ~(uint32_t)FUSE_AUTO_INVAL_DATA;
        out.flags = in->flags & wanted;
        out.max_readahead = in->max_readahead;
        out.max_background = 64;
        out.congestion_threshold = 48;
        out.max_write = SHARED_DATA_MAX;
        out.max_pages = SHARED_DATA_MAX / GUEST_PAGE_SIZE;
        out.time_gran = 1;
        session->writeback = out.flags & FUSE_WRITEBACK_CACHE;
        return shared_put(call, &out, sizeof(out));
}

/* The client ends; what it forgets to give back is given back with the queues. */
static int destroy(struct shared_call *call)
{
        (void)call;
        return 0;
}

/* ---- Answering ---- */

enum {
        OF_INODE = 1,   /* in.nodeid is a file of the guest's */
        CHANGES = 2,    /* something in the folder */
        MAKES = 4,      /* a file that belongs to the caller */
        NO_ANSWER = 8,  /* the guest waits for none */
        WITH_DATA = 16, /* behind the arguments: they are not copied */
};

static const struct {
        shared_operation *run;
        unsigned flags;
        size_t arguments; /* WITH_DATA: how long they are */
} operations[] = {
        [FUSE_INIT] = { init, 0 },
        [FUSE_DESTROY] = { destroy, 0 },
        [FUSE_LOOKUP] = { shared_lookup, OF_INODE },
        [FUSE_FORGET] = { shared_forget, NO_ANSWER },
        [FUSE_BATCH_FORGET] = { shared_batch_forget, NO_ANSWER },
        [FUSE_GETATTR] = { shared_getattr, OF_INODE },
        [FUSE_SETATTR] = { shared_setattr, OF_INODE | CHANGES },
        [FUSE_READLINK] = { shared_readlink, OF_INODE },
        [FUSE_SYMLINK] = { shared_symlink, OF_INODE | CHANGES | MAKES },
        [FUSE_MKNOD] = { shared_mknod, OF_INODE | CHANGES | MAKES },
        [FUSE_MKDIR] = { shared_mkdir, OF_INODE | CHANGES | MAKES },
        [FUSE_UNLINK] = { shared_unlink, OF_INODE | CHANGES },
        [FUSE_RMDIR] = { shared_rmdir, OF_INODE | CHANGES },
        [FUSE_RENAME] = { shared_rename, OF_INODE | CHANGES },
        [FUSE_RENAME2] = { shared_rename2, OF_INODE | CHANGES },
        [FUSE_LINK] = { shared_link, OF_INODE | CHANGES },
        [FUSE_CREATE] = { shared_create, OF_INODE | CHANGES | MAKES },
        [FUSE_TMPFILE] = { shared_tmpfile, OF_INODE | CHANGES | MAKES },
        [FUSE_OPEN] = { shared_open, OF_INODE },
        [FUSE_READ] = { shared_read, 0 },
        [FUSE_WRITE] = { shared_write, CHANGES | WITH_DATA, sizeof(struct fuse_write_in) },
        [FUSE_RELEASE] = { shared_release, 0 },
        [FUSE_FLUSH] = { shared_flush, 0 },
        [FUSE_FSYNC] = { shared_fsync, 0 },
        [FUSE_FALLOCATE] = { shared_fallocate, CHANGES },
        [FUSE_LSEEK] = { shared_lseek, 0 },
        [FUSE_COPY_FILE_RANGE] = { shared_copy_file_range, CHANGES },
        [FUSE_SYNCFS] = { shared_syncfs, OF_INODE },
        [FUSE_STATFS] = { shared_statfs, OF_INODE },
        [FUSE_SETXATTR] = { shared_setxattr, OF_INODE | CHANGES },
        [FUSE_GETXATTR] = { shared_getxattr, OF_INODE },
        [FUSE_LISTXATTR] = { shared_listxattr, OF_INODE },
        [FUSE_REMOVEXATTR] = { shared_removexattr, OF_INODE | CHANGES },
        [FUSE_OPENDIR] = { shared_opendir, OF_INODE },
        [FUSE_READDIR] = { shared_readdir, OF_INODE },
        [FUSE_READDIRPLUS] = { shared_readdirplus, OF_INODE },
        [FUSE_RELEASEDIR] = { shared_releasedir, 0 },
        [FUSE_FSYNCDIR] = { shared_fsyncdir, 0 },
};

static unsigned flags_of(uint32_t opcode)
{
        return opcode < ARRAY_SIZE(operations) ? operations[opcode].flags : 0;
}

/* Copies the arguments: nothing of the guest's memory is read twice. */
static int take_arguments(struct shared_call *call)
{
        uint64_t there = virtqueue_readable_length(call->chain) - sizeof(call->in);
        uint64_t wanted = flags_of(call->in.opcode) & WITH_DATA ? operations[call->in.opcode].arguments : there;
        if (wanted > there || wanted > SHARED_ARGUMENTS_MAX)
                return -EINVAL;
        call->length = virtqueue_read(call->chain, sizeof(call->in), call->worker->arguments, wanted);
        return 0;
}

static int run(struct shared_call *call)
{
        uint32_t opcode = call->in.opcode;
        if (opcode >= ARRAY_SIZE(operations) || !operations[opcode].run)
                return -ENOSYS;
        unsigned flags = operations[opcode].flags;
        if ((flags & CHANGES) && call->session->settings.read_only)
                return -EROFS;
        int r = take_arguments(call);
        if (!r && (flags & OF_INODE))
                r = shared_inode_borrow(call->session->inodes, call->in.nodeid, &call->inode);
        if (r < 0)
                return r;
        r = flags & MAKES ? become_caller(call) : become(call->worker, call->worker->own_uid, call->worker->own_gid);
        if (!r)
                r = operations[opcode].run(call);
        if (call->inode)
                shared_inode_return(call->session->inodes, call->inode);
        return r;
}

static void write_bytes(const struct virtqueue_chain *chain, size_t offset, const void *bytes, size_t length)
{
        for (unsigned i = chain->readable; length && i < chain->readable + chain->writable; i++) {
                const struct virtqueue_part *part = &chain->parts[i];
                if (offset >= part->length) {
                        offset -= part->length;
                        continue;
                }
                size_t piece = part->length - offset < length ? part->length - offset : length;
                memcpy(part->host + offset, bytes, piece);
                bytes = (const char *)bytes + piece;
                length -= piece;
                offset = 0;
        }
}

uint32_t shared_worker_answer(struct shared_worker *worker, const struct virtqueue_chain *chain)
{
        struct shared_call call = { .worker = worker, .session = worker->session, .chain = chain };
        uint64_t room = virtqueue_writable_length(chain);
        if (virtqueue_read(chain, 0, &call.in, sizeof(call.in)) < sizeof(call.in))
                return 0;
        struct fuse_out_header out = { .len = sizeof(out), .unique = call.in.unique };
        bool answered = !(flags_of(call.in.opcode) & NO_ANSWER);
        if (answered && room < sizeof(out))
                return 0;
        call.room = room < sizeof(out) ? 0 : room - sizeof(out);
        call.room = call.room < SHARED_REPLY_MAX ? call.room : SHARED_REPLY_MAX;
        out.error = run(&call);
        if (!answered)
                return 0;
        if (out.error >= 0) {
                out.error = 0;
                out.len += (uint32_t)call.reply_length;
        }
        write_bytes(chain, 0, &out, sizeof(out));
        if (!call.in_place)
                write_bytes(chain, sizeof(out), worker->reply, out.len - sizeof(out));
        return out.len;
}

/* ---- Making and ending ---- */

void shared_worker_close(struct shared_worker *worker)
{
        free(worker->arguments);
        free(worker->reply);
        free(worker);
}

DEFINE_CLEANUP(worker, struct shared_worker, shared_worker_close)

int shared_worker_open(struct shared_session *session, struct shared_worker **result)
{
        _cleanup_(worker) struct shared_worker *worker = calloc(1, sizeof(*worker));
        if (!worker)
                return -ENOMEM;
        worker->session = session;
        worker->capabilities = permitted_capabilities();
        worker->may_become =
                (worker->capabilities & (1ULL << CAP_SETUID)) && (worker->capabilities & (1ULL << CAP_SETGID));
        worker->may_keep_bits = worker->keeps_bits = worker->capabilities & (1ULL << CAP_FSETID);
        worker->uid = worker->own_uid = (uint32_t)geteuid();
        worker->gid = worker->own_gid = (uint32_t)getegid();
        worker->arguments = malloc(SHARED_ARGUMENTS_MAX);
        worker->reply = malloc(SHARED_REPLY_MAX);
        if (!worker->arguments || !worker->reply)
                return -ENOMEM;
        *result = TAKE_PTR(worker);
        return 0;
}

void shared_session_reset(struct shared_session *session)
{
        shared_files_close_all(session->files);
        shared_inodes_forget_all(session->inodes);
        session->writeback = false;
}

void shared_session_close(struct shared_session *session)
{
        if (session->files)
                shared_files_close(session->files);
        if (session->inodes)
                shared_inodes_close(session->inodes);
        free(session);
}

DEFINE_CLEANUP(session, struct shared_session, shared_session_close)

int shared_session_open(int folder, const struct shared_session_settings *settings, struct shared_session **result)
{
        _cleanup_close_ int fd = folder;
        struct statx status;
        _cleanup_(session) struct shared_session *session = calloc(1, sizeof(*session));
        if (!session)
                return -ENOMEM;
        session->settings = *settings;
        int r = shared_file_status(fd, "", &status);
        if (r < 0)
                return r;
        struct shared_identity identity = shared_identity_of(&status);
        session->root_device = identity.device;
        /* Open files and inodes share what descriptors there are. */
        r = shared_files_open(settings->descriptors / 2, &session->files);
        if (!r)
                r = shared_inodes_open(TAKE_FD(fd), &identity, settings->descriptors / 2, &session->inodes);
        if (r < 0)
                return r;
        *result = TAKE_PTR(session);
        return 0;
}

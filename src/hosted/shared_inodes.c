/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/shared_inodes.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/cleanup.h"

#define HASH_START  1024
#define INODES_MAX  (4u << 20) /* some 200 bytes each */
#define DEPTH_MAX   1024       /* of folders that must be opened anew to find a file */
#define ROOT_NUMBER 1          /* FUSE_ROOT_ID */

struct shared_inodes {
        pthread_mutex_t lock;
        struct shared_inode *root;
        struct shared_inode **slots; /* [number - ROOT_NUMBER]; NULL where there is none */
        uint32_t slot_count, slot_room;
        uint32_t *free; /* slots that are none's */
        uint32_t free_count, free_room;
        struct shared_inode **hash;
        uint32_t hash_size, count;
        unsigned descriptors, descriptors_max;
        struct shared_inode *oldest, *newest; /* of those with descriptors; the root is not among them */
};

/* ---- Files of the host ---- */

int shared_file_status(int folder, const char *name, struct statx *status)
{
        return statx(folder, name, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT,
                     STATX_BASIC_STATS | STATX_BTIME, status) < 0
                       ? -errno
                       : 0;
}

struct shared_identity shared_identity_of(const struct statx *status)
{
        bool born = status->stx_mask & STATX_BTIME;
        return (struct shared_identity){
                .device = makedev(status->stx_dev_major, status->stx_dev_minor),
                .inode = status->stx_ino,
                .birth = born ? (uint64_t)status->stx_btime.tv_sec * 1000000000U + status->stx_btime.tv_nsec : 0,
                .type = status->stx_mode & S_IFMT,
        };
}

static bool same(const struct shared_identity *a, const struct shared_identity *b)
{
        return a->device == b->device && a->inode == b->inode && a->birth == b->birth && a->type == b->type;
}

/* One step down. Nothing leads out of it: a name is no path, and a link is opened and not followed. */
static int open_step(int folder, const char *name)
{
        struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS };
        int fd = (int)syscall(SYS_openat2, folder, name, &how, sizeof(how));
        return fd < 0 ? -errno : fd;
}

/* ---- The hash, by identity ---- */

static struct shared_inode **bucket(struct shared_inode **hash, uint32_t size, const struct shared_identity *identity)
{
        uint64_t mixed = (identity->inode + identity->device * 0x9e3779b97f4a7c15ULL) * 0xbf58476d1ce4e5b9ULL;
        return &hash[(mixed >> 32) & (size - 1)];
}

static struct shared_inode *find(const struct shared_inodes *inodes, const struct shared_identity *identity)
{
        struct shared_inode *inode = *bucket(inodes->hash, inodes->hash_size, identity);
        while (inode && !same(&inode->identity, identity))
                inode = inode->next;
        return inode;
}

static void link_hash(struct shared_inode **hash, uint32_t size, struct shared_inode *inode)
{
        struct shared_inode **place = bucket(hash, size, &inode->identity);
        inode->next = *place;
        *place = inode;
}

static void unlink_hash(struct shared_inodes *inodes, struct shared_inode *inode)
{
        struct shared_inode **place = bucket(inodes->hash, inodes->hash_size, &inode->identity);
        while (*place != inode)
                place = &(*place)->next;
        *place = inode->next;
}

/* Chains stay short; where there is no memory for that they grow. */
static void grow_hash(struct shared_inodes *inodes)
{
        uint32_t size = inodes->hash_size * 2;
        struct shared_inode **hash = inodes->count > inodes->hash_size ? calloc(size, sizeof(*hash)) : NULL;
        if (!hash)
                return;
        for (uint32_t i = 0; i < inodes->hash_size; i++)
                for (struct shared_inode *inode = inodes->hash[i], *next; inode; inode = next) {
                        next = inode->next;
                        link_hash(hash, size, inode);
                }
        free(inodes->hash);
        inodes->hash = hash;
        inodes->hash_size = size;
}

/* ---- Descriptors, by last use ---- */

static void unlink_use(struct shared_inodes *inodes, struct shared_inode *inode)
{
        *(inode->older ? &inode->older->newer : &inodes->oldest) = inode->newer;
        *(inode->newer ? &inode->newer->older : &inodes->newest) = inode->older;
        inode->older = inode->newer = NULL;
}

static void link_use(struct shared_inodes *inodes, struct shared_inode *inode)
{
        inode->older = inodes->newest;
        *(inodes->newest ? &inodes->newest->newer : &inodes->oldest) = inode;
        inodes->newest = inode;
}

static void drop_descriptor(struct shared_inodes *inodes, struct shared_inode *inode)
{
        unlink_use(inodes, inode);
        close(inode->fd);
        inode->fd = -1;
        inodes->descriptors--;
}

/* Those in use and those without a name keep theirs, and are moved out of the way of the search. */
static int make_room(struct shared_inodes *inodes)
{
        for (unsigned tries = inodes->descriptors; inodes->descriptors >= inodes->descriptors_max && tries; tries--) {
                struct shared_inode *inode = inodes->oldest;
                if (!inode->borrowed && !inode->nameless) {
                        drop_descriptor(inodes, inode);
                        continue;
                }
                unlink_use(inodes, inode);
                link_use(inodes, inode);
        }
        return inodes->descriptors < inodes->descriptors_max ? 0 : -ENFILE;
}

/* Takes `fd` over, also where it fails. */
static int give_descriptor(struct shared_inodes *inodes, struct shared_inode *inode, int fd)
{
        int r = make_room(inodes);
        if (r < 0) {
                close(fd);
                return r;
        }
        inode->fd = fd;
        inodes->descriptors++;
        link_use(inodes, inode);
        return 0;
}

/* Opens one whose parent is open. */
static int open_by_name(struct shared_inodes *inodes, struct shared_inode *inode)
{
        struct statx status;
        int fd = inode->nameless ? -ESTALE : open_step(inode->parent->fd, inode->name);
        if (fd < 0)
                return fd == -ENOENT || fd == -ENOTDIR ? -ESTALE : fd;
        int r = shared_file_status(fd, "", &status);
        struct shared_identity found = shared_identity_of(&status);
        if (!r && !same(&found, &inode->identity))
                r = -ESTALE;
        if (r < 0) {
                close(fd);
                return r;
        }
        return give_descriptor(inodes, inode, fd);
}

/* Opens from the nearest ancestor that is open down to the inode; each step is borrowed while it is needed. */
static int need_descriptor(struct shared_inodes *inodes, struct shared_inode *inode)
{
        while (inode->fd < 0) {
                struct shared_inode *closed = inode;
                for (unsigned depth = 0; closed->parent && closed->parent->fd < 0; depth++) {
                        if (depth == DEPTH_MAX)
                                return -ELOOP;
                        closed = closed->parent;
                }
                if (!closed->parent)
                        return -ESTALE;
                closed->parent->borrowed++;
                int r = open_by_name(inodes, closed);
                closed->parent->borrowed--;
                if (r < 0)
                        return r;
        }
        return 0;
}

/* ---- Their lives ---- */

static void release(struct shared_inodes *inodes, struct shared_inode *inode)
{
        while (inode->parent && !inode->lookups && !inode->borrowed && !inode->children) {
                struct shared_inode *parent = inode->parent;
                uint32_t slot = (uint32_t)(inode->number - ROOT_NUMBER);
                if (inode->fd >= 0)
                        drop_descriptor(inodes, inode);
                unlink_hash(inodes, inode);
                inodes->slots[slot] = NULL;
                inodes->free[inodes->free_count++] = slot;
                inodes->count--;
                free(inode->name);
                free(inode);
                parent->children--;
                inode = parent;
        }
}

static int take_slot(struct shared_inodes *inodes, struct shared_inode *inode)
{
        if (!inodes->free_count && inodes->slot_count == inodes->slot_room) {
                uint32_t room = inodes->slot_room ? inodes->slot_room * 2 : 256;
                if (room > INODES_MAX)
                        return -ENFILE;
                struct shared_inode **slots = realloc(inodes->slots, room * sizeof(*slots));
                if (!slots)
                        return -ENOMEM;
                inodes->slots = slots;
                uint32_t *places = realloc(inodes->free, room * sizeof(*places));
                if (!places)
                        return -ENOMEM;
                inodes->free = places;
                inodes->slot_room = inodes->free_room = room;
        }
        uint32_t slot = inodes->free_count ? inodes->free[--inodes->free_count] : inodes->slot_count++;
        inodes->slots[slot] = inode;
        inode->number = ROOT_NUMBER + slot;
        inodes->count++;
        return 0;
}

/* `parent` NULL: the root. `name` NULL: it has none. */
static int make(struct shared_inodes *inodes, const struct shared_identity *identity, struct shared_inode *parent,
                const char *name, struct shared_inode **result)
{
        struct shared_inode *inode = calloc(1, sizeof(*inode));
        if (!inode)
                return -ENOMEM;
        *inode = (struct shared_inode){
                .identity = *identity, .fd = -1, .parent = parent, .name = name ? strdup(name) : NULL, .nameless = !name
        };
        int r = name && !inode->name ? -ENOMEM : take_slot(inodes, inode);
        if (r < 0) {
                free(inode->name);
                free(inode);
                return r;
        }
        if (parent)
                parent->children++;
        grow_hash(inodes);
        link_hash(inodes->hash, inodes->hash_size, inode);
        *result = inode;
        return 0;
}

static struct shared_inode *by_number(const struct shared_inodes *inodes, uint64_t number)
{
        return number >= ROOT_NUMBER && number - ROOT_NUMBER < inodes->slot_count ? inodes->slots[number - ROOT_NUMBER]
                                                                                  : NULL;
}

/* Whether `inode` is `other` or lies below it. */
static bool is_below(const struct shared_inode *inode, const struct shared_inode *other)
{
        while (inode && inode != other)
                inode = inode->parent;
        return inode;
}

/* Where it was seen now. Without memory for the name it keeps the old one, which will turn out stale. */
static void set_place(struct shared_inodes *inodes, struct shared_inode *inode, struct shared_inode *parent,
                      const char *name)
{
        if (inode == inodes->root)
                return;
        inode->nameless = !name;
        bool is_there = inode->parent == parent && inode->name && name && !strcmp(inode->name, name);
        /* A host that moves folders about while they are looked up must not close a circle here. */
        if (is_there || is_below(parent, inode))
                return;
        char *copy = name ? strdup(name) : NULL;
        if (name && !copy)
                return;
        struct shared_inode *before = inode->parent;
        free(inode->name);
        inode->name = copy;
        inode->parent = parent;
        parent->children++;
        before->children--;
        release(inodes, before);
}

/* ---- For the server ---- */

int shared_inode_borrow(struct shared_inodes *inodes, uint64_t number, struct shared_inode **result)
{
        pthread_mutex_lock(&inodes->lock);
        struct shared_inode *inode = by_number(inodes, number);
        int r = inode ? need_descriptor(inodes, inode) : -ESTALE;
        if (!r) {
                inode->borrowed++;
                if (inode != inodes->root && inode != inodes->newest) {
                        unlink_use(inodes, inode);
                        link_use(inodes, inode);
                }
                *result = inode;
        }
        pthread_mutex_unlock(&inodes->lock);
        return r;
}

void shared_inode_return(struct shared_inodes *inodes, struct shared_inode *inode)
{
        pthread_mutex_lock(&inodes->lock);
        inode->borrowed--;
        release(inodes, inode);
        pthread_mutex_unlock(&inodes->lock);
}

static int look_up(struct shared_inodes *inodes, struct shared_inode *parent, const char *name, int fd,
                   const struct shared_identity *identity, struct shared_inode **result)
{
        struct shared_inode *inode = find(inodes, identity);
        int r = 0;
        if (inode)
                set_place(inodes, inode, parent, name);
        else
                r = make(inodes, identity, parent, name, &inode);
        if (fd >= 0 && (r < 0 || inode->fd >= 0))
                close(fd);
        else if (fd >= 0)
                r = give_descriptor(inodes, inode, fd);
        if (r < 0 && inode)
                release(inodes, inode);
        *result = inode;
        return r;
}

int shared_inode_look_up(struct shared_inodes *inodes, struct shared_inode *parent, const char *name, int fd,
                         const struct shared_identity *identity, uint64_t *number)
{
        struct shared_inode *inode = NULL;
        pthread_mutex_lock(&inodes->lock);
        int r = look_up(inodes, parent, name, fd, identity, &inode);
        if (!r) {
                inode->lookups++;
                *number = inode->number;
        }
        pthread_mutex_unlock(&inodes->lock);
        return r;
}

void shared_inode_forget(struct shared_inodes *inodes, uint64_t number, uint64_t count)
{
        pthread_mutex_lock(&inodes->lock);
        struct shared_inode *inode = by_number(inodes, number);
        if (inode) {
                inode->lookups -= count < inode->lookups ? count : inode->lookups;
                release(inodes, inode);
        }
        pthread_mutex_unlock(&inodes->lock);
}

void shared_inode_will_lose_name(struct shared_inodes *inodes, struct shared_inode *parent, const char *name)
{
        struct statx status;
        if (shared_file_status(parent->fd, name, &status) < 0)
                return;
        const struct shared_identity identity = shared_identity_of(&status);
        pthread_mutex_lock(&inodes->lock);
        struct shared_inode *inode = find(inodes, &identity);
        bool was_here = inode && inode->parent == parent && inode->name && !strcmp(inode->name, name);
        /* It may fail: then the guest's next use of it finds it stale. */
        if (was_here && !need_descriptor(inodes, inode))
                inode->nameless = true;
        pthread_mutex_unlock(&inodes->lock);
}

void shared_inode_moved(struct shared_inodes *inodes, const struct shared_identity *identity,
                        struct shared_inode *parent, const char *name)
{
        pthread_mutex_lock(&inodes->lock);
        struct shared_inode *inode = find(inodes, identity);
        if (inode)
                set_place(inodes, inode, parent, name);
        pthread_mutex_unlock(&inodes->lock);
}

/* ---- Making and ending it ---- */

void shared_inodes_forget_all(struct shared_inodes *inodes)
{
        pthread_mutex_lock(&inodes->lock);
        for (uint32_t i = 0; i < inodes->slot_count; i++)
                if (inodes->slots[i]) {
                        inodes->slots[i]->lookups = 0;
                        release(inodes, inodes->slots[i]);
                }
        pthread_mutex_unlock(&inodes->lock);
}

void shared_inodes_close(struct shared_inodes *inodes)
{
        shared_inodes_forget_all(inodes);
        if (inodes->root) {
                close(inodes->root->fd);
                free(inodes->root);
        }
        free(inodes->slots);
        free(inodes->free);
        free(inodes->hash);
        pthread_mutex_destroy(&inodes->lock);
        free(inodes);
}

DEFINE_CLEANUP(inodes, struct shared_inodes, shared_inodes_close)

int shared_inodes_open(int root, const struct shared_identity *identity, unsigned descriptors,
                       struct shared_inodes **result)
{
        _cleanup_close_ int fd = root;
        _cleanup_(inodes) struct shared_inodes *inodes = calloc(1, sizeof(*inodes));
        if (!inodes)
                return -ENOMEM;
        pthread_mutex_init(&inodes->lock, NULL);
        inodes->descriptors_max = descriptors;
        inodes->hash_size = HASH_START;
        inodes->hash = calloc(inodes->hash_size, sizeof(*inodes->hash));
        int r = inodes->hash ? make(inodes, identity, NULL, NULL, &inodes->root) : -ENOMEM;
        if (r < 0)
                return r;
        inodes->root->fd = TAKE_FD(fd);
        *result = TAKE_PTR(inodes);
        return 0;
}

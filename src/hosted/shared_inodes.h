/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The inodes of a shared folder that its guest knows, by the numbers it has for them.
 *
 * An inode is a file of the host (device, inode, time of birth), found by an O_PATH descriptor. There are more
 * inodes than a process may have descriptors: those not used for longest lose theirs and get it again by the name
 * they were last seen under, which must lead to the same file (-ESTALE where it does not). A file that lost its name
 * keeps its descriptor. The number of inodes is bounded; the guest's own memory bounds them earlier.
 *
 * An inode lives while the guest counts lookups of it, while it is borrowed, and while it is the parent of one that
 * lives. The table has its own lock: any thread may call any function.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct shared_inodes;

/* Which file it is, whatever its names are. */
struct shared_identity {
        uint64_t device, inode, birth; /* birth in nanoseconds, 0 where the file system knows none */
        uint32_t type;                 /* S_IFMT of its mode */
};

struct shared_inode {
        struct shared_identity identity;
        uint64_t number;  /* what the guest calls it */
        uint64_t lookups; /* that the guest has not taken back */
        unsigned borrowed, children;
        int fd; /* O_PATH, or -1 */
        bool nameless;
        struct shared_inode *parent; /* where it was last seen, and its name there; NULL: the root */
        char *name;
        struct shared_inode *next;          /* in its hash chain */
        struct shared_inode *older, *newer; /* among those with descriptors, by last use */
};

/* `root`: an O_PATH descriptor, which the table takes over also where it fails. `descriptors`: how many it may hold. */
int shared_inodes_open(int root, const struct shared_identity *identity, unsigned descriptors,
                       struct shared_inodes **inodes);
void shared_inodes_close(struct shared_inodes *inodes);
/* The guest knows nothing any more but the root. Nothing is borrowed. */
void shared_inodes_forget_all(struct shared_inodes *inodes);

/*
 * The inode of that number, with its descriptor open, until it is returned: -ESTALE where the guest has none of that
 * number or its file is not found any more, -ENFILE.
 */
int shared_inode_borrow(struct shared_inodes *inodes, uint64_t number, struct shared_inode **inode);
void shared_inode_return(struct shared_inodes *inodes, struct shared_inode *inode);

/*
 * The guest was told of a file: counts a lookup of its inode and sets its number. `fd` (O_PATH, taken over, also where
 * it fails) may be -1: it is opened when it is needed. Name NULL: it has none. -ENOMEM, -ENFILE.
 */
int shared_inode_look_up(struct shared_inodes *inodes, struct shared_inode *parent, const char *name, int fd,
                         const struct shared_identity *identity, uint64_t *number);
/* Takes back `count` lookups. */
void shared_inode_forget(struct shared_inodes *inodes, uint64_t number, uint64_t count);

/*
 * That name is about to be removed from, or replaced in, a folder: the inode, if the guest knows it, gets its
 * descriptor while there is a name.
 */
void shared_inode_will_lose_name(struct shared_inodes *inodes, struct shared_inode *parent, const char *name);
/* The file of that identity now has that name. */
void shared_inode_moved(struct shared_inodes *inodes, const struct shared_identity *identity,
                        struct shared_inode *parent, const char *name);

/*
 * What statx(2) says of `name` in `folder` ("": of the descriptor itself); never follows a link. 0 or a negative
 * errno.
 */
int shared_file_status(int folder, const char *name, struct statx *status);
struct shared_identity shared_identity_of(const struct statx *status);

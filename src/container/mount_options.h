/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The options of one mount as words, and what they ask for.
 *
 * OCI runtime-spec config.md "Linux mount options"; mount(8), mount_setattr(2). A word that is in no table belongs to
 * the file system and is kept for it, in order. Of words that contradict each other the last one wins.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/* MOUNT_ATTR_… bits: new = (old & ~clear) | set. */
struct mount_change {
        uint64_t set, clear;
};

struct mount_options {
        struct mount_change top;   /* of the mount itself */
        struct mount_change tree;  /* of the mount and all below it: rro, rnosuid, … */
        unsigned long propagation; /* MS_SHARED, MS_SLAVE, MS_PRIVATE, MS_UNBINDABLE, or 0: not asked for */
        bool propagation_tree;     /* … of the mounts below too */
        bool bind, bind_tree;      /* bind; rbind sets both */
        bool remount;
        bool copy_up;             /* tmpcopyup */
        bool id_map, id_map_tree; /* idmap; ridmap sets both */
        char **words;             /* "flag" or "key=value" for the file system, superblock flags among them; owned */
};

/* Adds one word. Returns 0 or -ENOMEM. */
int mount_options_add(struct mount_options *options, const char *word, struct error *err);
void mount_options_free(struct mount_options *options); /* what it owns, not the struct */

/* "shared", "rslave", …, to MS_… with MS_REC for the forms with r; 0 for another word. */
unsigned long mount_propagation(const char *word);

/* All words in the table, sorted, NULL-terminated, static. */
const char *const *mount_options_known(void);

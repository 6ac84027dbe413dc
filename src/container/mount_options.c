/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/mount_options.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>

#include "base/cleanup.h"
#include "base/text.h"

enum kind {
        NOTHING, /* the kernel's default, or without effect since long */
        SET,     /* `value` is of MOUNT_ATTR_… */
        CLEAR,
        ACCESS_TIME, /* one choice of several: `value` replaces what was chosen before */
        SUPERBLOCK,  /* passed on as it is: the VFS reads it in front of the file system */
        PROPAGATION, /* `value` is of MS_… */
        SPECIAL,     /* `value` is the offset of one or two bools, see special() */
};

struct known_option {
        enum kind kind;
        bool tree;
        uint64_t value;
};

#define FIELD(name) offsetof(struct mount_options, name)

/*
 * name, kind, whether it reaches the mounts below, value. Sorted. Without effect are: silent and loud (no messages are
 * made), iversion (file systems that can count versions always do), norelatime (relatime is the least that Linux does).
 */
#define OPTIONS(X)                                                                                                     \
        X("async", SUPERBLOCK, false, 0)                                                                               \
        X("atime", ACCESS_TIME, false, MOUNT_ATTR_RELATIME)                                                            \
        X("bind", SPECIAL, false, FIELD(bind))                                                                         \
        X("defaults", NOTHING, false, 0)                                                                               \
        X("dev", CLEAR, false, MOUNT_ATTR_NODEV)                                                                       \
        X("diratime", CLEAR, false, MOUNT_ATTR_NODIRATIME)                                                             \
        X("dirsync", SUPERBLOCK, false, 0)                                                                             \
        X("exec", CLEAR, false, MOUNT_ATTR_NOEXEC)                                                                     \
        X("idmap", SPECIAL, false, FIELD(id_map))                                                                      \
        X("iversion", NOTHING, false, 0)                                                                               \
        X("lazytime", SUPERBLOCK, false, 0)                                                                            \
        X("loud", NOTHING, false, 0)                                                                                   \
        X("mand", SUPERBLOCK, false, 0)                                                                                \
        X("noatime", ACCESS_TIME, false, MOUNT_ATTR_NOATIME)                                                           \
        X("nodev", SET, false, MOUNT_ATTR_NODEV)                                                                       \
        X("nodiratime", SET, false, MOUNT_ATTR_NODIRATIME)                                                             \
        X("noexec", SET, false, MOUNT_ATTR_NOEXEC)                                                                     \
        X("noiversion", NOTHING, false, 0)                                                                             \
        X("nolazytime", SUPERBLOCK, false, 0)                                                                          \
        X("nomand", SUPERBLOCK, false, 0)                                                                              \
        X("norelatime", NOTHING, false, 0)                                                                             \
        X("nostrictatime", ACCESS_TIME, false, MOUNT_ATTR_RELATIME)                                                    \
        X("nosuid", SET, false, MOUNT_ATTR_NOSUID)                                                                     \
        X("nosymfollow", SET, false, MOUNT_ATTR_NOSYMFOLLOW)                                                           \
        X("private", PROPAGATION, false, MS_PRIVATE)                                                                   \
        X("ratime", ACCESS_TIME, true, MOUNT_ATTR_RELATIME)                                                            \
        X("rbind", SPECIAL, true, FIELD(bind))                                                                         \
        X("rdev", CLEAR, true, MOUNT_ATTR_NODEV)                                                                       \
        X("rdiratime", CLEAR, true, MOUNT_ATTR_NODIRATIME)                                                             \
        X("relatime", ACCESS_TIME, false, MOUNT_ATTR_RELATIME)                                                         \
        X("remount", SPECIAL, false, FIELD(remount))                                                                   \
        X("rexec", CLEAR, true, MOUNT_ATTR_NOEXEC)                                                                     \
        X("ridmap", SPECIAL, true, FIELD(id_map))                                                                      \
        X("rnoatime", ACCESS_TIME, true, MOUNT_ATTR_NOATIME)                                                           \
        X("rnodev", SET, true, MOUNT_ATTR_NODEV)                                                                       \
        X("rnodiratime", SET, true, MOUNT_ATTR_NODIRATIME)                                                             \
        X("rnoexec", SET, true, MOUNT_ATTR_NOEXEC)                                                                     \
        X("rnorelatime", NOTHING, true, 0)                                                                             \
        X("rnostrictatime", ACCESS_TIME, true, MOUNT_ATTR_RELATIME)                                                    \
        X("rnosuid", SET, true, MOUNT_ATTR_NOSUID)                                                                     \
        X("rnosymfollow", SET, true, MOUNT_ATTR_NOSYMFOLLOW)                                                           \
        X("ro", SET, false, MOUNT_ATTR_RDONLY)                                                                         \
        X("rprivate", PROPAGATION, true, MS_PRIVATE)                                                                   \
        X("rrelatime", ACCESS_TIME, true, MOUNT_ATTR_RELATIME)                                                         \
        X("rro", SET, true, MOUNT_ATTR_RDONLY)                                                                         \
        X("rrw", CLEAR, true, MOUNT_ATTR_RDONLY)                                                                       \
        X("rshared", PROPAGATION, true, MS_SHARED)                                                                     \
        X("rslave", PROPAGATION, true, MS_SLAVE)                                                                       \
        X("rstrictatime", ACCESS_TIME, true, MOUNT_ATTR_STRICTATIME)                                                   \
        X("rsuid", CLEAR, true, MOUNT_ATTR_NOSUID)                                                                     \
        X("rsymfollow", CLEAR, true, MOUNT_ATTR_NOSYMFOLLOW)                                                           \
        X("runbindable", PROPAGATION, true, MS_UNBINDABLE)                                                             \
        X("rw", CLEAR, false, MOUNT_ATTR_RDONLY)                                                                       \
        X("shared", PROPAGATION, false, MS_SHARED)                                                                     \
        X("silent", NOTHING, false, 0)                                                                                 \
        X("slave", PROPAGATION, false, MS_SLAVE)                                                                       \
        X("strictatime", ACCESS_TIME, false, MOUNT_ATTR_STRICTATIME)                                                   \
        X("suid", CLEAR, false, MOUNT_ATTR_NOSUID)                                                                     \
        X("symfollow", CLEAR, false, MOUNT_ATTR_NOSYMFOLLOW)                                                           \
        X("sync", SUPERBLOCK, false, 0)                                                                                \
        X("tmpcopyup", SPECIAL, false, FIELD(copy_up))                                                                 \
        X("unbindable", PROPAGATION, false, MS_UNBINDABLE)

#define NAME(name, kind, tree, value)    name,
#define MEANING(name, kind, tree, value) { kind, tree, value },

static const char *const names[] = { OPTIONS(NAME) NULL };
static const struct known_option meanings[] = { OPTIONS(MEANING) };

static int compare(const void *word, const void *name)
{
        return strcmp(word, *(const char *const *)name);
}

static const struct known_option *find(const char *word)
{
        const char *const *name = bsearch(word, names, ARRAY_SIZE(meanings), sizeof(names[0]), compare);
        return name ? &meanings[name - names] : NULL;
}

static void special(struct mount_options *options, const struct known_option *known)
{
        *(bool *)((char *)options + known->value) = true;
        if (!known->tree)
                return;
        if (known->value == FIELD(bind))
                options->bind_tree = true;
        else
                options->id_map_tree = true;
}

int mount_options_add(struct mount_options *options, const char *word, struct error *err)
{
        const struct known_option *known = find(word);
        if (!known)
                return list_append(&options->words, word) < 0 ? error_memory(err) : 0;

        struct mount_change *change = known->tree ? &options->tree : &options->top;
        switch (known->kind) {
        case NOTHING: break;
        case SET:
                change->set |= known->value;
                change->clear &= ~known->value;
                break;
        case CLEAR:
                change->set &= ~known->value;
                change->clear |= known->value;
                break;
        case ACCESS_TIME:
                /* The kernel wants the whole field cleared whenever one value of it is set. */
                change->set = (change->set & ~(uint64_t)MOUNT_ATTR__ATIME) | known->value;
                change->clear |= MOUNT_ATTR__ATIME;
                break;
        case SUPERBLOCK: return list_append(&options->words, word) < 0 ? error_memory(err) : 0;
        case PROPAGATION:
                options->propagation = known->value;
                options->propagation_tree = known->tree;
                break;
        case SPECIAL: special(options, known); break;
        }
        return 0;
}

void mount_options_free(struct mount_options *options)
{
        list_free(options->words);
        options->words = NULL;
}

unsigned long mount_propagation(const char *word)
{
        const struct known_option *known = find(word);
        if (!known || known->kind != PROPAGATION)
                return 0;
        return known->value | (known->tree ? MS_REC : 0);
}

const char *const *mount_options_known(void)
{
        return names;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The namespaces of a container: which are made, which are joined by path, which stay the runtime's own.
 *
 * OCI runtime-spec config-linux.md "Namespaces"; namespaces(7). Kinds are named by their CLONE_NEW… bit. Paths borrow
 * from the document; descriptors belong to the struct.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "base/json.h"

enum { NAMESPACE_KINDS = 8 };

struct namespaces {
        int create;                         /* bits of those to be made */
        int join;                           /* bits of those joined by path */
        const char *paths[NAMESPACE_KINDS]; /* in the order of namespace_kinds[] */
        int fds[NAMESPACE_KINDS];           /* -1 where not open */
};

struct namespace_kind {
        int flag;
        const char *type; /* in config.json */
        const char *file; /* in /proc/PID/ns */
};
/* In the order in which they are joined: the user namespace first, for its rights; the mount namespace last. */
extern const struct namespace_kind namespace_kinds[NAMESPACE_KINDS];

void namespaces_init(struct namespaces *namespaces);
void namespaces_close(struct namespaces *namespaces);

/* Reads linux.namespaces (absent: none). Unknown and repeated types, and paths that are not absolute, are misfits. */
int namespaces_parse(const struct json_at *array, struct namespaces *namespaces);

/* Opens every path and checks with NS_GET_NSTYPE that it is a namespace of its kind. */
int namespaces_open(struct namespaces *namespaces, struct error *err);

/* Turns one that was to be made into one that is joined by `fd`, which the struct takes over. */
void namespaces_adopt(struct namespaces *namespaces, int flag, int fd);

/* The descriptor of a joined kind, -1 if there is none. Borrowed. */
int namespaces_descriptor(const struct namespaces *namespaces, int flag);

/* Enters those of the joined ones whose bits are in `flags`. */
int namespaces_enter(const struct namespaces *namespaces, int flags, struct error *err);

/* As namespaces_have(), and false where the joined one turns out to be the runtime's own. */
bool namespaces_separate(const struct namespaces *namespaces, int flag);

/* Whether the container's is made or joined, not inherited. */
static inline bool namespaces_have(const struct namespaces *namespaces, int flag)
{
        return (namespaces->create | namespaces->join) & flag;
}

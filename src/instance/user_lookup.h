/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Users and groups of an image: "user", "user:group", by name or number, as its own /etc/passwd and /etc/group know
 * them.
 *
 * passwd(5), group(5). The files are the image's, so nothing about them is taken for granted: they are opened beneath
 * the root, must be regular and at most a megabyte, and lines that are not well-formed are passed over.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"

struct identity {
        uid_t uid;
        gid_t gid;
        gid_t *groups; /* supplementary; owned */
        size_t count;
        char *home; /* "/" where the image does not say; owned */
};

/* `text` NULL is root. `groups` are --group-add's. -ENOENT for a name that the image does not know. */
int identity_resolve(int root, const char *text, char *const *groups, struct identity *identity, struct error *err);
void identity_free(struct identity *identity);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files of an archive of images, or of a folder that is one: each is read once, digested, and then waits beside the
 * store.
 *
 * An archive's order is its writer's affair and it may come through a pipe, so all of its files are taken first; a
 * folder's are taken as they are asked for.
 */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "image/adding.h"
#include "image/blob.h"
#include "image/stream.h"

struct members;

/*
 * `fd` is the archive (compressed or not) or the folder; it must outlive the members. `what` names it in errors and is
 * borrowed.
 */
int members_open(struct adding *adding, int fd, const char *what, const struct stream_limits *limits,
                 struct members **members, struct error *err);
void members_free(struct members *members);
DEFINE_CLEANUP(members, struct members, members_free)
#define _cleanup_members_ _cleanup_(members)

/* The file of that name, through the archive's links. -ENOENT. */
int members_get(struct members *members, const char *name, struct blob_file *file, struct error *err);
/* Its content as JSON. */
int members_get_json(struct members *members, const char *name, json_t **document, struct error *err);
/* The blob "blobs/sha256/<hex>": digest and size are as said, or -EBADMSG. */
int members_get_blob(struct members *members, const struct digest *digest, uint64_t size, struct blob_file *file,
                     struct error *err);

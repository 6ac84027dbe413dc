/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's folders and its index.json (image-spec image-layout.md): what the other files of this folder share.
 *
 * Two locks, always taken in this order:
 *   images/content.lock   shared by whoever adds or pins content, exclusive for whoever removes any
 *   images/lock           exclusive around each read-change-write of index.json
 * Readers of index.json take none: it is replaced by rename. What is being added lies in images/tmp/<name> and
 * layers/tmp/<name>; whoever holds content.lock exclusively knows that all of it was left by commands that were killed.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "image/digest.h"
#include "image/reference.h"

#define LAYOUT_NAME_ANNOTATION "org.opencontainers.image.ref.name"

struct store {
        char *path; /* the root, absolute */
        int images; /* <root>/images */
        int blobs;  /* <root>/images/blobs/sha256 */
        int layers; /* <root>/layers */
};

/* The folder images/pins, images/tmp or layers/tmp, made where missing; a descriptor. */
int layout_folder(int dir, const char *name, struct error *err);

/* index.json, checked in every field that is used. The caller owns *index. */
int layout_read(struct store *store, json_t **index, struct error *err);

/* Takes images/lock; closing the descriptor releases it. */
int layout_lock(struct store *store, struct error *err);
/* Replaces index.json, after blobs and layers that it names have reached the disk. The caller holds images/lock. */
int layout_write(struct store *store, const json_t *index, struct error *err);

/*
 * An entry's digest, and its reference in familiar form ("" for an image without a name; as it stands where it is no
 * reference).
 */
void layout_entry(const json_t *entry, struct digest *digest, struct reference *reference);

/* An entry of that media type, digest and size; `name` NULL for an image without a name. NULL without memory. */
json_t *layout_new_entry(const char *media_type, const struct digest *digest, uint64_t size, const char *name);

/*
 * Gives `name` to the image: takes it from the image that has it, which stays without a name if it was its last. A NULL
 * name keeps the image in the index without one. The caller holds content.lock; this takes images/lock.
 */
int layout_name(struct store *store, const char *media_type, const struct digest *digest, uint64_t size,
                const char *name, struct error *err);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image store: an OCI image layout (image-spec v1.1) with the layers unpacked beside it.
 *
 *   images/oci-layout, images/index.json, images/blobs/sha256/<hex>   what other tools can read
 *   layers/<diff id hex>/root/                                        one unpacked layer, shared by all images that have it
 *   images/pins/<holder>                                              the manifest digest that an instance holds
 *
 * Blobs and layers appear under their final name only when digest, size and content were checked. index.json changes by write,
 * fsync, rename under the lock images/lock. Names in index.json are the annotation org.opencontainers.image.ref.name, fully
 * qualified ("docker.io/library/nginx:latest" is written as the user gave it, with ":latest" added where no tag was given).
 * This header needs no archive library; what reads archives is in onggi-image (archive.h, layer.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

struct store;

/* Opens, and makes where missing, the store below `root` (an absolute path). */
int store_open(const char *root, struct store **store, struct error *err);
void store_close(struct store *store);

/* One image as `onggi run` needs it. Strings and lists are owned by the struct; image_free() releases them. */
struct image {
        char *digest;          /* manifest, "sha256:<hex>" */
        char *id;              /* config, "sha256:<hex>": docker's image ID */
        char **names;          /* all references in index.json that lead here */
        uint64_t size;         /* bytes of the unpacked layers */
        char *created;         /* RFC 3339, or NULL */
        char *architecture, *os;
        char **layers;         /* absolute paths of unpacked layers' root/, bottom first */
        json_t *config;        /* the whole OCI image configuration (image-spec config.md), checked */
        json_t *manifest;      /* the manifest, checked */
};

/*
 * Finds an image by reference ("nginx", "nginx:1.22", "name@sha256:…"), by ID or by a unique prefix of it (at least 3 digits).
 * Manifest and config are read, their digests verified again, every field's type checked. -ENOENT with a text that says what to do.
 */
int store_find(struct store *store, const char *reference, struct image **image, struct error *err);
void image_free(struct image *image);

/* Every image, newest first; *images is an array of `count` owned pointers. A broken entry is an entry with config NULL. */
int store_list(struct store *store, struct image ***images, size_t *count, struct error *err);

int store_tag(struct store *store, const char *source, const char *target, struct error *err);

/* Takes a reference away; with the last one the image, unless an instance holds it (-EBUSY, unless `force`: then only the names go). */
int store_untag(struct store *store, const char *reference, bool force, struct error *err);

/* An instance holds its image: pinned by the instance's id until store_unpin(); pinning twice is no error. */
int store_pin(struct store *store, const struct image *image, const char *holder, struct error *err);
int store_unpin(struct store *store, const char *holder, struct error *err);

/* Removes blobs, layers and leftovers (of killed commands too) that no name and no pin leads to; `all`: images without a pin too. *freed in bytes. */
int store_prune(struct store *store, bool all, uint64_t *freed, char ***removed, struct error *err);

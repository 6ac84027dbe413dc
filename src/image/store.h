/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The image store: an OCI image layout (image-spec v1.1) with the layers unpacked beside it.
 *
 *   images/oci-layout, images/index.json, images/blobs/sha256/<hex>   what other tools can read
 *   images/pins/<holder>        a symbolic link whose text is the digest of the manifest that an instance holds
 *   layers/<hex>/root/          one unpacked layer, shared by all images that have it; <hex> is its diff id, or its chain
 *                               id where it has hard links to files of the layers below it
 *   layers/<hex>/size           bytes in it, as a decimal number
 *   images/tmp/, layers/tmp/    what is being made; what killed commands left there the next ones remove
 *
 * Blobs and layers appear under their final name only when digest, size and content were checked. index.json changes by
 * write, fsync, rename under the lock images/lock; commands that add content hold images/content.lock shared, commands
 * that remove any hold it exclusively. Names in index.json are the annotation org.opencontainers.image.ref.name, in
 * docker's familiar form: "docker.io/library/nginx" is "nginx:latest" (reference.h). An image may be there without any
 * name. This header needs no archive library; what reads archives is in onggi-image (stream.h, layer.h).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"

struct store;

/* Opens, and makes where missing, the store below `root` (an absolute path). */
int store_open(const char *root, struct store **store, struct error *err);
void store_close(struct store *store);

/* One image as `onggi run` needs it. Strings and lists are owned by the struct; image_free() releases them. */
struct image {
        char *digest;  /* manifest, "sha256:<hex>" */
        char *id;      /* config, "sha256:<hex>": docker's image ID */
        char **names;  /* all references in index.json that lead here; NULL for an image without a name */
        uint64_t size; /* bytes of the unpacked layers */
        char *created; /* RFC 3339, or NULL */
        char *architecture, *os;
        char **layers;    /* absolute paths of unpacked layers' root/, bottom first; none below an opaque one */
        json_t *config;   /* the whole OCI image configuration (image-spec config.md), checked */
        json_t *manifest; /* the manifest, checked */
        char *problem;    /* store_list() only: why a broken image cannot be used; NULL for a sound one */
};

/*
 * Finds an image by reference ("nginx", "nginx:1.22", "name@sha256:…"), by ID or by a unique prefix of it (at least 3
 * digits). Manifest and config are read, their digests verified again, every field's type checked. -ENOENT with a text
 * that says what to do; -EUCLEAN when a layer is not unpacked (`onggi-image unpack NAME` does it).
 */
int store_find(struct store *store, const char *reference, struct image **image, struct error *err);
void image_free(struct image *image);
DEFINE_CLEANUP(image, struct image, image_free)
#define _cleanup_image_ _cleanup_(image)

/*
 * Every image, newest first; *images is an array of `count` owned pointers. A broken entry is an entry with config
 * NULL.
 */
int store_list(struct store *store, struct image ***images, size_t *count, struct error *err);
void image_list_free(struct image **images, size_t count);

/*
 * Gives an image that is found as store_find() does one more name; whatever had that name loses it (and stays,
 * nameless).
 */
int store_tag(struct store *store, const char *source, const char *target, struct error *err);

/*
 * Takes a reference away; with the last one the image, unless an instance holds it (-EBUSY, unless `force`: then only
 * the names go). By ID all names go; with several of them only with `force` (-EBUSY).
 */
int store_untag(struct store *store, const char *reference, bool force, struct error *err);

/*
 * An instance holds its image: pinned by the instance's id until store_unpin(); pinning twice is no error. -ENOENT when
 * the image was removed since it was found: find it again, or fail. Unpinning what is not pinned is no error.
 */
int store_pin(struct store *store, const struct image *image, const char *holder, struct error *err);
int store_unpin(struct store *store, const char *holder, struct error *err);

/*
 * Removes blobs, layers and leftovers (of killed commands too) that no name and no pin leads to, and images without a
 * name; `all`: every image that is not pinned. Waits for commands that add content. *freed in bytes; *removed (a list,
 * NULL allowed) the names of the images that went, or their digests where they had none.
 */
int store_prune(struct store *store, bool all, uint64_t *freed, char ***removed, struct error *err);

/*
 * Where the reference is the image that comes with onggi ("onggi/base"): the file name, in the folder of onggi-image,
 * of the archive that holds it; NULL for any other. So: store_find() fails with -ENOENT, this is not NULL: run
 * `onggi-image --root ROOT load -q -i <libexec>/<file name>` and find it again.
 */
const char *store_embedded_archive(const char *reference);

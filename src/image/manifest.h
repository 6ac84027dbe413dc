/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image manifests and indexes (image-spec manifest.md and image-index.md; docker's schema 2 and manifest list), as a
 * stranger wrote them: every field that is used is checked first, and what is ambiguous is refused.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"
#include "image/digest.h"

#define MEDIA_TYPE_INDEX           "application/vnd.oci.image.index.v1+json"
#define MEDIA_TYPE_MANIFEST        "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_TYPE_CONFIG          "application/vnd.oci.image.config.v1+json"
#define MEDIA_TYPE_LAYER           "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_TYPE_LAYER_GZIP      "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_TYPE_LAYER_ZSTD      "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_TYPE_DOCKER_INDEX    "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_TYPE_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"

/* As overlayfs: a mount of more lower folders than this is refused by the kernel. */
#define IMAGE_LAYERS_MAX 500

struct descriptor {
        struct digest digest;
        uint64_t size;
        const char *media_type; /* borrowed from the document */
};

/* Strings are borrowed from the document; `layers` is owned: manifest_free(). */
struct manifest {
        const char *media_type;
        struct descriptor config;
        struct descriptor *layers; /* bottom first */
        size_t layer_count;
};

enum document_kind {
        DOCUMENT_MANIFEST,
        DOCUMENT_INDEX,
};

/*
 * What a document is, by its mediaType and by what it has. A document that could be read as both, or whose mediaType is
 * not the one `expected` by the descriptor that led here (NULL: none), is refused: -EINVAL.
 */
int document_kind(const json_t *document, const char *what, const char *expected, enum document_kind *kind,
                  struct error *err);

int manifest_parse(const json_t *document, const char *what, struct manifest *manifest, struct error *err);
void manifest_free(struct manifest *manifest);

/* Checks an index: every entry is a well-formed descriptor. */
int index_check(const json_t *document, const char *what, struct error *err);

/*
 * The entry that suits linux/amd64, first come, a plain one before a variant; -ENOENT names the platforms that there
 * are.
 */
int index_choose(const json_t *document, const char *what, struct descriptor *chosen, struct error *err);

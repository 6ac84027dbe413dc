/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * From what a user typed to an entry of index.json, and from an entry to the image behind it.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/error.h"
#include "image/manifest.h"
#include "image/reference.h"
#include "image/store.h"

struct match {
        const json_t *entry;                                   /* borrowed from the index */
        struct digest digest;                                  /* the entry's */
        bool by_name;                                          /* found by a reference; else by an ID */
        char name[REFERENCE_NAME_MAX + REFERENCE_TAG_MAX + 2]; /* by_name: the entry's reference */
};

/* -ENOENT where there is none, -EINVAL where the text is neither a reference nor an ID or fits several images. */
int lookup_entry(struct store *store, const json_t *index, const char *text, struct match *match, struct error *err);

/*
 * What a descriptor leads to: a manifest, through indexes where there are any. The caller owns *document; *found is its
 * descriptor.
 */
int lookup_manifest(struct store *store, const struct descriptor *from, const char *what, json_t **document,
                    struct descriptor *found, struct error *err);

/* The descriptor of an entry that index_check() has passed. */
struct descriptor lookup_descriptor(const json_t *entry);

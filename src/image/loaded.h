/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One image on its way into the store: its blobs are kept and its layers unpacked, then it gets its names.
 */
#pragma once

#include "image/adding.h"
#include "image/manifest.h"
#include "image/members.h"
#include "image/stream.h"

struct loaded_image {
        struct descriptor manifest; /* media_type is a constant */
        struct digest id;           /* of the configuration */
        char **names;               /* in familiar form */
};

/* What the two kinds of archives share. */
struct loading {
        struct adding *adding;
        struct members *members;
        const char *what;
        struct stream_limits limits;
        struct loaded_image *images;
        size_t count;
};

/* Room for one more image, zeroed; NULL without memory. */
struct loaded_image *loading_append(struct loading *loading);

/* A name as the archive gives it; what is no reference is left out with a word on stderr. */
int loaded_add_name(struct loaded_image *image, const char *name, struct error *err);

int load_oci(struct loading *loading, struct error *err);
int load_docker(struct loading *loading, struct error *err);

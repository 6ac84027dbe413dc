/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A content digest (image-spec descriptor.md, "Digests"): the name of a blob, a layer or an image.
 *
 * The text is checked before it becomes a struct digest, so its hex part can be a file's name. Only sha256 is stored.
 */
#pragma once

#include <nettle/sha2.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

#define DIGEST_HEX_LENGTH    64
#define DIGEST_PREFIX        "sha256:"
#define DIGEST_PREFIX_LENGTH 7

struct digest {
        char text[DIGEST_PREFIX_LENGTH + DIGEST_HEX_LENGTH + 1]; /* "sha256:<64 lower-case hex digits>" */
};

/* -EINVAL where the text is no digest, -ENOTSUP for a well-formed one of another algorithm (sha512). */
int digest_parse(const char *text, struct digest *digest, struct error *err);

/* The part after "sha256:": a blob's file name. */
const char *digest_hex(const struct digest *digest);
bool digest_equal(const struct digest *a, const struct digest *b);

/* A digest in the making. */
struct digester {
        struct sha256_ctx context;
        uint64_t length; /* bytes so far */
};

void digester_start(struct digester *digester);
void digester_add(struct digester *digester, const void *data, size_t length);
/* The digest of all that was added; the digester starts anew. */
void digester_finish(struct digester *digester, struct digest *digest);

/* The digest of bytes in memory. */
void digest_bytes(const void *data, size_t length, struct digest *digest);

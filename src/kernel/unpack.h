/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Unpacks bytes in memory with libarchive: gzip, bzip2, LZMA, XZ, LZ4, Zstandard, or none.
 */
#pragma once

#include <stddef.h>

#include "base/error.h"

struct archive;

/*
 * Lets an archive be packed as above, which this process undoes itself: for other formats libarchive would start
 * programs. ARCHIVE_OK, or what libarchive says of a format that it has not.
 */
int unpack_filters(struct archive *archive);
/* *result is the caller's; more than `limit` bytes are -EFBIG, bytes that cannot be unpacked -EBADMSG. */
int unpack_bytes(const void *bytes, size_t length, size_t limit, char **result, size_t *result_length,
                 struct error *err);
/*
 * Unpacks the kernel that a bzImage holds and checks that it is an ELF file for 64-bit x86.
 */
int unpack_kernel(const void *bytes, size_t length, char **result, size_t *result_length, struct error *err);

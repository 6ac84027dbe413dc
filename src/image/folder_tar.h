/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A folder as a layer's tar archive (pax): the same folder gives the same bytes. Names are sorted, owners are numbers,
 * access times stay out; hard links, extended attributes and holes are kept, sockets are left out as they mean nothing
 * elsewhere.
 */
#pragma once

#include "base/error.h"
#include "image/blob.h"

/*
 * Writes what is below `folder` (a descriptor for reading) to the blob. Mounts of other file systems below it are read
 * too.
 */
int folder_tar(int folder, struct blob_writer *writer, struct error *err);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A Debian package of a kernel (deb(5): an ar archive with a packed tar archive in it), read with libarchive.
 */
#pragma once

#include "base/error.h"

/*
 * Takes the kernel's file and its modules out of the package into the folder `target` (a descriptor): "vmlinuz", and
 * "modules/…" as below /lib/modules/<release>. Nothing else of it is written, and nothing outside of the folder.
 * -EBADMSG.
 */
int package_extract(const char *path, int target, struct error *err);

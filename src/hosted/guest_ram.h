/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's RAM as mappings of this process: below the hole for devices (3 to 4 GiB) and above it.
 *
 * Pages cost nothing until the guest touches them. guest_ram_unmap() releases what guest_ram_map() added.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "machine/memory.h"

/*
 * Maps `size` bytes (whole MiB, at least 2) and adds them to *memory. `shared`: processes that are made later have the
 * same memory and no copy of it; it then goes back to the kernel by MADV_REMOVE instead of MADV_DONTNEED.
 */
int guest_ram_map(struct guest_memory *memory, uint64_t size, bool shared, struct error *err);
/*
 * The same with the contents of a file, from its beginning, region by region. Private: nothing goes back to the file,
 * and its pages are read when they are touched. The file must stay as it is.
 */
int guest_ram_map_file(struct guest_memory *memory, uint64_t size, int fd, struct error *err);
/*
 * Makes RAM that is mapped, whatever from, what the file has from its beginning. The engine knows the addresses, and
 * follows what is mapped there. `shared`: the mappings stay, and the file is copied into them. 0 or a negative errno.
 */
int guest_ram_return(struct guest_memory *memory, int fd, bool shared);
void guest_ram_unmap(struct guest_memory *memory);

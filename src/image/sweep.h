/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The store's broom: removes what nothing leads to. The caller of both functions holds content.lock exclusively.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/error.h"

struct store;

/* Removes what killed commands left in the folders of things in the making. *freed (may be NULL) grows by the bytes. */
int sweep_temporary(struct store *store, uint64_t *freed, struct error *err);

/*
 * Removes blobs and unpacked layers that neither an entry of the index nor a pin leads to. Where a manifest cannot be
 * read nothing is removed, for nobody knows what it needs: -EBADMSG. *freed (may be NULL) grows by the bytes.
 */
int sweep(struct store *store, const json_t *index, uint64_t *freed, struct error *err);

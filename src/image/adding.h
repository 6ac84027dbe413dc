/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A command that adds content to the store: from its beginning to its end nothing in the store is removed by others,
 * and what it has not finished lies in folders of its own, which go when it ends.
 */
#pragma once

#include <stdbool.h>

#include "base/cleanup.h"
#include "base/error.h"

struct store;

struct adding {
        struct store *store; /* borrowed */
        int lock;            /* content.lock, shared */
        char name[24];       /* of both folders */
        int folder;          /* images/tmp/<name>: blobs in the making */
        int layers;          /* layers/tmp/<name>: layers in the making */
        unsigned serial;     /* for names in them */
        bool done;           /* what was added has its name */
};

/* Waits while another command removes content; removes what killed commands have left. */
int adding_begin(struct store *store, struct adding **adding, struct error *err);
/*
 * Removes the folders with all that is in them and, unless it is done, what nothing leads to (with another command just
 * adding, that is left to the next). NULL does nothing.
 */
void adding_end(struct adding *adding);

DEFINE_CLEANUP(adding, struct adding, adding_end)
#define _cleanup_adding_ _cleanup_(adding)

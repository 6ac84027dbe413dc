/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What an entry of a layer says of a file beside its content: owner, mode, extended attributes, times. In this order,
 * for a change of owner clears mode bits and capabilities.
 */
#pragma once

#include <archive_entry.h>

#include "base/error.h"
#include "image/layer.h"

/* Sets all but the times of `base` in the folder `parent`, a file of any type, never through a link. */
int attributes_apply(int parent, const char *base, struct archive_entry *entry, struct layer_report *report,
                     struct error *err);
int attributes_set_times(int parent, const char *base, struct archive_entry *entry, struct error *err);
void attributes_times(struct archive_entry *entry, struct timespec times[2]);

/* Counts what could not be made, and keeps the first for the user to read. `code` is a negative errno. */
void report_refused(struct layer_report *report, const char *what, const char *entry, int code);

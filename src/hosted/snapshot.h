/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A whole machine saved into two files (snapshot_file.h), and one that goes on from them.
 *
 * Whoever asks for a snapshot opens the files: the process in its jail opens none. Changes alone may be saved against
 * the last snapshot that this process saved (or came from); the machine goes on from the whole one and all changes that
 * followed, in their order.
 *
 * Restored, memory is the file's, mapped privately: a page is read when it is touched, and all machines that came from
 * one file share what they have not written. So the file must stay as it is while a machine runs that came from it.
 * What is behind devices (files, taps, sockets) is said anew and only has to be of the same kind.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "hosted/snapshot_file.h"

struct vmm;
struct snapshot;

enum snapshot_kind {
        SNAPSHOT_WHOLE,
        SNAPSHOT_WATCH,   /* whole, and from then on changed pages are watched, which costs the guest a little */
        SNAPSHOT_CHANGES, /* what changed since the last one */
};

/*
 * Saves the machine, whose processors are brought to rest for it and go on afterwards unless they rested before. -EBUSY
 * where a device has something in hand that cannot be saved.
 */
int snapshot_save(struct vmm *vmm, int state, int memory, enum snapshot_kind kind, struct error *err);

/* Opens the folders of a snapshot and of changes to it, and checks them. */
int snapshot_open(char *const *folders, struct snapshot **snapshot, struct error *err);
const struct snapshot_settings *snapshot_settings(const struct snapshot *snapshot);
void snapshot_close(struct snapshot *snapshot);

/* Maps the memory for a machine that has none yet. */
int snapshot_map(const struct snapshot *snapshot, struct vmm *vmm, struct error *err);
/* Puts processors, chips and devices, all of them open, into the saved state. */
int snapshot_restore(const struct snapshot *snapshot, struct vmm *vmm, struct error *err);

/* ---- The records behind both, and behind resets ---- */

/* Writes the records of chips, CPUs and devices; the processors rest. */
int machine_records_save(struct vmm *vmm, struct state_writer *writer, struct error *err);
int machine_records_restore(struct vmm *vmm, struct state_reader *reader, const char *name, struct error *err);

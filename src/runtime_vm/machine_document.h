/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest is told of itself: /onggi/machine.json (guest/machine_config.h) and /onggi/config.json, as an archive that
 * follows its initramfs; and the folders of the host that it is to share.
 *
 * A bind mount of a folder becomes a shared folder. One of a file becomes a copy of the file, made when the machine starts:
 * to share it would be to share its whole folder. What is neither cannot be in a machine and is refused.
 */
#pragma once

#include <jansson.h>

#include "base/error.h"
#include "container/state.h"
#include "runtime_vm/machine_settings.h"
#include "runtime_vm/wire.h"

struct machine_document {
        json_t *machine, *config;
        char **shares; /* each as onggi-vmm's --share has it */
};

/* All but the network, which may still change. -EINVAL, -ENOENT, -ENOMEM. */
int machine_document_make(const struct state *state, const struct config *config,
                          const struct machine_settings *settings, struct machine_document *document,
                          struct error *err);
/* Returns a descriptor of the archive, a file without a name. */
int machine_document_pack(struct machine_document *document, const struct wires *wires, struct error *err);
void machine_document_release(struct machine_document *document);

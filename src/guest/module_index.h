/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which of the kernel's modules needs which: the text of modules.dep, as depmod(8) writes it.
 *
 * A line for each module, "<file>: <files that it needs>"; a module that another needs stands behind it, so the list is
 * loaded from its end. A name is a file's without folder and suffix; '-' and '_' are the same in it.
 */
#pragma once

#include "base/cleanup.h"
#include "base/error.h"

struct module_index;

/* Takes over `text`, in any case. -EINVAL, -ENOMEM. */
int module_index_parse(char *text, struct module_index **index, struct error *err);
void module_index_free(struct module_index *index);
DEFINE_CLEANUP(module_index, struct module_index, module_index_free)

/*
 * Appends the files to load for `name` to the list at *files, in their order, itself last; those that are in the list
 * already are not appended again. Returns 1, 0 where there is no such module, or -ENOMEM.
 */
int module_index_order(const struct module_index *index, const char *name, char ***files);

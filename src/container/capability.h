/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The capability sets of a container's process: OCI runtime-spec config.md "Linux Process", capabilities(7).
 *
 * Names that the kernel does not know are left out with a warning, as the specification asks; so is, when the sets
 * are applied, what the caller itself does not hold.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/json.h"

struct capabilities {
        uint64_t bounding, effective, permitted, inheritable, ambient; /* bit n is capability number n */
};

/* `at` is the object process.capabilities; absent, as with runc, gives empty sets. `warn` is called once for each name that is unknown to the kernel. */
int capabilities_parse(const struct json_at *at, struct capabilities *sets, void (*warn)(const char *text),
                       struct error *err);

/*
 * Drops the bounding set, then changes to uid, gid and groups keeping capabilities, then sets the other sets. One
 * order for init and exec.
 */
int capabilities_apply(const struct capabilities *sets, uid_t uid, gid_t gid, const gid_t *groups, size_t count,
                       bool set_groups, struct error *err);

/* "CAP_CHOWN" to 0; -EINVAL for a name that is none. And back; a static string. */
int capability_from_name(const char *name);
const char *capability_name(unsigned number);

/* Names the binary knows, for `features`. */
json_t *capabilities_features(void);

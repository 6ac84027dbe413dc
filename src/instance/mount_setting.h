/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One place where something is mounted into an instance, as -v, --mount and --tmpfs write it.
 *
 * -v [source:]target[:option,option…]; --mount type=bind|volume|tmpfs,source=…,target=…,…;
 * --tmpfs path[:options].
 * Parsed the same way whether it comes from the command line, from an image's "Volumes" or from the instance's own
 * configuration.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

enum mount_kind { MOUNT_BIND, MOUNT_VOLUME, MOUNT_TMPFS };

struct mount_setting {
        enum mount_kind kind;
        char *source;     /* absolute path (bind) or volume name; NULL: anonymous volume, or tmpfs */
        char *target;     /* absolute, as given */
        char **options;   /* mount options for the runtime: "ro", "rprivate", "size=…", … */
        bool no_copy;     /* volume: do not fill it from the image */
        bool make_source; /* bind by -v: a missing source folder is made, as docker does */
        char *subpath;    /* volume: a folder inside it, or NULL */
};

int mount_setting_parse_volume(const char *text, struct mount_setting *mount, struct error *err);
int mount_setting_parse_mount(const char *text, struct mount_setting *mount, struct error *err);
int mount_setting_parse_tmpfs(const char *text, struct mount_setting *mount, struct error *err);
void mount_setting_free(struct mount_setting *mount);

struct instance_settings;
/* All of an instance's mounts; a target given twice is -EINVAL. *mounts is an array of *count, to
 * mount_settings_free(). */
int mount_settings_collect(const struct instance_settings *settings, struct mount_setting **mounts, size_t *count,
                           struct error *err);
void mount_settings_free(struct mount_setting *mounts, size_t count);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/volume_use.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/mount_setting.h"
#include "instance/name.h"

static int uses(const struct instance *instance, const char *name)
{
        struct instance_settings settings;
        struct mount_setting *mounts;
        size_t count;
        if (instance_settings_of(instance, &settings, NULL) < 0)
                return 0;
        bool found = false;
        if (!mount_settings_collect(&settings, &mounts, &count, NULL)) {
                for (size_t i = 0; i < count; i++)
                        found |= mounts[i].kind == MOUNT_VOLUME && text_equal(mounts[i].source, name);
                mount_settings_free(mounts, count);
        }
        instance_settings_free(&settings);
        return found;
}

int volume_users(struct host *host, const char *name, char ***users, struct error *err)
{
        _cleanup_close_ int instances = instances_open(host->root, err);
        int own = instances < 0 ? -1 : openat(instances, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of instances");
        struct dirent *entry;
        while ((entry = readdir(folder))) {
                struct instance *instance;
                if (!instance_id_valid(entry->d_name) || instance_open(host, entry->d_name, &instance, NULL) < 0)
                        continue;
                int r = uses(instance, name) ? list_append(users, instance->name) : 0;
                instance_free(instance);
                if (r < 0)
                        return error_memory(err);
        }
        return 0;
}

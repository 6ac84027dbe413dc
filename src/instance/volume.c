/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/disk_usage.h"
#include "instance/events.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/name.h"
#include "instance/timestamp.h"
#include "instance/volume_use.h"

bool volume_name_valid(const char *name)
{
        /* As an instance's, but one letter is enough. */
        char two[3] = { name[0], 'a', 0 };
        return name[0] && name[1] ? instance_name_valid(name) : name[0] && instance_name_valid(two);
}

static int open_volumes(struct host *host, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/volumes", host->root);
        return path ? directory_make(path, 0700, err) : error_memory(err);
}

static char *data_path(struct host *host, const char *name)
{
        return text_format("%s/volumes/%s/_data", host->root, name);
}

static bool exists(int volumes, const char *name)
{
        _cleanup_free_ char *file = text_format("%s/volume.json", name);
        return file && !faccessat(volumes, file, F_OK, AT_SYMLINK_NOFOLLOW);
}

static json_t *pairs(char *const *list)
{
        json_t *object = json_object();
        for (; list && *list; list++) {
                const char *value = strchr(*list, '=');
                _cleanup_free_ char *key = value ? strndup(*list, (size_t)(value - *list)) : strdup(*list);
                if (key)
                        json_object_set_new(object, key, json_string(value ? value + 1 : ""));
        }
        return object;
}

static int make(struct host *host, int volumes, const char *name, bool anonymous, char *const *labels,
                struct error *err)
{
        _cleanup_free_ char *data = text_format("%s/_data", name), *file = text_format("%s/volume.json", name);
        if (!data || !file)
                return error_memory(err);
        if ((mkdirat(volumes, name, 0711) < 0 && errno != EEXIST) ||
            (mkdirat(volumes, data, 0755) < 0 && errno != EEXIST) || fchmodat(volumes, data, 0755, 0) < 0)
                return error_errno(err, "cannot create the volume %s", name);
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        _cleanup_json_ json_t *description =
                json_pack("{s:s, s:o, s:b}", "created", now, "labels", pairs(labels), "anonymous", anonymous);
        if (!description)
                return error_memory(err);
        test_point("volume.create.folder.made");
        int r = json_replace(volumes, file, description, true, err);
        if (!r)
                event_append(host->state, "volume", "create", name, NULL);
        return r;
}

static int check_options(char *const *options, struct error *err)
{
        for (; options && *options; options++)
                if (!text_equal(*options, "type=none") && !text_equal(*options, "o=bind"))
                        return error_set(err, -EINVAL,
                                         "--opt \"%s\": a volume is a plain folder here; for others use --mount",
                                         *options);
        return 0;
}

int volume_create(struct host *host, const char *name, char *const *labels, char *const *options, char **made_name,
                  char **path, struct error *err)
{
        char own[65];
        int r = check_options(options, err);
        if (!r && !name)
                r = instance_id_make(own, err);
        if (r < 0)
                return r;
        bool anonymous = !name;
        if (anonymous)
                name = own;
        if (!volume_name_valid(name))
                return error_set(
                        err, -EINVAL,
                        "\"%s\" is not a volume's name: letters, digits and \"_.-\", the first a letter or digit",
                        name);
        _cleanup_close_ int volumes = open_volumes(host, err);
        if (volumes < 0)
                return volumes;
        if (!exists(volumes, name)) {
                _cleanup_close_ int lock = lock_take(volumes, ".lock", true, err);
                if (lock < 0)
                        return lock;
                r = exists(volumes, name) ? 0 : make(host, volumes, name, anonymous, labels, err);
        }
        _cleanup_free_ char *name_copy = strdup(name);
        _cleanup_free_ char *data = data_path(host, name);
        if (!r && (!name_copy || !data))
                r = error_memory(err);
        if (r < 0)
                return r;
        if (made_name)
                *made_name = TAKE_PTR(name_copy);
        if (path)
                *path = TAKE_PTR(data);
        return 0;
}

static int remove_volume(struct host *host, int volumes, const char *name, struct error *err)
{
        _cleanup_free_ char *file = text_format("%s/volume.json", name);
        if (!file)
                return error_memory(err);
        if (unlinkat(volumes, file, 0) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the volume %s", name);
        test_point("volume.remove.begun");
        int r = tree_remove(volumes, name, err);
        if (!r)
                event_append(host->state, "volume", "destroy", name, NULL);
        return r;
}

int volume_remove(struct host *host, const char *name, bool force, struct error *err)
{
        if (!volume_name_valid(name))
                return error_set(err, -ENOENT, "no volume is named \"%s\"", name);
        _cleanup_close_ int volumes = open_volumes(host, err);
        _cleanup_close_ int lock = volumes < 0 ? volumes : lock_take(volumes, ".lock", true, err);
        if (lock < 0)
                return lock;
        if (!exists(volumes, name))
                return force ? tree_remove(volumes, name, err)
                             : error_set(err, -ENOENT, "no volume is named \"%s\"; `onggi volume ls` lists them", name);
        _cleanup_list_ char **users = NULL;
        int r = volume_users(host, name, &users, err);
        if (r < 0)
                return r;
        if (list_length(users))
                return error_set(err, -EBUSY, "volume %s is used by instance %s%s", name, users[0],
                                 list_length(users) > 1 ? " and others" : "");
        return remove_volume(host, volumes, name, err);
}

static int describe(struct host *host, int volumes, const char *name, json_t **object, bool *anonymous,
                    struct error *err)
{
        _cleanup_free_ char *file = text_format("%s/volume.json", name), *data = data_path(host, name);
        _cleanup_json_ json_t *description = NULL;
        if (!file || !data)
                return error_memory(err);
        int r = json_read(volumes, file, &description, err);
        if (r < 0)
                return r;
        struct json_reader reader = { .document = file, .err = err };
        struct json_at root = json_root(&reader, description);
        const char *created = "";
        json_need_string(&root, "created", &created);
        json_get_bool(&root, "anonymous", anonymous);
        struct json_at labels = json_get_object(&root, "labels");
        if (json_failed(&root))
                return json_failed(&root);
        *object = json_pack("{s:s, s:s, s:s, s:s, s:O?, s:{}, s:s}", "Name", name, "Driver", "local", "Mountpoint",
                            data, "CreatedAt", created, "Labels", labels.value ? (json_t *)labels.value : NULL,
                            "Options", "Scope", "local");
        return *object ? 0 : error_memory(err);
}

int volume_inspect(struct host *host, const char *name, json_t **object, struct error *err)
{
        _cleanup_close_ int volumes = open_volumes(host, err);
        if (volumes < 0)
                return volumes;
        if (!volume_name_valid(name) || !exists(volumes, name))
                return error_set(err, -ENOENT, "no volume is named \"%s\"; `onggi volume ls` lists them", name);
        bool anonymous = false;
        return describe(host, volumes, name, object, &anonymous, err);
}

static bool label_matches(const json_t *labels, const char *wanted)
{
        size_t length = strcspn(wanted, "=");
        _cleanup_free_ char *key = strndup(wanted, length);
        const char *value = key ? json_string_value(json_object_get(labels, key)) : NULL;
        return value && (!wanted[length] || text_equal(value, wanted + length + 1));
}

/* Returns 1 where it fits, 0 where not. */
static int fits(struct host *host, const json_t *volume, char *const *filters, struct error *err)
{
        const char *name = json_string_value(json_object_get(volume, "Name"));
        for (; filters && *filters; filters++) {
                const char *value = strchr(*filters, '=');
                value = value ? value + 1 : "";
                bool fit;
                if (text_starts(*filters, "name=")) {
                        fit = strstr(name, value);
                } else if (text_starts(*filters, "label=")) {
                        fit = label_matches(json_object_get(volume, "Labels"), value);
                } else if (text_starts(*filters, "driver=")) {
                        fit = text_equal(value, "local");
                } else if (text_starts(*filters, "dangling=")) {
                        _cleanup_list_ char **users = NULL;
                        int r = volume_users(host, name, &users, err);
                        if (r < 0)
                                return r;
                        fit = (list_length(users) == 0) == (text_equal(value, "true") || text_equal(value, "1"));
                } else {
                        return error_set(err, -EINVAL,
                                         "unknown filter \"%s\"; there are name, label, driver and dangling", *filters);
                }
                if (!fit)
                        return 0;
        }
        return 1;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int names_of_all(int volumes, bool whole, char ***names, struct error *err)
{
        int own = openat(volumes, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return error_errno(err, "cannot read the folder of volumes");
        struct dirent *entry;
        while ((entry = readdir(folder)))
                if (volume_name_valid(entry->d_name) && exists(volumes, entry->d_name) == whole &&
                    list_append(names, entry->d_name) < 0)
                        return error_memory(err);
        if (*names)
                qsort(*names, list_length(*names), sizeof(char *), by_name);
        return 0;
}

int volume_list(struct host *host, char *const *filters, json_t **list, struct error *err)
{
        _cleanup_close_ int volumes = open_volumes(host, err);
        if (volumes < 0)
                return volumes;
        _cleanup_list_ char **names = NULL;
        _cleanup_json_ json_t *all = json_array();
        int r = names_of_all(volumes, true, &names, err);
        for (char **name = names; !r && name && *name; name++) {
                json_t *volume = NULL;
                bool anonymous = false;
                /* Removed meanwhile, or damaged: `volume inspect` tells why. */
                if (describe(host, volumes, *name, &volume, &anonymous, NULL) < 0)
                        continue;
                r = fits(host, volume, filters, err);
                if (r == 1)
                        json_array_append(all, volume);
                r = r < 0 ? r : 0;
                json_decref(volume);
        }
        if (!r)
                *list = TAKE_PTR(all);
        return r;
}

/* Folders without a description: a command was killed while it made or removed them. */
static int remove_halves(int volumes, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        _cleanup_close_ int lock = lock_take(volumes, ".lock", true, err);
        int r = lock < 0 ? lock : names_of_all(volumes, false, &names, err);
        for (char **name = names; !r && name && *name; name++)
                r = tree_remove(volumes, *name, err);
        return r;
}

int volume_prune(struct host *host, bool all, char *const *filters, char ***removed, uint64_t *freed, struct error *err)
{
        _cleanup_close_ int volumes = open_volumes(host, err);
        if (volumes < 0)
                return volumes;
        _cleanup_list_ char **names = NULL;
        int r = remove_halves(volumes, err);
        if (!r)
                r = names_of_all(volumes, true, &names, err);
        *freed = 0;
        for (char **name = names; !r && name && *name; name++) {
                json_t *volume = NULL;
                bool anonymous = false;
                if (describe(host, volumes, *name, &volume, &anonymous, NULL) < 0)
                        continue;
                r = !all && !anonymous ? 0 : fits(host, volume, filters, err);
                json_decref(volume);
                if (r != 1)
                        continue;
                uint64_t size = disk_usage(volumes, *name);
                r = volume_remove(host, *name, true, NULL);
                if (!r) {
                        *freed += size;
                        r = list_append(removed, *name) < 0 ? error_memory(err) : 0;
                } else if (r == -EBUSY) {
                        r = 0;
                }
        }
        return r < 0 ? r : 0;
}

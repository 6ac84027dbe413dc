/* SPDX-License-Identifier: GPL-2.0-or-later */
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
#include "image/store.h"
#include "instance/environment.h"
#include "instance/events.h"
#include "instance/folder.h"
#include "instance/id_map.h"
#include "instance/mount_setting.h"
#include "instance/name.h"
#include "instance/spec.h"
#include "instance/start.h"
#include "instance/timestamp.h"
#include "instance/vessel.h"
#include "instance/volume.h"

/* What is known while an instance is made; everything here is undone by creation_abandon(). */
struct creation {
        struct host *host;
        struct instance_settings settings; /* with the image's defaults */
        struct store *store;
        struct image *image;
        int instances, lock;
        struct instance *instance;
        char **anonymous;    /* volumes made for this instance */
        struct id_range ids; /* of --userns auto; count 0: none */
        bool pinned, transient;
};

/* A copy that owns its strings, with files of settings read into it. */
static int take_settings(const struct instance_settings *given, struct instance_settings *own, struct error *err)
{
        _cleanup_json_ json_t *object = instance_settings_write(given);
        if (!object)
                return error_memory(err);
        int r = instance_settings_read(object, own, err);
        if (r < 0)
                return r;
        r = environment_complete(&own->environment, given->environment_files, err);
        if (!r)
                r = labels_complete(&own->labels, given->label_files, err);
        if (!r)
                r = cpus_check_host(given->cpus, err);
        if (!r && !own->image)
                r = error_set(err, -EINVAL, "an image is needed");
        if (r < 0)
                instance_settings_free(own);
        return r;
}

/* --volumes-from: the other's mounts, as --mount writes them. */
static int take_volumes_from(struct creation *creation, char *const *names, struct error *err)
{
        for (; names && *names; names++) {
                _cleanup_free_ char *name = strdup(*names);
                if (!name)
                        return error_memory(err);
                char *mode = strchr(name, ':');
                if (mode)
                        *mode++ = 0;
                if (mode && !text_equal(mode, "ro") && !text_equal(mode, "rw"))
                        return error_set(err, -EINVAL, "--volumes-from \"%s\": only :ro and :rw are known", *names);
                struct instance *other;
                struct instance_settings settings;
                int r = instance_find(creation->host, name, &other, err);
                if (r < 0)
                        return r;
                r = instance_settings_of(other, &settings, err);
                instance_free(other);
                if (r < 0)
                        return r;
                for (char *const *volume = settings.volumes; !r && volume && *volume; volume++)
                        r = text_equal(mode, "ro") ? list_printf(&creation->settings.volumes, "%s:ro", *volume)
                                                   : list_append(&creation->settings.volumes, *volume);
                for (char *const *mount = settings.mounts; !r && mount && *mount; mount++)
                        r = list_printf(&creation->settings.mounts, "%s%s", *mount,
                                        text_equal(mode, "ro") ? ",readonly" : "");
                instance_settings_free(&settings);
                if (r < 0)
                        return error_memory(err);
        }
        return 0;
}

/* --security-opt seccomp=FILE: absolute, as a later start may be called from elsewhere, and known to be a profile. */
static int settle_profile(struct instance_settings *settings, struct error *err)
{
        struct security_settings security;
        int r = security_settings_parse(settings->security_options, &security, err);
        if (r < 0 || !security.seccomp_file[0] || security.seccomp_unconfined)
                return r;
        _cleanup_free_ char *path = realpath(security.seccomp_file, NULL);
        if (!path)
                return error_set(err, -EINVAL, "--security-opt seccomp=%s: %s", security.seccomp_file, strerror(errno));
        for (char **option = settings->security_options; *option; option++) {
                if (strncmp(*option, "seccomp", 7) != 0)
                        continue;
                free(*option);
                if (!(*option = text_format("seccomp=%s", path)))
                        return error_memory(err);
        }
        json_t *profile = NULL;
        r = spec_seccomp(settings, &profile, err);
        json_decref(profile);
        return r;
}

static int find_image(struct creation *creation, struct error *err)
{
        int r = store_open(creation->host->root, &creation->store, err);
        if (!r)
                r = store_find(creation->store, creation->settings.image, &creation->image, err);
        if (!r)
                r = instance_settings_merge_image(&creation->settings, creation->image->config, err);
        if (!r)
                r = instance_settings_check(&creation->settings, err);
        if (!r)
                r = settle_profile(&creation->settings, err);
        const struct vessel *vessel = vessel_find(creation->settings.isolation);
        if (!r && vessel->settle)
                r = vessel->settle(creation->host, &creation->settings, err);
        if (!r && !list_length(creation->settings.command) && !list_length(creation->settings.entrypoint))
                r = error_set(err, -EINVAL, "image %s has no command of its own; give one after the image's name",
                              creation->settings.image);
        return r;
}

static int make_folder(struct creation *creation, struct error *err)
{
        struct instance *instance = creation->instance = calloc(1, sizeof(*instance));
        if (!instance)
                return error_memory(err);
        instance->folder = -1;
        instance->host = creation->host;
        int r = instance_id_make(instance->id, err);
        if (r < 0)
                return r;
        /* Between the folder and its lock it looks like a killed creator's: instances_sweep() waits for this lock. */
        _cleanup_close_ int making = lock_take(creation->instances, INSTANCES_MAKING_LOCK, false, err);
        if (making < 0)
                return making;
        if (mkdirat(creation->instances, instance->id, 0711) < 0)
                return error_errno(err, "cannot create a folder for the instance in %s", creation->host->root);
        instance->folder = openat(creation->instances, instance->id, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (instance->folder < 0)
                return error_errno(err, "cannot open the folder of the new instance");
        creation->lock = lock_take(instance->folder, "lock", true, err);
        test_point("instance.create.locked");
        return creation->lock < 0 ? creation->lock : 0;
}

static int take_name(struct creation *creation, struct error *err)
{
        struct instance *instance = creation->instance;
        const char *wanted = creation->settings.name;
        if (!wanted)
                return name_invent(creation->instances, instance->id, &instance->name, err);
        int r = name_take(creation->instances, wanted, instance->id, err);
        if (!r && !(instance->name = strdup(wanted)))
                r = error_memory(err);
        return r;
}

/* Volumes of the settings by name: those without get one of their own, and relative sources become absolute. */
static int settle_volume(struct creation *creation, char **text, bool is_mount, struct error *err)
{
        struct mount_setting mount;
        int r = is_mount ? mount_setting_parse_mount(*text, &mount, err)
                         : mount_setting_parse_volume(*text, &mount, err);
        if (r < 0)
                return r;
        char *settled = NULL;
        if (mount.kind == MOUNT_VOLUME && !mount.source) {
                _cleanup_free_ char *name = NULL;
                r = volume_create(creation->host, NULL, NULL, NULL, &name, NULL, err);
                if (!r && list_append(&creation->anonymous, name) < 0)
                        r = error_memory(err);
                if (!r)
                        settled =
                                is_mount ? text_format("%s,source=%s", *text, name) : text_format("%s:%s", name, *text);
        } else if (mount.kind == MOUNT_VOLUME) {
                r = volume_create(creation->host, mount.source, NULL, NULL, NULL, NULL, err);
        } else if (mount.kind == MOUNT_BIND && !is_mount && (*text)[0] != '/') {
                settled = text_format("%s%s", mount.source, strchr(*text, ':'));
        }
        mount_setting_free(&mount);
        if (settled) {
                free(*text);
                *text = settled;
        }
        return r;
}

static int settle_volumes(struct creation *creation, struct error *err)
{
        int r = 0;
        for (char **text = creation->settings.volumes; !r && text && *text; text++)
                r = settle_volume(creation, text, false, err);
        for (char **text = creation->settings.mounts; !r && text && *text; text++)
                r = settle_volume(creation, text, true, err);
        return r;
}

static json_t *strings(char *const *list)
{
        json_t *array = json_array();
        for (; list && *list; list++)
                json_array_append_new(array, json_string(*list));
        return array;
}

static int write_files(struct creation *creation, bool durable, struct error *err)
{
        struct instance *instance = creation->instance;
        const struct image *image = creation->image;
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        instance->config =
                json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s}, s:o, s:o, s:o}", "id", instance->id, "name",
                          instance->name, "created", now, "image", "reference", creation->settings.image, "digest",
                          image->digest, "id", image->id, "layers", strings(image->layers), "anonymous",
                          strings(creation->anonymous), "settings", instance_settings_write(&creation->settings));
        instance->state = json_pack("{s:s, s:s, s:i}", "name", instance->name, "status", "created", "exit_code", 0);
        if (!instance->config || !instance->state)
                return error_memory(err);
        if (creation->ids.count)
                json_object_set_new(instance->config, "id_range", json_integer(creation->ids.host));
        if (creation->transient)
                json_object_set_new(instance->state, "transient", json_true());
        int r = json_replace(instance->folder, "config.json", instance->config, durable, err);
        test_point("instance.create.configured");
        if (!r)
                r = store_pin(creation->store, image, instance->id, err);
        if (!r) {
                creation->pinned = true;
                test_point("instance.create.pinned");
                r = instance_save_state(instance, durable, err);
        }
        if (!r && durable && (fsync(creation->instances) < 0))
                r = error_errno(err, "cannot make the new instance durable");
        test_point("instance.create.done");
        return r;
}

static int write_id_file(const struct creation *creation, const char *path, struct error *err)
{
        if (!path)
                return 0;
        _cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
        if (fd < 0)
                return error_errno(err, "--cidfile %s", path);
        int r = write_all(fd, creation->instance->id, strlen(creation->instance->id));
        return r < 0 ? error_code(err, r, "--cidfile %s", path) : 0;
}

static void creation_close(struct creation *creation)
{
        instance_settings_free(&creation->settings);
        image_free(creation->image);
        store_close(creation->store);
        list_free(creation->anonymous);
        if (creation->lock >= 0)
                close(creation->lock);
        if (creation->instances >= 0)
                close(creation->instances);
}

/* As a killed creator's remains, but at once. */
static void creation_abandon(struct creation *creation)
{
        struct instance *instance = creation->instance;
        if (!instance)
                return;
        if (instance->name)
                name_drop(creation->instances, instance->name, instance->id, NULL);
        if (creation->ids.count)
                id_range_drop(creation->instances, instance->id, &creation->ids, NULL);
        if (creation->pinned)
                store_unpin(creation->store, instance->id, NULL);
        if (instance->id[0])
                tree_remove(creation->instances, instance->id, NULL);
        for (char **name = creation->anonymous; name && *name; name++)
                volume_remove(creation->host, *name, true, NULL);
        instance_free(instance);
        creation->instance = NULL;
}

/* Their files belong to the ids of one map, and only root may show a file system through another. */
static int check_userns(const struct host *host, const char *userns, struct error *err)
{
        if (!host->rootless || !userns || text_equal(userns, "auto") || text_equal(userns, "host"))
                return 0;
        return error_set(err, -EPERM,
                         "--userns %s: an ordinary user's instances share the map of that user; leave the "
                         "option out or give auto",
                         userns);
}

int instance_create_locked(struct host *host, const struct instance_settings *settings, bool durable, bool transient,
                           struct instance **instance, int *lock, struct error *err)
{
        struct creation creation = { .host = host, .instances = -1, .lock = -1, .transient = transient };
        const char *engine;
        int r = take_settings(settings, &creation.settings, err);
        if (r < 0)
                return r;
        r = vessel_find(creation.settings.isolation)->ready(host, &creation.settings, &engine, err);
        if (r < 0) {
                creation_close(&creation);
                return r;
        }
        r = check_userns(host, creation.settings.userns, err);
        if (!r)
                r = take_volumes_from(&creation, settings->volumes_from, err);
        if (!r)
                r = find_image(&creation, err);
        if (!r)
                r = creation.instances = instances_open(host->root, err);
        if (r >= 0)
                r = make_folder(&creation, err);
        if (!r)
                r = take_name(&creation, err);
        if (!r && text_equal(creation.settings.userns, "auto") && !host->rootless)
                r = id_range_take(creation.instances, creation.instance->id, &creation.ids, err);
        if (!r)
                r = settle_volumes(&creation, err);
        if (!r)
                r = write_files(&creation, durable, err);
        if (!r)
                r = write_id_file(&creation, settings->id_file, err);
        if (r < 0)
                creation_abandon(&creation);
        else
                event_of_instance(creation.instance, "create");
        *instance = creation.instance;
        if (r >= 0)
                *lock = TAKE_FD(creation.lock);
        creation_close(&creation);
        return r < 0 ? r : 0;
}

int instance_create(struct host *host, const struct instance_settings *settings, bool durable,
                    struct instance **instance, struct error *err)
{
        int lock;
        int r = instance_create_locked(host, settings, durable, false, instance, &lock, err);
        if (!r)
                close(lock);
        return r;
}

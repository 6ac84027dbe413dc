/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/mount_setting.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "instance/settings.h"
#include "instance/volume.h"

/* Options of -v and --mount that the runtime takes as they are. */
static const char *const passed_on[] = {
        "ro",     "rw",      "rprivate", "private", "rshared", "shared",      "rslave", "slave",
        "nosuid", "suid",    "nodev",    "dev",     "noexec",  "exec",        "rro",    "bind",
        "rbind",  "noatime", "relatime", "sync",    "async",   "nosymfollow", "idmap",  "ridmap",
};

void mount_setting_free(struct mount_setting *mount)
{
        free(mount->source);
        free(mount->target);
        free(mount->subpath);
        list_free(mount->options);
        *mount = (struct mount_setting){ 0 };
}

void mount_settings_free(struct mount_setting *mounts, size_t count)
{
        for (size_t i = 0; i < count; i++)
                mount_setting_free(&mounts[i]);
        free(mounts);
}

static bool is_passed_on(const char *option)
{
        for (size_t i = 0; i < ARRAY_SIZE(passed_on); i++)
                if (text_equal(passed_on[i], option))
                        return true;
        return false;
}

static int check_target(const struct mount_setting *mount, const char *text, struct error *err)
{
        if (!mount->target || mount->target[0] != '/')
                return error_set(err, -EINVAL, "mount \"%s\": the target must be an absolute path inside the instance",
                                 text);
        if (mount->target[strspn(mount->target, "/.")] == 0)
                return error_set(err, -EINVAL, "mount \"%s\": the target must not be the root folder", text);
        return 0;
}

/* "/a", "./a", "..": a path. "a/b" is none, as docker has it: whoever writes that may mean either. */
static bool is_path(const char *source)
{
        return source[0] == '/' || text_starts(source, "./") || text_starts(source, "../") || text_equal(source, ".") ||
               text_equal(source, "..");
}

static int set_source(struct mount_setting *mount, const char *text, const char *source, struct error *err)
{
        if (is_path(source)) {
                mount->kind = MOUNT_BIND;
                if (source[0] == '/') {
                        mount->source = strdup(source);
                } else {
                        _cleanup_free_ char *here = getcwd(NULL, 0);
                        mount->source = here ? text_format("%s/%s", here, source) : NULL;
                }
                return mount->source ? 0 : error_memory(err);
        }
        if (strchr(source, '/'))
                return error_set(
                        err, -EINVAL,
                        "mount \"%s\": \"%s\" is no volume's name; for a folder write ./%s or an absolute path", text,
                        source, source);
        if (!volume_name_valid(source))
                return error_set(err, -EINVAL,
                                 "mount \"%s\": \"%s\" is neither a path (with a slash) nor a volume's name "
                                 "(letters, digits, \"_.-\")",
                                 text, source);
        mount->kind = MOUNT_VOLUME;
        mount->source = strdup(source);
        return mount->source ? 0 : error_memory(err);
}

static int add_volume_options(struct mount_setting *mount, const char *text, char *options, struct error *err)
{
        char *state = NULL;
        for (char *option = strtok_r(options, ",", &state); option; option = strtok_r(NULL, ",", &state)) {
                if (text_equal(option, "nocopy"))
                        mount->no_copy = true;
                else if (text_equal(option, "z") || text_equal(option, "Z") || text_equal(option, "delegated") ||
                         text_equal(option, "cached") || text_equal(option, "consistent"))
                        continue; /* SELinux relabelling and Docker Desktop's hints: nothing to do here */
                else if (!is_passed_on(option))
                        return error_set(err, -EINVAL, "volume \"%s\": unknown option \"%s\"", text, option);
                else if (list_append(&mount->options, option) < 0)
                        return error_memory(err);
        }
        return 0;
}

int mount_setting_parse_volume(const char *text, struct mount_setting *mount, struct error *err)
{
        *mount = (struct mount_setting){ .kind = MOUNT_VOLUME, .make_source = true };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);

        char *parts[3] = { copy };
        size_t count = 1;
        for (char *c = copy; *c; c++) {
                if (*c != ':')
                        continue;
                if (count == 3)
                        return error_set(err, -EINVAL,
                                         "volume \"%s\" has too many colons; write source:target[:options]", text);
                *c = 0;
                parts[count++] = c + 1;
        }
        /* "target:options" without a source is not docker's: two parts are always source and target. */
        const char *target = count == 1 ? parts[0] : parts[1];
        int r = 0;
        mount->target = strdup(target);
        if (!mount->target)
                r = error_memory(err);
        if (!r && count > 1)
                r = set_source(mount, text, parts[0], err);
        if (!r && count == 3)
                r = add_volume_options(mount, text, parts[2], err);
        if (!r)
                r = check_target(mount, text, err);
        if (r < 0)
                mount_setting_free(mount);
        return r;
}

static bool is_true(const char *value)
{
        return !value || !*value || text_equal(value, "true") || text_equal(value, "1");
}

static int replace_string(char **target, const char *value, struct error *err)
{
        free(*target);
        *target = strdup(value ? value : "");
        return *target ? 0 : error_memory(err);
}

static int add_key(struct mount_setting *mount, const char *text, const char *key, const char *value, const char **type,
                   struct error *err)
{
        static const char *const sources[] = { "source", "src", NULL };
        static const char *const targets[] = { "target", "destination", "dst", NULL };
        if (text_equal(key, "type")) {
                *type = value;
                return 0;
        }
        for (const char *const *name = sources; *name; name++)
                if (text_equal(key, *name))
                        return replace_string(&mount->source, value, err);
        for (const char *const *name = targets; *name; name++)
                if (text_equal(key, *name))
                        return replace_string(&mount->target, value, err);
        if (text_equal(key, "volume-subpath"))
                return replace_string(&mount->subpath, value, err);

        int r = 0;
        if (text_equal(key, "readonly") || text_equal(key, "ro"))
                r = is_true(value) ? list_append(&mount->options, "ro") : 0;
        else if (text_equal(key, "bind-propagation"))
                r = value && is_passed_on(value) ? list_append(&mount->options, value) : -EINVAL;
        else if (text_equal(key, "volume-nocopy"))
                mount->no_copy = is_true(value);
        else if (text_equal(key, "tmpfs-size")) {
                uint64_t size;
                r = value && !parse_size(value, &size) ? list_printf(&mount->options, "size=%s", value) : -EINVAL;
        } else if (text_equal(key, "tmpfs-mode"))
                r = value ? list_printf(&mount->options, "mode=%s", value) : -EINVAL;
        else if (!text_equal(key, "consistency"))
                return error_set(err, -EINVAL, "mount \"%s\": unknown key \"%s\"", text, key);
        if (r == -EINVAL)
                return error_set(err, -EINVAL, "mount \"%s\": \"%s\" is not a value for %s", text, value ? value : "",
                                 key);
        return r < 0 ? error_memory(err) : 0;
}

static int settle_type(struct mount_setting *mount, const char *text, const char *type, struct error *err)
{
        if (!type || text_equal(type, "volume")) {
                mount->kind = MOUNT_VOLUME;
                if (mount->source && !volume_name_valid(mount->source))
                        return error_set(err, -EINVAL, "mount \"%s\": \"%s\" is not a volume's name", text,
                                         mount->source);
                return 0;
        }
        if (text_equal(type, "tmpfs")) {
                mount->kind = MOUNT_TMPFS;
                if (mount->source)
                        return error_set(err, -EINVAL, "mount \"%s\": a tmpfs has no source", text);
                return 0;
        }
        if (!text_equal(type, "bind"))
                return error_set(err, -EINVAL, "mount \"%s\": type must be bind, volume or tmpfs", text);
        mount->kind = MOUNT_BIND;
        if (!mount->source || mount->source[0] != '/')
                return error_set(err, -EINVAL, "mount \"%s\": a bind needs source=<absolute path>", text);
        return 0;
}

int mount_setting_parse_mount(const char *text, struct mount_setting *mount, struct error *err)
{
        *mount = (struct mount_setting){ 0 };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);

        const char *type = NULL;
        char *state = NULL;
        int r = 0;
        for (char *part = strtok_r(copy, ",", &state); part && !r; part = strtok_r(NULL, ",", &state)) {
                char *value = strchr(part, '=');
                if (value)
                        *value++ = 0;
                r = add_key(mount, text, part, value, &type, err);
        }
        if (!r)
                r = settle_type(mount, text, type, err);
        if (!r)
                r = check_target(mount, text, err);
        if (r < 0)
                mount_setting_free(mount);
        return r;
}

int mount_setting_parse_tmpfs(const char *text, struct mount_setting *mount, struct error *err)
{
        *mount = (struct mount_setting){ .kind = MOUNT_TMPFS };
        _cleanup_free_ char *copy = strdup(text);
        if (!copy)
                return error_memory(err);

        char *options = strchr(copy, ':'), *state = NULL;
        if (options)
                *options++ = 0;
        int r = (mount->target = strdup(copy)) ? 0 : error_memory(err);
        for (char *option = options ? strtok_r(options, ",", &state) : NULL; option && !r;
             option = strtok_r(NULL, ",", &state))
                if (list_append(&mount->options, option) < 0)
                        r = error_memory(err);
        if (!r)
                r = check_target(mount, text, err);
        if (r < 0)
                mount_setting_free(mount);
        return r;
}

struct collection {
        struct mount_setting *mounts;
        size_t count;
};

static int collect(struct collection *all, char *const *texts,
                   int (*parse)(const char *, struct mount_setting *, struct error *), struct error *err)
{
        for (; texts && *texts; texts++) {
                struct mount_setting *grown = reallocarray(all->mounts, all->count + 1, sizeof(*grown));
                if (!grown)
                        return error_memory(err);
                all->mounts = grown;
                struct mount_setting *mount = &grown[all->count];
                int r = parse(*texts, mount, err);
                if (r < 0)
                        return r;
                all->count++;
                for (size_t i = 0; i + 1 < all->count; i++)
                        if (text_equal(all->mounts[i].target, mount->target))
                                return error_set(err, -EINVAL, "two mounts have the target %s", mount->target);
        }
        return 0;
}

int mount_settings_collect(const struct instance_settings *settings, struct mount_setting **mounts, size_t *count,
                           struct error *err)
{
        struct collection all = { 0 };
        int r = collect(&all, settings->volumes, mount_setting_parse_volume, err);
        if (!r)
                r = collect(&all, settings->mounts, mount_setting_parse_mount, err);
        if (!r)
                r = collect(&all, settings->tmpfs, mount_setting_parse_tmpfs, err);
        if (r < 0) {
                mount_settings_free(all.mounts, all.count);
                return r;
        }
        *mounts = all.mounts;
        *count = all.count;
        return 0;
}

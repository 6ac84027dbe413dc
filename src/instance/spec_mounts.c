/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "instance/spec.h"

struct default_mount {
        const char *target, *type, *source, *options;
};

static const struct default_mount proc = { "/proc", "proc", "proc", "nosuid,noexec,nodev" };
static const struct default_mount defaults[] = {
        { "/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k" },
        { "/dev/pts", "devpts", "devpts", "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5" },
};

static json_t *split_options(const char *options)
{
        json_t *array = json_array();
        while (array && *options) {
                size_t length = strcspn(options, ",");
                json_array_append_new(array, json_stringn(options, length));
                options += length + (options[length] == ',');
        }
        return array;
}

static void add(json_t *mounts, const char *target, const char *type, const char *source, const char *options)
{
        json_array_append_new(mounts, json_pack("{s:s, s:s, s:s, s:o}", "destination", target, "type", type, "source",
                                                source, "options", split_options(options)));
}

/* A mount of the user's at the same place replaces ours, as docker does for /dev/shm, /sys, /dev and the like. */
static bool taken(const struct spec_input *input, const char *target)
{
        for (size_t i = 0; i < input->mount_count; i++)
                if (text_equal(input->mounts[i].target, target))
                        return true;
        return false;
}

static void add_default(json_t *mounts, const struct spec_input *input, const struct default_mount *mount)
{
        if (!taken(input, mount->target))
                add(mounts, mount->target, mount->type, mount->source, mount->options);
}

/* /dev/shm and /dev/mqueue belong to the IPC namespace: they come from whoever it is shared with. */
static void add_ipc(json_t *mounts, const struct spec_input *input)
{
        static const char shared_options[] = "rbind,nosuid,nodev,noexec,rprivate";
        char options[64];
        const char *mode = input->settings->ipc_mode;
        bool host = text_equal(mode, "host");
        if (!host)
                add_default(mounts, input,
                            &(struct default_mount){ "/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev" });
        else if (!access("/dev/mqueue", F_OK) && !taken(input, "/dev/mqueue"))
                add(mounts, "/dev/mqueue", "bind", "/dev/mqueue", shared_options);
        if (taken(input, "/dev/shm") || text_equal(mode, "none"))
                return;
        if (host || input->shm) {
                add(mounts, "/dev/shm", "bind", host ? "/dev/shm" : input->shm, shared_options);
                return;
        }
        uint64_t size = input->settings->shm_size ? input->settings->shm_size : 64 * 1024 * 1024;
        snprintf(options, sizeof(options), "nosuid,noexec,nodev,mode=1777,size=%llu", (unsigned long long)size);
        add(mounts, "/dev/shm", "tmpfs", "shm", options);
}

static void add_files(json_t *mounts, const struct spec_input *input)
{
        static const char *const names[] = { "resolv.conf", "hostname", "hosts" };
        for (size_t i = 0; input->files && i < ARRAY_SIZE(names); i++) {
                _cleanup_free_ char *source = text_format("%s/%s", input->files, names[i]);
                _cleanup_free_ char *target = text_format("/etc/%s", names[i]);
                if (source && target && !taken(input, target))
                        add(mounts, target, "bind", source, "rbind,rprivate");
        }
}

static bool has_option(char *const *options, const char *const *names)
{
        for (; *names; names++)
                if (list_contains(options, *names))
                        return true;
        return false;
}

static int add_own(json_t *mounts, const struct mount_setting *mount, bool ids, struct error *err)
{
        static const char *const propagations[] = {
                "private", "rprivate", "shared", "rshared", "slave", "rslave", NULL
        };
        static const char *const binds[] = { "bind", "rbind", NULL };
        json_t *options = json_array();
        for (char *const *option = mount->options; option && *option; option++)
                json_array_append_new(options, json_string(*option));
        if (mount->kind == MOUNT_TMPFS) {
                /* Docker's defaults for a tmpfs, in front so that what was given wins. */
                static const char *const defaults_of_tmpfs[] = { "noexec", "nosuid", "nodev" };
                for (size_t i = 0; i < ARRAY_SIZE(defaults_of_tmpfs); i++)
                        json_array_insert_new(options, 0, json_string(defaults_of_tmpfs[i]));
        } else {
                if (!has_option(mount->options, propagations))
                        json_array_append_new(options, json_string("rprivate"));
                if (!has_option(mount->options, binds))
                        json_array_append_new(options, json_string("rbind"));
                /* A volume is filled from the image with the image's ids, so it is seen through the same map. */
                if (mount->kind == MOUNT_VOLUME && ids && !list_contains(mount->options, "idmap"))
                        json_array_append_new(options, json_string("idmap"));
        }
        json_t *entry = json_pack("{s:s, s:s, s:s, s:o}", "destination", mount->target, "type",
                                  mount->kind == MOUNT_TMPFS ? "tmpfs" : "bind", "source",
                                  mount->kind == MOUNT_TMPFS ? "tmpfs" : mount->source, "options", options);
        return json_array_append_new(mounts, entry) < 0 ? error_memory(err) : 0;
}

/* sysfs shows a network namespace's devices, and only who has rights over that namespace may mount it. */
static void add_sys(json_t *mounts, const struct spec_input *input)
{
        bool foreign = !input->network_namespace && (input->rootless || input->id_count);
        bool privileged = input->settings->privileged;
        if (foreign && !taken(input, "/sys"))
                add(mounts, "/sys", "bind", "/sys", "rbind,nosuid,noexec,nodev,rro,rprivate");
        else
                add_default(mounts, input,
                            &(struct default_mount){ "/sys", "sysfs", "sysfs",
                                                     privileged ? "nosuid,noexec,nodev,rw"
                                                                : "nosuid,noexec,nodev,ro" });
}

/* Nobody can make devices in a user namespace; the runtime binds those that keep their path, the others are bound here. */
static int add_renamed_devices(json_t *mounts, const struct spec_input *input, struct error *err)
{
        for (char *const *text = input->settings->devices; text && *text; text++) {
                struct device_setting device;
                int r = device_setting_parse(*text, &device, err);
                if (r < 0)
                        return r;
                if (spec_binds_device(input, &device))
                        add(mounts, device.container, "bind", device.host, "rbind,nosuid,noexec,rprivate");
        }
        return 0;
}

int spec_mounts(const struct spec_input *input, json_t **mounts, struct error *err)
{
        _cleanup_json_ json_t *list = json_array();
        if (!list)
                return error_memory(err);
        bool privileged = input->settings->privileged;
        if (text_equal(input->settings->pid_mode, "host") && input->rootless)
                add(list, "/proc", "bind", "/proc", "rbind,nosuid,noexec,nodev");
        else
                add_default(list, input, &proc);
        for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
                add_default(list, input, &defaults[i]);
        add_sys(list, input);
        add_default(list, input,
                    &(struct default_mount){ "/sys/fs/cgroup", "cgroup", "cgroup",
                                             privileged ? "nosuid,noexec,nodev,relatime,rw"
                                                        : "nosuid,noexec,nodev,relatime,ro" });
        add_ipc(list, input);
        add_files(list, input);
        if (input->init)
                add(list, SPEC_INIT, "bind", input->init, "bind,ro,rprivate");
        int r = add_renamed_devices(list, input, err);
        for (size_t i = 0; !r && i < input->mount_count; i++)
                r = add_own(list, &input->mounts[i], input->id_count, err);
        if (r < 0)
                return r;
        *mounts = TAKE_PTR(list);
        return 0;
}

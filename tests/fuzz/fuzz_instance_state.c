/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Files and texts of instances; the first byte says which: settings (what is accepted must be written and read again
 * to the same, and make an OCI configuration), config.json and state.json as commands open them, log entries, mounts.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/log.h"
#include "instance/mount_setting.h"
#include "instance/spec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_spec(const struct instance_settings *settings)
{
        static const struct identity root = { .home = "/root" };
        struct mount_setting *mounts = NULL;
        size_t count = 0;
        if (mount_settings_collect(settings, &mounts, &count, NULL) < 0)
                abort(); /* instance_settings_check() accepted them */
        const struct spec_input input = { .id = "fuzz",
                                          .settings = settings,
                                          .identity = &root,
                                          .mounts = mounts,
                                          .mount_count = count,
                                          .root = "/rootfs",
                                          .hostname = "fuzz" };
        json_t *spec = NULL;
        /* Devices are looked up on this machine; everything else has been checked. */
        if (!settings->devices && !settings->privileged)
                spec_build(&input, &spec, NULL);
        json_decref(spec);
        mount_settings_free(mounts, count);
}

static void fuzz_settings(const char *text, size_t length)
{
        json_t *parsed = NULL;
        struct instance_settings settings;
        if (json_parse(text, length, "input", &parsed, NULL) < 0)
                return;
        _cleanup_json_ json_t *object = parsed;
        if (!json_is_object(object) || instance_settings_read(object, &settings, NULL) < 0)
                return;
        _cleanup_json_ json_t *first = instance_settings_write(&settings);
        struct instance_settings again;
        if (instance_settings_read(first, &again, NULL) < 0)
                abort();
        _cleanup_json_ json_t *second = instance_settings_write(&again);
        if (!json_equal(first, second))
                abort();
        instance_settings_free(&again);
        fuzz_spec(&settings);
        instance_settings_free(&settings);
}

static char root[] = "/tmp/onggi-fuzz-XXXXXX";

static void remove_root(void)
{
        tree_remove(AT_FDCWD, root, NULL);
}

/* config.json up to the first NUL, state.json after it. */
static void fuzz_files(const char *data, size_t length)
{
        static const char id[] = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
        static int folder = -1;
        if (folder < 0) {
                _cleanup_free_ char *path = mkdtemp(root) ? text_format("%s/instances/%s", root, id) : NULL;
                folder = path ? directory_make(path, 0700, NULL) : -1;
                atexit(remove_root);
        }
        if (folder < 0)
                abort();
        const char *end = memchr(data, 0, length);
        size_t config = end ? (size_t)(end - data) : length;
        file_replace_volatile(folder, "config.json", data, config, 0600, NULL);
        file_replace_volatile(folder, "state.json", end ? end + 1 : "{}", end ? length - config - 1 : 2, 0600, NULL);
        struct host host = { .root = root, .state = root };
        struct instance *instance;
        if (instance_open(&host, id, &instance, NULL) < 0)
                return;
        json_t *object = NULL;
        json_decref(instance_summary(instance, false));
        if (!instance_inspect(instance, false, &object, NULL))
                json_decref(object);
        instance_free(instance);
}

static void fuzz_log(const char *line, size_t length)
{
        struct log_entry entry;
        if (!log_parse(line, length, &entry) && (entry.text < line || entry.text + entry.length != line + length))
                abort();
}

static void fuzz_mount(const char *text)
{
        struct mount_setting mount;
        if (!mount_setting_parse_volume(text, &mount, NULL))
                mount_setting_free(&mount);
        if (!mount_setting_parse_mount(text, &mount, NULL))
                mount_setting_free(&mount);
        if (!mount_setting_parse_tmpfs(text, &mount, NULL))
                mount_setting_free(&mount);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        _cleanup_free_ char *text = strndup((const char *)data + 1, size - 1);
        if (!text)
                return 0;
        switch (data[0] % 4) {
        case 0: fuzz_settings((const char *)data + 1, size - 1); break;
        case 1: fuzz_files((const char *)data + 1, size - 1); break;
        case 2: fuzz_log((const char *)data + 1, size - 1); break;
        default: fuzz_mount(text);
        }
        return 0;
}

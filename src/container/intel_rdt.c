/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/intel_rdt.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "base/file.h"
#include "base/text.h"

#define RESCTRL_FOLDER "/sys/fs/resctrl"
#define RESCTRL_MAGIC  0x7655821

int intel_rdt_parse(const struct json_at *platform, struct intel_rdt *rdt)
{
        struct json_at at = json_get_object(platform, "intelRdt");
        if (!at.value)
                return json_failed(platform);
        rdt->present = true;
        json_get_string(&at, "closID", &rdt->class);
        json_get_string(&at, "l3CacheSchema", &rdt->cache);
        json_get_string(&at, "memBwSchema", &rdt->bandwidth);
        json_get_strings(&at, "schemata", &rdt->schemata);
        json_get_bool(&at, "enableMonitoring", &rdt->monitoring);
        if (json_failed(&at))
                return json_failed(&at);
        struct json_at class = json_get(&at, "closID");
        if (rdt->class &&
            (!*rdt->class || strchr(rdt->class, '/') || !strcmp(rdt->class, ".") || !strcmp(rdt->class, "..")))
                return json_misfit(&class, "is \"%s\", which is not the name of a folder", rdt->class);
        if (rdt->bandwidth && strchr(rdt->bandwidth, '\n'))
                return json_misfit(&at, "has a memBwSchema of more than one line");
        return 0;
}

void intel_rdt_free(struct intel_rdt *rdt)
{
        list_free(rdt->schemata);
        *rdt = (struct intel_rdt){ 0 };
}

static bool is_mounted(void)
{
        struct statfs fs;
        return !statfs(RESCTRL_FOLDER, &fs) && fs.f_type == RESCTRL_MAGIC;
}

static int write_schemata(const struct intel_rdt *rdt, int group, struct error *err)
{
        _cleanup_text_ struct text lines = { 0 };
        if (rdt->cache)
                text_printf(&lines, "%s\n", rdt->cache);
        if (rdt->bandwidth)
                text_printf(&lines, "%s\n", rdt->bandwidth);
        for (char **line = rdt->schemata; line && *line; line++)
                text_printf(&lines, "%s\n", *line);
        if (text_failed(&lines))
                return error_memory(err);
        return lines.length ? file_poke(group, "schemata", lines.data, err) : 0;
}

int intel_rdt_apply(const struct intel_rdt *rdt, const char *id, pid_t pid, struct error *err)
{
        if (!rdt->present)
                return 0;
        if (!is_mounted())
                return error_set(err, -EOPNOTSUPP,
                                 "linux.intelRdt needs a processor with RDT and resctrl mounted on %s", RESCTRL_FOLDER);
        const char *name = rdt->class ? rdt->class : id;
        bool has_schema = rdt->cache || rdt->bandwidth || rdt->schemata;
        _cleanup_free_ char *path = text_format("%s/%s", RESCTRL_FOLDER, name);
        if (!path)
                return error_memory(err);
        if (rdt->class && !has_schema) {
                struct stat st;
                if (stat(path, &st) < 0)
                        return error_errno(err, "the closID %s of linux.intelRdt has no group", name);
        }
        _cleanup_close_ int group = directory_make(path, 0755, err);
        int r = group < 0 ? group : write_schemata(rdt, group, err);
        if (r < 0)
                return r;
        char number[16];
        snprintf(number, sizeof(number), "%d", (int)pid);
        r = file_poke(group, "tasks", number, err);
        if (r < 0 || !rdt->monitoring)
                return r;

        _cleanup_free_ char *monitor = text_format("%s/mon_groups/%s", path, id);
        if (!monitor)
                return error_memory(err);
        _cleanup_close_ int monitoring = directory_make(monitor, 0755, err);
        return monitoring < 0 ? monitoring : file_poke(monitoring, "tasks", number, err);
}

int intel_rdt_remove(const char *id, struct error *err)
{
        if (!is_mounted())
                return 0;
        _cleanup_free_ char *path = text_format("%s/%s", RESCTRL_FOLDER, id);
        if (!path)
                return error_memory(err);
        if (rmdir(path) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the group %s", path);
        return 0;
}

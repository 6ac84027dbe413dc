/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/machine_settings.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "container/resources.h"
#include "kernel/kernel.h"
#include "runtime_vm/program_find.h"

#define MIB            (1ULL << 20)
#define CPUS_MAX       64U    /* VMM_CPUS_MAX */
#define CPU_PERIOD     100000 /* microseconds, the kernel's default: Linux, Documentation/scheduler/sched-bwc.rst */
#define DEFAULT_ROOT   "/var/lib/onggi"
#define INITRAMFS_FILE "initramfs"
/* onggi-vmm has 3 MiB; page tables are up to 1/512 of the memory twice; the rest is buffers of sockets and disks. */
#define OVERHEAD          (32 * MIB)
#define OVERHEAD_FRACTION 64

static const char *annotation(const struct config *config, const char *key)
{
        return json_string_value(json_object_get(config->annotations, key));
}

const char *machine_file_annotation(const json_t *annotations, const char *key)
{
        return getenv(MACHINE_FILES_VARIABLE) ? json_string_value(json_object_get(annotations, key)) : NULL;
}

uint64_t machine_overhead(uint64_t memory)
{
        return OVERHEAD + memory / OVERHEAD_FRACTION;
}

static int read_number(const struct config *config, const char *key, uint64_t most, uint64_t *value, struct error *err)
{
        const char *text = annotation(config, key);
        if (text && (parse_u64(text, value) < 0 || !*value || *value > most))
                return error_set(err, -EINVAL,
                                 "config.json: annotation %s is \"%s\"; it must be a number from 1 to %llu", key, text,
                                 (unsigned long long)most);
        return 0;
}

/* ---- Size ---- */

static int read_memory(const struct config *config, struct machine_settings *settings, struct error *err)
{
        const struct number *limit = &config->resources->memory.limit;
        settings->memory = limit->present && limit->value > 0 ? (uint64_t)limit->value : MACHINE_MEMORY_DEFAULT;
        int r = read_number(config, MACHINE_ANNOTATION_MEMORY, INT64_MAX, &settings->memory, err);
        settings->memory = settings->memory / MIB * MIB;
        if (!r && settings->memory < MACHINE_MEMORY_LEAST)
                r = error_set(err, -EINVAL,
                              "a virtual machine needs a limit of memory of at least %llu MiB; this one has %llu",
                              MACHINE_MEMORY_LEAST / MIB, (unsigned long long)(settings->memory / MIB));
        return r;
}

/* "0-3,7": how many; 0 where it cannot be read, which the control group says more about. */
static unsigned count_list(const char *list)
{
        unsigned count = 0;
        while (*list) {
                char *end;
                unsigned long first = strtoul(list, &end, 10), last = first;
                if (end == list)
                        return 0;
                if (*end == '-')
                        last = strtoul(end + 1, &end, 10);
                if (last < first || last - first >= CPUS_MAX || (*end && *end != ','))
                        return 0;
                count += (unsigned)(last - first) + 1;
                list = *end ? end + 1 : end;
        }
        return count;
}

static int read_cpus(const struct config *config, struct machine_settings *settings, struct error *err)
{
        const struct resources *resources = config->resources;
        uint64_t cpus = 0;
        if (resources->cpu.quota.present && resources->cpu.quota.value > 0) {
                int64_t period = resources->cpu.period.present && resources->cpu.period.value > 0
                                         ? resources->cpu.period.value
                                         : CPU_PERIOD;
                cpus = (uint64_t)(resources->cpu.quota.value + period - 1) / (uint64_t)period;
        } else if (resources->cpu.cpus) {
                cpus = count_list(resources->cpu.cpus);
        }
        cpus = cpus < 1 ? 1 : cpus > CPUS_MAX ? CPUS_MAX : cpus;
        int r = read_number(config, MACHINE_ANNOTATION_CPUS, CPUS_MAX, &cpus, err);
        settings->cpus = (unsigned)cpus;
        return r;
}

/* ---- Kernel ---- */

/* A kernel that is not of the cache brings its initramfs along, beside it. */
static int take_file(const char *file, struct machine_settings *settings, struct error *err)
{
        const char *slash = strrchr(file, '/');
        settings->kernel = strdup(file);
        settings->initramfs = text_format("%.*s/" INITRAMFS_FILE, (int)(slash - file), file);
        settings->command_line = strdup(KERNEL_COMMAND_LINE);
        if (!settings->kernel || !settings->initramfs || !settings->command_line)
                return error_memory(err);
        const char *const files[] = { settings->kernel, settings->initramfs };
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (access(files[i], R_OK) < 0)
                        return error_errno(err, "cannot read %s, which the virtual machine starts from", files[i]);
        return 0;
}

static int find_kernel(const struct config *config, struct machine_settings *settings, struct error *err)
{
        const char *root = machine_file_annotation(config->annotations, MACHINE_ANNOTATION_ROOT),
                   *wanted = machine_file_annotation(config->annotations, MACHINE_ANNOTATION_KERNEL);
        if (wanted && wanted[0] == '/')
                return take_file(wanted, settings, err);
        _cleanup_free_ char *init = program_find("onggi-init"), *inner = program_find("onggi-runtime");
        if (!init || !inner)
                return error_set(err, -ENOENT,
                                 "cannot find onggi-init and onggi-runtime, which go into virtual machines");
        _cleanup_(kernel) struct kernel *kernel = NULL;
        int r = kernel_find(root ? root : DEFAULT_ROOT, wanted, &(struct kernel_programs){ init, inner }, &kernel, err);
        if (r < 0)
                return r;
        settings->kernel = TAKE_PTR(kernel->vmlinux);
        settings->initramfs = TAKE_PTR(kernel->initramfs);
        settings->command_line = TAKE_PTR(kernel->command_line);
        return 0;
}

/* ---- All of it ---- */

void machine_settings_release(struct machine_settings *settings)
{
        free(TAKE_PTR(settings->kernel));
        free(TAKE_PTR(settings->initramfs));
        free(TAKE_PTR(settings->command_line));
}

/* A comma would begin another setting of onggi-vmm's. */
static int read_path(const struct config *config, const char *key, const char **path, struct error *err)
{
        *path = machine_file_annotation(config->annotations, key);
        if (*path && ((*path)[0] != '/' || strchr(*path, ',')))
                return error_set(err, -EINVAL,
                                 "config.json: annotation %s is \"%s\"; it must be an absolute path without "
                                 "a comma",
                                 key, *path);
        return 0;
}

int machine_settings_read(const struct config *config, bool files, struct machine_settings *settings, struct error *err)
{
        *settings = (struct machine_settings){ 0 };
        const char *engine = annotation(config, MACHINE_ANNOTATION_ENGINE);
        if (engine && strcmp(engine, "kvm") && strcmp(engine, "soft") && strcmp(engine, "auto"))
                return error_set(err, -EINVAL,
                                 "config.json: annotation " MACHINE_ANNOTATION_ENGINE
                                 " is \"%s\"; the engines that there are are kvm and soft",
                                 engine);
        settings->engine = engine && strcmp(engine, "auto") ? engine : NULL;
        int r = read_memory(config, settings, err);
        if (!r)
                r = read_cpus(config, settings, err);
        if (!r)
                r = read_path(config, MACHINE_ANNOTATION_IMAGE, &settings->image, err);
        if (!r)
                r = read_path(config, MACHINE_ANNOTATION_DISK, &settings->disk, err);
        if (!r)
                r = read_path(config, MACHINE_ANNOTATION_REASON, &settings->reason, err);
        if (!r && settings->disk && !settings->image)
                r = error_set(err, -EINVAL,
                              "config.json: annotation " MACHINE_ANNOTATION_DISK " needs " MACHINE_ANNOTATION_IMAGE
                              ", on top of which it is");
        if (!r && files)
                r = find_kernel(config, settings, err);
        if (r < 0)
                machine_settings_release(settings);
        return r;
}

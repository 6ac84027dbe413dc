/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The virtual machine: the image runs under a kernel of its own, on onggi-vmm. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "engine/engines.h"
#include "instance/folder.h"
#include "instance/start.h"
#include "instance/vessel_private.h"
#include "kernel/kernel.h"
#include "runtime_vm/machine_annotations.h"

/* ---- What it needs of the host ---- */

/* The engine that was found fit since the last boot; NULL where none was asked for yet. */
static const char *remembered_engine(int verdicts, const char *wanted)
{
        _cleanup_free_ char *text = NULL;
        if (file_read(verdicts, wanted, 64, &text, NULL, NULL) < 0)
                return NULL;
        for (const struct engine_choice *choice = engine_choices; choice->name; choice++)
                if (text_equal(choice->name, text))
                        return choice->name;
        return NULL;
}

/* A self-test takes a few milliseconds; who passed it once keeps its verdict until the next boot. */
static int choose_engine(const struct host *host, const char *wanted, const char **engine, struct error *err)
{
        wanted = wanted ? wanted : "auto";
        _cleanup_free_ char *path = text_format("%s/engines", host->state);
        if (!path)
                return error_memory(err);
        _cleanup_close_ int verdicts = directory_make(path, 0711, err);
        if (verdicts < 0)
                return verdicts;
        *engine = strchr(wanted, '/') ? NULL : remembered_engine(verdicts, wanted);
        if (*engine)
                return 0;
        const struct engine_choice *choice;
        int r = engine_choose(wanted, &choice, err);
        if (r == -EINVAL)
                return r;
        if (r < 0)
                return error_set(err, -EOPNOTSUPP,
                                 "--isolation vm: %s; take a host that can (`onggi doctor` tells more), or --isolation "
                                 "container",
                                 err->text);
        *engine = choice->name;
        return file_replace_volatile(verdicts, wanted, choice->name, strlen(choice->name), 0644, err);
}

static int find_kernel(const struct host *host, const char *release, struct kernel **kernel, struct error *err)
{
        /* A file: settle() takes it. */
        if (release && strchr(release, '/'))
                release = NULL;
        _cleanup_free_ char *init = host_program(host, "onggi-init");
        if (!init)
                return error_set(err, -EOPNOTSUPP,
                                 "onggi-init, which a virtual machine starts, was not found beside "
                                 "%s/onggi-monitor",
                                 host->libexec);
        int r = kernel_find(host->root, release, &(struct kernel_programs){ init, host->runtime }, kernel, err);
        return r == -ENOENT ? error_set(err, -EOPNOTSUPP, "--isolation vm: %s", err ? err->text : "") : r;
}

static int ready(const struct host *host, const struct instance_settings *settings, const char **engine,
                 struct error *err)
{
        int r = choose_engine(host, settings->engine, engine, err);
        if (r < 0)
                return r;
        char *runtime;
        r = vessel_runtime(&vessel_vm, host, &runtime, err);
        if (r < 0)
                return r;
        free(runtime);
        struct kernel *kernel;
        r = find_kernel(host, settings->kernel, &kernel, err);
        if (r < 0)
                return r;
        kernel_free(kernel);
        return 0;
}

/* --kernel FILE: it comes into the store, with its modules, and is known by its release from then on. */
static int settle(const struct host *host, struct instance_settings *settings, struct error *err)
{
        if (!settings->kernel || !strchr(settings->kernel, '/'))
                return 0;
        _cleanup_free_ char *import = host_program(host, "onggi-kernel"), *init = host_program(host, "onggi-init");
        if (!import || !init)
                return error_set(err, -EOPNOTSUPP, "--kernel %s: onggi-kernel was not found beside onggi-monitor",
                                 settings->kernel);
        char *const argv[] = { import, "--root",    host->root,    "--init",
                               init,   "--runtime", host->runtime, (char *)settings->kernel,
                               NULL };
        char *output = NULL;
        int r = program_read(argv, &output, err);
        _cleanup_free_ char *release = output;
        if (r < 0)
                return error_prefix(err, "--kernel %s", settings->kernel);
        release[strcspn(release, "\n")] = 0;
        /* Strings of settings are their document's. */
        json_t *kept = json_string(release);
        if (!kept || json_array_append_new(settings->source, kept) < 0)
                return error_memory(err);
        settings->kernel = json_string_value(kept);
        return 0;
}

/* ---- Its bundle ---- */

static void show(const struct instance_settings *settings, json_t *object)
{
        json_object_set_new(object, "Memory", json_integer((json_int_t)vm_memory(settings)));
        json_object_set_new(object, "Processors", json_integer(vm_processors(settings)));
        json_object_set_new(object, "Kernel", json_string(settings->kernel ? settings->kernel : ""));
}

/* A guest gets folders of the host, and small files; the reaper is larger. */
static int share_reaper(const char *reaper, json_t *spec)
{
        static const char folder[] = "/.onggi-init";
        const char *slash = strrchr(reaper, '/');
        size_t i;
        json_t *mount;
        json_array_foreach(json_object_get(spec, "mounts"), i, mount)
                if (text_equal(json_string_value(json_object_get(mount, "destination")), SPEC_INIT) &&
                    (json_object_set_new(mount, "destination", json_string(folder)) < 0 ||
                     json_object_set_new(mount, "source", json_stringn(reaper, (size_t)(slash - reaper))) < 0))
                        return -1;
        json_t *arguments = json_object_get(json_object_get(spec, "process"), "args");
        return json_array_set_new(arguments, 0, json_sprintf("%s%s", folder, slash));
}

static int annotate(json_t *annotations, const char *key, char *value)
{
        int r = value ? json_object_set_new(annotations, key, json_string(value)) : -1;
        free(value);
        return r;
}

static int describe(const struct start *start, json_t *spec, struct error *err)
{
        const struct instance_settings *settings = &start->settings;
        struct kernel *found;
        int r = find_kernel(start->host, settings->kernel, &found, err);
        if (r < 0)
                return r;
        _cleanup_(kernel) struct kernel *kernel = found;
        if (start->init && share_reaper(start->init, spec) < 0)
                return error_memory(err);
        json_t *annotations = json_object();
        if (json_object_set_new(spec, "annotations", annotations) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_ENGINE, strdup(start->engine)) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_MEMORY,
                     text_format("%llu", (unsigned long long)vm_memory(settings))) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_CPUS, text_format("%u", vm_processors(settings))) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_REASON,
                     text_format("%s/%s", start->run_path, VESSEL_REASON_FILE)) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_IMAGE, strdup(start->image_file)) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_DISK,
                     text_format("%s/instances/%s/" VM_DISK, start->host->root, start->instance->id)) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_ROOT, strdup(start->host->root)) < 0 ||
            annotate(annotations, MACHINE_ANNOTATION_KERNEL, strdup(kernel->release)) < 0)
                return error_memory(err);
        return 0;
}

/* ---- Its processes, which the host does not see ---- */

static int top(struct instance *instance, char *const *arguments, char ***lines, struct error *err)
{
        _cleanup_list_ char **call = NULL;
        int r = list_append(&call, "ps");
        if (!r)
                r = list_append(&call, instance->id);
        for (; !r && arguments && *arguments; arguments++)
                r = list_append(&call, *arguments);
        if (r < 0)
                return error_memory(err);
        char *output = NULL;
        r = runtime_text(instance, call, &output, err);
        _cleanup_free_ char *text = output;
        if (r < 0)
                return r;
        char *rest = text, *line;
        while (!r && (line = strsep(&rest, "\n")))
                r = *line ? list_append(lines, line) : 0;
        return r < 0 ? error_memory(err) : 0;
}

const struct vessel vessel_vm = {
        .name = "vm",
        .runtime = "onggi-runtime-vm",
        .containers = "runtime-vm",
        .written = VM_DISK,
        .guardian = "the virtual machine's process",
        .engines = engine_choices,
        .check = vm_check_settings,
        .ready = ready,
        .settle = settle,
        .root = vm_root,
        .show = show,
        .describe = describe,
        .open_root = vm_open_root,
        .update = vm_update,
        .fixed_networks = "its network cards are those that it was started with",
        .top = top,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtual_machine/machine_cgroup.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"

#define PERIOD           100000                           /* microseconds */
#define OVERHEAD(memory) ((64ULL << 20) + (memory) / 128) /* tables of pages, devices, disks' requests */

DEFINE_CLEANUP(cgroup, struct cgroup, cgroup_free)
DEFINE_CLEANUP(resources, struct resources, resources_free)

static char *path_of(const struct vm *vm)
{
        return text_format("/onggi/%s", vm->id);
}

static int read_resources(json_t *object, struct resources **resources, struct error *err)
{
        struct json_reader reader = { .document = "limits", .err = err };
        struct json_at at = json_root(&reader, object);
        int r = resources_parse(&at, resources, err);
        json_decref(object);
        return r;
}

/* Devices are onggi-vmm's own jail's concern: it opens /dev/kvm, disks and taps, and then holds nothing else. */
static json_t *everything_else(void)
{
        return json_pack("{s:[{s:b, s:s}]}", "devices", "allow", 1, "access", "rwm");
}

static json_t *limits(const struct vm_settings *settings)
{
        json_t *object = everything_else();
        json_object_set_new(object, "memory",
                            json_pack("{s:I}", "limit", (json_int_t)(settings->memory + OVERHEAD(settings->memory))));
        int64_t quota = vm_settings_quota(settings);
        if (object && quota)
                json_object_set_new(object, "cpu",
                                    json_pack("{s:I, s:i}", "quota", (json_int_t)quota, "period", PERIOD));
        return object;
}

int machine_cgroup_make(const struct vm *vm, const struct vm_settings *settings, int run_folder, struct cgroup **result,
                        struct error *err)
{
        _cleanup_(cgroup) struct cgroup *cgroup = NULL;
        _cleanup_(resources) struct resources *resources = NULL;
        _cleanup_free_ char *path = path_of(vm);
        /* An ordinary user may have been given no control group: then only what was asked for is insisted on. */
        bool asked = !vm->host->rootless || settings->cpus;
        int r = path ? read_resources(asked ? limits(settings) : everything_else(), &resources, err)
                     : error_memory(err);
        if (!r)
                r = cgroup_create(vm->id, path, false, vm->host->rootless, resources, &cgroup, err);
        if (r < 0)
                return r;
        test_point("vm.start.cgroup.made");
        _cleanup_json_ json_t *saved = cgroup_save(cgroup);
        r = saved ? json_replace(run_folder, "cgroup.json", saved, false, err) : error_memory(err);
        if (!r)
                r = cgroup_apply(cgroup, resources, err);
        if (r < 0) {
                cgroup_remove(cgroup, NULL);
                return r;
        }
        *result = TAKE_PTR(cgroup);
        return 0;
}

int machine_cgroup_load(int run_folder, struct cgroup **cgroup, struct error *err)
{
        _cleanup_json_ json_t *saved = NULL;
        int r = json_read(run_folder, "cgroup.json", &saved, err);
        return r < 0 ? r : cgroup_load(saved, cgroup, err);
}

/*
 * What a starter made that was killed before it could write that down. To make them once more is the way to find all of
 * them; a group with processes in it is refused, and was written down.
 */
static int remove_unrecorded(const struct vm *vm)
{
        _cleanup_(cgroup) struct cgroup *cgroup = NULL;
        _cleanup_free_ char *path = path_of(vm);
        int r = path ? cgroup_create(vm->id, path, false, vm->host->rootless, NULL, &cgroup, NULL) : -ENOMEM;
        return r < 0 ? r : cgroup_remove(cgroup, NULL);
}

int machine_cgroup_remove(const struct vm *vm, int run_folder, bool *out_of_memory, struct error *err)
{
        _cleanup_(cgroup) struct cgroup *cgroup = NULL;
        int r = machine_cgroup_load(run_folder, &cgroup, err);
        if (r == -ENOENT) {
                remove_unrecorded(vm);
                return 0;
        }
        if (r < 0)
                return r;
        *out_of_memory |= cgroup_oom_kills(cgroup) > 0;
        return cgroup_remove(cgroup, err);
}

int machine_cgroup_limit(int run_folder, int64_t quota, struct error *err)
{
        _cleanup_(cgroup) struct cgroup *cgroup = NULL;
        _cleanup_(resources) struct resources *resources = NULL;
        json_t *wanted = everything_else();
        json_object_set_new(wanted, "cpu", json_pack("{s:I, s:i}", "quota", (json_int_t)quota, "period", PERIOD));
        int r = read_resources(wanted, &resources, err);
        if (!r)
                r = machine_cgroup_load(run_folder, &cgroup, err);
        return r < 0 ? r : cgroup_apply(cgroup, resources, err);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup_limits.h"
#include "container/cgroup_tree.h"

/* One value for one control file, on behalf of one field of linux.resources. */
struct control {
        const char *field; /* below linux.resources */
        const char *file;
        char value[80];
};

uint64_t cpu_weight_of_shares(uint64_t shares)
{
        if (shares <= 2)
                return 1;
        if (shares >= 262144)
                return 10000;
        double l = log2((double)shares);
        return (uint64_t)ceil(pow(10, (l * l + 125 * l) / 612 - 7.0 / 34));
}

uint64_t io_weight_of_block_weight(uint64_t weight)
{
        return 1 + (weight - 10) * 9999 / 990;
}

/* ---- one file ---- */

static int no_controller(const struct cgroup *cgroup, enum controller controller, const char *field, struct error *err)
{
        const char *name = controller_name(controller, 1);
        if (cgroup->rootless)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.%s: the control group controller \"%s\" is not delegated to you; "
                                 "see systemd.resource-control(5), Delegate=, or remove the limit",
                                 field, name);
        return error_set(err, -EOPNOTSUPP,
                         "linux.resources.%s: this host has no control group controller \"%s\"; mount it "
                         "(cgroup v1) or boot with it enabled (see /proc/cgroups), or remove the limit",
                         field, name);
}

static int not_on_v2(const char *field, const char *cure, struct error *err)
{
        return error_set(err, -EOPNOTSUPP, "linux.resources.%s: cgroup v2, which this host uses, cannot do that; %s",
                         field, cure);
}

static int explain(const struct cgroup_directory *directory, const struct control *control, int code, struct error *err)
{
        if (code == -ENOENT)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.%s: this kernel has no control file %s/%s; remove the limit",
                                 control->field, directory->path, control->file);
        if (code == -EBUSY && text_starts(control->field, "memory."))
                return error_set(err, code, "linux.resources.%s: %s bytes are fewer than the container uses now",
                                 control->field, control->value);
        return error_code(err, code, "linux.resources.%s: cannot write \"%s\" to %s/%s", control->field, control->value,
                          directory->path, control->file);
}

/*
 * Writes values that the kernel checks against each other (a quota and its burst, memory and memory with swap): which
 * order works depends on what is set now, so all are tried until none is left or none moves any more.
 */
static int write_group(const struct cgroup_directory *directory, struct control *controls, size_t count,
                       struct error *err)
{
        int failure = 0;
        size_t failed = 0;
        for (size_t left = count, before = count + 1; left && left < before;) {
                before = left;
                failure = 0;
                for (size_t i = 0; i < count; i++) {
                        if (!controls[i].file)
                                continue;
                        int r = control_write(directory->fd, controls[i].file, controls[i].value);
                        if (r < 0 && !failure) {
                                failure = r;
                                failed = i;
                        }
                        if (r < 0)
                                continue;
                        controls[i].file = NULL;
                        left--;
                }
        }
        return failure ? explain(directory, &controls[failed], failure, err) : 0;
}

static int write_one(const struct cgroup_directory *directory, const char *field, const char *file, const char *value,
                     struct error *err)
{
        struct control control = { .field = field, .file = file };
        snprintf(control.value, sizeof(control.value), "%s", value);
        return write_group(directory, &control, 1, err);
}

__attribute__((format(printf, 5, 6))) static void add(struct control *controls, size_t *count, const char *field,
                                                      const char *file, const char *format, ...)
{
        struct control *control = &controls[(*count)++];
        *control = (struct control){ .field = field, .file = file };
        va_list args;
        va_start(args, format);
        vsnprintf(control->value, sizeof(control->value), format, args);
        va_end(args);
}

/* v1 takes -1 for no limit, v2 the word. */
static void add_limit(struct control *controls, size_t *count, unsigned version, const char *field, const char *file,
                      struct number limit)
{
        if (!limit.present)
                return;
        if (limit.value < 0 && version == 2)
                add(controls, count, field, file, "%s", "max");
        else
                add(controls, count, field, file, "%" PRId64, limit.value);
}

/* ---- memory ---- */

static int check_usage(const struct cgroup_directory *directory, int64_t limit, struct error *err)
{
        char usage[32];
        const char *file = directory->version == 1 ? "memory.usage_in_bytes" : "memory.current";
        ssize_t n = control_read(directory->fd, file, usage, sizeof(usage));
        if (n < 0)
                return error_code(err, (int)n, "cannot read %s/%s", directory->path, file);
        if (limit >= 0 && strtoull(usage, NULL, 10) > (uint64_t)limit)
                return error_set(err, -EBUSY,
                                 "linux.resources.memory.limit: %" PRId64 " bytes are fewer than the %s that the "
                                 "container uses now (memory.checkBeforeUpdate)",
                                 limit, usage);
        return 0;
}

static int memory_v1(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        struct control controls[8];
        size_t count = 0;
        struct number swap = resources->memory.swap;
        /* Memory without a limit inside a limit for both would be refused. */
        if (!swap.present && resources->memory.limit.present && resources->memory.limit.value < 0 &&
            !faccessat(directory->fd, "memory.memsw.limit_in_bytes", W_OK, AT_EACCESS))
                swap = resources->memory.limit;
        add_limit(controls, &count, 1, "memory.limit", "memory.limit_in_bytes", resources->memory.limit);
        add_limit(controls, &count, 1, "memory.swap", "memory.memsw.limit_in_bytes", swap);
        add_limit(controls, &count, 1, "memory.reservation", "memory.soft_limit_in_bytes",
                  resources->memory.reservation);
        add_limit(controls, &count, 1, "memory.kernel", "memory.kmem.limit_in_bytes", resources->memory.kernel);
        add_limit(controls, &count, 1, "memory.kernelTCP", "memory.kmem.tcp.limit_in_bytes",
                  resources->memory.kernel_tcp);
        add_limit(controls, &count, 1, "memory.swappiness", "memory.swappiness", resources->memory.swappiness);
        add_limit(controls, &count, 1, "memory.useHierarchy", "memory.use_hierarchy", resources->memory.use_hierarchy);
        add_limit(controls, &count, 1, "memory.disableOOMKiller", "memory.oom_control",
                  resources->memory.disable_oom_killer);
        return write_group(directory, controls, count, err);
}

static int swap_v2(const struct cgroup_directory *directory, const struct resources *resources, struct number *swap,
                   struct error *err)
{
        struct number limit = resources->memory.limit;
        *swap = resources->memory.swap;
        if (!swap->present) {
                /* On v1 memory without a limit means swap without one. */
                swap->present = limit.present && limit.value < 0;
                swap->value = -1;
                return 0;
        }
        if (swap->value < 0)
                return 0;
        char now[32] = "";
        if (!limit.present && control_read(directory->fd, "memory.max", now, sizeof(now)) > 0 && strcmp(now, "max"))
                limit = (struct number){ .present = true, .value = (int64_t)strtoull(now, NULL, 10) };
        if (!limit.present || limit.value < 0)
                return error_set(err, -EINVAL,
                                 "linux.resources.memory.swap counts memory and swap together; it needs memory.limit");
        if (swap->value < limit.value)
                return error_set(err, -EINVAL,
                                 "linux.resources.memory.swap (%" PRId64 ", memory and swap together) is below the "
                                 "memory limit (%" PRId64 ")",
                                 swap->value, limit.value);
        swap->value -= limit.value;
        return 0;
}

static int memory_v2(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        const struct number kernel = resources->memory.kernel, tcp = resources->memory.kernel_tcp;
        if (kernel.present && kernel.value >= 0)
                return not_on_v2("memory.kernel", "memory.limit counts the kernel's memory, too", err);
        if (tcp.present && tcp.value >= 0)
                return not_on_v2("memory.kernelTCP", "memory.limit counts socket buffers, too", err);
        if (resources->memory.swappiness.present)
                return not_on_v2("memory.swappiness", "limit swap by memory.swap", err);
        if (resources->memory.disable_oom_killer.value)
                return not_on_v2("memory.disableOOMKiller", "set unified[\"memory.high\"] to throttle instead of kill",
                                 err);
        if (resources->memory.use_hierarchy.present && !resources->memory.use_hierarchy.value)
                return not_on_v2("memory.useHierarchy", "every control group counts its children", err);

        struct control controls[3];
        struct number swap;
        size_t count = 0;
        int r = swap_v2(directory, resources, &swap, err);
        if (r < 0)
                return r;
        /* A kernel without swap accounting need not be told that there is no limit. */
        if (swap.present && swap.value < 0 && faccessat(directory->fd, "memory.swap.max", F_OK, 0) < 0)
                swap.present = false;
        add_limit(controls, &count, 2, "memory.limit", "memory.max", resources->memory.limit);
        add_limit(controls, &count, 2, "memory.swap", "memory.swap.max", swap);
        add_limit(controls, &count, 2, "memory.reservation", "memory.low", resources->memory.reservation);
        return write_group(directory, controls, count, err);
}

static int apply_memory(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        if (resources->memory.check_before_update.value && resources->memory.limit.present) {
                int r = check_usage(directory, resources->memory.limit.value, err);
                if (r < 0)
                        return r;
        }
        return directory->version == 1 ? memory_v1(directory, resources, err) : memory_v2(directory, resources, err);
}

/* ---- processors ---- */

static int bandwidth_v1(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        struct control controls[3];
        size_t count = 0;
        add_limit(controls, &count, 1, "cpu.period", "cpu.cfs_period_us", resources->cpu.period);
        add_limit(controls, &count, 1, "cpu.quota", "cpu.cfs_quota_us", resources->cpu.quota);
        add_limit(controls, &count, 1, "cpu.burst", "cpu.cfs_burst_us", resources->cpu.burst);
        int r = write_group(directory, controls, count, err);
        count = 0;
        add_limit(controls, &count, 1, "cpu.realtimePeriod", "cpu.rt_period_us", resources->cpu.realtime_period);
        add_limit(controls, &count, 1, "cpu.realtimeRuntime", "cpu.rt_runtime_us", resources->cpu.realtime_runtime);
        return r < 0 ? r : write_group(directory, controls, count, err);
}

static int bandwidth_v2(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        if (resources->cpu.realtime_period.present || resources->cpu.realtime_runtime.present)
                return not_on_v2(resources->cpu.realtime_period.present ? "cpu.realtimePeriod" : "cpu.realtimeRuntime",
                                 "it has no budget for realtime tasks; remove it", err);
        struct control controls[2];
        size_t count = 0;
        const struct number quota = resources->cpu.quota, period = resources->cpu.period;
        char text[64] = "max";
        if (quota.present && quota.value > 0)
                snprintf(text, sizeof(text), "%" PRId64, quota.value);
        else if (!quota.present && period.present && control_read(directory->fd, "cpu.max", text, sizeof(text)) > 0)
                text[strcspn(text, " ")] = 0;
        if (period.present)
                add(controls, &count, "cpu.period", "cpu.max", "%s %" PRId64, text, period.value);
        else if (quota.present)
                add(controls, &count, "cpu.quota", "cpu.max", "%s", text);
        add_limit(controls, &count, 2, "cpu.burst", "cpu.max.burst", resources->cpu.burst);
        return write_group(directory, controls, count, err);
}

static int apply_cpu(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        bool v1 = directory->version == 1;
        struct control controls[2];
        size_t count = 0;
        add_limit(controls, &count, directory->version, "cpu.idle", "cpu.idle", resources->cpu.idle);
        /* What runs only when nothing else does has no share, and the kernel takes none. */
        if (resources->cpu.shares.present && resources->cpu.idle.value != 1) {
                uint64_t shares = (uint64_t)resources->cpu.shares.value;
                add(controls, &count, "cpu.shares", v1 ? "cpu.shares" : "cpu.weight", "%" PRIu64,
                    v1 ? shares : cpu_weight_of_shares(shares));
        }
        int r = write_group(directory, controls, count, err);
        if (r < 0)
                return r;
        return v1 ? bandwidth_v1(directory, resources, err) : bandwidth_v2(directory, resources, err);
}

static int apply_cpuset(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        int r = 0;
        if (resources->cpu.cpus)
                r = write_one(directory, "cpu.cpus", "cpuset.cpus", resources->cpu.cpus, err);
        if (!r && resources->cpu.mems)
                r = write_one(directory, "cpu.mems", "cpuset.mems", resources->cpu.mems, err);
        return r;
}

/* ---- the small ones ---- */

static int apply_pids(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        struct control control;
        size_t count = 0;
        add_limit(&control, &count, 2, "pids.limit", "pids.max", resources->pids_limit);
        return write_group(directory, &control, count, err);
}

static int apply_hugepages(const struct cgroup_directory *directory, const struct resources *resources,
                           struct error *err)
{
        for (size_t i = 0; i < resources->hugepage_count; i++) {
                const struct hugepage_limit *limit = &resources->hugepages[i];
                const char *ending = directory->version == 1 ? "limit_in_bytes" : "max";
                char reserved[64], plain[64], value[32];
                snprintf(reserved, sizeof(reserved), "hugetlb.%s.rsvd.%s", limit->page_size, ending);
                snprintf(plain, sizeof(plain), "hugetlb.%s.%s", limit->page_size, ending);
                snprintf(value, sizeof(value), "%" PRId64, limit->limit);
                int r = control_write(directory->fd, reserved, value);
                if (r == -ENOENT)
                        r = control_write(directory->fd, plain, value);
                if (r == -ENOENT)
                        return error_set(err, -EOPNOTSUPP,
                                         "linux.resources.hugepageLimits[%zu].pageSize: this host has no pages of "
                                         "%s; see /sys/kernel/mm/hugepages",
                                         i, limit->page_size);
                if (r < 0)
                        return error_code(err, r, "linux.resources.hugepageLimits[%zu]: cannot write \"%s\" to %s/%s",
                                          i, value, directory->path, reserved);
        }
        return 0;
}

static int apply_class(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        struct control control;
        size_t count = 0;
        add_limit(&control, &count, 1, "network.classID", "net_cls.classid", resources->class_id);
        return write_group(directory, &control, count, err);
}

static int apply_priorities(const struct cgroup_directory *directory, const struct resources *resources,
                            struct error *err)
{
        for (size_t i = 0; i < resources->priority_count; i++) {
                _cleanup_free_ char *value =
                        text_format("%s %" PRId64, resources->priorities[i].name, resources->priorities[i].priority);
                int r = value ? control_write(directory->fd, "net_prio.ifpriomap", value) : -ENOMEM;
                if (r < 0)
                        return error_code(err, r,
                                          "linux.resources.network.priorities[%zu]: cannot write \"%s\" to "
                                          "%s/net_prio.ifpriomap",
                                          i, value ? value : "", directory->path);
        }
        return 0;
}

static int apply_rdma(const struct cgroup_directory *directory, const struct resources *resources, struct error *err)
{
        for (size_t i = 0; i < resources->rdma_count; i++) {
                const struct rdma_limit *limit = &resources->rdma[i];
                _cleanup_text_ struct text value = { 0 };
                text_append(&value, limit->device);
                if (limit->handles.present)
                        text_printf(&value, " hca_handle=%" PRId64, limit->handles.value);
                if (limit->objects.present)
                        text_printf(&value, " hca_object=%" PRId64, limit->objects.value);
                int r = text_failed(&value) ? -ENOMEM : control_write(directory->fd, "rdma.max", value.data);
                if (r < 0)
                        return error_code(err, r, "linux.resources.rdma.%s: cannot write it to %s/rdma.max",
                                          limit->device, directory->path);
        }
        return 0;
}

/* ---- all of them ---- */

static const struct {
        enum controller controller;
        const char *field; /* named when the host lacks the controller */
        int (*apply)(const struct cgroup_directory *directory, const struct resources *resources, struct error *err);
} limits[] = {
        { CONTROLLER_CPUSET, "cpu.cpus", apply_cpuset },
        { CONTROLLER_CPU, "cpu", apply_cpu },
        { CONTROLLER_PIDS, "pids.limit", apply_pids },
        { CONTROLLER_BLOCK, "blockIO", apply_block },
        { CONTROLLER_HUGETLB, "hugepageLimits", apply_hugepages },
        { CONTROLLER_NET_CLS, "network.classID", apply_class },
        { CONTROLLER_NET_PRIO, "network.priorities", apply_priorities },
        { CONTROLLER_RDMA, "rdma", apply_rdma },
        /* Last: what is written before may cost the container memory. */
        { CONTROLLER_MEMORY, "memory", apply_memory },
};

static int write_unified(const struct cgroup_directory *directory, const struct unified_value *entry, struct error *err)
{
        /* Files such as io.max take one device at a time. */
        for (const char *line = entry->value; line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
                _cleanup_free_ char *value = strndup(line, strcspn(line, "\n"));
                if (!value)
                        return error_memory(err);
                int r = *value || line == entry->value ? control_write(directory->fd, entry->key, value) : 0;
                if (r == -ENOENT) {
                        _cleanup_free_ char *controller = strndup(entry->key, strcspn(entry->key, "."));
                        if (!controller)
                                return error_memory(err);
                        cgroup_enable_named(directory, controller);
                        r = control_write(directory->fd, entry->key, value);
                }
                if (r == -ENOENT)
                        return error_set(err, -EOPNOTSUPP,
                                         "linux.resources.unified: this host has no control file %s/%s; its "
                                         "controller is missing or cannot be enabled, or the kernel does not know it",
                                         directory->path, entry->key);
                if (r < 0)
                        return error_code(err, r, "linux.resources.unified: cannot write \"%s\" to %s/%s", value,
                                          directory->path, entry->key);
        }
        return 0;
}

static int apply_unified(const struct cgroup *cgroup, const struct resources *resources, struct error *err)
{
        const struct cgroup_directory *directory = cgroup_unified(cgroup);
        if (!directory && resources->unified_count)
                return error_set(err, -EOPNOTSUPP,
                                 "linux.resources.unified[\"%s\"]: cgroup v2 is not mounted on this host",
                                 resources->unified[0].key);
        for (size_t i = 0; i < resources->unified_count; i++) {
                int r = write_unified(directory, &resources->unified[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

int cgroup_apply(struct cgroup *cgroup, const struct resources *resources, struct error *err)
{
        int r = cgroup->created ? 0 : cgroup_enable_needed(cgroup, resources, err);
        if (!r && (cgroup->created || resources->devices_present))
                r = cgroup_apply_devices(cgroup, resources, err);
        uint32_t needed = resources_controllers(resources);
        for (size_t i = 0; !r && i < ARRAY_SIZE(limits); i++) {
                const struct cgroup_directory *directory = cgroup_find(cgroup, limits[i].controller);
                if (directory)
                        r = limits[i].apply(directory, resources, err);
                else if (needed & CONTROLLER_BIT(limits[i].controller))
                        r = no_controller(cgroup, limits[i].controller, limits[i].field, err);
        }
        if (!r)
                r = apply_unified(cgroup, resources, err);
        return !r && cgroup->unit && !cgroup->created ? cgroup_scope_update(cgroup, resources, err) : r;
}

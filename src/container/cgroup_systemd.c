/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Scopes: org.freedesktop.systemd1(5), systemd.scope(5), and systemd's "The New Control Group Interfaces". */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_limits.h"
#include "container/cgroup_tree.h"
#include "container/dbus_call.h"

#define MANAGER(member_name)                                                                                           \
        {                                                                                                              \
                "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",           \
                        member_name                                                                                    \
        }

static const struct dbus_method subscribe = MANAGER("Subscribe");
static const struct dbus_method start_unit = MANAGER("StartTransientUnit");
static const struct dbus_method set_properties = MANAGER("SetUnitProperties");
static const struct dbus_method stop_unit = MANAGER("StopUnit");

/* ---- the manager's socket ---- */

/* Returns 1, or 0 where no systemd answers. */
static int connect_manager(bool rootless, struct dbus **bus)
{
        const char *runtime = getenv("XDG_RUNTIME_DIR");
        if (rootless) {
                _cleanup_free_ char *own = runtime ? text_format("%s/systemd/private", runtime) : NULL;
                return own && !dbus_open(own, false, bus, NULL);
        }
        if (access("/run/systemd/system", F_OK) < 0)
                return 0;
        return !dbus_open("/run/systemd/private", false, bus, NULL) ||
               !dbus_open("/run/dbus/system_bus_socket", true, bus, NULL);
}

/* ---- properties ---- */

static void put_property(struct dbus_arguments *arguments, const char *name, const char *signature)
{
        dbus_put_struct(arguments);
        dbus_put_string(arguments, name);
        dbus_put_signature(arguments, signature);
}

static void put_text(struct dbus_arguments *arguments, const char *name, const char *value)
{
        put_property(arguments, name, "s");
        dbus_put_string(arguments, value);
}

static void put_flag(struct dbus_arguments *arguments, const char *name, bool value)
{
        put_property(arguments, name, "b");
        dbus_put_u32(arguments, value);
}

/* -1, no limit, is UINT64_MAX to systemd as well. */
static void put_limit(struct dbus_arguments *arguments, const char *name, struct number value)
{
        if (!value.present)
                return;
        put_property(arguments, name, "t");
        dbus_put_u64(arguments, (uint64_t)value.value);
}

static void put_limits(struct dbus_arguments *arguments, const struct resources *resources, bool only_v2)
{
        if (!resources)
                return;
        struct number shares = resources->cpu.shares, quota = resources->cpu.quota, period = resources->cpu.period;
        if (only_v2 && shares.present)
                shares.value = (int64_t)cpu_weight_of_shares((uint64_t)shares.value);
        put_limit(arguments, "TasksMax", resources->pids_limit);
        put_limit(arguments, only_v2 ? "MemoryMax" : "MemoryLimit", resources->memory.limit);
        put_limit(arguments, only_v2 ? "CPUWeight" : "CPUShares", shares);
        /* systemd counts the quota for a second; with its own period of 100 ms where none is given. */
        if (quota.present && quota.value > 0 && quota.value < INT64_MAX / 1000000)
                quota.value = quota.value * 1000000 / (period.present ? period.value : 100000);
        put_limit(arguments, "CPUQuotaPerSecUSec", quota);
        put_limit(arguments, "CPUQuotaPeriodUSec", period);
}

static void put_scope(struct dbus_arguments *arguments, const char *unit, const char *slice, pid_t pid, bool only_v2,
                      const struct resources *resources)
{
        dbus_put_string(arguments, unit);
        dbus_put_string(arguments, "fail");
        size_t properties = dbus_begin_array(arguments, 8);
        put_text(arguments, "Description", "onggi container");
        put_text(arguments, "Slice", slice);
        put_text(arguments, "CollectMode", "inactive-or-failed");
        put_flag(arguments, "Delegate", true);
        put_flag(arguments, "DefaultDependencies", false);
        put_property(arguments, "PIDs", "au");
        size_t pids = dbus_begin_array(arguments, 4);
        dbus_put_u32(arguments, (uint32_t)pid);
        dbus_end_array(arguments, pids, 4);
        put_limits(arguments, resources, only_v2);
        dbus_end_array(arguments, properties, 8);
        /* auxiliary units: none */
        size_t units = dbus_begin_array(arguments, 8);
        dbus_end_array(arguments, units, 8);
}

/* ---- the placeholder ---- */

static int start_placeholder(pid_t *placeholder, struct error *err)
{
        pid_t parent = getpid();
        pid_t pid = fork();
        if (pid < 0)
                return error_errno(err, "cannot start a process to hold systemd's scope");
        if (!pid) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                while (getppid() == parent)
                        pause();
                _exit(0);
        }
        *placeholder = pid;
        return 0;
}

void cgroup_placeholder_end(pid_t placeholder)
{
        /* A child that was not waited for keeps its number, so this cannot be another process. */
        if (placeholder <= 0 || waitpid(placeholder, NULL, WNOHANG))
                return;
        kill(placeholder, SIGKILL);
        while (waitpid(placeholder, NULL, 0) < 0 && errno == EINTR)
                ;
}

/* Where systemd put the placeholder: only it knows, a user's systemd puts scopes below its own control group. */
static int find_landing(pid_t pid, const char *unit, char **landed, struct error *err)
{
        char file[32];
        snprintf(file, sizeof(file), "/proc/%d/cgroup", (int)pid);
        _cleanup_free_ char *text = NULL;
        int r = file_read(AT_FDCWD, file, CONTROL_FILE_MAX, &text, NULL, err);
        if (r < 0)
                return r;
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                const char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;
                bool systemds = path && (text_starts(list, "::") || text_starts(list, ":name=systemd:"));
                const char *name = systemds ? strrchr(path, '/') : NULL;
                if (!name || strcmp(name + 1, unit))
                        continue;
                *landed = strdup(path + 1);
                return *landed ? 0 : error_memory(err);
        }
        return error_set(err, -EIO, "systemd started the scope %s, but no control group of that name holds its process",
                         unit);
}

/* ---- scopes ---- */

static int start_scope(struct dbus *bus, const char *unit, const char *slice, pid_t pid, bool only_v2,
                       const struct resources *resources, struct error *err)
{
        struct dbus_arguments arguments = { .signature = "ssa(sv)a(sa(sv))" };
        _cleanup_free_ char *job = NULL, *result = NULL;
        put_scope(&arguments, unit, slice, pid, only_v2, resources);
        int r = dbus_call(bus, &subscribe, NULL, NULL, err);
        if (!r)
                r = dbus_call(bus, &start_unit, &arguments, &job, err);
        if (!r)
                r = dbus_wait_job(bus, job, &result, err);
        text_free(&arguments.bytes);
        if (r < 0)
                return err ? error_prefix(err, "systemd cannot start the scope %s", unit) : r;
        if (strcmp(result, "done"))
                return error_set(err, -EIO,
                                 "systemd could not start the scope %s: its job is %s; see `systemctl status %s`", unit,
                                 result, unit);
        return 0;
}

int cgroup_scope_start(const char *below, bool rootless, bool only_v2, const struct resources *resources, char **unit,
                       pid_t *placeholder, char **landed, struct error *err)
{
        const char *name = strrchr(below, '/') + 1;
        _cleanup_(dbus) struct dbus *bus = NULL;
        /* A slice has no processes, so it needs no one who starts it: systemd finds the folder. */
        if (!text_ends(name, ".scope") || !connect_manager(rootless, &bus))
                return 0;
        _cleanup_free_ char *above = strndup(below, (size_t)(name - 1 - below)), *own = strdup(name);
        if (!above || !own)
                return error_memory(err);
        const char *slice = *above ? strrchr(above, '/') + 1 : "-.slice";

        pid_t holder = 0;
        int r = start_placeholder(&holder, err);
        if (!r)
                r = start_scope(bus, own, slice, holder, only_v2, resources, err);
        if (!r)
                r = find_landing(holder, own, landed, err);
        if (r < 0) {
                cgroup_placeholder_end(holder);
                return r;
        }
        *placeholder = holder;
        *unit = TAKE_PTR(own);
        return 1;
}

int cgroup_scope_update(const struct cgroup *cgroup, const struct resources *resources, struct error *err)
{
        _cleanup_(dbus) struct dbus *bus = NULL;
        if (!connect_manager(cgroup->rootless, &bus))
                return 0;
        struct dbus_arguments arguments = { .signature = "sba(sv)" };
        dbus_put_string(&arguments, cgroup->unit);
        dbus_put_u32(&arguments, true); /* until the reboot only */
        size_t properties = dbus_begin_array(&arguments, 8);
        put_limits(&arguments, resources, cgroup->count == 1 && cgroup->directories[0].version == 2);
        dbus_end_array(&arguments, properties, 8);
        int r = dbus_call(bus, &set_properties, &arguments, NULL, err);
        text_free(&arguments.bytes);
        return r < 0 && err ? error_prefix(err, "systemd cannot change the scope %s", cgroup->unit) : r;
}

void cgroup_scope_stop(const struct cgroup *cgroup)
{
        _cleanup_(dbus) struct dbus *bus = NULL;
        if (!connect_manager(cgroup->rootless, &bus))
                return;
        struct dbus_arguments arguments = { .signature = "ss" };
        dbus_put_string(&arguments, cgroup->unit);
        dbus_put_string(&arguments, "replace");
        dbus_call(bus, &stop_unit, &arguments, NULL, NULL);
        text_free(&arguments.bytes);
}

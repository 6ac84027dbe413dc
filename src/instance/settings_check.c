/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/process.h"
#include "base/text.h"
#include "instance/instance.h"
#include "instance/mount_setting.h"
#include "instance/name.h"
#include "instance/network_setting.h"
#include "instance/setting_text.h"
#include "instance/settings.h"
#include "instance/vessel.h"

static int check_range(const char *option, int64_t value, int64_t min, int64_t max, struct error *err)
{
        if (value >= min && value <= max)
                return 0;
        return error_set(err, -EINVAL, "%s %lld: must be between %lld and %lld", option, (long long)value,
                         (long long)min, (long long)max);
}

static int check_program(const struct instance_settings *s, struct error *err)
{
        const struct vessel *vessel = vessel_find(s->isolation);
        if (!vessel)
                return error_set(err, -EINVAL, "--isolation \"%s\" is neither container nor vm", s->isolation);
        if (vessel->check(s, err) < 0)
                return -EINVAL;
        if (s->workdir && s->workdir[0] != '/')
                return error_set(err, -EINVAL, "--workdir \"%s\" must be an absolute path", s->workdir);
        if (s->stop_signal && signal_from_name(s->stop_signal) < 0)
                return error_set(err, -EINVAL, "--stop-signal \"%s\" is not a signal", s->stop_signal);
        for (char *const *entry = s->environment; entry && *entry; entry++)
                if ((*entry)[0] == '=' || !(*entry)[0])
                        return error_set(err, -EINVAL, "--env \"%s\": write NAME=value", *entry);
        for (char *const *label = s->labels; label && *label; label++)
                if ((*label)[0] == '=' || !(*label)[0])
                        return error_set(err, -EINVAL, "--label \"%s\": write key=value", *label);
        int r = check_range("--stop-timeout", s->stop_timeout, -1, INT32_MAX / 1000, err);
        if (!r && s->name && !instance_name_valid(s->name))
                r = error_set(err, -EINVAL,
                              "--name \"%s\": letters, digits and \"_.-\", two at least, the first a letter or "
                              "digit",
                              s->name);
        if (!r && s->hostname && (strlen(s->hostname) > 64 || !*s->hostname || strpbrk(s->hostname, "/ \t\n")))
                r = error_set(err, -EINVAL, "--hostname \"%s\": at most 64 letters without spaces", s->hostname);
        struct restart_policy policy;
        if (!r)
                r = restart_policy_parse(s->restart, &policy, err);
        if (!r && s->remove && policy.kind != RESTART_NO)
                r = error_set(err, -EINVAL, "--rm and --restart exclude each other");
        return r;
}

static int check_memory(const struct instance_settings *s, struct error *err)
{
        const uint64_t least = 64 * 1024;
        if (s->memory && s->memory < least)
                return error_set(err, -EINVAL, "--memory %llu: at least 64k", (unsigned long long)s->memory);
        if (s->memory_swap && s->memory_swap != UINT64_MAX && (!s->memory || s->memory_swap < s->memory))
                return error_set(err, -EINVAL,
                                 "--memory-swap is memory and swap together: it needs --memory and must not be less");
        if (s->memory_reservation && s->memory && s->memory_reservation > s->memory)
                return error_set(err, -EINVAL, "--memory-reservation must not be above --memory");
        int r = check_range("--memory-swappiness", s->memory_swappiness, -1, 100, err);
        if (!r)
                r = check_range("--oom-score-adj", s->oom_score_adj, -1000, 1000, err);
        return r;
}

static bool cpuset_valid(const char *text)
{
        return !text || (*text && text[strspn(text, "0123456789,-")] == 0);
}

static int check_processors(const struct instance_settings *s, struct error *err)
{
        uint64_t billionths;
        if (s->cpus && cpus_parse(s->cpus, &billionths, err) < 0)
                return -EINVAL;
        if (s->cpus && (s->cpu_quota || s->cpu_period))
                return error_set(err, -EINVAL, "--cpus and --cpu-quota or --cpu-period exclude each other");
        if (s->cpu_period && check_range("--cpu-period", (int64_t)s->cpu_period, 1000, 1000000, err) < 0)
                return -EINVAL;
        if (s->cpu_quota && s->cpu_quota != UINT64_MAX && s->cpu_quota < 1000)
                return error_set(err, -EINVAL, "--cpu-quota %llu: at least 1000 microseconds",
                                 (unsigned long long)s->cpu_quota);
        if (s->cpu_shares && check_range("--cpu-shares", (int64_t)s->cpu_shares, 2, 262144, err) < 0)
                return -EINVAL;
        if (!cpuset_valid(s->cpuset_cpus) || !cpuset_valid(s->cpuset_mems))
                return error_set(err, -EINVAL, "--cpuset-cpus and --cpuset-mems are lists as 0-2,4");
        return check_range("--pids-limit", s->pids_limit, -1, INT32_MAX, err);
}

static int check_rates(const char *option, char *const *texts, bool is_size, struct error *err)
{
        struct device_rate rate;
        for (; texts && *texts; texts++)
                if (device_rate_parse(option, *texts, is_size, &rate, err) < 0)
                        return -EINVAL;
        return 0;
}

static int check_devices(const struct instance_settings *s, struct error *err)
{
        struct device_setting device;
        struct device_rule rule;
        struct ulimit limit;
        for (char *const *text = s->devices; text && *text; text++)
                if (device_setting_parse(*text, &device, err) < 0)
                        return -EINVAL;
        for (char *const *text = s->device_rules; text && *text; text++)
                if (device_rule_parse(*text, &rule, err) < 0)
                        return -EINVAL;
        for (char *const *text = s->ulimits; text && *text; text++)
                if (ulimit_parse(*text, &limit, err) < 0)
                        return -EINVAL;
        if (s->blkio_weight && check_range("--blkio-weight", s->blkio_weight, 10, 1000, err) < 0)
                return -EINVAL;
        int r = check_rates("--blkio-weight-device", s->blkio_weight_device, false, err);
        if (!r)
                r = check_rates("--device-read-bps", s->device_read_bps, true, err);
        if (!r)
                r = check_rates("--device-write-bps", s->device_write_bps, true, err);
        if (!r)
                r = check_rates("--device-read-iops", s->device_read_iops, false, err);
        if (!r)
                r = check_rates("--device-write-iops", s->device_write_iops, false, err);
        return r;
}

static int check_rights(const struct instance_settings *s, struct error *err)
{
        static const char *const private_or_host[] = { "host", "private", "", NULL };
        static const char *const ipc[] = { "host", "private", "shareable", "none", "", NULL };
        struct security_settings security;
        int r = security_settings_parse(s->security_options, &security, err);
        if (!r)
                r = mode_check("--pid", s->pid_mode, true, private_or_host, err);
        if (!r)
                r = mode_check("--ipc", s->ipc_mode, true, ipc, err);
        if (!r)
                r = mode_check("--uts", s->uts_mode, false, private_or_host, err);
        if (!r)
                r = mode_check("--cgroupns", s->cgroupns, false, private_or_host, err);
        for (char *const *sysctl = s->sysctls; !r && sysctl && *sysctl; sysctl++)
                if (!strchr(*sysctl, '=') || (*sysctl)[0] == '=')
                        r = error_set(err, -EINVAL, "--sysctl \"%s\": write name=value", *sysctl);
        struct id_range ranges[ID_RANGES_MAX];
        size_t count;
        if (!r && s->userns && !text_equal(s->userns, "auto") && !text_equal(s->userns, "host"))
                r = id_ranges_parse(s->userns, ranges, &count, err);
        return r;
}

static int check_health(const struct instance_settings *s, struct error *err)
{
        if (s->no_healthcheck && s->health_command)
                return error_set(err, -EINVAL, "--no-healthcheck and --health-cmd exclude each other");
        if (s->health_interval && s->health_interval < 1000000)
                return error_set(err, -EINVAL, "--health-interval: at least 1ms");
        if (s->health_timeout && s->health_timeout < 1000000)
                return error_set(err, -EINVAL, "--health-timeout: at least 1ms");
        return check_range("--health-retries", s->health_retries, 0, INT32_MAX, err);
}

int instance_settings_check(const struct instance_settings *settings, struct error *err)
{
        int r = check_program(settings, err);
        if (!r)
                r = check_memory(settings, err);
        if (!r)
                r = check_processors(settings, err);
        if (!r)
                r = check_devices(settings, err);
        if (!r)
                r = check_rights(settings, err);
        if (!r)
                r = check_health(settings, err);
        if (!r)
                r = network_settings_check(settings, err);
        if (r < 0)
                return r;

        uint64_t size;
        unsigned files;
        r = log_options_parse(settings->log_options, &size, &files, err);
        static const char *const drivers[] = { "file", "json-file", "local", "none", NULL };
        if (!r)
                r = mode_check("--log-driver", settings->log_driver, false, drivers, err);
        struct mount_setting *mounts;
        size_t count;
        if (!r)
                r = mount_settings_collect(settings, &mounts, &count, err);
        if (!r)
                mount_settings_free(mounts, count);
        return r;
}

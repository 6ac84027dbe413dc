/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/command.h"
#include "container/container.h"
#include "container/runtime.h"

struct options {
        const char *resources, *cpuset_cpus, *cpuset_mems, *l3_cache, *memory_bandwidth;
        const char *blkio_weight, *cpu_period, *cpu_quota, *cpu_burst, *cpu_share, *cpu_idle, *cpu_rt_period,
                *cpu_rt_runtime, *kernel_memory, *kernel_memory_tcp, *memory, *memory_reservation, *memory_swap,
                *pids_limit;
};

#define OPTION(name_, letter_, field, argument_, help_)                                                                \
        {                                                                                                              \
                name_, letter_, OPTION_STRING, offsetof(struct options, field), argument_, help_                       \
        }

static const struct option_spec table[] = {
        OPTION("resources", 'r', resources, "FILE", "a file with a resources object, - for standard input"),
        OPTION("blkio-weight", 0, blkio_weight, "10..1000", "share of block I/O"),
        OPTION("cpu-period", 0, cpu_period, "MICROSECONDS", "period of the CPU quota"),
        OPTION("cpu-quota", 0, cpu_quota, "MICROSECONDS", "CPU time in each period"),
        OPTION("cpu-burst", 0, cpu_burst, "MICROSECONDS", "unused quota that may be used later"),
        OPTION("cpu-share", 0, cpu_share, "WEIGHT", "share of CPU time"),
        OPTION("cpu-idle", 0, cpu_idle, "0|1", "run only when nothing else does"),
        OPTION("cpu-rt-period", 0, cpu_rt_period, "MICROSECONDS", "period of the real-time CPU quota"),
        OPTION("cpu-rt-runtime", 0, cpu_rt_runtime, "MICROSECONDS", "real-time CPU time in each period"),
        OPTION("cpuset-cpus", 0, cpuset_cpus, "LIST", "processors that may be used"),
        OPTION("cpuset-mems", 0, cpuset_mems, "LIST", "memory nodes that may be used"),
        OPTION("kernel-memory", 0, kernel_memory, "BYTES", "limit of kernel memory (old kernels)"),
        OPTION("kernel-memory-tcp", 0, kernel_memory_tcp, "BYTES", "limit of TCP buffers"),
        OPTION("memory", 0, memory, "BYTES", "limit of memory"),
        OPTION("memory-reservation", 0, memory_reservation, "BYTES", "soft limit of memory"),
        OPTION("memory-swap", 0, memory_swap, "BYTES", "limit of memory and swap, -1 for none"),
        OPTION("pids-limit", 0, pids_limit, "NUMBER", "limit of processes"),
        OPTION("l3-cache-schema", 0, l3_cache, "SCHEMA", "share of the processor's cache"),
        OPTION("mem-bw-schema", 0, memory_bandwidth, "SCHEMA", "share of the memory's bandwidth"),
        { NULL },
};

/* Where each flag stands in linux.resources. */
static const struct {
        size_t offset;
        const char *option, *object, *member;
        bool size; /* takes units as 512m */
        bool text;
} members[] = {
        { offsetof(struct options, blkio_weight), "blkio-weight", "blockIO", "weight", false, false },
        { offsetof(struct options, cpu_period), "cpu-period", "cpu", "period", false, false },
        { offsetof(struct options, cpu_quota), "cpu-quota", "cpu", "quota", false, false },
        { offsetof(struct options, cpu_burst), "cpu-burst", "cpu", "burst", false, false },
        { offsetof(struct options, cpu_share), "cpu-share", "cpu", "shares", false, false },
        { offsetof(struct options, cpu_idle), "cpu-idle", "cpu", "idle", false, false },
        { offsetof(struct options, cpu_rt_period), "cpu-rt-period", "cpu", "realtimePeriod", false, false },
        { offsetof(struct options, cpu_rt_runtime), "cpu-rt-runtime", "cpu", "realtimeRuntime", false, false },
        { offsetof(struct options, cpuset_cpus), "cpuset-cpus", "cpu", "cpus", false, true },
        { offsetof(struct options, cpuset_mems), "cpuset-mems", "cpu", "mems", false, true },
        { offsetof(struct options, kernel_memory), "kernel-memory", "memory", "kernel", true, false },
        { offsetof(struct options, kernel_memory_tcp), "kernel-memory-tcp", "memory", "kernelTCP", true, false },
        { offsetof(struct options, memory), "memory", "memory", "limit", true, false },
        { offsetof(struct options, memory_reservation), "memory-reservation", "memory", "reservation", true, false },
        { offsetof(struct options, memory_swap), "memory-swap", "memory", "swap", true, false },
        { offsetof(struct options, pids_limit), "pids-limit", "pids", "limit", false, false },
};

static int number_of(const char *option, const char *text, bool size, int64_t *number, struct error *err)
{
        uint64_t bytes;
        if (!parse_i64(text, number))
                return 0;
        if (size && !parse_size(text, &bytes) && bytes <= INT64_MAX) {
                *number = (int64_t)bytes;
                return 0;
        }
        return error_set(err, -EINVAL, "option --%s takes %s, not \"%s\"", option,
                         size ? "a size such as 512m" : "a number", text);
}

static json_t *from_flags(const struct options *options, struct error *err)
{
        _cleanup_json_ json_t *resources = json_object();
        for (size_t i = 0; i < ARRAY_SIZE(members); i++) {
                const char *text = *(const char *const *)((const char *)options + members[i].offset);
                if (!text)
                        continue;
                int64_t number = 0;
                if (!members[i].text && number_of(members[i].option, text, members[i].size, &number, err) < 0)
                        return NULL;
                json_t *object = json_object_get(resources, members[i].object);
                if (!object) {
                        object = json_object();
                        json_object_set_new(resources, members[i].object, object);
                }
                json_object_set_new(object, members[i].member,
                                    members[i].text ? json_string(text) : json_integer(number));
        }
        return TAKE_PTR(resources);
}

static json_t *from_file(const char *name, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        size_t length;
        json_t *document = NULL;
        bool standard = !strcmp(name, "-");
        int r = standard ? file_read_fd(STDIN_FILENO, "standard input", JSON_BYTES_MAX, &text, &length, err)
                         : file_read(AT_FDCWD, name, JSON_BYTES_MAX, &text, &length, err);
        if (!r)
                json_parse(text, length, standard ? "standard input" : name, &document, err);
        return document;
}

static int apply(const struct state *state, const json_t *document, struct error *err)
{
        struct json_reader reader = { .document = "resources", .err = err };
        struct json_at root = json_root(&reader, document);
        if (json_failed(&root))
                return json_failed(&root);
        struct resources *resources = NULL;
        int r = resources_parse(&root, &resources, err);
        if (r < 0)
                return r;
        struct cgroup *cgroup = NULL;
        r = runtime.fit ? runtime.fit(state, resources, err) : 0;
        if (!r)
                r = container_cgroup(state, &cgroup, err);
        if (!r) {
                r = cgroup_apply(cgroup, resources, err);
                cgroup_free(cgroup);
        }
        resources_free(resources);
        return r;
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        struct options options = { 0 };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        _cleanup_(state) struct state *state = NULL;
        r = state_open(global->root, operands[0], true, &state, err);
        if (r < 0)
                return r;
        if (state_status(state) == CONTAINER_STOPPED)
                return error_set(err, -ESRCH, "cannot update the container %s: it is stopped", operands[0]);
        _cleanup_json_ json_t *document =
                options.resources ? from_file(options.resources, err) : from_flags(&options, err);
        if (!document)
                return err->code;
        r = apply(state, document, err);
        if (r < 0 || (!options.l3_cache && !options.memory_bandwidth))
                return r;
        const struct intel_rdt rdt = { .present = true,
                                       .cache = options.l3_cache,
                                       .bandwidth = options.memory_bandwidth };
        return intel_rdt_apply(&rdt, state->id, state->pid, err);
}

const struct command command_update = {
        .name = "update",
        .operands = "ID",
        .help = "change the limits of a container",
        .options = table,
        .fewest = 1,
        .most = 1,
        .run = run,
};

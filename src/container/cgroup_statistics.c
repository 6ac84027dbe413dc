/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_tree.h"

/* What v1 says where memory has no limit (PAGE_COUNTER_MAX); readers of `events` know it, and JSON numbers hold it. */
#define NO_LIMIT    INT64_C(9223372036854771712)
#define NANOSECONDS INT64_C(1000000000)

static int64_t read_number(int directory, const char *file)
{
        char text[64];
        if (control_read(directory, file, text, sizeof(text)) <= 0)
                return 0;
        if (!strcmp(text, "max"))
                return NO_LIMIT;
        uint64_t value = strtoull(text, NULL, 10);
        return value > (uint64_t)NO_LIMIT ? NO_LIMIT : (int64_t)value;
}

static void set_number(json_t *object, const char *key, int64_t value)
{
        json_object_set_new(object, key, json_integer(value));
}

/* A file of lines "key value". NULL where there is none. */
static json_t *read_pairs(int directory, const char *file)
{
        _cleanup_free_ char *text = NULL;
        if (file_read(directory, file, CONTROL_FILE_MAX, &text, NULL, NULL) < 0)
                return NULL;
        json_t *pairs = json_object();
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                char *value = strchr(line, ' ');
                if (!value)
                        continue;
                *value++ = 0;
                set_number(pairs, line, (int64_t)strtoull(value, NULL, 10));
        }
        return pairs;
}

static int64_t pair(const json_t *pairs, const char *key)
{
        return json_integer_value(json_object_get(pairs, key));
}

static json_t *memory_entry(int64_t limit, int64_t usage, int64_t max, int64_t failures)
{
        return json_pack("{s:I, s:I, s:I, s:I}", "limit", (json_int_t)limit, "usage", (json_int_t)usage, "max",
                         (json_int_t)max, "failcnt", (json_int_t)failures);
}

/* ---- cpu ---- */

static json_t *read_list(int directory, const char *file)
{
        _cleanup_free_ char *text = NULL;
        json_t *list = json_array();
        if (file_read(directory, file, CONTROL_FILE_MAX, &text, NULL, NULL) < 0)
                return list;
        for (char *at = text, *end;; at = end) {
                uint64_t value = strtoull(at, &end, 10);
                if (end == at)
                        return list;
                json_array_append_new(list, json_integer((json_int_t)value));
        }
}

static void cpu_usage(const struct cgroup *cgroup, json_t *usage)
{
        const struct cgroup_directory *v1 = cgroup_find(cgroup, CONTROLLER_CPUACCT), *v2 = cgroup_unified(cgroup);
        if (v1) {
                _cleanup_json_ json_t *stat = read_pairs(v1->fd, "cpuacct.stat");
                int64_t tick = NANOSECONDS / sysconf(_SC_CLK_TCK);
                set_number(usage, "total", read_number(v1->fd, "cpuacct.usage"));
                set_number(usage, "kernel", pair(stat, "system") * tick);
                set_number(usage, "user", pair(stat, "user") * tick);
                json_object_set_new(usage, "percpu", read_list(v1->fd, "cpuacct.usage_percpu"));
                json_object_set_new(usage, "percpu_kernel", read_list(v1->fd, "cpuacct.usage_percpu_sys"));
                json_object_set_new(usage, "percpu_user", read_list(v1->fd, "cpuacct.usage_percpu_user"));
        } else if (v2) {
                _cleanup_json_ json_t *stat = read_pairs(v2->fd, "cpu.stat");
                set_number(usage, "total", pair(stat, "usage_usec") * 1000);
                set_number(usage, "kernel", pair(stat, "system_usec") * 1000);
                set_number(usage, "user", pair(stat, "user_usec") * 1000);
        } else {
                set_number(usage, "total", 0);
        }
}

static json_t *cpu_statistics(const struct cgroup *cgroup)
{
        json_t *usage = json_object(), *throttling = json_object();
        cpu_usage(cgroup, usage);
        const struct cgroup_directory *cpu = cgroup_find(cgroup, CONTROLLER_CPU);
        _cleanup_json_ json_t *stat = cpu ? read_pairs(cpu->fd, "cpu.stat") : NULL;
        set_number(throttling, "periods", pair(stat, "nr_periods"));
        set_number(throttling, "throttledPeriods", pair(stat, "nr_throttled"));
        set_number(throttling, "throttledTime",
                   cpu && cpu->version == 2 ? pair(stat, "throttled_usec") * 1000 : pair(stat, "throttled_time"));
        return json_pack("{s:o, s:o}", "usage", usage, "throttling", throttling);
}

/* ---- memory ---- */

static json_t *entry_v1(int directory, const char *prefix)
{
        static const char *const parts[] = { "limit_in_bytes", "usage_in_bytes", "max_usage_in_bytes", "failcnt" };
        int64_t values[ARRAY_SIZE(parts)];
        for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
                char file[64];
                snprintf(file, sizeof(file), "memory.%s%s", prefix, parts[i]);
                values[i] = read_number(directory, file);
        }
        return memory_entry(values[0], values[1], values[2], values[3]);
}

static void memory_v1(int directory, json_t *memory)
{
        static const struct {
                const char *key, *prefix;
        } entries[] = { { "usage", "" }, { "swap", "memsw." }, { "kernel", "kmem." }, { "kernelTCP", "kmem.tcp." } };
        for (size_t i = 0; i < ARRAY_SIZE(entries); i++)
                json_object_set_new(memory, entries[i].key, entry_v1(directory, entries[i].prefix));
        json_t *raw = read_pairs(directory, "memory.stat");
        const char *cache = json_object_get(raw, "total_cache") ? "total_cache" : "cache";
        set_number(memory, "cache", pair(raw, cache));
        json_object_set_new(memory, "raw", raw ? raw : json_object());
}

/* As v1 counts it, swap is memory and swap together. */
static void memory_v2(int directory, json_t *memory)
{
        _cleanup_json_ json_t *events = read_pairs(directory, "memory.events");
        json_t *raw = read_pairs(directory, "memory.stat");
        int64_t limit = read_number(directory, "memory.max"), usage = read_number(directory, "memory.current");
        int64_t swap_limit = read_number(directory, "memory.swap.max"),
                swap = read_number(directory, "memory.swap.current");
        int64_t both = limit == NO_LIMIT || swap_limit > NO_LIMIT - limit ? NO_LIMIT : limit + swap_limit;
        json_object_set_new(memory, "usage",
                            memory_entry(limit, usage, read_number(directory, "memory.peak"), pair(events, "max")));
        json_object_set_new(memory, "swap", memory_entry(both, usage + swap, 0, 0));
        json_object_set_new(memory, "kernel", memory_entry(NO_LIMIT, pair(raw, "kernel"), 0, 0));
        json_object_set_new(memory, "kernelTCP", memory_entry(NO_LIMIT, pair(raw, "sock"), 0, 0));
        set_number(memory, "cache", pair(raw, "file"));
        json_object_set_new(memory, "raw", raw ? raw : json_object());
}

static json_t *memory_statistics(const struct cgroup *cgroup)
{
        json_t *memory = json_object();
        const struct cgroup_directory *directory = cgroup_find(cgroup, CONTROLLER_MEMORY);
        if (directory && directory->version == 1)
                memory_v1(directory->fd, memory);
        else if (directory)
                memory_v2(directory->fd, memory);
        return memory;
}

/* ---- block devices ---- */

static void append_operation(json_t *list, unsigned major, unsigned minor, const char *operation, uint64_t value)
{
        json_array_append_new(list, json_pack("{s:i, s:i, s:s, s:I}", "major", (int)major, "minor", (int)minor, "op",
                                              operation, "value", (json_int_t)value));
}

/* Lines "8:0 Read 4096". */
static json_t *block_list_v1(int directory, const char *const *files, size_t count)
{
        json_t *list = json_array();
        for (size_t i = 0; i < count && !json_array_size(list); i++) {
                _cleanup_free_ char *text = NULL;
                if (file_read(directory, files[i], CONTROL_FILE_MAX, &text, NULL, NULL) < 0)
                        continue;
                char *rest = NULL;
                for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                        unsigned major, minor;
                        char operation[16];
                        uint64_t value;
                        if (sscanf(line, "%u:%u %15s %" SCNu64, &major, &minor, operation, &value) == 4)
                                append_operation(list, major, minor, operation, value);
                }
        }
        return list;
}

/* Lines "8:0 rbytes=4096 wbytes=0 rios=1 …". */
static void block_lists_v2(int directory, json_t *bytes, json_t *operations)
{
        static const struct {
                const char *key, *name;
                bool bytes;
        } fields[] = {
                { "rbytes", "Read", true }, { "wbytes", "Write", true }, { "dbytes", "Discard", true },
                { "rios", "Read", false },  { "wios", "Write", false },  { "dios", "Discard", false },
        };
        _cleanup_free_ char *text = NULL;
        if (file_read(directory, "io.stat", CONTROL_FILE_MAX, &text, NULL, NULL) < 0)
                return;
        char *rest = NULL;
        for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                unsigned major, minor;
                if (sscanf(line, "%u:%u", &major, &minor) != 2)
                        continue;
                char *more = NULL;
                strtok_r(line, " ", &more);
                for (char *item = strtok_r(NULL, " ", &more); item; item = strtok_r(NULL, " ", &more)) {
                        char *value = strchr(item, '=');
                        if (!value)
                                continue;
                        *value++ = 0;
                        for (size_t i = 0; i < ARRAY_SIZE(fields); i++)
                                if (!strcmp(item, fields[i].key))
                                        append_operation(fields[i].bytes ? bytes : operations, major, minor,
                                                         fields[i].name, strtoull(value, NULL, 10));
                }
        }
}

static json_t *block_statistics(const struct cgroup *cgroup)
{
        static const char *const bytes_v1[] = { "blkio.bfq.io_service_bytes_recursive",
                                                "blkio.throttle.io_service_bytes_recursive",
                                                "blkio.throttle.io_service_bytes" };
        static const char *const operations_v1[] = { "blkio.bfq.io_serviced_recursive",
                                                     "blkio.throttle.io_serviced_recursive",
                                                     "blkio.throttle.io_serviced" };
        json_t *block = json_object(), *bytes = NULL, *operations = NULL;
        const struct cgroup_directory *directory = cgroup_find(cgroup, CONTROLLER_BLOCK);
        if (directory && directory->version == 1) {
                bytes = block_list_v1(directory->fd, bytes_v1, ARRAY_SIZE(bytes_v1));
                operations = block_list_v1(directory->fd, operations_v1, ARRAY_SIZE(operations_v1));
        } else {
                bytes = json_array();
                operations = json_array();
                if (directory)
                        block_lists_v2(directory->fd, bytes, operations);
        }
        json_object_set_new(block, "ioServiceBytesRecursive", bytes);
        json_object_set_new(block, "ioServicedRecursive", operations);
        return block;
}

/* ---- the others ---- */

static json_t *pids_statistics(const struct cgroup *cgroup)
{
        const struct cgroup_directory *directory = cgroup_find(cgroup, CONTROLLER_PIDS);
        if (!directory)
                return json_object();
        int64_t limit = read_number(directory->fd, "pids.max");
        return json_pack("{s:I, s:I}", "current", (json_int_t)read_number(directory->fd, "pids.current"), "limit",
                         (json_int_t)(limit == NO_LIMIT ? 0 : limit));
}

/* "hugepages-2048kB" as the controller writes it: "2MB". */
static bool page_size_name(const char *folder, char name[24])
{
        uint64_t kib;
        if (sscanf(folder, "hugepages-%" SCNu64 "kB", &kib) != 1 || !kib)
                return false;
        static const char units[] = "KMG";
        size_t unit = 0;
        for (; kib % 1024 == 0 && unit + 2 < sizeof(units); unit++)
                kib /= 1024;
        snprintf(name, 24, "%" PRIu64 "%cB", kib, units[unit]);
        return true;
}

static int64_t hugepage_number(const struct cgroup_directory *directory, const char *size, const char *v1,
                               const char *v2)
{
        char file[64];
        snprintf(file, sizeof(file), "hugetlb.%s.%s", size, directory->version == 1 ? v1 : v2);
        return read_number(directory->fd, file);
}

static json_t *hugepage_statistics(const struct cgroup *cgroup)
{
        json_t *sizes = json_object();
        const struct cgroup_directory *directory = cgroup_find(cgroup, CONTROLLER_HUGETLB);
        _cleanup_closedir_ DIR *folder = directory ? opendir("/sys/kernel/mm/hugepages") : NULL;
        struct dirent *entry;
        while (folder && (entry = readdir(folder))) {
                char size[24], events[64];
                if (!page_size_name(entry->d_name, size))
                        continue;
                snprintf(events, sizeof(events), "hugetlb.%s.events", size);
                _cleanup_json_ json_t *counts = directory->version == 2 ? read_pairs(directory->fd, events) : NULL;
                int64_t failures = counts ? pair(counts, "max") : hugepage_number(directory, size, "failcnt", "events");
                json_t *page = json_pack("{s:I, s:I}", "usage",
                                         (json_int_t)hugepage_number(directory, size, "usage_in_bytes", "current"),
                                         "failcnt", (json_int_t)failures);
                if (directory->version == 1)
                        set_number(page, "max", hugepage_number(directory, size, "max_usage_in_bytes", ""));
                json_object_set_new(sizes, size, page);
        }
        return sizes;
}

int cgroup_statistics(const struct cgroup *cgroup, json_t **statistics, struct error *err)
{
        json_t *all = json_pack("{s:o, s:o, s:o, s:o, s:o, s:{}}", "cpu", cpu_statistics(cgroup), "memory",
                                memory_statistics(cgroup), "pids", pids_statistics(cgroup), "blkio",
                                block_statistics(cgroup), "hugetlb", hugepage_statistics(cgroup), "intel_rdt");
        if (!all)
                return error_memory(err);
        *statistics = all;
        return 0;
}

uint64_t cgroup_oom_kills(const struct cgroup *cgroup)
{
        const struct cgroup_directory *directory = cgroup_find(cgroup, CONTROLLER_MEMORY);
        if (!directory)
                return 0;
        _cleanup_json_ json_t *events =
                read_pairs(directory->fd, directory->version == 1 ? "memory.oom_control" : "memory.events");
        return (uint64_t)pair(events, "oom_kill");
}

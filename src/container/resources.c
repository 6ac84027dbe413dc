/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/resources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/text.h"
#include "container/cgroup.h"
#include "container/cgroup_layout.h"

/* More entries in one list are no configuration but an attack on our memory. */
#define LIST_MAX 4096

/* A member of an object that is a number (or, for `boolean`, true or false kept as 1 or 0). */
struct field {
        const char *key;
        size_t offset; /* of its struct number in struct resources */
        int64_t min, max;
        bool zero_is_unset;
        bool boolean;
};

#define FIELD(name, member, ...)                                                                                       \
        {                                                                                                              \
                .key = name, .offset = offsetof(struct resources, member), __VA_ARGS__                                 \
        }
#define RANGE(low, high) .min = low, .max = high

static const struct field memory_fields[] = {
        FIELD("limit", memory.limit, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("reservation", memory.reservation, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("swap", memory.swap, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("kernel", memory.kernel, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("kernelTCP", memory.kernel_tcp, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("swappiness", memory.swappiness, RANGE(0, 100)),
        FIELD("disableOOMKiller", memory.disable_oom_killer, .boolean = true),
        FIELD("useHierarchy", memory.use_hierarchy, .boolean = true),
        FIELD("checkBeforeUpdate", memory.check_before_update, .boolean = true),
        { 0 },
};

static const struct field cpu_fields[] = {
        FIELD("shares", cpu.shares, RANGE(0, INT64_MAX), .zero_is_unset = true),
        FIELD("quota", cpu.quota, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("burst", cpu.burst, RANGE(0, INT64_MAX)),
        FIELD("period", cpu.period, RANGE(0, INT64_MAX), .zero_is_unset = true),
        FIELD("realtimeRuntime", cpu.realtime_runtime, RANGE(-1, INT64_MAX), .zero_is_unset = true),
        FIELD("realtimePeriod", cpu.realtime_period, RANGE(0, INT64_MAX), .zero_is_unset = true),
        FIELD("idle", cpu.idle, RANGE(0, 1)),
        { 0 },
};

static const struct field block_fields[] = {
        FIELD("weight", block.weight, RANGE(0, 1000), .zero_is_unset = true),
        FIELD("leafWeight", block.leaf_weight, RANGE(0, 1000), .zero_is_unset = true),
        { 0 },
};

static const struct field pids_fields[] = { FIELD("limit", pids_limit, RANGE(-1, INT64_MAX)), { 0 } };
static const struct field network_fields[] = { FIELD("classID", class_id, RANGE(0, UINT32_MAX)), { 0 } };

static const char *const throttle_fields[THROTTLE_COUNT] = {
        [THROTTLE_READ_BPS] = "throttleReadBpsDevice",
        [THROTTLE_WRITE_BPS] = "throttleWriteBpsDevice",
        [THROTTLE_READ_IOPS] = "throttleReadIOPSDevice",
        [THROTTLE_WRITE_IOPS] = "throttleWriteIOPSDevice",
};

const char *throttle_field(enum throttle throttle)
{
        return throttle_fields[throttle];
}

static bool get_number(const struct json_at *object, const char *key, int64_t min, int64_t max, struct number *number)
{
        number->present = json_get_i64(object, key, min, max, &number->value);
        return number->present;
}

static void need_number(const struct json_at *object, const char *key, int64_t min, int64_t max, int64_t *value)
{
        struct json_at at = json_get(object, key);
        if (!at.value && !json_failed(object))
                json_misfit(&at, "is required");
        json_get_i64(object, key, min, max, value);
}

static void parse_fields(const struct json_at *object, const struct field *fields, struct resources *resources)
{
        for (const struct field *field = fields; field->key; field++) {
                struct number *number = (struct number *)((char *)resources + field->offset);
                bool flag;
                if (!field->boolean) {
                        get_number(object, field->key, field->min, field->max, number);
                        if (field->zero_is_unset && !number->value)
                                number->present = false;
                } else if (json_get_bool(object, field->key, &flag)) {
                        *number = (struct number){ .present = true, .value = flag };
                }
        }
}

/*
 * Room for `count` zeroed entries at *items; false (and the reader failed) if there is none or too many are asked for.
 */
static bool make_room(const struct json_at *at, size_t count, size_t size, void *items)
{
        if (json_failed(at) || !count)
                return false;
        if (count > LIST_MAX) {
                json_misfit(at, "has %zu entries; at most %d are accepted", count, LIST_MAX);
                return false;
        }
        void *room = calloc(count, size);
        if (!room) {
                at->reader->code = error_memory(at->reader->err);
                return false;
        }
        *(void **)items = room;
        return true;
}

static char *copy(const struct json_at *at, const char *text)
{
        char *own = strdup(text);
        if (!own && !json_failed(at))
                at->reader->code = error_memory(at->reader->err);
        return own;
}

static void parse_device(const struct json_at *at, struct device_rule *rule)
{
        struct json_at allow = json_get(at, "allow"), type_at = json_get(at, "type"),
                       access_at = json_get(at, "access");
        if (!json_is_object(at->value)) {
                json_misfit(at, "must be an object");
                return;
        }
        if (!allow.value)
                json_misfit(&allow, "is required");
        json_get_bool(at, "allow", &rule->allow);

        const char *type = "a", *access = "rwm";
        json_get_string(at, "type", &type);
        json_get_string(at, "access", &access);
        if (strlen(type) != 1 || !strchr("abc", *type))
                json_misfit(&type_at, "is \"%s\"; it must be a (all), b (block) or c (character)", type);
        rule->type = *type;
        if (!*access || strspn(access, "rwm") != strlen(access))
                json_misfit(&access_at, "is \"%s\"; it must be made of r, w and m", access);
        rule->access = (strchr(access, 'r') ? DEVICE_READ : 0u) | (strchr(access, 'w') ? DEVICE_WRITE : 0u) |
                       (strchr(access, 'm') ? DEVICE_MKNOD : 0u);

        int64_t major = DEVICE_ANY, minor = DEVICE_ANY;
        json_get_i64(at, "major", DEVICE_ANY, INT32_MAX, &major);
        json_get_i64(at, "minor", DEVICE_ANY, INT32_MAX, &minor);
        rule->major = (int32_t)major;
        rule->minor = (int32_t)minor;
}

static void parse_devices(const struct json_at *at, struct resources *resources)
{
        struct json_at list = json_get_array(at, "devices");
        resources->devices_present = list.value;
        if (!make_room(&list, json_count(&list), sizeof(*resources->devices), &resources->devices))
                return;
        resources->device_count = json_count(&list);
        for (size_t i = 0; i < resources->device_count; i++) {
                struct json_at element = json_element(&list, i);
                parse_device(&element, &resources->devices[i]);
        }
}

static void parse_memory(const struct json_at *at, struct resources *resources)
{
        struct json_at memory = json_get_object(at, "memory"), swap = json_get(&memory, "swap");
        parse_fields(&memory, memory_fields, resources);
        struct number limit = resources->memory.limit, total = resources->memory.swap;
        if (limit.present && total.present && total.value > 0 && limit.value > total.value)
                json_misfit(&swap, "is %lld, memory and swap together; it must not be below memory.limit (%lld)",
                            (long long)total.value, (long long)limit.value);
        if (limit.present && total.present && total.value > 0 && limit.value < 0)
                json_misfit(&swap, "is %lld, memory and swap together, while memory.limit is unlimited",
                            (long long)total.value);
}

/* "0-3,7": the list format of cpuset(7). */
static void parse_set(const struct json_at *cpu, const char *key, char **set)
{
        const char *text = NULL;
        struct json_at at = json_get(cpu, key);
        if (!json_get_string(cpu, key, &text) || !*text)
                return;
        for (const char *c = text;;) {
                uint64_t range[2];
                for (int i = 0; i < 2; i++) {
                        size_t digits = strspn(c, "0123456789");
                        if (!digits || digits > 6)
                                goto malformed;
                        range[i] = strtoull(c, NULL, 10);
                        c += digits;
                        if (i || *c != '-') {
                                range[1] = i ? range[1] : range[0];
                                break;
                        }
                        c++;
                }
                if (range[0] > range[1])
                        goto malformed;
                if (!*c)
                        break;
                if (*c++ != ',')
                        goto malformed;
        }
        *set = copy(&at, text);
        return;
malformed:
        json_misfit(&at, "is \"%s\"; it must be a list of numbers and ranges such as 0-3,7", text);
}

static void parse_cpu(const struct json_at *at, struct resources *resources)
{
        struct json_at cpu = json_get_object(at, "cpu"), quota_at = json_get(&cpu, "quota");
        struct json_at period_at = json_get(&cpu, "period"), burst_at = json_get(&cpu, "burst");
        parse_fields(&cpu, cpu_fields, resources);
        struct number quota = resources->cpu.quota, period = resources->cpu.period, burst = resources->cpu.burst;

        /* The kernel's bounds: max_cfs_quota_period and min_cfs_quota_period are a second and a millisecond. */
        if (quota.present && quota.value > 0 && quota.value < 1000)
                json_misfit(&quota_at, "is %lld microseconds; it must be -1 (none) or at least 1000",
                            (long long)quota.value);
        if (period.present && (period.value < 1000 || period.value > 1000000))
                json_misfit(&period_at, "is %lld microseconds; it must be between 1000 and 1000000",
                            (long long)period.value);
        if (burst.present && quota.present && quota.value > 0 && burst.value > quota.value)
                json_misfit(&burst_at, "is %lld; it must not be above cpu.quota (%lld)", (long long)burst.value,
                            (long long)quota.value);
        parse_set(&cpu, "cpus", &resources->cpu.cpus);
        parse_set(&cpu, "mems", &resources->cpu.mems);
}

static void check_weight(const struct json_at *object, const char *key, struct number weight)
{
        struct json_at at = json_get(object, key);
        if (weight.present && weight.value && weight.value < 10)
                json_misfit(&at, "is %lld; it must be between 10 and 1000", (long long)weight.value);
}

static void parse_block_list(const struct json_at *block, const char *key, bool rate, struct block_limits *limits)
{
        struct json_at list = json_get_array(block, key);
        if (!make_room(&list, json_count(&list), sizeof(*limits->items), &limits->items))
                return;
        limits->count = json_count(&list);
        for (size_t i = 0; i < limits->count; i++) {
                struct block_limit *limit = &limits->items[i];
                struct json_at at = json_element(&list, i);
                if (!json_is_object(at.value))
                        json_misfit(&at, "must be an object");
                need_number(&at, "major", 0, INT32_MAX, &limit->major);
                need_number(&at, "minor", 0, INT32_MAX, &limit->minor);
                if (rate) {
                        need_number(&at, "rate", 0, INT64_MAX, &limit->rate.value);
                        continue;
                }
                get_number(&at, "weight", 0, 1000, &limit->weight);
                get_number(&at, "leafWeight", 0, 1000, &limit->leaf_weight);
                check_weight(&at, "weight", limit->weight);
                check_weight(&at, "leafWeight", limit->leaf_weight);
                if (!limit->weight.present && !limit->leaf_weight.present)
                        json_misfit(&at, "must have a weight or a leafWeight");
        }
}

static void parse_block(const struct json_at *at, struct resources *resources)
{
        struct json_at block = json_get_object(at, "blockIO");
        parse_fields(&block, block_fields, resources);
        check_weight(&block, "weight", resources->block.weight);
        check_weight(&block, "leafWeight", resources->block.leaf_weight);
        parse_block_list(&block, "weightDevice", false, &resources->block.weight_devices);
        for (enum throttle i = 0; i < THROTTLE_COUNT; i++)
                parse_block_list(&block, throttle_fields[i], true, &resources->block.throttles[i]);
}

/* A name that becomes part of a file's name or a word of a line: nothing that could end either early. */
static bool plain_word(const char *text)
{
        return *text && strcspn(text, "/ \t\n\\") == strlen(text) && strlen(text) < 128 && strcmp(text, ".") &&
               strcmp(text, "..");
}

static void parse_hugepages(const struct json_at *at, struct resources *resources)
{
        struct json_at list = json_get_array(at, "hugepageLimits");
        if (!make_room(&list, json_count(&list), sizeof(*resources->hugepages), &resources->hugepages))
                return;
        resources->hugepage_count = json_count(&list);
        for (size_t i = 0; i < resources->hugepage_count; i++) {
                struct json_at element = json_element(&list, i), size_at = json_get(&element, "pageSize");
                if (!json_is_object(element.value))
                        json_misfit(&element, "must be an object");
                const char *size = "";
                json_need_string(&element, "pageSize", &size);
                size_t digits = strspn(size, "0123456789");
                const char *unit = size + digits;
                if (!digits || digits > 6 || *size == '0' ||
                    (strcmp(unit, "KB") && strcmp(unit, "MB") && strcmp(unit, "GB")))
                        json_misfit(&size_at, "is \"%s\"; it must be a size such as 64KB, 2MB or 1GB", size);
                resources->hugepages[i].page_size = copy(&element, size);
                need_number(&element, "limit", 0, INT64_MAX, &resources->hugepages[i].limit);
        }
}

static void parse_network(const struct json_at *at, struct resources *resources)
{
        struct json_at network = json_get_object(at, "network");
        parse_fields(&network, network_fields, resources);
        struct json_at list = json_get_array(&network, "priorities");
        if (!make_room(&list, json_count(&list), sizeof(*resources->priorities), &resources->priorities))
                return;
        resources->priority_count = json_count(&list);
        for (size_t i = 0; i < resources->priority_count; i++) {
                struct json_at element = json_element(&list, i), name_at = json_get(&element, "name");
                if (!json_is_object(element.value))
                        json_misfit(&element, "must be an object");
                const char *name = "";
                json_need_string(&element, "name", &name);
                if (!plain_word(name))
                        json_misfit(&name_at, "is \"%s\"; it must be the name of a network interface", name);
                resources->priorities[i].name = copy(&element, name);
                need_number(&element, "priority", 0, UINT32_MAX, &resources->priorities[i].priority);
        }
}

static void parse_rdma(const struct json_at *at, struct resources *resources)
{
        struct json_at rdma = json_get_object(at, "rdma");
        if (!make_room(&rdma, json_object_size(rdma.value), sizeof(*resources->rdma), &resources->rdma))
                return;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)rdma.value, key, value) {
                struct rdma_limit *limit = &resources->rdma[resources->rdma_count++];
                struct json_at device = json_get_object(&rdma, key);
                if (!plain_word(key))
                        json_misfit(&device, "is not the name of a device");
                limit->device = copy(&rdma, key);
                get_number(&device, "hcaHandles", 0, UINT32_MAX, &limit->handles);
                get_number(&device, "hcaObjects", 0, UINT32_MAX, &limit->objects);
                if (!limit->handles.present && !limit->objects.present)
                        json_misfit(&device, "must have hcaHandles or hcaObjects");
        }
}

/* What moves processes or changes the shape of the tree is the runtime's own business. */
static bool reserved_key(const char *key)
{
        static const char *const reserved[] = {
                "cgroup.procs", "cgroup.threads", "cgroup.subtree_control",
                "cgroup.type",  "cgroup.kill",    "cgroup.freeze",
        };
        for (size_t i = 0; i < ARRAY_SIZE(reserved); i++)
                if (!strcmp(key, reserved[i]))
                        return true;
        return false;
}

static void parse_unified(const struct json_at *at, struct resources *resources)
{
        struct json_at unified = json_get_object(at, "unified");
        if (!make_room(&unified, json_object_size(unified.value), sizeof(*resources->unified), &resources->unified))
                return;
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)unified.value, key, value) {
                struct unified_value *entry = &resources->unified[resources->unified_count++];
                struct json_at member = json_get(&unified, key);
                const char *dot = strchr(key, '.'), *text = json_string_at(&member);
                if (!plain_word(key) || !dot || dot == key || !dot[1])
                        json_misfit(&member, "is not the name of a control file, such as memory.high");
                if (reserved_key(key))
                        json_misfit(&member, "is a file that the runtime itself writes; remove it");
                entry->key = copy(&unified, key);
                entry->value = copy(&unified, text ? text : "");
        }
}

int resources_parse(const struct json_at *at, struct resources **resources, struct error *err)
{
        struct resources *parsed = calloc(1, sizeof(*parsed));
        if (!parsed)
                return error_memory(err);
        if (at->value && !json_is_object(at->value))
                json_misfit(at, "must be an object");
        struct json_at pids = json_get_object(at, "pids");
        parse_fields(&pids, pids_fields, parsed);
        parse_devices(at, parsed);
        parse_memory(at, parsed);
        parse_cpu(at, parsed);
        parse_block(at, parsed);
        parse_hugepages(at, parsed);
        parse_network(at, parsed);
        parse_rdma(at, parsed);
        parse_unified(at, parsed);
        if (json_failed(at)) {
                resources_free(parsed);
                return json_failed(at);
        }
        *resources = parsed;
        return 0;
}

void resources_free(struct resources *resources)
{
        if (!resources)
                return;
        for (size_t i = 0; i < resources->priority_count; i++)
                free(resources->priorities[i].name);
        for (size_t i = 0; i < resources->hugepage_count; i++)
                free(resources->hugepages[i].page_size);
        for (size_t i = 0; i < resources->rdma_count; i++)
                free(resources->rdma[i].device);
        for (size_t i = 0; i < resources->unified_count; i++) {
                free(resources->unified[i].key);
                free(resources->unified[i].value);
        }
        for (enum throttle i = 0; i < THROTTLE_COUNT; i++)
                free(resources->block.throttles[i].items);
        free(resources->block.weight_devices.items);
        free(resources->cpu.cpus);
        free(resources->cpu.mems);
        free(resources->priorities);
        free(resources->hugepages);
        free(resources->rdma);
        free(resources->unified);
        free(resources->devices);
        free(resources);
}

/* Whether a field limits something: "unlimited" and false are kept by a host that lacks the controller, too. */
static bool any_limit(const struct resources *resources, const struct field *fields)
{
        for (; fields->key; fields++) {
                const struct number *number = (const struct number *)((const char *)resources + fields->offset);
                if (number->present && (fields->boolean ? number->value == 1 : number->value >= 0))
                        return true;
        }
        return false;
}

uint32_t resources_controllers(const struct resources *resources)
{
        bool block = any_limit(resources, block_fields) || resources->block.weight_devices.count;
        for (enum throttle i = 0; i < THROTTLE_COUNT; i++)
                block = block || resources->block.throttles[i].count;

        uint32_t bits = (any_limit(resources, memory_fields) ? CONTROLLER_BIT(CONTROLLER_MEMORY) : 0) |
                        (any_limit(resources, cpu_fields) ? CONTROLLER_BIT(CONTROLLER_CPU) : 0) |
                        (resources->cpu.cpus || resources->cpu.mems ? CONTROLLER_BIT(CONTROLLER_CPUSET) : 0) |
                        (block ? CONTROLLER_BIT(CONTROLLER_BLOCK) : 0) |
                        (any_limit(resources, pids_fields) ? CONTROLLER_BIT(CONTROLLER_PIDS) : 0) |
                        (resources->class_id.present ? CONTROLLER_BIT(CONTROLLER_NET_CLS) : 0) |
                        (resources->priority_count ? CONTROLLER_BIT(CONTROLLER_NET_PRIO) : 0) |
                        (resources->hugepage_count ? CONTROLLER_BIT(CONTROLLER_HUGETLB) : 0) |
                        (resources->rdma_count ? CONTROLLER_BIT(CONTROLLER_RDMA) : 0);
        for (size_t i = 0; i < resources->unified_count; i++) {
                char prefix[32] = "";
                size_t length = strcspn(resources->unified[i].key, ".");
                if (length < sizeof(prefix)) {
                        memcpy(prefix, resources->unified[i].key, length);
                        bits |= controllers_parse(prefix, ".", 2);
                }
        }
        return bits;
}

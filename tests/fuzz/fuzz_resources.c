/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The object linux.resources, which `update` takes from a file as well: refused with a reason, or turned into device
 * rules that can be said as a program and, or with a reason not, as a v1 list.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/json.h"
#include "container/cgroup.h"
#include "container/cgroup_devices.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use(const struct resources *resources)
{
        struct error err = { 0 };
        _cleanup_free_ struct device_rule *rules = NULL;
        _cleanup_free_ struct bpf_insn *program = NULL;
        size_t count = 0, length = 0;
        struct device_list list = { 0 };
        resources_controllers(resources);
        if (device_rules(resources, &rules, &count, &err) < 0 ||
            device_program_build(rules, count, &program, &length, &err) < 0)
                abort();
        /* Jumps lead forward and stay inside; the last instruction leaves. */
        for (size_t i = 0; i < length; i++)
                if (BPF_CLASS(program[i].code) == BPF_JMP && BPF_OP(program[i].code) != BPF_EXIT &&
                    (program[i].off < 0 || i + 1 + (size_t)program[i].off >= length))
                        abort();
        if (program[length - 1].code != (BPF_JMP | BPF_EXIT))
                abort();
        if (device_list_build(rules, count, &list, &err) < 0 && !err.text[0])
                abort();
        free(list.exceptions);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct error err = { 0 };
        _cleanup_json_ json_t *value = NULL;
        if (json_parse((const char *)data, size, "input", &value, &err) < 0)
                return 0;
        struct json_reader reader = { .document = "input", .err = &err };
        struct json_at at = json_root(&reader, value);
        struct resources *resources = NULL;
        int r = resources_parse(&at, &resources, &err);
        if ((r < 0) != !resources || (r < 0 && !err.text[0]))
                abort();
        if (resources)
                use(resources);
        resources_free(resources);
        return 0;
}

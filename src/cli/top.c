/* SPDX-License-Identifier: GPL-2.0-or-later */
/* top and port: what an instance does, and where it is reached. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/verbs.h"
#include "instance/instance.h"

static int find(struct call *call, struct instance **instance, struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : instance_find(host, call->operands[0], instance, err);
}

static int top(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct instance *instance;
        _cleanup_list_ char **lines = NULL;
        int r = find(call, &instance, err);
        if (r < 0)
                return r;
        r = instance_top(instance, call->operand_count > 1 ? call->operands + 1 : NULL, &lines, err);
        instance_free(instance);
        for (char **line = lines; !r && line && *line; line++)
                puts(*line);
        return r;
}

/* "80" is short for "80/tcp". */
static bool is_port(const char *wanted, const char *port)
{
        size_t length = strlen(wanted);
        return !strncmp(wanted, port, length) &&
               (!port[length] || (!strchr(wanted, '/') && !strcmp(port + length, "/tcp")));
}

static void print_port(const json_t *port, bool wanted)
{
        const char *inside = json_string_value(json_object_get(port, "container"));
        const char *address = json_string_value(json_object_get(port, "host_address"));
        long long number = json_integer_value(json_object_get(port, "host"));
        if (!wanted)
                printf("%s -> ", inside);
        if (!address || !*address) {
                printf("0.0.0.0:%lld\n", number);
                if (!wanted)
                        printf("%s -> ", inside);
                printf("[::]:%lld\n", number);
        } else if (strchr(address, ':') && address[0] != '[') {
                printf("[%s]:%lld\n", address, number);
        } else {
                printf("%s:%lld\n", address, number);
        }
}

static int port(struct call *call, void *target, struct error *err)
{
        (void)target;
        struct instance *instance;
        _cleanup_json_ json_t *ports = NULL;
        int r = find(call, &instance, err);
        if (r < 0)
                return r;
        r = instance_ports(instance, &ports, err);
        instance_free(instance);
        if (r < 0)
                return r;

        const char *wanted = call->operands[1];
        bool any = !wanted;
        size_t i;
        json_t *entry;
        json_array_foreach(ports, i, entry) {
                const char *inside = json_string_value(json_object_get(entry, "container"));
                if (!inside || (wanted && !is_port(wanted, inside)))
                        continue;
                print_port(entry, wanted);
                any = true;
        }
        return any ? 0 : error_set(err, -ENOENT, "port %s of %s is not published", wanted, call->operands[0]);
}

const struct command command_top = {
        .summary = "List the processes of an instance",
        .usage = "INSTANCE [PS OPTION...]",
        .min = 1,
        .max = OPERANDS_MAX,
        .operands = OPERAND_RUNNING,
        .in_order = true,
        .run = top,
};

const struct command command_port = {
        .summary = "Show where the ports of an instance are published",
        .usage = "INSTANCE [PORT[/PROTOCOL]]",
        .min = 1,
        .max = 2,
        .operands = OPERAND_RUNNING,
        .run = port,
};

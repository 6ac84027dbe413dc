/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The network library as a command, for tests: network_driver ROOT STATE [--rootless] VERB [ARGUMENT…] [KEY=VALUE…]
 *
 * Prints what the function returned as JSON, or "error: <text>" on stderr and exit status 1. Several verbs may follow
 * one another, divided by "--": they share one handle, as in a program that does several things.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/json.h"
#include "base/text.h"
#include "network/network.h"

struct call {
        struct networks *networks;
        char *const *operands; /* NULL-terminated */
        char *const *settings; /* "key=value" */
        struct error *err;
};

static const char *operand(const struct call *call, size_t i)
{
        return list_length(call->operands) > i ? call->operands[i] : "";
}

static const char *setting(const struct call *call, const char *key)
{
        for (size_t i = 0; call->settings && call->settings[i]; i++)
                if (text_starts(call->settings[i], key) && call->settings[i][strlen(key)] == '=')
                        return call->settings[i] + strlen(key) + 1;
        return NULL;
}

static char **setting_list(const struct call *call, const char *key)
{
        char **list = NULL;
        for (size_t i = 0; call->settings && call->settings[i]; i++)
                if (text_starts(call->settings[i], key) && call->settings[i][strlen(key)] == '=')
                        list_append(&list, call->settings[i] + strlen(key) + 1);
        return list;
}

static void print(json_t *value)
{
        json_dumpf(value, stdout, JSON_COMPACT);
        putchar('\n');
        json_decref(value);
}

static int call_make(const struct call *call)
{
        _cleanup_free_ char *path = NULL;
        int r = netns_make(call->networks, operand(call, 0), &path, call->err);
        if (!r)
                print(json_string(path));
        return r;
}

static int call_unmake(const struct call *call)
{
        return netns_remove(call->networks, operand(call, 0), call->err);
}

static int attach(const struct call *call, json_t **attachment)
{
        _cleanup_list_ char **names = setting_list(call, "name"), **extra = setting_list(call, "extra"),
                            **ports = setting_list(call, "port");
        struct published_port parsed[16];
        struct network_request request = { .instance = operand(call, 0),
                                           .network = operand(call, 1),
                                           .names = (const char *const *)names,
                                           .address = setting(call, "address"),
                                           .address6 = setting(call, "address6"),
                                           .mac = setting(call, "mac"),
                                           .hosts_file = setting(call, "hosts"),
                                           .extra_hosts = extra,
                                           .ports = parsed };
        for (; ports && ports[request.port_count]; request.port_count++) {
                int r = published_port_parse(ports[request.port_count], &parsed[request.port_count], call->err);
                if (r < 0)
                        return r;
        }
        return network_attach(call->networks, &request, attachment, call->err);
}

static int call_attach(const struct call *call)
{
        json_t *attachment;
        int r = attach(call, &attachment);
        if (!r)
                print(attachment);
        return r;
}

static int call_detach(const struct call *call)
{
        return network_detach(call->networks, operand(call, 0), operand(call, 1), call->err);
}

static int call_release(const struct call *call)
{
        return network_release(call->networks, operand(call, 0), call->err);
}

static int call_create(const struct call *call)
{
        _cleanup_list_ char **labels = setting_list(call, "label");
        const char *mtu = setting(call, "mtu");
        const struct network_settings settings = { .name = operand(call, 0),
                                                   .subnet = setting(call, "subnet"),
                                                   .gateway = setting(call, "gateway"),
                                                   .subnet6 = setting(call, "subnet6"),
                                                   .gateway6 = setting(call, "gateway6"),
                                                   .ipv6 = setting(call, "ipv6"),
                                                   .internal = setting(call, "internal"),
                                                   .bridge = setting(call, "bridge"),
                                                   .mtu = mtu ? (unsigned)atoi(mtu) : 0,
                                                   .labels = labels };
        return network_create(call->networks, &settings, call->err);
}

static int call_rm(const struct call *call)
{
        return network_remove(call->networks, operand(call, 0), setting(call, "force"), call->err);
}

static int call_ls(const struct call *call)
{
        json_t *list;
        int r = network_list(call->networks, &list, call->err);
        if (!r)
                print(list);
        return r;
}

static int call_inspect(const struct call *call)
{
        json_t *object;
        int r = network_inspect(call->networks, operand(call, 0), &object, call->err);
        if (!r)
                print(object);
        return r;
}

static int call_prune(const struct call *call)
{
        _cleanup_list_ char **removed = NULL;
        int r = network_prune(call->networks, &removed, call->err);
        json_t *list = json_array();
        for (size_t i = 0; removed && removed[i]; i++)
                json_array_append_new(list, json_string(removed[i]));
        print(list);
        return r;
}

static int call_rename(const struct call *call)
{
        return network_rename(call->networks, operand(call, 0), (const char *const *)call->operands + 1, call->err);
}

static int call_repair(const struct call *call)
{
        return network_repair(call->networks, call->operands, call->err);
}

static int call_hints(const struct call *call)
{
        _cleanup_list_ char **hints = NULL;
        int r = network_hints(&hints, call->err);
        for (size_t i = 0; hints && hints[i]; i++)
                puts(hints[i]);
        return r;
}

static double milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* bench ROUNDS: what an instance's life on the default network costs, a line of milliseconds for each round. */
static int call_bench(const struct call *call)
{
        for (int i = 0; i < atoi(operand(call, 0)); i++) {
                _cleanup_free_ char *path = NULL, *id = text_format("bench%d", i);
                const char *const names[] = { id, NULL };
                struct network_request request = { .instance = id, .network = "default", .names = names };
                json_t *attachment;
                double start = milliseconds();
                int r = netns_make(call->networks, id, &path, call->err);
                double made = milliseconds();
                if (!r)
                        r = network_attach(call->networks, &request, &attachment, call->err);
                double attached = milliseconds();
                if (!r)
                        r = network_release(call->networks, id, call->err);
                if (r < 0)
                        return r;
                json_decref(attachment);
                printf("%.3f %.3f %.3f\n", made - start, attached - made, milliseconds() - attached);
        }
        return 0;
}

static const struct {
        const char *name;
        int (*call)(const struct call *call);
} verbs[] = {
        { "make", call_make },       { "unmake", call_unmake }, { "attach", call_attach }, { "detach", call_detach },
        { "release", call_release }, { "create", call_create }, { "rm", call_rm },         { "ls", call_ls },
        { "inspect", call_inspect }, { "prune", call_prune },   { "rename", call_rename }, { "repair", call_repair },
        { "bench", call_bench },     { "hints", call_hints },
};

static int call_verb(struct networks *networks, const char *verb, char *const *arguments, size_t count,
                     struct error *err)
{
        _cleanup_list_ char **operands = NULL, **settings = NULL;
        for (size_t i = 0; i < count; i++)
                list_append(strchr(arguments[i], '=') ? &settings : &operands, arguments[i]);
        const struct call call = { networks, operands, settings, err };
        for (size_t i = 0; i < ARRAY_SIZE(verbs); i++)
                if (!strcmp(verbs[i].name, verb))
                        return verbs[i].call(&call);
        return error_set(err, -EINVAL, "no verb %s", verb);
}

int main(int argc, char **argv)
{
        struct networks *networks;
        struct error err = { 0 };
        int at = argc > 3 && !strcmp(argv[3], "--rootless") ? 4 : 3;
        if (argc <= at)
                return 2;
        int r = networks_open(argv[1], argv[2], at == 4, &networks, &err);
        while (!r && at < argc) {
                int end = at + 1;
                while (end < argc && strcmp(argv[end], "--"))
                        end++;
                r = call_verb(networks, argv[at], argv + at + 1, (size_t)(end - at - 1), &err);
                at = end + 1;
        }
        if (r < 0)
                fprintf(stderr, "error: %s\n", err.text);
        fflush(stdout);
        networks_close(networks);
        return r < 0;
}

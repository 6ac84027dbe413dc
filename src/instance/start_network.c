/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/network_setting.h"
#include "instance/start.h"

static int names_of(const struct start *start, const struct network_setting *network, char ***names)
{
        int r = list_append(names, start->instance->name);
        if (!r && !text_equal(start->hostname, start->instance->name))
                r = list_append(names, start->hostname);
        for (char *const *alias = network->aliases; !r && alias && *alias; alias++)
                if (!list_contains(*names, *alias))
                        r = list_append(names, *alias);
        return r;
}

/* Who has the port or address may be an instance that ended, and whose last process was killed before it gave it back. */
static int attach_or_repair(const struct start *start, struct networks *networks, const struct network_request *request,
                            json_t **attachment, struct error *err)
{
        struct instance **all;
        size_t count;
        int r = network_attach(networks, request, attachment, err);
        if (r != -EADDRINUSE ||
            instance_list(start->host, &(struct instance_filter){ .all = true }, &all, &count, NULL) < 0)
                return r;
        instance_list_free(all, count);
        return network_attach(networks, request, attachment, err);
}

static int attach(struct start *start, struct networks *networks, size_t i, json_t *attachments, struct error *err)
{
        struct network_setting network;
        int r = network_setting_parse(&start->settings, i, &network, err);
        if (r < 0)
                return r;
        struct published_port *ports = NULL;
        size_t port_count = 0;
        _cleanup_list_ char **names = NULL;
        _cleanup_free_ char *hosts = text_format("%s/hosts", start->run_path);
        /* Ports are published once, on the network that leads outside. */
        if (!i)
                r = network_settings_ports(&start->settings, &ports, &port_count, err);
        if (!r && (!hosts || names_of(start, &network, &names) < 0))
                r = error_memory(err);
        const struct network_request request = {
                .instance = start->instance->id,
                .names = (const char *const *)names,
                .network = network.name,
                .address = network.address,
                .address6 = network.address6,
                .mac = network.mac,
                .ports = ports,
                .port_count = port_count,
                .hosts_file = hosts,
                .extra_hosts = start->settings.extra_hosts,
        };
        json_t *attachment = NULL;
        if (!r)
                r = attach_or_repair(start, networks, &request, &attachment, err);
        if (!r && json_array_append_new(attachments, attachment) < 0)
                r = error_memory(err);
        free(ports);
        network_setting_free(&network);
        return r;
}

/* The namespace must belong to the instance's own user namespace; network.h takes one that is there already. */
static int make_mapped(struct start *start, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/netns/%s", start->host->state, start->instance->id);
        if (!path)
                return error_memory(err);
        int r = id_map_pin(start->host->state, start->instance->id, start->userns, &start->userns_path, err);
        return r < 0 ? r : id_map_make_network(start->userns, path, err);
}

static int attach_all(struct start *start, struct error *err)
{
        struct networks *networks;
        int r = networks_open(start->host->root, start->host->state, start->host->rootless, &networks, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *attachments = json_array();
        if (start->userns >= 0)
                r = make_mapped(start, err);
        if (!r)
                r = netns_make(networks, start->instance->id, &start->network_namespace, err);
        test_point("instance.start.namespace.made");
        for (size_t i = 0; !r && i < network_settings_count(&start->settings); i++)
                r = attach(start, networks, i, attachments, err);
        networks_close(networks);
        if (!r)
                r = json_replace(start->run_folder, "network.json", attachments, false, err);
        test_point("instance.start.attached");
        return r;
}

static int share(struct start *start, struct error *err)
{
        pid_t pid;
        const char *name = network_settings_container(&start->settings);
        int r = running_process(start->host, "--network", name, &pid, err);
        if (r < 0)
                return r;
        struct instance *other;
        r = instance_find(start->host, name, &other, err);
        if (r < 0)
                return r;
        /* Names and resolvers belong to the network, so its owner's files are used. */
        free(start->files);
        start->files = run_folder_path(start->host, other->id, "");
        start->network_namespace = text_format("/proc/%d/ns/net", (int)pid);
        instance_free(other);
        return start->files && start->network_namespace ? 0 : error_memory(err);
}

int start_network(struct start *start, struct error *err)
{
        switch (network_settings_kind(&start->settings)) {
        case NETWORK_HOST: return 0;
        case NETWORK_NONE:
                start->network_namespace = strdup("");
                return start->network_namespace ? 0 : error_memory(err);
        case NETWORK_CONTAINER: return share(start, err);
        case NETWORK_BRIDGED: break;
        }
        return attach_all(start, err);
}

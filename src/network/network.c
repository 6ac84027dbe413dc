/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/network.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "network/bridge.h"
#include "network/describe.h"
#include "network/hosts.h"
#include "network/link.h"
#include "network/pin.h"
#include "network/release.h"
#include "network/sweep.h"

static int check_interface_free(struct networks *networks, const char *name, struct error *err)
{
        struct netlink *route;
        struct link link;
        int r = networks_route(networks, &route, err);
        if (!r)
                r = link_find(route, name, &link, err);
        if (!r)
                return error_set(err, -EEXIST, "the host has an interface %s already", name);
        return r == -ENODEV ? 0 : r;
}

int network_create(struct networks *networks, const struct network_settings *settings, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        static const char *const modes[] = { "host", "none", "container", "bridge" };
        for (size_t i = 0; i < ARRAY_SIZE(modes); i++)
                if (!strcmp(settings->name, modes[i]))
                        return error_set(err, -EINVAL, "\"%s\" is a way of networking, not a name for a network",
                                         modes[i]);
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        char file[80];
        snprintf(file, sizeof(file), "%.63s.json", settings->name);
        if (network_name_valid(settings->name) && !faccessat(networks->definitions, file, F_OK, 0))
                return error_set(err, -EEXIST, "there is a network %s already", settings->name);
        int r = network_design(networks, settings, &network, err);
        if (!r)
                r = check_interface_free(networks, network.bridge, err);
        return r < 0 ? r : network_save(networks, &network, err);
}

static int refuse_removal(const char *name, const struct leases *leases, struct error *err)
{
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; i < leases->count; i++) {
                char instance[LEASE_NAME];
                text_append(&text, i ? ", " : "");
                text_append(&text, lease_name(&leases->entries[i], instance));
        }
        return error_set(err, -EBUSY, "the network %s is in use by %s; `onggi network rm --force` detaches them", name,
                         text_failed(&text) ? "instances" : text.data);
}

/* Under the lock, without leases. The definition goes last: as long as it is there, all of this can be done again. */
static int remove_network(struct networks *networks, const struct network *network, struct error *err)
{
        static const struct leases none;
        char file[80];
        int r = sweep_ports(networks, network, &none, err);
        if (!r)
                r = hosts_catch_up(networks, network, &none, err);
        if (!r)
                r = bridge_remove(networks, network, err);
        test_point("network.remove.bridge-removed");
        if (!r)
                r = leases_drop(networks, network->name, err);
        if (!r)
                r = bridge_refresh_firewall(networks, NULL, NULL, err);
        if (r < 0)
                return r;
        test_point("network.remove.rules-removed");
        snprintf(file, sizeof(file), "%s.json", network->name);
        if (unlinkat(networks->definitions, file, 0) < 0 && errno != ENOENT)
                return error_errno(err, "removing the network %s", network->name);
        return 0;
}

int network_remove(struct networks *networks, const char *name, bool force, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        _cleanup_leases_ struct leases leases = { 0 };
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        if (!strcmp(name, DEFAULT_NETWORK))
                return error_set(err, -EINVAL, "the default network cannot be removed");
        int r = network_load(networks, name, &network, err);
        if (!r)
                r = leases_load(networks, name, &leases, err);
        if (r < 0)
                return r;
        if (leases.count && !force)
                return refuse_removal(name, &leases, err);
        while (!r && leases.count)
                r = detach_lease(networks, &network, &leases, &leases.entries[0], err);
        return r < 0 ? r : remove_network(networks, &network, err);
}

static int describe_network(struct networks *networks, const struct network *network, json_t **object,
                            struct error *err)
{
        _cleanup_leases_ struct leases leases = { 0 };
        int r = leases_load(networks, network->name, &leases, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *described = network_render(network), *instances = json_object();
        if (!described || !instances)
                return error_memory(err);
        for (size_t i = 0; i < leases.count; i++) {
                json_t *lease = describe_lease(network, &leases.entries[i], NULL);
                const char *names = leases.entries[i].names;
                if (lease)
                        json_object_set_new(lease, "name", json_stringn(names, strcspn(names, " ")));
                json_object_set_new(instances, leases.entries[i].instance, lease);
        }
        json_object_set(described, "instances", instances);
        *object = TAKE_PTR(described);
        return 0;
}

int network_inspect(struct networks *networks, const char *name, json_t **object, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        int r = network_load(networks, name, &network, err);
        return r < 0 ? r : describe_network(networks, &network, object, err);
}

struct listing {
        struct networks *networks;
        json_t *list;
        struct error *err;
};

static int list_network(const struct network *network, void *data)
{
        struct listing *listing = data;
        json_t *object;
        int r = describe_network(listing->networks, network, &object, listing->err);
        if (!r)
                json_array_append_new(listing->list, object);
        return r;
}

int network_list(struct networks *networks, json_t **list, struct error *err)
{
        _cleanup_network_ struct network first = { 0 };
        _cleanup_json_ json_t *made = json_array();
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        if (!made)
                return error_memory(err);
        /* The default network is there for everybody to see, used or not. */
        int r = network_load(networks, DEFAULT_NETWORK, &first, err);
        if (!r)
                r = network_each(networks, list_network, &(struct listing){ networks, made, err }, err);
        if (!r)
                *list = TAKE_PTR(made);
        return r;
}

struct pruning {
        struct networks *networks;
        char **removed;
        struct error *err;
};

static int prune_network(const struct network *network, void *data)
{
        struct pruning *pruning = data;
        _cleanup_leases_ struct leases leases = { 0 };
        if (!strcmp(network->name, DEFAULT_NETWORK))
                return 0;
        int r = leases_load(pruning->networks, network->name, &leases, pruning->err);
        if (r < 0 || leases.count)
                return r;
        r = remove_network(pruning->networks, network, pruning->err);
        return r < 0 ? r : list_append(&pruning->removed, network->name);
}

int network_prune(struct networks *networks, char ***removed, struct error *err)
{
        struct pruning pruning = { networks, NULL, err };
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        int r = network_each(networks, prune_network, &pruning, err);
        if (r < 0)
                list_free(pruning.removed);
        else
                *removed = pruning.removed;
        return r;
}

int network_repair(struct networks *networks, char *const *instances, struct error *err)
{
        _cleanup_close_ int lock = networks_lock(networks, err);
        if (lock < 0)
                return lock;
        int r = pins_remove_others(networks, instances, err);
        int swept = sweep_now(networks, err);
        networks->sweep = false;
        return r < 0 ? r : swept;
}

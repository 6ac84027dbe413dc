/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/connect.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/events.h"
#include "instance/folder.h"
#include "instance/network_setting.h"
#include "instance/vessel.h"

/* The networks it is on, as --network takes them: a list of which the default is one, too. */
static char **current(const struct instance_settings *settings)
{
        if (list_length(settings->networks) || network_settings_kind(settings) != NETWORK_BRIDGED)
                return list_copy(settings->networks);
        return list_copy((char *const[]){ "default", NULL });
}

/* The place of the network in the list, or -1. */
static int place_of(const struct instance_settings *settings, const char *name)
{
        for (size_t i = 0; i < network_settings_count(settings); i++) {
                struct network_setting network;
                if (network_setting_parse(settings, i, &network, NULL) < 0)
                        continue;
                bool found = text_equal(network.name, name);
                network_setting_free(&network);
                if (found)
                        return (int)i;
        }
        return -1;
}

/* Writes the list into the changes that lie over config.json. One that is on no network is on "none". */
static int keep(struct instance *instance, char *const *networks, struct error *err)
{
        json_t *updates = json_object_get(instance->state, "updates"), *list = json_array();
        if (!updates)
                json_object_set_new(instance->state, "updates", updates = json_object());
        for (char *const *network = networks; network && *network; network++)
                json_array_append_new(list, json_string(*network));
        if (!networks || !*networks)
                json_array_append_new(list, json_string("none"));
        if (!updates || json_object_set_new(updates, "networks", list) < 0)
                return error_memory(err);
        return instance_save_state(instance, true, err);
}

/* What the running instance is attached to; NULL where it was started without networks. */
static json_t *read_attachments(const struct instance *instance, int folder)
{
        json_t *attachments = NULL;
        if (!instance->run || folder < 0 || json_read(folder, "network.json", &attachments, NULL) < 0)
                return NULL;
        return attachments;
}

/* Holds what both directions need: the lock, the settings, the networks and the attachments. */
struct change {
        struct instance *instance;
        struct instance_settings settings;
        struct networks *networks;
        json_t *attachments;
        int lock, folder;
};

static void change_end(struct change *change)
{
        instance_settings_free(&change->settings);
        if (change->networks)
                networks_close(change->networks);
        json_decref(change->attachments);
        cleanup_close(&change->folder);
        cleanup_close(&change->lock);
}

static int change_begin(struct change *change, struct instance *instance, struct error *err)
{
        *change = (struct change){
                .instance = instance, .lock = -1, .folder = -1, .settings = instance_settings_default()
        };
        const struct host *host = instance->host;
        change->lock = instance_lock(instance, err);
        if (change->lock < 0)
                return change->lock;
        int r = instance_look(instance, err);
        if (r >= 0)
                r = instance_settings_of(instance, &change->settings, err);
        if (r < 0)
                return r;
        enum network_kind kind = network_settings_kind(&change->settings);
        change->folder = instance->run ? run_folder_open(host, instance->id) : -1;
        change->attachments = read_attachments(instance, change->folder);
        if (kind == NETWORK_HOST || kind == NETWORK_CONTAINER || (instance->run && !change->attachments))
                return error_set(err, -EOPNOTSUPP, "instance %s has no network of its own (--network %s)",
                                 instance->name, change->settings.networks[0]);
        return networks_open(host->root, host->state, host->rootless, &change->networks, err);
}

static int attach(struct change *change, const struct network_connection *connection, struct error *err)
{
        const struct instance *instance = change->instance;
        _cleanup_list_ char **names = NULL;
        _cleanup_free_ char *hosts = run_folder_path(instance->host, instance->id, "hosts");
        const char *hostname = change->settings.hostname;
        int r = list_append(&names, instance->name);
        if (!r)
                r = hostname ? list_append(&names, hostname) : list_printf(&names, "%.12s", instance->id);
        for (char *const *alias = connection->aliases; !r && alias && *alias; alias++)
                if (!list_contains(names, *alias))
                        r = list_append(&names, *alias);
        if (r < 0 || !hosts)
                return error_memory(err);
        const struct network_request request = {
                .instance = instance->id,
                .names = (const char *const *)names,
                .network = connection->network,
                .address = connection->address,
                .address6 = connection->address6,
                .hosts_file = hosts,
                .extra_hosts = change->settings.extra_hosts,
        };
        json_t *attachment;
        r = network_attach(change->networks, &request, &attachment, err);
        if (r < 0)
                return r;
        test_point("instance.connect.attached");
        if (json_array_append_new(change->attachments, attachment))
                r = error_memory(err);
        else
                r = json_replace(change->folder, "network.json", change->attachments, false, err);
        if (r < 0)
                network_detach(change->networks, instance->id, connection->network, NULL);
        return r;
}

/* NETWORK:ip=…,alias=… */
static char *setting_text(const struct network_connection *connection)
{
        struct text text = { 0 };
        const char *separator = ":";
        text_append(&text, connection->network);
        const struct {
                const char *key, *value;
        } addresses[] = { { "ip", connection->address }, { "ip6", connection->address6 } };
        for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
                if (addresses[i].value) {
                        text_printf(&text, "%s%s=%s", separator, addresses[i].key, addresses[i].value);
                        separator = ",";
                }
        for (char *const *alias = connection->aliases; alias && *alias; alias++, separator = ",")
                text_printf(&text, "%salias=%s", separator, *alias);
        return text_take(&text);
}

static int connect_network(struct change *change, const struct network_connection *connection, struct error *err)
{
        const char *name = change->instance->name;
        bool none = network_settings_kind(&change->settings) == NETWORK_NONE;
        _cleanup_list_ char **list = none ? NULL : current(&change->settings);
        _cleanup_free_ char *text = setting_text(connection);
        _cleanup_json_ json_t *network = NULL;
        int r = network_inspect(change->networks, connection->network, &network, err);
        if (r < 0)
                return r;
        if (place_of(&change->settings, connection->network) >= 0)
                return error_set(err, -EEXIST, "instance %s is on the network %s already", name, connection->network);
        const struct vessel *vessel = vessel_of(change->instance);
        if (change->attachments && vessel->fixed_networks)
                return error_set(err, -EBUSY, "instance %s runs, and %s; stop it first", name, vessel->fixed_networks);
        if (!text || (!none && !list) || list_append(&list, text) < 0)
                return error_memory(err);
        if (change->attachments)
                r = attach(change, connection, err);
        if (!r)
                r = keep(change->instance, list, err);
        return r;
}

int instance_connect(struct instance *instance, const struct network_connection *connection, struct error *err)
{
        struct change change;
        int r = change_begin(&change, instance, err);
        if (!r)
                r = connect_network(&change, connection, err);
        change_end(&change);
        if (!r)
                event_of_instance(instance, "connect");
        return r;
}

/* What another network published may be published by one of these now. */
static int refresh_ports(struct change *change, struct error *err)
{
        size_t i;
        json_t *attachment;
        json_array_foreach(change->attachments, i, attachment) {
                _cleanup_json_ json_t *network = NULL;
                const char *name = json_string_value(json_object_get(attachment, "network"));
                int r = network_inspect(change->networks, name ? name : "", &network, err);
                if (r < 0)
                        return r;
                json_t *here = json_object_get(json_object_get(network, "instances"), change->instance->id);
                json_t *ports = json_object_get(here, "ports");
                if (ports && json_object_set(attachment, "ports", ports) < 0)
                        return error_memory(err);
        }
        return 0;
}

static int detach(struct change *change, const char *name, struct error *err)
{
        int r = network_detach(change->networks, change->instance->id, name, err);
        if (r < 0 && r != -ENOENT)
                return r;
        test_point("instance.disconnect.detached");
        for (size_t i = json_array_size(change->attachments); i-- > 0;)
                if (text_equal(json_string_value(json_object_get(json_array_get(change->attachments, i), "network")),
                               name))
                        json_array_remove(change->attachments, i);
        r = refresh_ports(change, err);
        return r < 0 ? r : json_replace(change->folder, "network.json", change->attachments, false, err);
}

static int disconnect_network(struct change *change, const char *name, struct error *err)
{
        struct instance *instance = change->instance;
        _cleanup_list_ char **list = current(&change->settings);
        int place = place_of(&change->settings, name);
        if (place < 0)
                return error_set(err, -ENOENT, "instance %s is not on the network %s", instance->name, name);
        if (!list)
                return error_memory(err);
        int r = change->attachments ? detach(change, name, err) : 0;
        if (r < 0)
                return r;

        size_t count = list_length(list);
        free(list[place]);
        memmove(list + place, list + place + 1, (count - (size_t)place) * sizeof(*list));
        r = keep(instance, list, err);
        if (r < 0 || place)
                return r;
        /* What --ip, --mac-address and --network-alias said was about that network, not about the one that is the first now. */
        static const char *const of_the_first[] = { "address", "address6", "mac", "network_aliases" };
        json_t *updates = json_object_get(instance->state, "updates");
        for (size_t i = 0; i < ARRAY_SIZE(of_the_first); i++)
                json_object_set_new(updates, of_the_first[i], json_null());
        return instance_save_state(instance, true, err);
}

int instance_disconnect(struct instance *instance, const char *network, struct error *err)
{
        struct change change;
        int r = change_begin(&change, instance, err);
        if (!r)
                r = disconnect_network(&change, network, err);
        change_end(&change);
        if (!r)
                event_of_instance(instance, "disconnect");
        return r;
}

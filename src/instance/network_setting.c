/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/network_setting.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "instance/setting_text.h"

static const char *first(const struct instance_settings *settings)
{
        const char *name = settings->networks ? settings->networks[0] : NULL;
        return !name || text_equal(name, "bridge") ? "default" : name;
}

enum network_kind network_settings_kind(const struct instance_settings *settings)
{
        const char *name = first(settings);
        if (text_equal(name, "none"))
                return NETWORK_NONE;
        if (text_equal(name, "host"))
                return NETWORK_HOST;
        return mode_container(name) ? NETWORK_CONTAINER : NETWORK_BRIDGED;
}

const char *network_settings_container(const struct instance_settings *settings)
{
        return mode_container(first(settings));
}

size_t network_settings_count(const struct instance_settings *settings)
{
        if (network_settings_kind(settings) != NETWORK_BRIDGED)
                return 0;
        size_t count = list_length(settings->networks);
        return count ? count : 1;
}

void network_setting_free(struct network_setting *network)
{
        free(network->name);
        free(network->address);
        free(network->address6);
        free(network->mac);
        list_free(network->aliases);
        *network = (struct network_setting){ 0 };
}

static int add_option(struct network_setting *network, const char *text, const char *option, struct error *err)
{
        const struct {
                const char *key;
                char **value;
        } keys[] = { { "ip=", &network->address },
                     { "ip6=", &network->address6 },
                     { "mac-address=", &network->mac },
                     { "mac=", &network->mac } };
        if (text_starts(option, "alias="))
                return list_append(&network->aliases, option + 6) < 0 ? error_memory(err) : 0;
        for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
                if (!text_starts(option, keys[i].key))
                        continue;
                free(*keys[i].value);
                *keys[i].value = strdup(option + strlen(keys[i].key));
                return *keys[i].value ? 0 : error_memory(err);
        }
        return error_set(err, -EINVAL,
                         "--network \"%s\": unknown option \"%s\"; there are ip, ip6, mac-address and alias", text,
                         option);
}

/* Podman writes name:ip=…, docker name=…,ip=…: both are read. */
static int parse(const char *text, struct network_setting *network, struct error *err)
{
        const char *name = text_starts(text, "name=") ? text + 5 : text;
        _cleanup_free_ char *copy = strdup(name);
        if (!copy)
                return error_memory(err);
        size_t length = strcspn(copy, ":,");
        char *rest = copy[length] ? copy + length + 1 : NULL, *state = NULL;
        copy[length] = 0;
        network->name = strdup(text_equal(copy, "bridge") ? "default" : copy);
        if (!network->name)
                return error_memory(err);
        if (!*network->name)
                return error_set(err, -EINVAL, "--network \"%s\": the name is missing", text);
        int r = 0;
        for (char *option = rest ? strtok_r(rest, ",", &state) : NULL; option && !r;
             option = strtok_r(NULL, ",", &state))
                r = add_option(network, text, option, err);
        return r;
}

static int default_to(char **target, const char *value, struct error *err)
{
        if (*target || !value)
                return 0;
        *target = strdup(value);
        return *target ? 0 : error_memory(err);
}

int network_setting_parse(const struct instance_settings *settings, size_t i, struct network_setting *network,
                          struct error *err)
{
        *network = (struct network_setting){ 0 };
        int r = parse(list_length(settings->networks) ? settings->networks[i] : "default", network, err);
        if (!r && !i) {
                r = default_to(&network->address, settings->address, err);
                if (!r)
                        r = default_to(&network->address6, settings->address6, err);
                if (!r)
                        r = default_to(&network->mac, settings->mac, err);
                for (char *const *alias = settings->network_aliases; !r && alias && *alias; alias++)
                        if (list_append(&network->aliases, *alias) < 0)
                                r = error_memory(err);
        }
        if (r < 0)
                network_setting_free(network);
        return r;
}

static int check_names(const char *option, char *const *names, struct error *err)
{
        for (; names && *names; names++)
                if (!host_name_valid(*names))
                        return error_set(err, -EINVAL, "%s \"%s\" is not a name: letters, digits and \"-_.\"", option,
                                         *names);
        return 0;
}

static int check_networks(const struct instance_settings *settings, struct error *err)
{
        size_t given = list_length(settings->networks);
        for (size_t i = 0; i < given; i++) {
                const char *name = settings->networks[i];
                bool alone = text_equal(name, "none") || text_equal(name, "host") || mode_container(name);
                if (alone && given > 1)
                        return error_set(err, -EINVAL, "--network %s excludes any other network", name);
                if (alone)
                        continue;
                struct network_setting network;
                int r = network_setting_parse(settings, i, &network, err);
                if (r < 0)
                        return r;
                r = check_names("--network-alias", network.aliases, err);
                network_setting_free(&network);
                if (r < 0)
                        return r;
        }
        return check_names("--network-alias", settings->network_aliases, err);
}

/* Each becomes a part of a line of resolv.conf. */
static int check_resolver(const struct instance_settings *settings, struct error *err)
{
        unsigned char binary[16];
        for (char *const *text = settings->dns; text && *text; text++)
                if (inet_pton(AF_INET, *text, binary) != 1 && inet_pton(AF_INET6, *text, binary) != 1)
                        return error_set(err, -EINVAL, "--dns \"%s\" is not an address", *text);
        for (char *const *text = settings->dns_options; text && *text; text++)
                for (const char *c = *text; *c || c == *text; c++)
                        if (!isgraph((unsigned char)*c))
                                return error_set(err, -EINVAL, "--dns-option \"%s\" is not an option of resolv.conf(5)",
                                                 *text);
        return check_names("--dns-search", settings->dns_search, err);
}

int network_settings_check(const struct instance_settings *settings, struct error *err)
{
        int r = check_networks(settings, err);
        if (!r)
                r = check_resolver(settings, err);
        struct published_port port;
        struct host_entry entry;
        for (char *const *text = settings->ports; !r && text && *text; text++)
                r = published_port_parse(*text, &port, err);
        for (char *const *text = settings->expose; !r && text && *text; text++)
                r = published_port_parse(*text, &port, err);
        for (char *const *text = settings->extra_hosts; !r && text && *text; text++)
                r = host_entry_parse(*text, &entry, err);
        enum network_kind kind = network_settings_kind(settings);
        if (!r && kind == NETWORK_CONTAINER && (settings->ports || settings->hostname))
                r = error_set(err, -EINVAL,
                              "--network container: shares that instance's ports and host name; "
                              "--publish and --hostname cannot be given with it");
        return r;
}

static int add_port(struct published_port **ports, size_t *count, const struct published_port *port, struct error *err)
{
        struct published_port *grown = reallocarray(*ports, *count + 1, sizeof(*grown));
        if (!grown)
                return error_memory(err);
        grown[(*count)++] = *port;
        *ports = grown;
        return 0;
}

int network_settings_ports(const struct instance_settings *settings, struct published_port **ports, size_t *count,
                           struct error *err)
{
        _cleanup_free_ struct published_port *all = NULL;
        struct published_port port;
        int r = 0;
        *count = 0;
        for (char *const *text = settings->ports; !r && text && *text; text++) {
                r = published_port_parse(*text, &port, err);
                if (!r)
                        r = add_port(&all, count, &port, err);
        }
        for (char *const *text = settings->publish_all ? settings->expose : NULL; !r && text && *text; text++) {
                r = published_port_parse(*text, &port, err);
                port.host = 0;
                if (!r)
                        r = add_port(&all, count, &port, err);
        }
        if (!r)
                *ports = TAKE_PTR(all);
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/describe.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "network/hosts.h"

char *names_join(const char *const *names, struct error *err)
{
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; names && names[i]; i++) {
                if (!*names[i])
                        continue;
                if (!hosts_name_valid(names[i])) {
                        error_set(err, -EINVAL,
                                  "\"%s\" cannot be a name on a network: letters, digits, '_', '.' and '-'", names[i]);
                        return NULL;
                }
                text_append(&text, text.length ? " " : "");
                text_append(&text, names[i]);
        }
        char *joined = text_take(&text);
        if (!joined)
                error_memory(err);
        return joined;
}

int extra_hosts_join(char *const *lines, char **joined, struct error *err)
{
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; lines && lines[i]; i++) {
                int r = hosts_extra_check(lines[i], err);
                if (r < 0)
                        return r;
                text_append(&text, i ? " " : "");
                text_append(&text, lines[i]);
        }
        *joined = text_take(&text);
        return *joined ? 0 : error_memory(err);
}

static json_t *describe_ports(const struct lease *lease)
{
        json_t *ports = json_array();
        for (size_t i = 0; i < lease->port_count; i++) {
                const struct published_port *port = &lease->ports[i];
                for (int n = 0; n < port->count; n++)
                        json_array_append_new(ports,
                                              json_pack("{s:s, s:i, s:i, s:s}", "host_address", port->host_address,
                                                        "host", port->host + n, "container", port->container + n,
                                                        "protocol", port->udp ? "udp" : "tcp"));
        }
        return ports;
}

json_t *describe_lease(const struct network *network, const struct lease *lease, const char *interface)
{
        char mac[MAC_TEXT], address[ADDRESS_TEXT], gateway[ADDRESS_TEXT];
        json_t *object = json_pack("{s:s, s:s, s:s, s:i, s:s, s:o}", "network", network->name, "mac",
                                   mac_format(lease->mac, mac), "address", address_format(&lease->address, address),
                                   "prefix", (int)network->subnet.prefix, "gateway",
                                   address_format(&network->gateway, gateway), "ports", describe_ports(lease));
        if (!object)
                return NULL;
        if (interface)
                json_object_set_new(object, "interface", json_string(interface));
        if (!lease->address6.family)
                return object;
        json_object_set_new(object, "address6", json_string(address_format(&lease->address6, address)));
        json_object_set_new(object, "prefix6", json_integer(network->subnet6.prefix));
        json_object_set_new(object, "gateway6", json_string(address_format(&network->gateway6, gateway)));
        return object;
}

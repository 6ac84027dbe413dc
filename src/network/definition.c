/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/definition.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"

void network_clear(struct network *network)
{
        json_decref(network->labels);
        network->labels = NULL;
}

bool network_name_valid(const char *name)
{
        size_t length = strlen(name);
        if (!length || length > 63 || !isalnum((unsigned char)name[0]))
                return false;
        return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static bool interface_name_valid(const char *name)
{
        size_t length = strlen(name);
        if (!length || length > 15 || !strcmp(name, ".") || !strcmp(name, ".."))
                return false;
        for (const char *at = name; *at; at++)
                if (!isgraph((unsigned char)*at) || strchr("/:\"", *at))
                        return false;
        return true;
}

static void take_text(const struct json_at *object, const char *key, char *target, size_t room)
{
        const char *text = NULL;
        if (!json_need_string(object, key, &text))
                return;
        if (strlen(text) >= room) {
                const struct json_at at = json_get(object, key);
                json_misfit(&at, "is longer than %zu characters", room - 1);
                return;
        }
        text_copy(target, room, text);
}

static void take_subnet(const struct json_at *object, const char *subnet_key, const char *gateway_key, int family,
                        struct subnet *subnet, struct address *gateway)
{
        const char *text = NULL, *gateway_text = NULL;
        if (!json_get_string(object, subnet_key, &text))
                return;
        const struct json_at at = json_get(object, subnet_key);
        if (subnet_parse(text, subnet) < 0 || subnet->base.family != family || subnet_last_host(subnet) < 2) {
                json_misfit(&at, "\"%s\" is not a subnet with room for hosts", text);
                return;
        }
        if (!json_need_string(object, gateway_key, &gateway_text))
                return;
        if (address_parse(gateway_text, gateway) < 0 || !subnet_contains(subnet, gateway))
                json_misfit(&at, "\"%s\" does not contain the gateway \"%s\"", text, gateway_text);
}

int network_parse(const json_t *document, const char *what, struct network *network, struct error *err)
{
        struct json_reader reader = { .document = what, .err = err };
        const struct json_at root = json_root(&reader, document);
        int64_t mtu = 0;
        *network = (struct network){ 0 };
        take_text(&root, "name", network->name, sizeof(network->name));
        take_text(&root, "id", network->id, sizeof(network->id));
        take_text(&root, "bridge", network->bridge, sizeof(network->bridge));
        take_text(&root, "created", network->created, sizeof(network->created));
        take_subnet(&root, "subnet", "gateway", AF_INET, &network->subnet, &network->gateway);
        take_subnet(&root, "subnet6", "gateway6", AF_INET6, &network->subnet6, &network->gateway6);
        json_get_bool(&root, "internal", &network->internal);
        json_get_i64(&root, "mtu", 0, 65535, &mtu);
        network->mtu = (unsigned)mtu;
        if (!json_failed(&root) && (!network_name_valid(network->name) || !interface_name_valid(network->bridge)))
                json_misfit(&root, "names a network or bridge in characters that are not allowed");
        if (!json_failed(&root) && !network->subnet.base.family)
                json_misfit(&root, "has no subnet");
        const struct json_at labels = json_get_object(&root, "labels");
        if (json_failed(&root))
                return json_failed(&root);
        network->labels = labels.value ? json_incref((json_t *)labels.value) : json_object();
        return network->labels ? 0 : error_memory(err);
}

json_t *network_render(const struct network *network)
{
        char subnet[ADDRESS_TEXT + 4], gateway[ADDRESS_TEXT];
        json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:i, s:O}", "name", network->name, "id",
                                   network->id, "driver", "bridge", "bridge", network->bridge, "created",
                                   network->created, "subnet", subnet_format(&network->subnet, subnet), "gateway",
                                   address_format(&network->gateway, gateway), "internal", network->internal, "mtu",
                                   (int)network->mtu, "labels", network->labels);
        if (!object || !network->subnet6.base.family)
                return object;
        json_object_set_new(object, "subnet6", json_string(subnet_format(&network->subnet6, subnet)));
        json_object_set_new(object, "gateway6", json_string(address_format(&network->gateway6, gateway)));
        return object;
}

static int load(struct networks *networks, const char *name, struct network *network, struct error *err)
{
        _cleanup_json_ json_t *document = NULL;
        char file[80];
        if (!network_name_valid(name))
                return error_set(err, -EINVAL,
                                 "\"%s\" is no name for a network: letters, digits, '_', '.' and '-', at "
                                 "most 63",
                                 name);
        snprintf(file, sizeof(file), "%s.json", name);
        int r = json_read(networks->definitions, file, &document, err);
        if (r == -ENOENT)
                return error_set(err, r, "no network %s; `onggi network ls` lists those that are there", name);
        if (r < 0)
                return error_prefix(err, "network %s in %s", name, networks->root);
        r = network_parse(document, file, network, err);
        if (!r && strcmp(network->name, name)) {
                r = error_set(err, -EBADMSG, "%s says that it is the network %s", file, network->name);
                network_clear(network);
        }
        return r;
}

int network_save(struct networks *networks, const struct network *network, struct error *err)
{
        _cleanup_json_ json_t *object = network_render(network);
        char file[80];
        if (!object)
                return error_memory(err);
        snprintf(file, sizeof(file), "%s.json", network->name);
        return json_replace(networks->definitions, file, object, true, err);
}

int network_load(struct networks *networks, const char *name, struct network *network, struct error *err)
{
        const struct network_settings settings = { .name = DEFAULT_NETWORK };
        int r = load(networks, name, network, err);
        if (r != -ENOENT || strcmp(name, DEFAULT_NETWORK))
                return r;
        r = network_design(networks, &settings, network, err);
        if (r < 0)
                return r;
        r = network_save(networks, network, err);
        if (r < 0)
                network_clear(network);
        return r;
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

static int list_names(struct networks *networks, char ***names, struct error *err)
{
        _cleanup_closedir_ DIR *folder = NULL;
        int fd = openat(networks->definitions, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || !(folder = fdopendir(fd)))
                return error_errno(err, "listing %s/networks", networks->root);
        for (struct dirent *entry; (entry = readdir(folder));) {
                if (!text_ends(entry->d_name, ".json"))
                        continue;
                entry->d_name[strlen(entry->d_name) - strlen(".json")] = '\0';
                if (network_name_valid(entry->d_name) && list_append(names, entry->d_name) < 0)
                        return error_memory(err);
        }
        if (*names)
                qsort(*names, list_length(*names), sizeof(**names), compare_names);
        return 0;
}

int network_each(struct networks *networks, network_reader reader, void *data, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = list_names(networks, &names, err);
        for (size_t i = 0; !r && names && names[i]; i++) {
                _cleanup_network_ struct network network = { 0 };
                r = load(networks, names[i], &network, err);
                if (!r)
                        r = reader(&network, data);
        }
        return r;
}

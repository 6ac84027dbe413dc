/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/machine_config.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"

#define MTU_LEAST 68 /* RFC 791, section 3.2 */
#define MTU_MOST  65535
#define PORT_MOST 0xfffffffe /* VMADDR_PORT_ANY is no port */

/* Refuses members that are not of the list, so that no setting of a newer onggi is passed over in silence. */
static int check_members(const struct json_at *object, const char *const *known)
{
        const char *key;
        json_t *value;
        if (json_failed(object) || !object->value)
                return json_failed(object);
        if (!json_is_object(object->value))
                return json_misfit(object, "must be an object");
        json_object_foreach((json_t *)object->value, key, value) {
                struct json_at member = json_get(object, key);
                if (!list_contains((char *const *)known, key))
                        return json_misfit(&member, "is not known");
        }
        return 0;
}

/* A name that can be a file's, an interface's, a tag's: printable, without a slash, and neither "." nor "..". */
static bool is_name(const char *string)
{
        if (!*string || !strcmp(string, ".") || !strcmp(string, ".."))
                return false;
        for (const char *c = string; *c; c++)
                if (!isgraph((unsigned char)*c) || *c == '/')
                        return false;
        return true;
}

static int get_name(const struct json_at *object, const char *key, char *target, size_t size)
{
        const char *string;
        if (!json_get_string(object, key, &string))
                return json_failed(object);
        struct json_at at = json_get(object, key);
        if (!is_name(string) || strlen(string) >= size)
                return json_misfit(&at, "must be a name of 1 to %zu letters without blanks or slashes", size - 1);
        text_copy(target, size, string);
        return 0;
}
#define GET_NAME(object, key, array) get_name(object, key, array, sizeof(array))

static int need(const struct json_at *object, const char *key, bool there)
{
        return json_failed(object) || there ? json_failed(object) : json_misfit(object, "needs a member %s", key);
}

/* The elements of a list, each given to `take` with its index. */
static int each(const struct json_at *root, const char *key, size_t most, size_t *count,
                int (*take)(const struct json_at *element, struct machine_config *config, size_t i),
                struct machine_config *config)
{
        struct json_at list = json_get_array(root, key);
        size_t length = json_count(&list);
        if (length > most)
                return json_misfit(&list, "has more than %zu elements", most);
        for (size_t i = 0; i < length; i++) {
                struct json_at element = json_element(&list, i);
                if (take(&element, config, i) < 0)
                        break;
                *count = i + 1;
        }
        return json_failed(root);
}

static int parse_root(const struct json_at *root, struct machine_config *config)
{
        struct json_at at = json_get_object(root, "root");
        if (!at.value)
                return need(root, "root", false);
        check_members(&at, (const char *const[]){ "disk", "folder", NULL });
        GET_NAME(&at, "disk", config->root_disk);
        GET_NAME(&at, "folder", config->root_folder);
        if (!json_failed(root) && !*config->root_disk == !*config->root_folder)
                return json_misfit(&at, "needs either a disk or a folder");
        return json_failed(root);
}

static int parse_writable(const struct json_at *root, struct machine_config *config)
{
        struct json_at at = json_get_object(root, "writable");
        if (!at.value)
                return json_failed(root);
        check_members(&at, (const char *const[]){ "disk", "memory", NULL });
        GET_NAME(&at, "disk", config->writable_disk);
        json_get_u64(&at, "memory", &config->writable_memory);
        if (!json_failed(root) && !*config->writable_disk == !config->writable_memory)
                return json_misfit(&at, "needs either a disk or a size of memory");
        return json_failed(root);
}

static int take_folder(const struct json_at *at, struct machine_config *config, size_t i)
{
        struct machine_folder *folder = &config->folders[i];
        check_members(at, (const char *const[]){ "tag", "read_only", NULL });
        GET_NAME(at, "tag", folder->tag);
        json_get_bool(at, "read_only", &folder->read_only);
        return need(at, "tag", *folder->tag);
}

static int take_file(const struct json_at *at, struct machine_config *config, size_t i)
{
        struct machine_file *file = &config->files[i];
        const char *text;
        int64_t mode = 0644;
        check_members(at, (const char *const[]){ "name", "text", "mode", NULL });
        GET_NAME(at, "name", file->name);
        json_get_i64(at, "mode", 0, 0777, &mode);
        file->mode = (unsigned)mode;
        if (need(at, "name", *file->name) < 0 || !json_need_string(at, "text", &text))
                return json_failed(at);
        if (strlen(text) > MACHINE_CONFIG_TEXT_MAX)
                return json_misfit(at, "is longer than %d bytes", MACHINE_CONFIG_TEXT_MAX);
        file->text = strdup(text);
        return file->text ? 0 : (at->reader->code = error_memory(at->reader->err));
}

static int take_address(const struct json_at *at, struct machine_address *address)
{
        const char *string = json_string_at(at);
        char text[ADDRESS_TEXT];
        uint64_t prefix;
        if (!string)
                return json_failed(at);
        const char *slash = strchr(string, '/');
        if (!slash || (size_t)(slash - string) >= sizeof(text))
                return json_misfit(at, "must be an address with its prefix, as 10.0.0.2/24");
        memcpy(text, string, (size_t)(slash - string));
        text[slash - string] = 0;
        if (address_parse(text, &address->address) < 0 || parse_u64(slash + 1, &prefix) < 0 ||
            prefix > address_length(&address->address) * 8)
                return json_misfit(at, "must be an address with its prefix, as 10.0.0.2/24");
        address->prefix = (unsigned)prefix;
        return 0;
}

static int take_interface(const struct json_at *at, struct machine_config *config, size_t i)
{
        struct machine_interface *interface = &config->interfaces[i];
        const char *mac;
        int64_t mtu = 0;
        check_members(at, (const char *const[]){ "name", "mac", "mtu", "addresses", NULL });
        GET_NAME(at, "name", interface->name);
        json_get_i64(at, "mtu", MTU_LEAST, MTU_MOST, &mtu);
        interface->mtu = (unsigned)mtu;
        if (need(at, "name", *interface->name) < 0 || !json_need_string(at, "mac", &mac))
                return json_failed(at);
        struct json_at mac_at = json_get(at, "mac"), addresses = json_get_array(at, "addresses");
        if (mac_parse(mac, interface->mac) < 0)
                return json_misfit(&mac_at, "must be an Ethernet address");
        if (json_count(&addresses) > MACHINE_CONFIG_ADDRESSES_MAX)
                return json_misfit(&addresses, "has more than %d elements", MACHINE_CONFIG_ADDRESSES_MAX);
        for (; interface->address_count < json_count(&addresses); interface->address_count++) {
                struct json_at element = json_element(&addresses, interface->address_count);
                if (take_address(&element, &interface->addresses[interface->address_count]) < 0)
                        break;
        }
        return json_failed(at);
}

static int take_route(const struct json_at *at, struct machine_config *config, size_t i)
{
        struct machine_route *route = &config->routes[i];
        const char *to, *via = NULL;
        check_members(at, (const char *const[]){ "to", "via", "interface", NULL });
        GET_NAME(at, "interface", route->interface);
        json_get_string(at, "via", &via);
        if (need(at, "interface", *route->interface) < 0 || !json_need_string(at, "to", &to))
                return json_failed(at);
        struct json_at to_at = json_get(at, "to"), via_at = json_get(at, "via");
        if (via && address_parse(via, &route->via) < 0)
                return json_misfit(&via_at, "must be an address");
        if (!strcmp(to, "default"))
                route->to = (struct subnet){ .base.family = via ? route->via.family : AF_INET };
        else if (subnet_parse(to, &route->to) < 0)
                return json_misfit(&to_at, "must be \"default\" or a network as 10.0.0.0/24");
        if (via && route->via.family != route->to.base.family)
                return json_misfit(&via_at, "must be of the same family as the network");
        return 0;
}

static void get_port(const struct json_at *object, const char *key, unsigned *port)
{
        int64_t value;
        if (json_get_i64(object, key, 1, PORT_MOST, &value))
                *port = (unsigned)value;
}

static int parse_streams(const struct json_at *root, struct machine_config *config)
{
        struct json_at at = json_get_object(root, "streams");
        if (!at.value)
                return json_failed(root);
        check_members(&at, (const char *const[]){ "input", "output", "errors", "terminal", NULL });
        get_port(&at, "input", &config->input);
        get_port(&at, "output", &config->output);
        get_port(&at, "errors", &config->errors);
        get_port(&at, "terminal", &config->terminal);
        if (!json_failed(root) && config->terminal && (config->input || config->output || config->errors))
                return json_misfit(&at, "has a terminal or other streams, not both");
        return json_failed(root);
}

static int parse_all(const struct json_at *root, struct machine_config *config)
{
        static const char *const known[] = { "version", "root",     "writable", "folders", "files", "interfaces",
                                             "routes",  "hostname", "streams",  "control", "start", NULL };
        int64_t version = 0;
        check_members(root, known);
        json_get_i64(root, "version", 1, 1, &version);
        need(root, "version", version);
        parse_root(root, config);
        parse_writable(root, config);
        each(root, "folders", MACHINE_CONFIG_LIST_MAX, &config->folder_count, take_folder, config);
        each(root, "files", MACHINE_CONFIG_LIST_MAX, &config->file_count, take_file, config);
        each(root, "interfaces", MACHINE_CONFIG_INTERFACES_MAX, &config->interface_count, take_interface, config);
        each(root, "routes", MACHINE_CONFIG_LIST_MAX, &config->route_count, take_route, config);
        GET_NAME(root, "hostname", config->hostname);
        parse_streams(root, config);
        get_port(root, "control", &config->control);
        config->start = true;
        json_get_bool(root, "start", &config->start);
        return json_failed(root);
}

int machine_config_parse(const char *data, size_t length, struct machine_config **result, struct error *err)
{
        _cleanup_json_ json_t *value = NULL;
        int r = json_parse(data, length, "machine.json", &value, err);
        if (r < 0)
                return r;
        _cleanup_(machine_config) struct machine_config *config = calloc(1, sizeof(*config));
        if (!config)
                return error_memory(err);
        struct json_reader reader = { .document = "machine.json", .err = err };
        struct json_at root = json_root(&reader, value);
        r = parse_all(&root, config);
        if (r < 0)
                return r;
        *result = TAKE_PTR(config);
        return 0;
}

void machine_config_free(struct machine_config *config)
{
        for (size_t i = 0; i < MACHINE_CONFIG_LIST_MAX; i++)
                free(config->files[i].text);
        free(config);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/describe.h"

#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "image/store.h"

static json_t *strings(char *const *list)
{
        json_t *array = json_array();
        for (; array && list && *list; list++)
                json_array_append_new(array, json_string(*list));
        return array;
}

/* "name@sha256:…" for each name. */
static json_t *digests(const struct image *image)
{
        json_t *array = json_array();
        for (char *const *name = image->names; array && name && *name; name++) {
                const char *slash = strrchr(*name, '/'), *colon = strrchr(*name, ':');
                int length = colon && (!slash || colon > slash) ? (int)(colon - *name) : (int)strlen(*name);
                json_array_append_new(array, json_sprintf("%.*s@%s", length, *name, image->digest));
        }
        return array;
}

/* A member of an object as it stands, null where there is none. */
static json_t *copy(const json_t *object, const char *key)
{
        json_t *value = json_object_get(object, key);
        return value ? json_incref(value) : json_null();
}

static json_t *text_or_null(const char *text)
{
        return text ? json_string(text) : json_null();
}

json_t *describe_image(const struct image *image)
{
        json_t *root = json_object_get(image->config, "rootfs");
        json_t *object = json_object();
        json_object_set_new(object, "Id", json_string(image->id));
        json_object_set_new(object, "RepoTags", strings(image->names));
        json_object_set_new(object, "RepoDigests", digests(image));
        json_object_set_new(object, "Created", text_or_null(image->created));
        json_object_set_new(object, "Architecture", text_or_null(image->architecture));
        json_object_set_new(object, "Os", text_or_null(image->os));
        json_object_set_new(object, "Config", copy(image->config, "config"));
        json_object_set_new(object, "Size", json_integer((json_int_t)image->size));
        json_object_set_new(object, "RootFS",
                            json_pack("{s:s, s:o}", "Type", "layers", "Layers", copy(root, "diff_ids")));
        json_object_set_new(object, "History", copy(image->config, "history"));
        json_object_set_new(object, "ManifestDigest", json_string(image->digest));
        return object;
}

static const char *member(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

static void append_subnet(json_t *configurations, const json_t *network, const char *subnet, const char *gateway)
{
        if (*member(network, subnet))
                json_array_append_new(configurations, json_pack("{s:s, s:s}", "Subnet", member(network, subnet),
                                                                "Gateway", member(network, gateway)));
}

/* An address with its prefix's length as docker writes it, "" where there is none. */
static json_t *address(const json_t *lease, const char *key, const char *prefix)
{
        if (!*member(lease, key))
                return json_string("");
        return json_sprintf("%s/%lld", member(lease, key),
                            (long long)json_integer_value(json_object_get(lease, prefix)));
}

static json_t *describe_address_management(const json_t *network)
{
        json_t *configurations = json_array();
        append_subnet(configurations, network, "subnet", "gateway");
        append_subnet(configurations, network, "subnet6", "gateway6");
        return json_pack("{s:s, s:o}", "Driver", "default", "Config", configurations);
}

static json_t *describe_members(const json_t *network)
{
        json_t *members = json_object(), *lease;
        const char *id;
        json_object_foreach(json_object_get(network, "instances"), id, lease) {
                json_t *described = json_object();
                json_object_set_new(described, "Name", copy(lease, "name"));
                json_object_set_new(described, "MacAddress", copy(lease, "mac"));
                json_object_set_new(described, "IPv4Address", address(lease, "address", "prefix"));
                json_object_set_new(described, "IPv6Address", address(lease, "address6", "prefix6"));
                json_object_set_new(members, id, described);
        }
        return members;
}

static json_t *describe_options(const json_t *network)
{
        json_t *options = json_object();
        json_int_t mtu = json_integer_value(json_object_get(network, "mtu"));
        json_object_set_new(options, "com.docker.network.bridge.name", copy(network, "bridge"));
        if (mtu)
                json_object_set_new(options, "com.docker.network.driver.mtu", json_sprintf("%lld", (long long)mtu));
        return options;
}

json_t *describe_network_as_docker(const json_t *network)
{
        json_t *object = json_object();
        json_object_set_new(object, "Name", copy(network, "name"));
        json_object_set_new(object, "Id", copy(network, "id"));
        json_object_set_new(object, "Created", copy(network, "created"));
        json_object_set_new(object, "Scope", json_string("local"));
        json_object_set_new(object, "Driver", copy(network, "driver"));
        json_object_set_new(object, "EnableIPv6", json_boolean(*member(network, "subnet6")));
        json_object_set_new(object, "IPAM", describe_address_management(network));
        json_object_set_new(object, "Internal", copy(network, "internal"));
        json_object_set_new(object, "Containers", describe_members(network));
        json_object_set_new(object, "Options", describe_options(network));
        json_object_set_new(object, "Labels", copy(network, "labels"));
        return object;
}

json_t *labels_as_text(const json_t *labels)
{
        _cleanup_text_ struct text joined = { 0 };
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)labels, key, value)
                text_printf(&joined, "%s%s=%s", joined.length ? "," : "", key, json_string_value(value));
        return json_string(joined.data ? joined.data : "");
}

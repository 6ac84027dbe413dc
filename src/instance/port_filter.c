/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/port_filter.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/json.h"
#include "base/text.h"

int port_filter_parse(const char *text, struct port_filter *filter)
{
        char number[16];
        size_t length = strcspn(text, "/");
        filter->protocol = text[length] ? text + length + 1 : "tcp";
        if (length >= sizeof(number))
                return -EINVAL;
        snprintf(number, sizeof(number), "%.*s", (int)length, text);
        char *last = strchr(number, '-');
        if (last)
                *last++ = 0;
        if (parse_u64(number, &filter->first) < 0 || parse_u64(last ? last : number, &filter->last) < 0)
                return -EINVAL;
        return filter->first && filter->first <= filter->last && filter->last <= UINT16_MAX ? 0 : -EINVAL;
}

static bool meet(const struct port_filter *a, const struct port_filter *b)
{
        return a->first <= b->last && b->first <= a->last && !strcasecmp(a->protocol, b->protocol);
}

static bool any_port(const struct port_filter *filter, struct instance *instance, bool on_the_host)
{
        json_t *list = NULL, *port;
        size_t i;
        bool found = false;
        if (instance_ports(instance, &list, NULL) < 0)
                return false;
        _cleanup_json_ json_t *ports = list;
        json_array_foreach(ports, i, port) {
                struct port_filter own;
                const char *inside = json_string_value(json_object_get(port, "container"));
                if (!inside || port_filter_parse(inside, &own) < 0)
                        continue;
                if (on_the_host)
                        own.first = own.last = (uint64_t)json_integer_value(json_object_get(port, "host"));
                found |= meet(filter, &own);
        }
        return found;
}

bool port_filter_fits_published(const struct port_filter *filter, struct instance *instance)
{
        return any_port(filter, instance, true);
}

bool port_filter_fits_exposed(const struct port_filter *filter, struct instance *instance,
                              const struct instance_settings *settings)
{
        bool found = any_port(filter, instance, false);
        struct port_filter own;
        for (char *const *text = settings->expose; !found && text && *text; text++)
                found = !port_filter_parse(*text, &own) && meet(filter, &own);
        return found;
}

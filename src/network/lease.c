/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/lease.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

#define LEASES_BYTES_MAX ((size_t)64 * 1024 * 1024)

enum field { INSTANCE, ADDRESS, ADDRESS6, MAC, VETH, HOSTS_FILE, NAMES, EXTRA_HOSTS, PORTS, FIELD_COUNT };

void leases_clear(struct leases *leases)
{
        for (size_t i = 0; i < leases->count; i++)
                free(leases->entries[i].ports);
        free(leases->entries);
        free(leases->data);
        *leases = (struct leases){ 0 };
}

static int hexadecimal(char digit)
{
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

/* Undoes write_field() in place: the result is never longer. */
static int read_field(char *field)
{
        char *to = field;
        if (!strcmp(field, "-"))
                *field = '\0';
        for (const char *from = field; *from; from++, to++) {
                *to = *from;
                if (*from != '%')
                        continue;
                int high = hexadecimal(from[1]), low = high < 0 ? -1 : hexadecimal(from[2]);
                if (low < 0 || !(high << 4 | low))
                        return -EINVAL;
                *to = (char)(high << 4 | low);
                from += 2;
        }
        *to = '\0';
        return 0;
}

static void write_field(struct text *text, const char *field, char end)
{
        const char *start = field;
        if (!*field || !strcmp(field, "-"))
                text_append(text, *field ? "%2d" : "-");
        else
                for (; *field; field++) {
                        if ((unsigned char)*field >= ' ' && *field != '%' && *field != '\x7f')
                                continue;
                        text_append_bytes(text, start, (size_t)(field - start));
                        text_printf(text, "%%%02x", (unsigned char)*field);
                        start = field + 1;
                }
        if (field > start)
                text_append_bytes(text, start, (size_t)(field - start));
        text_append_bytes(text, &end, 1);
}

static bool instance_valid(const char *instance)
{
        size_t length = strlen(instance);
        return length && length <= 128 && instance[0] != '.' &&
               strspn(instance, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static bool interface_valid(const char *name)
{
        size_t length = strlen(name);
        return length && length <= 15 &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static int read_ports(char *text, struct lease *lease)
{
        size_t room = 1;
        for (const char *at = text; *at; at++)
                room += *at == ';';
        if (!*text)
                return 0;
        lease->ports = calloc(room, sizeof(*lease->ports));
        if (!lease->ports)
                return -ENOMEM;
        for (char *port; (port = strsep(&text, ";"));)
                if (published_port_read(port, &lease->ports[lease->port_count++]) < 0)
                        return -EINVAL;
        return 0;
}

static int read_lease(char *line, struct lease *lease)
{
        char *fields[FIELD_COUNT];
        for (size_t i = 0; i < FIELD_COUNT; i++) {
                fields[i] = strsep(&line, "\t");
                if (!fields[i] || read_field(fields[i]) < 0)
                        return -EINVAL;
        }
        lease->instance = fields[INSTANCE];
        lease->veth = fields[VETH];
        lease->hosts_file = fields[HOSTS_FILE];
        lease->names = fields[NAMES];
        lease->extra_hosts = fields[EXTRA_HOSTS];
        if (line || !instance_valid(lease->instance) || !interface_valid(lease->veth) ||
            mac_parse(fields[MAC], lease->mac) < 0)
                return -EINVAL;
        if (address_parse(fields[ADDRESS], &lease->address) < 0 || lease->address.family != AF_INET)
                return -EINVAL;
        if (*fields[ADDRESS6] &&
            (address_parse(fields[ADDRESS6], &lease->address6) < 0 || lease->address6.family != AF_INET6))
                return -EINVAL;
        return read_ports(fields[PORTS], lease);
}

static size_t count_lines(const char *data)
{
        size_t lines = 1;
        while ((data = strchr(data, '\n'))) {
                lines++;
                data++;
        }
        return lines;
}

int leases_parse(char *data, const char *what, struct leases *leases, struct error *err)
{
        char *rest = data, *line = strsep(&rest, "\n");
        *leases = (struct leases){ .data = data };
        leases->entries = calloc(rest ? count_lines(rest) : 1, sizeof(*leases->entries));
        if (!leases->entries) {
                leases_clear(leases);
                return error_memory(err);
        }
        int r = text_starts(line, "next ") && rest ? parse_u64(line + strlen("next "), &leases->next) : -EINVAL;
        while (!r && (line = strsep(&rest, "\n")) && *line)
                r = read_lease(line, &leases->entries[leases->count++]);
        if (!r && (!line || rest))
                r = -EINVAL;
        if (r < 0) {
                error_set(err, r == -ENOMEM ? r : -EBADMSG,
                          "%s: line %zu is not a lease; stop the network's instances and "
                          "remove the file",
                          what, leases->count + 1);
                leases_clear(leases);
                return r == -ENOMEM ? r : -EBADMSG;
        }
        return 0;
}

static void write_lease(struct text *text, const struct lease *lease)
{
        char address[ADDRESS_TEXT], mac[MAC_TEXT];
        write_field(text, lease->instance, '\t');
        write_field(text, address_format(&lease->address, address), '\t');
        write_field(text, address_format(&lease->address6, address), '\t');
        write_field(text, mac_format(lease->mac, mac), '\t');
        write_field(text, lease->veth, '\t');
        write_field(text, lease->hosts_file, '\t');
        write_field(text, lease->names, '\t');
        write_field(text, lease->extra_hosts, '\t');
        for (size_t i = 0; i < lease->port_count; i++) {
                text_append(text, i ? ";" : "");
                published_port_write(&lease->ports[i], text);
        }
        text_append(text, lease->port_count ? "\n" : "-\n");
}

char *leases_render(const struct leases *leases)
{
        _cleanup_text_ struct text text = { 0 };
        text_printf(&text, "next %" PRIu64 "\n", leases->next);
        for (size_t i = 0; i < leases->count; i++)
                write_lease(&text, &leases->entries[i]);
        return text_take(&text);
}

#define SUFFIX ".leases"

int leases_load(struct networks *networks, const char *network, struct leases *leases, struct error *err)
{
        char file[80];
        char *data = NULL;
        struct error reason = { 0 };
        *leases = (struct leases){ 0 };
        snprintf(file, sizeof(file), "%s" SUFFIX, network);
        int r = file_read(networks->leases, file, LEASES_BYTES_MAX, &data, NULL, &reason);
        if (r == -ENOENT)
                return 0;
        if (r < 0)
                return error_set(err, r, "leases of the network %s: %s", network, reason.text);
        return leases_parse(data, file, leases, err);
}

int leases_save(struct networks *networks, const char *network, const struct leases *leases, struct error *err)
{
        char file[80];
        snprintf(file, sizeof(file), "%s" SUFFIX, network);
        _cleanup_free_ char *data = leases_render(leases);
        if (!data)
                return error_memory(err);
        return file_replace_volatile(networks->leases, file, data, strlen(data), 0600, err);
}

int leases_drop(struct networks *networks, const char *network, struct error *err)
{
        char file[80];
        snprintf(file, sizeof(file), "%s" SUFFIX, network);
        if (unlinkat(networks->leases, file, 0) < 0 && errno != ENOENT)
                return error_errno(err, "removing the leases of the network %s", network);
        return 0;
}

const char *lease_name(const struct lease *lease, char text[static LEASE_NAME])
{
        if (*lease->names)
                snprintf(text, LEASE_NAME, "%.*s", (int)strcspn(lease->names, " "), lease->names);
        else
                snprintf(text, LEASE_NAME, "%.12s", lease->instance);
        return text;
}

struct lease *leases_find(const struct leases *leases, const char *instance)
{
        for (size_t i = 0; i < leases->count; i++)
                if (!strcmp(leases->entries[i].instance, instance))
                        return &leases->entries[i];
        return NULL;
}

int leases_add(struct leases *leases, const struct lease *lease, struct error *err)
{
        struct lease *larger = reallocarray(leases->entries, leases->count + 1, sizeof(*larger));
        if (!larger)
                return error_memory(err);
        leases->entries = larger;
        leases->entries[leases->count++] = *lease;
        return 0;
}

void leases_remove(struct leases *leases, struct lease *lease)
{
        size_t i = (size_t)(lease - leases->entries);
        free(lease->ports);
        memmove(lease, lease + 1, (leases->count - i - 1) * sizeof(*lease));
        leases->count--;
}

static bool is_gateway(const struct network *network, const struct address *address)
{
        return address_equal(address, &network->gateway) || address_equal(address, &network->gateway6);
}

static const struct lease *holder(const struct leases *leases, const struct address *address)
{
        for (size_t i = 0; i < leases->count; i++)
                if (address_equal(address, &leases->entries[i].address) ||
                    address_equal(address, &leases->entries[i].address6))
                        return &leases->entries[i];
        return NULL;
}

static int check_address(const struct leases *leases, const struct network *network, const struct subnet *subnet,
                         const struct address *address, struct error *err)
{
        char text[ADDRESS_TEXT], subnet_text[ADDRESS_TEXT + 4], name[LEASE_NAME];
        uint64_t number = subnet_number(subnet, address);
        address_format(address, text);
        if (!subnet_contains(subnet, address) || !number || number > subnet_last_host(subnet))
                return error_set(err, -EINVAL, "the address %s is not one of a host in the subnet %s of the network %s",
                                 text, subnet->base.family ? subnet_format(subnet, subnet_text) : "(none)",
                                 network->name);
        bool gateway = is_gateway(network, address);
        const struct lease *owner = holder(leases, address);
        if (gateway || owner)
                return error_set(err, -EADDRINUSE, "the address %s of the network %s is in use by %s", text,
                                 network->name, gateway ? "the gateway" : lease_name(owner, name));
        return 0;
}

static int choose_address(const struct leases *leases, const struct network *network, const struct subnet *subnet,
                          uint64_t wanted, struct address *address, struct error *err)
{
        char text[ADDRESS_TEXT + 4];
        uint64_t last = subnet_last_host(subnet);
        /* One more candidate than there are owners is enough. */
        for (uint64_t i = 0; i < leases->count + 2 && i < last; i++) {
                *address = subnet_host(subnet, (wanted - 1 + i) % last + 1);
                if (!is_gateway(network, address) && !holder(leases, address))
                        return 0;
        }
        return error_set(err, -EADDRNOTAVAIL, "the network %s has no free address left in %s", network->name,
                         subnet_format(subnet, text));
}

int leases_assign(struct leases *leases, const struct network *network, struct lease *lease, struct error *err)
{
        int r;
        if (lease->address.family) {
                r = check_address(leases, network, &network->subnet, &lease->address, err);
        } else {
                r = choose_address(leases, network, &network->subnet, leases->next ? leases->next : 1, &lease->address,
                                   err);
                if (!r)
                        leases->next = subnet_number(&network->subnet, &lease->address) + 1;
        }
        if (r < 0)
                return r;
        if (lease->address6.family)
                return check_address(leases, network, &network->subnet6, &lease->address6, err);
        if (!network->subnet6.base.family)
                return 0;
        /* The same number in both families where that is free: easier for whoever reads logs. */
        return choose_address(leases, network, &network->subnet6, subnet_number(&network->subnet, &lease->address),
                              &lease->address6, err);
}

static int compare_names(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int leases_networks(struct networks *networks, char ***names, struct error *err)
{
        _cleanup_closedir_ DIR *folder = NULL;
        int fd = openat(networks->leases, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0 || !(folder = fdopendir(fd)))
                return error_errno(err, "listing %s/networks", networks->state);
        for (struct dirent *entry; (entry = readdir(folder));) {
                if (!text_ends(entry->d_name, SUFFIX))
                        continue;
                entry->d_name[strlen(entry->d_name) - strlen(SUFFIX)] = '\0';
                if (network_name_valid(entry->d_name) && list_append(names, entry->d_name) < 0)
                        return error_memory(err);
        }
        if (*names)
                qsort(*names, list_length(*names), sizeof(**names), compare_names);
        return 0;
}

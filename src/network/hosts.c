/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/file.h"

static const char fixed_lines[] = "127.0.0.1\tlocalhost\n"
                                  "::1\tlocalhost ip6-localhost ip6-loopback\n"
                                  "fe00::0\tip6-localnet\n"
                                  "ff00::0\tip6-mcastprefix\n"
                                  "ff02::1\tip6-allnodes\n"
                                  "ff02::2\tip6-allrouters\n";

bool hosts_name_valid(const char *name)
{
        size_t length = strlen(name);
        return length && length <= 253 &&
               strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

int hosts_extra_check(const char *line, struct error *err)
{
        struct address address;
        const char *colon = strchr(line, ':');
        char name[256];
        if (!colon || colon == line || (size_t)(colon - line) >= sizeof(name))
                return error_set(err, -EINVAL, "\"%s\" is not of the form name:address", line);
        memcpy(name, line, (size_t)(colon - line));
        name[colon - line] = '\0';
        if (!hosts_name_valid(name))
                return error_set(err, -EINVAL, "\"%s\" is not a host name", name);
        if (strcmp(colon + 1, "host-gateway") && address_parse(colon + 1, &address) < 0)
                return error_set(err, -EINVAL, "\"%s\" is neither an IP address nor host-gateway", colon + 1);
        return 0;
}

/* `extra` is "name:address name:address …". */
static void append_extra(struct text *text, const char *extra, const struct address *gateway)
{
        char gateway_text[ADDRESS_TEXT];
        while (*extra) {
                size_t length = strcspn(extra, " "), name = strcspn(extra, ": ");
                if (name < length) {
                        const char *address = extra + name + 1;
                        int address_length = (int)(length - name - 1);
                        if (!strncmp(address, "host-gateway", length - name - 1)) {
                                address = address_format(gateway, gateway_text);
                                address_length = (int)strlen(address);
                        }
                        text_printf(text, "%.*s\t%.*s\n", address_length, address, (int)name, extra);
                }
                extra += length + (extra[length] == ' ');
        }
}

static void append_lease(struct text *text, const struct address *address, const char *names)
{
        char address_text[ADDRESS_TEXT];
        if (!address->family || !*names)
                return;
        text_append(text, address_format(address, address_text));
        text_append_bytes(text, "\t", 1);
        text_append(text, names);
        text_append_bytes(text, "\n", 1);
}

char *hosts_block(const struct leases *leases)
{
        _cleanup_text_ struct text text = { 0 };
        for (size_t i = 0; i < leases->count; i++) {
                append_lease(&text, &leases->entries[i].address, leases->entries[i].names);
                append_lease(&text, &leases->entries[i].address6, leases->entries[i].names);
        }
        return text_take(&text);
}

/* A network as far as hosts files need it. */
struct view {
        const struct leases *leases;
        struct leases *loaded; /* what `leases` points to, unless that is the caller's */
        struct address gateway;
        char *block;
};

struct views {
        struct view *views;
        size_t count;
        size_t changed; /* index; SIZE_MAX: not among them */
};

static void views_clear(struct views *views)
{
        for (size_t i = 0; i < views->count; i++) {
                free(views->views[i].block);
                if (!views->views[i].loaded)
                        continue;
                leases_clear(views->views[i].loaded);
                free(views->views[i].loaded);
        }
        free(views->views);
}

static int add_view(struct views *views, const struct network *network, const struct leases *leases,
                    struct leases *loaded, struct error *err)
{
        struct view *view = &views->views[views->count++];
        *view = (struct view){ leases, loaded, network->gateway, hosts_block(leases) };
        return view->block ? 0 : error_memory(err);
}

static int load_view(struct networks *networks, const char *name, struct views *views, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        /* Leases of a network whose definition is gone are for network_repair(). */
        if (network_load(networks, name, &network, NULL) < 0)
                return 0;
        struct leases *leases = calloc(1, sizeof(*leases));
        if (!leases)
                return error_memory(err);
        int r = leases_load(networks, name, leases, err);
        if (r < 0) {
                free(leases);
                return r;
        }
        return add_view(views, &network, leases, leases, err);
}

/* All networks that have leases, in the order of their names; views->changed is the one that changes. */
static int load_views(struct networks *networks, const struct network *network, const struct leases *leases,
                      struct views *views, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = leases_networks(networks, &names, err);
        if (r < 0)
                return r;
        views->views = calloc(list_length(names) + 1, sizeof(*views->views));
        if (!views->views)
                return error_memory(err);
        for (size_t i = 0; !r && names && names[i]; i++) {
                if (strcmp(names[i], network->name)) {
                        r = load_view(networks, names[i], views, err);
                } else {
                        views->changed = views->count;
                        r = add_view(views, network, leases, NULL, err);
                }
        }
        return r;
}

/* What is known of a file: its first `kept` bytes are as they should be if its size is `length`. */
struct known {
        size_t kept;
        size_t length;
};

static int write_file(const char *path, const struct text *content, const struct known *known, bool make,
                      struct error *err)
{
        struct stat status;
        _cleanup_close_ int fd = open(path, O_WRONLY | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK,
                                      0644);
        if (fd < 0 || fstat(fd, &status) < 0)
                return error_errno(err, "the hosts file %s", path);
        if (!S_ISREG(status.st_mode))
                return error_set(err, -EINVAL, "the hosts file %s is not a regular file", path);
        size_t from = (size_t)status.st_size == known->length ? known->kept : 0;
        if (lseek(fd, (off_t)from, SEEK_SET) < 0)
                return error_errno(err, "the hosts file %s", path);
        int r = write_all(fd, content->data + from, content->length - from);
        if (!r && (size_t)status.st_size > content->length && ftruncate(fd, (off_t)content->length) < 0)
                r = -errno;
        return r < 0 ? error_code(err, r, "writing the hosts file %s", path) : 0;
}

static size_t common_prefix(const char *a, const char *b)
{
        size_t n = 0;
        while (a[n] && a[n] == b[n])
                n++;
        return n;
}

/* What the files have in common. */
struct change {
        const struct views *views;
        const char *before; /* the changing network's block, as it was */
        size_t kept;
};

/* The fixed lines, the instance's own extra hosts, then the lines of all on its networks. */
static void compose(const struct lease *lease, const struct change *change, struct text *text, struct known *known)
{
        const struct views *views = change->views;
        size_t blocks = 0;
        text_append(text, fixed_lines);
        append_extra(text, lease->extra_hosts, &views->views[views->changed].gateway);
        size_t head = text->length;
        for (size_t i = 0; i < views->count; i++) {
                if (i != views->changed && !leases_find(views->views[i].leases, lease->instance))
                        continue;
                text_append(text, views->views[i].block);
                blocks++;
        }
        *known = (struct known){ 0 };
        if (blocks == 1 && change->before)
                *known = (struct known){ head + change->kept, head + strlen(change->before) };
}

static int update_file(const struct lease *lease, const struct change *change, bool own, struct error *err)
{
        _cleanup_text_ struct text content = { 0 };
        struct known known;
        compose(lease, change, &content, &known);
        if (text_failed(&content))
                return error_memory(err);
        return write_file(lease->hosts_file, &content, &known, own, err);
}

int hosts_update(struct networks *networks, const struct network *network, const struct leases *leases,
                 const char *before, const char *instance, struct error *err)
{
        __attribute__((cleanup(views_clear))) struct views views = { .changed = SIZE_MAX };
        int result = load_views(networks, network, leases, &views, err);
        if (result < 0 || views.changed == SIZE_MAX)
                return result;
        const struct change change = { &views, before,
                                       before ? common_prefix(before, views.views[views.changed].block) : 0 };
        for (size_t i = 0; i < leases->count; i++) {
                const struct lease *lease = &leases->entries[i];
                bool own = instance && !strcmp(lease->instance, instance);
                if (!*lease->hosts_file)
                        continue;
                int r = update_file(lease, &change, own, own ? err : NULL);
                if (own)
                        result = r;
        }
        return result;
}

int hosts_reset(const char *path, const char *extra_hosts, struct error *err)
{
        static const struct address no_gateway;
        _cleanup_text_ struct text content = { 0 };
        text_append(&content, fixed_lines);
        append_extra(&content, extra_hosts, &no_gateway);
        return text_failed(&content) ? error_memory(err) : write_file(path, &content, &(struct known){ 0 }, false, err);
}

int hosts_write_alone(const char *path, const struct lease *lease, const struct address *gateway, struct error *err)
{
        _cleanup_text_ struct text content = { 0 };
        text_append(&content, fixed_lines);
        append_extra(&content, lease->extra_hosts, gateway);
        append_lease(&content, &lease->address, lease->names);
        return text_failed(&content) ? error_memory(err) : write_file(path, &content, &(struct known){ 0 }, true, err);
}

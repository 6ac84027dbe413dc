/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "instance/network_setting.h"
#include "instance/start.h"

#define RESOLV_BYTES_MAX 65536

static int write_file(struct start *start, const char *name, struct text *text, struct error *err)
{
        if (text_failed(text))
                return error_memory(err);
        _cleanup_close_ int fd =
                openat(start->run_folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
        if (fd < 0 || fchmod(fd, 0644) < 0)
                return error_errno(err, "cannot create %s/%s", start->run_path, name);
        int r = write_all(fd, text->data ? text->data : "", text->length);
        return r < 0 ? error_code(err, r, "cannot write %s/%s", start->run_path, name) : 0;
}

/* A resolver on the host's loopback is out of reach from another network namespace. */
static bool is_loopback_server(const char *line)
{
        if (!text_starts(line, "nameserver"))
                return false;
        const char *address = line + strlen("nameserver");
        address += strspn(address, " \t");
        return text_starts(address, "127.") || text_equal(address, "::1");
}

static void copy_host_lines(struct text *out, char *data, bool own_network, bool servers, bool *any_server)
{
        char *rest = data, *line;
        while ((line = strsep(&rest, "\n"))) {
                bool server = text_starts(line, "nameserver");
                if (!*line || (server && !servers) || (own_network && is_loopback_server(line)))
                        continue;
                *any_server |= server;
                text_printf(out, "%s\n", line);
        }
}

static int read_host_file(char **data, struct error *err)
{
        int r = file_read(AT_FDCWD, "/etc/resolv.conf", RESOLV_BYTES_MAX, data, NULL, err);
        if (r == -ENOENT && (*data = strdup("")))
                return 0;
        /* systemd-resolved: its stub listens on the loopback; what it asks itself stands elsewhere. */
        if (!r && strstr(*data, "127.0.0.53")) {
                char *real;
                if (!file_read(AT_FDCWD, "/run/systemd/resolve/resolv.conf", RESOLV_BYTES_MAX, &real, NULL, NULL)) {
                        free(*data);
                        *data = real;
                }
        }
        return r;
}

static int write_resolv(struct start *start, struct error *err)
{
        const struct instance_settings *settings = &start->settings;
        char *host_data = NULL;
        int r = read_host_file(&host_data, err);
        _cleanup_free_ char *data = host_data;
        if (r < 0)
                return r;
        bool own_network = network_settings_kind(settings) != NETWORK_HOST, any_server = list_length(settings->dns);
        _cleanup_text_ struct text out = { 0 };
        for (char *const *server = settings->dns; server && *server; server++)
                text_printf(&out, "nameserver %s\n", *server);
        for (char *const *option = settings->dns_options; option && *option; option++)
                text_printf(&out, "options %s\n", *option);
        for (char *const *domain = settings->dns_search; domain && *domain; domain++)
                text_printf(&out, domain == settings->dns_search ? "search %s" : " %s", *domain);
        if (settings->dns_search)
                text_append(&out, "\n");
        copy_host_lines(&out, data, own_network, !any_server, &any_server);
        /* Docker's last resort, where the host has only resolvers that cannot be reached. */
        if (!any_server && network_settings_kind(settings) == NETWORK_BRIDGED)
                text_append(&out, "nameserver 8.8.8.8\nnameserver 8.8.4.4\n");
        return write_file(start, "resolv.conf", &out, err);
}

static int write_hosts(struct start *start, struct error *err)
{
        _cleanup_text_ struct text out = { 0 };
        text_append(
                &out,
                "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"
                "fe00::0\tip6-localnet\nff00::0\tip6-mcastprefix\nff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n");
        for (char *const *extra = start->settings.extra_hosts; extra && *extra; extra++) {
                struct host_entry entry;
                int r = host_entry_parse(*extra, &entry, err);
                if (r < 0)
                        return r;
                bool gateway = text_equal(entry.address, "host-gateway");
                text_printf(&out, "%s\t%s\n", gateway ? "127.0.0.1" : entry.address, entry.name);
        }
        return write_file(start, "hosts", &out, err);
}

/* Its own root may change them, as in any container. */
static int give_away(struct start *start, struct error *err)
{
        static const char *const names[] = { "hosts", "hostname", "resolv.conf" };
        uint32_t owner = 0;
        if (!start->id_count || id_map_host(start->ids, start->id_count, 0, &owner) < 0)
                return 0;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++)
                if (fchownat(start->run_folder, names[i], owner, owner, AT_SYMLINK_NOFOLLOW) < 0)
                        return error_errno(err, "cannot give %s/%s to the instance's root", start->run_path, names[i]);
        return 0;
}

int start_files(struct start *start, struct error *err)
{
        _cleanup_text_ struct text name = { 0 };
        text_printf(&name, "%s\n", start->hostname);
        int r = write_file(start, "hostname", &name, err);
        if (!r)
                r = write_resolv(start, err);
        /* That of an instance on a network was written when it was attached. */
        if (!r && faccessat(start->run_folder, "hosts", F_OK, 0) < 0)
                r = write_hosts(start, err);
        return r < 0 ? r : give_away(start, err);
}

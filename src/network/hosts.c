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

void hosts_head(const char *extra_hosts, const struct address *gateway, struct text *text)
{
        text_append(text, fixed_lines);
        append_extra(text, extra_hosts, gateway);
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

static int write_at(int fd, const char *data, size_t length, size_t at)
{
        while (length) {
                ssize_t n = pwrite(fd, data, length, (off_t)at);
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n < 0)
                        continue;
                data += n;
                at += (size_t)n;
                length -= (size_t)n;
        }
        return 0;
}

/* A file whose size is as it was left has also the bytes that were left: only the rest is written. */
static size_t first_change(const struct hosts_content *content, off_t size)
{
        if (!content->kept || (size_t)size != content->head.length + content->before_length)
                return 0;
        return content->head.length + content->kept;
}

static int write_rest(int fd, const struct hosts_content *content, size_t from)
{
        if (from < content->head.length) {
                int r = write_at(fd, content->head.data, content->head.length, 0);
                if (r < 0)
                        return r;
                from = content->head.length;
        }
        size_t at = from - content->head.length;
        return write_at(fd, content->block + at, content->block_length - at, from);
}

int hosts_write(const char *path, const struct hosts_content *content, bool make, struct error *err)
{
        struct stat status;
        size_t length = content->head.length + content->block_length;
        _cleanup_close_ int fd =
                open(path, O_WRONLY | (make ? O_CREAT : 0) | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0644);
        if (fd < 0 || fstat(fd, &status) < 0)
                return error_errno(err, "the hosts file %s", path);
        if (!S_ISREG(status.st_mode))
                return error_set(err, -EINVAL, "the hosts file %s is not a regular file", path);
        /* Whatever the umask: everybody in the instance reads it. */
        if (make && (status.st_mode & 0777) != 0644 && fchmod(fd, 0644) < 0)
                return error_errno(err, "the mode of the hosts file %s", path);
        int r = write_rest(fd, content, first_change(content, status.st_size));
        if (!r && (size_t)status.st_size > length && ftruncate(fd, (off_t)length) < 0)
                r = -errno;
        return r < 0 ? error_code(err, r, "writing the hosts file %s", path) : 0;
}

int hosts_reset(const char *path, const char *extra_hosts, struct error *err)
{
        static const struct address no_gateway;
        struct hosts_content content = { 0 };
        hosts_head(extra_hosts, &no_gateway, &content.head);
        int r = text_failed(&content.head) ? error_memory(err) : hosts_write(path, &content, false, err);
        text_free(&content.head);
        return r;
}

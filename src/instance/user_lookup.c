/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/user_lookup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

#define FILE_BYTES_MAX (1024 * 1024)
#define GROUPS_MAX     1024

/* The content of a regular file beneath root; "" where there is none. */
static int read_image_file(int root, const char *name, char **data, struct error *err)
{
        /* O_NONBLOCK: a named pipe must not hold us up. */
        _cleanup_close_ int fd = open_in_root(root, name, O_RDONLY | O_NONBLOCK, 0, NULL);
        struct stat st;
        if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP) {
                *data = strdup("");
                return *data ? 0 : error_memory(err);
        }
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_code(err, fd < 0 ? fd : -errno, "cannot open %s of the image", name);
        if (!S_ISREG(st.st_mode))
                return error_set(err, -EINVAL, "%s of the image is not a regular file", name);
        return file_read_fd(fd, name, FILE_BYTES_MAX, data, NULL, err);
}

/* Cuts a line at its colons. Returns whether it has exactly `count` fields (more make the last one longer). */
static bool cut(char *line, char **fields, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                fields[i] = line;
                line = strchr(line, ':');
                if (i + 1 == count)
                        break;
                if (!line)
                        return false;
                *line++ = 0;
        }
        return true;
}

static bool parse_id(const char *text, uint32_t *id)
{
        uint64_t number;
        /* 2^32-1 is "no change" to the system calls, so no id. */
        if (parse_u64(text, &number) < 0 || number >= UINT32_MAX)
                return false;
        *id = (uint32_t)number;
        return true;
}

static int find_user(char *passwd, const char *user, struct identity *identity, char **name, struct error *err)
{
        uint32_t wanted = 0, uid, gid;
        bool by_number = parse_id(user, &wanted);
        char *rest = passwd, *line;
        while ((line = strsep(&rest, "\n"))) {
                char *fields[7];
                if (!cut(line, fields, 7) || !parse_id(fields[2], &uid) || !parse_id(fields[3], &gid))
                        continue;
                if (by_number ? uid != wanted : !text_equal(fields[0], user))
                        continue;
                fields[5][strcspn(fields[5], ":")] = 0;
                identity->uid = uid;
                identity->gid = gid;
                identity->home = strdup(fields[5][0] == '/' ? fields[5] : "/");
                *name = strdup(fields[0]);
                return identity->home && *name ? 0 : error_memory(err);
        }
        if (!by_number)
                return error_set(err, -ENOENT, "the image has no user \"%s\" in /etc/passwd", user);
        identity->uid = wanted;
        identity->gid = 0;
        identity->home = strdup("/");
        return identity->home ? 0 : error_memory(err);
}

static int add_group(struct identity *identity, gid_t gid, struct error *err)
{
        for (size_t i = 0; i < identity->count; i++)
                if (identity->groups[i] == gid)
                        return 0;
        if (identity->count == GROUPS_MAX)
                return error_set(err, -EINVAL, "a user of the image is in more than %d groups", GROUPS_MAX);
        gid_t *grown = reallocarray(identity->groups, identity->count + 1, sizeof(*grown));
        if (!grown)
                return error_memory(err);
        identity->groups = grown;
        grown[identity->count++] = gid;
        return 0;
}

static int find_group(const char *group_file, const char *group, gid_t *gid, struct error *err)
{
        if (parse_id(group, gid))
                return 0;
        _cleanup_free_ char *copy = strdup(group_file);
        if (!copy)
                return error_memory(err);
        char *rest = copy, *line;
        while ((line = strsep(&rest, "\n"))) {
                char *fields[4];
                if (cut(line, fields, 4) && text_equal(fields[0], group) && parse_id(fields[2], gid))
                        return 0;
        }
        return error_set(err, -ENOENT, "the image has no group \"%s\" in /etc/group", group);
}

static bool lists_member(char *members, const char *name)
{
        char *rest = members, *member;
        while ((member = strsep(&rest, ",")))
                if (text_equal(member, name))
                        return true;
        return false;
}

/* The groups that /etc/group lists the user in, as login would give them. */
static int add_listed_groups(const char *group_file, const char *name, struct identity *identity, struct error *err)
{
        _cleanup_free_ char *copy = strdup(group_file);
        if (!copy)
                return error_memory(err);
        char *rest = copy, *line;
        int r = 0;
        while (!r && (line = strsep(&rest, "\n"))) {
                char *fields[4];
                uint32_t gid;
                if (cut(line, fields, 4) && parse_id(fields[2], &gid) && lists_member(fields[3], name))
                        r = add_group(identity, gid, err);
        }
        return r;
}

static int resolve(int root, char *user, char *group, char *const *groups, struct identity *identity, struct error *err)
{
        char *passwd_data = NULL, *group_data = NULL, *found_name = NULL;
        int r = read_image_file(root, "/etc/passwd", &passwd_data, err);
        _cleanup_free_ char *passwd = passwd_data;
        if (!r)
                r = read_image_file(root, "/etc/group", &group_data, err);
        _cleanup_free_ char *group_file = group_data;
        if (!r)
                r = find_user(passwd, user, identity, &found_name, err);
        _cleanup_free_ char *name = found_name;
        if (r < 0)
                return r;
        if (group)
                r = find_group(group_file, group, &identity->gid, err);
        else if (name)
                r = add_listed_groups(group_file, name, identity, err);
        for (; !r && groups && *groups; groups++) {
                gid_t gid;
                r = find_group(group_file, *groups, &gid, err);
                if (!r)
                        r = add_group(identity, gid, err);
        }
        return r;
}

int identity_resolve(int root, const char *text, char *const *groups, struct identity *identity, struct error *err)
{
        *identity = (struct identity){ 0 };
        _cleanup_free_ char *user = strdup(text && *text ? text : "0");
        if (!user)
                return error_memory(err);
        char *group = strchr(user, ':');
        if (group)
                *group++ = 0;
        int r = resolve(root, *user ? user : "0", group && *group ? group : NULL, groups, identity, err);
        if (r < 0)
                identity_free(identity);
        return r;
}

void identity_free(struct identity *identity)
{
        free(identity->groups);
        free(identity->home);
        *identity = (struct identity){ 0 };
}

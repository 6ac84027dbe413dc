/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/name.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";

bool instance_name_valid(const char *name)
{
        size_t length = strlen(name);
        if (length < 2 || length > 128 || !strchr(letters, name[0]))
                return false;
        size_t plain = strspn(name, letters);
        while (name[plain] && strchr("_.-", name[plain]))
                plain += 1 + strspn(name + plain + 1, letters);
        return !name[plain];
}

bool instance_id_valid(const char *id)
{
        return strlen(id) == 64 && strspn(id, "0123456789abcdef") == 64;
}

int instance_id_make(char id[65], struct error *err)
{
        unsigned char bytes[32];
        if (getrandom(bytes, sizeof(bytes), 0) != sizeof(bytes))
                return error_errno(err, "cannot get random bytes for an id");
        for (size_t i = 0; i < sizeof(bytes); i++)
                snprintf(id + 2 * i, 3, "%02x", bytes[i]);
        return 0;
}

int instances_open(const char *root, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/instances", root);
        _cleanup_free_ char *names = text_format("%s/instances/by-name", root);
        if (!path || !names)
                return error_memory(err);
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && !faccessat(fd, "by-name", F_OK, 0))
                return fd;
        if (fd >= 0)
                close(fd);
        _cleanup_close_ int by_name = directory_make(names, 0700, err);
        if (by_name < 0)
                return by_name;
        return directory_make(path, 0700, err);
}

int name_resolve(int instances, const char *name, char id[65])
{
        if (!instance_name_valid(name))
                return -ENOENT;
        char path[160], target[128];
        snprintf(path, sizeof(path), "by-name/%s", name);
        ssize_t length = readlinkat(instances, path, target, sizeof(target) - 1);
        if (length < 0)
                return -errno;
        target[length] = 0;
        if (!text_starts(target, "../") || !instance_id_valid(target + 3))
                return -ENOENT;
        text_copy(id, 65, target + 3);
        return 0;
}

/* Under the lock nobody else removes a link, so what was looked at is what goes. */
static int drop_if(int instances, const char *name, const char *id, bool only_if_gone, struct error *err)
{
        _cleanup_close_ int lock = lock_take(instances, "by-name/.lock", true, err);
        if (lock < 0)
                return lock;
        char now[65], path[160];
        if (name_resolve(instances, name, now) < 0)
                return 0;
        if (id && !text_equal(now, id))
                return 0;
        if (only_if_gone && !faccessat(instances, now, F_OK, AT_SYMLINK_NOFOLLOW))
                return -EEXIST;
        snprintf(path, sizeof(path), "by-name/%s", name);
        if (unlinkat(instances, path, 0) < 0 && errno != ENOENT)
                return error_errno(err, "cannot remove the name %s", name);
        return 0;
}

int name_drop(int instances, const char *name, const char *id, struct error *err)
{
        return instance_name_valid(name) ? drop_if(instances, name, id, false, err) : 0;
}

int name_take(int instances, const char *name, const char *id, struct error *err)
{
        char path[160], target[80], owner[65];
        snprintf(path, sizeof(path), "by-name/%s", name);
        snprintf(target, sizeof(target), "../%s", id);
        for (;;) {
                if (!symlinkat(target, instances, path))
                        return 0;
                if (errno != EEXIST)
                        return error_errno(err, "cannot take the name %s", name);
                int r = drop_if(instances, name, NULL, true, err);
                if (r == -EEXIST && !name_resolve(instances, name, owner))
                        return error_set(err, -EEXIST,
                                         "the name \"%s\" is in use by instance %.12s; remove it or rename it first",
                                         name, owner);
                if (r < 0 && r != -EEXIST)
                        return r;
        }
}

int name_invent(int instances, const char *id, char **name, struct error *err)
{
        static const char *const looks[] = {
                "amber",  "ashen",   "azure",  "blue",   "bronze", "celadon", "clay",   "copper", "coral",  "dappled",
                "deep",   "dusky",   "early",  "fired",  "flinty", "frosty",  "gilded", "glazed", "grand",  "green",
                "hazel",  "humble",  "indigo", "ivory",  "jade",   "late",    "little", "lucky",  "mellow", "misty",
                "mossy",  "ochre",   "olive",  "pale",   "pearly", "plain",   "quiet",  "ruddy",  "rustic", "sandy",
                "silver", "slender", "solid",  "steady", "stony",  "tall",    "tawny",  "wide",
        };
        static const char *const vessels[] = {
                "amphora", "basin",   "beaker",  "bottle", "bowl",     "caddy",  "carafe", "cask",    "chalice",
                "churn",   "crock",   "cruet",   "cup",    "decanter", "dish",   "ewer",   "firkin",  "flagon",
                "flask",   "goblet",  "gourd",   "jar",    "jug",      "kettle", "kiln",   "krater",  "ladle",
                "mug",     "pitcher", "platter", "pot",    "punnet",   "saucer", "stein",  "tankard", "teapot",
                "trough",  "tumbler", "tureen",  "urn",    "vase",     "vat",    "vial",   "wok",
        };
        for (unsigned tries = 0; tries < 64; tries++) {
                uint32_t random[3];
                if (getrandom(random, sizeof(random), 0) != sizeof(random))
                        return error_errno(err, "cannot get random bytes for a name");
                const char *look = looks[random[0] % ARRAY_SIZE(looks)],
                           *vessel = vessels[random[1] % ARRAY_SIZE(vessels)];
                _cleanup_free_ char *candidate = tries < 4 ? text_format("%s_%s", look, vessel)
                                                           : text_format("%s_%s%u", look, vessel, random[2] % 100000);
                if (!candidate)
                        return error_memory(err);
                int r = name_take(instances, candidate, id, err);
                if (r == -EEXIST)
                        continue;
                if (!r)
                        *name = TAKE_PTR(candidate);
                return r;
        }
        return error_set(err, -EEXIST, "no free name was found; give one with --name");
}

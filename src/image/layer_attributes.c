/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/layer_attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/file.h"
#include "base/text.h"

void report_refused(struct layer_report *report, const char *what, const char *entry, int code)
{
        if (!report->refused++)
                snprintf(report->first_refused, sizeof(report->first_refused), "%.100s of %.100s: %s", what, entry,
                         strerror(-code));
}

/* The ids that a user namespace has, for the error: "0-65536". */
static char *mapped_ranges(const char *map)
{
        _cleanup_free_ char *lines = NULL;
        _cleanup_text_ struct text ranges = { 0 };
        if (file_read(AT_FDCWD, map, 16384, &lines, NULL, NULL) < 0)
                return NULL;
        char *position = NULL;
        for (char *line = strtok_r(lines, "\n", &position); line; line = strtok_r(NULL, "\n", &position)) {
                unsigned inside, outside, count;
                if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && count && ranges.length < 100)
                        text_printf(&ranges, "%s%u-%u", ranges.length ? ", " : "", inside, inside + count - 1);
        }
        return text_take(&ranges);
}

static bool is_mapped(const char *map, int64_t id)
{
        _cleanup_free_ char *lines = NULL;
        if (file_read(AT_FDCWD, map, 16384, &lines, NULL, NULL) < 0)
                return true;
        char *position = NULL;
        for (char *line = strtok_r(lines, "\n", &position); line; line = strtok_r(NULL, "\n", &position)) {
                unsigned inside, outside, count;
                if (sscanf(line, "%u %u %u", &inside, &outside, &count) == 3 && id >= inside &&
                    id < (int64_t)inside + count)
                        return true;
        }
        return false;
}

/* chown(2) says only "Invalid argument": the user needs to know which number, and who gives more of them. */
static int owner_error(int64_t uid, int64_t gid, struct error *err)
{
        int code = -errno;
        bool user = !is_mapped("/proc/self/uid_map", uid);
        if (code != -EINVAL || (!user && is_mapped("/proc/self/gid_map", gid)))
                return error_code(err, code, "cannot give it to user %" PRId64 " and group %" PRId64, uid, gid);
        _cleanup_free_ char *ranges = mapped_ranges(user ? "/proc/self/uid_map" : "/proc/self/gid_map");
        return error_set(err, code,
                         "it belongs to the %s %" PRId64 ", but this user namespace has only %s; give the user a "
                         "larger range in /etc/sub%s",
                         user ? "user" : "group", user ? uid : gid, ranges ? ranges : "other ones",
                         user ? "uid" : "gid");
}

static bool must_not_be_set(const char *attribute)
{
        /* They would tell overlayfs to look elsewhere: only we say what these layers mean. */
        return text_starts(attribute, "trusted.overlay.") || text_starts(attribute, "user.overlay.");
}

static bool is_refusal(int code)
{
        return code == EPERM || code == EACCES || code == ENOTSUP || code == EINVAL || code == ERANGE;
}

static int set_extended(const char *path, struct archive_entry *entry, struct layer_report *report, struct error *err)
{
        const char *attribute;
        const void *value;
        size_t length;
        archive_entry_xattr_reset(entry);
        while (archive_entry_xattr_next(entry, &attribute, &value, &length) == ARCHIVE_OK) {
                if (must_not_be_set(attribute)) {
                        report_refused(report, attribute, archive_entry_pathname(entry), -EPERM);
                        continue;
                }
                if (!lsetxattr(path, attribute, value, length, 0))
                        continue;
                if (!is_refusal(errno))
                        return error_errno(err, "cannot set its extended attribute %.100s", attribute);
                report_refused(report, attribute, archive_entry_pathname(entry), -errno);
        }
        return 0;
}

int attributes_apply(int parent, const char *base, struct archive_entry *entry, struct layer_report *report,
                     struct error *err)
{
        int64_t uid = archive_entry_uid(entry), gid = archive_entry_gid(entry);
        if (uid < 0 || gid < 0 || uid >= UINT32_MAX || gid >= UINT32_MAX)
                return error_set(err, -EINVAL, "its owner %" PRId64 ":%" PRId64 " is out of range", uid, gid);
        if (fchownat(parent, base, (uid_t)uid, (gid_t)gid, AT_SYMLINK_NOFOLLOW) < 0)
                return owner_error(uid, gid, err);
        if (archive_entry_filetype(entry) != AE_IFLNK && fchmodat(parent, base, archive_entry_perm(entry), 0) < 0)
                return error_errno(err, "cannot set its mode");
        if (!archive_entry_xattr_count(entry))
                return 0;
        _cleanup_free_ char *path = text_format("/proc/self/fd/%d/%s", parent, base);
        return path ? set_extended(path, entry, report, err) : error_memory(err);
}

void attributes_times(struct archive_entry *entry, struct timespec times[2])
{
        times[1] =
                (struct timespec){ .tv_sec = archive_entry_mtime(entry), .tv_nsec = archive_entry_mtime_nsec(entry) };
        if (times[1].tv_nsec < 0 || times[1].tv_nsec > 999999999)
                times[1].tv_nsec = 0;
        times[0] = times[1];
}

int attributes_set_times(int parent, const char *base, struct archive_entry *entry, struct error *err)
{
        struct timespec times[2];
        attributes_times(entry, times);
        if (utimensat(parent, base, times, AT_SYMLINK_NOFOLLOW) < 0)
                return error_errno(err, "cannot set its times");
        return 0;
}

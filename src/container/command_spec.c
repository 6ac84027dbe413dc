/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "container/command.h"
#include "container/config.h"

struct options {
        const char *bundle;
        bool rootless;
};

static const struct option_spec table[] = {
        { "bundle", 'b', OPTION_STRING, offsetof(struct options, bundle), "FOLDER",
          "where to write it (default: here)" },
        { "rootless", 0, OPTION_FLAG, offsetof(struct options, rootless), NULL, "for an ordinary user" },
        { NULL },
};

static json_t *process(void)
{
        static const char *const sets[] = { "bounding", "effective", "permitted" };
        json_t *capabilities = json_object();
        for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
                json_object_set_new(capabilities, sets[i],
                                    json_pack("[s, s, s]", "CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"));
        return json_pack("{s:b, s:{s:i, s:i}, s:[s], s:[s, s], s:s, s:o, s:[{s:s, s:i, s:i}], s:b}", "terminal", 1,
                         "user", "uid", 0, "gid", 0, "args", "sh", "env",
                         "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm", "cwd", "/",
                         "capabilities", capabilities, "rlimits", "type", "RLIMIT_NOFILE", "hard", 1024, "soft", 1024,
                         "noNewPrivileges", 1);
}

static json_t *mount(const char *destination, const char *type, const char *source, const char *options)
{
        json_t *list = json_array();
        for (const char *at = options; *at; at += at[strcspn(at, ",")] ? strcspn(at, ",") + 1 : strlen(at))
                json_array_append_new(list, json_stringn(at, strcspn(at, ",")));
        return json_pack("{s:s, s:s, s:s, s:o}", "destination", destination, "type", type, "source", source, "options",
                         list);
}

static json_t *mounts(bool rootless)
{
        json_t *list = json_array();
        json_array_append_new(list, mount("/proc", "proc", "proc", "nosuid,noexec,nodev"));
        json_array_append_new(list, mount("/dev", "tmpfs", "tmpfs", "nosuid,strictatime,mode=755,size=65536k"));
        json_array_append_new(list, mount("/dev/pts", "devpts", "devpts",
                                          rootless ? "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620"
                                                   : "nosuid,noexec,newinstance,ptmxmode=0666,mode=0620,gid=5"));
        json_array_append_new(list, mount("/dev/shm", "tmpfs", "shm", "nosuid,noexec,nodev,mode=1777,size=65536k"));
        json_array_append_new(list, mount("/dev/mqueue", "mqueue", "mqueue", "nosuid,noexec,nodev"));
        if (rootless)
                json_array_append_new(list, mount("/sys", "none", "/sys", "rbind,nosuid,noexec,nodev,ro"));
        else
                json_array_append_new(list, mount("/sys", "sysfs", "sysfs", "nosuid,noexec,nodev,ro"));
        json_array_append_new(list, mount("/sys/fs/cgroup", "cgroup", "cgroup", "nosuid,noexec,nodev,relatime,ro"));
        return list;
}

static json_t *platform(bool rootless)
{
        static const char *const masked[] = { "/proc/acpi",        "/proc/asound",        "/proc/kcore",
                                              "/proc/keys",        "/proc/latency_stats", "/proc/timer_list",
                                              "/proc/timer_stats", "/proc/sched_debug",   "/sys/firmware",
                                              "/proc/scsi" };
        static const char *const fixed[] = { "/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger" };
        json_t *namespaces = json_array(), *hidden = json_array(), *readonly = json_array();
        static const char *const types[] = { "pid", "ipc", "uts", "mount", "cgroup" };
        for (size_t i = 0; i < ARRAY_SIZE(types); i++)
                json_array_append_new(namespaces, json_pack("{s:s}", "type", types[i]));
        json_array_append_new(namespaces, json_pack("{s:s}", "type", rootless ? "user" : "network"));
        for (size_t i = 0; i < ARRAY_SIZE(masked); i++)
                json_array_append_new(hidden, json_string(masked[i]));
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                json_array_append_new(readonly, json_string(fixed[i]));
        json_t *object = json_pack("{s:o, s:o, s:o}", "namespaces", namespaces, "maskedPaths", hidden, "readonlyPaths",
                                   readonly);
        if (rootless) {
                json_object_set_new(object, "uidMappings",
                                    json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)geteuid(),
                                              "size", 1));
                json_object_set_new(object, "gidMappings",
                                    json_pack("[{s:i, s:I, s:i}]", "containerID", 0, "hostID", (json_int_t)getegid(),
                                              "size", 1));
        } else {
                json_object_set_new(object, "resources",
                                    json_pack("{s:[{s:b, s:s}]}", "devices", "allow", 0, "access", "rwm"));
        }
        return object;
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        (void)global;
        struct options options = { .bundle = "." };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        _cleanup_json_ json_t *document =
                json_pack("{s:s, s:o, s:{s:s, s:b}, s:s, s:o, s:o}", "ociVersion", OCI_VERSION, "process", process(),
                          "root", "path", "rootfs", "readonly", 1, "hostname", "onggi", "mounts",
                          mounts(options.rootless), "linux", platform(options.rootless));
        _cleanup_free_ char *text = document ? json_dumps(document, JSON_INDENT(4)) : NULL;
        if (!text)
                return error_memory(err);
        _cleanup_close_ int folder = open(options.bundle, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the bundle %s", options.bundle);
        _cleanup_close_ int fd = openat(folder, "config.json", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (fd < 0)
                return error_errno(err, "cannot create %s/config.json", options.bundle);
        size_t length = strlen(text);
        text[length] = '\n';
        r = write_all(fd, text, length + 1);
        return r < 0 ? error_code(err, r, "cannot write %s/config.json", options.bundle) : 0;
}

const struct command command_spec = {
        .name = "spec",
        .operands = "",
        .help = "write a config.json to start from",
        .options = table,
        .fewest = 0,
        .most = 0,
        .run = run,
};

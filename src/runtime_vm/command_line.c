/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/command_line.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "guest/agent.h"
#include "runtime_vm/agent_link.h"
#include "runtime_vm/program_find.h"

/* Descriptors that are passed on get out of the way of 0 to 2. */
#define LEAST_PASSED 10

/* A copy of `fd` that the program gets. */
static int pass(int fd, struct error *err)
{
        int copy = fcntl(fd, F_DUPFD, LEAST_PASSED);
        return copy < 0 ? error_errno(err, "cannot pass on descriptor %d", fd) : copy;
}

static int add_passed(char ***argv, const char *option, const char *prefix, int fd, const char *suffix,
                      struct error *err)
{
        int copy = pass(fd, err);
        if (copy < 0)
                return copy;
        if (list_append(argv, option) < 0 || list_printf(argv, "%s%d%s", prefix, copy, suffix) < 0)
                return error_memory(err);
        return 0;
}

static int add_streams(const struct command_line *line, char ***argv, struct error *err)
{
        static const unsigned ports[] = { AGENT_HOST_INPUT, AGENT_HOST_OUTPUT, AGENT_HOST_ERRORS };
        char prefix[16];
        int r = 0;
        if (line->terminal >= 0) {
                snprintf(prefix, sizeof(prefix), "%u=", AGENT_HOST_TERMINAL);
                r = add_passed(argv, "--stream", prefix, line->terminal, "", err);
                return r < 0 ? r : add_passed(argv, "--window", "", line->terminal, "", err);
        }
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO && !r; fd++) {
                snprintf(prefix, sizeof(prefix), "%u=", ports[fd]);
                r = add_passed(argv, "--stream", prefix, fd, "", err);
        }
        return r;
}

static int add_devices(const struct command_line *line, char ***argv, struct error *err)
{
        const struct machine_settings *settings = line->settings;
        int failed = 0, r = 0;
        if (settings->image)
                failed |= list_append(argv, "--disk") | list_printf(argv, "%s,ro,serial=image", settings->image);
        if (settings->disk)
                failed |= list_append(argv, "--disk") | list_printf(argv, "%s,serial=writable", settings->disk);
        for (char *const *share = line->shares; share && *share; share++)
                failed |= list_append(argv, "--share") | list_append(argv, *share);
        for (size_t i = 0; i < line->wires->count && !r; i++) {
                char suffix[MAC_TEXT + 16];
                snprintf(suffix, sizeof(suffix), ",address=%s", line->wires->wires[i].mac);
                r = add_passed(argv, "--network", "fd=", line->wires->wires[i].tap, suffix, err);
        }
        return r < 0 ? r : failed ? error_memory(err) : 0;
}

static int add_all(const struct command_line *line, char ***argv, struct error *err)
{
        const struct machine_settings *settings = line->settings;
        /* The console is for the kernel's last words alone: onggi-vmm's --reason. */
        _cleanup_free_ char *append = text_format("%s console=ttyS0", settings->command_line);
        if (!append)
                return error_memory(err);
        const struct {
                const char *option, *value;
        } fixed[] = {
                { "--kernel", settings->kernel }, { "--initrd", settings->initramfs }, { "--append", append },
                { "--vsock", AGENT_LINK_SOCKET }, { "--control", AGENT_LINK_CONTROL },
        };
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                if (list_append(argv, fixed[i].option) < 0 || list_append(argv, fixed[i].value) < 0)
                        return error_memory(err);
        if (list_append(argv, "--memory") < 0 || list_printf(argv, "%llu", (unsigned long long)settings->memory) < 0 ||
            list_append(argv, "--cpus") < 0 || list_printf(argv, "%u", settings->cpus) < 0)
                return error_memory(err);
        if (settings->engine && (list_append(argv, "--engine") < 0 || list_append(argv, settings->engine) < 0))
                return error_memory(err);
        int r = add_passed(argv, "--initrd", "/proc/self/fd/", line->archive, "", err);
        if (!r)
                r = add_passed(argv, "--reason", "", line->reason, "", err);
        if (!r)
                r = add_streams(line, argv, err);
        return r < 0 ? r : add_devices(line, argv, err);
}

/* Its own standard input, output and error: the program's have other numbers by now. */
static int take_standard(const struct command_line *line, struct error *err)
{
        _cleanup_close_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        if (null < 0 || dup2(null, STDIN_FILENO) < 0 || dup2(null, STDOUT_FILENO) < 0 ||
            dup2(line->log, STDERR_FILENO) < 0)
                return error_errno(err, "cannot set up onggi-vmm's standard streams");
        return 0;
}

int command_line_execute(const struct command_line *line, struct error *err)
{
        _cleanup_list_ char **argv = NULL;
        _cleanup_free_ char *program = program_find("onggi-vmm");
        if (!program)
                return error_set(err, -ENOENT, "cannot find onggi-vmm, neither in $ONGGI_LIBEXEC nor as installed");
        descriptors_seal_from(3); /* those of --preserve-fds: no guest can have them */
        int r = list_append(&argv, "onggi-vmm") < 0 ? error_memory(err) : add_all(line, &argv, err);
        if (!r)
                r = take_standard(line, err);
        if (r < 0)
                return r;
        execv(program, argv);
        return error_errno(err, "cannot execute %s", program);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi: the program that people type. Reads the options before the command, hands over, prints the error if there is
 * one.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/command.h"
#include "cli/commands.h"
#include "cli/help.h"
#include "instance/instance.h"
#include "runtime_vm/machine_annotations.h"

static double milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* `--version` is what people try first. */
static int call(struct call *call, int argc, char **argv, struct error *err)
{
        static const struct option_spec *const tables[] = { global_option_table, NULL };
        call->failure_status = STATUS_MISUSED;
        if (argc == 2 && (!strcmp(argv[1], "--version") || !strcmp(argv[1], "-v")))
                argv[1] = "version";
        int first;
        int r = options_parse(tables, true, argc, argv, call, &first, err);
        if (r < 0)
                return error_set(err, r, "%s; see `onggi help`", err->text);
        if (r || first == argc)
                return help_all(commands, stdout);
        return command_call(call, commands, argc - first, argv + first, err);
}

int main(int argc, char **argv)
{
        double start = milliseconds();
        struct call use = { 0 };
        struct error err = { 0 };
        setenv(MACHINE_FILES_VARIABLE, "1", 1); /* the annotations of our bundles are ours */
        int r = call(&use, argc, argv, &err);
        if (r < 0)
                report(&err);
        int status = r < 0 ? use.failure_status : r;

        /* A full disk or a closed pipe is only noticed when the last bytes go out. */
        if (fflush(stdout) || ferror(stdout)) {
                error_errno(&err, "cannot write the output");
                report(&err);
                status = status ? status : STATUS_FAILED;
        }
        if (use.debug)
                fprintf(stderr, "onggi: debug: exit status %d%s%s after %.2f ms\n", status, r < 0 ? ", " : "",
                        r < 0 ? strerrorname_np(-r) : "", milliseconds() - start);
        if (use.host)
                host_close(use.host);
        return status;
}

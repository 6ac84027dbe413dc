/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-kernel: `onggi kernel import`, in a program of its own, for it links libarchive and reads what strangers
 * packed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/options.h"
#include "base/text.h"
#include "kernel/import.h"

#define EXIT_MISUSED 2

struct arguments {
        const char *root, *modules, *init, *runtime;
        bool make_default;
};

static const struct option_spec options[] = {
        { "default", 0, OPTION_FLAG, offsetof(struct arguments, make_default), NULL,
          "virtual machines start with it from now on" },
        { "modules", 0, OPTION_STRING, offsetof(struct arguments, modules), "FOLDER",
          "its modules (default: /lib/modules/RELEASE, or those in the package)" },
        { "root", 0, OPTION_STRING, offsetof(struct arguments, root), "FOLDER", NULL },
        { "init", 0, OPTION_STRING, offsetof(struct arguments, init), "FILE", NULL },
        { "runtime", 0, OPTION_STRING, offsetof(struct arguments, runtime), "FILE", NULL },
        { 0 },
};
static const struct option_spec *const tables[] = { options, NULL };

static const char usage[] = "usage: onggi kernel import [OPTIONS] [KERNEL|PACKAGE.deb]";

int main(int argc, char **argv)
{
        struct arguments arguments = { .root = "/var/lib/onggi" };
        struct error err = { 0 };
        _cleanup_free_ char *release = NULL;
        int first;
        int r = options_parse(tables, false, argc, argv, &arguments, &first, &err);
        if (r > 0) {
                printf("%s\n\nTake a kernel for virtual machines: a bzImage, an ELF kernel, a package of Debian's, or "
                       "the newest in /boot.\n\n",
                       usage);
                options_help(tables, stdout);
                return EXIT_SUCCESS;
        }
        if (r < 0 || argc - first > 1 || !arguments.init || !arguments.runtime) {
                fprintf(stderr, "onggi: kernel import: %s\n", r < 0 ? err.text : usage);
                return EXIT_MISUSED;
        }
        const struct kernel_source source = { argv[first], arguments.modules, arguments.make_default };
        const struct kernel_programs programs = { arguments.init, arguments.runtime };
        r = kernel_import(arguments.root, &source, &programs, &release, &err);
        if (!r && (puts(release) < 0 || fflush(stdout)))
                r = error_errno(&err, "cannot write to standard output");
        if (r < 0)
                fprintf(stderr, "onggi: kernel import: %s\n", err.text);
        return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program onggi-image: what reads and writes archives for `onggi`. Its process is alone with what strangers packed.
 *
 * `onggi` executes it under its own name, so that help and errors speak of the command that the user knows.
 */
#include <errno.h>
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/options.h"
#include "base/text.h"
#include "image/import.h"
#include "image/load.h"
#include "image/save.h"
#include "image/store.h"

#define EXIT_MISUSED 2

struct arguments {
        const char *root;
        char **changes;
        const char *message;
        const char *input, *output, *format;
        bool quiet;
        uint64_t max_size;
};

#define TARGET(field) offsetof(struct arguments, field)

static const struct option_spec common_options[] = {
        { "root", 0, OPTION_STRING, TARGET(root), "FOLDER",
          "the store's root (default $ONGGI_ROOT or /var/lib/onggi)" },
        { NULL },
};
static const struct option_spec limit_options[] = {
        { "max-size", 0, OPTION_SIZE, TARGET(max_size), "BYTES", "accept layers of up to this size (default 32g)" },
        { NULL },
};
static const struct option_spec import_options[] = {
        { "change", 'c', OPTION_LIST, TARGET(changes), "INSTRUCTION", "apply a Dockerfile instruction to the image" },
        { "message", 'm', OPTION_STRING, TARGET(message), "TEXT", "the comment in the image's history" },
        { NULL },
};
static const struct option_spec load_options[] = {
        { "input", 'i', OPTION_STRING, TARGET(input), "FILE",
          "read this archive or OCI layout folder, not standard input" },
        { "quiet", 'q', OPTION_FLAG, TARGET(quiet), NULL, "print nothing" },
        { NULL },
};
static const struct option_spec save_options[] = {
        { "output", 'o', OPTION_STRING, TARGET(output), "FILE",
          "write to this file or folder, not to standard output" },
        { "format", 0, OPTION_STRING, TARGET(format), "FORMAT", "docker-archive (default), oci-archive or oci-dir" },
        { NULL },
};

static struct stream_limits limits_of(const struct arguments *arguments)
{
        bool given = arguments->max_size;
        return (struct stream_limits){ .bytes = given ? arguments->max_size : STREAM_BYTES_DEFAULT,
                                       .any_ratio = given };
}

static int run_import(struct store *store, const struct arguments *arguments, char **operands, struct error *err)
{
        struct import_options options = { .changes = arguments->changes,
                                          .message = arguments->message,
                                          .limits = limits_of(arguments) };
        _cleanup_free_ char *id = NULL;
        int r = image_import(store, operands[0], operands[1], &options, &id, err);
        if (!r)
                printf("%s\n", id);
        return r;
}

static int run_load(struct store *store, const struct arguments *arguments, char **operands, struct error *err)
{
        (void)operands;
        struct load_options options = { .limits = limits_of(arguments) };
        _cleanup_list_ char **loaded = NULL;
        int r = image_load(store, arguments->input ? arguments->input : "-", &options, &loaded, err);
        for (char **line = loaded; !r && !arguments->quiet && line && *line; line++)
                printf("Loaded image: %s\n", *line);
        return r;
}

static int run_save(struct store *store, const struct arguments *arguments, char **operands, struct error *err)
{
        return image_save(store, operands, arguments->format ? arguments->format : "docker-archive", arguments->output,
                          err);
}

static int run_unpack(struct store *store, const struct arguments *arguments, char **operands, struct error *err)
{
        struct stream_limits limits = limits_of(arguments);
        return image_unpack(store, operands[0], &limits, err);
}

struct verb {
        const char *name, *operands, *help;
        const struct option_spec *const *tables;
        int least, most; /* operands; most -1: any number */
        int (*run)(struct store *store, const struct arguments *arguments, char **operands, struct error *err);
};

static const struct option_spec *const import_tables[] = { import_options, limit_options, common_options, NULL };
static const struct option_spec *const load_tables[] = { load_options, limit_options, common_options, NULL };
static const struct option_spec *const save_tables[] = { save_options, common_options, NULL };
static const struct option_spec *const unpack_tables[] = { limit_options, common_options, NULL };
static const struct option_spec *const global_tables[] = { common_options, NULL };

static const struct verb verbs[] = {
        { "import", "PATH|- [NAME[:TAG]]", "make an image of a root file system: a tar archive or a folder",
          import_tables, 1, 2, run_import },
        { "load", "", "read images from an archive or an OCI layout", load_tables, 0, 0, run_load },
        { "save", "IMAGE...", "write images to an archive or an OCI layout", save_tables, 1, -1, run_save },
        { "unpack", "IMAGE", "unpack an image's layers where they are missing", unpack_tables, 1, 1, run_unpack },
        { NULL },
};

static void print_usage(FILE *out)
{
        fprintf(out, "usage: onggi-image [--root FOLDER] VERB [OPTION...] [OPERAND...]\n\n");
        for (const struct verb *verb = verbs; verb->name; verb++)
                fprintf(out, "  %-8s %s\n", verb->name, verb->help);
}

static int print_verb(const struct verb *verb)
{
        printf("usage: %s %s [OPTION...] %s\n%s\n\n", program_invocation_short_name, verb->name, verb->operands,
               verb->help);
        options_help(verb->tables, stdout);
        return EXIT_SUCCESS;
}

static int fail(struct error *err)
{
        fprintf(stderr, "%s: %s\n", program_invocation_short_name, err->text);
        return EXIT_FAILURE;
}

static int usage_error(const char *verb, const char *what)
{
        const char *name = program_invocation_short_name, *space = verb[0] ? " " : "";
        fprintf(stderr, "%s: %s%s%s; see `%s%s%s --help`\n", name, verb, verb[0] ? ": " : "", what, name, space, verb);
        return EXIT_MISUSED;
}

static int run_verb(const struct verb *verb, int argc, char **argv, struct arguments *arguments)
{
        struct error err = { 0 };
        int first;
        int r = options_parse(verb->tables, false, argc, argv, arguments, &first, &err);
        if (r > 0)
                return print_verb(verb);
        if (r < 0)
                return usage_error(verb->name, err.text);
        int count = argc - first;
        if (count < verb->least || (verb->most >= 0 && count > verb->most))
                return usage_error(verb->name, count < verb->least ? "an operand is missing" : "too many operands");

        const char *root = arguments->root ? arguments->root : getenv("ONGGI_ROOT");
        struct store *store;
        r = store_open(root ? root : "/var/lib/onggi", &store, &err);
        if (r < 0)
                return fail(&err);
        r = verb->run(store, arguments, argv + first, &err);
        store_close(store);
        if (!r && fflush(stdout))
                r = error_errno(&err, "cannot write to standard output");
        return r < 0 ? fail(&err) : EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        /* Names in pax headers are UTF-8; libarchive hands them out in the locale's characters. */
        setlocale(LC_CTYPE, "C.UTF-8");
        struct arguments arguments = { 0 };
        struct error err = { 0 };
        int first;
        int r = options_parse(global_tables, true, argc, argv, &arguments, &first, &err);
        if (r > 0) {
                print_usage(stdout);
                return EXIT_SUCCESS;
        }
        if (r < 0)
                return usage_error("", err.text);
        if (first >= argc)
                return usage_error("", "a verb is missing");
        for (const struct verb *verb = verbs; verb->name; verb++) {
                if (!text_equal(verb->name, argv[first]))
                        continue;
                r = run_verb(verb, argc - first, argv + first, &arguments);
                list_free(arguments.changes);
                return r;
        }
        return usage_error("", "unknown verb");
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/options.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "base/text.h"

static const struct option_spec *find(const struct option_spec *const *tables, const char *name, size_t length,
                                      char letter)
{
        for (; *tables; tables++)
                for (const struct option_spec *spec = *tables; spec->name; spec++)
                        if (name ? !strncmp(spec->name, name, length) && !spec->name[length] : spec->letter == letter)
                                return spec;
        return NULL;
}

static int store(const struct option_spec *spec, void *target, const char *shown, const char *value, struct error *err)
{
        void *at = (char *)target + spec->offset;
        int r = 0;
        switch (spec->kind) {
        case OPTION_FLAG:
                if (value && strcmp(value, "true") && strcmp(value, "false"))
                        return error_set(err, -EINVAL, "option %s takes true or false, not \"%s\"", shown, value);
                *(bool *)at = !value || !strcmp(value, "true");
                return 0;
        case OPTION_STRING: *(const char **)at = value; return 0;
        case OPTION_LIST: return list_append(at, value) < 0 ? error_memory(err) : 0;
        case OPTION_NUMBER: r = parse_i64(value, at); break;
        case OPTION_SIZE:
                if (!strcmp(value, "-1"))
                        *(uint64_t *)at = UINT64_MAX;
                else
                        r = parse_size(value, at);
                break;
        case OPTION_TIME: r = parse_duration(value, at); break;
        }
        if (r == -ERANGE)
                return error_set(err, r, "option %s: \"%s\" is too large", shown, value);
        if (r < 0)
                return error_set(err, r, "option %s takes %s, not \"%s\"", shown,
                                 spec->kind == OPTION_NUMBER ? "a whole number"
                                 : spec->kind == OPTION_SIZE ? "a size such as 512m"
                                                             : "a time such as 30s",
                                 value);
        return 0;
}

static int parse_long(const struct option_spec *const *tables, char **argv, int argc, int *i, void *target,
                      struct error *err)
{
        const char *name = argv[*i] + 2, *value = strchr(name, '=');
        size_t length = value ? (size_t)(value - name) : strlen(name);
        const struct option_spec *spec = find(tables, name, length, 0);
        char shown[64];
        snprintf(shown, sizeof(shown), "--%.*s", (int)length, name);

        if (!spec)
                return !strcmp(name, "help") ? 1 : error_set(err, -EINVAL, "unknown option %s", shown);
        if (value)
                value++;
        else if (spec->kind != OPTION_FLAG) {
                if (*i + 1 >= argc)
                        return error_set(err, -EINVAL, "option %s needs a value (%s)", shown, spec->argument);
                value = argv[++*i];
        }
        return store(spec, target, shown, value, err);
}

static int parse_letters(const struct option_spec *const *tables, char **argv, int argc, int *i, void *target,
                         struct error *err)
{
        for (const char *c = argv[*i] + 1; *c; c++) {
                const struct option_spec *spec = find(tables, NULL, 0, *c);
                char shown[3] = { '-', *c };
                if (!spec)
                        return *c == 'h' ? 1 : error_set(err, -EINVAL, "unknown option %s", shown);
                if (spec->kind == OPTION_FLAG && c[1] != '=') {
                        int r = store(spec, target, shown, NULL, err);
                        if (r < 0)
                                return r;
                        continue;
                }
                const char *value = c + 1;
                if (*value == '=')
                        value++;
                else if (!*value) {
                        if (*i + 1 >= argc)
                                return error_set(err, -EINVAL, "option %s needs a value (%s)", shown, spec->argument);
                        value = argv[++*i];
                }
                return store(spec, target, shown, value, err);
        }
        return 0;
}

/* Moves argv[from..to-1] in front of argv[at..from-1]: options before the operands that were passed over. */
static void permute(char **argv, int at, int from, int to)
{
        for (int i = from; i < to; i++) {
                char *moved = argv[i];
                memmove(argv + at + 1, argv + at, (size_t)(i - at) * sizeof(*argv));
                argv[at++] = moved;
        }
}

int options_parse(const struct option_spec *const *tables, bool in_order, int argc, char **argv, void *target,
                  int *operands, struct error *err)
{
        int first = 1; /* operands passed over so far are argv[first..i-1] */
        for (int i = 1; i < argc; i++) {
                if (argv[i][0] != '-' || !argv[i][1]) {
                        if (in_order)
                                break;
                        continue;
                }
                int start = i, r;
                bool end = !strcmp(argv[i], "--");
                if (end)
                        r = 0;
                else if (argv[i][1] == '-')
                        r = parse_long(tables, argv, argc, &i, target, err);
                else
                        r = parse_letters(tables, argv, argc, &i, target, err);
                if (r)
                        return r;
                permute(argv, first, start, i + 1);
                first += i + 1 - start;
                if (end)
                        break;
        }
        *operands = first;
        return 0;
}

void options_help(const struct option_spec *const *tables, FILE *out)
{
        for (; *tables; tables++)
                for (const struct option_spec *spec = *tables; spec->name; spec++) {
                        if (!spec->help)
                                continue;
                        char shown[64];
                        snprintf(shown, sizeof(shown), "--%s%s%s", spec->name, spec->argument ? " " : "",
                                 spec->argument ? spec->argument : "");
                        if (spec->letter)
                                fprintf(out, "  -%c, %-28s %s\n", spec->letter, shown, spec->help);
                        else
                                fprintf(out, "      %-28s %s\n", shown, spec->help);
                }
}

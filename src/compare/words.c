/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "compare/comparison.h"

void comparison_name(struct comparison *comparison, char name[64])
{
        snprintf(name, 64, "onggi-compare-%d-%u", (int)getpid(), ++comparison->number);
}

static int append_all(char ***words, char *const *more)
{
        int r = 0;
        for (; !r && more && *more; more++)
                r = list_append(words, *more);
        return r;
}

int run_words(const struct comparison *comparison, const struct contestant *contestant, const char *name,
              char *const *options, char *const *command, char ***words, struct error *err)
{
        const struct compare_settings *settings = comparison->settings;
        _cleanup_free_ char *folder = text_format("%s:%s:ro", comparison->load_folder, COMPARE_FOLDER);
        char *const begin[] = { "run",
                                "--isolation",
                                (char *)contestant->vessel->name,
                                "--name",
                                (char *)name,
                                "--pull",
                                "never",
                                "--no-healthcheck",
                                "-v",
                                folder,
                                NULL };
        int r = folder ? append_all(words, begin) : -1;
        if (!r && contestant->engine)
                r = append_all(words, (char *const[]){ "--engine", (char *)contestant->engine, NULL });
        if (!r && contestant->engine && settings->kernel)
                r = append_all(words, (char *const[]){ "--kernel", (char *)settings->kernel, NULL });
        if (!r)
                r = append_all(words, options);
        if (!r)
                r = list_append(words, settings->image);
        if (!r)
                r = append_all(words, command);
        return r < 0 ? error_memory(err) : 0;
}

int load_words(const struct comparison *comparison, const struct contestant *contestant, const char *name,
               char *const *options, const char *work, char ***words, struct error *err)
{
        _cleanup_list_ char **all = NULL;
        /* As root of the image, whoever its user is: what is measured is not its files' modes. */
        if (append_all(&all, options) < 0 ||
            append_all(&all, (char *const[]){ "--user", "0", "--workdir", "/", "--entrypoint", COMPARE_LOAD, NULL }) <
                    0)
                return error_memory(err);
        return run_words(comparison, contestant, name, all, (char *const[]){ (char *)work, NULL }, words, err);
}

void remove_instance(const struct comparison *comparison, const char *name)
{
        struct instance *instance;
        if (instance_find(comparison->settings->host, name, &instance, NULL) < 0)
                return;
        instance_remove(instance, true, true, NULL);
        instance_free(instance);
}

void cell_set(json_t *cell, double value, const char *unit, const char *format, ...)
{
        va_list arguments;
        char *text = NULL;
        va_start(arguments, format);
        if (vasprintf(&text, format, arguments) < 0)
                text = NULL;
        va_end(arguments);
        json_object_set_new(cell, "value", json_real(value));
        json_object_set_new(cell, "unit", json_string(unit));
        json_object_set_new(cell, "text", json_string(text ? text : ""));
        free(text);
}

const char *duration_text(double seconds, char text[32])
{
        if (seconds >= 1)
                snprintf(text, 32, "%.2f s", seconds);
        else
                snprintf(text, 32, "%.1f ms", seconds * 1000);
        return text;
}

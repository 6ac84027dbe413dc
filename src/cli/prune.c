/* SPDX-License-Identifier: GPL-2.0-or-later */
/* prune, for instances, images, networks, volumes and all of them. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>

#include "base/human.h"
#include "base/text.h"
#include "cli/rooms.h"
#include "cli/verbs.h"
#include "instance/instance.h"
#include "instance/volume.h"

struct prune_options {
        bool force, all, volumes;
        char **filters;
};

static const struct option_spec force_option_table[] = {
        { "force", 'f', OPTION_FLAG, offsetof(struct prune_options, force), NULL, "do not ask" },
        { 0 },
};
static const struct option_spec all_option_table[] = {
        { "all", 'a', OPTION_FLAG, offsetof(struct prune_options, all), NULL,
          "those with a name, too, if nothing uses them" },
        { 0 },
};
static const struct option_spec filter_option_table[] = {
        { "filter", 0, OPTION_LIST, offsetof(struct prune_options, filters), "KEY=VALUE", "only what fits" },
        { 0 },
};
static const struct option_spec volumes_option_table[] = {
        { "volumes", 0, OPTION_FLAG, offsetof(struct prune_options, volumes), NULL, "volumes without a name, too" },
        { 0 },
};
static const struct option_spec *const instance_tables[] = { force_option_table, filter_option_table, NULL };
static const struct option_spec *const image_tables[] = { force_option_table, all_option_table, NULL };
static const struct option_spec *const network_tables[] = { force_option_table, NULL };
static const struct option_spec *const volume_tables[] = { force_option_table, all_option_table, filter_option_table,
                                                           NULL };
static const struct option_spec *const system_tables[] = { force_option_table, all_option_table, volumes_option_table,
                                                           NULL };

/* ---- One kind each: what it removed, and how many bytes that freed ---- */

typedef int prune_function(struct call *call, const struct prune_options *options, char ***removed, uint64_t *freed,
                           struct error *err);

static int prune_instances(struct call *call, const struct prune_options *options, char ***removed, uint64_t *freed,
                           struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : instance_prune(host, options->filters, removed, freed, err);
}

static int prune_images(struct call *call, const struct prune_options *options, char ***removed, uint64_t *freed,
                        struct error *err)
{
        _cleanup_store_ struct store *store = NULL;
        int r = call_store(call, &store, err);
        return r < 0 ? r : store_prune(store, options->all, freed, removed, err);
}

static int prune_networks(struct call *call, const struct prune_options *options, char ***removed, uint64_t *freed,
                          struct error *err)
{
        (void)options;
        (void)freed;
        _cleanup_networks_ struct networks *networks = NULL;
        int r = call_networks(call, &networks, err);
        return r < 0 ? r : network_prune(networks, removed, err);
}

static int prune_volumes(struct call *call, const struct prune_options *options, char ***removed, uint64_t *freed,
                         struct error *err)
{
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : volume_prune(host, options->all, options->filters, removed, freed, err);
}

/* Data with a name goes only where volumes alone were asked for: docker's rule. */
static int prune_anonymous_volumes(struct call *call, const struct prune_options *options, char ***removed,
                                   uint64_t *freed, struct error *err)
{
        (void)options;
        struct host *host;
        int r = call_host(call, &host, err);
        return r < 0 ? r : volume_prune(host, false, NULL, removed, freed, err);
}

struct kind {
        const char *name;
        const char *what; /* goes, as the question says it */
        prune_function *prune;
};

static const struct kind instances = { "Instances", "all instances that do not run", prune_instances };
static const struct kind images = { "Images", "all images that have no name, or no use with --all", prune_images };
static const struct kind networks = { "Networks", "all networks that no instance is on", prune_networks };
static const struct kind volumes = { "Volumes", "all volumes that no instance uses (those with a name only with --all)",
                                     prune_volumes };

static const struct kind anonymous_volumes = { "Volumes", "all volumes without a name that no instance uses",
                                               prune_anonymous_volumes };

/* ---- All kinds alike ---- */

/* Anything but y is a no, the end of the input too. */
static int confirm(const struct kind *const *kinds, struct error *err)
{
        fputs("This removes", stderr);
        for (const char *separator = " "; *kinds; kinds++, separator = ", ")
                fprintf(stderr, "%s%s", separator, (*kinds)->what);
        fputs(". Go on? [y/N] ", stderr);
        int answer = getchar();
        if (answer == EOF)
                putc('\n', stderr);
        if (tolower(answer) == 'y')
                return 0;
        return error_set(err, -ECANCELED, "nothing was removed; --force removes without asking");
}

static int prune(struct call *call, const struct prune_options *options, const struct kind *const *kinds,
                 struct error *err)
{
        uint64_t total = 0;
        bool takes_room = kinds[0]->prune != prune_networks || kinds[1];
        int r = options->force ? 0 : confirm(kinds, err);
        for (; !r && *kinds; kinds++) {
                _cleanup_list_ char **removed = NULL;
                uint64_t freed = 0;
                r = (*kinds)->prune(call, options, &removed, &freed, err);
                total += freed;
                if (removed && *removed)
                        printf("Deleted %s:\n", (*kinds)->name);
                for (char **name = removed; name && *name; name++)
                        printf("%s%s", *name, name[1] ? "\n" : "\n\n");
        }
        char text[HUMAN_ROOM];
        if (!r && takes_room)
                printf("Total reclaimed space: %s\n", human_size(total, text));
        return r;
}

static int prune_one(struct call *call, const void *options, const struct kind *kind, struct error *err)
{
        const struct kind *const kinds[] = { kind, NULL };
        return prune(call, options, kinds, err);
}

static int instance(struct call *call, void *target, struct error *err)
{
        return prune_one(call, target, &instances, err);
}

static int image(struct call *call, void *target, struct error *err)
{
        return prune_one(call, target, &images, err);
}

static int network(struct call *call, void *target, struct error *err)
{
        return prune_one(call, target, &networks, err);
}

static int volume(struct call *call, void *target, struct error *err)
{
        return prune_one(call, target, &volumes, err);
}

/* Instances first: what they used is then free to go. */
static int everything(struct call *call, void *target, struct error *err)
{
        static const struct kind *const kinds[] = { &instances, &networks, &images, NULL };
        static const struct kind *const kinds_with_volumes[] = { &instances, &networks, &anonymous_volumes, &images,
                                                                 NULL };
        const struct prune_options *options = target;
        return prune(call, options, options->volumes ? kinds_with_volumes : kinds, err);
}

const struct command command_instance_prune = {
        .summary = "Remove all instances that do not run",
        .usage = "",
        .options = instance_tables,
        .options_size = sizeof(struct prune_options),
        .run = instance,
};

const struct command command_image_prune = {
        .summary = "Remove images that have no name",
        .usage = "",
        .description = "Leftovers of commands that were killed go, too.",
        .options = image_tables,
        .options_size = sizeof(struct prune_options),
        .run = image,
};

const struct command command_network_prune = {
        .summary = "Remove all networks that no instance is on",
        .usage = "",
        .options = network_tables,
        .options_size = sizeof(struct prune_options),
        .run = network,
};

const struct command command_volume_prune = {
        .summary = "Remove volumes that no instance uses",
        .usage = "",
        .options = volume_tables,
        .options_size = sizeof(struct prune_options),
        .run = volume,
};

const struct command command_system_prune = {
        .summary = "Remove instances, networks and images that are not in use",
        .usage = "",
        .options = system_tables,
        .options_size = sizeof(struct prune_options),
        .run = everything,
};

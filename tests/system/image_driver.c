/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Calls the image store's functions from a command line, one a run, for tests that are about the store and not about
 * the commands above it: image_driver ROOT find|list|tag|untag|untag-force|pin|unpin|prune|prune-all|erofs|disk
 * [ARGUMENT…]
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "image/erofs.h"
#include "image/store.h"
#include "image/writable_disk.h"

static int find(struct store *store, char **arguments, struct error *err)
{
        _cleanup_image_ struct image *image = NULL;
        int r = store_find(store, arguments[0], &image, err);
        if (r < 0)
                return r;
        printf("%s %s %llu\n", image->digest, image->id, (unsigned long long)image->size);
        for (char **layer = image->layers; layer && *layer; layer++)
                printf("%s\n", *layer);
        return 0;
}

static int list(struct store *store, char **arguments, struct error *err)
{
        (void)arguments;
        struct image **images;
        size_t count;
        int r = store_list(store, &images, &count, err);
        if (r < 0)
                return r;
        for (size_t i = 0; i < count; i++) {
                printf("%s", images[i]->digest);
                for (char **name = images[i]->names; name && *name; name++)
                        printf(" %s", *name);
                printf("%s%s\n", images[i]->problem ? " broken: " : "", images[i]->problem ? images[i]->problem : "");
        }
        image_list_free(images, count);
        return 0;
}

static int tag(struct store *store, char **arguments, struct error *err)
{
        return store_tag(store, arguments[0], arguments[1], err);
}

static int untag(struct store *store, char **arguments, struct error *err)
{
        return store_untag(store, arguments[0], false, err);
}

static int untag_force(struct store *store, char **arguments, struct error *err)
{
        return store_untag(store, arguments[0], true, err);
}

static int pin(struct store *store, char **arguments, struct error *err)
{
        _cleanup_image_ struct image *image = NULL;
        int r = store_find(store, arguments[0], &image, err);
        return r < 0 ? r : store_pin(store, image, arguments[1], err);
}

static int unpin(struct store *store, char **arguments, struct error *err)
{
        return store_unpin(store, arguments[0], err);
}

static int prune_some(struct store *store, bool all, struct error *err)
{
        uint64_t freed;
        _cleanup_list_ char **removed = NULL;
        int r = store_prune(store, all, &freed, &removed, err);
        if (r < 0)
                return r;
        printf("%llu\n", (unsigned long long)freed);
        for (char **name = removed; name && *name; name++)
                printf("%s\n", *name);
        return 0;
}

static int prune(struct store *store, char **arguments, struct error *err)
{
        (void)arguments;
        return prune_some(store, false, err);
}

static int prune_all(struct store *store, char **arguments, struct error *err)
{
        (void)arguments;
        return prune_some(store, true, err);
}

static int erofs(struct store *store, char **arguments, struct error *err)
{
        _cleanup_image_ struct image *image = NULL;
        _cleanup_free_ char *path = NULL;
        int r = store_find(store, arguments[0], &image, err);
        if (!r)
                r = store_erofs(store, image, &path, err);
        if (!r)
                puts(path);
        return r;
}

/* BYTES FILE, in a folder `root` that need not be a store's. */
static int disk(struct store *store, char **arguments, struct error *err)
{
        (void)store;
        return writable_disk_make(arguments[0], strtoull(arguments[1], NULL, 10), AT_FDCWD, arguments[2], err);
}

int main(int argc, char **argv)
{
        static const struct {
                const char *name;
                int arguments;
                int (*run)(struct store *store, char **arguments, struct error *err);
        } verbs[] = {
                { "find", 1, find },
                { "list", 0, list },
                { "tag", 2, tag },
                { "untag", 1, untag },
                { "pin", 2, pin },
                { "unpin", 1, unpin },
                { "prune", 0, prune },
                { "prune-all", 0, prune_all },
                { "untag-force", 1, untag_force },
                { "erofs", 1, erofs },
                { "disk", 3, disk },
        };
        struct error err = { 0 };
        for (size_t i = 0; argc > 2 && i < ARRAY_SIZE(verbs); i++) {
                if (!text_equal(verbs[i].name, argv[2]) || argc != 3 + verbs[i].arguments)
                        continue;
                struct store *store;
                int r = store_open(argv[1], &store, &err);
                if (!r) {
                        r = verbs[i].run(store, argv + 3, &err);
                        store_close(store);
                }
                if (r < 0)
                        fprintf(stderr, "image_driver: %s\n", err.text);
                return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
        }
        fprintf(stderr, "image_driver: wrong arguments\n");
        return 125;
}

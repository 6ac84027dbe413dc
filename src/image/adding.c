/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/adding.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "image/layout.h"
#include "image/sweep.h"

static int make_folder(int dir, const char *name, struct error *err)
{
        _cleanup_close_ int parent = layout_folder(dir, "tmp", err);
        if (parent < 0)
                return parent;
        return layout_folder(parent, name, err);
}

/* Only with the lock for oneself can one tell what was left from what is being made. */
static void remove_leftovers(struct store *store)
{
        _cleanup_close_ int lock = lock_try(store->images, "content.lock", true, NULL);
        _cleanup_json_ json_t *index = NULL;
        if (lock < 0 || sweep_temporary(store, NULL, NULL) < 0 || layout_read(store, &index, NULL) < 0)
                return;
        sweep(store, index, NULL, NULL);
}

static int begin(struct adding *adding, struct error *err)
{
        struct store *store = adding->store;
        remove_leftovers(store);
        adding->lock = lock_take(store->images, "content.lock", false, err);
        if (adding->lock < 0)
                return adding->lock;

        uint64_t random;
        if (getrandom(&random, sizeof(random), 0) != sizeof(random))
                return error_errno(err, "cannot get random bytes");
        snprintf(adding->name, sizeof(adding->name), "%016llx", (unsigned long long)random);
        adding->folder = make_folder(store->images, adding->name, err);
        if (adding->folder < 0)
                return adding->folder;
        adding->layers = make_folder(store->layers, adding->name, err);
        if (adding->layers < 0)
                return adding->layers;
        test_point("image.adding.begun");
        return 0;
}

int adding_begin(struct store *store, struct adding **adding, struct error *err)
{
        struct adding *made = calloc(1, sizeof(*made));
        if (!made)
                return error_memory(err);
        *made = (struct adding){ .store = store, .lock = -1, .folder = -1, .layers = -1 };
        int r = begin(made, err);
        if (r < 0) {
                adding_end(made);
                return r;
        }
        *adding = made;
        return 0;
}

static void remove_folder(int dir, const char *name)
{
        _cleanup_close_ int parent = openat(dir, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (parent >= 0 && name[0])
                tree_remove(parent, name, NULL);
}

void adding_end(struct adding *adding)
{
        if (!adding)
                return;
        cleanup_close(&adding->folder);
        cleanup_close(&adding->layers);
        remove_folder(adding->store->images, adding->name);
        remove_folder(adding->store->layers, adding->name);
        cleanup_close(&adding->lock);
        if (!adding->done)
                remove_leftovers(adding->store);
        free(adding);
}

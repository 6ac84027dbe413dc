/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "image/layout.h"
#include "image/lookup.h"
#include "image/pin.h"
#include "image/store.h"
#include "image/sweep.h"

int store_tag(struct store *store, const char *source, const char *target, struct error *err)
{
        struct reference reference;
        int r = reference_parse(target, &reference, err);
        if (r < 0)
                return r;
        if (!reference.tag[0] || reference.digest[0])
                return error_set(err, -EINVAL, "\"%s\" cannot be given to an image: a new name must not have a digest",
                                 target);
        _cleanup_close_ int content = lock_take(store->images, "content.lock", false, err);
        if (content < 0)
                return content;
        _cleanup_json_ json_t *index = NULL;
        r = layout_read(store, &index, err);
        struct match match;
        if (!r)
                r = lookup_entry(store, index, source, &match, err);
        if (r < 0)
                return r;
        struct descriptor entry = lookup_descriptor(match.entry);
        return layout_name(store, entry.media_type, &entry.digest, entry.size, reference.text, err);
}

static size_t count_names(const json_t *manifests, const struct digest *digest)
{
        size_t names = 0;
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest other;
                struct reference reference;
                layout_entry(json_array_get(manifests, i), &other, &reference);
                names += digest_equal(&other, digest) && reference.text[0];
        }
        return names;
}

/* Takes the entry of that name, or all of the image where `name` is NULL, out of the list. */
static void remove_entries(json_t *manifests, const struct digest *digest, const char *name)
{
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest other;
                struct reference reference;
                layout_entry(json_array_get(manifests, i), &other, &reference);
                if (digest_equal(&other, digest) && (!name || text_equal(reference.text, name)))
                        json_array_remove(manifests, i--);
        }
}

static int untag(struct store *store, json_t *index, const char *text, bool force, struct error *err)
{
        struct match match;
        int r = lookup_entry(store, index, text, &match, err);
        if (r < 0)
                return r;
        json_t *manifests = json_object_get(index, "manifests");
        struct descriptor entry = lookup_descriptor(match.entry);
        size_t names = count_names(manifests, &match.digest);
        if (!match.by_name && names > 1 && !force)
                return error_set(err, -EBUSY, "image %s has %zu names; remove them one by one, or all with --force",
                                 text, names);
        _cleanup_free_ char *holder = NULL;
        bool last = !match.by_name || names == 1;
        if (last)
                r = pin_holder(store, &match.digest, &holder, err);
        if (r < 0)
                return r;
        if (holder && !force)
                return error_set(err, -EBUSY,
                                 "image %s is in use by the instance %.12s; remove that first, or use --force to "
                                 "take the image's name away",
                                 text, holder);
        _cleanup_json_ json_t *nameless = NULL;
        if (holder && !(nameless = layout_new_entry(entry.media_type, &entry.digest, entry.size, NULL)))
                return error_memory(err);
        remove_entries(manifests, &match.digest, match.by_name ? match.name : NULL);
        if (nameless && json_array_append(manifests, nameless) < 0)
                return error_memory(err);
        return layout_write(store, index, err);
}

static int change_index(struct store *store, const char *reference, bool force, struct error *err)
{
        _cleanup_close_ int content = lock_take(store->images, "content.lock", false, err);
        if (content < 0)
                return content;
        _cleanup_close_ int lock = layout_lock(store, err);
        if (lock < 0)
                return lock;
        _cleanup_json_ json_t *index = NULL;
        int r = layout_read(store, &index, err);
        return r < 0 ? r : untag(store, index, reference, force, err);
}

int store_untag(struct store *store, const char *reference, bool force, struct error *err)
{
        int r = change_index(store, reference, force, err);
        if (r < 0)
                return r;
        /* Where a command is just adding content the rest is left to the next one: nobody waits for a load to end. */
        _cleanup_close_ int content = lock_try(store->images, "content.lock", true, NULL);
        if (content < 0)
                return 0;
        _cleanup_json_ json_t *index = NULL;
        r = layout_read(store, &index, err);
        if (r < 0)
                return r;
        /* One broken image keeps the broom away; that is for prune to say. */
        struct error why = { 0 };
        if (!sweep_temporary(store, NULL, &why))
                sweep(store, index, NULL, &why);
        return 0;
}

static int is_pinned(struct store *store, const struct digest *digest, bool *pinned, struct error *err)
{
        _cleanup_free_ char *holder = NULL;
        int r = pin_holder(store, digest, &holder, err);
        *pinned = holder;
        return r;
}

static int prune_entries(struct store *store, json_t *index, bool all, char ***removed, struct error *err)
{
        json_t *manifests = json_object_get(index, "manifests");
        size_t before = json_array_size(manifests);
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct digest digest;
                struct reference reference;
                bool pinned;
                layout_entry(json_array_get(manifests, i), &digest, &reference);
                if (reference.text[0] && !all)
                        continue;
                int r = is_pinned(store, &digest, &pinned, err);
                if (r < 0)
                        return r;
                if (pinned)
                        continue;
                if (list_append(removed, reference.text[0] ? reference.text : digest.text) < 0)
                        return error_memory(err);
                json_array_remove(manifests, i--);
        }
        return json_array_size(manifests) == before ? 0 : layout_write(store, index, err);
}

int store_prune(struct store *store, bool all, uint64_t *freed, char ***removed, struct error *err)
{
        *freed = 0;
        _cleanup_close_ int content = lock_take(store->images, "content.lock", true, err);
        if (content < 0)
                return content;
        int r = sweep_temporary(store, freed, err);
        if (r < 0)
                return r;
        _cleanup_close_ int lock = layout_lock(store, err);
        if (lock < 0)
                return lock;
        _cleanup_json_ json_t *index = NULL;
        _cleanup_list_ char **names = NULL;
        r = layout_read(store, &index, err);
        if (!r)
                r = prune_entries(store, index, all, &names, err);
        if (!r)
                r = sweep(store, index, freed, err);
        if (r < 0)
                return r;
        if (removed)
                *removed = TAKE_PTR(names);
        return 0;
}

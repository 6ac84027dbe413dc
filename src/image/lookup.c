/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/lookup.h"

#include <errno.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "image/blob.h"
#include "image/layout.h"

#define ID_PREFIX_MIN 3
/* An index of indexes is allowed, though nobody needs it. */
#define INDEX_DEPTH_MAX 3

struct descriptor lookup_descriptor(const json_t *entry)
{
        struct descriptor descriptor = {
                .size = (uint64_t)json_integer_value(json_object_get(entry, "size")),
                .media_type = json_string_value(json_object_get(entry, "mediaType")),
        };
        layout_entry(entry, &descriptor.digest, NULL);
        return descriptor;
}

int lookup_manifest(struct store *store, const struct descriptor *from, const char *what, json_t **document,
                    struct descriptor *found, struct error *err)
{
        _cleanup_json_ json_t *read = NULL;
        *found = *from;
        for (unsigned depth = 0; depth < INDEX_DEPTH_MAX; depth++) {
                /* what the descriptor was borrowed from lives as long as it is used */
                _cleanup_json_ json_t *above __attribute__((unused)) = TAKE_PTR(read);
                int r = blob_read_json(store, &found->digest, found->size, what, &read, err);
                enum document_kind kind;
                if (!r)
                        r = document_kind(read, what, found->media_type, &kind, err);
                if (r < 0)
                        return r;
                if (kind == DOCUMENT_MANIFEST) {
                        /* what is handed out must not borrow from the index that led here */
                        const char *type = json_string_value(json_object_get(read, "mediaType"));
                        found->media_type = type ? type : MEDIA_TYPE_MANIFEST;
                        *document = TAKE_PTR(read);
                        return 0;
                }
                r = index_choose(read, what, found, err);
                if (r < 0)
                        return r;
        }
        return error_set(err, -EINVAL, "%s: indexes are nested more than %d deep", what, INDEX_DEPTH_MAX);
}

static bool is_id(const char *text)
{
        size_t length = strlen(text);
        return length >= ID_PREFIX_MIN && length <= DIGEST_HEX_LENGTH && strspn(text, "0123456789abcdef") == length;
}

/* docker's ID is the digest of the configuration, which only the manifest knows. */
static bool has_config(struct store *store, const struct descriptor *entry, const char *prefix)
{
        _cleanup_json_ json_t *document = NULL;
        struct descriptor found;
        struct manifest manifest;
        if (lookup_manifest(store, entry, "manifest", &document, &found, NULL) < 0 ||
            manifest_parse(document, "manifest", &manifest, NULL) < 0)
                return false;
        bool fits = text_starts(digest_hex(&manifest.config.digest), prefix);
        manifest_free(&manifest);
        return fits;
}

static int lookup_id(struct store *store, const json_t *manifests, const char *prefix, struct match *match,
                     struct error *err)
{
        bool found = false;
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                const json_t *entry = json_array_get(manifests, i);
                struct descriptor descriptor = lookup_descriptor(entry);
                if (found && digest_equal(&descriptor.digest, &match->digest))
                        continue;
                if (!text_starts(digest_hex(&descriptor.digest), prefix) && !has_config(store, &descriptor, prefix))
                        continue;
                if (found)
                        return error_set(err, -EINVAL,
                                         "\"%s\" is the beginning of more than one image's ID; give more "
                                         "digits",
                                         prefix);
                found = true;
                match->entry = entry;
                match->digest = descriptor.digest;
                match->by_name = false;
        }
        return found ? 0 : -ENOENT;
}

static bool fits(const struct reference *wanted, const struct reference *there, const struct digest *digest)
{
        if (!wanted->digest[0])
                return text_equal(there->text, wanted->text);
        return text_equal(digest->text, wanted->digest) && text_equal(there->name, wanted->name);
}

static int lookup_name(const json_t *manifests, const struct reference *wanted, struct match *match)
{
        for (size_t i = 0; i < json_array_size(manifests); i++) {
                struct reference reference;
                match->entry = json_array_get(manifests, i);
                layout_entry(match->entry, &match->digest, &reference);
                if (!fits(wanted, &reference, &match->digest))
                        continue;
                match->by_name = true;
                TEXT_COPY(match->name, reference.text);
                return 0;
        }
        return -ENOENT;
}

static int no_such_image(const char *text, struct error *err)
{
        return error_set(err, -ENOENT,
                         "no such image: %.200s; `onggi images` lists what is there, `onggi load` and "
                         "`onggi import` bring more",
                         text);
}

int lookup_entry(struct store *store, const json_t *index, const char *text, struct match *match, struct error *err)
{
        memset(match, 0, sizeof(*match));
        const json_t *manifests = json_object_get(index, "manifests");
        const char *hex = text_starts(text, DIGEST_PREFIX) ? text + DIGEST_PREFIX_LENGTH : text;
        if (hex == text) {
                struct reference reference;
                struct error reason = { 0 };
                int r = reference_parse(text, &reference, &reason);
                if (r < 0 && !is_id(hex))
                        return error_set(err, r, "%s", reason.text);
                if (!r && !lookup_name(manifests, &reference, match))
                        return 0;
        }
        int r = is_id(hex) ? lookup_id(store, manifests, hex, match, err) : -ENOENT;
        return r == -ENOENT ? no_such_image(text, err) : r;
}

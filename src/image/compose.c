/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/compose.h"

#include <string.h>

#include "base/json.h"
#include "image/blob.h"

static json_t *describe(const struct descriptor *descriptor)
{
        return json_pack("{s:s, s:s, s:I}", "mediaType", descriptor->media_type, "digest", descriptor->digest.text,
                         "size", (json_int_t)descriptor->size);
}

int compose_manifest(struct adding *adding, const struct descriptor *config, const struct descriptor *layers,
                     size_t count, struct descriptor *manifest, struct error *err)
{
        _cleanup_json_ json_t *list = json_array();
        for (size_t i = 0; list && i < count; i++)
                if (json_array_append_new(list, describe(&layers[i])) < 0)
                        return error_memory(err);
        _cleanup_json_ json_t *document = json_pack("{s:i, s:s, s:o, s:O}", "schemaVersion", 2, "mediaType",
                                                    MEDIA_TYPE_MANIFEST, "config", describe(config), "layers", list);
        _cleanup_free_ char *text = document ? json_dumps(document, JSON_COMPACT) : NULL;
        if (!text)
                return error_memory(err);
        manifest->media_type = MEDIA_TYPE_MANIFEST;
        manifest->size = strlen(text);
        return blob_store(adding, text, strlen(text), &manifest->digest, err);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Manifests, indexes and references: what is accepted holds what its users rely on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "image/manifest.h"
#include "image/reference.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_descriptor(const struct descriptor *descriptor)
{
        struct digest again;
        if (!descriptor->media_type || digest_parse(descriptor->digest.text, &again, NULL) < 0 ||
            descriptor->size > INT64_MAX)
                abort();
}

static void check_document(const json_t *document)
{
        enum document_kind kind;
        struct manifest manifest;
        struct descriptor chosen;
        struct error err = { 0 };
        document_kind(document, "input", NULL, &kind, &err);
        if (!manifest_parse(document, "input", &manifest, &err)) {
                check_descriptor(&manifest.config);
                for (size_t i = 0; i < manifest.layer_count; i++)
                        check_descriptor(&manifest.layers[i]);
                manifest_free(&manifest);
        }
        if (!index_choose(document, "input", &chosen, &err)) {
                check_descriptor(&chosen);
                if (index_check(document, "input", &err) < 0)
                        abort();
        }
}

/* A familiar form is a reference itself, and its own familiar form. */
static void check_reference(const char *text)
{
        struct reference reference, again;
        if (reference_parse(text, &reference, NULL) < 0)
                return;
        if (!reference.tag[0])
                return;
        if (reference_parse(reference.text, &again, NULL) < 0 || strcmp(reference.text, again.text))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_json_ json_t *document = NULL;
        if (!json_parse((const char *)data, size, "input", &document, NULL))
                check_document(document);
        _cleanup_free_ char *text = strndup((const char *)data, size);
        if (text)
                check_reference(text);
        return 0;
}

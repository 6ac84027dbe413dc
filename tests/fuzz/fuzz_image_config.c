/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Image configurations, and the instructions that change them: a changed configuration can be checked and written
 * again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "image/change.h"
#include "image/image_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_config(const char *text, size_t size)
{
        _cleanup_json_ json_t *document = NULL;
        _cleanup_free_ struct digest *diff_ids = NULL;
        size_t count = 0;
        if (json_parse(text, size, "input", &document, NULL) < 0 ||
            image_config_check(document, "input", &diff_ids, &count, NULL) < 0)
                return;
        for (size_t i = 0; i < count; i++) {
                struct digest again;
                if (digest_parse(diff_ids[i].text, &again, NULL) < 0)
                        abort();
        }
}

static void apply_change(const char *instruction)
{
        _cleanup_json_ json_t *config = json_object();
        if (!config || change_apply(config, instruction, NULL) < 0)
                return;
        _cleanup_free_ char *text = json_dumps(config, JSON_COMPACT);
        if (!text)
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        _cleanup_free_ char *text = strndup((const char *)data, size);
        if (!text)
                return 0;
        check_config(text, strlen(text));
        apply_change(text);
        return 0;
}

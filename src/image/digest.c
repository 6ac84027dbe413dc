/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/digest.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

#define HEX_DIGITS "0123456789abcdef"

/* image-spec: algorithm ::= component (separator component)*, encoded ::= [a-zA-Z0-9=_-]+ */
static bool is_well_formed(const char *text)
{
        size_t algorithm = strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789+._-");
        if (!algorithm || text[algorithm] != ':' || !strchr("abcdefghijklmnopqrstuvwxyz0123456789", text[0]))
                return false;
        const char *encoded = text + algorithm + 1;
        size_t length = strspn(encoded, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789=_-");
        return length && !encoded[length];
}

int digest_parse(const char *text, struct digest *digest, struct error *err)
{
        if (text_starts(text, DIGEST_PREFIX)) {
                const char *hex = text + DIGEST_PREFIX_LENGTH;
                if (strlen(hex) == DIGEST_HEX_LENGTH && strspn(hex, HEX_DIGITS) == DIGEST_HEX_LENGTH) {
                        memcpy(digest->text, text, sizeof(digest->text));
                        return 0;
                }
        } else if (is_well_formed(text)) {
                return error_set(err, -ENOTSUP,
                                 "the digest \"%.160s\" is of an algorithm that is not supported; "
                                 "the store keeps sha256 only",
                                 text);
        }
        return error_set(err, -EINVAL, "\"%.160s\" is not a digest; expected \"sha256:\" and 64 lower-case hex digits",
                         text);
}

const char *digest_hex(const struct digest *digest)
{
        return digest->text + DIGEST_PREFIX_LENGTH;
}

bool digest_equal(const struct digest *a, const struct digest *b)
{
        return !memcmp(a->text, b->text, sizeof(a->text));
}

void digester_start(struct digester *digester)
{
        sha256_init(&digester->context);
        digester->length = 0;
}

void digester_add(struct digester *digester, const void *data, size_t length)
{
        sha256_update(&digester->context, length, data);
        digester->length += length;
}

void digester_finish(struct digester *digester, struct digest *digest)
{
        uint8_t raw[SHA256_DIGEST_SIZE];
        sha256_digest(&digester->context, sizeof(raw), raw);
        digester->length = 0;

        memcpy(digest->text, DIGEST_PREFIX, DIGEST_PREFIX_LENGTH);
        char *hex = digest->text + DIGEST_PREFIX_LENGTH;
        for (size_t i = 0; i < sizeof(raw); i++) {
                hex[2 * i] = HEX_DIGITS[raw[i] >> 4];
                hex[2 * i + 1] = HEX_DIGITS[raw[i] & 15];
        }
        hex[DIGEST_HEX_LENGTH] = 0;
}

void digest_bytes(const void *data, size_t length, struct digest *digest)
{
        struct digester digester;
        digester_start(&digester);
        digester_add(&digester, data, length);
        digester_finish(&digester, digest);
}

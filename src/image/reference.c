/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/reference.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define UPPER  "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
#define DIGITS "0123456789"

/* separator ::= "." | "_" | "__" | "-"+ ; returns its length, 0 if there is none. */
static size_t separator_length(const char *at)
{
        if (*at == '.')
                return 1;
        if (*at == '_')
                return at[1] == '_' ? 2 : 1;
        return strspn(at, "-");
}

/* path-component ::= [a-z0-9]+ (separator [a-z0-9]+)* */
static bool is_path_component(const char *text, size_t length)
{
        const char *at = text, *end = text + length;
        for (;;) {
                size_t run = strspn(at, LOWER DIGITS);
                if (!run || at + run > end)
                        return false;
                at += run;
                if (at == end)
                        return true;
                size_t separator = separator_length(at);
                if (!separator)
                        return false;
                at += separator;
        }
}

/* domain-component ::= [a-zA-Z0-9] | [a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9] */
static bool is_domain_component(const char *text, size_t length)
{
        return length && text[0] != '-' && text[length - 1] != '-' && strspn(text, LOWER UPPER DIGITS "-") >= length;
}

/* domain ::= (domain-component ("." domain-component)* | "[" IPv6 "]") (":" [0-9]+)? */
static bool is_domain(const char *text, size_t length)
{
        const char *at = text, *end = text + length;
        if (*at == '[') {
                size_t run = strspn(at + 1, "abcdefABCDEF" DIGITS ":");
                at += 1 + run;
                if (!run || at >= end || *at != ']')
                        return false;
                at++;
        } else {
                for (;;) {
                        size_t run = strcspn(at, "./:");
                        if (!is_domain_component(at, run))
                                return false;
                        at += run;
                        if (at >= end || *at != '.')
                                break;
                        at++;
                }
        }
        if (at == end)
                return true;
        return *at == ':' && at + 1 < end && at + 1 + strspn(at + 1, DIGITS) == end;
}

/* As docker does: what stands before the first slash is a host if it looks like one. */
static size_t domain_length(const char *name)
{
        size_t first = strcspn(name, "/");
        if (!name[first])
                return 0;
        if (strcspn(name, ".:[") < first || (first == 9 && text_starts(name, "localhost")) ||
            strcspn(name, UPPER) < first)
                return first;
        return 0;
}

static int check_name(const char *text, const char *name, struct error *err)
{
        const char *path = name;
        size_t domain = domain_length(name);
        if (domain) {
                if (!is_domain(name, domain))
                        return error_set(err, -EINVAL, "image name \"%.160s\": \"%.*s\" is not a host name", text,
                                         (int)(domain > 160 ? 160 : domain), name);
                path = name + domain + 1;
        }
        for (;;) {
                size_t length = strcspn(path, "/");
                if (!is_path_component(path, length))
                        return error_set(err, -EINVAL,
                                         "image name \"%.160s\": \"%.*s\" is not well-formed; expected "
                                         "lower-case letters and digits, with single '.', '_', '__' or '-' between",
                                         text, (int)(length > 160 ? 160 : length), path);
                if (!path[length])
                        return 0;
                path += length + 1;
        }
}

static int check_tag(const char *text, const char *tag, struct error *err)
{
        size_t length = strspn(tag, LOWER UPPER DIGITS "_.-");
        if (!length || tag[length] || tag[0] == '.' || tag[0] == '-' || length > REFERENCE_TAG_MAX)
                return error_set(err, -EINVAL,
                                 "image name \"%.160s\": \"%.140s\" is not a tag; expected at most %d letters, "
                                 "digits, '_', '.' and '-', not beginning with '.' or '-'",
                                 text, tag, REFERENCE_TAG_MAX);
        return 0;
}

static const char *familiar(const char *name)
{
        static const char *const hubs[] = { "docker.io/", "index.docker.io/" };
        for (size_t i = 0; i < ARRAY_SIZE(hubs); i++) {
                if (!text_starts(name, hubs[i]))
                        continue;
                const char *path = name + strlen(hubs[i]);
                /* without the hub in front this would be another host's */
                if (domain_length(path))
                        return name;
                return text_starts(path, "library/") && !strchr(path + 8, '/') ? path + 8 : path;
        }
        return name;
}

int reference_parse(const char *text, struct reference *reference, struct error *err)
{
        memset(reference, 0, sizeof(*reference));
        char name[REFERENCE_NAME_MAX + REFERENCE_TAG_MAX + 80];
        if (strlen(text) >= sizeof(name))
                return error_set(err, -EINVAL, "image name \"%.60s…\" is too long", text);
        TEXT_COPY(name, text);

        char *digest = strchr(name, '@');
        if (digest) {
                *digest++ = 0;
                struct digest checked;
                int r = digest_parse(digest, &checked, err);
                if (r < 0)
                        return err ? error_prefix(err, "image name \"%.160s\"", text) : r;
                TEXT_COPY(reference->digest, checked.text);
        }

        char *slash = strrchr(name, '/');
        char *tag = strchr(slash ? slash : name, ':');
        if (tag) {
                *tag++ = 0;
                int r = check_tag(text, tag, err);
                if (r < 0)
                        return r;
                TEXT_COPY(reference->tag, tag);
        } else if (!digest) {
                TEXT_COPY(reference->tag, "latest");
        }

        if (strlen(name) > REFERENCE_NAME_MAX)
                return error_set(err, -EINVAL, "image name \"%.60s…\" is longer than %d characters", text,
                                 REFERENCE_NAME_MAX);
        int r = check_name(text, name, err);
        if (r < 0)
                return r;
        TEXT_COPY(reference->name, familiar(name));
        if (strlen(reference->name) == DIGEST_HEX_LENGTH &&
            strspn(reference->name, "abcdef" DIGITS) == DIGEST_HEX_LENGTH)
                return error_set(err, -EINVAL, "image name \"%.160s\" must not be 64 hex digits: that is an ID", text);
        snprintf(reference->text, sizeof(reference->text), "%s%s%s", reference->name, reference->tag[0] ? ":" : "",
                 reference->tag);
        return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/filter.h"

#include <errno.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

static const struct filter_key *find_key(const char *filter, const struct filter_key *keys, const char **value,
                                         struct error *err)
{
        const char *equals = strchr(filter, '=');
        _cleanup_text_ struct text known = { 0 };
        for (; keys->key; keys++) {
                size_t length = strlen(keys->key);
                if (equals && (size_t)(equals - filter) == length && !strncmp(filter, keys->key, length)) {
                        *value = equals + 1;
                        return keys;
                }
                text_printf(&known, "%s%s", known.length ? ", " : "", keys->key);
        }
        error_set(err, -EINVAL, "--filter \"%s\" is none of KEY=VALUE with a KEY of: %s", filter,
                  known.data ? known.data : "");
        return NULL;
}

static bool string_fits(const char *text, const char *value, enum filter_match match)
{
        switch (match) {
        case FILTER_PART: return strstr(text, value);
        case FILTER_START:
                return text_starts(text, value) || (text_starts(text, "sha256:") && text_starts(text + 7, value));
        case FILTER_GLOB: return !fnmatch(value, text, 0);
        default: return !strcmp(text, value);
        }
}

static bool label_fits(const json_t *labels, const char *value)
{
        const char *equals = strchr(value, '=');
        _cleanup_free_ char *key = strndup(value, equals ? (size_t)(equals - value) : strlen(value));
        const json_t *label = key ? json_object_get(labels, key) : NULL;
        return label && (!equals || text_equal(json_string_value(label), equals + 1));
}

static bool fits(const json_t *object, const struct filter_key *key, const char *value)
{
        const json_t *field = json_object_get(object, key->field);
        if (key->match == FILTER_LABEL)
                return label_fits(field, value);
        if (key->match == FILTER_BOOL)
                return json_is_true(field) == (!strcmp(value, "true") || !strcmp(value, "1"));
        if (json_is_string(field))
                return string_fits(json_string_value(field), value, key->match);
        for (size_t i = 0; i < json_array_size(field); i++)
                if (string_fits(json_string_value(json_array_get(field, i)), value, key->match))
                        return true;
        return false;
}

/* One of the values given for each key must fit, and every label. */
static int object_fits(const json_t *object, char *const *filters, const struct filter_key *keys, bool *all,
                       struct error *err)
{
        *all = true;
        for (char *const *filter = filters; filter && *filter; filter++) {
                const char *value;
                const struct filter_key *key = find_key(*filter, keys, &value, err);
                if (!key)
                        return -EINVAL;
                bool any = fits(object, key, value);
                for (char *const *other = filters; !any && key->match != FILTER_LABEL && *other; other++) {
                        const struct filter_key *same = find_key(*other, keys, &value, NULL);
                        any = same == key && fits(object, key, value);
                }
                *all = *all && any;
        }
        return 0;
}

int filter_apply(json_t *objects, char *const *filters, const struct filter_key *keys, struct error *err)
{
        for (char *const *filter = filters; filter && *filter; filter++) {
                const char *value;
                const struct filter_key *key = find_key(*filter, keys, &value, err);
                if (!key)
                        return -EINVAL;
                if (key->match == FILTER_BOOL && strcmp(value, "true") && strcmp(value, "false") &&
                    strcmp(value, "1") && strcmp(value, "0"))
                        return error_set(err, -EINVAL, "--filter %s takes true or false, not \"%s\"", key->key, value);
        }
        for (size_t i = json_array_size(objects); i-- > 0;) {
                bool all;
                int r = object_fits(json_array_get(objects, i), filters, keys, &all, err);
                if (r < 0)
                        return r;
                if (!all)
                        json_array_remove(objects, i);
        }
        return 0;
}

void filter_forget(json_t *objects)
{
        size_t i;
        json_t *object, *value;
        const char *field;
        void *next;
        json_array_foreach(objects, i, object)
                json_object_foreach_safe(object, next, field, value)
                        if (field[0] == '.')
                                json_object_del(object, field);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/output.h"

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "cli/template.h"
#include "cli/template_value.h"

#define GAP         3 /* spaces between columns */
#define ID_LENGTH   12
#define TEXT_LENGTH 20

const struct option_spec listing_option_table[] = {
        { "filter", 'f', OPTION_LIST, offsetof(struct listing_options, filters), "KEY=VALUE",
          "show only what fits; several of one key widen, several keys narrow" },
        { "format", 0, OPTION_STRING, offsetof(struct listing_options, format), "FORMAT",
          "table, json, a template ({{.ID}}), or \"table TEMPLATE\"" },
        { "quiet", 'q', OPTION_FLAG, offsetof(struct listing_options, quiet), NULL, "print only what names each row" },
        { "no-trunc", 0, OPTION_FLAG, offsetof(struct listing_options, no_trunc), NULL, "shorten nothing" },
        { 0 },
};

/* ---- Tables ---- */

/* Letters, not bytes: those that continue a UTF-8 sequence take no column. */
static size_t width_of(const char *cell, size_t length)
{
        size_t width = 0;
        for (size_t i = 0; i < length; i++)
                width += (cell[i] & 0xc0) != 0x80;
        return width;
}

static int widen(const char *line, size_t **widths, size_t *columns)
{
        for (size_t column = 0;; column++) {
                size_t length = strcspn(line, "\t\n");
                if (column == *columns) {
                        size_t *grown = reallocarray(*widths, column + 1, sizeof(**widths));
                        if (!grown)
                                return -ENOMEM;
                        *widths = grown;
                        grown[(*columns)++] = 0;
                }
                size_t width = width_of(line, length);
                /* What ends a line needs no room. */
                if (line[length] == '\t' && width > (*widths)[column])
                        (*widths)[column] = width;
                if (line[length] != '\t')
                        return 0;
                line += length + 1;
        }
}

static void print_cell(const char *cell, size_t length, size_t width, FILE *out)
{
        for (size_t i = 0; i < length; i++)
                putc(iscntrl((unsigned char)cell[i]) ? '?' : cell[i], out);
        for (size_t used = width_of(cell, length); used < width; used++)
                putc(' ', out);
}

int table_print(const char *lines, FILE *out, struct error *err)
{
        _cleanup_free_ size_t *widths = NULL;
        size_t columns = 0;
        for (const char *line = lines; *line; line += strcspn(line, "\n"), line += *line == '\n')
                if (widen(line, &widths, &columns) < 0)
                        return error_memory(err);

        for (const char *line = lines; *line;) {
                for (size_t column = 0;; column++) {
                        size_t length = strcspn(line, "\t\n");
                        bool last = line[length] != '\t';
                        print_cell(line, length, last ? 0 : widths[column] + GAP, out);
                        line += length + (line[length] != 0);
                        if (last)
                                break;
                }
                putc('\n', out);
        }
        return 0;
}

/* ---- Rows ---- */

/* As Go's strconv.Quote() writes it, which docker shows: a command's arguments may hold anything. */
static void append_quoted(struct text *out, const char *text, size_t length)
{
        static const char letters[] = "abtnvfr"; /* of 7 to 13, in their order */
        text_append(out, "\"");
        for (size_t i = 0; i < length; i++) {
                unsigned char byte = (unsigned char)text[i];
                if (byte == '"' || byte == '\\')
                        text_printf(out, "\\%c", byte);
                else if (byte >= '\a' && byte <= '\r')
                        text_printf(out, "\\%c", letters[byte - '\a']);
                else if (byte < ' ' || byte == 0x7f)
                        text_printf(out, "\\x%02x", byte);
                else
                        text_append_bytes(out, &byte, 1);
        }
        text_append(out, "\"");
}

/* At most TEXT_LENGTH letters where it is to be cut, and then quotes. */
static const char *quote_text(const char *text, bool whole, struct text *quoted)
{
        size_t end = strlen(text);
        if (whole || width_of(text, end) <= TEXT_LENGTH) {
                append_quoted(quoted, text, end);
                return quoted->data;
        }
        while (width_of(text, end) >= TEXT_LENGTH)
                end--;
        _cleanup_free_ char *cut = text_format("%.*s…", (int)end, text);
        if (cut)
                append_quoted(quoted, cut, strlen(cut));
        return quoted->data;
}

static const char *cut_id(const char *id, struct text *cut)
{
        id += text_starts(id, "sha256:") ? strlen("sha256:") : 0;
        text_append_bytes(cut, id, strnlen(id, ID_LENGTH));
        return cut->data;
}

static int shorten(json_t *row, const struct column *column, bool whole)
{
        const char *text = json_string_value(json_object_get(row, column->field));
        if (!text)
                return 0;
        _cleanup_text_ struct text cut = { 0 };
        if (column->shortening == SHORTEN_ID && whole)
                return 0;
        const char *shortened = column->shortening == SHORTEN_ID ? cut_id(text, &cut) : quote_text(text, whole, &cut);
        return json_object_set_new(row, column->field, json_string(shortened)) ? -ENOMEM : 0;
}

static int shorten_rows(const struct listing *listing, json_t *rows, bool whole)
{
        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row)
                for (const struct column *column = listing->columns; column->field; column++)
                        if (column->shortening != SHORTEN_NOT && shorten(row, column, whole) < 0)
                                return -ENOMEM;
        return 0;
}

static void append_title(const struct column *column, const char *field, struct text *out)
{
        if (column && column->title) {
                text_append(out, column->title);
                return;
        }
        for (const char *c = field; *c; c++) {
                if (c != field && isupper((unsigned char)*c) && islower((unsigned char)c[-1]))
                        text_append(out, " ");
                char letter = (char)toupper((unsigned char)*c);
                text_append_bytes(out, &letter, 1);
        }
}

static const struct column *find_column(const struct listing *listing, const char *field)
{
        for (const struct column *column = listing->columns; column->field; column++)
                if (!strcmp(column->field, field))
                        return column;
        return NULL;
}

static int print_table(const struct listing *listing, const json_t *rows, FILE *out, struct error *err)
{
        _cleanup_text_ struct text lines = { 0 };
        const char *separator = "";
        for (const struct column *column = listing->columns; column->field; column++) {
                if (column->hidden)
                        continue;
                text_append(&lines, separator);
                append_title(column, column->field, &lines);
                separator = "\t";
        }
        text_append(&lines, "\n");

        size_t i;
        json_t *row;
        json_array_foreach(rows, i, row) {
                separator = "";
                for (const struct column *column = listing->columns; column->field; column++) {
                        if (column->hidden)
                                continue;
                        text_append(&lines, separator);
                        separator = "\t";
                        size_t start = lines.length;
                        const json_t *value = json_object_get(row, column->field);
                        if (value)
                                template_value_print(value, &lines);
                        /* A tab or a line feed of a stranger's must not look like one of ours. */
                        for (char *c = lines.data + start; !lines.failed && c < lines.data + lines.length; c++)
                                if (*c == '\t' || *c == '\n')
                                        *c = '?';
                }
                text_append(&lines, "\n");
        }
        return text_failed(&lines) ? error_memory(err) : table_print(lines.data, out, err);
}

/* The object that a table's template is rendered over for its first line: each field's title. */
static json_t *titles(const struct listing *listing, const json_t *rows)
{
        json_t *object = json_object();
        const json_t *first = json_array_get(rows, 0);
        for (const struct column *column = listing->columns; object && column->field; column++) {
                _cleanup_text_ struct text title = { 0 };
                append_title(column, column->field, &title);
                json_object_set_new(object, column->field, json_string(title.data ? title.data : ""));
        }
        for (void *at = json_object_iter((json_t *)first); object && at;
             at = json_object_iter_next((json_t *)first, at)) {
                const char *field = json_object_iter_key(at);
                if (find_column(listing, field))
                        continue;
                _cleanup_text_ struct text title = { 0 };
                append_title(NULL, field, &title);
                json_object_set_new(object, field, json_string(title.data ? title.data : ""));
        }
        return object;
}

static int print_json_lines(const json_t *values, FILE *out, struct error *err)
{
        size_t i;
        json_t *value;
        json_array_foreach(values, i, value) {
                _cleanup_free_ char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
                if (!text)
                        return error_memory(err);
                fprintf(out, "%s\n", text);
        }
        return 0;
}

/* `heading` (may be NULL) is rendered as the first line; the lines are then aligned. */
static int print_by_template(const char *format, const json_t *values, const json_t *heading, FILE *out,
                             struct error *err)
{
        _cleanup_template_ struct template *template = NULL;
        _cleanup_text_ struct text lines = { 0 };
        int r = template_parse(format, &template, err);
        if (!r && heading) {
                r = template_render(template, heading, &lines, err);
                text_append(&lines, "\n");
        }
        size_t i;
        json_t *value;
        json_array_foreach(values, i, value) {
                if (r < 0)
                        return r;
                r = template_render(template, value, &lines, err);
                text_append(&lines, "\n");
        }
        if (r < 0 || !lines.length)
                return r;
        if (text_failed(&lines))
                return error_memory(err);
        if (heading)
                return table_print(lines.data, out, err);
        fwrite(lines.data, 1, lines.length, out);
        return 0;
}

int listing_print(const struct listing *listing, json_t *rows, const struct listing_options *options, FILE *out,
                  struct error *err)
{
        const char *format = options->format;
        if (shorten_rows(listing, rows, options->no_trunc) < 0)
                return error_memory(err);
        if (options->quiet && !format) {
                size_t i;
                json_t *row;
                json_array_foreach(rows, i, row)
                        fprintf(out, "%s\n", json_string_value(json_object_get(row, listing->id)));
                return 0;
        }
        if (!format || !*format || !strcmp(format, "table"))
                return print_table(listing, rows, out, err);
        if (!strcmp(format, "json"))
                return print_json_lines(rows, out, err);
        if (!text_starts(format, "table "))
                return print_by_template(format, rows, NULL, out, err);
        _cleanup_json_ json_t *heading = titles(listing, rows);
        return heading ? print_by_template(format + strlen("table "), rows, heading, out, err) : error_memory(err);
}

int objects_print(json_t *objects, const char *format, FILE *out, struct error *err)
{
        if (format && !strcmp(format, "json"))
                return print_json_lines(objects, out, err);
        if (format && *format)
                return print_by_template(format, objects, NULL, out, err);
        _cleanup_free_ char *text = json_dumps(objects, JSON_INDENT(4));
        if (!text)
                return error_memory(err);
        fprintf(out, "%s\n", text);
        return 0;
}

int object_print(const json_t *object, const char *format, FILE *out, struct error *err)
{
        _cleanup_json_ json_t *array = json_array();
        if (!array || json_array_append(array, (json_t *)object))
                return error_memory(err);
        if (format && *format)
                return objects_print(array, format, out, err);
        _cleanup_free_ char *text = json_dumps(object, JSON_INDENT(4));
        if (!text)
                return error_memory(err);
        fprintf(out, "%s\n", text);
        return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "image/import.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "base/text.h"
#include "image/adding.h"
#include "image/change.h"
#include "image/compose.h"
#include "image/folder_tar.h"
#include "image/image_config.h"
#include "image/layer_store.h"
#include "image/layout.h"

static int open_source(const char *path, bool *folder, struct error *err)
{
        bool input = text_equal(path, "-");
        _cleanup_close_ int fd = input ? dup(STDIN_FILENO) : open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open %s", input ? "standard input" : path);
        if (input && isatty(fd))
                return error_set(err, -EINVAL,
                                 "standard input is a terminal; give a tar archive to it, or name a file");
        *folder = S_ISDIR(st.st_mode);
        return TAKE_FD(fd);
}

/*
 * Archive to blob and layer in one pass: what is unpacked is also written, compressed as it came where a layer may be.
 */
static int import_tar(struct adding *adding, int fd, const char *what, const struct import_options *options,
                      struct blob_writer *writer, struct descriptor *layer, struct digest *diff_id,
                      struct layer_report *report, struct error *err)
{
        _cleanup_stream_ struct stream *stream = NULL;
        int r = stream_open(fd, what, &options->limits, writer, &stream, err);
        if (!r)
                r = layer_store(adding, stream, NULL, false, diff_id, NULL, report, err);
        if (r < 0)
                return r;
        if (!report->entries)
                return error_set(err, -EINVAL, "%s has no files in it", what);
        layer->media_type = stream_media_type(stream);
        layer->size = writer->digester.length;
        return blob_finish(writer, NULL, &layer->digest, err);
}

static int import_folder(struct adding *adding, int folder, const struct import_options *options,
                         struct blob_writer *writer, struct descriptor *layer, struct digest *diff_id,
                         struct layer_report *report, struct error *err)
{
        int r = folder_tar(folder, writer, err);
        if (r < 0)
                return r;
        layer->size = writer->digester.length;
        if (lseek(writer->fd, 0, SEEK_SET) < 0)
                return error_errno(err, "cannot read the blob again");
        _cleanup_stream_ struct stream *stream = NULL;
        struct stream_limits limits = options->limits;
        limits.any_ratio = true;
        r = stream_open(writer->fd, "the folder", &limits, NULL, &stream, err);
        if (!r)
                r = layer_store(adding, stream, NULL, false, diff_id, NULL, report, err);
        layer->media_type = MEDIA_TYPE_LAYER;
        return r < 0 ? r : blob_finish(writer, diff_id, &layer->digest, err);
}

static int import_layer(struct adding *adding, const char *path, const struct import_options *options,
                        struct descriptor *layer, struct digest *diff_id, struct layer_report *report,
                        struct error *err)
{
        bool folder = false;
        _cleanup_close_ int fd = open_source(path, &folder, err);
        struct blob_writer writer;
        int r = fd < 0 ? fd : blob_create(adding, &writer, err);
        if (r < 0)
                return r;
        const char *what = text_equal(path, "-") ? "standard input" : path;
        r = folder ? import_folder(adding, fd, options, &writer, layer, diff_id, report, err)
                   : import_tar(adding, fd, what, options, &writer, layer, diff_id, report, err);
        blob_abandon(&writer);
        return r;
}

static json_t *history_entry(const char *created, const char *path, const char *message)
{
        _cleanup_free_ char *comment = message ? strdup(message) : text_format("Imported from %s", path);
        /* a path may be no UTF-8, and then no JSON string */
        json_t *text = comment ? json_string(comment) : NULL;
        return json_pack("{s:s, s:o}", "created", created, "comment", text ? text : json_string("Imported"));
}

static json_t *new_config(const char *path, const char *message, const struct digest *diff_id)
{
        char created[40];
        struct timespec now;
        struct tm tm;
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &tm);
        strftime(created, sizeof(created), "%Y-%m-%dT%H:%M:%SZ", &tm);
        return json_pack("{s:s, s:s, s:s, s:{}, s:{s:s, s:[s]}, s:[o]}", "created", created, "architecture", "amd64",
                         "os", "linux", "config", "rootfs", "type", "layers", "diff_ids", diff_id->text, "history",
                         history_entry(created, path, message));
}

/* Before anything is read: a mistake in an instruction should not cost the time of unpacking. */
static int make_config(const char *path, const struct import_options *options, const struct digest *diff_id,
                       json_t **config, struct error *err)
{
        _cleanup_json_ json_t *made = new_config(path, options->message, diff_id);
        if (!made)
                return error_memory(err);
        json_t *run = json_object_get(made, "config");
        for (char *const *change = options->changes; change && *change; change++) {
                int r = change_apply(run, *change, err);
                if (r < 0)
                        return r;
        }
        int r = image_config_check(made, "--change: image configuration", NULL, NULL, err);
        if (!r)
                *config = TAKE_PTR(made);
        return r;
}

static int add_image(struct adding *adding, const json_t *document, const struct descriptor *layer, const char *name,
                     char **id, struct error *err)
{
        struct descriptor config = { .media_type = MEDIA_TYPE_CONFIG }, manifest;
        _cleanup_free_ char *text = json_dumps(document, JSON_COMPACT);
        if (!text)
                return error_memory(err);
        config.size = strlen(text);
        int r = blob_store(adding, text, strlen(text), &config.digest, err);
        if (!r)
                r = compose_manifest(adding, &config, layer, 1, &manifest, err);
        if (!r)
                r = layout_name(adding->store, manifest.media_type, &manifest.digest, manifest.size, name, err);
        if (r < 0)
                return r;
        adding->done = true;
        *id = strdup(config.digest.text);
        return *id ? 0 : error_memory(err);
}

static int parse_name(const char *name, struct reference *reference, struct error *err)
{
        int r = reference_parse(name, reference, err);
        if (!r && reference->digest[0])
                return error_set(err, -EINVAL, "image name \"%.160s\" must not have a digest", name);
        return r;
}

int image_import(struct store *store, const char *path, const char *name, const struct import_options *options,
                 char **id, struct error *err)
{
        struct reference reference = { 0 };
        int r = name ? parse_name(name, &reference, err) : 0;
        struct digest nothing;
        digest_bytes("", 0, &nothing);
        _cleanup_json_ json_t *config = NULL;
        if (!r)
                r = make_config(path, options, &nothing, &config, err);
        if (r < 0)
                return r;

        _cleanup_adding_ struct adding *adding = NULL;
        struct descriptor layer;
        struct digest diff_id;
        struct layer_report report;
        r = adding_begin(store, &adding, err);
        if (!r)
                r = import_layer(adding, path, options, &layer, &diff_id, &report, err);
        if (r < 0)
                return r;
        if (report.refused)
                fprintf(stderr, "%s: %u things of %s could not be kept, first: %s\n", program_invocation_short_name,
                        report.refused, path, report.first_refused);
        json_t *diff_ids = json_object_get(json_object_get(config, "rootfs"), "diff_ids");
        if (json_array_set_new(diff_ids, 0, json_string(diff_id.text)) < 0)
                return error_memory(err);
        return add_image(adding, config, &layer, name ? reference.text : NULL, id, err);
}

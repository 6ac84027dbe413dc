/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "runtime_vm/machine_document.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "guest/agent.h"
#include "guest/machine_config.h"
#include "kernel/cpio.h"

#define ROOT_TAG        "root"
#define IMAGE_SERIAL    "image"
#define WRITABLE_SERIAL "writable"

/* ---- Bind mounts ---- */

static bool has_option(const json_t *options, const char *wanted)
{
        size_t i;
        json_t *option;
        json_array_foreach((json_t *)options, i, option)
                if (json_is_string(option) && !strcmp(json_string_value(option), wanted))
                        return true;
        return false;
}

static bool is_bind(const json_t *mount)
{
        const json_t *options = json_object_get(mount, "options");
        const char *type = json_string_value(json_object_get(mount, "type"));
        return (type && !strcmp(type, "bind")) || has_option(options, "bind") || has_option(options, "rbind");
}

static int share(struct machine_document *document, const char *tag, const char *folder, bool read_only,
                 struct error *err)
{
        if (strchr(folder, ','))
                return error_set(err, -EINVAL,
                                 "%s cannot be shared with a virtual machine: there is a comma in its name", folder);
        return list_printf(&document->shares, "%s=%s%s", tag, folder, read_only ? ",ro" : "") < 0 ? error_memory(err)
                                                                                                  : 0;
}

static int share_folder(struct machine_document *document, json_t *mount, const char *source, struct error *err)
{
        json_t *folders = json_object_get(document->machine, "folders");
        bool read_only = has_option(json_object_get(mount, "options"), "ro");
        if (json_array_size(folders) == MACHINE_CONFIG_LIST_MAX)
                return error_set(err, -E2BIG, "a virtual machine takes at most %d folders of the host",
                                 MACHINE_CONFIG_LIST_MAX);
        _cleanup_free_ char *tag = text_format("v%zu", json_array_size(folders));
        if (!tag || json_array_append_new(folders, json_pack("{s:s, s:b}", "tag", tag, "read_only", read_only)) < 0 ||
            json_object_set_new(mount, "source", json_sprintf(MACHINE_CONFIG_FOLDERS "/%s", tag)) < 0)
                return error_memory(err);
        return share(document, tag, source, read_only, err);
}

static int copy_file(struct machine_document *document, json_t *mount, const char *source, const struct stat *st,
                     struct error *err)
{
        json_t *files = json_object_get(document->machine, "files");
        if (json_array_size(files) == MACHINE_CONFIG_LIST_MAX)
                return error_set(err, -E2BIG, "a virtual machine takes at most %d files of the host",
                                 MACHINE_CONFIG_LIST_MAX);
        if (st->st_size > MACHINE_CONFIG_TEXT_MAX)
                return error_set(err, -EFBIG, "%s is too large to be copied into a virtual machine; mount its folder",
                                 source);
        _cleanup_free_ char *text = NULL, *name = text_format("f%zu", json_array_size(files));
        size_t length;
        int r = file_read(AT_FDCWD, source, MACHINE_CONFIG_TEXT_MAX, &text, &length, err);
        if (r < 0)
                return r;
        json_t *content = strlen(text) == length ? json_string(text) : NULL;
        if (!content)
                return error_set(err, -EINVAL,
                                 "%s is no text and cannot be copied into a virtual machine; mount its folder", source);
        if (!name ||
            json_array_append_new(files, json_pack("{s:s, s:o, s:i}", "name", name, "text", content, "mode",
                                                   (int)(st->st_mode & 0777))) < 0 ||
            json_object_set_new(mount, "source", json_sprintf(MACHINE_CONFIG_FILES "/%s", name)) < 0)
                return error_memory(err);
        return 0;
}

static int place_mount(struct machine_document *document, json_t *mount, const char *bundle, struct error *err)
{
        const char *source = json_string_value(json_object_get(mount, "source"));
        struct stat st;
        if (!is_bind(mount) || !source)
                return 0;
        _cleanup_free_ char *path = source[0] == '/' ? strdup(source) : text_format("%s/%s", bundle, source);
        if (!path)
                return error_memory(err);
        if (stat(path, &st) < 0)
                return error_errno(err, "config.json: cannot find %s, which is to be mounted", path);
        if (S_ISDIR(st.st_mode))
                return share_folder(document, mount, path, err);
        if (S_ISREG(st.st_mode))
                return copy_file(document, mount, path, &st, err);
        return error_set(err, -EOPNOTSUPP,
                         "config.json: %s is neither a folder nor a file; a virtual machine has no way to "
                         "it",
                         path);
}

static int place_mounts(struct machine_document *document, const char *bundle, struct error *err)
{
        size_t i;
        json_t *mount;
        int r = 0;
        json_array_foreach(json_object_get(document->config, "mounts"), i, mount) {
                r = place_mount(document, mount, bundle, err);
                if (r < 0)
                        break;
        }
        return r;
}

/* ---- The machine ---- */

static int describe_root(struct machine_document *document, const char *root, const struct machine_settings *settings,
                         struct error *err)
{
        json_t *machine = document->machine;
        int failed;
        if (settings->image) {
                failed = json_object_set_new(machine, "root", json_pack("{s:s}", "disk", IMAGE_SERIAL));
                failed |= json_object_set_new(machine, "writable",
                                              settings->disk
                                                      ? json_pack("{s:s}", "disk", WRITABLE_SERIAL)
                                                      : json_pack("{s:I}", "memory", (json_int_t)settings->memory / 2));
                return failed ? error_memory(err) : 0;
        }
        const json_t *object = json_object_get(document->config, "root");
        failed = json_object_set_new(machine, "root", json_pack("{s:s}", "folder", ROOT_TAG));
        return failed ? error_memory(err)
                      : share(document, ROOT_TAG, root, json_is_true(json_object_get(object, "readonly")), err);
}

static int describe_streams(struct machine_document *document, const struct config *config, struct error *err)
{
        json_t *streams = config->program.terminal ? json_pack("{s:i}", "terminal", AGENT_HOST_TERMINAL)
                                                   : json_pack("{s:i, s:i, s:i}", "input", AGENT_HOST_INPUT, "output",
                                                               AGENT_HOST_OUTPUT, "errors", AGENT_HOST_ERRORS);
        return json_object_set_new(document->machine, "streams", streams) < 0 ? error_memory(err) : 0;
}

int machine_document_make(const struct state *state, const struct config *config,
                          const struct machine_settings *settings, struct machine_document *document, struct error *err)
{
        *document = (struct machine_document){
                .machine = json_pack("{s:i, s:[], s:[], s:i, s:b}", "version", 1, "folders", "files", "control",
                                     AGENT_HOST_CONTROL, "start", 1),
                .config = json_deep_copy(config->document),
        };
        int r = document->machine && document->config ? 0 : error_memory(err);
        if (!r && config->hostname && *config->hostname)
                r = json_object_set_new(document->machine, "hostname", json_string(config->hostname)) < 0
                            ? error_memory(err)
                            : 0;
        if (!r)
                r = describe_root(document, state->root_path, settings, err);
        if (!r)
                r = describe_streams(document, config, err);
        if (!r)
                r = place_mounts(document, state->bundle, err);
        if (r < 0)
                machine_document_release(document);
        return r;
}

void machine_document_release(struct machine_document *document)
{
        json_decref(TAKE_PTR(document->machine));
        json_decref(TAKE_PTR(document->config));
        list_free(TAKE_PTR(document->shares));
}

/* ---- The archive ---- */

static int add_document(struct cpio *archive, const char *name, const json_t *document, struct error *err)
{
        _cleanup_free_ char *text = json_dumps(document, JSON_COMPACT);
        if (!text)
                return error_memory(err);
        cpio_file(archive, name, 0600, text, strlen(text));
        return 0;
}

int machine_document_pack(struct machine_document *document, const struct wires *wires, struct error *err)
{
        struct cpio archive = { 0 };
        if (json_object_set(document->machine, "interfaces", wires->interfaces) < 0 ||
            json_object_set(document->machine, "routes", wires->routes) < 0)
                return error_memory(err);
        cpio_folder(&archive, "onggi", 0700);
        int r = add_document(&archive, "onggi/machine.json", document->machine, err);
        if (!r)
                r = add_document(&archive, "onggi/config.json", document->config, err);
        cpio_end(&archive, 4);
        _cleanup_close_ int fd = memfd_create("onggi-machine", MFD_CLOEXEC);
        if (!r && text_failed(&archive.bytes))
                r = error_memory(err);
        if (!r && fd < 0)
                r = error_errno(err, "cannot make a file without a name");
        if (!r) {
                r = write_all(fd, archive.bytes.data, archive.bytes.length);
                r = r < 0 ? error_code(err, r, "cannot write what the guest is told") : 0;
        }
        text_free(&archive.bytes);
        return r < 0 ? r : TAKE_FD(fd);
}

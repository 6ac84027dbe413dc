/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text.h"
#include "guest/machine_config.h"
#include "runtime_vm/machine_document.h"

/* A bundle's folder with a folder, a small file, a file of zeroes and a FIFO in it. */
static int make_bundle(void **state)
{
        char path[] = "/tmp/onggi-document-XXXXXX";
        assert_non_null(mkdtemp(path));
        _cleanup_close_ int folder = open(path, O_RDONLY | O_DIRECTORY);
        assert_return_code(mkdirat(folder, "folder", 0755), 0);
        assert_return_code(mkdirat(folder, "a,b", 0755), 0);
        assert_return_code(mkfifoat(folder, "pipe", 0600), 0);
        assert_int_equal(file_replace_volatile(folder, "text", "10.0.0.1 here\n", 14, 0640, NULL), 0);
        assert_int_equal(file_replace_volatile(folder, "zeroes", "\0\0", 2, 0644, NULL), 0);
        *state = strdup(path);
        return 0;
}

static int remove_bundle(void **state)
{
        tree_remove(AT_FDCWD, *state, NULL);
        free(*state);
        return 0;
}

static int make(const char *bundle, const char *mounts, bool image, struct machine_document *document,
                struct error *err)
{
        struct config *config = NULL;
        const struct machine_settings settings = { .memory = 256 << 20, .image = image ? "/image" : NULL };
        _cleanup_free_ char *root = text_format("%s/root", bundle);
        const struct state container = { .bundle = (char *)bundle, .root_path = root };
        _cleanup_free_ char *text = text_format(
                "{\"ociVersion\":\"1.0.2\",\"hostname\":\"web\",\"process\":{\"args\":[\"x\"],\"cwd\":\"/\"},\"root\":{\"path\":"
                "\"root\"},\"mounts\":[%s],\"linux\":{\"namespaces\":[{\"type\":\"mount\"},{\"type\":\"uts\"}]}}",
                mounts);
        assert_int_equal(config_parse(text, strlen(text), bundle, CONFIG_ALL, &config, err), 0);
        int r = machine_document_make(&container, config, &settings, document, err);
        config_free(config);
        return r;
}

/* What onggi-init will read of it. */
static struct machine_config *read_back(const struct machine_document *document)
{
        struct machine_config *config = NULL;
        struct error err = { 0 };
        _cleanup_free_ char *text = json_dumps(document->machine, 0);
        int r = machine_config_parse(text, strlen(text), &config, &err);
        assert_string_equal(err.text, "");
        assert_int_equal(r, 0);
        return config;
}

static const char *source_of(const struct machine_document *document, size_t i)
{
        return json_string_value(
                json_object_get(json_array_get(json_object_get(document->config, "mounts"), i), "source"));
}

static void test_folders_are_shared_and_files_are_copied(void **state)
{
        struct machine_document document;
        struct error err = { 0 };
        assert_int_equal(
                make(*state,
                     "{\"destination\":\"/v\",\"type\":\"bind\",\"source\":\"folder\",\"options\":[\"rbind\",\"ro\"]},"
                     "{\"destination\":\"/p\",\"type\":\"proc\",\"source\":\"proc\"},"
                     "{\"destination\":\"/etc/hosts\",\"source\":\"text\",\"options\":[\"bind\"]}",
                     false, &document, &err),
                0);
        _cleanup_(machine_config) struct machine_config *config = read_back(&document);
        assert_string_equal(config->root_folder, "root");
        assert_string_equal(config->hostname, "web");
        assert_int_equal(config->folder_count, 1);
        assert_true(config->folders[0].read_only);
        assert_int_equal(config->file_count, 1);
        assert_string_equal(config->files[0].text, "10.0.0.1 here\n");
        assert_int_equal(config->files[0].mode, 0640);
        assert_string_equal(source_of(&document, 0), MACHINE_CONFIG_FOLDERS "/v0");
        assert_string_equal(source_of(&document, 1), "proc");
        assert_string_equal(source_of(&document, 2), MACHINE_CONFIG_FILES "/f0");
        _cleanup_free_ char *root = text_format("root=%s/root", (char *)*state),
                            *share = text_format("v0=%s/folder,ro", (char *)*state);
        assert_true(list_contains(document.shares, root) && list_contains(document.shares, share));
        machine_document_release(&document);
}

static void test_an_image_is_a_disk_and_no_folder(void **state)
{
        struct machine_document document;
        struct error err = { 0 };
        assert_int_equal(make(*state, "", true, &document, &err), 0);
        _cleanup_(machine_config) struct machine_config *config = read_back(&document);
        assert_string_equal(config->root_disk, "image");
        assert_int_equal(config->writable_memory, 128 << 20);
        assert_null(document.shares);
        machine_document_release(&document);
}

static void assert_refused(const char *bundle, const char *source, const char *reason)
{
        struct machine_document document;
        struct error err = { 0 };
        _cleanup_free_ char *mount =
                text_format("{\"destination\":\"/x\",\"type\":\"bind\",\"source\":\"%s\"}", source);
        assert_true(make(bundle, mount, false, &document, &err) < 0);
        assert_non_null(strstr(err.text, reason));
}

static void test_what_cannot_be_in_a_machine_is_refused(void **state)
{
        assert_refused(*state, "pipe", "is neither a folder nor a file");
        assert_refused(*state, "zeroes", "is no text");
        assert_refused(*state, "missing", "cannot find");
        assert_refused(*state, "a,b", "a comma in its name");
}

int main(void)
{
        const struct CMUnitTest tests[] = {
                cmocka_unit_test(test_folders_are_shared_and_files_are_copied),
                cmocka_unit_test(test_an_image_is_a_disk_and_no_folder),
                cmocka_unit_test(test_what_cannot_be_in_a_machine_is_refused),
        };
        return cmocka_run_group_tests(tests, make_bundle, remove_bundle);
}

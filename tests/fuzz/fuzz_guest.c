/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What onggi-init reads: machine.json, modules.dep, and tar archives that the host sends. The first byte says which.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "base/text.h"
#include "guest/bundle.h"
#include "guest/machine_config.h"
#include "guest/module_index.h"
#include "guest/tar_archive.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
        const uint8_t *data;
        size_t size;
};

static int read_input(void *owner, void *bytes, size_t length)
{
        struct input *input = owner;
        if (length > input->size)
                return -EPROTO;
        memcpy(bytes, input->data, length);
        input->data += length;
        input->size -= length;
        return 0;
}

static void read_machine(const uint8_t *data, size_t size)
{
        struct machine_config *config = NULL;
        struct error err = { 0 };
        int r = machine_config_parse((const char *)data, size, &config, &err);
        if ((r < 0) != !config || (r < 0 && !err.text[0]))
                abort();
        if (config)
                machine_config_free(config);
}

static void read_bundle(const uint8_t *data, size_t size)
{
        _cleanup_json_ json_t *config = NULL;
        _cleanup_json_ json_t *sysctls = NULL;
        if (!json_parse((const char *)data, size, "config.json", &config, NULL))
                bundle_adapt(config, "/root", &sysctls, NULL);
}

static void read_modules(const uint8_t *data, size_t size)
{
        struct module_index *index = NULL;
        _cleanup_list_ char **files = NULL;
        if (module_index_parse(strndup((const char *)data, size), &index, NULL) < 0)
                return;
        module_index_order(index, "virtio_blk", &files);
        module_index_free(index);
}

static void read_tar(const uint8_t *data, size_t size)
{
        struct input input = { data, size };
        const struct tar_stream stream = { .owner = &input, .read = read_input };
        struct tar_member *member = malloc(sizeof(*member));
        while (tar_read_header(&stream, member, NULL) > 0) {
                uint64_t skip = member->size + tar_padding(member->size);
                if (!member->name[0] || strlen(member->name) > TAR_NAME_MAX || skip < member->size || skip > input.size)
                        break;
                input.data += skip;
                input.size -= skip;
        }
        free(member);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static void (*const readers[])(const uint8_t *, size_t) = { read_machine, read_bundle, read_modules, read_tar };
        if (size)
                readers[data[0] % ARRAY_SIZE(readers)](data + 1, size - 1);
        return 0;
}

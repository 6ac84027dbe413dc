/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/module_loader.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "guest/module_index.h"

#define INDEX_BYTES_MAX (256 * 1024)

int module_loader_open(struct module_loader *loader, const char *path, struct error *err)
{
        char *text;
        *loader = (struct module_loader){ .folder = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) };
        if (loader->folder < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot open %s", path);
        int r = file_read(loader->folder, "modules.dep", INDEX_BYTES_MAX, &text, NULL, err);
        return r < 0 ? r : module_index_parse(text, &loader->index, err);
}

static int load(const struct module_loader *loader, const char *file, struct error *err)
{
        _cleanup_close_ int fd = openat(loader->folder, file, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return errno == ENOENT ? 0 : error_errno(err, "cannot open the kernel module %s", file); /* loaded */
        if (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST)
                return error_errno(err, "cannot load the kernel module %s", file);
        unlinkat(loader->folder, file, 0);
        return 0;
}

int module_loader_load(struct module_loader *loader, const char *name, struct error *err)
{
        _cleanup_list_ char **files = NULL;
        int r = loader->index ? module_index_order(loader->index, name, &files) : 0;
        if (r < 0)
                return error_memory(err);
        for (size_t i = 0; i < list_length(files); i++) {
                r = load(loader, files[i], err);
                if (r < 0)
                        return r;
        }
        return 0;
}

void module_loader_close(struct module_loader *loader, const char *path)
{
        if (loader->index)
                module_index_free(loader->index);
        if (loader->folder >= 0)
                close(loader->folder);
        /* Memory alone is lost where this fails. */
        (void)tree_remove(AT_FDCWD, path, NULL);
        *loader = (struct module_loader){ .folder = -1 };
}

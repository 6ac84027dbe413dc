/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "virtual_machine/snapshot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/name.h"
#include "virtual_machine/folder.h"
#include "virtual_machine/machine_socket.h"

/* A folder that is not finished; a name does not begin so. */
#define UNFINISHED ".new"

static int check_name(const char *name, struct error *err)
{
        return instance_name_valid(name)
                       ? 0
                       : error_set(err, -EINVAL, "\"%s\" is no name of a snapshot: letters, digits, '_', '.' and '-'",
                                   name);
}

static int open_folder(const struct vm *vm, struct error *err)
{
        if (mkdirat(vm->folder, "snapshots", 0700) < 0 && errno != EEXIST)
                return error_errno(err, "cannot make a folder for snapshots");
        int fd = openat(vm->folder, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open the folder of snapshots") : fd;
}

static int open_file(int folder, const char *name, struct error *err)
{
        int fd = openat(folder, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        return fd < 0 ? error_errno(err, "cannot create a file of the snapshot") : fd;
}

static int copy_network(const struct vm *vm, int folder, struct error *err)
{
        _cleanup_json_ json_t *attachment = NULL;
        _cleanup_close_ int run = vm_run_folder_open(vm->host, vm->id);
        if (run < 0 || json_read(run, "network.json", &attachment, NULL) < 0)
                return 0; /* it has none */
        return json_replace(folder, "network.json", attachment, true, err);
}

static int fill(struct vm *vm, int folder, struct error *err)
{
        _cleanup_close_ int state = open_file(folder, "state", err);
        _cleanup_close_ int memory = state < 0 ? state : open_file(folder, "memory", err);
        if (memory < 0)
                return memory;
        _cleanup_json_ json_t *request = json_pack("{s:s}", "command", "snapshot");
        int r = request ? machine_socket_ask(vm, request, (const int[]){ state, memory }, 2, NULL, err)
                        : error_memory(err);
        if (!r && (fsync(state) < 0 || fsync(memory) < 0))
                r = error_errno(err, "cannot write the snapshot");
        return r < 0 ? r : copy_network(vm, folder, err);
}

int vm_snapshot_save(struct vm *vm, const char *name, struct error *err)
{
        int r = check_name(name, err);
        _cleanup_close_ int lock = r < 0 ? r : vm_lock(vm, err);
        _cleanup_close_ int folder = lock < 0 ? lock : open_folder(vm, err);
        if (folder < 0)
                return folder;
        if (!faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW))
                return error_set(err, -EEXIST, "the virtual machine %s has a snapshot \"%s\" already", vm->name, name);
        r = tree_remove(folder, UNFINISHED, err);
        if (!r && mkdirat(folder, UNFINISHED, 0700) < 0)
                r = error_errno(err, "cannot make a folder for the snapshot");
        _cleanup_close_ int own = r < 0 ? r : openat(folder, UNFINISHED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (!r)
                r = own < 0 ? error_errno(err, "cannot open a folder just made") : fill(vm, own, err);
        test_point("vm.snapshot.written");
        if (!r && (renameat(folder, UNFINISHED, folder, name) < 0 || fsync(folder) < 0))
                r = error_errno(err, "cannot keep the snapshot");
        if (r < 0)
                tree_remove(folder, UNFINISHED, NULL);
        return r;
}

static int no_snapshot(const struct vm *vm, const char *name, struct error *err)
{
        return error_set(err, -ENOENT, "the virtual machine %s has no snapshot \"%s\"", vm->name, name);
}

int vm_snapshot_find(const struct vm *vm, const char *name, char **path, struct error *err)
{
        int r = check_name(name, err);
        if (r < 0)
                return r;
        *path = text_format("%s/machines/%s/snapshots/%s", vm->host->root, vm->id, name);
        if (!*path)
                return error_memory(err);
        if (!access(*path, F_OK))
                return 0;
        free(TAKE_PTR(*path));
        return no_snapshot(vm, name, err);
}

int vm_snapshot_remove(struct vm *vm, const char *name, struct error *err)
{
        int r = check_name(name, err);
        _cleanup_close_ int lock = r < 0 ? r : vm_lock(vm, err);
        _cleanup_close_ int folder = lock < 0 ? lock : open_folder(vm, err);
        if (folder < 0)
                return folder;
        if (faccessat(folder, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
                return no_snapshot(vm, name, err);
        /* Whole or not at all, whatever kills us in between. */
        r = tree_remove(folder, UNFINISHED, err);
        if (!r && renameat(folder, name, folder, UNFINISHED) < 0)
                r = error_errno(err, "cannot remove the snapshot");
        return r < 0 ? r : tree_remove(folder, UNFINISHED, err);
}

json_t *vm_snapshots(const struct vm *vm)
{
        json_t *names = json_array();
        int fd = openat(vm->folder, "snapshots", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = fd < 0 ? NULL : fdopendir(fd);
        for (struct dirent *entry; names && folder && (entry = readdir(folder));)
                if (instance_name_valid(entry->d_name))
                        json_array_append_new(names, json_string(entry->d_name));
        return names;
}

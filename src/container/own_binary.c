/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/own_binary.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

#define OWN   "/proc/self/exe"
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_protected(void)
{
        struct statvfs fs;
        if (!statvfs(OWN, &fs) && fs.f_flag & ST_RDONLY)
                return true;
        _cleanup_close_ int fd = open(OWN, O_RDONLY | O_CLOEXEC);
        int seals = fd < 0 ? -1 : fcntl(fd, F_GET_SEALS);
        return seals >= 0 && (seals & SEALS) == SEALS;
}

static int read_only_mount(void)
{
        _cleanup_close_ int fd = (int)syscall(SYS_open_tree, AT_FDCWD, OWN, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
        struct mount_attr attributes = { .attr_set = MOUNT_ATTR_RDONLY };
        if (fd < 0 || syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attributes, sizeof(attributes)) < 0)
                return -1;
        return TAKE_FD(fd);
}

static int sealed_copy(struct error *err)
{
        struct stat st;
        _cleanup_close_ int source = open(OWN, O_RDONLY | O_CLOEXEC);
        _cleanup_close_ int copy = memfd_create("onggi-runtime", MFD_CLOEXEC | MFD_ALLOW_SEALING);
        if (source < 0 || copy < 0 || fstat(source, &st) < 0)
                return error_errno(err, "cannot copy the own program");
        void *data = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, source, 0);
        if (data == MAP_FAILED)
                return error_errno(err, "cannot copy the own program");
        int r = write_all(copy, data, (size_t)st.st_size);
        munmap(data, (size_t)st.st_size);
        if (r < 0)
                return error_code(err, r, "cannot copy the own program");
        if (fcntl(copy, F_ADD_SEALS, SEALS) < 0)
                return error_errno(err, "cannot seal the copy of the own program");
        return TAKE_FD(copy);
}

int own_binary_protect(char **argv, char **envp, struct error *err)
{
        if (is_protected())
                return 0;
        const char *name = (const char *)getauxval(AT_EXECFN);
        if (name && !strncmp(name, "/dev/fd/", 8))
                return error_set(err, -EPERM, "the own program could not be protected from containers");
        _cleanup_close_ int fd = read_only_mount();
        if (fd < 0)
                fd = sealed_copy(err);
        if (fd < 0)
                return fd;
        syscall(SYS_execveat, fd, "", argv, envp, AT_EMPTY_PATH);
        return error_errno(err, "cannot execute the own program anew");
}

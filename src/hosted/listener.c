/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/listener.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/text.h"

/* Nobody answers at a socket that a dead process left behind. */
static bool is_left_behind(const struct sockaddr_un *address)
{
        struct stat st;
        _cleanup_close_ int probe = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        return probe >= 0 && !lstat(address->sun_path, &st) && S_ISSOCK(st.st_mode) &&
               connect(probe, (const struct sockaddr *)address, sizeof(*address)) < 0 && errno == ECONNREFUSED;
}

int listener_open(const char *path, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (!*path || strlen(path) >= sizeof(address.sun_path))
                return error_set(err, -ENAMETOOLONG, "the path of a socket has 1 to %zu letters: %s",
                                 sizeof(address.sun_path) - 1, path);
        TEXT_COPY(address.sun_path, path);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return error_errno(err, "cannot make a socket");
        if (is_left_behind(&address))
                unlink(path);
        if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
                return error_errno(err, "cannot listen at %s", path);
        return TAKE_FD(fd);
}

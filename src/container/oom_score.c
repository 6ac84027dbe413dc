/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/oom_score.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "container/log.h"

#define OWN_SCORE "/proc/self/oom_score_adj"

int oom_score_lend(const struct program *program, bool lenient, struct oom_score *before, struct error *err)
{
        *before = (struct oom_score){ 0 };
        if (!program->has_oom_score)
                return 0;
        _cleanup_close_ int fd = open(OWN_SCORE, O_RDWR | O_CLOEXEC);
        if (fd < 0 || read(fd, before->text, sizeof(before->text) - 1) < 0)
                return error_errno(err, "cannot read " OWN_SCORE);
        char text[16];
        int length = snprintf(text, sizeof(text), "%d", program->oom_score);
        if (pwrite(fd, text, (size_t)length, 0) >= 0)
                return 0;
        before->text[0] = 0;
        if (!lenient || (errno != EACCES && errno != EPERM))
                return error_errno(err, "cannot set process.oomScoreAdj to %s", text);
        log_write(LOG_LEVEL_WARNING, "process.oomScoreAdj %s is not for an ordinary user to set; it stays as it is",
                  text);
        return 0;
}

void oom_score_return(const struct oom_score *before)
{
        if (before->text[0])
                file_poke(AT_FDCWD, OWN_SCORE, before->text, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/outcome.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

/* Linux, kernel/panic.c and mm/oom_kill.c. */
static const char panic_mark[] = "Kernel panic - not syncing: ";
static const char memory_mark[] = "ut of memory: Killed process ";

int outcome_open(struct outcome *outcome, const char *descriptor, struct error *err)
{
        uint64_t fd;
        *outcome = (struct outcome){ .fd = -1 };
        if (!descriptor)
                return 0;
        if (parse_u64(descriptor, &fd) < 0 || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_set(err, -EINVAL, "--reason takes the number of an open descriptor, not \"%s\"",
                                 descriptor);
        outcome->fd = (int)fd;
        return 0;
}

static void end_line(struct outcome *outcome)
{
        outcome->line[outcome->length] = 0;
        outcome->length = 0;
        const char *panic = strstr(outcome->line, panic_mark);
        if (panic && !*outcome->panic)
                snprintf(outcome->panic, sizeof(outcome->panic), "%s", panic + strlen(panic_mark));
        if (strstr(outcome->line, memory_mark))
                outcome->out_of_memory = true;
}

void outcome_console(struct outcome *outcome, const uint8_t *bytes, size_t length)
{
        if (outcome->fd < 0)
                return;
        for (size_t i = 0; i < length; i++) {
                if (bytes[i] == '\n')
                        end_line(outcome);
                else if (bytes[i] >= ' ' && bytes[i] <= '~' && outcome->length + 1 < sizeof(outcome->line))
                        outcome->line[outcome->length++] = (char)bytes[i];
        }
}

int outcome_judge(const struct outcome *outcome, enum machine_end end, unsigned code, struct error *err)
{
        if (outcome->fd < 0 || end == MACHINE_DEBUG_EXIT)
                return (int)code;
        if (*outcome->panic)
                return error_set(err, -ECANCELED, "the guest's kernel panicked: %s", outcome->panic);
        return error_set(err, -ECANCELED, "the virtual machine ended before its program: the guest %s",
                         end == MACHINE_OFF ? "switched itself off" : "was reset");
}

void outcome_tell(struct outcome *outcome, int result, const struct error *err)
{
        char line[sizeof(err->text) + 2];
        if (outcome->fd < 0)
                return;
        if (result < 0)
                snprintf(line, sizeof(line), "%s\n", err->text);
        else if (outcome->out_of_memory && result == 128 + SIGKILL)
                snprintf(line, sizeof(line), "out of memory: the guest's kernel killed the program\n");
        else
                return;
        (void)write_all(outcome->fd, line, strlen(line));
}

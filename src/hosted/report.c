/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/report.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "hosted/vmm_private.h"

int report_open(struct vmm *vmm, const char *descriptor, struct error *err)
{
        uint64_t fd;
        vmm->report = -1;
        if (!descriptor)
                return 0;
        if (parse_u64(descriptor, &fd) < 0 || fd > INT32_MAX || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
                return error_set(err, -EINVAL, "--report takes the number of an open descriptor, not \"%s\"",
                                 descriptor);
        vmm->report = (int)fd;
        json_object_seed(0); /* from a file that the jail has not */
        return 0;
}

static void tell(const struct vmm *vmm, json_t *object)
{
        _cleanup_free_ char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
        _cleanup_free_ char *line = text ? text_format("%s\n", text) : NULL;
        json_decref(object);
        /* Nobody may be left to read it: then nobody is told. */
        if (line)
                (void)write_all(vmm->report, line, strlen(line));
}

void report_running(const struct vmm *vmm)
{
        if (vmm->report >= 0)
                tell(vmm, json_pack("{s:s}", "event", "running"));
}

static const char *how(const struct vmm *vmm, int result)
{
        static const char *const ends[] = {
                [MACHINE_RUNS] = "failed",
                [MACHINE_RESET] = "reset",
                [MACHINE_OFF] = "power-off",
                [MACHINE_DEBUG_EXIT] = "exit",
        };
        if (vmm->failed)
                return vmm->failed->exits[ENGINE_EXIT_SHUTDOWN] ? "triple-fault" : "failed";
        if (vmm->stopped)
                return "stopped";
        return vmm->end == MACHINE_RUNS && !result ? "stopped" : ends[vmm->end];
}

void report_ended(const struct vmm *vmm, int result, const struct error *err)
{
        if (vmm->report < 0)
                return;
        tell(vmm, json_pack("{s:s, s:s, s:i, s:s}", "event", "ended", "how", how(vmm, result), "code", (int)vmm->code,
                            "text", result < 0 ? err->text : ""));
        close(vmm->report);
}

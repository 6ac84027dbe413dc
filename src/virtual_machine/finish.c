/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The end of a run: what it left goes, and how it ended is written down. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "instance/timestamp.h"
#include "virtual_machine/folder.h"
#include "virtual_machine/machine_cgroup.h"
#include "virtual_machine/machine_network.h"

#define REPORT_MAX 4096
#define LOG_MAX    (64 * 1024)

struct ending {
        char how[32]; /* as hosted/report.h has it, or "killed", "out-of-memory" */
        int code;
        const char *text; /* more about it; borrowed */
};

/* The words of onggi-vmm about its own end: a process that a guest may have broken. */
static bool read_report(json_t *report, struct ending *ending)
{
        struct json_reader reader = { .document = "report" };
        const struct json_at at = json_root(&reader, report);
        const char *event = NULL, *how = NULL, *text = NULL;
        int64_t code = 0;
        json_get_string(&at, "event", &event);
        json_get_string(&at, "how", &how);
        json_get_string(&at, "text", &text);
        json_get_i64(&at, "code", INT32_MIN, INT32_MAX, &code);
        if (json_failed(&at) || !text_equal(event, "ended") || !how || strlen(how) >= sizeof(ending->how))
                return false;
        TEXT_COPY(ending->how, how);
        ending->code = (int)code;
        ending->text = text;
        return true;
}

static json_t *load(int folder, const char *name)
{
        char *data = NULL;
        size_t length;
        json_t *value = NULL;
        if (!file_read(folder, name, REPORT_MAX, &data, &length, NULL) &&
            json_parse(data, length, name, &value, NULL) < 0)
                value = NULL;
        free(data);
        return value;
}

/* Its own words, then how its process ended; where the monitor was killed too, that is not known. */
static void find_ending(bool out_of_memory, json_t *report, json_t *ended, struct ending *ending)
{
        int signal = (int)json_integer_value(json_object_get(ended, "signal"));
        bool told = read_report(report, ending);
        if (ended)
                ending->code = (int)json_integer_value(json_object_get(ended, "exit_code"));
        if (told)
                return;
        const char *how = out_of_memory ? "out-of-memory" : signal || !ended ? "killed" : "failed";
        TEXT_COPY(ending->how, how);
        if (!ended)
                ending->code = 137;
        ending->text = out_of_memory ? "its process was killed for want of memory"
                       : !ended      ? "its processes were killed"
                       : signal      ? "its process was killed"
                                     : "onggi-vmm failed; its log says why";
}

static int record_end(struct vm *vm, int folder, const json_t *run, bool out_of_memory, struct error *err)
{
        _cleanup_json_ json_t *report = load(folder, "report"), *ended = load(folder, "ended.json");
        struct ending ending = { 0 };
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        find_ending(out_of_memory, report, ended, &ending);
        const char *finished = json_string_value(json_object_get(ended, "finished"));
        json_object_clear(vm->state);
        json_object_set_new(vm->state, "status", json_string("exited"));
        json_object_set(vm->state, "started", json_object_get(run, "started"));
        json_object_set(vm->state, "engine", json_object_get(run, "engine"));
        json_object_set_new(vm->state, "finished", json_string(finished ? finished : now));
        json_object_set_new(vm->state, "how", json_string(ending.how));
        json_object_set_new(vm->state, "exit_code", json_integer(ending.code));
        json_object_set_new(vm->state, "error", json_string(ending.text ? ending.text : ""));
        return vm_save_state(vm, true, err);
}

/* What onggi-vmm had to say outlives the run. */
static void keep_log(const struct vm *vm, int folder)
{
        char *log = NULL;
        size_t length;
        if (!file_read(folder, "log", LOG_MAX, &log, &length, NULL))
                file_replace(vm->folder, "log", log, length, 0600, NULL);
        free(log);
}

static int remove_run_folder(const struct vm *vm, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/machines", vm->host->state);
        _cleanup_close_ int runs = path ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
        return runs < 0 ? error_errno(err, "cannot open the folder of running machines")
                        : tree_remove(runs, vm->id, err);
}

/* Where there is no control group, its processes are all that there is to end. */
static void end_process(const json_t *run)
{
        _cleanup_close_ int vmm = vm_process(run, "vmm");
        if (vmm >= 0)
                process_signal(vmm, SIGKILL);
}

int vm_finish(struct vm *vm, struct error *err)
{
        _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
        if (folder < 0)
                return 0;
        _cleanup_json_ json_t *run = NULL;
        bool out_of_memory = false;
        json_read(folder, "run.json", &run, NULL);
        end_process(run);
        int r = machine_cgroup_remove(vm, folder, &out_of_memory, err);
        test_point("vm.finish.cgroup.removed");
        if (!r)
                r = machine_network_release(vm, err);
        test_point("vm.finish.network.released");
        if (!r && run)
                r = record_end(vm, folder, run, out_of_memory, err);
        if (r < 0)
                return error_prefix(err, "cannot clean up after the virtual machine %s", vm->name);
        keep_log(vm, folder);
        test_point("vm.finish.recorded");
        json_t *settings = json_object_get(vm->config, "settings");
        if (json_is_true(json_object_get(settings, "remove")))
                r = vm_erase(vm, err);
        return r < 0 ? r : remove_run_folder(vm, err);
}

int vm_finish_ended(struct host *host, const char *id, int *exit_code, struct error *err)
{
        struct vm *vm;
        int r = vm_open(host, id, &vm, err);
        if (r < 0)
                return r == -ENOENT ? 0 : r;
        _cleanup_close_ int lock = vm_lock(vm, err);
        r = lock < 0 ? lock : vm_look(vm, err);
        if (r > 0)
                r = vm_finish(vm, err);
        *exit_code = (int)json_integer_value(json_object_get(vm->state, "exit_code"));
        vm_free(vm);
        return r == -ENOENT ? 0 : r;
}

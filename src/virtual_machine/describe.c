/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What a virtual machine is, for people and programs. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/human.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/timestamp.h"
#include "virtual_machine/folder.h"
#include "virtual_machine/machine_cgroup.h"
#include "virtual_machine/snapshot.h"

DEFINE_CLEANUP(cgroup, struct cgroup, cgroup_free)

static const char *text_of(const json_t *object, const char *key)
{
        const char *text = json_string_value(json_object_get(object, key));
        return text ? text : "";
}

/* "5 minutes"; `text` is that time as state.json and run.json have it. */
static const char *ago(const char *text, char human[HUMAN_ROOM])
{
        struct timespec then, now;
        clock_gettime(CLOCK_REALTIME, &now);
        return human_duration(timestamp_parse(text, &then) < 0 ? 0 : now.tv_sec - then.tv_sec, human);
}

/* onggi-vmm knows whether its processors rest; one that does not answer runs as far as anybody can say. */
static bool is_paused(const struct vm *vm)
{
        _cleanup_json_ json_t *request = json_pack("{s:s}", "command", "status"), *answer = NULL;
        return vm->run && !vm_ask(vm, request, &answer, NULL) && text_equal(text_of(answer, "state"), "paused");
}

static const char *status_of(const struct vm *vm)
{
        if (vm->run)
                return is_paused(vm) ? "paused" : "running";
        return text_equal(text_of(vm->state, "status"), "exited") ? "exited" : "created";
}

static char *status_text(const struct vm *vm, const char *status)
{
        char human[HUMAN_ROOM];
        if (vm->run)
                return text_format("Up %s%s", ago(text_of(vm->run, "started"), human),
                                   text_equal(status, "paused") ? " (Paused)" : "");
        if (text_equal(status, "created"))
                return strdup("Created");
        json_int_t code = json_integer_value(json_object_get(vm->state, "exit_code"));
        return text_format("Exited (%lld) %s ago: %s", (long long)code, ago(text_of(vm->state, "finished"), human),
                           text_of(vm->state, "how"));
}

static json_t *read_network(const struct vm *vm)
{
        json_t *attachment = NULL;
        _cleanup_close_ int folder = vm->run ? vm_run_folder_open(vm->host, vm->id) : -1;
        if (folder >= 0)
                json_read(folder, "network.json", &attachment, NULL);
        return attachment;
}

/* "0.0.0.0:8080->80/tcp, …" */
static json_t *ports_text(const json_t *attachment)
{
        _cleanup_text_ struct text text = { 0 };
        size_t i;
        json_t *port;
        json_array_foreach(json_object_get(attachment, "ports"), i, port) {
                const char *address = text_of(port, "host_address");
                text_printf(&text, "%s%s:%lld->%lld/%s", i ? ", " : "", *address ? address : "0.0.0.0",
                            (long long)json_integer_value(json_object_get(port, "host")),
                            (long long)json_integer_value(json_object_get(port, "container")),
                            text_of(port, "protocol"));
        }
        return json_string(text.data ? text.data : "");
}

static json_t *labels_text(char *const *labels)
{
        _cleanup_text_ struct text text = { 0 };
        for (; labels && *labels; labels++)
                text_printf(&text, "%s%s", text.length ? "," : "", *labels);
        return json_string(text.data ? text.data : "");
}

json_t *vm_summary(const struct vm *vm)
{
        struct vm_settings settings = { 0 };
        char memory[HUMAN_ROOM], human[HUMAN_ROOM];
        if (vm_settings_of(vm, &settings, NULL) < 0)
                settings = vm_settings_default();
        const char *status = status_of(vm);
        _cleanup_free_ char *text = status_text(vm, status);
        _cleanup_json_ json_t *attachment = read_network(vm);
        const char *network = settings.network ? settings.network : "default";
        const char *engine = text_of(vm->run ? vm->run : vm->state, "engine");
        json_t *row = json_object();
        json_object_set_new(row, "ID", json_string(vm->id));
        json_object_set_new(row, "Names", json_string(vm->name));
        json_object_set_new(row, "State", json_string(status));
        json_object_set_new(row, "Status", json_string(text ? text : ""));
        json_object_set_new(row, "Engine", json_string(engine));
        json_object_set_new(row, "CPUs", json_string(settings.cpus ? settings.cpus : "1"));
        json_object_set_new(row, "Memory", json_string(human_size_binary(settings.memory, memory)));
        json_object_set_new(row, "Network", json_string(network));
        json_object_set_new(row, "Address", json_string(text_of(attachment, "address")));
        json_object_set_new(row, "Ports", ports_text(attachment));
        json_object_set_new(row, "Labels", labels_text(settings.labels));
        json_object_set_new(row, "CreatedAt", json_string(text_of(vm->config, "created")));
        json_object_set_new(row, "RunningFor", json_sprintf("%s ago", ago(text_of(vm->config, "created"), human)));
        vm_settings_free(&settings);
        return row;
}

int vm_inspect(const struct vm *vm, json_t **object, struct error *err)
{
        const char *status = status_of(vm);
        json_t *state = json_object();
        json_object_set_new(state, "Status", json_string(status));
        json_object_set_new(state, "Running", json_boolean(vm->run));
        json_object_set_new(state, "Paused", json_boolean(text_equal(status, "paused")));
        json_object_set_new(state, "Pid",
                            json_integer(json_integer_value(json_object_get(json_object_get(vm->run, "vmm"), "pid"))));
        json_object_set_new(state, "ExitCode",
                            json_integer(json_integer_value(json_object_get(vm->state, "exit_code"))));
        json_object_set_new(state, "Reason", json_string(text_of(vm->state, "how")));
        json_object_set_new(state, "Error", json_string(text_of(vm->state, "error")));
        json_object_set_new(state, "StartedAt", json_string(text_of(vm->run ? vm->run : vm->state, "started")));
        json_object_set_new(state, "FinishedAt", json_string(text_of(vm->state, "finished")));
        json_t *attachment = read_network(vm);
        *object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:O, s:o, s:o}", "Id", vm->id, "Name", vm->name, "Created",
                            text_of(vm->config, "created"), "Engine", text_of(vm->run ? vm->run : vm->state, "engine"),
                            "State", state, "Config", json_object_get(vm->config, "settings"), "Network",
                            attachment ? attachment : json_null(), "Snapshots", vm_snapshots(vm));
        return *object ? 0 : error_memory(err);
}

int vm_statistics(const struct vm *vm, json_t **object, struct error *err)
{
        _cleanup_json_ json_t *request = json_pack("{s:s}", "command", "statistics"), *answer = NULL, *used = NULL;
        _cleanup_(cgroup) struct cgroup *cgroup = NULL;
        int r = vm_ask(vm, request, &answer, err);
        if (r < 0)
                return r;
        _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
        if (machine_cgroup_load(folder, &cgroup, NULL) < 0 || cgroup_statistics(cgroup, &used, NULL) < 0)
                used = json_null();
        json_object_del(answer, "ok");
        *object = json_pack("{s:s, s:s, s:O, s:O}", "Id", vm->id, "Name", vm->name, "Machine", answer, "Process", used);
        return *object ? 0 : error_memory(err);
}

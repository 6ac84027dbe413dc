/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * New limits of a running virtual machine. It cannot grow beyond what it was started with; it gives memory up through
 * its balloon, by word of its guest; of processor time it gets less as any control group does.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/text.h"
#include "instance/folder.h"
#include "instance/vessel_private.h"
#include "runtime_vm/machine_annotations.h"

#define MIB            (1024 * 1024ULL)
#define ANSWER_SECONDS 10
#define CONTROL_SOCKET "machine/control" /* of onggi-vmm (hosted/control.h), in what its runtime keeps of it */

/* What the running machine was started with. */
static uint64_t present(const json_t *bundle, const char *annotation)
{
        const char *text = json_string_value(json_object_get(json_object_get(bundle, "annotations"), annotation));
        uint64_t value;
        return text && !parse_u64(text, &value) ? value : UINT64_MAX;
}

static int check(const struct instance *instance, const struct instance_settings *settings, uint64_t memory,
                 uint64_t processors, struct error *err)
{
        if (vm_memory(settings) > memory)
                return error_set(
                        err, -EBUSY,
                        "--memory: the virtual machine of %s was started with %llu MiB and cannot get more while "
                        "it runs; stop it, update it, and start it again",
                        instance->name, (unsigned long long)(memory / MIB));
        if (vm_processors(settings) > processors)
                return error_set(
                        err, -EBUSY,
                        "--cpus: the virtual machine of %s was started with %llu processors and cannot get more "
                        "while it runs; stop it, update it, and start it again",
                        instance->name, (unsigned long long)processors);
        return 0;
}

static int connect_control(const struct instance *instance, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        _cleanup_free_ char *folder =
                text_format("%s/%s/%s", instance->host->state, vessel_vm.containers, instance->id);
        /* By a descriptor: the whole path may be too long for a socket's address. */
        _cleanup_close_ int kept = folder ? open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
        _cleanup_close_ int control = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/" CONTROL_SOCKET, kept);
        const struct timeval patience = { .tv_sec = ANSWER_SECONDS };
        if (kept < 0 || control < 0 || setsockopt(control, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) < 0 ||
            connect(control, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot speak to the virtual machine of %s", instance->name);
        return TAKE_FD(control);
}

/* Asks the guest to give up so much of its memory. */
static int set_balloon(const struct instance *instance, uint64_t bytes, struct error *err)
{
        char line[1024];
        _cleanup_close_ int control = connect_control(instance, err);
        if (control < 0)
                return control;
        int length = snprintf(line, sizeof(line), "{\"command\": \"balloon\", \"size\": \"%llu\"}\n",
                              (unsigned long long)bytes);
        if (send(control, line, (size_t)length, MSG_NOSIGNAL) != length)
                return error_errno(err, "cannot speak to the virtual machine of %s", instance->name);
        ssize_t n = recv(control, line, sizeof(line) - 1, 0);
        if (n <= 0)
                return error_set(err, -EIO, "the virtual machine of %s does not answer", instance->name);
        json_t *answer = NULL;
        int r = json_parse(line, (size_t)n, "the virtual machine's answer", &answer, err);
        const char *reason = json_string_value(json_object_get(answer, "error"));
        if (!r && reason)
                r = error_set(err, -EIO, "the virtual machine of %s: %s", instance->name, reason);
        json_decref(answer);
        return r;
}

int vm_update(const struct instance *instance, const struct instance_settings *settings,
              const struct instance_settings *changes, json_t *resources, struct error *err)
{
        _cleanup_close_ int folder = run_folder_open(instance->host, instance->id);
        json_t *read = NULL;
        int r = folder < 0 ? error_code(err, folder, "instance %s does not run", instance->name)
                           : json_read(folder, "bundle/config.json", &read, err);
        _cleanup_json_ json_t *bundle = read;
        if (r < 0)
                return r;
        uint64_t memory = present(bundle, MACHINE_ANNOTATION_MEMORY);
        r = check(instance, settings, memory, present(bundle, MACHINE_ANNOTATION_CPUS), err);
        if (!r && changes->memory)
                r = set_balloon(instance, memory - vm_memory(settings), err);
        /* The group's limit stays that of the whole machine: a guest that is slow to give must not be killed for it. */
        json_object_del(resources, "memory");
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A running virtual machine: asked, stopped, waited for; and removed. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/text.h"
#include "virtual_machine/folder.h"
#include "virtual_machine/machine_cgroup.h"
#include "virtual_machine/machine_socket.h"

#define ANSWER_MAX    (256 * 1024)
#define ANSWER_WITHIN 60 /* seconds: a snapshot writes memory */

static int not_running(const struct vm *vm, struct error *err)
{
        return error_set(err, -EOPNOTSUPP, "the virtual machine %s does not run; `onggi vm start %s` starts it",
                         vm->name, vm->name);
}

int machine_socket_connect(const struct vm *vm, const char *name, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (!vm->run)
                return not_running(vm, err);
        _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
        _cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (folder < 0 || fd < 0)
                return folder < 0 ? not_running(vm, err) : error_errno(err, "cannot make a socket");
        /* A state folder's path may be longer than a socket's name can be. */
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", folder, name);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot reach the virtual machine %s", vm->name);
        return TAKE_FD(fd);
}

/* A line, at most; *answer is parsed of it. */
static int read_answer(const struct vm *vm, int fd, json_t **answer, struct error *err)
{
        _cleanup_text_ struct text line = { 0 };
        char bytes[4096];
        ssize_t n = 0;
        while (line.length < ANSWER_MAX && !(line.length && line.data[line.length - 1] == '\n') &&
               (n = read(fd, bytes, sizeof(bytes))) > 0)
                text_append_bytes(&line, bytes, (size_t)n);
        if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
                return error_set(err, -ETIMEDOUT, "the virtual machine %s does not answer", vm->name);
        if (n < 0)
                return error_errno(err, "cannot hear the virtual machine %s", vm->name);
        if (text_failed(&line))
                return error_memory(err);
        if (!line.length)
                return error_set(err, -ECONNRESET, "the virtual machine %s ended before it answered", vm->name);
        return json_parse(line.data, line.length, "the virtual machine's answer", answer, err);
}

static ssize_t send_line(int fd, const char *line, const int *files, size_t count)
{
        _Alignas(struct cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))] = { 0 };
        struct iovec part = { (char *)line, strlen(line) };
        struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
        if (count) {
                message.msg_control = control;
                message.msg_controllen = CMSG_SPACE(count * sizeof(int));
                struct cmsghdr *header = CMSG_FIRSTHDR(&message);
                *header = (struct cmsghdr){ CMSG_LEN(count * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
                memcpy(CMSG_DATA(header), files, count * sizeof(int));
        }
        return sendmsg(fd, &message, MSG_NOSIGNAL);
}

int machine_socket_ask(const struct vm *vm, const json_t *request, const int *files, size_t count, json_t **answer,
                       struct error *err)
{
        _cleanup_close_ int fd = machine_socket_connect(vm, VM_CONTROL_SOCKET, err);
        if (fd < 0)
                return fd;
        const struct timeval time = { ANSWER_WITHIN, 0 };
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof(time));
        _cleanup_free_ char *text = json_dumps(request, JSON_COMPACT);
        _cleanup_free_ char *line = text ? text_format("%s\n", text) : NULL;
        if (!line)
                return error_memory(err);
        if (send_line(fd, line, files, count) != (ssize_t)strlen(line))
                return error_errno(err, "cannot ask the virtual machine %s", vm->name);
        _cleanup_json_ json_t *object = NULL;
        int r = read_answer(vm, fd, &object, err);
        if (r < 0)
                return r;
        const char *refusal = json_string_value(json_object_get(object, "error"));
        if (refusal)
                return error_set(err, -EIO, "virtual machine %s: %s", vm->name, refusal);
        if (answer)
                *answer = TAKE_PTR(object);
        return 0;
}

int vm_ask(const struct vm *vm, const json_t *request, json_t **answer, struct error *err)
{
        return machine_socket_ask(vm, request, NULL, 0, answer, err);
}

int vm_command(const struct vm *vm, const char *command, struct error *err)
{
        _cleanup_json_ json_t *request = json_pack("{s:s}", "command", command);
        return request ? vm_ask(vm, request, NULL, err) : error_memory(err);
}

static int64_t milliseconds(void)
{
        struct timespec now;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Waits for the process to be gone; at once where it is. */
static int await(const json_t *run, const char *key, int64_t until)
{
        _cleanup_close_ int process = vm_process(run, key);
        if (process < 0)
                return 0;
        int64_t left = until < 0 ? -1 : until - milliseconds();
        struct pollfd fd = { process, POLLIN, 0 };
        if (until >= 0 && left < 0)
                left = 0;
        return poll(&fd, 1, (int)left) ? 0 : -ETIMEDOUT;
}

int vm_wait(struct vm *vm, int limit, struct error *err)
{
        int64_t until = limit < 0 ? -1 : milliseconds() + limit;
        if (!vm->run)
                return 0;
        /* The monitor becomes the command that finishes the run; where it was killed, we are that command. */
        int r = await(vm->run, "vmm", until);
        if (!r)
                r = await(vm->run, "monitor", until);
        if (r < 0)
                return error_set(err, r, "the virtual machine %s still runs", vm->name);
        return vm_refresh(vm, err);
}

static int settle(int r)
{
        return r == -ENOENT ? 0 : r; /* it removed itself */
}

int vm_kill(struct vm *vm, struct error *err)
{
        if (!vm->run)
                return not_running(vm, err);
        _cleanup_close_ int process = vm_process(vm->run, "vmm");
        if (process >= 0)
                process_signal(process, SIGKILL);
        return settle(vm_wait(vm, -1, err));
}

int vm_stop(struct vm *vm, int timeout, struct error *err)
{
        if (!vm->run)
                return 0;
        /* One that is paused hears nothing. */
        vm_command(vm, "resume", NULL);
        int r = vm_command(vm, "power", err);
        if (r == -ETIMEDOUT) /* a guest can keep its devices busy all the time */
                return vm_kill(vm, err);
        if (r < 0)
                return r;
        r = vm_wait(vm, timeout < 0 ? -1 : timeout * 1000, err);
        if (r != -ETIMEDOUT)
                return settle(r);
        vm_command(vm, "stop", NULL);
        r = vm_wait(vm, 2000, err);
        return r == -ETIMEDOUT ? vm_kill(vm, err) : settle(r);
}

int vm_remove(struct vm *vm, bool force, struct error *err)
{
        if (vm->run && !force)
                return error_set(err, -EBUSY, "the virtual machine %s runs; stop it first, or remove it with --force",
                                 vm->name);
        int r = vm->run ? vm_kill(vm, err) : 0;
        _cleanup_close_ int lock = r < 0 ? r : vm_lock(vm, err);
        r = lock < 0 ? lock : vm_look(vm, err);
        if (r > 0)
                r = vm_finish(vm, err);
        if (!r && vm->run)
                r = error_set(err, -EBUSY, "the virtual machine %s was started meanwhile", vm->name);
        if (!r && !faccessat(vm->folder, "config.json", F_OK, 0))
                r = vm_erase(vm, err);
        return settle(r);
}

int vm_limit(const struct vm *vm, double cpus, uint64_t memory, struct error *err)
{
        if (!vm->run)
                return not_running(vm, err);
        _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
        uint64_t all = (uint64_t)json_integer_value(json_object_get(json_object_get(vm->config, "settings"), "memory"));
        if (memory > all)
                return error_set(err, -EINVAL,
                                 "the virtual machine %s has %llu bytes of memory and can be given no more", vm->name,
                                 (unsigned long long)all);
        int r = cpus > 0 ? machine_cgroup_limit(folder, (int64_t)(cpus * 100000), err) : 0;
        if (r < 0 || !memory)
                return r;
        _cleanup_json_ json_t *request = json_object();
        json_object_set_new(request, "command", json_string("balloon"));
        json_object_set_new(request, "size", json_sprintf("%llu", (unsigned long long)(all - memory)));
        return vm_ask(vm, request, NULL, err);
}

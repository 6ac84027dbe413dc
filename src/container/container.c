/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/container.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/process.h"
#include "container/channel.h"
#include "container/creation.h"
#include "container/log.h"
#include "container/runtime.h"

/* The kernel ends a killed process soon; one in an uninterruptible sleep must not hold an engine for ever. */
#define DEATH_MILLISECONDS 10000

static int run_hooks(const struct state *state, enum hook_point point, enum container_status status, struct error *err)
{
        if (!(state->hooks & 1U << point))
                return 0;
        _cleanup_(config) struct config *config = NULL;
        int r = config_read(state->folder, state->bundle, CONFIG_HOOKS, &config, err);
        if (r < 0)
                return r;
        _cleanup_json_ json_t *document = state_document(state, status, status == CONTAINER_STOPPED ? 0 : state->pid);
        return document ? hooks_run(&config->hooks, point, document, err) : error_memory(err);
}

/* ---- start ---- */

static int open_gate(const struct state *state, struct error *err)
{
        _cleanup_close_ int result = openat(state->folder, "result", O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        _cleanup_close_ int gate = openat(state->folder, "start", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        if (result < 0 || gate < 0)
                return error_errno(err, "the container's first process waits no more");
        if (write(gate, "0", 1) != 1 || fcntl(result, F_SETFL, 0) < 0)
                return error_errno(err, "cannot start the container");
        unlinkat(state->folder, "start", 0);
        unlinkat(state->folder, "result", 0);
        return channel_result(result, err);
}

int container_await(struct state *state, int expected, int process, struct error *err)
{
        if (!runtime.await)
                return 0;
        /* It may take long, and whoever wants to kill it meanwhile must not wait for that. */
        state_unlock(state);
        int r = runtime.await(state, expected, process, err);
        int locked = state_lock(state, r < 0 ? NULL : err);
        return r < 0 ? r : locked;
}

static int let_go(struct state *state, struct error *err)
{
        _cleanup_close_ int process = state_process(state), expected = -1;
        if (process < 0)
                return error_set(err, -ESRCH, "the container's first process waits no more");
        if (runtime.expect) {
                expected = runtime.expect(state, err);
                if (expected < 0)
                        return expected;
        }
        int r = open_gate(state, err);
        return r < 0 ? r : container_await(state, expected, process, err);
}

int container_start(const char *root, const char *id, struct error *err)
{
        _cleanup_(state) struct state *state = NULL;
        int r = state_open(root, id, true, &state, err);
        if (r < 0)
                return r;
        enum container_status status = state_status(state);
        if (status != CONTAINER_CREATED)
                return error_set(err, -EINVAL, "cannot start the container %s: it is %s, not created", id,
                                 container_status_name(status));
        if (!state->has_program)
                return error_set(err, -EINVAL, "cannot start the container %s: its config.json has no process", id);
        r = let_go(state, err);
        if (r < 0)
                return r;
        r = run_hooks(state, HOOK_POSTSTART, CONTAINER_RUNNING, err);
        if (r < 0) {
                struct error ignored = { 0 };
                if (container_destroy(state, &ignored) < 0)
                        log_write(LOG_LEVEL_WARNING, "%s", ignored.text);
        }
        return r;
}

/* ---- signals ---- */

int container_cgroup(const struct state *state, struct cgroup **cgroup, struct error *err)
{
        if (!state->cgroup)
                return error_set(err, -ENOENT, "the container %s has no control groups", state->id);
        return cgroup_load(state->cgroup, cgroup, err);
}

static int signal_all(const struct state *state, int signal, struct error *err)
{
        struct cgroup *cgroup = NULL;
        int r = container_cgroup(state, &cgroup, err);
        if (r < 0)
                return r;
        r = cgroup_kill(cgroup, signal, err);
        cgroup_free(cgroup);
        return r;
}

/* On cgroup v1 a frozen process does not even die. */
static int thaw(const struct state *state, struct error *err)
{
        if (!state->cgroup)
                return 0;
        struct cgroup *cgroup = NULL;
        int r = container_cgroup(state, &cgroup, err);
        if (r < 0)
                return r;
        if (cgroup_is_frozen(cgroup))
                r = cgroup_freeze(cgroup, false, err);
        cgroup_free(cgroup);
        return r;
}

int container_kill(const char *root, const char *id, int signal, bool all, struct error *err)
{
        _cleanup_(state) struct state *state = NULL;
        int r = state_open(root, id, true, &state, err);
        if (r < 0)
                return r;
        if (all && state->complete && !runtime.signal)
                return signal_all(state, signal, err);
        _cleanup_close_ int process = state->complete ? state_process(state) : -ESRCH;
        if (process < 0)
                return error_set(err, -ESRCH, "container not running");
        r = runtime.signal ? runtime.signal(state, process, signal, all, err) : process_signal(process, signal);
        if (r < 0)
                return runtime.signal
                               ? r
                               : error_code(err, r, "cannot send %s to the container %s", signal_name(signal), id);
        return signal == SIGKILL ? thaw(state, err) : 0;
}

int container_freeze(const char *root, const char *id, bool frozen, struct error *err)
{
        _cleanup_(state) struct state *state = NULL;
        int r = state_open(root, id, true, &state, err);
        if (r < 0)
                return r;
        enum container_status status = state_status(state);
        if (frozen ? status != CONTAINER_RUNNING && status != CONTAINER_CREATED : status != CONTAINER_PAUSED)
                return error_set(err, -EINVAL, "cannot %s the container %s: it is %s", frozen ? "pause" : "resume", id,
                                 container_status_name(status));
        struct cgroup *cgroup = NULL;
        r = container_cgroup(state, &cgroup, err);
        if (r < 0)
                return r;
        r = cgroup_freeze(cgroup, frozen, err);
        cgroup_free(cgroup);
        return r;
}

/* ---- delete ---- */

static int await_death(int process, const char *id, struct error *err)
{
        struct pollfd wait = { .fd = process, .events = POLLIN };
        int n;
        do
                n = poll(&wait, 1, DEATH_MILLISECONDS);
        while (n < 0 && errno == EINTR);
        return n > 0 ? 0 : error_set(err, -EBUSY, "the first process of %s does not end, though it was killed", id);
}

static int kill_first_process(const struct state *state, const struct cgroup *cgroup, struct error *err)
{
        _cleanup_close_ int process = state_process(state);
        if (process < 0)
                return 0;
        /* By its control group too: a frozen process is thawed by that, or it would not die. */
        process_signal(process, SIGKILL);
        if (cgroup && cgroup_kill(cgroup, SIGKILL, err) < 0)
                return err->code;
        return await_death(process, state->id, err);
}

/*
 * A creator was killed before it wrote the record: the configuration that it kept says where its control groups would
 * be.
 */
static int adopt(struct state *state, struct cgroup **cgroup)
{
        _cleanup_(config) struct config *config = NULL;
        if (config_read(state->folder, "", CONFIG_PROGRAM, &config, NULL) < 0)
                return 0;
        struct json_reader reader = { .document = "config.json" };
        struct json_at root = json_root(&reader, config->document), platform = json_get_object(&root, "linux");
        const char *path = NULL;
        json_get_string(&platform, "cgroupsPath", &path);
        /* "slice:prefix:name" is systemd's form; a path of ours has no reason to look like it. */
        bool systemd = path && path[0] != '/' && strchr(path, ':');
        return cgroup_adopt(state->id, path && *path ? path : NULL, systemd, geteuid() != 0, cgroup, NULL);
}

static int destroy(struct state *state, const struct cgroup *cgroup, struct error *err)
{
        int r = state->complete ? kill_first_process(state, cgroup, err) : 0;
        if (!r && cgroup)
                r = cgroup_remove(cgroup, err);
        if (!r && state->rdt)
                r = intel_rdt_remove(state->id, err);
        if (r < 0)
                return r;
        if (runtime.clean)
                runtime.clean(state);
        if (state->complete) {
                struct error hook = { 0 };
                if (run_hooks(state, HOOK_POSTSTOP, CONTAINER_STOPPED, &hook) < 0)
                        log_write(LOG_LEVEL_WARNING, "%s", hook.text);
        }
        return state_remove(state, err);
}

int container_destroy(struct state *state, struct error *err)
{
        struct cgroup *cgroup = NULL;
        int r = 0;
        if (!state->complete)
                adopt(state, &cgroup);
        else if (state->cgroup)
                r = cgroup_load(state->cgroup, &cgroup, err);
        if (!r)
                r = destroy(state, cgroup, err);
        if (cgroup)
                cgroup_free(cgroup);
        return r;
}

int container_finish(struct container_running *running, struct error *err)
{
        int r = state_lock(running->state, err);
        if (r == -ENOENT)
                return 0;
        return r < 0 ? r : destroy(running->state, running->cgroup, err);
}

void container_running_release(struct container_running *running)
{
        if (running->pidfd >= 0)
                close(TAKE_FD(running->pidfd));
        if (running->master >= 0)
                close(TAKE_FD(running->master));
        if (running->cgroup)
                cgroup_free(TAKE_PTR(running->cgroup));
        if (running->state)
                state_close(TAKE_PTR(running->state));
}

int container_delete(const char *root, const char *id, bool force, struct error *err)
{
        _cleanup_(state) struct state *state = NULL;
        int r = state_open(root, id, true, &state, err);
        if (r == -ENOENT && force)
                return 0;
        if (r < 0)
                return r;
        if (!force && state->complete) {
                enum container_status status = state_status(state);
                if (status != CONTAINER_STOPPED)
                        return error_set(err, -EBUSY, "cannot delete container %s that is not stopped: %s", id,
                                         container_status_name(status));
        }
        return container_destroy(state, err);
}

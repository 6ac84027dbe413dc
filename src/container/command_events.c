/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <stdio.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/command.h"
#include "container/container.h"
#include "container/runtime.h"

struct options {
        bool stats;
        uint64_t interval;
};

static const struct option_spec table[] = {
        { "stats", 0, OPTION_FLAG, offsetof(struct options, stats), NULL, "print statistics once" },
        { "interval", 0, OPTION_TIME, offsetof(struct options, interval), "TIME",
          "time between statistics (default: 5s)" },
        { NULL },
};

/* How often the kernel's count of OOM kills is looked at. */
#define LOOK_MILLISECONDS 1000

static int print_event(const char *type, const char *id, json_t *data, struct error *err)
{
        _cleanup_json_ json_t *event = json_pack("{s:s, s:s, s:o*}", "type", type, "id", id, "data", data);
        _cleanup_free_ char *text = event ? json_dumps(event, JSON_COMPACT) : NULL;
        if (!text)
                return error_memory(err);
        return puts(text) < 0 || fflush(stdout) ? error_errno(err, "cannot write an event") : 0;
}

static int print_statistics(const struct state *state, const struct cgroup *cgroup, struct error *err)
{
        json_t *data = NULL;
        int r = cgroup_statistics(cgroup, &data, err);
        if (!r && runtime.measure) {
                r = runtime.measure(state, data, err);
                if (r < 0)
                        json_decref(data);
        }
        return r < 0 ? r : print_event("stats", state->id, data, err);
}

/* Until the container ends. */
static int follow(const struct state *state, const struct cgroup *cgroup, uint64_t interval, struct error *err)
{
        _cleanup_close_ int process = state_process(state);
        if (process < 0)
                return error_set(err, -ESRCH, "container not running");
        uint64_t kills = cgroup_oom_kills(cgroup), left = interval / 1000000;
        for (;;) {
                uint64_t step = left < LOOK_MILLISECONDS ? left : LOOK_MILLISECONDS;
                struct pollfd wait = { .fd = process, .events = POLLIN };
                int n = poll(&wait, 1, (int)step);
                if (n < 0 && errno != EINTR)
                        return error_errno(err, "cannot wait for events");
                for (uint64_t now = cgroup_oom_kills(cgroup); kills < now; kills++) {
                        int r = print_event("oom", state->id, NULL, err);
                        if (r < 0)
                                return r;
                }
                if (n > 0)
                        return 0;
                left -= step;
                if (left)
                        continue;
                left = interval / 1000000;
                int r = print_statistics(state, cgroup, err);
                if (r < 0)
                        return r;
        }
}

static int run(const struct global_options *global, const struct command *command, int argc, char **argv,
               struct error *err)
{
        struct options options = { .interval = UINT64_C(5000000000) };
        char **operands;
        int r = command_parse(command, argc, argv, &options, &operands, err);
        if (r)
                return r < 0 ? r : 0;
        if (options.interval < 1000000)
                return error_set(err, -EINVAL, "option --interval takes a millisecond or more");
        _cleanup_(state) struct state *state = NULL;
        r = state_open(global->root, operands[0], false, &state, err);
        if (r < 0)
                return r;
        if (!state->complete || state_status(state) == CONTAINER_STOPPED)
                return error_set(err, -ESRCH, "container not running");
        struct cgroup *cgroup = NULL;
        r = container_cgroup(state, &cgroup, err);
        if (r < 0)
                return r;
        r = options.stats ? print_statistics(state, cgroup, err) : follow(state, cgroup, options.interval, err);
        cgroup_free(cgroup);
        return r;
}

const struct command command_events = {
        .name = "events",
        .operands = "ID",
        .help = "print statistics and out-of-memory kills as JSON, a line each",
        .options = table,
        .fewest = 1,
        .most = 1,
        .run = run,
};

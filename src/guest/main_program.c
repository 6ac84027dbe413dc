/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guest/main_program.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "guest/guest_socket.h"
#include "guest/pump.h"

struct sockets {
        int input, output, errors, terminal;
};

static int connect_streams(const struct machine_config *config, struct sockets *sockets, struct error *err)
{
        const struct {
                unsigned port;
                int *socket;
        } wanted[] = {
                { config->input, &sockets->input },
                { config->output, &sockets->output },
                { config->errors, &sockets->errors },
                { config->terminal, &sockets->terminal },
        };
        for (size_t i = 0; i < ARRAY_SIZE(wanted); i++) {
                if (!wanted[i].port)
                        continue;
                *wanted[i].socket = guest_socket_connect(wanted[i].port, err);
                if (*wanted[i].socket < 0)
                        return *wanted[i].socket;
        }
        return 0;
}

static void close_streams(struct sockets *sockets)
{
        int *all[] = { &sockets->input, &sockets->output, &sockets->errors, &sockets->terminal };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (*all[i] >= 0)
                        close(*all[i]);
}

/* A process of its own copies, so that no slow reader keeps the agent from answering. */
static int start_pump(struct main_program *program, const struct sockets *sockets, struct error *err)
{
        const struct runtime_program *made = &program->made;
        const struct pump_lane all[] = {
                { .from = sockets->input, .to = made->input },
                { .from = made->output, .to = sockets->output, .output = true, .drained = true },
                { .from = made->errors, .to = sockets->errors, .output = true, .drained = true },
                { .from = sockets->terminal, .to = made->terminal },
                { .from = made->terminal, .to = sockets->terminal, .output = true, .drained = true },
        };
        struct pump_lane lanes[PUMP_LANES_MAX];
        int kept[2 * PUMP_LANES_MAX];
        size_t count = 0;
        for (size_t i = 0; i < ARRAY_SIZE(all) && count < PUMP_LANES_MAX; i++)
                if (all[i].from >= 0 && all[i].to >= 0) {
                        kept[2 * count] = all[i].from;
                        kept[2 * count + 1] = all[i].to;
                        lanes[count++] = all[i];
                }
        if (!count)
                return 0;
        program->pump = fork();
        if (program->pump < 0)
                return error_errno(err, "cannot start a process");
        if (!program->pump) {
                descriptors_close_except(0, kept, 2 * count);
                pump_run(lanes, count);
                _exit(0);
        }
        return 0;
}

int main_program_create(const struct machine_config *config, struct main_program *program, struct error *err)
{
        const struct runtime_streams streams = { config->terminal != 0, config->input != 0, config->output != 0,
                                                 config->errors != 0 };
        struct sockets sockets = { -1, -1, -1, -1 };
        int r = connect_streams(config, &sockets, err);
        if (!r)
                r = runtime_create(&streams, &program->made, err);
        if (!r) {
                program->pidfd = (int)syscall(SYS_pidfd_open, program->made.pid, 0);
                r = program->pidfd < 0 ? error_errno(err, "cannot open the process that was made") : 0;
        }
        if (!r)
                r = start_pump(program, &sockets, err);
        close_streams(&sockets);
        /* The terminal stays, for the size of its window. */
        int terminal = TAKE_FD(program->made.terminal);
        runtime_program_close(&program->made);
        program->made.terminal = terminal;
        return r;
}

void main_program_child(struct main_program *program, pid_t pid, int status)
{
        if (pid == program->pump)
                program->pump = 0;
        if (pid != program->made.pid || program->pidfd < 0)
                return;
        program->ended = true;
        program->exit_code = (uint8_t)(WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status));
}

bool main_program_over(const struct main_program *program)
{
        return program->ended && !program->pump;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The program that the machine is there for: the container's first process, its streams to the host, and how it ended.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "guest/agent.h"
#include "guest/machine_config.h"
#include "guest/runtime.h"

struct main_program {
        struct runtime_program made;
        int pidfd;  /* -1: not made */
        pid_t pump; /* copies its streams; 0: has none, or all is copied */
        bool ended;
        uint8_t exit_code;
};

/* Connects the streams to the host and makes the container. */
int main_program_create(const struct machine_config *config, struct main_program *program, struct error *err);
/* A child has ended. */
void main_program_child(struct main_program *program, pid_t pid, int status);
/* Whether it has ended, and all that it wrote has reached the host. */
bool main_program_over(const struct main_program *program);

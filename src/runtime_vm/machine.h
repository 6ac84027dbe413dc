/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A virtual machine that was made, as the commands on it see it: struct runtime's functions but for its start and exec.
 */
#pragma once

#include <jansson.h>

#include "container/resources.h"
#include "container/state.h"

int machine_fit(const struct state *state, struct resources *resources, struct error *err);
int machine_expect(const struct state *state, struct error *err);
int machine_await(const struct state *state, int expected, int pidfd, struct error *err);
int machine_signal(const struct state *state, int pidfd, int signal, bool all, struct error *err);
int machine_list_processes(const struct state *state, char *const *arguments, struct error *err);
int machine_measure(const struct state *state, json_t *statistics, struct error *err);
void machine_report(const struct state *state, json_t *report);
void machine_clean(const struct state *state);

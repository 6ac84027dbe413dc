/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The size of the terminal that a program in the guest is shown: guest/agent.h, AGENT_WINDOW.
 *
 * The terminal is this process's controlling one, so the kernel sends SIGWINCH when its size changes; whoever knows that
 * the guest's agent is there now sends one as well, because what comes before has nobody to go to.
 */
#pragma once

#include "base/error.h"

struct vmm;
struct window;

/* `terminal` may be closed or handed on afterwards. Needs the socket bridge. */
int window_open(struct vmm *vmm, int terminal, struct window **window, struct error *err);
void window_close(struct window *window);

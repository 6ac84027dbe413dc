/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The caller's terminal while an instance's terminal is shown on it: raw, and put back in any case.
 */
#pragma once

#include <stdbool.h>
#include <termios.h>

struct terminal {
        bool raw;
        struct termios saved;
};

/* Makes standard input raw, if it is a terminal. Returns whether it was. */
bool terminal_make_raw(struct terminal *terminal);
void terminal_restore(struct terminal *terminal);
/* Size of the terminal on standard output or input; false without one. */
bool terminal_size(unsigned short *rows, unsigned short *columns);

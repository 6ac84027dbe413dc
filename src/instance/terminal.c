/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "instance/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

bool terminal_make_raw(struct terminal *terminal)
{
        terminal->raw = !tcgetattr(STDIN_FILENO, &terminal->saved);
        if (!terminal->raw)
                return false;
        struct termios raw = terminal->saved;
        cfmakeraw(&raw);
        terminal->raw = !tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        return terminal->raw;
}

void terminal_restore(struct terminal *terminal)
{
        if (terminal->raw)
                tcsetattr(STDIN_FILENO, TCSANOW, &terminal->saved);
        terminal->raw = false;
}

bool terminal_size(unsigned short *rows, unsigned short *columns)
{
        struct winsize size;
        if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0)
                return false;
        *rows = size.ws_row;
        *columns = size.ws_col;
        return size.ws_row && size.ws_col;
}

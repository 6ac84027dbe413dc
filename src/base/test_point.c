/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/test_point.h"

#include <signal.h>
#include <stdlib.h>

#include "base/text.h"

static void raise_where_wanted(const char *variable, const char *name, int signal)
{
        const char *wanted = secure_getenv(variable);
        if (wanted && text_equal(wanted, name))
                raise(signal);
}

void test_point(const char *name)
{
        raise_where_wanted("ONGGI_TEST_STOP", name, SIGSTOP);
        raise_where_wanted("ONGGI_TEST_KILL", name, SIGKILL);
}

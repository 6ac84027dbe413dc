/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/soft/soft.h"
#include "engine/soft/thunk.h"

int soft_self_test(struct error *err)
{
        struct thunk *thunk = NULL;
        int r = thunk_open(&thunk, err);
        thunk_close(thunk);
        return r;
}

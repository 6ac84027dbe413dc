/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The container: its processes are processes of the host. */
#include "container/creation.h"
#include "container/runtime.h"

const struct runtime runtime = {
        .name = "onggi-runtime",
        .purpose = "Runs containers",
        .enters = true,
        .prepare = first_process_prepare,
        .start_process = first_process_start,
        .exec = container_exec,
};

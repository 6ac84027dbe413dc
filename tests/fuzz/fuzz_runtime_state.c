/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * state.json of the runtime, as a half-broken disk or another version may have left it: refused, or read and reported.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "container/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A root with one container "a", in memory, for the life of the process. */
static int container_folder(char root[static 64])
{
        snprintf(root, 64, "/dev/shm/onggi-fuzz-state-%d", (int)getpid());
        char path[80];
        snprintf(path, sizeof(path), "%s/a", root);
        return directory_make(path, 0700, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        char root[64];
        struct error err = { 0 };
        struct state *state = NULL;
        _cleanup_close_ int folder = container_folder(root);
        if (folder < 0 || file_replace_volatile(folder, "state.json", data, size, 0600, NULL) < 0)
                abort();
        int r = state_open(root, "a", true, &state, &err);
        if (r < 0 && (state || !err.text[0]))
                abort();
        if (!r) {
                if (state->complete && (state->pid < 1 || !state->bundle))
                        abort();
                json_decref(state_report(state));
                state_close(state);
        }
        tree_remove(AT_FDCWD, root, NULL);
        return 0;
}

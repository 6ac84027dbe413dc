/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The control socket: whoever may open it asks about the machine and changes what it does. A JSON object a line each
 * way:
 *
 *   {"command": "status"}            {"ok": true, "state": "running" or "paused", "engine": …, "cpus": …, "memory": …}
 *   {"command": "pause"}, "resume"   all processors out of the guest, and back
 *   {"command": "power"}             presses the power button
 *   {"command": "reset"}             resets the machine; what that does is --on-reset's
 *   {"command": "snapshot"}          saves the machine (snapshot.h) into two files that come with the line as descriptors
 *                                    (SCM_RIGHTS): state, memory. "watch": true: also begins to watch which pages change;
 *                                    "changes": true: saves those alone that changed since the last snapshot
 *   {"command": "stop"}              ends the machine at once
 *   {"command": "balloon", "size": "64m"}   what the guest shall give up of its memory
 *   {"command": "rate", "disk": 0, "bytes": "10m:64m", "operations": "500"}   and "network"; what is not said has none
 *   {"command": "statistics"}        exits by reason, accesses by device, bytes given back
 *
 * What cannot be done is answered by {"error": "…"}. The socket's file stays behind, and the next process replaces
 * it.
 */
#pragma once

#include "base/error.h"

struct vmm;
struct control;

int control_open(struct vmm *vmm, const char *path, struct control **control, struct error *err);
void control_close(struct control *control);

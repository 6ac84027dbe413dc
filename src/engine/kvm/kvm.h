/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The KVM engine: the host kernel runs the guest's instructions on the processor's virtualization extension.
 */
#pragma once

#include "engine/engine.h"

extern const struct engine_operations kvm_engine;

/*
 * Whether /dev/kvm can run what an ordinary kernel needs, found out by running it: a small guest in 64-bit kernel
 * mode for each of a table of instructions, a few milliseconds in all. Some hosts have a /dev/kvm that emulates
 * guest kernel mode, and not wholly. Returns 0 when all ran, -ENOENT or -EACCES when there is no usable /dev/kvm,
 * -ENOTSUP with the instructions that failed.
 */
int kvm_self_test(struct error *err);

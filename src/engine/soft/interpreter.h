/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The interpreter: one instruction after the other, as the manuals say. It is what every other way of running guest code is
 * measured by, and what runs the instructions that they leave to it.
 */
#pragma once

#include "engine/soft/vcpu.h"

/* Runs until the machine must act; *exit says why. */
void interpreter_run(struct vcpu *vcpu, struct engine_exit *exit);

/* Runs one instruction. A fault is in vcpu->fault and not delivered: for comparing this CPU with another. */
enum unwind interpreter_try(struct vcpu *vcpu, struct engine_exit *exit);

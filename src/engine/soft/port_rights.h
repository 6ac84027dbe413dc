/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Whether the current level may use ports: IOPL and the map of the task segment, AMD64 APM vol. 2, section 12.2.4. */
#pragma once

#include "engine/soft/vcpu.h"

/* Raises #GP where it may not. */
void port_check(struct vcpu *vcpu, uint16_t port, unsigned size);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How virtual CPUs hang together: sockets of cores of threads, and the numbers of their local APICs.
 *
 * An APIC's number has a field of whole bits each for thread, core and socket, so numbers are not dense where a count
 * is no power of two: Intel SDM vol. 3A, section 9.9.1; AMD APM vol. 3, section E.5.1. Engines (CPUID) and tables
 * (MADT) both follow it. Freestanding.
 */
#pragma once

#include <stdint.h>

struct topology {
        unsigned sockets, cores, threads; /* cores of a socket, threads of a core; each at least 1 */
};

unsigned topology_cpus(const struct topology *topology);
/* Bits that number `count` things. */
unsigned topology_bits(unsigned count);
/* Number of the local APIC of CPU `number`; threads of a core follow each other, then cores. */
uint32_t topology_apic_id(const struct topology *topology, unsigned number);
/* Low bits of an APIC's number that tell threads of one core apart, and CPUs of one socket. */
unsigned topology_thread_bits(const struct topology *topology);
unsigned topology_socket_bits(const struct topology *topology);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "machine/topology.h"

unsigned topology_cpus(const struct topology *topology)
{
        return topology->sockets * topology->cores * topology->threads;
}

unsigned topology_bits(unsigned count)
{
        unsigned bits = 0;
        while (bits < 31 && (1u << bits) < count)
                bits++;
        return bits;
}

unsigned topology_thread_bits(const struct topology *topology)
{
        return topology_bits(topology->threads);
}

unsigned topology_socket_bits(const struct topology *topology)
{
        return topology_bits(topology->threads) + topology_bits(topology->cores);
}

uint32_t topology_apic_id(const struct topology *topology, unsigned number)
{
        unsigned thread = number % topology->threads;
        unsigned core = number / topology->threads % topology->cores;
        unsigned socket = number / topology->threads / topology->cores;
        return thread | core << topology_thread_bits(topology) | socket << topology_socket_bits(topology);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What `ps --filter publish=` and `--filter expose=` take: a port or a range of ports, "80", "80-90", "53/udp".
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "instance/instance.h"

struct port_filter {
        uint64_t first, last;
        const char *protocol; /* borrowed of the text, or "tcp" */
};

/* -EINVAL: it is none. */
int port_filter_parse(const char *text, struct port_filter *filter);

/* Whether one of the instance's ports is published on the host at one of those. */
bool port_filter_fits_published(const struct port_filter *filter, struct instance *instance);
/* Whether one of those inside is published or, in the settings, exposed. */
bool port_filter_fits_exposed(const struct port_filter *filter, struct instance *instance,
                              const struct instance_settings *settings);

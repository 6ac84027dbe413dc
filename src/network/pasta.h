/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Attachments of an ordinary user: no bridge can be made on the host, so a process of pasta(1) per instance carries the traffic.
 */
#pragma once

#include "network/handle.h"

int pasta_attach(struct networks *networks, const struct network_request *request, json_t **attachment,
                 struct error *err);
int pasta_release(struct networks *networks, const char *instance, struct error *err);

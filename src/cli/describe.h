/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Images and networks in the form of docker's inspect, which templates of --format are written for. */
#pragma once

#include <jansson.h>

struct image;

/* All are the caller's. */
json_t *describe_image(const struct image *image);
/* `network` is an object of network_inspect(). */
json_t *describe_network_as_docker(const json_t *network);
/* An object of labels as docker's listings have it: "key=value,key=value". */
json_t *labels_as_text(const json_t *labels);

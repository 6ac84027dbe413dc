/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The name by which people call an image: [HOST[:PORT]/]PATH[:TAG][@DIGEST] (the grammar of the distribution project's
 * reference package).
 *
 * Names are kept in docker's familiar form: "docker.io/library/nginx" is "nginx", "docker.io/someone/x" is "someone/x",
 * and a name with neither tag nor digest has the tag "latest". Two references are the same when their familiar forms
 * are.
 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "image/digest.h"

#define REFERENCE_NAME_MAX 255
#define REFERENCE_TAG_MAX  128

struct reference {
        char name[REFERENCE_NAME_MAX + 1];                     /* familiar form, without tag */
        char tag[REFERENCE_TAG_MAX + 1];                       /* "" where only a digest was given */
        char digest[sizeof(((struct digest *)0)->text)];       /* "" where none was given */
        char text[REFERENCE_NAME_MAX + REFERENCE_TAG_MAX + 2]; /* "name:tag"; the name alone where there is no tag */
};

/* -EINVAL with a text that says which part breaks which rule. */
int reference_parse(const char *text, struct reference *reference, struct error *err);

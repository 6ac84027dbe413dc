/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The templates of --format: the part of Go's text/template that docker's users write, over a JSON value.
 *
 *   {{.Name}}  {{.State.Status}}  {{json .Mounts}}  {{index .Config.Labels "a.b"}}  {{.Names | upper}}  {{- trimmed -}}
 *   {{if .X}}…{{else if .Y}}…{{else}}…{{end}}  {{with .X}}…{{end}}
 *   {{.Label "a.b"}} of a listing's row
 *   {{range .List}}{{.}}{{end}}  {{range $key, $value := .Ports}}{{$key}} {{(index $value 0).HostPort}}{{end}}
 *
 * Functions: json index len join upper lower println eq ne not and or. Outside of {{ }}, \t and \n stand for tab and
 * line feed. $ is the whole value. A field that is not there is an error where it is printed and false where it is a
 * condition; a null prints "<no value>".
 */
#pragma once

#include <jansson.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "base/text.h"

struct template;

/* -EINVAL with what is wrong, where. *template is the caller's. */
int template_parse(const char *text, struct template **template, struct error *err);
/* Appends to *out. -EINVAL: a field that is not there, a function that does not fit its argument. */
int template_render(const struct template *template, const json_t *value, struct text *out, struct error *err);
void template_free(struct template *template);

DEFINE_CLEANUP(template, struct template, template_free)
#define _cleanup_template_ _cleanup_(template)

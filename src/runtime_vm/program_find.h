/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Programs of onggi's own: in $ONGGI_LIBEXEC, or where they are as installed or as built, seen from the running one. */
#pragma once

/* The path of that name, the caller's; NULL where there is none. */
char *program_find(const char *name);

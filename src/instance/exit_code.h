/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Docker's exit codes for programs that did not start: 127 not found, 126 found but not to be executed, 137 killed for
 * want of memory before it began, 125 anything else.
 */
#pragma once

#define EXIT_CODE_OUT_OF_MEMORY 137

/* From the runtime's words, which end as exec(2) did. */
int exit_code_of_failure(const char *text);

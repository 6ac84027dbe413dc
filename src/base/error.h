/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An error, written for the person who will read it: what failed, on what, and what to do.
 *
 * The caller owns the struct and passes its address as the last argument; a function that fails fills it and returns the
 * same negative errno. Inner layers say what they alone know, the outermost adds what the user was doing, and only main()
 * prints. A NULL err is allowed where the reason is of no interest: the code is returned all the same.
 */
#pragma once

#include <stdarg.h>

struct error {
        int code;        /* negative errno; 0 while nothing has failed */
        char text[1024]; /* one line, no full stop or line feed at its end; cut at the end where it is too long */
};

/* Sets code and text. `code` is a negative errno. Returns code. */
int error_set(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* As error_set() with -errno, and ": <what errno means>" added to the text. Returns -errno (-EIO should errno be 0). */
int error_errno(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* As error_errno() for a code that was returned and not left in errno. Returns code. */
int error_code(struct error *err, int code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Puts "<context>: " in front of the text that is there. Returns err->code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* -ENOMEM with its text. */
int error_memory(struct error *err);

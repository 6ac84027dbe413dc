/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clean-up attributes: a resource is released where its variable goes out of scope, on every path.
 *
 * TAKE_FD() and TAKE_PTR() hand a resource on to the caller: they return it and leave nothing to release behind.
 */
#pragma once

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* Defines cleanup_<name>() for __attribute__((cleanup)): calls `release` on a pointer that is not NULL. */
#define DEFINE_CLEANUP(name, type, release)                                                                            \
        static inline void cleanup_##name(type **pointer)                                                              \
        {                                                                                                              \
                if (*pointer)                                                                                          \
                        release(*pointer);                                                                             \
        }

static inline void cleanup_free(void *pointer)
{
        free(*(void **)pointer);
}

static inline void cleanup_close(int *fd)
{
        int saved = errno;
        if (*fd >= 0)
                close(*fd);
        errno = saved;
}

DEFINE_CLEANUP(closedir, DIR, closedir)
DEFINE_CLEANUP(fclose, FILE, fclose)

#define _cleanup_(name)    __attribute__((cleanup(cleanup_##name)))
#define _cleanup_free_     _cleanup_(free)
#define _cleanup_close_    _cleanup_(close)
#define _cleanup_closedir_ _cleanup_(closedir)
#define _cleanup_fclose_   _cleanup_(fclose)

#define TAKE_FD(fd)                                                                                                    \
        ({                                                                                                             \
                int taken_fd_ = (fd);                                                                                  \
                (fd) = -1;                                                                                             \
                taken_fd_;                                                                                             \
        })

#define TAKE_PTR(pointer)                                                                                              \
        ({                                                                                                             \
                __typeof__(pointer) taken_pointer_ = (pointer);                                                        \
                (pointer) = NULL;                                                                                      \
                taken_pointer_;                                                                                        \
        })

/* 1 for a pointer, 0 for an array. */
#define IS_POINTER(array) __builtin_types_compatible_p(__typeof__(array), __typeof__(&(array)[0]))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The kernels that virtual machines of images start with, each unpacked once:
 *
 *   <root>/kernels/<release>/vmlinux       ELF, mapped by onggi-vmm and not unpacked again
 *   <root>/kernels/<release>/initramfs     onggi-init, onggi-runtime, modules; made anew when those programs change
 *   <root>/kernels/<release>/modules/      what the initramfs takes, and modules.dep
 *   <root>/kernels/<release>/kernel.json   what it is, and of which programs the initramfs was made
 *   <root>/kernels/default                 a symbolic link whose text is a release
 *   <root>/kernels/lock, tmp/              a lock around all changes; what is being made
 *
 * A kernel appears under its name when it is whole. This header needs no archive library; import.h reads packages.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/error.h"

/* What onggi starts its guests with; `bench/run guest_options` measures what each word saves. */
#define KERNEL_COMMAND_LINE                                                                                            \
        "quiet reboot=k panic=-1 no_timer_check tsc=reliable mitigations=off random.trust_cpu=on "                     \
        "cryptomgr.notests initcall_blacklist=load_system_certificate_list 8250.nr_uarts=1 i8042.noaux i8042.nokbd"

struct kernel {
        char *release;
        char *vmlinux, *initramfs; /* absolute paths */
        char *command_line;        /* KERNEL_COMMAND_LINE, or what kernel.json has instead */
};

/* The programs that go into an initramfs, by their paths. */
struct kernel_programs {
        const char *init, *runtime; /* onggi-init, onggi-runtime */
};

/*
 * Finds one by its release, or the default one (NULL). The initramfs is made anew where `programs` have changed since.
 * -ENOENT with a text that says how to get one.
 */
int kernel_find(const char *root, const char *release, const struct kernel_programs *programs, struct kernel **kernel,
                struct error *err);
void kernel_free(struct kernel *kernel);
DEFINE_CLEANUP(kernel, struct kernel, kernel_free)

/* An array of {"Release", "Default", "Size", "Source", "Modules", "Path"}; the caller's. */
int kernel_list(const char *root, json_t **list, struct error *err);
/* -ENOENT; guests that run keep what they have mapped. Another one, if there is any, becomes the default. */
int kernel_remove(const char *root, const char *release, struct error *err);
int kernel_set_default(const char *root, const char *release, struct error *err);

/* ---- For import.c ---- */

/* The folder <root>/kernels, made where missing. */
int kernels_open(const char *root, struct error *err);
/* The lock around all changes; closing the descriptor releases it. */
int kernels_lock(int kernels, struct error *err);
/* Removes what killed imports left and makes tmp/<release>, whose descriptor it returns. The lock is held. */
int kernels_begin(int kernels, const char *release, struct error *err);
/* Puts the finished tmp/<release> in its place; it becomes the default where there is none. */
int kernels_finish(int kernels, const char *release, bool make_default, struct error *err);

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a bundle says of its virtual machine, in annotations; all values are strings. onggi's own bundles have them all; where one is
 * missing, machine_settings.h tells what is done instead.
 *
 * Those that name files of the host count only where MACHINE_FILES_VARIABLE is set in the environment: onggi sets it. Engines copy
 * annotations that an image brought into the bundle, and an image must not choose which file of the host its machine gets.
 */
#pragma once

#define MACHINE_FILES_VARIABLE "ONGGI_MACHINE_FILES"

/* What runs its instructions: "kvm" or "soft". */
#define MACHINE_ANNOTATION_ENGINE "org.onggi.vm.engine"
/* Bytes of guest memory. */
#define MACHINE_ANNOTATION_MEMORY "org.onggi.vm.memory"
/* Number of virtual CPUs; what of their time it may use is in linux.resources as for containers. */
#define MACHINE_ANNOTATION_CPUS "org.onggi.vm.cpus"

/* A release in the store of kernels; a file (an absolute path) brings its initramfs beside it. */
#define MACHINE_ANNOTATION_KERNEL "org.onggi.vm.kernel"
/* A read-only EROFS file: the image's layers. Without it the bundle's root folder is the whole root file system. */
#define MACHINE_ANNOTATION_IMAGE "org.onggi.vm.image"
/* A file with ext4: what is written, on top of the image. */
#define MACHINE_ANNOTATION_DISK "org.onggi.vm.disk"
/*
 * A file; whoever sees the machine end otherwise than by its program's exit writes the reason there, one line for people: "the
 * guest's kernel panicked: …". What stands before a colon is shown in lists; "out of memory: …" counts as killed for lack of memory.
 */
#define MACHINE_ANNOTATION_REASON "org.onggi.vm.reason"
/* The folder of images, kernels and instances (`onggi --root`). */
#define MACHINE_ANNOTATION_ROOT "org.onggi.onggi-root"

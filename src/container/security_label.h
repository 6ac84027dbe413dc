/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What Linux security modules call a process: the AppArmor profile and the SELinux label that take effect at its next
 * execve(2), and the SELinux label of the keys that it makes. proc(5), /proc/PID/attr.
 *
 * `proc` is a descriptor of a procfs that the caller trusts: opened before the container's root was entered. Where
 * the host has no such module, a label that was asked for is an error: a process must not run wider than its
 * configuration says.
 */
#pragma once

#include "base/error.h"

/* process.apparmorProfile; NULL or "" does nothing. "unconfined" is fine without AppArmor. */
int security_label_apparmor(int proc, const char *profile, struct error *err);

/* process.selinuxLabel; NULL or "" does nothing. */
int security_label_selinux(int proc, const char *label, struct error *err);

/* For the session keyring that is made next; `label` NULL takes it back. Does nothing where the host has no SELinux. */
int security_label_keys(int proc, const char *label, struct error *err);

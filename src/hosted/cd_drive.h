/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The guest's CD drive, whose disc is a file.
 */
#pragma once

#include "base/error.h"

struct cd_drive;
struct vmm;

int cd_drive_open(struct vmm *vmm, const char *path, struct cd_drive **result, struct error *err);
void cd_drive_close(struct cd_drive *drive);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/commands.h"

#include <stddef.h>

#include "cli/help.h"
#include "cli/verbs.h"

/* One command a line: clang-format would make columns of them. */
/* clang-format off */
static const struct command_name container_commands[] = {
        { "attach", &command_attach },
        { "create", &command_create },
        { "exec", &command_exec },
        { "inspect", &command_instance_inspect },
        { "kill", &command_kill },
        { "logs", &command_logs },
        { "ls ps list", &command_ps },
        { "pause", &command_pause },
        { "port", &command_port },
        { "prune", &command_instance_prune },
        { "rename", &command_rename },
        { "restart", &command_restart },
        { "rm remove", &command_remove },
        { "run", &command_run },
        { "start", &command_start },
        { "stats", &command_stats },
        { "stop", &command_stop },
        { "top", &command_top },
        { "unpause", &command_unpause },
        { "update", &command_update },
        { "wait", &command_wait },
        { 0 },
};

static const struct command_name image_commands[] = {
        { "import", &command_import },
        { "inspect", &command_image_inspect },
        { "load", &command_load },
        { "ls list", &command_images },
        { "prune", &command_image_prune },
        { "rm remove", &command_rmi },
        { "save", &command_save },
        { "tag", &command_tag },
        { 0 },
};

static const struct command_name kernel_commands[] = {
        { "default", &command_kernel_default },
        { "import", &command_kernel_import },
        { "ls list", &command_kernel_list },
        { "rm remove", &command_kernel_remove },
        { 0 },
};

static const struct command_name network_commands[] = {
        { "connect", &command_network_connect },
        { "create", &command_network_create },
        { "disconnect", &command_network_disconnect },
        { "inspect", &command_network_inspect },
        { "ls list", &command_network_list },
        { "prune", &command_network_prune },
        { "rm remove", &command_network_remove },
        { 0 },
};

static const struct command_name volume_commands[] = {
        { "create", &command_volume_create },
        { "inspect", &command_volume_inspect },
        { "ls list", &command_volume_list },
        { "prune", &command_volume_prune },
        { "rm remove", &command_volume_remove },
        { 0 },
};

static const struct command_name vm_commands[] = {
        { "console", &command_vm_console },
        { "create", &command_vm_create },
        { "inspect", &command_vm_inspect },
        { "kill", &command_vm_kill },
        { "ls ps list", &command_vm_list },
        { "pause", &command_vm_pause },
        { "power", &command_vm_power },
        { "resume unpause", &command_vm_resume },
        { "reset", &command_vm_reset },
        { "restore", &command_vm_restore },
        { "rm remove", &command_vm_remove },
        { "run", &command_vm_run },
        { "set update", &command_vm_set },
        { "snapshot", &command_vm_snapshot },
        { "start", &command_vm_start },
        { "stats", &command_vm_stats },
        { "stop", &command_vm_stop },
        { "__finish", &command_vm_finish },
        { 0 },
};

static const struct command_name system_commands[] = {
        { "events", &command_events },
        { "prune", &command_system_prune },
        { 0 },
};
/* clang-format on */

static const struct command container_group = { .summary = "Handle instances", .group = container_commands };
static const struct command image_group = { .summary = "Handle images", .group = image_commands };
static const struct command kernel_group = { .summary = "Handle kernels of guests", .group = kernel_commands };
static const struct command network_group = { .summary = "Handle networks", .group = network_commands };
static const struct command volume_group = { .summary = "Handle volumes", .group = volume_commands };
static const struct command vm_group = { .summary = "Handle virtual machines with any operating system",
                                         .group = vm_commands };
static const struct command system_group = { .summary = "Handle all of it", .group = system_commands };

const struct command_name commands[] = {
        { "Instances", NULL },
        { "run", &command_run },
        { "create", &command_create },
        { "start", &command_start },
        { "stop", &command_stop },
        { "restart", &command_restart },
        { "kill", &command_kill },
        { "pause", &command_pause },
        { "unpause", &command_unpause },
        { "rm", &command_remove },
        { "rename", &command_rename },
        { "update", &command_update },

        { "What instances do", NULL },
        { "ps", &command_ps },
        { "logs", &command_logs },
        { "exec", &command_exec },
        { "attach", &command_attach },
        { "wait", &command_wait },
        { "inspect", &command_inspect },
        { "stats", &command_stats },
        { "top", &command_top },
        { "port", &command_port },
        { "events", &command_events },
        { "compare", &command_compare },

        { "Images", NULL },
        { "images", &command_images },
        { "import", &command_import },
        { "load", &command_load },
        { "save", &command_save },
        { "tag", &command_tag },
        { "rmi", &command_rmi },

        { "Groups", NULL },
        { "container instance", &container_group },
        { "image", &image_group },
        { "kernel", &kernel_group },
        { "network", &network_group },
        { "volume", &volume_group },
        { "vm machine", &vm_group },
        { "system", &system_group },

        { "This program and this machine", NULL },
        { "doctor", &command_doctor },
        { "help", &command_help },
        { "version", &command_version },
        { "__complete", &command_complete },
        { 0 },
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The commands themselves; commands.c says what each is called.
 */
#pragma once

#include "cli/command.h"

extern const struct command command_run, command_create, command_update;                    /* run.c */
extern const struct command command_start, command_attach, command_wait;                    /* start.c */
extern const struct command command_stop, command_restart, command_kill;                    /* stop.c */
extern const struct command command_pause, command_unpause, command_remove, command_rename; /* instance.c */
extern const struct command command_ps;
extern const struct command command_logs;
extern const struct command command_exec;
extern const struct command command_inspect, command_instance_inspect, command_image_inspect, command_volume_inspect,
        command_network_inspect; /* inspect.c */
extern const struct command command_stats;
extern const struct command command_top, command_port; /* top.c */
extern const struct command command_events;

extern const struct command command_images, command_tag, command_rmi;   /* images.c */
extern const struct command command_import, command_load, command_save; /* archive.c */
extern const struct command command_kernel_list, command_kernel_import, command_kernel_remove,
        command_kernel_default; /* kernel.c */
extern const struct command command_network_create, command_network_list, command_network_connect,
        command_network_disconnect, command_network_remove;                                    /* network.c */
extern const struct command command_volume_create, command_volume_list, command_volume_remove; /* volume.c */
extern const struct command command_instance_prune, command_image_prune, command_network_prune, command_volume_prune,
        command_system_prune; /* prune.c */

extern const struct command command_compare;
extern const struct command command_vm_create, command_vm_run, command_vm_start, command_vm_restore,
        command_vm_finish; /* vm_create.c */
extern const struct command command_vm_stop, command_vm_kill, command_vm_remove, command_vm_pause, command_vm_resume,
        command_vm_power, command_vm_reset, command_vm_set, command_vm_snapshot;                       /* vm_life.c */
extern const struct command command_vm_list, command_vm_inspect, command_vm_stats, command_vm_console; /* vm_show.c */

extern const struct command command_doctor;
extern const struct command command_version;
extern const struct command command_complete;

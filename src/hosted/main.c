/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-vmm: runs one virtual machine in this process. Called by onggi; a person can call it too.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/options.h"
#include "base/text.h"
#include "engine/kvm/kvm.h"
#include "engine/soft/soft.h"
#include "hosted/vmm.h"

#define EXIT_OURS 125 /* our own failure, as docker and onggi run have it */

static const struct option_spec options[] = {
        { "kernel", 'k', OPTION_STRING, offsetof(struct vmm_settings, kernel), "FILE",
          "Linux (bzImage or ELF vmlinux), or a kernel that starts by PVH or multiboot 1 or 2" },
        { "initrd", 'i', OPTION_LIST, offsetof(struct vmm_settings, initrds), "FILE",
          "initial RAM disk; may be given more than once: the archives follow one another" },
        { "module", 0, OPTION_LIST, offsetof(struct vmm_settings, modules), "FILE[,ARGUMENTS]",
          "a module for a PVH or multiboot kernel; may be given more than once" },
        { "firmware", 0, OPTION_STRING, offsetof(struct vmm_settings, firmware), "bios|uefi|FILE",
          "start by firmware, which finds its system on a disc or disk (or is given the kernel)" },
        { "firmware-variables", 0, OPTION_STRING, offsetof(struct vmm_settings, firmware_variables), "FILE",
          "where UEFI keeps its variables; made at the first start" },
        { "iso", 0, OPTION_STRING, offsetof(struct vmm_settings, iso), "FILE", "a disc in a CD drive" },
        { "append", 'a', OPTION_STRING, offsetof(struct vmm_settings, append), "TEXT", "the kernel's command line" },
        { "memory", 'm', OPTION_SIZE, offsetof(struct vmm_settings, memory), "SIZE", "RAM (default 256m)" },
        { "cpus", 'c', OPTION_STRING, offsetof(struct vmm_settings, cpus_text), "N[,sockets=N][,cores=N][,threads=N]",
          "virtual CPUs (default 1), and how they hang together" },
        { "cpu", 0, OPTION_STRING, offsetof(struct vmm_settings, cpu), "host|baseline|NAMES[,+NAME][,-NAME]",
          "features of the CPUs (default host), by the names of /proc/cpuinfo" },
        { "engine", 0, OPTION_STRING, offsetof(struct vmm_settings, engine_name), "kvm|soft",
          "what runs the guest's instructions (default kvm)" },
        { "restore", 0, OPTION_LIST, offsetof(struct vmm_settings, restore), "FOLDER",
          "goes on from a snapshot; given again, with the changes that followed it" },
        { "on-reset", 0, OPTION_STRING, offsetof(struct vmm_settings, on_reset), "stop|restart",
          "what a reset or a triple fault of the guest does (default stop)" },
        { "disk", 'd', OPTION_LIST, offsetof(struct vmm_settings, disks), "FILE[,OPTIONS]",
          "a raw or qcow2 image or a block device, with ro, format=, backing=, full=error|pause, serial=, queues=, "
          "rate-bytes=, rate-operations=; may be given more than once" },
        { "network", 'n', OPTION_LIST, offsetof(struct vmm_settings, networks), "tap=NAME|fd=N|user[,OPTIONS]",
          "a network card on a tap device or by passt, with queues=, publish=[ADDRESS:]HOST:GUEST[/udp], address=, "
          "rate-bytes=, rate-frames=; may be given more than once" },
        { "share", 0, OPTION_LIST, offsetof(struct vmm_settings, shares),
          "TAG=FOLDER[,ro][,cache=auto|always|never][,writeback][,queues=N]",
          "a folder that the guest mounts by its tag (virtiofs); may be given more than once" },
        { "vsock", 0, OPTION_STRING, offsetof(struct vmm_settings, socket), "PATH",
          "streams to and from the guest: PATH for its ports, PATH_N for port N of the host" },
        { "stream", 0, OPTION_LIST, offsetof(struct vmm_settings, streams), "PORT=DESCRIPTOR",
          "a guest that connects to PORT of the host by vsock gets this descriptor; may be given more than once" },
        { "window", 0, OPTION_STRING, offsetof(struct vmm_settings, window), "DESCRIPTOR",
          "the terminal whose size the guest's agent is told at SIGWINCH" },
        { "reason", 0, OPTION_STRING, offsetof(struct vmm_settings, reason), "DESCRIPTOR",
          "gets a line when the machine ends otherwise than by the guest's exit code, which is an error then" },
        { "report", 0, OPTION_STRING, offsetof(struct vmm_settings, report), "DESCRIPTOR",
          "gets a line of JSON when the guest runs and one when the machine has ended, with how it did" },
        { "control", 0, OPTION_STRING, offsetof(struct vmm_settings, control), "PATH",
          "a socket that takes commands: status, pause, resume, power, reset, stop, balloon, rate, statistics, snapshot" },
        { "own-chips", 0, OPTION_FLAG, offsetof(struct vmm_settings, own_chips), NULL,
          "interrupt controllers and timers of this program, though the engine has some: to test them" },
        { "no-jail", 0, OPTION_FLAG, offsetof(struct vmm_settings, no_jail), NULL,
          "keep privileges, files and system calls: for debugging" },
        { "statistics", 0, OPTION_FLAG, offsetof(struct vmm_settings, statistics), NULL,
          "print exits by reason at the end" },
        { 0 },
};
static const struct option_spec *const tables[] = { options, NULL };

static int find_engine(struct vmm_settings *settings, struct error *err)
{
        static const struct engine_operations *const engines[] = { &kvm_engine, &soft_engine };
        for (size_t i = 0; i < ARRAY_SIZE(engines); i++) {
                if (!settings->engine_name || !strcmp(settings->engine_name, engines[i]->name)) {
                        settings->engine = engines[i];
                        return 0;
                }
        }
        return error_set(err, -1, "--engine \"%s\" is none of kvm, soft", settings->engine_name);
}

int main(int argc, char **argv)
{
        struct vmm_settings settings = { 0 };
        struct error err = { 0 };
        int operands;
        mallopt(M_ARENA_MAX, 1); /* threads allocate nothing that would be worth a heap each */
        int r = options_parse(tables, false, argc, argv, &settings, &operands, &err);
        if (r == 1) {
                puts("usage: onggi-vmm --kernel FILE|--firmware bios|uefi|FILE [OPTIONS]\n\n"
                     "Runs one virtual machine in this process.\n");
                options_help(tables, stdout);
                return EXIT_SUCCESS;
        }
        if (!r && (!(settings.kernel || settings.firmware || settings.restore) || argv[operands]))
                r = error_set(
                        &err, -1,
                        "usage: onggi-vmm --kernel FILE|--firmware bios|uefi|FILE [OPTIONS]; `onggi-vmm --help` lists them");
        if (!r)
                r = find_engine(&settings, &err);
        if (!r)
                r = vmm_run(&settings, &err);
        list_free(settings.restore);
        list_free(settings.disks);
        list_free(settings.networks);
        list_free(settings.initrds);
        list_free(settings.modules);
        list_free(settings.streams);
        list_free(settings.shares);
        if (r < 0) {
                fprintf(stderr, "onggi-vmm: %s\n", err.text);
                return EXIT_OURS;
        }
        return r;
}

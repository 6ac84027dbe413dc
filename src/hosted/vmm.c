/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/text.h"
#include "hosted/boot_files.h"
#include "hosted/cd_drive.h"
#include "hosted/control.h"
#include "hosted/disk.h"
#include "hosted/entropy_source.h"
#include "hosted/guest_ram.h"
#include "hosted/memory_return.h"
#include "hosted/own_interrupts.h"
#include "hosted/report.h"
#include "hosted/restart.h"
#include "hosted/shared_folder.h"
#include "hosted/snapshot.h"
#include "hosted/snapshot_memory.h"
#include "hosted/socket_bridge.h"
#include "hosted/statistics.h"
#include "hosted/tap.h"
#include "hosted/topology_option.h"
#include "hosted/vmm_private.h"
#include "hosted/window.h"
#include "machine/acpi.h"
#include "machine/generation.h"

/* ---- What the machine asks of its host ---- */

void vmm_wake(struct vmm *vmm)
{
        uint64_t one = 1;
        (void)!write(vmm->wake.fd, &one, sizeof(one));
}

void vmm_stop(struct vmm *vmm)
{
        if (vmm->end != MACHINE_RUNS)
                return;
        vmm->end = MACHINE_OFF;
        vmm->stopped = true;
}

void vmm_ask_for_pause(struct vmm *vmm)
{
        vmm->pause_asked = true;
        vmm_wake(vmm);
}

static void host_console_send(void *context, const uint8_t *bytes, size_t length)
{
        struct vmm *vmm = context;
        outcome_console(&vmm->outcome, bytes, length);
        /* A terminal that is gone must not stop the guest. */
        (void)write_all(STDOUT_FILENO, bytes, length);
}

static void host_console_room(void *context)
{
        vmm_wake(context);
}

static void host_interrupt_line(void *context, unsigned line, bool raised)
{
        struct vmm *vmm = context;
        if (vmm->own)
                own_interrupts_line(vmm->own, line, raised);
        else
                vmm->operations->interrupt_line(vmm->engine, line, raised);
}

static void host_message_interrupt(void *context, uint64_t address, uint32_t data)
{
        struct vmm *vmm = context;
        if (vmm->own)
                own_interrupts_message(vmm->own, address, data);
        else
                vmm->operations->message_interrupt(vmm->engine, address, data);
}

#define COMPLAINTS_MAX 64

static void host_log(void *context, const char *device, const char *why)
{
        struct vmm *vmm = context;
        /* A guest can break a device, reset it and break it again for ever; nobody's disk is for that. */
        if (vmm->complaints++ < COMPLAINTS_MAX)
                fprintf(stderr, "onggi-vmm: the guest's %s device needs a reset: %s\n", device, why);
}

static int64_t host_wall_clock(void *context)
{
        (void)context;
        return time(NULL);
}

static uint64_t host_clock(void *context)
{
        struct timespec now;
        (void)context;
        clock_gettime(CLOCK_MONOTONIC, &now);
        return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

static void host_end(void *context, enum machine_end end, unsigned code)
{
        struct vmm *vmm = context;
        if (end == MACHINE_RESET) {
                restart_ask(vmm);
        } else if (vmm->end == MACHINE_RUNS) {
                vmm->end = end;
                vmm->code = code;
        }
        vmm_wake(vmm);
}

/* ---- Setting up ---- */

static int open_machine(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        const struct machine_host host = {
                .context = vmm,
                .console_send = host_console_send,
                .console_room = host_console_room,
                .interrupt_line = host_interrupt_line,
                .message_interrupt = host_message_interrupt,
                .doorbell = host_doorbell,
                .log = host_log,
                .wall_clock = host_wall_clock,
                .clock = host_clock,
                .end = host_end,
        };
        int r = machine_init(&vmm->machine, &host);
        if (r < 0)
                return error_code(err, r, "cannot build the machine");
        return vmm->snapshot ? snapshot_map(vmm->snapshot, vmm, err)
                             : guest_ram_map(&vmm->machine.memory, settings->memory, settings->shares, err);
}

static int open_disks(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        size_t count = list_length(settings->disks);
        vmm->disks = calloc(count + 1, sizeof(*vmm->disks));
        if (!vmm->disks)
                return error_memory(err);
        for (size_t i = 0; i < count; i++) {
                struct disk_settings disk;
                int r = disk_parse(settings->disks[i], (unsigned)settings->cpus, &disk, err);
                if (!r)
                        r = disk_open(vmm, &disk, &vmm->disks[i], err);
                if (r < 0)
                        return r;
                vmm->disk_count++;
        }
        return 0;
}

static int open_taps(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        size_t count = list_length(settings->networks);
        vmm->taps = calloc(count + 1, sizeof(*vmm->taps));
        if (!vmm->taps)
                return error_memory(err);
        for (size_t i = 0; i < count; i++) {
                struct tap_settings tap;
                int r = tap_parse(settings->networks[i], &tap, err);
                if (!r)
                        r = tap_open(vmm, &tap, &vmm->taps[i], err);
                if (r < 0)
                        return r;
                vmm->tap_count++;
        }
        return 0;
}

static int open_shares(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        size_t count = list_length(settings->shares);
        vmm->shares = calloc(count + 1, sizeof(*vmm->shares));
        struct shared_folder_settings *share = calloc(1, sizeof(*share));
        int r = vmm->shares && share ? 0 : error_memory(err);
        for (size_t i = 0; i < count && !r; i++) {
                r = shared_folder_parse(settings->shares[i], (unsigned)settings->cpus, share, err);
                if (!r)
                        r = shared_folder_open(vmm, share, settings->no_jail, &vmm->shares[i], err);
                vmm->share_count += !r;
        }
        free(share);
        return r;
}

/* Streams between the guest and this host; what was inherited is the first thing to be taken care of. */
static int open_sockets(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        if (!settings->socket)
                return settings->streams || settings->window
                               ? error_set(err, -EINVAL,
                                           "--stream and --window need --vsock, by which the guest reaches them")
                               : 0;
        int r = socket_bridge_open(vmm, settings->socket, &vmm->sockets, err);
        uint64_t terminal;
        if (!r && settings->window && (parse_u64(settings->window, &terminal) < 0 || terminal > INT32_MAX))
                r = error_set(err, -EINVAL, "--window takes the number of an open descriptor, not \"%s\"",
                              settings->window);
        if (!r && settings->window)
                r = window_open(vmm, (int)terminal, &vmm->window, err);
        for (char **stream = settings->streams; !r && stream && *stream; stream++)
                r = socket_bridge_inherit(vmm->sockets, *stream, err);
        return r;
}

static void wake_ready(void *owner, uint32_t events)
{
        struct vmm *vmm = owner;
        uint64_t count;
        (void)events;
        (void)!read(vmm->wake.fd, &count, sizeof(count));
        pthread_mutex_lock(&vmm->lock);
        bool pause = vmm->pause_asked;
        vmm->pause_asked = false;
        pthread_mutex_unlock(&vmm->lock);
        if (pause)
                processors_pause(vmm);
        restart_serve(vmm);
        if (vmm->own)
                own_interrupts_serve(vmm->own);
        console_serve(vmm);
}

static int open_loop(struct vmm *vmm, struct error *err)
{
        int r = event_loop_open(&vmm->loop, err);
        if (r < 0)
                return r;
        vmm->wake = (struct event_source){ .fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
                                           .ready = wake_ready,
                                           .owner = vmm };
        if (vmm->wake.fd < 0)
                return error_errno(err, "cannot make an eventfd");
        r = event_loop_add(&vmm->loop, &vmm->wake, EPOLLIN);
        if (r < 0)
                return error_code(err, r, "cannot wait for events");
        r = stop_signals_open(vmm, err);
        return r < 0 ? r : console_open(vmm, err);
}

static int generation_begin(struct vmm *vmm, struct error *err)
{
        uint8_t generation[GENERATION_SIZE];
        if (vmm->boot_files) /* its page is the firmware's there */
                return 0;
        if (getrandom(generation, sizeof(generation), 0) != sizeof(generation))
                return error_errno(err, "cannot name the machine");
        int r = generation_start(&vmm->machine, generation);
        return r < 0 ? error_code(err, r, "cannot name the machine") : 0;
}

static int set_up(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        struct cpu_state entry;
        int r = open_loop(vmm, err);
        if (!r)
                r = open_machine(vmm, settings, err);
        if (!r)
                r = open_shares(vmm, settings, err);
        if (!r)
                r = open_disks(vmm, settings, err);
        if (!r)
                r = open_taps(vmm, settings, err);
        if (!r && settings->iso)
                r = cd_drive_open(vmm, settings->iso, &vmm->cd_drive, err);
        if (!r)
                r = entropy_source_open(vmm, &vmm->entropy, err);
        if (!r)
                r = memory_return_open(vmm, &vmm->memory, err);
        if (!r)
                r = open_sockets(vmm, settings, err);
        if (!r && settings->control)
                r = control_open(vmm, settings->control, &vmm->control, err);
        if (!r)
                r = vmm->snapshot ? 0 : boot_files_load(vmm, settings, &vmm->boot_files, &entry, err);
        if (!r)
                r = vmm->operations->open(&(struct engine_settings){ .topology = settings->topology,
                                                                     .cpu = settings->cpu,
                                                                     .bare = settings->own_chips },
                                          &vmm->engine, err);
        if (!r && !(vmm->operations->has(vmm->engine) & ENGINE_HAS_LOCAL_APIC))
                r = own_interrupts_open(vmm, &settings->topology, &vmm->own, err);
        if (!r)
                r = vmm->operations->map(vmm->engine, &vmm->machine.memory, err);
        if (!r)
                r = processors_open(vmm, (unsigned)settings->cpus, vmm->snapshot ? NULL : &entry, err);
        if (!r)
                r = vmm->snapshot ? snapshot_restore(vmm->snapshot, vmm, err) : generation_begin(vmm, err);
        if (!r && settings->on_reset && !strcmp(settings->on_reset, "restart"))
                r = restart_open(vmm, &vmm->restart, err);
        return r;
}

static void tear_down(struct vmm *vmm)
{
        processors_close(vmm);
        for (unsigned i = 0; i < vmm->disk_count; i++)
                disk_close(vmm->disks[i]);
        free(vmm->disks);
        for (unsigned i = 0; i < vmm->tap_count; i++)
                tap_close(vmm->taps[i]);
        free(vmm->taps);
        for (unsigned i = 0; i < vmm->share_count; i++)
                shared_folder_close(vmm->shares[i]);
        free(vmm->shares);
        if (vmm->control)
                control_close(vmm->control);
        if (vmm->window)
                window_close(vmm->window);
        if (vmm->sockets)
                socket_bridge_close(vmm->sockets);
        if (vmm->memory)
                memory_return_close(vmm->memory);
        if (vmm->entropy)
                entropy_source_close(vmm->entropy);
        if (vmm->restart)
                restart_close(vmm->restart);
        if (vmm->snapshot)
                snapshot_close(vmm->snapshot);
        if (vmm->engine)
                vmm->operations->close(vmm->engine);
        if (vmm->own)
                own_interrupts_close(vmm->own);
        snapshot_watch_end(vmm);
        if (vmm->cd_drive)
                cd_drive_close(vmm->cd_drive);
        if (vmm->boot_files)
                boot_files_close(vmm->boot_files);
        guest_ram_unmap(&vmm->machine.memory);
        if (vmm->signals.fd >= 0)
                close(vmm->signals.fd);
        if (vmm->wake.fd >= 0)
                close(vmm->wake.fd);
        event_loop_close(&vmm->loop);
}

/* ---- Its life ---- */

static void serve(struct vmm *vmm)
{
        for (;;) {
                pthread_mutex_lock(&vmm->lock);
                bool over = vmm->failed || vmm->end != MACHINE_RUNS;
                pthread_mutex_unlock(&vmm->lock);
                if (over)
                        break;
                event_loop_turn(&vmm->loop);
        }
        /* What the program wrote before the end: as long as its reader takes, unless somebody wants us gone. */
        while (vmm->sockets && !vmm->pressed && socket_bridge_holds_output(vmm->sockets))
                event_loop_turn(&vmm->loop);
}

void vmm_confine_thread(const struct vmm *vmm, enum jail_thread kind)
{
        int r = vmm->jailed ? jail_confine(kind) : 0;
        if (r < 0) {
                /* A thread cannot hand an error to main(), and what it would do without a jail is run a guest. */
                fprintf(stderr, "onggi-vmm: cannot confine a thread: %s\n", strerror(-r));
                _exit(EXIT_FAILURE);
        }
}

/* The jail, and then everything that the guest has a hand in. */
static int start(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        vmm->jailed = !settings->no_jail;
        if (vmm->jailed) {
                _cleanup_free_ char *folder = vmm->sockets ? socket_bridge_folder(vmm->sockets) : NULL;
                int r = jail_enter(folder, err);
                if (r < 0)
                        return r;
                if (r && vmm->sockets)
                        socket_bridge_root_changed(vmm->sockets);
        }
        for (unsigned i = 0; i < vmm->disk_count; i++) {
                int r = disk_start(vmm->disks[i], err);
                if (r < 0)
                        return r;
        }
        int r = processors_start(vmm, err);
        if (r < 0)
                return r;
        r = vmm->jailed ? jail_confine(JAIL_MAIN) : 0;
        return r < 0 ? error_code(err, r, "cannot confine the process to its system calls") : 0;
}

/* What the options say, or the snapshot that they name: a saved machine's processors and memory are not anew to be chosen. */
static int choose(struct vmm *vmm, struct vmm_settings *settings, struct error *err)
{
        if (settings->on_reset && strcmp(settings->on_reset, "restart") != 0 && strcmp(settings->on_reset, "stop") != 0)
                return error_set(err, -EINVAL, "--on-reset takes restart or stop, not \"%s\"", settings->on_reset);
        int r = topology_parse(settings->cpus_text ? settings->cpus_text : "1", &settings->topology, err);
        if (!r && settings->restore)
                r = snapshot_open(settings->restore, &vmm->snapshot, err);
        if (r < 0)
                return r;
        if (vmm->snapshot) {
                const struct snapshot_settings *saved = snapshot_settings(vmm->snapshot);
                if (settings->on_reset && !strcmp(settings->on_reset, "restart"))
                        return error_set(err, -EINVAL,
                                         "--on-reset restart needs what the guest started from, which no snapshot has: "
                                         "leave out --restore");
                if (settings->kernel || settings->cpus_text || settings->cpu || settings->memory)
                        return error_set(err, -EINVAL,
                                         "--restore brings kernel, processors and memory with it: leave out --kernel, "
                                         "--cpus, --cpu and --memory");
                settings->topology = saved->topology;
                settings->memory = saved->memory;
                settings->cpu = *saved->cpu ? saved->cpu : NULL;
        }
        if (!settings->memory)
                settings->memory = MEMORY_DEFAULT;
        settings->cpus = topology_cpus(&settings->topology);
        return 0;
}

int vmm_run(const struct vmm_settings *wanted, struct error *err)
{
        struct vmm_settings own = *wanted, *settings = &own;
        struct vmm vmm = { .settings = settings,
                           .operations = settings->engine,
                           .lock = PTHREAD_MUTEX_INITIALIZER,
                           .rested = PTHREAD_COND_INITIALIZER,
                           .resumed = PTHREAD_COND_INITIALIZER };
        vmm.wake.fd = vmm.signals.fd = vmm.loop.epoll = -1;
        signal(SIGPIPE, SIG_IGN);
        int r = outcome_open(&vmm.outcome, settings->reason, err);
        int told = report_open(&vmm, settings->report, err);
        if (!r)
                r = told;
        if (!r)
                r = choose(&vmm, settings, err);
        if (!r)
                r = set_up(&vmm, settings, err);
        if (!r)
                r = start(&vmm, settings, err);
        if (!r) {
                report_running(&vmm);
                serve(&vmm);
        }
        processors_stop(&vmm);
        if (settings->statistics)
                statistics_print(&vmm);
        if (!r && vmm.failed)
                r = error_set(err, -EIO, "the virtual machine stopped: %s", vmm.operations->failure(vmm.failed->vcpu));
        else if (!r && vmm.why)
                r = error_set(err, -EIO, "the virtual machine stopped: %s", vmm.why);
        else if (!r)
                r = outcome_judge(&vmm.outcome, vmm.end, vmm.code, err);
        outcome_tell(&vmm.outcome, r, err);
        report_ended(&vmm, r, err);
        tear_down(&vmm);
        return r;
}

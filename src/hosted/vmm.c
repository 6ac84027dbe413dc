/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/vmm.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "hosted/guest_ram.h"
#include "machine/boot_linux.h"
#include "machine/machine.h"

struct vmm {
        const struct engine_operations *operations;
        struct engine *engine;
        struct vcpu *vcpu;
        struct machine machine;
        pthread_mutex_t lock; /* over `machine` but for its memory, and what follows */
        pthread_t thread;
        int wake;             /* eventfd: something for the main loop */
        enum machine_end end;
        unsigned code;
        bool failed;
        uint64_t exits[ENGINE_EXITS];
};

/* ---- What the machine asks of its host ---- */

static void wake_loop(struct vmm *vmm)
{
        uint64_t one = 1;
        (void)!write(vmm->wake, &one, sizeof(one));
}

static void host_console_send(void *context, const uint8_t *bytes, size_t length)
{
        (void)context;
        /* A terminal that is gone must not stop the guest. */
        (void)write_all(STDOUT_FILENO, bytes, length);
}

static void host_console_room(void *context)
{
        wake_loop(context);
}

static void host_interrupt_line(void *context, unsigned line, bool raised)
{
        struct vmm *vmm = context;
        vmm->operations->interrupt_line(vmm->engine, line, raised);
}

static int64_t host_wall_clock(void *context)
{
        (void)context;
        return time(NULL);
}

static void host_end(void *context, enum machine_end end, unsigned code)
{
        struct vmm *vmm = context;
        if (vmm->end == MACHINE_RUNS) {
                vmm->end = end;
                vmm->code = code;
        }
        wake_loop(vmm);
}

/* ---- The virtual CPU ---- */

static bool answer(struct vmm *vmm, struct engine_exit *exit)
{
        pthread_mutex_lock(&vmm->lock);
        vmm->exits[exit->kind]++;
        switch (exit->kind) {
        case ENGINE_EXIT_PORT:
                machine_port(&vmm->machine, (uint16_t)exit->address, exit->size, exit->write, exit->data, exit->count);
                break;
        case ENGINE_EXIT_MMIO:
                machine_mmio(&vmm->machine, gpa(exit->address), exit->size, exit->write, exit->data);
                break;
        case ENGINE_EXIT_KICKED:
                break;
        default: /* nothing can wake a CPU that halts without a local APIC; the others are ends of themselves */
                vmm->failed = true;
                wake_loop(vmm);
                break;
        }
        bool runs = !vmm->failed && vmm->end == MACHINE_RUNS;
        pthread_mutex_unlock(&vmm->lock);
        return runs;
}

static void *run_cpu(void *context)
{
        struct vmm *vmm = context;
        struct engine_exit exit;
        do
                vmm->operations->run(vmm->vcpu, &exit);
        while (answer(vmm, &exit));
        return NULL;
}

static void on_kick(int signal)
{
        (void)signal; /* its arrival alone brings KVM_RUN back */
}

/* ---- Setting up ---- */

/* A file as bytes of ours: mapped, so that only what is used is read. */
static int map_file(const char *path, const void **bytes, size_t *length, struct error *err)
{
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        struct stat st;
        if (fd < 0 || fstat(fd, &st) < 0)
                return error_errno(err, "cannot open %s", path);
        if (!S_ISREG(st.st_mode) || !st.st_size)
                return error_set(err, -EINVAL, "%s is not a file with contents", path);
        void *mapped = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        if (mapped == MAP_FAILED)
                return error_errno(err, "cannot map %s", path);
        *bytes = mapped;
        *length = (size_t)st.st_size;
        return 0;
}

static int load(struct vmm *vmm, const struct vmm_settings *settings, struct cpu_state *entry, struct error *err)
{
        struct boot_linux boot = { .command_line = settings->append ? settings->append : "" };
        int r = map_file(settings->kernel, &boot.kernel, &boot.kernel_length, err);
        if (!r && settings->initrd)
                r = map_file(settings->initrd, &boot.initrd, &boot.initrd_length, err);
        const char *reason = NULL;
        if (!r) {
                r = boot_linux(&vmm->machine.memory, &boot, entry, &reason);
                if (r < 0)
                        error_set(err, r, "cannot start %s: %s", settings->kernel, reason);
        }
        if (boot.kernel)
                munmap((void *)boot.kernel, boot.kernel_length);
        if (boot.initrd)
                munmap((void *)boot.initrd, boot.initrd_length);
        return r;
}

static int set_up(struct vmm *vmm, const struct vmm_settings *settings, struct error *err)
{
        const struct machine_host host = {
                .context = vmm,
                .console_send = host_console_send,
                .console_room = host_console_room,
                .interrupt_line = host_interrupt_line,
                .wall_clock = host_wall_clock,
                .end = host_end,
        };
        vmm->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (vmm->wake < 0)
                return error_errno(err, "cannot make an eventfd");
        int r = machine_init(&vmm->machine, &host);
        if (r < 0)
                return error_code(err, r, "cannot build the machine");
        r = guest_ram_map(&vmm->machine.memory, settings->memory, err);
        if (r < 0)
                return r;
        struct cpu_state entry;
        r = load(vmm, settings, &entry, err);
        if (!r)
                r = vmm->operations->open(&(struct engine_settings){ .cpus = 1 }, &vmm->engine, err);
        if (!r)
                r = vmm->operations->map(vmm->engine, &vmm->machine.memory, err);
        if (!r)
                r = vmm->operations->vcpu_open(vmm->engine, 0, &vmm->vcpu, err);
        if (!r)
                r = vmm->operations->set_state(vmm->vcpu, &entry, err);
        return r;
}

static void tear_down(struct vmm *vmm)
{
        if (vmm->vcpu)
                vmm->operations->vcpu_close(vmm->vcpu);
        if (vmm->engine)
                vmm->operations->close(vmm->engine);
        guest_ram_unmap(&vmm->machine.memory);
        if (vmm->wake >= 0)
                close(vmm->wake);
}

/* ---- The main loop ---- */

/* Bytes from standard input as far as the port has room. Returns whether there may be more. */
static bool feed_console(struct vmm *vmm)
{
        uint8_t bytes[SERIAL_FIFO];
        pthread_mutex_lock(&vmm->lock);
        size_t room = serial_room(&vmm->machine.serial);
        pthread_mutex_unlock(&vmm->lock);
        ssize_t n = room ? read(STDIN_FILENO, bytes, room) : -1;
        if (n <= 0)
                return n < 0 && (!room || errno == EINTR || errno == EAGAIN);
        pthread_mutex_lock(&vmm->lock);
        serial_receive(&vmm->machine.serial, bytes, (size_t)n);
        pthread_mutex_unlock(&vmm->lock);
        return true;
}

static void serve(struct vmm *vmm)
{
        bool input = true;
        for (;;) {
                pthread_mutex_lock(&vmm->lock);
                bool over = vmm->failed || vmm->end != MACHINE_RUNS;
                bool room = serial_room(&vmm->machine.serial) > 0;
                pthread_mutex_unlock(&vmm->lock);
                if (over)
                        return;
                struct pollfd wait[] = { { .fd = vmm->wake, .events = POLLIN },
                                         { .fd = input && room ? STDIN_FILENO : -1, .events = POLLIN } };
                if (poll(wait, ARRAY_SIZE(wait), -1) < 0)
                        continue;
                uint64_t count;
                if (wait[0].revents)
                        (void)!read(vmm->wake, &count, sizeof(count));
                if (wait[1].revents)
                        input = feed_console(vmm);
        }
}

static void print_statistics(const struct vmm *vmm)
{
        static const char *const names[ENGINE_EXITS] = { "port", "mmio", "halt", "shutdown", "kicked", "failed" };
        for (unsigned i = 0; i < ENGINE_EXITS; i++)
                if (vmm->exits[i])
                        fprintf(stderr, "exits %-10s %" PRIu64 "\n", names[i], vmm->exits[i]);
        for (unsigned i = 0; i < vmm->machine.ports.count; i++) {
                const struct bus_range *range = &vmm->machine.ports.ranges[i];
                if (range->reads || range->writes)
                        fprintf(stderr, "port 0x%-4" PRIx64 " %-18s %" PRIu64 " reads, %" PRIu64 " writes\n", range->start,
                                range->operations->name, range->reads, range->writes);
        }
        fprintf(stderr, "ports unclaimed: %" PRIu64 ", memory unclaimed: %" PRIu64 "\n", vmm->machine.ports.unclaimed,
                vmm->machine.mmio.unclaimed);
}

int vmm_run(const struct vmm_settings *settings, struct error *err)
{
        struct vmm vmm = { .operations = settings->engine, .wake = -1, .lock = PTHREAD_MUTEX_INITIALIZER };
        int r = set_up(&vmm, settings, err);
        if (r < 0) {
                tear_down(&vmm);
                return r;
        }
        sigaction(SIGUSR1, &(struct sigaction){ .sa_handler = on_kick }, NULL);
        r = pthread_create(&vmm.thread, NULL, run_cpu, &vmm);
        if (r) {
                tear_down(&vmm);
                return error_code(err, -r, "cannot start the thread of a virtual CPU");
        }
        serve(&vmm);
        vmm.operations->kick(vmm.vcpu);
        pthread_kill(vmm.thread, SIGUSR1);
        pthread_join(vmm.thread, NULL);
        if (settings->statistics)
                print_statistics(&vmm);
        if (vmm.failed)
                r = error_set(err, -EIO, "the virtual machine stopped: %s", vmm.operations->failure(vmm.vcpu));
        else
                r = (int)vmm.code;
        tear_down(&vmm);
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "engine/kvm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

/*
 * Where Intel processors without "unrestricted guest" keep a task state segment and page tables for real mode:
 * three pages and one page that no guest may use, below the firmware's 16 MiB (api.rst, KVM_SET_TSS_ADDR).
 */
#define KVM_TSS_ADDRESS          0xfeffd000UL
#define KVM_IDENTITY_MAP_ADDRESS 0xfeffc000ULL

static const struct {
        int number;
        const char *name;
} needed_capabilities[] = {
        { KVM_CAP_USER_MEMORY, "user memory" },
        { KVM_CAP_EXT_CPUID, "CPUID" },
        { KVM_CAP_IMMEDIATE_EXIT, "immediate exit (Linux 4.13)" },
        { KVM_CAP_VCPU_EVENTS, "vcpu events" },
        { KVM_CAP_XSAVE, "XSAVE" },
        { KVM_CAP_XCRS, "XCRs" },
        { KVM_CAP_DEBUGREGS, "debug registers" },
        { KVM_CAP_READONLY_MEM, "read-only memory" },
};

static int open_system(struct error *err)
{
        _cleanup_close_ int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
        if (kvm < 0)
                return error_errno(err, "cannot open /dev/kvm");
        int version = ioctl(kvm, KVM_GET_API_VERSION, 0);
        if (version != KVM_API_VERSION)
                return error_set(err, -ENOTSUP, "/dev/kvm has API version %d; %d is needed", version, KVM_API_VERSION);
        for (size_t i = 0; i < ARRAY_SIZE(needed_capabilities); i++)
                if (ioctl(kvm, KVM_CHECK_EXTENSION, needed_capabilities[i].number) <= 0)
                        return error_set(err, -ENOTSUP, "/dev/kvm cannot do %s; a newer host kernel can",
                                         needed_capabilities[i].name);
        return TAKE_FD(kvm);
}

/* Before the first vcpu is made: api.rst demands it of each of these. */
static int prepare_machine(struct engine *engine, struct error *err)
{
        uint64_t identity = KVM_IDENTITY_MAP_ADDRESS;
        if (ioctl(engine->vm, KVM_SET_TSS_ADDR, KVM_TSS_ADDRESS) < 0 ||
            ioctl(engine->vm, KVM_SET_IDENTITY_MAP_ADDR, &identity) < 0)
                return error_errno(err, "KVM cannot reserve its pages in guest memory");

        /* Without it an instruction that KVM cannot emulate reaches us without its bytes. Not every kernel has it. */
        struct kvm_enable_cap emulation = { .cap = KVM_CAP_EXIT_ON_EMULATION_FAILURE, .args = { 1 } };
        if (ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_EXIT_ON_EMULATION_FAILURE) > 0 &&
            ioctl(engine->vm, KVM_ENABLE_CAP, &emulation) < 0)
                return error_errno(err, "KVM cannot report instructions that it does not know");
        /* What the guest gets is a fault all the same; but it is seen which registers it looked for. */
        struct kvm_enable_cap msrs = { .cap = KVM_CAP_X86_USER_SPACE_MSR, .args = { KVM_MSR_EXIT_REASON_UNKNOWN } };
        if (ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_X86_USER_SPACE_MSR) > 0 &&
            ioctl(engine->vm, KVM_ENABLE_CAP, &msrs) < 0)
                return error_errno(err, "KVM cannot report MSRs that it does not know");

        if (engine->bare)
                return 0;
        if (ioctl(engine->vm, KVM_CREATE_IRQCHIP, 0) < 0)
                return error_errno(err, "KVM cannot make the interrupt controllers");
        struct kvm_pit_config pit = { .flags = KVM_PIT_SPEAKER_DUMMY };
        if (ioctl(engine->vm, KVM_CREATE_PIT2, &pit) < 0)
                return error_errno(err, "KVM cannot make the interval timer");
        return 0;
}

static void kvm_close(struct engine *engine)
{
        for (unsigned i = 0; i < engine->slot_count; i++)
                free(engine->slots[i].bitmap);
        if (engine->vm >= 0)
                close(engine->vm);
        if (engine->kvm >= 0)
                close(engine->kvm);
        free(engine->cpuid);
        free(engine->msrs);
        free(engine);
}

DEFINE_CLEANUP(engine, struct engine, kvm_close)

static int kvm_open(const struct engine_settings *settings, struct engine **result, struct error *err)
{
        _cleanup_(engine) struct engine *engine = calloc(1, sizeof(*engine));
        if (!engine)
                return error_memory(err);
        *engine = (struct engine){ .kvm = -1,
                                   .vm = -1,
                                   .bare = settings->bare,
                                   .no_clock = settings->no_clock,
                                   .topology = settings->topology };
        unsigned cpus = topology_cpus(&settings->topology);
        int r = cpu_model_parse(settings->cpu, &engine->model, err);
        if (r < 0)
                return r;

        engine->kvm = open_system(err);
        if (engine->kvm < 0)
                return engine->kvm;
        int most = ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);
        if (most < 1 || cpus > (unsigned)most)
                return error_set(err, -EINVAL, "%u CPUs were asked for; KVM gives at most %d here", cpus, most);
        int size = ioctl(engine->kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
        if (size < (int)sizeof(struct kvm_run))
                return error_set(err, -ENOTSUP, "KVM shares %d bytes with a CPU; %zu are needed", size,
                                 sizeof(struct kvm_run));
        engine->run_size = (size_t)size;

        do /* EINTR: a signal came while KVM waited for memory */
                engine->vm = ioctl(engine->kvm, KVM_CREATE_VM, 0);
        while (engine->vm < 0 && errno == EINTR);
        if (engine->vm < 0)
                return error_errno(err, "KVM cannot make a virtual machine");
        engine->doorbells_of_any_length = ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_IOEVENTFD_ANY_LENGTH) > 0;
        r = prepare_machine(engine, err);
        if (!r)
                r = kvm_read_supported_cpuid(engine->kvm, &engine->cpuid, err);
        if (!r)
                r = kvm_check_model(engine, err);
        if (!r)
                r = kvm_read_msr_list(engine->kvm, &engine->msrs, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(engine);
        return 0;
}

static unsigned kvm_has(const struct engine *engine)
{
        unsigned clock = engine->no_clock ? 0 : ENGINE_HAS_CLOCK;
        return engine->bare ? clock
                            : clock | ENGINE_HAS_LOCAL_APIC | ENGINE_HAS_IOAPIC | ENGINE_HAS_PIC | ENGINE_HAS_PIT;
}

static int kvm_map(struct engine *engine, const struct guest_memory *memory, struct error *err)
{
        for (unsigned i = 0; i < memory->count; i++) {
                const struct guest_memory_region *region = &memory->regions[i];
                struct kvm_userspace_memory_region slot = {
                        .slot = i,
                        .flags = region->kind == GUEST_ROM ? KVM_MEM_READONLY : 0,
                        .guest_phys_addr = region->start.at,
                        .memory_size = region->length,
                        .userspace_addr = (uintptr_t)region->host,
                };
                if (ioctl(engine->vm, KVM_SET_USER_MEMORY_REGION, &slot) < 0)
                        return error_errno(err, "KVM does not take the guest's memory of %llu bytes at 0x%llx",
                                           (unsigned long long)region->length, (unsigned long long)region->start.at);
                if (region->kind == GUEST_RAM)
                        engine->slots[i] = (struct kvm_change_slot){ .start = region->start.at,
                                                                     .length = region->length,
                                                                     .host = (uintptr_t)region->host };
                engine->slot_count = i + 1;
        }
        return 0;
}

static int kvm_interrupt_line(struct engine *engine, unsigned line, bool raised)
{
        struct kvm_irq_level level = { .irq = line, .level = raised };
        return ioctl(engine->vm, KVM_IRQ_LINE, &level) < 0 ? -errno : 0;
}

static int kvm_message_interrupt(struct engine *engine, uint64_t address, uint32_t data)
{
        struct kvm_msi message = { .address_lo = (uint32_t)address,
                                   .address_hi = (uint32_t)(address >> 32),
                                   .data = data };
        return ioctl(engine->vm, KVM_SIGNAL_MSI, &message) < 0 ? -errno : 0;
}

static int kvm_doorbell(struct engine *engine, uint64_t at, int eventfd, bool present)
{
        /* Length 0, any write, spares KVM the decoding of the instruction where the processor tells the address. */
        struct kvm_ioeventfd doorbell = {
                .addr = at,
                .len = engine->doorbells_of_any_length ? 0 : sizeof(uint16_t),
                .fd = eventfd,
                .flags = present ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
        };
        return ioctl(engine->vm, KVM_IOEVENTFD, &doorbell) < 0 ? -errno : 0;
}

const struct engine_operations kvm_engine = {
        .name = "kvm",
        .open = kvm_open,
        .close = kvm_close,
        .has = kvm_has,
        .map = kvm_map,
        .interrupt_line = kvm_interrupt_line,
        .message_interrupt = kvm_message_interrupt,
        .doorbell = kvm_doorbell,
        .get_chips = kvm_get_chips,
        .set_chips = kvm_set_chips,
        .watch_changes = kvm_watch_changes,
        .collect_changes = kvm_collect_changes,
        .vcpu_open = kvm_vcpu_open,
        .vcpu_close = kvm_vcpu_close,
        .set_state = kvm_set_state,
        .get_state = kvm_get_state,
        .run = kvm_vcpu_run,
        .kick = kvm_vcpu_kick,
        .was_paused = kvm_vcpu_was_paused,
        .can_interrupt = kvm_vcpu_can_interrupt,
        .interrupt = kvm_vcpu_interrupt,
        .want_window = kvm_vcpu_want_window,
        .nmi = kvm_vcpu_nmi,
        .set_task_priority = kvm_vcpu_set_task_priority,
        .failure = kvm_vcpu_failure,
};

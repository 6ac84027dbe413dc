/* SPDX-License-Identifier: GPL-2.0-or-later */
/* KVM's interrupt controllers, timer and clock, as the machine's neutral state: chip_state.h. */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>

#include "base/cleanup.h"
#include "engine/kvm/kvm_private.h"

static uint64_t nanoseconds(clockid_t clock)
{
        struct timespec now;
        clock_gettime(clock, &now);
        return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* ---- 8259A ---- */

static struct pic_state pic_from_kvm(const struct kvm_pic_state *from)
{
        return (struct pic_state){
                .last_lines = from->last_irr,
                .requested = from->irr,
                .masked = from->imr,
                .in_service = from->isr,
                .priority_add = from->priority_add & 7,
                .base = from->irq_base,
                .init_state = from->init_state & 3,
                .level = from->elcr,
                .read_in_service = from->read_reg_select,
                .poll = from->poll,
                .special_mask = from->special_mask,
                .auto_end = from->auto_eoi,
                .rotate_on_auto_end = from->rotate_on_auto_eoi,
                .special_fully_nested = from->special_fully_nested_mode,
                .init_needs_4 = from->init4,
        };
}

static struct kvm_pic_state pic_to_kvm(const struct pic_state *from, bool second)
{
        return (struct kvm_pic_state){
                .last_irr = from->last_lines,
                .irr = from->requested,
                .imr = from->masked,
                .isr = from->in_service,
                .priority_add = from->priority_add,
                .irq_base = from->base,
                .init_state = from->init_state,
                .elcr = from->level,
                .elcr_mask = second ? 0xde : 0xf8, /* lines of an ISA bus that may be level-triggered: 82371AB, ELCR */
                .read_reg_select = from->read_in_service,
                .poll = from->poll,
                .special_mask = from->special_mask,
                .auto_eoi = from->auto_end,
                .rotate_on_auto_eoi = from->rotate_on_auto_end,
                .special_fully_nested_mode = from->special_fully_nested,
                .init4 = from->init_needs_4,
        };
}

/* ---- 8254 ---- */

static struct pit_channel_state channel_from_kvm(const struct kvm_pit_channel_state *from, int64_t now)
{
        return (struct pit_channel_state){
                .count = from->count,
                .latched_count = from->latched_count,
                .count_latched = from->count_latched,
                .status_latched = from->status_latched,
                .status = from->status,
                .read_state = from->read_state,
                .write_state = from->write_state,
                .write_latch = from->write_latch,
                .access = from->rw_mode & 3,
                .mode = from->mode & 7,
                .bcd = from->bcd,
                .gate = from->gate,
                .age = now - from->count_load_time,
        };
}

static struct kvm_pit_channel_state channel_to_kvm(const struct pit_channel_state *from, int64_t now)
{
        return (struct kvm_pit_channel_state){
                .count = from->count,
                .latched_count = from->latched_count,
                .count_latched = from->count_latched,
                .status_latched = from->status_latched,
                .status = from->status,
                .read_state = from->read_state,
                .write_state = from->write_state,
                .write_latch = from->write_latch,
                .rw_mode = from->access,
                .mode = from->mode,
                .bcd = from->bcd,
                .gate = from->gate,
                .count_load_time = now - from->age,
        };
}

static int get_pit(struct engine *engine, struct pit_state *pit, struct error *err)
{
        struct kvm_pit_state2 from;
        if (ioctl(engine->vm, KVM_GET_PIT2, &from) < 0)
                return error_errno(err, "KVM does not give the interval timer");
        int64_t now = (int64_t)nanoseconds(CLOCK_MONOTONIC);
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                pit->channels[i] = channel_from_kvm(&from.channels[i], now);
        pit->speaker = from.flags & KVM_PIT_FLAGS_SPEAKER_DATA_ON;
        return 0;
}

static int set_pit(struct engine *engine, const struct pit_state *pit, struct error *err)
{
        struct kvm_pit_state2 to = { .flags = pit->speaker ? KVM_PIT_FLAGS_SPEAKER_DATA_ON : 0 };
        int64_t now = (int64_t)nanoseconds(CLOCK_MONOTONIC);
        for (unsigned i = 0; i < PIT_CHANNELS; i++)
                to.channels[i] = channel_to_kvm(&pit->channels[i], now);
        if (ioctl(engine->vm, KVM_SET_PIT2, &to) < 0)
                return error_errno(err, "KVM does not take the interval timer");
        return 0;
}

/* ---- The clock ---- */

static int get_clock(struct engine *engine, struct clock_state *clock, struct error *err)
{
        struct kvm_clock_data from = { 0 };
        if (ioctl(engine->vm, KVM_GET_CLOCK, &from) < 0)
                return error_errno(err, "KVM does not give the clock");
        clock->guest = from.clock;
        clock->wall = from.flags & KVM_CLOCK_REALTIME ? from.realtime : nanoseconds(CLOCK_REALTIME);
        return 0;
}

static int set_clock(struct engine *engine, const struct clock_state *clock, struct error *err)
{
        uint64_t now = nanoseconds(CLOCK_REALTIME);
        struct kvm_clock_data to = { .clock = clock->guest };
        bool passes = clock->wall && now > clock->wall;
        if (passes && (ioctl(engine->kvm, KVM_CHECK_EXTENSION, KVM_CAP_ADJUST_CLOCK) & KVM_CLOCK_REALTIME)) {
                to.flags = KVM_CLOCK_REALTIME; /* KVM adds what passed since, to the nanosecond */
                to.realtime = clock->wall;
        } else if (passes) {
                to.clock += now - clock->wall;
        }
        if (ioctl(engine->vm, KVM_SET_CLOCK, &to) < 0)
                return error_errno(err, "KVM does not take the clock");
        return 0;
}

/* ---- All of them ---- */

static int get_controllers(struct engine *engine, struct chip_state *chips)
{
        struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };
        for (unsigned i = 0; i < 2; i++) {
                chip.chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
                if (ioctl(engine->vm, KVM_GET_IRQCHIP, &chip) < 0)
                        return -errno;
                chips->pics[i] = pic_from_kvm(&chip.chip.pic);
        }
        chip.chip_id = KVM_IRQCHIP_IOAPIC;
        if (ioctl(engine->vm, KVM_GET_IRQCHIP, &chip) < 0)
                return -errno;
        struct io_apic_state *to = &chips->io_apic;
        *to = (struct io_apic_state){
                .base = chip.chip.ioapic.base_address,
                .id = (uint8_t)chip.chip.ioapic.id,
                .select = (uint8_t)chip.chip.ioapic.ioregsel,
                .lines = chip.chip.ioapic.irr & ((1u << IO_APIC_LINES) - 1),
        };
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                to->redirection[i] = chip.chip.ioapic.redirtbl[i].bits;
        return 0;
}

static int set_controllers(struct engine *engine, const struct chip_state *chips)
{
        struct kvm_irqchip chip = { .chip_id = KVM_IRQCHIP_PIC_MASTER };
        for (unsigned i = 0; i < 2; i++) {
                chip.chip_id = i ? KVM_IRQCHIP_PIC_SLAVE : KVM_IRQCHIP_PIC_MASTER;
                chip.chip.pic = pic_to_kvm(&chips->pics[i], i);
                if (ioctl(engine->vm, KVM_SET_IRQCHIP, &chip) < 0)
                        return -errno;
        }
        const struct io_apic_state *from = &chips->io_apic;
        memset(&chip.chip, 0, sizeof(chip.chip));
        chip.chip_id = KVM_IRQCHIP_IOAPIC;
        chip.chip.ioapic.base_address = from->base;
        chip.chip.ioapic.id = from->id;
        chip.chip.ioapic.ioregsel = from->select;
        chip.chip.ioapic.irr = from->lines;
        for (unsigned i = 0; i < IO_APIC_LINES; i++)
                chip.chip.ioapic.redirtbl[i].bits = from->redirection[i];
        return ioctl(engine->vm, KVM_SET_IRQCHIP, &chip) < 0 ? -errno : 0;
}

int kvm_get_chips(struct engine *engine, struct chip_state *chips, struct error *err)
{
        *chips = (struct chip_state){ 0 };
        int r = engine->bare ? 0 : get_controllers(engine, chips);
        if (r < 0)
                return error_code(err, r, "KVM does not give the interrupt controllers");
        if (!engine->bare)
                r = get_pit(engine, &chips->pit, err);
        return r < 0 ? r : get_clock(engine, &chips->clock, err);
}

int kvm_set_chips(struct engine *engine, const struct chip_state *chips, struct error *err)
{
        int r = engine->bare ? 0 : set_controllers(engine, chips);
        if (r < 0)
                return error_code(err, r, "KVM does not take the interrupt controllers");
        if (!engine->bare)
                r = set_pit(engine, &chips->pit, err);
        return r < 0 ? r : set_clock(engine, &chips->clock, err);
}

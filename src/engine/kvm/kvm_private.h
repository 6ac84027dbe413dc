/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of the KVM engine share: Linux Documentation/virt/kvm/api.rst.
 *
 * struct engine is one virtual machine of KVM, struct vcpu one of its virtual CPUs with the page that KVM shares
 * with us.
 */
#pragma once

#include <linux/kvm.h>
#include <stdbool.h>
#include <stddef.h>

#include "engine/cpu_model.h"
#include "engine/engine.h"

struct kvm_change_slot {
        uint64_t start, length, host; /* as the slot was mapped; length 0: read-only, not watched */
        unsigned char *bitmap;        /* room for KVM_GET_DIRTY_LOG */
};

struct engine {
        int kvm, vm;
        bool bare, no_clock, doorbells_of_any_length;
        size_t run_size; /* bytes of the page(s) shared with each vcpu */
        struct topology topology;
        struct cpu_model model;
        struct kvm_cpuid2 *cpuid;  /* what KVM supports, to be fitted to each vcpu */
        struct kvm_msr_list *msrs; /* what there is to save of each vcpu */
        uint64_t tsc_moment;       /* host's time-stamp counter when CPU 0's state was last read or set */
        uint64_t tsc_wall;         /* and the time of day, in nanoseconds */
        bool watching;
        uint64_t log_features; /* of KVM_CAP_MANUAL_DIRTY_LOG_PROTECT2 */
        unsigned slot_count;
        struct kvm_change_slot slots[GUEST_MEMORY_REGIONS_MAX];
};

struct vcpu {
        struct engine *engine;
        int fd;
        unsigned number;
        struct kvm_run *run;
        char failure[256];
};

/* Supported CPUID leaves, the caller's to free; grows its buffer until KVM is content. */
int kvm_read_supported_cpuid(int kvm, struct kvm_cpuid2 **cpuid, struct error *err);
/* -ENOTSUP where the model wants by name what KVM does not have. */
int kvm_check_model(const struct engine *engine, struct error *err);
/* Gives the vcpu its leaves: own APIC id and topology in them. */
int kvm_set_cpuid(struct vcpu *vcpu, struct error *err);

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct error *err);
int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state, struct error *err);

/* MSRs, and the time-stamp counter among them. */
int kvm_read_msr_list(int kvm, struct kvm_msr_list **msrs, struct error *err);
int kvm_set_msrs(struct vcpu *vcpu, const struct cpu_state *state, struct error *err);
int kvm_get_msrs(struct vcpu *vcpu, struct cpu_state *state, struct error *err);
/* Those that must follow the local APIC and the time-stamp counter. */
int kvm_set_late_msrs(struct vcpu *vcpu, const struct cpu_state *state, struct error *err);
/* As firmware leaves them; where KVM refuses, they stay as they are. */
void kvm_set_first_msrs(struct vcpu *vcpu);

int kvm_get_chips(struct engine *engine, struct chip_state *chips, struct error *err);
int kvm_set_chips(struct engine *engine, const struct chip_state *chips, struct error *err);

int kvm_watch_changes(struct engine *engine, bool on, struct error *err);
int kvm_collect_changes(struct engine *engine, struct engine_changes *changes, struct error *err);

int kvm_vcpu_open(struct engine *engine, unsigned number, struct vcpu **vcpu, struct error *err);
void kvm_vcpu_close(struct vcpu *vcpu);
void kvm_vcpu_run(struct vcpu *vcpu, struct engine_exit *exit);
void kvm_vcpu_kick(struct vcpu *vcpu);
void kvm_vcpu_was_paused(struct vcpu *vcpu);
const char *kvm_vcpu_failure(const struct vcpu *vcpu);
bool kvm_vcpu_can_interrupt(const struct vcpu *vcpu);
int kvm_vcpu_interrupt(struct vcpu *vcpu, uint8_t vector);
void kvm_vcpu_want_window(struct vcpu *vcpu, bool wanted);
int kvm_vcpu_nmi(struct vcpu *vcpu);
void kvm_vcpu_set_task_priority(struct vcpu *vcpu, uint8_t priority);

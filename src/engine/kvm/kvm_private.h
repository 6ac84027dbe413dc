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

#include "engine/engine.h"

struct engine {
        int kvm, vm;
        bool bare, doorbells_of_any_length;
        size_t run_size;          /* bytes of the page(s) shared with each vcpu */
        struct kvm_cpuid2 *cpuid; /* what KVM supports, to be fitted to each vcpu */
        unsigned cpus;
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
/* Gives the vcpu its leaves: own APIC id and topology in them. */
int kvm_set_cpuid(struct vcpu *vcpu, struct error *err);

int kvm_set_state(struct vcpu *vcpu, const struct cpu_state *state, struct error *err);
int kvm_get_state(struct vcpu *vcpu, struct cpu_state *state, struct error *err);

int kvm_vcpu_open(struct engine *engine, unsigned number, struct vcpu **vcpu, struct error *err);
void kvm_vcpu_close(struct vcpu *vcpu);
void kvm_vcpu_run(struct vcpu *vcpu, struct engine_exit *exit);
void kvm_vcpu_kick(struct vcpu *vcpu);
void kvm_vcpu_was_paused(struct vcpu *vcpu);
const char *kvm_vcpu_failure(const struct vcpu *vcpu);

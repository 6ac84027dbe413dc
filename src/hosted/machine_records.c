/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A machine as records: its processors, the engine's chips, its devices. */
#include <errno.h>

#include "base/cleanup.h"
#include "hosted/snapshot.h"
#include "hosted/vmm_private.h"
#include "machine/machine_state.h"

int machine_records_save(struct vmm *vmm, struct state_writer *writer, struct error *err)
{
        if (vmm->own)
                return error_set(err, -ENOTSUP,
                                 "a machine whose engine brings no interrupt controllers cannot be saved");
        for (unsigned i = 0; i < vmm->processor_count; i++) {
                struct cpu_state state;
                int r = vmm->operations->get_state(vmm->processors[i].vcpu, &state, err);
                if (r < 0)
                        return r;
                cpu_state_save(&state, writer);
        }
        struct chip_state chips;
        int r = vmm->operations->get_chips(vmm->engine, &chips, err);
        if (r < 0)
                return r;
        chip_state_save(&chips, writer);
        machine_save(&vmm->machine, writer);
        return 0;
}

static int restore_devices(struct vmm *vmm, struct state_reader *reader, const char *name, struct error *err)
{
        static const struct {
                unsigned id;
                const char *name;
        } names[] = {
                { 0, "nothing" }, { 1, "a network card" }, { 2, "a disk" }, { 3, "a console" },
                { 4, "entropy" }, { 5, "a balloon" },      { 19, "vsock" }, { 26, "a shared folder" },
        };
        struct machine_misfit misfit;
        int r = machine_restore(&vmm->machine, reader, &misfit);
        if (!r)
                return 0;
        if (!misfit.saved && !misfit.here)
                return error_set(err, r, "%s: the state of the %s device%s is not one that it can have", name,
                                 misfit.device, misfit.number ? " or of what is behind it" : "");
        const char *saved = "another device", *here = saved;
        for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
                saved = names[i].id == misfit.saved ? names[i].name : saved;
                here = names[i].id == misfit.here ? names[i].name : here;
        }
        return error_set(err, r, "%s was saved with %s as device %u, where the options now make %s", name, saved,
                         misfit.number, here);
}

int machine_records_restore(struct vmm *vmm, struct state_reader *reader, const char *name, struct error *err)
{
        for (unsigned i = 0; i < vmm->processor_count; i++) {
                struct cpu_state state;
                int r = cpu_state_restore(&state, reader);
                if (r < 0)
                        return error_set(err, r, "%s: the state of CPU %u is not one that it can have", name, i);
                r = vmm->operations->set_state(vmm->processors[i].vcpu, &state, err);
                if (r < 0)
                        return error_prefix(err, "%s", name);
        }
        struct chip_state chips;
        int r = chip_state_restore(&chips, reader);
        if (r < 0)
                return error_set(err, r, "%s: the interrupt controllers' state is not one that they can have", name);
        r = vmm->operations->set_chips(vmm->engine, &chips, err);
        return r < 0 ? error_prefix(err, "%s", name) : restore_devices(vmm, reader, name, err);
}

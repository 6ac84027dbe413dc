/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The first SIGTERM or SIGINT presses the guest's power button; the second, or SIGQUIT, ends the machine. */
#include <errno.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "hosted/vmm_private.h"

static void signal_came(void *owner, uint32_t events)
{
        struct vmm *vmm = owner;
        struct signalfd_siginfo signal;
        (void)events;
        if (read(vmm->signals.fd, &signal, sizeof(signal)) != sizeof(signal))
                return;
        pthread_mutex_lock(&vmm->lock);
        if (vmm->pressed || signal.ssi_signo == SIGQUIT)
                vmm_stop(vmm);
        else
                power_press(&vmm->machine.power);
        vmm->pressed = true;
        pthread_mutex_unlock(&vmm->lock);
}

int stop_signals_open(struct vmm *vmm, struct error *err)
{
        sigset_t signals;
        sigemptyset(&signals);
        sigaddset(&signals, SIGTERM);
        sigaddset(&signals, SIGINT);
        sigaddset(&signals, SIGQUIT);
        sigprocmask(SIG_BLOCK, &signals, NULL);
        vmm->signals = (struct event_source){ signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK), signal_came, vmm };
        if (vmm->signals.fd < 0)
                return error_errno(err, "cannot wait for signals");
        int r = event_loop_add(&vmm->loop, &vmm->signals, EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot wait for signals") : 0;
}

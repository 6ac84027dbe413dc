/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * onggi-init: process 1 of a guest. Makes the machine ready as /onggi/machine.json says, lets the guest's onggi-runtime
 * run the bundle's program, serves the host (agent.h), and ends the machine with the program's exit code.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "base/json.h"
#include "guest/bundle.h"
#include "guest/guest.h"
#include "guest/guest_network.h"
#include "guest/guest_root.h"
#include "guest/module_loader.h"

#define MODULES        "/onggi/modules"
#define MACHINE_JSON   "/onggi/machine.json"
#define CONFIG_JSON    "/onggi/config.json"
#define EXIT_OURS      125
#define OPEN_FILES_MAX 524288 /* as systemd gives it to process 1 */

#define VMSTAT_BYTES_MAX (64 * 1024)

/* ---- Making the machine ready ---- */

static int read_machine_config(struct machine_config **config, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        size_t length;
        int r = file_read(AT_FDCWD, MACHINE_JSON, JSON_BYTES_MAX, &text, &length, err);
        return r < 0 ? r : machine_config_parse(text, length, config, err);
}

static int load_modules(const struct machine_config *config, struct module_loader *modules, struct error *err)
{
        int r = module_loader_open(modules, MODULES, err);
        if (!r)
                r = module_loader_load(modules, "virtio_pci", err);
        if (!r)
                r = module_loader_load(modules, "vmw_vsock_virtio_transport", err);
        if (!r && config->interface_count)
                r = module_loader_load(modules, "virtio_net", err);
        return r;
}

static int set_sysctls(const json_t *sysctls, struct error *err)
{
        const char *name;
        json_t *value;
        _cleanup_close_ int folder = open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open /proc/sys");
        json_object_foreach((json_t *)sysctls, name, value) {
                _cleanup_free_ char *path = strdup(name);
                if (!path)
                        return error_memory(err);
                /* "net.ipv4.conf.eth0/1.x" and "net/ipv4/conf/eth0.1/x" are the same: sysctl.d(5). */
                bool dots = path[strcspn(path, "./")] == '.';
                for (char *c = path; dots && *c; c++)
                        *c = *c == '.' ? '/' : *c == '/' ? '.' : *c;
                _cleanup_close_ int fd = open_in_root(folder, path, O_WRONLY, 0, err);
                const char *text = json_is_string(value) ? json_string_value(value) : "";
                int r = fd < 0 ? fd : write_all(fd, text, strlen(text));
                if (r < 0)
                        return error_code(err, r, "cannot set linux.sysctl %s to \"%s\"", name, text);
        }
        return 0;
}

/*
 * As engines do on the host for a container: the folder in which the program starts is made where the image has none.
 */
static void make_workdir(const json_t *config)
{
        const char *path = json_string_value(json_object_get(json_object_get(config, "process"), "cwd"));
        _cleanup_close_ int root = open(GUEST_ROOT, O_PATH | O_DIRECTORY | O_CLOEXEC);
        /* A failure is the runtime's to tell, which cannot change to the folder then. */
        int made = path && root >= 0 ? make_in_root(root, path, 0755, NULL) : -1;
        if (made >= 0)
                close(made);
}

static int write_bundle(struct error *err)
{
        _cleanup_json_ json_t *config = NULL;
        _cleanup_json_ json_t *sysctls = NULL;
        int r = json_read(AT_FDCWD, CONFIG_JSON, &config, err);
        if (!r)
                r = bundle_adapt(config, GUEST_ROOT, &sysctls, err);
        if (!r)
                r = set_sysctls(sysctls, err);
        if (r < 0)
                return r;
        make_workdir(config);
        _cleanup_close_ int folder = directory_make(RUNTIME_BUNDLE, 0700, err);
        return folder < 0 ? folder : json_replace(folder, "config.json", config, false, err);
}

static int make_ready(const struct machine_config *config, struct module_loader *modules, struct error *err)
{
        const struct rlimit files = { 1024, OPEN_FILES_MAX };
        int r = guest_root_mount(config, modules, err);
        if (!r)
                r = guest_network_set_up(config, err);
        if (!r && *config->hostname && sethostname(config->hostname, strlen(config->hostname)) < 0)
                r = error_errno(err, "cannot set the host name");
        if (!r)
                r = write_bundle(err);
        setrlimit(RLIMIT_NOFILE, &files);
        return r;
}

/* ---- Its life ---- */

static void tell(struct guest *guest, enum agent_state_number state, const char *text)
{
        guest->state.state = (uint8_t)state;
        if (guest->agent)
                agent_server_tell(guest->agent, text);
}

int guest_start(struct guest *guest, struct error *err)
{
        if (guest->state.state != AGENT_CREATED)
                return error_set(err, -EBUSY, "the main program does not wait to be started");
        int r = runtime_start(err);
        if (!r)
                tell(guest, AGENT_RUNNING, NULL);
        return r;
}

/* The signals are taken before the children: one that ends in between is told by a new signal. */
static void children_ready(void *owner, uint32_t events)
{
        struct guest *guest = owner;
        struct signalfd_siginfo taken;
        int status;
        pid_t pid;
        (void)events;
        while (read(guest->children.fd, &taken, sizeof(taken)) > 0)
                ;
        while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
                main_program_child(&guest->program, pid, status);
}

static int watch_children(struct guest *guest, struct error *err)
{
        sigset_t child;
        sigemptyset(&child);
        sigaddset(&child, SIGCHLD);
        guest->children =
                (struct event_source){ signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK), children_ready, guest };
        int r = guest->children.fd < 0 ? -errno : event_loop_add(&guest->loop, &guest->children, EPOLLIN);
        return r < 0 ? error_code(err, r, "cannot wait for children") : 0;
}

static int live(struct guest *guest, struct error *err)
{
        _cleanup_(machine_config) struct machine_config *config = NULL;
        struct module_loader modules;
        int r = guest_root_begin(err);
        if (!r)
                r = read_machine_config(&config, err);
        if (!r)
                r = load_modules(config, &modules, err);
        if (!r)
                r = event_loop_open(&guest->loop, err);
        if (!r)
                r = agent_server_open(guest, config->control, &guest->agent, err);
        if (r < 0)
                return r;
        tell(guest, AGENT_BOOTED, NULL);
        r = make_ready(config, &modules, err);
        if (!r)
                r = main_program_create(config, &guest->program, err);
        if (!r)
                r = watch_children(guest, err);
        if (r < 0)
                return r;
        tell(guest, AGENT_CREATED, NULL);
        if (config->start)
                r = guest_start(guest, err);
        /* From now on memory that is free goes back to the host; no start waits for that, nor fails for lack of it. */
        module_loader_load(&modules, "virtio_balloon", NULL);
        module_loader_close(&modules, MODULES);
        children_ready(guest, 0); /* those that ended before they were watched */
        while (!r && !guest->shut_down && !main_program_over(&guest->program))
                event_loop_turn(&guest->loop);
        return r;
}

/* ---- Its end ---- */

static bool ran_out_of_memory(void)
{
        _cleanup_free_ char *text = NULL;
        if (file_read(AT_FDCWD, "/proc/vmstat", VMSTAT_BYTES_MAX, &text, NULL, NULL) < 0)
                return false;
        const char *count = strstr(text, "\noom_kill ");
        return count && atoi(count + strlen("\noom_kill ")) > 0;
}

static void end_machine(uint8_t code)
{
        kill(-1, SIGKILL);
        while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
                ;
        guest_root_release();
        if (!ioperm(AGENT_EXIT_PORT, 1, 1))
                outb(code, AGENT_EXIT_PORT);
        /* A machine without that port. */
        reboot(RB_POWER_OFF);
}

int main(void)
{
        struct guest guest = { .state.state = AGENT_BOOTED, .program.pidfd = -1, .program.made.terminal = -1 };
        struct error err = { 0 };
        sigset_t all;
        sigfillset(&all);
        sigprocmask(SIG_SETMASK, &all, NULL);
        int r = live(&guest, &err);
        guest.state.exit_code = r < 0 ? EXIT_OURS : guest.program.ended ? guest.program.exit_code : 128 + SIGKILL;
        guest.state.out_of_memory = ran_out_of_memory();
        if (r < 0)
                dprintf(STDERR_FILENO, "onggi-init: %s\n", err.text);
        tell(&guest, r < 0 ? AGENT_FAILED : AGENT_ENDED, r < 0 ? err.text : NULL);
        if (guest.agent)
                agent_server_drain(guest.agent);
        end_machine(guest.state.exit_code);
        for (;;)
                pause();
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/cgroup_mount.h"
#include "container/channel.h"
#include "container/clone.h"
#include "container/console.h"
#include "container/creation.h"
#include "container/execution.h"
#include "container/mount.h"

/*
 * How the first process comes to be.
 *
 * Without a user namespace one clone3(2) makes it with all new namespaces. Joined ones are entered afterwards, but for
 * the pid namespace, which only a child can be in: the runtime enters it "for children" and returns.
 *
 * With a user namespace that is not enough. Everything else must be owned by the user namespace, and made with its
 * numbers mapped: ipc's mqueue file system, for one, takes the number of its maker, who has none inside while the
 * maps are empty. So the user namespace is made and mapped first (id_map.h) and then joined like one given by path.
 * That takes a process in between, which joins, becomes its root, and makes the first process as a sibling
 * (CLONE_PARENT): the runtime stays the parent, which alone can wait for it.
 *
 * The time namespace is the exception: its offsets can be written only while nobody is in it, so it is unshared,
 * written and then entered. The cgroup namespace is unshared when the process is where its root shall be.
 */

/* Folders below --root whose names start with a dot are no containers. */
#define SECCOMP_CACHE ".seccomp"

/* Those that clone3(2) makes; the rest is the first process's own work. */
static int cloned(const struct creation *creation)
{
        return creation->config->namespaces.create & ~(CLONE_NEWUSER | CLONE_NEWTIME | CLONE_NEWCGROUP);
}

static void __attribute__((noreturn)) fail(const struct creation *creation, const struct error *err)
{
        channel_report(creation->channel[1], err);
        _exit(1);
}

/* The process in between: inside the user namespace, it makes the first process. */
static void __attribute__((noreturn)) stage(struct creation *creation)
{
        struct error err = { 0 };
        const struct namespaces *namespaces = &creation->config->namespaces;
        if (namespaces_enter(namespaces, CLONE_NEWUSER | CLONE_NEWPID, &err) < 0)
                fail(creation, &err);
        /* Root of the namespace: else what it makes belongs to a number that the namespace does not have. */
        if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0) {
                error_errno(&err, "cannot become root of the user namespace; are container numbers 0 mapped?");
                fail(creation, &err);
        }
        /* Changing numbers has reset it; the first process must be closed to whoever shares its namespaces. */
        prctl(PR_SET_DUMPABLE, 0);
        pid_t pid = clone_process(cloned(creation) | CLONE_PARENT, -1);
        if (pid < 0) {
                error_errno(&err, "cannot start the first process");
                fail(creation, &err);
        }
        if (!pid) {
                /* Not a word before the number is told: both speak through the same channel. */
                if (channel_wait(creation->channel[1], &err) < 0)
                        _exit(1);
                first_process_run(creation);
        }
        channel_send(creation->channel[1], MESSAGE_PROCESS, pid, NULL, -1);
        _exit(0);
}

static int explain_clone(const struct creation *creation, struct error *err)
{
        if (errno == EPERM && geteuid())
                return error_set(err, -EPERM,
                                 "cannot make the container's namespaces: an ordinary user needs a user namespace "
                                 "in linux.namespaces");
        if (errno == ENOSPC)
                return error_set(err, -ENOSPC,
                                 "cannot make the container's namespaces: a limit in /proc/sys/user is reached");
        (void)creation;
        return error_errno(err, "cannot start the first process");
}

static int start_by_stage(struct creation *creation, struct error *err)
{
        pid_t between = clone_process(0, cgroup_directory(creation->cgroup));
        if (between < 0)
                return explain_clone(creation, err);
        if (!between)
                stage(creation);
        struct message message;
        int r = channel_receive(creation->channel[0], &message, NULL, err);
        while (waitpid(between, NULL, 0) < 0 && errno == EINTR)
                ;
        if (r < 0)
                return r;
        if (message.type == MESSAGE_ERROR)
                return error_set(err, message.code, "%s", message.text);
        if (message.type != MESSAGE_PROCESS)
                return error_set(err, -ECHILD, "the process that enters the user namespace ended without a word");
        creation->state->pid = message.code;
        if (channel_send(creation->channel[0], MESSAGE_CONTINUE, 0, NULL, -1) < 0)
                return error_set(err, -ECHILD, "the first process ended at once");
        return 0;
}

static int start_directly(struct creation *creation, struct error *err)
{
        const struct namespaces *namespaces = &creation->config->namespaces;
        _cleanup_close_ int own = -1;
        if (namespaces->join & CLONE_NEWPID) {
                own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
                if (own < 0)
                        return error_errno(err, "cannot open the own pid namespace");
                int r = namespaces_enter(namespaces, CLONE_NEWPID, err);
                if (r < 0)
                        return r;
        }
        pid_t pid = clone_process(cloned(creation), cgroup_directory(creation->cgroup));
        int r = pid < 0 ? explain_clone(creation, err) : 0;
        if (!pid)
                first_process_run(creation);
        if (own >= 0 && setns(own, CLONE_NEWPID) < 0 && !r)
                r = error_errno(err, "cannot return to the own pid namespace");
        creation->state->pid = pid;
        return r;
}

static int prepare_filter(struct creation *creation, struct error *err)
{
        _cleanup_free_ char *cache = text_format("%s/" SECCOMP_CACHE, creation->options->root);
        return cache ? config_seccomp(creation->config, cache, &creation->seccomp, err) : error_memory(err);
}

static int open_namespaces(struct creation *creation, struct error *err)
{
        struct namespaces *namespaces = &creation->config->namespaces;
        int r = namespaces_open(namespaces, err);
        if (!r && namespaces->create & CLONE_NEWUSER) {
                int fd = user_namespace_create(&creation->config->uids, &creation->config->gids, err);
                if (fd < 0)
                        return fd;
                namespaces_adopt(namespaces, CLONE_NEWUSER, fd);
        }
        return r < 0 ? r
                     : rootfs_open_sources(creation->config->rootfs, namespaces_descriptor(namespaces, CLONE_NEWUSER),
                                           err);
}

int first_process_prepare(struct creation *creation, struct error *err)
{
        int r = prepare_filter(creation, err);
        return r < 0 ? r : open_namespaces(creation, err);
}

int first_process_start(struct creation *creation, struct error *err)
{
        /* The child must never be open to others, not even before its first instruction. */
        prctl(PR_SET_DUMPABLE, 0);
        int r = namespaces_have(&creation->config->namespaces, CLONE_NEWUSER) ? start_by_stage(creation, err)
                                                                              : start_directly(creation, err);
        prctl(PR_SET_DUMPABLE, 1);
        close(TAKE_FD(creation->channel[1]));
        if (r < 0)
                return r;
        creation->began = true;
        creation->pidfd = (int)syscall(SYS_pidfd_open, creation->state->pid, 0);
        return creation->pidfd < 0 ? error_errno(err, "cannot watch the first process") : 0;
}

/* ---- inside ---- */

static int enter_time(const struct config *config, struct error *err)
{
        if (!(config->namespaces.create & CLONE_NEWTIME))
                return 0;
        if (unshare(CLONE_NEWTIME) < 0)
                return error_errno(err, "cannot make a time namespace");
        _cleanup_text_ struct text lines = { 0 };
        if (config->monotonic.present)
                text_printf(&lines, "monotonic %lld %u\n", (long long)config->monotonic.seconds,
                            config->monotonic.nanoseconds);
        if (config->boottime.present)
                text_printf(&lines, "boottime %lld %u\n", (long long)config->boottime.seconds,
                            config->boottime.nanoseconds);
        if (text_failed(&lines))
                return error_memory(err);
        /* Files below /proc/self belong to the host's root as long as the process is closed to others. */
        prctl(PR_SET_DUMPABLE, 1);
        int r = lines.length ? file_poke(AT_FDCWD, "/proc/self/timens_offsets", lines.data, err) : 0;
        _cleanup_close_ int fd = open("/proc/self/ns/time_for_children", O_RDONLY | O_CLOEXEC);
        prctl(PR_SET_DUMPABLE, 0);
        if (r < 0)
                return error_prefix(err, "linux.timeOffsets");
        if (fd < 0 || setns(fd, CLONE_NEWTIME) < 0)
                return error_errno(err, "cannot enter the time namespace");
        return 0;
}

static int enter_cgroup(struct creation *creation, struct error *err)
{
        int r = cgroup_join(creation->cgroup, 0, cgroup_directory(creation->cgroup) >= 0, err);
        if (r < 0)
                return r;
        if (!(creation->config->namespaces.create & CLONE_NEWCGROUP))
                return 0;
        r = creation->joins_early ? cgroup_mount_groups(&creation->groups, err) : 0;
        if (r < 0)
                return r;
        return unshare(CLONE_NEWCGROUP) < 0 ? error_errno(err, "cannot make a cgroup namespace") : 0;
}

static int name_host(const struct config *config, struct error *err)
{
        const char *host = config->hostname, *domain = config->domainname;
        if (host && *host && sethostname(host, strlen(host)) < 0)
                return error_errno(err, "cannot set hostname \"%s\"", host);
        if (domain && *domain && setdomainname(domain, strlen(domain)) < 0)
                return error_errno(err, "cannot set domainname \"%s\"", domain);
        return 0;
}

static int set_sysctls(const struct config *config, struct error *err)
{
        if (!config->sysctls.count)
                return 0;
        /*
         * A /proc that nothing else can be, and that is new: the host's holds an entry of the same name for each network
         * namespace that looked there, and a lookup compares with them all. Where a user namespace may not mount one, the
         * host's is still in reach.
         */
        struct error refused = { 0 };
        _cleanup_close_ int proc = mount_create("proc", "proc", NULL, 0, &refused);
        _cleanup_close_ int fd = proc < 0 ? open("/proc/sys", O_PATH | O_DIRECTORY | O_CLOEXEC)
                                          : openat(proc, "sys", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return fd < 0 ? error_errno(err, "cannot open /proc/sys") : sysctls_apply(&config->sysctls, fd, err);
}

/* Tells the runtime that a point is reached, and waits until it has done its part there. */
static int meet(const struct creation *creation, enum message_type point, struct error *err)
{
        int r = channel_send(creation->channel[1], point, 0, NULL, -1);
        return r < 0 ? error_code(err, r, "cannot reach the runtime") : channel_wait(creation->channel[1], err);
}

static int run_own_hooks(const struct creation *creation, enum hook_point point, enum container_status status,
                         struct error *err)
{
        if (!creation->config->hooks.counts[point])
                return 0;
        _cleanup_json_ json_t *document = state_document(creation->state, status, getpid());
        return document ? hooks_run(&creation->config->hooks, point, document, err) : error_memory(err);
}

static int open_terminal(const struct creation *creation, int *slave, struct error *err)
{
        if (!creation->config->has_program || !creation->config->program.terminal)
                return 0;
        _cleanup_close_ int master = -1;
        int r = console_open(rootfs_directory(creation->config->rootfs), &creation->config->program, &master, slave,
                             err);
        if (!r)
                r = rootfs_bind_console(creation->config->rootfs, *slave, err);
        if (r < 0)
                return r;
        if (creation->console >= 0)
                return console_send(creation->console, master, err);
        r = channel_send(creation->channel[1], MESSAGE_TERMINAL, 0, NULL, master);
        return r < 0 ? error_code(err, r, "cannot hand over the terminal") : 0;
}

static int build(struct creation *creation, int *slave, struct error *err)
{
        struct config *config = creation->config;
        const struct namespaces *namespaces = &config->namespaces;
        int r = namespaces_enter(namespaces, ~(CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWTIME), err);
        if (!r)
                r = namespaces_enter(namespaces, CLONE_NEWTIME, err);
        if (!r)
                r = enter_time(config, err);
        if (!r && creation->joins_early)
                r = enter_cgroup(creation, err);
        if (!r && config->devices.count)
                r = meet(creation, MESSAGE_NAMESPACES, err);
        if (!r)
                r = name_host(config, err);
        if (!r)
                r = set_sysctls(config, err);
        if (r < 0)
                return r;

        const struct rootfs_namespaces own = {
                .user = namespaces_have(namespaces, CLONE_NEWUSER),
                .network = namespaces_have(namespaces, CLONE_NEWNET),
                .cgroup = namespaces_have(namespaces, CLONE_NEWCGROUP),
                .pid = namespaces_have(namespaces, CLONE_NEWPID),
                .ipc = namespaces_have(namespaces, CLONE_NEWIPC),
                .groups = creation->groups,
        };
        r = rootfs_mount(config->rootfs, &own, err);
        if (!r && (config->hooks.counts[HOOK_PRESTART] || config->hooks.counts[HOOK_CREATE_RUNTIME]))
                r = meet(creation, MESSAGE_HOOKS, err);
        if (!r)
                r = run_own_hooks(creation, HOOK_CREATE_CONTAINER, CONTAINER_CREATING, err);
        if (!r)
                r = open_terminal(creation, slave, err);
        return r < 0 ? r : rootfs_enter(config->rootfs, creation->options->no_pivot, err);
}

/*
 * A process that waits, maybe for days, keeps nothing of the host open but the two FIFOs: folders of the host in the
 * hands of a container's process are a way out (CVE-2016-9962, CVE-2024-21626), and a copy of the state's descriptor
 * would hold its lock.
 */
static void close_others(const struct creation *creation)
{
        const int kept[] = { creation->gate, creation->result };
        descriptors_close_except(3 + creation->options->preserve, kept, ARRAY_SIZE(kept));
}

static int wait_for_start(const struct creation *creation, struct error *err)
{
        if (creation->gate < 0)
                return 0;
        char byte;
        ssize_t n;
        do
                n = read(creation->gate, &byte, 1);
        while (n < 0 && errno == EINTR);
        return n == 1 ? 0 : error_errno(err, "cannot wait for the start");
}

static int live(struct creation *creation, struct execution *execution, struct error *err)
{
        struct config *config = creation->config;
        execution->set_groups =
                !namespaces_have(&config->namespaces, CLONE_NEWUSER) || execution_may_set_groups("self");
        int r = config->has_program ? execution_open_proc(execution, err) : 0;
        if (!r)
                r = build(creation, &execution->terminal, err);
        if (!r && !creation->joins_early)
                r = enter_cgroup(creation, err);
        if (!r && config->has_program)
                r = execution_prepare(execution, err);
        if (!r)
                r = meet(creation, MESSAGE_READY, err);
        if (r < 0)
                return r;
        if (creation->result >= 0) {
                /* The runtime that made the container ends now; from here on `start` is told what goes wrong. */
                execution->report = creation->result;
                close_others(creation);
        }
        r = wait_for_start(creation, err);
        if (!r)
                r = run_own_hooks(creation, HOOK_START_CONTAINER, CONTAINER_CREATED, err);
        if (r < 0 || !config->has_program)
                return r;
        return execution_finish(execution, err);
}

void first_process_run(struct creation *creation)
{
        struct error err = { 0 };
        struct config *config = creation->config;
        struct execution execution = {
                .id = creation->state->id,
                .program = &config->program,
                .seccomp = creation->seccomp,
                .memory = &config->memory,
                .has_personality = config->has_personality,
                .personality = config->personality,
                .keyring = !creation->options->no_new_keyring,
                .proc = -1,
                .terminal = -1,
                .preserve = creation->options->preserve,
                .channel = creation->channel[1],
                .report = creation->channel[1],
                .gate = creation->gate,
                .result = creation->result,
        };
        close(creation->channel[0]);
        close(creation->state->folder);
        close(creation->state->root);
        int r = live(creation, &execution, &err);
        if (r < 0)
                channel_report(execution.report, &err);
        _exit(r < 0 ? 1 : 0);
}

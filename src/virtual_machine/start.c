/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Starting a virtual machine: its network, its control group, and two processes.
 *
 * The command forks what becomes the monitor, and that forks what becomes onggi-vmm: a process enters its control group and
 * its namespace best by itself. Before that, everything that is made is written down in the run folder, so that whoever finds
 * it without living processes can undo it.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "base/text.h"
#include "container/cgroup.h"
#include "engine/engines.h"
#include "instance/timestamp.h"
#include "virtual_machine/folder.h"
#include "virtual_machine/machine_cgroup.h"
#include "virtual_machine/machine_network.h"

#define EXIT_OURS 125
#define REPORT_FD 3 /* in onggi-vmm */

struct start {
        struct vm *vm;
        struct vm_settings settings;
        const struct engine_choice *engine;
        const char *restore;
        char *vmm, *monitor, *self;
        char **arguments; /* of onggi-vmm */
        int run_folder, namespace;
        json_t *attachment;
        struct cgroup *cgroup;
};

static void release(struct start *start)
{
        vm_settings_free(&start->settings);
        free(start->vmm);
        free(start->monitor);
        free(start->self);
        list_free(start->arguments);
        json_decref(start->attachment);
        cgroup_free(start->cgroup);
        if (start->run_folder >= 0)
                close(start->run_folder);
        if (start->namespace >= 0)
                close(start->namespace);
}

/* ---- What onggi-vmm is called with ---- */

static int append_pair(char ***arguments, const char *option, const char *value)
{
        int r = value ? list_append(arguments, option) : 0;
        return r < 0 || !value ? r : list_append(arguments, value);
}

static int append_list(char ***arguments, const char *option, char *const *values)
{
        int r = 0;
        for (; !r && values && *values; values++)
                r = append_pair(arguments, option, *values);
        return r;
}

/* A Linux is told its address, unless its user has said something else. */
static char *command_line(const struct start *start)
{
        const char *append = start->settings.append ? start->settings.append : "";
        if (!start->settings.kernel || !start->attachment || text_starts(append, "ip=") || strstr(append, " ip="))
                return strdup(append);
        _cleanup_free_ char *option = machine_network_ip_option(start->attachment, start->vm->name);
        return option ? text_format("%s%s%s", append, *append ? " " : "", option) : NULL;
}

/* passt(1): a card without a network of ours. */
static int append_user_network(char ***arguments, char *const *ports)
{
        _cleanup_text_ struct text card = { 0 };
        text_append(&card, "--network=user");
        for (; ports && *ports; ports++)
                text_printf(&card, ",publish=%s", *ports);
        return text_failed(&card) ? -ENOMEM : list_append(arguments, card.data);
}

static int append_pairs(char ***arguments, const char *const pairs[][2], size_t count)
{
        int r = 0;
        for (size_t i = 0; !r && i < count; i++)
                r = append_pair(arguments, pairs[i][0], pairs[i][1]);
        return r;
}

/* What starts, and what it has of processors and memory: a snapshot has all that itself. */
static int append_beginning(struct start *start)
{
        const struct vm_settings *settings = &start->settings;
        char ***list = &start->arguments;
        _cleanup_free_ char *append = command_line(start);
        if (append_pair(list, "--engine", start->engine->name) < 0)
                return -ENOMEM;
        if (start->restore)
                return append_pair(list, "--restore", start->restore);
        if (!append)
                return -ENOMEM;
        const char *const pairs[][2] = {
                { "--kernel", settings->kernel },
                { "--append", *append ? append : NULL },
                { "--firmware", settings->firmware },
                { "--cpu", settings->cpu },
                { "--on-reset", settings->on_reset ? settings->on_reset : "restart" },
        };
        int r = append_pairs(list, pairs, ARRAY_SIZE(pairs));
        if (!r)
                r = append_list(list, "--initrd", settings->initrds);
        if (!r)
                r = append_list(list, "--module", settings->modules);
        if (!r)
                r = list_printf(list, "--memory=%llu", (unsigned long long)settings->memory);
        return r < 0 ? r : list_printf(list, "--cpus=%u", vm_settings_cpus(settings));
}

static int append_network(struct start *start)
{
        const char *mac = json_string_value(json_object_get(start->attachment, "mac"));
        if (text_equal(start->settings.network, "user"))
                return append_user_network(&start->arguments, start->settings.ports);
        return mac ? list_printf(&start->arguments, "--network=tap=" VM_TAP ",address=%s", mac) : 0;
}

static int list_arguments(struct start *start, struct error *err)
{
        const struct vm_settings *settings = &start->settings;
        char ***list = &start->arguments;
        int r = list_append(list, start->vmm);
        if (!r)
                r = append_beginning(start);
        if (!r)
                r = append_list(list, "--disk", settings->disks);
        if (!r)
                r = append_list(list, "--iso", settings->isos);
        if (!r)
                r = append_list(list, "--share", settings->shares);
        if (!r)
                r = append_network(start);
        if (!r)
                r = append_pair(list, "--control", VM_CONTROL_SOCKET);
        if (!r)
                r = list_printf(list, "--report=%d", REPORT_FD);
        return r < 0 ? error_memory(err) : 0;
}

/* ---- The processes ---- */

/* Ends of pipes: [0] is the reader's. Close-on-exec. */
struct pipes {
        int report[2], talk[2], ready[2];
        int console[2]; /* a socket; [1] is onggi-vmm's */
};

static int open_pipes(struct pipes *pipes, struct error *err)
{
        if (pipe2(pipes->report, O_CLOEXEC) < 0 || pipe2(pipes->talk, O_CLOEXEC) < 0 ||
            pipe2(pipes->ready, O_CLOEXEC) < 0 ||
            socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pipes->console) < 0)
                return error_errno(err, "cannot make pipes");
        return 0;
}

/* The children have theirs. */
static void close_pipes(const struct pipes *pipes)
{
        const int all[] = { pipes->report[0], pipes->report[1],  pipes->talk[0],   pipes->talk[1],
                            pipes->ready[1],  pipes->console[0], pipes->console[1] };
        for (size_t i = 0; i < ARRAY_SIZE(all); i++)
                if (all[i] >= 0)
                        close(all[i]);
}

/* From here on in a child whose standard error is the monitor's to read: what fails is said there. */
static _Noreturn void become_vmm(const struct start *start, const struct pipes *pipes)
{
        struct error err = { 0 };
        dup2(pipes->talk[1], STDERR_FILENO);
        int r = start->cgroup ? cgroup_join(start->cgroup, 0, false, &err) : 0;
        if (!r && start->namespace >= 0 && setns(start->namespace, CLONE_NEWNET) < 0)
                r = error_errno(&err, "cannot enter the virtual machine's network namespace");
        if (!r && fchdir(start->run_folder) < 0)
                r = error_errno(&err, "cannot enter the virtual machine's run folder");
        if (!r) {
                dup2(pipes->console[1], STDIN_FILENO);
                dup2(pipes->console[1], STDOUT_FILENO);
                dup2(pipes->report[1], REPORT_FD);
                descriptors_seal_from(REPORT_FD + 1);
                fcntl(REPORT_FD, F_SETFD, 0);
                execv(start->vmm, start->arguments);
                error_errno(&err, "cannot execute %s", start->vmm);
        }
        dprintf(STDERR_FILENO, "%s\n", err.text);
        _exit(EXIT_OURS);
}

static json_t *process_record(pid_t pid)
{
        uint64_t start = 0;
        process_start_time(pid, &start);
        return json_pack("{s:i, s:I}", "pid", (int)pid, "start", (json_int_t)start);
}

static int write_record(const struct start *start, pid_t vmm)
{
        char now[TIMESTAMP_SIZE];
        timestamp_now(now);
        _cleanup_json_ json_t *run = json_pack("{s:s, s:s, s:o, s:o}", "started", now, "engine", start->engine->name,
                                               "monitor", process_record(getpid()), "vmm", process_record(vmm));
        return run ? json_replace(start->run_folder, "run.json", run, false, NULL) : -ENOMEM;
}

static _Noreturn void become_monitor(const struct start *start, const struct pipes *pipes)
{
        char numbers[5][16];
        setsid();
        signal(SIGPIPE, SIG_IGN);
        pid_t vmm = fork();
        if (!vmm)
                become_vmm(start, pipes);
        test_point("vm.start.forked");
        if (vmm < 0 || write_record(start, vmm) < 0 || fchdir(start->run_folder) < 0) {
                if (vmm > 0)
                        kill(vmm, SIGKILL);
                _exit(EXIT_OURS);
        }
        const int given[] = { (int)vmm, pipes->report[0], pipes->talk[0], pipes->console[0], pipes->ready[1] };
        for (size_t i = 0; i < ARRAY_SIZE(given); i++) {
                snprintf(numbers[i], sizeof(numbers[i]), "%d", given[i]);
                if (i)
                        fcntl(given[i], F_SETFD, 0);
        }
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);
        for (int fd = 0; fd <= STDERR_FILENO; fd++)
                dup2(null, fd);
        char *const arguments[] = { start->monitor,
                                    numbers[0],
                                    numbers[1],
                                    numbers[2],
                                    numbers[3],
                                    numbers[4],
                                    start->self,
                                    (char *)"--root",
                                    start->vm->host->root,
                                    (char *)"--state",
                                    start->vm->host->state,
                                    (char *)"vm",
                                    (char *)"__finish",
                                    start->vm->id,
                                    NULL };
        execv(start->monitor, arguments);
        kill(vmm, SIGKILL);
        _exit(EXIT_OURS);
}

/* The guest runs, or there is a line that says why it does not. */
static int await_start(int ready, struct error *err)
{
        char said[512];
        size_t length = 0;
        ssize_t n;
        while (length < sizeof(said) - 1 && (n = read(ready, said + length, sizeof(said) - 1 - length)) != 0) {
                if (n < 0 && errno != EINTR)
                        break;
                length += n > 0 ? (size_t)n : 0;
        }
        said[length] = 0;
        static const char prefix[] = "onggi-vmm: ";
        if (text_equal(said, "running"))
                return 0;
        return error_set(err, -EIO, "%s",
                         !length                     ? "the virtual machine's monitor was killed"
                         : text_starts(said, prefix) ? said + strlen(prefix)
                                                     : said);
}

static int launch(struct start *start, struct error *err)
{
        struct pipes pipes = { { -1, -1 }, { -1, -1 }, { -1, -1 }, { -1, -1 } };
        int r = open_pipes(&pipes, err);
        pid_t monitor = r < 0 ? -1 : fork();
        if (!monitor)
                become_monitor(start, &pipes);
        if (!r && monitor < 0)
                r = error_errno(err, "cannot make a process");
        close_pipes(&pipes);
        if (!r) {
                r = await_start(pipes.ready[0], err);
                /* One that saw no start does not finish the run: we do. */
                if (r < 0)
                        waitpid(monitor, NULL, 0);
        }
        if (pipes.ready[0] >= 0)
                close(pipes.ready[0]);
        return r;
}

/* ---- What comes before ---- */

/* A test that an engine fails is the last word only where the engine was not asked for by its name. */
static int choose_engine(struct start *start, char **warning, struct error *err)
{
        int r = engine_choose(start->settings.engine, &start->engine, err);
        bool named = start->settings.engine && !text_equal(start->settings.engine, "auto");
        if (r == -ENOTSUP && named) {
                *warning = text_format("%s; started all the same, as --engine %s asks for it", err->text,
                                       start->engine->name);
                return 0;
        }
        if (r == -ENOTSUP)
                return error_set(err, r, "%s; `--engine %s` starts a guest all the same", err->text,
                                 start->engine->name);
        return r;
}

static char *own_program(void)
{
        char path[4096];
        ssize_t length = readlink("/proc/self/exe", path, sizeof(path) - 1);
        return length > 0 ? strndup(path, (size_t)length) : NULL;
}

static int find_programs(struct start *start, struct error *err)
{
        start->vmm = host_program(start->vm->host, "onggi-vmm");
        start->monitor = host_program(start->vm->host, "onggi-vm-monitor");
        start->self = own_program();
        if (start->vmm && start->monitor && start->self)
                return 0;
        return error_set(err, -ENOENT, "%s was found neither beside onggi nor in $ONGGI_LIBEXEC",
                         start->vmm ? "onggi-vm-monitor" : "onggi-vmm");
}

static int make_run_folder(struct start *start, struct error *err)
{
        _cleanup_free_ char *path = text_format("%s/machines/%s", start->vm->host->state, start->vm->id);
        if (!path)
                return error_memory(err);
        start->run_folder = directory_make(path, 0700, err);
        test_point("vm.start.folder.made");
        return start->run_folder < 0 ? start->run_folder : 0;
}

/* The guest that goes on has its addresses already. */
static int take_addresses(struct start *start, struct error *err)
{
        _cleanup_json_ json_t *attachment = NULL;
        _cleanup_close_ int folder = open(start->restore, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (folder < 0)
                return error_errno(err, "cannot open the snapshot %s", start->restore);
        if (json_read(folder, "network.json", &attachment, NULL) < 0)
                return 0;
        const char *address = json_string_value(json_object_get(attachment, "address"));
        const char *mac = json_string_value(json_object_get(attachment, "mac"));
        free(start->settings.address);
        free(start->settings.mac);
        start->settings.address = address ? strdup(address) : NULL;
        start->settings.mac = mac ? strdup(mac) : NULL;
        return (address && !start->settings.address) || (mac && !start->settings.mac) ? error_memory(err) : 0;
}

static int prepare(struct start *start, char **warning, struct error *err)
{
        int r = vm_settings_of(start->vm, &start->settings, err);
        if (!r)
                r = vm_settings_check(&start->settings, err);
        if (!r)
                r = choose_engine(start, warning, err);
        if (!r)
                r = find_programs(start, err);
        if (!r)
                r = make_run_folder(start, err);
        if (!r && start->restore)
                r = take_addresses(start, err);
        if (!r)
                r = machine_network_make(start->vm, &start->settings, &start->attachment, &start->namespace, err);
        if (!r && start->attachment)
                r = json_replace(start->run_folder, "network.json", start->attachment, false, err);
        if (!r)
                r = machine_cgroup_make(start->vm, &start->settings, start->run_folder, &start->cgroup, err);
        return r < 0 ? r : list_arguments(start, err);
}

static int start_locked(struct vm *vm, const char *restore, char **warning, struct error *err)
{
        struct start start = { .vm = vm, .restore = restore, .run_folder = -1, .namespace = -1 };
        int r = prepare(&start, warning, err);
        if (!r)
                r = launch(&start, err);
        release(&start);
        if (r < 0) {
                _cleanup_close_ int folder = vm_run_folder_open(vm->host, vm->id);
                if (folder >= 0)
                        unlinkat(folder, "run.json", 0);
                /* As for a killed starter; that it was not run at all is kept with the reason. */
                vm_finish(vm, NULL);
                json_object_set_new(vm->state, "error", json_string(err->text));
                vm_save_state(vm, false, NULL);
        }
        return r;
}

int vm_start(struct vm *vm, const char *restore, char **warning, struct error *err)
{
        *warning = NULL;
        _cleanup_close_ int lock = vm_lock(vm, err);
        int r = lock < 0 ? lock : vm_look(vm, err);
        if (r > 0)
                r = vm_finish(vm, err);
        if (!r && vm->run && restore)
                r = error_set(err, -EBUSY, "it runs; stop it first");
        if (r < 0 || vm->run)
                return r < 0 ? error_prefix(err, "cannot start the virtual machine %s", vm->name) : 0;
        r = start_locked(vm, restore, warning, err);
        if (r < 0)
                return error_prefix(err, "cannot start the virtual machine %s", vm->name);
        return vm_look(vm, err) < 0 ? err->code : 0;
}

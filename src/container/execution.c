/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/execution.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"
#include "container/channel.h"
#include "container/console.h"
#include "container/security_label.h"

bool execution_may_set_groups(const char *pid)
{
        char path[64], answer[8] = "";
        snprintf(path, sizeof(path), "/proc/%s/setgroups", pid);
        _cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
        ssize_t n = fd < 0 ? 0 : read(fd, answer, sizeof(answer) - 1);
        return n < 4 || strncmp(answer, "deny", 4);
}

int execution_open_proc(struct execution *execution, struct error *err)
{
        const struct program *program = execution->program;
        execution->proc = -1;
        if ((!program->apparmor_profile || !*program->apparmor_profile) &&
            (!program->selinux_label || !*program->selinux_label))
                return 0;
        execution->proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);
        return execution->proc < 0 ? error_errno(err, "cannot open /proc") : 0;
}

static int take_keyring(const struct execution *execution, struct error *err)
{
        if (!execution->keyring)
                return 0;
        bool labelled = execution->proc >= 0 && execution->program->selinux_label;
        int r = labelled ? security_label_keys(execution->proc, execution->program->selinux_label, err) : 0;
        if (r < 0)
                return r;
        char name[300];
        snprintf(name, sizeof(name), "_ses.%s", execution->id);
        if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name) < 0 && errno != ENOSYS)
                return error_errno(err, "cannot make a session keyring (option --no-new-keyring does without)");
        return labelled ? security_label_keys(execution->proc, NULL, err) : 0;
}

static int label(const struct execution *execution, struct error *err)
{
        int r = security_label_apparmor(execution->proc, execution->program->apparmor_profile, err);
        return r < 0 ? r : security_label_selinux(execution->proc, execution->program->selinux_label, err);
}

/*
 * Standard input and output made for the runtime's caller would else be closed to the program's user by name
 * (/dev/stdout).
 */
static void own_standard_descriptors(uid_t uid)
{
        for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++) {
                struct stat st;
                if (fstat(fd, &st) < 0 || st.st_uid == uid || (S_ISCHR(st.st_mode) && st.st_rdev == makedev(1, 3)) ||
                    S_ISREG(st.st_mode))
                        continue;
                /*
                 * A pipe of another user namespace, a read-only file system: the program may still use the
                 * descriptor.
                 */
                if (fchown(fd, uid, (gid_t)-1) < 0)
                        continue;
        }
}

/* Engines and users count on HOME: from the image's own /etc/passwd, else "/". */
static int set_home(struct program *program, struct error *err)
{
        if (environment_get(program->env, "HOME"))
                return 0;
        char home[PATH_MAX] = "/";
        _cleanup_free_ char *users = NULL;
        /* An image may have a FIFO of that name, for which nobody waits. */
        _cleanup_close_ int fd = open("/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
        if (fd >= 0 && !file_read_fd(fd, "/etc/passwd", 1 << 20, &users, NULL, NULL)) {
                char *rest = NULL;
                for (char *line = strtok_r(users, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
                        char *fields[7] = { 0 };
                        int count = 0;
                        while (count < 7 && (fields[count] = strsep(&line, ":")))
                                count++;
                        uint64_t uid;
                        if (count < 6 || parse_u64(fields[2], &uid) < 0 || uid != program->uid)
                                continue;
                        if (fields[5][0] == '/' && strlen(fields[5]) < sizeof(home))
                                memcpy(home, fields[5], strlen(fields[5]) + 1);
                        break;
                }
        }
        return environment_set(&program->env, "HOME", home) < 0 ? error_memory(err) : 0;
}

/* Goes to the program's folder, and makes sure that it is one of the container's: CVE-2024-21626. */
static int enter_folder(const struct program *program, struct error *err)
{
        if (chdir(program->cwd) < 0)
                return error_errno(err, "cannot change to process.cwd %s", program->cwd);
        /* The system call itself: glibc hides the "(unreachable)" of a folder outside the root. */
        char where[PATH_MAX];
        long n = syscall(SYS_getcwd, where, sizeof(where));
        if (n < 2 || where[0] != '/')
                return error_set(err, -EPERM, "process.cwd %s leads out of the container", program->cwd);
        return 0;
}

static int examine(const char *path)
{
        struct stat st;
        if (stat(path, &st) < 0)
                return -errno;
        if (S_ISDIR(st.st_mode))
                return -EISDIR;
        return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0 ? -errno : 0;
}

/*
 * Why a program cannot be executed, as runc says it: docker tells 126 and 127 apart by "no such file or directory",
 * "permission denied" and "is a directory" in just these letters.
 */
static int refuse_program(const char *name, const char *path, int code, struct error *err)
{
        char reason[128];
        snprintf(reason, sizeof(reason), "%s", strerror(-code));
        reason[0] = (char)tolower((unsigned char)reason[0]);
        return error_set(err, code, "exec: \"%s\": %s: %s", name, path, reason);
}

/* As execvp(3) would find it, but with the program's own PATH. */
static int find_program(struct execution *execution, struct error *err)
{
        const char *name = execution->program->args[0];
        if (strchr(name, '/')) {
                int r = examine(name);
                if (r < 0)
                        return refuse_program(name, name, r, err);
                execution->path = strdup(name);
                return execution->path ? 0 : error_memory(err);
        }
        const char *search = environment_get(execution->program->env, "PATH");
        int failure = -ENOENT;
        for (const char *part = search ? search : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
             part;) {
                const char *end = strchr(part, ':');
                int length = end ? (int)(end - part) : (int)strlen(part);
                _cleanup_free_ char *path = text_format("%.*s/%s", length ? length : 1, length ? part : ".", name);
                if (!path)
                        return error_memory(err);
                int r = examine(path);
                if (!r) {
                        execution->path = TAKE_PTR(path);
                        return 0;
                }
                if (r == -EACCES)
                        failure = r;
                part = end ? end + 1 : NULL;
        }
        if (failure == -EACCES)
                return error_set(err, failure, "exec: \"%s\": permission denied", name);
        return error_set(err, failure, "exec: \"%s\": executable file not found in $PATH", name);
}

static int load_filter(struct execution *execution, struct error *err)
{
        if (!execution->seccomp)
                return 0;
        int notify = seccomp_apply(execution->seccomp, err);
        if (notify <= 0)
                return notify;
        /* The runtime passes it on: what the filter allows from here on is not ours to say. */
        int r = channel_send(execution->channel, MESSAGE_NOTIFY, 0, NULL, notify);
        close(notify);
        if (r < 0)
                return error_code(err, r, "cannot hand over seccomp's listener");
        return channel_wait(execution->channel, err);
}

static int become_user(const struct execution *execution, struct error *err)
{
        const struct program *program = execution->program;
        if (!execution->set_groups && program->group_count)
                return error_set(err, -EPERM,
                                 "process.user.additionalGids cannot be set: setgroups(2) is denied in this "
                                 "user namespace");
        return capabilities_apply(&program->capabilities, program->uid, program->gid, program->groups,
                                  program->group_count, execution->set_groups, err);
}

/* Close-on-exec is too late: the program's own path is resolved before (CVE-2024-21626). */
static int close_others(const struct execution *execution, struct error *err)
{
        const int kept[] = { execution->proc,   execution->terminal, execution->channel,
                             execution->report, execution->gate,     execution->result };
        int r = descriptors_close_except(3 + execution->preserve, kept, ARRAY_SIZE(kept));
        return r < 0 ? error_code(err, r, "cannot close descriptors") : 0;
}

int execution_prepare(struct execution *execution, struct error *err)
{
        struct program *program = execution->program;
        int r = close_others(execution, err);
        if (r < 0)
                return r;
        if (setsid() < 0 && errno != EPERM)
                return error_errno(err, "cannot start a session");
        if (execution->terminal >= 0)
                r = console_take(execution->terminal, err);
        else
                own_standard_descriptors(program->uid);
        if (!r)
                r = take_keyring(execution, err);
        if (!r && execution->memory)
                r = scheduling_apply_memory_policy(execution->memory, err);
        if (!r && execution->has_personality && personality(execution->personality) < 0)
                r = error_errno(err, "cannot set linux.personality");
        if (!r)
                r = label(execution, err);
        cleanup_close(&execution->proc);
        execution->proc = -1;
        if (!r)
                r = set_home(program, err);
        if (!r)
                r = program_apply_limits(program, err);
        if (r < 0)
                return r;
        umask(program->has_umask ? program->umask : 0022);

        /* As root first: the folder may be closed to the user who is to start in it. */
        bool entered = !enter_folder(program, NULL);
        if (!program->no_new_privileges)
                r = load_filter(execution, err);
        else if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
                r = error_errno(err, "cannot set no_new_privs");
        if (!r)
                r = become_user(execution, err);
        if (!r && !entered)
                r = enter_folder(program, err);
        if (!r)
                r = find_program(execution, err);
        /* Somebody must still be there to pass the listener on. */
        if (!r && program->no_new_privileges && execution->seccomp && seccomp_has_notify(execution->seccomp)) {
                r = load_filter(execution, err);
                execution->seccomp = NULL;
        }
        return r;
}

/*
 * The runtime has no handlers, but may have been started with signals ignored. The C library keeps two of the real-time
 * signals to itself (nptl(7)), so the call is made without it; the kernel's struct of zeros is SIG_DFL.
 */
static void default_signals(void)
{
        static const unsigned long action[4];
        for (int signal = 1; signal < _NSIG; signal++)
                syscall(SYS_rt_sigaction, signal, action, NULL, _NSIG / 8);
}

int execution_finish(struct execution *execution, struct error *err)
{
        const struct program *program = execution->program;
        default_signals();
        sigset_t none;
        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);

        /* All of ours are close-on-exec already; this is for one that should slip in. */
        int r = descriptors_seal_from(3 + execution->preserve);
        if (r < 0 && r != -ENOSYS)
                return error_code(err, r, "cannot seal descriptors");
        if (program->no_new_privileges) {
                r = load_filter(execution, err);
                if (r < 0)
                        return r;
        }
        execve(execution->path, program->args, program->env);
        return refuse_program(program->args[0], execution->path, -errno, err);
}

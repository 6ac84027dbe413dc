/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/pasta.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/test_point.h"
#include "network/link.h"
#include "network/pin.h"

/* What the instance sees; pasta translates it to connections of the user's own. */
#define INTERFACE "pasta0"
#define ADDRESS   "10.0.2.100"
#define PREFIX    "24"
#define GATEWAY   "10.0.2.2"
#define HARDWARE  "0a:6f:6e:67:67:69" /* of the gateway, where the host has no card to take it from */

static char *pid_file(struct networks *networks, const char *instance)
{
        return text_format("%s/networks/%s.pasta", networks->state, instance);
}

static char *pin_path(struct networks *networks, const char *instance)
{
        return text_format("%s/netns/%s", networks->state, instance);
}

/* "127.0.0.1/8080-8082:80-82" */
static int port_arguments(const struct lease *lease, bool udp, char ***arguments)
{
        int r = 0;
        bool any = false;
        for (size_t i = 0; !r && i < lease->port_count; i++) {
                const struct published_port *port = &lease->ports[i];
                if (port->udp != udp)
                        continue;
                any = true;
                r = list_append(arguments, udp ? "-u" : "-t");
                if (!r)
                        r = list_printf(arguments, "%s%s%u-%u:%u-%u", port->host_address,
                                        port->host_address[0] ? "/" : "", port->host, port->host + port->count - 1,
                                        port->container, port->container + port->count - 1);
        }
        if (!r && !any && !(r = list_append(arguments, udp ? "-u" : "-t")))
                r = list_append(arguments, "none");
        return r;
}

static int arguments_make(const struct lease *lease, const char *pin, const char *pid, bool offline, char ***arguments,
                          struct error *err)
{
        /* Left to itself pasta forwards every port that anything binds, in both directions. */
        const char *const fixed[] = {
                "pasta", "--quiet", "--config-net", "--netns-only", "--no-map-gw", "-T",    "none",
                "-U",    "none",    "-I",           INTERFACE,      "-a",          ADDRESS, "-n",
                PREFIX,  "-g",      GATEWAY,        "--netns",      pin,           "--pid", pid
        };
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                if (list_append(arguments, fixed[i]) < 0)
                        return error_memory(err);
        static const char *const loopback[] = { "-4", "-i", "lo", "-M", HARDWARE };
        for (size_t i = 0; offline && i < ARRAY_SIZE(loopback); i++)
                if (list_append(arguments, loopback[i]) < 0)
                        return error_memory(err);
        if (port_arguments(lease, false, arguments) < 0 || port_arguments(lease, true, arguments) < 0)
                return error_memory(err);
        return 0;
}

/* The first line about the matter: without a system log there are lines about that, too. */
static const char *reason_of(char *said)
{
        char *rest = said, *line;
        while ((line = strsep(&rest, "\n")))
                if (*line && !text_ends(line, "to syslog"))
                        return line;
        return "it gave no reason";
}

/* pasta goes to the background once it is ready, or says why it is not. */
static int run(char **arguments, struct error *err)
{
        _cleanup_close_ int talk = memfd_create("pasta", MFD_CLOEXEC), null = open("/dev/null", O_RDWR | O_CLOEXEC);
        _cleanup_free_ char *said = NULL;
        pid_t pid;
        int code;
        if (talk < 0 || null < 0)
                return error_errno(err, "starting pasta");
        int r = process_spawn(arguments, (const int[3]){ null, null, talk }, &pid, err);
        if (r == -ENOENT)
                return error_set(err, r, "an ordinary user's network needs pasta; install the package passt");
        if (!r)
                r = process_wait(pid, &code);
        if (r < 0)
                return error_code(err, r, "running pasta");
        if (!code)
                return 0;
        if (lseek(talk, 0, SEEK_SET) < 0 || file_read_fd(talk, "pasta's message", 65536, &said, NULL, NULL) < 0)
                return error_set(err, -EIO, "pasta failed with code %d", code);
        r = strstr(said, "in use") ? -EADDRINUSE : strstr(said, "External interface not usable") ? -ENETDOWN : -EIO;
        return error_set(err, r, "pasta failed with code %d: %s", code, reason_of(said));
}

/* A host that leads nowhere has no interface whose addresses pasta could use: loopback still serves published ports. */
static int run_for(const struct lease *lease, const char *pin, const char *pid, struct error *err)
{
        int r = -ENETDOWN;
        for (int offline = 0; r == -ENETDOWN && offline < 2; offline++) {
                _cleanup_list_ char **arguments = NULL;
                r = arguments_make(lease, pin, pid, offline, &arguments, err);
                if (!r)
                        r = run(arguments, err);
        }
        return r;
}

/*
 * pasta sends to the instance's hardware address once it has seen a packet from there, and what comes for a published
 * port before that is lost. So the instance asks for the gateway's address at once.
 */
static int introduce(struct networks *networks, const char *instance, struct error *err)
{
        _cleanup_netlink_ struct netlink *inside = NULL;
        struct address gateway;
        struct link link;
        _cleanup_close_ int namespace = pin_open(networks, instance, err);
        int r = namespace < 0 ? namespace : pin_route(namespace, &inside, err);
        if (!r)
                r = link_find(inside, INTERFACE, &link, err);
        if (r < 0)
                return r == -ENODEV ? error_set(err, r, "pasta has made no interface " INTERFACE) : r;
        address_parse(GATEWAY, &gateway);
        neighbour_probe_queue(inside, link.index, &gateway);
        return netlink_commit(inside, NULL, NULL, "asking for pasta's hardware address", err);
}

int pasta_start(struct networks *networks, const struct lease *lease, struct error *err)
{
        _cleanup_free_ char *pid = pid_file(networks, lease->instance), *pin = pin_path(networks, lease->instance);
        if (!pid || !pin)
                return error_memory(err);
        if (!access(pid, F_OK)) {
                if (!lease->port_count)
                        return 0;
                return error_set(err, -EBUSY, "ports are published with an instance's first network, not later");
        }
        int r = run_for(lease, pin, pid, err);
        if (!r) {
                r = introduce(networks, lease->instance, err);
                if (r < 0)
                        pasta_end(networks, lease->instance, NULL);
        }
        test_point("network.pasta.started");
        return r;
}

/* Whether the process is the pasta of this namespace: numbers are used again. */
static bool serves(pid_t pid, const char *pin)
{
        _cleanup_free_ char *path = text_format("/proc/%d/cmdline", (int)pid), *line = NULL;
        size_t length;
        if (!path || file_read(AT_FDCWD, path, 65536, &line, &length, NULL) < 0)
                return false;
        for (size_t at = 0; at < length; at += strlen(line + at) + 1)
                if (!strcmp(line + at, pin))
                        return true;
        return false;
}

/* Its ports are free once it is gone, which is a matter of milliseconds. */
static void end_process(int process)
{
        struct pollfd gone = { .fd = process, .events = POLLIN };
        process_signal(process, SIGTERM);
        if (poll(&gone, 1, 1000) > 0)
                return;
        process_signal(process, SIGKILL);
        poll(&gone, 1, 1000);
}

int pasta_end(struct networks *networks, const char *instance, struct error *err)
{
        _cleanup_free_ char *file = pid_file(networks, instance), *pin = pin_path(networks, instance), *text = NULL;
        int64_t pid = 0;
        if (!networks->rootless)
                return 0;
        if (!file || !pin)
                return error_memory(err);
        if (file_read(AT_FDCWD, file, 32, &text, NULL, NULL) < 0)
                return 0;
        text[strcspn(text, "\n")] = '\0';
        if (!parse_i64(text, &pid) && pid > 1 && pid <= INT32_MAX) {
                _cleanup_close_ int process = process_open((pid_t)pid, 0);
                if (process >= 0 && serves((pid_t)pid, pin))
                        end_process(process);
        }
        test_point("network.pasta.ended");
        if (unlink(file) < 0 && errno != ENOENT)
                return error_errno(err, "removing %s", file);
        return 0;
}

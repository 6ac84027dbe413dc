/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/pasta.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "base/json.h"
#include "base/process.h"
#include "base/test_point.h"
#include "network/definition.h"
#include "network/describe.h"
#include "network/hosts.h"
#include "network/pin.h"

/* What the instance sees; pasta translates it to connections of the user's own. */
#define INTERFACE "eth0"
#define ADDRESS "10.0.2.100"
#define PREFIX "24"
#define GATEWAY "10.0.2.2"

static char *pid_file(struct networks *networks, const char *instance)
{
        return text_format("%s/networks/%s.pasta", networks->state, instance);
}

static char *pin_path(struct networks *networks, const char *instance)
{
        return text_format("%s/netns/%s", networks->state, instance);
}

static const char *no_owner(const struct published_port *port, void *data)
{
        (void)port, (void)data;
        return NULL;
}

/* Others' pastas hold their ports as ordinary sockets, so the trial bind sees them. */
static int claim_ports(const struct network_request *request, struct lease *lease, struct error *err)
{
        lease->ports = calloc(request->port_count + 1, sizeof(*lease->ports));
        if (!lease->ports)
                return error_memory(err);
        for (size_t i = 0; i < request->port_count; i++) {
                struct published_port port = request->ports[i];
                int r = published_port_claim(&port, no_owner, NULL, err);
                if (r < 0)
                        return r;
                lease->ports[lease->port_count++] = port;
        }
        return 0;
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
                        r = list_printf(arguments, "%s%s%u-%u:%u-%u", port->host_address, port->host_address[0] ? "/" : "",
                                        port->host, port->host + port->count - 1, port->container,
                                        port->container + port->count - 1);
        }
        if (!r && !any && !(r = list_append(arguments, udp ? "-u" : "-t")))
                r = list_append(arguments, "none");
        return r;
}

static int arguments_make(const struct lease *lease, const char *pin, const char *pid, char ***arguments,
                          struct error *err)
{
        /* Left to itself pasta forwards every port that anything binds, in both directions. */
        const char *const fixed[] = { "pasta", "--quiet", "--config-net", "--netns-only", "--no-map-gw", "-T", "none", "-U",
                                      "none", "-I", INTERFACE, "-a", ADDRESS, "-n", PREFIX, "-g", GATEWAY, "--netns", pin,
                                      "--pid", pid };
        for (size_t i = 0; i < ARRAY_SIZE(fixed); i++)
                if (list_append(arguments, fixed[i]) < 0)
                        return error_memory(err);
        if (port_arguments(lease, false, arguments) < 0 || port_arguments(lease, true, arguments) < 0)
                return error_memory(err);
        return 0;
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
        said[strcspn(said, "\n")] = '\0';
        return error_set(err, strstr(said, "in use") ? -EADDRINUSE : -EIO, "pasta failed with code %d: %s", code, said);
}

static int write_hosts(const struct network_request *request, const struct lease *lease, struct error *err)
{
        struct address gateway;
        address_parse(GATEWAY, &gateway);
        return request->hosts_file ? hosts_write_alone(request->hosts_file, lease, &gateway, err) : 0;
}

static json_t *describe(const struct network_request *request, const struct lease *lease)
{
        struct network network = { 0 };
        snprintf(network.name, sizeof(network.name), "%s", request->network);
        address_parse(GATEWAY, &network.gateway);
        network.subnet.prefix = (unsigned)atoi(PREFIX);
        return describe_lease(&network, lease, INTERFACE);
}

static int attach(struct networks *networks, const struct network_request *request, struct lease *lease,
                  struct error *err)
{
        _cleanup_free_ char *pid = pid_file(networks, request->instance), *pin = pin_path(networks, request->instance);
        _cleanup_list_ char **arguments = NULL;
        if (!pid || !pin)
                return error_memory(err);
        if (!access(pid, F_OK))
                return error_set(err, -EEXIST, "the instance %s has its network already", request->instance);
        int r = claim_ports(request, lease, err);
        if (!r)
                r = arguments_make(lease, pin, pid, &arguments, err);
        if (!r)
                r = write_hosts(request, lease, err);
        return r < 0 ? r : run(arguments, err);
}

int pasta_attach(struct networks *networks, const struct network_request *request, json_t **attachment,
                 struct error *err)
{
        struct lease lease = { .instance = request->instance, .hosts_file = request->hosts_file };
        if (strcmp(request->network, DEFAULT_NETWORK))
                return error_set(err, -ENOTSUP, "an ordinary user's instances have only the network " DEFAULT_NETWORK
                                 "; networks of their own need root");
        _cleanup_close_ int namespace = pin_open(networks, request->instance, err);
        if (namespace < 0)
                return namespace;
        struct error reason = { 0 };
        _cleanup_free_ char *names = names_join(request->names, &reason);
        if (!names)
                return error_set(err, reason.code, "%s", reason.text);
        _cleanup_free_ char *extra = NULL;
        int r = extra_hosts_join(request->extra_hosts, &extra, err);
        lease.names = names;
        lease.extra_hosts = extra;
        address_parse(ADDRESS, &lease.address);
        address_mac(&lease.address, lease.mac);
        if (!r)
                r = attach(networks, request, &lease, err);
        test_point("network.pasta.started");
        if (!r) {
                *attachment = describe(request, &lease);
                r = *attachment ? 0 : error_memory(err);
        }
        free(lease.ports);
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

int pasta_release(struct networks *networks, const char *instance, struct error *err)
{
        _cleanup_free_ char *file = pid_file(networks, instance), *pin = pin_path(networks, instance), *text = NULL;
        int64_t pid = 0;
        if (!file || !pin)
                return error_memory(err);
        if (file_read(AT_FDCWD, file, 32, &text, NULL, NULL) < 0)
                return 0;
        text[strcspn(text, "\n")] = '\0';
        if (!parse_i64(text, &pid) && pid > 1 && pid <= INT32_MAX) {
                _cleanup_close_ int process = process_open((pid_t)pid, 0);
                if (process >= 0 && serves((pid_t)pid, pin))
                        process_signal(process, SIGTERM);
        }
        test_point("network.pasta.ended");
        if (unlink(file) < 0 && errno != ENOENT)
                return error_errno(err, "removing %s", file);
        return 0;
}

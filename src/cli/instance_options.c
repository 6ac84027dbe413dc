/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "cli/instance_options.h"

#include <stddef.h>

#include "instance/settings.h"

#define AT(field) offsetof(struct instance_settings, field)

const struct option_spec program_option_table[] = {
        { "name", 0, OPTION_STRING, AT(name), "NAME", "its name; chosen if not given" },
        { "interactive", 'i', OPTION_FLAG, AT(interactive), NULL, "keep its standard input open" },
        { "tty", 't', OPTION_FLAG, AT(tty), NULL, "give it a terminal" },
        { "rm", 0, OPTION_FLAG, AT(remove), NULL, "remove it, with its anonymous volumes, when it exits" },
        { "env", 'e', OPTION_LIST, AT(environment), "NAME[=VALUE]",
          "set a variable; without a value copy the caller's" },
        { "env-file", 0, OPTION_LIST, AT(environment_files), "FILE", "set the variables in a file, one a line" },
        { "workdir", 'w', OPTION_STRING, AT(workdir), "FOLDER", "folder in which the program starts" },
        { "user", 'u', OPTION_STRING, AT(user), "USER[:GROUP]", "who runs it, by name or number" },
        { "group-add", 0, OPTION_LIST, AT(groups), "GROUP", "one more group of that user" },
        { "isolation", 0, OPTION_STRING, AT(isolation), "VESSEL",
          "container, or vm: a virtual machine with a kernel of its own" },
        { "kernel", 0, OPTION_STRING, AT(kernel), "FILE|VERSION",
          "the virtual machine's kernel; the newest of `onggi kernel` if not given" },
        { "engine", 0, OPTION_STRING, AT(engine), "ENGINE",
          "what runs a virtual machine's instructions: auto, kvm, soft" },
        { "init", 0, OPTION_FLAG, AT(init), NULL, "put a small process in front that reaps and forwards signals" },
        { "stop-signal", 0, OPTION_STRING, AT(stop_signal), "SIGNAL", "what `stop` sends first" },
        { "stop-timeout", 0, OPTION_NUMBER, AT(stop_timeout), "SECONDS", "when `stop` kills" },
        { "hostname", 'h', OPTION_STRING, AT(hostname), "NAME", "its host name" },
        { "domainname", 0, OPTION_STRING, AT(domainname), "NAME", "its NIS domain name" },
        { "label", 'l', OPTION_LIST, AT(labels), "KEY[=VALUE]", "attach a label" },
        { "label-file", 0, OPTION_LIST, AT(label_files), "FILE", "attach the labels in a file, one a line" },
        { "cidfile", 0, OPTION_STRING, AT(id_file), "FILE", "write its id to a new file" },
        { 0 },
};

const struct option_spec file_option_table[] = {
        { "volume", 'v', OPTION_LIST, AT(volumes), "[SOURCE:]TARGET[:OPTIONS]",
          "mount a volume or a folder of the host" },
        { "mount", 0, OPTION_LIST, AT(mounts), "type=TYPE,…", "mount: type=bind|volume|tmpfs,source=…,target=…" },
        { "tmpfs", 0, OPTION_LIST, AT(tmpfs), "TARGET[:OPTIONS]", "mount a file system in memory" },
        { "volumes-from", 0, OPTION_LIST, AT(volumes_from), "INSTANCE[:ro]",
          "mount what another instance has mounted" },
        { "read-only", 0, OPTION_FLAG, AT(read_only), NULL, "make its root file system read-only" },
        { "shm-size", 0, OPTION_SIZE, AT(shm_size), "SIZE", "size of /dev/shm (64m)" },
        { "device", 0, OPTION_LIST, AT(devices), "HOST[:INSIDE[:rwm]]", "give it a device of the host" },
        { "device-cgroup-rule", 0, OPTION_LIST, AT(device_rules), "RULE", "allow devices, for example \"c 42:* rmw\"" },
        { 0 },
};

const struct option_spec limit_option_table[] = {
        { "memory", 'm', OPTION_SIZE, AT(memory), "SIZE", "most memory" },
        { "memory-reservation", 0, OPTION_SIZE, AT(memory_reservation), "SIZE",
          "memory that it keeps when memory is short" },
        { "memory-swap", 0, OPTION_SIZE, AT(memory_swap), "SIZE", "most memory and swap together; -1: any swap" },
        { "cpus", 0, OPTION_STRING, AT(cpus), "N", "most processors at once, for example 1.5" },
        { "cpu-shares", 'c', OPTION_NUMBER, AT(cpu_shares), "N", "weight where processors are short (1024)" },
        { "cpu-period", 0, OPTION_NUMBER, AT(cpu_period), "MICROSECONDS", "period of --cpu-quota" },
        { "cpu-quota", 0, OPTION_NUMBER, AT(cpu_quota), "MICROSECONDS", "most processor time in a period" },
        { "cpuset-cpus", 0, OPTION_STRING, AT(cpuset_cpus), "LIST", "processors it may use, for example 0-2,5" },
        { "cpuset-mems", 0, OPTION_STRING, AT(cpuset_mems), "LIST", "memory nodes it may use" },
        { "pids-limit", 0, OPTION_NUMBER, AT(pids_limit), "N", "most processes; -1: any" },
        { "blkio-weight", 0, OPTION_NUMBER, AT(blkio_weight), "N", "weight of its disk access, 10 to 1000" },
        { "restart", 0, OPTION_STRING, AT(restart), "POLICY", "no, always, unless-stopped or on-failure[:TIMES]" },
        { 0 },
};

const struct option_spec fixed_limit_option_table[] = {
        { "memory-swappiness", 0, OPTION_NUMBER, AT(memory_swappiness), "N",
          "how readily it is swapped out, 0 to 100" },
        { "oom-kill-disable", 0, OPTION_FLAG, AT(oom_kill_disable), NULL,
          "let it wait instead of killing it when memory is out" },
        { "oom-score-adj", 0, OPTION_NUMBER, AT(oom_score_adj), "N", "how readily the host kills it, -1000 to 1000" },
        { "blkio-weight-device", 0, OPTION_LIST, AT(blkio_weight_device), "DEVICE:N",
          "weight of its access to a disk" },
        { "device-read-bps", 0, OPTION_LIST, AT(device_read_bps), "DEVICE:SIZE",
          "most bytes read from a disk in a second" },
        { "device-write-bps", 0, OPTION_LIST, AT(device_write_bps), "DEVICE:SIZE", "most bytes written in a second" },
        { "device-read-iops", 0, OPTION_LIST, AT(device_read_iops), "DEVICE:N", "most reads from a disk in a second" },
        { "device-write-iops", 0, OPTION_LIST, AT(device_write_iops), "DEVICE:N", "most writes in a second" },
        { "ulimit", 0, OPTION_LIST, AT(ulimits), "NAME=SOFT[:HARD]",
          "a limit of each process, for example nofile=1024" },
        { "cgroup-parent", 0, OPTION_STRING, AT(cgroup_parent), "PATH", "control group to live in" },
        { 0 },
};

const struct option_spec right_option_table[] = {
        { "privileged", 0, OPTION_FLAG, AT(privileged), NULL, "all capabilities and devices, nothing masked" },
        { "cap-add", 0, OPTION_LIST, AT(cap_add), "CAPABILITY", "one capability more (ALL: all)" },
        { "cap-drop", 0, OPTION_LIST, AT(cap_drop), "CAPABILITY", "one capability less (ALL: all)" },
        { "security-opt", 0, OPTION_LIST, AT(security_options), "OPTION",
          "no-new-privileges, seccomp=FILE|unconfined, apparmor=…, label=…, systempaths=unconfined" },
        { "sysctl", 0, OPTION_LIST, AT(sysctls), "NAME=VALUE", "a kernel setting of its namespaces" },
        { "userns", 0, OPTION_STRING, AT(userns), "MODE", "user ids: host, auto, or UID:HOST:COUNT[,…]" },
        { "pid", 0, OPTION_STRING, AT(pid_mode), "MODE", "processes it sees: host or container:NAME" },
        { "ipc", 0, OPTION_STRING, AT(ipc_mode), "MODE",
          "shared memory: private, shareable, host, none, container:NAME" },
        { "uts", 0, OPTION_STRING, AT(uts_mode), "MODE", "host name: host" },
        { "cgroupns", 0, OPTION_STRING, AT(cgroupns), "MODE", "control groups it sees: private or host" },
        { 0 },
};

const struct option_spec network_option_table[] = {
        { "network", 0, OPTION_LIST, AT(networks), "NETWORK", "none, host, container:NAME or a network's name" },
        { "net", 0, OPTION_LIST, AT(networks), "NETWORK", NULL },
        { "network-alias", 0, OPTION_LIST, AT(network_aliases), "NAME", "one more name on its network" },
        { "net-alias", 0, OPTION_LIST, AT(network_aliases), "NAME", NULL },
        { "ip", 0, OPTION_STRING, AT(address), "ADDRESS", "its IPv4 address" },
        { "ip6", 0, OPTION_STRING, AT(address6), "ADDRESS", "its IPv6 address" },
        { "mac-address", 0, OPTION_STRING, AT(mac), "ADDRESS", "its Ethernet address" },
        { "publish", 'p', OPTION_LIST, AT(ports), "[[ADDRESS:]PORT:]PORT[/udp]",
          "open one of its ports, or a range, on the host" },
        { "publish-all", 'P', OPTION_FLAG, AT(publish_all), NULL, "open each exposed port on a free port of the host" },
        { "expose", 0, OPTION_LIST, AT(expose), "PORT[/udp]", "a port for --publish-all" },
        { "dns", 0, OPTION_LIST, AT(dns), "ADDRESS", "name server it asks" },
        { "dns-option", 0, OPTION_LIST, AT(dns_options), "OPTION", "option of its resolv.conf" },
        { "dns-opt", 0, OPTION_LIST, AT(dns_options), "OPTION", NULL },
        { "dns-search", 0, OPTION_LIST, AT(dns_search), "DOMAIN", "domain in which it searches short names" },
        { "add-host", 0, OPTION_LIST, AT(extra_hosts), "NAME:ADDRESS",
          "one more line in its /etc/hosts; host-gateway: this host" },
        { 0 },
};

const struct option_spec care_option_table[] = {
        { "log-driver", 0, OPTION_STRING, AT(log_driver), "DRIVER", "json-file, local, none" },
        { "log-opt", 0, OPTION_LIST, AT(log_options), "NAME=VALUE", "max-size=SIZE, max-file=N" },
        { "health-cmd", 0, OPTION_STRING, AT(health_command), "COMMAND", "how to see, inside, whether it is well" },
        { "health-interval", 0, OPTION_TIME, AT(health_interval), "TIME", "time between checks (30s)" },
        { "health-timeout", 0, OPTION_TIME, AT(health_timeout), "TIME", "a check that takes longer has failed (30s)" },
        { "health-retries", 0, OPTION_NUMBER, AT(health_retries), "N", "failures in a row that make it unhealthy (3)" },
        { "health-start-period", 0, OPTION_TIME, AT(health_start_period), "TIME",
          "time in which failures do not count (0s)" },
        { "health-start-interval", 0, OPTION_TIME, AT(health_start_interval), "TIME", "time between checks then (5s)" },
        { "no-healthcheck", 0, OPTION_FLAG, AT(no_healthcheck), NULL, "do not check, whatever the image says" },
        { 0 },
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/netfilter.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/probe.h"
#include "network/link.h"
#include "network/network.h"
#include "network/ruleset.h"

static const uint8_t test_mac[6] = { 0x02, 0x42, 0, 0, 0, 1 };

static int private_network(struct error *err)
{
        int r = probe_become_root(err);
        if (!r && unshare(CLONE_NEWNET) < 0)
                r = error_errno(err, "cannot make a network namespace");
        return r;
}

static int open_private(int bus, struct netlink **netlink, struct error *err)
{
        int r = private_network(err);
        return r < 0 ? r : netlink_open(bus, netlink, err);
}

static int bridge(struct error *err)
{
        _cleanup_netlink_ struct netlink *netlink = NULL;
        int r = open_private(NETLINK_ROUTE, &netlink, err);
        if (r < 0)
                return r;
        link_bridge_queue(netlink, "onggi-test", test_mac, 0);
        return netlink_commit(netlink, NULL, NULL, "cannot make a bridge", err);
}

static int veth(struct error *err)
{
        _cleanup_netlink_ struct netlink *netlink = NULL;
        struct link master;
        int r = open_private(NETLINK_ROUTE, &netlink, err);
        if (r < 0)
                return r;
        link_bridge_queue(netlink, "onggi-test", test_mac, 0);
        r = netlink_commit(netlink, NULL, NULL, "cannot make a bridge", err);
        if (!r)
                r = link_find(netlink, "onggi-test", &master, err);
        _cleanup_close_ int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
        if (r < 0)
                return r;
        const struct veth pair = {
                .name = "onggi-a",
                .master = master.index,
                .peer = "onggi-b",
                .peer_mac = test_mac,
                .peer_namespace = own,
        };
        link_veth_queue(netlink, &pair);
        return netlink_commit(netlink, NULL, NULL, "cannot make a veth pair", err);
}

static int nftables(struct error *err)
{
        static const struct chain_spec chain = { "test", "nat", NF_INET_POST_ROUTING, 100 };
        _cleanup_netlink_ struct netlink *netlink = NULL;
        struct ruleset ruleset;
        int r = open_private(NETLINK_NETFILTER, &netlink, err);
        if (r < 0)
                return r;
        ruleset_begin(&ruleset, netlink, "onggi-test");
        ruleset_add_table(&ruleset);
        ruleset_add_chain(&ruleset, &chain);
        struct rule rule = rule_begin(&ruleset, "test", NULL);
        rule_masquerade(&rule);
        rule_end(&rule);
        return ruleset_commit(&ruleset, "cannot make a rule that masquerades", err);
}

static int tap(struct error *err)
{
        int r = private_network(err);
        if (r < 0)
                return r;
        _cleanup_close_ int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
        if (fd < 0)
                return error_errno(err, "cannot open /dev/net/tun");
        struct ifreq request = { .ifr_flags = IFF_TAP | IFF_NO_PI };
        if (ioctl(fd, TUNSETIFF, &request) < 0)
                return error_errno(err, "cannot make a tap interface");
        return 0;
}

static void probe_pasta(struct probe_report *report)
{
        static const struct finding none = {
                .topic = "pasta",
                .state = FINDING_LIMITED,
                .cost = "an ordinary user's containers have no way to outside",
                .cure = "package passt",
        };
        static const struct finding there = { .topic = "pasta" };
        bool found = !access("/usr/bin/pasta", X_OK) || !access("/usr/local/bin/pasta", X_OK);
        probe_add(report, found ? &there : &none, found ? "installed" : "not installed");
}

/* Only root sees the host's own rules. */
static void probe_other_rules(struct probe_report *report)
{
        static const struct finding finding = {
                .topic = "other rules",
                .state = FINDING_LIMITED,
                .cost = "instances may not reach outside, nor be reached",
                .cure = "a rule in that chain that accepts packets from and to the interfaces onggi* and og-*",
        };
        _cleanup_list_ char **hints = NULL;
        if (geteuid() || network_hints(&hints, NULL) < 0)
                return;
        for (char **hint = hints; hint && *hint; hint++)
                probe_add(report, &finding, "%s", *hint);
}

void probe_network(struct probe_report *report)
{
        static const struct {
                struct finding finding;
                int (*probe)(struct error *err);
                const char *found;
        } probes[] = {
                { { "network namespaces", FINDING_MISSING, "containers cannot have a network of their own",
                    "a kernel with CONFIG_NET_NS" },
                  private_network,
                  "work" },
                { { "bridge", FINDING_LIMITED, "no networks: only --network none and host",
                    "modprobe bridge; a kernel with CONFIG_BRIDGE" },
                  bridge,
                  "works" },
                { { "veth", FINDING_LIMITED, "no networks: only --network none and host",
                    "modprobe veth; a kernel with CONFIG_VETH" },
                  veth,
                  "works" },
                { { "nftables", FINDING_LIMITED, "no published ports and no way to outside from networks",
                    "modprobe nf_tables nft_masq nft_nat; a kernel with CONFIG_NF_TABLES_INET and CONFIG_NFT_MASQ" },
                  nftables,
                  "works, with NAT" },
                { { "tun", FINDING_LIMITED, "no network through pasta for ordinary users, none for virtual machines",
                    "modprobe tun" },
                  tap,
                  "works" },
        };
        for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
                struct error err = { 0 };
                probe_add_result(report, &probes[i].finding, probe_in_child(probes[i].probe, &err), probes[i].found,
                                 &err);
        }
        probe_pasta(report);
        probe_other_rules(report);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What else on the host stands in the way of networks: other tables' forward chains that drop what they do not know.
 * Every base chain of a hook is asked, so an "accept" of ours cannot overrule them.
 */
#include <errno.h>
#include <libnftnl/chain.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/text.h"
#include "network/network.h"
#include "network/ruleset.h"

DEFINE_CLEANUP(nftnl_chain, struct nftnl_chain, nftnl_chain_free)

static const char *family_name(uint32_t family)
{
        return family == NFPROTO_INET ? "inet" : family == NFPROTO_IPV6 ? "ip6" : "ip";
}

static int read_chain(const struct nlmsghdr *message, void *data)
{
        char ***hints = data;
        _cleanup_(nftnl_chain) struct nftnl_chain *chain = nftnl_chain_alloc();
        if (!chain)
                return -ENOMEM;
        if ((message->nlmsg_type & 0xff) != NFT_MSG_NEWCHAIN || nftnl_chain_nlmsg_parse(message, chain) < 0)
                return 0;
        uint32_t family = nftnl_chain_get_u32(chain, NFTNL_CHAIN_FAMILY);
        if (family != NFPROTO_INET && family != NFPROTO_IPV4 && family != NFPROTO_IPV6)
                return 0;
        if (!nftnl_chain_is_set(chain, NFTNL_CHAIN_HOOKNUM) ||
            nftnl_chain_get_u32(chain, NFTNL_CHAIN_HOOKNUM) != NF_INET_FORWARD ||
            nftnl_chain_get_u32(chain, NFTNL_CHAIN_POLICY) != NF_DROP)
                return 0;
        return list_printf(hints,
                           "the chain %s of the nftables table %s %s drops forwarded packets that it has no rule for; "
                           "instances reach outside and are reached through published ports only if it accepts packets "
                           "from and to their bridges (onggi0, og-*)",
                           nftnl_chain_get_str(chain, NFTNL_CHAIN_NAME), family_name(family),
                           nftnl_chain_get_str(chain, NFTNL_CHAIN_TABLE));
}

int network_hints(char ***hints, struct error *err)
{
        _cleanup_netlink_ struct netlink *netfilter = NULL;
        _cleanup_list_ char **found = NULL;
        int r = netlink_open(NETLINK_NETFILTER, &netfilter, err);
        if (r < 0)
                return r;
        struct nlmsghdr *message = netlink_request(netfilter, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETCHAIN, NLM_F_DUMP);
        struct nfgenmsg *header = mnl_nlmsg_put_extra_header(message, sizeof(*header));
        header->nfgen_family = AF_UNSPEC;
        header->version = NFNETLINK_V0;
        r = netlink_commit(netfilter, read_chain, &found, "listing the chains of nftables", err);
        if (r == -ENOMEM)
                return error_memory(err);
        if (!r)
                *hints = TAKE_PTR(found);
        return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "network/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

int address_parse(const char *text, struct address *address)
{
        struct address parsed = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
        if (inet_pton(parsed.family, text, parsed.bytes) != 1)
                return -EINVAL;
        *address = parsed;
        return 0;
}

/* Bits of byte `i` that lie within the prefix. */
static uint8_t prefix_mask(unsigned prefix, size_t i)
{
        unsigned before = (unsigned)i * 8;
        if (prefix >= before + 8)
                return 0xff;
        return prefix <= before ? 0 : (uint8_t)(0xff << (8 - (prefix - before)));
}

int subnet_parse(const char *text, struct subnet *subnet)
{
        char copy[ADDRESS_TEXT + 8];
        struct subnet parsed;
        uint64_t prefix;
        if (strlen(text) >= sizeof(copy))
                return -EINVAL;
        TEXT_COPY(copy, text);
        char *slash = strchr(copy, '/');
        if (!slash)
                return -EINVAL;
        *slash = '\0';
        if (address_parse(copy, &parsed.base) < 0 || parse_u64(slash + 1, &prefix) < 0)
                return -EINVAL;
        if (prefix > address_length(&parsed.base) * 8)
                return -EINVAL;
        parsed.prefix = (unsigned)prefix;
        for (size_t i = 0; i < address_length(&parsed.base); i++)
                parsed.base.bytes[i] &= prefix_mask(parsed.prefix, i);
        *subnet = parsed;
        return 0;
}

const char *address_format(const struct address *address, char text[static ADDRESS_TEXT])
{
        if (!address->family || !inet_ntop(address->family, address->bytes, text, ADDRESS_TEXT))
                text[0] = '\0';
        return text;
}

const char *subnet_format(const struct subnet *subnet, char text[static ADDRESS_TEXT + 4])
{
        address_format(&subnet->base, text);
        if (subnet->base.family)
                sprintf(text + strlen(text), "/%u", subnet->prefix & 0xff);
        return text;
}

bool address_equal(const struct address *a, const struct address *b)
{
        return a->family == b->family && memcmp(a->bytes, b->bytes, address_length(a)) == 0;
}

bool subnet_contains(const struct subnet *subnet, const struct address *address)
{
        if (!subnet->base.family || subnet->base.family != address->family)
                return false;
        for (size_t i = 0; i < address_length(address); i++)
                if ((address->bytes[i] ^ subnet->base.bytes[i]) & prefix_mask(subnet->prefix, i))
                        return false;
        return true;
}

bool subnet_overlaps(const struct subnet *a, const struct subnet *b)
{
        return a->prefix <= b->prefix ? subnet_contains(a, &b->base) : subnet_contains(b, &a->base);
}

struct address subnet_host(const struct subnet *subnet, uint64_t n)
{
        struct address host = subnet->base;
        for (size_t i = address_length(&host); i-- > 0 && n;) {
                n += host.bytes[i];
                host.bytes[i] = (uint8_t)n;
                n >>= 8;
        }
        return host;
}

uint64_t subnet_number(const struct subnet *subnet, const struct address *address)
{
        uint64_t number = 0;
        for (size_t i = 0; i < address_length(address); i++)
                number = number << 8 | (uint8_t)(address->bytes[i] & ~prefix_mask(subnet->prefix, i));
        return number;
}

uint64_t subnet_last_host(const struct subnet *subnet)
{
        unsigned bits = (unsigned)address_length(&subnet->base) * 8 - subnet->prefix;
        uint64_t last = (UINT64_C(1) << (bits > 62 ? 62 : bits)) - 1;
        if (subnet->base.family == AF_INET)
                return last ? last - 1 : 0;
        return last;
}

void address_mac(const struct address *address, uint8_t mac[static 6])
{
        size_t length = address_length(address);
        /* 02: locally administered, unicast. */
        mac[0] = 0x02;
        mac[1] = 0x42;
        memcpy(mac + 2, address->bytes + (length ? length - 4 : 0), 4);
}

static int hexadecimal(char digit)
{
        if (digit >= '0' && digit <= '9')
                return digit - '0';
        digit |= 0x20;
        return digit >= 'a' && digit <= 'f' ? digit - 'a' + 10 : -1;
}

int mac_parse(const char *text, uint8_t mac[static 6])
{
        static const uint8_t none[6];
        uint8_t parsed[6];
        for (size_t i = 0; i < 6; i++, text += 3) {
                int high = hexadecimal(text[0]), low = high < 0 ? -1 : hexadecimal(text[1]);
                if (low < 0 || text[2] != (i < 5 ? ':' : '\0'))
                        return -EINVAL;
                parsed[i] = (uint8_t)(high << 4 | low);
        }
        if (parsed[0] & 1 || !memcmp(parsed, none, sizeof(none)))
                return -EINVAL;
        memcpy(mac, parsed, sizeof(parsed));
        return 0;
}

/* By hand, as a thousand leases are written at every change. */
const char *mac_format(const uint8_t mac[static 6], char text[static MAC_TEXT])
{
        static const char digits[] = "0123456789abcdef";
        char *at = text;
        for (size_t i = 0; i < 6; i++) {
                *at++ = digits[mac[i] >> 4];
                *at++ = digits[mac[i] & 15];
                *at++ = i < 5 ? ':' : '\0';
        }
        return text;
}

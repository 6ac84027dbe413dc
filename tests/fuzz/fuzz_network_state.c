/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * State files of networks: leases, definitions, and published ports as users write them. The first byte says which.
 * What is accepted must be written and read again to the same text.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/json.h"
#include "network/hosts.h"
#include "network/lease.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void fuzz_leases(char *text)
{
        struct leases leases, again;
        if (leases_parse(text, "input", &leases, NULL) < 0)
                return;
        char *first = leases_render(&leases);
        free(hosts_block(&leases));
        leases_clear(&leases);
        if (leases_parse(strdup(first), "own output", &again, NULL) < 0)
                abort();
        char *second = leases_render(&again);
        if (strcmp(first, second))
                abort();
        leases_clear(&again);
        free(first);
        free(second);
}

static void fuzz_definition(const char *text)
{
        _cleanup_json_ json_t *document = NULL, *first = NULL, *second = NULL;
        _cleanup_network_ struct network network = { 0 }, again = { 0 };
        if (json_parse(text, strlen(text), "input", &document, NULL) < 0 ||
            network_parse(document, "input", &network, NULL) < 0)
                return;
        first = network_render(&network);
        if (!first || network_parse(first, "own output", &again, NULL) < 0)
                abort();
        second = network_render(&again);
        if (!json_equal(first, second))
                abort();
}

static void fuzz_port(const char *text)
{
        struct published_port port, again;
        _cleanup_text_ struct text written = { 0 };
        if (published_port_parse(text, &port, NULL) < 0 || !port.host || port.choices > 1)
                return;
        published_port_write(&port, &written);
        if (published_port_read(written.data, &again) < 0 || memcmp(&port, &again, sizeof(port)))
                abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        char *text = strndup((const char *)data + 1, size - 1);
        if (!text)
                return 0;
        switch (data[0] % 3) {
        case 0: fuzz_leases(text); return 0;
        case 1: fuzz_definition(text); break;
        default: fuzz_port(text);
        }
        free(text);
        return 0;
}

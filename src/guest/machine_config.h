/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * /onggi/machine.json of a guest's initramfs: what is where on this virtual machine. Written by whoever starts it, read
 * once by onggi-init; beside it, /onggi/config.json is the OCI configuration of the bundle.
 *
 *   {
 *     "version": 1,
 *     "root": { "disk": "image" },          the image: an EROFS on the virtio disk of that serial, or
 *             { "folder": "root" },         a virtiofs of that tag
 *     "writable": { "disk": "writable" },   ext4 on the disk of that serial: upper layer of an overlay on the root;
 *                 { "memory": 67108864 },   a tmpfs of so many bytes instead; absent: the root alone, as it is
 *     "folders": [ { "tag": "v0", "read_only": true } ],   virtiofs, mounted at /run/onggi/folders/<tag>, where the
 *                                                          bind mounts of config.json have their sources
 *     "files": [ { "name": "hosts", "text": "…", "mode": 420 } ],     written to /run/onggi/files/<name>, likewise
 *     "interfaces": [ { "name": "eth0", "mac": "02:…", "mtu": 1500, "addresses": [ "10.88.0.2/16", "fd00::2/64" ] } ],
 *     "routes": [ { "to": "default", "via": "10.88.0.1", "interface": "eth0" } ],
 *                                            `to` may be a network as "10.1.0.0/16"; "default" takes its family from `via`;
 *                                            without `via` the network is on the link
 *     "hostname": "web",
 *     "streams": { "input": 1025, "output": 1026, "errors": 1027 } or { "terminal": 1028 },
 *                                            ports of the host, see agent.h; one that is absent is /dev/null
 *     "control": 1024,                       a port of the host, or absent
 *     "start": true                          false: the main program waits for AGENT_START
 *   }
 *
 * Everything but `version` and `root` may be absent. An interface is found by its MAC and gets `name`; the loopback
 * interface is always up. Members that are not known are refused: they are of a newer onggi.
 *
 * A struct machine_config is made by machine_config_parse() and released by machine_config_free(). Its strings are its own.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cleanup.h"
#include "base/error.h"
#include "network/address.h"

#define MACHINE_CONFIG_FOLDERS "/run/onggi/folders"
#define MACHINE_CONFIG_FILES   "/run/onggi/files"

#define MACHINE_CONFIG_LIST_MAX       64 /* elements of each list */
#define MACHINE_CONFIG_INTERFACES_MAX 16
#define MACHINE_CONFIG_ADDRESSES_MAX  8     /* of an interface */
#define MACHINE_CONFIG_SERIAL_MAX     20    /* letters: virtio 1.2, section 5.2.6, VIRTIO_BLK_T_GET_ID */
#define MACHINE_CONFIG_TAG_MAX        36    /* bytes: virtio 1.2, section 5.11.4 */
#define MACHINE_CONFIG_NAME_MAX       63    /* of a host, a file, an interface (15) */
#define MACHINE_CONFIG_TEXT_MAX       65536 /* of a file */

struct machine_folder {
        char tag[MACHINE_CONFIG_TAG_MAX + 1];
        bool read_only;
};

struct machine_file {
        char name[MACHINE_CONFIG_NAME_MAX + 1];
        char *text;
        unsigned mode;
};

struct machine_interface {
        char name[16];
        uint8_t mac[6];
        unsigned mtu; /* 0: as it is */
        size_t address_count;
        struct machine_address {
                struct address address;
                unsigned prefix; /* bits */
        } addresses[MACHINE_CONFIG_ADDRESSES_MAX];
};

struct machine_route {
        struct subnet to;   /* prefix 0 for the default */
        struct address via; /* of the same family, or of family 0: none */
        char interface[16];
};

struct machine_config {
        char root_disk[MACHINE_CONFIG_SERIAL_MAX + 1]; /* one of these two */
        char root_folder[MACHINE_CONFIG_TAG_MAX + 1];
        char writable_disk[MACHINE_CONFIG_SERIAL_MAX + 1]; /* one of these two, or none */
        uint64_t writable_memory;
        size_t folder_count, file_count, interface_count, route_count;
        struct machine_folder folders[MACHINE_CONFIG_LIST_MAX];
        struct machine_file files[MACHINE_CONFIG_LIST_MAX];
        struct machine_interface interfaces[MACHINE_CONFIG_INTERFACES_MAX];
        struct machine_route routes[MACHINE_CONFIG_LIST_MAX];
        char hostname[MACHINE_CONFIG_NAME_MAX + 1];
        unsigned input, output, errors, terminal; /* ports, 0: none */
        unsigned control;
        bool start;
};

/* Returns 0 with *config owned by the caller, or -EINVAL, -EFBIG, -ENOMEM with what is wrong where. */
int machine_config_parse(const char *data, size_t length, struct machine_config **config, struct error *err);
void machine_config_free(struct machine_config *config);

DEFINE_CLEANUP(machine_config, struct machine_config, machine_config_free)

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which instance sees which names: the contents of all hosts files, from the leases of all networks.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/test_point.h"
#include "network/hosts.h"

/* A network as far as hosts files need it. */
struct view {
        const struct leases *leases;
        struct leases *loaded; /* what `leases` points to, unless that is the caller's */
        struct address gateway;
        char *block;
};

struct views {
        struct view *views;
        size_t count;
        size_t changed; /* index; SIZE_MAX: not among them */
};

static void views_clear(struct views *views)
{
        for (size_t i = 0; i < views->count; i++) {
                free(views->views[i].block);
                if (!views->views[i].loaded)
                        continue;
                leases_clear(views->views[i].loaded);
                free(views->views[i].loaded);
        }
        free(views->views);
}

static int add_view(struct views *views, const struct network *network, const struct leases *leases,
                    struct leases *loaded, struct error *err)
{
        struct view *view = &views->views[views->count++];
        *view = (struct view){ leases, loaded, network->gateway, hosts_block(leases) };
        return view->block ? 0 : error_memory(err);
}

static int load_view(struct networks *networks, const char *name, struct views *views, struct error *err)
{
        _cleanup_network_ struct network network = { 0 };
        /* Leases of a network whose definition is gone are for network_repair(). */
        if (network_load(networks, name, &network, NULL) < 0)
                return 0;
        struct leases *leases = calloc(1, sizeof(*leases));
        if (!leases)
                return error_memory(err);
        int r = leases_load(networks, name, leases, err);
        if (r < 0) {
                free(leases);
                return r;
        }
        return add_view(views, &network, leases, leases, err);
}

/* All networks that have leases, in the order of their names; views->changed is the one that changes. */
static int load_views(struct networks *networks, const struct network *network, const struct leases *leases,
                      struct views *views, struct error *err)
{
        _cleanup_list_ char **names = NULL;
        int r = leases_networks(networks, &names, err);
        if (r < 0)
                return r;
        views->views = calloc(list_length(names) + 1, sizeof(*views->views));
        if (!views->views)
                return error_memory(err);
        for (size_t i = 0; !r && names && names[i]; i++) {
                if (strcmp(names[i], network->name)) {
                        r = load_view(networks, names[i], views, err);
                } else {
                        views->changed = views->count;
                        r = add_view(views, network, leases, NULL, err);
                }
        }
        return r;
}

static size_t common_prefix(const char *a, const char *b)
{
        size_t n = 0;
        while (a[n] && a[n] == b[n])
                n++;
        return n;
}

/* What the files have in common. */
struct change {
        const struct views *views;
        size_t block_length; /* of the network that changes */
        size_t kept;
        size_t before_length;
};

/* The fixed lines, the instance's own extra hosts, then the lines of all on its networks. */
static void compose(const struct lease *lease, const struct change *change, struct hosts_content *content)
{
        const struct views *views = change->views;
        const struct view *changed = &views->views[views->changed];
        bool elsewhere = false;
        for (size_t i = 0; i < views->count; i++)
                elsewhere |= i != views->changed && leases_find(views->views[i].leases, lease->instance);
        *content = (struct hosts_content){ 0 };
        hosts_head(lease->extra_hosts, &changed->gateway, &content->head);
        if (!elsewhere) {
                content->block = changed->block;
                content->block_length = change->block_length;
                content->kept = change->kept;
                content->before_length = change->before_length;
                return;
        }
        for (size_t i = 0; i < views->count; i++)
                if (leases_find(views->views[i].leases, lease->instance))
                        text_append(&content->head, views->views[i].block);
}

static int update_file(const struct lease *lease, const struct change *change, bool own, struct error *err)
{
        struct hosts_content content;
        compose(lease, change, &content);
        int r = text_failed(&content.head) ? error_memory(err) : hosts_write(lease->hosts_file, &content, own, err);
        text_free(&content.head);
        return r;
}

/* Files that are to be written: those of all, or that of one. */
static int write_files(struct networks *networks, const struct network *network, const struct leases *leases,
                       const char *before, bool all, const char *instance, struct error *err)
{
        __attribute__((cleanup(views_clear))) struct views views = { .changed = SIZE_MAX };
        int result = load_views(networks, network, leases, &views, err);
        if (result < 0 || views.changed == SIZE_MAX)
                return result;
        const char *block = views.views[views.changed].block;
        struct change change = { .views = &views, .block_length = strlen(block) };
        if (before) {
                change.kept = common_prefix(before, block);
                change.before_length = strlen(before);
        }
        for (size_t i = 0; i < leases->count; i++) {
                const struct lease *lease = &leases->entries[i];
                bool own = instance && !strcmp(lease->instance, instance);
                if (!*lease->hosts_file || !(all || own))
                        continue;
                int r = update_file(lease, &change, own, own ? err : NULL);
                if (own)
                        result = r;
        }
        return result;
}

/* With fewer, writing at once costs less than a process does. */
#define FEW_FILES       32
#define BLOCK_BYTES_MAX ((size_t)64 * 1024 * 1024)

static void behind_name(const struct network *network, char name[static 80])
{
        snprintf(name, 80, "%s.names", network->name);
}

/* The block that the files were left with; NULL where they are up to date. */
static char *read_behind(struct networks *networks, const struct network *network)
{
        char name[80], *block = NULL;
        behind_name(network, name);
        return file_read(networks->leases, name, BLOCK_BYTES_MAX, &block, NULL, NULL) < 0 ? NULL : block;
}

static int leave_behind(struct networks *networks, const struct network *network, const char *before, struct error *err)
{
        char name[80];
        behind_name(network, name);
        networks->names_behind = true;
        if (!faccessat(networks->leases, name, F_OK, 0))
                return 0;
        return file_replace_volatile(networks->leases, name, before, strlen(before), 0600, err);
}

int hosts_update(struct networks *networks, const struct network *network, const struct leases *leases,
                 const char *before, const char *instance, struct error *err)
{
        if (leases->count > FEW_FILES && before) {
                int r = leave_behind(networks, network, before, err);
                return r < 0 || !instance ? r : write_files(networks, network, leases, before, false, instance, err);
        }
        int caught_up = hosts_catch_up(networks, network, leases, err);
        int r = write_files(networks, network, leases, before, true, instance, err);
        return r < 0 ? r : caught_up;
}

int hosts_catch_up(struct networks *networks, const struct network *network, const struct leases *leases,
                   struct error *err)
{
        char name[80];
        _cleanup_free_ char *before = read_behind(networks, network);
        if (!before)
                return 0;
        int r = write_files(networks, network, leases, before, true, NULL, err);
        test_point("network.names.written");
        behind_name(network, name);
        if (!r && unlinkat(networks->leases, name, 0) < 0)
                return error_errno(err, "removing %s", name);
        return r;
}

static int catch_up(const struct network *network, void *data)
{
        _cleanup_leases_ struct leases leases = { 0 };
        int r = leases_load(data, network->name, &leases, NULL);
        return r < 0 ? r : hosts_catch_up(data, network, &leases, NULL);
}

int names_catch_up(struct networks *networks, struct error *err)
{
        return network_each(networks, catch_up, networks, err);
}

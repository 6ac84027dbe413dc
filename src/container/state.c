/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/state.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/process.h"
#include "base/text.h"

static const char *const status_names[] = {
        [CONTAINER_CREATING] = "creating", [CONTAINER_CREATED] = "created", [CONTAINER_RUNNING] = "running",
        [CONTAINER_PAUSED] = "paused",     [CONTAINER_STOPPED] = "stopped",
};

const char *container_status_name(enum container_status status)
{
        return status_names[status];
}

int container_check_id(const char *id, struct error *err)
{
        size_t length = strlen(id);
        bool good = length > 0 && length <= 255 && isalnum((unsigned char)id[0]);
        for (size_t i = 0; good && i < length; i++)
                good = isalnum((unsigned char)id[i]) || strchr("+-_.", id[i]);
        if (good)
                return 0;
        return error_set(err, -EINVAL,
                         "invalid container id \"%.64s\": it has 1 to 255 letters, digits and \"+-_.\", and a "
                         "letter or digit first",
                         id);
}

/* ---- the folder ---- */

static int state_new(const char *id, struct state **state, struct error *err)
{
        struct state *made = calloc(1, sizeof(*made));
        if (!made || !(made->id = strdup(id))) {
                free(made);
                return error_memory(err);
        }
        made->root = made->folder = -1;
        *state = made;
        return 0;
}

void state_close(struct state *state)
{
        if (state->folder >= 0)
                close(state->folder);
        if (state->root >= 0)
                close(state->root);
        json_decref(state->annotations);
        json_decref(state->cgroup);
        free(state->bundle);
        free(state->root_path);
        free(state->id);
        free(state);
}

/*
 * gmtime(3) would read the host's time zone first: seven system calls for nothing. Algorithm: Howard Hinnant,
 * civil_from_days.
 */
static void now_as_text(char text[static 64])
{
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        long days = now.tv_sec / 86400 + 719468, seconds = now.tv_sec % 86400;
        long era = days / 146097, day_of_era = days % 146097;
        long year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
        long day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        long shifted = (5 * day_of_year + 2) / 153, month = shifted < 10 ? shifted + 3 : shifted - 9;
        snprintf(text, 64, "%04ld-%02ld-%02ldT%02ld:%02ld:%02ld.%09ldZ", era * 400 + year_of_era + (month <= 2), month,
                 day_of_year - (153 * shifted + 2) / 5 + 1, seconds / 3600, seconds / 60 % 60, seconds % 60,
                 now.tv_nsec);
}

static bool is_linked(int folder)
{
        struct stat st;
        return !fstat(folder, &st) && st.st_nlink;
}

int state_create(const char *root, const char *id, struct state **state, struct error *err)
{
        int r = container_check_id(id, err);
        _cleanup_(state) struct state *made = NULL;
        if (!r)
                r = state_new(id, &made, err);
        if (r < 0)
                return r;
        made->root = directory_make(root, 0700, err);
        if (made->root < 0)
                return made->root;
        do {
                if (mkdirat(made->root, id, 0700) < 0)
                        return errno == EEXIST ? error_set(err, -EEXIST, "container with id exists: %s", id)
                                               : error_errno(err, "cannot create %s/%s", root, id);
                made->folder = openat(made->root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
                /* Another command may see the empty folder first and remove it as a killed creator's. */
        } while ((made->folder < 0 && errno == ENOENT) || (made->folder >= 0 && !flock(made->folder, LOCK_EX) &&
                                                           !is_linked(made->folder) && !close(TAKE_FD(made->folder))));
        if (made->folder < 0)
                return error_errno(err, "cannot open %s/%s", root, id);
        made->locked = true;
        made->owner = geteuid();
        now_as_text(made->created);
        *state = TAKE_PTR(made);
        return 0;
}

static int read_record(struct state *state, const json_t *document, struct error *err)
{
        struct json_reader reader = { .document = "state.json", .err = err };
        struct json_at root = json_root(&reader, document);
        const char *bundle = NULL, *root_path = NULL, *created = NULL;
        int64_t pid = 0, owner = 0, namespaces = 0, hooks = 0;
        json_need_string(&root, "bundle", &bundle);
        json_need_string(&root, "rootfs", &root_path);
        json_need_string(&root, "created", &created);
        if (!json_get_i64(&root, "pid", 1, INT_MAX, &pid) || !json_get_u64(&root, "startTime", &state->start_time))
                json_misfit(&root, "has no pid or no startTime");
        json_get_i64(&root, "owner", 0, UINT32_MAX, &owner);
        json_get_i64(&root, "namespaces", 0, INT_MAX, &namespaces);
        json_get_i64(&root, "hooks", 0, (1 << HOOK_POINTS) - 1, &hooks);
        json_get_bool(&root, "hasProgram", &state->has_program);
        json_get_bool(&root, "intelRdt", &state->rdt);
        struct json_at annotations = json_get_object(&root, "annotations"), cgroup = json_get(&root, "cgroup");
        if (json_failed(&root))
                return json_failed(&root);
        if (strlen(created) >= sizeof(state->created))
                return json_misfit(&root, "has a time of creation that is too long");

        memcpy(state->created, created, strlen(created) + 1);
        state->pid = (pid_t)pid;
        state->owner = (uid_t)owner;
        state->namespaces = (int)namespaces;
        state->hooks = (unsigned)hooks;
        state->annotations = json_incref((json_t *)annotations.value);
        state->cgroup = json_incref((json_t *)cgroup.value);
        state->bundle = strdup(bundle);
        state->root_path = strdup(root_path);
        state->complete = true;
        return state->bundle && state->root_path ? 0 : error_memory(err);
}

void state_unlock(struct state *state)
{
        flock(state->folder, LOCK_UN);
        state->locked = false;
}

int state_lock(struct state *state, struct error *err)
{
        while (flock(state->folder, LOCK_EX) < 0)
                if (errno != EINTR)
                        return error_errno(err, "cannot lock the container %s", state->id);
        state->locked = true;
        return is_linked(state->folder) ? 0 : error_set(err, -ENOENT, "container does not exist: %s", state->id);
}

int state_open(const char *root, const char *id, bool lock, struct state **state, struct error *err)
{
        int r = container_check_id(id, err);
        _cleanup_(state) struct state *made = NULL;
        if (!r)
                r = state_new(id, &made, err);
        if (r < 0)
                return r;
        made->root = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (made->root >= 0)
                made->folder = openat(made->root, id, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (made->folder < 0)
                return errno == ENOENT ? error_set(err, -ENOENT, "container does not exist: %s", id)
                                       : error_errno(err, "cannot open %s/%s", root, id);
        r = lock ? state_lock(made, err) : 0;
        if (r < 0)
                return r;

        _cleanup_json_ json_t *document = NULL;
        struct error own = { 0 };
        r = json_read(made->folder, "state.json", &document, &own);
        if (!r)
                r = read_record(made, document, &own);
        if (r < 0 && r != -ENOENT)
                return error_set(err, r, "container %s: %s", id, own.text);
        *state = TAKE_PTR(made);
        return 0;
}

int state_remove(struct state *state, struct error *err)
{
        /* state.json goes first: what is half removed looks like what a killed creator left, which delete finishes. */
        static const char *const files[] = { "state.json", "state.json.new", "start", "result", "config.json" };
        for (size_t i = 0; i < ARRAY_SIZE(files); i++)
                if (unlinkat(state->folder, files[i], 0) < 0 && errno != ENOENT)
                        return error_errno(err, "cannot remove %s of the container %s", files[i], state->id);
        if (!unlinkat(state->root, state->id, AT_REMOVEDIR) || errno == ENOENT)
                return 0;
        return tree_remove(state->root, state->id, err);
}

static int compare(const void *a, const void *b)
{
        return strcmp(*(char *const *)a, *(char *const *)b);
}

int state_list(const char *root, char ***ids, struct error *err)
{
        _cleanup_list_ char **list = NULL;
        *ids = NULL;
        _cleanup_closedir_ DIR *folder = opendir(root);
        if (!folder)
                return errno == ENOENT ? 0 : error_errno(err, "cannot read %s", root);
        struct dirent *entry;
        while ((entry = readdir(folder)))
                if (!container_check_id(entry->d_name, NULL) && list_append(&list, entry->d_name) < 0)
                        return error_memory(err);
        if (list)
                qsort(list, list_length(list), sizeof(*list), compare);
        *ids = TAKE_PTR(list);
        return 0;
}

/* ---- the record ---- */

int state_describe(struct state *state, const struct config *config, const char *bundle, struct error *err)
{
        const char *root = config->root ? config->root : "";
        state->bundle = strdup(bundle);
        state->root_path = root[0] == '/' ? strdup(root) : text_format("%s/%s", bundle, root);
        if (!state->bundle || !state->root_path)
                return error_memory(err);
        state->namespaces = config->namespaces.create | config->namespaces.join;
        for (int point = 0; point < HOOK_POINTS; point++)
                if (config->hooks.counts[point])
                        state->hooks |= 1U << point;
        state->has_program = config->has_program;
        state->rdt = config->rdt.present;
        state->annotations = json_incref((json_t *)config->annotations);
        return 0;
}

int state_prepare(const struct state *state, struct error *err)
{
        _cleanup_json_ json_t *document =
                json_pack("{s:s, s:s, s:i, s:I, s:s, s:s, s:s, s:I, s:i, s:i, s:b, s:b, s:O*, s:O*}", "ociVersion",
                          OCI_VERSION, "id", state->id, "pid", (int)state->pid, "startTime",
                          (json_int_t)state->start_time, "bundle", state->bundle, "rootfs", state->root_path, "created",
                          state->created, "owner", (json_int_t)state->owner, "namespaces", state->namespaces, "hooks",
                          (int)state->hooks, "hasProgram", state->has_program, "intelRdt", state->rdt, "annotations",
                          state->annotations, "cgroup", state->cgroup);
        _cleanup_free_ char *data = document ? json_dumps(document, JSON_COMPACT) : NULL;
        if (!data)
                return error_set(err, -EINVAL, "cannot write the state of %s: a path in it is not valid UTF-8",
                                 state->id);
        _cleanup_close_ int fd =
                openat(state->folder, "state.json.new", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
        int r = fd < 0 ? -errno : write_all(fd, data, strlen(data));
        return r < 0 ? error_code(err, r, "cannot write the state of %s", state->id) : 0;
}

int state_commit(struct state *state, struct error *err)
{
        if (renameat(state->folder, "state.json.new", state->folder, "state.json") < 0)
                return error_errno(err, "cannot write the state of %s", state->id);
        state->complete = true;
        return 0;
}

int state_process(const struct state *state)
{
        return process_open(state->pid, state->start_time);
}

/* Whether somebody reads the start FIFO: the first process does until it is let go. */
static bool waits_at_gate(const struct state *state)
{
        _cleanup_close_ int gate = openat(state->folder, "start", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
        return gate >= 0;
}

enum container_status state_status(const struct state *state)
{
        if (!state->complete) {
                /* A creator holds the lock as long as it lives. */
                if (state->locked)
                        return CONTAINER_STOPPED;
                if (flock(state->folder, LOCK_SH | LOCK_NB) < 0)
                        return CONTAINER_CREATING;
                flock(state->folder, LOCK_UN);
                return CONTAINER_STOPPED;
        }
        _cleanup_close_ int process = state_process(state);
        if (process < 0)
                return CONTAINER_STOPPED;
        struct cgroup *cgroup = NULL;
        bool frozen = state->cgroup && !cgroup_load(state->cgroup, &cgroup, NULL) && cgroup_is_frozen(cgroup);
        if (cgroup)
                cgroup_free(cgroup);
        /* Frozen first: whoever lets go a frozen process waits for it with the lock that resume needs. */
        if (frozen)
                return CONTAINER_PAUSED;
        return waits_at_gate(state) ? CONTAINER_CREATED : CONTAINER_RUNNING;
}

json_t *state_document(const struct state *state, enum container_status status, pid_t pid)
{
        return json_pack("{s:s, s:s, s:s, s:i, s:s, s:O*}", "ociVersion", OCI_VERSION, "id", state->id, "status",
                         container_status_name(status), "pid", (int)pid, "bundle", state->bundle ? state->bundle : "",
                         "annotations", state->annotations);
}

json_t *state_report(const struct state *state)
{
        enum container_status status = state_status(state);
        json_t *report = state_document(state, status, status == CONTAINER_STOPPED ? 0 : state->pid);
        if (!report)
                return NULL;
        char owner[16] = "";
        if (state->owner)
                snprintf(owner, sizeof(owner), "%u", state->owner);
        json_object_set_new(report, "rootfs", json_string(state->root_path ? state->root_path : ""));
        json_object_set_new(report, "created", json_string(state->created));
        json_object_set_new(report, "owner", json_string(owner));
        return report;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"
#include "container/seccomp_cache.h"
#include "container/seccomp_compile.h"

/* Younger than Debian 12's headers. */
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

struct seccomp {
        struct seccomp_program program;
        unsigned flags;
        char *listener_path, *listener_metadata; /* NULL: none */
};

DEFINE_CLEANUP(seccomp, struct seccomp, seccomp_free)

static const struct {
        const char *name;
        unsigned flag;
} flags[] = {
        { "SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG },
        { "SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW },
        { "SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC },
        { "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV },
};

static int parse_flags(const struct json_at *at, struct seccomp *seccomp)
{
        struct json_at array = json_get_array(at, "flags");
        /*
         * Without it, kernels before 5.16 slow every filtered program down by their mitigation of speculative stores.
         */
        if (!array.value)
                seccomp->flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
        for (size_t i = 0; i < json_count(&array); i++) {
                struct json_at element = json_element(&array, i);
                const char *name = json_string_at(&element);
                size_t known = 0;
                while (name && known < ARRAY_SIZE(flags) && strcmp(name, flags[known].name) != 0)
                        known++;
                if (name && known == ARRAY_SIZE(flags))
                        json_misfit(&element, "is the unknown flag \"%s\"", name);
                else if (name)
                        seccomp->flags |= flags[known].flag;
        }
        return json_failed(at);
}

static int parse_listener(const struct json_at *at, struct seccomp *seccomp, struct error *err)
{
        const char *path = NULL, *metadata = NULL;
        json_get_string(at, "listenerPath", &path);
        json_get_string(at, "listenerMetadata", &metadata);
        if (json_failed(at))
                return json_failed(at);
        if (metadata && *metadata && (!path || !*path))
                return json_misfit(at, "has listenerMetadata but no listenerPath");
        if (path && *path) {
                if (strlen(path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
                        return json_misfit(at, "has a listenerPath that is too long for a socket");
                seccomp->listener_path = strdup(path);
                seccomp->listener_metadata = metadata ? strdup(metadata) : NULL;
                if (!seccomp->listener_path || (metadata && !seccomp->listener_metadata))
                        return error_memory(err);
        }
        return 0;
}

static int find_or_compile(const struct json_at *at, const char *cache, struct seccomp_program *program,
                           struct error *err)
{
        if (!cache)
                return seccomp_compile(at, program, err);
        _cleanup_free_ char *text = json_dumps(at->value, JSON_COMPACT);
        if (!text)
                return error_memory(err);
        unsigned char key[SECCOMP_CACHE_KEY];
        seccomp_cache_key(text, strlen(text), key);
        if (seccomp_cache_find(cache, key, program))
                return 0;
        int r = seccomp_compile(at, program, err);
        if (!r)
                seccomp_cache_store(cache, key, program);
        return r;
}

int seccomp_prepare(const struct json_at *at, const char *cache, struct seccomp **result, struct error *err)
{
        *result = NULL;
        if (!at->value)
                return json_failed(at);
        if (!json_is_object(at->value))
                return json_misfit(at, "must be an object");
        _cleanup_(seccomp) struct seccomp *seccomp = calloc(1, sizeof(*seccomp));
        if (!seccomp)
                return error_memory(err);
        int r = parse_flags(at, seccomp);
        if (!r)
                r = parse_listener(at, seccomp, err);
        if (!r)
                r = find_or_compile(at, cache, &seccomp->program, err);
        if (r < 0)
                return r;
        *result = TAKE_PTR(seccomp);
        return 0;
}

void seccomp_free(struct seccomp *seccomp)
{
        if (!seccomp)
                return;
        free(seccomp->program.filter);
        free(seccomp->listener_path);
        free(seccomp->listener_metadata);
        free(seccomp);
}

bool seccomp_has_notify(const struct seccomp *seccomp)
{
        return seccomp && seccomp->program.notify;
}

const char *seccomp_listener_path(const struct seccomp *seccomp)
{
        return seccomp ? seccomp->listener_path : NULL;
}

const char *seccomp_listener_metadata(const struct seccomp *seccomp)
{
        return seccomp ? seccomp->listener_metadata : NULL;
}

int seccomp_apply(const struct seccomp *seccomp, struct error *err)
{
        if (!seccomp)
                return 0;
        struct sock_fprog program = { seccomp->program.length, seccomp->program.filter };
        unsigned load = seccomp->flags;
        if (seccomp->program.notify) {
                load |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
                /* Both return a number of their own on success, so the failure of TSYNC must become an error. */
                if (load & SECCOMP_FILTER_FLAG_TSYNC)
                        load |= SECCOMP_FILTER_FLAG_TSYNC_ESRCH;
        } else {
                load &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        }
        long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, load, &program);
        if (r < 0 && errno == EACCES)
                return error_errno(err,
                                   "cannot load the seccomp filter; without CAP_SYS_ADMIN it needs noNewPrivileges");
        if (r < 0)
                return error_errno(err, "cannot load the seccomp filter");
        if (r > 0 && !seccomp->program.notify)
                return error_set(err, -ESRCH, "cannot load the seccomp filter into thread %ld", r);
        return (int)r;
}

/* The specification's "container process state" around the container's state. */
static char *process_state(const struct seccomp *seccomp, const json_t *state)
{
        _cleanup_json_ json_t *document =
                json_pack("{s:O*, s:[s], s:O*, s:s, s:O}", "ociVersion", json_object_get(state, "ociVersion"), "fds",
                          "seccompFd", "pid", json_object_get(state, "pid"), "metadata",
                          seccomp->listener_metadata ? seccomp->listener_metadata : "", "state", state);
        return document ? json_dumps(document, JSON_COMPACT) : NULL;
}

int seccomp_send_notify(const struct seccomp *seccomp, int notify, const json_t *state, struct error *err)
{
        struct sockaddr_un address = { .sun_family = AF_UNIX };
        if (!seccomp->listener_path)
                return error_set(err, -EINVAL, "the seccomp profile has no listenerPath to send the listener to");
        memcpy(address.sun_path, seccomp->listener_path, strlen(seccomp->listener_path) + 1);
        _cleanup_free_ char *text = process_state(seccomp, state);
        if (!text)
                return error_memory(err);
        _cleanup_close_ int connection = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (connection < 0 || connect(connection, (struct sockaddr *)&address, sizeof(address)) < 0)
                return error_errno(err, "cannot connect to the seccomp listener at %s", seccomp->listener_path);

        union {
                struct cmsghdr header;
                char room[CMSG_SPACE(sizeof(int))];
        } control = { 0 };
        struct iovec part = { .iov_base = text, .iov_len = strlen(text) };
        struct msghdr message = {
                .msg_iov = &part,
                .msg_iovlen = 1,
                .msg_control = &control,
                .msg_controllen = sizeof(control),
        };
        control.header = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)),
                                           .cmsg_level = SOL_SOCKET,
                                           .cmsg_type = SCM_RIGHTS };
        memcpy(CMSG_DATA(&control.header), &notify, sizeof(int));
        ssize_t sent = sendmsg(connection, &message, MSG_NOSIGNAL);
        if (sent < 0)
                return error_errno(err, "cannot send to the seccomp listener at %s", seccomp->listener_path);
        /* The descriptor went with the first bytes; the rest is only text. */
        int r = write_all(connection, text + sent, part.iov_len - (size_t)sent);
        return r < 0 ? error_code(err, r, "cannot send to the seccomp listener at %s", seccomp->listener_path) : 0;
}

json_t *seccomp_features(void)
{
        json_t *features = json_object(), *known = json_array();
        json_object_set_new(features, "enabled", json_true());
        seccomp_compiler_features(features);
        for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
                json_array_append_new(known, json_string(flags[i].name));
        json_object_set_new(features, "knownFlags", known);
        json_object_set_new(features, "supportedFlags", json_deep_copy(known));
        return features;
}

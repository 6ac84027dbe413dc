/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How long a start takes, from the command to what it was started for. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/json.h"
#include "compare/comparison.h"

#define POLL_NS 2000000 /* between two looks whether it is ready */

static double clock_seconds(void)
{
        struct timespec time;
        clock_gettime(CLOCK_MONOTONIC, &time);
        return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int by_size(const void *a, const void *b)
{
        double left = *(const double *)a, right = *(const double *)b;
        return (left > right) - (left < right);
}

static void set_median(json_t *cell, double *seconds, size_t count)
{
        char text[32];
        qsort(seconds, count, sizeof(*seconds), by_size);
        double median = (seconds[(count - 1) / 2] + seconds[count / 2]) / 2;
        cell_set(cell, median, "s", "%s", duration_text(median, text));
        json_object_set_new(cell, "least", json_real(seconds[0]));
        json_object_set_new(cell, "most", json_real(seconds[count - 1]));
        json_object_set_new(cell, "runs", json_integer((json_int_t)count));
}

/* ---- To the first output ---- */

static int run_to_output(struct comparison *comparison, struct contestant *contestant, double *seconds,
                         struct error *err)
{
        char *const options[] = { "--rm", NULL };
        _cleanup_list_ char **words = NULL;
        char name[64];
        struct trial trial;
        comparison_name(comparison, name);
        char *const *command = comparison->settings->command;
        int r = command ? run_words(comparison, contestant, name, options, command, &words, err)
                        : load_words(comparison, contestant, name, options, "hello", &words, err);
        if (r < 0)
                return r;
        r = trial_output(comparison, words, &trial, err);
        remove_instance(comparison, name);
        if (r < 0)
                return r;
        if (!trial.first_output) {
                trial.errors[strcspn(trial.errors, "\n")] = 0;
                return error_set(err, -ENODATA, "it printed nothing and ended with status %d%s%s", trial.exit_code,
                                 trial.errors[0] ? ": " : "", trial.errors);
        }
        *seconds = (double)trial.first_output / 1e9;
        return 0;
}

/* ---- To ready ---- */

static int address_of(const struct comparison *comparison, const char *name, struct sockaddr_in *address)
{
        struct instance *instance;
        json_t *object = NULL;
        if (instance_find(comparison->settings->host, name, &instance, NULL) < 0)
                return -ENOENT;
        instance_inspect(instance, false, &object, NULL);
        instance_free(instance);
        json_t *networks = json_object_get(json_object_get(object, "NetworkSettings"), "Networks"), *network;
        const char *key, *text = NULL;
        json_object_foreach(networks, key, network)
                text = json_string_value(json_object_get(network, "IPAddress"));
        *address = (struct sockaddr_in){ .sin_family = AF_INET,
                                         .sin_port = htons((uint16_t)comparison->settings->ready_port) };
        int r = text && inet_pton(AF_INET, text, &address->sin_addr) == 1 ? 0 : -EADDRNOTAVAIL;
        json_decref(object);
        return r;
}

static bool port_answers(const struct sockaddr_in *address)
{
        _cleanup_close_ int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return false;
        if (!connect(fd, (const struct sockaddr *)address, sizeof(*address)))
                return true;
        struct pollfd connecting = { .fd = fd, .events = POLLOUT };
        int failure = EINPROGRESS;
        socklen_t size = sizeof(failure);
        return errno == EINPROGRESS && poll(&connecting, 1, 50) > 0 &&
               !getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) && !failure;
}

static int is_ready(const struct comparison *comparison, const char *name, struct error *err)
{
        const struct compare_settings *settings = comparison->settings;
        struct sockaddr_in address;
        if (settings->ready_port)
                return !address_of(comparison, name, &address) && port_answers(&address);
        struct trial trial;
        int r = trial_run(comparison,
                          (char *const[]){ "exec", (char *)name, "/bin/sh", "-c", (char *)settings->ready_command,
                                           NULL },
                          &trial, err);
        return r < 0 ? r : !trial.exit_code;
}

static int await_ready(const struct comparison *comparison, const char *name, double begin, struct error *err)
{
        double timeout = (double)comparison->settings->timeout / 1e9;
        for (;;) {
                int r = is_ready(comparison, name, err);
                if (r)
                        return r < 0 ? r : 0;
                struct pollfd interruption = { .fd = comparison->signals, .events = POLLIN };
                if (ppoll(&interruption, 1, &(struct timespec){ .tv_nsec = POLL_NS }, NULL) > 0)
                        return error_set(err, -EINTR, "interrupted");
                if (clock_seconds() - begin > timeout)
                        return error_set(err, -ETIMEDOUT, "it was not ready within %.0f s", timeout);
        }
}

static int run_to_ready(struct comparison *comparison, struct contestant *contestant, double *seconds,
                        struct error *err)
{
        _cleanup_list_ char **words = NULL;
        char name[64];
        struct trial trial;
        comparison_name(comparison, name);
        int r = run_words(comparison, contestant, name, (char *const[]){ "-d", NULL }, comparison->settings->command,
                          &words, err);
        if (r < 0)
                return r;
        double begin = clock_seconds();
        r = trial_ok(comparison, words, &trial, err);
        if (!r)
                r = await_ready(comparison, name, begin, err);
        *seconds = clock_seconds() - begin;
        remove_instance(comparison, name);
        return r;
}

/* ---- Medians ---- */

static int repeat(struct comparison *comparison, struct contestant *contestant, json_t *cell,
                  int (*one)(struct comparison *, struct contestant *, double *, struct error *), struct error *err)
{
        size_t count = (size_t)comparison->settings->runs;
        _cleanup_free_ double *seconds = calloc(count, sizeof(*seconds));
        if (!seconds)
                return error_memory(err);
        /* One before, uncounted: it fills caches that every later start finds full. */
        int r = one(comparison, contestant, seconds, err);
        for (size_t i = 0; !r && i < count; i++)
                r = one(comparison, contestant, &seconds[i], err);
        if (!r)
                set_median(cell, seconds, count);
        return r;
}

int measure_first_output(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        return repeat(comparison, contestant, cell, run_to_output, err);
}

int measure_ready(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        if (!comparison->settings->ready_port && !comparison->settings->ready_command)
                return error_set(err, -ENODATA, "--ready-port or --ready-command says when it is ready");
        return repeat(comparison, contestant, cell, run_to_ready, err);
}

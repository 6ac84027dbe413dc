/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of an instance that only waits, as PSS (proc_pid_smaps(5)): pages that several share are counted in parts, so sums over
 * processes are what they really take. Ours are the processes that watch an instance or are its machine; the guest's are
 * its programs, or the memory of its machine.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/human.h"
#include "base/json.h"
#include "compare/comparison.h"

#define FILE_MAX (16 * 1024 * 1024)

/* Guest memory is mapped anonymously, and nothing else in onggi-vmm is nearly as large. */
#define GUEST_MAPPING_LEAST (32 * 1024 * 1024)

struct memory {
        uint64_t own, guest; /* bytes */
};

static pid_t parent_of(pid_t pid)
{
        char path[32];
        _cleanup_free_ char *text = NULL;
        int parent = 0;
        snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
        if (file_read(AT_FDCWD, path, 4096, &text, NULL, NULL) < 0)
                return 0;
        const char *name_end = strrchr(text, ')');
        return name_end && sscanf(name_end + 1, " %*c %d", &parent) == 1 ? parent : 0;
}

static bool descends(pid_t pid, pid_t ancestor)
{
        for (unsigned depth = 0; pid > 1 && pid != ancestor && depth < 64; depth++)
                pid = parent_of(pid);
        return pid == ancestor;
}

/* A mapping's first line: "start-end rwxp offset device inode  path". Returns false for another line. */
static bool read_mapping(const char *line, bool *guest)
{
        unsigned long long start, end;
        char path[8] = "";
        if (sscanf(line, "%llx-%llx %*s %*s %*s %*s %7s", &start, &end, path) < 2)
                return false;
        *guest = end - start >= GUEST_MAPPING_LEAST && (!path[0] || text_equal(path, "/dev/ze"));
        return true;
}

static int add_process(pid_t pid, bool is_program, struct memory *memory, struct error *err)
{
        char path[40];
        _cleanup_free_ char *text = NULL;
        snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
        int r = file_read(AT_FDCWD, path, FILE_MAX, &text, NULL, err);
        if (r < 0)
                return r == -ENOENT || r == -ESRCH ? 0 : r; /* it ended meanwhile */
        bool guest = false;
        char *rest = text, *line;
        while ((line = strsep(&rest, "\n"))) {
                unsigned long long kilobytes;
                if (sscanf(line, "Pss: %llu kB", &kilobytes) == 1)
                        *(guest || is_program ? &memory->guest : &memory->own) += kilobytes * 1024;
                else
                        read_mapping(line, &guest);
        }
        return 0;
}

static int measure_all(struct comparison *comparison, struct contestant *contestant, struct memory *memory,
                       struct error *err)
{
        struct instance *instance;
        int r = instance_find(comparison->settings->host, contestant->idle, &instance, err);
        if (r < 0)
                return r;
        pid_t monitor = (pid_t)json_integer_value(json_object_get(instance->run, "monitor"));
        instance_free(instance);
        if (monitor <= 0)
                return error_set(err, -ESRCH, "the instance does not run any more");
        *memory = (struct memory){ 0 };
        _cleanup_closedir_ DIR *processes = opendir("/proc");
        if (!processes)
                return error_errno(err, "cannot read /proc");
        struct dirent *entry;
        while (!r && (entry = readdir(processes))) {
                pid_t pid = (pid_t)atoi(entry->d_name);
                if (pid > 0 && descends(pid, monitor))
                        r = add_process(pid, pid != monitor && !contestant->vessel->guardian, memory, err);
        }
        return r;
}

static void set_memory(json_t *cell, uint64_t bytes)
{
        char text[HUMAN_ROOM];
        cell_set(cell, (double)bytes, "bytes", "%s", human_size_binary(bytes, text));
}

int measure_own_memory(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct memory memory;
        int r = measure_all(comparison, contestant, &memory, err);
        if (!r)
                set_memory(cell, memory.own);
        return r;
}

int measure_guest_memory(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct memory memory;
        int r = measure_all(comparison, contestant, &memory, err);
        if (!r)
                set_memory(cell, memory.guest);
        return r;
}

int available_memory(uint64_t *bytes, struct error *err)
{
        _cleanup_free_ char *text = NULL;
        int r = file_read(AT_FDCWD, "/proc/meminfo", 65536, &text, NULL, err);
        const char *line = r < 0 ? NULL : strstr(text, "MemAvailable:");
        unsigned long long kilobytes;
        if (r < 0 || !line || sscanf(line, "MemAvailable: %llu kB", &kilobytes) != 1)
                return r < 0 ? r : error_set(err, -ENODATA, "/proc/meminfo does not say what memory is available");
        *bytes = kilobytes * 1024;
        return 0;
}

int measure_instances(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err)
{
        struct memory memory;
        uint64_t available;
        int r = measure_all(comparison, contestant, &memory, err);
        if (!r)
                r = available_memory(&available, err);
        if (r < 0)
                return r;
        uint64_t one = memory.own + memory.guest;
        if (!one)
                return error_set(err, -ENODATA, "this kernel does not tell what memory a process takes");
        uint64_t count = available / one;
        cell_set(cell, (double)count, "instances", "%llu", (unsigned long long)count);
        return 0;
}

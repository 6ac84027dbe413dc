/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "container/seccomp_cache.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/file.h"

/* A host has a handful of profiles; each file is a few kilobytes. */
#define FILES_MAX 64

struct cached {
        char magic[8];
        uint32_t instructions;
        uint32_t notify;
        unsigned char digest[SHA256_DIGEST_SIZE]; /* of the key, this header without the digest, and the program */
        struct sock_filter filter[];
};

static const char magic[8] = "onggibpf";

_Static_assert(SECCOMP_CACHE_KEY == SHA256_DIGEST_SIZE, "the key is a SHA-256");

void seccomp_cache_key(const char *profile, size_t length, unsigned char key[SECCOMP_CACHE_KEY])
{
        char identity[128];
        seccomp_compiler_identity(identity, sizeof(identity));
        struct sha256_ctx hash;
        sha256_init(&hash);
        sha256_update(&hash, strlen(identity) + 1, (const uint8_t *)identity);
        sha256_update(&hash, length, (const uint8_t *)profile);
        sha256_digest(&hash, SHA256_DIGEST_SIZE, key);
}

static void file_name(const unsigned char key[SECCOMP_CACHE_KEY], char name[2 * SECCOMP_CACHE_KEY + 1])
{
        for (size_t i = 0; i < SECCOMP_CACHE_KEY; i++)
                snprintf(name + 2 * i, 3, "%02x", key[i]);
}

static void digest_of(const struct cached *cached, const unsigned char key[SECCOMP_CACHE_KEY],
                      unsigned char digest[SHA256_DIGEST_SIZE])
{
        struct sha256_ctx hash;
        sha256_init(&hash);
        sha256_update(&hash, SECCOMP_CACHE_KEY, key);
        sha256_update(&hash, offsetof(struct cached, digest), (const uint8_t *)cached);
        sha256_update(&hash, cached->instructions * sizeof(struct sock_filter), (const uint8_t *)cached->filter);
        sha256_digest(&hash, SHA256_DIGEST_SIZE, digest);
}

static bool is_sound(const struct cached *cached, size_t length, const unsigned char key[SECCOMP_CACHE_KEY])
{
        if (length < sizeof(*cached) || memcmp(cached->magic, magic, sizeof(magic)) != 0)
                return false;
        if (!cached->instructions || cached->instructions > BPF_MAXINSNS ||
            length != sizeof(*cached) + cached->instructions * sizeof(struct sock_filter))
                return false;
        unsigned char digest[SHA256_DIGEST_SIZE];
        digest_of(cached, key, digest);
        return !memcmp(digest, cached->digest, sizeof(digest));
}

static bool is_own(int fd)
{
        struct stat st;
        return !fstat(fd, &st) && st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

int seccomp_cache_find(const char *folder, const unsigned char key[SECCOMP_CACHE_KEY], struct seccomp_program *program)
{
        char name[2 * SECCOMP_CACHE_KEY + 1];
        file_name(key, name);
        _cleanup_close_ int dir = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0 || !is_own(dir))
                return 0;
        _cleanup_close_ int fd = openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 || !is_own(fd))
                return 0;
        _cleanup_free_ char *data = NULL;
        size_t length;
        if (file_read_fd(fd, name, sizeof(struct cached) + BPF_MAXINSNS * sizeof(struct sock_filter), &data, &length,
                         NULL) < 0)
                return 0;
        const struct cached *cached = (const struct cached *)(const void *)data;
        if (!is_sound(cached, length, key))
                return 0;
        *program = (struct seccomp_program){ .length = (uint16_t)cached->instructions, .notify = cached->notify };
        /* The buffer becomes the program. */
        memmove(data, cached->filter, cached->instructions * sizeof(struct sock_filter));
        program->filter = (struct sock_filter *)(void *)TAKE_PTR(data);
        return 1;
}

static void remove_oldest(int dir)
{
        _cleanup_close_ int own = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        _cleanup_closedir_ DIR *folder = own < 0 ? NULL : fdopendir(own);
        if (!folder)
                return;
        TAKE_FD(own);
        for (;;) {
                char oldest[NAME_MAX + 1] = "";
                struct timespec age = { 0 };
                size_t count = 0;
                rewinddir(folder);
                for (struct dirent *entry; (entry = readdir(folder));) {
                        struct stat st;
                        if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode))
                                continue;
                        if (!count++ || st.st_mtim.tv_sec < age.tv_sec ||
                            (st.st_mtim.tv_sec == age.tv_sec && st.st_mtim.tv_nsec < age.tv_nsec)) {
                                age = st.st_mtim;
                                snprintf(oldest, sizeof(oldest), "%s", entry->d_name);
                        }
                }
                if (count <= FILES_MAX || unlinkat(dir, oldest, 0) < 0)
                        return;
        }
}

void seccomp_cache_store(const char *folder, const unsigned char key[SECCOMP_CACHE_KEY],
                         const struct seccomp_program *program)
{
        char name[2 * SECCOMP_CACHE_KEY + 1];
        file_name(key, name);
        _cleanup_close_ int dir = directory_make(folder, 0700, NULL);
        if (dir < 0 || !is_own(dir))
                return;
        size_t bytes = program->length * sizeof(struct sock_filter);
        _cleanup_free_ struct cached *cached = calloc(1, sizeof(*cached) + bytes);
        if (!cached)
                return;
        memcpy(cached->magic, magic, sizeof(magic));
        cached->instructions = program->length;
        cached->notify = program->notify;
        memcpy(cached->filter, program->filter, bytes);
        digest_of(cached, key, cached->digest);
        if (!file_replace_volatile(dir, name, cached, sizeof(*cached) + bytes, 0600, NULL))
                remove_oldest(dir);
}

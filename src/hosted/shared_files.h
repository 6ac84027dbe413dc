/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The files and folders that the guest has open in a shared folder, by the numbers it has for them.
 *
 * A file that is closed while another thread works at it lives until that is done. The table has its own lock: any
 * thread may call any function.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct shared_files;

#define SHARED_FOLDER_BUFFER 8192

/* What was read of a folder and not yet given to the guest. */
struct shared_folder_entries {
        pthread_mutex_t lock;
        off_t next; /* of the entry at `at`, as the folder's own offsets go */
        size_t at, length;
        char bytes[SHARED_FOLDER_BUFFER] __attribute__((aligned(8)));
};

struct shared_file {
        uint64_t number;
        int fd;
        unsigned borrowed;
        bool closed;                           /* by the guest */
        struct shared_folder_entries *entries; /* of a folder */
};

int shared_files_open(unsigned files_max, struct shared_files **files);
void shared_files_close(struct shared_files *files);
/* The guest has nothing open any more. Nothing is borrowed. */
void shared_files_close_all(struct shared_files *files);

/* Takes `fd` over, also where it fails: -ENFILE, -ENOMEM. Sets its number. */
int shared_file_add(struct shared_files *files, int fd, bool folder, uint64_t *number);
/* -EBADF where the guest has no such file open. */
int shared_file_borrow(struct shared_files *files, uint64_t number, struct shared_file **file);
void shared_file_return(struct shared_files *files, struct shared_file *file);
void shared_file_remove(struct shared_files *files, uint64_t number);

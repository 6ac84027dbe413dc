/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "hosted/shared_files.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"

struct shared_files {
        pthread_mutex_t lock;
        unsigned count, room; /* places that were ever used, and the most there are */
        struct shared_file **places;
        unsigned *free, free_count; /* places that are none's */
};

static void release(struct shared_files *files, struct shared_file *file)
{
        if (!file->closed || file->borrowed)
                return;
        files->places[file->number] = NULL;
        files->free[files->free_count++] = (unsigned)file->number;
        close(file->fd);
        if (file->entries)
                pthread_mutex_destroy(&file->entries->lock);
        free(file->entries);
        free(file);
}

static struct shared_file *make(int fd, bool folder)
{
        struct shared_file *file = calloc(1, sizeof(*file));
        if (!file)
                return NULL;
        file->fd = fd;
        file->entries = folder ? malloc(sizeof(*file->entries)) : NULL;
        if (folder && !file->entries) {
                free(file);
                return NULL;
        }
        if (folder) {
                pthread_mutex_init(&file->entries->lock, NULL);
                file->entries->next = 0;
                file->entries->at = file->entries->length = 0;
        }
        return file;
}

int shared_file_add(struct shared_files *files, int fd, bool folder, uint64_t *number)
{
        struct shared_file *file = make(fd, folder);
        if (!file) {
                close(fd);
                return -ENOMEM;
        }
        pthread_mutex_lock(&files->lock);
        int r = 0;
        if (files->free_count)
                file->number = files->free[--files->free_count];
        else if (files->count < files->room)
                file->number = files->count++;
        else
                r = -ENFILE;
        if (!r) {
                files->places[file->number] = file;
                *number = file->number;
        }
        pthread_mutex_unlock(&files->lock);
        if (r < 0) {
                close(fd);
                free(file->entries);
                free(file);
        }
        return r;
}

int shared_file_borrow(struct shared_files *files, uint64_t number, struct shared_file **result)
{
        pthread_mutex_lock(&files->lock);
        struct shared_file *file = number < files->count ? files->places[number] : NULL;
        int r = file && !file->closed ? 0 : -EBADF;
        if (!r) {
                file->borrowed++;
                *result = file;
        }
        pthread_mutex_unlock(&files->lock);
        return r;
}

void shared_file_return(struct shared_files *files, struct shared_file *file)
{
        pthread_mutex_lock(&files->lock);
        file->borrowed--;
        release(files, file);
        pthread_mutex_unlock(&files->lock);
}

void shared_file_remove(struct shared_files *files, uint64_t number)
{
        pthread_mutex_lock(&files->lock);
        struct shared_file *file = number < files->count ? files->places[number] : NULL;
        if (file) {
                file->closed = true;
                release(files, file);
        }
        pthread_mutex_unlock(&files->lock);
}

void shared_files_close_all(struct shared_files *files)
{
        for (unsigned i = 0; i < files->count; i++)
                shared_file_remove(files, i);
}

void shared_files_close(struct shared_files *files)
{
        shared_files_close_all(files);
        free(files->places);
        free(files->free);
        pthread_mutex_destroy(&files->lock);
        free(files);
}

DEFINE_CLEANUP(files, struct shared_files, shared_files_close)

int shared_files_open(unsigned files_max, struct shared_files **result)
{
        _cleanup_(files) struct shared_files *files = calloc(1, sizeof(*files));
        if (!files)
                return -ENOMEM;
        pthread_mutex_init(&files->lock, NULL);
        files->places = calloc(files_max, sizeof(struct shared_file *));
        files->free = calloc(files_max, sizeof(unsigned));
        if (!files->places || !files->free)
                return -ENOMEM;
        files->room = files_max;
        *result = TAKE_PTR(files);
        return 0;
}

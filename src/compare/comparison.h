/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the files of a comparison share: the contestants, and the trials that are made with them.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/text.h"
#include "compare/compare.h"
#include "instance/vessel.h"

#define COMPARE_FOLDER "/.onggi-compare" /* where onggi-load's folder is mounted in an instance */
#define COMPARE_LOAD   "/.onggi-compare/onggi-load"

struct contestant {
        char *name; /* "container", "vm (kvm)" */
        const struct vessel *vessel;
        const char *engine; /* NULL: none */
        char *why;          /* this host cannot run it; NULL: it can */
        char idle[64];      /* name of its instance that only waits; "": none */
        char *idle_failure; /* why not */
};

/* The rate of a load where no vessel is around it. */
struct host_rate {
        double rate; /* operations a second */
        double cpu;  /* seconds of processor time an operation */
        bool measured;
};

enum load { LOAD_CPU, LOAD_CALLS, LOAD_IO, LOADS };

struct comparison {
        const struct compare_settings *settings;
        char *program;     /* onggi */
        char *load;        /* onggi-load on the host */
        char *load_folder; /* its folder */
        int signals;       /* signalfd: an interruption */
        unsigned number;   /* of the last name that was given */
        struct contestant *contestants;
        size_t count;
        struct host_rate host_rates[LOADS];
};

/* ---- trial.c: commands of onggi, run as a user would run them ---- */

struct trial {
        uint64_t first_output, end; /* ns after the start; first_output 0: none came */
        int exit_code;
        double cpu; /* seconds of processor time that its own processes took */
        char output[8192], errors[4096];
};

/* Runs a program to its end. -ETIMEDOUT after the settings' time-out, -EINTR. The exit status is for the caller to judge. */
int trial_program(const struct comparison *comparison, char *const *argv, struct trial *trial, struct error *err);
/* The same for `onggi WORDS…`. */
int trial_run(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err);
/* As trial_run(), but it is killed as soon as there is output. */
int trial_output(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err);
/* As trial_run(), but another status than 0 is an error with the command's own words. */
int trial_ok(const struct comparison *comparison, char *const *words, struct trial *trial, struct error *err);

/* Another one that runs beside, until it is ended by the end of its input. */
struct companion {
        pid_t pid;
        int input, output;
};
int companion_start(const struct comparison *comparison, char *const *words, struct companion *companion,
                    struct error *err);
/* Ends it and reads what it printed. */
int companion_end(struct companion *companion, char *output, size_t size, struct error *err);

/* ---- words.c: command lines ---- */

/* A new name for an instance. */
void comparison_name(struct comparison *comparison, char name[64]);
/* "run", the vessel's options and onggi-load's folder, then `options`, the image and `command` (NULL: none). To list_free(). */
int run_words(const struct comparison *comparison, const struct contestant *contestant, const char *name,
              char *const *options, char *const *command, char ***words, struct error *err);
/* The same with onggi-load's `work` as the program. */
int load_words(const struct comparison *comparison, const struct contestant *contestant, const char *name,
               char *const *options, const char *work, char ***words, struct error *err);
/* Removes the instance of that name, whatever it does. */
void remove_instance(const struct comparison *comparison, const char *name);

/* What the host's kernel could give to programs now. */
int available_memory(uint64_t *bytes, struct error *err); /* measure_memory.c */

/* ---- cells ---- */

/* {"text", "value", "unit"}; formatted text. */
void cell_set(json_t *cell, double value, const char *unit, const char *format, ...)
        __attribute__((format(printf, 4, 5)));
/* "12.3 ms", "1.42 s". */
const char *duration_text(double seconds, char text[32]);

/* ---- Measurements: each fills a cell, or fails with the reason why it is empty ---- */

typedef int measure(struct comparison *comparison, struct contestant *contestant, json_t *cell, struct error *err);

measure measure_kernel, measure_image, measure_kernel_files, measure_written; /* measure_disk.c */
measure measure_first_output, measure_ready;                                  /* measure_start.c */
measure measure_own_memory, measure_guest_memory, measure_instances;          /* measure_memory.c */
measure measure_cpu, measure_calls, measure_io;                               /* measure_load.c */
measure measure_fork_bomb, measure_memory_hog, measure_panic;                 /* measure_fault.c */

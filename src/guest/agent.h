/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a guest's agent (in onggi-init) and the host say to each other, over vsock (virtio 1.2, section 5.10).
 *
 * Four kinds of connections:
 *
 *   streams   The guest connects to the host (CID 2) at the ports that machine_config.h's `streams` gives: raw bytes of
 *             the main program, no frames. Half-close is the end of a stream. The guest ends the virtual machine after
 *             the host has closed its side of output streams whose end it has read, so that no byte is lost; until
 *             then the host keeps its side of them open (that of a terminal, too, whose input has no end).
 *   control   AGENT_CONTROL as the first frame. The guest answers with an AGENT_STATE at once and one at each change,
 *             until the last. The host may send AGENT_START, AGENT_SIGNAL, AGENT_WINDOW, AGENT_KILL_ALL and
 *             AGENT_SHUT_DOWN; each is answered by AGENT_DONE or AGENT_ERROR, in their order. Where machine_config.h's
 *             `control` gives a port, the guest connects to it first of all, and that connection is such a one without
 *             AGENT_CONTROL.
 *   exec      AGENT_EXEC as the first frame: answered by AGENT_STARTED or AGENT_ERROR. Then AGENT_INPUT from the host,
 *             AGENT_OUTPUT and AGENT_ERRORS from the guest, each ended by an empty one, and AGENT_EXIT as the last
 *             frame, after the output's ends. Signals and window sizes go over a control connection, where input that
 *             nobody reads does not hold them up. A hang-up of the host closes the program's streams, not the program.
 *   requests  AGENT_STATISTICS, AGENT_COPY_IN or AGENT_COPY_OUT as the first frame, one for each connection.
 *
 * After the last frame of a connection (AGENT_ENDED, AGENT_FAILED, AGENT_EXIT, an answer) the host closes it: then the
 * guest knows that it has arrived. It waits for that half a second at most.
 *
 * The guest listens at AGENT_PORT and takes connections of the host alone (CID 2). A frame is a struct agent_frame and
 * `length` bytes; numbers are little-endian, texts UTF-8 without a zero at the end. Either side may be hostile: whoever
 * reads a frame that is unknown, too long, too short, or out of turn closes the connection, and nothing else breaks.
 */
#pragma once

#include <stdint.h>

#define AGENT_PORT 1024

/* Ports of the host that onggi's own callers use; machine.json says which are there. */
#define AGENT_HOST_CONTROL  1024
#define AGENT_HOST_INPUT    1025
#define AGENT_HOST_OUTPUT   1026
#define AGENT_HOST_ERRORS   1027
#define AGENT_HOST_TERMINAL 1028

/* Bytes after a frame's head. */
#define AGENT_DATA_MAX     (64 * 1024)   /* AGENT_INPUT, AGENT_OUTPUT, AGENT_ERRORS, AGENT_TAR */
#define AGENT_DOCUMENT_MAX (1024 * 1024) /* JSON: AGENT_EXEC, AGENT_DOCUMENT */
#define AGENT_PATH_MAX     4095          /* AGENT_COPY_IN, AGENT_COPY_OUT */
#define AGENT_TEXT_MAX     1023          /* the text of AGENT_STATE and AGENT_ERROR */

#define AGENT_CONNECTIONS_MAX 64 /* at the agent at a time; more are closed at once */

struct agent_frame {
        uint32_t length; /* of what follows, at most as above */
        uint16_t type;   /* enum agent_type */
        uint16_t zero;
};

enum agent_type {
        /* From the host. */
        AGENT_CONTROL = 1,    /* nothing */
        AGENT_START = 2,      /* nothing: the main program, where machine.json's `start` is false */
        AGENT_SIGNAL = 3,     /* struct agent_signal */
        AGENT_WINDOW = 4,     /* struct agent_window */
        AGENT_SHUT_DOWN = 5,  /* nothing: whatever runs is killed, disks are synced, the machine ends at once */
        AGENT_EXEC = 6,       /* JSON: an OCI process object (runtime-spec config.md, section Process) */
        AGENT_INPUT = 7,      /* bytes for the program; none: their end */
        AGENT_STATISTICS = 8, /* nothing; answered by AGENT_DOCUMENT: what `onggi-runtime events --stats` prints */
        AGENT_COPY_IN = 9,    /* path of a folder in the image's root: AGENT_TAR from the host, then AGENT_DONE */
        AGENT_COPY_OUT =
                10, /* path of anything there: AGENT_TAR from the guest, then AGENT_DONE; links at its end stay links */
        AGENT_KILL_ALL = 11, /* struct agent_signal, process 0: to every process of the container; control connection */

        /* From either side. */
        AGENT_TAR = 32, /* part of a tar stream (POSIX pax); none: its end */

        /* From the guest. */
        AGENT_STATE = 64,   /* struct agent_state, and a text where it failed */
        AGENT_DONE = 65,    /* nothing */
        AGENT_ERROR = 66,   /* struct agent_error and its text */
        AGENT_STARTED = 67, /* struct agent_started */
        AGENT_OUTPUT = 68,
        AGENT_ERRORS = 69,   /* bytes of the program's two streams; none: the end. A terminal has AGENT_OUTPUT alone */
        AGENT_EXIT = 70,     /* struct agent_exit */
        AGENT_DOCUMENT = 71, /* JSON */
};

/* Which program a signal or a window size is for: 0 the main one, or as AGENT_STARTED said. */
struct agent_signal {
        uint32_t process, signal; /* of Linux on x86-64, 1 to 64 */
};

struct agent_window {
        uint32_t process;
        uint16_t rows, columns;
};

enum agent_state_number {
        AGENT_BOOTED = 1,  /* the agent listens; the container is being made */
        AGENT_CREATED = 2, /* waits for AGENT_START */
        AGENT_RUNNING = 3,
        AGENT_ENDED = 4,  /* `exit_code` is the main program's; the machine ends with it, as AGENT_EXIT_PORT says */
        AGENT_FAILED = 5, /* the main program could not be started; the text says why; exit_code as below */
};

struct agent_state {
        uint8_t state;
        uint8_t exit_code;     /* 128 + signal where one ended it; 125 where onggi itself failed */
        uint8_t out_of_memory; /* 1: the guest's kernel killed a program of the container for lack of memory */
        uint8_t zero;
};

struct agent_error {
        int32_t code; /* negative errno of Linux on x86-64 */
};

struct agent_started {
        uint32_t process; /* its number in the guest, not 0 */
};

struct agent_exit {
        uint32_t exit_code; /* 0 to 255 */
};

/* The last thing a guest does: its exit code as a byte to the machine's debug-exit port (machine/machine.h). */
#define AGENT_EXIT_PORT 0xf4

_Static_assert(sizeof(struct agent_frame) == 8 && sizeof(struct agent_signal) == 8 &&
                       sizeof(struct agent_window) == 8 && sizeof(struct agent_state) == 4,
               "frames have no padding");

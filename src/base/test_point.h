/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Named places at which a test can stop or kill a program, to see what the next command makes of what is left.
 *
 * ONGGI_TEST_STOP=<name> raises SIGSTOP at the point of that name, ONGGI_TEST_KILL=<name> raises SIGKILL. A name says
 * folder, noun and what has just been done: "image.blob.renamed". Both are ignored in a set-user-ID program.
 */
#pragma once

void test_point(const char *name);

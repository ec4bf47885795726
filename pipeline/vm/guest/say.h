/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the agent and the player share: JSON lines, one object a line.
 */
#ifndef SAY_H
#define SAY_H

#include <stddef.h>

/* The end of an output says why a program failed; a verifier's log before it is long. */
#define OUTPUT_MAX (16 * 1024)

/* The name of the program, for its last words. */
extern const char program[];

void die(const char *what);

/* Seconds since some time in the past. */
double now(void);

/* The line is built in memory: the object's beginning up to its kind, fields, and the text of
 * them; say() ends it and writes it at once, so that none is ever mixed. */
void begin_line(const char *kind);
void put(const char *format, ...);
void put_string(const char *text, size_t size);
void put_field(const char *name, const char *text);
void put_hello(void);
void say(int fd, const char *where);

#endif

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * JSON lines, and the last words of a program that cannot go on.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "say.h"

static char line[OUTPUT_MAX * 6 + 8192];
static size_t used;

void die(const char *what)
{
	fprintf(stderr, "%s: %s: %s\n", program, what, strerror(errno));
	exit(1);
}

double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1e9;
}

void put(const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(line + used, sizeof(line) - used, format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(line) - used) {
		errno = E2BIG;
		die("line");
	}
	used += n;
}

void put_string(const char *text, size_t size)
{
	put("\"");
	for (size_t i = 0; i < size; i++) {
		unsigned char c = text[i];

		if (c == '"' || c == '\\')
			put("\\%c", c);
		else if (c < 0x20 || c == 0x7f)
			put("\\u%04x", c);
		else
			put("%c", c);
	}
	put("\"");
}

void put_field(const char *name, const char *text)
{
	put(",\"%s\":", name);
	put_string(text, strlen(text));
}

void begin_line(const char *kind)
{
	put("{\"kind\":\"%s\"", kind);
}

void put_hello(void)
{
	struct utsname u;

	uname(&u);
	begin_line("hello");
	put_field("kernel", u.release);
}

void say(int fd, const char *where)
{
	size_t done = 0;

	put("}\n");
	while (done < used) {
		ssize_t n = write(fd, line + done, used - done);

		if (n < 0 && errno != EINTR && errno != EAGAIN)
			die(where);
		if (n > 0)
			done += n;
	}
	used = 0;
}

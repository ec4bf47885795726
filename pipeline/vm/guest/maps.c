/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a pinned map holds under a key, read by bpf(2) and not by a program of the package.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <glob.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "play.h"

#define CPUS_MAX 1024

static long bpf(int cmd, union bpf_attr *attr, size_t size)
{
	return syscall(SYS_bpf, cmd, attr, size);
}

/* The number of possible CPUs, from a list like "0-3,8": the last one tells. */
static int possible_cpus(void)
{
	char text[256] = "";
	FILE *f = fopen("/sys/devices/system/cpu/possible", "re");
	size_t n = f ? fread(text, 1, sizeof(text) - 1, f) : 0;
	char *last = text + n;

	if (f)
		fclose(f);
	while (last > text && !(last[-1] == '-' || last[-1] == ','))
		last--;
	return atoi(last) + 1;
}

static int is_per_cpu(unsigned int type)
{
	return type == BPF_MAP_TYPE_PERCPU_HASH || type == BPF_MAP_TYPE_PERCPU_ARRAY ||
	       type == BPF_MAP_TYPE_LRU_PERCPU_HASH;
}

struct kind {
	unsigned int type, key_size, value_size;
};

/* What a map is, from what the kernel says of its descriptor (Linux 4.9 has no other way). */
static struct kind kind_of(int fd)
{
	struct kind k = { 0 };
	char path[64], text[256];
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	f = fopen(path, "re");
	while (f && fgets(text, sizeof(text), f)) {
		sscanf(text, "map_type: %u", &k.type);
		sscanf(text, "key_size: %u", &k.key_size);
		sscanf(text, "value_size: %u", &k.value_size);
	}
	if (f)
		fclose(f);
	return k;
}

/* Return the number in a value that has fewer bytes than eight, perhaps. */
static unsigned long long number(const void *value, unsigned int size)
{
	unsigned int four;
	unsigned short two;

	if (size == 4)
		return memcpy(&four, value, 4), four;
	if (size == 2)
		return memcpy(&two, value, 2), two;
	return size == 1 ? *(const unsigned char *)value : *(const unsigned long long *)value;
}

/* Return the value under a key (hexadecimal) of the map that is pinned at the one path that
 * matches a pattern, summed up over the CPUs: 0 for a key that a hash does not hold, -1 if
 * there is no such map, or its value is not a number of 1, 2, 4 or 8 bytes. */
long long map_read(const char *pattern, const char *key)
{
	static unsigned long long values[CPUS_MAX];
	unsigned char bytes[64] = { 0 };
	struct kind kind;
	union bpf_attr get, look;
	long long sum = -1;
	glob_t found;
	int fd, n;

	for (n = 0; n < (int)sizeof(bytes) && key[2 * n]; n++)
		sscanf(key + 2 * n, "%2hhx", &bytes[n]);
	if (glob(pattern, GLOB_NOSORT, NULL, &found))
		return -1;
	memset(&get, 0, sizeof(get));
	get.pathname = (unsigned long)found.gl_pathv[0];
	/* Only as much of the attributes as the oldest kernel knows. */
	fd = found.gl_pathc == 1 ? bpf(BPF_OBJ_GET, &get, 16) : -1;
	globfree(&found);
	if (fd < 0)
		return -1;
	kind = kind_of(fd);
	if (kind.key_size > sizeof(bytes) || kind.value_size > sizeof(*values)) {
		close(fd);
		return -1;
	}
	memset(&look, 0, sizeof(look));
	memset(values, 0, sizeof(values));
	look.map_fd = fd;
	look.key = (unsigned long)bytes;
	look.value = (unsigned long)values;
	if (!bpf(BPF_MAP_LOOKUP_ELEM, &look, 32)) {
		n = is_per_cpu(kind.type) ? possible_cpus() : 1;
		for (sum = 0; n-- > 0;)
			sum += number(&values[n < CPUS_MAX ? n : 0], kind.value_size);
		if (sum < 0)
			sum = -1;
	} else if (errno == ENOENT) {
		sum = 0; /* a hash in which nothing was counted */
	}
	close(fd);
	return sum;
}

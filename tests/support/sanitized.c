/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What is linked into a tc with sanitizers. It lets AddressSanitizer see more, which knows only
 * memory that was allocated, and not how much mempcpy() copies; and it keeps broken objects from
 * taking the memory of the machine on whose kernel they are loaded.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <libelf.h>
#include <linux/bpf.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LARGEST_MAP (1ULL << 20)
#define ALL_MAPS (32ULL << 20)

Elf *__real_elf_begin(int fd, Elf_Cmd cmd, Elf *ref);

/* Without a map of the file, libelf allocates memory for each section. */
Elf *__wrap_elf_begin(int fd, Elf_Cmd cmd, Elf *ref)
{
	return __real_elf_begin(fd, cmd == ELF_C_READ_MMAP ? ELF_C_READ : cmd, ref);
}

void *__wrap_mempcpy(void *to, const void *from, size_t size)
{
	return (char *)memcpy(to, from, size) + size;
}

/* The kernel takes this memory at once, and counts it for no process. 64 bytes are more than it
 * adds to an entry; some types have a value for each processor.
 */
static bool is_too_large(const union bpf_attr *attr)
{
	static unsigned long long left = ALL_MAPS;
	unsigned long long entry = 64ULL + attr->key_size + attr->value_size;

	entry *= sysconf(_SC_NPROCESSORS_CONF);
	if (entry > LARGEST_MAP || attr->max_entries > LARGEST_MAP / entry ||
	    entry * attr->max_entries > left)
		return true;

	left -= entry * attr->max_entries;
	return false;
}

/* Both tc and libbpf call this one, which tc exports. */
long syscall(long number, ...)
{
	static long (*next)(long number, ...);
	long arg[6];
	va_list args;

	va_start(args, number);
	for (int i = 0; i < 6; i++)
		arg[i] = va_arg(args, long);
	va_end(args);

	if (number == __NR_bpf && arg[0] == BPF_MAP_CREATE &&
	    is_too_large((const union bpf_attr *)arg[1])) {
		errno = ENOMEM;
		return -1;
	}
	if (!next)
		next = dlsym(RTLD_NEXT, "syscall");
	return next(number, arg[0], arg[1], arg[2], arg[3], arg[4], arg[5]);
}

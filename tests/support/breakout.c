/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
/* What a hostile build tries to get out of its container: one line for each, its name and the
 * error ("ok" where it came through). For tests/adversary/test_leaving_the_container.py. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void told(const char *name, long result)
{
	printf("%s %s\n", name, result == -1 ? strerrorname_np(errno) : "ok");
	fflush(stdout);
}

static long touch(const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC | O_NONBLOCK, 0600);

	if (fd != -1)
		close(fd);
	return fd;
}

/* Harmless where it does come through: what is set is what was there, or nonsense. */
static long written(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	long done = fd == -1 ? -1 : write(fd, text, strlen(text));
	int kept = errno;

	if (fd != -1)
		close(fd);
	errno = kept;
	return done;
}

#ifdef __x86_64__
/* A call of 32-bit programs, from this one. */
static long compat(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	if (result < 0 && result > -4096) {
		errno = -result;
		return -1;
	}
	return result;
}
#endif

/* The classic: out of a chroot by a descriptor from before it. Tells whether "marker" is seen. */
static void chroots(const char *marker)
{
	pid_t child = fork();

	if (child == 0) {
		int out = open("/", O_RDONLY | O_DIRECTORY), i;

		mkdir("/tmp/jail", 0700);
		if (chroot("/tmp/jail") == -1 && chroot("/") == -1) {
			told("chroot", -1);
			_exit(0);
		}
		if (fchdir(out) == -1)
			_exit(1);
		for (i = 0; i < 64; i++)
			if (chdir("..") == -1)
				_exit(1);
		if (chroot(".") == -1)
			_exit(1);
		told("chroot", access(marker, F_OK));
		_exit(0);
	}
	waitpid(child, NULL, 0);
}

static void processes(void)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x10000, 1 };
	pid_t other = fork();

	if (other == 0)
		for (;;)
			pause();
	told("ptrace-another", ptrace(PTRACE_ATTACH, other, NULL, NULL));
	told("process_vm_readv", process_vm_readv(other, &here, 1, &there, 1, 0));
	told("pidfd_getfd", syscall(SYS_pidfd_getfd, syscall(SYS_pidfd_open, other, 0), 0, 0));
	told("kcmp", syscall(SYS_kcmp, getpid(), other, 2, 0, 0));
	kill(other, SIGKILL);
	waitpid(other, NULL, 0);
	told("ptrace-init", ptrace(PTRACE_ATTACH, 1, NULL, NULL));
	told("init-memory", touch("/proc/1/mem", O_RDWR));
	told("init-program", touch("/proc/1/exe", O_RDONLY));
	told("init-root", touch("/proc/1/root/etc", O_RDONLY | O_DIRECTORY));
	told("init-descriptors", touch("/proc/1/fd", O_RDONLY | O_DIRECTORY));
	told("init-environment", touch("/proc/1/environ", O_RDONLY));
}

static void mounts(void)
{
	told("mount-proc", mount("proc", "/tmp", "proc", 0, NULL));
	told("mount-tmpfs", mount("tmpfs", "/tmp", "tmpfs", 0, NULL));
	told("mount-bind", mount("/", "/tmp", NULL, MS_BIND, NULL));
	told("mount-remount", mount(NULL, "/proc", NULL, MS_REMOUNT | MS_BIND, NULL));
	told("umount", umount2("/proc", MNT_DETACH));
	told("pivot_root", syscall(SYS_pivot_root, "/", "/tmp"));
	told("fsopen", syscall(SYS_fsopen, "tmpfs", 0));
	told("open_tree", syscall(SYS_open_tree, AT_FDCWD, "/", 1));
	told("move_mount", syscall(SYS_move_mount, AT_FDCWD, "/proc", AT_FDCWD, "/tmp", 0));
	told("mount_setattr", syscall(442, AT_FDCWD, "/", 0, NULL, 0));
	told("mknod-disk", mknod("/tmp/disk", S_IFBLK | 0600, makedev(8, 0)));
	told("mknod-memory", mknod("/tmp/memory", S_IFCHR | 0600, makedev(1, 1)));
}

static void namespaces(void)
{
	char stack[4096];
	uint64_t arguments[8] = { CLONE_NEWUSER, 0, 0, 0, SIGCHLD };

	told("unshare-user", unshare(CLONE_NEWUSER));
	told("unshare-mounts", unshare(CLONE_NEWNS));
	told("unshare-network", unshare(CLONE_NEWNET));
	told("setns", setns(open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC), 0));
	told("clone-user", clone((int (*)(void *))exit, stack + sizeof stack,
				 CLONE_NEWUSER | SIGCHLD, NULL));
	told("clone3", syscall(SYS_clone3, arguments, sizeof arguments));
}

static void kernel(void)
{
	static char zeroes[256];
	struct timeval now;
	struct timespec clock;

	gettimeofday(&now, NULL);
	clock_gettime(CLOCK_REALTIME, &clock);

	told("bpf", syscall(SYS_bpf, 0, zeroes, sizeof zeroes));
	told("perf_event_open", syscall(SYS_perf_event_open, zeroes, 0, -1, -1, 0));
	told("userfaultfd", syscall(SYS_userfaultfd, 1));
	told("io_uring_setup", syscall(SYS_io_uring_setup, 1, zeroes));
	told("kexec_load", syscall(SYS_kexec_load, 0, 0, NULL, 0xdead));
	told("init_module", syscall(SYS_init_module, zeroes, sizeof zeroes, ""));
	told("finit_module", syscall(SYS_finit_module, 0, "", 0));
	told("delete_module", syscall(SYS_delete_module, "no such module", O_NONBLOCK));
	told("open_by_handle_at", syscall(SYS_open_by_handle_at, 0, zeroes, O_RDONLY));
	told("settimeofday", settimeofday(&now, NULL));
	told("clock_settime", clock_settime(CLOCK_REALTIME, &clock));
	told("swapon", syscall(SYS_swapon, "/no such file", 0));
	told("syslog", syscall(SYS_syslog, 3, zeroes, 10));
	told("reboot", syscall(SYS_reboot, 0xfee1dead, 672274793, 0xbad, NULL));
	told("acct", syscall(SYS_acct, "/no such file"));
	told("quotactl", syscall(SYS_quotactl, 0, NULL, 0, NULL));
	told("add_key", syscall(SYS_add_key, "user", "x", "x", 1, -3));
	told("keyctl", syscall(SYS_keyctl, 0, -3, 0));
	told("request_key", syscall(SYS_request_key, "user", "x", NULL, 0));
	told("a-call-of-tomorrow", syscall(700));
	told("sysctl", touch("/proc/sys/kernel/core_pattern", O_WRONLY));
	told("sysctl-forward", touch("/proc/sys/net/ipv4/ip_forward", O_WRONLY));
	told("sysrq", touch("/proc/sysrq-trigger", O_WRONLY));
	told("kcore", touch("/proc/kcore", O_RDONLY));
	told("never-out-of-memory", written("/proc/self/oom_score_adj", "-1000"));
	told("terminal", touch("/dev/tty", O_RDWR));
}

static void sockets(void)
{
	static const struct { const char *name; int family; int type; } all[] = {
		{ "socket-alg", 38, SOCK_SEQPACKET }, { "socket-vsock", 40, SOCK_STREAM },
		{ "socket-packet", AF_PACKET, SOCK_RAW }, { "socket-bluetooth", 31, SOCK_RAW },
		{ "socket-can", 29, SOCK_RAW }, { "socket-tipc", 30, SOCK_RDM },
	};
	unsigned i;

	for (i = 0; i < sizeof all / sizeof *all; i++)
		told(all[i].name, socket(all[i].family, all[i].type | SOCK_CLOEXEC, 0));
}

static void limits(void)
{
	struct rlimit more = { RLIM_INFINITY, RLIM_INFINITY };

	told("raise-processes", setrlimit(RLIMIT_NPROC, &more));
	told("raise-memory", setrlimit(RLIMIT_AS, &more));
	told("raise-file", setrlimit(RLIMIT_FSIZE, &more));
}

static void others(void)
{
#ifdef __x86_64__
	static char tmp[] = "/tmp", tmpfs[] = "tmpfs", user[] = "user";
	static long alg[] = { 38, SOCK_SEQPACKET, 0 };

	told("32-bit-mount", compat(21, (long)tmpfs, (long)tmp, (long)tmpfs));
	told("32-bit-unshare", compat(310, CLONE_NEWUSER, 0, 0));
	told("32-bit-bpf", compat(357, 0, 0, 0));
	told("32-bit-add_key", compat(286, (long)user, (long)user, 0));
	told("32-bit-ptrace", compat(26, PTRACE_ATTACH, 1, 0));
	told("32-bit-socket", compat(359, 38, SOCK_SEQPACKET, 0));
	told("32-bit-socketcall", compat(102, 1, (long)alg, 0));
	told("x32-mount", syscall(0x40000000 + SYS_mount, tmpfs, tmp, tmpfs, 0, 0));
#endif
}

/* What every build needs: it must come through. */
static void control(void)
{
	char file[64];
	int pair[2];

	told("control-fork", waitpid(fork() ?: (_exit(0), 0), NULL, 0));
	/* Each user's own: fs.protected_regular, which Debian sets, keeps even root from another's. */
	snprintf(file, sizeof(file), "/tmp/a file of %d", (int)geteuid());
	told("control-file", touch(file, O_RDWR | O_CREAT));
	told("control-socketpair", socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
	told("control-internet", socket(AF_INET, SOCK_STREAM, 0));
	told("control-pipe", pipe(pair));
	told("control-memfd", syscall(SYS_memfd_create, "x", 0));
}

int main(int argc, char **argv)
{
	control();
	if (argc > 1)
		chroots(argv[1]);
	processes();
	mounts();
	namespaces();
	kernel();
	sockets();
	others();
	limits();
	return 0;
}

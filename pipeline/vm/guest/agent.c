/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The smoke guest's agent: static, so that it runs in a root of any release, and it does
 * what the release's small root has no program for. Its results go as JSON lines over
 * a virtio port, one object a line, and nowhere else.
 *
 *   agent mount TYPE DIR              mount a kernel file system
 *   agent insmod FILE...              load kernel modules, in this order
 *   agent hello                       {"kind":"hello","kernel":…}
 *   agent run ID SECONDS COMMAND...   run it; {"kind":"ran","id":…,"status":…,"seconds":…,
 *                                     "late":…,"output":…}; status < 0: killed by a signal
 *   agent must ID SECONDS COMMAND...  the same, and if it fails: say done, end the guest
 *   agent ready                       {"kind":"ready"}
 *   agent take DIR                    take files from the host: a line "NAME SIZE" and the
 *                                     content of each, then a line "end"
 *   agent done                        {"kind":"done"}
 *   agent off                         end the guest
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "say.h"

#define PORT "/dev/vport0p1"
#define FILES "/dev/vport0p2"

const char program[] = "agent";

/* End the line and send it. */
static void send_line(void)
{
	int port = open(PORT, O_WRONLY | O_CLOEXEC);

	if (port < 0)
		die(PORT);
	say(port, PORT);
	close(port);
}

static int do_mount(char **args)
{
	mkdir(args[1], 0755);
	if (mount(args[0], args[1], args[0], 0, NULL) && errno != EBUSY)
		die(args[1]);
	return 0;
}

static int do_insmod(char **files)
{
	for (; *files; files++) {
		int fd = open(*files, O_RDONLY | O_CLOEXEC);

		if (fd < 0)
			die(*files);
		if (syscall(SYS_finit_module, fd, "", 0) && errno != EEXIST)
			die(*files);
		close(fd);
	}
	return 0;
}

static int do_hello(void)
{
	put_hello();
	send_line();
	return 0;
}

/* Keep the last OUTPUT_MAX bytes of what comes from fd; return 0 at its end. */
static int drain(int fd, char *buffer, size_t *size)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -1 : 0;
	if (*size + n > OUTPUT_MAX) {
		size_t drop = *size + n - OUTPUT_MAX;

		memmove(buffer, buffer + drop, *size - drop);
		*size -= drop;
	}
	memcpy(buffer + *size, chunk, n);
	*size += n;
	return n;
}

static pid_t start(char **command, int fds[2])
{
	pid_t child;

	if (pipe2(fds, O_CLOEXEC))
		die("pipe");
	fcntl(fds[0], F_SETFL, O_NONBLOCK);
	child = fork();
	if (child < 0)
		die("fork");
	if (child == 0) {
		setpgid(0, 0);
		dup2(open("/dev/null", O_RDONLY), 0);
		dup2(fds[1], 1);
		dup2(fds[1], 2);
		execvp(command[0], command);
		die(command[0]);
	}
	close(fds[1]);
	return child;
}

/* Return whether the command failed. */
static int run(char **args)
{
	static char output[OUTPUT_MAX];
	double begun = now(), deadline = begun + atof(args[1]);
	int fds[2], status = 0, late = 0;
	size_t size = 0;
	pid_t child = start(args + 2, fds);
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	/* A grandchild may keep the pipe open: the child's own end is what counts. */
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now() > deadline) {
			late = 1;
			kill(-child, SIGKILL);
			waitpid(child, &status, 0);
			break;
		}
		if (p.fd < 0)
			usleep(5000);
		else if (poll(&p, 1, 50) > 0 && drain(p.fd, output, &size) == 0)
			p.fd = -1;
	}
	while (p.fd >= 0 && drain(p.fd, output, &size) > 0)
		;
	begin_line("ran");
	put_field("id", args[0]);
	put(",\"status\":%d,\"seconds\":%.3f,\"late\":%s,\"output\":",
	    WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status),
	    now() - begun, late ? "true" : "false");
	put_string(output, size);
	send_line();
	return late || status;
}

static int do_ready(void)
{
	begin_line("ready");
	send_line();
	return 0;
}

/* One line from fd, without its end; a byte at a time, for what follows is not ours. */
static void take_line(int fd, char *text, size_t size)
{
	size_t n = 0;

	while (read(fd, text + n, 1) == 1 && text[n] != '\n')
		if (++n == size) {
			errno = E2BIG;
			die("take");
		}
	text[n] = '\0';
}

static void take_file(int fd, const char *path, size_t size)
{
	static char chunk[1 << 16];
	int out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	if (out < 0)
		die(path);
	while (size) {
		ssize_t n = read(fd, chunk, size < sizeof(chunk) ? size : sizeof(chunk));

		if (n <= 0 || write(out, chunk, n) != n)
			die(path);
		size -= n;
	}
	close(out);
}

static int do_take(const char *directory)
{
	int fd = open(FILES, O_RDONLY | O_CLOEXEC);
	char text[512], name[256], path[1024];
	size_t size;

	if (fd < 0)
		die(FILES);
	for (;;) {
		take_line(fd, text, sizeof(text) - 1);
		if (!strcmp(text, "end"))
			return 0;
		if (sscanf(text, "%255[^/ ] %zu", name, &size) != 2) {
			errno = EINVAL;
			die("take");
		}
		snprintf(path, sizeof(path), "%s/%s", directory, name);
		take_file(fd, path, size);
	}
}

static int do_done(void)
{
	begin_line("done");
	send_line();
	return 0;
}

static int do_off(void)
{
	sync();
	reboot(RB_AUTOBOOT);
	die("reboot");
	return 1;
}

int main(int argc, char **argv)
{
	const char *verb = argc > 1 ? argv[1] : "";
	char **args = argv + 2;

	if (!strcmp(verb, "mount") && argc == 4)
		return do_mount(args);
	if (!strcmp(verb, "insmod") && argc >= 2)
		return do_insmod(args);
	if (!strcmp(verb, "hello") && argc == 2)
		return do_hello();
	if (!strcmp(verb, "run") && argc >= 5)
		return run(args), 0;
	if (!strcmp(verb, "must") && argc >= 5)
		return run(args) ? do_done(), do_off() : 0;
	if (!strcmp(verb, "ready") && argc == 2)
		return do_ready();
	if (!strcmp(verb, "take") && argc == 3)
		return do_take(args[0]);
	if (!strcmp(verb, "done") && argc == 2)
		return do_done();
	if (!strcmp(verb, "off") && argc == 2)
		return do_off();
	errno = EINVAL;
	die("usage");
	return 2;
}

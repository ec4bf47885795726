/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The smoke test's player: plays a plan, one row of the matrix after the other, in a guest or
 * in namespaces of this machine. One process for all rows, because a process costs some 40 ms
 * in emulation; only the commands under test are processes of their own.
 *
 *   player PLAN RESULTS    PLAN is a file; RESULTS a file or device that takes JSON lines
 *
 * A plan's lines are fields between tabs; %XX in a field is a byte.
 *
 *   hello                          {"kind":"hello","kernel":…}
 *   path PATH                      the PATH of the commands
 *   row ID                         {"kind":"begun","id":…}; whatever the last row has
 *                                  attached or pinned is removed
 *   next ID                        the same, but what is attached and pinned stays
 *   files N                        the limit of open files for the commands of this row
 *   unload FILE                    the kernel's module in this file is unloaded until the row
 *                                  ends
 *   run ID SECONDS COMMAND...      {"kind":"ran","id":…,"status":…,"seconds":…,"late":…,
 *                                  "output":…}; status < 0: killed by a signal. After one
 *                                  that failed, the rest of the row is left out.
 *   why ID SECONDS COMMAND...      the same, but only after a run that the kernel's verifier
 *                                  ended: COMMAND asks for its whole log
 *   send ID WHERE N MARK HOPE [NAME=HOPE=KEY=PATTERN]...
 *                                  send N frames (WHERE: ingress, egress, routed,
 *                                  redirected, local), wait until what is hoped for is there, and
 *                                  at most a second: {"kind":"counted","id":…,"sent":…,
 *                                  "received":…,"maps":{NAME:…}}. KEY is hexadecimal,
 *                                  PATTERN (glob) names the pinned map; -1: cannot be read
 *   replay ID WHERE FILE MARK HOPE [NAME=HOPE=KEY=PATTERN]...
 *                                  the same with the frames of FILE (ingress or egress), each
 *                                  after its length, two bytes; all IPv4 frames that pass count
 *   try ID SECONDS N CHUNK DIRECTORY SECTION
 *                                  load DIRECTORY/0.o to DIRECTORY/N-1.o, CHUNK of them in one
 *                                  tc -batch: {"kind":"tried","id":…,"loaded":…,
 *                                  "refused":…,"crashed":[[object,signal]…]}
 *   end ID                         {"kind":"kernel","id":…,"log":…}: what the kernel said
 *   done                           {"kind":"done"}
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "play.h"

#define BPFFS "/sys/fs/bpf"
#define FIELDS_MAX 160
/* Seconds that a command has between SIGTERM and SIGKILL. */
#define GRACE 0.5

const char program[] = "player";

static int results, kernel_log;
static unsigned int files_limit;
/* Whether the last command failed because of the verifier. */
static int rejected;

/* Begin a line about a row or a command. */
static void begin(const char *kind, const char *id)
{
	begin_line(kind);
	put_field("id", id);
}

/* End the line and write it. */
static void end_line(void)
{
	say(results, "results");
}

/* -- commands -------------------------------------------------------------------------- */

struct ended {
	int status;
	int late;
	double seconds;
	size_t size;
	int failures; /* of a batch: lines that begin with "Command failed" */
	int whole;    /* of a batch: its last line was reached */
};

static char output[OUTPUT_MAX];

static void count_lines(const char *text, size_t size, struct ended *e)
{
	static char partial[256];
	static size_t n;

	for (size_t i = 0; i < size; i++) {
		if (text[i] != '\n') {
			if (n < sizeof(partial) - 1)
				partial[n++] = text[i];
			continue;
		}
		partial[n] = 0;
		n = 0;
		e->failures += !strncmp(partial, "Command failed", 14);
		e->whole |= !strncmp(partial, "qdisc clsact", 12);
	}
}

/* Keep the last OUTPUT_MAX bytes of what comes from fd; return 0 at its end. */
static int drain(int fd, struct ended *e)
{
	char chunk[4096];
	ssize_t n = read(fd, chunk, sizeof(chunk));

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? -1 : 0;
	count_lines(chunk, n, e);
	if (e->size + n > OUTPUT_MAX) {
		size_t drop = e->size + n - OUTPUT_MAX;

		memmove(output, output + drop, e->size - drop);
		e->size -= drop;
	}
	memcpy(output + e->size, chunk, n);
	e->size += n;
	return n;
}

static pid_t start(char **command, int fds[2])
{
	struct rlimit limit = { files_limit, files_limit };
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
		if (files_limit)
			setrlimit(RLIMIT_NOFILE, &limit);
		execvp(command[0], command);
		die(command[0]);
	}
	close(fds[1]);
	return child;
}

/* Run a command; it gets SIGTERM at its deadline, and SIGKILL if it does not mind that. */
static struct ended run(double seconds, char **command)
{
	struct ended e = { 0 };
	double begun = now(), deadline = begun + seconds;
	int fds[2], status = 0;
	pid_t child = start(command, fds);
	struct pollfd p = { .fd = fds[0], .events = POLLIN };

	/* A grandchild may keep the pipe open: the child's own end is what counts. */
	while (waitpid(child, &status, WNOHANG) == 0) {
		if (now() > deadline) {
			kill(-child, e.late ? SIGKILL : SIGTERM);
			deadline = now() + (e.late ? 60 : GRACE);
			e.late = 1;
		}
		if (p.fd < 0)
			usleep(1000);
		else if (poll(&p, 1, 1) > 0 && drain(p.fd, &e) == 0)
			p.fd = -1;
	}
	while (p.fd >= 0 && drain(p.fd, &e) > 0)
		;
	close(fds[0]);
	kill(-child, SIGKILL);
	e.status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
	e.seconds = now() - begun;
	return e;
}

/* Tell whether a failed command speaks of the verifier: the words of iproute2's own loader
 * (bpf_prog_report), and of libbpf. */
static int by_verifier(const struct ended *e)
{
	return e->status > 0 && (memmem(output, e->size, "Verifier analysis", 17) ||
				 memmem(output, e->size, "program load failed", 19));
}

static int do_run(char **args)
{
	struct ended e = run(atof(args[1]), args + 2);

	rejected = by_verifier(&e);
	begin("ran", args[0]);
	put(",\"status\":%d,\"seconds\":%.3f,\"late\":%s,\"output\":", e.status, e.seconds,
	    e.late ? "true" : "false");
	put_string(output, e.size);
	end_line();
	return e.late || e.status;
}

/* -- many objects ----------------------------------------------------------------------- */

static struct ended batch(double seconds, const char *directory, const char *section, int from,
			  int to)
{
	char file[512];
	char *command[] = { "tc", "-force", "-batch", file, NULL };
	FILE *f;

	snprintf(file, sizeof(file), "%s/batch", directory);
	f = fopen(file, "w");
	if (!f)
		die(file);
	for (int i = from; i < to; i++)
		fprintf(f, "filter replace dev " NEAR_NAME " ingress prio 1 handle 1 bpf "
			"direct-action object-file %s/%d.o section %s\n", directory, i, section);
	/* Seen in the output, it says that the batch was not left half-way. */
	fprintf(f, "qdisc show dev " NEAR_NAME "\n");
	if (fclose(f))
		die(file);
	return run(seconds, command);
}

static void do_try(char **args)
{
	int n = atoi(args[2]), chunk = atoi(args[3]), loaded = 0, refused = 0, crashes = 0;
	double seconds = atof(args[1]);

	begin("tried", args[0]);
	put(",\"crashed\":[");
	for (int from = 0; from < n; from += chunk) {
		int to = from + chunk < n ? from + chunk : n;
		struct ended e = batch(seconds, args[4], args[5], from, to);

		if (e.whole && e.status >= 0 && !e.late) {
			refused += e.failures;
			loaded += to - from - e.failures;
			continue;
		}
		/* One of them ended tc: each alone says which. */
		for (int i = from; i < to; i++) {
			e = batch(seconds, args[4], args[5], i, i + 1);
			if (e.status < 0 || e.late)
				put("%s[%d,%d]", crashes++ ? "," : "", i,
				    e.late ? 0 : -e.status);
			else if (e.failures || e.status)
				refused++;
			else
				loaded++;
		}
	}
	put("],\"loaded\":%d,\"refused\":%d", loaded, refused);
	end_line();
}

/* -- what was counted ------------------------------------------------------------------- */

struct wanted {
	const char *name;
	long long hope;
	const char *key;
	const char *pattern;
};


static struct wanted parse_wanted(char *text)
{
	struct wanted w = { .name = text };
	char *hope = strchr(text, '='), *key = strchr(hope + 1, '='), *at = strchr(key + 1, '=');

	*hope = *key = *at = 0;
	w.hope = atoll(hope + 1);
	w.key = key + 1;
	w.pattern = at + 1;
	return w;
}

static enum direction where(const char *word)
{
	static const char *const words[] = { "ingress", "egress", "routed", "redirected",
					     "local" };

	for (int i = 0; i < 5; i++)
		if (!strcmp(word, words[i]))
			return i;
	errno = EINVAL;
	die(word);
	return 0;
}

static void do_send(char **args, int n, int replay)
{
	int hope = atoi(args[4]), received = 0, maps = n - 5;
	struct wanted wanted[FIELDS_MAX];
	double until;
	struct traffic t;

	for (int i = 0; i < maps; i++)
		wanted[i] = parse_wanted(args[5 + i]);
	t = replay ? traffic_replay(where(args[1]), args[2]) :
		     traffic_send(where(args[1]), atoi(args[2]), atoi(args[3]));
	/* Frames are received in a softirq that may come after the sending call's return. */
	for (until = now() + 1;; usleep(1000)) {
		int there = 1;

		received += traffic_received(&t);
		for (int i = 0; there && i < maps; i++)
			there = map_read(wanted[i].pattern, wanted[i].key) == wanted[i].hope;
		if ((there && received == hope) || now() > until)
			break;
	}
	usleep(5000); /* one too many would come now */
	received += traffic_received(&t);
	traffic_end(&t);
	begin("counted", args[0]);
	put(",\"sent\":%d,\"received\":%d,\"maps\":{", t.sent, received);
	for (int i = 0; i < maps; i++) {
		put(i ? "," : "");
		put_string(wanted[i].name, strlen(wanted[i].name));
		put(":%lld", map_read(wanted[i].pattern, wanted[i].key));
	}
	put("}");
	end_line();
}

/* -- rows ------------------------------------------------------------------------------- */

static int unpin(const char *path, const struct stat *st, int type, struct FTW *at)
{
	(void)st;
	/* Directories stay: tc expects those that it made, and the links between them. */
	if (at->level > 0 && type == FTW_F)
		unlink(path);
	return 0;
}

#define UNLOADED_MAX 4

/* The files of the modules that this row does without; NULL follows the last. */
static char *unloaded[UNLOADED_MAX + 1];

static void do_unload(const char *file)
{
	const char *base = strrchr(file, '/') + 1;
	char name[64];
	int at = 0;

	snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, "."), base);
	while (unloaded[at])
		at++;
	if (at == UNLOADED_MAX) {
		errno = E2BIG;
		die(name);
	}
	/* What has used it may not be gone yet. */
	for (int tries = 0; syscall(SYS_delete_module, name, O_NONBLOCK); tries++) {
		if (errno != EAGAIN || tries > 100)
			die(name);
		usleep(10000);
	}
	unloaded[at] = strdup(file);
}

static void load_again(void)
{
	for (int i = 0; unloaded[i]; i++) {
		int fd = open(unloaded[i], O_RDONLY | O_CLOEXEC);

		if (fd < 0 || syscall(SYS_finit_module, fd, "", 0))
			die(unloaded[i]);
		close(fd);
		free(unloaded[i]);
		unloaded[i] = NULL;
	}
}

static void open_kernel_log(void)
{
	kernel_log = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);
	if (kernel_log >= 0)
		lseek(kernel_log, 0, SEEK_END);
}

static void do_end(const char *id)
{
	char record[8192];
	static char text[OUTPUT_MAX];
	size_t size = 0;
	ssize_t n;

	load_again();
	while (kernel_log >= 0) {
		n = read(kernel_log, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* some were overwritten meanwhile */
		if (n <= 0)
			break;
		record[n] = 0;
		/* "prefix;message\n KEY=value…" (Documentation/ABI/testing/dev-kmsg) */
		char *message = strchr(record, ';');
		size_t length = message ? strcspn(++message, "\n") : 0;

		if (size + length + 1 <= sizeof(text)) {
			memcpy(text + size, message, length);
			text[size + length] = '\n';
			size += length + 1;
		}
	}
	begin("kernel", id);
	put(",\"log\":");
	put_string(text, size);
	end_line();
}

static void do_row(const char *id, int keep)
{
	files_limit = rejected = 0;
	begin("begun", id);
	end_line();
	if (keep)
		return;
	net_reset();
	nftw(BPFFS, unpin, 16, FTW_PHYS | FTW_MOUNT);
}

static void decode(char *text)
{
	char *to = text;

	for (; *text; text++, to++) {
		unsigned int byte;

		*to = *text;
		if (*text == '%' && sscanf(text + 1, "%2x", &byte) == 1) {
			*to = byte;
			text += 2;
		}
	}
	*to = 0;
}

/* Play a line of the plan; return whether the rest of the row is to be left out. */
static int play(char *text)
{
	char *fields[FIELDS_MAX + 1] = { 0 };
	int n = 0;

	for (char *f; n < FIELDS_MAX && (f = strsep(&text, "\t")); n++) {
		decode(f);
		fields[n] = f;
	}
	if (!strcmp(fields[0], "hello") && n == 1) {
		put_hello();
		end_line();
	} else if (!strcmp(fields[0], "done") && n == 1) {
		begin_line("done");
		end_line();
	} else if (!strcmp(fields[0], "path") && n == 2)
		setenv("PATH", fields[1], 1);
	else if (!strcmp(fields[0], "row") && n == 2)
		do_row(fields[1], 0);
	else if (!strcmp(fields[0], "next") && n == 2)
		do_row(fields[1], 1);
	else if (!strcmp(fields[0], "files") && n == 2)
		files_limit = atoi(fields[1]);
	else if (!strcmp(fields[0], "unload") && n == 2)
		do_unload(fields[1]);
	else if (!strcmp(fields[0], "run") && n >= 4)
		return do_run(fields + 1);
	else if (!strcmp(fields[0], "why") && n >= 4) {
		if (rejected)
			do_run(fields + 1);
	} else if (!strcmp(fields[0], "send") && n >= 6)
		do_send(fields + 1, n - 1, 0);
	else if (!strcmp(fields[0], "replay") && n >= 6)
		do_send(fields + 1, n - 1, 1);
	else if (!strcmp(fields[0], "try") && n == 7)
		do_try(fields + 1);
	else if (!strcmp(fields[0], "end") && n == 2)
		do_end(fields[1]);
	else {
		errno = EINVAL;
		die(fields[0]);
	}
	return 0;
}

int main(int argc, char **argv)
{
	char *text = NULL;
	size_t room = 0;
	int failed = 0;
	ssize_t n;
	FILE *plan;

	if (argc != 3 || !(plan = fopen(argv[1], "re")))
		die(argc == 3 ? argv[1] : "usage: player PLAN RESULTS");
	results = open(argv[2], O_WRONLY | O_APPEND | O_CLOEXEC | O_CREAT, 0644);
	if (results < 0)
		die(argv[2]);
	open_kernel_log();
	net_make();
	while ((n = getline(&text, &room, plan)) > 0) {
		if (text[n - 1] == '\n')
			text[n - 1] = 0;
		if (!strncmp(text, "row\t", 4) || !strncmp(text, "next\t", 5) ||
		    !strncmp(text, "end\t", 4))
			failed = 0;
		if (!strncmp(text, "why\t", 4))
			play(text);
		else if (!failed)
			failed = play(text);
	}
	return 0;
}

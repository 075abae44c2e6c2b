/* SPDX-License-Identifier: ISC */
/*
 * stalk SECONDS: run as a guest's root, goes for every process that appears, by every way that leads into one:
 * its descriptors, its executable, its memory, ptrace(2), pidfd_getfd(2). Prints what it got hold of:
 *
 *	fd PID N TARGET		a descriptor that it could open anew
 *	exe PID TARGET		an executable that it could open for writing
 *	mem PID			its memory, for writing
 *	traced PID EXE		it stopped under ptrace, executing EXE
 *	stolen PID N TARGET	a descriptor copied out of it
 *
 * Processes that were there when it began, and what it started itself, are left alone.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PIDS = 4096, FDS = 64 };
static bool known[PIDS], told[PIDS][FDS + 4];

static const char *target(const char *path)
{
	static char text[256];
	ssize_t n = readlink(path, text, sizeof(text) - 1);

	text[n > 0 ? n : 0] = '\0';
	return text;
}

static void once(int pid, int what, const char *kind, const char *rest)
{
	if (told[pid][what])
		return;
	told[pid][what] = true;
	printf("%s %d %s\n", kind, pid, rest);
	fflush(stdout);
}

static void open_descriptors(int pid)
{
	char path[64], text[300];
	int pidfd = (int)syscall(434 /* pidfd_open */, pid, 0);

	for (int n = 0; n < FDS; n++) {
		int fd;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", pid, n);
		fd = open(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
		if (fd >= 0) {
			snprintf(text, sizeof(text), "%d %s", n, target(path));
			once(pid, n, "fd", text);
			close(fd);
		}
		fd = pidfd >= 0 ? (int)syscall(438 /* pidfd_getfd */, pidfd, n, 0) : -1;
		if (fd >= 0) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
			snprintf(text, sizeof(text), "%d %s", n, target(path));
			once(pid, n, "stolen", text);
			close(fd);
		}
	}
	if (pidfd >= 0)
		close(pidfd);
}

static void stalk(int pid)
{
	const char *exe;
	char path[64];
	int fd;

	open_descriptors(pid);
	snprintf(path, sizeof(path), "/proc/%d/exe", pid);
	fd = open(path, O_WRONLY);
	if (fd >= 0) {
		once(pid, FDS, "exe", target(path));
		close(fd);
	}
	snprintf(path, sizeof(path), "/proc/%d/mem", pid);
	fd = open(path, O_RDWR);
	if (fd >= 0) {
		once(pid, FDS + 1, "mem", "");
		close(fd);
	}
	if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0) {
		ptrace(PTRACE_INTERRUPT, pid, 0, 0);
		if (waitpid(pid, NULL, __WALL) == pid)
			open_descriptors(pid);
		snprintf(path, sizeof(path), "/proc/%d/exe", pid);
		exe = target(path);
		once(pid, strstr(exe, "vrun") ? FDS + 3 : FDS + 2, "traced", exe);
		ptrace(PTRACE_DETACH, pid, 0, 0);
	}
}

static void each(void (*f)(int))
{
	DIR *dir = opendir("/proc");
	struct dirent *e;

	while (dir && (e = readdir(dir))) {
		int pid = atoi(e->d_name);

		if (pid > 0 && pid < PIDS && pid != getpid() && !known[pid])
			f(pid);
	}
	if (dir)
		closedir(dir);
}

static void remember(int pid) { known[pid] = true; }

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 5);

	each(remember);
	puts("ready");
	fflush(stdout);
	while (time(NULL) < end)
		each(stalk);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * killat N COMMAND...          kills COMMAND when it enters its N-th system call
 * killat -o PID N COMMAND...   kills PID then, and lets COMMAND go on
 * killat -s PID N COMMAND...   kills PID when it enters its own N-th system call after COMMAND was started
 *
 * By SIGKILL, with ptrace(2), the process itself and none of its children. Prints how many system calls it saw: fewer
 * than N if whoever counts ended before that, and was let go. Its status is COMMAND's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void fail(const char *what)
{
	fprintf(stderr, "killat: %s: %s\n", what, strerror(errno));
	exit(99);
}

static void seize(pid_t pid)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACESYSGOOD))
		fail("seize");
}

/* Its parent need not have reaped it. */
static void kill_for_sure(pid_t pid)
{
	struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN };

	if (p.fd < 0 || kill(pid, SIGKILL))
		return;                 /* it is dead already */
	if (poll(&p, 1, 10000) != 1)
		fail("it doesn't die");
	close(p.fd);
}

/* Held until it is traced. */
static pid_t start(char **argv, int *go_fd)
{
	int fd[2];
	pid_t pid;
	char c;

	if (pipe(fd))
		fail("pipe");
	pid = fork();
	if (pid)
		return close(fd[0]), *go_fd = fd[1], pid;
	close(fd[1]);
	while (read(fd[0], &c, 1) < 0)
		;
	close(fd[0]);
	execvp(argv[0], argv);
	fail("exec");
	return -1;
}

/* One stop of the traced process; true if it is at the door of a system call. */
static bool entering(pid_t pid, int status, int *deliver)
{
	struct __ptrace_syscall_info info;
	int sig = WSTOPSIG(status);

	*deliver = 0;
	if (sig == (SIGTRAP | 0x80))
		return ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0 && info.op == 1 /* entry */;
	if (status >> 16 != PTRACE_EVENT_STOP)
		*deliver = sig;
	return false;
}

int main(int argc, char **argv)
{
	pid_t other = 0, traced, command;
	bool itself = argc > 1 && !strcmp(argv[1], "-s");
	int status = 0, deliver, go_fd, result = -1;
	unsigned long n, seen = 0;
	bool tracing = true;

	if (argc > 3 && (itself || !strcmp(argv[1], "-o"))) {
		other = atoi(argv[2]);
		argv += 2;
		argc -= 2;
	}
	if (argc < 3)
		return 99;
	n = strtoul(argv[1], NULL, 10);
	command = start(argv + 2, &go_fd);
	traced = itself ? other : command;
	seize(traced);
	ptrace(PTRACE_INTERRUPT, traced, 0, 0);
	if (waitpid(traced, &status, __WALL) != traced || !WIFSTOPPED(status))
		fail("interrupt");
	ptrace(PTRACE_SYSCALL, traced, 0, 0);
	close(go_fd);
	while (result < 0 || (itself && tracing)) {
		pid_t pid = waitpid(-1, &status, __WALL);

		if (pid < 0)
			break;
		if (WIFEXITED(status) || WIFSIGNALED(status)) {
			tracing &= pid != traced;
			if (pid == command) {
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
				if (itself && tracing && ptrace(PTRACE_INTERRUPT, traced, 0, 0))
					tracing = false;
			}
			continue;
		}
		if (result >= 0) {
			ptrace(PTRACE_DETACH, pid, 0, 0);
			break;
		}
		if (entering(pid, status, &deliver) && ++seen == n) {
			if (!other || itself) {
				kill(pid, SIGKILL);
			} else {
				kill_for_sure(other);
				ptrace(PTRACE_DETACH, pid, 0, 0);
				tracing = false;
			}
			continue;
		}
		ptrace(PTRACE_SYSCALL, pid, 0, deliver);
	}
	fprintf(stderr, "%lu\n", seen);
	return result;
}

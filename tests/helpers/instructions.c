/* SPDX-License-Identifier: ISC */
/*
 * instructions COMMAND...: runs COMMAND step by step and prints how many instructions it and its descendants
 * execute in user space, its descendants each
 * up to an exec: vrun's own, not COMMAND's. callgrind would count the same,
 * but valgrind 3.19 knows neither open_tree(2) nor fsopen(2), so no guest starts under it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX = 64 };
static struct { pid_t pid; int execs; } seen[MAX];

static int *execs_of(pid_t pid)
{
	for (int i = 0; i < MAX; i++) {
		if (seen[i].pid == pid)
			return &seen[i].execs;
		if (!seen[i].pid) {
			seen[i].pid = pid;
			return &seen[i].execs;
		}
	}
	return &seen[MAX - 1].execs;
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			     PTRACE_O_EXITKILL;
	long count = 0;
	int status, result = 0;
	pid_t first = fork(), pid;

	if (argc < 2 || first < 0)
		return 2;
	if (first == 0) {
		ptrace(PTRACE_TRACEME, 0, NULL, NULL);
		raise(SIGSTOP);
		execv(argv[1], argv + 1);
		_exit(127);
	}
	waitpid(first, &status, 0);
	ptrace(PTRACE_SETOPTIONS, first, NULL, options);
	ptrace(PTRACE_CONT, first, NULL, NULL);
	while ((pid = waitpid(-1, &status, __WALL)) > 0 || errno == EINTR) {
		int sig = WIFSTOPPED(status) ? WSTOPSIG(status) : 0, event = status >> 16;

		if (!WIFSTOPPED(status)) {
			if (pid == first)
				result = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
			continue;
		}
		if (event == PTRACE_EVENT_EXEC)
			++*execs_of(pid);
		else if (sig == SIGTRAP && !event)
			count++;
		if (sig == SIGTRAP || (sig == SIGSTOP && !event))
			sig = 0;
		/* The first process counts from its exec of vrun, the others from their birth to their first exec. */
		ptrace(pid != first && *execs_of(pid) > 0 ? PTRACE_CONT : PTRACE_SINGLESTEP, pid, NULL, sig);
	}
	printf("%ld\n", count);
	return result;
}

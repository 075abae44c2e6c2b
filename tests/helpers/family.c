/* SPDX-License-Identifier: ISC */
/* Runs a test file as the ancestor of all its processes: what loses its parent becomes a child of this one, so that
 * what a test leaves behind can be told from everything else that runs on the machine. VRUN_FAMILY is our pid. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	char number[16];
	int status = 0;

	snprintf(number, sizeof(number), "%d", (int)getpid());
	if (argc < 2 || prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || setenv("VRUN_FAMILY", number, 1) < 0)
		return 99;
	pid_t child = fork();

	if (child == 0) {
		execvp(argv[1], argv + 1);
		_exit(99);
	}
	/* timeout(1) tells the whole process group; the test file cleans up. */
	for (int sig = SIGHUP; sig <= SIGTERM; sig++)
		signal(sig, SIG_IGN);
	for (pid_t pid = 0; pid != child;) {
		pid = wait(&status);
		if (pid < 0)
			return 99;
	}
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

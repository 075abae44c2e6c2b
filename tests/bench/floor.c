/* SPDX-License-Identifier: ISC */
/*
 * floor ROOT COMMAND: the least that anyone could call a guest, as the measure for START's ratios: clone with a
 * mount, pid, uts and ipc namespace, bind the root, pivot, mount proc, exec, wait. No checks, no cleaning up but
 * the kernel's.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <stdio.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int must(long r, const char *what)
{
	if (r < 0) {
		perror(what);
		_exit(125);
	}
	return (int)r;
}

int main(int argc, char **argv)
{
	int status;
	pid_t pid;

	if (argc < 3)
		return 2;
	pid = (pid_t)must(syscall(SYS_clone, CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC | SIGCHLD, 0, 0, 0, 0),
			  "clone");
	if (pid == 0) {
		must(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), "private");
		must(mount(argv[1], argv[1], NULL, MS_BIND, NULL), "bind");
		must(chdir(argv[1]), "chdir");
		must(mount("proc", "proc", "proc", 0, NULL), "proc");
		must(syscall(SYS_pivot_root, ".", "."), "pivot_root");
		must(umount2(".", MNT_DETACH), "umount");
		execv(argv[2], argv + 2);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

/* SPDX-License-Identifier: ISC */
/* --seccomp FILE: what passes the check is what the kernel takes. The kernel itself is asked, in a child. */
#include "../../seccomp.c"
#include <sys/wait.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every return of the filter kills, so the child ends at its first call, whatever the program computes. */
static bool kernel_takes(const void *insns, size_t n)
{
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
		if (load(insns, n, 0) < 0)
			_exit(1);
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		abort();
	return WIFSIGNALED(status) || WEXITSTATUS(status) == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sock_filter insns[64];

	if (size > sizeof(insns))
		return 0;
	memcpy(insns, data, size);
	if (size >= sizeof(insns[0]) && size % sizeof(insns[0]) == 0) {
		struct sock_filter *last = &insns[size / sizeof(insns[0]) - 1];

		for (struct sock_filter *f = insns; f <= last; f++)
			if (BPF_CLASS(f->code) == BPF_RET)
				*f = (struct sock_filter){ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS };
		if (!prog_fault(insns, size) != kernel_takes(insns, size / sizeof(insns[0])))
			__builtin_trap();
	}
	return 0;
}

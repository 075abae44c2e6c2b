/* SPDX-License-Identifier: ISC */
/*
 * syscalls: tries what the default filter refuses, one line each: ABI, name, errno's name. The arguments are such
 * that the kernel itself, with all capabilities, answers something else and does nothing.
 */
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static void tell(const char *abi, const char *name, long err)
{
	const char *text = err == 0 ? "0" : err == EPERM ? "EPERM" : err == ENOSYS ? "ENOSYS" :
		err == EAFNOSUPPORT ? "EAFNOSUPPORT" : err == EFAULT ? "EFAULT" : err == EINVAL ? "EINVAL" :
		err == EBADF ? "EBADF" : NULL;

	if (text)
		printf("%s %s %s\n", abi, name, text);
	else
		printf("%s %s errno=%ld\n", abi, name, err);
}

static void native(const char *name, long nr, long a, long b, long c)
{
	long r = syscall(nr, a, b, c, 0, 0, 0);

	tell("native", name, r < 0 ? errno : 0);
	if (r > 2 && strncmp(name, "socket", 6) == 0)
		close((int)r);
}

#ifdef __x86_64__
static void ia32(const char *name, long nr, long a, long b, long c)
{
	long r;

	/* r8-r11 are lost on the way through the 32-bit entry. */
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(0L), "D"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	tell("ia32", name, (int)r < 0 ? -(int)r : 0);
	if ((int)r > 2 && strncmp(name, "socket", 6) == 0)
		close((int)r);
}

static void x32(const char *name, long nr)
{
	long r;

	__asm__ volatile("syscall" : "=a"(r) : "a"(nr | 0x40000000L), "D"(0L), "S"(0L), "d"(0L) : "memory", "rcx", "r11");
	tell("x32", name, r < 0 ? -r : 0);
}
#endif

int main(void)
{
	native("init_module", SYS_init_module, 1, 1, 1);
	native("finit_module", SYS_finit_module, -1, 0, 0);
	native("delete_module", SYS_delete_module, 1, 0, 0);
	native("kexec_load", SYS_kexec_load, 0, 1000, 0);
	native("kexec_file_load", SYS_kexec_file_load, -1, -1, 0);
	native("bpf", SYS_bpf, 9999, 1, 1);
	native("perf_event_open", SYS_perf_event_open, 1, 0, 0);
	native("userfaultfd", SYS_userfaultfd, 0x1000000, 0, 0);
	native("io_uring_setup", 425, 1, 1, 0);
	native("io_uring_enter", 426, -1, 0, 0);
	native("io_uring_register", 427, -1, 9999, 0);
	native("add_key", SYS_add_key, 1, 1, 1);
	native("request_key", SYS_request_key, 1, 1, 1);
	native("keyctl", SYS_keyctl, 9999, 0, 0);
	native("open_by_handle_at", SYS_open_by_handle_at, -1, 1, 0);
	native("swapon", SYS_swapon, 1, 0, 0);
	native("swapoff", SYS_swapoff, 1, 0, 0);
	native("acct", SYS_acct, 1, 0, 0);
	native("quotactl", SYS_quotactl, 0x7fffff00, 1, 0);
	native("quotactl_fd", 443, -1, 0, 0);
	native("syslog", SYS_syslog, 9999, 0, 0);
#ifdef __x86_64__
	native("iopl", SYS_iopl, 9, 0, 0);
	native("ioperm", SYS_ioperm, 0x10000, 1, 1);
	native("sysfs", SYS_sysfs, 99, 0, 0);
#endif
	native("file_setattr", 469, -1, 1, 1);
	native("ioctl", SYS_ioctl, -1, 0x401c5820, 0);
	native("ioctl", SYS_ioctl, -1, 0x5412, 0);
	native("ioctl", SYS_ioctl, -1, 0x541c, 0);
	native("ioctl", SYS_ioctl, -1, 0x5423, 0);
	native("ioctl-high-bits", SYS_ioctl, -1, 0x5412 | 1L << 32, 0);
	native("ioctl-high-bits", SYS_ioctl, -1, 0x541c | (long)0xffffffff00000000, 0);
	native("ioctl-other", SYS_ioctl, -1, 0x5401, 0);
	native("socket", SYS_socket, 40, 1, 0);
	native("socket", SYS_socket, 38, 5, 0);
	native("socket-high-bits", SYS_socket, 40 | 1L << 32, 1, 0);
	native("socketpair", SYS_socketpair, 38, 1, 0);
	native("socket-unix", SYS_socket, 1, 1, 0);
	native("socket-inet", SYS_socket, 2, 1, 0);
	native("clone", SYS_clone, CLONE_NEWUSER | CLONE_FS, 0, 0);
	native("unshare", SYS_unshare, CLONE_NEWUSER | 1, 0, 0);
	native("setns", SYS_setns, -1, CLONE_NEWUSER, 0);
	native("setns", SYS_setns, -1, 0, 0);
	native("setns-other", SYS_setns, -1, CLONE_NEWNS, 0);
	native("clone3", SYS_clone3, 1, 8, 0);
	native("newer", 4000, 0, 0, 0);
#ifdef __x86_64__
	ia32("getpid", 20, 0, 0, 0);
	ia32("init_module", 128, 1, 1, 1);
	ia32("bpf", 357, 9999, 1, 1);
	ia32("keyctl", 288, 9999, 0, 0);
	ia32("io_uring_setup", 425, 1, 1, 0);
	ia32("open_by_handle_at", 342, -1, 1, 0);
	ia32("syslog", 103, 9999, 0, 0);
	ia32("ioctl", 54, -1, 0x5412, 0);
	ia32("socket", 359, 40, 1, 0);
	ia32("clone", 120, CLONE_NEWUSER | CLONE_FS, 0, 0);
	ia32("unshare", 310, CLONE_NEWUSER | 1, 0, 0);
	ia32("setns", 346, -1, CLONE_NEWUSER, 0);
	ia32("clone3", 435, 1, 8, 0);
	x32("getpid", 39);
	x32("bpf", 321);
#endif
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * compat.h: what the C library or older kernel headers lack, and nothing else. Beside each: the Linux
 * version that brought it. No other file has an #ifdef for a kernel or libc.
 */
#ifndef COMPAT_H
#define COMPAT_H

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <linux/types.h>

#ifndef CLONE_NEWTIME
#define CLONE_NEWTIME 0x00000080                /* 5.6 */
#endif
#ifndef CLONE_NEWCGROUP
#define CLONE_NEWCGROUP 0x02000000              /* 4.6 */
#endif
#ifndef CLONE_PIDFD
#define CLONE_PIDFD 0x00001000                  /* 5.2 */
#endif
#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL        /* 5.7 */
#endif

/* The unified numbers (424 and up) are the same on every architecture but alpha. */
#ifndef __NR_pidfd_send_signal
#define __NR_pidfd_send_signal 424              /* 5.1 */
#endif
#ifndef __NR_open_tree
#define __NR_open_tree 428                      /* 5.2, with 429-433 */
#define __NR_move_mount 429
#define __NR_fsopen 430
#define __NR_fsconfig 431
#define __NR_fsmount 432
#define __NR_fspick 433
#endif
#ifndef __NR_pidfd_open
#define __NR_pidfd_open 434                     /* 5.3 */
#endif
#ifndef __NR_clone3
#define __NR_clone3 435                         /* 5.3 */
#endif
#ifndef __NR_close_range
#define __NR_close_range 436                    /* 5.9 */
#endif
#ifndef __NR_openat2
#define __NR_openat2 437                        /* 5.6 */
#endif
#ifndef __NR_pidfd_getfd
#define __NR_pidfd_getfd 438                    /* 5.6 */
#endif
#ifndef __NR_mount_setattr
#define __NR_mount_setattr 442                  /* 5.12 */
#endif
#ifndef __NR_listmount
#define __NR_listmount 458                      /* 6.8 */
#endif
#ifndef __NR_landlock_create_ruleset
#define __NR_landlock_create_ruleset 444        /* 5.13, with 445, 446 */
#define __NR_landlock_add_rule 445
#define __NR_landlock_restrict_self 446
#endif
#ifndef LANDLOCK_CREATE_RULESET_VERSION
#define LANDLOCK_CREATE_RULESET_VERSION 1
#endif
#ifndef LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET
#define LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET 1ULL        /* 6.12 */
#endif
#ifndef LANDLOCK_ACCESS_FS_REFER
#define LANDLOCK_ACCESS_FS_REFER (1ULL << 13)                   /* 5.19 */
#endif
enum { LANDLOCK_ABI_REFER = 2, LANDLOCK_ABI_SCOPE = 6, COMPAT_LANDLOCK_PATH_BENEATH = 1 };
struct compat_landlock_path_beneath { uint64_t allowed; int32_t fd; } __attribute__((packed));
struct compat_landlock_ruleset { uint64_t handled_access_fs, handled_access_net, scoped; };

#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#define OPEN_TREE_CLOEXEC O_CLOEXEC
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef MOVE_MOUNT_F_EMPTY_PATH
#define MOVE_MOUNT_F_EMPTY_PATH 0x00000004
#define MOVE_MOUNT_T_EMPTY_PATH 0x00000040
#endif
#ifndef FSOPEN_CLOEXEC
#define FSOPEN_CLOEXEC 1
#define FSMOUNT_CLOEXEC 1
#endif
#if !defined(FSCONFIG_SET_FLAG) && !defined(_LINUX_MOUNT_H) /* an enum there, which glibc 2.36 includes */
enum { FSCONFIG_SET_FLAG, FSCONFIG_SET_STRING, FSCONFIG_SET_BINARY, FSCONFIG_SET_PATH,
       FSCONFIG_SET_PATH_EMPTY, FSCONFIG_SET_FD, FSCONFIG_CMD_CREATE, FSCONFIG_CMD_RECONFIGURE };
#endif
#ifndef MOUNT_ATTR_RDONLY
#define MOUNT_ATTR_RDONLY 0x00000001
#define MOUNT_ATTR_NOSUID 0x00000002
#define MOUNT_ATTR_NODEV 0x00000004
#define MOUNT_ATTR_NOEXEC 0x00000008
#endif
#ifndef MOUNT_ATTR_IDMAP
#define MOUNT_ATTR_IDMAP 0x00100000             /* 5.12 */
#endif
#ifndef CLOSE_RANGE_UNSHARE
#define CLOSE_RANGE_UNSHARE 2                   /* 5.9 */
#define CLOSE_RANGE_CLOEXEC 4                   /* 5.11 */
#endif
#ifndef RESOLVE_NO_XDEV
#define RESOLVE_NO_XDEV 0x01
#define RESOLVE_NO_MAGICLINKS 0x02
#define RESOLVE_NO_SYMLINKS 0x04
#define RESOLVE_BENEATH 0x08
#define RESOLVE_IN_ROOT 0x10
#endif

/* ---- for seccomp.c: system calls that an architecture doesn't have are -1, which no rule is made for ---- */
#ifndef __NR_file_setattr
#if defined(__mips__) || defined(__alpha__)
#define __NR_file_setattr -1
#else
#define __NR_file_setattr 469                   /* 6.17 */
#endif
#endif
#ifndef __NR_quotactl_fd
#define __NR_quotactl_fd 443                    /* 5.14 */
#endif
#ifndef __NR_create_module
#define __NR_create_module -1
#endif
#ifndef __NR_query_module
#define __NR_query_module -1
#endif
#ifndef __NR_get_kernel_syms
#define __NR_get_kernel_syms -1
#endif
#ifndef __NR_kexec_file_load
#define __NR_kexec_file_load -1
#endif
#ifndef __NR_lookup_dcookie
#define __NR_lookup_dcookie -1                  /* until 6.8 */
#endif
#ifndef __NR_nfsservctl
#define __NR_nfsservctl -1                      /* until 3.1 */
#endif
#ifndef __NR_iopl
#define __NR_iopl -1
#endif
#ifndef __NR_ioperm
#define __NR_ioperm -1
#endif
#ifndef __NR_vm86
#define __NR_vm86 -1
#endif
#ifndef __NR_vm86old
#define __NR_vm86old -1
#endif
#ifndef __NR__sysctl
#define __NR__sysctl -1                         /* until 5.5 */
#endif
#ifndef __NR_uselib
#define __NR_uselib -1
#endif
#ifndef __NR_sysfs
#define __NR_sysfs -1
#endif
#ifndef __NR_setrlimit
#define __NR_setrlimit -1                       /* newer architectures have prlimit64 alone */
#endif
#ifndef __NR_socketcall
#define __NR_socketcall -1
#endif
#ifndef __NR_socket
#define __NR_socket -1
#define __NR_socketpair -1
#endif

/* The native ABI and the 32-bit one that its kernel runs too (0: none, or one whose numbers aren't known here);
 * NR32 picks the latter's number. */
#include <linux/audit.h>
#define COMPAT_X32_BIT 0
#define COMPAT_AUDIT_32 0
#define COMPAT_NR32(i386, arm) -1
#define COMPAT_ARM_NATIVE 0
#define COMPAT_ARM_32 0
#if defined(__x86_64__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_X86_64
#undef COMPAT_AUDIT_32
#define COMPAT_AUDIT_32 AUDIT_ARCH_I386
#undef COMPAT_X32_BIT
#define COMPAT_X32_BIT 0x40000000u
#undef COMPAT_NR32
#define COMPAT_NR32(i386, arm) i386
#elif defined(__aarch64__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_AARCH64
#undef COMPAT_AUDIT_32
#define COMPAT_AUDIT_32 AUDIT_ARCH_ARM
#undef COMPAT_NR32
#define COMPAT_NR32(i386, arm) arm
#undef COMPAT_ARM_32
#define COMPAT_ARM_32 1
#elif defined(__i386__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_I386
#elif defined(__arm__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_ARM
#undef COMPAT_ARM_NATIVE
#define COMPAT_ARM_NATIVE 1
#elif defined(__riscv) && __riscv_xlen == 64
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_RISCV64
#elif defined(__powerpc64__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_PPC64LE
#elif defined(__powerpc64__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_PPC64
#elif defined(__s390x__)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_S390X
#elif defined(__loongarch64)
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_LOONGARCH64
#elif defined(__mips64) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_MIPSEL64
#elif defined(__mips__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define COMPAT_AUDIT_NATIVE AUDIT_ARCH_MIPSEL
#else
#error "seccomp.c doesn't know this architecture: add its AUDIT_ARCH_ here"
#endif
#include <linux/seccomp.h>
#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)       /* 5.19 */
#endif
#ifndef SECCOMP_ADDFD_FLAG_SEND
#define SECCOMP_ADDFD_FLAG_SEND (1UL << 1)      /* 5.14 */
#endif
#ifndef SECCOMP_IOCTL_NOTIF_SET_FLAGS
#define SECCOMP_IOCTL_NOTIF_SET_FLAGS SECCOMP_IOW(4, __u64)     /* 6.6 */
#define SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP (1UL << 0)
#endif

/* s390 alone has clone(2)'s stack first. */
#ifdef __s390x__
#define COMPAT_CLONE_FLAGS_ARG 1
#else
#define COMPAT_CLONE_FLAGS_ARG 0
#endif

struct compat_clone_args {
	uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid,
		 set_tid_size, cgroup;
};
struct compat_open_how { uint64_t flags, mode, resolve; };
struct compat_mount_attr { uint64_t attr_set, attr_clr, propagation, userns_fd; };

/* Like fork(2): no new stack. *pidfd is filled when flags has CLONE_PIDFD. */
static inline pid_t sys_clone3(uint64_t flags, int *pidfd, int cgroup_fd, int exit_signal)
{
	struct compat_clone_args a = {
		.flags = flags, .pidfd = (uintptr_t)pidfd, .exit_signal = (uint64_t)exit_signal,
		.cgroup = cgroup_fd >= 0 ? (uint64_t)cgroup_fd : 0,
	};
	return (pid_t)syscall(__NR_clone3, &a, sizeof(a));
}
static inline int sys_openat2(int dir_fd, const char *path, uint64_t flags, uint64_t resolve)
{
	struct compat_open_how how = { .flags = flags, .resolve = resolve };
	return (int)syscall(__NR_openat2, dir_fd, path, &how, sizeof(how));
}
static inline int sys_open_tree(int dir_fd, const char *path, unsigned flags)
{
	return (int)syscall(__NR_open_tree, dir_fd, path, flags);
}
static inline int sys_move_mount(int from_fd, const char *from, int to_fd, const char *to, unsigned flags)
{
	return (int)syscall(__NR_move_mount, from_fd, from, to_fd, to, flags);
}
static inline int sys_mount_setattr(int dir_fd, const char *path, unsigned flags, const struct compat_mount_attr *a)
{
	return (int)syscall(__NR_mount_setattr, dir_fd, path, flags, a, sizeof(*a));
}
static inline int sys_fsopen(const char *type, unsigned flags)
{
	return (int)syscall(__NR_fsopen, type, flags);
}
static inline int sys_fsconfig(int fs_fd, unsigned cmd, const char *key, const void *value, int aux)
{
	return (int)syscall(__NR_fsconfig, fs_fd, cmd, key, value, aux);
}
static inline int sys_fsmount(int fs_fd, unsigned flags, unsigned attr)
{
	return (int)syscall(__NR_fsmount, fs_fd, flags, attr);
}
/* statx(2), 4.11; stx_mnt_id 5.8, one that is never given out again 6.8. The C library's struct has neither everywhere. */
struct compat_statx {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad;
	uint64_t ino, size, blocks, attributes_mask, times[8];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, spare[13];
};
#define COMPAT_STATX_MNT_ID 0x1000
#define COMPAT_STATX_MNT_ID_UNIQUE 0x4000
static inline int sys_statx(int dir_fd, const char *path, int flags, unsigned mask, struct compat_statx *st)
{
	return (int)syscall(__NR_statx, dir_fd, path, flags, mask, st);
}
static inline int sys_close_range(unsigned first, unsigned last, unsigned flags)
{
	return (int)syscall(__NR_close_range, first, last, flags);
}

#define COMPAT_PIDFD_THREAD O_EXCL              /* 6.9 */
static inline int sys_pidfd_open(pid_t pid, unsigned flags)
{
	return (int)syscall(__NR_pidfd_open, pid, flags);
}
static inline int sys_pidfd_send_signal(int pidfd, int sig)
{
	return (int)syscall(__NR_pidfd_send_signal, pidfd, sig, NULL, 0);
}
static inline int sys_pidfd_getfd(int pidfd, int fd)
{
	return (int)syscall(__NR_pidfd_getfd, pidfd, fd, 0);
}
/* listmount(2), 6.8: the ids of the mounts below one; how many there were, as far as there was room. */
static inline ssize_t sys_listmount(uint64_t mnt_id, uint64_t *ids, size_t room)
{
	const struct { uint32_t size, spare; uint64_t mnt_id, param; } ask = { sizeof(ask), 0, mnt_id, 0 };
	return syscall(__NR_listmount, &ask, ids, room, 0);
}
static inline int sys_pivot_root(const char *new_root, const char *put_old)
{
	return (int)syscall(__NR_pivot_root, new_root, put_old);
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * broker.c: what it makes of a call, with the kernel's part played here: memory that is the guest's, a status
 * file, a caller that goes away in the middle.
 */
#define process_vm_readv fake_readv
#define process_vm_writev fake_writev
#define read_at fake_read_at
#define host_proc_fd fake_proc_fd
#define ioctl fake_ioctl
#define sethostname fake_sethostname
#define setdomainname fake_setdomainname
#define socket fake_socket
#define socketpair fake_socketpair
#define setresuid fake_setresuid
#define setresgid fake_setresgid
#define capset fake_capset
#define prctl fake_prctl
#define getppid fake_getppid
#define syscall fake_syscall
#define openat fake_openat
#ifndef fstatat                         /* the fuzzer's */
#define fstatat fake_fstatat
#define OWN_FSTATAT
#endif
#include "../../broker.c"
#include <stdarg.h>

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static struct {
	char memory[256];               /* the guest's, at MEMORY */
	const char *status;
	int valid_for;                  /* how often ID_VALID still says yes */
	int reads, added, sockets;
	uid_t euid, euid_at_socket;
	uint32_t effective_at_socket, effective;
	char name[128];
	ssize_t name_len;
	long limited_pid, limited_resource;
	uint64_t limit[2];
	struct seccomp_notif_resp reply;
	bool below;                     /* the caller is in a user namespace below the guest's */
} world;
enum { MEMORY = 0x10000 };

ssize_t fake_readv(pid_t pid, const struct iovec *to, unsigned long n, const struct iovec *from, unsigned long m, unsigned long f)
{
	uintptr_t at = (uintptr_t)from->iov_base;

	(void)pid, (void)n, (void)m, (void)f;
	world.reads++;
	if (from->iov_len > sizeof(world.memory) || at < MEMORY || at - MEMORY > sizeof(world.memory) - from->iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(to->iov_base, world.memory + (at - MEMORY), from->iov_len);
	return (ssize_t)from->iov_len;
}

ssize_t fake_writev(pid_t pid, const struct iovec *from, unsigned long n, const struct iovec *to, unsigned long m, unsigned long f)
{
	uintptr_t at = (uintptr_t)to->iov_base;
	volatile char byte = 0;

	(void)pid, (void)n, (void)m, (void)f;
	for (size_t i = 0; i < from->iov_len; i++)
		byte = ((const char *)from->iov_base)[i];       /* the sanitizer looks */
	(void)byte;
	if (to->iov_len > sizeof(world.memory) || at < MEMORY || at - MEMORY > sizeof(world.memory) - to->iov_len) {
		errno = EFAULT;
		return -1;
	}
	memcpy(world.memory + (at - MEMORY), from->iov_base, to->iov_len);
	return (ssize_t)to->iov_len;
}

ssize_t fake_read_at(int dir_fd, const char *path, char *buf, size_t size)
{
	(void)dir_fd, (void)path;
	if (!world.status) {
		errno = ENOENT;
		return -1;
	}
	return snprintf(buf, size, "%s", world.status);
}

#ifdef __GLIBC__
typedef unsigned long ioctl_request;
#else
typedef int ioctl_request;      /* musl's, as POSIX has it */
#endif

int fake_ioctl(int fd, ioctl_request request, ...)
{
	va_list args;
	void *arg;

	(void)fd;
	va_start(args, request);
	arg = va_arg(args, void *);
	va_end(args);
	if ((unsigned)request == (unsigned)SECCOMP_IOCTL_NOTIF_ID_VALID)
		return world.valid_for-- > 0 ? 0 : (errno = ENOENT, -1);
	if ((unsigned)request == (unsigned)SECCOMP_IOCTL_NOTIF_SEND)
		memcpy(&world.reply, arg, sizeof(world.reply));
	if ((unsigned)request == (unsigned)SECCOMP_IOCTL_NOTIF_ADDFD)
		return 30 + world.added++;
	if ((unsigned)request == (unsigned)NS_GET_PARENT)
		return open("/", O_RDONLY | O_CLOEXEC);
	return 0;
}

static int set_name(const char *name, size_t len)
{
	memcpy(world.name, name, len);
	world.name_len = (ssize_t)len;
	return 0;
}

int fake_proc_fd(void) { return -1; }

/* The user namespaces: the caller's by openat, our own by fstatat. */
int fake_openat(int dir_fd, const char *path, int flags, ...)
{
	(void)dir_fd, (void)path;
	return open("/", flags | O_DIRECTORY);
}

#ifdef OWN_FSTATAT
int fake_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
	(void)dir_fd, (void)path, (void)flags;
	return stat(world.below ? "/proc" : "/", st);
}
#endif

int fake_sethostname(const char *name, size_t len) { return set_name(name, len); }
int fake_setdomainname(const char *name, size_t len) { return set_name(name, len); }
int fake_setresuid(uid_t r, uid_t e, uid_t s) { (void)r, (void)s; world.euid = e; return 0; }
int fake_setresgid(gid_t r, gid_t e, gid_t s) { (void)r, (void)e, (void)s; return 0; }
int fake_prctl(int option, ...) { (void)option; return 0; }
pid_t fake_getppid(void) { return 0; }

int fake_capset(cap_user_header_t head, const cap_user_data_t data)
{
	(void)head;
	world.effective = data[0].effective;
	return 0;
}

int fake_socket(int family, int type, int protocol)
{
	(void)family, (void)protocol;
	world.sockets++;
	world.euid_at_socket = world.euid;
	world.effective_at_socket = world.effective;
	return type & SOCK_CLOEXEC ? dup(0) : (errno = EINVAL, -1);
}

int fake_socketpair(int family, int type, int protocol, int fd[2])
{
	fd[0] = fake_socket(family, type, protocol);
	fd[1] = fake_socket(family, type, protocol);
	return fd[0] < 0 || fd[1] < 0 ? -1 : 0;
}

/* prlimit64 and syslog */
long fake_syscall(long nr, ...)
{
	va_list args;
	long a, b;
	void *c, *d;

	if (nr == __NR_pidfd_open || nr == __NR_pidfd_getfd)
		return dup(0);
	va_start(args, nr);
	if (nr == __NR_prlimit64) {
		a = va_arg(args, int), b = va_arg(args, unsigned);
		c = va_arg(args, void *), d = va_arg(args, void *);
		world.limited_pid = a, world.limited_resource = b;
		memcpy(world.limit, c, sizeof(world.limit));
		memset(d, 7, 16);
		a = 0;
	} else {
		a = va_arg(args, int);
		c = va_arg(args, void *);
		b = va_arg(args, int);
		if (a == SYSLOG_READ_ALL)
			memcpy(c, "log", b < 3 ? (size_t)b : 3);
		a = a == SYSLOG_READ_ALL ? (b < 3 ? b : 3) : 4096;
	}
	va_end(args);
	return a;
}

#define STATUS(uid, caps) "Name:\tx\nNStgid:\t4711\t12\nUid:\t7\t" uid "\t7\t7\nGid:\t8\t" uid "\t8\t8\nCapEff:\t" caps "\n"
static const char root_status[] = STATUS("655360", "00000000b04404fb"), user_status[] = STATUS("656360", "0000000000000000");
static struct broker guest = { .listener_fd = -1, .ccap = CCAP_SET_UTSNAME, .id_base = 655360 };

/* Returns the errno of the answer. */
static int call(uint32_t arch, int nr, uint64_t a0, uint64_t a1)
{
	struct seccomp_notif n = { .id = 5, .pid = 9, .data = { .nr = nr, .arch = arch, .args = { a0, a1 } } };

	memset(&world.reply, 0xff, sizeof(world.reply));
	answer(&guest, &n);
	return -world.reply.error;
}

static void fresh(const char *status, const char *memory)
{
	memset(&world, 0, sizeof(world));
	world.status = status;
	world.valid_for = 100;
	world.name_len = -1;
	strcpy(world.memory, memory);
}

static void names(void)
{
	const uint32_t here = COMPAT_AUDIT_NATIVE;

	fresh(root_status, "web1");
	check(call(here, __NR_sethostname, MEMORY, 4) == 0 && world.name_len == 4 && !memcmp(world.name, "web1", 4), "guest root sets the name");
	check(world.reads == 1 && world.reply.flags == 0 && world.reply.id == 5, "read once, not let through");
	fresh(user_status, "web1");
	check(call(here, __NR_sethostname, MEMORY, 4) == EPERM && world.name_len < 0, "a user of the guest doesn't");
	fresh(STATUS("0", "000001ffffffffff"), "web1");
	check(call(here, __NR_sethostname, MEMORY, 4) == EPERM, "nor does the host's root, who is nobody in the guest");
	fresh(NULL, "");
	check(call(here, __NR_sethostname, MEMORY, 4) == EPERM, "nor does one whose status can't be read");
	fresh("Name:\tx\nUid:\t7\n", "");
	check(call(here, __NR_sethostname, MEMORY, 4) == EPERM, "nor one whose status is cut");
	fresh(root_status, "x");
	check(call(here, __NR_sethostname, MEMORY, 65) == EINVAL && call(here, __NR_sethostname, MEMORY, UINT32_MAX) == EINVAL &&
	      call(here, __NR_sethostname, MEMORY, UINT64_C(0xffffffff)) == EINVAL && world.reads == 0, "the length is checked before the memory");
	check(call(here, __NR_sethostname, MEMORY, 0) == 0 && world.name_len == 0, "an empty name is one");
	check(call(here, __NR_sethostname, 1, 4) == EFAULT && call(here, __NR_sethostname, MEMORY + 255, 4) == EFAULT &&
	      call(here, __NR_sethostname, UINT64_MAX - 2, 4) == EFAULT, "a bad address is EFAULT");
	fresh(root_status, "x");
	world.valid_for = 1;
	check(call(here, __NR_sethostname, MEMORY, 1) == ESRCH && world.name_len < 0, "nothing happens for a caller that is gone after the copy");
	guest.ccap = 0;
	fresh(root_status, "x");
	check(call(here, __NR_setdomainname, MEMORY, 1) == EPERM, "without the ccap nobody does");
	guest.ccap = CCAP_SET_UTSNAME;
	check(call(here, __NR_getpid, 0, 0) == ENOSYS && call(here, -1, 0, 0) == ENOSYS && call(1, 74, MEMORY, 1) == ENOSYS, "no other call is answered");
}

static int call4(int nr, uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3)
{
	struct seccomp_notif n = { .id = 5, .pid = 9, .data = { .nr = nr, .arch = COMPAT_AUDIT_NATIVE, .args = { a0, a1, a2, a3 } } };

	memset(&world.reply, 0xff, sizeof(world.reply));
	answer(&guest, &n);
	return -world.reply.error;
}

static void ccaps(void)
{
	const uint64_t limit[2] = { 1000, 2000 };

	guest.ccap = CCAP_SYSLOG | CCAP_SET_RLIMIT;
	fresh(root_status, "");
	check(call4(__NR_syslog, 3, MEMORY, 100, 0) == 0 && world.reply.val == 3 && !memcmp(world.memory, "log", 3), "guest root reads the log");
	check(call4(__NR_syslog, 3, MEMORY, 2, 0) == 0 && world.reply.val == 2, "as much of it as it has room for");
	check(call4(__NR_syslog, 10, 0, 0, 0) == 0 && world.reply.val == 4096, "and its size");
	check(call4(__NR_syslog, 3, 5, 100, 0) == EFAULT && call4(__NR_syslog, 3, MEMORY, UINT32_MAX, 0) == EINVAL, "to where there is memory");
	for (uint64_t type = 0; type < 12; type++)
		if (type != 3 && type != 9 && type != 10)
			check(call4(__NR_syslog, type, MEMORY, 10, 0) == EPERM, "and nothing else of it");
	fresh(user_status, "");
	check(call4(__NR_syslog, 3, MEMORY, 100, 0) == EPERM, "a user doesn't");
	fresh(root_status, "");
	memcpy(world.memory, limit, sizeof(limit));
	check(call4(__NR_prlimit64, 0, 7, MEMORY, MEMORY + 32) == 0 && world.limited_pid == 9 && world.limited_resource == 7 &&
	      world.limit[0] == 1000 && world.limit[1] == 2000 && world.memory[32] == 7, "guest root sets its limits");
	check(call4(__NR_prlimit64, 12, 7, MEMORY, 0) == 0 && world.reply.flags == 0, "by its number in the guest, too");
	world.limited_pid = -1;
	check(call4(__NR_prlimit64, 4711, 7, MEMORY, 0) == 0 && world.reply.flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE &&
	      world.limited_pid == -1, "others' are the kernel's business");
	check(call4(__NR_setrlimit, 6, MEMORY, 0, 0) == 0 && world.limited_resource == 6 && world.limit[1] == 2000, "setrlimit does the same");
	fresh(user_status, "");
	memcpy(world.memory, limit, sizeof(limit));
	check(call4(__NR_prlimit64, 0, 7, MEMORY, 0) == 0 && world.reply.flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE, "and so are a user's");
#ifdef __x86_64__
	fresh(root_status, "");
	memcpy(world.memory, (uint32_t[]){ 5, UINT32_MAX }, 8);
	check(call(AUDIT_ARCH_I386, 75, 3, MEMORY) == 0 && world.limit[0] == 5 && world.limit[1] == UINT64_MAX, "the 32-bit ABI's infinity is one");
#endif
	fresh(root_status, "");
	guest.ccap = 0;
	check(call4(__NR_prlimit64, 0, 7, MEMORY, 0) == 0 && world.reply.flags == SECCOMP_USER_NOTIF_FLAG_CONTINUE &&
	      call4(__NR_syslog, 3, MEMORY, 9, 0) == EPERM, "without the ccap nobody does");
	guest.ccap = CCAP_SET_UTSNAME;
}

#ifdef __x86_64__
static void words(uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	const uint32_t w[4] = { a, b, c, d };

	memcpy(world.memory, w, sizeof(w));
}

static int sockets(const char *status, uint32_t which, uint32_t family, uint32_t type)
{
	fresh(status, "");
	words(family, type, 0, MEMORY + 64);
	return call(AUDIT_ARCH_I386, 102, which, MEMORY);
}

static uint32_t permitted(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	return capget(&head, data) < 0 ? 0 : data[0].permitted;
}

static void socketcalls(void)
{
	static const char caps[] = STATUS("0", "0000000000002000");
	int32_t pair[2];

	sockets(user_status, 1, AF_INET, SOCK_STREAM);
	check(world.added == 1 && world.sockets == 1 && world.reply.id != 5, "a socket is made and added, which answers the call");
	check(world.euid_at_socket == 656360 && world.euid == 0, "with the caller's user, for that moment");
	check(sockets(root_status, 1, AF_INET, SOCK_RAW) != 0 && world.effective_at_socket == 0, "in a user namespace with no capability");
	guest.id_base = 0;
	sockets(caps, 1, AF_INET, SOCK_RAW);
	check(world.effective_at_socket == (permitted() & 0x2000), "elsewhere with the caller's and no other");
	words(AF_INET, SOCK_RAW, 0, 0);
	world.below = true;
	call(AUDIT_ARCH_I386, 102, 1, MEMORY);
	check(world.sockets == 2 && world.effective_at_socket == 0, "but not with those over a user namespace of his own");
	guest.id_base = 655360;
	for (uint32_t f = 0; f < 64; f++) {
		int err = sockets(user_status, 1, f, SOCK_STREAM), both = sockets(user_status, 8, f, SOCK_STREAM);
		bool allowed = f == 0 || f == AF_UNIX || f == AF_INET || f == AF_INET6 || f == AF_NETLINK || f == AF_PACKET;

		if ((err == EAFNOSUPPORT) == allowed || (both == EAFNOSUPPORT) == allowed)
			check(false, "families are refused as by the filter");
	}
	check(sockets(user_status, 1, UINT32_MAX, 1) == EAFNOSUPPORT, "families are refused as by the filter");
	check(sockets(user_status, 8, AF_UNIX, SOCK_STREAM) == 0 && world.added == 2, "a pair is added");
	memcpy(pair, world.memory + 64, sizeof(pair));
	check(pair[0] == 30 && pair[1] == 31, "and its numbers are written where the caller asked");
	check(sockets(user_status, 3, AF_UNIX, 1) == EINVAL && world.reads == 0, "no other call of socketcall is answered");
	fresh(user_status, "");
	check(call(AUDIT_ARCH_I386, 102, 1, UINT64_C(0x100000000) + MEMORY) != EFAULT, "an address has 32 bits");
	check(call(AUDIT_ARCH_I386, 102, 1, 12) == EFAULT && world.sockets <= 1, "a bad address is EFAULT");
}
#endif

int main(void)
{
	names();
	ccaps();
#ifdef __x86_64__
	socketcalls();
#endif
	return failed;
}

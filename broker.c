/* SPDX-License-Identifier: ISC */
/*
 * broker.c: answers the system calls that the filter hands over.
 *
 * A process of its own, made by the supervisor when a call first waits, in the guest's cgroup tree but not among
 * its processes; root of the host, in the guest's uts and network namespaces. One thread, one loop: take a
 * notification, find the call's handler, do what it asks for in the guest's place, answer.
 *
 * What keeps this safe, as seccomp_unotify(2) demands:
 *  - Memory of the guest is copied once. Only after that copy NOTIF_ID_VALID tells that the caller is still the
 *    one who waits (its pid may have been given to another), and only the copy is looked at from there on.
 *  - Nothing is granted by letting a call through (CONTINUE): the guest would change in between what was read.
 *    It is done here, refused, or left to the kernel and the caller's own rights.
 *  - The broker is root, so every check that the kernel would make of the caller is made here: sethostname wants
 *    the guest's root, and a socket is made with the caller's user, group and capabilities.
 *
 * A guest can make it wait for ever, with a pointer into memory that it serves itself (userfaultfd is refused,
 * but there is FUSE): then its own brokered calls wait, and nothing else. The supervisor never touches the
 * guest's memory, and kills the broker at the guest's end.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <netinet/in.h>
#include <linux/kcmp.h>
#include <linux/netlink.h>
#include <linux/nsfs.h>
#include <linux/seccomp.h>
#include <unistd.h>
#include "compat.h"
#include "vrun.h"

#define BIT(cap) (UINT64_C(1) << (cap))
enum { UTS_LEN_MAX = 64 };              /* __NEW_UTS_LEN */
/* From a handler, beside 0 and an errno: ADDFD has sent the answer; or the kernel shall do the call. The latter
 * grants nothing: it asks the caller for all that it would have asked without vrun, whatever memory says by then. */
enum { ANSWERED = -1, LET_THROUGH = -2 };

struct request {
	const struct broker *broker;
	const struct seccomp_notif *notif;
	uint64_t arg[6];                /* as wide as the caller's ABI has them */
	int64_t value;                  /* what the call returns, where the handler returns 0 */
};

/* ---- the guest's memory, and who calls ---- */

static bool still_waits(const struct request *q)
{
	uint64_t id = q->notif->id;

	return ioctl(q->broker->listener_fd, SECCOMP_IOCTL_NOTIF_ID_VALID, &id) == 0;
}

/* 0 or an errno for the caller. */
static int guest_read(const struct request *q, uint64_t address, void *buf, size_t len)
{
	struct iovec here = { buf, len }, there = { (void *)(uintptr_t)address, len };

	if (len > 0 && process_vm_readv((pid_t)q->notif->pid, &here, 1, &there, 1, 0) != (ssize_t)len)
		return EFAULT;
	return still_waits(q) ? 0 : ESRCH;
}

static int guest_write(const struct request *q, uint64_t address, const void *buf, size_t len)
{
	struct iovec here = { (void *)(uintptr_t)buf, len }, there = { (void *)(uintptr_t)address, len };

	/* The check comes first: a write into a stranger can't be taken back. */
	if (!still_waits(q))
		return ESRCH;
	return process_vm_writev((pid_t)q->notif->pid, &here, 1, &there, 1, 0) == (ssize_t)len ? 0 : EFAULT;
}

struct caller { uid_t euid; gid_t egid; uint64_t effective; int guest_pid; };

/* The last number of "NStgid:\t4711\t12\n", which is the process id in the guest; -1 if there is none. */
static int innermost_pid(const char *text)
{
	const char *line = strstr(text, "\nNStgid:"), *end = line ? strchr(line + 1, '\n') : NULL;

	while (end && end > line && *end != '\t')
		end--;
	return end && end > line ? atoi(end) : -1;
}

/* A line's number after `skip` others. */
static bool field_of(const char *text, const char *name, int skip, int base, uint64_t *out)
{
	const char *at = strstr(text, name);
	char *end = NULL;

	if (!at)
		return false;
	at += strlen(name);
	for (; skip >= 0; skip--, at = end) {
		at += strspn(at, "\t ");
		*out = strtoull(at, &end, base);
		if (end == at || *at == '-' || *at == '+')
			return false;
	}
	return true;
}

/* From the text of /proc/PID/status (proc_pid_status(5)): ids as the host has them, effective capabilities. */
static bool parse_status(const char *text, struct caller *c)
{
	uint64_t euid, egid;

	if (!field_of(text, "\nUid:", 1, 10, &euid) || !field_of(text, "\nGid:", 1, 10, &egid) ||
	    !field_of(text, "\nCapEff:", 0, 16, &c->effective))
		return false;
	c->euid = (uid_t)euid;
	c->egid = (gid_t)egid;
	c->guest_pid = innermost_pid(text);
	return true;
}

static int read_caller(const struct request *q, struct caller *c)
{
	char path[32], text[8192];

	snprintf(path, sizeof(path), "%u/status", q->notif->pid);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) < 0 || !parse_status(text, c))
		return EPERM;
	return still_waits(q) ? 0 : ESRCH;
}

/*
 * Those that are the caller's over what is the guest's. With --ccap userns anybody may be in a user namespace below the
 * guest's, where he has all of them: over that alone. The guest's is a child of the host's; with --userns no, that itself.
 */
static uint64_t capabilities(const struct request *q, const struct caller *c)
{
	_cleanup_fd_ int fd = -1, parent_fd = -1;
	struct stat own, st;
	char path[32];

	if (!c->effective)
		return 0;
	snprintf(path, sizeof(path), "%u/ns/user", q->notif->pid);
	fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && q->broker->id_base)
		parent_fd = ioctl(fd, NS_GET_PARENT);
	if (fstat(q->broker->id_base ? parent_fd : fd, &st) < 0 || fstatat(host_proc_fd(), "self/ns/user", &own, 0) < 0)
		return 0;
	return st.st_ino == own.st_ino && still_waits(q) ? c->effective : 0;
}

/* ---- what it does in the caller's place ---- */

static void set_effective(uint64_t effective)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (capget(&head, data) < 0)
		die_sys("broker: capget");
	for (int i = 0; i < 2; i++)
		data[i].effective = (uint32_t)(effective >> (32 * i)) & data[i].permitted;
	if (capset(&head, data) < 0)
		die_sys("broker: capset");
}

/*
 * The caller's ids become the effective ones: they own what is made, and are what its other side is told. In a
 * user namespace the caller's capabilities count for nothing here, since the network belongs to the host's.
 */
static void become(const struct request *q, const struct caller *c)
{
	uint64_t effective = q->broker->id_base ? 0 : capabilities(q, c);       /* as root */

	if (setresgid(-1, c->egid, -1) < 0 || setresuid(-1, c->euid, -1) < 0)
		die_sys("broker: become the caller");
	set_effective(effective);
}

/* A change of ids disarms the parent-death signal and may make us dumpable (commit_creds); both are put right. */
static void guard_again(pid_t supervisor)
{
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		die_sys("broker: prctl");
	if (getppid() != supervisor)
		_exit(0);
}

/*
 * Whose files we would make now. Left as the last caller's, since most calls come from the same one and a change
 * costs more than all the rest; nothing but a socket's making may run with it.
 */
static struct { uid_t uid; gid_t gid; } fs_owner;

static void own_as(pid_t supervisor, uid_t uid, gid_t gid)
{
	if (fs_owner.uid == uid && fs_owner.gid == gid)
		return;
	setfsgid(gid);
	setfsuid(uid);
	fs_owner.uid = uid;
	fs_owner.gid = gid;
	guard_again(supervisor);
}

static void become_root(pid_t supervisor)
{
	if (setresuid(-1, 0, -1) < 0 || setresgid(-1, 0, -1) < 0)
		die_sys("broker: become root again");
	set_effective(UINT64_MAX);
	guard_again(supervisor);
}

static pid_t supervisor_pid;
static struct view view;
static size_t (*fill_sysinfo)(struct view *, void *, bool);
static void (*bind_source)(const struct net_state *, int, int);
static void (*steer)(const struct net_state *, int, const struct sockaddr *);

/* ---- handlers: 0, ANSWERED, LET_THROUGH or an errno ---- */

/*
 * A ccap of Linux-VServer's stands in for a capability that the process has and its context has not. In a guest of
 * vrun such a capability isn't even in the bound: being the guest's root takes its place.
 */
static bool is_granted(const struct request *q, const struct caller *c, unsigned ccap)
{
	return q->broker->ccap & ccap && c->euid == q->broker->id_base;
}

static int set_uts_name(struct request *q, int (*set)(const char *, size_t))
{
	int64_t len = (int32_t)q->arg[1];
	char name[UTS_LEN_MAX];
	struct caller c;
	int err = read_caller(q, &c);

	if (err)
		return err;
	if (!is_granted(q, &c, CCAP_SET_UTSNAME))
		return EPERM;
	if (len < 0 || len > UTS_LEN_MAX)
		return EINVAL;
	err = guest_read(q, q->arg[0], name, (size_t)len);
	if (err)
		return err;
	return set(name, (size_t)len) < 0 ? errno : 0;
}

static int on_sethostname(struct request *q)
{
	return set_uts_name(q, sethostname);
}

static int on_setdomainname(struct request *q)
{
	return set_uts_name(q, setdomainname);
}

enum { SYSLOG_READ_ALL = 3, SYSLOG_SIZE_UNREAD = 9, SYSLOG_SIZE_BUFFER = 10, LOG_MAX_BYTES = 4 << 20 };

/* dmesg, not klogd: what takes messages away from the host's logger, or changes its console, stays refused. */
static int on_syslog(struct request *q)
{
	int type = (int)q->arg[0], len = (int)q->arg[2], err;
	struct caller c;
	char *text;

	err = read_caller(q, &c);
	if (err)
		return err;
	if (!is_granted(q, &c, CCAP_SYSLOG))
		return EPERM;
	if (type == SYSLOG_SIZE_UNREAD || type == SYSLOG_SIZE_BUFFER) {
		q->value = syscall(__NR_syslog, type, NULL, 0);
		return q->value < 0 ? errno : 0;
	}
	if (type != SYSLOG_READ_ALL)
		return EPERM;
	if (len < 0)
		return EINVAL;
	len = len < LOG_MAX_BYTES ? len : LOG_MAX_BYTES;
	text = xmalloc((size_t)len + 1);
	q->value = syscall(__NR_syslog, type, text, len);
	err = q->value < 0 ? errno : guest_write(q, q->arg[1], text, (size_t)q->value);
	free(text);
	return err;
}

/*
 * The caller's own limits only; others' are left to the kernel, and so are callers other than root. The number is
 * the caller's while it waits. Should it be killed and its number given away within this moment, a stranger would
 * get the limits: prlimit(2) takes no pidfd.
 */
static int set_limit(struct request *q, int64_t pid, uint64_t resource, const uint64_t limit[2], uint64_t old_address)
{
	uint64_t old[2];
	struct caller c;
	int err = read_caller(q, &c);

	if (err)
		return err;
	if (!is_granted(q, &c, CCAP_SET_RLIMIT) || (pid != 0 && pid != c.guest_pid))
		return LET_THROUGH;
	if (syscall(__NR_prlimit64, (pid_t)q->notif->pid, (unsigned)resource, limit, old) < 0)
		return errno;
	return old_address ? guest_write(q, old_address, old, sizeof(old)) : 0;
}

static int on_prlimit(struct request *q)
{
	uint64_t limit[2];
	int err = guest_read(q, q->arg[2], limit, sizeof(limit));

	return err ? err : set_limit(q, (int32_t)q->arg[0], q->arg[1], limit, q->arg[3]);
}

static int on_setrlimit(struct request *q)
{
	uint64_t limit[2];
	uint32_t narrow[2];
	bool is_narrow = q->notif->data.arch != COMPAT_AUDIT_NATIVE || sizeof(long) == 4;
	int err = guest_read(q, q->arg[1], is_narrow ? (void *)narrow : limit, is_narrow ? sizeof(narrow) : sizeof(limit));

	for (int i = 0; is_narrow && !err && i < 2; i++)
		limit[i] = narrow[i] == UINT32_MAX ? UINT64_MAX : narrow[i];    /* RLIM_INFINITY of either width */
	return err ? err : set_limit(q, 0, q->arg[0], limit, 0);
}

static int on_sysinfo(struct request *q)
{
	unsigned char info[112];
	bool abi_32 = q->notif->data.arch != COMPAT_AUDIT_NATIVE || sizeof(long) == 4;
	size_t len = fill_sysinfo(&view, info, abi_32);

	return guest_write(q, q->arg[0], info, len);
}

/* ---- a network that only shows ---- */

static int host_net_fd = -1, view_sock_fd = -1;

static void enter_net(int ns_fd)
{
	if (setns(ns_fd, CLONE_NEWNET) < 0)
		die_sys("broker: change the network namespace");
}

/* Only IPv4 and IPv6 are the host stack's; all else is where the guest's own calls would make it. SOCK_PACKET is the old
 * word for AF_PACKET, whatever the family (net/socket.c). */
static bool is_host_stack(const uint32_t word[4])
{
	return (word[0] == AF_INET || word[0] == AF_INET6) && (word[1] & 0xf) != SOCK_PACKET;
}

/* netdevice(7): what asks; what sets, and what asks for more than addresses, is refused. struct ifreq is 40 bytes, and
 * 32 in the 32-bit ABI; all of these have their answer in the first 32. */
static bool is_interface_question(uint32_t cmd)
{
	static const uint16_t known[] = {
		SIOCGIFNAME, SIOCGIFFLAGS, SIOCGIFADDR, SIOCGIFDSTADDR, SIOCGIFBRDADDR, SIOCGIFNETMASK, SIOCGIFMETRIC,
		SIOCGIFMTU, SIOCGIFHWADDR, SIOCGIFINDEX, SIOCGIFTXQLEN,
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i] == cmd)
			return true;
	return false;
}

static int interface_question(struct request *q, uint32_t cmd)
{
	union { struct ifreq r; unsigned char bytes[32]; } u;
	int err;

	memset(&u, 0, sizeof(u));
	err = guest_read(q, q->arg[2], u.bytes, sizeof(u.bytes));
	if (err)
		return err;
	if (ioctl(view_sock_fd, cmd, &u.r) < 0)
		return errno;
	return guest_write(q, q->arg[2], u.bytes, sizeof(u.bytes));
}

/* SIOCGIFCONF: { int length; address of struct ifreq[] }. */
static int interface_list(struct request *q, bool abi_32)
{
	const size_t each = abi_32 ? 32 : sizeof(struct ifreq), head = abi_32 ? 8 : 16;
	unsigned char ask[16], out[64 * sizeof(struct ifreq)];
	struct ifreq list[64];
	struct ifconf c = { .ifc_len = sizeof(list), .ifc_req = list };
	uint64_t address = 0;
	int32_t room, len;
	int err = guest_read(q, q->arg[2], ask, head);

	if (err)
		return err;
	memcpy(&room, ask, sizeof(room));
	memcpy(&address, ask + (abi_32 ? 4 : 8), abi_32 ? 4 : 8);
	if (ioctl(view_sock_fd, SIOCGIFCONF, &c) < 0)
		return errno;
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(list[0]); i++)
		memcpy(out + i * each, &list[i], each);
	len = (int32_t)((size_t)c.ifc_len / sizeof(list[0]) * each);
	if (address) {
		if (room < 0)
			return EINVAL;
		len = len < room ? len : room - room % (int32_t)each;
		err = guest_write(q, address, out, (size_t)len);
		if (err)
			return err;
	}
	return guest_write(q, q->arg[2], &len, sizeof(len));
}

/* /proc/PID/fd is open to its owner alone, us without CAP_DAC_OVERRIDE included: the process's user, or if it is
 * undumpable the root of its user namespace. */
static int check_socket(const struct request *q)
{
	char path[48], link[32];
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "%u/fd", q->notif->pid);
	if (fstatat(host_proc_fd(), path, &st, 0) < 0)
		return EBADF;
	snprintf(path, sizeof(path), "%u/fd/%d", q->notif->pid, (int)q->arg[0]);
	own_as(supervisor_pid, st.st_uid, st.st_gid);
	n = readlinkat(host_proc_fd(), path, link, sizeof(link));
	own_as(supervisor_pid, 0, 0);
	if (n < 0)
		return EBADF;
	return n > 8 && !memcmp(link, "socket:[", 8) ? 0 : ENOTTY;
}

static int on_ioctl(struct request *q)
{
	bool abi_32 = q->notif->data.arch != COMPAT_AUDIT_NATIVE || sizeof(long) == 4;
	uint32_t cmd = (uint32_t)q->arg[1];
	int err = check_socket(q);

	if (err)
		return err;
	if (cmd == SIOCGIFCONF)
		return interface_list(q, abi_32);
	return is_interface_question(cmd) ? interface_question(q, cmd) : EPERM;
}

/* As the filter's rows for socket(2) have it. */
static bool is_family_allowed(uint32_t family)
{
	return family <= AF_INET || family == AF_INET6 || family == AF_NETLINK || family == AF_PACKET;
}

static int give_fd(const struct request *q, int fd, bool cloexec, unsigned flags)
{
	struct seccomp_notif_addfd add = {
		.id = q->notif->id, .flags = flags, .srcfd = (uint32_t)fd, .newfd_flags = cloexec ? O_CLOEXEC : 0,
	};

	return ioctl(q->broker->listener_fd, SECCOMP_IOCTL_NOTIF_ADDFD, &add);
}

/* Both ends are the guest's once they are added, even where the call fails afterwards: it would have to find them
 * by number, which it may do with any number anyway. */
static int give_pair(const struct request *q, const int fd[2], bool cloexec, uint32_t address)
{
	int32_t number[2];

	for (int i = 0; i < 2; i++) {
		number[i] = give_fd(q, fd[i], cloexec, 0);
		if (number[i] < 0)
			return errno;
	}
	return guest_write(q, address, number, sizeof(number));
}

enum { SOCKETCALL_SOCKET = 1, SOCKETCALL_BIND = 2, SOCKETCALL_SOCKETPAIR = 8 };        /* linux/net.h: SYS_SOCKET, .. */

static bool is_icmp(const uint32_t word[4])
{
	return (word[0] == AF_INET && word[2] == IPPROTO_ICMP) || (word[0] == AF_INET6 && word[2] == IPPROTO_ICMPV6);
}

/* Linux-VServer's raw_icmp: whoever has CAP_NET_RAW in the guest, or is its root, may have a raw socket for ICMP.
 * The address programs see to it that it sends from the guest's addresses only. */
static bool may_raw_icmp(const struct request *q, const struct caller *c, const uint32_t word[4])
{
	return (q->broker->ccap & CCAP_RAW_ICMP) && is_icmp(word) &&
		(word[1] & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK)) == SOCK_RAW &&
		(c->euid == q->broker->id_base || (capabilities(q, c) & BIT(CAP_NET_RAW)));
}

/* TCP and UDP, which no capability is asked for (inet_create): with the caller's ids on the inode, which fsuid and fsgid
 * give, it is the caller's. A fifth of what the general way costs. */
static bool is_plain(const uint32_t word[4])
{
	uint32_t type = word[1] & ~(uint32_t)(SOCK_CLOEXEC | SOCK_NONBLOCK);

	return (word[0] == AF_INET || word[0] == AF_INET6) && (type == SOCK_STREAM || type == SOCK_DGRAM) &&
		(word[2] == 0 || word[2] == IPPROTO_TCP || word[2] == IPPROTO_UDP);
}

/*
 * Nobody's memory is read and nothing is done to the caller but by ADDFD, which itself fails if it no longer waits:
 * so if its number was another's when we looked, the socket goes nowhere. The owner of /proc/PID is the process's
 * effective user and group, if it is undumpable, too (task_dump_owner() in the kernel's fs/proc/base.c).
 */
static int make_plain(struct request *q, const uint32_t word[4])
{
	struct stat st;
	char path[16];
	int fd, err;

	snprintf(path, sizeof(path), "%u", q->notif->pid);
	if (fstatat(host_proc_fd(), path, &st, 0) < 0)
		return ESRCH;
	if (q->broker->net_gone)
		return ENETDOWN;
	own_as(supervisor_pid, st.st_uid, st.st_gid);
	fd = socket((int)word[0], (int)(word[1] | SOCK_CLOEXEC), (int)word[2]);
	if (fd < 0)
		return errno;
	err = give_fd(q, fd, word[1] & SOCK_CLOEXEC, SECCOMP_ADDFD_FLAG_SEND) < 0 ? errno : ANSWERED;
	close(fd);
	return err;
}

/*
 * sock_diag(7) lists the sockets of a network namespace to everybody in it. In the guest's there are none of IPv4 and
 * IPv6; a socket of the host's would tell of everybody's, since nothing can be put between a netlink socket and its
 * owner: the filter sees the numbers of descriptors, which dup(2) changes, and what another process answers doesn't
 * come from port 0, the kernel's, which is all that libraries believe. So the question fails: the socket is of a
 * protocol that has no kernel side (NETLINK_USERSOCK), to send is ECONNREFUSED, and ss(8) reads /proc/net instead.
 * A socket(2) that fails would do as well, but ss complains then.
 */
static bool is_sock_diag(const struct broker *b, const uint32_t word[4])
{
	return b->net_view && word[0] == AF_NETLINK && word[2] == NETLINK_SOCK_DIAG;
}

/* word: family, type, protocol, and for a pair where its numbers go. */
static int make_socket(struct request *q, const uint32_t word[4], bool pair)
{
	bool cloexec = word[1] & SOCK_CLOEXEC, elsewhere, raw_icmp;
	int fd[2] = { -1, -1 }, protocol, err;
	struct caller c;

	err = read_caller(q, &c);
	if (err)
		return err;
	if (!is_family_allowed(word[0]) || (word[0] == AF_NETLINK && word[2] == NETLINK_CONNECTOR))
		return EAFNOSUPPORT;
	protocol = is_sock_diag(q->broker, word) ? NETLINK_USERSOCK : (int)word[2];
	elsewhere = q->broker->net_view && (pair || !is_host_stack(word));
	if (q->broker->net_gone && !elsewhere)
		return ENETDOWN;
	raw_icmp = !pair && may_raw_icmp(q, &c, word);
	if (elsewhere)
		enter_net(q->broker->net_fd);
	become(q, &c);
	if (raw_icmp)
		set_effective(BIT(CAP_NET_RAW));
	if (pair)
		err = socketpair((int)word[0], (int)(word[1] | SOCK_CLOEXEC), protocol, fd) < 0 ? errno : 0;
	else
		err = (fd[0] = socket((int)word[0], (int)(word[1] | SOCK_CLOEXEC), protocol)) < 0 ? errno : 0;
	become_root(supervisor_pid);
	if (elsewhere)
		enter_net(host_net_fd);
	/* No program is asked when such a socket sends, so nothing would choose the guest's address. */
	if (!err && !pair && is_icmp(word) && bind_source)
		bind_source(&q->broker->net, fd[0], (int)word[0]);
	if (!err && pair)
		err = give_pair(q, fd, cloexec, word[3]);
	else if (!err)
		err = give_fd(q, fd[0], cloexec, SECCOMP_ADDFD_FLAG_SEND) < 0 ? errno : ANSWERED;
	close_fd(&fd[0]);
	close_fd(&fd[1]);
	return err;
}

static int on_socket(struct request *q)
{
	uint32_t word[4] = { (uint32_t)q->arg[0], (uint32_t)q->arg[1], (uint32_t)q->arg[2] };

	if (is_plain(word))
		return make_plain(q, word);
	own_as(supervisor_pid, 0, 0);
	return make_socket(q, word, false);
}

/*
 * The descriptor that is the caller's number fd. A notification names a thread, and before Linux 6.9 pidfds are for
 * processes: they reach the first thread's descriptors, and a thread may have a table of its own (unshare(2)).
 */
static int callers_fd(const struct request *q, int fd)
{
	_cleanup_fd_ int pidfd = sys_pidfd_open((pid_t)q->notif->pid, COMPAT_PIDFD_THREAD);
	char path[32], text[8192];
	uint64_t tgid;

	if (pidfd < 0 && errno == EINVAL) {
		snprintf(path, sizeof(path), "%u/status", q->notif->pid);
		if (read_at(host_proc_fd(), path, text, sizeof(text)) < 0 || !field_of(text, "\nTgid:", 0, 10, &tgid))
			return -1;
		if (tgid != q->notif->pid && syscall(__NR_kcmp, (pid_t)tgid, (pid_t)q->notif->pid, KCMP_FILES, 0, 0) != 0)
			return -1;
		pidfd = sys_pidfd_open((pid_t)tgid, 0);
	}
	if (pidfd < 0 || !still_waits(q))
		return -1;
	return sys_pidfd_getfd(pidfd, fd);
}

static int socket_option(int fd, int level, int option)
{
	int value = -1;
	socklen_t len = sizeof(value);

	return getsockopt(fd, level, option, &value, &len) < 0 ? -1 : value;
}

static bool is_udp(int fd)
{
	int domain = socket_option(fd, SOL_SOCKET, SO_DOMAIN);

	return (domain == AF_INET || domain == AF_INET6) && socket_option(fd, SOL_SOCKET, SO_PROTOCOL) == IPPROTO_UDP;
}

/* Several guests on one UDP port need the table of listeners, into which no program can put a UDP socket. A bind
 * that is let through is judged by the address programs as any is; it only isn't steered. */
static int on_bind(struct request *q)
{
	union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } sa = { 0 }, name = { 0 };
	size_t len = (uint32_t)q->arg[2];
	socklen_t name_len = sizeof(name);
	_cleanup_fd_ int fd = callers_fd(q, (int)q->arg[0]);
	struct caller c;
	int err;

	if (fd < 0 || !is_udp(fd) || len < sizeof(sa.v4) || len > 128)
		return LET_THROUGH;
	len = len < sizeof(sa) ? len : sizeof(sa);
	err = guest_read(q, q->arg[1], &sa, len);
	if (err)
		return err;
	/* Port 0 is a client's, and may stay a wildcard. But when it connects, the kernel would choose the source: so it
	 * is bound to the first address after all, where there is a first one for all peers (not for dual stack). */
	if (!sa.v4.sin_port && sa.any.sa_family != AF_INET && !q->broker->net.v6_alone &&
	    socket_option(fd, IPPROTO_IPV6, IPV6_V6ONLY) != 1)
		return LET_THROUGH;
	err = read_caller(q, &c);
	if (err)
		return err;
	become(q, &c);
	err = bind(fd, &sa.any, (socklen_t)len) < 0 ? errno : 0;
	become_root(supervisor_pid);
	if (!err && !sa.v4.sin_port && getsockname(fd, &name.any, &name_len) == 0)
		sa.v4.sin_port = name.v4.sin_port;
	if (!err && steer && sa.v4.sin_port)
		steer(&q->broker->net, fd, &sa.any);
	return err;
}

/* i386's way to several calls: number and arguments in memory. */
static int on_socketcall(struct request *q)
{
	bool pair = q->arg[0] == SOCKETCALL_SOCKETPAIR, binds = q->arg[0] == SOCKETCALL_BIND;
	uint32_t word[4] = { 0 };
	int err;

	if (!pair && !binds && q->arg[0] != SOCKETCALL_SOCKET)
		return EINVAL;
	err = guest_read(q, q->arg[1], word, (pair ? 4 : 3) * sizeof(word[0]));
	if (err || !binds)
		return err ? err : make_socket(q, word, pair);
	for (int i = 0; i < 3; i++)
		q->arg[i] = word[i];
	return on_bind(q);
}

/* One row a brokered call; seccomp.c's row for it says when it is handed over. */
static const struct handler {
	int nr, nr32;
	int (*handle)(struct request *q);
} handlers[] = {
	{ __NR_sethostname, COMPAT_NR32(74, 74), on_sethostname },
	{ __NR_setdomainname, COMPAT_NR32(121, 121), on_setdomainname },
	{ __NR_syslog, COMPAT_NR32(103, 103), on_syslog },
	{ __NR_setrlimit, COMPAT_NR32(75, 75), on_setrlimit },
	{ __NR_prlimit64, COMPAT_NR32(340, 369), on_prlimit },
	{ __NR_socketcall, COMPAT_NR32(102, -1), on_socketcall },
	{ __NR_socket, COMPAT_NR32(359, 281), on_socket },
	{ __NR_bind, COMPAT_NR32(361, 282), on_bind },
	{ __NR_ioctl, COMPAT_NR32(54, 54), on_ioctl },
	{ __NR_sysinfo, COMPAT_NR32(116, 116), on_sysinfo },
};

/* ---- the loop ---- */

static int handle(struct request *q)
{
	const struct seccomp_data *call = &q->notif->data;
	bool native = call->arch == COMPAT_AUDIT_NATIVE;

	if (!native && (!COMPAT_AUDIT_32 || call->arch != COMPAT_AUDIT_32))
		return ENOSYS;
	for (int i = 0; i < 6; i++)
		q->arg[i] = native ? call->args[i] : (uint32_t)call->args[i];
	for (size_t i = 0; i < sizeof(handlers) / sizeof(handlers[0]); i++)
		if ((native ? handlers[i].nr : handlers[i].nr32) == call->nr && call->nr >= 0) {
			if (handlers[i].handle != on_socket)
				own_as(supervisor_pid, 0, 0);
			return handlers[i].handle(q);
		}
	return ENOSYS;
}

static void answer(const struct broker *b, const struct seccomp_notif *notif)
{
	struct request q = { .broker = b, .notif = notif };
	struct seccomp_notif_resp reply = { .id = notif->id };
	int err = handle(&q);

	if (err == ANSWERED)
		return;
	if (err == LET_THROUGH)
		reply.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
	reply.val = err ? 0 : q.value;
	reply.error = err == LET_THROUGH ? 0 : -err;
	/* ENOENT: killed, or interrupted, meanwhile. Nobody waits for this answer. */
	if (ioctl(b->listener_fd, SECCOMP_IOCTL_NOTIF_SEND, &reply) < 0 && errno != ENOENT)
		die_sys("broker: answer");
}

/* Since 6.11 a listener that nobody is left under gives ENOENT at once, and for ever. */
static bool is_hung_up(int listener_fd, int timeout_ms)
{
	struct pollfd p = { .fd = listener_fd, .events = timeout_ms ? POLLIN : 0 };

	return poll(&p, 1, timeout_ms) == 1 && p.revents & POLLHUP;
}

static void enter(int ns_fd, int type, const char *what)
{
	if (ns_fd >= 0 && setns(ns_fd, type) < 0)
		die_sys("broker: enter the guest's %s namespace", what);
}

/* Sockets are made in the host's network, where we are; what is shown is asked of a socket in the other. */
static void open_view(const struct broker *b)
{
	host_net_fd = openat(host_proc_fd(), "self/ns/net", O_RDONLY | O_CLOEXEC);
	if (host_net_fd < 0)
		die_sys("broker: open the host's network namespace");
	enter_net(b->net_fd);
	view_sock_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (view_sock_fd < 0)           /* a guest without IPv4: the rest that can be asked, any socket answers */
		view_sock_fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	enter_net(host_net_fd);
	if (view_sock_fd < 0)
		die_sys("broker: a socket in the guest's network");
}

/* All but 0-2 (for an error's text), the listener, the guest's cgroup and addresses, /proc, and what sysinfo(2) is
 * told from. */
static void close_rest(const struct broker *b)
{
	const struct view *v = &b->view;
	const int kept[] = { b->listener_fd, b->cgroup_fd, b->net.config_fd, b->net.steer_fd, host_proc_fd(), v->load_fd,
			     v->payload_fd, v->tasks_fd, v->memory.dir_fd, v->stats_fd,
			     b->net_view ? b->net_fd : -1, host_net_fd, view_sock_fd };
	int from = 3;

	for (;;) {
		int next = -1;

		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++)
			if (kept[i] >= from && (next < 0 || kept[i] < next))
				next = kept[i];
		if (next != from && sys_close_range((unsigned)from, next < 0 ? ~0U : (unsigned)next - 1, 0) < 0)
			die_sys("broker: close_range");
		if (next < 0)
			return;
		from = next + 1;
	}
}

/*
 * Kept: SYS_ADMIN for sethostname, SYS_PTRACE for the guest's memory, SETUID and SETGID to become a caller, and,
 * for raw ICMP, and for a guest whose capabilities are the host's, those that socket(2) and bind(2) ask for; and what
 * a ccap stands for.
 */
static void drop_rest(const struct broker *b)
{
	uint64_t kept = BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_PTRACE) | BIT(CAP_SETUID) | BIT(CAP_SETGID) |
			(b->id_base && !(b->ccap & CCAP_RAW_ICMP) ? 0 : BIT(CAP_NET_RAW)) |
			(b->id_base ? 0 : BIT(CAP_NET_BIND_SERVICE)) |
			(b->ccap & CCAP_SYSLOG ? BIT(CAP_SYSLOG) : 0) |
			(b->ccap & CCAP_SET_RLIMIT ? BIT(CAP_SYS_RESOURCE) : 0);
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (!(kept & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			die_sys("broker: drop a capability");
	if (capget(&head, data) < 0)
		die_sys("broker: capget");
	for (int i = 0; i < 2; i++) {
		data[i].permitted &= (uint32_t)(kept >> (32 * i));
		data[i].effective = data[i].permitted;
		data[i].inheritable = 0;
	}
	if (capset(&head, data) < 0)
		die_sys("broker: capset");
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die_sys("broker: prctl");
}

_Noreturn void broker_main(const struct broker *b, size_t (*sysinfo_of)(struct view *, void *, bool),
			   void (*bind_source_of)(const struct net_state *, int, int),
			   void (*steer_of)(const struct net_state *, int, const struct sockaddr *))
{
	union { struct seccomp_notif notif; char room[512]; } in;
	struct seccomp_notif_sizes sizes;

	supervisor_pid = getppid();
	fill_sysinfo = sysinfo_of;
	bind_source = bind_source_of;
	steer = steer_of;
	view = b->view;
	if (syscall(__NR_seccomp, SECCOMP_GET_NOTIF_SIZES, 0, &sizes) < 0 || sizes.seccomp_notif > sizeof(in) ||
	    sizes.seccomp_notif_resp > sizeof(struct seccomp_notif_resp))
		die("broker: this kernel's notifications have another size");
	enter(b->uts_fd, CLONE_NEWUTS, "uts");
	if (b->net_view)
		open_view(b);
	else
		enter(b->net_fd, CLONE_NEWNET, "network");
	close_rest(b);
	drop_rest(b);
	/* The answer wakes the caller on this CPU, as it waits for nothing else: 10 us a call instead of 140. */
	ioctl(b->listener_fd, SECCOMP_IOCTL_NOTIF_SET_FLAGS, SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP);
	/* And our own waking, when the caller has taken its descriptor, doesn't interrupt it: one switch a call less. */
	sched_setscheduler(0, SCHED_BATCH, &(struct sched_param){ 0 });
	for (;;) {
		/* Before 6.11 only poll(2) tells. The guest's own broker is ended with the guest, and needn't pay for that. */
		if (b->entered && is_hung_up(b->listener_fd, -1))
			_exit(0);
		memset(&in, 0, sizeof(in));     /* the kernel demands it */
		if (ioctl(b->listener_fd, SECCOMP_IOCTL_NOTIF_RECV, &in) == 0) {
			answer(b, &in.notif);
			continue;
		}
		if (errno == ENOENT && is_hung_up(b->listener_fd, 0))
			_exit(0);
		if (errno != ENOENT && errno != EINTR)
			die_sys("broker: receive");
	}
}

/* SPDX-License-Identifier: ISC */
/*
 * seccomp.c: which system calls the guest doesn't have.
 *
 * One table, a row a rule: the numbers of both ABIs, an argument's range if the rule hangs on one, what happens,
 * when the rule is there, and why (the manual prints that). seccomp_compile turns it into one classic BPF
 * program; it is pure, and the unit test interprets its output for every row.
 *
 * One program holds the deny list and the calls that the broker answers: a call that isn't decided by its number
 * alone runs through every program that is loaded, so a second one would cost there. A call that is decided by
 * its number costs nothing at all: at load time the kernel runs the program for each number and remembers those
 * that are allowed whatever the arguments (Linux 5.11, kernel/seccomp.c: seccomp_cache_prepare). Hence the shape:
 * branch on the ABI, then a binary search by number, arguments only in the leaves.
 *
 *	if arch == native: search(intervals of its numbers; x32 is the last)
 *	if arch == the machine's 32-bit ABI: search(its intervals)
 *	ENOSYS
 *
 * Some rules are no part of the default list but what other promises rest on: no capability over a kernel that
 * SYS_BOOT could replace, no sockets that the IP layer's hooks don't see, no user namespace (in one of its own
 * the guest could mount). Those hold with --seccomp none too. Loaded while guest init still has all capabilities
 * in its user namespace, so that no_new_privs isn't needed and setuid programs keep working in the guest.
 *
 * Only the low 32 bits of an argument are looked at, as the kernel does with int and unsigned int: ioctl(fd,
 * TIOCSTI | 1 << 32) is TIOCSTI (CVE-2019-7303).
 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/netlink.h>
#include <linux/seccomp.h>
#include <unistd.h>
#include "compat.h"
#include "vrun.h"

enum { INSNS_MAX = 4096, NO_CAP = -1, ANY = -1 };

enum when {
	BY_DEFAULT,             /* the deny list: gone with --seccomp none */
	ALWAYS,                 /* something else rests on it */
	NO_USERNS,              /* always, unless --ccap userns */
	CCAP_ONLY,              /* with the ccap in .ccap: a brokered call */
	IP_LAYER,               /* always, but for --ip host, where there is nothing to keep to */
	VIEW_ONLY,              /* with --virt mem or load */
	NET_VIEW,               /* with --hide net and --ip ADDR */
	ICMP_ONLY,              /* with --ip ADDR and the ccap raw_icmp */
	STEERED_ONLY,           /* with several addresses */
};

struct rule {
	const char *name;
	int nr, nr32;
	int8_t arg;                     /* ANY, or the argument whose low 32 bits & mask are in [from, to] */
	uint32_t mask, from, to;
	uint16_t error;                 /* 0: the broker answers */
	uint8_t when;
	int8_t unless_cap;              /* --userns no --cap-add of it takes the rule away */
	uint16_t ccap;
	const char *why;
};

/* `NONE`: an ABI that never had the call. */
#define NONE -1
#define CALL(name, i386, arm) #name, __NR_##name, COMPAT_NR32(i386, arm)
#define DENY(name, i386, arm, err, cap, why) { CALL(name, i386, arm), ANY, 0, 0, 0, err, BY_DEFAULT, cap, 0, why }
#define KEEP(name, i386, arm, err, why) { CALL(name, i386, arm), ANY, 0, 0, 0, err, ALWAYS, NO_CAP, 0, why }
#define DENY_IOCTL(cmd, err, why) \
	{ CALL(ioctl, 54, 54), 1, UINT32_MAX, cmd, cmd, err, BY_DEFAULT, NO_CAP, 0, why }
#define FAMILIES(name, i386, arm, from, to, why) \
	{ CALL(name, i386, arm), 0, UINT32_MAX, from, to, EAFNOSUPPORT, IP_LAYER, NO_CAP, 0, why }
/* A ring makes sockets, too, of any family. */
#define NO_RING(name, nr) { CALL(name, nr, nr), ANY, 0, 0, 0, ENOSYS, IP_LAYER, NO_CAP, 0, RING }
#define KEEP_USERNS(name, i386, arm, arg, mask, err, why) \
	{ CALL(name, i386, arm), arg, mask, mask ? 1 : 0, mask, err, NO_USERNS, NO_CAP, 0, why }
#define BROKER(name, i386, arm, ccap, why) \
	{ CALL(name, i386, arm), ANY, 0, 0, 0, 0, CCAP_ONLY, NO_CAP, ccap, why }
/* Low 32 bits that are 0 of a pointer that isn't NULL: the kernel decides, without the ccap. */
#define BROKER_IF_SET(name, i386, arm, arg, ccap, why) \
	{ CALL(name, i386, arm), arg, UINT32_MAX, 1, UINT32_MAX, 0, CCAP_ONLY, NO_CAP, ccap, why }
#define BROKER_SOCKETCALL(number, why) \
	{ CALL(socketcall, 102, NONE), 0, UINT32_MAX, number, number, 0, IP_LAYER, NO_CAP, 0, why }

#define BROKER_ICMP(protocol, why) \
	{ CALL(socket, 359, 281), 2, UINT32_MAX, protocol, protocol, 0, ICMP_ONLY, NO_CAP, 0, why }

#define BROKER_BIND(name, i386, arm, why) \
	{ CALL(name, i386, arm), ANY, 0, 0, 0, 0, STEERED_ONLY, NO_CAP, 0, why }

#define BROKER_SOCKETCALL_BIND(number, why) \
	{ CALL(socketcall, 102, NONE), 0, UINT32_MAX, number, number, 0, STEERED_ONLY, NO_CAP, 0, why }

#define BROKER_VIEW(name, i386, arm, why) \
	{ CALL(name, i386, arm), ANY, 0, 0, 0, 0, VIEW_ONLY, NO_CAP, 0, why }

#define NET_VIEW_SOCKET(family, why) \
	{ CALL(socket, 359, 281), 0, UINT32_MAX, family, family, 0, NET_VIEW, NO_CAP, 0, why }
#define NET_VIEW_PROTOCOL(protocol, why) \
	{ CALL(socket, 359, 281), 2, UINT32_MAX, protocol, protocol, 0, NET_VIEW, NO_CAP, 0, why }
#define NET_VIEW_IOCTL(from, to, error, why) \
	{ CALL(ioctl, 54, 54), 1, UINT32_MAX, from, to, error, NET_VIEW, NO_CAP, 0, why }

#define MODULES "loads code into the host's kernel"
#define KEXEC "replaces the host's kernel; CAP_SYS_BOOT, which a guest has for reboot(2), would allow it"
#define KEYS "keys belong to user ids of the host, not to guests: as in a kernel without CONFIG_KEYS"
#define RING "system calls in a ring pass by this filter: as in a kernel without io_uring"
#define GONE "Linux has dropped it, or means to"
#define PORTS "gives the machine's I/O ports"
#define FAMILY "the IP layer sees UNIX, IPv4, IPv6, netlink and packet sockets only; the rest is not namespaced " \
	"(VSOCK), passes under it (SMC, RDS, TIPC, KCM), or is only a way into little used code (ALG, CAN, ...)"
#define CONNECTOR "tells of every process of the host that begins, ends or execs, once anybody there listens (any user may " \
	"since Linux 6.6), where the guest shares the host's network namespace"
#define SOCKETCALL "i386's way to socket(2) and socketpair(2): the family is in memory, where only the broker can " \
	"read it; it makes the socket itself, with the caller's ids and capabilities"
#define ICMP "ping: a raw socket for ICMP without CAP_NET_RAW on the host, bound to the guest's address"
#define STACK "the guest's network namespace only shows: the broker makes the socket on the host's stack, with the " \
	"caller's ids and capabilities"
#define SOCK_DIAG "would list the sockets of the guest's network namespace, which has none: the broker gives a netlink " \
	"socket that nobody answers, so that ss(8) reads /proc/net"
#define INTERFACES "asks of interfaces are answered from what the guest's network namespace shows"
#define USERNS "in a user namespace of its own guest root would have all capabilities, and could mount"
#define USERNS_OF_OTHERS "nor in another guest's: with --userns no a guest's root may take the id of whoever made that, and " \
	"would have all capabilities there, were it handed a pidfd or a namespace"
#define PROJECT "changes a file's project, which is what disk limits go by"

/* Of one call's rows the first that matches decides. */
static const struct rule rules[] = {
	BROKER(sethostname, 74, 74, CCAP_SET_UTSNAME, "in the guest's uts namespace only"),
	BROKER(setdomainname, 121, 121, CCAP_SET_UTSNAME, "in the guest's uts namespace only"),
	BROKER(syslog, 103, 103, CCAP_SYSLOG, "reads the kernel's log"),
	BROKER(setrlimit, 75, 75, CCAP_SET_RLIMIT, "raises hard limits"),
	BROKER_IF_SET(prlimit64, 340, 369, 2, CCAP_SET_RLIMIT, "raises hard limits"),
	DENY(init_module, 128, 128, EPERM, CAP_SYS_MODULE, MODULES),
	DENY(finit_module, 350, 379, EPERM, CAP_SYS_MODULE, MODULES),
	DENY(delete_module, 129, 129, EPERM, CAP_SYS_MODULE, MODULES),
	DENY(create_module, 127, NONE, ENOSYS, NO_CAP, GONE),
	DENY(query_module, 167, NONE, ENOSYS, NO_CAP, GONE),
	DENY(get_kernel_syms, 130, NONE, ENOSYS, NO_CAP, GONE),
	KEEP(kexec_load, 283, 347, EPERM, KEXEC),
	KEEP(kexec_file_load, NONE, 401, EPERM, KEXEC),
	DENY(bpf, 357, 386, EPERM, CAP_BPF, "programs and maps live in the host's kernel, and name its objects"),
	DENY(perf_event_open, 336, 364, EPERM, CAP_PERFMON, "counts and samples the whole machine; a large surface"),
	DENY(userfaultfd, 374, 388, EPERM, CAP_SYS_PTRACE, "stops the kernel in the middle of a copy: the helper of "
	     "most exploits"),
	NO_RING(io_uring_setup, 425),
	NO_RING(io_uring_enter, 426),
	NO_RING(io_uring_register, 427),
	DENY(add_key, 286, 309, ENOSYS, NO_CAP, KEYS),
	DENY(request_key, 287, 310, ENOSYS, NO_CAP, KEYS),
	DENY(keyctl, 288, 311, ENOSYS, NO_CAP, KEYS),
	DENY(open_by_handle_at, 342, 371, EPERM, CAP_DAC_READ_SEARCH, "opens files by number, past the barrier"),
	DENY(swapon, 87, 87, EPERM, CAP_SYS_ADMIN, "swap is the host's"),
	DENY(swapoff, 115, 115, EPERM, CAP_SYS_ADMIN, "swap is the host's"),
	DENY(acct, 51, 51, EPERM, CAP_SYS_PACCT, "writes a file from within the kernel"),
	DENY(quotactl, 131, 131, EPERM, CAP_SYS_ADMIN, "quotas belong to the host's filesystem"),
	DENY(quotactl_fd, 443, 443, EPERM, CAP_SYS_ADMIN, "quotas belong to the host's filesystem"),
	DENY(syslog, 103, 103, EPERM, CAP_SYSLOG, "the kernel's log is the host's, and readable by all where "
	     "dmesg_restrict is 0"),
	DENY(iopl, 110, NONE, EPERM, CAP_SYS_RAWIO, PORTS),
	DENY(ioperm, 101, NONE, EPERM, CAP_SYS_RAWIO, PORTS),
	DENY(vm86, 166, NONE, ENOSYS, NO_CAP, "16-bit mode, for DOS; a source of kernel bugs"),
	DENY(vm86old, 113, NONE, ENOSYS, NO_CAP, "16-bit mode, for DOS; a source of kernel bugs"),
	DENY(lookup_dcookie, 253, 249, ENOSYS, NO_CAP, GONE),
	DENY(nfsservctl, 169, 169, ENOSYS, NO_CAP, GONE),
	DENY(_sysctl, 149, 149, ENOSYS, NO_CAP, GONE),
	DENY(uselib, 86, 86, ENOSYS, NO_CAP, GONE),
	DENY(sysfs, 135, 135, ENOSYS, NO_CAP, GONE),
	DENY(file_setattr, 469, 469, ENOSYS, NO_CAP, PROJECT),
	DENY_IOCTL(0x401c5820 /* FS_IOC_FSSETXATTR */, EPERM, PROJECT),
	DENY_IOCTL(0x5412 /* TIOCSTI */, EPERM, "types into a terminal, where the reader may be outside (CVE-2017-5226)"),
	DENY_IOCTL(0x541c /* TIOCLINUX */, EPERM, "pastes into a console, in the same way"),
	DENY_IOCTL(0x5423 /* TIOCSETD */, EPERM, "loads a line discipline into the host's kernel: little used code, for "
		   "modems (CVE-2017-2636)"),
	FAMILIES(socket, 359, 281, 3, 9, FAMILY),            /* AX25 .. X25 */
	FAMILIES(socket, 359, 281, 11, 15, FAMILY),          /* ROSE .. KEY */
	FAMILIES(socket, 359, 281, 18, UINT32_MAX, FAMILY),  /* ASH .. */
	{ CALL(socket, 359, 281), 2, UINT32_MAX, NETLINK_CONNECTOR, NETLINK_CONNECTOR, EAFNOSUPPORT, IP_LAYER, NO_CAP, 0,
	  CONNECTOR },
	FAMILIES(socketpair, 360, 288, 3, 9, FAMILY),
	FAMILIES(socketpair, 360, 288, 11, 15, FAMILY),
	FAMILIES(socketpair, 360, 288, 18, UINT32_MAX, FAMILY),
	BROKER_SOCKETCALL(1, SOCKETCALL),
	BROKER_SOCKETCALL(8, SOCKETCALL),
	KEEP_USERNS(clone, 120, 120, COMPAT_CLONE_FLAGS_ARG, CLONE_NEWUSER, EPERM, USERNS),
	KEEP_USERNS(unshare, 310, 337, 0, CLONE_NEWUSER, EPERM, USERNS),
	KEEP_USERNS(setns, 346, 375, 1, CLONE_NEWUSER, EPERM, USERNS_OF_OTHERS),
	{ CALL(setns, 346, 375), 1, UINT32_MAX, 0, 0, EPERM, NO_USERNS, NO_CAP, 0, USERNS_OF_OTHERS },      /* of any kind */
	KEEP_USERNS(clone3, 435, 435, ANY, 0, ENOSYS, "its flags are in memory, which a filter can't read; all libraries "
		    "then use clone(2)"),
	BROKER_ICMP(1, ICMP),
	BROKER_ICMP(58, ICMP),
	NET_VIEW_SOCKET(2, STACK),
	NET_VIEW_SOCKET(10, STACK),
	NET_VIEW_PROTOCOL(4, SOCK_DIAG),
	NET_VIEW_IOCTL(0x8910, 0x894a, 0, INTERFACES),
	NET_VIEW_IOCTL(0x894c, 0x89ff, 0, INTERFACES),      /* 0x894b is SIOCOUTQNSD, a socket's own */
	NET_VIEW_IOCTL(0x8b00, 0x8bff, EOPNOTSUPP, "wireless devices are the host's"),
	BROKER_BIND(bind, 361, 282, "UDP wildcards of several guests on one port: only a process can steer them"),
	BROKER_SOCKETCALL_BIND(2, "the same"),
	BROKER_VIEW(sysinfo, 116, 116, "memory and load are the guest's, as in its /proc"),
};
enum { N_RULES = sizeof(rules) / sizeof(rules[0]) };

static bool rule_applies(const struct rule *r, const struct plan *p)
{
	const struct rights *rights = &p->rights;

	switch ((enum when)r->when) {
	case BY_DEFAULT:
		if (rights->seccomp == SECCOMP_NONE)
			return false;
		return r->unless_cap == NO_CAP || p->context.userns == YES ||
			!(rights->cap_add & UINT64_C(1) << r->unless_cap);
	case ALWAYS:
		return true;
	case NO_USERNS:
		return !(rights->ccap & CCAP_USERNS);
	case CCAP_ONLY:
		return (rights->ccap & r->ccap) != 0;
	case VIEW_ONLY:
		return (p->procvirt.virt & (VIRT_MEM | VIRT_LOAD)) != 0;
	case NET_VIEW:
		return p->net.view;
	case STEERED_ONLY:
		return p->net.steered;
	case ICMP_ONLY:
		return p->net.mode == IP_LIST && (rights->ccap & CCAP_RAW_ICMP);
	case IP_LAYER:
		return rights->seccomp != SECCOMP_NONE || p->net.mode != IP_HOST;
	}
	return true;
}

/* ---- the generator ---- */

/*
 * When a filter is loaded the kernel compiles it and runs it once for each number of each ABI, 3 ns an instruction;
 * that is most of what a filter costs. So the search halves the numbers, not the rules: large gaps are found soon.
 * The returns stand once, at an ABI's end, where the tests jump to. A jump reaches 255 instructions;
 * seccomp_compile fails if one would not do.
 */
enum { NEXT = 0, JUMPS_MAX = 250, NR_MAX = 470, ARM_PRIVATE = 0xf0000 };

struct jump { size_t at; bool if_not; uint32_t action; };
struct out {
	struct sock_filter *insn;
	size_t n, room;
	bool too_far;
	struct jump jump[JUMPS_MAX];    /* still to be given their returns */
	size_t n_jumps;
};

static size_t emit(struct out *o, uint16_t code, uint8_t yes, uint8_t no, uint32_t k)
{
	if (o->n < o->room)
		o->insn[o->n] = (struct sock_filter){ code, yes, no, k };
	return o->n++;
}

static void emit_load(struct out *o, uint32_t offset)
{
	emit(o, BPF_LD | BPF_W | BPF_ABS, 0, 0, offset);
}

static void emit_return(struct out *o, uint32_t action)
{
	emit(o, BPF_RET | BPF_K, 0, 0, action);
}

/* Lets a branch of the test at `at` end in action. */
static void return_at(struct out *o, size_t at, bool if_not, uint32_t action)
{
	if (o->n_jumps == JUMPS_MAX)
		o->too_far = true;
	else
		o->jump[o->n_jumps++] = (struct jump){ at, if_not, action };
}

/* Lets the branch of the instruction at go to what is emitted next. */
static void land_here(struct out *o, size_t at, bool if_not)
{
	size_t distance = o->n - at - 1;

	if (distance > UINT8_MAX || o->n >= o->room) {
		o->too_far = true;
		return;
	}
	if (if_not)
		o->insn[at].jf = (uint8_t)distance;
	else
		o->insn[at].jt = (uint8_t)distance;
}

static void emit_returns(struct out *o)
{
	for (size_t i = 0; i < o->n_jumps; i++) {
		bool is_first = true;

		for (size_t k = 0; k < i && is_first; k++)
			is_first = o->jump[k].action != o->jump[i].action;
		if (!is_first)
			continue;
		for (size_t k = i; k < o->n_jumps; k++)
			if (o->jump[k].action == o->jump[i].action)
				land_here(o, o->jump[k].at, o->jump[k].if_not);
		emit_return(o, o->jump[i].action);
	}
	o->n_jumps = 0;
}

static uint32_t low_half_offset(int arg)
{
	uint32_t at = (uint32_t)(offsetof(struct seccomp_data, args) + (size_t)arg * 8);

	return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? at + 4 : at;
}

static uint32_t action_of(const struct rule *r)
{
	return r->error ? SECCOMP_RET_ERRNO | r->error : SECCOMP_RET_USER_NOTIF;
}

/* if from <= accumulator <= to: action. Goes on otherwise. */
static void emit_match(struct out *o, uint32_t from, uint32_t to, uint32_t action)
{
	if (from == to) {
		return_at(o, emit(o, BPF_JMP | BPF_JEQ | BPF_K, NEXT, NEXT, from), false, action);
	} else if (to == UINT32_MAX) {
		return_at(o, emit(o, BPF_JMP | BPF_JGE | BPF_K, NEXT, NEXT, from), false, action);
	} else {
		emit(o, BPF_JMP | BPF_JGE | BPF_K, NEXT, 1, from);
		return_at(o, emit(o, BPF_JMP | BPF_JGT | BPF_K, NEXT, NEXT, to), true, action);
	}
}

/* A row under its number of one ABI. */
struct entry { int nr; const struct rule *rule; };

/* Numbers from here to the next interval have one fate: an action, or the rows of one number. */
struct interval { uint32_t from, action; const struct entry *rows; size_t n_rows; };

/* The rows in the table's order, the first that matches deciding; then allow. */
static void emit_rules(struct out *o, const struct interval *number)
{
	const struct rule *loaded = NULL;

	for (size_t i = 0; i < number->n_rows; i++) {
		const struct rule *rule = number->rows[i].rule;

		if (rule->arg == ANY) {
			emit_return(o, action_of(rule));
			return;
		}
		if (!loaded || loaded->arg != rule->arg || loaded->mask != rule->mask) {
			emit_load(o, low_half_offset(rule->arg));
			if (rule->mask != UINT32_MAX)
				emit(o, BPF_ALU | BPF_AND | BPF_K, 0, 0, rule->mask);
		}
		loaded = rule;
		emit_match(o, rule->from, rule->to, action_of(rule));
	}
	emit_return(o, SECCOMP_RET_ALLOW);
}

/* The inner border that is nearest to the middle of the numbers that there are, up to end. */
static size_t middle_of(const struct interval *v, size_t n, uint32_t end)
{
	uint32_t middle = end > v[0].from ? v[0].from + (end - v[0].from) / 2 : v[0].from;
	size_t best = 1;

	for (size_t i = 2; i < n; i++) {
		uint32_t distance = v[i].from > middle ? v[i].from - middle : middle - v[i].from;
		uint32_t shortest = v[best].from > middle ? v[best].from - middle : middle - v[best].from;

		if (distance < shortest)
			best = i;
	}
	return best;
}

/* The number is in the accumulator, and in one of these n > 0 intervals. */
static void emit_search(struct out *o, const struct interval *v, size_t n, uint32_t end)
{
	bool left_ends, right_ends;
	size_t border, test;

	if (n == 1) {
		if (v->rows)
			emit_rules(o, v);
		else
			emit_return(o, v->action);
		return;
	}
	border = middle_of(v, n, end);
	left_ends = border == 1 && !v[0].rows;
	right_ends = n - border == 1 && !v[border].rows;
	test = emit(o, BPF_JMP | BPF_JGE | BPF_K, NEXT, NEXT, v[border].from);
	if (left_ends)
		return_at(o, test, true, v[0].action);
	else
		emit_search(o, v, border, v[border].from < NR_MAX ? v[border].from : NR_MAX);
	if (right_ends)
		return_at(o, test, false, v[border].action);
	else if (!left_ends)
		land_here(o, test, false);
	if (!right_ends)
		emit_search(o, v + border, n - border, end);
}

static size_t collect(const struct plan *p, bool native, struct entry *entries, bool *notifies)
{
	size_t n = 0;

	for (size_t i = 0; i < N_RULES; i++) {
		int nr = native ? rules[i].nr : rules[i].nr32;
		size_t at;

		if (nr < 0 || !rule_applies(&rules[i], p))
			continue;
		/* Stable: of one number the rows stay in the table's order. */
		for (at = n++; at > 0 && entries[at - 1].nr > nr; at--)
			entries[at] = entries[at - 1];
		entries[at] = (struct entry){ nr, &rules[i] };
		*notifies |= rules[i].error == 0;
	}
	return n;
}

/* From from on the fate is another, if it is. What began at the same number is replaced. */
static size_t add_interval(struct interval *v, size_t n, struct interval next)
{
	if (n > 0 && v[n - 1].from == next.from)
		n--;
	if (n > 0 && !v[n - 1].rows && !next.rows && v[n - 1].action == next.action)
		return n;
	v[n] = next;
	return n + 1;
}

/*
 * Beyond the table's newest number calls are refused by default: nobody has judged them, and software takes ENOSYS
 * for an older kernel. But ARM's private calls (set_tls, cacheflush), which every program makes; and x32 in any case.
 */
static size_t make_intervals(const struct plan *p, bool native, const struct entry *e, size_t n_entries, struct interval *v)
{
	const uint32_t allow = SECCOMP_RET_ALLOW, refuse = SECCOMP_RET_ERRNO | ENOSYS;
	size_t n = add_interval(v, 0, (struct interval){ .action = allow }), used;

	for (size_t i = 0; i < n_entries; i += used) {
		struct interval here = { .from = (uint32_t)e[i].nr, .action = action_of(e[i].rule) };

		for (used = 1; i + used < n_entries && e[i + used].nr == e[i].nr; used++)
			;
		if (e[i].rule->arg != ANY) {
			here.rows = &e[i];
			here.n_rows = used;
		}
		n = add_interval(v, n, here);
		n = add_interval(v, n, (struct interval){ .from = (uint32_t)e[i].nr + 1, .action = allow });
	}
	if (p->rights.seccomp != SECCOMP_NONE && __NR_file_setattr > 0) {
		n = add_interval(v, n, (struct interval){ .from = (uint32_t)__NR_file_setattr + 1, .action = refuse });
		if (native ? COMPAT_ARM_NATIVE : COMPAT_ARM_32)
			n = add_interval(v, n, (struct interval){ .from = ARM_PRIVATE, .action = allow });
	}
	if (native && COMPAT_X32_BIT)
		n = add_interval(v, n, (struct interval){ .from = COMPAT_X32_BIT, .action = refuse });
	return n;
}

/* if arch == audit_arch: search its numbers. Falls through otherwise, arch still in the accumulator. */
static void emit_abi(struct out *o, const struct plan *p, bool native, bool *notifies)
{
	struct entry entries[N_RULES];
	struct interval intervals[2 * N_RULES + 4];
	size_t n = collect(p, native, entries, notifies), test;

	n = make_intervals(p, native, entries, n, intervals);
	test = emit(o, BPF_JMP | BPF_JEQ | BPF_K, NEXT, NEXT, native ? COMPAT_AUDIT_NATIVE : COMPAT_AUDIT_32);
	emit_load(o, offsetof(struct seccomp_data, nr));
	emit_search(o, intervals, n, NR_MAX);
	emit_returns(o);
	land_here(o, test, true);
}

size_t seccomp_compile(const struct plan *p, struct sock_filter *insns, size_t room, bool *notifies)
{
	struct out o = { .insn = insns, .room = room };

	*notifies = false;
	emit_load(&o, offsetof(struct seccomp_data, arch));
	emit_abi(&o, p, true, notifies);
	if (COMPAT_AUDIT_32)
		emit_abi(&o, p, false, notifies);
	emit_return(&o, SECCOMP_RET_ERRNO | ENOSYS);
	return o.n <= room && !o.too_far ? o.n : 0;
}

bool seccomp_notifies(const struct plan *p)
{
	for (size_t i = 0; i < N_RULES; i++)
		if (rules[i].error == 0 && rule_applies(&rules[i], p))
			return true;
	return false;
}

/* ---- loading ---- */

static int load(const struct sock_filter *insns, size_t n, unsigned flags)
{
	struct sock_fprog prog = { (unsigned short)n, (struct sock_filter *)(uintptr_t)insns };

	return (int)syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
}

/*
 * SPEC_ALLOW: before Linux 5.16 a filter turned a mitigation on that slows the whole guest and that it would not
 * have had without the filter. WAIT_KILLABLE_RECV (5.19): a signal doesn't make a program repeat a call that the
 * broker has begun (Go's SIGURG would, for ever); older kernels do without.
 */
/* In a guest of vrun's, or of another that brokers calls. What the broker would do can be asked for otherwise, or is
 * done by the one that is there. */
static _Noreturn void one_listener_only(const struct plan *p)
{
	bool ccap = false, virt = false, net = false;

	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *r = &rules[i];

		if (r->error || (r->nr < 0 && r->nr32 < 0) || !rule_applies(r, p))
			continue;
		ccap |= r->when == CCAP_ONLY;
		virt |= r->when == VIEW_ONLY;
		net |= r->when != CCAP_ONLY && r->when != VIEW_ONLY;
	}
	die("--seccomp: vrun itself runs under a filter whose calls a broker answers, in a guest say, and the kernel "
	    "allows one such filter: none is needed with%s%s%s", ccap ? " --ccap none" : "",
	    virt ? " --virt uptime,cpu" : "", net ? " --ip host --seccomp none" : "");
}

int seccomp_apply(const struct plan *p)
{
	static struct sock_filter insns[INSNS_MAX];     /* on the stack the probes would touch each of its pages */
	unsigned flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	bool notifies;
	size_t n = seccomp_compile(p, insns, INSNS_MAX, &notifies);
	int fd;

	if (n == 0)
		die("--seccomp: the filter can't be made: a jump is too far");
	if (!notifies) {
		if (load(insns, n, flags) < 0)
			die_sys("--seccomp: load the filter (CONFIG_SECCOMP_FILTER)");
		return -1;
	}
	flags |= SECCOMP_FILTER_FLAG_NEW_LISTENER;
	fd = load(insns, n, flags | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV);
	if (fd < 0 && errno == EINVAL)
		fd = load(insns, n, flags);
	if (fd < 0 && errno == EBUSY)
		one_listener_only(p);
	if (fd < 0)
		die_sys("--seccomp: load the filter with a listener (Linux 5.0)");
	return fd;
}

/* ---- --seccomp FILE ---- */

const char *seccomp_parse(struct rights *r, const char *arg)
{
	if (!*arg)
		return "empty";
	if (strcmp(arg, "default") == 0) {
		r->seccomp = SECCOMP_DEFAULT;
	} else if (strcmp(arg, "none") == 0) {
		r->seccomp = SECCOMP_NONE;
	} else {
		r->seccomp = SECCOMP_FILE;
		r->seccomp_file = xstrdup(arg);
	}
	return NULL;
}

/* The kernel's own rules (net/core/filter.c: bpf_check_classic; kernel/seccomp.c: seccomp_check_filter), so that
 * the error comes before anything has begun, and with a reason other than EINVAL. */
static const char *insn_fault(const struct sock_filter *f, size_t at, size_t n)
{
	size_t left = n - at - 1;

	switch (f->code) {
	case BPF_LD | BPF_W | BPF_ABS:
		return f->k >= sizeof(struct seccomp_data) || f->k & 3 ? "loads from beyond seccomp_data" : NULL;
	case BPF_JMP | BPF_JA:
		return f->k >= left ? "jumps out of the program" : NULL;
	case BPF_JMP | BPF_JEQ | BPF_K: case BPF_JMP | BPF_JEQ | BPF_X:
	case BPF_JMP | BPF_JGE | BPF_K: case BPF_JMP | BPF_JGE | BPF_X:
	case BPF_JMP | BPF_JGT | BPF_K: case BPF_JMP | BPF_JGT | BPF_X:
	case BPF_JMP | BPF_JSET | BPF_K: case BPF_JMP | BPF_JSET | BPF_X:
		return f->jt >= left || f->jf >= left ? "jumps out of the program" : NULL;
	case BPF_ALU | BPF_DIV | BPF_K:
		return f->k == 0 ? "divides by 0" : NULL;
	case BPF_ALU | BPF_LSH | BPF_K: case BPF_ALU | BPF_RSH | BPF_K:
		return f->k >= 32 ? "shifts by more than 31" : NULL;
	case BPF_LD | BPF_MEM: case BPF_LDX | BPF_MEM: case BPF_ST: case BPF_STX:
		return f->k >= BPF_MEMWORDS ? "uses memory that there isn't" : NULL;
	case BPF_LD | BPF_W | BPF_LEN: case BPF_LDX | BPF_W | BPF_LEN: case BPF_LD | BPF_IMM: case BPF_LDX | BPF_IMM:
	case BPF_RET | BPF_K: case BPF_RET | BPF_A: case BPF_MISC | BPF_TAX: case BPF_MISC | BPF_TXA:
	case BPF_ALU | BPF_ADD | BPF_K: case BPF_ALU | BPF_ADD | BPF_X:
	case BPF_ALU | BPF_SUB | BPF_K: case BPF_ALU | BPF_SUB | BPF_X:
	case BPF_ALU | BPF_MUL | BPF_K: case BPF_ALU | BPF_MUL | BPF_X: case BPF_ALU | BPF_DIV | BPF_X:
	case BPF_ALU | BPF_AND | BPF_K: case BPF_ALU | BPF_AND | BPF_X:
	case BPF_ALU | BPF_OR | BPF_K: case BPF_ALU | BPF_OR | BPF_X:
	case BPF_ALU | BPF_XOR | BPF_K: case BPF_ALU | BPF_XOR | BPF_X:
	case BPF_ALU | BPF_LSH | BPF_X: case BPF_ALU | BPF_RSH | BPF_X: case BPF_ALU | BPF_NEG:
		return NULL;
	default:
		return "has an instruction that seccomp doesn't take";
	}
}

static const char *prog_fault(const struct sock_filter *insns, size_t bytes)
{
	size_t n = bytes / sizeof(*insns);
	const char *why = NULL;

	if (n == 0 || bytes % sizeof(*insns))
		return "is not a list of BPF instructions (8 bytes each)";
	if (n > INSNS_MAX)
		return "has more than 4096 instructions";
	for (size_t i = 0; i < n && !why; i++)
		why = insn_fault(&insns[i], i, n);
	if (!why && BPF_CLASS(insns[n - 1].code) != BPF_RET)
		why = "doesn't end with a return";
	return why;
}

void seccomp_check(struct plan *p)
{
	struct rights *r = &p->rights;
	const size_t size = (INSNS_MAX + 1) * sizeof(struct sock_filter);
	_cleanup_fd_ int fd = -1;
	const char *why;
	char *prog;
	size_t n = 0;

	if (r->seccomp != SECCOMP_FILE)
		return;
	fd = open(r->seccomp_file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		die_sys("--seccomp %s: open", quote(r->seccomp_file));
	prog = xmalloc(size);
	while (n < size) {
		ssize_t got = read(fd, prog + n, size - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			die_sys("--seccomp %s: read", quote(r->seccomp_file));
		if (got == 0)
			break;
		n += (size_t)got;
	}
	why = prog_fault((const struct sock_filter *)(const void *)prog, n);
	if (why)
		die("--seccomp %s: %s", quote(r->seccomp_file), why);
	r->seccomp_prog = prog;
	r->seccomp_len = n / sizeof(struct sock_filter);
	/* The kernel takes a filter from a process without CAP_SYS_ADMIN only so (seccomp(2)). */
	r->no_new_privs = true;
}

static void load_file(const void *insns, size_t n)
{
	if (load(insns, n, SECCOMP_FILTER_FLAG_SPEC_ALLOW) < 0)
		die_sys("--seccomp FILE: load");
}

void seccomp_apply_file(const struct plan *p)
{
	if (p->rights.seccomp == SECCOMP_FILE)
		load_file(p->rights.seccomp_prog, p->rights.seccomp_len);
}

int seccomp_file_memfd(const struct plan *p)
{
	int fd;

	if (p->rights.seccomp != SECCOMP_FILE)
		return -1;
	fd = memfd_sealed("seccomp", p->rights.seccomp_prog, p->rights.seccomp_len * sizeof(struct sock_filter));
	if (fd < 0 || fcntl(fd, F_SETFD, 0) < 0)
		die_sys("--seccomp FILE: memfd");
	return fd;
}

void seccomp_apply_memfd(int fd)
{
	static struct sock_filter insns[INSNS_MAX];
	ssize_t n = pread(fd, insns, sizeof(insns), 0);

	if (n <= 0)
		die_sys("--seccomp FILE: read it back");
	close(fd);
	load_file(insns, (size_t)n / sizeof(insns[0]));
}

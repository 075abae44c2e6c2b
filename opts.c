/* SPDX-License-Identifier: ISC */
/*
 * opts.c: the command line. Theory of operation.
 *
 * There is one table, a row an option. Parsing, --help, the bash completion and the
 * test of the manual all read it; nothing about an option is written down elsewhere
 * but in the concern that does its work.
 *
 * opts_parse walks argv twice. The first walk changes nothing in the plan but where
 * errors are told (--status-fd): it learns which options are there, and whether one
 * of them is --args-file. Then that file is
 * read into the plan, and last the second walk fills in the command line. So a list
 * is the file's entries first and the command line's after them, and where a scalar
 * stands in both, the file's goes into a plan that is thrown away: it is checked like
 * any other, but doesn't count.
 *
 * An option's position never changes its meaning: parsers write only their own field,
 * and whatever depends on two options is decided in opts_check, when all are known.
 * Everything here runs as the caller (caps_acquire comes before it); that matters to
 * one system call only, the open of --args-file.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "vrun.h"

enum {
	ONCE = 0,               /* a second time is an error */
	MANY = 1,               /* a list: each time adds */
	FLAG = 2,               /* no value; its target is a bool */
	VERB = 4,               /* says what to do; no value, or the guest's name */
	UNFINISHED = 8,         /* a word of the contract that this version can't act on */
};

enum group { CONTEXT, ROOT, IDENTITY, RIGHTS, NETWORK, LIMITS, VIEW, CONTROL, VERBS, N_GROUPS };
static const char *const group_title[N_GROUPS] = {
	"Context", "Root", "Identity", "Rights", "Network", "Limits", "View", "Control", "Verbs",
};

struct option {
	const char *name;
	char letter;
	const char *metavar;            /* NULL: takes no value */
	const char *help;
	enum group group;
	const char *(*parse)(void *target, const char *arg);    /* NULL: FLAG */
	size_t target;                  /* offset in struct plan */
	unsigned flags;
	unsigned verbs;                 /* bit = enum verb: what it may be used with; a VERB row: itself */
};

/* ---- values that belong to no concern ---- */

#define DIGITS "0123456789"
#define ALNUM DIGITS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

static const char *opts_parse_text(void *target, const char *arg)
{
	if (!*arg)
		return "empty";
	*(char **)target = xstrdup(arg);
	return NULL;
}

static const char *opts_parse_name(void *target, const char *arg)
{
	size_t len = strlen(arg);

	if (!len || !strchr(ALNUM, arg[0]))
		return "not a name: it begins with a letter or a digit";
	if (arg[strspn(arg, ALNUM "_.-")])
		return "not a name: only letters, digits, '_', '.' and '-'";
	if (len > NAME_MAX_LEN)
		return "not a name: longer than 64 characters";
	if (!arg[strspn(arg, DIGITS)])
		return "not a name: only digits";
	return opts_parse_text(target, arg);
}

static const char *opts_parse_xid(void *target, const char *arg)
{
	uint64_t xid;
	const char *why = parse_u64(arg, XID_MIN, XID_MAX, &xid);

	if (!why)
		*(uint32_t *)target = (uint32_t)xid;
	return why;
}

/* The guest that a verb names. */
static const char *opts_parse_guest(void *target, const char *arg)
{
	uint32_t xid;

	if (*arg && !arg[strspn(arg, DIGITS)])
		return opts_parse_xid(&xid, arg) ? "not an xid: 2 to 65534" : opts_parse_text(target, arg);
	return opts_parse_name(target, arg);
}

enum { KERNEL_HOSTNAME_MAX = 64 };      /* __NEW_UTS_LEN; libc's HOST_NAME_MAX is another */

static const char *opts_parse_hostname(void *target, const char *arg)
{
	if (!*arg)
		return "empty";
	if (arg[strspn(arg, ALNUM "_.-")])
		return "not a host name: only letters, digits, '_', '.' and '-'";
	if (strlen(arg) > KERNEL_HOSTNAME_MAX)
		return "longer than 64 bytes";
	return opts_parse_text(target, arg);
}

static const struct { const char *name; unsigned bit; } ns_name[] = {
	{ "user", NS_USER }, { "pid", NS_PID }, { "ipc", NS_IPC }, { "uts", NS_UTS },
	{ "cgroup", NS_CGROUP }, { "net", NS_NET }, { "abstract", NS_ABSTRACT },
};

static bool parse_namespaces(const char *s, size_t len, unsigned allowed, unsigned *mask)
{
	const char *end = s + len, *word;
	unsigned found, all = 0;

	do {
		word = s;
		while (s < end && *s != ',')
			s++;
		found = 0;
		for (size_t i = 0; i < sizeof(ns_name) / sizeof(ns_name[0]); i++)
			if (strlen(ns_name[i].name) == (size_t)(s - word) &&
			    !memcmp(ns_name[i].name, word, (size_t)(s - word)))
				found = ns_name[i].bit & allowed;
		if (!found)
			return false;
		all |= found;
	} while (s++ < end);
	*mask = all;
	return true;
}

static const char *opts_parse_share(void *target, const char *arg)
{
	struct context *c = target;

	if (!parse_namespaces(arg, strlen(arg), NS_PID | NS_IPC | NS_UTS | NS_CGROUP | NS_ABSTRACT, &c->share))
		return "not a list of pid, ipc, uts, cgroup, abstract";
	return NULL;
}

static const char *opts_parse_join(void *target, const char *arg)
{
	struct context *c = target;
	const char *eq = strchr(arg, '=');
	unsigned join;

	if (!eq)
		return "not NS[,NS]=NAME";
	if (!parse_namespaces(arg, (size_t)(eq - arg),
			      NS_USER | NS_PID | NS_IPC | NS_UTS | NS_CGROUP | NS_NET, &join))
		return "not a list of user, pid, ipc, uts, cgroup, net before the '='";
	if (opts_parse_guest(&c->join_name, eq + 1))
		return "not a guest's name or xid after the '='";
	c->join = join;
	return NULL;
}

static const char *opts_parse_userns(void *target, const char *arg)
{
	bool yes;

	if (parse_bool_word(arg, "yes", "no", &yes))
		return "neither yes nor no";
	((struct context *)target)->userns = yes ? YES : NO;
	return NULL;
}

static const char *opts_parse_until(void *target, const char *arg)
{
	bool command;

	if (parse_bool_word(arg, "command", "last", &command))
		return "neither command nor last";
	((struct context *)target)->until = command ? UNTIL_COMMAND : UNTIL_LAST;
	return NULL;
}

/* A path below the cgroup root; "..": out of what the caller may use. */
static const char *opts_parse_cgroup(void *target, const char *arg)
{
	if (strcmp(arg, "self") && arg[0] != '/')
		return "neither 'self' nor a path that begins with '/'";
	for (const char *s = arg; (s = strstr(s, "/..")); s += 3)
		if (s[3] == '/' || !s[3])
			return "has a '..'";
	return opts_parse_text(target, arg);
}

static const char *opts_parse_dir(void *target, const char *arg)
{
	if (arg[0] != '/')
		return "not a path from the guest's root: it begins with '/'";
	return opts_parse_text(target, arg);
}

static const char *opts_parse_user(void *target, const char *arg)
{
	const char *colon = strchr(arg, ':');

	if (!*arg || colon == arg || (colon && !colon[1]) || (colon && strchr(colon + 1, ':')))
		return "not USER or USER:GROUP";
	return opts_parse_text(target, arg);
}

static const char *opts_parse_groups(void *target, const char *arg)
{
	if (!*arg || arg[0] == ',' || strstr(arg, ",,") || arg[strlen(arg) - 1] == ',')
		return "a group is empty";
	return opts_parse_text(target, arg);
}

static const char *opts_parse_env(void *target, const char *arg)
{
	struct words *env = target;

	if (!*arg || *arg == '=')
		return "no name before the '='";
	for (const char *c = arg; *c && *c != '='; c++)
		if (*(const unsigned char *)c < ' ' || *c == 0x7f)
			return "a control character in the name";
	env->v = xrealloc_array(env->v, env->n + 1, sizeof(*env->v));
	env->v[env->n++] = xstrdup(arg);
	return NULL;
}

static const char *opts_parse_tty(void *target, const char *arg)
{
	struct control *c = target;
	bool yes;

	if (!strcmp(arg, "auto")) {
		c->tty = TTY_AUTO;
		return NULL;
	}
	if (parse_bool_word(arg, "yes", "no", &yes))
		return "not auto, yes or no";
	c->tty = yes ? TTY_YES : TTY_NO;
	return NULL;
}

static const char *opts_parse_keep_fd(void *target, const char *arg)
{
	struct control *c = target;
	struct words w = { 0 };
	const char *why = parse_words(arg, ',', &w);
	uint64_t fd;

	for (size_t i = 0; !why && i < w.n; i++)
		why = parse_u64(w.v[i], 0, INT_MAX, &fd);
	if (why)
		return why;
	c->keep_fd = xrealloc_array(c->keep_fd, c->n_keep_fd + w.n, sizeof(*c->keep_fd));
	for (size_t i = 0; i < w.n; i++)
		if (!parse_u64(w.v[i], 0, INT_MAX, &fd))
			c->keep_fd[c->n_keep_fd++] = (int)fd;
	return NULL;
}

static const char *opts_parse_status_fd(void *target, const char *arg)
{
	uint64_t fd;
	const char *why = parse_u64(arg, 1, INT_MAX, &fd);

	if (!why)
		*(int *)target = (int)fd;
	return why;
}

static const char *opts_parse_on_reboot(void *target, const char *arg)
{
	bool restart;

	if (parse_bool_word(arg, "restart", "exit", &restart))
		return "neither restart nor exit";
	((struct control *)target)->on_reboot = restart ? REBOOT_RESTART : REBOOT_EXIT;
	return NULL;
}

static const char *opts_parse_signal(void *target, const char *arg)
{
	return parse_signal(arg, target);
}

static const char *opts_parse_stop_timeout(void *target, const char *arg)
{
	uint64_t ms;
	const char *why = parse_time_ms(arg, &ms);

	if (why)
		return why;
	/* In the plan 0 says "not given": a millisecond is as soon. */
	*(uint64_t *)target = ms ? ms : 1;
	return NULL;
}

static const char *opts_parse_memory(void *target, const char *arg)
{
	uint64_t bytes;
	const char *why = parse_size(arg, &bytes);

	if (!why && !bytes)
		return "nothing runs in 0 bytes";
	if (!why)
		*(uint64_t *)target = bytes;
	return why;
}

static const char *opts_parse_swap(void *target, const char *arg)
{
	struct limits *l = target;
	const char *why = parse_size(arg, &l->swap_bytes);

	if (!why)
		l->have_swap = true;
	return why;
}

static const char *opts_parse_pids(void *target, const char *arg)
{
	if (!strcmp(arg, "inf")) {
		*(uint64_t *)target = UINT64_MAX;
		return NULL;
	}
	/* The kernel's PID_MAX_LIMIT on 64 bits. */
	return parse_u64(arg, 1, 4194304, target);
}

static const char *opts_parse_cpu_weight(void *target, const char *arg)
{
	uint64_t weight = 100;          /* inf: as if it had never been given */
	const char *why = strcmp(arg, "inf") ? parse_u64(arg, 1, 10000, &weight) : NULL;

	if (!why)
		*(unsigned *)target = (unsigned)weight;
	return why;
}

static const char *opts_parse_cap_add(void *target, const char *arg)
{
	if (!strcasecmp(arg, "all"))
		return "only --cap-drop takes 'all'";
	return caps_parse_list(target, arg);
}

/* The first --ccap begins with none: as with --virt, a list replaces the default. */
static const char *opts_parse_ccap(void *target, const char *arg)
{
	return strcmp(arg, "none") ? caps_parse_ccap(target, arg) : NULL;
}

/* The file's text is read by opts_parse itself. */
static const char *opts_parse_args_file(void *target, const char *arg)
{
	(void)target;
	return *arg ? NULL : "empty";
}

/* ---- values that a concern knows: its parser with the table's prototype ---- */

#define OF_CONCERN(parser) \
	static const char *opts_##parser(void *target, const char *arg) { return parser(target, arg); }

OF_CONCERN(caps_parse_list)
OF_CONCERN(seccomp_parse)
OF_CONCERN(root_parse_bind)
OF_CONCERN(root_parse_tmpfs)
OF_CONCERN(root_parse_cow)
OF_CONCERN(root_parse_disk)
OF_CONCERN(root_parse_device)
OF_CONCERN(net_parse_ip)
OF_CONCERN(net_parse_loopback)
OF_CONCERN(net_parse_connect_allow)
OF_CONCERN(net_parse_connect_deny)
OF_CONCERN(limits_parse_rlimit)
OF_CONCERN(limits_parse_cpus)
OF_CONCERN(limits_parse_cpu_rate)
OF_CONCERN(limits_parse_cpuset)
OF_CONCERN(limits_parse_io)
OF_CONCERN(limits_parse_sysctl)
OF_CONCERN(procvirt_parse_virt)
OF_CONCERN(procvirt_parse_uptime)
OF_CONCERN(procvirt_parse_hide)

/* ---- the table ---- */

#define TO(field) offsetof(struct plan, field)
#define V(verb) (1u << VERB_##verb)
#define RUN (V(RUN) | V(EXPLAIN))
#define RUN_ENTER (RUN | V(ENTER))
#define RUN_SET (RUN | V(SET))
#define ANY (~0u)

static const struct option table[] = {
{ "name", 0, "NAME", "the guest's name (default: guest-XID)",
	CONTEXT, opts_parse_name, TO(context.name), ONCE, RUN },
{ "xid", 0, "N", "its context id, 2 to 65534 (default: a free one)",
	CONTEXT, opts_parse_xid, TO(context.xid), ONCE, RUN },
{ "share", 0, "NS[,NS]", "keep the host's pid, ipc, uts, cgroup, abstract",
	CONTEXT, opts_parse_share, TO(context), ONCE, RUN },
{ "join", 0, "NS[,NS]=NAME", "user, pid, ipc, uts, cgroup, net of guest NAME",
	CONTEXT, opts_parse_join, TO(context), ONCE, RUN },
{ "no-enter", 0, NULL, "vrun --enter is refused for this guest",
	CONTEXT, NULL, TO(context.no_enter), FLAG, RUN },
{ "userns", 0, "yes|no", "ids of its own (default: yes with --root)",
	CONTEXT, opts_parse_userns, TO(context), ONCE, RUN },
{ "until", 0, "command|last", "what the guest's end waits for (default: command)",
	CONTEXT, opts_parse_until, TO(context), ONCE, RUN },

{ "root", 'R', "DIR", "the guest's root (default: the host's, read-only)",
	ROOT, opts_parse_text, TO(root.dir), ONCE, RUN },
{ "writable-root", 0, NULL, "without --root: the host's tree is writable",
	ROOT, NULL, TO(root.writable_root), FLAG, RUN },
{ "read-only", 0, NULL, "the whole root is read-only",
	ROOT, NULL, TO(root.read_only), FLAG, RUN },
{ "bind", 0, "SRC[:DST[:OPTS]]", "OPTS: ro rw exec noexec suid idmap norec try",
	ROOT, opts_root_parse_bind, TO(root), MANY, RUN },
{ "tmpfs", 0, "DST[:size=N,mode=M]|none", "a tmpfs on DST; none: drop the default ones",
	ROOT, opts_root_parse_tmpfs, TO(root), MANY, RUN },
{ "cow", 0, "DIR|tmpfs[:SIZE]", "writes go to DIR or to memory, never to the root",
	ROOT, opts_root_parse_cow, TO(root), ONCE, RUN },
{ "disk", 0, "SIZE[,inodes=N]", "disk limit",
	ROOT, opts_root_parse_disk, TO(root), UNFINISHED, RUN_SET },
{ "device", 0, "PATH[:ro]", "one more node in the guest's /dev",
	ROOT, opts_root_parse_device, TO(root), MANY, RUN },

{ "user", 'u', "U[:G]", "who COMMAND runs as, in the guest's own names",
	IDENTITY, opts_parse_user, TO(rights.user), ONCE, RUN_ENTER },
{ "groups", 0, "G[,G]", "its supplementary groups",
	IDENTITY, opts_parse_groups, TO(rights.groups), ONCE, RUN_ENTER },
{ "env", 'e', "K[=V]", "a variable for COMMAND; K alone: the caller's",
	IDENTITY, opts_parse_env, TO(rights.env), MANY, RUN_ENTER },
{ "keep-env", 0, NULL, "all of the caller's variables",
	IDENTITY, NULL, TO(rights.keep_env), FLAG, RUN },
{ "workdir", 'w', "DIR", "where COMMAND starts (default: /)",
	IDENTITY, opts_parse_dir, TO(root.workdir), ONCE, RUN_ENTER },
{ "hostname", 'H', "H", "the guest's host name (default: its name)",
	IDENTITY, opts_parse_hostname, TO(context.hostname), ONCE, RUN },
{ "init", 0, NULL, "COMMAND is pid 1",
	IDENTITY, NULL, TO(context.init), FLAG, RUN },
{ "tty", 0, "auto|yes|no", "a terminal of the guest's own (default: auto)",
	IDENTITY, opts_parse_tty, TO(control), ONCE, RUN_ENTER },
{ "keep-fd", 0, "N[,N]", "descriptors that reach COMMAND",
	IDENTITY, opts_parse_keep_fd, TO(control), MANY, RUN },

{ "cap-add", 0, "C[,C]", "capabilities beyond the default bound",
	RIGHTS, opts_parse_cap_add, TO(rights.cap_add), MANY, RUN },
{ "cap-drop", 0, "C[,C]|all", "capabilities that the guest never has",
	RIGHTS, opts_caps_parse_list, TO(rights.cap_drop), MANY, RUN },
{ "ccap", 0, "NAME[,NAME]|none", "default: set_utsname,raw_icmp",
	RIGHTS, opts_parse_ccap, TO(rights.ccap), MANY, RUN },
{ "no-new-privs", 0, NULL, "setuid and file capabilities have no effect",
	RIGHTS, NULL, TO(rights.no_new_privs), FLAG, RUN },
{ "seccomp", 0, "default|none|FILE", "the deny list, none, or a raw BPF filter",
	RIGHTS, opts_seccomp_parse, TO(rights), ONCE, RUN },

{ "ip", 0, "ADDR[/LEN][@DEV]|A-B|host|none", "its addresses (default: none)",
	NETWORK, opts_net_parse_ip, TO(net), MANY, RUN_SET },
{ "ip-later", 0, NULL, "an address the host doesn't have yet is no error",
	NETWORK, NULL, TO(net.later), FLAG, RUN_SET },
{ "loopback", 0, "ADDR|host", "what 127.0.0.1 is on the host's stack",
	NETWORK, opts_net_parse_loopback, TO(net), ONCE, RUN },
{ "connect-allow", 0, "NET[:PORT]", "peers it may reach; the rest is denied",
	NETWORK, opts_net_parse_connect_allow, TO(net), MANY, RUN_SET },
{ "connect-deny", 0, "NET[:PORT]|none", "peers it may not reach",
	NETWORK, opts_net_parse_connect_deny, TO(net), MANY, RUN_SET },

{ "rlimit", 0, "NAME=SOFT[:HARD]", "a resource limit of each process",
	LIMITS, opts_limits_parse_rlimit, TO(limits), MANY, RUN },
{ "memory", 'm', "SIZE", "memory of the whole guest",
	LIMITS, opts_parse_memory, TO(limits.memory_bytes), ONCE, RUN_SET },
{ "swap", 0, "SIZE", "swap beyond --memory (default: 0 with --memory)",
	LIMITS, opts_parse_swap, TO(limits), ONCE, RUN_SET },
{ "pids", 0, "N", "processes and threads",
	LIMITS, opts_parse_pids, TO(limits.pids), ONCE, RUN_SET },
{ "cpus", 0, "N.N", "CPU time, in CPUs",
	LIMITS, opts_limits_parse_cpus, TO(limits), ONCE, RUN_SET },
{ "cpu-weight", 0, "N", "share of busy CPUs, 1 to 10000 (default: 100)",
	LIMITS, opts_parse_cpu_weight, TO(limits.cpu_weight), ONCE, RUN_SET },
{ "cpuset", 0, "LIST", "the CPUs it runs on",
	LIMITS, opts_limits_parse_cpuset, TO(limits.cpuset), ONCE, RUN_SET },
{ "io", 0, "DEV:rbps=N,wbps=N,riops=N,wiops=N", "disk bandwidth",
	LIMITS, opts_limits_parse_io, TO(limits), MANY, RUN_SET },
{ "cpu-rate", 0, "R/T[,burst=B]", "token bucket: R ms of CPU each T ms, filled to B",
	LIMITS, opts_limits_parse_cpu_rate, TO(limits), ONCE, RUN_SET },
{ "sysctl", 0, "kernel.K=V", "an ipc limit of the guest's own",
	LIMITS, opts_limits_parse_sysctl, TO(limits), MANY, RUN },
{ "cgroup", 0, "PATH|self", "parent of the guest's cgroup (default: /vrun)",
	LIMITS, opts_parse_cgroup, TO(context.cgroup), ONCE, RUN },

{ "virt", 0, "NAME[,NAME]|all|none", "what is its own: uptime mem cpu load time",
	VIEW, opts_procvirt_parse_virt, TO(procvirt), ONCE, RUN },
{ "uptime", 0, "SECS|host", "what its uptime starts at (default: 0)",
	VIEW, opts_procvirt_parse_uptime, TO(procvirt), ONCE, RUN },
{ "hide", 0, "NAME[,NAME]|all|none", "of the host, what it doesn't see: net mount proc",
	VIEW, opts_procvirt_parse_hide, TO(procvirt), ONCE, RUN },

{ "status-fd", 0, "N", "JSON lines about the guest on this descriptor",
	CONTROL, opts_parse_status_fd, TO(control.status_fd), ONCE, RUN },
{ "pid-file", 0, "FILE", "the supervisor's pid, while the guest runs",
	CONTROL, opts_parse_text, TO(control.pid_file), ONCE, RUN },
{ "args-file", 0, "FILE", "more options and COMMAND, one a line",
	CONTROL, opts_parse_args_file, 0, ONCE, ANY },
{ "helper", 0, "CMD", "run at the guest's events",
	CONTROL, opts_parse_text, TO(control.helper), ONCE, RUN },
{ "on-reboot", 0, "restart|exit", "what reboot(2) in the guest does",
	CONTROL, opts_parse_on_reboot, TO(control), ONCE, RUN },
{ "stop-signal", 0, "SIG", "what a TERM to vrun sends first (default: TERM)",
	CONTROL, opts_parse_signal, TO(control.stop_signal), ONCE, RUN },
{ "stop-timeout", 0, "TIME", "then KILL to all (default: 10s, with --init 60s)",
	CONTROL, opts_parse_stop_timeout, TO(control.stop_timeout_ms), ONCE, RUN },
{ "signal", 0, "SIG", "with --kill: this signal to COMMAND",
	CONTROL, opts_parse_signal, TO(control.kill_signal), ONCE, V(KILL) },
{ "verbose", 'v', NULL, "say who the guest is, once it runs",
	CONTROL, NULL, TO(control.verbose), FLAG, RUN },
{ "quiet", 'q', NULL, "no notes; with --list: names only",
	CONTROL, NULL, TO(control.quiet), FLAG, ANY },
{ "json", 0, NULL, "for programs",
	CONTROL, NULL, TO(control.json), FLAG, V(LIST) | V(STATUS) | V(CHECK) | V(UNIFY) },

{ "list", 0, NULL, "the running guests",
	VERBS, NULL, 0, VERB, V(LIST) },
{ "status", 0, "NAME", "everything known of one guest",
	VERBS, opts_parse_guest, TO(target), VERB, V(STATUS) },
{ "enter", 0, "NAME", "run one more command in a guest",
	VERBS, opts_parse_guest, TO(target), VERB, V(ENTER) },
{ "set", 0, "NAME", "change a running guest's limits",
	VERBS, opts_parse_guest, TO(target), VERB, V(SET) },
{ "stop", 0, "NAME", "stop a guest in order",
	VERBS, opts_parse_guest, TO(target), VERB, V(STOP) },
{ "kill", 0, "NAME", "kill all of a guest's processes",
	VERBS, opts_parse_guest, TO(target), VERB, V(KILL) },
{ "pause", 0, "NAME", "freeze a guest",
	VERBS, opts_parse_guest, TO(target), VERB, V(PAUSE) },
{ "resume", 0, "NAME", "thaw it",
	VERBS, opts_parse_guest, TO(target), VERB, V(RESUME) },
{ "wait", 0, "NAME", "until a guest is gone",
	VERBS, opts_parse_guest, TO(target), VERB, V(WAIT) },
{ "unify", 0, NULL, "share equal files between roots",
	VERBS, NULL, 0, VERB | UNFINISHED, V(UNIFY) },
{ "check", 0, NULL, "what this kernel and this caller can do",
	VERBS, NULL, 0, VERB, V(CHECK) },
{ "explain", 0, NULL, "print the steps of a start, and start nothing",
	VERBS, NULL, 0, VERB, V(EXPLAIN) },
{ "completion", 0, NULL, "print the completion for bash",
	VERBS, NULL, 0, VERB, V(COMPLETION) },
{ "help", 0, NULL, "print this",
	VERBS, NULL, 0, VERB, V(HELP) },
{ "version", 0, NULL, "print the version",
	VERBS, NULL, 0, VERB, V(VERSION) },
};

enum { N_OPTIONS = sizeof(table) / sizeof(table[0]) };
_Static_assert(N_OPTIONS <= 128, "a row has its bit in plan.given");

static const struct option *find_name(const char *name, size_t len)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if (table[i].name[0] == name[0] && !strncmp(table[i].name, name, len) && !table[i].name[len])
			return &table[i];
	return NULL;
}

static const struct option *find_letter(char letter)
{
	for (size_t i = 0; letter && i < N_OPTIONS; i++)
		if (table[i].letter == letter)
			return &table[i];
	return NULL;
}

static const struct option *find_verb(enum verb verb)
{
	for (size_t i = 0; i < N_OPTIONS; i++)
		if ((table[i].flags & VERB) && table[i].verbs == 1u << verb)
			return &table[i];
	return NULL;
}

static bool bit_is_set(const uint64_t *bits, const struct option *o)
{
	size_t i = (size_t)(o - table);

	return bits[i / 64] >> i % 64 & 1;
}

static void bit_set(uint64_t *bits, const struct option *o)
{
	size_t i = (size_t)(o - table);

	bits[i / 64] |= UINT64_C(1) << i % 64;
}

bool opts_given(const struct plan *p, const char *long_name)
{
	const struct option *o = find_name(long_name, strlen(long_name));

	return o && bit_is_set(p->given, o);
}

/* ---- the walk ---- */

/* One pass over one source of options. */
struct walk {
	struct plan *plan;              /* NULL: only learn what is there */
	char where[320];                /* "FILE:LINE: ", or "" for the command line */
	uint64_t seen[2];               /* rows met in this source */
	const char *args_file;
	int *status_fd;                 /* of the first pass: known as soon as it is met, for errors to go there */
};

/* The value of one option, NULL if it takes none, into the plan. */
static void take_value(struct walk *w, struct plan *p, const struct option *o, const char *arg)
{
	const struct option *other;
	const char *why;
	void *target = (char *)p + o->target;

	if (o->flags & VERB) {
		other = find_verb(p->verb);
		if (other)
			die_usage("%s--%s and --%s exclude each other", w->where, other->name, o->name);
		for (p->verb = VERB_RUN; 1u << p->verb != o->verbs; )
			p->verb++;
	}
	if (o->parse) {
		why = o->parse(target, arg);
		if (why)
			die_usage("%s--%s: %s: %s", w->where, o->name, quote(arg), why);
	} else if (o->flags & FLAG) {
		*(bool *)target = true;
	}
}

static void take(struct walk *w, const struct option *o, const char *arg)
{
	struct plan thrown_away;

	if (o->flags & UNFINISHED)
		die("%s--%s: not in this version", w->where, o->name);
	if (bit_is_set(w->seen, o) && !(o->flags & MANY))
		die_usage("%s--%s: given twice", w->where, o->name);
	bit_set(w->seen, o);
	if (!strcmp(o->name, "args-file")) {
		if (*w->where)
			die_usage("%s--args-file: not inside such a file", w->where);
		w->args_file = arg;
	}
	if (!w->plan) {
		if (!strcmp(o->name, "status-fd"))
			opts_parse_status_fd(w->status_fd, arg);        /* what is wrong with it the second pass says */
		return;
	}
	/* Command line first: p->given holds its options while the file is read. */
	if (*w->where && bit_is_set(w->plan->given, o) && !(o->flags & MANY)) {
		opts_init(&thrown_away);
		take_value(w, &thrown_away, o, arg);
		return;
	}
	take_value(w, w->plan, o, arg);
}

/* "name", "name=value": text after the dashes. Whether the next word was its value. */
static bool take_long(struct walk *w, const char *text, const char *next)
{
	size_t len = strcspn(text, "=");
	const struct option *o = find_name(text, len);
	bool has_value = text[len] == '=';

	if (!o || !len)
		die_usage("%sno such option: %s", w->where, quote(xasprintf("--%.*s", (int)len, text)));
	if (!o->metavar && has_value)
		die_usage("%s--%s: takes no value", w->where, o->name);
	if (o->metavar && !has_value && !next)
		die_usage("%s--%s: its value is missing (%s)", w->where, o->name, o->metavar);
	take(w, o, has_value ? text + len + 1 : o->metavar ? next : NULL);
	return o->metavar && !has_value;
}

/* "v", "vq", "m64M", "m": letters after one dash. Whether the next word was its value. */
static bool take_letters(struct walk *w, const char *text, const char *next)
{
	const struct option *o;

	for (; *text; text++) {
		o = find_letter(*text);
		if (!o)
			die_usage("no such option: %s", quote(xasprintf("-%c", *text)));
		if (!o->metavar) {
			take(w, o, NULL);
			continue;
		}
		if (!text[1] && !next)
			die_usage("--%s: its value is missing (%s)", o->name, o->metavar);
		take(w, o, text[1] ? text + 1 : next);
		return !text[1];
	}
	return false;
}

/* Index of the first word that is no option. */
static int walk_argv(struct walk *w, int argc, char **argv)
{
	const char *word, *next;
	int i;

	for (i = 1; i < argc; i++) {
		word = argv[i];
		next = i + 1 < argc ? argv[i + 1] : NULL;
		if (word[0] != '-' || !word[1])
			break;
		if (!strcmp(word, "--"))
			return i + 1;
		i += word[1] == '-' ? take_long(w, word + 2, next) : take_letters(w, word + 1, next);
	}
	return i;
}

static void add_word(struct words *words, const char *text)
{
	words->v = xrealloc_array(words->v, words->n + 2, sizeof(*words->v));
	words->v[words->n++] = xstrdup(text);
	words->v[words->n] = NULL;
}

static void take_line(struct walk *w, char *line)
{
	char *value;

	if (line[0] == '-') {
		if (line[1] != '-')
			die_usage("%s%s: neither NAME=VALUE nor --NAME VALUE", w->where, quote(line));
		line += 2;
		value = line + strcspn(line, "= \t");
		if (*value && *value != '=') {
			*value++ = '\0';
			value += strspn(value, " \t");
			if (!take_long(w, line, *value ? value : NULL) && *value)
				die_usage("%s--%s: takes no value", w->where, line);
			return;
		}
	}
	take_long(w, line, NULL);
}

/* text is the whole file, modified. */
static void walk_text(struct walk *w, const char *file, char *text)
{
	bool arguments = false;
	char *line, *end;

	for (unsigned number = 1; text; number++, text = end) {
		line = text;
		end = strchr(text, '\n');
		if (end)
			*end++ = '\0';
		snprintf(w->where, sizeof(w->where), "%.300s:%u: ", file, number);
		for (char *c = w->where; *c; c++)       /* no escape sequence to the caller's terminal */
			if (*(unsigned char *)c < ' ' || *c == 0x7f)
				*c = '?';
		text += strspn(text, " \t");
		if (!*text || *text == '#')
			continue;
		if (arguments)
			add_word(&w->plan->args, line);
		else if (!strcmp(text, "--"))
			arguments = true;
		else
			take_line(w, text);
	}
}

enum { ARGS_FILE_MAX = 1 << 20 };

static char *read_args_file(const char *file)
{
	char *text = xmalloc(ARGS_FILE_MAX);
	ssize_t len = read_at(AT_FDCWD, file, text, ARGS_FILE_MAX);

	if (len < 0)
		die_sys("--args-file %s: read", quote(file));
	if (strlen(text) != (size_t)len)
		die("--args-file %s: has a NUL byte, so it is no text", quote(file));
	return text;
}

/* "--list, --check": the verbs of a mask that are there. */
static const char *verb_names(unsigned mask)
{
	char *names = NULL;

	for (size_t i = 0; i < N_OPTIONS; i++)
		if ((table[i].flags & VERB) && !(table[i].flags & UNFINISHED) && (table[i].verbs & mask))
			names = names ? xasprintf("%s, --%s", names, table[i].name)
				      : xasprintf("--%s", table[i].name);
	return names ? names : "nothing";
}

static void exclude(const struct plan *p, const char *one, const char *other)
{
	if (opts_given(p, one) && opts_given(p, other))
		die_usage("--%s and --%s exclude each other", one, other);
}

/* Whether what was given belongs together and to what is to be done. */
static void check_verb(const struct plan *p)
{
	const struct option *verb = find_verb(p->verb);
	const unsigned commands = RUN_ENTER | V(UNIFY);
	unsigned limits = 0;

	for (const struct option *o = table; o < table + N_OPTIONS; o++) {
		if (!bit_is_set(p->given, o))
			continue;
		limits += o->verbs == RUN_SET;
		if (o->verbs & 1u << p->verb)
			continue;
		if (!verb)
			die_usage("--%s: only with %s", o->name, verb_names(o->verbs));
		die_usage("--%s and --%s exclude each other", o->name, verb->name);
	}
	if (p->args.n && verb && !(commands & verb->verbs))
		die_usage("--%s: takes no arguments: %s", verb->name, quote(p->args.v[0]));
	if (p->verb == VERB_SET && !limits)
		die_usage("--set: nothing to set");
	if (p->verb == VERB_UNIFY && p->args.n < 2)
		die_usage("--unify: needs two directories");
	exclude(p, "verbose", "quiet");
	exclude(p, "cpus", "cpu-rate");
}

void opts_init(struct plan *p)
{
	*p = (struct plan){
		.root = { .dir_fd = -1, .cow_fd = -1 },
		.control = { .status_fd = -1 },
		.procvirt = {
			.virt = VIRT_UPTIME | VIRT_MEM | VIRT_CPU | VIRT_LOAD,
			.hide = HIDE_NET | HIDE_MOUNT | HIDE_PROC,
		},
	};
}

void opts_parse(struct plan *p, int argc, char **argv)
{
	struct walk learn = { .status_fd = &p->control.status_fd }, file = { .plan = p }, command_line = { .plan = p };
	char *text;
	int first;

	if (argc <= 1) {
		opts_synopsis(stderr);
		exit(EXIT_VRUN);
	}
	walk_argv(&learn, argc, argv);
	memcpy(p->given, learn.seen, sizeof(p->given));
	if (learn.args_file) {
		text = read_args_file(learn.args_file);
		walk_text(&file, learn.args_file, text);
		free(text);
	}
	first = walk_argv(&command_line, argc, argv);
	/* COMMAND with its arguments is one scalar. */
	if (first < argc)
		p->args.n = 0;
	for (int i = first; i < argc; i++)
		add_word(&p->args, argv[i]);
	for (size_t i = 0; i < 2; i++)
		p->given[i] |= file.seen[i];
	check_verb(p);
}

/* ---- what depends on two options ---- */

static void demand(const struct plan *p, const char *one, bool has, const char *needed)
{
	if (opts_given(p, one) && !has)
		die_usage("--%s: needs %s", one, needed);
}

static void check_context(const struct plan *p)
{
	const struct context *c = &p->context;
	unsigned both = c->share & c->join;

	for (size_t i = 0; i < sizeof(ns_name) / sizeof(ns_name[0]); i++)
		if (both & ns_name[i].bit)
			die_usage("--share %s and --join %s exclude each other", ns_name[i].name,
				  ns_name[i].name);
	if (c->name && c->join_name && !strcmp(c->name, c->join_name))
		die_usage("--join: %s is the --name of the guest to be started", quote(c->name));
	if ((c->join & NS_USER) && c->userns == NO)
		die_usage("--join user and --userns no exclude each other");
	/* What these would change is not the guest's own then. */
	if (c->share & NS_UTS)
		exclude(p, "hostname", "share");
	if (c->join & NS_UTS)
		exclude(p, "hostname", "join");
	if (c->share & NS_IPC)
		exclude(p, "sysctl", "share");
	if (c->join & NS_IPC)
		exclude(p, "sysctl", "join");
	if (c->init && ((c->share | c->join) & NS_PID))
		die_usage("--init: COMMAND can't be pid 1 with --%s pid", c->share & NS_PID ? "share" : "join");
	exclude(p, "init", "until");
}

static void check_root(struct plan *p)
{
	struct root *r = &p->root;

	/* "/" is the host's tree, as if it had not been written. */
	if (r->dir && !r->dir[strspn(r->dir, "/")])
		r->dir = NULL;
	demand(p, "cow", r->dir, "--root");
	demand(p, "disk", r->dir, "--root");
	if (r->dir)
		exclude(p, "writable-root", "root");
	exclude(p, "writable-root", "read-only");
	if (!p->args.n && !r->dir)
		die_usage("COMMAND is missing: only with --root there is a default, /bin/sh");
	if (!p->args.n)
		add_word(&p->args, "/bin/sh");
}

static void check_network(struct plan *p)
{
	static const char *const of_addresses[] = { "ip-later", "loopback", "connect-allow", "connect-deny" };
	const struct net *n = &p->net;

	for (size_t i = 0; i < sizeof(of_addresses) / sizeof(of_addresses[0]); i++)
		demand(p, of_addresses[i], n->mode == IP_LIST, "an --ip ADDR");
	if (p->context.join & NS_NET)
		exclude(p, "ip", "join");
	if ((p->context.share & NS_ABSTRACT) && n->mode == IP_NONE && !(p->context.join & NS_NET))
		die_usage("--share abstract: needs --ip: a network of its own has its own names");
	if (n->mode != IP_HOST)
		return;
	if (p->procvirt.hide_given && (p->procvirt.hide & HIDE_NET))
		die_usage("--hide net and --ip host exclude each other");
	p->procvirt.hide &= ~(unsigned)HIDE_NET;
}

static void check_view(const struct plan *p)
{
	if (p->procvirt.uptime_given && !p->procvirt.uptime_host)
		demand(p, "uptime", p->procvirt.virt & VIRT_UPTIME, "uptime in --virt");
}

static void check_control(const struct plan *p)
{
	const struct control *c = &p->control;

	int mode = c->status_fd < 0 ? O_WRONLY : fcntl(c->status_fd, F_GETFL);

	if (mode < 0)
		die_sys("--status-fd %d", c->status_fd);
	if ((mode & O_ACCMODE) == O_RDONLY || mode & O_PATH)
		die("--status-fd %d: is not open for writing", c->status_fd);
	for (size_t i = 0; i < c->n_keep_fd; i++) {
		if (c->keep_fd[i] == c->status_fd)
			die_usage("--status-fd and --keep-fd: %d is in both: the guest could write there",
				  c->status_fd);
		if (fcntl(c->keep_fd[i], F_GETFD) < 0)
			die_sys("--keep-fd %d", c->keep_fd[i]);
	}
	if (p->context.share & NS_PID)
		exclude(p, "on-reboot", "share");
	if (c->on_reboot == REBOOT_RESTART && !p->context.init)
		die_usage("--on-reboot restart: needs --init; without it a reboot ends the guest");
}

void opts_check(struct plan *p)
{
	if (p->verb != VERB_RUN && p->verb != VERB_EXPLAIN)
		return;
	check_context(p);
	check_root(p);
	check_network(p);
	check_view(p);
	check_control(p);
	if (p->context.userns == UNSET)
		p->context.userns = p->root.dir || (p->context.join & NS_USER) ? YES : NO;
	if (p->context.until == UNTIL_UNSET)
		p->context.until = UNTIL_COMMAND;
	if (!opts_given(p, "ccap"))
		p->rights.ccap = CCAP_RAW_ICMP | (p->context.share & NS_UTS ? 0 : CCAP_SET_UTSNAME);
}

/* ---- what people and shells read ---- */

/* What follows a verb and its guest. */
static const char *verb_tail(unsigned verb)
{
	switch (verb) {
	case V(ENTER):
		return " [OPTIONS] [--] [COMMAND...]";
	case V(SET):
		return " LIMIT...";
	case V(KILL):
		return " [--signal SIG]";
	case V(UNIFY):
		return " [OPTIONS] DIR DIR...";
	case V(EXPLAIN):
		return " [OPTIONS] [--] [COMMAND...]";
	}
	return "";
}

void opts_synopsis(FILE *out)
{
	const char *text;
	int column = 0;

	fputs("usage: vrun [OPTIONS] [--] COMMAND [ARG]...", out);
	for (const struct option *o = table; o < table + N_OPTIONS; o++) {
		if (!(o->flags & VERB) || (o->flags & UNFINISHED))
			continue;
		text = xasprintf("--%s%s%s%s", o->name, o->metavar ? " " : "", o->metavar ? o->metavar : "",
				 verb_tail(o->verbs));
		if (!column || column + (int)strlen(text) > 76)
			column = fprintf(out, "\n       %s %s", column ? "   |" : "vrun", text) - 1;
		else
			column += fprintf(out, " | %s", text);
	}
	fputc('\n', out);
}

void opts_help(FILE *out)
{
	enum { COLUMN = 29 };
	int group = -1, width;

	opts_synopsis(out);
	for (const struct option *o = table; o < table + N_OPTIONS; o++) {
		if (o->flags & UNFINISHED)
			continue;
		if ((int)o->group != group) {
			group = (int)o->group;
			fprintf(out, "\n%s:\n", group_title[group]);
		}
		width = fprintf(out, "  %c%c%c --%s%s%s", o->letter ? '-' : ' ', o->letter ? o->letter : ' ',
				o->letter ? ',' : ' ', o->name, o->metavar ? " " : "",
				o->metavar ? o->metavar : "");
		if (width >= COLUMN) {
			fputc('\n', out);
			width = 0;
		}
		fprintf(out, "%*s%s\n", COLUMN - width, "", o->help);
	}
	fputs("\nSizes: 64M = 64 MiB. Times: 500ms 10s 5m 2h 1d. vrun(8) has the rest.\nMay be repeated:", out);
	width = 16;
	for (const struct option *o = table; o < table + N_OPTIONS; o++) {
		if (!(o->flags & MANY) || (o->flags & UNFINISHED))
			continue;
		if (width + (int)strlen(o->name) > 76)
			width = fprintf(out, "\n   ") - 1;
		width += fprintf(out, " --%s", o->name);
	}
	fputc('\n', out);
}

/* The words of "yes|no|FILE" that are meant literally: those in lower case. */
static void print_choices(FILE *out, const char *metavar)
{
	const char *end;

	for (; metavar; metavar = *end ? end + 1 : NULL) {
		end = metavar + strcspn(metavar, "|");
		if (metavar + strspn(metavar, "abcdefghijklmnopqrstuvwxyz") == end)
			fprintf(out, "%.*s ", (int)(end - metavar), metavar);
	}
}

/* One arm of the shell's case on the option whose value is being typed. */
static void print_value_arm(FILE *out, const struct option *o)
{
	fprintf(out, "\t\t--%s", o->name);
	if (o->letter)
		fprintf(out, "|-%c", o->letter);
	fputs(") words='", out);
	print_choices(out, o->metavar);
	fputc('\'', out);
	if (o->flags & VERB)
		fputs(" words=$(vrun -q --list 2>/dev/null)", out);
	else if (!strncmp(o->metavar, "DIR", 3))
		fputs(" kind=-d", out);
	fputs(" ;;\n", out);
}

/* Where no word of ours fits, `-o default` has bash offer files. */
void opts_completion(FILE *out)
{
	const struct option *end = table + N_OPTIONS;

	fputs("# bash completion for vrun, printed by: vrun --completion\n"
	      "_vrun()\n{\n"
	      "\tlocal cur=${COMP_WORDS[COMP_CWORD]} kind= words= option= i\n"
	      "\tfor ((i = 1; i < COMP_CWORD; i++)); do\n"
	      "\t\toption=${COMP_WORDS[i]}\n"
	      "\t\tcase $option in\n"
	      "\t\t--) ((i++)); break ;;\n"
	      "\t\t-[", out);
	for (const struct option *o = table; o < end; o++)
		if (o->letter && o->metavar && !(o->flags & UNFINISHED))
			fputc(o->letter, out);
	fputs("]", out);
	for (const struct option *o = table; o < end; o++)
		if (o->metavar && !(o->flags & UNFINISHED))
			fprintf(out, "|--%s", o->name);
	fputs(")\n"
	      "\t\t\t[[ ${COMP_WORDS[i + 1]} == = ]] && ((i++))\n"
	      "\t\t\t((i++)) ;;\n"
	      "\t\t-*) ;;\n"
	      "\t\t*) break ;;\n"
	      "\t\tesac\n"
	      "\tdone\n"
	      "\tif ((i < COMP_CWORD)); then\n"
	      "\t\tdeclare -F _command_offset >/dev/null && _command_offset $i\n"
	      "\t\treturn\n"
	      "\tfi\n"
	      "\tif ((i > COMP_CWORD)) && [[ $option != -- ]]; then\n"
	      "\t\tcase $option in\n", out);
	for (const struct option *o = table; o < end; o++)
		if (o->metavar && !(o->flags & UNFINISHED))
			print_value_arm(out, o);
	fputs("\t\tesac\n"
	      "\telif [[ $cur == -* && $option != -- ]]; then\n"
	      "\t\twords='", out);
	for (const struct option *o = table; o < end; o++)
		if (!(o->flags & UNFINISHED))
			fprintf(out, "--%s ", o->name);
	fputs("'\n"
	      "\telse\n"
	      "\t\tkind=-c\n"
	      "\tfi\n"
	      "\t[[ $cur == = ]] && cur=\n"
	      "\tCOMPREPLY=($(compgen $kind -W \"$words\" -- \"$cur\"))\n"
	      "}\n"
	      "complete -o default -o bashdefault -F _vrun vrun\n", out);
}

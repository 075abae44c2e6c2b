/* SPDX-License-Identifier: ISC */
/*
 * caps.c: who we are.
 *
 * Three moments. Entry: caps_acquire is main's first act; a caller who is not root is nothing but himself from
 * there on, whatever bits the file has: the saved ids go too, and the way back is tried (it must fail). Guest
 * init: caps_apply_bound takes the bounding set down to what the plan allows; that set is the ceiling of every
 * later exec in the guest, so setuid files and file capabilities can't climb over it. COMMAND: caps_apply_user
 * becomes the user, with the groups, and reads everything back.
 *
 * Why the bound inside a user namespace is wide: the guest's namespaces but user and pid belong to the host's
 * user namespace, so most capabilities of the guest reach nothing there, and a smaller bound only makes exec of
 * files with file capabilities fail (execve(2), EPERM: "a capability-dumb binary"; capabilities(7)).
 *
 * Securebits are cleared. SECBIT_NOROOT would take guest root's capabilities at exec; locking KEEP_CAPS or
 * NO_CAP_AMBIENT_RAISE breaks daemons that change their user (systemd's AmbientCapabilities=, named, chronyd)
 * and adds nothing: neither can give what the bound has not. What helps is to prove that they are clear: a caller's
 * NO_SETUID_FIXUP would make setuid(2) in the guest keep its capabilities.
 *
 * Names of users and groups are looked up in the guest's own files, which a hostile guest wrote: identity.c.
 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/capability.h>
#include <sys/fsuid.h>
#include <sys/prctl.h>
#include <unistd.h>
#include "compat.h"
#include "vrun.h"

#define BIT(cap) (UINT64_C(1) << (cap))

/* ---- capability sets as masks ---- */

struct sets { uint64_t effective, permitted, inheritable; };

static void sets_read(struct sets *s)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { 0 };

	if (capget(&head, data) < 0)
		die_sys("capget");
	s->effective = data[0].effective | (uint64_t)data[1].effective << 32;
	s->permitted = data[0].permitted | (uint64_t)data[1].permitted << 32;
	s->inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32;
}

static void sets_write(uint64_t permitted, uint64_t inheritable)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = {
		{ .effective = (uint32_t)permitted, .permitted = (uint32_t)permitted,
		  .inheritable = (uint32_t)inheritable },
		{ .effective = (uint32_t)(permitted >> 32), .permitted = (uint32_t)(permitted >> 32),
		  .inheritable = (uint32_t)(inheritable >> 32) },
	};
	struct sets now;

	if (capset(&head, data) < 0)
		die_sys("capset");
	sets_read(&now);
	if (now.effective != permitted || now.permitted != permitted || now.inheritable != inheritable)
		die("capset didn't do what it said: effective %#" PRIx64 ", permitted %#" PRIx64
		    ", inheritable %#" PRIx64, now.effective, now.permitted, now.inheritable);
}

static bool is_known(int cap)
{
	return prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0;
}

/* The kernel's own last capability: /proc may not be there, and the headers may be older or newer. */
static int last_cap(void)
{
	static int last;

	if (last)
		return last;
	for (last = CAP_LAST_CAP; last > 0 && !is_known(last); last--)
		;
	while (last < 63 && is_known(last + 1))
		last++;
	return last;
}

static uint64_t all_caps(void)
{
	return (BIT(last_cap()) << 1) - 1;
}

/* 41 system calls: read where it may have changed, not where it can't. */
static uint64_t read_bounding_set(void)
{
	uint64_t set = 0;

	for (int cap = 0; cap <= last_cap(); cap++)
		if (prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 1)
			set |= BIT(cap);
	return set;
}

/* What vrun was started with. */
static uint64_t own_bounding_set(void)
{
	static uint64_t set;
	static bool is_read;

	if (!is_read)
		set = read_bounding_set();
	is_read = true;
	return set;
}

/* ---- entry ---- */

/* A caller may close 0-2: then the next file we open would land there, get our messages, and be the guest's
 * (CVE-2002-0572). */
static void open_standard_fds(void)
{
	int fd;

	for (fd = 0; fd <= 2; fd++)
		if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR | O_NOCTTY) != fd)
			_exit(EXIT_VRUN);       /* nowhere to say it */
}

/* Failing to stay an ordinary user is the only error here: the saved ids would be root's. */
static void become_caller(uid_t uid, gid_t gid)
{
	uid_t r, e, s;
	gid_t rg, eg, sg;

	if (setresgid(gid, gid, gid) < 0 || setresuid(uid, uid, uid) < 0)
		die_sys("can't become the caller");
	sets_write(0, 0);
	if (getresuid(&r, &e, &s) < 0 || r != uid || e != uid || s != uid ||
	    getresgid(&rg, &eg, &sg) < 0 || rg != gid || eg != gid || sg != gid)
		die("can't become the caller: ids are still others'");
	if (uid != 0 && (setresuid(-1, 0, -1) == 0 || setresuid(0, 0, 0) == 0))
		die("can't become the caller: the way back to root is open");
	/* fs.suid_dumpable=1 would make a change of ids dumpable again (commit_creds). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die_sys("PR_SET_DUMPABLE");
}

void caps_acquire(void)
{
	static char *no_env[] = { NULL };
	extern char **environ;
	uid_t uid = getuid(), euid = geteuid();
	gid_t gid = getgid(), egid = getegid();

	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		_exit(EXIT_VRUN);
	open_standard_fds();
	if (uid == euid && gid == egid && !getauxval(AT_SECURE))
		return;
	environ = no_env;
	become_caller(uid, gid);
}

bool caps_privileged(void)
{
	struct sets s;

	sets_read(&s);
	return getuid() == 0 && geteuid() == 0 && s.effective & BIT(CAP_SYS_ADMIN);
}

void caps_regain(void)
{
	if (caps_privileged())
		return;
	if (getuid() == 0)
		die("starting a guest needs CAP_SYS_ADMIN, which this root doesn't have");
	die("only root may start guests or change them, and uid %u called; a setuid vrun makes no difference", getuid());
}

/* ---- names ---- */

/* libcap's own table, so that a newer libcap brings newer names; it knows them as cap_x. */
static int cap_number(const char *word, size_t len)
{
	char name[40] = "cap_";
	cap_value_t cap;

	if (len >= 4 && strncasecmp(word, "cap_", 4) == 0)
		word += 4, len -= 4;
	if (len == 0 || len >= sizeof(name) - 4)
		return -1;
	for (size_t i = 0; i < len; i++) {
		if (!isalpha((unsigned char)word[i]) && word[i] != '_')
			return -1;
		name[4 + i] = (char)tolower((unsigned char)word[i]);
	}
	name[4 + len] = '\0';
	return cap_from_name(name, &cap) == 0 && cap >= 0 && cap < 64 ? cap : -1;
}

/* `all` is every bit, so that it holds for capabilities that this vrun doesn't know. */
const char *caps_parse_list(uint64_t *mask, const char *arg)
{
	uint64_t set = 0;

	if (strcasecmp(arg, "all") == 0) {
		*mask = UINT64_MAX;
		return NULL;
	}
	for (const char *p = arg;; p++) {
		size_t len = strcspn(p, ",");
		int cap = cap_number(p, len);

		if (len == 0)
			return "empty name in a list of capabilities";
		if (cap < 0)
			return "no such capability (capabilities(7))";
		set |= BIT(cap);
		p += len;
		if (!*p)
			break;
	}
	*mask |= set;
	return NULL;
}

const char *caps_name(int cap)
{
	static char name[40];
	char *text = cap >= 0 && cap < 64 ? cap_to_name(cap) : NULL;
	size_t i;

	snprintf(name, sizeof(name), "%d", cap);
	if (text && strncmp(text, "cap_", 4) == 0) {
		for (i = 0; text[4 + i] && i < sizeof(name) - 1; i++)
			name[i] = (char)toupper((unsigned char)text[4 + i]);
		name[i] = '\0';
	}
	cap_free(text);
	return name;
}

static const struct {
	const char *name;
	uint64_t bit;
	int needs;                      /* with which the broker acts; -1: nothing that vrun may lack */
	const char *why_not;            /* NULL: can be had */
} ccaps[] = {
	{ "set_utsname", CCAP_SET_UTSNAME, -1, NULL },
	{ "raw_icmp", CCAP_RAW_ICMP, -1, NULL },
	{ "multicast", CCAP_MULTICAST, -1, NULL },
	{ "syslog", CCAP_SYSLOG, CAP_SYSLOG, NULL },
	{ "secure_mount", CCAP_SECURE_MOUNT, -1, "this vrun has no broker for mount(2)" },
	{ "set_rlimit", CCAP_SET_RLIMIT, CAP_SYS_RESOURCE, NULL },
	{ "userns", CCAP_USERNS, -1, NULL },
	{ "oom_adjust", CCAP_OOM_ADJUST, -1, "the kernel checks CAP_SYS_RESOURCE of the host in a write to /proc, "
	  "which can't be brokered" },
	{ "quota_ctl", CCAP_QUOTA_CTL, -1, "this vrun has no broker for quotactl(2)" },
};

const char *caps_parse_ccap(uint64_t *mask, const char *arg)
{
	uint64_t set = 0;

	for (const char *p = arg;; p++) {
		size_t i, len = strcspn(p, ",");

		for (i = 0; i < sizeof(ccaps) / sizeof(*ccaps); i++)
			if (strlen(ccaps[i].name) == len && memcmp(ccaps[i].name, p, len) == 0)
				break;
		if (i == sizeof(ccaps) / sizeof(*ccaps))
			return "no such context capability";
		set |= ccaps[i].bit;
		p += len;
		if (!*p)
			break;
	}
	*mask |= set;
	return NULL;
}

/* ---- the bound ---- */

/* What a process needs to be root of its own files and processes, and no more (--userns no). */
static const uint64_t default_bound =
	BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) | BIT(CAP_KILL) |
	BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETFCAP) | BIT(CAP_NET_BIND_SERVICE) | BIT(CAP_SYS_CHROOT) |
	BIT(CAP_LEASE) | BIT(CAP_AUDIT_WRITE) | BIT(CAP_SYS_BOOT);

/*
 * What a capability of the guest's user namespace reaches: the kernel asks for it over the guest's own inodes
 * (capable_wrt_inode_uidgid), processes (ns_capable of mm or credentials), pid namespace (SYS_BOOT,
 * CHECKPOINT_RESTORE) or user namespace (SETUID, SETGID, SETPCAP, SYS_CHROOT). All others are asked over the
 * host's user namespace: by capable(), or over a namespace (mount, net, uts, ipc) that belongs to it. SYS_ADMIN
 * is not among them although it does reach: setns and unshare would give the guest a mount namespace it owns.
 */
static const uint64_t reach_in_userns =
	BIT(CAP_CHOWN) | BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER) | BIT(CAP_FSETID) |
	BIT(CAP_KILL) | BIT(CAP_SETGID) | BIT(CAP_SETUID) | BIT(CAP_SETPCAP) | BIT(CAP_SYS_CHROOT) |
	BIT(CAP_SYS_PTRACE) | BIT(CAP_SYS_BOOT) | BIT(CAP_SYS_NICE) | BIT(CAP_SYS_RESOURCE) | BIT(CAP_SETFCAP) |
	BIT(CAP_CHECKPOINT_RESTORE);

static bool own_pid_ns(const struct plan *p)
{
	return !((p->context.share | p->context.join) & NS_PID);
}

/* --cap-drop all leaves what --cap-add names. In the namespaces of the host nothing comes that vrun hasn't. */
uint64_t caps_bound(const struct plan *p)
{
	const struct rights *r = &p->rights;
	bool userns = p->context.userns == YES;
	uint64_t base = userns ? all_caps() & ~BIT(CAP_SYS_ADMIN) : default_bound;
	uint64_t set = r->cap_drop == UINT64_MAX ? r->cap_add : (base | r->cap_add) & ~r->cap_drop;

	/* Outside a pid namespace of its own reboot(2) would be the host's, or another guest's. */
	if (!own_pid_ns(p))
		set &= ~BIT(CAP_SYS_BOOT);
	return set & (userns ? all_caps() : own_bounding_set());
}

static int first_cap(uint64_t mask)
{
	return mask ? __builtin_ctzll(mask) : -1;
}

static void check_cap_lists(const struct plan *p)
{
	const struct rights *r = &p->rights;
	uint64_t both = r->cap_drop == UINT64_MAX ? 0 : r->cap_add & r->cap_drop;
	uint64_t useless = r->cap_add & ~reach_in_userns;
	struct sets mine;

	if (r->cap_add == UINT64_MAX)
		die_usage("--cap-add all: name the capabilities that the guest is to have");
	if (both)
		die_usage("--cap-add %s: --cap-drop names it too", caps_name(first_cap(both)));
	if (r->cap_add & ~all_caps())
		die("--cap-add %s: this kernel doesn't have that capability",
		    caps_name(first_cap(r->cap_add & ~all_caps())));
	if (r->cap_drop != UINT64_MAX && r->cap_drop & ~all_caps())
		note("--cap-drop %s: this kernel doesn't have that capability",
		     caps_name(first_cap(r->cap_drop & ~all_caps())));
	if (r->cap_add & BIT(CAP_SYS_BOOT) && !own_pid_ns(p))
		die("--cap-add SYS_BOOT: without a pid namespace of its own the guest would reboot the host");
	if (p->context.userns == YES) {
		if (useless)
			die("--cap-add %s: reaches nothing in a user namespace; --userns no",
			    caps_name(first_cap(useless)));
		return;
	}
	sets_read(&mine);
	if (caps_privileged() && r->cap_add & ~(mine.permitted & own_bounding_set()))
		die("--cap-add %s: vrun itself doesn't have it",
		    caps_name(first_cap(r->cap_add & ~(mine.permitted & own_bounding_set()))));
}

static void check_ccaps(const struct plan *p)
{
	struct sets mine;

	sets_read(&mine);
	for (size_t i = 0; i < sizeof(ccaps) / sizeof(*ccaps); i++) {
		if (!(p->rights.ccap & ccaps[i].bit))
			continue;
		if (ccaps[i].why_not)
			die("--ccap %s: %s", ccaps[i].name, ccaps[i].why_not);
		if (ccaps[i].needs >= 0 && caps_privileged() && !(mine.permitted & BIT(ccaps[i].needs)))
			die("--ccap %s: vrun itself doesn't have CAP_%s", ccaps[i].name, caps_name(ccaps[i].needs));
	}
	if (p->rights.ccap & CCAP_SET_UTSNAME && p->context.share & NS_UTS)
		die("--ccap set_utsname: with --share uts it would set the host's name");
}

/* ---- the host's processes ---- */

/*
 * In the host's pid namespace a root that is the host's root could take the user id of any process that isn't
 * privileged, and through its /proc/PID/root be behind the barrier, or trace it. No capability is asked for that. A
 * Landlock domain forbids it, whatever its rules: these here allow all (a rule-less ruleset is none to the kernel,
 * and REFER is denied where it isn't mentioned). Signals still pass: --share pid shares that.
 */
static bool needs_domain(const struct plan *p)
{
	const uint64_t given_away = BIT(CAP_SYS_PTRACE) | BIT(CAP_SYS_ADMIN);

	return p->context.userns != YES && !own_pid_ns(p) && !(caps_bound(p) & given_away);
}

static void check_domain(const struct plan *p)
{
	if (p->context.share & NS_PID && needs_domain(p) &&
	    syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) < LANDLOCK_ABI_REFER)
		die("--share pid: with --userns no only Landlock keeps the guest's root off the files of the host's "
		    "processes (Linux 5.19; landlock in lsm=); --userns yes does without");
}

void caps_apply_domain(const struct plan *p)
{
	struct compat_landlock_ruleset rules = { .handled_access_fs = LANDLOCK_ACCESS_FS_REFER };
	struct compat_landlock_path_beneath all = { .allowed = LANDLOCK_ACCESS_FS_REFER };

	/* The supervisor is our parent, and has a number here only where the namespace is the host's; a guest that is
	 * joined may share that too. */
	if (!needs_domain(p) || getppid() == 0)
		return;
	all.fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int fd = (int)syscall(__NR_landlock_create_ruleset, &rules, sizeof(rules.handled_access_fs), 0);
	if (all.fd < 0 || fd < 0 || syscall(__NR_landlock_add_rule, fd, COMPAT_LANDLOCK_PATH_BENEATH, &all, 0) < 0 ||
	    syscall(__NR_landlock_restrict_self, fd, 0) < 0)
		die_sys("--share pid: Landlock, to keep the guest off the host's processes (--userns yes does without)");
	close(all.fd);
}

void caps_check(struct plan *p)
{
	check_domain(p);
	check_cap_lists(p);
	check_ccaps(p);
	for (size_t i = 0; i < p->rights.env.n; i++)
		if (p->rights.env.v[i][0] == '\0' || p->rights.env.v[i][0] == '=')
			die_usage("--env %s: a variable has a name", quote(p->rights.env.v[i]));
}

/* ---- the builder ---- */

/*
 * What users of a user namespace have of the kernel (inotify instances, bytes of message queues, queued signals, timers)
 * is counted for its maker, too, in the namespace above (kernel/ucount.c; signals and queues since 5.14). That would be
 * root, from whom, and from all other guests, any user of any guest could take the last one. So the maker is the guest's
 * own root: by effective id alone. With its real id RLIMIT_NPROC would count for all of the guest
 * (enforced_nproc_rlimit), and files stay root's. uid 0 ends it.
 */
void caps_apply_maker(uid_t uid)
{
	pid_t supervisor = getppid();
	struct sets mine;

	sets_read(&mine);
	if (setresuid(-1, uid, -1) < 0)
		die_sys("--userns yes: become uid %u, to make its user namespace", uid);
	setfsuid(0);
	sets_write(mine.permitted, mine.inheritable);
	/* A change of ids clears both (commit_creds). */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		die_sys("--userns yes: prctl");
	if (getppid() != supervisor)
		_exit(EXIT_VRUN);
}

/* ---- guest init ---- */

/* The even bits change how ids and capabilities work; the odd ones only lock the even ones as they are. */
enum { SECUREBITS_EVEN = 0x55 };

static void clear_securebits(void)
{
	int bits = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);

	if (bits < 0)
		die_sys("PR_GET_SECUREBITS");
	if (bits & SECUREBITS_EVEN && prctl(PR_SET_SECUREBITS, bits & ~SECUREBITS_EVEN, 0, 0, 0) < 0)
		die_sys("vrun was started with locked securebits %#x, with which ids and capabilities "
			"in the guest would not change as they should", bits);
}

/*
 * Init keeps, beside the bound, what it needs for its children: to become the user (SETUID, SETGID) and to end
 * them (KILL). Its children can't climb to those: they exec, and exec obeys the bounding set.
 */
static uint64_t init_caps(uint64_t bound)
{
	return bound | BIT(CAP_SETUID) | BIT(CAP_SETGID) | BIT(CAP_KILL);
}

void caps_apply_bound(const struct plan *p)
{
	uint64_t bound = caps_bound(p), now;
	struct sets mine;

	clear_securebits();
	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		die_sys("PR_CAP_AMBIENT_CLEAR_ALL");
	for (int cap = 0; cap <= last_cap(); cap++)
		if (!(bound & BIT(cap)) && prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			die_sys("drop CAP_%s from the bounding set", caps_name(cap));
	now = read_bounding_set();
	if (now != bound)
		die("the bounding set is %#" PRIx64 ", not %#" PRIx64, now, bound);
	sets_read(&mine);
	/* Ambient is part of inheritable (capabilities(7)): where that reads 0, so is this. */
	sets_write(mine.permitted & init_caps(bound), 0);
}

/* ---- COMMAND ---- */

static void raise_ambient(uint64_t set)
{
	for (int cap = 0; cap <= last_cap(); cap++)
		if (set & BIT(cap) && prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			die_sys("--cap-add %s: raise it in the ambient set", caps_name(cap));
}

static void prove_ids(const struct identity *id, uint64_t keep)
{
	uid_t r, e, s;
	gid_t rg, eg, sg, *groups;
	int n = getgroups(0, NULL);

	if (getresuid(&r, &e, &s) < 0 || r != id->uid || e != id->uid || s != id->uid ||
	    getresgid(&rg, &eg, &sg) < 0 || rg != id->gid || eg != id->gid || sg != id->gid)
		die("--user: the ids are not %u:%u", id->uid, id->gid);
	if (n < 0 || (size_t)n != id->n_groups)
		die("--groups: %d groups are set, not %zu", n, id->n_groups);
	groups = xmalloc(((size_t)n + 1) * sizeof(*groups));
	if (getgroups(n, groups) != n)
		die_sys("getgroups");
	for (int i = 0; i < n; i++) {   /* the kernel sorts them */
		size_t k = 0;

		while (k < id->n_groups && id->groups[k] != groups[i])
			k++;
		if (k == id->n_groups)
			die("--groups: group %u is set and was not asked for", groups[i]);
	}
	free(groups);
	if (id->uid != 0 && !(keep & BIT(CAP_SETUID)) &&
	    (setresuid(-1, 0, -1) == 0 || setresuid(0, -1, -1) == 0 || setresuid(-1, -1, 0) == 0))
		die("--user %u: the way back to root is open", id->uid);
	if (id->uid != 0 && !(keep & BIT(CAP_SETGID)) && setgroups(0, NULL) == 0)
		die("--user %u: groups can still be changed", id->uid);
}

/* The bounding set was proved by init, and nothing raises one again. */
static void prove_caps(const struct plan *p, uint64_t keep, uint64_t ambient)
{
	struct sets now;

	sets_read(&now);
	if (now.permitted != keep || now.effective != keep || now.inheritable != ambient)
		die("capabilities are not as planned: permitted %#" PRIx64 ", effective %#" PRIx64
		    ", inheritable %#" PRIx64, now.permitted, now.effective, now.inheritable);
	for (int cap = 0; ambient && cap <= last_cap(); cap++)
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0) != !!(ambient & BIT(cap)))
			die("--cap-add: the ambient set is not as planned in %s", caps_name(cap));
	if (prctl(PR_GET_SECUREBITS, 0, 0, 0, 0) & SECUREBITS_EVEN)
		die("securebits are not clear");
	if (p->rights.no_new_privs && prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		die("--no-new-privs: is not set");
}

/* A file that we can't read is executed without becoming dumpable (execve(2)); its owner needs these to read it. */
void caps_apply_blind(void)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2];

	if (capget(&head, data) < 0)
		die_sys("capget");
	data[0].effective &= ~(uint32_t)(BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH));
	if (capset(&head, data) < 0)
		die_sys("capset");
}

/* Root gets the bound at exec. For a user, what --cap-add names goes along as ambient capabilities. */
void caps_apply_user(const struct plan *p, const struct identity *id)
{
	uint64_t bound = caps_bound(p);
	uint64_t ambient = id->uid == 0 ? 0 : p->rights.cap_add & bound;
	uint64_t keep = id->uid == 0 ? bound : ambient;
	struct sets mine;

	sets_read(&mine);
	keep &= mine.permitted;
	if (setgroups(id->n_groups, id->groups) < 0)
		die_sys("--groups: setgroups");
	if (setresgid(id->gid, id->gid, id->gid) < 0)
		die_sys("--user: setresgid %u", id->gid);
	if (ambient && prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0)
		die_sys("PR_SET_KEEPCAPS");
	if (setresuid(id->uid, id->uid, id->uid) < 0)
		die_sys("--user: setresuid %u", id->uid);
	sets_write(keep, ambient);
	raise_ambient(ambient);
	if (prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) < 0)
		die_sys("PR_SET_KEEPCAPS");
	if (p->rights.no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die_sys("--no-new-privs");
	/* Until exec makes it COMMAND this is still vrun's memory; a change of ids may have made it dumpable. */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		die_sys("PR_SET_DUMPABLE");
	prove_ids(id, keep);
	prove_caps(p, keep, ambient);
}

/* SPDX-License-Identifier: ISC */
/*
 * vrun.c: main, the processes and the order.
 *
 *   caller's shell
 *    └─ vrun            supervisor: the host's namespaces, the caller's cgroup (supervise.c)
 *        ├─ builder     host root in the guest's mount, uts, ipc, net and time namespace; builds, then is gone
 *        ├─ broker      when a call is first notified (broker.c)
 *        └─ init        guest pid 1 (init.c), born by the builder as the supervisor's child
 *            └─ COMMAND
 *
 * main() is four phases: parse and check as the caller, then apply, then exec or wait. What is done to start a
 * guest, and in which order, stands in three tables of steps, one for each process that does it; guest_enter()
 * walks the first, the builder and guest init walk theirs, and --explain prints all three. supervise_undo()
 * (supervise.c) is their mirror. Nothing privileged happens outside these steps.
 *
 * Why this order (ROOT.md, measured on two kernels):
 *  - The host's root makes every namespace but {user, pid}, which come last, together. The guest's capabilities
 *    then count for its own processes and for nothing else: with a full set it can mount nothing, open no raw
 *    socket, set no hostname. With one clone for all namespaces they would all be the guest's to administer.
 *  - The cgroup with its limits and programs is complete before the guest's first process is born into it.
 *    CLONE_INTO_CGROUP, never cgroup.procs: writing that costs 8-20 ms on a host with v1 controllers (START.md).
 *  - The pid namespace is made with the user namespace, so that reboot(2) in the guest is the guest's.
 *  - Init is a copy of vrun that never executes anything: its memory belongs to the host's user namespace, so
 *    nobody in the guest can trace it, read it, or follow its /proc/1/exe (CVE-2019-5736).
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/magic.h>

extern char **environ;

#define SYS_ADMIN (UINT64_C(1) << CAP_SYS_ADMIN)

enum { ENTER_WAIT_MS = 5000 };          /* for an entered command's filter; a few ms, unless the machine is swamped */

/* All that a start passes from step to step. Lives in the supervisor; the builder and init have a copy. */
struct run {
	const struct plan *plan;
	struct supervisor *sup;
	struct build build;
	struct init_args init;
	int ctl_fd[2];                  /* [0] supervisor's end, [1] guest init's (and the builder's) */
	int error_fd[2];
	int go_fd[2];                   /* builder to init: the tree stands */
	struct guest_ref join;
	uint32_t id_base;
	pid_t init_pid;                 /* in the builder */
	int enter_ns_fd[2];             /* of an entered command: the guest's cgroup and user namespace */
	bool again;                     /* a restart: steps marked `once` hold */
};

struct step {
	const char *what;
	const char *needs;              /* of the kernel */
	bool (*wanted)(const struct plan *p);
	void (*run)(struct run *r);
	bool once;                      /* not again when the guest restarts: it holds over that */
};

/* ---- which steps a plan needs ---- */

static bool always(const struct plan *p) { (void)p; return true; }
static bool has_userns(const struct plan *p) { return p->context.userns == YES; }
static bool own(const struct plan *p, unsigned ns) { return !((p->context.share | p->context.join) & ns); }
static bool own_uts(const struct plan *p) { return own(p, NS_UTS); }
static bool own_cgroup(const struct plan *p) { return own(p, NS_CGROUP); }
static bool own_net(const struct plan *p) { return p->net.mode == IP_NONE && own(p, NS_NET); }
static bool own_time(const struct plan *p) { return p->procvirt.virt & VIRT_UPTIME; }
static bool host_net(const struct plan *p) { return p->net.mode != IP_NONE; }
static bool net_view(const struct plan *p) { return p->net.view && !p->net.joined; }
static bool joins_view(const struct plan *p) { return p->net.joined != 0; }
static bool has_view(const struct plan *p) { return p->procvirt.virt != 0 || p->net.view; }
static bool shares_net(const struct plan *p) { return host_net(p) && !net_view(p); }
static bool ip_list(const struct plan *p) { return p->net.mode == IP_LIST; }
static bool joins(const struct plan *p) { return p->context.join != 0; }
static bool own_userns(const struct plan *p) { return has_userns(p) && own(p, NS_USER); }
static bool no_nested(const struct plan *p) { return own_userns(p) && !(p->rights.ccap & CCAP_USERNS); }
static bool has_rlimits(const struct plan *p) { return p->limits.n_rlimit > 0; }
static bool has_sysctl(const struct plan *p) { return p->limits.n_sysctl > 0; }
static bool brokered(const struct plan *p) { return seccomp_notifies(p); }
/* Where our own init isn't what all the guest's processes hang on. */
static bool needs_guard(const struct plan *p) { return p->context.init || !own(p, NS_PID); }
static bool is_init(const struct plan *p) { return p->context.init; }
/* Its root owns the payload, or could mount cgroup2 and owns that as the host's root. */
static bool may_make_cgroups(const struct plan *p)
{
	return p->context.init || (!has_userns(p) && (p->rights.ccap & CCAP_USERNS || p->rights.cap_add & SYS_ADMIN));
}
static bool among_others(const struct plan *p) { return !has_userns(p) && !own(p, NS_PID); }
static bool needs_copy(const struct plan *p) { return !has_userns(p); }

/* ---- the supervisor's steps ---- */

static void claim(struct run *r)
{
	cgroup_claim((struct plan *)(uintptr_t)r->plan, &r->sup->cg);
	r->id_base = has_userns(r->plan) ? r->sup->cg.xid << 16 : 0;
	if (joins(r->plan)) {
		guests_find(r->plan->context.join_name, &r->join);
		if (r->plan->context.join & NS_USER)
			r->id_base = r->join.id_base;
	}
}

static void limit(struct run *r) { limits_apply(r->plan, &r->sup->cg); }
static void open_view(struct run *r) { procvirt_open(r->plan, &r->sup->cg, &r->sup->view); }
static void limit_nesting(struct run *r) { cgroup_limit_nesting(&r->sup->cg); }
static void delegate(struct run *r) { cgroup_delegate(&r->sup->cg, r->id_base); }

static void filter_addresses(struct run *r)
{
	/* Swept later, a dead guest would take an address away that we believe to be the host's. */
	if (net_device_is_taken(r->plan))
		cgroup_sweep(SWEEP_ALL);
	net_apply(r->plan, &r->sup->cg, &r->sup->net);
}

/* Sockets are made where that guest's are: under its programs, by its list, and gone with it. */
static void join_view(struct run *r)
{
	struct cgroup cg;

	/* Numbers of guests are given out again, those of cgroups never. */
	if (!cgroup_open(r->plan->net.joined, &cg) || cg.id != r->plan->net.joined_id || !cgroup_started(&cg))
		die("--join net=%s: the guest whose addresses it has is gone", r->join.name);
	net_join(&cg, &r->sup->net);
	r->sup->net_leaf_fd = fcntl(cgroup_broker(&cg), F_DUPFD_CLOEXEC, 3);
	if (r->sup->net_leaf_fd < 0)
		die_sys("--join net=%s: its broker's cgroup", r->join.name);
	cgroup_close(&cg);
}

static void guard(struct run *r) { supervise_guard(r->sup); }
static void make_pid_file(struct run *r) { supervise_pid_make(r->sup); }
static bool has_pid_file(const struct plan *p) { return p->control.pid_file; }

/* Linux-VServer's vshelper could refuse a start, too. */
static void help_startup(struct run *r)
{
	int status;

	if (ip_list(r->plan))
		supervise_helper(r->sup, "netup", true);
	status = supervise_helper(r->sup, "startup", true);
	if (status)
		die("--helper %s: startup %s: %s %d", quote(r->sup->helper), r->sup->cg.name,
		    WIFSIGNALED(status) ? "killed by signal" : "status",
		    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
	r->sup->helped = true;
}

static bool has_helper(const struct plan *p) { return p->control.helper; }

/* Guest root is host root here: COMMAND `#!/proc/self/exe` would be given an image of vrun that it may write to
 * (CVE-2019-5736). So the last exec starts from a sealed copy: 250 KB copied, about 60 us. Not to be read, so that
 * what runs from it can't be traced by the guest either: before it has loaded --seccomp FILE it may do what the
 * guest may not. */
static void copy_self(struct run *r)
{
	_cleanup_fd_ int self = openat(host_proc_fd(), "self/exe", O_RDONLY | O_CLOEXEC);
	struct stat st;
	int fd = memfd_create("vrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (self < 0 || fd < 0 || fstat(self, &st) < 0)
		die_sys("copy vrun for the guest's first exec");
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(fd, self, NULL, (size_t)left);

		if (n <= 0)
			die_sys("copy vrun for the guest's first exec");
		left -= n;
	}
	if (fchmod(fd, 0111) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL) < 0)
		die_sys("seal the copy of vrun");
	r->init.ro_self_fd = fd;
}

static void build(struct run *r);       /* the builder: below its steps */

/* ---- the builder's steps: host root, on its way into the guest's namespaces ---- */

static void take_trees(struct run *r)
{
	r->build.plan = r->plan;
	r->build.cgroup_fd = r->sup->cg.payload_fd;
	root_take(&r->build);
}

static void unshare_namespaces(struct run *r)
{
	const struct plan *p = r->plan;
	int flags = CLONE_NEWNS;

	flags |= own_uts(p) ? CLONE_NEWUTS : 0;
	flags |= own(p, NS_IPC) ? CLONE_NEWIPC : 0;
	flags |= own_net(p) ? CLONE_NEWNET : 0;
	if (unshare(flags) < 0)
		die_sys("unshare the guest's namespaces");
}

static void join_namespaces(struct run *r)
{
	static const struct { unsigned ns; int flag; const char *name; } kinds[] = {
		{ NS_UTS, CLONE_NEWUTS, "uts" }, { NS_IPC, CLONE_NEWIPC, "ipc" }, { NS_NET, CLONE_NEWNET, "net" },
		{ NS_CGROUP, CLONE_NEWCGROUP, "cgroup" }, { NS_PID, CLONE_NEWPID, "pid" },
	};
	char path[64];

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (!(r->plan->context.join & kinds[i].ns))
			continue;
		snprintf(path, sizeof(path), "%d/ns/%s", (int)r->join.init, kinds[i].name);
		_cleanup_fd_ int fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || setns(fd, kinds[i].flag) < 0)
			die_sys("--join %s=%s", kinds[i].name, r->join.name);
	}
	/* The number may have been given to another process since it was looked up. */
	if (sys_pidfd_send_signal(r->join.pidfd, 0) < 0)
		die("--join: guest %s has just ended", r->join.name);
}

static void name_host(struct run *r)
{
	const char *h = r->plan->context.hostname ? r->plan->context.hostname : r->sup->cg.name;

	if (sethostname(h, strlen(h)) < 0)
		die_sys("--hostname %s", quote(h));
}

static void view_net(struct run *r) { netview_apply(r->plan); }
static void set_time(struct run *r) { procvirt_apply_time(r->plan, &r->sup->view); }
static void own_loopback(struct run *r) { net_apply_own(r->plan, r->id_base); }
static void set_sysctl(struct run *r) { limits_apply_sysctl(r->plan); }

static void guest_init(struct run *r);

static int open_ns(pid_t pid, const char *name)
{
	char path[48];
	int fd;

	snprintf(path, sizeof(path), "%d/ns/%s", (int)pid, name);
	fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die_sys("open /proc/%s", path);
	return fd;
}

/* CLONE_PARENT: the supervisor is init's parent and gets its status; it is born in its cgroup, limits and all. */
static void bear_init(struct run *r)
{
	const struct plan *p = r->plan;
	uint64_t flags = CLONE_PARENT | CLONE_INTO_CGROUP;
	struct ctl m = { .type = CTL_BORN };
	int fds[2];
	size_t n = 0;

	flags |= own_userns(p) ? CLONE_NEWUSER : 0;
	flags |= own(p, NS_PID) ? CLONE_NEWPID : 0;
	init_conceal(&r->init);
	if (own_userns(p))
		caps_apply_maker(r->id_base);
	r->init_pid = sys_clone3(flags, NULL, r->sup->cg.payload_fd, 0);
	if (r->init_pid < 0 && errno == ENOSPC)
		die("--userns: no more namespaces: /proc/sys/user/max_user_namespaces (or a nesting of 32) is reached");
	if (r->init_pid < 0)
		die_sys("clone guest init%s", own_userns(p) ? " (without user namespaces: --userns no)" : "");
	if (r->init_pid == 0)
		guest_init(r);
	if (own_userns(p))
		caps_apply_maker(0);
	m.value = r->init_pid;
	/* The broker's namespaces from here, where they are our own: by init's pid they might be gone already. */
	if (brokered(p)) {
		fds[n++] = open_ns(getpid(), "uts");
		fds[n++] = open_ns(getpid(), "net");
	}
	if (send_fds(r->ctl_fd[1], &m, sizeof(m), fds, n) < 0)
		die_sys("tell the supervisor");
	while (n)
		close(fds[--n]);
}

static void map_ids(struct run *r)
{
	char path[32], map[64];

	snprintf(map, sizeof(map), "0 %u %d", r->id_base, IDS_PER_GUEST);
	snprintf(path, sizeof(path), "%d/uid_map", (int)r->init_pid);
	if (write_at(host_proc_fd(), path, map) < 0)
		die_sys("write the guest's uid_map %s", quote(map));
	snprintf(path, sizeof(path), "%d/gid_map", (int)r->init_pid);
	if (write_at(host_proc_fd(), path, map) < 0)
		die_sys("write the guest's gid_map %s", quote(map));
}

/* `echo >/dev/stderr` opens the pipe anew, as its owner or not at all. Only what has no name on the host changes
 * hands: an anonymous pipe or a socket; never a file, a FIFO or a terminal. */
static void hand_over_pipes(struct run *r)
{
	for (int fd = 0; fd <= 2; fd++) {
		struct stat st;
		struct statfs fs;

		if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
			continue;
		if ((S_ISFIFO(st.st_mode) && fs.f_type == PIPEFS_MAGIC) || S_ISSOCK(st.st_mode)) {
			if (fchown(fd, r->id_base, r->id_base) < 0)
				die_sys("give descriptor %d to the guest", fd);
		}
	}
}

/* Without CAP_SYS_RESOURCE only the maker of its user namespace may (prlimit(2)). */
static void set_rlimits(struct run *r)
{
	if (own_userns(r->plan))
		caps_apply_maker(r->id_base);
	limits_apply_rlimits(r->plan, r->init_pid);
	if (own_userns(r->plan))
		caps_apply_maker(0);
}

static void build_tree(struct run *r)
{
	struct build *b = &r->build;
	const struct plan *p = r->plan;
	struct overmount over[VIEW_MOUNTS];
	bool joined_pid = p->context.join & NS_PID;

	b->id_base = r->id_base;
	b->userns_fd = !has_userns(p) ? -1 : open_ns(own(p, NS_USER) ? r->init_pid : r->join.init, "user");
	b->pidns_fd = p->context.share & NS_PID ? -1 : open_ns(joined_pid ? r->join.init : r->init_pid, "pid");
	b->cgroup_delegated = p->context.init;
	b->own_net = own_net(p) || net_view(p);
	b->want_pty = tty_wanted(&r->sup->tty);
	b->over = over;
	b->n_over = procvirt_overmounts(&r->sup->view, over, VIEW_MOUNTS);
	b->cpus = procvirt_cpus(&r->sup->view);
	root_apply(b);
}

/* The supervisor proxies the master; init has its own end from the tree. */
static void hand_over_pty(struct run *r)
{
	struct ctl m = { .type = CTL_PTY };

	if (r->build.pty_master_fd < 0)
		return;
	tty_attach(&r->sup->tty, r->build.pty_master_fd);
	if (send_fds(r->ctl_fd[1], &m, sizeof(m), &r->build.pty_master_fd, 1) < 0)
		die_sys("hand the guest's terminal over");
}

static void say_go(struct run *r)
{
	int slave = r->build.pty_slave_fd;

	/* init was born before there was a terminal: its end goes over the go socket. */
	if (send_fds(r->go_fd[0], "g", 1, &slave, slave >= 0 ? 1 : 0) < 0)
		die_sys("tell guest init to go on");
}

static const struct step builder_steps[] = {
	{ "copy the mounts that the options name, while they are in reach", "Linux 5.2", always, take_trees },
	{ "unshare the mount, uts, ipc and net namespaces, as the host's root", "Linux 3.8", always, unshare_namespaces },
	{ "unshare the net namespace that shows the guest's addresses", "CONFIG_DUMMY or CONFIG_IFB", net_view, view_net },
	{ "join the namespaces of another guest", "Linux 3.8", joins, join_namespaces },
	{ "set the hostname", "Linux 2.6.19", own_uts, name_host },
	{ "unshare the time namespace; uptime starts anew", "Linux 5.6", own_time, set_time },
	{ "bring the guest's own loopback up; ports below 1024 and ping for its ids", "Linux 4.11", own_net, own_loopback },
	{ "set the guest's ipc limits", "Linux 2.6.19", has_sysctl, set_sysctl },
	{ "clone guest init into its cgroup, with its pid and user namespace", "Linux 5.7", always, bear_init },
	{ "map the guest's ids 0..65535 to xid<<16 and up", "Linux 3.8", own_userns, map_ids },
	{ "give inherited anonymous pipes on 0-2 to the guest", "Linux 2.6", has_userns, hand_over_pipes },
	{ "set rlimits on guest init", "Linux 2.6.36", has_rlimits, set_rlimits },
	{ "build the guest's tree, pivot_root into it, detach the host's", "Linux 5.12", always, build_tree },
	{ "hand the guest's terminal to the supervisor", "devpts", always, hand_over_pty },
	{ "let guest init go on", "", always, say_go },
};

/* ---- guest init's steps ---- */

static void wait_for_tree(struct run *r)
{
	char c;
	size_t n = 1;

	r->init.pty_slave_fd = -1;
	if (recv_fds(r->go_fd[1], &c, 1, &r->init.pty_slave_fd, &n) != 1)
		_exit(EXIT_VRUN);       /* the builder has said why */
	if (n == 0)
		r->init.pty_slave_fd = -1;
}

static void behind_barrier(struct run *r) { (void)r; root_enter(); }
static void enter_cgroup(struct run *r) { cgroup_enter(&r->sup->cg); }

static void unshare_cgroup(struct run *r)
{
	(void)r;
	if (unshare(CLONE_NEWCGROUP) < 0)
		die_sys("unshare the cgroup namespace");
}

static void join_user(struct run *r)
{
	if (!(r->plan->context.join & NS_USER) || !r->join.userns)
		return;
	_cleanup_fd_ int fd = open_ns(r->join.init, "user");
	if (setns(fd, CLONE_NEWUSER) < 0)
		die_sys("--join user=%s", r->join.name);
}

static bool joins_user(const struct plan *p) { return p->context.join & NS_USER; }

/*
 * Nested user namespaces are a large part of the kernel that no confined guest needs; the other kinds need CAP_SYS_ADMIN,
 * which only a nested one would give. The limit is per user namespace, ours to lower while we hold CAP_SYS_RESOURCE in
 * it, and out of the guest's reach: its /proc/sys is read-only. The host's /proc by descriptor: the guest's isn't there
 * yet or may be anything. One file: each namespace's is an entry of its own under one name there, and a lookup compares
 * them all (fs/proc/proc_sysctl.c: proc_sys_compare); all eight kinds took 4.5 ms of CPU beside 600 guests.
 */
static void forbid_nesting(struct run *r)
{
	(void)r;
	if (write_at(host_proc_fd(), "sys/user/max_user_namespaces", "0") < 0 && errno != ENOENT)
		die_sys("write 0 to /proc/sys/user/max_user_namespaces");
}

static void become_guest_root(struct run *r)
{
	(void)r;
	if (setgroups(0, NULL) < 0 || setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
		die_sys("become the guest's root");
	prctl(PR_SET_DUMPABLE, 0);      /* again: changing ids may have set it */
}

static void new_keyring(struct run *r)
{
	(void)r;
	/* Keys of the caller's session stay with the caller. A kernel without keyrings has none to leak. */
	if (syscall(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL, 0, 0, 0) < 0 && errno != ENOSYS)
		die_sys("make a session keyring");
}

static void scope(struct run *r) { net_apply_scope(r->plan); }
static void domain(struct run *r) { caps_apply_domain(r->plan); }

static void load_filter(struct run *r)
{
	struct ctl m = { .type = CTL_LISTENER };
	int fd = seccomp_apply(r->plan);

	if (fd < 0)
		return;
	if (send_fds(r->ctl_fd[1], &m, sizeof(m), &fd, 1) < 0)
		die_sys("hand the filter's listener over");
	close(fd);
}

static void bound(struct run *r) { caps_apply_bound(r->plan); }

static void become_init(struct run *r)
{
	/* Where the guest's pid namespace isn't its own, init's end isn't the others'. */
	if (!own(r->plan, NS_PID))
		r->init.kill_fd = r->sup->cg.kill_fd;
	/* After the last change of ids, which clears it (prctl(2)). */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0)
		die_sys("PR_SET_PDEATHSIG");
	init_main(&r->init);
}

static const struct step init_steps[] = {
	{ "wait for the tree", "", always, wait_for_tree },
	{ "enter the guest's v1 cgroups, by `tasks`", "", always, enter_cgroup },
	{ "unshare the cgroup namespace", "Linux 4.6", own_cgroup, unshare_cgroup },
	{ "join the user namespace of another guest", "Linux 3.8", joins_user, join_user },
	{ "forbid nested user namespaces", "Linux 4.9", no_nested, forbid_nesting },
	{ "stand below the barrier", "", always, behind_barrier },
	{ "become the guest's root, without groups", "Linux 3.8", always, become_guest_root },
	{ "start a session keyring", "CONFIG_KEYS", always, new_keyring },
	{ "keep abstract UNIX sockets apart (Landlock scope)", "Linux 6.12", shares_net, scope },
	{ "keep the guest off the files of the host's processes (Landlock)", "Linux 5.19", among_others, domain },
	{ "load the seccomp filter", "Linux 5.14", always, load_filter },
	{ "drop the bounding set, inheritable and ambient sets; read them back", "Linux 4.3", always, bound },
	{ "reap, and start COMMAND; or become it (--init)", "", always, become_init },
};

/* ---- walking ---- */

static void walk(const struct step *steps, size_t n, struct run *r)
{
	for (size_t i = 0; i < n; i++)
		if (steps[i].wanted(r->plan) && !(steps[i].once && r->again))
			steps[i].run(r);
}

#define WALK(steps, r) walk(steps, sizeof(steps) / sizeof(steps[0]), r)

static void guest_init(struct run *r)
{
	close(r->ctl_fd[0]);
	close(r->go_fd[0]);
	close_fd(&r->sup->guard_fd);    /* or the guard would never see it close */
	procvirt_close(&r->sup->view);  /* or a reader would wait for a supervisor that is gone */
	WALK(init_steps, r);
	_exit(EXIT_VRUN);
}

static void build(struct run *r)
{
	pid_t supervisor_pid = getpid(), pid = fork();

	if (pid < 0)
		die_sys("fork the builder");
	if (pid > 0) {
		close(r->ctl_fd[1]);
		close(r->error_fd[1]);
		close(r->go_fd[0]);
		close(r->go_fd[1]);
		return;
	}
	util_error_fd = r->error_fd[1];
	util_undo = NULL;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != supervisor_pid)
		_exit(EXIT_VRUN);       /* it died before we could ask for the signal */
	close(r->ctl_fd[0]);
	close(r->error_fd[0]);
	/* The view's requests are the supervisor's to answer. Did we hold its end, too, then one that we wait for when the
	 * supervisor is killed would never be given up, and nothing kills who waits there (fs/fuse/dev.c). */
	close_fd(&r->sup->view.device_fd);
	WALK(builder_steps, r);
	_exit(0);
}

static const struct step supervisor_steps[] = {
	{ "claim the context id and the name; make its cgroup", "cgroup2; Linux 4.5", always, claim, true },
	{ "write its limits", "the limits' cgroup controllers", always, limit, true },
	{ "write the pid file, under another name until COMMAND runs", "", has_pid_file, make_pid_file, true },
	{ "make the guest's view of uptime, memory, CPUs and load (FUSE)", "Linux 5.2", has_view, open_view },
	{ "limit how many cgroups the guest may make", "", may_make_cgroups, limit_nesting, true },
	{ "delegate the inner cgroup to the guest's init", "", is_init, delegate },
	{ "load or find the address programs, attach them, fill their configuration", "CONFIG_CGROUP_BPF", ip_list,
	  filter_addresses, true },
	{ "find the addresses of the guest whose network is joined", "CONFIG_CGROUP_BPF", joins_view, join_view, true },
	{ "make a sealed copy of vrun for the guest's first exec", "Linux 3.17", needs_copy, copy_self, true },
	{ "start the guard that ends the guest with the supervisor", "", needs_guard, guard },
	{ "run the helper's startup, wait for it", "", has_helper, help_startup },
	{ "fork the builder", "", always, build },
};

/* ---- --enter, where pid 1 is a stranger that can't be asked for a child (--init) ---- */

static void join_cgroup_ns(struct run *r)
{
	if (setns(r->enter_ns_fd[0], CLONE_NEWCGROUP) < 0)
		die_sys("--enter: the guest's cgroup namespace");
}

static void join_userns(struct run *r)
{
	if (setns(r->enter_ns_fd[1], CLONE_NEWUSER) < 0)
		die_sys("--enter: the guest's user namespace");
}

/* What init_steps are for guest init: the same rights, filter and domain, made anew from the same plan. */
static const struct step entrant_steps[] = {
	{ "enter the guest's v1 cgroups, by `tasks`", "", always, enter_cgroup },
	{ "join the guest's cgroup namespace", "Linux 4.6", own_cgroup, join_cgroup_ns },
	{ "join the guest's user namespace", "Linux 3.8", has_userns, join_userns },
	{ "stand below the barrier", "", always, behind_barrier },
	{ "become the guest's root, without groups", "Linux 3.8", always, become_guest_root },
	{ "start a session keyring", "CONFIG_KEYS", always, new_keyring },
	{ "keep abstract UNIX sockets apart (Landlock scope)", "Linux 6.12", host_net, scope },
	{ "keep the guest off the files of the host's processes (Landlock)", "Linux 5.19", among_others, domain },
	{ "load the seccomp filter", "Linux 5.14", always, load_filter },
	{ "drop the bounding set, inheritable and ambient sets; read them back", "Linux 4.3", always, bound },
};

/* Where pid 1 is: a guest that divided its cgroup (systemd) is to have no processes in the payload itself, and once it
 * has given controllers away there it can't (EBUSY). */
static int cgroup_of_init(const struct supervisor *s)
{
	char path[512];

	if (!hierarchy_path_of(s->init_pid, NULL, path, sizeof(path)) ||
	    strncmp(path, s->cg.path, strlen(s->cg.path)))
		return -1;
	return hierarchy_below(s->cg.tree_fd, path);
}

/* Host root, undumpable, on its way into the guest's namespaces; the child has CLONE_PARENT, so is a stranger to
 * pid 1 until its helper ends. Its errors go to the entering vrun. */
static _Noreturn void build_entrant(struct run *r, const int fd[])
{
	struct supervisor *s = r->sup;
	int flags = CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWTIME;
	int init_cgroup_fd = cgroup_of_init(s), pidfd = sys_pidfd_open(s->init_pid, 0);
	pid_t pid;

	util_error_fd = fd[ENTER_ERROR];
	util_undo = NULL;
	prctl(PR_SET_DUMPABLE, 0);
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close_fd(&s->guard_fd);
	procvirt_close(&s->view);
	limits_apply_rlimits(r->plan, getpid());
	r->enter_ns_fd[0] = open_ns(s->init_pid, "cgroup");
	r->enter_ns_fd[1] = open_ns(s->init_pid, "user");
	if (pidfd < 0 || setns(pidfd, flags) < 0)
		die_sys("--enter: the guest's namespaces (Linux 5.8)");
	init_conceal(&r->init);
	pid = sys_clone3(CLONE_PARENT | CLONE_INTO_CGROUP, NULL, init_cgroup_fd >= 0 ? init_cgroup_fd : s->cg.payload_fd, 0);
	if (pid < 0)
		die_sys("--enter: clone into the guest's cgroup");
	if (pid > 0)
		_exit(0);
	WALK(entrant_steps, r);
	init_entered(&r->init, fd);
}

static struct run *running;

/* In the supervisor. The new filter's calls need a broker of their own. */
static void enter_guest(const int fd[])
{
	struct run r = *running;
	struct pollfd wait = { .events = POLLIN };
	struct ctl m;
	int listener_fd = -1;
	size_t n = 1;
	pid_t pid;

	cgroup_refresh(&r.sup->cg);     /* --set may have made v1 directories since */
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r.ctl_fd) < 0)
		return;                 /* the entering vrun sees its socket close */
	pid = fork();
	if (pid == 0)
		build_entrant(&r, fd);
	close(r.ctl_fd[1]);
	wait.fd = r.ctl_fd[0];
	if (pid > 0 && brokered(r.plan) && poll(&wait, 1, ENTER_WAIT_MS) > 0 &&
	    recv_fds(r.ctl_fd[0], &m, sizeof(m), &listener_fd, &n) == sizeof(m) && n)
		supervise_extra_broker(r.sup, listener_fd);
	close_fd(&listener_fd);
	close(r.ctl_fd[0]);
}

/* ---- the supervisor while the guest starts ---- */

static _Noreturn void killed_at_start(const struct run *r)
{
	uint64_t memory = r->plan->limits.memory_bytes;

	die("the guest was killed while it started%s", memory && memory != UINT64_MAX ? ": is --memory too low?" : "");
}

static void check_error_pipe(struct run *r, bool started)
{
	char text[2048];
	int32_t code;
	int got = read_error(r->error_fd[0], &code, text, sizeof(text));

	if (got < 0)
		die_sys("read the error pipe");
	if (!got && !started)
		killed_at_start(r);
	/* Some of what is made for the guest is charged to it, on some kernels. */
	if (got)
		die_code(code, "%s%s", text,
			 r->plan->limits.memory_bytes && strstr(text, strerror(ENOMEM)) ? " (--memory)" : "");
}

/* A message of the start: its type, 0 when init is gone. */
static uint32_t start_message(struct run *r)
{
	struct supervisor *s = r->sup;
	struct ctl m;
	int fd[2] = { -1, -1 };
	size_t n_fds = 2;

	if (recv_fds(s->ctl_fd, &m, sizeof(m), fd, &n_fds) != sizeof(m))
		return 0;
	switch (m.type) {
	case CTL_BORN:
		s->init_pid = s->view.guest = m.value;
		s->broker.uts_fd = fd[0];
		s->broker.net_view = r->plan->net.view;
		s->broker.net_fd = fd[1];
		break;
	case CTL_PTY:
		s->tty.master_fd = fd[0];
		break;
	case CTL_LISTENER:
		s->broker.listener_fd = fd[0];
		s->broker.ccap = r->plan->rights.ccap;
		s->broker.id_base = r->id_base;
		s->broker.xid = s->cg.xid;
		break;
	}
	return m.type;
}

static void abort_on_signal(struct run *r)
{
	struct pollfd pipe = { .fd = r->error_fd[0], .events = POLLIN };
	struct signalfd_siginfo si;

	if (read(r->sup->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	if (si.ssi_signo != SIGCHLD)
		sigaddset(&r->sup->early, (int)si.ssi_signo);
	/* COMMAND runs by now, and who sent this may have seen it: then it is COMMAND's. */
	if (poll(&pipe, 1, 0) > 0)
		return;
	if (si.ssi_signo == SIGTERM || si.ssi_signo == SIGINT || si.ssi_signo == SIGHUP || si.ssi_signo == SIGQUIT) {
		util_undo = NULL;
		supervise_undo(r->sup);
		supervise_end_by((int)si.ssi_signo);
	}
}

/* Until COMMAND runs: the error pipe has closed without a word. */
static void wait_for_exec(struct run *r)
{
	struct supervisor *s = r->sup;
	bool started = false, ctl_closed = false, pipe_closed = false;

	/* A short COMMAND may be through before init has said that it started it: both must have come. */
	while (!(pipe_closed && (started || ctl_closed))) {
		struct pollfd fds[] = {
			{ .fd = s->ctl_fd, .events = POLLIN },
			{ .fd = r->error_fd[0], .events = POLLIN },
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->view.device_fd, .events = POLLIN },
		};

		if (started || ctl_closed)
			fds[0].fd = -1;         /* what comes after CTL_STARTED is for supervise() */
		if (pipe_closed)
			fds[1].fd = -1;
		if (poll(fds, 4, -1) < 0 && errno != EINTR)
			die_sys("poll");
		if (fds[3].revents)
			procvirt_serve(&s->view);       /* the builder waits for it */
		if (fds[0].revents) {
			switch (start_message(r)) {
			case 0: ctl_closed = true; break;
			case CTL_STARTED: started = true;
			}
			continue;               /* all of them before the pipe's end is believed */
		}
		if (fds[1].revents & POLLIN)
			break;
		pipe_closed |= fds[1].revents != 0;
		if (fds[2].revents)
			abort_on_signal(r);
	}
	check_error_pipe(r, started);
	close_fd(&r->error_fd[0]);
	close_fd(&s->view.mount_fd);    /* the guest has its pieces */
	if (s->init_mode)
		close_fd(&s->ctl_fd);
}

/* ---- guest_enter ---- */

static struct supervisor sup;

/* Not as an initializer: nearly all of it is zero, and would be in the file. */
static void begin_supervisor(struct supervisor *s)
{
	*s = (struct supervisor){
		.ctl_fd = -1, .net_leaf_fd = -1, .enter_fd = { -1, -1 }, .signal_fd = -1, .self_fd = -1, .guard_fd = -1,
		.status_fd = -1, .pid_dir_fd = -1,
		.cg = { .tree_fd = -1, .dir_fd = -1, .payload_fd = -1, .broker_fd = -1, .kill_fd = -1 },
		.net = { .lookup_link_fd = -1, .config_fd = -1, .guests_fd = -1, .steer_fd = -1, .marks_fd = -1 },
		.tty = { .master_fd = -1, .term_fd = -1, .in_fd = -1, .out_fd = -1, .slave_fd = -1 },
		.view = { .device_fd = -1, .mount_fd = -1, .stats_fd = -1, .load_fd = -1 },
		.broker = { .listener_fd = -1, .uts_fd = -1, .net_fd = -1, .cgroup_fd = -1 },
	};
}

static void catch_signals(struct supervisor *s, struct init_args *init)
{
	static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE };
	sigset_t all;

	signal(SIGCHLD, SIG_DFL);       /* a caller that ignores it would leave us without statuses */
	sigfillset(&all);
	for (size_t i = 0; i < sizeof(faults) / sizeof(faults[0]); i++)
		sigdelset(&all, faults[i]);     /* our own stay faults */
	sigprocmask(SIG_BLOCK, &all, &s->caller_mask);
	s->signal_fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (s->signal_fd < 0)
		die_sys("signalfd");
	init->caller_mask = s->caller_mask;
}

static void supervisor_init(struct supervisor *s, const struct plan *p)
{
	s->start_us = supervise_now_us();
	s->status_fd = p->control.status_fd;
	s->quiet = p->control.quiet;
	s->init_mode = p->context.init;
	s->share_pid = !own(p, NS_PID);
	s->restartable = p->context.init && !s->share_pid && p->control.on_reboot != REBOOT_EXIT;
	s->own_addresses = ip_list(p);
	if (p->control.helper)
		snprintf(s->helper, sizeof(s->helper), "%s", p->control.helper);
	s->pid_dir_fd = p->control.pid_dir_fd;
	if (p->control.pid_file) {
		const char *base = strrchr(p->control.pid_file, '/');

		snprintf(s->pid_name, sizeof(s->pid_name), "%s", base ? base + 1 : p->control.pid_file);
	}
	s->self_fd = openat(host_proc_fd(), "self/exe", O_PATH | O_CLOEXEC);
	if (s->self_fd < 0)
		die_sys("open /proc/self/exe");
	s->stop_signal = p->control.stop_signal;
	s->stop_timeout_ms = p->control.stop_timeout_ms ? p->control.stop_timeout_ms : p->context.init ? 60000 : 10000;
}

/* The guest's descriptors are the guest's: when it closes one, the other end must see that, so we keep no copy but
 * what the terminal's proxy and our own messages need. */
static void release_stdio(const struct plan *p, const struct supervisor *s)
{
	_cleanup_fd_ int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (size_t i = 0; i < p->control.n_keep_fd; i++)
		if (p->control.keep_fd[i] > 2)
			close(p->control.keep_fd[i]);
	for (int fd = 0; null >= 0 && fd <= 1; fd++)
		if (fd != s->tty.in_fd && fd != s->tty.out_fd && fd != s->status_fd)
			dup2(null, fd);
}

/* What --set has changed since the plan was made, and the kernel doesn't keep: v1 directories to enter, addresses that
 * the view of the network shows. */
static void take_changes(struct plan *p, struct cgroup *cg)
{
	struct net now;

	cgroup_refresh(cg);
	if (guests_addresses(cg, &now)) {
		p->net.addr = now.addr;
		p->net.n_addr = now.n_addr;
	}
}

static void guest_start(struct run *r)
{
	const struct plan *p = r->plan;
	char cgroup[800];               /* of the caller's --cgroup, so any bytes */

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->ctl_fd) < 0 ||
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, r->go_fd) < 0 || pipe2(r->error_fd, O_CLOEXEC) < 0)
		die_sys("socketpair");
	sup.ctl_fd = r->ctl_fd[0];
	r->init.ctl_fd = r->ctl_fd[1];
	r->init.error_fd = r->error_fd[1];
	if (r->again)
		take_changes((struct plan *)(uintptr_t)p, &sup.cg);
	WALK(supervisor_steps, r);
	if (!r->again)
		cgroup_sweep(SWEEP_AT_START);   /* while the builder works; a claim has swept what stood in its way */
	wait_for_exec(r);

	cgroup_publish(&sup.cg, sup.init_pid, sup.init_mode ? sup.enter_fd[1] : sup.ctl_fd, p);
	text_to_json(cgroup, sizeof(cgroup), sup.cg.path);
	supervise_status(&sup, "{\"event\":\"start\",\"name\":\"%s\",\"xid\":%u,\"pid\":%d,\"supervisor\":%d,\"cgroup\":\"%s\"}",
			 sup.cg.name, sup.cg.xid, (int)sup.init_pid, (int)getpid(), cgroup);
	supervise_status(&sup, "{\"event\":\"exec\"}");
	if (p->control.verbose)
		note("guest %s: xid %u, pid %d, cgroup %s", sup.cg.name, sup.cg.xid, (int)sup.init_pid, sup.cg.path);
	supervise_pid_place(&sup);
	if (!sup.restartable)
		release_stdio(p, &sup);
	tty_start(&sup.tty);
}

/* The order, from here to the running guest. */
static _Noreturn void guest_enter(struct plan *p, const char *caller_cwd, char **argv)
{
	struct run r = {
		.plan = p, .sup = &sup,
		.build = { .userns_fd = -1, .pidns_fd = -1, .cgroup_fd = -1, .pty_master_fd = -1, .pty_slave_fd = -1 },
		.init = { .plan = p, .tty = &sup.tty, .caller_cwd = caller_cwd, .caller_env = environ,
			  .pty_slave_fd = -1, .kill_fd = -1, .ro_self_fd = -1, .args_area = argv[0] },
	};

	/* The kernel lays the strings of argv out one after the other (fs/exec.c). */
	for (char **a = argv; *a; a++)
		r.init.args_len = (size_t)(*a + strlen(*a) + 1 - argv[0]);

	catch_signals(&sup, &r.init);
	supervise_hooks(&sup);
	running = &r;
	supervise_enter = enter_guest;
	if (p->context.init && socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sup.enter_fd) < 0)
		die_sys("socketpair");
	for (;; r.again = true) {
		guest_start(&r);
		supervise(&sup);        /* comes back when the guest restarts */
	}
}

/* ---- main ---- */

#define EXPLAIN(p, who, steps) explain_steps(p, who, steps, sizeof(steps) / sizeof(steps[0]))

static void explain_steps(const struct plan *p, const char *who, const struct step *steps, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (steps[i].wanted(p))
			printf("%-10s  %s%s%s%s\n", who, steps[i].what, *steps[i].needs ? "  [" : "", steps[i].needs,
			       *steps[i].needs ? "]" : "");
}

static void explain(const struct plan *p)
{
	EXPLAIN(p, "supervisor", supervisor_steps);
	EXPLAIN(p, "builder", builder_steps);
	EXPLAIN(p, "init", init_steps);
	if (brokered(p))
		printf("%-10s  %s\n", "broker", "answer the guest's notified calls, once there is one  [Linux 5.9]");
	if (p->control.verbose && p->net.mode == IP_LIST)
		netshow_programs(stdout, &p->net);
}

static void check_helper(const struct plan *p)
{
	const char *h = p->control.helper;

	if (!h)
		return;
	if (*h != '/' || strlen(h) >= sizeof(sup.helper))
		die("--helper %s: not an absolute path of less than %zu bytes", quote(h), sizeof(sup.helper));
	if (access(h, X_OK) < 0)
		die_sys("--helper %s", quote(h));
}

enum { PID_NAME_MAX = 240 };    /* it is made as .NAME.PID */

static void check_pid_file(struct plan *p)
{
	const char *f = p->control.pid_file, *slash = f ? strrchr(f, '/') : NULL;

	p->control.pid_dir_fd = -1;
	if (!f)
		return;
	const char *base = slash ? slash + 1 : f;
	struct stat st;

	/* Found now, and not when COMMAND already runs: a name that the file can't have. */
	if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
		die("--pid-file %s: names no file", quote(f));
	if (strlen(base) > PID_NAME_MAX)
		die("--pid-file %s: the name is longer than %d bytes", quote(f), PID_NAME_MAX);
	char *dir = slash ? strndup(f, slash == f ? 1 : (size_t)(slash - f)) : xstrdup(".");
	p->control.pid_dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p->control.pid_dir_fd < 0)
		die_sys("--pid-file %s: open its directory", quote(f));
	if (faccessat(p->control.pid_dir_fd, ".", W_OK, 0) < 0)
		die_sys("--pid-file %s: write to its directory", quote(f));
	/* It will be replaced, and removed in the end: no /dev/null, and no link as /dev/stdout is. */
	if (fstatat(p->control.pid_dir_fd, base, &st, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISREG(st.st_mode))
		die("--pid-file %s: is there, and is no regular file", quote(f));
	free(dir);
}

/* From a directory of the host's there are ways to all others (CVE-2024-21626). */
static void check_stdio(const struct plan *p)
{
	for (int fd = 0; fd <= 2; fd++) {
		bool named = false;
		struct stat st;

		for (size_t i = 0; i < p->control.n_keep_fd; i++)
			named |= p->control.keep_fd[i] == fd;
		if (!named && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
			die("descriptor %d is a directory, by which the guest would leave its root (--keep-fd %d passes it)",
			    fd, fd);
	}
}

/* A guest's root that is the host's owns every cgroup's files; in a user namespace of its own it could mount them. A v2
 * mount begins at the guest's cgroup, below the limits. A v1 mount begins at the limits, or where the guest has none at
 * the top of the hierarchy, with everybody's. SYS_ADMIN is that power anyway. */
static void check_nested(const struct plan *p)
{
	if (has_userns(p) || !(p->rights.ccap & CCAP_USERNS) || p->rights.cap_add & SYS_ADMIN)
		return;
	if (hierarchy_has_v1())
		die("--ccap userns: with --userns no the guest's root could mount the host's v1 cgroup hierarchies and "
		    "change anybody's limits; --userns yes does without");
}

/* Everything that looks at the caller's files and descriptors: as the caller. */
static void check(struct plan *p)
{
	check_stdio(p);
	opts_check(p);                  /* first: a descriptor that we open is none of --keep-fd's */
	check_pid_file(p);
	caps_check(p);
	check_nested(p);
	identity_check(p);
	seccomp_check(p);
	root_check(p);
	guests_check_join(p);
	procvirt_check(p);              /* before net_check: --hide net decides what that asks of the kernel */
	net_check(p);
	net_check_inherited(p);
	limits_check(p);
	tty_check(p, &sup.tty);
	check_helper(p);
}

/* What was not named does not come along: neither to the guest nor into the supervisor's long wait. */
static void close_strangers(const struct plan *p)
{
	unsigned from = 3;

	for (;;) {
		unsigned next = ~0U;

		for (size_t i = 0; i < p->control.n_keep_fd; i++)
			if ((unsigned)p->control.keep_fd[i] >= from && (unsigned)p->control.keep_fd[i] < next)
				next = (unsigned)p->control.keep_fd[i];
		if (p->control.status_fd >= (int)from && (unsigned)p->control.status_fd < next)
			next = (unsigned)p->control.status_fd;
		if (from < next)
			sys_close_range(from, next - 1, 0);
		if (next == ~0U)
			return;
		from = next + 1;
	}
}

static _Noreturn void run_guest(struct plan *p, char **argv)
{
	char *cwd = getcwd(NULL, 0);

	close_strangers(p);
	begin_supervisor(&sup);
	sup.status_fd = p->control.status_fd;
	supervise_tells(&sup);
	check(p);
	supervisor_init(&sup, p);
	caps_regain();
	guest_enter(p, cwd, argv);
}

/* A wrong command line is a failure of ours, too; p is where opts_parse notes --status-fd. */
static const struct plan *parsing;

static void tell_usage(const char *text)
{
	begin_supervisor(&sup);
	sup.status_fd = parsing->control.status_fd;
	supervise_tells(&sup);
	util_failed(text);
}

static void role(int argc, char **argv)
{
	uint64_t fd = 0;

	if (argc < 1)
		die("no arguments at all, not even a name");
	if (strcmp(argv[0], "vrun-exec") == 0)
		init_exec_role(argc, argv);
	if (argc != 2 || (strcmp(argv[0], "vrun-supervisor") && strcmp(argv[0], "vrun-broker")))
		return;
	/* Real root alone: through a setuid vrun a forged state would be a forged plan. */
	if (getuid() != 0 || geteuid() != 0 || parse_u64(argv[1], 3, 1 << 20, &fd))
		die("this name is vrun's own role");
	if (strcmp(argv[0], "vrun-supervisor") == 0)
		supervise_role((int)fd);
	supervise_broker_role((int)fd);
}

int main(int argc, char **argv)
{
	struct plan plan;

	protect_relro();
	caps_acquire();
	role(argc, argv);
	cgroup_dead = net_sweep;
	opts_init(&plan);
	parsing = &plan;
	util_failed = tell_usage;
	opts_parse(&plan, argc, argv);
	util_quiet = plan.control.quiet;
	switch (plan.verb) {
	case VERB_HELP:
		opts_help(stdout);
		return flush_output();
	case VERB_VERSION:
		printf("vrun %s\n", VRUN_VERSION);
		return flush_output();
	case VERB_COMPLETION:
		opts_completion(stdout);
		return flush_output();
	case VERB_EXPLAIN:
		check(&plan);
		explain(&plan);
		return flush_output();
	case VERB_CHECK:
		return check_run(&plan);
	case VERB_RUN:
		run_guest(&plan, argv);
	default:
		return guests_verb(&plan);
	}
}

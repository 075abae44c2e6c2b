/* SPDX-License-Identifier: ISC */
/*
 * supervise.c: the process that waits.
 *
 * One thread, one poll loop: the caller's signals, guest init's messages, the guest's terminal and views, and the
 * first call that a filter of the guest notifies (which makes the broker). It lives in the host's namespaces
 * and in the caller's cgroup, never reads the guest's memory and opens no path of the guest.
 *
 * Everything it knows is in struct supervisor, plain data without pointers. Once the guest has run for a
 * moment it puts that struct into a sealed memfd and executes itself again: the pages that parsing and
 * building touched are gone (VIEWS.md F: 12-20 KB private instead of 104), and what waits for weeks has no
 * remains of the start in it. A short command never pays for that. A guest with --init, which reboot(2) starts anew,
 * keeps its plan and its opened paths, and so keeps this process as it is.
 *
 * Death. If it is killed, whatever runs in the guest must go too:
 *  - guest init (a reaper, undumpable and out of the guest's reach) ends when the control socket closes, and
 *    a pid namespace ends with its init; PDEATHSIG covers a frozen one;
 *  - with --share pid there is no such namespace: init holds cgroup.kill of the payload open;
 *  - with --init the guest's pid 1 is a stranger that may clear PDEATHSIG: a guard process, on the host and
 *    in no namespace of the guest, waits for a pipe to close and writes cgroup.kill.
 * The empty cgroup directories that remain then are removed by the next vrun command (cgroup_sweep).
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <poll.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { MAGIC = 0x76727501, REEXEC_AFTER_MS = 50, BROKER_LIMIT = 8, BROKER_WINDOW_MS = 10000, BROKER_RETRY_MS = 100,
       RESTART_WINDOW_MS = 60000, VIEW_REFRESH_MS = 1000 };

uint64_t supervise_now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* ---- what others are told ---- */

void supervise_status(const struct supervisor *s, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	if (s->status_fd < 0)
		return;
	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || n >= (int)sizeof(line) - 1)
		return;
	line[n++] = '\n';
	write_all(s->status_fd, line, (size_t)n);       /* a reader that went away is no reason to end the guest */
}

/* The pid file's name until COMMAND runs. */
static const char *pid_name_aside(const struct supervisor *s)
{
	static char name[300];

	snprintf(name, sizeof(name), ".%s.%d", s->pid_name, (int)getpid());
	return name;
}

void supervise_pid_make(struct supervisor *s)
{
	struct stat st;
	char text[32];
	int fd, n = snprintf(text, sizeof(text), "%d\n", (int)getpid());

	fd = openat(s->pid_dir_fd, pid_name_aside(s), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		die_sys("--pid-file: create %s", quote(s->pid_name));
	s->pid_aside = true;
	if (write_all(fd, text, (size_t)n) < 0 || fstat(fd, &st) < 0)
		die_sys("--pid-file: write %s", quote(s->pid_name));
	close(fd);
	s->pid_ino = st.st_ino;
}

void supervise_pid_place(struct supervisor *s)
{
	if (!s->pid_aside)
		return;
	if (renameat(s->pid_dir_fd, pid_name_aside(s), s->pid_dir_fd, s->pid_name) < 0)
		die_sys("--pid-file: write %s", quote(s->pid_name));
	s->pid_aside = false;
}

static void remove_pid_file(struct supervisor *s)
{
	struct stat st;

	if (s->pid_aside)
		unlinkat(s->pid_dir_fd, pid_name_aside(s), 0);
	else if (s->pid_ino && fstatat(s->pid_dir_fd, s->pid_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		 st.st_ino == s->pid_ino)
		unlinkat(s->pid_dir_fd, s->pid_name, 0);
	s->pid_aside = false;
	s->pid_ino = 0;
}

/* ---- children ---- */

void supervise_guard(struct supervisor *s)
{
	int pipe_fd[2];
	pid_t pid;

	if (pipe2(pipe_fd, O_CLOEXEC) < 0)
		die_sys("pipe");
	pid = fork();
	if (pid < 0)
		die_sys("fork the guard");
	if (pid == 0) {
		char c;
		/* before Linux 5.14 there is no cgroup.kill: one by one */
		const struct cgroup by_hand = { .payload_fd = 1, .kill_fd = -1 };
		bool at_once = s->cg.kill_fd >= 0;

		setsid();               /* the terminal's signals are not for it */
		prctl(PR_SET_NAME, "vrun-guard");
		/* Only these two stay open: a write end kept here would keep the pipe from closing. */
		if (dup2(pipe_fd[0], 0) < 0 || dup2(at_once ? s->cg.kill_fd : s->cg.payload_fd, 1) < 0)
			_exit(EXIT_VRUN);
		sys_close_range(2, ~0U, 0);
		while (read(0, &c, 1) < 0 && errno == EINTR)
			;
		if (!at_once)
			cgroup_kill(&by_hand);
		else if (write(1, "1", 1) < 0)
			_exit(EXIT_VRUN);
		_exit(0);
	}
	close(pipe_fd[0]);
	s->guard_pid = pid;
	s->guard_fd = pipe_fd[1];
}

/* Roles: the same program, executed anew with its state in a sealed memfd whose number is the argument.
 * Only real root gets here with one (vrun.c: main), so nobody can forge a state for a setuid vrun. */
static void exec_role(int self_fd, const char *role, const void *state, size_t len)
{
	char number[16];
	char *argv[] = { (char *)(uintptr_t)role, number, NULL }, *envp[] = { NULL };
	int fd = memfd_sealed("vrun", state, len);

	if (fd < 0)
		return;
	fcntl(fd, F_SETFD, 0);
	snprintf(number, sizeof(number), "%d", fd);
	syscall(__NR_execveat, self_fd, "", argv, envp, AT_EMPTY_PATH);
	close(fd);
}

static void take_state(int fd, void *state, size_t len)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);
	const int all = F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL;

	if (seals < 0 || (seals & all) != all || fstat(fd, &st) < 0 || st.st_size != (off_t)len ||
	    pread(fd, state, len, 0) != (ssize_t)len)
		die("this name is vrun's own role; it takes its state from vrun");
	close(fd);
}

static void keep(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, 0);
}

static void drop(int fd)
{
	if (fd >= 0)
		fcntl(fd, F_SETFD, FD_CLOEXEC);
}

/* Every descriptor that the waiting role needs, in one place. */
static void each_fd(const struct supervisor *s, void (*f)(int))
{
	const struct cgroup *c = &s->cg;

	f(s->ctl_fd); f(s->signal_fd); f(s->self_fd); f(s->guard_fd); f(s->status_fd); f(s->pid_dir_fd);
	f(c->tree_fd); f(c->claim_fd); f(c->lock_fd); f(c->dir_fd); f(c->payload_fd); f(c->broker_fd); f(c->kill_fd);
	for (unsigned i = 0; i < c->n_v1; i++)
		f(c->v1_dir_fd[i]);
	f(s->net.lookup_link_fd); f(s->net.config_fd); f(s->net.guests_fd); f(s->net.steer_fd);
	f(s->net.marks_fd); f(s->net_leaf_fd);
	f(s->view.device_fd); f(s->view.stats_fd); f(s->view.load_fd);
	f(s->tty.master_fd);
	f(s->tty.slave_fd);
	if (s->tty.term_fd > 2)
		f(s->tty.term_fd);
	if (s->tty.out_fd > 2)
		f(s->tty.out_fd);
	f(s->broker.listener_fd); f(s->broker.uts_fd); f(s->broker.net_fd); f(s->broker.cgroup_fd);
}

static void reexec(struct supervisor *s)
{
	s->reexeced = true;             /* whether it works or not: once */
	each_fd(s, keep);
	exec_role(s->self_fd, "vrun-supervisor", s, sizeof(*s));
	each_fd(s, drop);               /* no memory for it: then it waits as it is */
}

static struct supervisor *current;      /* for util.c's hooks, which know nothing of supervisors */

static void undo_current(void)
{
	supervise_undo(current);
}

static void tell_failure(const char *text)
{
	char escaped[900];

	signal(SIGPIPE, SIG_IGN);       /* we are about to exit, with a status of our own */
	text_to_json(escaped, sizeof(escaped), text);
	supervise_status(current, "{\"event\":\"error\",\"message\":\"%s\"}", escaped);
}

/* For procvirt.c, which knows nothing of the network. An inode's number is its cgroup's id (kernfs, Linux 5.5). */
static char *own_sockets(const char *name, size_t *len)
{
	const struct supervisor *s = current;
	struct netsock n = { .net = &s->net, .id_base = s->broker.id_base, .guest = s->init_pid,
			     .alive_ms = (supervise_now_us() - s->start_us) / 1000 };
	struct stat st;

	if (s->net_leaf_fd >= 0 ? fstat(s->net_leaf_fd, &st) == 0 : fstatat(s->cg.dir_fd, "broker", &st, 0) == 0)
		n.cgroup = st.st_ino;
	return netsock_text(&n, name, len);
}

void supervise_tells(struct supervisor *s)
{
	current = s;
	util_failed = tell_failure;
}

void supervise_hooks(struct supervisor *s)
{
	supervise_tells(s);
	util_undo = undo_current;
	procvirt_sockets = own_sockets;
}

void supervise_role(int fd)
{
	static struct supervisor s;

	take_state(fd, &s, sizeof(s));
	if (s.magic != MAGIC || s.size != sizeof(s))
		die("a state of another vrun");
	prctl(PR_SET_DUMPABLE, 0);
	util_quiet = s.quiet;
	each_fd(&s, drop);
	supervise(&s);
	die("a restart without a plan");        /* can't be: what can restart is never re-executed */
}

void supervise_broker_role(int fd)
{
	struct broker b;
	char info[112];

	take_state(fd, &b, sizeof(b));
	prctl(PR_SET_DUMPABLE, 0);
	procvirt_sysinfo(&b.view, info, false);
	broker_main(&b, procvirt_sysinfo, net_bind_source, net_steer);
}

static pid_t fork_broker(struct supervisor *s, struct broker *b)
{
	pid_t pid = sys_clone3(CLONE_INTO_CGROUP, NULL, s->net_leaf_fd >= 0 ? s->net_leaf_fd : cgroup_broker(&s->cg), SIGCHLD);

	/* A cgroup that was removed: the guest whose network ours has joined is gone. */
	if (pid < 0 && (errno == ENODEV || errno == ENOENT) && s->net_leaf_fd >= 0) {
		note("%s: the guest whose network it has joined has ended: no sockets any more", s->cg.name);
		close_fd(&s->net_leaf_fd);
		s->broker.net_gone = b->net_gone = true;
		return fork_broker(s, b);
	}

	if (pid == 0) {
		const struct view *v = &s->view;
		const int *fds[] = { &b->listener_fd, &b->uts_fd, &b->net_fd,
				     &b->cgroup_fd, &v->load_fd, &v->payload_fd, &v->tasks_fd,
				     &v->memory.dir_fd, &s->net.config_fd, &s->net.steer_fd };
		sigset_t none;

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		setsid();               /* the terminal's signals are not for it */
		sigemptyset(&none);
		sigprocmask(SIG_SETMASK, &none, NULL);
		util_undo = NULL;
		for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
			keep(*fds[i]);
		b->view = *v;
		b->view.stats_fd = -1;
		b->net = s->net;
		exec_role(s->self_fd, "vrun-broker", b, sizeof(*b));
		_exit(EXIT_VRUN);
	}
	return pid;
}

/* A call is waiting and nobody answers: make the broker, in the guest's cgroup tree (its sockets and memory are
 * the guest's), but not among the guest's processes. It dies with us. */
static void spawn_broker(struct supervisor *s)
{
	uint64_t now = supervise_now_us() / 1000;

	if (now - s->broker_window_ms > BROKER_WINDOW_MS) {
		s->broker_window_ms = now;
		s->broker_count = 0;
	}
	if (++s->broker_count > BROKER_LIMIT)
		die("the guest's broker ended %d times in %d s; the guest was stopped", BROKER_LIMIT,
		    BROKER_WINDOW_MS / 1000);
	s->broker_pid = fork_broker(s, &s->broker);
	if (s->broker_pid >= 0)
		return;
	/* The guest's own limit on processes is reached: whoever in there did that, it is no reason to end the guest. The
	 * call waits, as it would for a slow broker. */
	if (errno != EAGAIN && errno != ENOMEM)
		die_sys("the guest's broker: clone into its cgroup");
	s->broker_pid = 0;
	s->broker_count--;
	s->broker_retry_ms = now + BROKER_RETRY_MS;
}

/* What COMMAND is to read or has written is not its helper's, not even before COMMAND runs: its input is empty, and what
 * it prints goes to standard error, as our own notes do. */
static void helper_stdio(void)
{
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	if (null < 0 || dup2(null, STDIN_FILENO) < 0)
		close(STDIN_FILENO);
	dup2(STDERR_FILENO, STDOUT_FILENO);
}

/* --helper: Linux-VServer's vshelper. CMD EVENT NAME, no shell between. */
int supervise_helper(struct supervisor *s, const char *event, bool wait)
{
	char name[80], xid[32], pid_text[32], cgroup[560], *path = (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char *argv[] = { s->helper, (char *)(uintptr_t)event, s->cg.name, NULL };
	char *envp[] = { path, name, xid, pid_text, cgroup, NULL };
	int status = 0;
	pid_t pid;

	if (!s->helper[0])
		return 0;
	snprintf(name, sizeof(name), "VRUN_NAME=%s", s->cg.name);
	snprintf(xid, sizeof(xid), "VRUN_XID=%u", s->cg.xid);
	snprintf(pid_text, sizeof(pid_text), "VRUN_SUPERVISOR=%d", (int)getpid());
	snprintf(cgroup, sizeof(cgroup), "VRUN_CGROUP=%s", s->cg.path);
	pid = fork();
	if (pid < 0)
		return -1;
	if (pid == 0) {
		sigprocmask(SIG_SETMASK, &s->caller_mask, NULL);
		helper_stdio();
		execve(s->helper, argv, envp);
		_exit(errno == ENOENT ? EXIT_NOTFOUND : EXIT_NOEXEC);
	}
	while (wait && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status;
}

/* ---- undoing ---- */

static void end_child(pid_t *pid)
{
	if (*pid <= 0)
		return;
	kill(*pid, SIGKILL);
	while (waitpid(*pid, NULL, 0) < 0 && errno == EINTR)
		;
	*pid = 0;
}

void supervise_undo(struct supervisor *s)
{
	tty_restore(&s->tty);
	cgroup_kill(&s->cg);
	procvirt_close(&s->view);       /* or who closes a file of it, killed, would wait for an answer, and we for him */
	end_child(&s->init_pid);
	end_child(&s->broker_pid);
	end_child(&s->guard_pid);       /* last: until here it would do this for us */
	if (s->helped)
		supervise_helper(s, "shutdown", true);
	if (s->helped && s->own_addresses)
		supervise_helper(s, "netdown", true);
	cgroup_outlast_set(&s->cg);
	net_undo(&s->net, &s->cg);
	cgroup_undo(&s->cg);
	remove_pid_file(s);
}

void supervise_end_by(int status)
{
	int sig = WTERMSIG(status);
	struct rlimit no_core = { 0, 0 };
	sigset_t one;

	if (WIFEXITED(status))
		exit(WEXITSTATUS(status));
	/* Die of the same signal, so that a shell sees what it would see without us. */
	setrlimit(RLIMIT_CORE, &no_core);
	signal(sig, SIG_DFL);
	sigemptyset(&one);
	sigaddset(&one, sig);
	raise(sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	_exit(128 + sig);               /* pid 1 of the machine dies of no signal */
}

/* What it used, in the words of the exit line; a figure that this kernel doesn't have is left out. */
static void usage_text(const struct usage *u, const struct net_counters *net, char *out, size_t room)
{
	const struct { const char *key; uint64_t value; } figures[] = {
		{ "cpu_user_us", u->cpu_user_us }, { "cpu_system_us", u->cpu_system_us },
		{ "memory_peak_bytes", u->memory_peak_bytes }, { "oom_kills", u->oom_kills },
		{ "pids_peak", u->pids_peak }, { "io_read_bytes", u->io_read_bytes },
		{ "io_write_bytes", u->io_write_bytes },
		{ "net_rx_bytes", net ? net->rx_bytes[0] + net->rx_bytes[1] : ABSENT },
		{ "net_tx_bytes", net ? net->tx_bytes[0] + net->tx_bytes[1] : ABSENT },
		{ "denied_binds", net ? net->denied_binds : ABSENT },
		{ "denied_connects", net ? net->denied_connects : ABSENT },
	};
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < sizeof(figures) / sizeof(figures[0]); i++)
		if (figures[i].value != ABSENT && n < room)
			n += (size_t)snprintf(out + n, room - n, ",\"%s\":%llu", figures[i].key,
					      (unsigned long long)figures[i].value);
}

static void status_exit(struct supervisor *s, int status)
{
	struct net_counters net;
	char text[512];
	struct usage u;

	cgroup_refresh(&s->cg);         /* --set may have made v1 directories since */
	/* Thirty files to read: not for a short command that nobody asked about and nothing limited. */
	if (s->status_fd < 0 && !s->cg.n_v1 && faccessat(s->cg.dir_fd, "memory.events", F_OK, 0) < 0)
		return;
	limits_usage(&s->cg, &u);
	if (u.oom_kills != ABSENT && u.oom_kills > 0) {
		note("%s: %llu process%s killed for want of memory (--memory)", s->cg.name,
		     (unsigned long long)u.oom_kills, u.oom_kills == 1 ? " was" : "es were");
		supervise_helper(s, "oom", true);
	}
	if (s->status_fd < 0)
		return;
	usage_text(&u, net_counters(s->cg.dir_fd, &net) ? &net : NULL, text, sizeof(text));
	supervise_status(s, "{\"event\":\"exit\",\"%s\":%d,\"wall_us\":%llu%s}",
			 WIFSIGNALED(status) ? "signal" : "code",
			 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status),
			 (unsigned long long)(supervise_now_us() - s->start_us), text);
}

/* ---- reboot(2) in the guest ---- */

/* The restarts of the last minute; true if there may be one more. A guest that reboots in a loop is broken. */
static bool may_restart(struct supervisor *s)
{
	const size_t n = sizeof(s->restart_ms) / sizeof(s->restart_ms[0]);
	uint64_t now = supervise_now_us() / 1000;

	if (s->restart_ms[0] && now - s->restart_ms[0] < RESTART_WINDOW_MS)
		return false;
	memmove(s->restart_ms, s->restart_ms + 1, (n - 1) * sizeof(s->restart_ms[0]));
	s->restart_ms[n - 1] = now;
	return true;
}

/* All of the old guest goes, what makes it this guest stays: xid, name, addresses, limits, opened paths. */
static void renew(struct supervisor *s)
{
	end_child(&s->broker_pid);
	end_child(&s->guard_pid);
	close_fd(&s->guard_fd);
	procvirt_close(&s->view);
	close_fd(&s->ctl_fd);
	close_fd(&s->tty.slave_fd);
	close_fd(&s->tty.master_fd);
	close_fd(&s->broker.listener_fd);
	close_fd(&s->broker.uts_fd);
	close_fd(&s->broker.net_fd);
	cgroup_renew(&s->cg);
	s->have_exit = false;
	s->stop_deadline_ms = 0;
}

/* reboot(2) in a pid namespace of its own kills its init: by HUP for a restart, by INT for halt and power off, which
 * the kernel doesn't tell apart here (kernel/pid_namespace.c). Nobody else can: pid 1 has no signal from inside, and
 * from outside these two do nothing by default. */
static bool rebooted(const struct supervisor *s, int init_status)
{
	return !s->share_pid && !s->have_exit && WIFSIGNALED(init_status) &&
	       (WTERMSIG(init_status) == SIGINT || WTERMSIG(init_status) == SIGHUP);
}

/* ---- the end ---- */

/* Guest init is gone, and with it its pid namespace; what --share pid left goes by the cgroup. Returns to start
 * the guest anew, or not at all. */
static void guest_ended(struct supervisor *s, int init_status)
{
	int status = s->have_exit ? s->command_status : init_status;
	bool again = false;

	s->init_pid = 0;
	tty_drain(&s->tty);
	if (rebooted(s, init_status)) {
		again = WTERMSIG(init_status) == SIGHUP && s->restartable && !s->stopping;
		supervise_helper(s, WTERMSIG(init_status) == SIGHUP ? "restart" : "poweroff", true);
		status = 0;
	}
	if (again) {
		if (!may_restart(s))
			die("%s: restarted five times in a minute already: the guest was stopped (--on-reboot)", s->cg.name);
		renew(s);
		s->again = true;
		supervise_status(s, "{\"event\":\"restart\"}");
		return;
	}
	status_exit(s, status);
	util_undo = NULL;
	supervise_undo(s);
	supervise_end_by(status);
}

/* ---- events ---- */

static void tell_init(struct supervisor *s, enum ctl_type type, int32_t value, bool group)
{
	struct ctl m = { .type = type, .value = value, .more = group };

	if (s->ctl_fd >= 0)
		send_fds(s->ctl_fd, &m, sizeof(m), NULL, 0);
}

/* What the kernel sends, the caller's terminal sent, to a whole process group: so it reaches one in the guest. */
static void signal_guest(struct supervisor *s, int sig, bool group)
{
	if (s->init_mode)
		kill(s->init_pid, sig);         /* our child, not reaped: the number is its own */
	else
		tell_init(s, CTL_SIGNAL, sig, group);
}

/* What a pid 1 shuts down on, by what it is: read now, since /sbin/init may be any of them and may have executed
 * another since. systemd(1); busybox's init, whose command name tells it from a script for busybox's sh, which takes
 * TERM; Debian's runit(8), and others with stopit, since CONT follows; sysvinit's init(8), OpenRC's and dinit take
 * INT as ctrl-alt-del, which ends in reboot(2): while we stop, that is the end and no restart. */
static int stop_signal(const struct supervisor *s)
{
	static const struct { const char *name; int sig; } inits[] = {
		{ "systemd", 37 /* RTMIN+3 */ }, { "busybox", SIGUSR2 }, { "runit", SIGPWR }, { "runit-init", SIGPWR },
		{ "init", SIGINT }, { "openrc-init", SIGINT }, { "dinit", SIGINT },
	};
	char link[32], exe[512], comm[20];
	ssize_t n;

	if (s->stop_signal)
		return s->stop_signal;
	if (!s->init_mode)
		return SIGTERM;
	snprintf(link, sizeof(link), "%d/exe", (int)s->init_pid);
	n = readlinkat(host_proc_fd(), link, exe, sizeof(exe) - 1);
	exe[n > 0 ? n : 0] = '\0';
	const char *base = strrchr(exe, '/');
	for (size_t i = 0; base && i < sizeof(inits) / sizeof(inits[0]); i++)
		if (strcmp(base + 1, inits[i].name) == 0) {
			snprintf(link, sizeof(link), "%d/comm", (int)s->init_pid);
			if (inits[i].sig == SIGUSR2 && (read_at(host_proc_fd(), link, comm, sizeof(comm)) < 0 ||
							strcmp(comm, "init\n") != 0))
				break;
			return inits[i].sig;
		}
	return SIGTERM;
}

static void stop_guest(struct supervisor *s)
{
	s->stopping = true;
	signal_guest(s, stop_signal(s), false);
	signal_guest(s, SIGCONT, false);               /* a stopped command could not obey */
	if (!s->stop_deadline_ms && s->stop_timeout_ms != UINT64_MAX)
		s->stop_deadline_ms = supervise_now_us() / 1000 + s->stop_timeout_ms;
}

void supervise_extra_broker(struct supervisor *s, int listener_fd)
{
	struct broker b = s->broker;

	b.listener_fd = listener_fd;
	b.entered = true;
	/* Reaped with the rest; ends with its listener, or with us. Where the guest's limits leave no room for it, the
	 * calls fail: with ENOSYS, since nobody listens. */
	fork_broker(s, &b);
}

static void reap(struct supervisor *s)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid == s->init_pid) {
			/* Its last words may still be in the socket. */
			struct ctl m;

			while (s->ctl_fd >= 0 && recv(s->ctl_fd, &m, sizeof(m), MSG_DONTWAIT) == sizeof(m)) {
				if (m.type == CTL_EXIT) {
					s->have_exit = true;
					s->command_status = m.value;
				}
			}
			guest_ended(s, status);
			return;         /* what is left of the old guest has been waited for */
		} else if (pid == s->broker_pid) {
			s->broker_pid = 0;
		} else if (pid == s->guard_pid) {
			/* Somebody killed it. Without one a guest could outlive us: make another. */
			close_fd(&s->guard_fd);
			s->guard_pid = 0;
			supervise_guard(s);
		}
	}
}

static void on_one_signal(struct supervisor *s, int sig, bool from_kernel)
{
	if (from_kernel && tty_typed(&s->tty, sig))
		return;
	switch (sig) {
	case SIGCHLD:
		reap(s);
		break;
	case SIGTERM:
		stop_guest(s);
		break;
	case SIGWINCH:
		if (tty_wanted(&s->tty))
			tty_winch(&s->tty);
		else
			signal_guest(s, SIGWINCH, true);
		break;
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGCONT:
		tty_job_signal(&s->tty, sig, s->ctl_fd);
		break;
	default:
		signal_guest(s, sig, from_kernel);
	}
}

static void on_signal(struct supervisor *s)
{
	struct signalfd_siginfo si;

	if (read(s->signal_fd, &si, sizeof(si)) != sizeof(si))
		return;
	/* Our own write to a reader that is gone: nobody sent it. */
	if (si.ssi_signo == SIGPIPE && si.ssi_pid == (uint32_t)getpid())
		return;
	on_one_signal(s, (int)si.ssi_signo, si.ssi_code == SI_KERNEL);
}

static void on_message(struct supervisor *s)
{
	struct ctl m;
	ssize_t n = recv(s->ctl_fd, &m, sizeof(m), MSG_DONTWAIT);
	unsigned left;

	if (n == 0) {
		close_fd(&s->ctl_fd);           /* init is on its way out; SIGCHLD says the rest */
		return;
	}
	if (n != sizeof(m))
		return;
	switch (m.type) {
	case CTL_EXIT:
		s->have_exit = true;
		s->command_status = m.value;
		if (m.more == LEFT_NONE)
			break;
		tty_input_end(&s->tty);
		if (m.more == LEFT_STAYS)
			break;
		left = cgroup_count(&s->cg);
		left -= left > 0;               /* init itself */
		if (left > 0)
			note("%s: %u process%s still ran when the command ended: killed (--until last waits)",
			     s->cg.name, left, left == 1 ? "" : "es");
		tell_init(s, CTL_END, 0, false);
		break;
	case CTL_STOPPED:
		tty_stopped(&s->tty, m.value, s->ctl_fd);
		break;
	}
}

void (*supervise_enter)(const int fd[]);

/* --init: from a vrun that took our other end, so from the host's root. */
static void on_enter(struct supervisor *s)
{
	struct ctl m;
	int fd[ENTER_FDS] = { -1, -1, -1, -1, -1, -1, -1 };
	size_t n = ENTER_FDS;

	if (recv_fds(s->enter_fd[0], &m, sizeof(m), fd, &n) != sizeof(m))
		return;
	if (m.type == CTL_SIGNAL)
		kill(s->init_pid, m.value);
	else if (m.type == CTL_ENTER && n >= ENTER_TTY && supervise_enter)
		supervise_enter(fd);
	for (size_t i = 0; i < n; i++)
		close(fd[i]);
}

/* The limits are read for each text; but a controller that the guest had none of, only --set brings. */
static void serve_view(struct supervisor *s)
{
	uint64_t now = supervise_now_us() / 1000;

	if (now >= (s->view_refreshed_ms ? s->view_refreshed_ms : s->start_us / 1000) + VIEW_REFRESH_MS) {
		s->view_refreshed_ms = now;
		cgroup_refresh(&s->cg);
		procvirt_refresh(&s->view, &s->cg);
	}
	procvirt_serve(&s->view);
}

static int timeout_ms(const struct supervisor *s)
{
	uint64_t now = supervise_now_us() / 1000, until = UINT64_MAX;
	int tty_ms = tty_timeout_ms(&s->tty);

	if (!s->swept)
		until = s->start_us / 1000 + REEXEC_AFTER_MS;
	if (s->stop_deadline_ms && s->stop_deadline_ms < until)
		until = s->stop_deadline_ms;
	if (s->broker_retry_ms && s->broker_retry_ms < until)
		until = s->broker_retry_ms;
	if (tty_ms >= 0 && now + (unsigned)tty_ms < until)
		until = now + (unsigned)tty_ms;
	if (until == UINT64_MAX)
		return -1;
	if (until <= now)
		return 0;
	return until - now > 1 << 30 ? 1 << 30 : (int)(until - now);
}

static void on_time(struct supervisor *s)
{
	uint64_t now = supervise_now_us() / 1000;

	if (now >= s->broker_retry_ms)
		s->broker_retry_ms = 0;
	if (s->stop_deadline_ms && now >= s->stop_deadline_ms) {
		s->stop_deadline_ms = 0;
		tty_restore(&s->tty);
		note("%s: not stopped after %llu ms: killed", s->cg.name, (unsigned long long)s->stop_timeout_ms);
		cgroup_kill(&s->cg);
		kill(s->init_pid, SIGKILL);
	}
	if (!s->swept && now >= s->start_us / 1000 + REEXEC_AFTER_MS) {
		s->swept = true;
		cgroup_sweep(SWEEP_ALL);
		if (!s->init_mode)
			reexec(s);
	}
}

void supervise(struct supervisor *s)
{
	s->magic = MAGIC;
	s->size = sizeof(*s);
	supervise_hooks(s);
	s->again = false;
	reap(s);                        /* its SIGCHLD may have been read while the guest started */
	for (int sig = 1; sig < _NSIG; sig++)
		if (sigismember(&s->early, sig) == 1)
			on_one_signal(s, sig, false);
	sigemptyset(&s->early);
	while (!s->again) {
		/* A call waits on the listener only while there's no broker to take it. */
		bool watch = s->broker.listener_fd >= 0 && s->broker_pid == 0 && !s->broker_retry_ms;
		struct pollfd fds[9] = {
			{ .fd = s->signal_fd, .events = POLLIN },
			{ .fd = s->ctl_fd, .events = POLLIN },
			{ .fd = watch ? s->broker.listener_fd : -1, .events = POLLIN },
			{ .fd = s->view.device_fd, .events = POLLIN },
			{ .fd = s->enter_fd[0], .events = POLLIN },
		};
		size_t n_tty = tty_poll(&s->tty, fds + 5, 4);

		if (poll(fds, 5 + n_tty, timeout_ms(s)) < 0 && errno != EINTR)
			die_sys("poll");
		if (fds[1].revents)
			on_message(s);
		if (fds[0].revents)
			on_signal(s);
		if (fds[2].revents & POLLIN)
			spawn_broker(s);
		else if (fds[2].revents)
			close_fd(&s->broker.listener_fd);       /* nobody is left under the filter */
		if (fds[3].revents)
			serve_view(s);
		if (fds[4].revents & POLLIN)
			on_enter(s);
		tty_ready(&s->tty, fds + 5, n_tty);
		on_time(s);
	}
}

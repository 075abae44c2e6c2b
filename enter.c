/* SPDX-License-Identifier: ISC */
/*
 * enter.c: --enter, from the entering vrun's side; and the message between it and guest init.
 *
 * Theory of operation. Who enters a guest by setns(2) is for a while a process of the host, with descriptors
 * and memory of the host, within the guest's reach (CVE-2016-9962), trusts what the guest says it is
 * (CVE-2022-31214), executes in there what came from outside (CVE-2019-5736), and gets neither the guest's
 * seccomp filter nor its Landlock domain, which only inheritance gives. So nobody enters: the guest's own init
 * is asked for one more child.
 *
 * The way to init is the supervisor's end of its control socket, which pidfd_getfd(2) gives to the host's root
 * alone; which process is the supervisor, the kernel's lock table tells (cgroup.c). No socket has a name, and
 * the guest can't pose as anything: it isn't asked. One message carries the descriptors; the words are in a
 * sealed memfd. Init forks a helper: leader of a session of its own, to the new command what init is to
 * COMMAND (init.c), in the guest's cgroups, namespaces, filter, domain and bounds because init is, undumpable
 * like init. With --init, pid 1 is a program that can't be asked: there the supervisor, which has kept the plan,
 * makes the helper as it made init, with a filter and a domain of the same plan (vrun.c). The helper and we talk over
 * a socketpair in the words of the control socket. When we die, the command stays: it is a child of the guest like
 * any other.
 *
 * The terminal is a pty of the guest's devpts, opened by us: below the guest's root without following any
 * link, and believed only if it is devpts' own ptmx. The other end comes from TIOCGPTPEER, by no path.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { REQUEST_MAX = 8 << 20 };         /* above what execve(2) takes */

/* ---- the request: tagged, NUL-terminated words ---- */

/* Appends tag, text and NUL; needed counts on when there is no room. */
static void pack_word(char *buf, size_t room, size_t *needed, char tag, const char *text)
{
	size_t n = strlen(text) + 2;

	if (buf && *needed + n <= room) {
		buf[*needed] = tag;
		memcpy(buf + *needed + 1, text, n - 1);
	}
	*needed += n;
}

size_t enter_pack(const struct enter *e, char *buf, size_t room)
{
	const struct { char tag; const struct words *words; } lists[] = {
		{ 'a', &e->args }, { 'e', &e->env }, { 'c', &e->caller_env },
	};
	const struct { char tag; const char *text; } texts[] = {
		{ 'u', e->user }, { 'g', e->groups }, { 'w', e->workdir }, { 'd', e->cwd },
		{ 'f', e->foreground ? "" : NULL },
	};
	size_t needed = 0;

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i].text)
			pack_word(buf, room, &needed, texts[i].tag, texts[i].text);
	}
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		for (size_t w = 0; w < lists[i].words->n; w++)
			pack_word(buf, room, &needed, lists[i].tag, lists[i].words->v[w]);
	}
	return needed;
}

static void add_word(struct words *w, char *text)
{
	w->v = xrealloc_array(w->v, w->n + 2, sizeof(*w->v));
	w->v[w->n++] = text;
	w->v[w->n] = NULL;      /* both argv and environments end so */
}

bool enter_unpack(char *buf, size_t len, struct enter *e)
{
	memset(e, 0, sizeof(*e));
	if (len && buf[len - 1] != '\0')
		return false;
	for (char *p = buf; p < buf + len; p += strlen(p) + 1) {
		char *text = p + 1;

		switch (*p) {
		case 'u': e->user = text; break;
		case 'g': e->groups = text; break;
		case 'w': e->workdir = text; break;
		case 'd': e->cwd = text; break;
		case 'f': e->foreground = true; break;
		case 'a': add_word(&e->args, text); break;
		case 'e': add_word(&e->env, text); break;
		case 'c': add_word(&e->caller_env, text); break;
		default: return false;
		}
	}
	return true;
}

void enter_receive(int request_fd, struct enter *e)
{
	struct stat st;
	char *buf;

	if (fstat(request_fd, &st) || st.st_size > REQUEST_MAX)
		die("--enter: what to start is too long");
	buf = xmalloc((size_t)st.st_size + 1);
	if (pread(request_fd, buf, (size_t)st.st_size, 0) != st.st_size || !enter_unpack(buf, (size_t)st.st_size, e))
		die("--enter: the request can't be read");
}

/* ---- the entering side ---- */

static struct tty tty;

static void undo(void)
{
	tty_restore(&tty);
}

/* TERM, and what --env names without a value. */
static void take_environment(const struct plan *p, struct enter *e)
{
	for (char **v = environ; *v; v++) {
		size_t n = strcspn(*v, "=");
		bool named = strncmp(*v, "TERM=", 5) == 0;

		for (size_t i = 0; i < p->rights.env.n; i++)
			named |= strlen(p->rights.env.v[i]) == n && strncmp(p->rights.env.v[i], *v, n) == 0;
		if (named)
			add_word(&e->caller_env, *v);
	}
}

static int request(const struct plan *p)
{
	struct enter e = {
		.user = p->rights.user, .groups = p->rights.groups, .workdir = p->root.workdir,
		.cwd = getcwd(NULL, 0), .foreground = tty_wanted(&tty) && tty.eager,
		.args = p->args, .env = p->rights.env,
	};
	size_t needed, room;
	char *buf;
	int fd;

	take_environment(p, &e);
	room = enter_pack(&e, NULL, 0);
	if (room > REQUEST_MAX)
		die("--enter: the command is too long");
	buf = xmalloc(room);
	needed = enter_pack(&e, buf, room);
	fd = memfd_sealed("enter", buf, needed);
	if (fd < 0)
		die_sys("--enter: memfd");
	free(buf);
	return fd;
}

/* A pty in the guest's devpts; returns its slave. */
static int open_pty(const struct cgroup *cg)
{
	pid_t init = cgroup_init(cg);
	char path[32];
	struct statfs fs;
	struct stat st;
	int slave_fd, off = 0;
	uint32_t base;

	snprintf(path, sizeof(path), "%d/root", (int)init);
	_cleanup_fd_ int root_fd = openat(host_proc_fd(), path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root_fd < 0 || cgroup_init(cg) != init)
		die("guest %s has just ended", cg->name);
	tty.master_fd = sys_openat2(root_fd, "dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC,
				    RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS);
	if (tty.master_fd < 0)
		die_sys("--tty: open /dev/pts/ptmx of guest %s (--tty no does without)", cg->name);
	if (fstatfs(tty.master_fd, &fs) || fs.f_type != DEVPTS_SUPER_MAGIC || fstat(tty.master_fd, &st) ||
	    !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
		die("--tty: /dev/pts/ptmx of guest %s is something else", cg->name);
	slave_fd = ioctl(tty.master_fd, TIOCSPTLCK, &off) ? -1
		: ioctl(tty.master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave_fd < 0)
		die_sys("--tty: open a pty of guest %s (Linux 4.13)", cg->name);
	/* ours by birth: its command must be able to open it by name */
	base = guests_id_base(init);
	if (cgroup_init(cg) != init)
		die("guest %s has just ended", cg->name);
	if (fchown(slave_fd, base, (gid_t)-1))
		die_sys("--tty: give the pty to guest %s", cg->name);
	tty_attach(&tty, tty.master_fd);
	return slave_fd;
}

/* Sends the request; what is left here are our ends of the reply socket and of the error pipe. */
static void ask(const struct plan *p, const struct cgroup *cg, int ctl_fd, int *reply_fd, int *error_fd)
{
	struct ctl m = { .type = CTL_ENTER };
	int reply[2], error[2], fds[ENTER_FDS];
	size_t n = ENTER_TTY;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, reply) || pipe2(error, O_CLOEXEC))
		die_sys("--enter: socketpair");
	fds[ENTER_REPLY] = reply[1];
	fds[ENTER_ERROR] = error[1];
	fds[ENTER_REQUEST] = request(p);
	for (int i = 0; i < 3; i++)
		fds[ENTER_STDIN + i] = i;
	if (tty_wanted(&tty)) {
		fds[n++] = open_pty(cg);
		for (int i = 0; i < 3; i++)
			fds[ENTER_STDIN + i] = tty.slave_on[i] ? fds[ENTER_TTY] : i;
	}
	if (send_fds(ctl_fd, &m, sizeof(m), fds, n))
		die("guest %s has just ended", cg->name);
	close(fds[ENTER_REQUEST]);
	if (n > ENTER_TTY)
		close(fds[ENTER_TTY]);
	close(reply[1]);
	close(error[1]);
	*reply_fd = reply[0];
	*error_fd = error[0];
}

static int catch_signals(void)
{
	sigset_t all;
	int fd;

	sigfillset(&all);
	sigdelset(&all, SIGSEGV);
	sigdelset(&all, SIGBUS);
	sigdelset(&all, SIGILL);
	sigdelset(&all, SIGFPE);
	sigdelset(&all, SIGCHLD);
	sigprocmask(SIG_BLOCK, &all, NULL);
	fd = signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK);
	if (fd < 0)
		die_sys("signalfd");
	return fd;
}

/* The signal that went to the command; 0: none did. */
static int on_signal(int signal_fd, int reply_fd)
{
	struct signalfd_siginfo si;
	struct ctl m = { .type = CTL_SIGNAL };

	if (read(signal_fd, &si, sizeof(si)) != sizeof(si))
		return 0;
	switch (si.ssi_signo) {
	case SIGWINCH:
		if (tty_wanted(&tty)) {
			tty_winch(&tty);
			return 0;
		}
		break;
	case SIGTSTP:
	case SIGTTIN:
	case SIGTTOU:
	case SIGCONT:
		tty_job_signal(&tty, (int)si.ssi_signo, reply_fd);
		return 0;
	case SIGPIPE:
		if (si.ssi_pid == (uint32_t)getpid())
			return 0;
	}
	m.value = (int32_t)si.ssi_signo;
	m.more = si.ssi_code == SI_KERNEL;
	send_fds(reply_fd, &m, sizeof(m), NULL, 0);
	return m.value;
}

/* What exec said, if it failed: the same codes as at the start of a guest. With --userns no the guest's root may
 * get hold of the pipe while vrun-exec has it: so it may hold it open for ever, and its bytes are not for our
 * terminal as they are. */
static void check_error(int error_fd)
{
	char text[2048];
	int32_t code;
	struct pollfd p = { .fd = error_fd, .events = POLLIN };

	if (error_fd >= 0 && poll(&p, 1, 0) > 0 && read_error(error_fd, &code, text, sizeof(text)) == 1)
		die_code(code, "%s", text);
}

/* One message of the helper's; true and the command's wait status once it has ended. */
static bool on_message(const struct cgroup *cg, int reply_fd, int error_fd, int *status)
{
	struct ctl m;

	if (recv(reply_fd, &m, sizeof(m), MSG_DONTWAIT) != sizeof(m)) {
		check_error(error_fd);
		die("--enter %s: the guest ended, or killed the command's helper", cg->name);
	}
	if (m.type == CTL_STOPPED)
		tty_stopped(&tty, m.value, reply_fd);
	if (m.type != CTL_EXIT)
		return false;
	check_error(error_fd);
	*status = m.value;
	return true;
}

enum { SLOW_US = 1000000 };             /* by then a command has begun, or the caller may give up */

/* A guest that has frozen a cgroup of its own (--init) lets no command begin. What is to end that ends us, then. */
static bool gives_up(int sig, uint64_t asked_us)
{
	return (sig == SIGTERM || sig == SIGINT || sig == SIGQUIT || sig == SIGHUP) &&
		supervise_now_us() - asked_us > SLOW_US;
}

/* Until the command ends: its wait status. */
static int wait_for_command(const struct cgroup *cg, int reply_fd, int error_fd, int signal_fd)
{
	uint64_t asked_us = supervise_now_us();
	int status, sig;

	for (;;) {
		struct pollfd fds[8] = {
			{ .fd = reply_fd, .events = POLLIN },
			{ .fd = error_fd, .events = POLLIN },
			{ .fd = signal_fd, .events = POLLIN },
		};
		size_t n_tty = tty_poll(&tty, fds + 3, 4);

		if (poll(fds, 3 + n_tty, tty_timeout_ms(&tty)) < 0 && errno != EINTR)
			die_sys("poll");
		if (fds[1].revents) {
			check_error(error_fd);
			close_fd(&error_fd);
			tty_start(&tty);        /* it runs */
		}
		sig = fds[2].revents ? on_signal(signal_fd, reply_fd) : 0;
		if (error_fd >= 0 && gives_up(sig, asked_us))
			return sig;             /* as a wait status: ended by it */
		tty_ready(&tty, fds + 3, n_tty);
		if (fds[0].revents && on_message(cg, reply_fd, error_fd, &status))
			return status;
	}
}

/* As the caller: which of 0-2 are terminals. */
void enter_check(const struct plan *p)
{
	struct stat st;

	/* The way out for a guest (vrun.c: check_stdio). */
	for (int fd = 0; fd <= 2; fd++)
		if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
			die("--enter: descriptor %d is a directory, by which the command would leave the guest's root", fd);
	tty_check(p, &tty);
}

int enter_run(struct plan *p, const struct cgroup *cg, int ctl_fd)
{
	int reply_fd, error_fd, signal_fd, status;
	char flags[64];

	cgroup_attr(cg, "user.vrun.flags", flags, sizeof(flags));
	if (strstr(flags, "no_enter"))
		die("--enter %s: the guest was started with --no-enter", cg->name);
	if (cgroup_frozen(cg))
		die("--enter %s: the guest is paused (--resume)", cg->name);
	util_undo = undo;
	signal_fd = catch_signals();
	ask(p, cg, ctl_fd, &reply_fd, &error_fd);
	close(ctl_fd);          /* its end is to be seen by init, should the supervisor die */
	status = wait_for_command(cg, reply_fd, error_fd, signal_fd);
	util_undo = NULL;
	tty_drain(&tty);
	tty_restore(&tty);
	supervise_end_by(status);
}

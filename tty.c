/* SPDX-License-Identifier: ISC */
/*
 * tty.c: the guest's terminal, from the supervisor's side.
 *
 * The guest never has the caller's terminal: who has it can push keystrokes into it (TIOCSTI), and its owner
 * is nobody in the guest. It gets a pty of its own devpts, and we copy bytes between its master and the
 * caller's terminal. Each of 0-2 that is no terminal is passed on as it is.
 *
 * Copying changes nothing for the caller as long as three things hold:
 *  - The caller's terminal is raw, and read, only while the guest reads its pty and we are in the terminal's
 *    foreground. Where 0 and 1 are both the terminal, COMMAND has it from the start (`eager`). Otherwise
 *    (`| less`, x=$(...), &) COMMAND is a background group of its pty; its first read stops it by SIGTTIN, init
 *    says so, and only then do we take the terminal. So a reader beside us keeps its keystrokes. Who waits by
 *    poll(2) and reads after that would wait for ever: so when a line lies unread in the terminal, the pty gets
 *    an end-of-file mark that makes it readable for a moment. Who polls it now tries to read, and is stopped
 *    before he could see the mark; it is taken away again, and the line in the terminal was never touched.
 *  - In a pipeline (`shared`) the others write to the terminal and are to be interrupted too: there the
 *    terminal keeps its output processing and its signal keys, the pty does without the former.
 *  - Stops go both ways. COMMAND stopped by its pty: we give the terminal back and stop, with our group, by the
 *    same signal, and the caller's shell sees what it always sees. We are told to stop: COMMAND's group is, and
 *    its stop stops us. SIGCONT takes the terminal again if we are in its foreground.
 *
 * struct tty is plain data, buffers included: it outlives the supervisor's re-exec. The terminal's open file
 * description is the caller's shell's, so its O_NONBLOCK is not ours to set: we open it again where we can.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <termios.h>
#include <time.h>

enum { PROBE_FIRST_MS = 50, PROBE_LAST_MS = 1000, PROBE_LENGTH_MS = 20 };
enum { DRAIN_STALL_MS = 2000, DRAIN_MAX_BYTES = 1 << 20, SHARED_WRITE_MAX = 512 };

_Static_assert(sizeof(((struct tty *)0)->saved) >= sizeof(struct termios), "room for struct termios");

/* ---- as the caller ---- */

static bool same_terminal(int a, int b)
{
	unsigned dev_a, dev_b;

	return !ioctl(a, TIOCGDEV, &dev_a) && !ioctl(b, TIOCGDEV, &dev_b) && dev_a == dev_b;
}

/* A description of our own for the terminal on fd, or fd itself. /dev/tty needs no right on the terminal (after
 * su it belongs to another user), the name in /proc works where the terminal isn't our controlling one. */
static int open_again(int fd)
{
	char name[32];
	const char *const names[] = { "/dev/tty", name };

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	for (size_t i = 0; i < 2; i++) {
		int own_fd = open(names[i], O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

		if (own_fd >= 0 && same_terminal(own_fd, fd))
			return own_fd;
		close_fd(&own_fd);
	}
	return fd;
}

/* A terminal that isn't our controlling one has no job control that could be in our way. */
static bool in_foreground(const struct tty *t)
{
	pid_t group = tcgetpgrp(t->term_fd);

	return group == getpgrp() || (group < 0 && errno == ENOTTY);
}

void tty_check(const struct plan *p, struct tty *t)
{
	/* An init program has a console with or without a terminal here: what it says there goes to our stdout. Its 0-2
	 * are still ours, byte for byte, where they are no terminal. */
	bool is_tty[3], asked = p->control.tty == TTY_YES, all = asked || p->context.init;
	int first = -1;

	t->master_fd = t->slave_fd = t->in_fd = t->out_fd = t->term_fd = -1;
	if (p->control.tty == TTY_NO)
		return;
	for (int fd = 2; fd >= 0; fd--) {
		is_tty[fd] = isatty(fd);
		t->slave_on[fd] = asked || is_tty[fd];
		if (is_tty[fd])
			first = fd;
	}
	t->keep_slave = p->context.init;
	t->shared = !is_tty[0] || !is_tty[1];
	if (first >= 0)
		t->term_fd = open_again(first);
	t->in_fd = asked && !is_tty[0] ? 0 : t->term_fd;
	if (is_tty[1] || (is_tty[2] && !all))
		t->out_fd = is_tty[1] ? 1 : 2;
	else
		t->out_fd = all ? 1 : t->term_fd;
	if (t->term_fd >= 0 && same_terminal(t->out_fd, t->term_fd))
		t->out_fd = t->term_fd;
	else if (isatty(t->out_fd))
		t->out_fd = open_again(t->out_fd);
	t->own_out = t->out_fd > 2;
	/* An init program isn't stopped by reading, so nothing else would ever say that it wants the terminal. */
	t->eager = tty_wanted(t) && (t->in_fd != t->term_fd || (!t->shared && (p->context.init || in_foreground(t))));
	t->foreground = t->eager || p->context.init;
}

bool tty_wanted(const struct tty *t)
{
	return t->slave_on[0] || t->slave_on[1] || t->slave_on[2] || t->keep_slave;
}

/* ---- the pty's modes and the terminal's ---- */

void tty_winch(struct tty *t)
{
	struct winsize size;

	/* The kernel tells the pty's foreground group, if it is a change. */
	if (t->master_fd >= 0 && t->term_fd >= 0 && !ioctl(t->term_fd, TIOCGWINSZ, &size))
		ioctl(t->master_fd, TIOCSWINSZ, &size);
}

/* Done by the builder: COMMAND must find the size and the keys when it looks. */
void tty_attach(const struct tty *t, int master_fd)
{
	struct tty fresh = *t;
	struct termios modes;

	if (fcntl(master_fd, F_SETFL, O_RDWR | O_NONBLOCK))
		die_sys("--tty: master of the pty");
	fresh.master_fd = master_fd;
	tty_winch(&fresh);
	if (tcgetattr(t->term_fd >= 0 ? t->term_fd : master_fd, &modes))
		die_sys("--tty: modes of the terminal");
	if (t->term_fd >= 0 && t->shared)
		modes.c_oflag &= ~(tcflag_t)OPOST;
	/* Nobody types here: an echo would only mix the input into the output (script(1) has it so). */
	if (t->in_fd != t->term_fd)
		modes.c_lflag &= ~(tcflag_t)ECHO;
	if (tcsetattr(master_fd, TCSANOW, &modes))
		die_sys("--tty: modes of the pty");
}

static struct termios raw_modes(const struct tty *t)
{
	struct termios saved, raw;

	memcpy(&saved, t->saved, sizeof(saved));
	raw = saved;
	cfmakeraw(&raw);
	raw.c_cflag = saved.c_cflag;
	if (t->shared) {
		raw.c_oflag = saved.c_oflag;
		raw.c_lflag |= saved.c_lflag & ISIG;
	}
	return raw;
}

/* Returns whether the terminal's input is the guest's now. */
static bool take_terminal(struct tty *t)
{
	struct termios modes;

	if (t->term_fd < 0 || !in_foreground(t) || tcgetattr(t->term_fd, &modes))
		return false;
	/* Stopped by SIGSTOP we couldn't give it back: then what we saved before is still the caller's. */
	if (!t->raw)
		memcpy(t->saved, &modes, sizeof(modes));
	modes = raw_modes(t);
	t->raw = !tcsetattr(t->term_fd, TCSANOW, &modes);
	return t->raw;
}

/* In the background another's modes are not ours to change, except if they are the ones we left. */
void tty_restore(struct tty *t)
{
	struct termios now, ours, saved;

	if (!t->raw)
		return;
	t->raw = false;
	memcpy(&saved, t->saved, sizeof(saved));
	ours = raw_modes(t);
	if (tcgetattr(t->term_fd, &now))
		return;
	if (in_foreground(t) || (now.c_iflag == ours.c_iflag && now.c_oflag == ours.c_oflag &&
				 now.c_lflag == ours.c_lflag))
		tcsetattr(t->term_fd, TCSANOW, &saved);
}

void tty_start(struct tty *t)
{
	if (t->master_fd < 0)
		return;
	/* A pid 1 that closes its console and opens it again later (--init) must not find it hung up. */
	if (t->keep_slave)
		t->slave_fd = ioctl(t->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->eager && t->in_fd == t->term_fd)
		take_terminal(t);
}

/* ---- copying ---- */

/* The caller's terminal, or reader, is gone: for the guest it is a hangup, the kernel sends it SIGHUP. */
static void hang_up(struct tty *t)
{
	t->raw = false;
	t->in_fd = t->out_fd = -1;
	t->in_len = t->out_len = 0;
	close_fd(&t->slave_fd);
	close_fd(&t->master_fd);
}

static bool reads_input(const struct tty *t)
{
	return t->in_fd >= 0 && (t->in_fd != t->term_fd || t->raw);
}

/* End of file as the pty's line discipline knows it; the first of two only ends a line that was begun. */
static void input_ends(struct tty *t)
{
	struct termios modes;

	t->in_fd = -1;
	if (tcgetattr(t->master_fd, &modes) || !(modes.c_lflag & ICANON))
		return;
	t->in_len = t->in_line_begun ? 2 : 1;
	memset(t->in_buf, modes.c_cc[VEOF], t->in_len);
}

static void write_input(struct tty *t)
{
	ssize_t n = write(t->master_fd, t->in_buf, t->in_len);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0)
		n = t->in_len;          /* nobody has the pty open */
	t->in_len -= (size_t)n;
	memmove(t->in_buf, t->in_buf + n, t->in_len);
}

static void read_input(struct tty *t)
{
	ssize_t n = read(t->in_fd, t->in_buf, sizeof(t->in_buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0 && t->in_fd != t->term_fd) {
		input_ends(t);
	} else if (n == 0) {
		hang_up(t);
	} else if (n < 0) {
		/* EIO: SIGTTIN is blocked, and we aren't in the foreground any more. */
		if (in_foreground(t))
			hang_up(t);
		tty_restore(t);
	} else {
		t->in_len = (size_t)n;
		t->in_line_begun = t->in_buf[n - 1] != '\n';
		write_input(t);
	}
}

/* What can be written without waiting. With the caller's own description only poll can say so, for a little. */
static void write_output(struct tty *t)
{
	struct pollfd ready = { .fd = t->out_fd, .events = POLLOUT };
	size_t len = t->out_len;
	ssize_t n;

	if (!t->own_out) {
		if (poll(&ready, 1, 0) <= 0)
			return;
		len = len < SHARED_WRITE_MAX ? len : SHARED_WRITE_MAX;
	}
	n = write(t->out_fd, t->out_buf, len);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		hang_up(t);
		return;
	}
	t->out_len -= (size_t)n;
	memmove(t->out_buf, t->out_buf + n, t->out_len);
}

/* Returns whether there was something. */
static bool read_output(struct tty *t)
{
	ssize_t n = read(t->master_fd, t->out_buf, sizeof(t->out_buf));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return errno == EINTR;
	if (n <= 0) {
		/* EIO: the last slave is closed, init's; what is left to read was read before. */
		close_fd(&t->master_fd);
		return false;
	}
	t->out_len = (size_t)n;
	write_output(t);
	return true;
}

/* ---- is there somebody in the guest who waits for input without reading? ---- */

static uint64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static bool may_probe(const struct tty *t)
{
	return !t->foreground && !t->raw && !t->keep_slave && t->term_fd >= 0 && t->in_fd == t->term_fd;
}

static void probe_begin(struct tty *t)
{
	struct termios modes;

	t->probe_at_ms = now_ms() + PROBE_LAST_MS;
	/* Where lines aren't edited the mark is a byte like others; but who set that has had the terminal. */
	if (tcgetattr(t->master_fd, &modes) || !(modes.c_lflag & ICANON) || modes.c_cc[VEOF] == _POSIX_VDISABLE)
		return;
	t->slave_fd = ioctl(t->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (t->slave_fd >= 0 && write(t->master_fd, &modes.c_cc[VEOF], 1) != 1)
		close_fd(&t->slave_fd);
	if (t->slave_fd < 0)
		return;
	t->probing = true;
	t->probe_at_ms = now_ms() + PROBE_LENGTH_MS;
}

static void probe_end(struct tty *t)
{
	if (!t->probing)
		return;
	tcflush(t->slave_fd, TCIFLUSH);
	close_fd(&t->slave_fd);
	t->probing = false;
	t->probe_at_ms = now_ms() + t->probe_wait_ms;
	t->probe_wait_ms = t->probe_wait_ms * 2 < PROBE_LAST_MS ? t->probe_wait_ms * 2 : PROBE_LAST_MS;
}

/* Something lies in the terminal. Those beside us come first. */
static void probe_schedule(struct tty *t)
{
	t->probe_wait_ms = PROBE_FIRST_MS;
	t->probe_at_ms = now_ms() + t->probe_wait_ms;
}

static void probe_tick(struct tty *t)
{
	struct pollfd unread = { .fd = t->term_fd, .events = POLLIN };

	if (!t->probe_at_ms || now_ms() < t->probe_at_ms)
		return;
	probe_end(t);
	if (now_ms() < t->probe_at_ms)
		return;
	t->probe_at_ms = 0;
	/* A terminal that has gone is readable for ever: tty_poll's loop hears of it, and lets go of it. */
	if (!may_probe(t) || poll(&unread, 1, 0) <= 0 || unread.revents & POLLHUP)
		return;
	/* In the background the line is the shell's; look again when it may have read it. */
	if (in_foreground(t))
		probe_begin(t);
	else
		t->probe_at_ms = now_ms() + PROBE_LAST_MS;
}

int tty_timeout_ms(const struct tty *t)
{
	uint64_t now = now_ms();

	if (t->master_fd < 0 || !t->probe_at_ms)
		return -1;
	return t->probe_at_ms > now ? (int)(t->probe_at_ms - now) : 0;
}

/* ---- the supervisor's loop ---- */

size_t tty_poll(struct tty *t, void *pollfds, size_t room)
{
	struct pollfd *fds = pollfds;
	size_t n = 0;
	short master = 0;

	if (t->master_fd < 0 || room < 3)
		return 0;
	if (t->in_len)
		master |= POLLOUT;
	else if (reads_input(t) || (may_probe(t) && !t->probe_at_ms))
		fds[n++] = (struct pollfd){ .fd = t->in_fd, .events = POLLIN };
	if (t->out_len)
		fds[n++] = (struct pollfd){ .fd = t->out_fd, .events = POLLOUT };
	else
		master |= POLLIN;
	if (master)
		fds[n++] = (struct pollfd){ .fd = t->master_fd, .events = master };
	return n;
}

void tty_ready(struct tty *t, const void *pollfds, size_t n)
{
	const struct pollfd *fds = pollfds;

	for (size_t i = 0; i < n && t->master_fd >= 0; i++) {
		if (!fds[i].revents)
			continue;
		if (fds[i].fd != t->master_fd) {
			if (fds[i].events == POLLOUT && t->out_len)
				write_output(t);
			else if (fds[i].events == POLLIN && reads_input(t) && !t->in_len)
				read_input(t);
			else if (fds[i].revents & POLLHUP)
				t->in_fd = -1;          /* it is gone; we, in the background, are not */
			else if (fds[i].events == POLLIN && may_probe(t))
				probe_schedule(t);
			continue;
		}
		if (t->in_len)
			write_input(t);
		if (!t->out_len)
			read_output(t);
	}
	if (t->master_fd >= 0)
		probe_tick(t);
}

/* The guest is gone, but what it wrote is still on its way. Never for ever: a terminal stopped by Ctrl-S, or one
 * of the host's processes that has the pty open, must not keep us. */
void tty_drain(struct tty *t)
{
	for (size_t bytes = 0; t->master_fd >= 0 && bytes < DRAIN_MAX_BYTES; bytes += t->out_len) {
		if (!t->out_len && !read_output(t))
			return;
		while (t->master_fd >= 0 && t->out_len) {
			struct pollfd ready = { .fd = t->out_fd, .events = POLLOUT };

			if (poll(&ready, 1, DRAIN_STALL_MS) <= 0)
				return;
			write_output(t);
		}
	}
}

void tty_input_end(struct tty *t)
{
	tty_drain(t);
	tty_restore(t);
	t->in_fd = -1;
	t->eager = false;
}

/* ---- job control ---- */

static void tell(int ctl_fd, enum ctl_type type, int value, bool group)
{
	struct ctl m = { .type = type, .value = value, .more = group };

	/* Init ended: nobody is left to be told, and the supervisor will hear of it. */
	if (ctl_fd >= 0)
		send(ctl_fd, &m, sizeof(m), MSG_NOSIGNAL);
}

static void let_go_on(struct tty *t, int ctl_fd, bool foreground)
{
	t->foreground = foreground;
	tell(ctl_fd, CTL_CONTINUE, foreground, false);
}

static void go_on(struct tty *t, int ctl_fd)
{
	bool foreground = t->in_fd != t->term_fd;

	t->stop_passed_on = false;
	if (t->master_fd >= 0 && t->in_fd >= 0 && t->in_fd == t->term_fd) {
		if (!in_foreground(t))
			tty_restore(t);
		else if (t->eager)
			foreground = take_terminal(t);
		tty_winch(t);
	}
	let_go_on(t, ctl_fd, foreground);
}

/* Stops as a job of the caller's shell. Returns false if nothing stopped us: a group whose parents are all gone
 * or in another session can't be stopped by these signals, since nobody would continue it. */
static bool stop_ourselves(struct tty *t, int sig)
{
	bool alone = t->stop_passed_on || sig == SIGSTOP || t->master_fd < 0;
	sigset_t one, pending;

	tty_restore(t);
	sigemptyset(&one);
	sigaddset(&one, sig);
	/* A key stops all that the caller started with us; if it was sent to us, the others have had theirs. Without
	 * a terminal there is no key: a guest that stops itself must not stop the timeout(1) that watches over it. */
	kill(alone ? getpid() : 0, sig);
	sigprocmask(SIG_UNBLOCK, &one, NULL);
	sigprocmask(SIG_BLOCK, &one, NULL);
	/* SIGCONT is blocked: it has continued us, and waits for the signalfd, which leads to go_on(). */
	return !sigpending(&pending) && sigismember(&pending, SIGCONT) == 1;
}

/* What was typed before we took the terminal was echoed there, and must not be once more. COMMAND is stopped, so
 * nobody else changes the pty's modes; poll(2) of the slave waits until the line discipline has the bytes. */
static void read_typed_ahead(struct tty *t)
{
	struct pollfd unread = { .fd = t->term_fd, .events = POLLIN }, slave = { .events = POLLIN };
	struct termios modes, quiet;

	if (t->in_len || poll(&unread, 1, 0) <= 0 || tcgetattr(t->master_fd, &modes))
		return;
	quiet = modes;
	quiet.c_lflag &= ~(tcflag_t)(ECHO | ECHONL);
	slave.fd = ioctl(t->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave.fd >= 0 && !tcsetattr(t->master_fd, TCSANOW, &quiet)) {
		read_input(t);
		poll(&slave, 1, 0);
		tcsetattr(slave.fd, TCSANOW, &modes);
	}
	close_fd(&slave.fd);
}

/* Whoever continues a stopped job does so from a terminal. */
static bool have_terminal(void)
{
	_cleanup_fd_ int fd = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	return fd >= 0;
}

void tty_stopped(struct tty *t, int sig, int ctl_fd)
{
	bool asks = t->master_fd >= 0 && (sig == SIGTTIN || sig == SIGTTOU);

	/* Unlike the other three, SIGSTOP stops an orphaned group, too: a guest would stop its supervisor for good. So
	 * COMMAND alone stays stopped, until somebody sends us CONT. */
	if (sig == SIGSTOP && !have_terminal())
		return;
	if (asks) {
		probe_end(t);
		t->eager = true;
		if (t->in_fd < 0)
			input_ends(t);
		if (t->in_fd != t->term_fd || t->in_fd < 0 || take_terminal(t)) {
			if (t->raw)
				read_typed_ahead(t);
			let_go_on(t, ctl_fd, true);
			return;
		}
	}
	if (stop_ourselves(t, sig))
		return;
	if (asks) {
		/* It would ask again, for ever. Outside the guest its read would have failed. */
		input_ends(t);
		let_go_on(t, ctl_fd, true);
		return;
	}
	go_on(t, ctl_fd);
}

void tty_job_signal(struct tty *t, int sig, int ctl_fd)
{
	if (sig == SIGCONT) {
		go_on(t, ctl_fd);
	} else if (ctl_fd >= 0) {
		t->stop_passed_on = true;
		tell(ctl_fd, CTL_SIGNAL, sig, true);
	} else if (sig == SIGTSTP) {
		/* --init: nothing stops a pid 1, but the caller has his terminal back. */
		t->stop_passed_on = true;
		if (!stop_ourselves(t, sig))
			go_on(t, ctl_fd);
	}
}

bool tty_typed(struct tty *t, int sig)
{
	struct termios pty, saved;
	int key = sig == SIGINT ? VINTR : sig == SIGQUIT ? VQUIT : sig == SIGTSTP ? VSUSP : -1;

	if (key < 0 || t->master_fd < 0 || !t->raw || tcgetattr(t->master_fd, &pty) || (pty.c_lflag & ISIG))
		return false;
	memcpy(&saved, t->saved, sizeof(saved));
	if (t->in_len < sizeof(t->in_buf))
		t->in_buf[t->in_len++] = saved.c_cc[key];
	return true;
}

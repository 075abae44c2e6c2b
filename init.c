/* SPDX-License-Identifier: ISC */
/*
 * init.c: guest pid 1.
 *
 * It starts COMMAND, reaps whatever the guest orphans, passes the supervisor's signals on, and ends the
 * guest by ending itself: with a pid namespace's first process the kernel kills all the others. It never
 * execs (but for --init, where it becomes COMMAND) and is undumpable: its memory belongs to the host's user
 * namespace, so nobody in the guest can trace it or follow its /proc/1/exe, fd or root out.
 *
 * What it knows comes over the control socket, and the end of that socket is the end of the supervisor and so
 * of the guest. It has no timer, no file and no policy: how long a stop may take is the supervisor's business.
 *
 * Terminal: init leads the session and holds the pty, COMMAND has a process group of its own. That is a
 * shell's arrangement (sudo's too): COMMAND's group has a parent in the session and outside the group, so it
 * isn't orphaned and Ctrl-Z stops it; init sees the stop and tells the supervisor, which stops as well, so
 * that the caller's shell sees its job stopped. Where the caller's terminal isn't plainly COMMAND's (a
 * pipeline, `&`) COMMAND starts as a background group of its pty: reading the pty then stops it by SIGTTIN,
 * and only that makes the supervisor take the caller's keystrokes.
 *
 * With --userns no, guest root is the host's root with few capabilities, enough to chmod or overwrite what it
 * can reach; and a COMMAND that is a script of `#!/proc/self/exe` is this very executable, run in the guest
 * (CVE-2019-5736). There COMMAND's process first execs a sealed copy of vrun in memory (vrun.c: copy_self), as
 * the role `vrun-exec`, and that one execs COMMAND: /proc/self/exe is then nothing of the host's.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <termios.h>

enum { REAP_BATCH = 64 };

struct init {
	const struct init_args *args;
	int signal_fd;
	pid_t command;                  /* also its process group */
	pid_t foreground;               /* group that has the pty back at the next CTL_CONTINUE; 0: COMMAND's */
	bool has_pty;                   /* COMMAND's side is the pty's foreground */
	bool ended;                     /* COMMAND is gone, with this wait status */
	int status;
	bool told;                      /* that others are left */
};

/* A program to start in the guest: COMMAND, or what --enter starts. */
struct program {
	char **argv, **env;
	const struct identity *identity;
	int stdio_fd[3];                /* what becomes 0-2; -1: stays as inherited */
	bool foreground;                /* has the pty from the start */
};

extern char **environ;

/* ---- exec, the same in the exec role and without it ---- */

static const char *env_value(char **env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++) {
		if (!strncmp(*env, name, n) && (*env)[n] == '=')
			return *env + n + 1;
	}
	return NULL;
}

/* Returns errno. What the kernel doesn't know is a shell script, as execvp(3) and env(1) have it. */
static int exec_file(const char *file, char **argv, char **env)
{
	size_t argc = 0;
	char **shell_argv;

	execve(file, argv, env);
	if (errno != ENOEXEC)
		return errno;
	while (argv[argc])
		argc++;
	shell_argv = xrealloc_array(NULL, argc + 2, sizeof(*shell_argv));
	shell_argv[0] = (char *)"/bin/sh";
	shell_argv[1] = (char *)file;
	memcpy(shell_argv + 2, argv + 1, argc * sizeof(*argv));
	execve(shell_argv[0], shell_argv, env);
	return ENOEXEC;
}

/* The search of execvp(3): a directory without the file or without a way in is passed over. */
static int exec_search(char **argv, char **env, char *found, size_t room)
{
	const char *path = env_value(env, "PATH"), *end;
	int seen = ENOENT;

	for (path = path ? path : "/usr/local/bin:/usr/bin:/bin"; ; path = end + 1) {
		char file[PATH_MAX];
		int n, error;

		end = strchrnul(path, ':');
		if (end == path)        /* an empty one is the current directory */
			n = snprintf(file, sizeof(file), "./%s", argv[0]);
		else
			n = snprintf(file, sizeof(file), "%.*s/%s", (int)(end - path), path, argv[0]);
		error = n < (int)sizeof(file) ? exec_file(file, argv, env) : ENAMETOOLONG;
		if ((error != ENOENT && error != ENOTDIR) || !access(file, F_OK))
			snprintf(found, room, "%s", file);
		if (error == EACCES)
			seen = EACCES;
		else if (error != ENOENT && error != ENOTDIR && error != ENAMETOOLONG)
			return error;
		if (!*end)
			return seen;
	}
}

static _Noreturn void exec_program(char **argv, char **env)
{
	char found[PATH_MAX] = "";
	int error = ENOENT;

	if (strchr(argv[0], '/')) {
		snprintf(found, sizeof(found), "%s", argv[0]);
		error = exec_file(argv[0], argv, env);
	} else if (*argv[0]) {
		error = exec_search(argv, env, found, sizeof(found));
	}
	/* The kernel's ENOENT for a file that is there means the program it names: #! line or dynamic linker. */
	if (error == ENOENT && *found && !access(found, F_OK))
		die_code(EXIT_NOTFOUND, "exec %s: its interpreter is not in the guest", quote(found));
	die_code(error == ENOENT ? EXIT_NOTFOUND : EXIT_NOEXEC, "exec %s: %s", quote(*found ? found : argv[0]),
		 strerror(error));
}

/*
 * Run by hand (exec -a vrun-exec vrun 9 true) this gives the caller nothing but an exec that he could have
 * done himself; entered with privilege it refuses. main calls it before all else.
 */
_Noreturn void init_exec_role(int argc, char **argv)
{
	uint64_t error_fd, filter_fd;

	if (getauxval(AT_SECURE))
		die("vrun-exec: not with privilege");
	if (argc < 4 || parse_u64(argv[1], 0, INT_MAX, &error_fd))
		die("vrun-exec: a role of vrun's own, not a command");
	if (fcntl((int)error_fd, F_SETFD, FD_CLOEXEC))
		die_sys("vrun-exec: descriptor %s", argv[1]);
	util_error_fd = (int)error_fd;
	if (!parse_u64(argv[2], 0, INT_MAX, &filter_fd))
		seccomp_apply_memfd((int)filter_fd);
	exec_program(argv + 3, environ);
}

/* ---- the process that becomes COMMAND ---- */

static void program_descriptors(const struct init *in, const struct program *prog)
{
	const struct control *control = &in->args->plan->control;

	for (int fd = 0; fd < 3; fd++) {
		if (prog->stdio_fd[fd] >= 0 && dup2(prog->stdio_fd[fd], fd) < 0)
			die_sys("descriptor %d", fd);
	}
	/* Linux 5.11; what is opened CLOEXEC anyway is closed by this once more, what the caller left open too. */
	if (sys_close_range(3, ~0U, CLOSE_RANGE_CLOEXEC))
		die_sys("close_range");
	for (size_t i = 0; i < control->n_keep_fd; i++) {
		if (fcntl(control->keep_fd[i], F_SETFD, 0))
			die_sys("--keep-fd %d", control->keep_fd[i]);
	}
}

static _Noreturn void program_exec_sealed(const struct init *in, const struct program *prog)
{
	size_t argc = 0;
	char error_fd[16], filter_fd[16], **argv;
	int filter = seccomp_file_memfd(in->args->plan);

	while (prog->argv[argc])
		argc++;
	argv = xrealloc_array(NULL, argc + 4, sizeof(*argv));
	snprintf(error_fd, sizeof(error_fd), "%d", in->args->error_fd);
	snprintf(filter_fd, sizeof(filter_fd), "%d", filter);   /* -1 is no number to parse_u64 */
	argv[0] = (char *)"vrun-exec";
	argv[1] = error_fd;
	argv[2] = filter_fd;
	memcpy(argv + 3, prog->argv, (argc + 1) * sizeof(*argv));
	if (fcntl(in->args->error_fd, F_SETFD, 0))
		die_sys("error pipe");
	caps_apply_blind();
	syscall(__NR_execveat, in->args->ro_self_fd, "", argv, prog->env, AT_EMPTY_PATH);
	die_sys("exec of vrun's sealed copy");
}

/* In the process that is to become the program; every signal is still blocked. */
static _Noreturn void program_exec(const struct init *in, const struct program *prog)
{
	const struct init_args *a = in->args;

	program_descriptors(in, prog);
	caps_apply_user(a->plan, prog->identity);
	root_workdir(a->plan, a->caller_cwd);
	/* A shell has its $(...) ignore these, for the sake of its own terminal (bash: make_child). This is another
	 * one, and an ignored SIGTTIN would make the read fail that is to tell us that COMMAND reads. */
	if (a->pty_slave_fd >= 0 && (signal(SIGTTIN, SIG_DFL) == SIG_ERR || signal(SIGTTOU, SIG_DFL) == SIG_ERR))
		die_sys("--tty: SIGTTIN");
	if (sigprocmask(SIG_SETMASK, &a->caller_mask, NULL))
		die_sys("signal mask");
	if (a->ro_self_fd >= 0)
		program_exec_sealed(in, prog);
	seccomp_apply_file(a->plan);    /* last: it may refuse anything but the exec */
	exec_program(prog->argv, prog->env);
}

/* Its own group before either side goes on, so that no signal for the group is lost. Returns the pid. */
static pid_t program_start(const struct init *in, const struct program *prog)
{
	int slave_fd = in->args->pty_slave_fd;
	pid_t pid = fork();

	if (pid < 0)
		die_sys("fork of COMMAND%s", errno == EAGAIN ? " (is --pids or the limit nproc too low?)" : "");
	if (pid > 0) {
		setpgid(pid, pid);
		return pid;
	}
	if (setpgid(0, 0))
		die_sys("setpgid");
	/* From a background group this raises SIGTTOU, which is blocked: then the kernel lets it pass. */
	if (prog->foreground && tcsetpgrp(slave_fd, getpid()))
		die_sys("--tty: foreground of the pty");
	program_exec(in, prog);
}

/* ---- pid 1 ---- */

static _Noreturn void guest_end(const struct init *in)
{
	/* With the host's pid namespace (--share pid) our end is nobody else's; cgroup.kill includes ourselves. */
	if (in->args->kill_fd >= 0 && write(in->args->kill_fd, "1", 1) < 0)
		_exit(EXIT_VRUN);
	_exit(0);
}

static void tell(const struct init *in, enum ctl_type type, int value, uint32_t more)
{
	struct ctl m = { .type = type, .value = value, .more = more };

	/* A guest that stops and continues for ever while the supervisor sleeps must not make us wait. */
	int flags = MSG_NOSIGNAL | (type == CTL_STOPPED ? MSG_DONTWAIT : 0);

	if (send(in->args->ctl_fd, &m, sizeof(m), flags) < 0 && errno != EAGAIN)
		guest_end(in);
}

/* The group that has the pty, if that is the guest's; else COMMAND's, as it would be in the caller's pipeline. */
static pid_t terminal_group(const struct init *in)
{
	int slave_fd = in->args->pty_slave_fd;
	pid_t group = slave_fd >= 0 ? tcgetpgrp(slave_fd) : -1;

	return group > 0 && group != getpgrp() ? group : in->command;
}

static void command_continue(struct init *in, bool foreground)
{
	int slave_fd = in->args->pty_slave_fd;
	pid_t group = terminal_group(in);

	in->has_pty = slave_fd >= 0 && foreground;
	if (slave_fd >= 0 && foreground) {
		if (tcgetpgrp(slave_fd) == getpgrp())
			group = in->foreground ? in->foreground : in->command;
		/* The remembered group may be gone; COMMAND's is there. */
		if (tcsetpgrp(slave_fd, group))
			tcsetpgrp(slave_fd, in->command);
	} else if (slave_fd >= 0) {
		in->foreground = group;
		tcsetpgrp(slave_fd, getpgrp());
	}
	if (group != in->command)
		kill(-group, SIGCONT);
	kill(-in->command, SIGCONT);
}

/* Nothing of the starter's but the place in the guest goes on: what to start, as whom and with which descriptors
 * comes with the request. */
_Noreturn void init_entered(const struct init_args *base, const int fd[])
{
	static struct init_args args;
	static struct plan plan;
	static struct tty tty;
	struct enter e;

	util_error_fd = fd[ENTER_ERROR];
	enter_receive(fd[ENTER_REQUEST], &e);
	for (int i = 0; i < 3; i++) {
		if (dup2(fd[ENTER_STDIN + i], i) < 0)
			die_sys("descriptor %d", i);
	}
	plan = *base->plan;
	plan.args = e.args;
	plan.context.init = false;
	plan.rights.user = e.user;
	plan.rights.groups = e.groups;
	plan.rights.env = e.env;
	plan.rights.keep_env = false;
	plan.root.workdir = e.workdir;
	plan.control.n_keep_fd = 0;
	tty.eager = e.foreground;
	args = *base;
	args.plan = &plan;
	args.tty = &tty;
	args.ctl_fd = fd[ENTER_REPLY];
	args.error_fd = fd[ENTER_ERROR];
	args.pty_slave_fd = fd[ENTER_TTY];
	args.caller_cwd = e.cwd;
	args.caller_env = e.caller_env.v;
	args.kill_fd = -1;              /* its end is nobody else's */
	args.entered = true;
	/* What the guest's starter ignored or blocked (sh: INT and QUIT with &) says nothing of who enters. */
	sigemptyset(&args.caller_mask);
	for (int sig = 1; sig < _NSIG; sig++)
		signal(sig, SIG_DFL);
	init_main(&args);
}

/* A helper is to its command what init is to COMMAND. */
static void enter(const struct init *in, int fd[ENTER_FDS], size_t n_fds)
{
	if (n_fds >= ENTER_TTY && fork() == 0) {
		close(in->args->ctl_fd);
		close(in->signal_fd);
		init_entered(in->args, fd);
	}
	/* If there is no process to be had, the other side sees its socket close. */
	for (size_t i = 0; i < n_fds; i++)
		close(fd[i]);
}

static void ctl_ready(struct init *in)
{
	struct ctl m;
	int fd[ENTER_FDS] = { -1, -1, -1, -1, -1, -1, -1 };
	size_t n_fds = ENTER_FDS;
	ssize_t n = recv_fds(in->args->ctl_fd, &m, sizeof(m), fd, &n_fds);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != sizeof(m) || m.type == CTL_END)
		guest_end(in);
	if (m.type == CTL_ENTER && !in->args->entered) {
		enter(in, fd, n_fds);
		return;
	}
	if (in->ended) {
		/* Its pid is anybody's now. What --until last left gets the signal instead, all of it; but only where
		 * "all" ends at our own pid namespace. */
		if (m.type == CTL_SIGNAL && getpid() == 1)
			kill(-1, m.value);
		return;
	}
	if (m.type == CTL_SIGNAL)
		kill(m.more ? -terminal_group(in) : in->command, m.value);
	else if (m.type == CTL_CONTINUE)
		command_continue(in, m.value == 1);
}

static void signal_ready(struct init *in)
{
	struct signalfd_siginfo info;

	if (read(in->signal_fd, &info, sizeof(info)) != sizeof(info)) {
		if (errno != EAGAIN)
			guest_end(in);
		return;
	}
	/* The pty hung up: the kernel tells the session's leader, and he his foreground, as a shell does; one in the
	 * background finds out when it writes. Nobody in the guest can send a signal that says it is the kernel's. */
	if (info.ssi_signo == SIGHUP && info.ssi_code == SI_KERNEL && in->has_pty && !in->ended) {
		kill(-in->command, SIGHUP);
		kill(-in->command, SIGCONT);
	}
}

/* Returns whether there may be more to reap: a guest that forks without end must not keep us from ctl_fd. */
static bool children_ready(struct init *in)
{
	pid_t pid = 0;
	int status;

	for (int i = 0; i < REAP_BATCH; i++) {
		pid = waitpid(-1, &status, WNOHANG | WUNTRACED);
		if (pid <= 0)
			break;
		if (pid != in->command || in->ended)
			continue;
		if (WIFSTOPPED(status)) {
			tell(in, CTL_STOPPED, WSTOPSIG(status), 0);
			continue;
		}
		in->ended = true;
		in->status = status;
	}
	if (pid > 0)
		return true;
	if (in->ended && pid < 0) {
		tell(in, CTL_EXIT, in->status, LEFT_NONE);
		_exit(0);
	}
	if (in->ended && !in->told) {
		in->told = true;
		tell(in, CTL_EXIT, in->status,
		     in->args->plan->context.until == UNTIL_LAST ? LEFT_STAYS : LEFT_ENDS);
	}
	return false;
}

/* From here on init has nothing of the host in hand but the control socket: no tree, no cgroup, and not the
 * caller's 0-2, whose other ends must see it when the guest closes them. What stands there instead does no harm. */
static void init_release(const struct init *in)
{
	const struct init_args *a = in->args;
	const int kept[] = { a->ctl_fd, in->signal_fd, a->pty_slave_fd, a->kill_fd, a->ro_self_fd };

	for (int fd = 0; fd < 3; fd++)
		dup2(in->signal_fd, fd);
	for (unsigned from = 3, next; ; from = next + 1) {
		next = ~0U;
		for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
			if (kept[i] >= (int)from && (unsigned)kept[i] < next)
				next = (unsigned)kept[i];
		}
		if (from < next)
			sys_close_range(from, next - 1, 0);
		if (next == ~0U)
			break;
	}
}

static _Noreturn void init_loop(struct init *in)
{
	bool more = false;

	for (;;) {
		struct pollfd fds[] = {
			{ .fd = in->args->ctl_fd, .events = POLLIN },
			{ .fd = in->signal_fd, .events = POLLIN },
		};

		if (poll(fds, 2, more ? 0 : -1) < 0 && errno != EINTR)
			guest_end(in);
		if (fds[0].revents)
			ctl_ready(in);
		if (fds[1].revents)
			signal_ready(in);
		/* One SIGCHLD stands for any number of children. */
		if (fds[1].revents || more)
			more = children_ready(in);
	}
}

/* vrun.c has made us undumpable and our end that of the supervisor (PDEATHSIG), and blocked every signal: what
 * the guest's root sends to pid 1 stays pending. */
static void init_become(const struct init_args *a)
{
	/* In a pid namespace that isn't ours (--share, --join pid) orphans would go to that one's init. */
	if (getpid() != 1 && !a->entered && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
		die_sys("PR_SET_CHILD_SUBREAPER");
	if (setsid() < 0)
		die_sys("setsid");
	if (a->pty_slave_fd >= 0 && ioctl(a->pty_slave_fd, TIOCSCTTY, 0))
		die_sys("--tty: controlling terminal");
}

/* cmdline, unlike the rest of /proc/1, asks for no right to trace: it would tell host paths and arguments. Done by who
 * makes the process: from its birth on there may be somebody who looks (--join pid, --enter of a guest with --init). */
void init_conceal(const struct init_args *a)
{
	memset(a->args_area, 0, a->args_len);
	snprintf(a->args_area, a->args_len, "init");
	prctl(PR_SET_NAME, "init");
}

_Noreturn void init_main(const struct init_args *a)
{
	static struct init in;
	static struct identity identity;
	struct program command = { .argv = a->plan->args.v, .identity = &identity };
	char *shell_argv[2] = { NULL };
	sigset_t signals;

	in = (struct init){ .args = a };
	init_become(a);
	identity_resolve(a->plan, &identity);
	shell_argv[0] = identity.shell;
	if (!a->plan->args.n)
		command.argv = shell_argv;
	command.env = identity_environment(a->plan, &identity, a->caller_env);
	command.foreground = a->pty_slave_fd >= 0 && a->tty->eager;
	for (int i = 0; i < 3; i++)
		command.stdio_fd[i] = a->pty_slave_fd >= 0 && a->tty->slave_on[i] ? a->pty_slave_fd : -1;
	/* As login does. Where root may not give files away (--cap-drop CHOWN), COMMAND still has its terminal on
	 * 0-2 and as /dev/tty; only opening it by name fails. */
	if (a->pty_slave_fd >= 0 && identity.uid && fchown(a->pty_slave_fd, identity.uid, (gid_t)-1) &&
	    errno != EPERM)
		die_sys("--tty: owner of the pty");
	if (a->plan->context.init) {
		tell(&in, CTL_STARTED, getpid(), 0);
		program_exec(&in, &command);
	}
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGHUP);
	in.signal_fd = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
	if (in.signal_fd < 0)
		die_sys("signalfd");
	in.has_pty = command.foreground;
	in.command = program_start(&in, &command);
	/* The child has the only writing end now: its exec is the supervisor's end of file. */
	close(a->error_fd);
	util_error_fd = -1;
	tell(&in, CTL_STARTED, in.command, 0);
	init_release(&in);
	init_loop(&in);
}

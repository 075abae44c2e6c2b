/* SPDX-License-Identifier: ISC */
/*
 * guestfs.c: the guest's own /dev, /proc and /sys.
 *
 * /dev is a tmpfs that vrun fills before anyone sees it. The nodes are made by number (mknod: they are what
 * we say, whatever the root has under those names: CVE-2025-31133), so it is the one mount of a guest
 * without nodev; the guest can't make more, since mknod asks for CAP_MKNOD in the host's user namespace. The
 * builder works with fsuid = the guest's root, so what it makes belongs to the guest.
 *
 * /proc shows the guest's pid namespace. A procfs has host-wide entries beside the processes. Three kinds
 * are treated, by the table below: what would let root change the host is read-only; what would let root
 * read or command it (kcore, sysrq-trigger) is covered; and with --hide proc what tells of the host is
 * covered too. A cover is an empty read-only file or directory: the name stays, with nothing behind it.
 * /proc/sys is read-only in any case: the limits on nested namespaces stand there. In a user namespace the
 * guest's root is not the owner of these files and the kernel keeps it out of all that others may not use; a
 * cover costs 12-16 us, so those are passed over.
 *
 * /sys is a sysfs of the guest's network namespace, read-only, with the guest's cgroup in it.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <inttypes.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>

enum { GID_TTY = 5 };   /* in every distribution since Debian 1 and Red Hat 1 */

/* ---- /dev ---- */

static void dev_node(const struct build *b, int dev_fd, const char *name, mode_t mode, dev_t rdev)
{
	if (mknodat(dev_fd, name, mode, rdev) < 0) {
		if (errno == EPERM)
			die("make /dev/%s: this needs CAP_MKNOD in the host's user namespace", name);
		die_sys("make /dev/%s", name);
	}
	if (strcmp(name, "tty") == 0 && fchownat(dev_fd, name, b->id_base, b->id_base + GID_TTY, 0) < 0)
		die_sys("chown /dev/%s", name);
}

static void dev_defaults(const struct build *b, int dev_fd)
{
	static const struct { const char *name; unsigned char major, minor; } nodes[] = {
		{ "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 },
		{ "tty", 5, 0 },
	};
	static const struct { const char *name, *to; } links[] = {
		{ "ptmx", "pts/ptmx" }, { "fd", "/proc/self/fd" }, { "stdin", "/proc/self/fd/0" },
		{ "stdout", "/proc/self/fd/1" }, { "stderr", "/proc/self/fd/2" },
	};

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++)
		dev_node(b, dev_fd, nodes[i].name, S_IFCHR | 0666, makedev(nodes[i].major, nodes[i].minor));
	for (size_t i = 0; i < sizeof(links) / sizeof(links[0]); i++)
		if (symlinkat(links[i].to, dev_fd, links[i].name) < 0)
			die_sys("make /dev/%s", links[i].name);
	if (mkdirat(dev_fd, "pts", 0755) < 0 || mkdirat(dev_fd, "shm", 01777) < 0)
		die_sys("make /dev/pts and /dev/shm");
}

/* Read-only by ownership: a node of the host's root, which the guest's root can neither chmod nor override. A
 * read-only mount would not do: it doesn't hold for what is behind a node. Hence --userns, see root_check. */
static void dev_extra(int dev_fd, const struct device *d)
{
	const char *name = d->path + strlen("/dev/");
	char dir[PATH_MAX];
	struct stat st, old;

	if (fstat(d->src_fd, &st) < 0)
		die_sys("--device %s", quote(d->path));
	snprintf(dir, sizeof(dir), "%s", name);
	for (char *s = strchr(dir, '/'); s; s = strchr(s + 1, '/')) {
		*s = '\0';
		if (mkdirat(dev_fd, dir, 0755) < 0 && errno != EEXIST)
			die_sys("--device %s: make its directory", quote(d->path));
		*s = '/';
	}
	if (mknodat(dev_fd, name, (st.st_mode & S_IFMT) | (d->ro ? 0444 : 0660), st.st_rdev) < 0) {
		if (errno != EEXIST || fstatat(dev_fd, name, &old, AT_SYMLINK_NOFOLLOW) < 0)
			die_sys("--device %s", quote(d->path));
		if (d->ro || old.st_rdev != st.st_rdev || ((old.st_mode ^ st.st_mode) & S_IFMT))
			die("--device %s: the guest's own /dev has that name", quote(d->path));
		return;                 /* it is there anyway */
	}
	if (d->ro && fchownat(dev_fd, name, 0, 0, AT_SYMLINK_NOFOLLOW) < 0)
		die_sys("--device %s: chown", quote(d->path));
}

int guestfs_dev(const struct build *b)
{
	static const struct mnt_opt opts[] = { { "mode", "755" }, { "size", "1m" }, { NULL, NULL } };
	const struct root *r = &b->plan->root;
	int fd = mnt_new("tmpfs", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);

	if (fd < 0)
		die_sys("mount the guest's /dev");
	dev_defaults(b, fd);
	for (size_t i = 0; i < r->n_device; i++)
		dev_extra(fd, &r->device[i]);
	return fd;
}

static uint64_t pty_sysctl(const char *path)
{
	char text[24] = "";
	uint64_t n = 0;

	read_at(host_proc_fd(), path, text, sizeof(text));
	text[strcspn(text, "\n")] = '\0';
	parse_u64(text, 0, INT32_MAX, &n);
	return n;
}

/* All guests' terminals come from what kernel.pty.max leaves after the host's own (fs/devpts/inode.c): one guest that
 * took them all would leave none to the others, and vrun couldn't start one at a terminal. It gets a quarter. */
int guestfs_pts(const struct build *b)
{
	uint64_t all = pty_sysctl("sys/kernel/pty/max"), reserved = pty_sysctl("sys/kernel/pty/reserve");
	char gid[16], max[24];
	const struct mnt_opt opts[] = {
		{ "gid", gid }, { "mode", "620" }, { "ptmxmode", "666" }, { all > reserved ? "max" : NULL, max }, { NULL, NULL },
	};
	int fd;

	snprintf(gid, sizeof(gid), "%u", b->id_base + GID_TTY);
	snprintf(max, sizeof(max), "%" PRIu64, (all - reserved + 3) / 4);
	fd = mnt_new("devpts", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		die_sys("mount the guest's /dev/pts");
	/* devpts gives ptmx to the host's root, whoever mounts it. */
	if (b->id_base && fchownat(fd, "ptmx", b->id_base, b->id_base, 0) < 0)
		die_sys("chown the guest's /dev/pts/ptmx");
	return fd;
}

void guestfs_open_pty(struct build *b, int pts_fd, int dev_fd)
{
	int zero = 0, n, console, tree;
	char name[16];

	b->pty_master_fd = openat(pts_fd, "ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->pty_master_fd < 0 || ioctl(b->pty_master_fd, TIOCSPTLCK, &zero) < 0 ||
	    ioctl(b->pty_master_fd, TIOCGPTN, &n) < 0)
		die_sys("open a terminal in the guest's /dev/pts");
	snprintf(name, sizeof(name), "%d", n);
	b->pty_slave_fd = openat(pts_fd, name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (b->pty_slave_fd < 0)
		die_sys("open the guest's terminal /dev/pts/%s", name);
	if (!b->plan->context.init || dev_fd < 0)
		return;
	/* A node c 5 1 would be the host's console; a copy of the slave's mount is the guest's terminal. */
	console = openat(dev_fd, "console", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
	if (console < 0 && errno == EEXIST)
		die("--device '/dev/console': with --init that is the guest's terminal");
	tree = mnt_clone(pts_fd, name, 0);
	if (console < 0 || tree < 0 || mnt_attach(tree, dev_fd, "console") < 0)
		die_sys("make the guest's /dev/console");
	close(console);
	close(tree);
}

/* ---- /proc ---- */

static int proc_mount(int pidns_fd, unsigned attr)
{
	_cleanup_fd_ int fs_fd = sys_fsopen("proc", FSOPEN_CLOEXEC);

	if (fs_fd < 0)
		return -1;
	if (sys_fsconfig(fs_fd, FSCONFIG_SET_STRING, "source", "proc", 0) < 0)
		return -1;
	if (pidns_fd >= 0 && sys_fsconfig(fs_fd, FSCONFIG_SET_FD, "pidns", NULL, pidns_fd) < 0)
		return -1;
	if (sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	return sys_fsmount(fs_fd, FSMOUNT_CLOEXEC, attr | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

struct proc_helper { int slot; unsigned attr; };

static int proc_helper(void *arg)
{
	const struct proc_helper *h = arg;
	int fd = proc_mount(-1, h->attr);

	if (fd < 0 || dup3(fd, h->slot, O_CLOEXEC) < 0)
		_exit(errno);
	close(fd);
	_exit(0);
}

/* Until Linux 6.17 a procfs shows the pid namespace of the process that mounts it, so one is born in there,
 * with our descriptors, while we stand still. Not with our memory: that is EINVAL before Linux 6.3 where a
 * time namespace waits for the next child. */
static int proc_mount_by_helper(int pidns_fd, unsigned attr)
{
	static char stack[16384] __attribute__((aligned(16)));
	struct proc_helper h = { fcntl(pidns_fd, F_DUPFD_CLOEXEC, 3), attr };
	int status;
	pid_t pid;

	if (h.slot < 0 || setns(pidns_fd, CLONE_NEWPID) < 0)
		return -1;
	pid = clone(proc_helper, stack + sizeof(stack), CLONE_VFORK | CLONE_FILES | SIGCHLD, &h);
	if (pid < 0)
		return -1;
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	if (status == 0)
		return h.slot;
	errno = WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
	return -1;
}

/* Where the guest lives in the host's network and its root is the host's, /proc/PID/net is the host's, to be written by
 * root (xt_recent's lists, which a firewall goes by), and no mount can cover it: there is one for each process. */
static bool writes_host_net(const struct build *b)
{
	return !b->id_base && !b->own_net && b->plan->net.mode != IP_HOST;
}

int guestfs_proc(const struct build *b)
{
	unsigned attr = writes_host_net(b) ? MOUNT_ATTR_RDONLY : 0;
	int fd = proc_mount(b->pidns_fd, attr);

	if (fd < 0 && b->pidns_fd >= 0 && errno == EINVAL)
		fd = proc_mount_by_helper(b->pidns_fd, attr);
	if (fd < 0)
		die_sys("mount the guest's /proc");
	return fd;
}

/* LOCK: read-only. ROOT: read-only where the guest's root is the host's. HIDE: covered with --hide proc,
 * else as ROOT. */
enum { LOCK, ROOT, COVER, HIDE };

static const struct { const char *name; int what; } proc_table[] = {
	{ "sys", LOCK }, { "mtrr", ROOT },
	{ "kcore", COVER }, { "kmsg", COVER }, { "sysrq-trigger", COVER }, { "kpagecount", COVER },
	{ "kpageflags", COVER }, { "kpagecgroup", COVER }, { "latency_stats", COVER },
	{ "acpi", HIDE }, { "asound", HIDE }, { "bus", HIDE }, { "driver", HIDE }, { "fs", HIDE }, { "irq", HIDE },
	{ "scsi", HIDE }, { "dynamic_debug", HIDE }, { "pressure", HIDE },
	{ "allocinfo", HIDE }, { "bootconfig", HIDE }, { "buddyinfo", HIDE }, { "cmdline", HIDE },
	{ "config.gz", HIDE }, { "interrupts", HIDE }, { "iomem", HIDE }, { "ioports", HIDE },
	{ "kallsyms", HIDE }, { "key-users", HIDE }, { "keys", HIDE }, { "lock_stat", HIDE }, { "locks", HIDE },
	{ "mdstat", HIDE }, { "modules", HIDE }, { "pagetypeinfo", HIDE }, { "partitions", HIDE },
	{ "profile", HIDE }, { "sched_debug", HIDE }, { "schedstat", HIDE }, { "slabinfo", HIDE },
	{ "softirqs", HIDE }, { "timer_list", HIDE }, { "timer_stats", HIDE }, { "vmallocinfo", HIDE },
	{ "zoneinfo", HIDE },
};

static void cover(int dir_fd, const char *name, bool is_dir, int blank_fd, const char *where)
{
	_cleanup_fd_ int tree = mnt_clone(blank_fd, is_dir ? "dir" : "file", 0);

	if (tree < 0 || mnt_attach(tree, dir_fd, name) < 0)
		die_sys("cover %s%s in the guest", where, name);
}

static void make_read_only(int dir_fd, const char *name, const char *where)
{
	_cleanup_fd_ int tree = mnt_clone(dir_fd, name, 0);

	if (tree < 0 || mnt_set(tree, MOUNT_ATTR_RDONLY, false) < 0 || mnt_attach(tree, dir_fd, name) < 0)
		die_sys("make %s%s read-only in the guest", where, name);
}

void guestfs_cover_proc(const struct build *b, int proc_fd, int blank_fd)
{
	bool hide = b->plan->procvirt.hide & HIDE_PROC;

	for (size_t i = 0; i < sizeof(proc_table) / sizeof(proc_table[0]); i++) {
		const char *name = proc_table[i].name;
		int what = proc_table[i].what;
		struct stat st;

		if (fstatat(proc_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (what == HIDE && !hide)
			what = ROOT;
		/* In a user namespace the guest's root is "others": what these can't use needs no cover. */
		if (b->id_base && (what == ROOT || (what != LOCK && !(st.st_mode & 0007))))
			continue;
		if (what == ROOT && S_ISREG(st.st_mode) && !(st.st_mode & 0222))
			continue;
		if (what == LOCK || what == ROOT)
			make_read_only(proc_fd, name, "/proc/");
		else
			cover(proc_fd, name, S_ISDIR(st.st_mode), blank_fd, "/proc/");
	}
}

/* ---- /sys ---- */

int guestfs_sys(void)
{
	unsigned attr = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
	int fd = mnt_new("sysfs", NULL, attr);

	if (fd < 0)
		die_sys("mount the guest's /sys");
	return fd;
}

/* What stands beside the CPUs in their directory. LIST: which of them are so; on the first three the
 * guest's own is mounted. */
static const struct { const char *name; enum { DIRECTORY, LIST, COPY } what; } cpu_table[] = {
	{ "cpufreq", DIRECTORY }, { "vulnerabilities", DIRECTORY }, { "online", LIST }, { "possible", LIST },
	{ "present", LIST }, { "offline", LIST }, { "isolated", LIST }, { "kernel_max", COPY }, { "modalias", COPY },
};

static void show_dir(int from_fd, const char *name, int to_fd)
{
	_cleanup_fd_ int tree = mnt_clone(from_fd, name, 0);

	if (tree < 0 || mkdirat(to_fd, name, 0755) < 0 || mnt_attach(tree, to_fd, name) < 0)
		die_sys("show /sys/devices/system/cpu/%s in the guest", name);
}

static void show_file(int from_fd, const char *name, int to_fd, bool copy)
{
	_cleanup_fd_ int fd = openat(to_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444);
	char text[8192] = "\n";

	if (fd < 0 || (copy && read_at(from_fd, name, text, sizeof(text)) < 0) || write_all(fd, text, strlen(text)) < 0)
		die_sys("show /sys/devices/system/cpu/%s in the guest", name);
}

/* htop(1), busybox's nproc and others count the directories cpuN: those that the guest's tasks can't be on are left
 * out. A directory of sysfs has no holes, so there is another one, with copies of the mounts. */
static void narrow_cpus(const struct build *b, int sys_fd)
{
	static const struct mnt_opt opts[] = { { "mode", "755" }, { "size", "1m" }, { NULL, NULL } };
	_cleanup_fd_ int from_fd = openat(sys_fd, "devices/system/cpu", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_fd_ int to_fd = -1;
	char name[16];

	if (!b->cpus || from_fd < 0)
		return;
	to_fd = mnt_new("tmpfs", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (to_fd < 0 || mnt_attach(to_fd, from_fd, "") < 0)
		die_sys("mount the guest's /sys/devices/system/cpu");
	for (unsigned i = 0; i < VIEWS_CPU_WORDS * 64; i++) {
		if (!(b->cpus[i / 64] >> i % 64 & 1))
			continue;
		snprintf(name, sizeof(name), "cpu%u", i);
		if (faccessat(from_fd, name, F_OK, 0) == 0)
			show_dir(from_fd, name, to_fd);
	}
	for (size_t i = 0; i < sizeof(cpu_table) / sizeof(cpu_table[0]); i++) {
		if (faccessat(from_fd, cpu_table[i].name, F_OK, 0) < 0)
			continue;
		if (cpu_table[i].what == DIRECTORY)
			show_dir(from_fd, cpu_table[i].name, to_fd);
		else
			show_file(from_fd, cpu_table[i].name, to_fd, cpu_table[i].what == COPY);
	}
	if (mnt_set(to_fd, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, false) < 0)
		die_sys("make the guest's /sys/devices/system/cpu read-only");
}

void guestfs_cover_sys(const struct build *b, int sys_fd, int blank_fd)
{
	/* Firmware's tables and variables; power meters, fine enough to read keys by (CVE-2020-8694). */
	static const struct { const char *name; int what; } dirs[] = {
		{ "firmware", COVER }, { "devices/virtual/powercap", COVER },
		/* /proc/interrupts, slabinfo and fs once more; a slab's files are root's alone */
		{ "kernel/irq", HIDE }, { "kernel/slab", ROOT }, { "fs/ext4", HIDE }, { "fs/xfs", HIDE }, { "fs/btrfs", HIDE },
		{ "devices/system/memory", HIDE },      /* its blocks: how much the host has */
	};
	unsigned attr = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;

	for (size_t i = 0; i < sizeof(dirs) / sizeof(dirs[0]); i++) {
		if ((dirs[i].what != COVER && !(b->plan->procvirt.hide & HIDE_PROC)) || (dirs[i].what == ROOT && b->id_base))
			continue;
		if (faccessat(sys_fd, dirs[i].name, F_OK, 0) == 0)
			cover(sys_fd, dirs[i].name, true, blank_fd, "/sys/");
	}
	narrow_cpus(b, sys_fd);
	if (b->trees.cgroup_fd < 0 || faccessat(sys_fd, "fs/cgroup", F_OK, 0) < 0)
		return;
	if (mnt_set(b->trees.cgroup_fd, attr | (b->cgroup_delegated ? 0 : MOUNT_ATTR_RDONLY), false) < 0 ||
	    mnt_attach(b->trees.cgroup_fd, sys_fd, "fs/cgroup") < 0)
		die_sys("mount the guest's cgroup on /sys/fs/cgroup");
}

/* SPDX-License-Identifier: ISC */
/*
 * cgroup.c: the guest's cgroup directories: who it is, where it lives, how it is killed and removed.
 *
 * Theory of operation. The cgroup2 tree is the only register of guests there is:
 *
 *	/vrun/XID            the claim: mkdir(2) makes it, or says that the xid is taken. Its attributes
 *	                     tell who the guest is. Also the guest's directory (BPF programs, limits),
 *	                     unless --cgroup puts that at PARENT/vrun-XID.
 *	  payload            where the guest's processes are born (CLONE_INTO_CGROUP)
 *	  broker             where its broker is, when it has one: charged with the guest, not killed with it
 *	/vrun                trusted.vrun.name.NAME = xid: setxattr(2) with XATTR_CREATE is the claim of a
 *	                     name, at the same price for the first guest as for the thousandth.
 *
 * A claim is alive while a supervisor holds a POSIX lock on byte 0 of XID/cgroup.kill, which only root can
 * open. The kernel drops it with the process, however that dies, and F_GETLK tells its pid: no pid is
 * written down, so none can be stale. Such a lock isn't inherited by fork(2) and survives execve(2), but
 * goes with *any* close of that file by its process: nobody but lock_guest() opens it in the supervisor.
 * Who wants to remove a dead guest first locks byte 1, then looks at byte 0; who claims locks byte 0, then
 * looks at byte 1: at least one of the two sees the other and steps back.
 *
 * The caller's limits hold on the guest, too. Where the caller's v2 cgroup, or one above it, limits memory,
 * CPU or I/O, the guest's directory goes below it instead of into /vrun. A limit on pids alone, which systemd
 * sets on every unit, doesn't move it there (a service manager that stops the unit would signal the guest's
 * processes one by one, behind the supervisor's back): its value is set on the guest's directory, too.
 *
 * v1 hierarchies (hybrid hosts) get a directory vrun-XID below the caller's own one, where the plan needs a
 * controller that lives there: what limits the caller limits the guest, too.
 *
 * Nothing here writes cgroup.procs on the way to a guest's start: on a v1 host it costs 8-20 ms of RCU
 * grace periods. The guest is born into payload, and enters v1 by "0" in `tasks`, 8-31 us each.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

enum {
	LOCK_ALIVE,             /* byte 0: its supervisor lives */
	LOCK_SWEEP,             /* byte 1: somebody removes it */
};
enum { EMPTY_WAIT_MS = 10000 }; /* how long undo waits for killed processes to be gone */

static const char name_attr[] = "trusted.vrun.name.", supervisor_leaf[] = "vrun-supervisor";

static const struct controller {
	const char *v2, *v1;
	const char *v1_file;    /* in a v1 root that has it; NULL: there is none */
	const char *flag;       /* what asks for it, in messages */
} controllers[] = {
	{ "memory", "memory", "memory.usage_in_bytes", "--memory" },
	{ "pids", "pids", NULL, "--pids" },
	{ "cpu", "cpu", "cpu.shares", "--cpus, --cpu-rate, --cpu-weight" },
	{ "cpuset", "cpuset", "cpuset.cpus", "--cpuset" },
	{ "io", "blkio", "blkio.reset_stats", "--io" },
};
enum { N_CONTROLLERS = sizeof(controllers) / sizeof(controllers[0]) };

/* The xid that this process supervises: its lock file must not be opened a second time. */
static uint32_t own_xid;

/* ---- where the hierarchies are ---- */

static int open_dir(int dir_fd, const char *path)
{
	return openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* The fields of a mountinfo line that matter, in place; false: of another kind. */
static bool mount_line(char *line, const char *want_type, char **dir, char **options)
{
	char *save, *root = NULL, *tail = strstr(line, " - "), *type;

	if (!tail)
		return false;
	*tail = '\0';
	type = strtok_r(tail + 3, " ", &save);
	if (!type || strcmp(type, want_type) || !strtok_r(NULL, " ", &save))
		return false;
	*options = strtok_r(NULL, " \n", &save);
	for (int field = 1; field <= 4; field++)
		root = strtok_r(field == 1 ? line : NULL, " ", &save);
	*dir = strtok_r(NULL, " ", &save);
	/* a bind mount of a part would hide the other guests */
	return *options && root && *dir && strcmp(root, "/") == 0 && !strchr(*dir, '\\');
}

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += n) {
		if ((p == list || strchr(", ", p[-1])) && (!p[n] || strchr(", \n", p[n])))
			return true;
	}
	return false;
}

/* A mounted cgroup2 tree, or the v1 hierarchy that has this controller; -1: none. */
static int open_mounted(const char *type, const char *controller)
{
	int proc_fd = openat(host_proc_fd(), "self/mountinfo", O_RDONLY | O_CLOEXEC), fd = -1;
	long magic = controller ? CGROUP_SUPER_MAGIC : CGROUP2_SUPER_MAGIC;
	FILE *f = proc_fd >= 0 ? fdopen(proc_fd, "r") : NULL;
	char *line = NULL, *dir, *options;
	size_t room = 0;
	struct statfs sfs;

	while (fd < 0 && f && getline(&line, &room, f) > 0) {
		if (!mount_line(line, type, &dir, &options) || (controller && !has_word(options, controller)))
			continue;
		fd = open_dir(AT_FDCWD, dir);
		if (fd >= 0 && (fstatfs(fd, &sfs) || (long)sfs.f_type != magic))
			close_fd(&fd);  /* something else is mounted on it */
	}
	free(line);
	if (f)
		fclose(f);
	return fd;
}

/* Where nearly every host with v1 has it: 5 us instead of 60 for a look through the mount table. */
static int open_usual_v1(const char *controller)
{
	char path[48];
	struct statfs sfs;
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "/sys/fs/cgroup/%s", controller);
	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		const struct controller *c = &controllers[i];

		if (strcmp(c->v1, controller) || !c->v1_file)
			continue;
		fd = open_dir(AT_FDCWD, path);
		/* inode 1: the hierarchy's root, not a part of it */
		if (fd >= 0 && fstatfs(fd, &sfs) == 0 && sfs.f_type == CGROUP_SUPER_MAGIC && fstat(fd, &st) == 0 &&
		    st.st_ino == 1 && faccessat(fd, c->v1_file, F_OK, 0) == 0)
			return fd;
		close_fd(&fd);
	}
	return -1;
}

/* The v1 hierarchy that has a controller; kept open, since a verb asks for every guest. */
static int v1_root(const char *controller)
{
	static struct { char name[16]; int fd; } cache[CGROUP_V1_MAX];
	static unsigned n;

	for (unsigned i = 0; i < n; i++) {
		if (strcmp(cache[i].name, controller) == 0)
			return cache[i].fd;
	}
	int fd = open_usual_v1(controller);

	if (fd < 0)
		fd = open_mounted("cgroup", controller);
	if (fd >= 0 && n < CGROUP_V1_MAX) {
		snprintf(cache[n].name, sizeof(cache[n].name), "%s", controller);
		cache[n++].fd = fd;
	}
	return fd;
}

/* The cgroup2 tree: mounted where everyone mounts it, mounted elsewhere, or (initramfs) by ourselves. */
static int open_cgroup2(void)
{
	static const char *const usual[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	_cleanup_fd_ int fs_fd = -1;
	struct statfs sfs;
	int fd;

	for (size_t i = 0; i < 2; i++) {
		fd = open_dir(AT_FDCWD, usual[i]);
		if (fd >= 0 && fstatfs(fd, &sfs) == 0 && sfs.f_type == CGROUP2_SUPER_MAGIC)
			return fd;
		close_fd(&fd);
	}
	fd = open_mounted("cgroup2", NULL);
	if (fd >= 0)
		return fd;
	fs_fd = sys_fsopen("cgroup2", FSOPEN_CLOEXEC);
	if (fs_fd < 0 || sys_fsconfig(fs_fd, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		return -1;
	fd = sys_fsmount(fs_fd, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (fd < 0)
		return -1;
	/* fsmount gives an O_PATH fd, which can't be read: the same directory again */
	int dir_fd = open_dir(fd, ".");

	close_fd(&fd);
	return dir_fd;
}

/* A process's cgroup (0: our own) in the hierarchy of a v1 controller, or (NULL) in cgroup2; "/..." */
static bool path_of(pid_t pid, const char *controller, char *out, size_t size)
{
	char text[8192], file[32] = "self/cgroup", *save, *line;

	if (pid)
		snprintf(file, sizeof(file), "%d/cgroup", (int)pid);
	if (read_at(host_proc_fd(), file, text, sizeof(text)) < 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *list = strchr(line, ':'), *path = list ? strchr(list + 1, ':') : NULL;

		if (!path)
			continue;
		*list++ = *path++ = '\0';
		if (controller ? !has_word(list, controller) : strcmp(line, "0"))
			continue;
		/* "/../x" is outside the cgroup namespace we are in: not to be named from here */
		if (path[0] != '/' || strncmp(path, "/..", 3) == 0 || strlen(path) >= size)
			return false;
		strcpy(out, path);
		return true;
	}
	return false;
}

/* A directory below a cgroup root by "/a/b": no links, no way up or out. */
static int open_below(int root_fd, const char *path)
{
	while (*path == '/')
		path++;
	return sys_openat2(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* ---- locks and attributes ---- */

static int set_lock(int fd, int byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	return fcntl(fd, F_SETLK, &lock);
}

/* Which other process holds it; 0: none. */
static pid_t get_lock(int fd, int byte)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1 };

	if (fcntl(fd, F_GETLK, &lock) || lock.l_type == F_UNLCK)
		return 0;
	return lock.l_pid ? lock.l_pid : -1;    /* 0: in a pid namespace that isn't ours */
}

/* A file that only root can open. cgroup.kill is 0200, but came with Linux 5.14. */
static int open_lock(int dir_fd)
{
	int fd = openat(dir_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 || errno != ENOENT)
		return fd;
	fd = openat(dir_fd, "cgroup.max.depth", O_RDWR | O_CLOEXEC);
	if (fd >= 0 && fchmod(fd, 0600))
		close_fd(&fd);
	return fd;
}

ssize_t cgroup_attr(const struct cgroup *cg, const char *key, char *buf, size_t size)
{
	ssize_t n = fgetxattr(cg->claim_fd, key, buf, size - 1);

	buf[n > 0 ? n : 0] = '\0';
	return n;
}

int cgroup_set_attr(const struct cgroup *cg, const char *key, const char *value)
{
	return fsetxattr(cg->claim_fd, key, value, strlen(value), 0);
}

static void must_set_attr(const struct cgroup *cg, const char *key, const char *value)
{
	if (cgroup_set_attr(cg, key, value))
		die_sys("cgroup /vrun/%u: set attribute %s", cg->xid, key);
}

/* ---- opening ---- */

static void forget(struct cgroup *cg)
{
	memset(cg, 0, sizeof(*cg));
	cg->tree_fd = cg->claim_fd = cg->lock_fd = cg->dir_fd = cg->payload_fd = cg->broker_fd = cg->kill_fd = -1;
	for (size_t i = 0; i < CGROUP_V1_MAX; i++)
		cg->v1_dir_fd[i] = cg->v1_tasks_fd[i] = -1;
}

/* All of the fds, for closing and for the flag. */
static size_t all_fds(struct cgroup *cg, int *out[])
{
	size_t n = 0;

	out[n++] = &cg->tree_fd;
	out[n++] = &cg->claim_fd;
	out[n++] = &cg->lock_fd;
	out[n++] = &cg->dir_fd;
	out[n++] = &cg->payload_fd;
	out[n++] = &cg->broker_fd;
	out[n++] = &cg->kill_fd;
	for (size_t i = 0; i < CGROUP_V1_MAX; i++) {
		out[n++] = &cg->v1_dir_fd[i];
		out[n++] = &cg->v1_tasks_fd[i];
	}
	return n;
}

void cgroup_close(struct cgroup *cg)
{
	int *fds[7 + 2 * CGROUP_V1_MAX];
	size_t n = all_fds(cg, fds);

	if (cg->xid == own_xid)
		own_xid = 0;
	for (size_t i = 0; i < n; i++)
		close_fd(fds[i]);
}

static bool is_roots_dir(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 022);
}

/* /vrun; -1 with ENOENT: no guest has been yet. */
static int open_register(int tree_fd)
{
	int fd = open_dir(tree_fd, "vrun");

	if (fd >= 0 && !is_roots_dir(fd)) {
		close_fd(&fd);
		errno = EPERM;
	}
	return fd;
}

/* The guest's directory, where it isn't the claim itself. */
static void place_dir(struct cgroup *cg)
{
	char path[sizeof(cg->path)];

	if (cgroup_attr(cg, "trusted.vrun.path", path, sizeof(path)) > 0) {
		strcpy(cg->path, path);
		cg->dir_fd = open_below(cg->tree_fd, path);
	} else {
		snprintf(cg->path, sizeof(cg->path), "/vrun/%u", cg->xid);
		cg->dir_fd = fcntl(cg->claim_fd, F_DUPFD_CLOEXEC, 0);
	}
}

/* The v1 directories that the attribute tells of and cg doesn't have yet. */
void cgroup_refresh(struct cgroup *cg)
{
	char text[2048], *save, *line;

	if (cgroup_attr(cg, "trusted.vrun.v1", text, sizeof(text)) <= 0)
		return;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *path = strchr(line, ' ');
		bool known = false;
		int root_fd, fd;

		if (!path || path - line >= (int)sizeof(cg->v1_name[0]) || cg->n_v1 == CGROUP_V1_MAX)
			continue;
		*path++ = '\0';
		for (unsigned i = 0; i < cg->n_v1; i++)
			known |= strcmp(cg->v1_name[i], line) == 0;
		root_fd = known ? -1 : v1_root(line);
		fd = root_fd >= 0 ? open_below(root_fd, path) : -1;
		if (fd < 0)
			continue;
		strcpy(cg->v1_name[cg->n_v1], line);
		cg->v1_dir_fd[cg->n_v1++] = fd;
	}
}

/* A claim by its xid, with all that its attributes tell; false and errno if there is none. */
static bool open_claim(int tree_fd, int register_fd, uint32_t xid, struct cgroup *cg)
{
	char number[16];

	forget(cg);
	snprintf(number, sizeof(number), "%u", xid);
	cg->claim_fd = open_dir(register_fd, number);
	if (cg->claim_fd >= 0 && !is_roots_dir(cg->claim_fd)) {
		close_fd(&cg->claim_fd);
		errno = EPERM;
	}
	if (cg->claim_fd < 0)
		return false;
	cg->tree_fd = fcntl(tree_fd, F_DUPFD_CLOEXEC, 0);
	cg->xid = xid;
	cgroup_attr(cg, "user.vrun.name", cg->name, sizeof(cg->name));
	if (cgroup_attr(cg, "trusted.vrun.pids", number, sizeof(number)) > 0)
		cg->caller_pids = strtoull(number, NULL, 10);
	place_dir(cg);
	cgroup_refresh(cg);
	if (cg->dir_fd >= 0) {
		struct stat st;

		if (fstat(cg->dir_fd, &st) == 0)
			cg->id = st.st_ino;
		cg->payload_fd = open_dir(cg->dir_fd, "payload");
		cg->broker_fd = open_dir(cg->dir_fd, "broker");
	}
	if (cg->payload_fd >= 0)
		cg->kill_fd = openat(cg->payload_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	return true;
}

bool cgroup_open(uint32_t xid, struct cgroup *cg)
{
	_cleanup_fd_ int tree_fd = open_cgroup2();
	_cleanup_fd_ int register_fd = tree_fd >= 0 ? open_register(tree_fd) : -1;

	return register_fd >= 0 && open_claim(tree_fd, register_fd, xid, cg);
}

/* Others than root can't read trusted.*: they look at every guest's public name. */
static uint32_t xid_by_public_name(const char *name)
{
	uint32_t *xids, found = 0;
	size_t n = cgroup_xids(&xids);
	struct cgroup cg;

	for (size_t i = 0; i < n && !found; i++) {
		if (!cgroup_open(xids[i], &cg))
			continue;
		if (strcmp(cg.name, name) == 0)
			found = xids[i];
		cgroup_close(&cg);
	}
	free(xids);
	return found;
}

bool cgroup_find(const char *name, struct cgroup *cg)
{
	char key[sizeof(name_attr) + NAME_MAX_LEN], number[16];
	_cleanup_fd_ int tree_fd = open_cgroup2();
	_cleanup_fd_ int register_fd = tree_fd >= 0 ? open_register(tree_fd) : -1;
	uint64_t xid = 0;
	ssize_t n;

	if (register_fd < 0 || strlen(name) > NAME_MAX_LEN)
		return false;
	if (parse_u64(name, XID_MIN, XID_MAX, &xid)) {
		snprintf(key, sizeof(key), "%s%s", name_attr, name);
		n = fgetxattr(register_fd, key, number, sizeof(number) - 1);
		number[n > 0 ? n : 0] = '\0';
		xid = n > 0 ? (uint64_t)atoi(number) : geteuid() ? xid_by_public_name(name) : 0;
	}
	return xid && open_claim(tree_fd, register_fd, (uint32_t)xid, cg);
}

bool cgroup_started(const struct cgroup *cg)
{
	char text[8];

	return cgroup_attr(cg, "user.vrun.ip", text, sizeof(text)) > 0 || errno == ERANGE;
}

pid_t cgroup_supervisor(const struct cgroup *cg)
{
	_cleanup_fd_ int fd = open_lock(cg->claim_fd);

	return fd < 0 ? 0 : get_lock(fd, LOCK_ALIVE);
}

pid_t cgroup_init(const struct cgroup *cg)
{
	char number[16], path[512];
	size_t n = strlen(cg->path);
	pid_t pid;

	if (cgroup_attr(cg, "trusted.vrun.init", number, sizeof(number)) <= 0)
		return 0;
	pid = atoi(number);
	/* the number may be another process's by now, but no other process is in there */
	if (pid < 2 || !path_of(pid, NULL, path, sizeof(path)) || strncmp(path, cg->path, n) ||
	    strncmp(path + n, "/payload", 8))
		return 0;
	return pid;
}

/* ---- counting and killing ---- */

static bool events_populated(int dir_fd)
{
	char text[256];

	return dir_fd >= 0 && read_at(dir_fd, "cgroup.events", text, sizeof(text)) > 0 &&
	       strstr(text, "populated 1");
}

bool cgroup_populated(const struct cgroup *cg)
{
	return events_populated(cg->payload_fd);
}

/* Calls visit for each process in a directory and below; a guest with a delegated payload nests. */
static unsigned each_process(int dir_fd, unsigned depth, cgroup_visit *visit, void *context)
{
	int procs_fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *f = procs_fd >= 0 ? fdopen(procs_fd, "r") : NULL;
	char line[32];
	unsigned n = 0;
	struct stat st;

	while (f && fgets(line, sizeof(line), f)) {
		n++;
		if (visit)
			visit(atoi(line), context);
	}
	if (f)
		fclose(f);
	/* kernfs counts subdirectories in st_nlink: most payloads have none */
	if (depth && fstat(dir_fd, &st) == 0 && st.st_nlink > 2) {
		int copy_fd = open_dir(dir_fd, ".");
		DIR *dir = copy_fd >= 0 ? fdopendir(copy_fd) : NULL;

		for (struct dirent *e; dir && (e = readdir(dir)); ) {
			_cleanup_fd_ int sub_fd = -1;

			if (e->d_type != DT_DIR || e->d_name[0] == '.')
				continue;
			sub_fd = open_dir(dir_fd, e->d_name);
			if (sub_fd >= 0)
				n += each_process(sub_fd, depth - 1, visit, context);
		}
		if (dir)
			closedir(dir);
	}
	return n;
}

enum { DEPTH = 32 };

unsigned cgroup_count(const struct cgroup *cg)
{
	return cg->payload_fd >= 0 ? each_process(cg->payload_fd, DEPTH, NULL, NULL) : 0;
}

void cgroup_each(const struct cgroup *cg, cgroup_visit *visit, void *context)
{
	if (cg->payload_fd >= 0)
		each_process(cg->payload_fd, DEPTH, visit, context);
}

static void kill_one(pid_t pid, void *context)
{
	(void)context;
	if (pid > 1)
		kill(pid, SIGKILL);
}

static void kill_all(int dir_fd, int kill_fd)
{
	if (dir_fd < 0)
		return;
	write_at(dir_fd, "cgroup.freeze", "0");
	if (kill_fd >= 0 && pwrite(kill_fd, "1", 1, 0) == 1)
		return;
	/* before 5.14: a process may fork while we read; what was forked is in the next round */
	for (int round = 0; round < 1000 && each_process(dir_fd, DEPTH, kill_one, NULL); round++)
		;
}

void cgroup_kill(const struct cgroup *cg)
{
	kill_all(cg->payload_fd, cg->kill_fd);
}

/* Bounded: a process in uninterruptible sleep can't be waited for. */
static bool wait_event(int dir_fd, const char *event, int timeout_ms)
{
	_cleanup_fd_ int fd = openat(dir_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct pollfd p = { .fd = fd, .events = POLLPRI };
	struct timespec now;
	int64_t end;

	clock_gettime(CLOCK_MONOTONIC, &now);
	end = now.tv_sec * 1000 + now.tv_nsec / 1000000 + timeout_ms;
	while (fd >= 0) {
		char text[256];
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		int64_t left;

		if (n < 0)
			return true;    /* ENODEV: somebody removed it */
		text[n] = '\0';
		if (strstr(text, event))
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
		left = end - (now.tv_sec * 1000 + now.tv_nsec / 1000000);
		if (left <= 0)
			return false;
		poll(&p, 1, (int)left);
	}
	return false;
}

/* ---- removing ---- */

/* A directory and all below it; a guest may have made any number in a delegated payload. */
static int remove_tree(int parent_fd, const char *name, unsigned depth)
{
	_cleanup_fd_ int fd = -1;
	DIR *dir;
	int copy_fd;

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (!depth)
		return -1;
	fd = open_dir(parent_fd, name);
	copy_fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	dir = copy_fd >= 0 ? fdopendir(copy_fd) : NULL;
	for (struct dirent *e; dir && (e = readdir(dir)); ) {
		if (e->d_type == DT_DIR && e->d_name[0] != '.')
			remove_tree(fd, e->d_name, depth - 1);
	}
	if (dir)
		closedir(dir);
	return unlinkat(parent_fd, name, AT_REMOVEDIR);
}

static int remove_by_fd(int dir_fd, const char *name)
{
	_cleanup_fd_ int parent_fd = dir_fd >= 0 ? open_dir(dir_fd, "..") : -1;

	return parent_fd < 0 ? 0 : remove_tree(parent_fd, name, DEPTH);
}

/* Everything of a guest that nobody lives in any more. The claim goes last: until then the xid and
 * the name are still its own. */
static void remove_guest(struct cgroup *cg)
{
	char key[sizeof(name_attr) + NAME_MAX_LEN], owner[16], number[16], below[24];
	_cleanup_fd_ int register_fd = open_register(cg->tree_fd);
	ssize_t n;

	snprintf(number, sizeof(number), "%u", cg->xid);
	snprintf(below, sizeof(below), "vrun-%u", cg->xid);
	if (cg->dir_fd >= 0 && (remove_tree(cg->dir_fd, "payload", DEPTH) ||
				(cg->broker_fd >= 0 && remove_tree(cg->dir_fd, "broker", 0)))) {
		kill_all(cg->dir_fd, -1);
		if (!wait_event(cg->dir_fd, "populated 0", EMPTY_WAIT_MS))
			note("guest %s: %u processes can't be killed; its cgroup %s stays", cg->name,
			     each_process(cg->dir_fd, DEPTH, NULL, NULL), cg->path);
		remove_tree(cg->dir_fd, "payload", DEPTH);
		remove_tree(cg->dir_fd, "broker", 0);
	}
	cgroup_refresh(cg);
	for (unsigned i = 0; i < cg->n_v1; i++)
		remove_by_fd(cg->v1_dir_fd[i], below);
	if (strncmp(cg->path, "/vrun/", 6)) {
		_cleanup_fd_ int parent_fd = cg->dir_fd >= 0 ? open_dir(cg->dir_fd, "..") : -1;

		remove_by_fd(cg->dir_fd, below);
		if (parent_fd >= 0)     /* EBUSY while a supervisor is in it */
			unlinkat(parent_fd, supervisor_leaf, AT_REMOVEDIR);
	}
	if (register_fd < 0)
		return;
	snprintf(key, sizeof(key), "%s%s", name_attr, cg->name);
	n = fgetxattr(register_fd, key, owner, sizeof(owner) - 1);
	if (n > 0) {
		owner[n] = '\0';
		if (strcmp(owner, number) == 0)
			fremovexattr(register_fd, key);
	}
	unlinkat(register_fd, number, AT_REMOVEDIR);
	unlinkat(cg->tree_fd, "vrun", AT_REMOVEDIR);    /* EBUSY while there are others */
}

void (*cgroup_dead)(int dir_fd);

/* Inode numbers of cgroups are never given out twice. */
static bool is_named(int register_fd, uint32_t xid, int claim_fd)
{
	char number[16];
	struct stat named, open;

	snprintf(number, sizeof(number), "%u", xid);
	return fstatat(register_fd, number, &named, AT_SYMLINK_NOFOLLOW) == 0 && fstat(claim_fd, &open) == 0 &&
	       named.st_ino == open.st_ino;
}

/* Removes a guest whose supervisor is dead; true if it (or anybody else) did. */
static bool sweep_one(int tree_fd, int register_fd, uint32_t xid)
{
	_cleanup_fd_ int claim_fd = -1, lock_fd = -1;
	struct cgroup cg;
	char path[16];
	bool dead;

	if (xid == own_xid)
		return false;
	/* nearly always it is alive: found out in four calls */
	snprintf(path, sizeof(path), "%u", xid);
	claim_fd = open_dir(register_fd, path);
	if (claim_fd < 0)
		return errno == ENOENT;
	lock_fd = is_roots_dir(claim_fd) ? open_lock(claim_fd) : -1;
	if (lock_fd < 0 || get_lock(lock_fd, LOCK_ALIVE) || set_lock(lock_fd, LOCK_SWEEP))
		return false;
	/* What we have locked may have been removed before that, and the name be another guest's by now. From here
	 * on it can't: nobody else removes it, and nobody makes what is there. */
	dead = get_lock(lock_fd, LOCK_ALIVE) == 0 && is_named(register_fd, xid, claim_fd) &&
	       open_claim(tree_fd, register_fd, xid, &cg);
	if (dead) {
		if (events_populated(cg.dir_fd))
			note("guest %s: its supervisor was killed; what was left of it is removed",
			     cg.name[0] ? cg.name : "that was about to start");
		if (cgroup_dead && cg.dir_fd >= 0)
			cgroup_dead(cg.dir_fd);
		remove_guest(&cg);
		cgroup_close(&cg);
	}
	return dead;
}

static bool is_number(const char *s)
{
	return s[0] && strspn(s, "0123456789") == strlen(s) && strlen(s) < 6;
}

size_t cgroup_xids(uint32_t **out)
{
	_cleanup_fd_ int tree_fd = open_cgroup2();
	int register_fd = tree_fd >= 0 ? open_register(tree_fd) : -1;
	DIR *dir = register_fd >= 0 ? fdopendir(register_fd) : NULL;
	size_t n = 0;

	*out = NULL;
	for (struct dirent *e; dir && (e = readdir(dir)); ) {
		if (e->d_type != DT_DIR || !is_number(e->d_name))
			continue;
		*out = xrealloc_array(*out, n + 1, sizeof(**out));
		(*out)[n++] = (uint32_t)atoi(e->d_name);
	}
	if (dir)
		closedir(dir);
	return n;
}

void cgroup_sweep(void)
{
	_cleanup_fd_ int tree_fd = -1, register_fd = -1;
	uint32_t *xids;
	size_t n;

	if (geteuid())
		return;
	tree_fd = open_cgroup2();
	register_fd = tree_fd >= 0 ? open_register(tree_fd) : -1;
	if (register_fd < 0)
		return;
	n = cgroup_xids(&xids);
	for (size_t i = 0; i < n; i++)
		sweep_one(tree_fd, register_fd, xids[i]);
	if (!n)
		unlinkat(tree_fd, "vrun", AT_REMOVEDIR);
	free(xids);
}

static void step_back(struct cgroup *cg);

void cgroup_undo(struct cgroup *cg)
{
	if (!cg->xid)
		return;
	remove_guest(cg);
	step_back(cg);
	cgroup_close(cg);
	forget(cg);
}

/* ---- claiming ---- */

struct id_range { uint64_t first, count; char *where; };

/* Which lines of /etc/subuid and /etc/subgid (shadow-utils, subuid(5): NAME:FIRST:COUNT) are given out. */
static size_t read_subids(const char *path, struct id_range **out, size_t n)
{
	FILE *f = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;

	for (unsigned number = 1; f && getline(&line, &room, f) > 0; number++) {
		char *first = strchr(line, ':'), *count = first ? strchr(first + 1, ':') : NULL;
		struct id_range r;

		if (line[0] == '#' || !count)
			continue;
		*count++ = '\0';
		count[strcspn(count, "\n")] = '\0';
		if (parse_u64(first + 1, 0, UINT32_MAX, &r.first) || parse_u64(count, 0, UINT32_MAX, &r.count))
			continue;
		r.where = xasprintf("%s:%u", path, number);
		*out = xrealloc_array(*out, n + 1, sizeof(**out));
		(*out)[n++] = r;
	}
	free(line);
	if (f)
		fclose(f);
	return n;
}

static const char *overlaps(uint32_t xid, const struct id_range *r, size_t n)
{
	uint64_t first = (uint64_t)xid * IDS_PER_GUEST;

	for (size_t i = 0; i < n; i++) {
		if (r[i].first < first + IDS_PER_GUEST && first < r[i].first + r[i].count)
			return r[i].where;
	}
	return NULL;
}

/* Makes and locks /vrun/XID. False and errno: EEXIST, it is somebody's; EAGAIN, once more from the start. */
static bool claim_xid(struct cgroup *cg, int register_fd, uint32_t xid)
{
	char number[16];

	snprintf(number, sizeof(number), "%u", xid);
	if (mkdirat(register_fd, number, 0755)) {
		if (errno == EEXIST && sweep_one(cg->tree_fd, register_fd, xid))
			errno = EAGAIN;
		else if (errno == ENOENT || errno == ENODEV)
			errno = EAGAIN; /* /vrun itself went with its last guest */
		return false;
	}
	cg->claim_fd = open_dir(register_fd, number);
	cg->lock_fd = cg->claim_fd >= 0 ? open_lock(cg->claim_fd) : -1;
	if (cg->lock_fd < 0 || set_lock(cg->lock_fd, LOCK_ALIVE) || get_lock(cg->lock_fd, LOCK_SWEEP) ||
	    !is_named(register_fd, xid, cg->claim_fd)) {
		/* Between mkdir and lock it looked dead: a sweeper has it. Not ours to remove any more, since the name
		 * may be another's. */
		close_fd(&cg->lock_fd);
		close_fd(&cg->claim_fd);
		errno = EAGAIN;
		return false;
	}
	cg->xid = own_xid = xid;
	return true;
}

/* Gives the xid back; the next one is tried. */
static void unclaim(struct cgroup *cg)
{
	remove_guest(cg);
	close_fd(&cg->lock_fd);
	close_fd(&cg->claim_fd);
	cg->xid = own_xid = 0;
}

/* Under the lock of its xid, nobody else touches a name that says that xid. */
static bool claim_name(struct cgroup *cg, int register_fd, const char *name)
{
	char key[sizeof(name_attr) + NAME_MAX_LEN], number[16], owner[16];

	snprintf(cg->name, sizeof(cg->name), "%s", name);
	must_set_attr(cg, "user.vrun.name", name);
	snprintf(key, sizeof(key), "%s%s", name_attr, name);
	snprintf(number, sizeof(number), "%u", cg->xid);
	for (int tries = 0; tries < 1000; tries++) {
		ssize_t n;

		if (fsetxattr(register_fd, key, number, strlen(number), XATTR_CREATE) == 0)
			return true;
		if (errno != EEXIST)
			die_sys("cgroup /vrun: claim the name %s", name);
		n = fgetxattr(register_fd, key, owner, sizeof(owner) - 1);
		if (n < 0)
			continue;       /* it was just given back */
		owner[n] = '\0';
		if (!sweep_one(cg->tree_fd, register_fd, (uint32_t)atoi(owner)))
			break;
	}
	cg->name[0] = '\0';
	return false;
}

static int make_register(int tree_fd)
{
	int fd;

	if (mkdirat(tree_fd, "vrun", 0755) && errno != EEXIST)
		die_sys("make cgroup /vrun");
	fd = open_register(tree_fd);
	if (fd < 0 && errno != ENOENT)
		die_sys("cgroup /vrun is not root's alone");
	return fd;
}

/* One xid and the name; false: taken (why), try another. */
static bool claim(struct cgroup *cg, uint32_t xid, const char *name, const char **why)
{
	for (int tries = 0; tries < 1000; tries++) {
		_cleanup_fd_ int register_fd = make_register(cg->tree_fd);
		char default_name[32];

		if (register_fd < 0)
			continue;
		if (!claim_xid(cg, register_fd, xid)) {
			if (errno == EAGAIN)
				continue;
			if (errno != EEXIST)
				die_sys("make cgroup /vrun/%u", xid);
			*why = "xid";
			return false;
		}
		snprintf(default_name, sizeof(default_name), "guest-%u", xid);
		if (claim_name(cg, register_fd, name ? name : default_name))
			return true;
		unclaim(cg);
		*why = "name";
		return false;
	}
	die("make cgroup /vrun/%u: it is removed again and again", xid);
}

static void claim_identity(struct plan *p, struct cgroup *cg)
{
	struct id_range *range = NULL;
	const char *where, *why = NULL;
	size_t n = 0;

	if (p->context.userns == YES)
		n = read_subids("/etc/subgid", &range, read_subids("/etc/subuid", &range, 0));
	if (p->context.xid) {
		where = overlaps(p->context.xid, range, n);
		if (where)
			die("--xid %u: its ids %u-%u overlap those given out in %s", p->context.xid, p->context.xid << 16,
			    (p->context.xid << 16) + IDS_PER_GUEST - 1, where);
		if (!claim(cg, p->context.xid, p->context.name, &why)) {
			if (strcmp(why, "name") == 0)
				die("--name %s: in use by a running guest",
				    p->context.name ? p->context.name : "(default)");
			die("--xid %u: in use by a running guest", p->context.xid);
		}
	} else {
		/* Starts that run at once begin at different places. */
		const uint32_t span = XID_AUTO_MAX - XID_AUTO_MIN + 1;
		uint32_t start = (uint32_t)getpid() * 2654435761u >> 8, i;

		for (i = 0; i < span; i++) {
			uint32_t xid = XID_AUTO_MIN + (start + i) % span;

			if (overlaps(xid, range, n))
				continue;
			if (claim(cg, xid, p->context.name, &why))
				break;
			if (p->context.name && strcmp(why, "name") == 0)
				die("--name %s: in use by a running guest", p->context.name);
		}
		if (i == span)
			die("no free xid in %d-%d: give one with --xid", XID_AUTO_MIN, XID_AUTO_MAX);
		p->context.xid = cg->xid;
	}
	for (size_t i = 0; i < n; i++)
		free(range[i].where);
	free(range);
	if (!p->context.name)
		p->context.name = xstrdup(cg->name);
}

/* ---- the directories ---- */

static bool needs_controller(const struct limits *l, const char *name)
{
	switch (name[0]) {
	case 'm': return l->memory_bytes || l->have_swap;
	case 'p': return l->pids;
	case 'i': return l->n_io;
	default: return strcmp(name, "cpuset") == 0 ? l->cpuset != NULL : l->cpu_quota_us || l->cpu_weight;
	}
}

/* --virt mem is told from accounting; without a controller for that it is left out, or refused (procvirt_open). */
static bool wants_controller(const struct plan *p, const char *name)
{
	return name[0] == 'm' && p->procvirt.virt & VIRT_MEM;
}

/* Gives a directory's children a controller, from the root down. */
static int enable_below(int tree_fd, const char *path, const char *controller)
{
	char part[512], word[24], text[256];

	snprintf(word, sizeof(word), "+%s", controller);
	snprintf(part, sizeof(part), "%s", path);
	for (char *p = part; ; p++) {
		if (*p != '/' && *p)
			continue;
		char c = *p;
		_cleanup_fd_ int fd = -1;

		*p = '\0';
		fd = open_below(tree_fd, part);
		if (fd < 0)
			return -1;
		/* a write costs a walk over all children even if nothing changes */
		if (read_at(fd, "cgroup.subtree_control", text, sizeof(text)) < 0)
			return -1;
		if (!has_word(text, controller) && write_at(fd, "cgroup.subtree_control", word))
			return -1;
		*p = c;
		if (!c || (p[0] == '/' && !p[1]))
			return 0;
	}
}

static bool has_v1(const struct cgroup *cg, const char *name)
{
	for (unsigned i = 0; i < cg->n_v1; i++) {
		if (strcmp(cg->v1_name[i], name) == 0)
			return true;
	}
	return false;
}

/* A v1 cpuset begins without CPUs and memory nodes, and takes no process then. */
static void make_usable(const struct cgroup *cg, unsigned i)
{
	static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
	char text[4096], parent_file[32];

	if (strcmp(cg->v1_name[i], "cpuset"))
		return;
	for (size_t f = 0; f < 2; f++) {
		snprintf(parent_file, sizeof(parent_file), "../%s", files[f]);
		if (read_at(cg->v1_dir_fd[i], parent_file, text, sizeof(text)) < 0 ||
		    write_at(cg->v1_dir_fd[i], files[f], text))
			die_sys("--cpuset: take the parent's %s", files[f]);
	}
}

/* A directory in a v1 hierarchy, below the supervisor's (0: our own), so that its limits hold, too. */
static void add_v1(struct cgroup *cg, const struct controller *c, pid_t supervisor)
{
	int root_fd = v1_root(c->v1);
	_cleanup_fd_ int parent_fd = -1;
	char path[400], attr[2048], name[24];
	unsigned i = cg->n_v1;
	size_t used;

	if (root_fd < 0)
		die("%s: no mounted cgroup hierarchy has the %s controller", c->flag, c->v2);
	if (!path_of(supervisor, c->v1, path, sizeof(path)))
		die("%s: /proc/self/cgroup doesn't tell the cgroup for %s", c->flag, c->v1);
	if (path[1] == '\0')
		path[0] = '\0';
	snprintf(name, sizeof(name), "vrun-%u", cg->xid);
	cgroup_attr(cg, "trusted.vrun.v1", attr, sizeof(attr));
	used = strlen(attr);
	snprintf(attr + used, sizeof(attr) - used, "%s %s/%s\n", c->v1, path, name);
	must_set_attr(cg, "trusted.vrun.v1", attr);     /* first: then a sweeper finds it */
	parent_fd = open_below(root_fd, path);
	if (parent_fd < 0 || (mkdirat(parent_fd, name, 0755) && errno != EEXIST))
		die_sys("%s: make cgroup %s/%s in the v1 hierarchy of %s", c->flag, path, name, c->v1);
	cg->v1_dir_fd[i] = open_dir(parent_fd, name);
	if (cg->v1_dir_fd[i] >= 0)
		cg->v1_tasks_fd[i] = openat(cg->v1_dir_fd[i], "tasks", O_WRONLY | O_CLOEXEC);
	if (cg->v1_tasks_fd[i] < 0)
		die_sys("%s: open cgroup %s/%s/tasks in the v1 hierarchy of %s", c->flag, path, name, c->v1);
	snprintf(cg->v1_name[i], sizeof(cg->v1_name[i]), "%s", c->v1);
	cg->n_v1++;
	make_usable(cg, i);
}

/* A directory with processes can't give its children controllers (no internal processes, cgroups(7)). With
 * --cgroup self that process is us: into a leaf. Another's processes are not ours to move. */
static void step_aside(struct cgroup *cg, const char *parent)
{
	_cleanup_fd_ int parent_fd = open_below(cg->tree_fd, parent);

	if (parent_fd < 0 || (mkdirat(parent_fd, supervisor_leaf, 0755) && errno != EEXIST))
		die_sys("--cgroup self: make %s/%s", parent, supervisor_leaf);
	_cleanup_fd_ int leaf_fd = open_dir(parent_fd, supervisor_leaf);

	if (leaf_fd < 0 || write_at(leaf_fd, "cgroup.procs", "0"))
		die_sys("--cgroup self: move the supervisor into %s/%s", parent, supervisor_leaf);
	cg->moved = true;
}

/* Back, if the others who needed it are gone as well. Never fails: systemd removes what it delegated. */
static void step_back(struct cgroup *cg)
{
	char parent[sizeof(cg->path)], text[256], *save, word[32];
	_cleanup_fd_ int parent_fd = -1;

	if (!cg->moved)
		return;
	snprintf(parent, sizeof(parent), "%s", cg->path);
	*strrchr(parent, '/') = '\0';
	parent_fd = open_below(cg->tree_fd, parent);
	if (parent_fd < 0 || read_at(parent_fd, "cgroup.subtree_control", text, sizeof(text)) < 0)
		return;
	for (char *c = strtok_r(text, " \n", &save); c; c = strtok_r(NULL, " \n", &save)) {
		snprintf(word, sizeof(word), "-%s", c);
		if (write_at(parent_fd, "cgroup.subtree_control", word))
			return;
	}
	if (write_at(parent_fd, "cgroup.procs", "0") == 0)
		unlinkat(parent_fd, supervisor_leaf, AT_REMOVEDIR);
}

/* Gives the guest's directory a v2 controller. Where it is only wished for, going without is no failure. */
static void enable_controller(struct cgroup *cg, const struct controller *c, const char *parent, bool is_self,
			      bool needed)
{
	if (enable_below(cg->tree_fd, parent, c->v2) == 0)
		return;
	if (errno == EBUSY && is_self && !cg->moved) {
		step_aside(cg, parent);
		if (enable_below(cg->tree_fd, parent, c->v2) == 0)
			return;
	}
	if (!needed)
		return;
	if (errno == EBUSY)
		die("%s: cgroup %s, which limits the guest, has other processes in it and so can't pass the %s "
		    "controller on (systemd: Delegate=yes, and --cgroup self)", c->flag, parent, c->v2);
	die_sys("%s: give the children of cgroup %s the %s controller", c->flag, parent, c->v2);
}

/* What the plan's limits need, in whichever hierarchy has it. */
static void make_controllers(const struct plan *p, struct cgroup *cg, const char *parent, pid_t supervisor)
{
	bool is_self = p->context.cgroup && strcmp(p->context.cgroup, "self") == 0;
	char available[256] = "";

	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		const struct controller *c = &controllers[i];
		bool needed = needs_controller(&p->limits, c->v2);

		needed |= cg->caller_pids && strcmp(c->v2, "pids") == 0;
		if ((!needed && !wants_controller(p, c->v2)) || has_v1(cg, c->v1))
			continue;
		if (!available[0] && read_at(cg->tree_fd, "cgroup.controllers", available, sizeof(available)) < 0)
			die_sys("%s: read cgroup.controllers", c->flag);
		if (has_word(available, c->v2))
			enable_controller(cg, c, parent, is_self, needed);
		else if (needed || v1_root(c->v1) >= 0)
			add_v1(cg, c, supervisor);
	}
}

struct move { const struct cgroup *cg; unsigned from; };

static void move_one(pid_t pid, void *context)
{
	const struct move *m = context;
	char number[16];

	snprintf(number, sizeof(number), "%d", (int)pid);
	for (unsigned i = m->from; i < m->cg->n_v1; i++) {
		if (write_at(m->cg->v1_dir_fd[i], "cgroup.procs", number) && errno != ESRCH)
			die_sys("move process %d into the guest's cgroup in the v1 hierarchy of %s", (int)pid,
				m->cg->v1_name[i]);
	}
}

bool cgroup_frozen(const struct cgroup *cg)
{
	char text[256];

	return read_at(cg->payload_fd, "cgroup.events", text, sizeof(text)) > 0 && strstr(text, "frozen 1");
}

/* Frozen means: no process of it runs or forks. Bounded, as one in the kernel may take its time. */
bool cgroup_freeze(const struct cgroup *cg, bool freeze)
{
	if (write_at(cg->payload_fd, "cgroup.freeze", freeze ? "1" : "0"))
		return false;
	return !freeze || wait_event(cg->payload_fd, "frozen 1", EMPTY_WAIT_MS);
}

void cgroup_require(const struct plan *p, struct cgroup *cg)
{
	struct move m = { cg, cg->n_v1 };
	char parent[sizeof(cg->path)];
	bool was_frozen = cgroup_frozen(cg);

	snprintf(parent, sizeof(parent), "%s", cg->path);
	*strrchr(parent, '/') = '\0';
	make_controllers(p, cg, parent, cgroup_supervisor(cg));
	if (cg->n_v1 == m.from)
		return;
	/* frozen, so that none forks away from under us */
	if (!was_frozen && !cgroup_freeze(cg, true))
		die_sys("freeze the guest to move it");
	each_process(cg->payload_fd, DEPTH, move_one, &m);
	if (!was_frozen)
		cgroup_freeze(cg, false);
}

static void make_leaf(struct cgroup *cg, const char *name, int *fd)
{
	if (mkdirat(cg->dir_fd, name, 0755) && errno != EEXIST)
		die_sys("make cgroup %s/%s", cg->path, name);
	*fd = open_dir(cg->dir_fd, name);
	if (*fd < 0)
		die_sys("open cgroup %s/%s", cg->path, name);
}

static void make_payload(struct cgroup *cg)
{
	make_leaf(cg, "payload", &cg->payload_fd);
	cg->kill_fd = openat(cg->payload_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	if (cg->kill_fd < 0 && errno != ENOENT)
		die_sys("open cgroup %s/payload/cgroup.kill", cg->path);
}

/* The guest's directory elsewhere than in /vrun. */
static void make_dir(struct cgroup *cg, const char *parent)
{
	_cleanup_fd_ int parent_fd = open_below(cg->tree_fd, parent);
	char name[24];

	if (parent_fd < 0)
		die_sys("--cgroup %s: open", parent);
	snprintf(name, sizeof(name), "vrun-%u", cg->xid);
	if (strlen(parent) + sizeof(name) + 2 >= sizeof(cg->path))
		die("--cgroup %s: too long", parent);
	while (*parent == '/')
		parent++;
	snprintf(cg->path, sizeof(cg->path), "%s%s/%s", *parent ? "/" : "", parent, name);
	must_set_attr(cg, "trusted.vrun.path", cg->path);
	if (mkdirat(parent_fd, name, 0755))
		die_sys("--cgroup %s: make %s", parent, name);
	cg->dir_fd = open_dir(parent_fd, name);
	if (cg->dir_fd < 0)
		die_sys("--cgroup %s: open %s", parent, name);
}

static void set_facts(const struct plan *p, struct cgroup *cg)
{
	struct timespec boot, real;
	char text[64];

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &real);
	snprintf(text, sizeof(text), "%lld %lld", (long long)boot.tv_sec * 1000 + boot.tv_nsec / 1000000,
		 (long long)real.tv_sec);
	must_set_attr(cg, "user.vrun.start", text);
	snprintf(text, sizeof(text), "%u", (unsigned)getuid());
	must_set_attr(cg, "user.vrun.owner", text);
	snprintf(text, sizeof(text), "%s%s%s", p->context.userns == YES ? "userns " : "",
		 p->context.no_enter ? "no_enter " : "", p->context.init ? "init " : "");
	must_set_attr(cg, "user.vrun.flags", text);
}

/* Does this directory limit what is shared out by weight or amount? pids.max is the caller's concern. */
static bool limits_here(int dir_fd)
{
	static const struct { const char *file, *none; } files[] = {
		{ "memory.max", "max" }, { "memory.high", "max" }, { "memory.swap.max", "max" }, { "cpu.max", "max" },
		{ "io.max", "" }, { "cpuset.cpus", "" }, { "cpuset.mems", "" },
	};
	char text[512];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (read_at(dir_fd, files[i].file, text, sizeof(text)) < 0)
			continue;       /* no such controller here, or the root, which has no limits */
		text[strcspn(text, " \n")] = '\0';
		if (strcmp(text, files[i].none))
			return true;
	}
	return false;
}

/* Goes from the caller's own cgroup to the root. Sets cg->caller_pids. */
static bool caller_is_limited(struct cgroup *cg, const char *own)
{
	char path[512], text[64];
	bool limited = false;

	snprintf(path, sizeof(path), "%s", own);
	while (path[0] && path[1]) {
		_cleanup_fd_ int fd = open_below(cg->tree_fd, path);
		uint64_t pids;

		if (fd < 0)
			die_sys("open the caller's cgroup %s, to see its limits", path);
		limited |= limits_here(fd);
		if (read_at(fd, "pids.max", text, sizeof(text)) > 0) {
			text[strcspn(text, "\n")] = '\0';
			if (!parse_u64(text, 0, UINT64_MAX - 1, &pids) && (!cg->caller_pids || pids < cg->caller_pids))
				cg->caller_pids = pids ? pids : 1;
		}
		*strrchr(path, '/') = '\0';
	}
	return limited;
}

/* Whose child the guest's directory is; NULL: /vrun. */
static const char *choose_parent(const struct plan *p, struct cgroup *cg, char *own, size_t size)
{
	const char *asked = p->context.cgroup;
	bool self = asked && strcmp(asked, "self") == 0, known = path_of(0, NULL, own, size);

	if (asked && !self)
		return asked;
	if (!known && (self || getuid()))
		die("--cgroup self: /proc/self/cgroup doesn't tell the caller's own cgroup");
	if (self || getuid())
		return own;
	if (!known || !caller_is_limited(cg, own))
		return NULL;
	cg->caller_pids = 0;    /* below it, it holds of itself */
	return own;
}

void cgroup_claim(struct plan *p, struct cgroup *cg)
{
	char own[400], number[24];
	const char *parent;
	mode_t mask = umask(022);
	struct stat st;

	forget(cg);
	cg->tree_fd = open_cgroup2();
	if (cg->tree_fd < 0)
		die_sys("cgroup2: there is none, and none can be mounted (Linux 4.5)");
	parent = choose_parent(p, cg, own, sizeof(own));
	claim_identity(p, cg);
	set_facts(p, cg);
	if (cg->caller_pids) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)cg->caller_pids);
		must_set_attr(cg, "trusted.vrun.pids", number);
	}
	make_controllers(p, cg, parent ? parent : "/vrun", 0);
	if (parent)
		make_dir(cg, parent);
	else
		place_dir(cg);
	if (cg->dir_fd < 0 || fstat(cg->dir_fd, &st))
		die_sys("open cgroup %s", cg->path);
	cg->id = st.st_ino;
	make_payload(cg);
	umask(mask);
}

void cgroup_renew(struct cgroup *cg)
{
	mode_t mask = umask(022);

	cgroup_kill(cg);
	if (!wait_event(cg->payload_fd, "populated 0", EMPTY_WAIT_MS))
		die("restart %s: processes of it can't be killed", cg->name);
	close_fd(&cg->kill_fd);
	close_fd(&cg->payload_fd);
	/* A guest that divided its cgroup left directories, and controllers that forbid processes in their parent. */
	if (remove_tree(cg->dir_fd, "payload", DEPTH))
		die_sys("restart %s: remove its old cgroup", cg->name);
	make_payload(cg);
	umask(mask);
}

void cgroup_delegate(const struct cgroup *cg, uint32_t id_base)
{
	/* What cgroup-v2.rst's "Model of Delegation" names: the directory and these files, no limit among them. */
	static const char *const files[] = { "", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control" };

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		if (fchownat(cg->payload_fd, files[i], id_base, id_base, AT_EMPTY_PATH) < 0)
			die_sys("--init: give the inner cgroup's %s to the guest", *files[i] ? files[i] : "directory");
}

int cgroup_broker(struct cgroup *cg)
{
	mode_t mask = umask(022);

	if (cg->broker_fd < 0)
		make_leaf(cg, "broker", &cg->broker_fd);
	umask(mask);
	return cg->broker_fd;
}

void cgroup_publish_addresses(const struct plan *p, struct cgroup *cg)
{
	const struct net *net = &p->net;
	char text[4096] = "", ip[INET6_ADDRSTRLEN], to[INET6_ADDRSTRLEN];
	size_t n = 0;

	if (net->mode != IP_LIST) {
		must_set_attr(cg, "user.vrun.ip", net->mode == IP_HOST ? "host" : "none");
		return;
	}
	for (size_t i = 0; i < net->n_addr && n < sizeof(text) - 160; i++) {
		const struct addr *a = &net->addr[i];

		inet_ntop(a->family, a->ip, ip, sizeof(ip));
		inet_ntop(a->family, a->ip_to, to, sizeof(to));
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%s%s%s%s", i ? " " : "", ip,
				      strcmp(ip, to) ? "-" : "", strcmp(ip, to) ? to : "");
		if (a->have_plen)
			n += (size_t)snprintf(text + n, sizeof(text) - n, "/%u", a->plen);
		if (a->dev[0])
			n += (size_t)snprintf(text + n, sizeof(text) - n, "@%s", a->dev);
	}
	must_set_attr(cg, "user.vrun.ip", text);
}

/* The addresses come last: a guest without them isn't one yet (cgroup_started). */
void cgroup_publish(struct cgroup *cg, pid_t init, int ctl_fd, const struct plan *p)
{
	char text[64];

	snprintf(text, sizeof(text), "%d", ctl_fd);
	must_set_attr(cg, "trusted.vrun.ctl", text);
	snprintf(text, sizeof(text), "%d", (int)init);
	must_set_attr(cg, "trusted.vrun.init", text);
	cgroup_publish_addresses(p, cg);
}

void cgroup_enter(const struct cgroup *cg)
{
	for (unsigned i = 0; i < cg->n_v1; i++) {
		if (write(cg->v1_tasks_fd[i], "0", 1) != 1)
			die_sys("enter the guest's cgroup in the v1 hierarchy of %s", cg->v1_name[i]);
	}
}

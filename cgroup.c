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
 * goes with *any* close of that file by its process: once it supervises, nobody opens it a second time (own_xid).
 * Who wants to remove a dead guest first locks byte 1, then looks at byte 0; who claims locks byte 0, then
 * looks at byte 1: at least one of the two sees the other and steps back. Byte 2 is --set's, in the same way.
 *
 * Nothing here writes cgroup.procs on the way to a guest's start: on a v1 host it costs 8-20 ms of RCU
 * grace periods. The guest is born into payload, and enters v1 by "0" in `tasks`, 8-31 us each.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>

enum {
	LOCK_ALIVE,             /* byte 0: its supervisor lives */
	LOCK_SWEEP,             /* byte 1: somebody removes it */
	LOCK_SET,               /* byte 2: somebody changes it */
};
enum { EMPTY_WAIT_MS = 10000 }; /* how long undo waits for killed processes to be gone */
enum { MOVE_ROUNDS = 20, SET_WAIT_MS = 10000, SWEEP_WAIT_MS = 2 * EMPTY_WAIT_MS };

static const char name_attr[] = "trusted.vrun.name.";

/* The xid that this process supervises: its lock file must not be opened a second time. */
static uint32_t own_xid;

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

void cgroup_must_set_attr(const struct cgroup *cg, const char *key, const char *value)
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
	int fd = hierarchy_dir(tree_fd, "vrun");

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
		cg->dir_fd = hierarchy_below(cg->tree_fd, path);
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
		root_fd = known ? -1 : hierarchy_v1(line);
		fd = root_fd >= 0 ? hierarchy_below(root_fd, path) : -1;
		if (fd < 0)
			continue;
		strcpy(cg->v1_name[cg->n_v1], line);
		cg->v1_tasks_fd[cg->n_v1] = openat(fd, "tasks", O_WRONLY | O_CLOEXEC);
		cg->v1_dir_fd[cg->n_v1++] = fd;
	}
}

/* A claim by its xid, with all that its attributes tell; false and errno if there is none. */
static bool open_claim(int tree_fd, int register_fd, uint32_t xid, struct cgroup *cg)
{
	char number[16];

	forget(cg);
	snprintf(number, sizeof(number), "%u", xid);
	cg->claim_fd = hierarchy_dir(register_fd, number);
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
		cg->payload_fd = hierarchy_dir(cg->dir_fd, "payload");
		cg->broker_fd = hierarchy_dir(cg->dir_fd, "broker");
	}
	if (cg->payload_fd >= 0)
		cg->kill_fd = openat(cg->payload_fd, "cgroup.kill", O_WRONLY | O_CLOEXEC);
	return true;
}

bool cgroup_open(uint32_t xid, struct cgroup *cg)
{
	_cleanup_fd_ int tree_fd = hierarchy_tree();
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
	_cleanup_fd_ int tree_fd = hierarchy_tree();
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
	if (pid < 2 || !hierarchy_path_of(pid, NULL, path, sizeof(path)) || strncmp(path, cg->path, n) ||
	    strncmp(path + n, "/payload", 8))
		return 0;
	return pid;
}

/* ---- counting and killing ---- */

bool cgroup_populated(const struct cgroup *cg)
{
	return hierarchy_populated(cg->payload_fd);
}

unsigned cgroup_count(const struct cgroup *cg)
{
	return cg->payload_fd >= 0 ? hierarchy_each(cg->payload_fd, NULL, NULL) : 0;
}

void cgroup_each(const struct cgroup *cg, cgroup_visit *visit, void *context)
{
	if (cg->payload_fd >= 0)
		hierarchy_each(cg->payload_fd, visit, context);
}

void cgroup_kill(const struct cgroup *cg)
{
	hierarchy_kill(cg->payload_fd, cg->kill_fd);
}

/* ---- removing ---- */

/* --cgroup: its directory isn't the claim. /vrun itself may have been named. */
static bool is_elsewhere(const struct cgroup *cg)
{
	char claim[24];

	snprintf(claim, sizeof(claim), "/vrun/%u", cg->xid);
	return strcmp(cg->path, claim) != 0;
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
	/* The broker's may be there without ours: another guest's that has joined the network. */
	if (cg->dir_fd >= 0 && (hierarchy_remove(cg->dir_fd, "payload") || hierarchy_remove(cg->dir_fd, "broker"))) {
		hierarchy_kill(cg->dir_fd, -1);
		if (!hierarchy_wait(cg->dir_fd, "populated 0", EMPTY_WAIT_MS))
			note("guest %s: %u processes can't be killed; its cgroup %s stays", cg->name,
			     hierarchy_each(cg->dir_fd, NULL, NULL), cg->path);
		hierarchy_remove(cg->dir_fd, "payload");
		hierarchy_remove(cg->dir_fd, "broker");
	}
	cgroup_refresh(cg);
	for (unsigned i = 0; i < cg->n_v1; i++)
		hierarchy_remove_by_fd(cg->v1_dir_fd[i], below);
	if (is_elsewhere(cg)) {
		_cleanup_fd_ int parent_fd = cg->dir_fd >= 0 ? hierarchy_dir(cg->dir_fd, "..") : -1;

		hierarchy_remove_by_fd(cg->dir_fd, below);
		if (parent_fd >= 0)
			hierarchy_remove_leaf(parent_fd);
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

void (*cgroup_dead)(const struct cgroup *cg);

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
	char path[32];
	bool dead;

	if (xid == own_xid)
		return false;
	/* nearly always it is alive: found out in three calls; whose the directory is matters if it isn't */
	snprintf(path, sizeof(path), "%u/cgroup.kill", xid);
	lock_fd = openat(register_fd, path, O_WRONLY | O_CLOEXEC);
	if (lock_fd >= 0 && get_lock(lock_fd, LOCK_ALIVE))
		return false;
	close_fd(&lock_fd);
	snprintf(path, sizeof(path), "%u", xid);
	claim_fd = hierarchy_dir(register_fd, path);
	if (claim_fd < 0)
		return errno == ENOENT;
	lock_fd = is_roots_dir(claim_fd) ? open_lock(claim_fd) : -1;
	if (lock_fd < 0 || get_lock(lock_fd, LOCK_ALIVE) || set_lock(lock_fd, LOCK_SWEEP))
		return false;
	/* What we have locked may have been removed before that, and the name be another guest's by now. From here
	 * on it can't: nobody else removes it, and nobody makes what is there. */
	dead = get_lock(lock_fd, LOCK_ALIVE) == 0 && get_lock(lock_fd, LOCK_SET) == 0 && is_named(register_fd, xid, claim_fd) &&
	       open_claim(tree_fd, register_fd, xid, &cg);
	if (dead) {
		if (hierarchy_populated(cg.dir_fd))
			note("guest %s: its supervisor was killed; what was left of it is removed",
			     cg.name[0] ? cg.name : "that was about to start");
		if (cgroup_dead)
			cgroup_dead(&cg);
		remove_guest(&cg);
		cgroup_close(&cg);
	}
	return dead;
}

/* 0: that is no guest. */
static uint32_t xid_of(const char *s)
{
	uint32_t xid = 0;

	for (; *s >= '0' && *s <= '9' && xid <= UINT16_MAX; s++)
		xid = 10 * xid + (uint32_t)(*s - '0');
	return *s ? 0 : xid;
}

size_t cgroup_xids(uint32_t **out)
{
	_cleanup_fd_ int tree_fd = hierarchy_tree();
	int register_fd = tree_fd >= 0 ? open_register(tree_fd) : -1;
	DIR *dir = register_fd >= 0 ? fdopendir(register_fd) : NULL;
	size_t n = 0, room = 0;
	uint32_t xid;

	*out = NULL;
	for (struct dirent *e; dir && (e = readdir(dir)); ) {
		xid = e->d_type == DT_DIR ? xid_of(e->d_name) : 0;
		if (!xid)
			continue;
		if (n == room) {
			room = room ? 2 * room : 64;
			*out = xrealloc_array(*out, room, sizeof(**out));
		}
		(*out)[n++] = xid;
	}
	if (dir)
		closedir(dir);
	return n;
}

/*
 * A few: from a place that differs from one process to the next. A position in a directory of kernfs's is a hash of the
 * name there (fs/kernfs/dir.c), and what comes after any number is found without a look at what comes before it.
 */
void cgroup_sweep(unsigned at_most)
{
	const long start = at_most == SWEEP_ALL ? 0 : (long)((uint32_t)getpid() * 2654435761U >> 2);
	_cleanup_fd_ int tree_fd = -1;
	DIR *dir;
	unsigned n = 0;
	bool again = !start;
	uint32_t xid;

	if (geteuid())
		return;
	tree_fd = hierarchy_tree();
	dir = tree_fd >= 0 ? fdopendir(open_register(tree_fd)) : NULL;
	if (!dir)
		return;
	if (start)
		seekdir(dir, start);
	while (n < at_most) {
		struct dirent *e = readdir(dir);

		if (!e && again)
			break;
		if (!e) {
			again = true;
			rewinddir(dir);
			continue;
		}
		xid = e->d_type == DT_DIR ? xid_of(e->d_name) : 0;
		if (xid) {
			sweep_one(tree_fd, dirfd(dir), xid);
			n++;
		}
		if (start && again && telldir(dir) >= start)
			break;
	}
	closedir(dir);
	if (!n)
		unlinkat(tree_fd, "vrun", AT_REMOVEDIR);
}

void cgroup_undo(struct cgroup *cg)
{
	if (!cg->xid)
		return;
	remove_guest(cg);
	hierarchy_step_back(cg);
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
	cg->claim_fd = hierarchy_dir(register_fd, number);
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

/* Somebody is removing what is dead; he may be waiting for its processes, or for a CPU. false: it has lasted too long. */
static bool wait_for_sweeper(int tries)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	if (tries >= SWEEP_WAIT_MS)
		return false;
	if (tries > 0)
		nanosleep(&pause, NULL);
	return true;
}

/* Nobody's any more, and not yet gone. */
static bool is_being_swept(int register_fd, uint32_t xid)
{
	_cleanup_fd_ int claim_fd = -1, lock_fd = -1;
	char number[16];

	if (xid == own_xid)
		return false;
	snprintf(number, sizeof(number), "%u", xid);
	claim_fd = hierarchy_dir(register_fd, number);
	if (claim_fd < 0)
		return errno == ENOENT;
	lock_fd = is_roots_dir(claim_fd) ? open_lock(claim_fd) : -1;
	return lock_fd >= 0 && get_lock(lock_fd, LOCK_ALIVE) == 0 && get_lock(lock_fd, LOCK_SWEEP) != 0;
}

/* Under the lock of its xid, nobody else touches a name that says that xid. */
static bool claim_name(struct cgroup *cg, int register_fd, const char *name)
{
	char key[sizeof(name_attr) + NAME_MAX_LEN], number[16], owner[16];

	snprintf(cg->name, sizeof(cg->name), "%s", name);
	cgroup_must_set_attr(cg, "user.vrun.name", name);
	snprintf(key, sizeof(key), "%s%s", name_attr, name);
	snprintf(number, sizeof(number), "%u", cg->xid);
	for (int tries = 0; wait_for_sweeper(tries); tries++) {
		ssize_t n;

		if (fsetxattr(register_fd, key, number, strlen(number), XATTR_CREATE) == 0)
			return true;
		if (errno == EPERM)
			die("claim the name %s: only root of the host's own user namespace may", name);
		if (errno != EEXIST)
			die_sys("cgroup /vrun: claim the name %s", name);
		n = fgetxattr(register_fd, key, owner, sizeof(owner) - 1);
		if (n < 0)
			continue;       /* it was just given back */
		owner[n] = '\0';
		if (!sweep_one(cg->tree_fd, register_fd, (uint32_t)atoi(owner)) &&
		    !is_being_swept(register_fd, (uint32_t)atoi(owner)))
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
	for (int tries = 0; wait_for_sweeper(tries); tries++) {
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

struct move { const struct cgroup *cg; unsigned unsettled; };

static void move_one(pid_t pid, void *context)
{
	struct move *m = context;
	char number[16], path[512], name[24];

	snprintf(number, sizeof(number), "%d", (int)pid);
	snprintf(name, sizeof(name), "/vrun-%u", m->cg->xid);
	if (pid < 1) {                  /* 0 would be ourselves; the kernel says it of who ended while it was listed */
		m->unsettled++;
		return;
	}
	for (unsigned i = 0; i < m->cg->n_v1; i++) {
		const char *end;

		if (!hierarchy_path_of(pid, m->cg->v1_name[i], path, sizeof(path))) {
			m->unsettled++; /* it has just ended: and may have forked */
			continue;
		}
		end = strrchr(path, '/');
		if (end && strcmp(end, name) == 0)
			continue;
		m->unsettled++;
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
	if (!freeze || hierarchy_wait(cg->payload_fd, "frozen 1", EMPTY_WAIT_MS))
		return true;
	write_at(cg->payload_fd, "cgroup.freeze", "0");
	errno = ETIMEDOUT;
	return false;
}

/* Killed while the guest is frozen, we would leave it so: a child thaws it then, or now. */
static int thaw_later(const struct cgroup *cg, pid_t *child)
{
	int pipe_fd[2];
	char c;

	if (pipe2(pipe_fd, O_CLOEXEC) || (*child = fork()) < 0)
		die_sys("freeze the guest to move it");
	if (*child > 0) {
		close(pipe_fd[0]);
		return pipe_fd[1];
	}
	setsid();                       /* the terminal's signals are not for it */
	close(pipe_fd[1]);
	while (read(pipe_fd[0], &c, 1) < 0 && errno == EINTR)
		;
	_exit(!cgroup_freeze(cg, false));
}

/* Frozen, no process of the guest forks while we go through them. */
static void move_frozen(struct move *m)
{
	pid_t child;
	int thaw_fd = thaw_later(m->cg, &child);

	if (!cgroup_freeze(m->cg, true))
		die_sys("freeze the guest to move it");
	hierarchy_each(m->cg->payload_fd, move_one, m);
	close(thaw_fd);
	while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
		;
}

void cgroup_require(const struct plan *p, struct cgroup *cg)
{
	struct move m = { cg, 0 };
	char parent[sizeof(cg->path)];

	snprintf(parent, sizeof(parent), "%s", cg->path);
	*strrchr(parent, '/') = '\0';
	hierarchy_controllers(p, cg, parent, cgroup_supervisor(cg));
	if (!cg->n_v1)
		return;
	/* In directories that were there before, too: who made them may have been killed before he got so far. Who was
	 * moved has children that are there as well; so it ends, unless the guest forks faster than we go. */
	for (int round = 0; round < MOVE_ROUNDS; round++) {
		m.unsettled = 0;
		hierarchy_each(cg->payload_fd, move_one, &m);
		if (!m.unsettled)
			return;
	}
	if (cgroup_frozen(cg))
		hierarchy_each(cg->payload_fd, move_one, &m);
	else
		move_frozen(&m);
}

static int try_set_lock(int fd)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_SET, .l_len = 1 };

	return fcntl(fd, F_OFD_SETLK, &lock);
}

/* One --set at a time, and none on a guest that is being removed: what it put on a device would stay there. The lock is
 * of the open file, so it holds while others open and close the same, and is over when the descriptor that this returns
 * is closed. -1: the guest has ended. */
int cgroup_lock_set(const struct cgroup *cg)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = LOCK_SET, .l_len = 1 };
	int fd = open_lock(cg->claim_fd);

	while (fd >= 0 && fcntl(fd, F_OFD_SETLKW, &lock))
		if (errno != EINTR)
			die_sys("--set %s: wait for another --set", cg->name);
	if (fd >= 0 && (get_lock(fd, LOCK_SWEEP) || !get_lock(fd, LOCK_ALIVE)))
		close_fd(&fd);
	return fd;
}

/* The supervisor, before it undoes: --set takes milliseconds, unless it was stopped. */
void cgroup_outlast_set(const struct cgroup *cg)
{
	const struct timespec pause = { .tv_nsec = 1000000 };

	for (int ms = 0; cg->lock_fd >= 0 && ms < SET_WAIT_MS && try_set_lock(cg->lock_fd); ms++)
		nanosleep(&pause, NULL);
}

/* Seen by --status, should we be killed half-way. Removed by the next --set that succeeds. */
void cgroup_changing(const struct cgroup *cg, bool changing)
{
	if (changing)
		cgroup_must_set_attr(cg, "user.vrun.changing", "1");
	else
		fremovexattr(cg->claim_fd, "user.vrun.changing");
}

static void make_leaf(struct cgroup *cg, const char *name, int *fd)
{
	if (mkdirat(cg->dir_fd, name, 0755) && errno != EEXIST)
		die_sys("make cgroup %s/%s", cg->path, name);
	*fd = hierarchy_dir(cg->dir_fd, name);
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
	_cleanup_fd_ int parent_fd = hierarchy_below(cg->tree_fd, parent);
	char name[24];

	if (parent_fd < 0)
		die_sys("--cgroup %s: open", quote(parent));
	snprintf(name, sizeof(name), "vrun-%u", cg->xid);
	if (strlen(parent) + sizeof(name) + 2 >= sizeof(cg->path))
		die("--cgroup %s: too long", quote(parent));
	while (*parent == '/')
		parent++;
	snprintf(cg->path, sizeof(cg->path), "%s%s/%s", *parent ? "/" : "", parent, name);
	cgroup_must_set_attr(cg, "trusted.vrun.path", cg->path);
	if (mkdirat(parent_fd, name, 0755))
		die_sys("--cgroup %s: make %s", quote(parent), name);
	cg->dir_fd = hierarchy_dir(parent_fd, name);
	if (cg->dir_fd < 0)
		die_sys("--cgroup %s: open %s", quote(parent), name);
}

static void set_facts(const struct plan *p, struct cgroup *cg)
{
	struct timespec boot, real;
	char text[64];

	clock_gettime(CLOCK_BOOTTIME, &boot);
	clock_gettime(CLOCK_REALTIME, &real);
	snprintf(text, sizeof(text), "%lld %lld", (long long)boot.tv_sec * 1000 + boot.tv_nsec / 1000000,
		 (long long)real.tv_sec);
	cgroup_must_set_attr(cg, "user.vrun.start", text);
	snprintf(text, sizeof(text), "%u", (unsigned)getuid());
	cgroup_must_set_attr(cg, "user.vrun.owner", text);
	snprintf(text, sizeof(text), "%s%s%s", p->context.userns == YES ? "userns " : "",
		 p->context.no_enter ? "no_enter " : "", p->context.init ? "init " : "");
	cgroup_must_set_attr(cg, "user.vrun.flags", text);
}

/* What --join net of it would join: read as the caller (guests_check_join). */
static void set_network(const struct net *n, struct cgroup *cg)
{
	const char *kind = n->view ? "view" : n->mode == IP_LIST ? "addresses" : n->mode == IP_HOST ? "host" : "own";
	char text[80];

	snprintf(text, sizeof(text), "%s %u %llu%s", kind, n->joined ? n->joined : cg->xid,
		 (unsigned long long)(n->joined ? n->joined_id : cg->id), n->steered ? " steered" : "");
	cgroup_must_set_attr(cg, "user.vrun.net", text);
}

/* Whose child the guest's directory is; NULL: /vrun. */
static const char *choose_parent(const struct plan *p, struct cgroup *cg, char *own, size_t size)
{
	const char *asked = p->context.cgroup;
	bool self = asked && strcmp(asked, "self") == 0, known = hierarchy_path_of(0, NULL, own, size);

	if (asked && !self)
		return asked;
	if (!known && (self || getuid()))
		die("--cgroup self: /proc/self/cgroup doesn't tell the caller's own cgroup");
	if (self || getuid())
		return own;
	if (!known || !hierarchy_caller_is_limited(cg, own))
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
	cg->tree_fd = hierarchy_tree();
	if (cg->tree_fd < 0)
		die_sys("cgroup2: there is none, and none can be mounted (Linux 4.5)");
	parent = choose_parent(p, cg, own, sizeof(own));
	claim_identity(p, cg);
	set_facts(p, cg);
	if (cg->caller_pids) {
		snprintf(number, sizeof(number), "%llu", (unsigned long long)cg->caller_pids);
		cgroup_must_set_attr(cg, "trusted.vrun.pids", number);
	}
	hierarchy_controllers(p, cg, parent ? parent : "/vrun", 0);
	if (parent)
		make_dir(cg, parent);
	else
		place_dir(cg);
	if (cg->dir_fd < 0 || fstat(cg->dir_fd, &st))
		die_sys("open cgroup %s", cg->path);
	cg->id = st.st_ino;
	set_network(&p->net, cg);
	make_payload(cg);
	umask(mask);
}

void cgroup_renew(struct cgroup *cg)
{
	mode_t mask = umask(022);

	cgroup_kill(cg);
	if (!hierarchy_wait(cg->payload_fd, "populated 0", EMPTY_WAIT_MS))
		die("restart %s: processes of it can't be killed", cg->name);
	close_fd(&cg->kill_fd);
	close_fd(&cg->payload_fd);
	/* A guest that divided its cgroup left directories, and controllers that forbid processes in their parent. */
	if (hierarchy_remove(cg->dir_fd, "payload"))
		die_sys("restart %s: remove its old cgroup", cg->name);
	make_payload(cg);
	umask(mask);
}

void cgroup_limit_nesting(const struct cgroup *cg)
{
	char depth[16];

	/* What a guest makes there we must be able to count and remove; and memory cgroups are numbered for the whole
	 * machine, up to 65535. Above the payload, where its root can't change it. Before Linux 5.14 closing this file
	 * would give the claim back (open_lock). */
	snprintf(depth, sizeof(depth), "%d", HIERARCHY_DEPTH + 1);
	if (cg->kill_fd >= 0 && (write_at(cg->dir_fd, "cgroup.max.depth", depth) ||
				 write_at(cg->dir_fd, "cgroup.max.descendants", "4096")))
		die_sys("limit how many cgroups the guest may make");
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
		cgroup_must_set_attr(cg, "user.vrun.ip", net->mode == IP_HOST ? "host" : "none");
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
	cgroup_must_set_attr(cg, "user.vrun.ip", text);
}

/* The addresses come last: a guest without them isn't one yet (cgroup_started). */
void cgroup_publish(struct cgroup *cg, pid_t init, int ctl_fd, const struct plan *p)
{
	char text[64];

	snprintf(text, sizeof(text), "%d", ctl_fd);
	cgroup_must_set_attr(cg, "trusted.vrun.ctl", text);
	snprintf(text, sizeof(text), "%d", (int)init);
	cgroup_must_set_attr(cg, "trusted.vrun.init", text);
	cgroup_publish_addresses(p, cg);
}

void cgroup_enter(const struct cgroup *cg)
{
	for (unsigned i = 0; i < cg->n_v1; i++) {
		if (write(cg->v1_tasks_fd[i], "0", 1) != 1)
			die_sys("enter the guest's cgroup in the v1 hierarchy of %s", cg->v1_name[i]);
	}
}

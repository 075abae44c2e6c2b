/* SPDX-License-Identifier: ISC */
/*
 * hierarchy.c: where the cgroup hierarchies are, and how a guest's directory comes to the controllers that its
 * limits need. The second file of cgroup.c's room.
 *
 * Theory of operation. There is one v2 tree, mounted at the usual places, elsewhere, or (initramfs) nowhere: then
 * we mount it for ourselves and give it no name. On a hybrid host some or all controllers are in v1 hierarchies
 * beside it. A controller is used where it is, never moved.
 *
 * v2: a directory has a controller if every directory above passes it on (cgroup.subtree_control), and one with
 * processes in it can't (no internal processes, cgroups(7)). /vrun has none; with --cgroup self the process in the
 * way is the supervisor, which steps aside into a leaf; another's process is not ours to move, and an error.
 *
 * v1: vrun-XID below the caller's own directory, so that what limits the caller limits the guest.
 *
 * The caller's v2 limits hold on the guest, too. Where the caller's cgroup, or one above it, limits memory, CPU
 * or I/O, the guest's directory goes below it instead of into /vrun. A limit on pids alone, which systemd sets
 * on every unit, doesn't move it there (a service manager that stops the unit would signal the guest's processes
 * one by one, behind the supervisor's back): its value is set on the guest's directory, too.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <dirent.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>

static const char supervisor_leaf[] = "vrun-supervisor";

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

/* ---- where they are ---- */

int hierarchy_dir(int dir_fd, const char *path)
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
		fd = hierarchy_dir(AT_FDCWD, dir);
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
		fd = hierarchy_dir(AT_FDCWD, path);
		/* inode 1: the hierarchy's root, not a part of it */
		if (fd >= 0 && fstatfs(fd, &sfs) == 0 && sfs.f_type == CGROUP_SUPER_MAGIC && fstat(fd, &st) == 0 &&
		    st.st_ino == 1 && faccessat(fd, c->v1_file, F_OK, 0) == 0)
			return fd;
		close_fd(&fd);
	}
	return -1;
}

/* The v1 hierarchy that has a controller; kept open, since a verb asks for every guest. */
int hierarchy_v1(const char *controller)
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

/* Each v1 hierarchy, with or without a controller, is a line; v2's begins with 0 (cgroups(7)). */
bool hierarchy_has_v1(void)
{
	char text[8192], *save, *line;

	if (read_at(host_proc_fd(), "self/cgroup", text, sizeof(text)) < 0)
		return false;
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save))
		if (strncmp(line, "0:", 2))
			return true;
	return false;
}

/* The cgroup2 tree: mounted where everyone mounts it, mounted elsewhere, or (initramfs) by ourselves. */
int hierarchy_tree(void)
{
	static const char *const usual[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	_cleanup_fd_ int fs_fd = -1;
	struct statfs sfs;
	int fd;

	for (size_t i = 0; i < 2; i++) {
		fd = hierarchy_dir(AT_FDCWD, usual[i]);
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
	int dir_fd = hierarchy_dir(fd, ".");

	close_fd(&fd);
	return dir_fd;
}

/* A process's cgroup (0: our own) in the hierarchy of a v1 controller, or (NULL) in cgroup2; "/..." */
bool hierarchy_path_of(pid_t pid, const char *controller, char *out, size_t size)
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
int hierarchy_below(int root_fd, const char *path)
{
	while (*path == '/')
		path++;
	return sys_openat2(root_fd, *path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC,
			   RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
}

/* ---- directories with processes ---- */

enum { DEPTH = HIERARCHY_DEPTH };

bool hierarchy_populated(int dir_fd)
{
	char text[256];

	return dir_fd >= 0 && read_at(dir_fd, "cgroup.events", text, sizeof(text)) > 0 &&
	       strstr(text, "populated 1");
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
		int copy_fd = hierarchy_dir(dir_fd, ".");
		DIR *dir = copy_fd >= 0 ? fdopendir(copy_fd) : NULL;

		for (struct dirent *e; dir && (e = readdir(dir)); ) {
			_cleanup_fd_ int sub_fd = -1;

			if (e->d_type != DT_DIR || e->d_name[0] == '.')
				continue;
			sub_fd = hierarchy_dir(dir_fd, e->d_name);
			if (sub_fd >= 0)
				n += each_process(sub_fd, depth - 1, visit, context);
		}
		if (dir)
			closedir(dir);
	}
	return n;
}

unsigned hierarchy_each(int dir_fd, cgroup_visit *visit, void *context)
{
	return each_process(dir_fd, DEPTH, visit, context);
}

static void kill_one(pid_t pid, void *context)
{
	(void)context;
	if (pid > 1)
		kill(pid, SIGKILL);
}

void hierarchy_kill(int dir_fd, int kill_fd)
{
	if (dir_fd < 0)
		return;
	write_at(dir_fd, "cgroup.freeze", "0");
	if (kill_fd >= 0 && pwrite(kill_fd, "1", 1, 0) == 1)
		return;
	/* before 5.14: a process may fork while we read; what was forked is in the next round */
	for (int round = 0; round < 1000 && hierarchy_each(dir_fd, kill_one, NULL); round++)
		;
}

/* Bounded: a process in uninterruptible sleep can't be waited for. */
bool hierarchy_wait(int dir_fd, const char *event, int timeout_ms)
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

/* Whatever has none below it. In *full, opened, the first one that is left; -1: none. */
static void remove_children(int dir_fd, int *full)
{
	int copy_fd = hierarchy_dir(dir_fd, ".");
	DIR *dir = copy_fd >= 0 ? fdopendir(copy_fd) : NULL;

	*full = -1;
	for (struct dirent *e; dir && *full < 0 && (e = readdir(dir)); )
		if (e->d_type == DT_DIR && e->d_name[0] != '.' && unlinkat(dir_fd, e->d_name, AT_REMOVEDIR))
			*full = hierarchy_dir(dir_fd, e->d_name);
	if (dir)
		closedir(dir);
}

/* A directory and all below it. A guest that may mount has made any number, deeper than there are descriptors: so down
 * to where nothing is below, and up by "..". */
static int remove_tree(int parent_fd, const char *name)
{
	ino_t emptied = 0;              /* where we come from; one that is there still has processes */
	unsigned depth = 0;
	struct stat st;
	int fd, next;

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	for (fd = hierarchy_dir(parent_fd, name); fd >= 0; fd = next) {
		remove_children(fd, &next);
		if (next >= 0) {
			depth++;
			if (fstat(next, &st) < 0 || st.st_ino == emptied)
				close_fd(&next);
		} else if (depth > 0) {
			depth--;
			emptied = fstat(fd, &st) < 0 ? 0 : st.st_ino;
			next = hierarchy_dir(fd, "..");
		}
		close(fd);
	}
	return unlinkat(parent_fd, name, AT_REMOVEDIR);
}

int hierarchy_remove(int parent_fd, const char *name)
{
	return remove_tree(parent_fd, name);
}

int hierarchy_remove_by_fd(int dir_fd, const char *name)
{
	_cleanup_fd_ int parent_fd = dir_fd >= 0 ? hierarchy_dir(dir_fd, "..") : -1;

	return parent_fd < 0 ? 0 : remove_tree(parent_fd, name);
}

void hierarchy_remove_leaf(int parent_fd)
{
	unlinkat(parent_fd, supervisor_leaf, AT_REMOVEDIR);     /* EBUSY while a supervisor is in it */
}

/* ---- controllers ---- */

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

/* A cgroup with processes can't give its children controllers (no internal processes, cgroups(7)). Of those that can be
 * threaded (pids, cpu, cpuset) the kernel takes the order all the same, and then lets nothing be born below. The root,
 * which alone has no type, may. */
static bool has_processes(int fd)
{
	char text[32];

	if (faccessat(fd, "cgroup.type", F_OK, 0) || read_at(fd, "cgroup.procs", text, sizeof(text)) == 0)
		return false;
	errno = EBUSY;
	return true;
}

/* Gives a directory's children a controller, from the root down. -1: part is the path of the one in the way. */
static int enable_below(int tree_fd, const char *path, const char *controller, char part[512])
{
	char word[24], text[256];

	snprintf(word, sizeof(word), "+%s", controller);
	snprintf(part, 512, "%s", path);
	for (char *p = part; ; p++) {
		if (*p != '/' && *p)
			continue;
		char c = *p;
		_cleanup_fd_ int fd = -1;

		*p = '\0';
		fd = hierarchy_below(tree_fd, part);
		if (fd < 0)
			return -1;
		/* a write costs a walk over all children even if nothing changes */
		if (read_at(fd, "cgroup.subtree_control", text, sizeof(text)) < 0)
			return -1;
		if (!has_word(text, controller) && (has_processes(fd) || write_at(fd, "cgroup.subtree_control", word)))
			return -1;
		*p = c;
		if (!c || (p[0] == '/' && !p[1]))
			return 0;
	}
}

/* A unit of systemd's: at its next daemon-reload it takes the controllers away again that it has no use for, and the
 * limits with them (252). What it has delegated (Delegate=yes) it marks, since 236, and leaves alone. */
static bool is_systemds(int tree_fd, const char *path)
{
	static const char *const kinds[] = { ".service", ".scope", ".slice" };
	const char *dot = strrchr(path, '.');
	_cleanup_fd_ int fd = -1;
	bool unit = false;
	char mark;

	for (size_t i = 0; dot && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		unit |= strcmp(dot, kinds[i]) == 0;
	if (!unit || access("/run/systemd/system", F_OK))       /* sd_booted(3) */
		return false;
	fd = hierarchy_below(tree_fd, path);
	for (size_t i = 0; i < 2; i++)
		if (fgetxattr(fd, i ? "user.delegate" : "trusted.delegate", &mark, 1) == 1 && mark == '1')
			return false;
	return true;
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
		if (read_at(cg->v1_dir_fd[i], files[f], text, sizeof(text)) > 0 && text[0] != '\n')
			continue;
		if (read_at(cg->v1_dir_fd[i], parent_file, text, sizeof(text)) < 0 ||
		    write_at(cg->v1_dir_fd[i], files[f], text))
			die_sys("--cpuset: take the parent's %s", files[f]);
	}
}

/* A directory in a v1 hierarchy, below the supervisor's (0: our own), so that its limits hold, too. */
static void add_v1(struct cgroup *cg, const struct controller *c, pid_t supervisor)
{
	int root_fd = hierarchy_v1(c->v1);
	_cleanup_fd_ int parent_fd = -1;
	char path[400], attr[2048], name[24], line[480];
	unsigned i = cg->n_v1;
	size_t used;

	if (root_fd < 0)
		die("%s: no mounted cgroup hierarchy has the %s controller", c->flag, c->v2);
	if (!hierarchy_path_of(supervisor, c->v1, path, sizeof(path)))
		die("%s: /proc/self/cgroup doesn't tell the cgroup for %s", c->flag, c->v1);
	if (path[1] == '\0')
		path[0] = '\0';
	snprintf(name, sizeof(name), "vrun-%u", cg->xid);
	snprintf(line, sizeof(line), "%s %s/%s\n", c->v1, path, name);
	cgroup_attr(cg, "trusted.vrun.v1", attr, sizeof(attr));
	used = strlen(attr);
	if (!strstr(attr, line)) {      /* it is, if a --set was killed here */
		snprintf(attr + used, sizeof(attr) - used, "%s", line);
		cgroup_must_set_attr(cg, "trusted.vrun.v1", attr);     /* first: then a sweeper finds it */
	}
	parent_fd = hierarchy_below(root_fd, path);
	if (parent_fd < 0 || (mkdirat(parent_fd, name, 0755) && errno != EEXIST))
		die_sys("%s: make cgroup %s/%s in the v1 hierarchy of %s", c->flag, path, name, c->v1);
	cg->v1_dir_fd[i] = hierarchy_dir(parent_fd, name);
	if (cg->v1_dir_fd[i] >= 0)
		cg->v1_tasks_fd[i] = openat(cg->v1_dir_fd[i], "tasks", O_WRONLY | O_CLOEXEC);
	if (cg->v1_tasks_fd[i] < 0)
		die_sys("%s: open cgroup %s/%s/tasks in the v1 hierarchy of %s", c->flag, path, name, c->v1);
	snprintf(cg->v1_name[i], sizeof(cg->v1_name[i]), "%s", c->v1);
	cg->n_v1++;
	make_usable(cg, i);
}

/* With --cgroup self the process in the way is us: into a leaf. Another's processes are not ours to move. */
static void step_aside(struct cgroup *cg, const char *parent)
{
	_cleanup_fd_ int parent_fd = hierarchy_below(cg->tree_fd, parent);

	if (parent_fd < 0 || (mkdirat(parent_fd, supervisor_leaf, 0755) && errno != EEXIST))
		die_sys("--cgroup self: make %s/%s", parent, supervisor_leaf);
	_cleanup_fd_ int leaf_fd = hierarchy_dir(parent_fd, supervisor_leaf);

	if (leaf_fd < 0 || write_at(leaf_fd, "cgroup.procs", "0"))
		die_sys("--cgroup self: move the supervisor into %s/%s", parent, supervisor_leaf);
	cg->moved = true;
	/* where from, until the guest has a directory there */
	snprintf(cg->path, sizeof(cg->path), "%s/", parent);
}

/* Back, if the others who needed it are gone as well. Never fails: systemd removes what it delegated. */
void hierarchy_step_back(struct cgroup *cg)
{
	char parent[sizeof(cg->path)], text[256], *save, word[32];
	_cleanup_fd_ int parent_fd = -1;

	if (!cg->moved)
		return;
	snprintf(parent, sizeof(parent), "%s", cg->path);
	*strrchr(parent, '/') = '\0';
	parent_fd = hierarchy_below(cg->tree_fd, parent);
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
	bool withheld = is_systemds(cg->tree_fd, parent);
	char at[512];

	if (!withheld && enable_below(cg->tree_fd, parent, c->v2, at) == 0)
		return;
	if (!withheld && errno == EBUSY && is_self && !cg->moved) {
		step_aside(cg, parent);
		if (enable_below(cg->tree_fd, parent, c->v2, at) == 0)
			return;
	}
	if (!needed)
		return;
	if (withheld)
		die("%s: cgroup %s is systemd's, which would take the limit away again (give it Delegate=yes)", c->flag,
		    parent);
	if (errno == EBUSY)
		die("%s: cgroup %s has %sprocesses in it and so can't pass the %s controller on%s", c->flag, *at ? at : "/",
		    is_self ? "other " : "", c->v2, is_self ? "" : " (--cgroup self)");
	die_sys("%s: give the children of cgroup %s the %s controller", c->flag, *at ? at : "/", c->v2);
}

/* What the plan's limits need, in whichever hierarchy has it. */
void hierarchy_controllers(const struct plan *p, struct cgroup *cg, const char *parent, pid_t supervisor)
{
	bool is_self = p->context.cgroup && strcmp(p->context.cgroup, "self") == 0;
	char available[256] = "";

	for (size_t i = 0; i < N_CONTROLLERS; i++) {
		const struct controller *c = &controllers[i];
		bool needed = needs_controller(&p->limits, c->v2);

		needed |= cg->caller_pids && strcmp(c->v2, "pids") == 0;
		for (unsigned v = 0; needed && v < cg->n_v1; v++)
			if (strcmp(cg->v1_name[v], c->v1) == 0)
				make_usable(cg, v);     /* a --set may have been killed before that */
		if ((!needed && !wants_controller(p, c->v2)) || has_v1(cg, c->v1))
			continue;
		if (!available[0] && read_at(cg->tree_fd, "cgroup.controllers", available, sizeof(available)) < 0)
			die_sys("%s: read cgroup.controllers", c->flag);
		if (has_word(available, c->v2))
			enable_controller(cg, c, parent, is_self, needed);
		else if (needed || hierarchy_v1(c->v1) >= 0)
			add_v1(cg, c, supervisor);
	}
}

/* ---- the caller's own limits ---- */

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
bool hierarchy_caller_is_limited(struct cgroup *cg, const char *own)
{
	char path[512], text[64];
	bool limited = false;

	snprintf(path, sizeof(path), "%s", own);
	while (path[0] && path[1]) {
		_cleanup_fd_ int fd = hierarchy_below(cg->tree_fd, path);
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

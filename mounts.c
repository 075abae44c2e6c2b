/* SPDX-License-Identifier: ISC */
/*
 * mounts.c: what is mounted in the guest's tree, and where it may be.
 *
 * The caller's binds and tmpfs and the guest's own mounts make one list, parents before children, in which
 * the caller's replace the guest's own of the same place. A root may be hostile (ATTACKS: CVE-2025-31133,
 * -52565, -52881, CVE-2026-41579, CVE-2021-30465), and processes of another guest may change it meanwhile.
 * So a mount point is looked up once, from the root's descriptor and never out of it (RESOLVE_IN_ROOT), and
 * what was found is mounted on by descriptor. The guest's own mounts and everything in /dev, /proc and /sys
 * take no symbolic link at all; another place may have one on its way (/var/run), but not into these.
 *
 * What the root itself has mounted at such a place would be covered, but still stand in the guest's mount table,
 * whose readers take it for what is there (Java looks for its limits in the host's cgroup hierarchies). It is taken
 * out before.
 *
 * Mount points are never made in a root. They are in the layer of --cow and in tmpfs of the guest's own,
 * where there can't be any before.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *const own_mounts[] = { "/dev", "/proc", "/sys" };

enum kind { DEV, PROC, SYS, TMPFS, BIND };
struct point {
	enum kind kind;
	const char *dst;
	bool given;                     /* by the caller: must be there; a default one may be missing */
	unsigned rank;
	const struct tmpfs *tmpfs;
	const struct bind *bind;
	int tree_fd;                    /* BIND */
};

static const struct tmpfs default_tmpfs[] = {
	{ .dst = (char *)"/tmp", .mode = 01777 }, { .dst = (char *)"/run", .mode = 0755 },
	{ .dst = (char *)"/run/lock", .mode = 01777 }, { .dst = (char *)"/dev/shm", .mode = 01777 },
};

static unsigned depth_of(const char *path)
{
	unsigned n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static void add_point(struct point *points, size_t *n, struct point new)
{
	size_t at = *n;

	for (size_t i = 0; i < *n; i++)
		if (strcmp(points[i].dst, new.dst) == 0)
			return;         /* the caller's come first and replace the default of that name */
	/* The guest's own before the caller's beside it, which a link in the root could lead there, to be
	 * covered. */
	new.rank = depth_of(new.dst) * 2 + new.given;
	while (at > 0 && points[at - 1].rank > new.rank) {
		points[at] = points[at - 1];
		at--;
	}
	points[at] = new;
	(*n)++;
}

/* All mounts, parents before children. */
static struct point *list_points(const struct build *b, size_t *n)
{
	const struct root *r = &b->plan->root;
	size_t n_default = sizeof(default_tmpfs) / sizeof(default_tmpfs[0]);
	struct point *points = xrealloc_array(NULL, r->n_bind + r->n_tmpfs + 3 + n_default, sizeof(*points));

	*n = 0;
	for (size_t i = 0; i < r->n_bind; i++)
		add_point(points, n, (struct point){ .kind = BIND, .dst = r->bind[i].dst, .given = true,
						     .bind = &r->bind[i], .tree_fd = b->trees.bind_fd[i] });
	for (size_t i = 0; i < r->n_tmpfs; i++)
		add_point(points, n, (struct point){ .kind = TMPFS, .dst = r->tmpfs[i].dst, .given = true,
						     .tmpfs = &r->tmpfs[i] });
	for (size_t i = 0; i < 3; i++)
		add_point(points, n, (struct point){ .kind = DEV + i, .dst = own_mounts[i] });
	for (size_t i = 0; i < n_default && !r->tmpfs_none; i++)
		add_point(points, n, (struct point){ .kind = TMPFS, .dst = default_tmpfs[i].dst,
						     .tmpfs = &default_tmpfs[i] });
	return points;
}

static const char *flag_of(const struct point *pt)
{
	return !pt->given ? "the guest's own" : pt->kind == BIND ? "--bind" : "--tmpfs";
}

bool mounts_in_own(const char *dst)
{
	for (size_t i = 0; i < sizeof(own_mounts) / sizeof(own_mounts[0]); i++)
		if (path_is_in(dst, own_mounts[i]))
			return true;
	return false;
}

static uint64_t resolve_flags(const struct point *pt)
{
	return !pt->given || mounts_in_own(pt->dst) ? RESOLVE_NO_SYMLINKS : RESOLVE_NO_MAGICLINKS;
}

/* In the guest's tree. EAGAIN: something was renamed while a ".." was walked (openat2(2)), by a process of
 * another guest with the same root, say; only one that never stops makes this give up. */
int mounts_resolve(const struct tree *t, const char *path, uint64_t flags, uint64_t how)
{
	int fd = -1;

	for (int i = 0; i < 1000; i++) {
		fd = sys_openat2(t->fd, *path ? path : ".", flags | O_PATH | O_CLOEXEC,
				 how | RESOLVE_IN_ROOT);
		if (fd >= 0 || errno != EAGAIN)
			break;
	}
	return fd;
}

/* Makes what is missing of a mount point: in the layer of --cow or in a tmpfs of the guest's own, never in a
 * root. */
static bool make_point(const struct tree *t, const struct point *pt, bool is_dir)
{
	char path[PATH_MAX];
	bool made = false;

	snprintf(path, sizeof(path), "%s", pt->dst);
	for (char *s = path; s; ) {
		char *name = s + 1, *next = strchr(name, '/');
		struct stat st;
		int r;

		*s = '\0';
		_cleanup_fd_ int dir = mounts_resolve(t, path, O_DIRECTORY, resolve_flags(pt));
		*s = '/';
		if (dir < 0 || fstat(dir, &st) < 0)
			return false;
		bool own = t->cow && st.st_dev == t->st.st_dev;
		for (size_t i = 0; i < t->n_own; i++)
			own |= st.st_dev == t->own[i];
		if (next)
			*next = '\0';
		if (!own)
			r = -1;
		else if (next || is_dir)
			r = mkdirat(dir, name, 0755);
		else
			r = mknodat(dir, name, S_IFREG | 0644, 0);
		made |= r == 0;
		if (next)
			*next = '/';
		s = next;
	}
	return made;
}

/* The guest's root is mounted over our "/", so the kernel's name of something in it is its path in the
 * guest. */
static bool leads_into_own(int fd)
{
	char path[PATH_MAX];

	mnt_path(fd, path);
	return mounts_in_own(path);
}

/* ---- what came along mounted in the root ---- */

/* With it goes what is mounted in it. */
static void forget(struct tree *t, struct mnt_line *gone)
{
	free(gone->path);
	gone->path = NULL;
	for (struct mnt_line *l = t->below; l < t->below + t->n_below; l++)
		if (l->path && l->parent == gone->id)
			forget(t, l);
}

/* To a place that goes with the host's tree. An unmount would wait for an RCU grace period, each time. */
static void take_out(struct tree *t, struct mnt_line *line, int fd)
{
	if (mnt_attach(fd, t->blank_fd, "away") < 0 && mnt_attach(fd, t->blank_fd, "away-file") < 0)
		die_sys("leave what is mounted on %s out of the guest", quote(line->path));
	forget(t, line);
}

/* Whether there was anything mounted on the place or below it. */
static bool clear_place(struct tree *t, const char *place)
{
	bool found = false;

	for (;; found = true) {
		struct mnt_line *top = NULL;

		/* The shortest path is above the others; of those on the same place the last lies on top. */
		for (struct mnt_line *l = t->below; l < t->below + t->n_below; l++)
			if (l->path && path_is_in(l->path, place) && (!top || strlen(l->path) <= strlen(top->path)))
				top = l;
		if (!top)
			return found;
		_cleanup_fd_ int fd = mounts_resolve(t, top->path, 0, RESOLVE_NO_SYMLINKS);
		if (fd >= 0 && mnt_id(fd) == top->id)
			take_out(t, top, fd);
		else
			forget(t, top); /* the root's own mounts hide it */
	}
}

static const struct mnt_line *line_of(const struct mnt_line *lines, size_t n, uint64_t id)
{
	for (size_t i = 0; i < n; i++)
		if (lines[i].id == id)
			return &lines[i];
	return NULL;
}

/* Whether one that it isn't mounted in, be it far above, stands on its place or over that. */
static bool is_covered(const struct mnt_line *lines, size_t n, const struct mnt_line *line)
{
	for (size_t i = 0; i < n; i++) {
		const struct mnt_line *in = line;

		if (!path_is_in(line->path, lines[i].path))
			continue;
		while (in && in != &lines[i])
			in = line_of(lines, n, in->parent);
		if (!in)
			return true;
	}
	return false;
}

/*
 * A mount by the name it had in the table. A process of another guest with the same root may have renamed a directory
 * since; what is mounted went along with it, and would be missed. Who never stops makes this give up.
 */
int mounts_find(const struct tree *t, const char *path, uint64_t id)
{
	char *now = xstrdup(path);
	bool gone = false;
	int fd = -1;

	for (int i = 0; i < 1000 && !gone; i++) {
		const struct mnt_line *line;
		struct mnt_line *lines;
		size_t n;

		fd = mounts_resolve(t, now, 0, RESOLVE_NO_SYMLINKS);
		if (fd >= 0 && mnt_id(fd) == id)
			break;
		close_fd(&fd);
		lines = mnt_below(t->fd, &n);
		line = line_of(lines, n, id);
		gone = !line || is_covered(lines, n, line);
		free(now);
		now = xstrdup(line ? line->path : path);
		mnt_free(lines, n);
	}
	if (fd < 0 && !gone)
		die("what is mounted on %s in the root can't be found: its directories are renamed all the time",
		    quote(path));
	free(now);
	return fd;
}

/* See drop_procfs in root.c: one elsewhere than on /proc. */
static void take_procfs_out(struct tree *t)
{
	for (struct mnt_line *l = t->below; l < t->below + t->n_below; l++) {
		struct stat st;

		if (!l->path || strcmp(l->type, "proc") != 0 || mounts_in_own(l->path))
			continue;
		/* A single file of it leads nowhere; what another mount covers can't be reached. */
		_cleanup_fd_ int fd = mounts_find(t, l->path, l->id);
		if (fd >= 0 && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
			take_out(t, l, fd);
	}
}

/* ---- mounting ---- */

/* The mount point's descriptor; -1: a default one that the root doesn't have. */
static int open_point(struct tree *t, const struct point *pt, bool is_dir)
{
	uint64_t flags = is_dir ? O_DIRECTORY : 0;
	int fd = mounts_resolve(t, pt->dst, flags, resolve_flags(pt));
	char path[PATH_MAX];
	struct stat st;

	if (fd < 0 && errno == ENOENT && make_point(t, pt, is_dir))
		fd = mounts_resolve(t, pt->dst, flags, resolve_flags(pt));
	else if (fd < 0 && errno == ENOENT && !pt->given)
		return -1;
	if (fd < 0 && errno == ENOENT)
		die("%s %s: the root has no such mount point (make it, or use --cow)", flag_of(pt), quote(pt->dst));
	if (fd < 0 && errno == ELOOP)
		die("%s %s: a symbolic link in the root stands there", flag_of(pt), quote(pt->dst));
	if (fd < 0)
		die_sys("%s %s: open the mount point", flag_of(pt), quote(pt->dst));
	if (fstat(fd, &st) < 0)
		die_sys("%s %s: stat the mount point", flag_of(pt), quote(pt->dst));
	if (!is_dir && S_ISDIR(st.st_mode))
		die("%s %s: a directory stands there, and the source is none", flag_of(pt), quote(pt->dst));
	if (st.st_dev == t->st.st_dev && st.st_ino == t->st.st_ino)
		die("%s %s: in the root this leads to /", flag_of(pt), quote(pt->dst));
	if (pt->given && !mounts_in_own(pt->dst) && leads_into_own(fd))
		die("%s %s: in the root this leads into the guest's own /dev, /proc or /sys", flag_of(pt),
		    quote(pt->dst));
	if (!t->n_below)
		return fd;
	mnt_path(fd, path);
	if (!clear_place(t, path))
		return fd;
	close(fd);                      /* of what was mounted there */
	return open_point(t, pt, is_dir);
}

static dev_t device_of(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		die_sys("fstat");
	return st.st_dev;
}

static int make_tmpfs(const struct tmpfs *t)
{
	char mode[16], size[24];
	const struct mnt_opt opts[] = {
		{ "mode", mode }, { t->size_bytes ? "size" : NULL, size }, { NULL, NULL },
	};
	int fd;

	snprintf(mode, sizeof(mode), "%o", t->mode ? t->mode : 01777);
	snprintf(size, sizeof(size), "%llu", (unsigned long long)t->size_bytes);
	fd = mnt_new("tmpfs", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (fd < 0)
		die_sys("mount a tmpfs for %s", quote(t->dst));
	return fd;
}

static void set_bind(const struct build *b, const struct bind *bind, int fd)
{
	struct compat_mount_attr a = { .attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };

	a.attr_set |= bind->flags & BIND_RO ? MOUNT_ATTR_RDONLY : 0;
	a.attr_set |= bind->flags & BIND_NOEXEC ? MOUNT_ATTR_NOEXEC : 0;
	a.attr_set |= bind->flags & BIND_SUID ? 0 : MOUNT_ATTR_NOSUID;
	if ((bind->flags & BIND_IDMAP) && b->userns_fd >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)b->userns_fd;
	}
	if (sys_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a) < 0) {
		if (errno == EINVAL && (a.attr_set & MOUNT_ATTR_IDMAP))
			die("--bind %s: idmap: its filesystem, or one below it (norec leaves those out), can't be "
			    "idmapped on this kernel", quote(bind->src));
		die_sys("--bind %s: set its mount up", quote(bind->src));
	}
}

static void attach(int tree_fd, int at_fd, const struct point *pt)
{
	if (mnt_attach(tree_fd, at_fd, "") < 0)
		die_sys("%s %s: mount", flag_of(pt), quote(pt->dst));
}

static void mount_bind(const struct build *b, struct tree *t, const struct point *pt)
{
	struct stat st;

	if (pt->tree_fd < 0)
		return;                 /* try, and not there */
	if (fstat(pt->tree_fd, &st) < 0)
		die_sys("--bind %s: stat", quote(pt->bind->src));
	_cleanup_fd_ int at = open_point(t, pt, S_ISDIR(st.st_mode));
	set_bind(b, pt->bind, pt->tree_fd);
	attach(pt->tree_fd, at, pt);
	close(pt->tree_fd);
}

static void mount_own(struct build *b, struct tree *t, const struct point *pt)
{
	_cleanup_fd_ int at = open_point(t, pt, true);
	int fd;

	if (at < 0)
		return;
	switch (pt->kind) {
	case DEV:
		fd = guestfs_dev(b);
		break;
	case PROC:
		fd = guestfs_proc(b);
		break;
	case SYS:
		fd = guestfs_sys();
		break;
	default:
		fd = make_tmpfs(pt->tmpfs);
		/* /run is ours, so its mount point for /run/lock is too. */
		if (strcmp(pt->dst, "/run") == 0 && mkdirat(fd, "lock", 0755) < 0)
			die_sys("make /run/lock");
	}
	attach(fd, at, pt);
	if (pt->kind == TMPFS || pt->kind == DEV)
		t->own[t->n_own++] = device_of(fd);
	if (pt->kind == PROC) {
		guestfs_cover_proc(b, fd, t->blank_fd);
	} else if (pt->kind == SYS) {
		guestfs_cover_sys(b, fd, t->blank_fd);
	} else if (pt->kind == DEV) {
		t->dev_fd = fd;
		t->pts_fd = guestfs_pts(b);
		if (mnt_attach(t->pts_fd, fd, "pts") < 0)
			die_sys("mount the guest's /dev/pts");
		return;                 /* kept open for the terminal */
	}
	close(fd);
}

static void mount_resolv(const struct build *b, const struct tree *t)
{
	if (b->trees.resolv_fd < 0)
		return;
	/* On the link itself: what it points to is in the /run that the guest doesn't see. */
	_cleanup_fd_ int at = mounts_resolve(t, "etc/resolv.conf", O_NOFOLLOW, RESOLVE_NO_MAGICLINKS);
	unsigned attr = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC | MOUNT_ATTR_RDONLY;

	if (at < 0 || mnt_set(b->trees.resolv_fd, attr, false) < 0 ||
	    mnt_attach(b->trees.resolv_fd, at, "") < 0)
		die_sys("mount the host's resolv.conf");
}

static void mount_over(const struct build *b, const struct tree *t)
{
	for (size_t i = 0; i < b->n_over; i++) {
		const struct overmount *o = &b->over[i];
		_cleanup_fd_ int at = mounts_resolve(t, o->path, O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
		if (at < 0)
			continue;
		/* Itself a detached mount, or something in a mount of this namespace. */
		if (mnt_attach(o->fd, at, "") == 0)
			continue;
		_cleanup_fd_ int tree = mnt_clone(o->fd, "", AT_SYMLINK_NOFOLLOW);
		if (tree < 0 || mnt_set(tree, MOUNT_ATTR_RDONLY, false) < 0 || mnt_attach(tree, at, "") < 0)
			die_sys("mount the guest's view on %s", o->path);
	}
}

void mounts_apply(struct build *b, struct tree *t)
{
	struct point *points;
	size_t n;

	t->below = mnt_below(t->fd, &t->n_below);
	take_procfs_out(t);
	mount_resolv(b, t);
	points = list_points(b, &n);
	t->own = xrealloc_array(NULL, n, sizeof(*t->own));
	for (size_t i = 0; i < n; i++) {
		if (points[i].kind == BIND)
			mount_bind(b, t, &points[i]);
		else
			mount_own(b, t, &points[i]);
	}
	free(points);
	free(t->own);
	if (b->plan->root.n_device && t->dev_fd < 0)
		die("--device %s: the guest has no /dev of its own: the root lacks it, or --bind or --tmpfs replaces it",
		    quote(b->plan->root.device[0].path));
	mount_over(b, t);
}

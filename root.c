/* SPDX-License-Identifier: ISC */
/*
 * root.c: the guest's file tree and the barrier.
 *
 * Checked as the caller: every path that the caller names is opened once, to an O_PATH descriptor; from then
 * on the descriptor alone counts. Copies of what these stand for (detached mounts) are taken by the builder
 * in the host's mount namespace (root_take), since the kernel copies no mount of another namespace. Then, in
 * the guest's:
 *
 *     host's root            all mounts private
 *      |- scratch tmpfs      over one of its directories: what covers are copies of, places for overlay layers
 *      ^ guest's root        over "/": nodev, idmapped in a user namespace; or the overlay of --cow
 *          /dev /proc ...    mounts.c
 *
 * No name of the host is needed to attach the root, and "/" of the builder still leads to the host's files
 * until the barrier: pivot_root, after which the host's mounts are gone from the namespace. pivot_root can't
 * leave an initramfs; there the root already covers "/", whose ".." is itself, and chroot(2) into it leaves
 * nothing below to go back to; the other mounts are detached one by one. root_apply ends by proof: it enters
 * its own namespace anew, as someone would who comes from outside, and must stand in the guest's root. Never
 * a plain chroot.
 *
 * The builder works with fsuid and fsgid = the guest's root: what it makes belongs to the guest.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <linux/capability.h>

static bool is_host_tree(const struct plan *p) { return !p->root.dir; }

/* ---- parsing ---- */

/* The next field of "a:b\:c:d", unescaped, in memory of its own; *s goes behind it, or becomes NULL at the
 * end. */
static char *next_field(const char **s)
{
	char *out = xmalloc(strlen(*s) + 1), *o = out;
	const char *p = *s;

	for (; *p && *p != ':'; p++) {
		if (*p == '\\' && (p[1] == ':' || p[1] == '\\'))
			p++;
		*o++ = *p;
	}
	*o = '\0';
	*s = *p ? p + 1 : NULL;
	return out;
}

/* An absolute path in the guest, to its one spelling, in place: no "//", ".", or slash at the end. */
static const char *normalise(char *path)
{
	char *in = path, *out = path;

	if (*path != '/')
		return "the path in the guest must start with /";
	if (strlen(path) >= PATH_MAX)
		return "the path is too long";
	while (*in) {
		size_t n;

		in += strspn(in, "/");
		n = strcspn(in, "/");
		if (n == 2 && in[0] == '.' && in[1] == '.')
			return "the path in the guest must not have ..";
		if (n == 0 || (n == 1 && in[0] == '.')) {
			in += n;
			continue;
		}
		*out++ = '/';
		memmove(out, in, n);
		out += n;
		in += n;
	}
	*out = '\0';
	return out == path ? "not / itself" : NULL;
}

static const char *parse_bind_opts(char *opts, unsigned *flags)
{
	static const struct { const char *word; unsigned set, clear; } words[] = {
		{ "ro", BIND_RO, 0 }, { "rw", 0, BIND_RO },
		{ "noexec", BIND_NOEXEC, 0 }, { "exec", 0, BIND_NOEXEC },
		{ "suid", BIND_SUID, 0 }, { "idmap", BIND_IDMAP, 0 },
		{ "norec", BIND_NOREC, 0 }, { "try", BIND_TRY, 0 },
	};
	unsigned set = 0, cleared = 0;
	char *rest = opts;

	while (rest) {
		char *word = strsep(&rest, ",");
		size_t i = 0, n = sizeof(words) / sizeof(words[0]);

		while (i < n && strcmp(word, words[i].word) != 0)
			i++;
		if (i == n)
			return "an option is none of ro rw exec noexec suid idmap norec try";
		set |= words[i].set;
		cleared |= words[i].clear;
	}
	if (set & cleared)
		return "two options contradict each other";
	*flags = set;
	return NULL;
}

const char *root_parse_bind(struct root *r, const char *arg)
{
	const char *s = arg, *why = NULL;
	struct bind bind = { .src_fd = -1 };
	char *opts = NULL;

	bind.src = next_field(&s);
	bind.dst = s ? next_field(&s) : xstrdup(bind.src);
	if (s)
		opts = next_field(&s);
	if (s)
		why = "more than SRC:DST:OPTS (a colon in a path is written \\:)";
	else if (!*bind.src)
		why = "no source";
	else
		why = normalise(bind.dst);
	if (!why && opts)
		why = parse_bind_opts(opts, &bind.flags);
	free(opts);
	if (why) {
		free(bind.src);
		free(bind.dst);
		return why;
	}
	r->bind = xrealloc_array(r->bind, r->n_bind + 1, sizeof(bind));
	r->bind[r->n_bind++] = bind;
	return NULL;
}

static const char *parse_mode(const char *s, unsigned *mode)
{
	unsigned m = 0;

	if (!*s)
		return "no mode";
	for (; *s; s++) {
		if (*s < '0' || *s > '7')
			return "the mode is no octal number";
		m = m * 8 + (unsigned)(*s - '0');
		if (m > 07777)
			return "the mode is more than 7777";
	}
	*mode = m;
	return NULL;
}

static const char *parse_tmpfs_opts(char *opts, struct tmpfs *t, bool *have_mode)
{
	char *rest = opts;
	const char *why;

	while (rest) {
		char *word = strsep(&rest, ",");

		if (strncmp(word, "size=", 5) == 0 && !t->size_bytes) {
			why = parse_size(word + 5, &t->size_bytes);
			if (!why && (t->size_bytes == 0 || t->size_bytes == UINT64_MAX))
				why = "the size must be more than 0 and finite";
		} else if (strncmp(word, "mode=", 5) == 0 && !*have_mode) {
			why = parse_mode(word + 5, &t->mode);
			*have_mode = true;
		} else {
			why = "an option is not size=N or mode=M, or is given twice";
		}
		if (why)
			return why;
	}
	return NULL;
}

const char *root_parse_tmpfs(struct root *r, const char *arg)
{
	const char *s = arg, *why;
	struct tmpfs t = { .dst = NULL };
	bool have_mode = false;
	char *opts = NULL;

	if (strcmp(arg, "none") == 0) {
		r->tmpfs_none = true;
		return NULL;
	}
	t.dst = next_field(&s);
	if (s)
		opts = next_field(&s);
	why = s ? "more than DST:size=N,mode=M" : normalise(t.dst);
	if (!why && opts)
		why = parse_tmpfs_opts(opts, &t, &have_mode);
	free(opts);
	if (!why && have_mode && t.mode == 0)
		why = "a directory of mode 0 is of no use";     /* and 0 stands for the default */
	if (why) {
		free(t.dst);
		return why;
	}
	r->tmpfs = xrealloc_array(r->tmpfs, r->n_tmpfs + 1, sizeof(t));
	r->tmpfs[r->n_tmpfs++] = t;
	return NULL;
}

const char *root_parse_cow(struct root *r, const char *arg)
{
	return cow_parse(r, arg);
}

const char *root_parse_device(struct root *r, const char *arg)
{
	const char *s = arg, *why;
	struct device d = { .src_fd = -1 };
	char *opt = NULL;

	d.path = next_field(&s);
	if (s)
		opt = next_field(&s);
	d.ro = opt && strcmp(opt, "ro") == 0;
	why = s || (opt && !d.ro) ? "not PATH or PATH:ro" : normalise(d.path);
	if (!why && strncmp(d.path, "/dev/", 5) != 0)
		why = "the path must be below /dev";
	if (!why && (strncmp(d.path, "/dev/pts/", 9) == 0 || strncmp(d.path, "/dev/shm/", 9) == 0))
		why = "the guest has a /dev/pts and a /dev/shm of its own";
	free(opt);
	if (why) {
		free(d.path);
		return why;
	}
	r->device = xrealloc_array(r->device, r->n_device + 1, sizeof(d));
	r->device[r->n_device++] = d;
	return NULL;
}

const char *root_parse_disk(struct root *r, const char *arg)
{
	const char *comma = strchr(arg, ','), *why;
	uint64_t bytes, inodes = 0;
	char size[32];
	size_t n = comma ? (size_t)(comma - arg) : strlen(arg);

	if (n >= sizeof(size))
		return "not a size";
	memcpy(size, arg, n);
	size[n] = '\0';
	why = parse_size(size, &bytes);
	if (!why && (bytes == 0 || bytes == UINT64_MAX))
		why = "the size must be more than 0 and finite";
	if (!why && comma && strncmp(comma + 1, "inodes=", 7) != 0)
		why = "not SIZE or SIZE,inodes=N";
	if (!why && comma)
		why = parse_u64(comma + 8, 1, UINT64_MAX - 1, &inodes);
	if (why)
		return why;
	r->disk_bytes = bytes;
	r->disk_inodes = inodes;
	return NULL;
}

/* ---- checks, as the caller ---- */

static int open_above(int fd, const char *name)
{
	char file[PATH_MAX];
	int above = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (above >= 0 || errno != ENOTDIR)
		return above;
	if (!realpath(name, file))
		return -1;
	strrchr(file, '/')[1] = '\0';
	return open(file, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* On disk the guest's ids are 0.. (idmapped, or no user namespace): a setuid file made in the guest is a
 * real one for whoever can reach it. A directory that only its owner may pass keeps others away: one above what the
 * guest has, since its own top directory it can open again (chmod 755 /), or a closed layer's. */
static void warn_if_reachable(const char *flag, const char *name, int dir_fd, bool guests_own)
{
	int fd = guests_own ? open_above(dir_fd, name) : fcntl(dir_fd, F_DUPFD_CLOEXEC, 0), parent;
	struct stat st, up;
	struct statvfs fs;
	bool closed = fstatvfs(dir_fd, &fs) == 0 && (fs.f_flag & (ST_NOSUID | ST_RDONLY));

	while (!closed && fd >= 0 && fstat(fd, &st) == 0) {
		closed = !(st.st_mode & 0011);
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = parent;
		if (fd < 0 || fstat(fd, &up) < 0 || (up.st_dev == st.st_dev && up.st_ino == st.st_ino))
			break;
	}
	close_fd(&fd);
	if (!closed)
		note("%s %s: others can reach it: a setuid file made in the guest is one on the host "
		     "(chmod 700 %s)", flag, quote(name), guests_own ? "a directory above" : "it");
}

static void check_dir(struct plan *p)
{
	struct root *r = &p->root;
	struct stat st, top;

	r->dir_fd = -1;
	if (!r->dir)
		return;
	r->dir_fd = open(r->dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->dir_fd < 0)
		die_sys("--root %s: open", quote(r->dir));
	if (fstat(r->dir_fd, &st) < 0 || stat("/", &top) < 0)
		die_sys("--root %s: stat", quote(r->dir));
	if (st.st_dev == top.st_dev && st.st_ino == top.st_ino) {
		close_fd(&r->dir_fd);
		r->dir = NULL;
		return;
	}
	if (!r->read_only && !r->cow && !r->cow_tmpfs)
		warn_if_reachable("--root", r->dir, r->dir_fd, true);
}

static void check_binds(struct plan *p)
{
	struct root *r = &p->root;

	for (size_t i = 0; i < r->n_bind; i++) {
		struct bind *b = &r->bind[i];

		b->src_fd = open(b->src, O_PATH | O_CLOEXEC);
		if (b->src_fd < 0 && !(errno == ENOENT && (b->flags & BIND_TRY)))
			die_sys("--bind %s: open", quote(b->src));
		if (b->src_fd >= 0 && (b->flags & (BIND_IDMAP | BIND_RO)) == BIND_IDMAP && p->context.userns == YES)
			warn_if_reachable("--bind", b->src, b->src_fd, true);
		for (size_t j = 0; j < i; j++)
			if (strcmp(r->bind[j].dst, b->dst) == 0)
				die("--bind: %s is given twice as the place in the guest", quote(b->dst));
	}
	for (size_t i = 0; i < r->n_tmpfs; i++) {
		for (size_t j = 0; j < i; j++)
			if (strcmp(r->tmpfs[j].dst, r->tmpfs[i].dst) == 0)
				die("--tmpfs: %s is given twice", quote(r->tmpfs[i].dst));
		for (size_t j = 0; j < r->n_bind; j++)
			if (strcmp(r->bind[j].dst, r->tmpfs[i].dst) == 0)
				die("--tmpfs: %s is given with --bind too", quote(r->tmpfs[i].dst));
	}
}

/* The node is made anew by number, so what the caller may do with his must be asked here. */
static void check_devices(struct plan *p)
{
	struct root *r = &p->root;

	for (size_t i = 0; i < r->n_device; i++) {
		struct device *d = &r->device[i];
		const char *name = quote(d->path);
		struct statvfs fs;
		struct stat st;

		d->src_fd = open(d->path, O_PATH | O_CLOEXEC);
		if (d->src_fd < 0 || fstat(d->src_fd, &st) < 0 || fstatvfs(d->src_fd, &fs) < 0)
			die_sys("--device %s: open", name);
		if (!S_ISCHR(st.st_mode) && !S_ISBLK(st.st_mode))
			die("--device %s: no device", name);
		if (fs.f_flag & ST_NODEV)
			die("--device %s: it is on a filesystem mounted nodev", name);
		if (faccessat(d->src_fd, "", d->ro ? R_OK : R_OK | W_OK, AT_EMPTY_PATH | AT_EACCESS) < 0)
			die_sys("--device %s: use it", name);
		if (d->ro && p->context.userns != YES)
			die("--device %s:ro: only --userns yes keeps the guest's root from writing", name);
	}
}

void root_check(struct plan *p)
{
	struct root *r = &p->root;

	check_dir(p);
	if (is_host_tree(p) && (r->cow || r->cow_tmpfs))
		die("--cow: needs --root");
	if (r->disk_bytes)
		die("--disk: not in this version");
	if (!is_host_tree(p) && r->writable_root)
		die("--writable-root: only without --root");
	if (r->writable_root && r->read_only)
		die("--writable-root and --read-only contradict each other");
	cow_check(p);
	if (r->cow_fd >= 0)
		warn_if_reachable("--cow", r->cow, r->cow_fd, false);
	check_binds(p);
	check_devices(p);
}

/* ---- taken in the host's mount namespace ---- */

static int take_resolv(const struct plan *p)
{
	struct stat st;
	int fd;

	/* Often a link into /run, which the guest has of its own: then the file behind it comes along. */
	if (!is_host_tree(p) || lstat("/etc/resolv.conf", &st) < 0 || !S_ISLNK(st.st_mode))
		return -1;
	fd = mnt_clone(AT_FDCWD, "/etc/resolv.conf", 0);
	if (fd < 0 && errno != ENOENT)
		die_sys("copy /etc/resolv.conf");
	return fd;
}

void root_take(struct build *b)
{
	const struct root *r = &b->plan->root;
	struct trees *t = &b->trees;

	if (is_host_tree(b->plan))
		t->root_fd = mnt_clone(AT_FDCWD, "/", AT_RECURSIVE);
	else
		t->root_fd = mnt_clone(r->dir_fd, "", r->cow || r->cow_tmpfs ? 0 : AT_RECURSIVE);
	if (t->root_fd < 0)
		die_sys("--root %s: copy its mount", r->dir ? quote(r->dir) : "/");
	t->bind_fd = xrealloc_array(NULL, r->n_bind + 1, sizeof(int));
	for (size_t i = 0; i < r->n_bind; i++) {
		const struct bind *bind = &r->bind[i];

		t->bind_fd[i] = -1;
		if (bind->src_fd < 0)
			continue;
		t->bind_fd[i] = mnt_clone(bind->src_fd, "", bind->flags & BIND_NOREC ? 0 : AT_RECURSIVE);
		if (t->bind_fd[i] < 0)
			die_sys("--bind %s: copy its mount", quote(bind->src));
	}
	t->cow_fd = cow_take(r);
	t->resolv_fd = take_resolv(b->plan);
	t->cgroup_fd = b->cgroup_fd < 0 ? -1 : mnt_clone(b->cgroup_fd, "", 0);
	if (b->cgroup_fd >= 0 && t->cgroup_fd < 0 && errno != EINVAL)   /* EINVAL: see mount_cgroup */
		die_sys("copy the mount of the guest's cgroup");
}

/* ---- the root itself ---- */

struct search { unsigned dev_major, dev_minor; char *type; };

static bool find_type(const struct mnt_line *line, void *arg)
{
	struct search *s = arg;

	if (line->dev_major != s->dev_major || line->dev_minor != s->dev_minor)
		return true;
	snprintf(s->type, 64, "%s", line->type);
	return false;
}

static _Noreturn void cannot_idmap(const struct build *b)
{
	struct compat_statx st;
	char type[64] = "its filesystem";

	if (sys_statx(b->trees.root_fd, "", AT_EMPTY_PATH, 0, &st) == 0)
		mnt_each(find_type, &(struct search){ st.dev_major, st.dev_minor, type });
	die("--root %s: %s can't be idmapped on this kernel, which --userns yes needs; "
	    "--userns no does without", quote(b->plan->root.dir), type);
}

static struct compat_mount_attr root_attr(const struct build *b)
{
	const struct root *r = &b->plan->root;
	bool host = is_host_tree(b->plan);
	struct compat_mount_attr a = { .attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };

	a.attr_set |= host ? MOUNT_ATTR_NOSUID : 0;
	a.attr_set |= r->read_only || (host && !r->writable_root) ? MOUNT_ATTR_RDONLY : 0;
	if (b->userns_fd >= 0 && !host) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)b->userns_fd;
	}
	return a;
}

static void replant(const struct build *b, const struct tree *from, const struct tree *to, const char *path,
		    const char *type)
{
	struct compat_mount_attr a = root_attr(b);
	_cleanup_fd_ int old = mounts_resolve(from, path, 0, RESOLVE_NO_SYMLINKS);
	_cleanup_fd_ int at = mounts_resolve(to, path, 0, RESOLVE_NO_SYMLINKS);
	_cleanup_fd_ int fd = old < 0 ? -1 : mnt_clone(old, "", 0);

	if (fd >= 0 && sys_mount_setattr(fd, "", AT_EMPTY_PATH, &a) < 0) {
		a.attr_set &= ~(uint64_t)MOUNT_ATTR_IDMAP;
		if (errno != EINVAL || sys_mount_setattr(fd, "", AT_EMPTY_PATH, &a) < 0)
			die_sys("--root %s: set %s up", quote(b->plan->root.dir), quote(path));
		note("--root %s: %s can't be idmapped (%s): its files are nobody's in the guest",
		     quote(b->plan->root.dir), quote(path), type);
	}
	if (fd < 0 || at < 0 || mnt_attach(fd, at, "") < 0)
		die_sys("--root %s: mount %s", quote(b->plan->root.dir), quote(path));
}

/* A procfs, or something in one: see drop_procfs. */
static bool is_below_proc(const struct mnt_line *below, size_t n, size_t at)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(below[i].type, "proc") == 0 && path_is_in(below[at].path, below[i].path))
			return true;
	return false;
}

/* The kernel idmaps a tree of mounts as a whole or not at all. If one refuses: one by one. The root itself
 * must; what is mounted below it and refuses is there with the owners that it has, which is nobody to the
 * guest; but where the guest has mounts of its own, a /proc left there by chroot(8) say, is passed over. */
static void idmap_singly(struct build *b, struct tree *t)
{
	struct compat_mount_attr a = root_attr(b);
	struct tree whole = { .fd = b->trees.root_fd };
	struct mnt_line *below;
	size_t n;

	if (mnt_set(whole.fd, MOUNT_ATTR_NODEV, true) < 0)
		die_sys("--root %s: set its mounts up", quote(b->plan->root.dir));
	if (mnt_attach(whole.fd, AT_FDCWD, "/") < 0)
		die_sys("--root %s: mount it", quote(b->plan->root.dir));
	t->n_stacked++;
	below = mnt_below(whole.fd, &n);
	t->fd = mnt_clone(whole.fd, "", 0);
	if (t->fd < 0 || sys_mount_setattr(t->fd, "", AT_EMPTY_PATH, &a) < 0)
		cannot_idmap(b);
	if (mnt_attach(t->fd, AT_FDCWD, "/") < 0)
		die_sys("--root %s: mount it", quote(b->plan->root.dir));
	for (size_t i = 0; i < n; i++)
		if (!mounts_in_own(below[i].path) && !is_below_proc(below, n, i))
			replant(b, &whole, t, below[i].path, below[i].type);
}

/* A read-only tmpfs with the empty file and directory that covers are copies of, and places for what mounts.c takes
 * out of the guest's tree. Over any directory of the host's tree (in this namespace), rather than over its "/": there
 * it would be in the way when the tree is detached. */
static void mount_scratch(struct tree *t)
{
	static const struct mnt_opt opts[] = { { "mode", "555" }, { "size", "64k" }, { NULL, NULL } };
	static const char *const places[] = { "/etc", "/usr", "/sys", "/proc", "/dev", "/tmp" };
	int fd = mnt_new("tmpfs", opts, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);

	if (fd < 0 || mkdirat(fd, "dir", 0555) < 0 || mknodat(fd, "file", S_IFREG | 0444, 0) < 0 ||
	    mkdirat(fd, "lower", 0700) < 0 || mkdirat(fd, "layer", 0700) < 0 ||
	    mkdirat(fd, "away", 0700) < 0 || mknodat(fd, "away-file", S_IFREG, 0) < 0 ||
	    mnt_set(fd, MOUNT_ATTR_RDONLY, false) < 0)
		die_sys("make the scratch tmpfs");
	t->blank_fd = fd;
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (mnt_attach(fd, AT_FDCWD, places[i]) == 0)
			return;
	t->n_stacked++;
	if (mnt_attach(fd, AT_FDCWD, "/") < 0)
		die_sys("mount the scratch tmpfs");
}

/* Where cgroup2 is mounted nowhere (an initramfs), vrun's own mount of it has no place, and of such the kernel copies
 * nothing. So one more, at a place that goes with the host's tree. */
static void mount_cgroup(struct build *b, const struct tree *t)
{
	char path[PATH_MAX];

	if (b->cgroup_fd < 0 || b->trees.cgroup_fd >= 0)
		return;
	_cleanup_fd_ int fd = mnt_new("cgroup2", NULL, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	mnt_path(b->cgroup_fd, path);
	if (fd < 0 || mnt_attach(fd, t->blank_fd, "away") < 0)
		die_sys("mount cgroup2");
	b->trees.cgroup_fd = mnt_clone(fd, path + 1, 0);
	if (b->trees.cgroup_fd < 0)
		die_sys("copy the mount of the guest's cgroup %s", quote(path));
}

static void plant_root(struct build *b, struct tree *t)
{
	const struct root *r = &b->plan->root;
	const char *name = r->dir ? quote(r->dir) : "/";
	struct compat_mount_attr a = root_attr(b);
	bool cow = r->cow || r->cow_tmpfs;

	mount_scratch(t);
	mount_cgroup(b, t);
	t->fd = b->trees.root_fd;
	if (sys_mount_setattr(t->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a) < 0) {
		if (errno != EINVAL || !(a.attr_set & MOUNT_ATTR_IDMAP))
			die_sys("--root %s: set its mount up", name);
		if (cow)
			cannot_idmap(b);
		idmap_singly(b, t);
	} else {
		if (cow)
			t->fd = cow_mount(b, t->blank_fd);
		if (mnt_attach(t->fd, AT_FDCWD, "/") < 0)
			die_sys("--root %s: mount it", name);
	}
	t->cow = cow && !r->read_only;
	if (fstat(t->fd, &t->st) < 0)
		die_sys("--root %s: stat", name);
}

/* ---- the barrier ---- */

struct leftover { uint64_t parent; char *paths[512]; size_t n; };

static bool find_leftover(const struct mnt_line *line, void *arg)
{
	struct leftover *l = arg;

	if (line->parent == l->parent && strcmp(line->path, "/") != 0 && l->n < 512)
		l->paths[l->n++] = xstrdup(line->path);
	return true;
}

/* In an initramfs "/" can't be pivoted. The guest's root stands on it already; what is mounted elsewhere
 * could not be reached, but would keep the host's devices busy. */
static void cover_rootfs(const struct tree *t)
{
	struct leftover l = { .n = 0 };
	_cleanup_fd_ int root = open("/", O_PATH | O_CLOEXEC);

	if (root < 0)
		die_sys("open /");
	l.parent = mnt_id(root);
	mnt_each(find_leftover, &l);
	for (size_t i = 0; i < l.n; i++) {
		while (umount2(l.paths[i], MNT_DETACH) == 0)    /* as many as are stacked there */
			;
		free(l.paths[i]);
	}
	if (fchdir(t->fd) < 0 || chroot(".") < 0)
		die_sys("chroot to the guest's root");
}

static void raise_barrier(const struct tree *t)
{
	_cleanup_fd_ int ns = openat(host_proc_fd(), "self/ns/mnt", O_RDONLY | O_CLOEXEC);
	uint64_t guest = mnt_id(t->fd);

	if (ns < 0)
		die_sys("open /proc/self/ns/mnt");
	if (fchdir(t->fd) < 0)
		die_sys("chdir to the guest's root");
	if (sys_pivot_root(".", ".") == 0) {
		for (unsigned i = 0; i <= t->n_stacked; i++)
			if (umount2(".", MNT_DETACH) < 0)
				die_sys("detach the host's tree");
	} else if (errno == EINVAL) {
		cover_rootfs(t);
	} else {
		die_sys("pivot_root");
	}
	/* Whoever enters this namespace must come out in the guest's root; a vrun in a chroot would fail
	 * here. */
	if (setns(ns, CLONE_NEWNS) < 0)
		die_sys("setns to the guest's mount namespace");
	_cleanup_fd_ int top = open("/", O_PATH | O_CLOEXEC);
	if (top < 0 || mnt_id(top) != guest)
		die("the barrier doesn't hold: vrun itself runs in a chroot, so there is a tree above the guest's");
}

/* ---- other procfs ---- */

struct procfs { const struct build *b; struct { uint64_t id; char *path; } *found; size_t n; };

static bool find_procfs(const struct mnt_line *line, void *arg)
{
	struct procfs *l = arg;
	const struct root *r = &l->b->plan->root;

	if (strcmp(line->type, "proc") != 0 || mounts_in_own(line->path))
		return true;
	for (size_t i = 0; i < r->n_bind; i++)
		if (strcmp(r->bind[i].dst, line->path) == 0)
			return true;    /* asked for by name */
	l->found = xrealloc_array(l->found, l->n + 1, sizeof(*l->found));
	l->found[l->n].id = line->id;
	l->found[l->n++].path = xstrdup(line->path);
	return true;
}

/*
 * A procfs that came along with a bind (or with the tree, see mounts.c), that of a chroot say, shows the host's
 * processes; and where the guest's root is the host's, the /proc/PID/root of any of them that isn't privileged leads
 * behind the barrier: root need only take that user's id. Behind the barrier, where the mount table is the guest's
 * alone.
 */
static void drop_procfs(const struct build *b, const struct tree *t)
{
	struct procfs l = { .b = b };

	if (!b->plan->root.n_bind)
		return;
	mnt_each(find_procfs, &l);
	for (size_t i = l.n; i-- > 0; free(l.found[i].path)) {
		/* A single file of it leads nowhere; what another mount covers can't be reached. */
		_cleanup_fd_ int fd = mounts_find(t, l.found[i].path, l.found[i].id);
		struct stat st;

		if (fd < 0 || fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		if (fchdir(fd) < 0 || umount2(".", MNT_DETACH) < 0)
			die_sys("leave the procfs on %s out of the guest", quote(l.found[i].path));
	}
	free(l.found);
	if (chdir("/") < 0)
		die_sys("chdir to the guest's root");
}

/* From here the builder's files are the guest's. setfsuid takes the capabilities over files away; they come
 * back. */
static void become_guest_owner(uint32_t id_base)
{
	struct __user_cap_header_struct head = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[2];

	umask(0);
	if (!id_base)
		return;
	setfsgid(id_base);
	setfsuid(id_base);
	if (setfsuid((uid_t)-1) != (int)id_base || setfsgid((gid_t)-1) != (int)id_base)
		die("setfsuid: the guest's root is no id that this process may take");
	if (syscall(__NR_capget, &head, caps) < 0)
		die_sys("capget");
	caps[0].effective = caps[0].permitted;
	caps[1].effective = caps[1].permitted;
	if (syscall(__NR_capset, &head, caps) < 0)
		die_sys("capset");
}

void root_apply(struct build *b)
{
	struct tree t = { .fd = -1, .dev_fd = -1, .pts_fd = -1 };

	/* Or mounts and unmounts made here would be made on the host. */
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die_sys("make the mounts private");
	become_guest_owner(b->id_base);
	plant_root(b, &t);
	mounts_apply(b, &t);
	b->pty_master_fd = b->pty_slave_fd = -1;
	if (b->want_pty) {
		if (t.pts_fd < 0)       /* a root without /dev: the terminal has no name, but works */
			t.pts_fd = guestfs_pts(b);
		guestfs_open_pty(b, t.pts_fd, t.dev_fd);
	}
	raise_barrier(&t);
	drop_procfs(b, &t);
}

/* After pivot_root this changes nothing; in an initramfs init still stands on the covered rootfs, and ".."
 * of "/" is what is mounted over it. */
void root_enter(void)
{
	if (chroot("/..") < 0 || chdir("/") < 0)
		die_sys("enter the guest's root");
}

/* ---- the working directory ---- */

static int enter_dir(const char *path)
{
	/* Not through /proc/self/fd or /proc/PID/cwd: these lead where no path leads (CVE-2024-21626). */
	_cleanup_fd_ int fd = sys_openat2(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC,
					  RESOLVE_NO_MAGICLINKS);

	return fd < 0 ? -1 : fchdir(fd);
}

void root_workdir(const struct plan *p, const char *caller_cwd)
{
	const char *dir = p->root.workdir;
	char cwd[PATH_MAX];

	if (dir && enter_dir(dir) < 0)
		die_sys("--workdir %s", quote(dir));
	if (!dir && (!is_host_tree(p) || !caller_cwd || enter_dir(caller_cwd) < 0) && chdir("/") < 0)
		die_sys("chdir to / in the guest as COMMAND's user (does the root directory's mode let it in?)");
	/* The kernel says so if this is not below the root. */
	if (syscall(__NR_getcwd, cwd, sizeof(cwd)) > 0 && cwd[0] != '/')
		die("--workdir %s: not in the guest's tree", dir ? quote(dir) : "");
}

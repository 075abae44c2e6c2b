/* SPDX-License-Identifier: ISC */
/*
 * cow.c: --cow, the copy-on-write layer: an overlayfs whose lower layer is the root, which is never written.
 *
 * In a user namespace both layers are idmapped mounts, so that ownership stays 0.. on disk in both.
 * overlayfs makes its work directory with the credentials of who mounts it, and as the host's root, an id
 * that the mapping doesn't have, it fails and turns the whole overlay read-only without a word. So the
 * builder mounts it with fsuid and fsgid = the guest's root, and then looks whether it can be written. A
 * tmpfs layer lives as long as the guest: it just holds the guest's ids as they are on the host, which works
 * where tmpfs can't be idmapped (before 6.3).
 *
 * Layers must be attached somewhere (overlayfs refuses detached ones on 6.1): on two directories of a
 * scratch tmpfs that is gone with the host's tree. They are named relative to it, so the guest's mount table
 * has no host path. DIR holds `upper` and `work`. index=on makes the kernel refuse a second user of DIR
 * (EBUSY) and another root (ESTALE); redirect_dir=on lets a directory of the root be renamed; xino=on keeps
 * inode numbers over the copy.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

const char *cow_parse(struct root *r, const char *arg)
{
	uint64_t bytes = 0;
	const char *why;

	if (r->cow || r->cow_tmpfs)
		return "given twice";
	if (strcmp(arg, "tmpfs") == 0) {
		r->cow_tmpfs = true;
		return NULL;
	}
	if (strncmp(arg, "tmpfs:", 6) == 0) {
		why = parse_size(arg + 6, &bytes);
		if (why)
			return why;
		if (bytes == 0 || bytes == UINT64_MAX)
			return "the size must be more than 0 and finite";
		r->cow_tmpfs = true;
		r->cow_tmpfs_bytes = bytes;
		return NULL;
	}
	if (!*arg)
		return "empty";
	r->cow = xstrdup(arg);
	return NULL;
}

/* Is `dir_fd` the directory `st` or below it? Upwards by "..", so no name matters. */
static bool is_below(int dir_fd, const struct stat *st)
{
	int fd = fcntl(dir_fd, F_DUPFD_CLOEXEC, 0);
	struct stat here, up;
	bool below = false;

	while (fd >= 0 && fstat(fd, &here) == 0) {
		int parent;

		below = here.st_dev == st->st_dev && here.st_ino == st->st_ino;
		if (below)
			break;
		parent = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
		close(fd);
		fd = parent;
		if (fd >= 0 && fstat(fd, &up) == 0 && up.st_dev == here.st_dev && up.st_ino == here.st_ino)
			break;
	}
	close_fd(&fd);
	return below;
}

void cow_check(struct plan *p)
{
	struct root *r = &p->root;
	struct stat root, cow;

	r->cow_fd = -1;
	if (!r->cow)
		return;
	r->cow_fd = open(r->cow, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (r->cow_fd < 0)
		die_sys("--cow %s: open", quote(r->cow));
	if (faccessat(r->cow_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		die_sys("--cow %s: write to it", quote(r->cow));
	if (fstat(r->dir_fd, &root) < 0 || fstat(r->cow_fd, &cow) < 0)
		die_sys("--cow %s: stat", quote(r->cow));
	if (is_below(r->cow_fd, &root))
		die("--cow %s: it is inside the root %s", quote(r->cow), quote(r->dir));
	if (is_below(r->dir_fd, &cow))
		die("--cow %s: the root %s is inside it", quote(r->cow), quote(r->dir));
}

/* The layer's top directory is what the guest sees as "/", so it starts with the root's own mode and owner. */
static void make_layer(int dir_fd, const char *name, const struct stat *like, uint32_t id_base,
		       const char *cow)
{
	if (mkdirat(dir_fd, name, like->st_mode & 07777) < 0) {
		if (errno == EEXIST)
			return;
		die_sys("--cow %s: make %s", cow, name);
	}
	if (fchownat(dir_fd, name, id_base + like->st_uid, id_base + like->st_gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fchmodat(dir_fd, name, like->st_mode & 07777, 0) < 0)
		die_sys("--cow %s: give %s the root's owner and mode", cow, name);
}

static void make_layers(int dir_fd, const struct stat *like, uint32_t id_base, const char *cow)
{
	static const struct stat work = { .st_mode = 0700 };

	make_layer(dir_fd, "upper", like, id_base, cow);
	make_layer(dir_fd, "work", &work, id_base, cow);
	/* A link of that name would lead the layer to another place. */
	for (int i = 0; i < 2; i++) {
		const char *name = i ? "work" : "upper";
		_cleanup_fd_ int fd = sys_openat2(dir_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC,
						  RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV);
		if (fd < 0)
			die_sys("--cow %s: open %s", cow, name);
	}
}

struct below { const char *dir; size_t len; char *first; };

static bool find_below(const struct mnt_line *line, void *arg)
{
	struct below *b = arg;
	const char *name = line->path + b->len;

	if (strncmp(line->path, b->dir, b->len) != 0 || *name != '/' || mounts_in_own(name))
		return true;
	b->first = xstrdup(line->path);
	return false;
}

/* A layer of an overlay is one filesystem. What is mounted below the root is not in it, which is better
 * said. */
static void warn_of_mounts_below(const struct root *r)
{
	char path[64], dir[4096];
	ssize_t n;

	snprintf(path, sizeof(path), "self/fd/%d", r->dir_fd);
	n = readlinkat(host_proc_fd(), path, dir, sizeof(dir) - 1);
	if (n <= 0)
		return;
	dir[n] = '\0';
	struct below b = { .dir = dir, .len = (size_t)n };
	mnt_each(find_below, &b);
	if (b.first)
		note("--cow: what is mounted on %s is not in the guest (--bind puts it there)", quote(b.first));
	free(b.first);
}

int cow_take(const struct root *r)
{
	struct stat like;
	int fd;

	if (r->cow || r->cow_tmpfs)
		warn_of_mounts_below(r);
	if (!r->cow)
		return -1;
	if (fstat(r->dir_fd, &like) < 0)
		die_sys("--root %s: stat", quote(r->dir));
	make_layers(r->cow_fd, &like, 0, quote(r->cow));
	fd = mnt_clone(r->cow_fd, "", 0);
	if (fd < 0)
		die_sys("--cow %s: copy its mount", quote(r->cow));
	return fd;
}

static int tmpfs_layer(const struct build *b)
{
	char size[24];
	const struct mnt_opt opts[] = { { "mode", "700" }, { "size", size }, { NULL, NULL } };
	const struct mnt_opt any[] = { { "mode", "700" }, { NULL, NULL } };
	uint64_t bytes = b->plan->root.cow_tmpfs_bytes;
	struct stat like;
	int fd;

	snprintf(size, sizeof(size), "%llu", (unsigned long long)bytes);
	fd = mnt_new("tmpfs", bytes ? opts : any, MOUNT_ATTR_NODEV);
	if (fd < 0)
		die_sys("--cow tmpfs: mount it");
	if (fstat(b->plan->root.dir_fd, &like) < 0)     /* not the idmapped copy: ids as on disk */
		die_sys("--cow tmpfs: stat the root");
	make_layers(fd, &like, b->id_base, "tmpfs");
	return fd;
}

static int disk_layer(const struct build *b)
{
	struct compat_mount_attr a = { .attr_set = MOUNT_ATTR_NODEV, .propagation = MS_PRIVATE };
	const char *cow = b->plan->root.cow;

	if (b->userns_fd >= 0) {
		a.attr_set |= MOUNT_ATTR_IDMAP;
		a.userns_fd = (uint64_t)b->userns_fd;
	}
	if (sys_mount_setattr(b->trees.cow_fd, "", AT_EMPTY_PATH, &a) < 0) {
		if (errno == EINVAL && b->userns_fd >= 0)
			die("--cow %s: its filesystem can't be idmapped on this kernel (tmpfs: Linux 6.3); "
			    "--userns no does without, --cow tmpfs too", quote(cow));
		die_sys("--cow %s: set its mount up", quote(cow));
	}
	return b->trees.cow_fd;
}

static _Noreturn void refused(const struct root *r)
{
	const char *cow = r->cow ? quote(r->cow) : "tmpfs";

	if (errno == EBUSY)
		die("--cow %s: in use by another guest", cow);
	if (errno == ESTALE)
		die("--cow %s: made for another root than %s", cow, quote(r->dir));
	if (errno == ELOOP)
		die("--cow %s: it overlaps the root %s", cow, quote(r->dir));
	if (errno == ENODEV)
		die("--cow %s: this kernel has no overlayfs (CONFIG_OVERLAY_FS)", cow);
	die_sys("--cow %s: mount the overlay", cow);
}

int cow_mount(const struct build *b, int scratch_fd)
{
	static const struct mnt_opt opts[] = {
		{ "lowerdir", "lower" }, { "upperdir", "layer/upper" }, { "workdir", "layer/work" },
		{ "redirect_dir", "on" }, { "index", "on" }, { "xino", "on" }, { NULL, NULL },
	};
	const struct root *r = &b->plan->root;
	int layer = r->cow_tmpfs ? tmpfs_layer(b) : disk_layer(b), fd;
	struct statvfs st;

	if (mnt_attach(b->trees.root_fd, scratch_fd, "lower") < 0 || mnt_attach(layer, scratch_fd, "layer") < 0)
		die_sys("--cow: attach the layers");
	close(layer);
	if (fchdir(scratch_fd) < 0)
		die_sys("--cow: chdir to the layers");
	fd = mnt_new("overlay", opts, MOUNT_ATTR_NODEV | (r->read_only ? MOUNT_ATTR_RDONLY : 0));
	if (fd < 0)
		refused(r);
	if (fstatvfs(fd, &st) < 0 || (!r->read_only && (st.f_flag & ST_RDONLY)))
		die("--cow %s: the kernel made the overlay read-only", r->cow ? quote(r->cow) : "tmpfs");
	return fd;
}

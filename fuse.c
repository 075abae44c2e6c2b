/* SPDX-License-Identifier: ISC */
/*
 * fuse.c: a small tree of generated read-only files, over the kernel's FUSE protocol.
 *
 * Theory of operation. fuse_mount() makes a FUSE superblock and a detached mount of it, without a mount point and
 * without a helper program. fuse_serve() takes the requests that wait on the device and answers each from what a
 * callback says about file i; it never waits, so a poll loop can call it. The requests come from the kernel; what a
 * guest decides in them is an offset, a size and how often.
 *
 * Cached mode (VIEWS.md B). OPEN is answered with ENOSYS, so the kernel never asks again, and pages stay in the
 * page cache: most reads never get here. FUSE_AUTO_INVAL_DATA makes the kernel ask for the attributes once they
 * are older than attr_valid and drop the pages if mtime or size changed. So the callback decides about freshness in
 * GETATTR alone: a new generation has a new mtime and its exact size, and READ serves that generation. A page is
 * filled before it is visible and never modified: files up to a page can't be torn by one read(2). A descriptor kept
 * open (top, free -s) sees each new generation when it reads again.
 *
 * A file of many pages that grows under a reader shows him zeroes: the end of what was his last page. So there are
 * files (ENTRY_SHOT) that are another one, with a node of its own, for each generation: a name is looked up at each
 * open, and what was opened changes no more, unless somebody holds it for longer than a second.
 *
 * Node 1 is the root; entry i is node i + 2, with its generation above. One READDIRPLUS gives the kernel all names at
 * once (START.md 2.2).
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <linux/fuse.h>

enum {
	FIRST_NODE = FUSE_ROOT_ID + 1,
	REQUEST_MAX = 8192,             /* FUSE_MIN_READ_BUFFER; nothing that writes is ever granted more */
	MINOR = 31,                     /* the protocol's version that these replies are written in (Linux 5.2) */
	SERVE_AT_ONCE = 32,             /* a guest that floods lets the poll loop's other sources live */
	INDEX_BITS = 12,                /* of a node; the rest is an ENTRY_SHOT's generation */
	SHOT_SECS = 1,
	ABSENT_SECS = 1,
};
static const uint64_t for_ever_secs = 1ULL << 30;

static void attr_of_dir(struct fuse_attr *a, uint64_t node)
{
	*a = (struct fuse_attr){ .ino = node, .mode = S_IFDIR | 0555, .nlink = 2, .blksize = 4096 };
}

static void attr_of_link(struct fuse_attr *a, uint64_t node, const char *target)
{
	*a = (struct fuse_attr){ .ino = node, .mode = S_IFLNK | 0777, .nlink = 1, .size = strlen(target), .blksize = 4096 };
}

static size_t index_of(uint64_t node)
{
	return (size_t)(node & ((1 << INDEX_BITS) - 1)) - FIRST_NODE;
}

/* The entry of this kind that the node is. */
static const struct fuse_entry *find(const struct fuse_tree *t, uint64_t node, enum fuse_kind kind)
{
	const struct fuse_entry *e = index_of(node) < t->n ? &t->entry[index_of(node)] : NULL;

	return e && e->kind == kind ? e : NULL;
}

static bool is_file(const struct fuse_tree *t, uint64_t node)
{
	return find(t, node, ENTRY_FILE) || find(t, node, ENTRY_SHOT);
}

/* As fuse_entry's dir: which directory the node is. */
static bool find_dir(const struct fuse_tree *t, uint64_t node, size_t *dir)
{
	*dir = node == FUSE_ROOT_ID ? 0 : index_of(node) + 1;
	return node == FUSE_ROOT_ID || find(t, node, ENTRY_DIR);
}

static bool is_in(const struct fuse_tree *t, size_t i, size_t dir)
{
	return t->entry[i].dir == dir && t->is_there(t->context, i);
}

/* Bigger than a page: blksize asks stdio for one read(2) of all of it, which is the more consistent. */
static void attr_of_file(struct fuse_attr *a, uint64_t node, const struct fuse_file *f)
{
	*a = (struct fuse_attr){
		.ino = node, .size = f->size, .mode = S_IFREG | 0444, .nlink = 1,
		.blksize = f->size > 4096 ? 65536 : 4096,
		.atime = f->mtime_ns / 1000000000, .atimensec = (uint32_t)(f->mtime_ns % 1000000000),
		.mtime = f->mtime_ns / 1000000000, .mtimensec = (uint32_t)(f->mtime_ns % 1000000000),
		.ctime = f->mtime_ns / 1000000000, .ctimensec = (uint32_t)(f->mtime_ns % 1000000000),
	};
}

static int answer_init(const struct fuse_init_in *in, size_t len, struct fuse_reply *r)
{
	struct fuse_init_out *out = (struct fuse_init_out *)r->body;

	if (len < offsetof(struct fuse_init_in, flags2) || in->major != FUSE_KERNEL_VERSION)
		return -EPROTO;
	*out = (struct fuse_init_out){
		.major = FUSE_KERNEL_VERSION, .minor = MINOR, .max_readahead = in->max_readahead,
		.flags = in->flags & (FUSE_ASYNC_READ | FUSE_AUTO_INVAL_DATA | FUSE_DO_READDIRPLUS |
				      FUSE_NO_OPEN_SUPPORT | FUSE_NO_OPENDIR_SUPPORT | FUSE_PARALLEL_DIROPS |
				      FUSE_CACHE_SYMLINKS),
		.max_write = 4096, .time_gran = 1,
	};
	r->body_len = sizeof(*out);
	return 0;
}

/* A file's name comes without attributes: they are asked for when somebody wants them, not while a guest starts. */
static void entry_of(const struct fuse_tree *t, size_t i, struct fuse_entry_out *e)
{
	const struct fuse_file nothing = { 0 };

	*e = (struct fuse_entry_out){ .nodeid = i + FIRST_NODE, .entry_valid = for_ever_secs };
	if (t->entry[i].kind == ENTRY_FILE) {
		attr_of_file(&e->attr, e->nodeid, &nothing);
		return;
	}
	e->attr_valid = for_ever_secs;
	if (t->entry[i].kind == ENTRY_DIR)
		attr_of_dir(&e->attr, e->nodeid);
	else
		attr_of_link(&e->attr, e->nodeid, t->entry[i].target);
}

static void shot_of(const struct fuse_tree *t, size_t i, uint32_t pid, struct fuse_entry_out *e)
{
	struct fuse_file f = { 0 };

	t->look(t->context, i, pid, true, &f);
	*e = (struct fuse_entry_out){
		.nodeid = f.mtime_ns / 1024 << INDEX_BITS | (i + FIRST_NODE), .attr_valid = SHOT_SECS,
	};
	attr_of_file(&e->attr, e->nodeid, &f);
}

static int answer_lookup(const struct fuse_tree *t, const struct fuse_in_header *h, const char *name, size_t len,
			 struct fuse_reply *r)
{
	size_t dir;

	if (!find_dir(t, h->nodeid, &dir) || !len || name[len - 1])
		return -ENOENT;
	r->body_len = sizeof(struct fuse_entry_out);
	for (size_t i = 0; i < t->n; i++) {
		if (strcmp(t->entry[i].name, name) || !is_in(t, i, dir))
			continue;
		if (t->entry[i].kind == ENTRY_SHOT)
			shot_of(t, i, h->pid, (struct fuse_entry_out *)r->body);
		else
			entry_of(t, i, (struct fuse_entry_out *)r->body);
		return 0;
	}
	/* Node 0: the kernel may remember that there is no such name, and needn't wake us for the next look. */
	*(struct fuse_entry_out *)r->body = (struct fuse_entry_out){ .entry_valid = ABSENT_SECS };
	return 0;
}

static int answer_readdirplus(const struct fuse_tree *t, uint64_t node, const struct fuse_read_in *in, size_t len,
			      struct fuse_reply *r)
{
	static const uint8_t types[] = {
		[ENTRY_FILE] = DT_REG, [ENTRY_SHOT] = DT_REG, [ENTRY_DIR] = DT_DIR, [ENTRY_LINK] = DT_LNK,
	};
	size_t at = 0, dir;

	if (!find_dir(t, node, &dir) || len < sizeof(*in))
		return -ENOTDIR;
	for (size_t i = in->offset < t->n ? (size_t)in->offset : t->n; i < t->n; i++) {
		struct fuse_direntplus *d = (struct fuse_direntplus *)(r->body + at);
		size_t name_len = strlen(t->entry[i].name);
		size_t size = FUSE_DIRENT_ALIGN(FUSE_NAME_OFFSET_DIRENTPLUS + name_len);

		if (!is_in(t, i, dir))
			continue;
		if (at + size > in->size || at + size > sizeof(r->body))
			break;
		memset(d, 0, size);
		if (t->entry[i].kind != ENTRY_SHOT)     /* node 0: only a name */
			entry_of(t, i, &d->entry_out);
		d->dirent.ino = i + FIRST_NODE;
		d->dirent.off = i + 1;
		d->dirent.namelen = (uint32_t)name_len;
		d->dirent.type = types[t->entry[i].kind];
		memcpy(d->dirent.name, t->entry[i].name, name_len);
		at += size;
	}
	r->body_len = at;
	return 0;
}

static int answer_getattr(const struct fuse_tree *t, const struct fuse_in_header *h, struct fuse_reply *r)
{
	struct fuse_attr_out *out = (struct fuse_attr_out *)r->body;
	const struct fuse_entry *link = find(t, h->nodeid, ENTRY_LINK);
	struct fuse_file f = { 0 };
	size_t dir;

	memset(out, 0, sizeof(*out));
	r->body_len = sizeof(*out);
	out->attr_valid = for_ever_secs;
	if (link || find_dir(t, h->nodeid, &dir)) {
		if (link)
			attr_of_link(&out->attr, h->nodeid, link->target);
		else
			attr_of_dir(&out->attr, h->nodeid);
		return 0;
	}
	if (!is_file(t, h->nodeid))
		return -ENOENT;
	t->look(t->context, index_of(h->nodeid), h->pid, true, &f);
	out->attr_valid = SHOT_SECS;
	if (find(t, h->nodeid, ENTRY_FILE)) {
		out->attr_valid = f.valid_ns / 1000000000;
		out->attr_valid_nsec = (uint32_t)(f.valid_ns % 1000000000);
	}
	attr_of_file(&out->attr, h->nodeid, &f);
	return 0;
}

static int answer_read(const struct fuse_tree *t, const struct fuse_in_header *h, const struct fuse_read_in *in,
		       size_t len, struct fuse_reply *r)
{
	struct fuse_file f = { 0 };

	if (len < sizeof(*in) || !is_file(t, h->nodeid))
		return -EINVAL;
	t->look(t->context, index_of(h->nodeid), h->pid, false, &f);
	if (in->offset >= f.size)
		return 0;
	r->data = f.text + in->offset;
	r->data_len = f.size - in->offset < in->size ? f.size - (size_t)in->offset : in->size;
	return 0;
}

static int answer_readlink(const struct fuse_tree *t, uint64_t node, struct fuse_reply *r)
{
	const struct fuse_entry *link = find(t, node, ENTRY_LINK);

	if (!link)
		return -EINVAL;
	r->data = link->target;
	r->data_len = strlen(link->target);
	return 0;
}

static int answer_statfs(struct fuse_reply *r)
{
	struct fuse_statfs_out *out = (struct fuse_statfs_out *)r->body;

	/* No blocks at all: df leaves such a filesystem out. */
	*out = (struct fuse_statfs_out){ .st = { .bsize = 4096, .frsize = 4096, .namelen = NAME_MAX } };
	r->body_len = sizeof(*out);
	return 0;
}

/* One request to its reply. False if it has none (FORGET) or is none. What isn't known gets ENOSYS: for most
 * requests the kernel then does without and never asks again. */
bool fuse_answer(const struct fuse_tree *t, const void *request, size_t n, struct fuse_reply *r)
{
	struct fuse_in_header h;
	const char *in = (const char *)request + sizeof(h);
	struct fuse_out_header *out = (struct fuse_out_header *)r->header;
	int error;

	_Static_assert(sizeof(*out) == sizeof(r->header), "struct fuse_out_header");
	if (n < sizeof(h))
		return false;
	memcpy(&h, request, sizeof(h));
	if (h.len != n || h.opcode == FUSE_FORGET || h.opcode == FUSE_BATCH_FORGET)
		return false;
	n -= sizeof(h);
	r->body_len = r->data_len = 0;
	switch (h.opcode) {
	case FUSE_INIT: error = answer_init((const void *)in, n, r); break;
	case FUSE_LOOKUP: error = answer_lookup(t, &h, in, n, r); break;
	case FUSE_GETATTR: error = answer_getattr(t, &h, r); break;
	case FUSE_READ: error = answer_read(t, &h, (const void *)in, n, r); break;
	case FUSE_READDIRPLUS: error = answer_readdirplus(t, h.nodeid, (const void *)in, n, r); break;
	case FUSE_READLINK: error = answer_readlink(t, h.nodeid, r); break;
	case FUSE_STATFS: error = answer_statfs(r); break;
	case FUSE_DESTROY: error = 0; break;
	default: error = -ENOSYS;
	}
	if (error)
		r->body_len = r->data_len = 0;
	*out = (struct fuse_out_header){ .len = (uint32_t)(sizeof(*out) + r->body_len + r->data_len), .error = error,
					 .unique = h.unique };
	return true;
}

/* True while there is a connection. */
bool fuse_serve(int fd, const struct fuse_tree *t)
{
	uint64_t request[REQUEST_MAX / sizeof(uint64_t)];
	struct fuse_reply r;

	for (int i = 0; i < SERVE_AT_ONCE; i++) {
		ssize_t n = read(fd, request, sizeof(request));

		if (n < 0 && errno == EAGAIN)
			return true;
		if (n < 0 && (errno == ENOENT || errno == EINTR))
			continue;               /* its asker was killed meanwhile */
		if (n <= 0)
			return false;
		if (!fuse_answer(t, request, (size_t)n, &r))
			continue;
		const struct iovec v[] = {
			{ r.header, sizeof(r.header) }, { r.body, r.body_len },
			{ (void *)(uintptr_t)r.data, r.data_len },
		};
		/* ENOENT: nobody waits for it any more. The kernel takes a reply whole or not at all. */
		if (writev(fd, v, r.data_len ? 3 : 2) < 0 && errno != ENOENT && errno != EINTR)
			return errno == EAGAIN || errno == ENOMEM || errno == EINVAL;
	}
	return true;
}

/* The detached mount's descriptor; *device_fd: where its requests arrive. -1 and errno, with *what saying what. */
int fuse_mount(int *device_fd, const char **what)
{
	_cleanup_fd_ int dev = open("/dev/fuse", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	_cleanup_fd_ int fs = -1;
	char number[16];
	int mount_fd;

	*what = "open /dev/fuse";
	if (dev < 0)
		return -1;
	snprintf(number, sizeof(number), "%d", dev);
	*what = "make a FUSE filesystem";
	fs = sys_fsopen("fuse", FSOPEN_CLOEXEC);
	/* allow_other: the guest's ids are others than the mounter's. Ids and modes are checked by the kernel. */
	if (fs < 0 || sys_fsconfig(fs, FSCONFIG_SET_STRING, "source", "vrun", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "fd", number, 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "rootmode", "40555", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "user_id", "0", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_STRING, "group_id", "0", 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_FLAG, "allow_other", NULL, 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_SET_FLAG, "default_permissions", NULL, 0) < 0 ||
	    sys_fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return -1;
	mount_fd = sys_fsmount(fs, FSMOUNT_CLOEXEC,
			       MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mount_fd < 0)
		return -1;
	*device_fd = dev;
	dev = -1;
	return mount_fd;
}

/* Detached mounts of single entries, while another process serves. Before Linux 6.15 pieces of a mount that isn't in the
 * caller's mount namespace can't be taken: then it is put over "/" (which no path but "/.." ever sees) for a moment.
 * The caller's mount namespace is its own, and nothing propagates out of it. */
static int take_pieces(int mount_fd, const char *const *names, size_t n, int *fds)
{
	for (size_t i = 0; i < n; i++) {
		fds[i] = sys_open_tree(mount_fd, names[i], OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW);
		if (fds[i] < 0)
			return -1;
	}
	return 0;
}

/* All names with one request, instead of one for each; that there are no more, nobody asks. Only speed: errors show
 * later. */
static void read_names(int mount_fd)
{
	_cleanup_fd_ int dir = openat(mount_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char names[4096];

	if (dir >= 0)
		syscall(SYS_getdents64, dir, names, sizeof(names));
}

int fuse_pieces(int mount_fd, const char *const *names, size_t n, int *fds)
{
	int result;

	read_names(mount_fd);
	if (take_pieces(mount_fd, names, n, fds) == 0)
		return 0;
	if (errno != EINVAL)
		return -1;
	_cleanup_fd_ int cwd = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (cwd < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0 ||
	    sys_move_mount(mount_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) < 0)
		return -1;
	result = take_pieces(mount_fd, names, n, fds);
	if (fchdir(mount_fd) < 0 || umount2(".", MNT_DETACH) < 0 || fchdir(cwd) < 0)
		return -1;
	return result;
}

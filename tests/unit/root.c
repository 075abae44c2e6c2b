/* SPDX-License-Identifier: ISC */
/* root.c's parsers: what they take, what they make of it, and that what they refuse changes nothing. */
#include "../../root.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static void empty(struct root *r)
{
	for (size_t i = 0; i < r->n_bind; i++) {
		free(r->bind[i].src);
		free(r->bind[i].dst);
	}
	for (size_t i = 0; i < r->n_tmpfs; i++)
		free(r->tmpfs[i].dst);
	for (size_t i = 0; i < r->n_device; i++)
		free(r->device[i].path);
	free(r->bind);
	free(r->tmpfs);
	free(r->device);
	free(r->cow);
	*r = (struct root){ 0 };
}

typedef const char *parser(struct root *, const char *);

static void refuses(parser *f, const char *flag, const char *arg)
{
	struct root r = { 0 }, none = { 0 };
	char what[200];
	const char *why = f(&r, arg);

	snprintf(what, sizeof(what), "%s '%s' is refused: %s", flag, arg, why ? why : "no");
	check(why && memcmp(&r, &none, sizeof(r)) == 0, what);
	empty(&r);
}

static void bind(const char *arg, const char *src, const char *dst, unsigned flags)
{
	struct root r = { 0 };
	const char *why = root_parse_bind(&r, arg);

	check(!why && r.n_bind == 1 && !strcmp(r.bind[0].src, src) && !strcmp(r.bind[0].dst, dst) &&
	      r.bind[0].flags == flags && r.bind[0].src_fd == -1, arg);
	empty(&r);
}

static void binds(void)
{
	static const char *const bad[] = {
		"", ":", ":/a", "a", "a:b", "/a:", "/a:b", "/a:/", "/a://", "/a:/.", "/", "/a:/b/..", "/a:/../b", "/..",
		"/a:/b:", "/a:/b:ro,", "/a:/b:,ro", "/a:/b:RO", "/a:/b:dev", "/a:/b:ro,rw", "/a:/b:rw,ro", "/a:/b:exec,noexec",
		"/a:/b:ro:", "/a:/b:ro:x", "/a:b\\:/c",
	};

	bind("/a", "/a", "/a", 0);
	bind("a:/b", "a", "/b", 0);
	bind("../x/./y:/b", "../x/./y", "/b", 0);
	bind("/a://b//./c/", "/a", "/b/c", 0);
	bind("/a:/...:ro", "/a", "/...", BIND_RO);
	bind("/a:/..b", "/a", "/..b", 0);
	bind("/a\\:b:/c\\:d:rw", "/a:b", "/c:d", 0);
	bind("/a\\\\:/c", "/a\\", "/c", 0);
	bind("/a\\x:/c", "/a\\x", "/c", 0);
	bind("/a:/b:ro,noexec,suid,idmap,norec,try", "/a", "/b", 63);
	bind("/a:/b:rw,exec", "/a", "/b", 0);
	bind("/a:/b:ro,ro", "/a", "/b", BIND_RO);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(root_parse_bind, "--bind", bad[i]);
}

static void tmpfs(const char *arg, const char *dst, uint64_t size, unsigned mode)
{
	struct root r = { 0 };
	const char *why = root_parse_tmpfs(&r, arg);

	check(!why && r.n_tmpfs == 1 && !strcmp(r.tmpfs[0].dst, dst) && r.tmpfs[0].size_bytes == size &&
	      r.tmpfs[0].mode == mode, arg);
	empty(&r);
}

static void tmpfses(void)
{
	static const char *const bad[] = {
		"", "a", "/", "/a/..", "none:", "/a:", "/a:size=", "/a:size=0", "/a:size=inf", "/a:size=-1", "/a:size=1,size=2",
		"/a:mode=", "/a:mode=8", "/a:mode=10000", "/a:mode=-1", "/a:mode=0", "/a:mode=700,mode=700", "/a:mode=0x1ff",
		"/a:uid=0", "/a:size=1,", "/a:size=1:mode=700", "/a:size=99999999999999999999",
	};
	struct root r = { 0 };

	tmpfs("/a", "/a", 0, 0);
	tmpfs("/a:size=1M", "/a", 1 << 20, 0);
	tmpfs("//a/:mode=0755,size=64K", "/a", 65536, 0755);
	tmpfs("/a:mode=1777", "/a", 0, 01777);
	check(!root_parse_tmpfs(&r, "none") && r.tmpfs_none && r.n_tmpfs == 0, "none");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(root_parse_tmpfs, "--tmpfs", bad[i]);
}

static void others(void)
{
	static const char *const bad_device[] = {
		"", "/", "/dev", "/dev/", "/devx", "/etc/passwd", "dev/null", "/dev/../etc/x", "/dev/x:", "/dev/x:rw",
		"/dev/x:ro:ro", "/dev/x:ro,ro", "/dev/pts/0", "/dev/./shm/x",
	};
	static const char *const bad_cow[] = { "", "tmpfs:", "tmpfs:0", "tmpfs:inf", "tmpfs:-1", "tmpfs:1x" };
	static const char *const bad_disk[] = {
		"", "0", "inf", "1G,", "1G,inodes=", "1G,inodes=0", "1G,inodes=1,", "1G,inode=1", ",inodes=1", "1G,1G",
		"11111111111111111111111111111111111111111111",
	};
	struct root r = { 0 };

	check(!root_parse_device(&r, "/dev//disk/./x:ro") && r.device[0].ro && !strcmp(r.device[0].path, "/dev/disk/x"),
	      "a device");
	check(!root_parse_cow(&r, "tmpfs:1M") && r.cow_tmpfs && r.cow_tmpfs_bytes == 1 << 20, "tmpfs:1M");
	check(root_parse_cow(&r, "dir") != NULL && !r.cow, "--cow twice");
	empty(&r);
	check(!root_parse_cow(&r, "./tmpfs") && !r.cow_tmpfs && !strcmp(r.cow, "./tmpfs"), "./tmpfs is a directory");
	check(!root_parse_disk(&r, "1G,inodes=7") && r.disk_bytes == 1 << 30 && r.disk_inodes == 7, "1G,inodes=7");
	empty(&r);
	for (size_t i = 0; i < sizeof(bad_device) / sizeof(bad_device[0]); i++)
		refuses(root_parse_device, "--device", bad_device[i]);
	for (size_t i = 0; i < sizeof(bad_cow) / sizeof(bad_cow[0]); i++)
		refuses(root_parse_cow, "--cow", bad_cow[i]);
	for (size_t i = 0; i < sizeof(bad_disk) / sizeof(bad_disk[0]); i++)
		refuses(root_parse_disk, "--disk", bad_disk[i]);
}

int main(void)
{
	binds();
	tmpfses();
	others();
	return failed;
}

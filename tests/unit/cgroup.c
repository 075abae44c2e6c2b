/* SPDX-License-Identifier: ISC */
/* cgroup.c: the kernel's tables as text, and /etc/subuid. */
#include "../../cgroup.c"

static int failed, count;

static void check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
	failed |= !ok;
}

static bool line(const char *text, const char *type, const char *want_dir, const char *want_options)
{
	char copy[256], *dir, *options;

	snprintf(copy, sizeof(copy), "%s", text);
	if (!mount_line(copy, type, &dir, &options))
		return !want_dir;
	return want_dir && !strcmp(dir, want_dir) && !strcmp(options, want_options);
}

static void mounts(void)
{
	check(line("35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 master:1 - cgroup cgroup rw,memory\n", "cgroup",
		   "/sys/fs/cgroup/memory", "rw,memory"), "a v1 hierarchy with optional fields");
	check(line("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n", "cgroup2", "/sys/fs/cgroup/unified",
		   "rw"), "a v2 one without");
	check(line("41 31 0:38 / /x rw - cgroup2 none rw\n", "cgroup", NULL, NULL), "another type is another type");
	check(line("41 31 0:38 /docker/1 /x rw - cgroup2 none rw\n", "cgroup2", NULL, NULL), "a part of a tree is no tree");
	check(line("41 31 0:38 / /x\\040y rw - cgroup2 none rw\n", "cgroup2", NULL, NULL), "nor is an escaped path taken");
	check(line("nonsense", "cgroup2", NULL, NULL) && line(" - ", "cgroup2", NULL, NULL) &&
	      line(" - cgroup2", "cgroup2", NULL, NULL) && line("1 - cgroup2 a b", "cgroup2", NULL, NULL),
	      "no line is no mount");
	check(has_word("cpu,cpuacct", "cpu") && has_word("a cpuset\n", "cpuset") && has_word("memory", "memory"),
	      "a word in a list");
	check(!has_word("cpuset,cpuacct", "cpu") && !has_word("xmemory", "memory") && !has_word("", "cpu"),
	      "part of a word is none");
}

static void subids(void)
{
	char path[] = "/tmp/vrun-unit.XXXXXX";
	const char *text = "# user:100:1\nuser:131072:65536\nbroken\n:5:\nother:1835008:1000:\nlast:4294967295:1";
	int fd = mkstemp(path);
	struct id_range *r = NULL;
	size_t n;

	write_all(fd, text, strlen(text));
	n = read_subids(path, &r, 0);
	check(n == 2 && r[0].first == 131072 && r[0].count == 65536 && strstr(r[0].where, ":2"), "a line and its number");
	check(n == 2 && strstr(r[1].where, ":6"), "what isn't one is passed over");
	check(overlaps(2, r, n) && !overlaps(3, r, n) && !overlaps(1, r, n), "65536 ids are one context's");
	check(overlaps(65535, r, n) != NULL, "up to the last id");
	n = read_subids("/nonexistent", &r, n);
	check(n == 2, "no file, no ranges");
	for (size_t i = 0; i < n; i++)
		free(r[i].where);
	free(r);
	close_fd(&fd);
	unlink(path);
}

int main(void)
{
	mounts();
	subids();
	check(is_number("2") && is_number("65534") && !is_number("") && !is_number("1a") && !is_number("123456") &&
	      !is_number("-1"), "xids are numbers");
	printf("1..%d\n", count);
	return failed;
}

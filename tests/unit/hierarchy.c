/* SPDX-License-Identifier: ISC */
/* hierarchy.c: the kernel's mount table as text. */
#include "../../hierarchy.c"

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

int main(void)
{
	mounts();
	printf("1..%d\n", count);
	return failed;
}

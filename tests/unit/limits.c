/* SPDX-License-Identifier: ISC */
/* limits.c: what its parsers take and refuse, and how the kernel's accounting files are read. */
#define host_proc_fd fake_proc_fd       /* whose `swaps` a test writes */
#include "../../limits.c"
#include <sys/wait.h>

static int fake_fd;                     /* a directory that plays a guest's cgroup, and /proc */
int host_proc_fd(void) { return fake_fd; }

static int failed, count;

static void check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
	failed |= !ok;
}

typedef const char *parser(struct limits *, const char *);

static void forget(struct limits *l)
{
	for (size_t i = 0; i < l->n_io; i++)
		free(l->io[i].dev);
	for (size_t i = 0; i < l->n_sysctl; i++) {
		free(l->sysctl[i].key);
		free(l->sysctl[i].value);
	}
	free(l->rlimit);
	free(l->io);
	free(l->sysctl);
	memset(l, 0, sizeof(*l));
}

static void takes(parser *f, const char *const *arg)
{
	for (; *arg; arg++) {
		struct limits l = { 0 };

		check(!f(&l, *arg), quote(*arg));
		forget(&l);
	}
}

/* A refused word changes nothing. */
static void refuses(parser *f, const char *const *arg)
{
	static const struct limits none;

	for (; *arg; arg++) {
		struct limits l = { 0 };

		check(f(&l, *arg) && !memcmp(&l, &none, sizeof(l)), quote(*arg));
		forget(&l);
	}
}

static void cpu(void)
{
	static const char *const cpus[] = { "1", "0.5", "0.01", "2", "1.25", "0.999", "65536", "inf", NULL };
	static const char *const not_cpus[] = { "", "0", "0.009", "-1", "1.", ".5", "1.2345", "1,5", "65537", "1e3", "x",
		"0.5x", "+1", " 1", "99999999999999999999", NULL };
	static const char *const rates[] = { "1/4", "250/1000", "4000/1000", "10/100,burst=10", "10/100,burst=0", "1/1",
		"inf", NULL };
	static const char *const not_rates[] = { "", "/", "1", "1/", "/4", "0/4", "1/0", "1/1001", "10/100,burst=11",
		"10/100,", "10/100,burst=", "10/100,b=1", "10,burst=1/100", "1.5/4", "-1/4", "10/100,burst=5,burst=5",
		"99999999999/100", NULL };
	struct limits l = { 0 };

	takes(limits_parse_cpus, cpus);
	refuses(limits_parse_cpus, not_cpus);
	takes(limits_parse_cpu_rate, rates);
	refuses(limits_parse_cpu_rate, not_rates);
	check(!limits_parse_cpus(&l, "1.25") && l.cpu_quota_us == 125000 && l.cpu_period_us == 100000,
	      "1.25 CPUs are 125 ms in 100");
	check(!limits_parse_cpu_rate(&l, "7/32,burst=4") && l.cpu_quota_us == 7000 && l.cpu_period_us == 32000 &&
	      l.cpu_burst_us == 4000, "the token bucket's three numbers");
}

static void cpuset(void)
{
	static const char *const good[] = { "0", "0-3", "0,2", "0-1,4-7,9", "65535", "inf", NULL };
	static const char *const bad[] = { "", ",", "0,", ",0", "-", "1-", "-1", "3-1", "0--1", "0-1-2", "a", "0 1",
		"65536", "1234567", "0\n", NULL };
	static uint8_t map[MAX_CPUS / 8];

	for (size_t i = 0; good[i]; i++) {
		char *out = NULL;

		check(!limits_parse_cpuset(&out, good[i]) && out && !strcmp(out, good[i]), quote(good[i]));
		free(out);
	}
	for (size_t i = 0; bad[i]; i++) {
		char *out = NULL;

		check(limits_parse_cpuset(&out, bad[i]) && !out, quote(bad[i]));
	}
	parse_cpu_map("0-2,8,15-16\n", map);
	check(map[0] == 7 && map[1] == 0x81 && map[2] == 1 && !map[3], "a list becomes a map");
	parse_cpu_map("\n", map);
	check(!map[0], "an empty one, too");
	parse_cpu_map("4294967295-4294967299,99999999999", map);
	check(!map[0], "numbers beyond the map are none");
}

static void others(void)
{
	static const char *const io[] = { "/dev/sda:rbps=1M", "/dev/sda:wbps=1,riops=2,wiops=3,rbps=4", "/dev/a:b:riops=1",
		"/dev/sda:rbps=inf,riops=inf", NULL };
	static const char *const not_io[] = { "", ":", "/dev/sda", "/dev/sda:", ":rbps=1", "/dev/sda:rbps", "/dev/sda:rbps=",
		"/dev/sda:rbps=0", "/dev/sda:riops=0", "/dev/sda:riops=1K", "/dev/sda:rbps=1,rbps=2", "/dev/sda:x=1",
		"/dev/sda:rbps=1,", NULL };
	static const char *const rlimits_good[] = { "nofile=1", "nofile=1:2", "core=0", "as=1G", "stack=8M:inf", "cpu=inf",
		"nice=40", NULL };
	static const char *const rlimits_bad[] = { "", "=", "nofile", "nofile=", "nofile=:", "nofile=1:", "nofile=:1",
		"nofile=2:1", "nofile=inf:1", "nofile=1K", "NOFILE=1", "nofil=1", "nofile=1:2:3", "nofile=-1",
		"as=99999999999999999999", "as=1111111111111111111111111111111111111111", NULL };
	static const char *const sysctls[] = { "kernel.shmmax=1", "kernel.sem=1 2 3 4", "fs.mqueue.msg_max=10", NULL };
	static const char *const not_sysctls[] = { "", "=", "kernel.shmmax", "kernel.shmmax=", "kernel.shmmax=a",
		"kernel.hostname=1", "kernel.shm=1", "kernel.shmmax.=1", "kernel/shmmax=1", "net.ipv4.ip_forward=1",
		"kernel.shmmax=1\n", "../kernel.shmmax=1", NULL };
	struct limits l = { 0 };

	takes(limits_parse_io, io);
	refuses(limits_parse_io, not_io);
	takes(limits_parse_rlimit, rlimits_good);
	refuses(limits_parse_rlimit, rlimits_bad);
	takes(limits_parse_sysctl, sysctls);
	refuses(limits_parse_sysctl, not_sysctls);
	check(!limits_parse_rlimit(&l, "nofile=1:2") && limits_parse_rlimit(&l, "nofile=3") && l.n_rlimit == 1,
	      "one rlimit is given once");
	check(!limits_parse_io(&l, "/dev/a:rbps=1") && limits_parse_io(&l, "/dev/a:wbps=1") && l.n_io == 1,
	      "one device is given once");
	forget(&l);
}

static void write_file(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write_all(fd, text, strlen(text)))
		perror(name);
	close_fd(&fd);
}

/* A guest's cgroup with these files, all empty, in the hierarchy of v1 or in cgroup2. */
static struct cgroup cgroup_with(bool v1, const char *const *file)
{
	struct cgroup cg = { .dir_fd = fake_fd, .v1_dir_fd = { fake_fd }, .v1_name = { "memory" }, .n_v1 = v1, .xid = 7 };

	for (; *file; file++)
		write_file(fake_fd, *file, "");
	return cg;
}

static bool has(const char *file, const char *want)
{
	char text[64] = "";

	read_at(fake_fd, file, text, sizeof(text));
	return strcmp(text, want) == 0;
}

/* What apply_memory() dies of; "" if it doesn't. */
static const char *error_of(struct limits l, const struct cgroup *cg)
{
	static char text[512];
	int32_t code = 0;
	int fd[2], n;

	if (pipe(fd))
		return "pipe";
	fflush(stdout);
	if (fork() == 0) {
		util_error_fd = fd[1];
		apply_memory(&l, cg);
		_exit(0);
	}
	close(fd[1]);
	n = read_error(fd[0], &code, text, sizeof(text));
	close(fd[0]);
	while (wait(NULL) < 0 && errno == EINTR)
		;
	return n != 1 ? "" : code != EXIT_VRUN ? "another exit code" : text;
}

static bool says(struct limits l, const struct cgroup *cg, const char *want) { return strstr(error_of(l, cg), want); }

static void memory(void)
{
	static const char *const v1[] = { "memory.limit_in_bytes", "memory.memsw.limit_in_bytes", NULL };
	static const char *const v2[] = { "memory.max", "memory.swap.max", NULL };
	static const char some_swap[] = "Filename Type\n/dev/sdb partition\n", no_swap[] = "Filename Type\n";
	static const char not_counted[] = "--swap: this kernel counts no swap", alone[] = "--swap: needs a limit on --memory";
	const struct limits limit = { .memory_bytes = 4096 }, none = { .memory_bytes = UINT64_MAX },
		with_swap = { .memory_bytes = 4096, .swap_bytes = 100, .have_swap = true },
		all_swap = { .memory_bytes = 4096, .swap_bytes = UINT64_MAX, .have_swap = true },
		swap_alone = { .swap_bytes = 100, .have_swap = true },
		no_memory_limit = { .memory_bytes = UINT64_MAX, .swap_bytes = 100, .have_swap = true };
	struct cgroup cg = cgroup_with(false, v2);

	check(!*error_of(limit, &cg) && has("memory.max", "4096") && has("memory.swap.max", "0"),
	      "v2: --memory alone allows no swap");
	cg = cgroup_with(false, v2);
	check(!*error_of(all_swap, &cg) && has("memory.swap.max", "max"), "v2: --swap inf");
	cg = cgroup_with(false, v2);
	check(!*error_of(none, &cg) && has("memory.max", "max") && has("memory.swap.max", "max"),
	      "v2: --memory inf");
	unlinkat(fake_fd, "memory.swap.max", 0);
	write_file(fake_fd, "swaps", some_swap);
	check(says(limit, &cg, not_counted), "v2 without swap accounting, on a host with swap");
	check(!*error_of(all_swap, &cg), "there --swap inf is no limit");
	write_file(fake_fd, "swaps", no_swap);
	check(!*error_of(limit, &cg), "where there is no swap none needs to be counted");

	cg = cgroup_with(true, v1);
	check(!*error_of(with_swap, &cg) && has("memory.limit_in_bytes", "4096") &&
	      has("memory.memsw.limit_in_bytes", "4196"),
	      "v1: --swap beyond --memory is their sum");
	cg = cgroup_with(true, v1);
	check(!*error_of(all_swap, &cg) && has("memory.memsw.limit_in_bytes", "-1"), "v1: --swap inf");
	write_file(fake_fd, "memory.limit_in_bytes", "9223372036854771712\n");
	check(says(swap_alone, &cg, alone), "v1: --swap alone");
	check(says(no_memory_limit, &cg, alone), "v1: --memory inf with --swap");
	cg = cgroup_with(true, v1);
	write_file(fake_fd, "memory.limit_in_bytes", "4096\n");
	check(!*error_of(swap_alone, &cg) && has("memory.memsw.limit_in_bytes", "4196"),
	      "v1: --swap beside a limit that is there");
	unlinkat(fake_fd, "memory.memsw.limit_in_bytes", 0);
	write_file(fake_fd, "swaps", some_swap);
	check(says(limit, &cg, not_counted), "v1 without swap accounting, on a host with swap");
}

static void accounting(void)
{
	int fd = fake_fd;

	write_file(fd, "cpu.stat", "usage_usec 30\nuser_usec 10\nsystem_usec 20\nnr_bursts 0\n");
	write_file(fd, "pids.max", "max\n");
	write_file(fd, "io.stat", "8:0 rbytes=100 wbytes=7 rios=1\n8:16 rbytes=11 wbytes=0\n");
	write_file(fd, "empty", "");
	check(number_in(fd, "cpu.stat", "user_usec") == 10 && number_in(fd, "cpu.stat", "nr_bursts") == 0,
	      "a key's number is found");
	check(number_in(fd, "cpu.stat", "usec") == ABSENT && number_in(fd, "cpu.stat", "user") == ABSENT,
	      "part of a key is no key");
	check(number_in(fd, "pids.max", "") == ABSENT, "max is no number");
	check(number_in(fd, "empty", "") == ABSENT && number_in(fd, "nosuch", "") == ABSENT, "nothing is no number");
	check(device_sum(fd, "io.stat", " rbytes=") == 111 && device_sum(fd, "nosuch", "x") == ABSENT,
	      "devices are summed up");
	check(v1_limit(9223372036854771712u) == ABSENT && v1_limit(4096) == 4096, "v1's no limit is none");
}

int main(void)
{
	static const char *const names[] = { "cpu.stat", "pids.max", "io.stat", "empty", "swaps", "memory.max",
		"memory.swap.max", "memory.limit_in_bytes", "memory.memsw.limit_in_bytes" };
	char dir[] = "/tmp/vrun-unit.XXXXXX";

	fake_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
	cpu();
	cpuset();
	others();
	memory();
	accounting();
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(fake_fd, names[i], 0);
	close_fd(&fake_fd);
	rmdir(dir);
	printf("1..%d\n", count);
	return failed;
}

/* SPDX-License-Identifier: ISC */
/* limits.c: what its parsers take and refuse, and how the kernel's accounting files are read. */
#include "../../limits.c"

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

static void accounting(void)
{
	static const char *const names[] = { "cpu.stat", "pids.max", "io.stat", "empty" };
	char dir[] = "/tmp/vrun-unit.XXXXXX";
	int fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

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
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		unlinkat(fd, names[i], 0);
	close_fd(&fd);
	rmdir(dir);
}

int main(void)
{
	cpu();
	cpuset();
	others();
	accounting();
	printf("1..%d\n", count);
	return failed;
}

/* SPDX-License-Identifier: ISC */
/* What a guest reads of the machine: the files of two kernels as templates, a guest's numbers in them. */
#include <ctype.h>
#include <fcntl.h>

#include "../../views.c"

static int count, failures;

static void is_true(bool holds, const char *sentence)
{
	printf("%s %d - %s\n", holds ? "ok" : "not ok", ++count, sentence);
	failures += !holds;
}

static void is_text(const char *got, const char *expected, const char *sentence)
{
	bool same = !strcmp(got, expected);

	is_true(same, sentence);
	if (!same)
		printf("# got:      %s\n# expected: %s\n", got, expected);
}

static const char *release;

/* A sample of linux-`release`, read where make stands: at the top. */
static char *sample(const char *name)
{
	static char texts[8][65536];
	static unsigned next;
	char path[128], *text = texts[next++ % 8];
	ssize_t n;

	snprintf(path, sizeof(path), "tests/unit/samples/linux-%s/%s", release, name);
	n = read_at(AT_FDCWD, path, text, sizeof(texts[0]));
	if (n < 0)
		die_sys("%s", path);
	return text;
}

typedef size_t renderer(char *buf, size_t room, const struct numbers *n, const char *host);

static char *rendered(renderer *f, const struct numbers *n, const char *host)
{
	static char texts[4][65536];
	static unsigned next;
	char *text = texts[next++ % 4];
	size_t len = f(text, sizeof(texts[0]) - 1, n, host);

	text[len] = '\0';
	return text;
}

/* Line by line: the same words before the values, and where both values are short, the same columns. */
static bool same_form(const char *got, const char *host)
{
	struct line a, b;

	while (next_line(&got, &a)) {
		size_t key;

		if (!next_line(&host, &b))
			return false;
		for (key = 0; key < b.len && b.s[key] != ' '; key++)
			;
		if (a.len < key || memcmp(a.s, b.s, key) || count_fields(&a) != count_fields(&b))
			return false;
	}
	return !next_line(&host, &b);
}

static const char *line_of(const char *text, const char *key)
{
	static char lines[4][256];
	static unsigned next;
	char *out = lines[next++ % 4];
	struct line l;

	out[0] = '\0';
	while (next_line(&text, &l))
		if (starts(&l, key)) {
			snprintf(out, sizeof(lines[0]), "%.*s", (int)l.len, l.s);
			break;
		}
	return out;
}

static const char v2_stat[] =
	"anon 10485760\nfile 20971520\nkernel_stack 65536\npagetables 131072\nsec_pagetables 0\npercpu 4096\n"
	"vmalloc 8192\nshmem 1048576\nzswap 0\nzswapped 0\nfile_mapped 4194304\nfile_dirty 8192\n"
	"file_writeback 4096\nswapcached 0\nanon_thp 2097152\nfile_thp 0\nshmem_thp 0\ninactive_anon 11000000\n"
	"active_anon 534336\ninactive_file 15000000\nactive_file 4922944\nunevictable 0\n"
	"slab_reclaimable 2097152\nslab_unreclaimable 1048576\nslab 3145728\nworkingset_refault_anon 1\n"
	"pgfault 12345\npgmajfault 67\nthp_fault_alloc 3\n";

static void guest_numbers(struct numbers *n)
{
	*n = (struct numbers){
		.mem_total = 64 << 20, .mem_used = 40 << 20, .swap_total = 32 << 20, .swap_used = 1 << 20,
		.user_us = 3000000, .nice_us = 10000, .system_us = 1500000, .uptime_ns = 100500000000,
		.boot_offset_secs = -1000, .running = 1, .blocked = 2, .tasks = 5, .last_pid = 42,
		.load = { 2048, 1024, 0 },
	};
	n->allowed[0] = n->online[0] = 1;
	views_parse_memory_stat(v2_stat, false, n);
}

static void meminfo(const struct numbers *n)
{
	struct numbers big = *n;
	char *host = sample("meminfo"), *text = rendered(views_render_meminfo, n, host);

	is_true(same_form(text, host), "meminfo: every line of this kernel, in its order");
	is_text(line_of(text, "MemTotal:"), "MemTotal:          65536 kB", "MemTotal is the limit, in its column");
	is_text(line_of(text, "MemFree:"), "MemFree:           24576 kB", "MemFree is what is left of it");
	is_text(line_of(text, "MemAvailable:"), "MemAvailable:      46080 kB", "MemAvailable counts cache");
	is_text(line_of(text, "Buffers:"), "Buffers:               0 kB", "nobody accounts buffers to a guest");
	is_text(line_of(text, "Cached:"), "Cached:            20480 kB", "Cached is the guest's");
	is_text(line_of(text, "Slab:"), "Slab:               3072 kB", "Slab is the sum");
	is_text(line_of(text, "SwapFree:"), "SwapFree:          31744 kB", "swap is the guest's");
	is_text(line_of(text, "CommitLimit:"), "CommitLimit:       65535 kB", "half of memory, and swap");
	is_text(line_of(text, "HugePages_Total:"), line_of(host, "HugePages_Total:"), "a line without a unit");
	is_text(line_of(text, "VmallocTotal:"), line_of(host, "VmallocTotal:"), "a value wider than its column");
	is_text(line_of(text, "DirectMap4k:"), "DirectMap4k:           0 kB", "the host's mappings are not told");
	big.mem_total = views_parse_key(host, "MemTotal") * 1024;
	is_text(line_of(rendered(views_render_meminfo, &big, host), "MemTotal:"), line_of(host, "MemTotal:"),
		"without a limit MemTotal is the host's, to the byte");
	big.mem_total = 1ULL << 50;
	is_text(line_of(rendered(views_render_meminfo, &big, host), "MemTotal:"), "MemTotal:       1099511627776 kB",
		"a petabyte is as wide as the kernel prints it");
}

static void node(const struct numbers *n)
{
	static const char host[] = "Node 0 MemTotal:       24684092 kB\nNode 0 MemUsed:         4827032 kB\n"
		"Node 0 Active(anon):      12308 kB\nNode 0 FilePages:       1188808 kB\nNode 0 HugePages_Total:     4\n";
	uint64_t mask[VIEWS_CPU_WORDS] = { 1 };
	char room[64];

	is_text(rendered(views_render_meminfo, n, host), "Node 0 MemTotal:          65536 kB\n"
		"Node 0 MemUsed:           40960 kB\nNode 0 Active(anon):        521 kB\n"
		"Node 0 FilePages:         20480 kB\nNode 0 HugePages_Total:     0\n", "a node's meminfo: its number, then the same");
	is_text(rendered(views_render_zeros, n, "numa_hit 457780456\nnuma_miss 1\n"), "numa_hit 0\nnuma_miss 0\n",
		"what nobody accounts is 0");
	is_true(views_render_cpumap(room, sizeof(room), mask) == 2 && !memcmp(room, "1\n", 2), "a map of one CPU");
	mask[1] = 5;
	is_true(views_render_cpumap(room, sizeof(room), mask) == 20 && !memcmp(room, "5,00000000,00000001\n", 20),
		"a map of many is in words of 32");
	mask[0] = mask[1] = 0;
	is_true(views_render_cpumap(room, sizeof(room), mask) == 2 && !memcmp(room, "0\n", 2), "a map of none");
}

static void vmstat_swaps(const struct numbers *n)
{
	struct numbers none = *n;
	char *host = sample("vmstat"), *text = rendered(views_render_vmstat, n, host), expected[64];
	const unsigned long page = (unsigned long)sysconf(_SC_PAGESIZE);

	is_true(same_form(text, host), "vmstat: every line of this kernel, in its order");
	snprintf(expected, sizeof(expected), "nr_free_pages %lu", (24UL << 20) / page);
	is_text(line_of(text, "nr_free_pages"), expected, "nr_free_pages in pages");
	snprintf(expected, sizeof(expected), "nr_anon_pages %lu", (10UL << 20) / page);
	is_text(line_of(text, "nr_anon_pages"), expected, "nr_anon_pages");
	is_text(line_of(text, "nr_anon_transparent_hugepages"), "nr_anon_transparent_hugepages 1", "huge pages are counted");
	is_text(line_of(text, "nr_kernel_stack"), "nr_kernel_stack 64", "kernel stacks in KiB");
	is_text(line_of(text, "pgfault"), "pgfault 12345", "events under their own name");
	is_text(line_of(text, "pgpgin"), "pgpgin 0", "the host's events are not told");
	host = sample("swaps");
	is_text(rendered(views_render_swaps, n, host), "Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n"
		"none                                    virtual\t\t32768\t\t1024\t\t-2\n", "swaps: one, without a name");
	none.swap_total = 0;
	is_text(rendered(views_render_swaps, &none, host), host, "swaps: none");
}

static void cpus(const struct numbers *one)
{
	struct numbers two = *one;
	char *host = sample("stat"), *text = rendered(views_render_stat, one, host), expected[64];
	const char *old;

	is_text(line_of(text, "cpu "), "cpu  300 1 150 9599 0 0 0 0 0 0", "stat: the guest's time, the rest is idle");
	is_text(line_of(text, "cpu0"), "cpu0 300 1 150 9599 0 0 0 0 0 0", "stat: of its only CPU");
	is_text(line_of(text, "cpu1"), "", "stat: and no other");
	two.online[0] = 3;
	text = rendered(views_render_stat, &two, host);
	is_true(same_form(text, host), "stat: with as many CPUs as the host, every line and field of this kernel");
	is_text(line_of(text, "cpu0"), "cpu0 150 1 75 9825 0 0 0 0 0 0", "stat: one of two");
	snprintf(expected, sizeof(expected), "btime %" PRIu64, views_parse_key(host, "btime") + 1000);
	is_text(line_of(text, "btime"), expected, "btime is when the guest started");
	is_text(line_of(text, "ctxt"), "ctxt 0", "the host's context switches are not told");
	is_text(line_of(text, "procs_running"), "procs_running 1", "procs_running");
	is_text(line_of(text, "procs_blocked"), "procs_blocked 2", "procs_blocked");
	old = "cpu  1 2 3 4 5 6 7\ncpu0 1 2 3 4 5 6 7\nctxt 5\n";
	is_text(rendered(views_render_stat, one, old), "cpu  300 1 150 9599 0 0 0\ncpu0 300 1 150 9599 0 0 0\nctxt 0\n",
		"stat: as many fields as an older kernel has");
	host = sample("cpuinfo");
	is_text(rendered(views_render_cpuinfo, &two, host), host, "cpuinfo: with all CPUs the host's, to the byte");
	two.online[0] = 2;
	text = rendered(views_render_cpuinfo, &two, host);
	is_text(line_of(text, "processor"), "processor\t: 1", "cpuinfo: a CPU keeps its number");
	is_text(line_of(text, "siblings"), "siblings\t: 1", "cpuinfo: it has no sibling");
	is_true(strlen(text) < strlen(host) * 6 / 10, "cpuinfo: and is the only one");
	old = "processor\t: 0\nBogoMIPS\t: 1\n\nprocessor\t: 1\nBogoMIPS\t: 1\n\nHardware\t: X\n";
	is_text(rendered(views_render_cpuinfo, one, old), "processor\t: 0\nBogoMIPS\t: 1\n\nHardware\t: X\n",
		"cpuinfo: what stands after the CPUs stays");
	is_text(rendered(views_render_uptime, one, ""), "100.65 95.99\n", "uptime, a little ahead, and the idle time of stat");
	is_text(rendered(views_render_loadavg, one, ""), "1.00 0.50 0.00 1/5 42\n", "loadavg");
}

static void disks(void)
{
	struct numbers n = { 0 };
	const char *host = " 254       0 vda 75 41 7442 41 1 0 8 1 0 56 44 0 0 0 0 1 0\n   7       0 loop0 1 2 3 4\n";

	views_parse_io_stat("254:0 rbytes=8192 wbytes=4096 rios=3 wios=1 dbytes=0 dios=0\n", &n);
	is_text(rendered(views_render_diskstats, &n, host), " 254       0 vda 3 0 16 0 1 0 8 0 0 0 0 0 0 0 0 0 0\n",
		"diskstats: the guest's part of the disks it used");
	memset(&n, 0, sizeof(n));
	views_parse_blkio("254:0 Read 8192\n254:0 Write 4096\n254:0 Sync 1\n254:0 Total 12288\nTotal 12288\n", true, &n);
	views_parse_blkio("254:0 Read 3\n254:0 Write 1\n254:0 Total 4\nTotal 4\n", false, &n);
	is_text(rendered(views_render_diskstats, &n, host), " 254       0 vda 3 0 16 0 1 0 8 0 0 0 0 0 0 0 0 0 0\n",
		"diskstats: the same from cgroup v1");
	n.n_disk = 0;
	is_text(rendered(views_render_diskstats, &n, host), "", "diskstats: no disk, no line");
}

static void lists(void)
{
	static const struct { const char *in, *out; } good[] = {
		{ "0\n", "0\n" }, { "0-3\n", "0-3\n" }, { "0,2-3,8191", "0,2-3,8191\n" }, { "1,2,3,63,64", "1-3,63-64\n" },
		{ "", "\n" },
	};
	static const char *const bad[] = { "a", "1-", "-1", "3-1", "8192", "1,,2", "0-99999999999999999999", "1;2" };
	uint64_t mask[VIEWS_CPU_WORDS], first[VIEWS_CPU_WORDS];
	char text[256];

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		bool ok = views_parse_cpus(good[i].in, mask);
		size_t len = views_render_cpulist(text, sizeof(text) - 1, mask);

		text[len] = '\0';
		is_true(ok && !strcmp(text, good[i].out), "a list of CPUs goes in and out");
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_true(!views_parse_cpus(bad[i], mask), bad[i]);
	views_parse_cpus("1,3,5-7", mask);
	views_first_cpus(mask, 3, first);
	is_true(views_count_cpus(first) == 3 && first[0] == 0x2a, "the first three of a list");
	views_first_cpus(mask, UINT32_MAX, first);
	is_true(!memcmp(first, mask, sizeof(first)), "all of it");
}

/* The kernel's own way, one tick after the other. */
static uint64_t calc_load(uint64_t load, uint64_t e, uint64_t active)
{
	uint64_t v = load * e + active * (2048 - e);

	return (v + (active >= load ? 2047 : 0)) / 2048;
}

static void load(void)
{
	struct load l = { .at_ns = 1000 };
	uint64_t one = 0;
	const uint64_t s = 1000000000;

	is_true(!views_load_tick(&l, 1000 + 4 * s, 2048) && !l.avg[0], "load: nothing before 5 s");
	for (int i = 1; i <= 12; i++) {
		one = calc_load(one, 1884, 2 * 2048);
		views_load_tick(&l, 1000 + 5 * s * (uint64_t)i, 2 * 2048);
	}
	is_true(l.avg[0] == one, "load: each tick as the kernel's");
	is_true(l.avg[0] > 2048 * 12 / 10 && l.avg[0] < 2048 * 13 / 10, "load: a minute of 2 is 1.26");
	l = (struct load){ .at_ns = 0 };
	is_true(views_load_tick(&l, 60 * s, 2 * 2048) && l.avg[0] + 8 > one && l.avg[0] < one + 8,
		"load: a minute at once is a minute");
	views_load_tick(&l, 3600 * s, 0);
	is_true(!l.avg[0] && l.avg[2] < 60, "load: an hour of rest");
	is_true(l.at_ns == 3600 * s, "load: the clock keeps its 5 s");
}

static uint64_t word(const unsigned char *p, size_t at, size_t size)
{
	uint64_t v = 0;

	memcpy(&v, p + at, size);
	return v;
}

static void sysinfo_both(const struct numbers *n)
{
	struct numbers big = *n;
	unsigned char b[128];

	memset(b, 0xee, sizeof(b));
	is_true(views_sysinfo(b, n, false) == 112 && b[112] == 0xee, "sysinfo: 112 bytes");
	is_true(word(b, 0, 8) == 101 && word(b, 8, 8) == 65536 && word(b, 16, 8) == 32768, "sysinfo: uptime, loads");
	is_true(word(b, 32, 8) == 64 << 20 && word(b, 40, 8) == 24 << 20 && word(b, 48, 8) == 1 << 20, "sysinfo: memory");
	is_true(word(b, 64, 8) == 32 << 20 && word(b, 72, 8) == 31 << 20, "sysinfo: swap");
	is_true(word(b, 80, 2) == 5 && word(b, 104, 4) == 1, "sysinfo: processes, mem_unit");
	memset(b, 0xee, sizeof(b));
	is_true(views_sysinfo(b, n, true) == 64 && b[64] == 0xee, "sysinfo, 32-bit: 64 bytes");
	is_true(word(b, 16, 4) == 64 << 20 && word(b, 52, 4) == 1 && word(b, 40, 2) == 5, "sysinfo, 32-bit: in bytes");
	big.mem_total = 8ULL << 30;
	views_sysinfo(b, &big, true);
	is_true(word(b, 16, 4) == 2 << 20 && word(b, 52, 4) == 4096 && word(b, 32, 4) == 8192,
		"sysinfo, 32-bit: in pages when bytes don't fit");
	big.tasks = 70000;
	views_sysinfo(b, &big, false);
	is_true(word(b, 80, 2) == 65535, "sysinfo: no more processes than fit");
}

static void parsing(void)
{
	struct numbers n = { 0 };
	char room[8];

	release = "6.18";
	views_parse_memory_stat(sample("memory.stat"), true, &n);
	is_true(stat_sum(&n, "anon", NULL) == views_parse_key(sample("memory.stat"), "total_rss"), "v1's rss is anon");
	is_true(!stat_sum(&n, "pgpgin", NULL) && !stat_sum(&n, "hierarchical_memory_limit", NULL), "v1's own words are left out");
	is_true(views_parse_key("a 1\nab 2\nabc 3\n", "ab") == 2, "a key is a whole word");
	is_true(views_parse_key("a 99999999999999999999999\n", "a") == UINT64_MAX, "too large a number is the largest");
	is_true(views_parse_key("", "a") == 0 && views_parse_key("a", "a") == 0, "no value is 0");
	guest_numbers(&n);
	is_true(views_render_uptime(room, 3, &n, "") == 13 && !memcmp(room, "100", 3), "a text that doesn't fit tells its length");
}

int main(void)
{
	static const char *const releases[] = { "6.1", "6.18" };
	struct numbers n;

	guest_numbers(&n);
	for (size_t i = 0; i < 2; i++) {
		release = releases[i];
		printf("# linux %s\n", release);
		meminfo(&n);
		vmstat_swaps(&n);
		cpus(&n);
	}
	disks();
	node(&n);
	lists();
	load();
	sysinfo_both(&n);
	parsing();
	printf("1..%d\n", count);
	return failures != 0;
}

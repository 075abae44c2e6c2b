/* SPDX-License-Identifier: ISC */
/*
 * views.c: the kernel's text to numbers, and numbers to the text that a guest reads.
 *
 * Theory of operation. Pure functions: no system call, no state, nothing of a guest. Each renderer takes the
 * host's file as a template and goes through it line by line: the running kernel's own lines, their order and
 * their width come out again, whatever version it is, and only the values are the guest's. A line whose value
 * nobody accounts for a guest says 0, never the host's value: what a later kernel adds leaks nothing.
 *
 * Renderers write into a buffer with a known room and return the length of the whole text, as snprintf(3)
 * does: a longer one than there is room means "again, with more".
 *
 * memory.stat is kept in cgroup2's words; the v1 file is translated while it is parsed.
 */
#define _GNU_SOURCE
#include "vrun.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- text out ---- */

struct out { char *buf; size_t room, len; };

static void put_bytes(struct out *o, const char *s, size_t n)
{
	if (o->len < o->room)
		memcpy(o->buf + o->len, s, n < o->room - o->len ? n : o->room - o->len);
	o->len += n;
}

static void __attribute__((format(printf, 2, 3))) put(struct out *o, const char *fmt, ...)
{
	char line[160];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	if (n > 0)
		put_bytes(o, line, (size_t)n < sizeof(line) ? (size_t)n : sizeof(line) - 1);
}

/* ---- text in ---- */

struct line { const char *s; size_t len; };     /* without its newline */

static bool next_line(const char **text, struct line *l)
{
	if (!**text)
		return false;
	l->s = *text;
	l->len = strcspn(l->s, "\n");
	*text += l->len + (l->s[l->len] == '\n');
	return true;
}

static bool starts(const struct line *l, const char *word)
{
	size_t n = strlen(word);

	return l->len >= n && !memcmp(l->s, word, n);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Decimal digits at s[*at], at most to `len`; saturates instead of wrapping. */
static uint64_t digits(const char *s, size_t len, size_t *at)
{
	uint64_t v = 0;

	for (; *at < len && is_digit(s[*at]); ++*at) {
		uint64_t d = (uint64_t)(s[*at] - '0');

		v = v > (UINT64_MAX - d) / 10 ? UINT64_MAX : v * 10 + d;
	}
	return v;
}

/* The value of `key` in a file of "key value" lines; 0 if there is none. */
uint64_t views_parse_key(const char *text, const char *key)
{
	size_t n = strlen(key);
	struct line l;

	while (next_line(&text, &l)) {
		size_t at = n + 1;

		if (l.len > n && !memcmp(l.s, key, n) && (l.s[n] == ' ' || l.s[n] == ':')) {
			while (at < l.len && l.s[at] == ' ')
				at++;
			return digits(l.s, l.len, &at);
		}
	}
	return 0;
}

/* "0-3,7": the CPUs set in mask. False if it is no such list. */
bool views_parse_cpus(const char *text, uint64_t mask[VIEWS_CPU_WORDS])
{
	size_t len = strcspn(text, "\n"), at = 0;

	memset(mask, 0, VIEWS_CPU_WORDS * sizeof(*mask));
	while (at < len) {
		size_t from = at;
		uint64_t first = digits(text, len, &at), last = first;

		if (at == from)
			return false;
		if (at < len && text[at] == '-') {
			from = ++at;
			last = digits(text, len, &at);
			if (at == from)
				return false;
		}
		if (first > last || last >= VIEWS_CPU_WORDS * 64)
			return false;
		for (; first <= last; first++)
			mask[first / 64] |= 1ULL << first % 64;
		if (at < len && text[at++] != ',')
			return false;
	}
	return true;
}

unsigned views_count_cpus(const uint64_t mask[VIEWS_CPU_WORDS])
{
	unsigned n = 0;

	for (size_t i = 0; i < VIEWS_CPU_WORDS; i++)
		n += (unsigned)__builtin_popcountll(mask[i]);
	return n;
}

/* The first n of `allowed`. */
void views_first_cpus(const uint64_t allowed[VIEWS_CPU_WORDS], unsigned n, uint64_t out[VIEWS_CPU_WORDS])
{
	memset(out, 0, VIEWS_CPU_WORDS * sizeof(*out));
	for (size_t i = 0; i < VIEWS_CPU_WORDS; i++)
		for (uint64_t left = allowed[i]; left && n; left &= left - 1, n--)
			out[i] |= left & -left;
}

static bool has_cpu(const uint64_t mask[VIEWS_CPU_WORDS], uint64_t cpu)
{
	return cpu < VIEWS_CPU_WORDS * 64 && mask[cpu / 64] >> cpu % 64 & 1;
}

/* Kernel's Documentation/admin-guide/cgroup-v1/memory.rst and cgroup-v2.rst. The v1 file has each value twice; the
 * hierarchical ones begin with total_. pgpgin and pgpgout are left out: in v1 they count charges, not disk. */
static const struct { const char *v1, *v2; } memory_names[] = {
	{ "cache", "file" }, { "rss", "anon" }, { "rss_huge", "anon_thp" }, { "shmem", "shmem" },
	{ "mapped_file", "file_mapped" }, { "dirty", "file_dirty" }, { "writeback", "file_writeback" },
	{ "swapcached", "swapcached" }, { "pgfault", "pgfault" }, { "pgmajfault", "pgmajfault" },
	{ "inactive_anon", "inactive_anon" }, { "active_anon", "active_anon" },
	{ "inactive_file", "inactive_file" }, { "active_file", "active_file" },
	{ "unevictable", "unevictable" }, { "workingset_refault_anon", "workingset_refault_anon" },
	{ "workingset_refault_file", "workingset_refault_file" },
};

static const char *memory_name(const char *s, size_t len, bool v1, size_t *name_len)
{
	const char total[] = "total_";

	*name_len = len;
	if (!v1)
		return s;
	if (len < sizeof(total) - 1 || memcmp(s, total, sizeof(total) - 1))
		return NULL;
	s += sizeof(total) - 1;
	len -= sizeof(total) - 1;
	for (size_t i = 0; i < sizeof(memory_names) / sizeof(*memory_names); i++)
		if (strlen(memory_names[i].v1) == len && !memcmp(memory_names[i].v1, s, len)) {
			*name_len = strlen(memory_names[i].v2);
			return memory_names[i].v2;
		}
	return NULL;
}

/* n->memory points into `text`: it has to stay while n is used. */
void views_parse_memory_stat(const char *text, bool v1, struct numbers *n)
{
	struct line l;

	n->n_memory = 0;
	while (next_line(&text, &l) && n->n_memory < sizeof(n->memory) / sizeof(*n->memory)) {
		const char *space = memchr(l.s, ' ', l.len);
		size_t at = space ? (size_t)(space - l.s) + 1 : 0, name_len;
		const char *name = space ? memory_name(l.s, at - 1, v1, &name_len) : NULL;

		if (name)
			n->memory[n->n_memory++] = (struct stat_line){ name, name_len, digits(l.s, l.len, &at) };
	}
}

static uint64_t stat_of(const struct numbers *n, const char *name, size_t len)
{
	for (size_t i = 0; i < n->n_memory; i++)
		if (n->memory[i].len == len && !memcmp(n->memory[i].name, name, len))
			return n->memory[i].value;
	return 0;
}

static uint64_t stat_sum(const struct numbers *n, const char *a, const char *b)
{
	return (a ? stat_of(n, a, strlen(a)) : 0) + (b ? stat_of(n, b, strlen(b)) : 0);
}

/* "254:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0" (cgroup2's io.stat). */
static void parse_io_line(const struct line *l, struct numbers *n)
{
	static const struct { const char *key; size_t offset; } keys[] = {
		{ "rbytes=", offsetof(struct disk_numbers, read_bytes) },
		{ "wbytes=", offsetof(struct disk_numbers, write_bytes) },
		{ "rios=", offsetof(struct disk_numbers, reads) },
		{ "wios=", offsetof(struct disk_numbers, writes) },
	};
	struct disk_numbers d = { 0 };
	size_t at = 0;

	d.major = (uint32_t)digits(l->s, l->len, &at);
	if (!at || at >= l->len || l->s[at] != ':')
		return;
	at++;
	d.minor = (uint32_t)digits(l->s, l->len, &at);
	while (at < l->len) {
		if (l->s[at++] != ' ')
			continue;
		for (size_t k = 0; k < sizeof(keys) / sizeof(*keys); k++) {
			size_t len = strlen(keys[k].key), from = at + len;

			if (l->len - at >= len && !memcmp(l->s + at, keys[k].key, len))
				*(uint64_t *)((char *)&d + keys[k].offset) = digits(l->s, l->len, &from);
		}
	}
	if (n->n_disk < sizeof(n->disk) / sizeof(*n->disk))
		n->disk[n->n_disk++] = d;
}

void views_parse_io_stat(const char *text, struct numbers *n)
{
	struct line l;

	while (next_line(&text, &l))
		parse_io_line(&l, n);
}

static struct disk_numbers *find_disk(struct numbers *n, uint32_t major, uint32_t minor)
{
	for (size_t i = 0; i < n->n_disk; i++)
		if (n->disk[i].major == major && n->disk[i].minor == minor)
			return &n->disk[i];
	if (n->n_disk == sizeof(n->disk) / sizeof(*n->disk))
		return NULL;
	n->disk[n->n_disk] = (struct disk_numbers){ .major = major, .minor = minor };
	return &n->disk[n->n_disk++];
}

/* "254:0 Read 4096" (v1's blkio.throttle.io_service_bytes_recursive, and io_serviced_recursive with counts). */
void views_parse_blkio(const char *text, bool bytes, struct numbers *n)
{
	struct line l;

	while (next_line(&text, &l)) {
		size_t at = 0;
		uint32_t major = (uint32_t)digits(l.s, l.len, &at), minor;
		struct disk_numbers *d;

		if (!at || at >= l.len || l.s[at] != ':')
			continue;
		at++;
		minor = (uint32_t)digits(l.s, l.len, &at);
		l.s += at;
		l.len -= at;
		if (!starts(&l, " Read ") && !starts(&l, " Write "))
			continue;
		d = find_disk(n, major, minor);
		if (!d)
			return;
		at = l.s[1] == 'R' ? 6 : 7;
		if (l.s[1] == 'R')
			*(bytes ? &d->read_bytes : &d->reads) = digits(l.s, l.len, &at);
		else
			*(bytes ? &d->write_bytes : &d->writes) = digits(l.s, l.len, &at);
	}
}

/* ---- load average: the kernel's fixed point (include/linux/sched/loadavg.h) ---- */

enum { FSHIFT = 11, FIXED_1 = 1 << FSHIFT };
static const uint64_t load_interval_ns = 5 * 1000000000ULL;

static uint64_t fixed_power(uint64_t x, uint64_t n)
{
	uint64_t result = FIXED_1;

	for (; n; n >>= 1) {
		if (n & 1)
			result = (result * x + FIXED_1 / 2) >> FSHIFT;
		x = (x * x + FIXED_1 / 2) >> FSHIFT;
	}
	return result;
}

/* Nobody ticks for a guest that nobody looks at: all the 5 s steps since the last look are made at once, towards
 * what is active now (in 1/2048). True if it was time for at least one. */
bool views_load_tick(struct load *l, uint64_t now_ns, uint64_t active)
{
	static const uint64_t exps[3] = { 1884, 2014, 2037 };   /* exp(-5s/1min), /5min, /15min */
	uint64_t steps = now_ns > l->at_ns ? (now_ns - l->at_ns) / load_interval_ns : 0;

	if (!steps)
		return false;
	for (size_t i = 0; i < 3; i++) {
		uint64_t e = fixed_power(exps[i], steps), load = l->avg[i] * e + active * (FIXED_1 - e);

		if (active >= l->avg[i])
			load += FIXED_1 - 1;    /* rounded towards where it goes, as calc_load() */
		l->avg[i] = load >> FSHIFT;
	}
	l->at_ns += steps * load_interval_ns;
	return true;
}

/* ---- memory ---- */

enum value { V_ZERO, V_STAT, V_TOTAL, V_USED, V_FREE, V_AVAILABLE, V_SWAP_TOTAL, V_SWAP_FREE, V_COMMIT_LIMIT, V_HOST };

/* /proc/meminfo (fs/proc/meminfo.c) in memory.stat's words. What isn't here is 0. */
static const struct meminfo_row { const char *name; enum value value; const char *a, *b; } meminfo_rows[] = {
	{ "MemTotal", V_TOTAL }, { "MemFree", V_FREE }, { "MemAvailable", V_AVAILABLE },
	{ "Cached", V_STAT, "file" }, { "SwapCached", V_STAT, "swapcached" },
	{ "Active", V_STAT, "active_anon", "active_file" },
	{ "Inactive", V_STAT, "inactive_anon", "inactive_file" },
	{ "Active(anon)", V_STAT, "active_anon" }, { "Inactive(anon)", V_STAT, "inactive_anon" },
	{ "Active(file)", V_STAT, "active_file" }, { "Inactive(file)", V_STAT, "inactive_file" },
	{ "Unevictable", V_STAT, "unevictable" }, { "Mlocked", V_STAT, "unevictable" },
	{ "SwapTotal", V_SWAP_TOTAL }, { "SwapFree", V_SWAP_FREE },
	{ "Zswap", V_STAT, "zswap" }, { "Zswapped", V_STAT, "zswapped" },
	{ "Dirty", V_STAT, "file_dirty" }, { "Writeback", V_STAT, "file_writeback" },
	{ "AnonPages", V_STAT, "anon" }, { "Mapped", V_STAT, "file_mapped" }, { "Shmem", V_STAT, "shmem" },
	{ "KReclaimable", V_STAT, "slab_reclaimable" }, { "Slab", V_STAT, "slab_reclaimable", "slab_unreclaimable" },
	{ "SReclaimable", V_STAT, "slab_reclaimable" }, { "SUnreclaim", V_STAT, "slab_unreclaimable" },
	{ "KernelStack", V_STAT, "kernel_stack" }, { "PageTables", V_STAT, "pagetables" },
	{ "SecPageTables", V_STAT, "sec_pagetables" }, { "CommitLimit", V_COMMIT_LIMIT },
	{ "Committed_AS", V_STAT, "anon", "shmem" }, { "VmallocTotal", V_HOST },
	{ "VmallocUsed", V_STAT, "vmalloc" }, { "Percpu", V_STAT, "percpu" },
	{ "AnonHugePages", V_STAT, "anon_thp" }, { "ShmemHugePages", V_STAT, "shmem_thp" },
	{ "FileHugePages", V_STAT, "file_thp" }, { "Hugepagesize", V_HOST },
	{ "MemUsed", V_USED }, { "FilePages", V_STAT, "file" },         /* a node's alone (drivers/base/node.c) */
};

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

/* What could be had without swapping: free, and page cache and slab that the kernel may drop. */
static uint64_t available_bytes(const struct numbers *n)
{
	uint64_t v = less(n->mem_total, n->mem_used) + stat_sum(n, "active_file", "inactive_file") +
		     stat_sum(n, "slab_reclaimable", NULL);

	return v < n->mem_total ? v : n->mem_total;
}

/* The host's share of memory that may be committed (vm.overcommit_ratio), of the guest's memory. */
static uint64_t commit_limit_bytes(const struct numbers *n, const char *host)
{
	uint64_t total = views_parse_key(host, "MemTotal");
	uint64_t limit = less(views_parse_key(host, "CommitLimit"), views_parse_key(host, "SwapTotal"));
	uint64_t percent = total && limit < UINT64_MAX / 200 ? (limit * 100 + total / 2) / total : 0;

	return n->mem_total / 100 * percent + n->swap_total;
}

static uint64_t meminfo_kb(const struct numbers *n, const struct line *name, uint64_t host_kb, const char *host)
{
	for (size_t i = 0; i < sizeof(meminfo_rows) / sizeof(*meminfo_rows); i++) {
		const struct meminfo_row *r = &meminfo_rows[i];

		if (strlen(r->name) != name->len || memcmp(r->name, name->s, name->len))
			continue;
		switch (r->value) {
		case V_TOTAL: return n->mem_total / 1024;
		case V_USED: return n->mem_used / 1024;
		case V_FREE: return less(n->mem_total, n->mem_used) / 1024;
		case V_AVAILABLE: return available_bytes(n) / 1024;
		case V_SWAP_TOTAL: return n->swap_total / 1024;
		case V_SWAP_FREE: return less(n->swap_total, n->swap_used) / 1024;
		case V_COMMIT_LIMIT: return commit_limit_bytes(n, host) / 1024;
		case V_HOST: return host_kb;
		case V_STAT: return stat_sum(n, r->a, r->b) / 1024;
		case V_ZERO: return 0;
		}
	}
	return 0;
}

/* A node's file has its number in front of each line: it is the guest's one node, so all of these are 0. */
size_t views_render_meminfo(char *buf, size_t room, const struct numbers *n, const char *host)
{
	static const char node[] = "Node 0 ";
	struct out o = { buf, room, 0 };
	const char *text = host;
	struct line l;

	while (next_line(&text, &l)) {
		if (starts(&l, node)) {
			put_bytes(&o, node, sizeof(node) - 1);
			l.s += sizeof(node) - 1;
			l.len -= sizeof(node) - 1;
		}
		const char *colon = memchr(l.s, ':', l.len);
		struct line name = { l.s, colon ? (size_t)(colon - l.s) : 0 };
		size_t at = name.len + 1, head, end;
		uint64_t host_kb;

		if (!name.len || name.len > 40)
			continue;
		while (at < l.len && l.s[at] == ' ')
			at++;
		host_kb = digits(l.s, l.len, &at);
		/* "%-16s%8lu kB", or a longer name and less width: the value ends in column 24 unless it is longer; a
		 * node's huge pages end in column 22. */
		head = name.len + 1 > 16 ? name.len + 1 : 16;
		end = at < 24 ? at : 24;
		put(&o, "%.*s:%*s%*" PRIu64, (int)name.len, name.s, (int)(head - name.len - 1), "",
		    head < end ? (int)(end - head) : 0, meminfo_kb(n, &name, host_kb, host));
		put_bytes(&o, l.s + at, l.len - at);
		put_bytes(&o, "\n", 1);
	}
	return o.len;
}

size_t views_render_swaps(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	uint64_t total = n->swap_total / 1024, used = n->swap_used / 1024;
	struct line l;

	if (!next_line(&host, &l))
		return 0;
	put_bytes(&o, l.s, l.len);
	put_bytes(&o, "\n", 1);
	/* mm/swapfile.c: swap_show(). No device: which one it is, is the host's business. */
	if (total)
		put(&o, "%-40s%s\t%" PRIu64 "\t%s%" PRIu64 "\t%s%d\n", "none", "virtual\t", total,
		    total < 10000000 ? "\t" : "", used, used < 10000000 ? "\t" : "", -2);
	return o.len;
}

/* /proc/vmstat (mm/vmstat.c): pages. Events have the same names in memory.stat and aren't here. */
static const struct vmstat_row { const char *name, *a, *b; unsigned unit; } vmstat_rows[] = {
	{ "nr_zone_inactive_anon", "inactive_anon", NULL, 0 }, { "nr_zone_active_anon", "active_anon", NULL, 0 },
	{ "nr_zone_inactive_file", "inactive_file", NULL, 0 }, { "nr_zone_active_file", "active_file", NULL, 0 },
	{ "nr_zone_unevictable", "unevictable", NULL, 0 }, { "nr_mlock", "unevictable", NULL, 0 },
	{ "nr_zone_write_pending", "file_dirty", "file_writeback", 0 },
	{ "nr_inactive_anon", "inactive_anon", NULL, 0 }, { "nr_active_anon", "active_anon", NULL, 0 },
	{ "nr_inactive_file", "inactive_file", NULL, 0 }, { "nr_active_file", "active_file", NULL, 0 },
	{ "nr_unevictable", "unevictable", NULL, 0 }, { "nr_slab_reclaimable", "slab_reclaimable", NULL, 0 },
	{ "nr_slab_unreclaimable", "slab_unreclaimable", NULL, 0 }, { "nr_anon_pages", "anon", NULL, 0 },
	{ "nr_mapped", "file_mapped", NULL, 0 }, { "nr_file_pages", "file", "swapcached", 0 },
	{ "nr_dirty", "file_dirty", NULL, 0 }, { "nr_writeback", "file_writeback", NULL, 0 },
	{ "nr_shmem", "shmem", NULL, 0 }, { "nr_page_table_pages", "pagetables", NULL, 0 },
	{ "nr_sec_page_table_pages", "sec_pagetables", NULL, 0 }, { "nr_swapcached", "swapcached", NULL, 0 },
	{ "nr_kernel_stack", "kernel_stack", NULL, 1024 },
	{ "nr_anon_transparent_hugepages", "anon_thp", NULL, 2 << 20 },
	{ "nr_shmem_hugepages", "shmem_thp", NULL, 2 << 20 }, { "nr_file_hugepages", "file_thp", NULL, 2 << 20 },
};

static uint64_t vmstat_value(const struct numbers *n, const char *name, size_t len)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);

	for (size_t i = 0; i < sizeof(vmstat_rows) / sizeof(*vmstat_rows); i++) {
		const struct vmstat_row *r = &vmstat_rows[i];

		if (strlen(r->name) == len && !memcmp(r->name, name, len))
			return stat_sum(n, r->a, r->b) / (r->unit ? r->unit : page);
	}
	if (len == 13 && !memcmp(name, "nr_free_pages", len))
		return less(n->mem_total, n->mem_used) / page;
	return stat_of(n, name, len);
}

size_t views_render_vmstat(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	struct line l;

	while (next_line(&host, &l)) {
		const char *space = memchr(l.s, ' ', l.len);
		size_t len = space ? (size_t)(space - l.s) : 0;

		if (len && len < 100)
			put(&o, "%.*s %" PRIu64 "\n", (int)len, l.s, vmstat_value(n, l.s, len));
	}
	return o.len;
}

/* ---- CPUs ---- */

size_t views_render_cpulist(char *buf, size_t room, const uint64_t mask[VIEWS_CPU_WORDS])
{
	struct out o = { buf, room, 0 };

	for (unsigned i = 0; i < VIEWS_CPU_WORDS * 64; i++) {
		unsigned last = i;

		if (!has_cpu(mask, i))
			continue;
		while (has_cpu(mask, last + 1))
			last++;
		put(&o, last > i ? "%s%u-%u" : "%s%u", o.len ? "," : "", i, last);
		i = last;
	}
	put_bytes(&o, "\n", 1);
	return o.len;
}

/* As the kernel prints a mask ("%*pb"): hexadecimal, 32 CPUs a word, the highest first. */
size_t views_render_cpumap(char *buf, size_t room, const uint64_t mask[VIEWS_CPU_WORDS])
{
	struct out o = { buf, room, 0 };

	for (unsigned i = 2 * VIEWS_CPU_WORDS; i-- > 0;) {
		uint32_t word = (uint32_t)(mask[i / 2] >> i % 2 * 32);

		if (o.len)
			put(&o, ",%08" PRIx32, word);
		else if (word || !i)
			put(&o, "%" PRIx32, word);
	}
	put_bytes(&o, "\n", 1);
	return o.len;
}

/* In 1/100 s (USER_HZ, the same on every architecture that Linux runs on today). What was not spent is idle. */
struct ticks { uint64_t user, nice, system, idle; };

static struct ticks cpu_ticks(const struct numbers *n)
{
	unsigned cpus = views_count_cpus(n->online);
	struct ticks t = { n->user_us / 10000, n->nice_us / 10000, n->system_us / 10000, 0 };

	t.idle = less(n->uptime_ns / 10000000 * cpus, t.user + t.nice + t.system);
	return t;
}

/* Share i of `of`, so that the shares' sum is the whole. */
static uint64_t part(uint64_t whole, unsigned i, unsigned of)
{
	return whole / of + (i < whole % of);
}

/* Which CPU a guest's time was spent on isn't accounted in cgroup2: the lines of single CPUs are even shares. As many
 * fields as this kernel has: user nice system idle iowait irq softirq steal guest guest_nice. */
static void put_cpu_line(struct out *o, const struct ticks *t, unsigned fields)
{
	const uint64_t v[] = { t->user, t->nice, t->system, t->idle };

	for (unsigned i = 0; i < fields; i++)
		put(o, " %" PRIu64, i < 4 ? v[i] : 0);
	put_bytes(o, "\n", 1);
}

static unsigned count_fields(const struct line *l)
{
	unsigned n = 0;

	for (size_t i = 1; i < l->len; i++)
		n += l->s[i] != ' ' && l->s[i - 1] == ' ';
	return n;
}

static void put_cpus(struct out *o, const struct numbers *n, unsigned fields)
{
	const struct ticks t = cpu_ticks(n);
	unsigned of = views_count_cpus(n->online), k = 0;

	put(o, "cpu ");
	put_cpu_line(o, &t, fields);
	for (unsigned i = 0; i < VIEWS_CPU_WORDS * 64; i++) {
		if (!has_cpu(n->online, i))
			continue;
		struct ticks one = { part(t.user, k, of), part(t.nice, k, of), part(t.system, k, of), part(t.idle, k, of) };

		put(o, "cpu%u", i);
		put_cpu_line(o, &one, fields);
		k++;
	}
}

/* Interrupts, context switches and softirqs are of no guest: as many fields, and 0. */
static void put_zeros(struct out *o, const struct line *l)
{
	put_bytes(o, l->s, strcspn(l->s, " \n"));
	for (unsigned i = count_fields(l); i; i--)
		put_bytes(o, " 0", 2);
	put_bytes(o, "\n", 1);
}

size_t views_render_zeros(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	struct line l;

	(void)n;
	while (next_line(&host, &l))
		put_zeros(&o, &l);
	return o.len;
}

size_t views_render_stat(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	struct line l;

	while (next_line(&host, &l)) {
		size_t at = strlen("btime ");

		if (starts(&l, "cpu "))
			put_cpus(&o, n, count_fields(&l));
		else if (starts(&l, "cpu"))
			continue;
		else if (starts(&l, "btime "))
			put(&o, "btime %" PRId64 "\n", (int64_t)digits(l.s, l.len, &at) - n->boot_offset_secs);
		else if (starts(&l, "processes "))
			put(&o, "processes %u\n", n->last_pid);
		else if (starts(&l, "procs_running "))
			put(&o, "procs_running %u\n", n->running);
		else if (starts(&l, "procs_blocked "))
			put(&o, "procs_blocked %u\n", n->blocked);
		else
			put_zeros(&o, &l);
	}
	return o.len;
}

/* "siblings" and "cpu cores" count what the guest doesn't have. */
static void put_cpuinfo_line(struct out *o, const struct line *l, unsigned cpus)
{
	const char *colon = memchr(l->s, ':', l->len);

	if (colon && (starts(l, "siblings\t") || starts(l, "cpu cores\t"))) {
		size_t at = (size_t)(colon - l->s) + 2;
		uint64_t v = digits(l->s, l->len, &at);

		put(o, "%.*s: %" PRIu64 "\n", (int)(colon - l->s), l->s, v < cpus ? v : cpus);
		return;
	}
	put_bytes(o, l->s, l->len);
	put_bytes(o, "\n", 1);
}

/* Blocks of "processor : N" lines up to an empty one; what stands in no block is of the whole machine and stays. */
size_t views_render_cpuinfo(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	unsigned cpus = views_count_cpus(n->online);
	bool shown = true;
	struct line l;

	while (next_line(&host, &l)) {
		if (starts(&l, "processor")) {
			size_t at = strlen("processor");

			while (at < l.len && !is_digit(l.s[at]))
				at++;
			shown = at == l.len || has_cpu(n->online, digits(l.s, l.len, &at));
		}
		if (shown)
			put_cpuinfo_line(&o, &l, cpus);
		if (!l.len)
			shown = true;
	}
	return o.len;
}

/* Ahead by as much as the text may age until it is read (procvirt.c's FRESH_MS, and the way there): the kernel's own is
 * never older than a process, and ps(1) takes one from the other, unsigned, for etime. */
size_t views_render_uptime(char *buf, size_t room, const struct numbers *n, const char *host)
{
	enum { AHEAD_NS = 150000000 };
	struct out o = { buf, room, 0 };
	uint64_t cs = (n->uptime_ns + AHEAD_NS) / 10000000, idle = cpu_ticks(n).idle;

	(void)host;
	put(&o, "%" PRIu64 ".%02u %" PRIu64 ".%02u\n", cs / 100, (unsigned)(cs % 100), idle / 100,
	    (unsigned)(idle % 100));
	return o.len;
}

/* ---- load and disks ---- */

size_t views_render_loadavg(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };

	(void)host;
	for (size_t i = 0; i < 3; i++) {
		uint64_t v = n->load[i] + FIXED_1 / 200;        /* fs/proc/loadavg.c */

		put(&o, "%" PRIu64 ".%02u ", v >> FSHIFT, (unsigned)((v & (FIXED_1 - 1)) * 100 >> FSHIFT));
	}
	put(&o, "%u/%u %u\n", n->running, n->tasks, n->last_pid);
	return o.len;
}

static const struct disk_numbers *disk_of_line(const struct line *l, const struct numbers *n)
{
	size_t at = 0;
	uint64_t major, minor;

	while (at < l->len && l->s[at] == ' ')
		at++;
	major = digits(l->s, l->len, &at);
	while (at < l->len && l->s[at] == ' ')
		at++;
	minor = digits(l->s, l->len, &at);
	for (size_t i = 0; i < n->n_disk; i++)
		if (n->disk[i].major == major && n->disk[i].minor == minor)
			return &n->disk[i];
	return NULL;
}

/* Only disks that the guest has used. major minor name, then (block/genhd.c): reads, merged, sectors, ms, writes,
 * merged, sectors, ms, and what nobody accounts for a guest. */
size_t views_render_diskstats(char *buf, size_t room, const struct numbers *n, const char *host)
{
	struct out o = { buf, room, 0 };
	struct line l;

	while (next_line(&host, &l)) {
		const struct disk_numbers *d = disk_of_line(&l, n);
		unsigned fields = 0;

		if (!d)
			continue;
		for (size_t i = 0; i < l.len; i++) {
			if (l.s[i] != ' ' && (!i || l.s[i - 1] == ' '))
				fields++;
			if (fields <= 3 && !(fields == 3 && l.s[i] == ' '))
				put_bytes(&o, l.s + i, 1);
		}
		for (unsigned i = 0; i + 3 < fields; i++)
			put(&o, " %" PRIu64, i == 0 ? d->reads : i == 2 ? d->read_bytes / 512 :
			    i == 4 ? d->writes : i == 6 ? d->write_bytes / 512 : 0);
		put_bytes(&o, "\n", 1);
	}
	return o.len;
}

/* ---- sysinfo(2) ---- */

static void put_u32(unsigned char *p, uint64_t v)
{
	const uint32_t w = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;

	memcpy(p, &w, sizeof(w));
}

/* struct compat_sysinfo (kernel/sys.c): packed 32-bit words; sums over 4 GiB are given in pages of 4096 bytes. */
static size_t sysinfo_32(unsigned char *p, const struct numbers *n, const uint64_t v[6])
{
	unsigned shift = v[0] >> 32 || v[4] >> 32 ? 12 : 0;
	const uint16_t procs = n->tasks > UINT16_MAX ? UINT16_MAX : (uint16_t)n->tasks;

	memset(p, 0, 64);
	put_u32(p, (n->uptime_ns + 999999999) / 1000000000);    /* rounded up: do_sysinfo() */
	for (size_t i = 0; i < 3; i++)
		put_u32(p + 4 + 4 * i, n->load[i] << (16 - FSHIFT));
	for (size_t i = 0; i < 6; i++)
		put_u32(p + 16 + 4 * i, v[i] >> shift);
	memcpy(p + 40, &procs, sizeof(procs));
	put_u32(p + 52, 1U << shift);
	return 64;
}

/* struct sysinfo as the caller's ABI has it, at most 112 bytes; the bytes that the kernel would write. */
size_t views_sysinfo(void *out, const struct numbers *n, bool abi_32)
{
	/* total, free, shared, buffers, swap total, swap free; bytes, mem_unit 1, as on every 64-bit kernel */
	const uint64_t v[6] = { n->mem_total, less(n->mem_total, n->mem_used), stat_sum(n, "shmem", NULL), 0,
				n->swap_total, less(n->swap_total, n->swap_used) };
	const uint64_t uptime = (n->uptime_ns + 999999999) / 1000000000;
	const uint16_t procs = n->tasks > UINT16_MAX ? UINT16_MAX : (uint16_t)n->tasks;
	const uint32_t unit = 1;
	unsigned char *p = out;

	if (abi_32)
		return sysinfo_32(p, n, v);
	memset(p, 0, 112);
	memcpy(p, &uptime, 8);
	for (size_t i = 0; i < 3; i++) {
		const uint64_t load = n->load[i] << (16 - FSHIFT);

		memcpy(p + 8 + 8 * i, &load, 8);
	}
	memcpy(p + 32, v, sizeof(v));
	memcpy(p + 80, &procs, 2);
	memcpy(p + 104, &unit, 4);
	return 112;
}

/* SPDX-License-Identifier: ISC */
/*
 * limits.c: what a guest may use: rlimits, cgroup controllers, ipc sysctls.
 *
 * Theory of operation. The parsers turn text into struct limits. limits_apply() writes the cgroup limits
 * into the directories that cgroup.c made, before any process of the guest exists: in v2 into the guest's
 * directory, above the leaf it lives in and so out of its reach; in v1 into vrun-XID of each hierarchy that
 * has the controller. The two speak different files and units; knob tables below hold both.
 *
 * A limit that the kernel took otherwise than asked (it rounds memory to pages, which is fine) or not at
 * all ends the start. Swap: as memory.swap.max in v2, as memsw = memory + swap in v1; without swap
 * accounting in the kernel there is no such file, and only a host without swap can promise --swap 0.
 *
 * rlimits are set by prlimit(2) on guest init while it waits, by the host's root: the guest's own root
 * couldn't raise them.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

/* ---- --rlimit ---- */

static const struct { const char *name; int resource; } rlimits[] = {
	{ "as", RLIMIT_AS }, { "core", RLIMIT_CORE }, { "cpu", RLIMIT_CPU }, { "data", RLIMIT_DATA },
	{ "fsize", RLIMIT_FSIZE }, { "locks", RLIMIT_LOCKS }, { "memlock", RLIMIT_MEMLOCK },
	{ "msgqueue", RLIMIT_MSGQUEUE }, { "nice", RLIMIT_NICE }, { "nofile", RLIMIT_NOFILE },
	{ "nproc", RLIMIT_NPROC }, { "rss", RLIMIT_RSS }, { "rtprio", RLIMIT_RTPRIO },
	{ "rttime", RLIMIT_RTTIME }, { "sigpending", RLIMIT_SIGPENDING }, { "stack", RLIMIT_STACK },
};

static const char *rlimit_name(int resource)
{
	for (size_t i = 0; i < sizeof(rlimits) / sizeof(rlimits[0]); i++) {
		if (rlimits[i].resource == resource)
			return rlimits[i].name;
	}
	return "?";
}

/* These count bytes, the others things, seconds or priorities: K M G T only where it makes sense. */
static bool counts_bytes(int resource)
{
	return resource == RLIMIT_AS || resource == RLIMIT_CORE || resource == RLIMIT_DATA ||
	       resource == RLIMIT_FSIZE || resource == RLIMIT_MEMLOCK || resource == RLIMIT_MSGQUEUE ||
	       resource == RLIMIT_RSS || resource == RLIMIT_STACK;
}

static const char *parse_rlimit_value(const char *s, int resource, uint64_t *out)
{
	if (counts_bytes(resource))
		return parse_size(s, out);
	if (strcmp(s, "inf") == 0) {
		*out = UINT64_MAX;
		return NULL;
	}
	return parse_u64(s, 0, UINT64_MAX - 1, out);
}

const char *limits_parse_rlimit(struct limits *l, const char *arg)
{
	const char *eq = strchr(arg, '='), *colon = eq ? strchr(eq, ':') : NULL, *why;
	struct rlimit_set set = { .resource = -1 };
	char soft[32];
	size_t n;

	if (!eq)
		return "not NAME=SOFT[:HARD]";
	for (size_t i = 0; i < sizeof(rlimits) / sizeof(rlimits[0]); i++) {
		if (strlen(rlimits[i].name) == (size_t)(eq - arg) && strncmp(arg, rlimits[i].name, (size_t)(eq - arg)) == 0)
			set.resource = rlimits[i].resource;
	}
	if (set.resource < 0)
		return "no such rlimit (as core cpu data fsize locks memlock msgqueue nice nofile nproc rss rtprio "
		       "rttime sigpending stack)";
	for (size_t i = 0; i < l->n_rlimit; i++) {
		if (l->rlimit[i].resource == set.resource)
			return "this rlimit was given before";
	}
	n = colon ? (size_t)(colon - eq - 1) : strlen(eq + 1);
	if (n >= sizeof(soft))
		return "too large";
	memcpy(soft, eq + 1, n);
	soft[n] = '\0';
	why = parse_rlimit_value(soft, set.resource, &set.soft);
	if (why)
		return why;
	set.hard = set.soft;
	why = colon ? parse_rlimit_value(colon + 1, set.resource, &set.hard) : NULL;
	if (why)
		return why;
	if (set.soft > set.hard)
		return "the soft limit is above the hard one";
	l->rlimit = xrealloc_array(l->rlimit, l->n_rlimit + 1, sizeof(*l->rlimit));
	l->rlimit[l->n_rlimit++] = set;
	return NULL;
}

/* ---- --cpus, --cpu-rate, --cpuset ---- */

enum { CPUS_PERIOD_US = 100000, MIN_QUOTA_US = 1000, MAX_CPUS = 65536 };

/* "0.5", "2", "1.25", in thousandths. */
static const char *parse_thousandths(const char *s, uint64_t *out)
{
	const char *dot = strchr(s, '.');
	char whole[16];
	uint64_t v, part = 0, scale = 100;
	size_t n = dot ? (size_t)(dot - s) : strlen(s);

	if (n >= sizeof(whole))
		return "too large";
	memcpy(whole, s, n);
	whole[n] = '\0';
	if (parse_u64(whole, 0, MAX_CPUS, &v) || (dot && (!dot[1] || strlen(dot + 1) > 3)))
		return "not a number of CPUs (0.5, 2)";
	for (const char *p = dot ? dot + 1 : ""; *p; p++, scale /= 10) {
		if (*p < '0' || *p > '9')
			return "not a number of CPUs (0.5, 2)";
		part += (uint64_t)(*p - '0') * scale;
	}
	*out = v * 1000 + part;
	return NULL;
}

const char *limits_parse_cpus(struct limits *l, const char *arg)
{
	uint64_t thousandths;
	const char *why;

	if (strcmp(arg, "inf") == 0) {
		l->cpu_quota_us = UINT64_MAX;
		l->cpu_period_us = CPUS_PERIOD_US;
		l->cpu_burst_us = 0;
		return NULL;
	}
	why = parse_thousandths(arg, &thousandths);
	if (why)
		return why;
	if (thousandths * CPUS_PERIOD_US / 1000 < MIN_QUOTA_US)
		return "too small (the kernel's least is 0.01)";
	l->cpu_quota_us = thousandths * CPUS_PERIOD_US / 1000;
	l->cpu_period_us = CPUS_PERIOD_US;
	l->cpu_burst_us = 0;
	return NULL;
}

/* R/T[,burst=B], in ms. The kernel's bounds: quota >= 1 ms, 1 ms <= period <= 1 s, burst <= quota. */
const char *limits_parse_cpu_rate(struct limits *l, const char *arg)
{
	static const char syntax[] = "not R/T[,burst=B], in milliseconds";
	const char *slash = strchr(arg, '/'), *comma = strchr(arg, ',');
	char rate[16], interval[16];
	uint64_t r, t, b = 0;

	if (strcmp(arg, "inf") == 0) {
		l->cpu_quota_us = UINT64_MAX;
		l->cpu_period_us = CPUS_PERIOD_US;
		l->cpu_burst_us = 0;
		return NULL;
	}
	if (!slash || (comma && comma < slash))
		return syntax;
	size_t n_rate = (size_t)(slash - arg), n_interval = comma ? (size_t)(comma - slash - 1) : strlen(slash + 1);

	if (n_rate >= sizeof(rate) || n_interval >= sizeof(interval))
		return syntax;
	memcpy(rate, arg, n_rate);
	rate[n_rate] = '\0';
	memcpy(interval, slash + 1, n_interval);
	interval[n_interval] = '\0';
	if (parse_u64(rate, 0, 1000000000, &r) || parse_u64(interval, 0, 1000000000, &t))
		return syntax;
	if (comma && (strncmp(comma, ",burst=", 7) || parse_u64(comma + 7, 0, 1000000000, &b)))
		return syntax;
	if (t < 1 || t > 1000)
		return "T is outside of 1-1000 ms, the kernel's bounds";
	if (r < 1)
		return "R is below 1 ms, the kernel's least";
	if (r > t * MAX_CPUS)
		return "R is too large";
	if (b > r)
		return "the burst is above R, the kernel's bound";
	l->cpu_quota_us = r * 1000;
	l->cpu_period_us = t * 1000;
	l->cpu_burst_us = b * 1000;
	return NULL;
}

/* "0-3,5", the kernel's own list format; only its form is checked: which CPUs there are, the kernel knows. */
const char *limits_parse_cpuset(char **out, const char *arg)
{
	static const char syntax[] = "not a list of CPUs (0-3,5)";
	const char *p = arg;

	if (strcmp(arg, "inf") == 0) {
		*out = xstrdup(arg);
		return NULL;
	}
	for (;;) {
		uint64_t v[2] = { 0, 0 };
		int i = 0;

		for (;;) {
			const char *start = p;

			for (; *p >= '0' && *p <= '9' && p - start < 6; p++)
				v[i] = v[i] * 10 + (uint64_t)(*p - '0');
			if (p == start || v[i] >= MAX_CPUS)
				return syntax;
			if (*p != '-' || i == 1)
				break;
			i = 1;
			p++;
		}
		if (i == 1 && v[1] < v[0])
			return syntax;
		if (!*p)
			break;
		if (*p++ != ',')
			return syntax;
	}
	*out = xstrdup(arg);
	return NULL;
}

/* ---- --io ---- */

static const char *parse_io_word(struct io_limit *io, const char *word)
{
	const struct { const char *key; uint64_t *value; bool bytes; } keys[] = {
		{ "rbps=", &io->rbps, true }, { "wbps=", &io->wbps, true },
		{ "riops=", &io->riops, false }, { "wiops=", &io->wiops, false },
	};

	for (size_t i = 0; i < 4; i++) {
		size_t n = strlen(keys[i].key);
		const char *why;

		if (strncmp(word, keys[i].key, n))
			continue;
		if (*keys[i].value)
			return "one of rbps, wbps, riops, wiops is there twice";
		if (keys[i].bytes || strcmp(word + n, "inf") == 0)
			why = parse_size(word + n, keys[i].value);
		else
			why = parse_u64(word + n, 1, UINT32_MAX, keys[i].value);
		if (why)
			return why;
		return *keys[i].value ? NULL : "too small";
	}
	return "not DEV:rbps=N,wbps=N,riops=N,wiops=N";
}

const char *limits_parse_io(struct limits *l, const char *arg)
{
	const char *colon = strrchr(arg, ':'), *why = NULL;
	struct io_limit io = { 0 };
	struct words words = { 0 };

	if (!colon || colon == arg)
		return "not DEV:rbps=N,wbps=N,riops=N,wiops=N";
	why = parse_words(colon + 1, ',', &words);
	for (size_t i = 0; i < words.n; i++) {
		if (!why)
			why = parse_io_word(&io, words.v[i]);
		free(words.v[i]);
	}
	free(words.v);
	if (why)
		return why;
	io.dev = strndup(arg, (size_t)(colon - arg));
	if (!io.dev)
		die("out of memory");
	for (size_t i = 0; i < l->n_io; i++) {
		if (strcmp(l->io[i].dev, io.dev) == 0) {
			free(io.dev);
			return "this device was given before";
		}
	}
	l->io = xrealloc_array(l->io, l->n_io + 1, sizeof(*l->io));
	l->io[l->n_io++] = io;
	return NULL;
}

/* ---- --sysctl ---- */

/* What an ipc namespace has of its own: ipc/ipc_sysctl.c and ipc/mq_sysctl.c of Linux 6.x. */
static const char *const ipc_keys[] = {
	"kernel.shmmax", "kernel.shmall", "kernel.shmmni", "kernel.shm_rmid_forced", "kernel.msgmax",
	"kernel.msgmni", "kernel.msgmnb", "kernel.sem", "fs.mqueue.queues_max", "fs.mqueue.msg_max",
	"fs.mqueue.msgsize_max", "fs.mqueue.msg_default", "fs.mqueue.msgsize_default",
};

const char *limits_parse_sysctl(struct limits *l, const char *arg)
{
	const char *eq = strchr(arg, '=');
	struct sysctl s = { 0 };

	if (!eq)
		return "not KEY=VALUE";
	for (size_t i = 0; i < sizeof(ipc_keys) / sizeof(ipc_keys[0]); i++) {
		if (strlen(ipc_keys[i]) == (size_t)(eq - arg) && strncmp(ipc_keys[i], arg, (size_t)(eq - arg)) == 0)
			s.key = (char *)ipc_keys[i];
	}
	if (!s.key)
		return "not one of the guest's own (kernel.shm*, kernel.msg*, kernel.sem, fs.mqueue.*)";
	/* kernel.sem takes four numbers */
	if (!eq[1] || strlen(eq + 1) > 80 || strspn(eq + 1, "0123456789 \t") != strlen(eq + 1))
		return "the value is not a number";
	for (size_t i = 0; i < l->n_sysctl; i++) {
		if (strcmp(l->sysctl[i].key, s.key) == 0)
			return "this key was given before";
	}
	s.key = xstrdup(s.key);
	s.value = xstrdup(eq + 1);
	l->sysctl = xrealloc_array(l->sysctl, l->n_sysctl + 1, sizeof(*l->sysctl));
	l->sysctl[l->n_sysctl++] = s;
	return NULL;
}

void limits_apply_sysctl(const struct plan *p)
{
	for (size_t i = 0; i < p->limits.n_sysctl; i++) {
		const struct sysctl *s = &p->limits.sysctl[i];
		char *path = xasprintf("sys/%s", s->key);

		for (char *c = path; *c; c++) {
			if (*c == '.')
				*c = '/';
		}
		if (write_at(host_proc_fd(), path, s->value))
			die_sys("--sysctl %s=%s: write /proc/%s", s->key, s->value, path);
		free(path);
	}
}

/* ---- rlimits on guest init ---- */

static uint64_t most_open_files(void)
{
	char text[32];
	uint64_t n = UINT64_MAX;

	if (read_at(host_proc_fd(), "sys/fs/nr_open", text, sizeof(text)) > 0)
		n = strtoull(text, NULL, 10);
	return n;
}

static const char *rlimit_text(uint64_t value)
{
	static char text[24];

	snprintf(text, sizeof(text), value == UINT64_MAX ? "inf" : "%llu", (unsigned long long)value);
	return text;
}

void limits_apply_rlimits(const struct plan *p, pid_t pid)
{
	for (size_t i = 0; i < p->limits.n_rlimit; i++) {
		const struct rlimit_set *s = &p->limits.rlimit[i];
		struct rlimit new = {
			.rlim_cur = s->soft == UINT64_MAX ? RLIM_INFINITY : s->soft,
			.rlim_max = s->hard == UINT64_MAX ? RLIM_INFINITY : s->hard,
		}, old;

		if (prlimit(pid, (unsigned)s->resource, &new, NULL) == 0)
			continue;
		/* the same EPERM as for a missing CAP_SYS_RESOURCE, which doesn't help here (kernel/sys.c) */
		if (errno == EPERM && s->resource == RLIMIT_NOFILE && s->hard > most_open_files())
			die("--rlimit nofile=%s: above %llu, the host's sysctl fs.nr_open", rlimit_text(s->hard),
			    (unsigned long long)most_open_files());
		if (errno == EPERM && prlimit(pid, (unsigned)s->resource, NULL, &old) == 0 && new.rlim_max > old.rlim_max)
			die("--rlimit %s=%s: above %llu, the caller's hard limit (raising that needs CAP_SYS_RESOURCE)",
			    rlimit_name(s->resource), rlimit_text(s->hard), (unsigned long long)old.rlim_max);
		die_sys("--rlimit %s=%s: prlimit", rlimit_name(s->resource), rlimit_text(s->hard));
	}
}

/* ---- cgroup limits ---- */

void limits_check(struct plan *p)
{
	struct limits *l = &p->limits;

	if (l->n_sysctl && ((p->context.share | p->context.join) & NS_IPC))
		die("--sysctl %s: the ipc namespace is shared, so the value would be another's, too", l->sysctl[0].key);
	for (size_t i = 0; i < l->n_io; i++) {
		struct stat st;

		if (stat(l->io[i].dev, &st))
			die_sys("--io %s", quote(l->io[i].dev));
		if (!S_ISBLK(st.st_mode))
			die("--io %s: not a block device", quote(l->io[i].dev));
		l->io[i].rdev = st.st_rdev;
	}
}

/* What --set has written so far, newest first: put back if a later step fails. */
struct written { struct written *next; int dir_fd; const char *file; char old[4096]; };
static struct written *journal;
static bool keep_journal;

static struct written *remember(int dir_fd, const char *file)
{
	struct written *w;

	if (!keep_journal)
		return NULL;
	w = xmalloc(sizeof(*w));
	w->next = journal;
	w->dir_fd = dir_fd;
	w->file = file;
	if (read_at(dir_fd, file, w->old, sizeof(w->old)) < 0) {
		free(w);
		return NULL;
	}
	journal = w;
	return w;
}

/* These files have a line a device that has limits, and take one a write. */
static void remember_device(int dir_fd, const char *file, const char *device, const char *none)
{
	struct written *w = remember(dir_fd, file);
	size_t n = strlen(device);
	char *line, *save;

	if (!w)
		return;
	for (line = strtok_r(w->old, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		if (strncmp(line, device, n) == 0 && line[n] == ' ') {
			memmove(w->old, line, strlen(line) + 1);
			return;
		}
	}
	snprintf(w->old, sizeof(w->old), "%s %s", device, none);
}

/* No set of its own: where there are processes neither version takes an empty one back (ENOSPC), so the parent's. */
static int lift_cpus(int dir_fd)
{
	char text[4096];

	if (read_at(dir_fd, "../cpuset.cpus.effective", text, sizeof(text)) < 0)        /* version 2 */
		return read_at(dir_fd, "../cpuset.cpus", text, sizeof(text)) < 0 ? -1
			: write_at(dir_fd, "cpuset.cpus", text);
	return write_at(dir_fd, "cpuset.cpus", "\n") == 0 ? 0 : write_at(dir_fd, "cpuset.cpus", text);
}

void limits_set_undo(void)
{
	for (struct written *w = journal; w; w = w->next) {
		bool none = !w->old[0] || w->old[0] == '\n';

		if (none && strcmp(w->file, "cpuset.cpus") == 0)
			lift_cpus(w->dir_fd);
		else
			write_at(w->dir_fd, w->file, none ? "\n" : w->old);
	}
}

/* ---- reading ---- */

/* The number after a key of a "key value" file; without a key, of the file. ABSENT if it isn't there. */
static uint64_t number_in(int dir_fd, const char *file, const char *key)
{
	char text[8192];
	const char *p = text;
	size_t n = strlen(key);

	if (dir_fd < 0 || read_at(dir_fd, file, text, sizeof(text)) <= 0)
		return ABSENT;
	while (n && (strncmp(p, key, n) || p[n] != ' ')) {
		p = strchr(p, '\n');
		if (!p)
			return ABSENT;
		p++;
	}
	p += n + (n > 0);
	return *p >= '0' && *p <= '9' ? strtoull(p, NULL, 10) : ABSENT;        /* "max" */
}

/* v1 says 2^63 rounded to pages for "no limit". */
static uint64_t v1_limit(uint64_t value)
{
	return value >= UINT64_MAX / 2 - 0xffff ? ABSENT : value;
}

/* ---- writing ---- */

struct where { int fd; bool v1; const struct cgroup *cg; };

/* The guest's directory in the hierarchy that has the controller. */
static struct where find(const struct cgroup *cg, const char *v1_name)
{
	for (unsigned i = 0; i < cg->n_v1; i++) {
		if (strcmp(cg->v1_name[i], v1_name) == 0)
			return (struct where){ cg->v1_dir_fd[i], true, cg };
	}
	return (struct where){ cg->dir_fd, false, cg };
}

static void line_of(int dir_fd, const char *file, char *out, size_t size)
{
	if (read_at(dir_fd, file, out, size) < 0)
		out[0] = '\0';
	out[strcspn(out, "\n")] = '\0';
}

static bool has_file(struct where w, const char *file)
{
	return faccessat(w.fd, file, F_OK, 0) == 0;
}

static __attribute__((format(printf, 4, 5))) void put(struct where w, const char *flag, const char *file,
						       const char *fmt, ...)
{
	char text[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (strcmp(flag, "--io"))
		remember(w.fd, file);
	if (write_at(w.fd, file, text))
		die_sys("%s: write '%s' to %s of guest %u's cgroup", flag, text, file, w.cg->xid);
}

static void put_number(struct where w, const char *flag, const char *file, uint64_t value)
{
	if (value == UINT64_MAX)
		put(w, flag, file, "%s", w.v1 && strcmp(file, "pids.max") ? "-1" : "max");
	else
		put(w, flag, file, "%llu", (unsigned long long)value);
}

static bool host_has_swap(void)
{
	char text[4096], *line;

	if (read_at(host_proc_fd(), "swaps", text, sizeof(text)) < 0)
		return false;   /* ENOENT: a kernel without CONFIG_SWAP */
	line = strchr(text, '\n');
	return line && line[1];
}

/* v1 limits memory and swap together (memsw), and never below memory: the order depends on the direction. */
static void apply_memory_v1(struct where w, uint64_t memory, uint64_t swap)
{
	uint64_t both;
	bool inf = memory == UINT64_MAX || swap == UINT64_MAX;

	if (inf || __builtin_add_overflow(memory, swap, &both))
		both = UINT64_MAX;
	if (!has_file(w, "memory.memsw.limit_in_bytes")) {
		if (host_has_swap() && swap != UINT64_MAX)
			die("--swap: this kernel counts no swap (boot it with swapaccount=1)");
		put_number(w, "--memory", "memory.limit_in_bytes", memory);
		return;
	}
	remember(w.fd, "memory.memsw.limit_in_bytes");
	remember(w.fd, "memory.limit_in_bytes");
	write_at(w.fd, "memory.memsw.limit_in_bytes", "-1");
	put_number(w, "--memory", "memory.limit_in_bytes", memory);
	put_number(w, "--swap", "memory.memsw.limit_in_bytes", both);
}

/* --swap alone: beside the --memory that is there. */
static uint64_t memory_limit_v1(struct where w)
{
	uint64_t limit = v1_limit(number_in(w.fd, "memory.limit_in_bytes", ""));

	return limit == ABSENT ? UINT64_MAX : limit;
}

static void apply_memory(const struct limits *l, const struct cgroup *cg)
{
	struct where w = find(cg, "memory");
	uint64_t swap = l->have_swap ? l->swap_bytes : l->memory_bytes == UINT64_MAX ? UINT64_MAX : 0;

	if (!l->memory_bytes && !l->have_swap)
		return;
	if (w.v1) {
		uint64_t memory = l->memory_bytes ? l->memory_bytes : memory_limit_v1(w);

		if (memory == UINT64_MAX && swap != UINT64_MAX)
			die("--swap: needs a limit on --memory where the memory controller is cgroup v1");
		apply_memory_v1(w, memory, swap);
		return;
	}
	if (l->memory_bytes)
		put_number(w, "--memory", "memory.max", l->memory_bytes);
	if (has_file(w, "memory.swap.max"))
		put_number(w, "--swap", "memory.swap.max", swap);
	else if (host_has_swap() && swap != UINT64_MAX)
		die("--swap: this kernel counts no swap (CONFIG_SWAP, not swapaccount=0)");
}

/* The caller's own limit holds, whatever was asked for. */
static void apply_pids(const struct limits *l, const struct cgroup *cg)
{
	uint64_t pids = l->pids;

	if (cg->caller_pids && (!pids || pids > cg->caller_pids))
		pids = cg->caller_pids;
	if (pids)
		put_number(find(cg, "pids"), "--pids", "pids.max", pids);
}

static void apply_cpu_quota(const struct limits *l, const struct cgroup *cg)
{
	struct where w = find(cg, "cpu");
	const char *burst = w.v1 ? "cpu.cfs_burst_us" : "cpu.max.burst";
	unsigned long long quota = l->cpu_quota_us, period = l->cpu_period_us;

	if (!l->cpu_quota_us)
		return;
	if (has_file(w, burst))
		put(w, "--cpu-rate", burst, "0");       /* it must never be above the quota */
	else if (l->cpu_burst_us)
		die("--cpu-rate: a burst needs Linux 5.14");
	if (w.v1) {
		/* first none at all: a new period with the old quota may be out of bounds */
		put(w, "--cpus", "cpu.cfs_quota_us", "-1");
		put(w, "--cpus", "cpu.cfs_period_us", "%llu", period);
		if (l->cpu_quota_us != UINT64_MAX)
			put(w, "--cpus", "cpu.cfs_quota_us", "%llu", quota);
	} else if (l->cpu_quota_us == UINT64_MAX) {
		put(w, "--cpus", "cpu.max", "max %llu", period);
	} else {
		put(w, "--cpus", "cpu.max", "%llu %llu", quota, period);
	}
	if (l->cpu_burst_us)
		put(w, "--cpu-rate", burst, "%llu", (unsigned long long)l->cpu_burst_us);
}

static void apply_cpu_weight(const struct limits *l, const struct cgroup *cg)
{
	struct where w = find(cg, "cpu");

	if (!l->cpu_weight)
		return;
	if (w.v1)       /* as systemd converts: 100 is 1024; the kernel's least is 2 */
		put(w, "--cpu-weight", "cpu.shares", "%u", l->cpu_weight * 1024 / 100 > 2 ? l->cpu_weight * 1024 / 100 : 2);
	else
		put(w, "--cpu-weight", "cpu.weight", "%u", l->cpu_weight);
}

/* A list of the kernel's into a bit map. */
static void parse_cpu_map(const char *list, uint8_t map[MAX_CPUS / 8])
{
	memset(map, 0, MAX_CPUS / 8);
	while (*list >= '0' && *list <= '9') {
		char *end;
		unsigned long from = strtoul(list, &end, 10), to = from;

		if (*end == '-')
			to = strtoul(end + 1, &end, 10);
		for (unsigned long i = from; i <= to && i < MAX_CPUS; i++)
			map[i / 8] |= (uint8_t)(1 << i % 8);
		list = *end == ',' ? end + 1 : end;
	}
}

static _Noreturn void no_such_cpus(struct where w, const char *asked)
{
	char there[4096];

	line_of(w.fd, w.v1 ? "../cpuset.cpus" : "../cpuset.cpus.effective", there, sizeof(there));
	die("--cpuset %s: not among the CPUs that there are to be used%s%s", asked, *there ? ": " : "", there);
}

/* In v2 a set without a CPU that is there means the parent's set: then nothing would be enforced. */
static void check_cpuset(struct where w, const char *asked)
{
	static uint8_t want[MAX_CPUS / 8], got[MAX_CPUS / 8];
	char text[4096];

	if (read_at(w.fd, "cpuset.cpus.effective", text, sizeof(text)) < 0)
		die_sys("--cpuset: read cpuset.cpus.effective");
	parse_cpu_map(asked, want);
	parse_cpu_map(text, got);
	for (size_t i = 0; i < sizeof(got); i++) {
		if (got[i] & ~want[i])
			no_such_cpus(w, asked);
	}
}

/* As put(), but the kernel's EINVAL, EACCES or ERANGE for CPUs that aren't there or not the parent's says nothing. */
static void put_cpus(struct where w, const char *list)
{
	remember(w.fd, "cpuset.cpus");
	if (write_at(w.fd, "cpuset.cpus", list) == 0)
		return;
	if (errno != EINVAL && errno != EACCES && errno != ERANGE)
		die_sys("--cpuset: write '%s' to cpuset.cpus of guest %u's cgroup", list, w.cg->xid);
	no_such_cpus(w, list);
}

static void apply_cpuset(const struct limits *l, const struct cgroup *cg)
{
	struct where w = find(cg, "cpuset");
	bool inf = l->cpuset && strcmp(l->cpuset, "inf") == 0;

	if (!l->cpuset)
		return;
	if (inf) {
		remember(w.fd, "cpuset.cpus");
		if (lift_cpus(w.fd))
			die_sys("--cpuset inf: write the parent's set to cpuset.cpus of guest %u's cgroup", cg->xid);
		return;
	}
	put_cpus(w, l->cpuset);
	if (!w.v1)
		check_cpuset(w, l->cpuset);
}

static const char *const io_files_v1[] = {
	"blkio.throttle.read_bps_device", "blkio.throttle.write_bps_device",
	"blkio.throttle.read_iops_device", "blkio.throttle.write_iops_device",
};
static const char io_none_v2[] = "rbps=max wbps=max riops=max wiops=max";

/* Whether the list has something for this device; in v1, for the file of this number. */
static bool io_given(const struct limits *l, bool v1, size_t file, const char *device)
{
	char number[32];

	for (size_t i = 0; i < l->n_io; i++) {
		const struct io_limit *io = &l->io[i];
		const uint64_t value[] = { io->rbps, io->wbps, io->riops, io->wiops };

		snprintf(number, sizeof(number), "%u:%u", major(io->rdev), minor(io->rdev));
		if (strcmp(number, device) == 0 && (!v1 || value[file]))
			return true;
	}
	return false;
}

/* The list replaces what there is: what it doesn't name is lifted. (A new cgroup has nothing.) */
static void lift_io(struct where w, const struct limits *l)
{
	const char *none = w.v1 ? "0" : io_none_v2;
	char text[4096], *line, *save;

	for (size_t i = 0; i < (w.v1 ? 4 : 1); i++) {
		const char *file = w.v1 ? io_files_v1[i] : "io.max";

		if (read_at(w.fd, file, text, sizeof(text)) <= 0)
			continue;
		for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
			line[strcspn(line, " ")] = '\0';
			if (io_given(l, w.v1, i, line))
				continue;
			remember_device(w.fd, file, line, none);
			put(w, "--io", file, "%s %s", line, none);
		}
	}
}

static void apply_io_v1(struct where w, const struct io_limit *io)
{
	const uint64_t value[] = { io->rbps, io->wbps, io->riops, io->wiops };
	char device[32];

	snprintf(device, sizeof(device), "%u:%u", major(io->rdev), minor(io->rdev));
	for (size_t i = 0; i < 4; i++) {
		if (!value[i])
			continue;
		remember_device(w.fd, io_files_v1[i], device, "0");     /* 0 lifts it */
		put(w, "--io", io_files_v1[i], "%s %llu", device,
		    value[i] == UINT64_MAX ? 0ULL : (unsigned long long)value[i]);
	}
}

static void apply_io_v2(struct where w, const struct io_limit *io)
{
	const struct { const char *key; uint64_t value; } keys[] = {
		{ "rbps", io->rbps }, { "wbps", io->wbps }, { "riops", io->riops }, { "wiops", io->wiops },
	};
	char text[256];
	int n = snprintf(text, sizeof(text), "%u:%u", major(io->rdev), minor(io->rdev));

	remember_device(w.fd, "io.max", text, io_none_v2);
	for (size_t i = 0; i < 4; i++) {
		if (!keys[i].value || keys[i].value == UINT64_MAX)
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=max", keys[i].key);
		else
			n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=%llu", keys[i].key,
				      (unsigned long long)keys[i].value);
	}
	put(w, "--io", "io.max", "%s", text);
}

static void apply_io(const struct limits *l, const struct cgroup *cg)
{
	struct where w = find(cg, "blkio");

	if (l->n_io && w.v1)
		note("--io: cgroup v1 doesn't hold buffered writes back, only direct and synchronous ones");
	if (l->n_io)
		lift_io(w, l);
	for (size_t i = 0; i < l->n_io; i++) {
		if (w.v1)
			apply_io_v1(w, &l->io[i]);
		else
			apply_io_v2(w, &l->io[i]);
	}
}

void limits_apply(const struct plan *p, struct cgroup *cg)
{
	const struct limits *l = &p->limits;

	apply_memory(l, cg);
	apply_pids(l, cg);
	apply_cpu_quota(l, cg);
	apply_cpu_weight(l, cg);
	apply_cpuset(l, cg);
	apply_io(l, cg);
}

void limits_set(const struct plan *p, struct cgroup *cg)
{
	keep_journal = true;
	limits_apply(p, cg);
}

/* ---- accounting ---- */

/* The sum of a key over all devices: "8:0 rbytes=1 wbytes=2 ..." in v2, "8:0 Read 1" in v1. */
static uint64_t device_sum(int dir_fd, const char *file, const char *key)
{
	char text[16384];
	uint64_t sum = 0;

	if (dir_fd < 0 || read_at(dir_fd, file, text, sizeof(text)) < 0)
		return ABSENT;
	for (const char *p = text; (p = strstr(p, key)); p += strlen(key))
		sum += strtoull(p + strlen(key), NULL, 10);
	return sum;
}

static void memory_usage(const struct cgroup *cg, struct usage *u)
{
	struct where w = find(cg, "memory");
	uint64_t both;

	if (!w.v1) {
		u->memory_bytes = number_in(w.fd, "memory.current", "");
		u->memory_peak_bytes = number_in(w.fd, "memory.peak", "");      /* Linux 5.19 */
		u->memory_limit_bytes = number_in(w.fd, "memory.max", "");
		u->memory_hits = number_in(w.fd, "memory.events", "max");
		u->oom_kills = number_in(w.fd, "memory.events", "oom_kill");
		u->swap_bytes = number_in(w.fd, "memory.swap.current", "");
		u->swap_limit_bytes = number_in(w.fd, "memory.swap.max", "");
		return;
	}
	u->memory_bytes = number_in(w.fd, "memory.usage_in_bytes", "");
	u->memory_peak_bytes = number_in(w.fd, "memory.max_usage_in_bytes", "");
	u->memory_limit_bytes = v1_limit(number_in(w.fd, "memory.limit_in_bytes", ""));
	u->memory_hits = number_in(w.fd, "memory.failcnt", "");
	u->oom_kills = number_in(w.fd, "memory.oom_control", "oom_kill");
	both = number_in(w.fd, "memory.memsw.usage_in_bytes", "");
	u->swap_bytes = both == ABSENT ? ABSENT : both > u->memory_bytes ? both - u->memory_bytes : 0;
	both = v1_limit(number_in(w.fd, "memory.memsw.limit_in_bytes", ""));
	u->swap_limit_bytes = both == ABSENT || u->memory_limit_bytes == ABSENT ? ABSENT : both - u->memory_limit_bytes;
}

void limits_usage(const struct cgroup *cg, struct usage *u)
{
	struct where cpu = find(cg, "cpu"), pids = find(cg, "pids"), io = find(cg, "blkio");

	/* the basic cpu.stat of v2 is there without any controller (Linux 4.15) */
	u->cpu_user_us = number_in(cg->dir_fd, "cpu.stat", "user_usec");
	u->cpu_system_us = number_in(cg->dir_fd, "cpu.stat", "system_usec");
	u->throttled = number_in(cpu.fd, "cpu.stat", "nr_throttled");
	u->throttled_us = number_in(cpu.fd, "cpu.stat", cpu.v1 ? "throttled_time" : "throttled_usec");
	u->bursts = number_in(cpu.fd, "cpu.stat", "nr_bursts");
	u->burst_us = number_in(cpu.fd, "cpu.stat", cpu.v1 ? "burst_time" : "burst_usec");
	if (cpu.v1 && u->throttled_us != ABSENT)
		u->throttled_us /= 1000;
	if (cpu.v1 && u->burst_us != ABSENT)
		u->burst_us /= 1000;
	memory_usage(cg, u);
	u->pids = number_in(pids.fd, "pids.current", "");
	u->pids_peak = number_in(pids.fd, "pids.peak", "");     /* Linux 6.1 */
	u->pids_limit = number_in(pids.fd, "pids.max", "");
	u->pids_hits = number_in(pids.fd, "pids.events", "max");
	u->io_read_bytes = device_sum(io.fd, io.v1 ? "blkio.throttle.io_service_bytes_recursive" : "io.stat",
				      io.v1 ? " Read " : " rbytes=");
	u->io_write_bytes = device_sum(io.fd, io.v1 ? "blkio.throttle.io_service_bytes_recursive" : "io.stat",
				       io.v1 ? " Write " : " wbytes=");
}

/* "254:0 rbps=1048576": a line a device, in v1 one for each limit of a device. */
static void io_text(struct where w, char *out, size_t room)
{
	static const char *const key[] = { "rbps", "wbps", "riops", "wiops" };
	char text[2048], *line, *save;
	size_t n = 0;

	if (!w.v1) {
		if (read_at(w.fd, "io.max", out, room) < 0)
			*out = '\0';
		return;
	}
	for (size_t i = 0; i < 4; i++) {
		if (read_at(w.fd, io_files_v1[i], text, sizeof(text)) <= 0)
			continue;
		for (line = strtok_r(text, "\n", &save); line && n < room; line = strtok_r(NULL, "\n", &save)) {
			size_t device = strcspn(line, " ");

			n += (size_t)snprintf(out + n, room - n, "%.*s %s=%s\n", (int)device, line, key[i],
					      line + device + (line[device] == ' '));
		}
	}
}

void limits_sched(const struct cgroup *cg, struct sched_text *t)
{
	struct where cpu = find(cg, "cpu"), set = find(cg, "cpuset");
	uint64_t quota, period;

	memset(t, 0, sizeof(*t));
	line_of(set.fd, "cpuset.cpus", t->cpuset, sizeof(t->cpuset));
	io_text(find(cg, "blkio"), t->io, sizeof(t->io));
	if (!cpu.v1) {
		line_of(cpu.fd, "cpu.max", t->quota, sizeof(t->quota));
		line_of(cpu.fd, "cpu.max.burst", t->burst, sizeof(t->burst));
		line_of(cpu.fd, "cpu.weight", t->weight, sizeof(t->weight));
		return;
	}
	quota = number_in(cpu.fd, "cpu.cfs_quota_us", "");      /* -1: ABSENT, no limit */
	period = number_in(cpu.fd, "cpu.cfs_period_us", "");
	if (quota != ABSENT)
		snprintf(t->quota, sizeof(t->quota), "%llu %llu", (unsigned long long)quota,
			 (unsigned long long)period);
	else
		snprintf(t->quota, sizeof(t->quota), "max %llu", (unsigned long long)period);
	line_of(cpu.fd, "cpu.cfs_burst_us", t->burst, sizeof(t->burst));
	snprintf(t->weight, sizeof(t->weight), "%llu",
		 (unsigned long long)(number_in(cpu.fd, "cpu.shares", "") * 100 + 512) / 1024);  /* what was asked for */
}

/* SPDX-License-Identifier: ISC */
/*
 * procvirt.c: what the guest sees of the machine.
 *
 * Theory of operation. Two kinds of view, two words on the command line. --virt informs: uptime, memory,
 * CPUs and load are the guest's, so that programs which size themselves by the machine size themselves by
 * the guest. Nothing rests on it: what was not asked for by name and can't be had is left out with one line
 * on stderr. --hide protects: what of the host the guest doesn't get to see; where it can't be given, the
 * start ends with an error that names the way out.
 *
 * uptime is a time namespace (time_namespaces(7), Linux 5.6): the kernel shifts CLOCK_MONOTONIC,
 * CLOCK_BOOTTIME, /proc/uptime, the start times of processes and sysinfo(2) by one offset, in the vDSO too,
 * so that nothing has to be answered from user space and nothing can disagree. Its offsets are written
 * while no process is in it yet, by the builder, as the host's root.
 *
 * mem, cpu and load are files over the guest's /proc and /sys, which the supervisor serves (fuse.c) from its
 * poll loop: texts (views.c) rendered from the guest's cgroups and limits, the host's own file as template. A
 * text is made when somebody looks and the last one is older than FRESH_MS: 1000 guests that nobody looks at cost
 * no wake-up, a thousand readers of one guest ten texts a second. The cgroups are read anew for each text, so
 * a limit that is changed while the guest runs shows. What the supervisor opens are files of the host's /proc and
 * of cgroups by descriptor, nothing that the guest could put in its way.
 *
 * With --hide net and addresses of the host's there is a directory more, /proc/net: the tables of sockets (their text
 * comes from netsock.c), and links to what /proc/self/net has of the other names. /proc/net itself is a link, on which
 * nothing but a link can be mounted; so the directory is mounted on /proc/1/net, which stays as long as the guest, and
 * a link to that on /proc/net. Other processes' /proc/PID/net can't be covered beforehand: they show the tables of
 * the guest's own network namespace, which are empty.
 *
 * CPUs keep their numbers: `online` lists as many as the quota is worth (1.5 CPUs are 2), `possible` and `present`
 * all that its tasks may run on, since programs size per-CPU arrays by these and index them by sched_getcpu(3).
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <time.h>
#include <linux/cgroupstats.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>

/* timens_offsets refuses a clock beyond KTIME_SEC_MAX / 2 (kernel/time/namespace.c): some 146 years. */
static const uint64_t uptime_max_secs = (uint64_t)(INT64_MAX / 1000000000 / 2);

struct view_word { const char *word; unsigned bit; };
static const struct view_word virt_words[] = {
	{ "uptime", VIRT_UPTIME }, { "mem", VIRT_MEM }, { "cpu", VIRT_CPU }, { "load", VIRT_LOAD },
	{ "time", VIRT_TIME }, { NULL, 0 },
};
static const struct view_word hide_words[] = {
	{ "net", HIDE_NET }, { "mount", HIDE_MOUNT }, { "proc", HIDE_PROC }, { NULL, 0 },
};
static const unsigned virt_default = VIRT_UPTIME | VIRT_MEM | VIRT_CPU | VIRT_LOAD;
static const unsigned hide_default = HIDE_NET | HIDE_MOUNT | HIDE_PROC;
static const unsigned virt_files = VIRT_MEM | VIRT_CPU | VIRT_LOAD;

/* ---- parsers ---- */

static unsigned word_bit(const struct view_word *w, const char *s, size_t len)
{
	for (; w->word; w++)
		if (strlen(w->word) == len && !memcmp(w->word, s, len))
			return w->bit;
	return 0;
}

/* "all", "none" or a list of words; false if it is none of these. `all` and `none` stand alone. */
static bool parse_view_words(const struct view_word *w, const char *s, unsigned all, unsigned *out)
{
	unsigned mask = 0;

	if (!strcmp(s, "all")) {
		*out = all;
		return true;
	}
	if (!strcmp(s, "none")) {
		*out = 0;
		return true;
	}
	for (;;) {
		size_t len = strcspn(s, ",");
		unsigned bit = word_bit(w, s, len);

		if (!bit)
			return false;
		mask |= bit;
		if (!s[len])
			break;
		s += len + 1;
	}
	*out = mask;
	return true;
}

const char *procvirt_parse_virt(struct procvirt *v, const char *arg)
{
	/* `all` is all that can be had, as --virt's default; `time` has limits of its own and is asked for by name. */
	if (!parse_view_words(virt_words, arg, virt_default, &v->virt))
		return "not a list of uptime, mem, cpu, load, time; nor all, none";
	v->virt_given = true;
	return NULL;
}

const char *procvirt_parse_hide(struct procvirt *v, const char *arg)
{
	if (!parse_view_words(hide_words, arg, hide_default, &v->hide))
		return "not a list of net, mount, proc; nor all, none";
	v->hide_given = true;
	return NULL;
}

const char *procvirt_parse_uptime(struct procvirt *v, const char *arg)
{
	uint64_t secs = 0;

	if (strcmp(arg, "host")) {
		const char *why = parse_u64(arg, 0, uptime_max_secs, &secs);

		if (why)
			return why;
	}
	v->uptime_host = !strcmp(arg, "host");
	v->uptime_secs = secs;
	v->uptime_given = true;
	return NULL;
}

/* ---- check ---- */

static void check_uptime(struct procvirt *v)
{
	if (v->uptime_given && v->virt_given && !(v->virt & VIRT_UPTIME) && !v->uptime_host)
		die_usage("--uptime %" PRIu64 ": --virt is given without uptime", v->uptime_secs);
	if (v->uptime_host)
		v->virt &= ~(unsigned)VIRT_UPTIME;
	if (!(v->virt & VIRT_UPTIME))
		return;
	if (!faccessat(host_proc_fd(), "self/ns/time_for_children", F_OK, 0))
		return;
	if (v->uptime_given || v->virt_given)
		die("--%s: this kernel has no time namespaces (Linux 5.6, CONFIG_TIME_NS)",
		    v->uptime_given ? "uptime" : "virt uptime");
	note("no time namespaces in this kernel (Linux 5.6, CONFIG_TIME_NS): the guest's uptime is the host's");
	v->virt &= ~(unsigned)VIRT_UPTIME;
}

static void check_files(struct procvirt *v)
{
	if (!(v->virt & virt_files) || !access("/dev/fuse", F_OK))
		return;
	if (v->virt_given)
		die_sys("--virt: /dev/fuse (Linux 5.2, CONFIG_FUSE_FS; modprobe fuse)");
	note("no /dev/fuse (CONFIG_FUSE_FS): the guest sees the host's memory, CPUs and load");
	v->virt &= ~virt_files;
}

void procvirt_check(struct plan *p)
{
	struct procvirt *v = &p->procvirt;

	if (!v->virt_given)
		v->virt = virt_default;
	if (!v->hide_given)
		v->hide = hide_default;
	if (v->virt & VIRT_TIME)
		die("--virt time: a clock of the guest's own is not in this version of vrun");
	check_files(v);
	check_uptime(v);

	/* Its own network namespace (--ip none) shows the guest's network and nothing else. With the host's
	 * (--ip host) there is nothing to hide: DESIGN.md, --ip. */
	if (p->net.mode == IP_NONE)
		return;
	if (v->hide_given && v->hide & HIDE_NET && p->net.mode == IP_HOST)
		die("--hide net: --ip host gives the guest the host's network");
	if (v->hide_given && v->hide & HIDE_NET && p->context.share & NS_ABSTRACT)
		die("--hide net: the guest's abstract UNIX sockets are its own then: not with --share abstract");
	if (p->net.mode == IP_LIST && !(p->context.share & NS_ABSTRACT)) {
		p->net.view = v->hide & HIDE_NET;
		return;
	}
	v->hide &= ~(unsigned)HIDE_NET;
}

/* ---- uptime ---- */

enum { NS_PER_SEC = 1000000000 };

static int64_t clock_ns(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

/* tv_nsec of an offset is 0..999999999, as in any struct timespec: seconds are rounded down. */
static int64_t floor_secs(int64_t ns)
{
	return ns / NS_PER_SEC - (ns % NS_PER_SEC < 0);
}

static void write_offset(const char *clock, int64_t ns)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %" PRId64 " %" PRId64 "\n", clock, floor_secs(ns),
		 ns - floor_secs(ns) * NS_PER_SEC);
	if (write_at(host_proc_fd(), "self/timens_offsets", line))
		die_sys("--uptime: write %s to /proc/self/timens_offsets", quote(line));
}

void procvirt_apply_time(const struct plan *p, const struct view *v)
{
	if (!(p->procvirt.virt & VIRT_UPTIME))
		return;
	/* The builder itself stays where it is: the new namespace is for its children, and its offsets can be
	 * written until the first of them is born. */
	if (unshare(CLONE_NEWTIME))
		die_sys("--uptime: unshare(CLONE_NEWTIME)");
	write_offset("monotonic", v->monotonic_ns);
	write_offset("boottime", v->boottime_ns);
}

/* ---- numbers: from the host's /proc and the guest's cgroups ---- */

enum { TEXT_MAX = 8192, LEVELS_MAX = 24 };

/* A file of one number; `max` and -1, which mean none, and a missing file are UINT64_MAX. */
static uint64_t read_number(int dir_fd, const char *file)
{
	char text[64];
	uint64_t v;

	if (dir_fd < 0 || read_at(dir_fd, file, text, sizeof(text)) <= 0)
		return UINT64_MAX;
	text[strcspn(text, "\n")] = '\0';
	return parse_u64(text, 0, UINT64_MAX, &v) ? UINT64_MAX : v;
}

/* The path of `file` `level` directories up; false when there is no such file: above the topmost cgroup. */
static bool read_above(int dir_fd, unsigned level, const char *file, char *text, size_t size)
{
	char path[LEVELS_MAX * 3 + 64] = "";

	if (level >= LEVELS_MAX)
		return false;
	for (unsigned i = 0; i < level; i++)
		memcpy(path + 3 * i, "../", 4);
	snprintf(path + 3 * level, sizeof(path) - 3 * level, "%s", file);
	return read_at(dir_fd, path, text, size) > 0;
}

/* The lowest limit on the way up: the guest's own, its caller's, and what systemd set above that. */
static uint64_t lowest_limit(int dir_fd, const char *file)
{
	uint64_t lowest = UINT64_MAX, v;
	char text[64];

	for (unsigned level = 0; read_above(dir_fd, level, file, text, sizeof(text)); level++) {
		text[strcspn(text, "\n")] = '\0';
		if (!parse_u64(text, 0, UINT64_MAX, &v) && v < lowest)
			lowest = v;
	}
	return lowest;
}

static uint64_t lower(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t known(uint64_t v)
{
	return v == UINT64_MAX ? 0 : v;
}

/* `text` holds memory.stat while n is used. */
static void memory_numbers(const struct view *v, struct numbers *n, char *text, size_t size)
{
	const struct view_source *m = &v->memory;
	char host[TEXT_MAX];
	uint64_t limit, swap_limit;

	if (read_at(host_proc_fd(), "meminfo", host, sizeof(host)) < 0)
		return;
	n->mem_total = views_parse_key(host, "MemTotal") * 1024;
	n->swap_total = views_parse_key(host, "SwapTotal") * 1024;
	if (m->dir_fd < 0 || read_at(m->dir_fd, "memory.stat", text, size) < 0)
		return;
	views_parse_memory_stat(text, m->v1, n);
	if (m->v1) {
		n->mem_used = known(read_number(m->dir_fd, "memory.usage_in_bytes"));
		n->swap_used = views_parse_key(text, "total_swap");
		limit = views_parse_key(text, "hierarchical_memory_limit");
		swap_limit = views_parse_key(text, "hierarchical_memsw_limit");
		/* of memory and swap together; without swap accounting there is no such line */
		swap_limit = swap_limit > limit ? swap_limit - limit : limit < n->mem_total && swap_limit ? 0 : UINT64_MAX;
	} else {
		n->mem_used = known(read_number(m->dir_fd, "memory.current"));
		n->swap_used = known(read_number(m->dir_fd, "memory.swap.current"));
		limit = lowest_limit(m->dir_fd, "memory.max");
		swap_limit = lowest_limit(m->dir_fd, "memory.swap.max");
	}
	n->mem_total = lower(n->mem_total, limit);
	n->swap_total = lower(n->swap_total, swap_limit);
}

/* Whole CPUs that a quota is worth, the lowest on the way up; UINT_MAX: no quota. */
static unsigned quota_cpus(const struct view_source *c)
{
	unsigned lowest = UINT32_MAX;
	char text[64], period_text[64];

	for (unsigned level = 0; c->dir_fd >= 0; level++) {
		uint64_t quota, period;
		char *space;

		if (!read_above(c->dir_fd, level, c->v1 ? "cpu.cfs_quota_us" : "cpu.max", text, sizeof(text)))
			break;
		text[strcspn(text, "\n")] = '\0';
		space = strchr(text, ' ');
		if (c->v1 && !read_above(c->dir_fd, level, "cpu.cfs_period_us", period_text, sizeof(period_text)))
			break;
		period_text[c->v1 ? strcspn(period_text, "\n") : 0] = '\0';
		if (space)
			*space = '\0';
		if (parse_u64(text, 1, UINT32_MAX, &quota) ||
		    parse_u64(c->v1 ? period_text : space ? space + 1 : "", 1, UINT32_MAX, &period))
			continue;
		lowest = (unsigned)lower(lowest, (quota + period - 1) / period);
	}
	return lowest;
}

static void cpu_numbers(const struct view *v, struct numbers *n)
{
	char text[TEXT_MAX];
	const char *file = v->cpuset.v1 ? "cpuset.effective_cpus" : "cpuset.cpus.effective";

	/* Without a cpuset of its own the guest has its caller's, and the affinity that taskset(1) gave it. */
	if (v->cpuset.dir_fd < 0 || read_at(v->cpuset.dir_fd, file, text, sizeof(text)) <= 0 ||
	    !views_parse_cpus(text, n->allowed) || !views_count_cpus(n->allowed)) {
		memset(n->allowed, 0, sizeof(n->allowed));
		if (syscall(SYS_sched_getaffinity, 0, sizeof(n->allowed), n->allowed) < 0)
			n->allowed[0] = 1;
	}
	views_first_cpus(n->allowed, quota_cpus(&v->cpu), n->online);
	if (read_at(v->payload_fd, "cpu.stat", text, sizeof(text)) < 0)
		return;
	n->user_us = views_parse_key(text, "user_usec") - v->user_base_us;
	n->system_us = views_parse_key(text, "system_usec") - v->system_base_us;
	n->nice_us = views_parse_key(text, "nice_usec") - v->nice_base_us;
	n->user_us -= lower(n->nice_us, n->user_us);    /* Linux 6.11: user_usec has it, too */
}

static void disk_numbers(const struct view *v, struct numbers *n)
{
	char text[TEXT_MAX];

	if (v->io.dir_fd < 0)
		return;
	if (!v->io.v1) {
		if (read_at(v->io.dir_fd, "io.stat", text, sizeof(text)) > 0)
			views_parse_io_stat(text, n);
		return;
	}
	if (read_at(v->io.dir_fd, "blkio.throttle.io_service_bytes_recursive", text, sizeof(text)) > 0)
		views_parse_blkio(text, true, n);
	if (read_at(v->io.dir_fd, "blkio.throttle.io_serviced_recursive", text, sizeof(text)) > 0)
		views_parse_blkio(text, false, n);
}

/* ---- the guest's tasks, and the load ---- */

struct tasks { unsigned running, uninterruptible, io_wait, total; };

/* One netlink exchange; answers are there when send(2) returns. The attributes' length, or -1. */
static ssize_t genl_ask(int sock, uint16_t family, uint8_t command, uint16_t attr, const void *value, size_t len,
			void *answer, size_t room)
{
	struct { struct nlmsghdr h; struct genlmsghdr g; struct nlattr a; char value[32]; } q = {
		.h = { .nlmsg_len = (uint32_t)(NLMSG_HDRLEN + GENL_HDRLEN + NLA_HDRLEN + NLA_ALIGN(len)),
		       .nlmsg_type = family, .nlmsg_flags = NLM_F_REQUEST },
		.g = { .cmd = command, .version = 1 },
		.a = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = attr },
	};
	struct { struct nlmsghdr h; struct genlmsghdr g; char attrs[2048]; } a;
	ssize_t n;

	memcpy(q.value, value, len);
	if (send(sock, &q, q.h.nlmsg_len, 0) < 0)
		return -1;
	n = recv(sock, &a, sizeof(a), MSG_DONTWAIT);
	if (n < (ssize_t)offsetof(__typeof__(a), attrs) || a.h.nlmsg_type != family)
		return -1;
	n -= (ssize_t)offsetof(__typeof__(a), attrs);
	if ((size_t)n > room)
		return -1;
	memcpy(answer, a.attrs, (size_t)n);
	return n;
}

/* The payload of the first attribute of this type. */
static bool genl_attr(const char *attrs, ssize_t len, uint16_t type, void *out, size_t size)
{
	struct nlattr a;

	for (ssize_t at = 0; at + (ssize_t)sizeof(a) <= len; at += NLA_ALIGN(a.nla_len)) {
		memcpy(&a, attrs + at, sizeof(a));
		if (a.nla_len < sizeof(a) || at + a.nla_len > len)
			return false;
		if ((a.nla_type & NLA_TYPE_MASK) != type || a.nla_len < sizeof(a) + size)
			continue;
		memcpy(out, attrs + at + sizeof(a), size);
		return true;
	}
	return false;
}

/* CGROUPSTATS over taskstats (Linux 2.6.24, CONFIG_TASKSTATS): 5 us for 10 tasks, 90 for 1000, where a walk through
 * /proc takes 140 and 14000 (VIEWS.md D). It takes directories of v1 alone; any hierarchy will do. */
static bool tasks_by_cgroupstats(struct view *v, struct tasks *t)
{
	char attrs[2048];
	struct cgroupstats s;
	_cleanup_fd_ int dir = -1;
	uint32_t fd;
	ssize_t n;

	if (v->tasks_fd < 0)
		return false;
	if (v->stats_fd < 0) {
		v->stats_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
		if (v->stats_fd < 0)
			return false;
		n = genl_ask(v->stats_fd, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, TASKSTATS_GENL_NAME,
			     sizeof(TASKSTATS_GENL_NAME), attrs, sizeof(attrs));
		if (!genl_attr(attrs, n, CTRL_ATTR_FAMILY_ID, &v->stats_family, sizeof(v->stats_family)))
			v->stats_family = 0;
	}
	dir = openat(v->tasks_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (!v->stats_family || dir < 0)
		return false;
	fd = (uint32_t)dir;
	n = genl_ask(v->stats_fd, v->stats_family, CGROUPSTATS_CMD_GET, CGROUPSTATS_CMD_ATTR_FD, &fd, sizeof(fd), attrs,
		     sizeof(attrs));
	if (!genl_attr(attrs, n, CGROUPSTATS_TYPE_CGROUP_STATS, &s, sizeof(s)))
		return false;
	t->running = (unsigned)s.nr_running;
	t->uninterruptible = (unsigned)s.nr_uninterruptible;
	t->io_wait = (unsigned)s.nr_io_wait;
	t->total = (unsigned)(s.nr_sleeping + s.nr_running + s.nr_stopped + s.nr_uninterruptible);
	return true;
}

static char task_state(uint64_t tid)
{
	char path[40], text[512], *end;

	snprintf(path, sizeof(path), "%" PRIu64 "/stat", tid);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) <= 0)
		return 0;
	end = strrchr(text, ')');
	return end && end[1] ? end[2] : 0;
}

/* 14 us a task: only for as many as fit into a page of thread ids, and not where --init made cgroups below. */
static bool tasks_by_walk(const struct view *v, struct tasks *t)
{
	char text[2048];

	if (read_at(v->payload_fd, "cgroup.stat", text, sizeof(text)) < 0 || views_parse_key(text, "nr_descendants") ||
	    read_at(v->payload_fd, "cgroup.threads", text, sizeof(text)) < 0)
		return false;
	for (char *line = text, *next; *line; line = next) {
		uint64_t tid;
		char state;

		next = line + strcspn(line, "\n");
		if (*next)
			*next++ = '\0';
		if (parse_u64(line, 1, INT32_MAX, &tid))
			continue;
		state = task_state(tid);
		t->total += state != 0;
		t->running += state == 'R';
		t->uninterruptible += state == 'D';
	}
	return true;
}

struct load_state { struct load load; uint64_t at_ns, busy_us; };

/* Where tasks can't be counted: how many CPUs were busy for the guest since the last look, and the share of the time in
 * which somebody waited for one (PSI, Linux 4.20). Misses tasks that wait for a disk. In 1/2048. */
static uint64_t active_by_accounting(const struct view *v, struct load_state *s, uint64_t now_ns)
{
	char text[1024];
	uint64_t busy = 0, active = 0;
	char *total;

	if (read_at(v->payload_fd, "cpu.stat", text, sizeof(text)) > 0)
		busy = views_parse_key(text, "usage_usec");
	if (read_at(v->payload_fd, "cpu.pressure", text, sizeof(text)) > 0 && (total = strstr(text, "total=")))
		busy += strtoull(total + strlen("total="), NULL, 10);
	/* Not in ns: 64 CPUs that are busy for two days, in which nobody looks, would be more than 64 bits. */
	if (now_ns > s->at_ns && busy > s->busy_us)
		active = (busy - s->busy_us) * 2048 / ((now_ns - s->at_ns) / 1000 + 1);
	s->at_ns = now_ns;
	s->busy_us = busy;
	return active;
}

/* The state is a memfd, since supervisor and broker both look: who comes while the other is at it takes what is there. */
static void load_numbers(const struct view *v, struct numbers *n, const struct tasks *t, bool counted)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct load_state s;
	uint64_t now = (uint64_t)clock_ns(CLOCK_MONOTONIC);

	if (v->load_fd < 0 || pread(v->load_fd, &s, sizeof(s), 0) != sizeof(s))
		return;
	if (now - s.load.at_ns >= 5ULL * NS_PER_SEC && fcntl(v->load_fd, F_SETLK, &lock) == 0) {
		uint64_t active = counted ? (t->running + t->uninterruptible) * 2048ULL :
			active_by_accounting(v, &s, now);

		if (views_load_tick(&s.load, now, active) && pwrite(v->load_fd, &s, sizeof(s), 0) < 0)
			return;
		lock.l_type = F_UNLCK;
		fcntl(v->load_fd, F_SETLK, &lock);
	}
	memcpy(n->load, s.load.avg, sizeof(n->load));
}

static bool asker_is_counted;

static void task_numbers(struct view *v, struct numbers *n)
{
	struct tasks t = { 0 };
	bool counted = tasks_by_cgroupstats(v, &t) || tasks_by_walk(v, &t);
	uint64_t pids = read_number(v->payload_fd, "pids.current");

	/* Who asks runs, though it waits for us; unless it was seen before it slept. */
	t.running -= asker_is_counted && t.running;
	n->running = t.running + 1;
	n->blocked = t.io_wait ? t.io_wait : t.uninterruptible;
	n->tasks = counted ? t.total : (unsigned)known(pids);
	n->last_pid = v->last_pid > n->tasks ? v->last_pid : n->tasks;
	load_numbers(v, n, &t, counted);
}

static void time_numbers(const struct view *v, struct numbers *n)
{
	n->uptime_ns = (uint64_t)(clock_ns(CLOCK_BOOTTIME) + v->boottime_ns);
	n->boot_offset_secs = floor_secs(v->boottime_ns);
}

/* ---- the files ---- */

enum {
	FRESH_MS = 100, OWED_NS = 200000000, HOST_FILE_MAX = 16 << 20, PAGE = 4096,
	SOCKETS_MAX_BYTES = 24 << 20,   /* some 150,000 sockets */
	SOCKETS_LEAST_BYTES = 64 << 10, /* for each table */
};

static size_t render_online(char *buf, size_t room, const struct numbers *n, const char *host)
{
	(void)host;
	return views_render_cpulist(buf, room, n->online);
}

static size_t render_allowed(char *buf, size_t room, const struct numbers *n, const char *host)
{
	(void)host;
	return views_render_cpulist(buf, room, n->allowed);
}

static size_t render_cpumap(char *buf, size_t room, const struct numbers *n, const char *host)
{
	(void)host;
	return views_render_cpumap(buf, room, n->allowed);
}

static size_t render_distance(char *buf, size_t room, const struct numbers *n, const char *host)
{
	(void)n, (void)host;
	return (size_t)snprintf(buf, room, "10\n");    /* LOCAL_DISTANCE: to itself */
}

static size_t render_node(char *buf, size_t room, const struct numbers *n, const char *host)
{
	(void)n, (void)host;
	return (size_t)snprintf(buf, room, "0\n");     /* the list of all nodes, or of those that have something */
}

#define NODES "/sys/devices/system/node"
enum { N_MEMORY = 1, N_CPU = 2, N_TASKS = 4, N_DISK = 8 };
static const struct view_file {
	const char *path;               /* in the guest; NULL: in a directory that is mounted */
	const char *host;               /* the template, below the host's /proc or absolute; NULL: none is needed */
	unsigned virt, numbers;
	bool grows;                     /* counters, which get more digits */
	size_t (*render)(char *buf, size_t room, const struct numbers *n, const char *host);
} view_files[VIEW_FILES] = {
	{ "/proc/meminfo", "meminfo", VIRT_MEM, N_MEMORY, false, views_render_meminfo },
	{ "/proc/swaps", "swaps", VIRT_MEM, N_MEMORY, false, views_render_swaps },
	{ "/proc/vmstat", "vmstat", VIRT_MEM, N_MEMORY, true, views_render_vmstat },
	{ "/proc/stat", "stat", VIRT_CPU, N_CPU | N_TASKS, true, views_render_stat },
	{ "/proc/cpuinfo", "cpuinfo", VIRT_CPU, N_CPU, false, views_render_cpuinfo },
	{ "/proc/uptime", NULL, VIRT_CPU, N_CPU, true, views_render_uptime },
	{ "/proc/diskstats", "diskstats", VIRT_CPU, N_DISK, true, views_render_diskstats },
	{ "/proc/loadavg", NULL, VIRT_LOAD, N_TASKS, true, views_render_loadavg },
	{ "/sys/devices/system/cpu/online", NULL, VIRT_CPU, N_CPU, false, render_online },
	{ "/sys/devices/system/cpu/possible", NULL, VIRT_CPU, N_CPU, false, render_allowed },
	{ "/sys/devices/system/cpu/present", NULL, VIRT_CPU, N_CPU, false, render_allowed },
	/* Within the directory of memory nodes (pieces), which is mounted as a whole. */
	{ NULL, NODES "/node0/meminfo", VIRT_MEM, N_MEMORY, false, views_render_meminfo },
	{ NULL, NODES "/node0/numastat", VIRT_MEM, 0, false, views_render_zeros },
	{ NULL, NULL, VIRT_MEM, N_CPU, false, render_allowed },
	{ NULL, NULL, VIRT_MEM, N_CPU, false, render_cpumap },
	{ NULL, NULL, VIRT_MEM, 0, false, render_distance },
	{ NULL, NULL, VIRT_MEM, 0, false, render_node },
	{ NULL, NULL, VIRT_MEM, 0, false, render_node },
	{ NULL, NULL, VIRT_MEM, 0, false, render_node },
	{ NULL, NULL, VIRT_MEM, 0, false, render_node },
	{ NULL, NULL, VIRT_MEM, 0, false, render_node },
};

/*
 * All that is served: the files above; the tables of sockets; then where these are, and the rest of what stands there.
 * A name that this kernel doesn't have isn't shown. Numbers of nodes are places in here: the same for the guest's life.
 */
#define IN_NET (VIEW_FILES + SOCKET_FILES + 1)
#define IN_NODES (IN_NET + 2)
#define IN_NODE0 (IN_NODES + 1)
#define SOCKETS(name) { name, ENTRY_SHOT, IN_NET, NULL }
#define NET_LINK(name) { name, ENTRY_LINK, IN_NET, "../../self/net/" name }
enum { SOCKET_FILES = 12 };
static const struct fuse_entry entries[] = {
	{ "meminfo" }, { "swaps" }, { "vmstat" }, { "stat" }, { "cpuinfo" }, { "uptime" }, { "diskstats" }, { "loadavg" },
	{ "online" }, { "possible" }, { "present" },
	{ "meminfo", ENTRY_FILE, IN_NODE0, NULL }, { "numastat", ENTRY_FILE, IN_NODE0, NULL },
	{ "cpulist", ENTRY_FILE, IN_NODE0, NULL }, { "cpumap", ENTRY_FILE, IN_NODE0, NULL },
	{ "distance", ENTRY_FILE, IN_NODE0, NULL }, { "online", ENTRY_FILE, IN_NODES, NULL },
	{ "possible", ENTRY_FILE, IN_NODES, NULL }, { "has_cpu", ENTRY_FILE, IN_NODES, NULL },
	{ "has_memory", ENTRY_FILE, IN_NODES, NULL }, { "has_normal_memory", ENTRY_FILE, IN_NODES, NULL },
	SOCKETS("tcp"), SOCKETS("tcp6"), SOCKETS("udp"), SOCKETS("udp6"), SOCKETS("udplite"), SOCKETS("udplite6"),
	SOCKETS("raw"), SOCKETS("raw6"), SOCKETS("icmp"), SOCKETS("icmp6"), SOCKETS("sockstat"), SOCKETS("sockstat6"),
	{ "net", ENTRY_DIR, 0, NULL }, { "net-link", ENTRY_LINK, 0, "1/net" },
	{ "nodes", ENTRY_DIR, 0, NULL }, { "node0", ENTRY_DIR, IN_NODES, NULL },
	NET_LINK("anycast6"), NET_LINK("arp"), NET_LINK("arp_tables_matches"), NET_LINK("arp_tables_names"),
	NET_LINK("arp_tables_targets"), NET_LINK("ip6_tables_matches"), NET_LINK("ip6_tables_names"),
	NET_LINK("ip6_tables_targets"), NET_LINK("ip6t_hashlimit"), NET_LINK("ip_tables_matches"),
	NET_LINK("ip_tables_names"), NET_LINK("ip_tables_targets"), NET_LINK("ipt_hashlimit"), NET_LINK("connector"),
	NET_LINK("dev"), NET_LINK("dev_mcast"),
	NET_LINK("dev_snmp6"), NET_LINK("fib_trie"), NET_LINK("fib_triestat"),
	NET_LINK("if_inet6"), NET_LINK("igmp"), NET_LINK("igmp6"), NET_LINK("ip6_flowlabel"), NET_LINK("ip6_mr_cache"),
	NET_LINK("ip6_mr_vif"), NET_LINK("ip_mr_cache"), NET_LINK("ip_mr_vif"), NET_LINK("ipv6_route"),
	NET_LINK("mcfilter"), NET_LINK("mcfilter6"), NET_LINK("netfilter"), NET_LINK("netlink"), NET_LINK("netstat"),
	NET_LINK("nf_conntrack"), NET_LINK("nf_conntrack_expect"), NET_LINK("packet"), NET_LINK("protocols"),
	NET_LINK("psched"), NET_LINK("ptype"), NET_LINK("route"), NET_LINK("rt6_stats"), NET_LINK("rt_acct"),
	NET_LINK("rt_cache"), NET_LINK("sctp"), NET_LINK("snmp"), NET_LINK("snmp6"), NET_LINK("softnet_stat"),
	NET_LINK("stat"), NET_LINK("tls_stat"), NET_LINK("unix"), NET_LINK("vlan"), NET_LINK("wireless"),
	NET_LINK("xfrm_stat"), NET_LINK("xt_recent"),
};
static const struct { const char *name, *path; } net_pieces[] = {
	{ "net", "/proc/1/net" }, { "net-link", "/proc/net" },
}, node_piece = { "nodes", NODES };
char *(*procvirt_sockets)(const char *name, size_t *len);

/* What was last served. Not part of struct view: after the supervisor's exec it is made anew. */
static struct generation {
	char *text;
	size_t size;
	uint64_t made_ns, mtime_ns, valid_ns;
} generations[VIEW_FILES + SOCKET_FILES];

/* All of a file of the host's /proc, whose size nobody knows before; NULL if there's no such file or no memory. */
static char *read_host(const char *name)
{
	for (size_t size = TEXT_MAX; size <= HOST_FILE_MAX; size *= 4) {
		char *text = malloc(size);

		if (!text)
			return NULL;
		if (read_at(host_proc_fd(), name, text, size) >= 0)
			return text;
		free(text);
		if (errno != EFBIG)
			return NULL;
	}
	return NULL;
}

static void gather(struct view *v, unsigned what, struct numbers *n, char *memory_stat, size_t size)
{
	time_numbers(v, n);
	if (what & N_MEMORY)
		memory_numbers(v, n, memory_stat, size);
	if (what & N_CPU)
		cpu_numbers(v, n);
	if (what & N_TASKS)
		task_numbers(v, n);
	if (what & N_DISK)
		disk_numbers(v, n);
}

/* The text of now; NULL if it can't be made. */
static char *render(struct view *v, const struct view_file *f, size_t *len)
{
	char memory_stat[TEXT_MAX], *host = f->host ? read_host(f->host) : NULL, *text = NULL;
	struct numbers n = { 0 };
	size_t room = 512;

	if (f->host && !host)
		return NULL;
	gather(v, f->numbers, &n, memory_stat, sizeof(memory_stat));
	for (;;) {
		char *more = realloc(text, room);

		if (!more) {
			free(text);
			text = NULL;
			break;
		}
		text = more;
		*len = f->render(text, room, &n, host);
		if (*len <= room)
			break;
		room = *len;
	}
	free(host);
	return text;
}

/*
 * A file's size stays: who has read all of one generation reads once more, to see the end, and would get the last bytes
 * of the next one if that were longer. So a file that got shorter keeps its size, and one whose numbers grow gets some
 * more than it needs: blanks at the end of its last line, where no parser minds them. Within a page, if it fits.
 */
static size_t size_for(size_t len, size_t told, bool grows)
{
	size_t more = (len + 32 + len / 16 + 63) / 64 * 64;

	if (len <= told)
		return told;
	if (!grows)
		return len;
	return len <= PAGE && more > PAGE ? PAGE : more;
}

static char *pad(char *text, size_t *len, size_t size)
{
	char *more = *len && size > *len ? realloc(text, size) : NULL;

	if (!more)
		return text;
	memset(more + *len - 1, ' ', size - *len);
	more[size - 1] = '\n';
	*len = size;
	return more;
}

/* A text that says the same is the same generation: the kernel keeps its pages. If there's no source or no memory, the
 * last one stands. */
static void keep_text(struct generation *g, char *text, size_t len)
{
	uint64_t real = (uint64_t)clock_ns(CLOCK_REALTIME);

	if (!text)
		return;
	if (g->text && len == g->size && !memcmp(g->text, text, len)) {
		free(text);
		return;
	}
	free(g->text);
	g->text = text;
	g->size = len;
	g->mtime_ns = real > g->mtime_ns ? real : g->mtime_ns + 1;
}

static void renew(struct view *v, size_t i, uint64_t now_ns)
{
	struct generation *g = &generations[i];
	size_t len = 0;
	char *text = render(v, &view_files[i], &len);

	g->made_ns = now_ns;
	g->valid_ns = FRESH_MS * 1000000ULL;
	if (text)
		text = pad(text, &len, size_for(len, v->told_size[i], view_files[i].grows));
	if (text)
		v->told_size[i] = (uint32_t)len;
	keep_text(g, text, len);
}

/* All tables together stay in bounds, whatever the guest opens. One that is cut ends between lines: none crosses a page
 * (netsock.c). */
static size_t room_for_sockets(const struct generation *g)
{
	size_t others = 0;

	for (size_t i = VIEW_FILES; i < VIEW_FILES + SOCKET_FILES; i++)
		others += &generations[i] == g ? 0 : generations[i].size;
	if (others + SOCKETS_LEAST_BYTES > SOCKETS_MAX_BYTES)
		return SOCKETS_LEAST_BYTES;
	return (SOCKETS_MAX_BYTES - others) / PAGE * PAGE;
}

/* New whenever somebody looks: who has just opened a socket looks for it. But a guest with very many of them shall not
 * keep us busy: work is paid for with nine times as long of rest, whichever table it was for, and only so much is owed. */
static void renew_sockets(struct generation *g, const char *name, uint64_t now_ns)
{
	static uint64_t paid_ns;        /* when all of it will be */
	const uint64_t began = (uint64_t)clock_ns(CLOCK_PROCESS_CPUTIME_ID);
	size_t len = 0;
	char *text = procvirt_sockets ? procvirt_sockets(name, &len) : NULL, *less;

	len = lower(len, room_for_sockets(g));
	less = text ? realloc(text, len + 1) : NULL;
	keep_text(g, less ? less : text, len);
	paid_ns = paid_ns > now_ns ? paid_ns : now_ns;
	paid_ns += 10 * ((uint64_t)clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began);
	g->made_ns = (uint64_t)clock_ns(CLOCK_MONOTONIC);
	g->valid_ns = paid_ns > g->made_ns + OWED_NS ? paid_ns - g->made_ns - OWED_NS : 0;
}

/* Who asks is the last process of the guest that we know of, on its own numbers: the kernel doesn't tell another pid
 * namespace's last. One of the host's, come by /proc/PID/root, has but the number that we know it by: not the guest's. */
static void see_asker(struct view *v, uint32_t pid)
{
	char path[32], text[4096], *ids;
	unsigned numbers = 0;
	uint64_t last = 0;

	asker_is_counted = false;
	snprintf(path, sizeof(path), "%u/status", pid);
	if (!pid || read_at(host_proc_fd(), path, text, sizeof(text)) <= 0 || !(ids = strstr(text, "\nNSpid:")))
		return;
	asker_is_counted = strstr(text, "\nState:\tR") != NULL;
	for (ids += strlen("\nNSpid:"); *ids && *ids != '\n'; ids++) {
		numbers += *ids == '\t';
		last = *ids == '\t' ? 0 : last * 10 + (uint64_t)(*ids - '0');
	}
	if (numbers > 1 && last > v->last_pid && last < INT32_MAX)
		v->last_pid = (uint32_t)last;
}

static void look(void *context, size_t i, uint32_t pid, bool fresh, struct fuse_file *f)
{
	struct view *v = context;
	struct generation *g = &generations[i];
	const uint64_t now = (uint64_t)clock_ns(CLOCK_MONOTONIC);

	if (fresh ? !g->text || now >= g->made_ns + g->valid_ns : !g->text) {
		if (fresh && i < VIEW_FILES && view_files[i].numbers & N_TASKS)
			see_asker(v, pid);
		if (i < VIEW_FILES)
			renew(v, i, now);
		else
			renew_sockets(g, entries[i].name, now);
	}
	*f = (struct fuse_file){
		.text = g->text, .size = g->text ? g->size : 0, .mtime_ns = g->mtime_ns,
		.valid_ns = g->made_ns + g->valid_ns > now ? g->made_ns + g->valid_ns - now : 0,
	};
}

/* In /proc/net stands what the guest's own network namespace has a name for: no name of the host's comes in. */
static bool is_there(void *context, size_t i)
{
	const struct view *v = context;
	char path[64];

	if (entries[i].dir != IN_NET)
		return true;
	snprintf(path, sizeof(path), "%d/net/%s", (int)v->guest, entries[i].name);
	return v->guest > 0 && faccessat(host_proc_fd(), path, F_OK, 0) == 0;
}

/* ---- open, hand over, serve ---- */

/* The guest's directory in v1, if it has one there, else in cgroup2, if `file` says that the controller is on. */
static struct view_source find_source(const struct cgroup *cg, const char *v1_name, const char *file)
{
	for (unsigned i = 0; i < cg->n_v1; i++)
		if (!strcmp(cg->v1_name[i], v1_name))
			return (struct view_source){ cg->v1_dir_fd[i], true };
	if (faccessat(cg->dir_fd, file, F_OK, 0))
		return (struct view_source){ -1, false };
	return (struct view_source){ cg->dir_fd, false };
}

void procvirt_refresh(struct view *v, const struct cgroup *cg)
{
	if (!(v->virt & virt_files))
		return;
	if (v->cpu.dir_fd < 0)
		v->cpu = find_source(cg, "cpu", "cpu.max");
	if (v->cpuset.dir_fd < 0)
		v->cpuset = find_source(cg, "cpuset", "cpuset.cpus.effective");
	if (v->io.dir_fd < 0)
		v->io = find_source(cg, "blkio", "io.stat");
}

static void find_sources(const struct cgroup *cg, struct view *v)
{
	char text[1024];

	procvirt_refresh(v, cg);
	v->memory = find_source(cg, "memory", "memory.current");
	v->tasks_fd = cg->n_v1 ? cg->v1_dir_fd[0] : -1;
	v->payload_fd = cg->payload_fd;
	if (read_at(v->payload_fd, "cpu.stat", text, sizeof(text)) > 0) {
		v->user_base_us = views_parse_key(text, "user_usec");
		v->system_base_us = views_parse_key(text, "system_usec");
		v->nice_base_us = views_parse_key(text, "nice_usec");
	}
}

static void start_load(const struct procvirt *p, struct view *v)
{
	struct load_state s = { .load = { .at_ns = (uint64_t)clock_ns(CLOCK_MONOTONIC) } };
	int fd = memfd_create("vrun-load", MFD_CLOEXEC);

	s.at_ns = s.load.at_ns;
	if (fd >= 0 && write_all(fd, &s, sizeof(s)) == 0) {
		v->load_fd = fd;
		return;
	}
	if (p->virt_given)
		die_sys("--virt load: keep the load average");
	note("keep the load average: %s; the guest sees the host's", strerror(errno));
	close_fd(&fd);
	v->virt &= ~(unsigned)VIRT_LOAD;
}

/* A view that only informs and was not asked for by name: a line instead of an end. */
static void open_failed(const struct procvirt *p, struct view *v, const char *what)
{
	if (p->virt_given && v->virt & virt_files)
		die_sys("--virt: %s", what);
	note("%s: %s; %s", what, strerror(errno), v->virt & virt_files ?
	     "the guest sees the host's memory, CPUs and load" : "the guest's /proc/net shows no sockets");
	v->virt &= ~virt_files;
	v->sockets = false;
}

void procvirt_open(const struct plan *p, const struct cgroup *cg, struct view *v)
{
	const struct procvirt *pv = &p->procvirt;
	const char *what;

	procvirt_close(v);              /* of the guest before the restart */
	for (size_t i = 0; i < VIEW_FILES + SOCKET_FILES; i++) {
		free(generations[i].text);
		generations[i] = (struct generation){ 0 };
	}
	*v = (struct view){
		.virt = pv->virt, .device_fd = -1, .mount_fd = -1, .stats_fd = -1, .load_fd = -1, .payload_fd = -1,
		.tasks_fd = -1, .memory = { .dir_fd = -1 }, .cpu = { .dir_fd = -1 }, .cpuset = { .dir_fd = -1 },
		.io = { .dir_fd = -1 },
	};
	if (v->virt & VIRT_UPTIME) {
		v->monotonic_ns = (int64_t)pv->uptime_secs * NS_PER_SEC - clock_ns(CLOCK_MONOTONIC);
		v->boottime_ns = (int64_t)pv->uptime_secs * NS_PER_SEC - clock_ns(CLOCK_BOOTTIME);
	}
	v->sockets = p->net.view;
	if (!(v->virt & virt_files) && !v->sockets)
		return;
	if (v->virt & virt_files)
		find_sources(cg, v);
	if (v->virt & VIRT_MEM && v->memory.dir_fd < 0) {
		if (pv->virt_given)
			die("--virt mem: the guest has no memory cgroup");
		note("no memory controller is mounted; the guest sees the host's memory (--virt uptime,cpu,load)");
		v->virt &= ~(unsigned)VIRT_MEM;
	}
	v->mount_fd = fuse_mount(&v->device_fd, &what);
	if (v->mount_fd < 0)
		open_failed(pv, v, what);
	procvirt_serve(v);              /* the kernel's INIT waits already: the builder needn't */
	if (v->virt & VIRT_LOAD)
		start_load(pv, v);
}

/* Where there are several, programs place their memory by them: these are shown as they are. Without CONFIG_NUMA there
 * is nothing to cover. */
static bool has_one_node(void)
{
	char text[64];

	return read_at(AT_FDCWD, NODES "/online", text, sizeof(text)) > 0 && strcmp(text, "0\n") == 0;
}

size_t procvirt_overmounts(const struct view *v, struct overmount *out, size_t room)
{
	const char *names[VIEW_MOUNTS];
	int fds[VIEW_MOUNTS];
	size_t n = 0;

	if (v->mount_fd < 0)
		return 0;
	for (size_t i = 0; i < VIEW_FILES; i++) {
		if (!view_files[i].path || !(view_files[i].virt & v->virt) || n == room)
			continue;
		names[n] = entries[i].name;
		out[n++].path = view_files[i].path;
	}
	for (size_t i = 0; v->sockets && i < sizeof(net_pieces) / sizeof(net_pieces[0]) && n < room; i++) {
		names[n] = net_pieces[i].name;
		out[n++].path = net_pieces[i].path;
	}
	if (v->virt & VIRT_MEM && n < room && has_one_node()) {
		names[n] = node_piece.name;
		out[n++].path = node_piece.path;
	}
	if (fuse_pieces(v->mount_fd, names, n, fds) < 0)
		die_sys("--virt: take the views' files");
	for (size_t i = 0; i < n; i++)
		out[i].fd = fds[i];
	return n;
}

const uint64_t *procvirt_cpus(const struct view *v)
{
	static struct numbers n;
	uint64_t present[VIEWS_CPU_WORDS];
	char text[TEXT_MAX];

	if (!(v->virt & VIRT_CPU) || read_at(AT_FDCWD, "/sys/devices/system/cpu/present", text, sizeof(text)) <= 0 ||
	    !views_parse_cpus(text, present))
		return NULL;
	cpu_numbers(v, &n);
	for (size_t i = 0; i < VIEWS_CPU_WORDS; i++)
		if (present[i] & ~n.allowed[i])
			return n.allowed;
	return NULL;
}

void procvirt_serve(struct view *v)
{
	const struct fuse_tree tree = { entries, sizeof(entries) / sizeof(entries[0]), v, is_there, look };

	if (v->device_fd >= 0 && !fuse_serve(v->device_fd, &tree))
		close_fd(&v->device_fd);
}

void procvirt_close(struct view *v)
{
	close_fd(&v->device_fd);
	close_fd(&v->mount_fd);
	close_fd(&v->stats_fd);
	close_fd(&v->load_fd);
}

/* ---- sysinfo(2) ---- */

/* What isn't viewed is as the kernel says it, to us outside. */
static void host_numbers(const struct view *v, struct numbers *n)
{
	struct sysinfo s;

	if (sysinfo(&s))
		return;
	if (!(v->virt & VIRT_MEM)) {
		n->mem_total = (uint64_t)s.totalram * s.mem_unit;
		n->mem_used = n->mem_total - (uint64_t)s.freeram * s.mem_unit;
		n->swap_total = (uint64_t)s.totalswap * s.mem_unit;
		n->swap_used = n->swap_total - (uint64_t)s.freeswap * s.mem_unit;
	}
	if (!(v->virt & VIRT_LOAD)) {
		for (size_t i = 0; i < 3; i++)
			n->load[i] = s.loads[i] >> (16 - 11);
		n->tasks = s.procs;
	}
}

size_t procvirt_sysinfo(struct view *v, void *out, bool abi_32)
{
	static struct numbers n;
	static char memory_stat[TEXT_MAX];      /* n points into it */
	static uint64_t made_ns;
	uint64_t now = (uint64_t)clock_ns(CLOCK_MONOTONIC);

	if (!made_ns || now - made_ns >= FRESH_MS * 1000000ULL) {
		memset(&n, 0, sizeof(n));
		gather(v, (v->virt & VIRT_MEM ? N_MEMORY : 0) | (v->virt & VIRT_LOAD ? N_TASKS : 0), &n, memory_stat,
		       sizeof(memory_stat));
		host_numbers(v, &n);
		made_ns = now;
	}
	time_numbers(v, &n);
	return views_sysinfo(out, &n, abi_32);
}

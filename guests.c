/* SPDX-License-Identifier: ISC */
/*
 * guests.c: the verbs on running guests.
 *
 * Theory of operation. A verb has nothing to go by but the kernel's own state: the register of guests and
 * their attributes (cgroup.c), counters (limits.c), /proc. It begins by removing what killed supervisors
 * left, so that every guest it meets is one with a supervisor.
 *
 * The supervisor is found as the holder of the lock on the guest's cgroup. A pid may be another process's
 * the moment after it was read: so it is turned into a pidfd, and after that the lock must still be held by
 * the same pid. Its exit, seen by poll(2) on the pidfd, comes after it has removed everything: --stop,
 * --kill and --wait sleep on that and on nothing else.
 *
 * A guest may end at any moment. Every step then meets ENOENT, ENODEV or ESRCH, and the verb says so, with
 * the exit status of "no such guest".
 *
 * Others than root see the public facts (--list, --status): attributes user.* of directories that only root
 * can have made.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/socket.h>
#include <sys/stat.h>

enum { KILL_WAIT_MS = 30000 };

struct facts {
	struct cgroup cg;
	char ip[4096], flags[64];
	uint64_t start_boot_ms;
	int64_t start_real_s;
	uint32_t owner;
	pid_t supervisor, init;         /* 0 for those who may not know */
	unsigned processes, threads;
	bool frozen, changing;
	struct usage u;
	bool has_net;
	struct net_counters net;
	char peers[2048];               /* lines; for --status */
	bool memory_is_rss;             /* no memory controller: the sum of what each process has */
};

static int no_guest_code = EXIT_NOGUEST;

/* ---- gathering ---- */

static uint64_t now_boot_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_BOOTTIME, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static void add_rss(pid_t pid, void *context)
{
	uint64_t *sum = context;
	char path[32], text[128], *resident;

	snprintf(path, sizeof(path), "%d/statm", (int)pid);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) <= 0)
		return;
	resident = strchr(text, ' ');
	if (resident)
		*sum += strtoull(resident, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void gather(struct facts *f)
{
	char text[64];
	const struct cgroup *cg = &f->cg;
	char *end;

	cgroup_attr(cg, "user.vrun.ip", f->ip, sizeof(f->ip));
	cgroup_attr(cg, "user.vrun.flags", f->flags, sizeof(f->flags));
	if (cgroup_attr(cg, "user.vrun.start", text, sizeof(text)) > 0) {
		f->start_boot_ms = strtoull(text, &end, 10);
		f->start_real_s = strtoll(end, NULL, 10);
	}
	if (cgroup_attr(cg, "user.vrun.owner", text, sizeof(text)) > 0)
		f->owner = (uint32_t)strtoul(text, NULL, 10);
	f->supervisor = cgroup_supervisor(cg);
	f->init = cgroup_init(cg);
	f->processes = cgroup_count(cg);
	f->frozen = cgroup_frozen(cg);
	f->changing = cgroup_attr(cg, "user.vrun.changing", text, sizeof(text)) > 0;
	limits_usage(cg, &f->u);
	f->has_net = !geteuid() && net_counters(cg->dir_fd, &f->net);
	if (f->u.memory_bytes == ABSENT) {
		f->memory_is_rss = true;
		f->u.memory_bytes = 0;
		cgroup_each(cg, add_rss, &f->u.memory_bytes);
	}
}

static void must_find(const struct plan *p, struct cgroup *cg)
{
	char owner[16];

	if (!cgroup_find(p->target, cg) || !cgroup_started(cg))
		die_code(no_guest_code, "no such guest: %s", p->target);
	if (p->verb == VERB_STATUS || !getuid())
		return;
	cgroup_attr(cg, "user.vrun.owner", owner, sizeof(owner));
	if (!owner[0] || strtoul(owner, NULL, 10) != getuid())
		die("guest %s is not yours", cg->name);
	if (geteuid())
		die("guest %s: only root can do that", cg->name);
}

static _Noreturn void just_ended(const struct cgroup *cg)
{
	die_code(no_guest_code, "guest %s has just ended", cg->name[0] ? cg->name : "(unnamed)");
}

/* The supervisor, for sure; -1: it has gone. */
static int find_supervisor(const struct cgroup *cg)
{
	pid_t pid = cgroup_supervisor(cg);
	int fd;

	if (pid == -1)
		die("guest %s: its supervisor is in another pid namespace", cg->name);
	fd = pid > 0 ? sys_pidfd_open(pid, 0) : -1;
	if (fd >= 0 && cgroup_supervisor(cg) != pid)
		close_fd(&fd);
	return fd;
}

static int supervisor_pidfd(const struct cgroup *cg)
{
	int fd = find_supervisor(cg);

	if (fd < 0)
		just_ended(cg);
	return fd;
}

/* ---- text ---- */

static void print_json_string(const char *s)
{
	char text[6 * 512 + 8];

	text_to_json(text, sizeof(text), s);
	printf("\"%s\"", text);
}

static void json_pair(const char *key, const char *value)
{
	printf(",\"%s\":", key);
	print_json_string(value);
}

static void json_number(const char *key, uint64_t value)
{
	if (value != ABSENT)
		printf(",\"%s\":%llu", key, (unsigned long long)value);
}

/* "12.3M": at most 5 columns. */
static const char *size_text(uint64_t bytes)
{
	static char ring[4][16];
	static unsigned next;
	char *out = ring[next++ % 4];
	double v = (double)bytes / 1024;
	const char *unit = "KMGTPE";

	if (bytes == ABSENT)
		return "-";
	while (v >= 999.5 && unit[1]) {
		v /= 1024;
		unit++;
	}
	snprintf(out, sizeof(ring[0]), v < 99.95 ? "%.1f%c" : "%.0f%c", v, *unit);
	return out;
}

/* As vserver-stat has it: 0m12s34, 1h02m03, 1d02h03; 100d02h: at most 8 columns. */
static const char *duration_text(uint64_t ms)
{
	static char ring[4][24];
	static unsigned next;
	char *out = ring[next++ % 4];
	unsigned long long s = ms / 1000, hundredths = ms % 1000 / 10;

	if (s < 3600)
		snprintf(out, sizeof(ring[0]), "%llum%02llus%02llu", s / 60, s % 60, hundredths);
	else if (s < 86400)
		snprintf(out, sizeof(ring[0]), "%lluh%02llum%02llu", s / 3600, s / 60 % 60, s % 60);
	else if (s < 100 * 86400)
		snprintf(out, sizeof(ring[0]), "%llud%02lluh%02llu", s / 86400, s / 3600 % 24, s / 60 % 60);
	else
		snprintf(out, sizeof(ring[0]), "%llud%02lluh", s / 86400, s / 3600 % 24);
	return out;
}

/* ---- --list ---- */

/* Cut to a width, with '+' for what isn't shown. */
static void print_cut(const char *s, int width)
{
	if ((int)strlen(s) <= width)
		printf("%-*s", width, s);
	else
		printf("%.*s+", width - 1, s);
}

static void list_row(const struct facts *f)
{
	uint64_t cpu_ms = f->u.cpu_user_us == ABSENT ? 0 : (f->u.cpu_user_us + f->u.cpu_system_us) / 1000;
	char pid[16] = "-", numbers[128];
	int room;

	if (f->init > 0)
		snprintf(pid, sizeof(pid), "%d", (int)f->init);
	room = 80 - 14 - snprintf(numbers, sizeof(numbers), " %5u %4u %8s %5s %5s %8s %7s ", f->cg.xid, f->processes,
				  duration_text(cpu_ms), size_text(f->u.memory_bytes), size_text(f->u.memory_limit_bytes),
				  duration_text(now_boot_ms() - f->start_boot_ms), pid);
	print_cut(f->cg.name, 14);
	printf("%s", numbers);
	/* the last column isn't padded, and gets what the others leave */
	if ((int)strlen(f->ip) <= room)
		printf("%s\n", f->ip);
	else
		printf("%.*s+\n", room - 1, f->ip);
}

static void json_addresses(const char *ip)
{
	const char *comma = "";

	if (!strcmp(ip, "none") || !strcmp(ip, "host")) {
		json_pair("network", ip);
		ip = "";
	}
	printf(",\"addresses\":[");
	while (*ip) {
		size_t n = strcspn(ip, " ");
		char one[128];

		snprintf(one, sizeof(one), "%.*s", (int)n, ip);
		printf("%s", comma);
		print_json_string(one);         /* a device's name may have quotes in it */
		comma = ",";
		ip += n + (ip[n] == ' ');
	}
	putchar(']');
}

static void json_guest(const struct facts *f, const struct sched_text *sched)
{
	printf("{\"name\":");
	print_json_string(f->cg.name);
	json_number("xid", f->cg.xid);
	json_addresses(f->ip);
	json_pair("state", f->frozen ? "paused" : "running");
	if (f->changing)
		printf(",\"set_unfinished\":true");
	json_number("pid", f->init > 0 ? (uint64_t)f->init : ABSENT);
	json_number("supervisor", f->supervisor > 0 ? (uint64_t)f->supervisor : ABSENT);
	json_pair("cgroup", f->cg.path);
	json_number("owner", f->owner);
	json_number("started", (uint64_t)f->start_real_s);
	json_number("uptime_ms", now_boot_ms() - f->start_boot_ms);
	json_number("processes", f->processes);
	json_number("cpu_user_us", f->u.cpu_user_us);
	json_number("cpu_system_us", f->u.cpu_system_us);
	json_number(f->memory_is_rss ? "rss_bytes" : "memory_bytes", f->u.memory_bytes);
	json_number("memory_peak_bytes", f->u.memory_peak_bytes);
	json_number("memory_limit_bytes", f->u.memory_limit_bytes);
	json_number("swap_bytes", f->u.swap_bytes);
	json_number("swap_limit_bytes", f->u.swap_limit_bytes);
	json_number("oom_kills", f->u.oom_kills);
	json_number("pids_peak", f->u.pids_peak);
	json_number("pids_limit", f->u.pids_limit);
	json_number("pids_hits", f->u.pids_hits);
	json_number("io_read_bytes", f->u.io_read_bytes);
	json_number("io_write_bytes", f->u.io_write_bytes);
	if (f->has_net) {
		json_number("net_rx_bytes", f->net.rx_bytes[0] + f->net.rx_bytes[1]);
		json_number("net_tx_bytes", f->net.tx_bytes[0] + f->net.tx_bytes[1]);
		json_number("denied_binds", f->net.denied_binds);
		json_number("denied_connects", f->net.denied_connects);
	}
	if (sched) {
		json_pair("cpu_max_us", sched->quota);
		json_pair("cpu_burst_us", sched->burst);
		json_pair("cpu_weight", sched->weight);
		json_pair("cpuset", sched->cpuset);
		json_pair("io_max", sched->io);
		json_pair("flags", f->flags);
		json_pair("peers", f->peers);
		json_number("threads", f->threads);
		json_number("memory_hits", f->u.memory_hits);
		json_number("throttled", f->u.throttled);
		json_number("throttled_us", f->u.throttled_us);
		json_number("bursts", f->u.bursts);
		json_number("bursts_us", f->u.burst_us);
	}
	putchar('}');
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static int verb_list(struct plan *p)
{
	uint32_t *xids;
	size_t n = cgroup_xids(&xids);
	const char *comma = "";

	if (n)
		qsort(xids, n, sizeof(*xids), by_number);
	if (p->control.json)
		putchar('[');
	else if (!p->control.quiet)
		printf("%-14s %5s %4s %8s %5s %5s %8s %7s %s\n", "NAME", "XID", "PROC", "CPUTIME", "MEM", "LIMIT",
		       "UPTIME", "PID", "ADDRESSES");
	for (size_t i = 0; i < n; i++) {
		struct facts f = { 0 };

		if (!cgroup_open(xids[i], &f.cg))
			continue;
		if (f.cg.payload_fd >= 0 && cgroup_started(&f.cg)) {
			if (p->control.quiet) {
				printf("%s\n", f.cg.name);
			} else {
				gather(&f);
				if (p->control.json) {
					printf("%s", comma);
					json_guest(&f, NULL);
					comma = ",\n";
				} else {
					list_row(&f);
				}
			}
		}
		cgroup_close(&f.cg);
	}
	if (p->control.json)
		printf("]\n");
	free(xids);
	return flush_output();
}

/* ---- --status ---- */

static void row(const char *key, const char *value)
{
	printf("  %-13s %s\n", key, value && *value ? value : "-");
}

/* The value ends with its line. */
static void row_line(const char *key, const char *value)
{
	printf("  %-13s ", key);
	fwrite(value, 1, strcspn(value, "\n"), stdout);
	putchar('\n');
}

static void row_number(const char *key, uint64_t value)
{
	char text[24] = "";

	if (value != ABSENT)
		snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	row(key, text);
}

static void row_limit(const char *key, bool bytes, uint64_t now, uint64_t peak, uint64_t limit, uint64_t hits)
{
	const uint64_t value[] = { now, peak, limit, hits };

	printf("  %-13s", key);
	for (size_t i = 0; i < 4; i++) {
		if (value[i] == ABSENT)
			printf(" %14s", i == 2 ? "inf" : "-");
		else if (bytes && i < 3)
			printf(" %14s", size_text(value[i]));
		else
			printf(" %14llu", (unsigned long long)value[i]);
	}
	putchar('\n');
}

static void add_threads(pid_t pid, void *context)
{
	unsigned *n = context;
	char path[32], text[4096], *line;

	snprintf(path, sizeof(path), "%d/status", (int)pid);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) <= 0)
		return;
	line = strstr(text, "\nThreads:");
	if (line)
		*n += (unsigned)strtoul(line + 9, NULL, 10);
}

static void row_pair(const char *name, uint64_t a, uint64_t b)
{
	char text[48];

	snprintf(text, sizeof(text), "%llu bytes, %llu packets", (unsigned long long)a, (unsigned long long)b);
	row(name, text);
}

static void status_text(struct facts *f, const struct sched_text *sched)
{
	char started[40] = "";
	time_t t = (time_t)f->start_real_s;
	struct tm tm;

	if (localtime_r(&t, &tm))
		snprintf(started, sizeof(started), "%d-%02d-%02d %02d:%02d:%02d", 1900 + tm.tm_year, tm.tm_mon + 1,
			 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
	puts("info");
	row("name", f->cg.name);
	row_number("xid", f->cg.xid);
	row_number("init", f->init > 0 ? (uint64_t)f->init : ABSENT);
	row_number("supervisor", f->supervisor > 0 ? (uint64_t)f->supervisor : ABSENT);
	row("cgroup", f->cg.path);
	row_number("owner", f->owner);
	row("addresses", f->ip);
	for (const char *line = f->peers; *line; line += strcspn(line, "\n") + 1)
		row_line(*line == 'd' ? "connect-deny" : "connect-allow", line + strcspn(line, " ") + 1);
	puts("status");
	printf("  %-13s %s%s\n", "state", f->frozen ? "paused" : "running",
	       f->changing ? ", a --set has not finished" : "");
	row("flags", f->flags);
	row_number("processes", f->processes);
	row("started", started);
	row("uptime", duration_text(now_boot_ms() - f->start_boot_ms));
	printf("limit         %14s %14s %14s %14s\n", "now", "peak", "limit", "hits");
	row_limit(f->memory_is_rss ? "rss" : "memory", true, f->u.memory_bytes, f->u.memory_peak_bytes,
		  f->u.memory_limit_bytes, f->u.memory_hits);
	row_limit("swap", true, f->u.swap_bytes, ABSENT, f->u.swap_limit_bytes, ABSENT);
	row_limit("pids", false, f->u.pids == ABSENT ? f->threads : f->u.pids, f->u.pids_peak, f->u.pids_limit,
		  f->u.pids_hits);
	row_number("oom kills", f->u.oom_kills);
	for (const char *line = sched->io; *line; line += strcspn(line, "\n"), line += *line == '\n')
		row_line("io", line);
	puts("sched");
	row("quota period", sched->quota);
	row("burst", sched->burst);
	row("weight", sched->weight);
	row("cpuset", sched->cpuset);
	row_number("throttled", f->u.throttled);
	row_number("throttled us", f->u.throttled_us);
	row_number("bursts", f->u.bursts);
	row_number("bursts us", f->u.burst_us);
	puts("cacct");
	row_number("cpu user us", f->u.cpu_user_us);
	row_number("cpu system us", f->u.cpu_system_us);
	row_number("io read", f->u.io_read_bytes);
	row_number("io written", f->u.io_write_bytes);
	if (f->has_net) {
		row_pair("received IPv4", f->net.rx_bytes[0], f->net.rx_packets[0]);
		row_pair("sent IPv4", f->net.tx_bytes[0], f->net.tx_packets[0]);
		row_pair("received IPv6", f->net.rx_bytes[1], f->net.rx_packets[1]);
		row_pair("sent IPv6", f->net.tx_bytes[1], f->net.tx_packets[1]);
		row_number("denied binds", f->net.denied_binds);
		row_number("denied connects", f->net.denied_connects);
		row_number("dropped", f->net.dropped);
	}
	puts("cvirt");
	row_number("threads", f->threads);
}

static int verb_status(struct plan *p)
{
	struct facts f = { 0 };
	struct sched_text sched;

	must_find(p, &f.cg);
	gather(&f);
	cgroup_each(&f.cg, add_threads, &f.threads);
	if (f.has_net)
		net_peers(f.cg.dir_fd, f.peers, sizeof(f.peers));
	limits_sched(&f.cg, &sched);
	if (p->control.json) {
		json_guest(&f, &sched);
		putchar('\n');
	} else {
		status_text(&f, &sched);
	}
	return flush_output();
}

/* ---- ending ---- */

/* Until the supervisor is gone, and with it the guest. */
static bool wait_gone(int pidfd, int timeout_ms)
{
	struct pollfd p = { .fd = pidfd, .events = POLLIN };
	int n;

	do
		n = poll(&p, 1, timeout_ms);
	while (n < 0 && errno == EINTR);
	return n > 0;
}

/* Guest init's control socket, from the supervisor's end: so init believes what comes. With --init, where pid 1 is a
 * program of the guest's, one on which the supervisor itself listens. */
static int control_socket(const struct cgroup *cg, int pidfd)
{
	char number[16];
	int fd;

	if (cgroup_attr(cg, "trusted.vrun.ctl", number, sizeof(number)) <= 0)
		just_ended(cg);
	fd = sys_pidfd_getfd(pidfd, atoi(number));
	if (fd < 0)
		die_sys("guest %s: reach its init through its supervisor (Linux 5.6)", cg->name);
	return fd;
}

static void signal_command(const struct cgroup *cg, int pidfd, int sig)
{
	_cleanup_fd_ int ctl_fd = control_socket(cg, pidfd);
	struct ctl m = { .type = CTL_SIGNAL, .value = sig };

	if (send_fds(ctl_fd, &m, sizeof(m), NULL, 0))
		just_ended(cg);
}

static int verb_kill(struct plan *p)
{
	struct cgroup cg;

	must_find(p, &cg);
	_cleanup_fd_ int pidfd = supervisor_pidfd(&cg);

	if (p->control.kill_signal) {
		signal_command(&cg, pidfd, p->control.kill_signal);
		return 0;
	}
	cgroup_kill(&cg);
	sys_pidfd_send_signal(pidfd, SIGCONT);  /* stopped with its guest (tty.c) it would not see the end */
	if (!wait_gone(pidfd, KILL_WAIT_MS))
		die("--kill %s: %u processes are still there after %d s", cg.name, cgroup_count(&cg), KILL_WAIT_MS / 1000);
	cgroup_sweep(SWEEP_ALL);
	return 0;
}

static int verb_stop(struct plan *p)
{
	struct cgroup cg;

	must_find(p, &cg);
	_cleanup_fd_ int pidfd = supervisor_pidfd(&cg);

	cgroup_freeze(&cg, false);
	if (sys_pidfd_send_signal(pidfd, SIGTERM))
		just_ended(&cg);
	sys_pidfd_send_signal(pidfd, SIGCONT);
	wait_gone(pidfd, -1);
	cgroup_sweep(SWEEP_ALL);
	return 0;
}

static int verb_wait(struct plan *p)
{
	struct cgroup cg;

	must_find(p, &cg);
	_cleanup_fd_ int pidfd = find_supervisor(&cg);

	if (pidfd >= 0)
		wait_gone(pidfd, -1);
	cgroup_sweep(SWEEP_ALL);
	return 0;
}

static int verb_pause(struct plan *p)
{
	struct cgroup cg;
	bool pause = p->verb == VERB_PAUSE;

	must_find(p, &cg);
	if (cgroup_freeze(&cg, pause))
		return 0;
	if (errno == ETIMEDOUT)
		die("--pause %s: a process of it is busy in the kernel; it goes on", cg.name);
	if (errno == ENODEV || errno == ENOENT)
		just_ended(&cg);
	die_sys("--%s %s: write cgroup.freeze (Linux 5.2)", pause ? "pause" : "resume", cg.name);
}

/* ---- --set ---- */

/* With --hide net the guest's processes have a network namespace of their own, which shows the addresses. */
static void show_addresses(const struct plan *p, const struct cgroup *cg)
{
	_cleanup_fd_ int fd = -1;
	pid_t init = cgroup_init(cg);
	struct stat own, guest;
	char path[48];

	snprintf(path, sizeof(path), "%d/ns/net", (int)init);
	if (init > 0)
		fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
	/* Asked again: the number may have been another's by the time it was used. */
	if (fd < 0 || cgroup_init(cg) != init)
		just_ended(cg);
	if (fstat(fd, &guest) == 0 && fstatat(host_proc_fd(), "self/ns/net", &own, 0) == 0 && guest.st_ino != own.st_ino)
		netview_update(p, fd);
}

bool guests_addresses(const struct cgroup *cg, struct net *net)
{
	char text[4096], *save;

	*net = (struct net){ 0 };
	cgroup_attr(cg, "user.vrun.ip", text, sizeof(text));
	for (char *a = strtok_r(text, " ", &save); a; a = strtok_r(NULL, " ", &save))
		if (net_parse_ip(net, a))
			return false;
	return net->mode == IP_LIST;
}

static struct {
	struct cgroup cg;
	int lock_fd;
	bool listed;                    /* other addresses are published and shown */
	struct plan old;                /* with those from before */
} setting;

/* What the guest's supervisor left, if it was killed meanwhile: others leave that alone while we have the lock. */
static void end_set(void)
{
	close_fd(&setting.lock_fd);
	if (!cgroup_supervisor(&setting.cg))
		cgroup_sweep(SWEEP_ALL);
}

static void undo_set(void)
{
	util_undo = end_set;            /* the guest may have ended: then even this fails */
	net_update_undo();
	limits_set_undo();
	cgroup_changing(&setting.cg, false);
	if (setting.listed && cgroup_init(&setting.cg) > 0) {
		cgroup_publish_addresses(&setting.old, &setting.cg);
		show_addresses(&setting.old, &setting.cg);
	}
	util_undo = NULL;
	end_set();
}

static void set_addresses(struct plan *p)
{
	net_update(p, &setting.cg);
	if (!p->net.given)
		return;
	setting.old = *p;
	setting.listed = guests_addresses(&setting.cg, &setting.old.net);
	cgroup_publish_addresses(p, &setting.cg);
	show_addresses(p, &setting.cg);
}

/* Checked whole, then done; what fails is undone. Killed in between, it leaves a mark that --status shows, and the same
 * --set once more completes it. */
static int verb_set(struct plan *p)
{
	bool of_network = p->net.given || p->net.n_peer || p->net.deny_none || p->net.later;
	struct cgroup *cg = &setting.cg;

	must_find(p, cg);
	limits_check(p);
	if (of_network)
		net_check(p);
	setting.lock_fd = cgroup_lock_set(cg);
	if (setting.lock_fd < 0)
		just_ended(cg);
	cgroup_changing(cg, true);
	util_undo = undo_set;
	cgroup_require(p, cg);
	limits_set(p, cg);
	if (of_network)
		set_addresses(p);
	util_undo = NULL;
	cgroup_changing(cg, false);
	end_set();
	return 0;
}

/* ---- --enter ---- */

static int verb_enter(struct plan *p)
{
	struct cgroup cg;

	no_guest_code = EXIT_VRUN;      /* 3 might be the command's own status */
	must_find(p, &cg);
	_cleanup_fd_ int pidfd = supervisor_pidfd(&cg);

	return enter_run(p, &cg, control_socket(&cg, pidfd));
}

/* ---- all of them ---- */

static const struct { enum verb verb; int (*run)(struct plan *p); } verbs[] = {
	{ VERB_LIST, verb_list }, { VERB_STATUS, verb_status }, { VERB_KILL, verb_kill }, { VERB_STOP, verb_stop },
	{ VERB_WAIT, verb_wait }, { VERB_PAUSE, verb_pause }, { VERB_RESUME, verb_pause }, { VERB_SET, verb_set },
	{ VERB_ENTER, verb_enter },
};

int guests_verb(struct plan *p)
{
	bool look_only = p->verb == VERB_LIST || p->verb == VERB_STATUS;

	if (p->verb == VERB_ENTER)
		enter_check(p);
	if (!look_only || caps_privileged())
		caps_regain();
	cgroup_sweep(SWEEP_ALL);
	for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
		if (verbs[i].verb == p->verb)
			return verbs[i].run(p);
	}
	die("this verb isn't there yet");
}

uint32_t guests_id_base(pid_t init)
{
	char path[32], text[128], *outside;

	snprintf(path, sizeof(path), "%d/uid_map", (int)init);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) < 0)
		die_sys("read the guest's uid_map");
	strtoul(text, &outside, 10);
	return (uint32_t)strtoul(outside, NULL, 10);
}

void guests_find(const char *name, struct guest_ref *g)
{
	struct cgroup cg;
	char flags[64];

	if (!cgroup_find(name, &cg))
		die("--join: no such guest: %s", name);
	memset(g, 0, sizeof(*g));
	g->init = cgroup_init(&cg);
	g->pidfd = g->init > 0 ? sys_pidfd_open(g->init, 0) : -1;
	if (g->pidfd < 0 || cgroup_init(&cg) != g->init)
		die("--join: guest %s has just ended", name);
	cgroup_attr(&cg, "user.vrun.flags", flags, sizeof(flags));
	g->userns = strstr(flags, "userns");
	g->id_base = guests_id_base(g->init);
	snprintf(g->name, sizeof(g->name), "%s", cg.name);
	cgroup_close(&cg);
}

/* As the caller, from public facts. A network that only shows is joined with the way to its sockets; addresses of the
 * host's without one can't be: the programs that hold a guest to them follow its own cgroup. */
void guests_check_join(struct plan *p)
{
	const char *name = p->context.join_name;
	char net[80], *end = net;
	struct cgroup cg;

	if (!(p->context.join & NS_NET))
		return;
	if (!cgroup_find(name, &cg))
		die("--join: no such guest: %s", name);
	if (cgroup_attr(&cg, "user.vrun.net", net, sizeof(net)) > 0) {          /* cgroup.c: set_network */
		p->net.joined = (uint32_t)strtoul(net + strcspn(net, " "), &end, 10);
		p->net.joined_id = strtoull(end, &end, 10);
	}
	if (end == net || !p->net.joined_id)
		die("--join net=%s: it was started by another version of vrun", name);
	cgroup_close(&cg);
	if (strncmp(net, "addresses", 9) == 0)
		die("--join net=%s: it uses the host's network, by addresses of its own (--hide without net); give this "
		    "guest an --ip in place of it", name);
	p->net.view = strncmp(net, "view", 4) == 0;
	p->net.steered = p->net.view && strcmp(end, " steered") == 0;
	if (!p->net.view)
		p->net.joined = 0;
}

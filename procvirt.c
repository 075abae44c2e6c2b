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
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>

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
/* What this file can do as of now; the rest is refused when asked for by name, and left out when not. */
static const unsigned virt_built = VIRT_UPTIME;

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

/* The first bit's word, for messages. */
static const char *word_of(const struct view_word *w, unsigned mask)
{
	while (w->word && !(w->bit & mask))
		w++;
	return w->word;
}

void procvirt_check(struct plan *p)
{
	struct procvirt *v = &p->procvirt;

	if (!v->virt_given)
		v->virt = virt_default & virt_built;
	if (!v->hide_given)
		v->hide = hide_default;
	if (v->virt & VIRT_TIME)
		die("--virt time: a clock of the guest's own is not in this version of vrun");
	if (v->virt & ~virt_built)
		die("--virt %s: not in this version of vrun", word_of(virt_words, v->virt & ~virt_built));
	check_uptime(v);

	/* Its own network namespace (--ip none) shows the guest's network and nothing else. With the host's
	 * (--ip host) there is nothing to hide: DESIGN.md, --ip. */
	if (p->net.mode == IP_NONE)
		return;
	if (v->hide_given && (v->hide & HIDE_NET))
		die(p->net.mode == IP_HOST ? "--hide net: --ip host gives the guest the host's network" :
		    "--hide net: with addresses of the host's (--ip) not in this version of vrun; "
		    "--hide mount,proc leaves it out");
	v->hide &= ~(unsigned)HIDE_NET;
}

/* ---- uptime ---- */

/* "boottime -1234 567\n": what a clock that shows `now` needs to show `secs` (time_namespaces(7)). */
static void render_offset(char *buf, size_t room, const char *clock, const struct timespec *now, uint64_t secs)
{
	int64_t offset = (int64_t)secs - now->tv_sec;
	long nsec = 0;

	/* tv_nsec of an offset is 0..999999999, as in any struct timespec: borrow a second. */
	if (now->tv_nsec) {
		offset--;
		nsec = 1000000000L - now->tv_nsec;
	}
	snprintf(buf, room, "%s %" PRId64 " %ld\n", clock, offset, nsec);
}

void procvirt_apply_time(const struct plan *p)
{
	static const struct { clockid_t id; const char *name; } clocks[] = {
		{ CLOCK_MONOTONIC, "monotonic" }, { CLOCK_BOOTTIME, "boottime" },
	};

	if (!(p->procvirt.virt & VIRT_UPTIME))
		return;
	/* The builder itself stays where it is: the new namespace is for its children, and its offsets can be
	 * written until the first of them is born. */
	if (unshare(CLONE_NEWTIME))
		die_sys("--uptime: unshare(CLONE_NEWTIME)");
	for (size_t i = 0; i < sizeof(clocks) / sizeof(*clocks); i++) {
		struct timespec now;
		char line[64];

		clock_gettime(clocks[i].id, &now);
		render_offset(line, sizeof(line), clocks[i].name, &now, p->procvirt.uptime_secs);
		if (write_at(host_proc_fd(), "self/timens_offsets", line))
			die_sys("--uptime: write %s to /proc/self/timens_offsets", clocks[i].name);
	}
}

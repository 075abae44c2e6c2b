/* SPDX-License-Identifier: ISC */
/* procvirt.c: however often a guest asks, what it costs the supervisor is bounded. Bounds that a busy machine keeps, too:
 * work is counted in CPU time, and rest by the clock. */
#include "../../procvirt.c"
#include <fcntl.h>
#include <unistd.h>

static int failed, count;

static void check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++count, what);
	failed |= !ok;
}

static uint64_t spent(void) { return (uint64_t)clock_ns(CLOCK_PROCESS_CPUTIME_ID); }
static uint64_t now(void) { return (uint64_t)clock_ns(CLOCK_MONOTONIC); }

static uint64_t work_ns, dearest_ns;
static unsigned texts;

static char *dear_text(const char *name, size_t *len)
{
	const uint64_t began = spent();
	uint64_t cost;

	while (spent() - began < 5000000)
		;
	texts++;
	cost = spent() - began;
	work_ns += cost;
	dearest_ns = cost > dearest_ns ? cost : dearest_ns;
	*len = strlen(name);
	return strdup(name);
}

static size_t place_of(const char *name)
{
	size_t i = 0;

	while (strcmp(entries[i].name, name))
		i++;
	return i;
}

/* Two tables in turn, without a pause. */
static void sockets(void)
{
	const size_t table[] = { place_of("tcp"), place_of("udp6") };
	const uint64_t began = now();
	uint64_t looks = 0;
	struct view v = { 0 };
	struct fuse_file f;

	procvirt_sockets = dear_text;
	for (; texts < 16 || looks == texts; looks++)
		look(&v, table[looks % 2], 0, true, &f);
	check(10 * work_ns <= now() - began + OWED_NS + 10 * 3 * dearest_ns,
	      "tables of sockets cost a tenth of a CPU, all together, and what may be owed");
	check(f.size == strlen("tcp") || f.size == strlen("udp6"), "in between the last one stands");
}

static void files(void)
{
	const size_t i = place_of("uptime");
	const uint64_t began = now();
	uint64_t looks = 0, made = 0, last = 0;
	struct view v = {
		.virt = VIRT_CPU, .device_fd = -1, .mount_fd = -1, .stats_fd = -1, .load_fd = -1, .payload_fd = -1,
		.tasks_fd = -1, .memory = { .dir_fd = -1 }, .cpu = { .dir_fd = -1 }, .cpuset = { .dir_fd = -1 },
		.io = { .dir_fd = -1 },
	};
	struct fuse_file f;

	for (; made < 4 || looks == made; looks++) {
		look(&v, i, 0, true, &f);
		made += generations[i].made_ns != last;
		last = generations[i].made_ns;
	}
	check(f.text && made <= (now() - began) / (FRESH_MS * 1000000) + 1,
	      "a view's text is made anew ten times a second at the most");
	look(&v, i, 0, false, &f);
	check(f.text == generations[i].text && generations[i].made_ns == last, "what is read is what was last told");
}

/* Nobody has looked at the load of a guest for a year, in which it kept 64 CPUs busy. */
static void load_after_a_year(void)
{
	const uint64_t year_us = 365 * 86400 * UINT64_C(1000000);
	char dir[] = "/tmp/vrun-unit.XXXXXX", text[64];
	struct load_state s = { 0 };
	struct view v = { .payload_fd = mkdtemp(dir) ? open(dir, O_RDONLY | O_DIRECTORY) : -1 };
	int fd = openat(v.payload_fd, "cpu.stat", O_WRONLY | O_CREAT, 0600);

	snprintf(text, sizeof(text), "usage_usec %" PRIu64 "\n", 64 * year_us);
	check(fd >= 0 && write_all(fd, text, strlen(text)) == 0 && (active_by_accounting(&v, &s, year_us * 1000) + 1024) / 2048 == 64,
	      "the load of a year that nobody looked is right");
	unlinkat(v.payload_fd, "cpu.stat", 0);
	rmdir(dir);
	close(fd);
	close(v.payload_fd);
}

int main(void)
{
	sockets();
	files();
	load_after_a_year();
	for (size_t i = 0; i < VIEW_FILES + SOCKET_FILES; i++)
		free(generations[i].text);
	printf("1..%d\n", count);
	return failed;
}

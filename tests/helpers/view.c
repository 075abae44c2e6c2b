/* SPDX-License-Identifier: ISC */
/*
 * What a program in a guest sees of the machine.
 *
 *	view clocks             CLOCK_MONOTONIC, CLOCK_BOOTTIME and sysinfo's uptime, in seconds
 *	view sysinfo            what sysinfo(2) says to a 64-bit and to a 32-bit caller, a word a line
 *	view readers N SECS     N processes read the views for so long: nothing torn, nothing stale
 *	view hold FILE          FILE's first field, twice from one descriptor with 300 ms between
 *	view spend MIB SECS     that much memory ("spent" says that it has it), and so much time of a CPU
 *	view first FILE         its first line
 *	view cost FILE N        µs for open, read to the end, close: median of N
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double now(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int clocks(void)
{
	struct sysinfo s;

	if (sysinfo(&s) < 0)
		return 1;
	printf("monotonic %.1f\nboottime %.1f\nsysinfo %ld\n", now(CLOCK_MONOTONIC), now(CLOCK_BOOTTIME), s.uptime);
	return 0;
}

/* From a 64-bit program by int $0x80: the buffer lies below 4 GiB, and a page that can't be written follows it. */
static int sysinfo_32(void)
{
#ifdef __x86_64__
	char *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t *w = (uint32_t *)(page + 4096 - 64);
	uint16_t procs;
	long result;

	if (page == MAP_FAILED || mprotect(page + 4096, 4096, PROT_NONE) < 0)
		return 1;
	__asm__ volatile("int $0x80" : "=a"(result) : "a"(116L), "b"(w) : "memory", "r8", "r9", "r10", "r11");
	memcpy(&procs, (char *)w + 40, sizeof(procs));
	printf("result32 %ld\nuptime32 %u\ntotal32 %u\nfree32 %u\nprocs32 %u\nunit32 %u\n", result, w[0], w[4], w[5],
	       procs, w[13]);
#endif
	return 0;
}

static int show_sysinfo(void)
{
	struct sysinfo s;

	if (sysinfo(&s) < 0)
		return 1;
	printf("uptime %ld\ntotal %lu\nfree %lu\nswap %lu\nprocs %u\nunit %u\nload %lu\n", s.uptime, s.totalram, s.freeram,
	       s.totalswap, s.procs, s.mem_unit, s.loads[0]);
	return sysinfo_32();
}

enum { ROOM = 1 << 20 };

static ssize_t read_file(const char *path, char *buf)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n, len = 0;

	if (fd < 0)
		return -1;
	while ((n = read(fd, buf + len, (size_t)(ROOM - 1 - len))) > 0)
		len += n;
	buf[len] = '\0';
	close(fd);
	return n < 0 ? -1 : len;
}

/* The text without its numbers: numbers to '#', blanks to one. Torn lines have another form. */
static void form_of(const char *s, char *out)
{
	while (*s) {
		if (isdigit((unsigned char)*s)) {
			while (isdigit((unsigned char)*s))
				s++;
			*out++ = '#';
		} else if (*s == ' ') {
			while (*s == ' ')
				s++;
			*out++ = ' ';
		} else {
			*out++ = *s++;
		}
	}
	*out = '\0';
}

static int reader(double until, unsigned which)
{
	static const char *const files[] = {
		"/proc/meminfo", "/proc/stat", "/proc/uptime", "/proc/vmstat", "/proc/loadavg", "/proc/cpuinfo",
	};
	enum { N = sizeof(files) / sizeof(files[0]) };
	char *buf = malloc(ROOM), *form = malloc(ROOM), *first[N] = { NULL };
	unsigned long reads = 0;
	double age, oldest = 0;

	for (unsigned i = which; now(CLOCK_MONOTONIC) < until; i++) {
		double before = now(CLOCK_BOOTTIME);

		if (read_file(files[i % N], buf) <= 0) {
			printf("# %s: can't be read\n", files[i % N]);
			return 1;
		}
		form_of(buf, form);
		if (!first[i % N])
			first[i % N] = strdup(form);
		if (strcmp(first[i % N], form)) {
			printf("# %s: torn: %s\n", files[i % N], buf);
			return 1;
		}
		age = before - atof(buf);
		if (i % N == 2 && age > oldest)
			oldest = age;
		reads++;
	}
	printf("%lu reads, uptime at most %.2f s old\n", reads, oldest);
	return oldest > 1.0;
}

static int readers(unsigned n, double secs)
{
	double until = now(CLOCK_MONOTONIC) + secs;
	int status, failed = 0;

	for (unsigned i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid < 0)
			return 1;
		if (pid == 0) {
			status = reader(until, i);
			fflush(stdout);
			_exit(status);
		}
	}
	while (wait(&status) > 0)
		failed |= status != 0;
	return failed;
}

static int hold(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buf[4096];

	for (int i = 0; i < 2; i++) {
		ssize_t n = pread(fd, buf, sizeof(buf) - 1, 0);

		if (n <= 0)
			return 1;
		buf[n] = '\0';
		printf("%.*s\n", (int)strcspn(buf, " \n"), buf);
		fflush(stdout);
		usleep(300000);
	}
	return 0;
}

static int first_line(const char *path)
{
	static char buf[ROOM];

	if (read_file(path, buf) < 0)
		return 1;
	printf("%.*s\n", (int)strcspn(buf, "\n"), buf);
	return 0;
}

static int spend(size_t mib, double secs)
{
	char *p = malloc(mib << 20);
	double until;

	memset(p, 1, mib << 20);
	puts("spent");
	fflush(stdout);
	until = now(CLOCK_PROCESS_CPUTIME_ID) + secs;
	while (now(CLOCK_PROCESS_CPUTIME_ID) < until)
		;
	return p[0] - 1;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int cost(const char *path, unsigned n)
{
	double *t = calloc(n, sizeof(*t));
	char *buf = malloc(ROOM);

	for (unsigned i = 0; i < n; i++) {
		double from = now(CLOCK_MONOTONIC);

		if (read_file(path, buf) < 0)
			return 1;
		t[i] = (now(CLOCK_MONOTONIC) - from) * 1e6;
	}
	qsort(t, n, sizeof(*t), by_value);
	printf("%.1f\n", t[n / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "clocks"))
		return clocks();
	if (!strcmp(what, "sysinfo"))
		return show_sysinfo();
	if (!strcmp(what, "readers") && argc == 4)
		return readers((unsigned)atoi(argv[2]), atof(argv[3]));
	if (!strcmp(what, "first") && argc == 3)
		return first_line(argv[2]);
	if (!strcmp(what, "hold") && argc == 3)
		return hold(argv[2]);
	if (!strcmp(what, "spend") && argc == 4)
		return spend((size_t)atoi(argv[2]), atof(argv[3]));
	if (!strcmp(what, "cost") && argc == 4)
		return cost(argv[2], (unsigned)atoi(argv[3]));
	return 2;
}

/* SPDX-License-Identifier: ISC */
/*
 * interleave ROUNDS NAME=COMMAND... : runs each command once a round, in a rotating order, and prints for each
 * the median time from fork to exit in us, the quartiles, and the ratio to the first, median of the ratios of the
 * same round. Commands are split at blanks; no shell runs between. A command that fails ends the benchmark: a
 * fast failure is no figure. With VRUN_BENCH_CPU=N all is pinned to that CPU.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MAX_WORDS = 64, MAX_COMMANDS = 16 };
static struct command { char *name, *argv[MAX_WORDS + 1]; double *us, *ratio; } commands[MAX_COMMANDS];

static int quiet_fd;            /* where a command's output goes */

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double run_once(const struct command *c)
{
	int status;
	double start = now_us();
	pid_t pid = vfork();

	if (pid == 0) {
		dup2(quiet_fd, 1);
		execv(c->argv[0], c->argv);
		_exit(127);
	}
	waitpid(pid, &status, 0);
	if (!WIFEXITED(status) || WEXITSTATUS(status)) {
		fprintf(stderr, "interleave: %s ended with status %#x\n", c->name, (unsigned)status);
		exit(1);
	}
	return now_us() - start;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

int main(int argc, char **argv)
{
	int rounds = argc > 2 ? atoi(argv[1]) : 0, n = 0;
	const char *cpu = getenv("VRUN_BENCH_CPU");

	for (int i = 2; i < argc && n < MAX_COMMANDS; i++, n++) {
		char *eq = strchr(argv[i], '='), *save = NULL;
		int k = 0;

		if (!eq)
			return 2;
		*eq = '\0';
		commands[n].name = argv[i];
		for (char *w = strtok_r(eq + 1, " ", &save); w && k < MAX_WORDS; w = strtok_r(NULL, " ", &save))
			commands[n].argv[k++] = w;
		commands[n].us = calloc((size_t)rounds + 1, sizeof(double));
		commands[n].ratio = calloc((size_t)rounds + 1, sizeof(double));
	}
	quiet_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	if (rounds < 1 || n < 1 || quiet_fd < 0)
		return 2;
	if (cpu) {
		cpu_set_t set;

		CPU_ZERO(&set);
		CPU_SET((size_t)atoi(cpu), &set);
		sched_setaffinity(0, sizeof(set), &set);
	}
	for (int r = -2; r < rounds; r++) {             /* two rounds to warm up, not counted */
		for (int i = 0; i < n; i++) {
			struct command *c = &commands[(i + (r + 2)) % n];
			double us = run_once(c);

			if (r >= 0)
				c->us[r] = us;
		}
		for (int i = 0; r >= 0 && i < n; i++)
			commands[i].ratio[r] = commands[i].us[r] / commands[0].us[r];
	}
	printf("%-34s %9s %9s %9s %8s\n", "", "median us", "25 %", "75 %", "ratio");
	for (int i = 0; i < n; i++) {
		struct command *c = &commands[i];

		qsort(c->us, (size_t)rounds, sizeof(double), by_value);
		qsort(c->ratio, (size_t)rounds, sizeof(double), by_value);
		printf("%-34s %9.0f %9.0f %9.0f %8.2f\n", c->name, c->us[rounds / 2], c->us[rounds / 4],
		       c->us[rounds * 3 / 4], c->ratio[rounds / 2]);
	}
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * spy SECONDS: says once "ready", then prints each command line that it finds in /proc/3 to /proc/39, once. On a busy
 * machine a minute longer, until it has met who comes into the guest.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PIDS = 40, SEEN = 256, TEXT = 512 };

static char seen[SEEN][TEXT];
static int n_seen, met;

static void look(int pid)
{
	char path[32], text[TEXT];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	text[n > 0 ? n : 0] = '\0';
	for (ssize_t i = 0; i < n; i++)
		text[i] = text[i] ? text[i] : ' ';
	for (int i = 0; i < n_seen; i++)
		if (strcmp(seen[i], text) == 0)
			return;
	if (n <= 0 || n_seen == SEEN)
		return;
	strcpy(seen[n_seen++], text);
	puts(text);
	fflush(stdout);
	met |= strncmp(text, "init", 4) == 0 || strncmp(text, "true", 4) == 0;
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 3);

	puts("ready");
	fflush(stdout);
	while (time(NULL) < end + (met ? 0 : 60))
		for (int pid = 3; pid < PIDS; pid++)
			look(pid);
	return 0;
}

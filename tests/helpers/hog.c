/* SPDX-License-Identifier: ISC */
/*
 * hog [as UID] [in-userns] inotify|queues|terminals N [SECONDS]: takes up to N inotify instances, POSIX message queues or
 * pseudoterminals, prints how many it got, and keeps them that long.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <mqueue.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <unistd.h>

static int take(const char *what, int i)
{
	struct mq_attr big = { .mq_maxmsg = 10, .mq_msgsize = 8192 };
	char name[64];
	int fd;

	if (!strcmp(what, "inotify"))
		return inotify_init1(IN_CLOEXEC) >= 0;
	if (!strcmp(what, "terminals"))
		return open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC) >= 0;
	snprintf(name, sizeof(name), "/vrun-hog-%d-%d", (int)getpid(), i);
	fd = mq_open(name, O_CREAT | O_EXCL | O_RDWR, 0600, &big);
	mq_unlink(name);
	return fd >= 0;
}

int main(int argc, char **argv)
{
	struct rlimit files;
	int i = 1, n = 0, most;

	getrlimit(RLIMIT_NOFILE, &files);
	files.rlim_cur = files.rlim_max;
	setrlimit(RLIMIT_NOFILE, &files);
	if (i + 1 < argc && !strcmp(argv[i], "as")) {
		unsigned id = (unsigned)atoi(argv[i + 1]);

		if (setgroups(0, NULL) || setresgid(id, id, id) || setresuid(id, id, id))
			return 99;
		i += 2;
	}
	if (i < argc && !strcmp(argv[i], "in-userns")) {
		if (unshare(CLONE_NEWUSER))
			return 99;
		i++;
	}
	if (i + 1 >= argc)
		return 99;
	for (most = atoi(argv[i + 1]); n < most && take(argv[i], n); n++)
		;
	printf("%d\n", n);
	fflush(stdout);
	if (i + 2 < argc)
		sleep((unsigned)atoi(argv[i + 2]));
	return 0;
}

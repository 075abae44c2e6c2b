/* SPDX-License-Identifier: ISC */
/* exchange A B: swaps the two names, atomically, for as long as it runs (at most a minute). */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	time_t end = time(NULL) + 60;

	if (argc != 3)
		return 2;
	while (time(NULL) < end)
		for (int i = 0; i < 1000; i++)
			if (syscall(SYS_renameat2, AT_FDCWD, argv[1], AT_FDCWD, argv[2], 2 /* RENAME_EXCHANGE */) < 0) {
				perror("renameat2");
				return 1;
			}
	return 0;
}

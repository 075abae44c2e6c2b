/* SPDX-License-Identifier: ISC */
/* hold FILE BYTE SECONDS DIR: the lock of a vrun that takes its time over a dead guest, who is then removed. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_len = 1 };
	int fd = argc == 5 ? open(argv[1], O_WRONLY | O_CLOEXEC) : -1;

	if (fd < 0)
		return 2;
	lock.l_start = atoi(argv[2]);
	if (fcntl(fd, F_SETLK, &lock) < 0)
		return 1;
	puts("held");
	fflush(stdout);
	sleep((unsigned)atoi(argv[3]));
	return rmdir(argv[4]) < 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * broker: calls that the broker answers, as a hostile guest makes them.
 *   name NAME | domain NAME    set it; print the errno, 0 if none
 *   odd                        lengths and addresses that are wrong; prints the errnos
 *   time N                     N times sethostname; prints ns a call
 *   storm N                    N children that are killed in the middle of a call
 *   stall                      a call whose memory never comes (userfaultfd); says so and sleeps
 *   socket FAMILY TYPE         i386's socketcall(2); prints errno, family, type, close-on-exec
 *   pair                       its socketpair: a byte goes through; the peer's uid
 *   race SECONDS               its socket, while another thread changes the family; prints what got through
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int err_of(long r)
{
	return r < 0 ? errno : 0;
}

static void odd(void)
{
	char name[100] = "x";

	printf("%d %d %d %d %d\n", err_of(syscall(SYS_sethostname, name, 65L)), err_of(syscall(SYS_sethostname, name, -1L)),
	       err_of(syscall(SYS_sethostname, 1L, 4L)), err_of(syscall(SYS_sethostname, -1L, 4L)),
	       err_of(syscall(SYS_sethostname, name, 1L << 32)));
}

static void time_calls(long n)
{
	struct timespec a, b;

	clock_gettime(CLOCK_MONOTONIC, &a);
	for (long i = 0; i < n; i++)
		if (sethostname("bench", 5))
			exit(1);
	clock_gettime(CLOCK_MONOTONIC, &b);
	printf("%ld\n", ((b.tv_sec - a.tv_sec) * 1000000000L + b.tv_nsec - a.tv_nsec) / n);
}

static void storm(long n)
{
	for (long i = 0; i < n; i++) {
		pid_t pid = fork();

		if (pid == 0)
			for (;;)
				sethostname("storm", 5);
		usleep((useconds_t)(rand() % 300));
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	printf("%d\n", err_of(sethostname("calm", 4)));
}

static void *stalled_call(void *page)
{
	sethostname(page, 5);
	return NULL;
}

static void stall(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	pthread_t thread;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg)) {
		printf("no userfaultfd: %s\n", strerror(errno));
		return;
	}
	pthread_create(&thread, NULL, stalled_call, page);
	usleep(300000);
	printf("stalled\n");
	fflush(stdout);
	sleep(1000);
}

#ifdef __x86_64__
static volatile uint32_t *words;        /* below 4 GiB */

static int socketcall(uint32_t which)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(102L), "b"((long)which), "c"((long)(uintptr_t)words), "d"(0L)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)r;
}

static void one_socket(uint32_t family, uint32_t type)
{
	int fd, domain = -1, got = -1;
	socklen_t len = sizeof(int);

	words[0] = family, words[1] = type, words[2] = 0;
	fd = socketcall(1);
	if (fd < 0) {
		printf("%d\n", -fd);
		return;
	}
	getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
	getsockopt(fd, SOL_SOCKET, SO_TYPE, &got, &len);
	printf("0 %d %d %d\n", domain, got, fcntl(fd, F_GETFD));
}

static void pair(void)
{
	struct ucred peer = { -1, 99, 99 };
	socklen_t len = sizeof(peer);
	int32_t *fd = (int32_t *)(uintptr_t)(words + 8);
	char byte = 0;

	words[0] = AF_UNIX, words[1] = SOCK_STREAM, words[2] = 0, words[3] = (uint32_t)(uintptr_t)fd;
	if (socketcall(8) == 0 && write(fd[0], "k", 1) == 1 && read(fd[1], &byte, 1) == 1)
		getsockopt(fd[0], SOL_SOCKET, SO_PEERCRED, &peer, &len);
	printf("%c %d\n", byte, (int)peer.uid);
}

static volatile int racing = 1;

static void *flip(void *arg)
{
	(void)arg;
	while (racing) {
		words[0] = AF_UNIX;
		words[0] = 38;          /* AF_ALG */
		words[0] = AF_UNIX;
		words[0] = 40;          /* AF_VSOCK */
	}
	return NULL;
}

static void race(int seconds)
{
	long made = 0, refused = 0, through = 0;
	time_t end = time(NULL) + seconds, at_last = time(NULL) + 60;
	pthread_t thread;

	words[1] = SOCK_STREAM, words[2] = 0;
	pthread_create(&thread, NULL, flip, NULL);
	/* Both must have happened often; a slow machine takes longer for that. */
	while (time(NULL) < end || ((made < 20 || refused < 20) && time(NULL) < at_last)) {
		int fd = socketcall(1), domain = -1;
		socklen_t len = sizeof(domain);

		if (fd < 0) {
			refused++;
			continue;
		}
		made++;
		getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
		through += domain != AF_UNIX;
		close(fd);
	}
	racing = 0;
	pthread_join(thread, NULL);
	printf("%s %s %ld\n", made >= 20 ? "made" : "few", refused >= 20 ? "refused" : "few", through);
}
#endif

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *arg = argc > 2 ? argv[2] : "";

	if (strcmp(what, "name") == 0)
		printf("%d\n", err_of(sethostname(arg, strlen(arg))));
	else if (strcmp(what, "domain") == 0)
		printf("%d\n", err_of(setdomainname(arg, strlen(arg))));
	else if (strcmp(what, "odd") == 0)
		odd();
	else if (strcmp(what, "time") == 0)
		time_calls(atol(arg));
	else if (strcmp(what, "storm") == 0)
		storm(atol(arg));
	else if (strcmp(what, "stall") == 0)
		stall();
#ifdef __x86_64__
	words = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	if (strcmp(what, "socket") == 0 && argc > 3)
		one_socket((uint32_t)strtoul(arg, NULL, 0), (uint32_t)strtoul(argv[3], NULL, 0));
	else if (strcmp(what, "pair") == 0)
		pair();
	else if (strcmp(what, "race") == 0)
		race(atoi(arg));
#endif
	return 0;
}

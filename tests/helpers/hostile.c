/* SPDX-License-Identifier: ISC */
/*
 * What a guest can do to who answers for it: its broker (calls that are notified) and its supervisor (FUSE).
 *
 *	hostile one             what both answer, a line: a socket, an interface, sysinfo(2), MemTotal
 *	hostile flood P T       P processes of T threads in socket(2) at once; prints made and failed
 *	hostile close SECS      threads that close every descriptor while others have sockets made
 *	hostile every           sockets of each family, type, flag and protocol; prints the families that it got
 *	hostile odd             calls with arguments that are wrong in all ways; prints how many returned
 *	hostile end N           N processes that end in the middle of calls, in four ways
 *	hostile freeze N        callers that are stopped, continued, and killed stopped
 *	hostile mapped          calls with pointers into the files that the supervisor serves
 *	hostile stall           a call whose memory never comes (userfaultfd)
 *	hostile readers N       N processes (comm "reader75") that read these files until they are killed
 *	hostile hammer SECS     and use them in every other way
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <net/if.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

static const char *const files[] = { "/proc/meminfo", "/proc/stat", "/proc/loadavg", "/proc/uptime", "/proc/cpuinfo" };
enum { FILES = sizeof(files) / sizeof(files[0]) };

static int one(void)
{
	int s = socket(AF_INET, SOCK_STREAM, 0), fd = open(files[0], O_RDONLY);
	struct ifconf c = { 0 };
	struct sysinfo info = { 0 };
	char text[64] = "";

	printf("socket %d ", s < 0 ? errno : 0);
	printf("list %d ", ioctl(s, SIOCGIFCONF, &c) < 0 ? errno : 0);
	printf("sysinfo %d ", sysinfo(&info) ? errno : 0);
	printf("%lu ", (unsigned long)(info.totalram * info.mem_unit >> 10));
	if (read(fd, text, sizeof(text) - 1) <= 0)
		printf("read %d\n", errno);
	else
		printf("%.*s\n", (int)strcspn(text, "\n"), text);
	return 0;
}

/* ---- many at once ---- */

static struct { pthread_barrier_t ready; long made, failed; volatile int go; } *shared;

static void *one_call(void *arg)
{
	int fd;

	(void)arg;
	pthread_barrier_wait(&shared->ready);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	__atomic_add_fetch(fd >= 0 ? &shared->made : &shared->failed, 1, __ATOMIC_RELAXED);
	if (fd >= 0)
		close(fd);
	return NULL;
}

static int flood(unsigned processes, unsigned threads)
{
	pthread_barrierattr_t across;
	pthread_attr_t small;

	pthread_barrierattr_init(&across);
	pthread_barrierattr_setpshared(&across, PTHREAD_PROCESS_SHARED);
	pthread_barrier_init(&shared->ready, &across, processes * threads);
	pthread_attr_init(&small);
	pthread_attr_setstacksize(&small, 32768);
	for (unsigned p = 0; p < processes; p++) {
		pthread_t *t = calloc(threads, sizeof(*t));

		if (fork() != 0)
			continue;
		for (unsigned i = 0; i < threads; i++)
			if (pthread_create(&t[i], &small, one_call, NULL))
				_exit(1);       /* and the barrier never opens: the test sees that */
		for (unsigned i = 0; i < threads; i++)
			pthread_join(t[i], NULL);
		_exit(0);
	}
	while (wait(NULL) > 0)
		;
	printf("made %ld failed %ld\n", shared->made, shared->failed);
	return 0;
}

static void *closer(void *arg)
{
	(void)arg;
	while (shared->go)
		syscall(SYS_close_range, 3U, ~0U, 0U);
	return NULL;
}

static void *maker(void *arg)
{
	struct ifconf c = { 0 };

	(void)arg;
	while (shared->go) {
		int fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);

		ioctl(fd, SIOCGIFCONF, &c);
		bind(fd, (struct sockaddr *)&c, sizeof(c));
		close(fd);
	}
	return NULL;
}

static int close_all(int secs)
{
	pthread_t t[8];

	shared->go = 1;
	for (int i = 0; i < 8; i++)
		pthread_create(&t[i], NULL, i % 2 ? closer : maker, NULL);
	sleep((unsigned)secs);
	shared->go = 0;
	for (int i = 0; i < 8; i++)
		pthread_join(t[i], NULL);
	puts("closed");
	return 0;
}

/* ---- arguments ---- */

static int every(void)
{
	static const int flags[] = { 0, SOCK_CLOEXEC, SOCK_NONBLOCK, 0x10000, INT32_MIN };
	static const int protocols[] = { 0, 1, 6, 17, 41, 58, 132, 136, 255, 256, 262, 65535, -1 };

	for (int family = -1; family < 50; family++) {
		int got = 0;

		for (int type = 0; type < 12; type++)
			for (unsigned f = 0; f < 5; f++)
				for (unsigned p = 0; p < 13; p++) {
					int fd = socket(family, type | flags[f], protocols[p]), pair[2];

					if (fd >= 0 && !close(fd))
						got = 1;
					if (!socketpair(family, type | flags[f], protocols[p], pair)) {
						got = 1;
						close(pair[0]);
						close(pair[1]);
					}
				}
		if (got)
			printf("%d ", family);
	}
	puts("");
	return 0;
}

static int odd(void)
{
	static char page[8192];
	const uint64_t values[] = { 0, 1, 2, 40, 4096, INT32_MAX, UINT32_MAX, 1ULL << 32, INT64_MAX, 1ULL << 63, UINT64_MAX,
				    (uintptr_t)page, (uintptr_t)page + 4090, 0xffffffff81000000 };
	static const int calls[] = { SYS_socket, SYS_socketpair, SYS_bind, SYS_sysinfo, SYS_sethostname, SYS_setdomainname };
	enum { N = sizeof(values) / sizeof(values[0]), CALLS = sizeof(calls) / sizeof(calls[0]) };
	int s = socket(AF_INET, SOCK_DGRAM, 0);
	unsigned long returned = 0;

	for (unsigned c = 0; c < CALLS; c++)
		for (unsigned i = 0; i < N * N * N; i++) {
			/* A family that is made, now and then; its descriptors go at once. */
			long r = syscall(calls[c], c < 2 && i % 3 ? 2 : values[i % N], values[i / N % N], values[i / N / N]);

			if (r > 2 && c == 0)
				close((int)r);
			returned++;
		}
	for (uint64_t cmd = 0x8900; cmd < 0x8c00; cmd++)
		for (unsigned i = 0; i < N; i++) {
			syscall(SYS_ioctl, i % 5 ? (uint64_t)s : values[i], cmd | (i & 1 ? 1ULL << 32 : 0), values[i]);
			returned++;
		}
	printf("returned %lu\n", returned);
	return 0;
}

/* ---- callers that go ---- */

static void *caller(void *arg)
{
	for (;;) {
		int fd = socket(AF_INET, SOCK_STREAM, 0);

		if (fd >= 0)
			close(fd);
		sysinfo(arg);
	}
	return NULL;
}

static pid_t fork_callers(void)
{
	static struct sysinfo info;
	pid_t pid = fork();
	pthread_t t;

	if (pid)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < 3; i++)
		pthread_create(&t, NULL, caller, &info);
	usleep((useconds_t)(rand() % 2000));
	return 0;
}

static int end(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid;

		srand((unsigned)i);
		pid = fork_callers();
		if (pid == 0) {
			if (i % 4 == 0)
				_exit(0);                       /* all threads with it */
			if (i % 4 == 1)
				execl("/proc/self/exe", "hostile", "nothing", NULL);
			if (i % 4 == 2)
				raise(SIGSEGV);
			caller(malloc(sizeof(struct sysinfo)));
		}
		usleep((useconds_t)(rand() % 2000));
		if (i % 4 == 3)
			kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
	puts("ended");
	return 0;
}

static int freeze(int n)
{
	for (int i = 0; i < n; i++) {
		pid_t pid;

		srand((unsigned)i);
		pid = fork_callers();
		if (pid == 0)
			caller(malloc(sizeof(struct sysinfo)));
		for (int k = 0; k < 5; k++) {
			usleep((useconds_t)(rand() % 1000));
			kill(pid, k % 2 ? SIGCONT : SIGSTOP);
		}
		kill(pid, SIGKILL);             /* stopped: killed nevertheless */
		waitpid(pid, NULL, 0);
	}
	puts("thawed");
	return 0;
}

static void *stalled_call(void *page)
{
	ioctl(socket(AF_INET, SOCK_DGRAM, 0), SIOCGIFCONF, page);
	return NULL;
}

static int stall(void)
{
	struct uffdio_api api = { .api = UFFD_API };
	char *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	struct uffdio_register reg = { .range = { (uintptr_t)page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC);
	struct uffd_msg m;
	pthread_t t;

	if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &reg))
		return printf("%s\n", strerror(errno)) < 0;
	pthread_create(&t, NULL, stalled_call, page);
	if (read(fd, &m, sizeof(m)) == sizeof(m))       /* the broker's fault, which nobody answers */
		puts("stalled");
	fflush(stdout);
	for (;;)
		pause();
}

/* ---- the files ---- */

static int mapped(void)
{
	int answers = 0;

	for (unsigned i = 0; i < FILES * 40; i++) {
		int fd = open(files[i % FILES], O_RDONLY), s = socket(AF_INET, SOCK_DGRAM, 0);
		char *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);

		if (p == MAP_FAILED)
			return 1;
		posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
		answers += ioctl(s, SIOCGIFCONF, p) == 0 || errno;      /* read from, and written to, what the supervisor gives */
		answers += sysinfo((struct sysinfo *)(void *)p) == 0 || errno;
		sethostname(p, 5);
		munmap(p, 4096);
		close(fd);
		close(s);
	}
	printf("answered %d\n", answers);
	return 0;
}

static int readers(int n)
{
	for (int i = 0; i < n; i++) {
		static char text[65536];

		if (fork() != 0)
			continue;
		prctl(PR_SET_NAME, "reader75");
		for (unsigned k = (unsigned)i;; k++) {
			int fd = open(files[k % FILES], O_RDONLY);

			while (read(fd, text, sizeof(text)) > 0)
				;
			close(fd);
		}
	}
	puts("reading");
	fflush(stdout);
	pause();
	return 0;
}

static void hammer_one(unsigned k)
{
	static char text[20000];
	const char *file = files[k % FILES];
	int fd = open(file, k % 7 ? O_RDONLY : O_RDWR | O_TRUNC);
	struct stat st;

	if (fd < 0)
		fd = open(file, O_RDONLY | O_NONBLOCK | O_DIRECT);
	stat(file, &st);
	/* An ioctl whose data are more than a request has room for, offsets from beyond, names that are long. */
	syscall(SYS_ioctl, fd, 0xffff0000UL | k % 65536, text);
	if (pread(fd, text, sizeof(text), (off_t)(k % 3 ? k : INT64_MAX - 4096)) < 0)
		errno = 0;
	lseek(fd, 0, SEEK_HOLE);
	getxattr(file, "user.x", text, sizeof(text));
	setxattr(file, "user.x", text, sizeof(text), 0);
	chmod(file, 0);
	truncate(file, 0);
	fallocate(fd, 0, 0, 1 << 20);
	flock(fd, 2);
	fsync(fd);
	syscall(SYS_copy_file_range, fd, NULL, fd, NULL, 4096, 0);
	posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	close(fd);
}

static int hammer(int secs)
{
	time_t until = time(NULL) + secs;

	for (int i = 0; i < 20; i++)
		if (fork() == 0) {
			for (unsigned k = (unsigned)i; time(NULL) < until; k += 20)
				hammer_one(k);
			_exit(0);
		}
	while (wait(NULL) > 0)
		;
	puts("hammered");
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int n = argc > 2 ? atoi(argv[2]) : 0;

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	return !strcmp(what, "one") ? one() :
		!strcmp(what, "flood") && argc > 3 ? flood((unsigned)n, (unsigned)atoi(argv[3])) :
		!strcmp(what, "close") ? close_all(n) :
		!strcmp(what, "every") ? every() :
		!strcmp(what, "odd") ? odd() :
		!strcmp(what, "end") ? end(n) :
		!strcmp(what, "freeze") ? freeze(n) :
		!strcmp(what, "mapped") ? mapped() :
		!strcmp(what, "stall") ? stall() :
		!strcmp(what, "readers") ? readers(n) :
		!strcmp(what, "hammer") ? hammer(n) : 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * Sockets and interfaces as a program in a guest meets them.
 *
 *	sock names              interfaces and IPv4 addresses by getifaddrs(3), SIOCGIFCONF, if_nameindex(3)
 *	sock names32            the same by SIOCGIFCONF through the 32-bit ABI
 *	sock ifreq NAME CMD     an interface ioctl (a number): 0 or the errno
 *	sock notsock CMD        the same on a file, and on no descriptor
 *	sock bind ADDR PORT     0 or the errno
 *	sock meet ADDR          listens there, connects, exchanges a byte: both ends' addresses
 *	sock serve ADDR PORT    takes one connection, says "from-server", prints what it hears
 *	sock call ADDR PORT     connects (for up to 5 s), says "from-client", prints what it hears
 *	sock abstract NAME      connects to an abstract UNIX socket: 0 or the errno
 *	sock listen NAME SECS   listens on one
 *	sock owners             whose the sockets are that root and two users, one undumpable, make by turns
 *	sock odd                socket(2) with odd types and protocols: the errnos
 *	sock flood N SECS       N processes make and close sockets; how many, and how many failed
 *	sock cost N             µs for socket and close: the median of N
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static void show(const char *how, const char *name, const void *ip)
{
	char text[INET_ADDRSTRLEN];

	printf("%s %s %s\n", how, name, inet_ntop(AF_INET, ip, text, sizeof(text)));
}

static int names(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq list[64];
	struct ifconf c = { .ifc_len = sizeof(list), .ifc_req = list };
	struct ifaddrs *all;

	if (fd < 0 || ioctl(fd, SIOCGIFCONF, &c) < 0 || getifaddrs(&all) < 0)
		return 1;
	for (struct ifaddrs *i = all; i; i = i->ifa_next)
		if (i->ifa_addr && i->ifa_addr->sa_family == AF_INET)
			show("getifaddrs", i->ifa_name, &((struct sockaddr_in *)(void *)i->ifa_addr)->sin_addr);
	for (size_t i = 0; i < (size_t)c.ifc_len / sizeof(list[0]); i++)
		show("ifconf", list[i].ifr_name, &((struct sockaddr_in *)(void *)&list[i].ifr_addr)->sin_addr);
	for (struct if_nameindex *i = if_nameindex(); i && i->if_name; i++)
		printf("index %s %u\n", i->if_name, i->if_index);
	return 0;
}

static long call32(long nr, long a, long b, long c)
{
#ifdef __x86_64__
	long result;

	__asm__ volatile("int $0x80" : "=a"(result) : "a"(nr), "b"(a), "c"(b), "d"(c)
			 : "memory", "r8", "r9", "r10", "r11");
	return (int)result;
#else
	(void)nr; (void)a; (void)b; (void)c;
	return -ENOSYS;
#endif
}

static int names32(void)
{
#ifndef MAP_32BIT
#define MAP_32BIT 0
#endif
	unsigned char *low = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	uint32_t *conf = (uint32_t *)low;
	long fd = call32(359, AF_INET, SOCK_DGRAM, 0);

	if (low == MAP_FAILED || fd < 0)
		return 1;
	conf[0] = 4096;
	conf[1] = (uint32_t)(uintptr_t)(low + 64);
	if (call32(54, fd, SIOCGIFCONF, (long)(uintptr_t)low) < 0)
		return 1;
	for (size_t i = 0; i < conf[0] / 32; i++)
		show("ifconf32", (char *)low + 64 + 32 * i, low + 64 + 32 * i + 20);
	return 0;
}

static int say(long result)
{
	printf("%d\n", result < 0 ? errno : 0);
	return 0;
}

static int ask(const char *name, unsigned cmd)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", name);
	return say(ioctl(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), (int)cmd, &r));
}

static int ask_no_socket(unsigned cmd)
{
	struct ifreq r;

	memset(&r, 0, sizeof(r));
	say(ioctl(open("/dev/null", O_RDONLY | O_CLOEXEC), (int)cmd, &r));
	return say(ioctl(99, (int)cmd, &r));
}

static struct sockaddr_in at(const char *address, int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };

	inet_pton(AF_INET, address, &a.sin_addr);
	return a;
}

static int meet(const char *address)
{
	struct sockaddr_in here = at(address, 0), peer;
	socklen_t len = sizeof(here);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), server;
	char c = 0;

	if (bind(listener, (struct sockaddr *)&here, sizeof(here)) < 0 || listen(listener, 1) < 0 ||
	    getsockname(listener, (struct sockaddr *)&here, &len) < 0 ||
	    connect(client, (struct sockaddr *)&here, sizeof(here)) < 0)
		return 1;
	len = sizeof(peer);
	server = accept(listener, (struct sockaddr *)&peer, &len);
	if (write(client, "k", 1) != 1 || read(server, &c, 1) != 1)
		return 1;
	show("server", "sees", &peer.sin_addr);
	return c != 'k';
}

static int talk(int fd, const char *word)
{
	char text[64];
	ssize_t n;

	if (write(fd, word, strlen(word)) < 0)
		return 1;
	shutdown(fd, SHUT_WR);
	while ((n = read(fd, text, sizeof(text))) > 0)
		fwrite(text, 1, (size_t)n, stdout);
	puts("");
	return 0;
}

static int serve(const char *address, int port)
{
	struct sockaddr_in a = at(address, port);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(fd, 1) < 0)
		return 1;
	return talk(accept(fd, NULL, NULL), "from-server");
}

static int call(const char *address, int port)
{
	struct sockaddr_in a = at(address, port);

	for (int i = 0; i < 50; i++) {
		int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			return talk(fd, "from-client");
		close(fd);
		usleep(100000);
	}
	return 1;
}

static struct sockaddr_un abstract(const char *name, socklen_t *len)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };

	snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "%s", name);
	*len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
	return a;
}

static int listen_abstract(const char *name, unsigned secs)
{
	socklen_t len;
	struct sockaddr_un a = abstract(name, &len);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (bind(fd, (struct sockaddr *)&a, len) < 0 || listen(fd, 1) < 0)
		return 1;
	puts("listens");
	fflush(stdout);
	sleep(secs);
	return 0;
}

static int connect_abstract(const char *name)
{
	socklen_t len;
	struct sockaddr_un a = abstract(name, &len);

	return say(connect(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, len));
}

static int odd(void)
{
	static const int what[][3] = {
		{ AF_INET, SOCK_RAW, 255 }, { AF_INET, SOCK_SEQPACKET, 0 }, { AF_INET, SOCK_STREAM, 250 },
		{ AF_INET, 99, 0 }, { AF_INET6, SOCK_RAW, 255 }, { AF_INET, SOCK_PACKET, 3 },
	};

	for (size_t i = 0; i < sizeof(what) / sizeof(what[0]); i++)
		printf("%s%d", i ? " " : "", socket(what[i][0], what[i][1], what[i][2]) < 0 ? errno : 0);
	puts("");
	return 0;
}

/* Each turn three sockets of three callers, and in between a question that is answered otherwise. */
static int owners(void)
{
	static const uid_t who[] = { 0, 1000, 1001 };
	struct ifreq r = { .ifr_name = "lo" };
	struct stat st;
	int wrong = 0;

	for (int turn = 0; turn < 8; turn++)
		for (int i = 0; i < 3; i++) {
			pid_t pid = fork();
			int status = 1, fd;

			if (pid == 0) {
				if (setresgid(who[i], who[i], who[i]) < 0 || setresuid(who[i], who[i], who[i]) < 0)
					_exit(1);
				if (i == 2)
					prctl(PR_SET_DUMPABLE, 0);
				for (int k = 0; k < 3; k++) {
					fd = socket(k == 1 ? AF_INET6 : AF_INET, k ? SOCK_DGRAM : SOCK_STREAM, 0);
					if (fd < 0 && k == 1 && errno == EAFNOSUPPORT)
						continue;       /* a guest without IPv6 */
					if (fstat(fd, &st) < 0 || st.st_uid != who[i] || st.st_gid != who[i])
						_exit(1);
					if ((turn + i + k) % 2 == 0 && ioctl(fd, SIOCGIFFLAGS, &r) < 0)
						_exit(1);
					close(fd);
				}
				_exit(0);
			}
			waitpid(pid, &status, 0);
			wrong += status != 0;
		}
	printf("%d\n", wrong);
	return 0;
}

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int flood(unsigned n, double secs)
{
	double until = now() + secs;
	int status, failed = 0;

	for (unsigned i = 0; i < n; i++)
		if (fork() == 0) {
			while (now() < until) {
				int fd = socket(i & 1 ? AF_INET : AF_INET6, SOCK_STREAM, 0);

				if (fd < 0)
					_exit(1);
				close(fd);
			}
			_exit(0);
		}
	while (wait(&status) > 0)
		failed += status != 0;
	printf("failed %d\n", failed);
	return failed != 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int cost(unsigned n)
{
	double *t = calloc(n, sizeof(*t));

	for (unsigned i = 0; i < n; i++) {
		double from = now();

		close(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
		t[i] = (now() - from) * 1e6;
	}
	qsort(t, n, sizeof(*t), by_value);
	printf("%.1f\n", t[n / 2]);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	struct sockaddr_in a;

	if (!strcmp(what, "names"))
		return names();
	if (!strcmp(what, "names32"))
		return names32();
	if (!strcmp(what, "ifreq") && argc == 4)
		return ask(argv[2], (unsigned)strtoul(argv[3], NULL, 0));
	if (!strcmp(what, "notsock") && argc == 3)
		return ask_no_socket((unsigned)strtoul(argv[2], NULL, 0));
	if (!strcmp(what, "bind") && argc == 4) {
		a = at(argv[2], atoi(argv[3]));
		return say(bind(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), (struct sockaddr *)&a, sizeof(a)));
	}
	if (!strcmp(what, "meet") && argc == 3)
		return meet(argv[2]);
	if (!strcmp(what, "serve") && argc == 4)
		return serve(argv[2], atoi(argv[3]));
	if (!strcmp(what, "call") && argc == 4)
		return call(argv[2], atoi(argv[3]));
	if (!strcmp(what, "abstract") && argc == 3)
		return connect_abstract(argv[2]);
	if (!strcmp(what, "listen") && argc == 4)
		return listen_abstract(argv[2], (unsigned)atoi(argv[3]));
	if (!strcmp(what, "owners"))
		return owners();
	if (!strcmp(what, "odd"))
		return odd();
	if (!strcmp(what, "flood") && argc == 4)
		return flood((unsigned)atoi(argv[2]), atof(argv[3]));
	if (!strcmp(what, "cost") && argc == 3)
		return cost((unsigned)atoi(argv[2]));
	return 2;
}

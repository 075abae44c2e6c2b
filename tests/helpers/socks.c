/* SPDX-License-Identifier: ISC */
/*
 * Which sockets there are.
 *
 *	socks hold ADDR4 ADDR6  opens TCP and UDP sockets of many kinds; for each a line TABLE LOCAL PEER INODE, as its
 *				program knows it (getsockname, getpeername, fstat); then "ready", and waits for stdin's end
 *	socks ended ADDR PORT	connections at a listener there: one that the server closed, one that the client did, one of
 *				which the handshake isn't over; a word and its client's port each; then as hold
 *	socks list [DIR]        the same lines from DIR/{tcp,tcp6,udp,udp6}, by default /proc/net
 *	socks many N TCP|UDP    N sockets, "ready", and waits for stdin's end
 *	socks churn SECS        opens and closes listeners all the time
 *	socks whole SECS        reads /proc/net/tcp all the time: lines that aren't one; 0 is right
 *	socks diag WAY          asks sock_diag for TCP sockets in one of these ways: how many, or the errno's name
 *				send, sendmsg, write, dup, one, destroy, int80, socketcall
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

union sa { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; };

static void put(int family, const void *ip, unsigned port)
{
	char text[INET6_ADDRSTRLEN];

	printf(" %s:%u", inet_ntop(family, ip, text, sizeof(text)), port);
}

static void put_sa(const union sa *sa)
{
	put(sa->any.sa_family, sa->any.sa_family == AF_INET ? (const void *)&sa->v4.sin_addr : &sa->v6.sin6_addr,
	    ntohs(sa->v4.sin_port));
}

/* ---- hold ---- */

static int show(int fd, const char *table)
{
	union sa own = { 0 }, peer = { 0 };
	socklen_t len = sizeof(own);
	struct stat st;

	if (getsockname(fd, &own.any, &len) < 0 || fstat(fd, &st) < 0)
		exit(1);
	len = sizeof(peer);
	if (getpeername(fd, &peer.any, &len) < 0)
		peer.any.sa_family = own.any.sa_family;
	printf("%s", table);
	put_sa(&own);
	put_sa(&peer);
	printf(" %llu\n", (unsigned long long)st.st_ino);
	return fd;
}

static union sa address(const char *ip, int port)
{
	union sa sa = { 0 };

	if (inet_pton(AF_INET, ip, &sa.v4.sin_addr) == 1)
		sa.any.sa_family = AF_INET;
	else if (inet_pton(AF_INET6, ip, &sa.v6.sin6_addr) == 1)
		sa.any.sa_family = AF_INET6;
	else
		exit(2);
	sa.v4.sin_port = htons((uint16_t)port);
	return sa;
}

static socklen_t size_of(const union sa *sa)
{
	return sa->any.sa_family == AF_INET ? sizeof(sa->v4) : sizeof(sa->v6);
}

static int bound(const char *ip, int port, int type)
{
	union sa sa = address(ip, port);
	int fd = socket(sa.any.sa_family, type, 0), one = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (fd < 0 || bind(fd, &sa.any, size_of(&sa)) < 0 || (type == SOCK_STREAM && listen(fd, 64) < 0)) {
		perror(ip);
		exit(1);
	}
	return fd;
}

static int connected(const char *ip, int port, int type)
{
	union sa sa = address(ip, port);
	int fd = socket(sa.any.sa_family, type, 0);

	if (fd < 0 || connect(fd, &sa.any, size_of(&sa)) < 0) {
		perror(ip);
		exit(1);
	}
	return fd;
}

/* Its three sockets: what listens, who connects, what is accepted. */
static void pair(const char *bind_to, const char *call, int port, const char *table)
{
	int l = bound(bind_to, port, SOCK_STREAM), c = connected(call, port, SOCK_STREAM);

	show(l, table);
	show(c, strchr(call, ':') ? "tcp6" : "tcp");
	show(accept(l, NULL, NULL), table);
}

static void wait_for_end(void)
{
	char c;

	printf("ready\n");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
}

static int hold(const char *ip4, const char *ip6)
{
	pair("0.0.0.0", ip4, 8080, "tcp");
	pair("127.0.0.1", "127.0.0.1", 8081, "tcp");
	pair(ip4, ip4, 8082, "tcp");
	show(bound("0.0.0.0", 8084, SOCK_DGRAM), "udp");
	show(connected("127.0.0.1", 8085, SOCK_DGRAM), "udp");
	show(bound(ip4, 8086, SOCK_DGRAM), "udp");
	if (strcmp(ip6, "-")) {
		pair("::", ip6, 8090, "tcp6");
		pair("::1", "::1", 8091, "tcp6");
		pair(ip6, ip6, 8092, "tcp6");
		show(bound("::", 8094, SOCK_DGRAM), "udp6");
		show(bound(ip6, 8095, SOCK_DGRAM), "udp6");
	}
	wait_for_end();
	return 0;
}

/* ---- list ---- */

/* ---- ended ---- */

static int client(const char *ip, int port, const char *word)
{
	int fd = connected(ip, port, SOCK_STREAM);
	union sa sa = { 0 };
	socklen_t len = sizeof(sa);

	if (getsockname(fd, &sa.any, &len) < 0)
		exit(1);
	printf("%s %04X\n", word, ntohs(sa.v4.sin_port));
	return fd;
}

/* One end closes, the other one sees it and does. */
static void end(int first, int second)
{
	char c;

	close(first);
	if (read(second, &c, 1) != 0)
		exit(1);
	close(second);
}

static int ended(const char *ip, int port)
{
	int fd = bound(ip, port, SOCK_STREAM), until_data = 60, own;

	own = client(ip, port, "server");
	end(accept(fd, NULL, NULL), own);
	own = client(ip, port, "client");
	end(own, accept(fd, NULL, NULL));
	setsockopt(bound(ip, port + 1, SOCK_STREAM), IPPROTO_TCP, TCP_DEFER_ACCEPT, &until_data, sizeof(until_data));
	client(ip, port + 1, "half");
	wait_for_end();
	return 0;
}

static void put_hex(const char *hex)
{
	uint32_t ip[4] = { 0 };
	const char *colon = strchr(hex, ':');
	size_t words = colon ? (size_t)(colon - hex) / 8 : 0;

	for (size_t w = 0; w < words && w < 4; w++) {
		char one[9] = { 0 };

		memcpy(one, hex + 8 * w, 8);
		ip[w] = (uint32_t)strtoul(one, NULL, 16);
	}
	put(words == 1 ? AF_INET : AF_INET6, ip, colon ? (unsigned)strtoul(colon + 1, NULL, 16) : 0);
}

static int list(const char *dir)
{
	static const char *const tables[] = { "tcp", "tcp6", "udp", "udp6" };
	char path[128], line[256], own[64], peer[64], inode[32];

	for (size_t i = 0; i < 4; i++) {
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, tables[i]);
		f = fopen(path, "r");
		if (!f || !fgets(line, sizeof(line), f))
			return 1;
		while (fgets(line, sizeof(line), f)) {
			if (sscanf(line, "%*s %63s %63s %*s %*s %*s %*s %*s %*s %31s", own, peer, inode) != 3)
				return 1;
			printf("%s", tables[i]);
			put_hex(own);
			put_hex(peer);
			printf(" %s\n", inode);
		}
		fclose(f);
	}
	return 0;
}

/* ---- many, churn, whole ---- */

static int many(int n, const char *type)
{
	for (int i = 0; i < n; i++)
		bound("0.0.0.0", 0, strcmp(type, "UDP") ? SOCK_STREAM : SOCK_DGRAM);
	wait_for_end();
	return 0;
}

static int churn(int secs)
{
	time_t end = time(NULL) + secs;
	int fd[64];

	memset(fd, -1, sizeof(fd));
	for (unsigned i = 0; time(NULL) < end; i = i * 5 + 3) {
		int *f = &fd[i % 64];

		if (*f >= 0)
			close(*f);
		*f = *f >= 0 ? -1 : bound("0.0.0.0", 0, SOCK_STREAM);
	}
	return 0;
}

static bool is_line(const char *line)
{
	unsigned ip, port, state;
	size_t n = strlen(line);

	return n > 1 && line[n - 1] == '\n' &&
		(strstr(line, "local_address") || sscanf(line, " %*u: %8X:%4X 00000000:0000 %2X ", &ip, &port, &state) == 3);
}

static int whole(int secs)
{
	time_t end = time(NULL) + secs;
	unsigned long bad = 0, lines = 0;
	char line[256];

	while (time(NULL) < end) {
		FILE *f = fopen("/proc/net/tcp", "r");

		while (f && fgets(line, sizeof(line), f)) {
			if (!is_line(line) && !bad++)
				fprintf(stderr, "no line: '%s'\n", line);
			lines++;
		}
		if (f)
			fclose(f);
	}
	printf("%lu\n", lines > 100 ? bad : 999999);
	return 0;
}

/* ---- diag ---- */

static int socket_int80(void)
{
#ifdef __x86_64__
	int r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(359), "b"(AF_NETLINK), "c"(SOCK_RAW), "d"(NETLINK_SOCK_DIAG) : "memory");
	errno = r < 0 ? -r : 0;
	return r < 0 ? -1 : r;
#else
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
#endif
}

static int socket_socketcall(void)
{
#ifdef __x86_64__
	uint32_t *args = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	int r;

	args[0] = AF_NETLINK;
	args[1] = SOCK_RAW;
	args[2] = NETLINK_SOCK_DIAG;
	__asm__ volatile("int $0x80" : "=a"(r) : "a"(102), "b"(1), "c"(args) : "memory");
	errno = r < 0 ? -r : 0;
	return r < 0 ? -1 : r;
#else
	return socket(AF_NETLINK, SOCK_RAW, NETLINK_SOCK_DIAG);
#endif
}

static int fail(void)
{
	printf("%s\n", errno == ECONNREFUSED ? "ECONNREFUSED" : errno == EPROTONOSUPPORT ? "EPROTONOSUPPORT" :
	       errno == EPERM ? "EPERM" : strerror(errno));
	return 0;
}

static int answers(int fd)
{
	union { char bytes[32768]; struct nlmsghdr h; } in;
	int n = 0;

	for (;;) {
		ssize_t len = recv(fd, &in, sizeof(in), 0);

		if (len <= 0)
			return fail();
		for (struct nlmsghdr *h = &in.h; NLMSG_OK(h, len); h = NLMSG_NEXT(h, len)) {
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR) {
				printf("%d\n", n);
				return 0;
			}
			n++;
		}
	}
}

static int diag(const char *way)
{
	struct { struct nlmsghdr h; struct inet_diag_req_v2 q; } r = {
		.h = { .nlmsg_len = sizeof(r), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.q = { .sdiag_family = AF_INET, .sdiag_protocol = IPPROTO_TCP, .idiag_states = ~0U },
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	struct iovec v = { &r, sizeof(r) };
	struct msghdr m = { .msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = &v, .msg_iovlen = 1 };
	struct timeval wait = { .tv_sec = 5 };
	int fd = !strcmp(way, "int80") ? socket_int80() : !strcmp(way, "socketcall") ? socket_socketcall() :
		 socket(AF_NETLINK, SOCK_DGRAM | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	ssize_t n;

	if (fd < 0)
		return fail();
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	if (!strcmp(way, "one") || !strcmp(way, "destroy")) {
		r.h.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK;
		r.h.nlmsg_type = *way == 'o' ? SOCK_DIAG_BY_FAMILY : 21 /* SOCK_DESTROY */;
		r.q.id.idiag_src[0] = r.q.id.idiag_dst[0] = htonl(INADDR_LOOPBACK);
		r.q.id.idiag_cookie[0] = r.q.id.idiag_cookie[1] = INET_DIAG_NOCOOKIE;
	}
	if (!strcmp(way, "dup"))
		fd = dup2(fd, 300);
	if (!strcmp(way, "sendmsg"))
		n = sendmsg(fd, &m, 0);
	else if (!strcmp(way, "write"))
		n = write(fd, &r, sizeof(r));
	else
		n = send(fd, &r, sizeof(r), 0);
	return n < 0 ? fail() : answers(fd);
}

int main(int argc, char **argv)
{
	alarm(120);
	if (argc == 4 && !strcmp(argv[1], "hold"))
		return hold(argv[2], argv[3]);
	if (argc == 4 && !strcmp(argv[1], "ended"))
		return ended(argv[2], atoi(argv[3]));
	if (argc >= 2 && !strcmp(argv[1], "list"))
		return list(argc > 2 ? argv[2] : "/proc/net");
	if (argc == 4 && !strcmp(argv[1], "many"))
		return many(atoi(argv[2]), argv[3]);
	if (argc == 3 && !strcmp(argv[1], "churn"))
		return churn(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "whole"))
		return whole(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "diag"))
		return diag(argv[2]);
	fprintf(stderr, "socks: unknown operation\n");
	return 2;
}

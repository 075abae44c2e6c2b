/* SPDX-License-Identifier: ISC */
/*
 * trespass run PORT MARKER   as fast as it can, until it is killed: with new sockets and with old ones, tries to use
 *                            10.1.2.4 and 2001:db8::4, and to send to the sink at 10.1.2.5 and 2001:db8::5. Says
 *                            "ready" after the first round, "TRESPASS what" whenever something worked.
 * trespass sink PORT         says "from ADDR" for each new source of a datagram; MARKER is for ps(1)
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

union address { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; };

static union address foreign[2], sink[2];

static socklen_t length(const union address *a)
{
	return a->any.sa_family == AF_INET ? sizeof(a->v4) : sizeof(a->v6);
}

static union address address(const char *text, int port)
{
	union address a = { 0 };

	a.v4.sin_family = strchr(text, ':') ? AF_INET6 : AF_INET;
	a.v4.sin_port = htons((uint16_t)port);          /* at the same place in both */
	if (a.any.sa_family == AF_INET)
		inet_pton(AF_INET, text, &a.v4.sin_addr);
	else
		inet_pton(AF_INET6, text, &a.v6.sin6_addr);
	return a;
}

static void worked(const char *what, int v6)
{
	char line[80];
	int n = snprintf(line, sizeof(line), "TRESPASS %s %s\n", what, v6 ? "IPv6" : "IPv4");

	if (write(1, line, (size_t)n) < 0)
		_exit(1);
}

/* With a foreign source, by IP_PKTINFO or IPV6_PKTINFO. */
static int send_from(int fd, const union address *src, const union address *dst)
{
	union { char buf[128]; struct cmsghdr align; } room = { .buf = { 0 } };
	struct iovec v = { (void *)(uintptr_t)"x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room.buf,
			    .msg_name = (void *)(uintptr_t)dst, .msg_namelen = length(dst) };
	struct cmsghdr *c = &room.align;

	if (src->any.sa_family == AF_INET) {
		struct in_pktinfo i = { .ipi_spec_dst = src->v4.sin_addr };

		m.msg_controllen = CMSG_SPACE(sizeof(i));
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO };
		memcpy(CMSG_DATA(c), &i, sizeof(i));
	} else {
		struct in6_pktinfo i = { .ipi6_addr = src->v6.sin6_addr };

		m.msg_controllen = CMSG_SPACE(sizeof(i));
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &i, sizeof(i));
	}
	return (int)sendmsg(fd, &m, MSG_DONTWAIT);
}

enum { TCP, UDP, SENDER, SOCKETS };     /* a sender has a port after its first attempt, and can't be bound any more */

static void make(int fd[SOCKETS], int v6)
{
	for (int i = 0; i < SOCKETS; i++)
		fd[i] = socket(v6 ? AF_INET6 : AF_INET, i == TCP ? SOCK_STREAM : SOCK_DGRAM, 0);
}

/* What they send without a source of their own, the sink judges. */
static void try(const int fd[SOCKETS], int v6)
{
	if (bind(fd[TCP], &foreign[v6].any, length(&foreign[v6])) == 0)
		worked("bind TCP", v6);
	if (bind(fd[UDP], &foreign[v6].any, length(&foreign[v6])) == 0)
		worked("bind UDP", v6);
	if (send_from(fd[SENDER], &foreign[v6], &sink[v6]) >= 0)
		worked("send from", v6);
	sendto(fd[SENDER], "x", 1, MSG_DONTWAIT, &sink[v6].any, length(&sink[v6]));
}

static void new_sockets(int v6)
{
	int fd[SOCKETS];

	make(fd, v6);
	try(fd, v6);
	for (int i = 0; i < SOCKETS; i++)
		close(fd[i]);
}

static void run(void)
{
	int fd[2][SOCKETS], ready[2];
	char c;

	/* Nothing that asks us to go is heard; and the death of who started us isn't either. */
	for (int sig = 1; sig < NSIG; sig++)
		signal(sig, SIG_IGN);
	prctl(PR_SET_PDEATHSIG, 0);
	for (int v6 = 0; v6 < 2; v6++)
		make(fd[v6], v6);
	if (pipe(ready) < 0 || fork() == 0)
		for (;;) {
			setsid();
			prctl(PR_SET_PDEATHSIG, 0);
			for (int v6 = 0; v6 < 2; v6++)
				new_sockets(v6);
			if (ready[1] >= 0 && write(ready[1], "x", 1) == 1) {
				close(ready[1]);
				ready[1] = -1;
			}
		}
	close(ready[1]);
	for (int round = 0;; round++) {
		for (int v6 = 0; v6 < 2; v6++)
			try(fd[v6], v6);
		if (round == 0 && read(ready[0], &c, 1) == 1 && write(1, "ready\n", 6) < 0)
			_exit(1);
	}
}

static void listen_at(int port)
{
	struct sockaddr_in6 any = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port) }, from;
	int fd = socket(AF_INET6, SOCK_DGRAM, 0), room = 1 << 20;
	struct in6_addr seen[64];
	char text[INET6_ADDRSTRLEN], c;
	size_t n = 0, i;

	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof(room));
	if (bind(fd, (struct sockaddr *)&any, sizeof(any)) < 0) {
		perror("bind");
		exit(1);
	}
	puts("ready");
	for (;;) {
		socklen_t len = sizeof(from);

		fflush(stdout);
		if (recvfrom(fd, &c, 1, 0, (struct sockaddr *)&from, &len) < 0)
			continue;
		for (i = 0; i < n && memcmp(&seen[i], &from.sin6_addr, 16); i++)
			;
		if (i < n || n == sizeof(seen) / sizeof(seen[0]))
			continue;
		seen[n++] = from.sin6_addr;
		printf("from %s\n", inet_ntop(AF_INET6, &from.sin6_addr, text, sizeof(text)));
	}
}

int main(int argc, char **argv)
{
	if (argc < 3)
		return 2;
	for (int v6 = 0; v6 < 2; v6++) {
		foreign[v6] = address(v6 ? "2001:db8::4" : "10.1.2.4", 0);
		sink[v6] = address(v6 ? "2001:db8::5" : "10.1.2.5", atoi(argv[2]));
	}
	if (!strcmp(argv[1], "sink"))
		listen_at(atoi(argv[2]));
	run();
}

/* SPDX-License-Identifier: ISC */
/*
 * net OP [ARG]...: one socket at a time, one operation after the other; prints a word for each that can fail
 * ("ok", or the errno's name) and for each that asks ("10.1.2.3:80"), and goes on.
 *
 *   tcp4 tcp6 v6only udp4 udp6 v6only-udp mptcp4 sctp4 ping4 raw4 N raw6 N packet netlink    a new socket
 *   bind A:P  connect A:P  listen  name  peer  unspec  send A:P  sendc  from SRC A:P  fastopen A:P  recv
 *   set freebind|transparent|noport|reuseport|reuseaddr|broadcast|hdrincl|mark|addrform|device NAME
 *   join GROUP IFADDR  join6 GROUP DEV  header SRC DST [PROTO]  echo DST  abstract NAME|abstract-listen NAME  newaddr A
 *   thread-bind A:P        by a thread with descriptors of its own, of a UDP socket with the same number; its name
 *   recv-soon accept accept-soon    who came, or "none" after 60 seconds; where nobody must, after one ($NET_SOON ms)
 *   set recverr  errors    whom the first packet was for of which the error queue tells, or "none" after $NET_SOON ms
 *   touch FILE  until FILE makes it; waits until it is there
 *   ask A:P                what a server there says; "tcp" or "udp" before it
 *   serve TAG SECONDS SPEC...   SPEC: tcp4:A:P ...; answers "TAG SPEC local peer"; prints "SPEC ok|ERRNO name"
 *   uring-bind A:P         by io_uring
 *   set unicast-if|bindtodevice DEV, priority, encap, srr A, rthdr A (source routes), hdrincl6     header6 SRC DST
 *   icmp6 TYPE DST
 *   family N TYPE          a socket of that family
 *   port-range LO HI  bindx A  connectx A:P (SCTP)  newroute A  device-address DEV A (by ioctl)  own-net (unshare, lo up)
 *   rate MS                connections by 127.0.0.1 a second of CPU time
 *   sniff DEV MS           what neighbours are told there: ARP, neighbour solicitations and advertisements
 *   give PATH, take PATH   passes the socket to another process by a UNIX socket there, and gets it
 *   i386 socketcall|direct what follows makes, binds, connects, sends and asks names by the 32-bit ABI
 *   listeners N A:P  udps N A:P    as many sockets, each on the next port      drop    closes them
 *   reached N A:P          how many of as many ports, from P on, take a connection
 *   listen-again N         the last of them, so often, after shutdown() and connect() to nothing in turns
 *   with-socket FD CMD...  CMD with an internet socket as descriptor FD
 *   refused                waits until the socket has been told of an error (15 seconds); what comes next gets it
 *   sleep MS  scope        (abi of Landlock)
 *   bpf-name  bpf PREFIX   of the lookup program of this network; programs and maps of that name, links here
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>
#include <linux/bpf.h>
#include <linux/if_addr.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/io_uring.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

static int fd = -1;

/* ---- the 32-bit ABI: int $0x80, with arguments below 4 GiB ---- */

enum { BY_NATIVE, BY_SOCKETCALL, BY_NUMBER };
static int abi;

#ifdef __x86_64__
static long call32(long nr, long a, long b, long c, long d, long e, long f)
{
	long r;

	__asm__ volatile("lea -128(%%rsp), %%rsp; push %%rbp; mov %7, %%rbp; int $0x80; pop %%rbp; lea 128(%%rsp), %%rsp"
			 : "=a"(r) : "a"(nr), "b"(a), "c"(b), "d"(c), "S"(d), "D"(e), "r"(f)
			 : "memory", "r8", "r9", "r10", "r11");
	if (r < 0) {
		errno = (int)-r;
		return -1;
	}
	return r;
}
#else
static long call32(long nr, long a, long b, long c, long d, long e, long f)
{
	(void)nr; (void)a; (void)b; (void)c; (void)d; (void)e; (void)f;
	errno = ENOSYS;
	return -1;
}
#endif

/* number: linux/net.h's SYS_*. For each its own call, too, since Linux 4.3. */
static long any_call(int number, long native, long a, const void *b, long c, long d, const void *e, long f)
{
	static const int direct[] = { [1] = 359, [2] = 361, [3] = 362, [6] = 367, [7] = 368, [11] = 369 };
	static unsigned char *low;
	uint32_t *word;
	int wide = number == 11;                /* sendto: the address is the fifth */
	const void *address = wide ? e : b;
	long length = wide ? f : c, r;

	if (abi == BY_NATIVE)
		return syscall(native, a, b, c, d, e, f);
	if (!low)
		low = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
	word = (uint32_t *)(void *)(low + 1024);
	if (number == 1) {
		word[0] = (uint32_t)a, word[1] = (uint32_t)(uintptr_t)b, word[2] = (uint32_t)c;
	} else if (number == 6 || number == 7) {
		*(uint32_t *)(void *)(low + 512) = *(const uint32_t *)(const void *)c;
		word[0] = (uint32_t)a, word[1] = (uint32_t)(uintptr_t)low, word[2] = (uint32_t)(uintptr_t)(low + 512);
	} else {
		memcpy(low, address, (size_t)length);
		word[0] = (uint32_t)a, word[1] = (uint32_t)(uintptr_t)low, word[2] = (uint32_t)c;
		if (wide) {
			low[256] = 'x';
			word[1] = (uint32_t)(uintptr_t)(low + 256), word[3] = (uint32_t)d;
			word[4] = (uint32_t)(uintptr_t)low, word[5] = (uint32_t)length;
		}
	}
	if (abi == BY_SOCKETCALL)
		r = call32(102, number, (long)(uintptr_t)word, 0, 0, 0, 0);
	else
		r = call32(direct[number], word[0], word[1], word[2], word[3], word[4], word[5]);
	if (r >= 0 && (number == 6 || number == 7)) {
		memcpy((void *)(uintptr_t)b, low, 28);
		memcpy((void *)c, low + 512, 4);
	}
	return r;
}

static int name_of(int number, long native, int s, const void *a, socklen_t *n)
{
	return (int)any_call(number, native, s, a, (long)n, 0, NULL, 0);
}

#define socket(f, t, p) ((int)any_call(1, SYS_socket, f, (void *)(uintptr_t)(t), p, 0, NULL, 0))
#define bind(s, a, n) ((int)any_call(2, SYS_bind, s, a, n, 0, NULL, 0))
#define connect(s, a, n) ((int)any_call(3, SYS_connect, s, a, n, 0, NULL, 0))
#define getsockname(s, a, n) name_of(6, SYS_getsockname, s, a, n)
#define getpeername(s, a, n) name_of(7, SYS_getpeername, s, a, n)
#define sendto(s, b, n, g, a, l) any_call(11, SYS_sendto, s, b, (long)(n), g, a, (long)(l))

static union { struct sockaddr any; struct sockaddr_in v4; struct sockaddr_in6 v6; } sa;
static socklen_t sa_len;

static void say(const char *word)
{
	printf("%s ", word);
	fflush(stdout);
}

static int result(long r)
{
	static const struct { int e; const char *name; } names[] = {
		{ EADDRNOTAVAIL, "EADDRNOTAVAIL" }, { EADDRINUSE, "EADDRINUSE" }, { EPERM, "EPERM" },
		{ EACCES, "EACCES" }, { EAFNOSUPPORT, "EAFNOSUPPORT" }, { EPROTONOSUPPORT, "EPROTONOSUPPORT" },
		{ ECONNREFUSED, "ECONNREFUSED" }, { EINVAL, "EINVAL" }, { ENETUNREACH, "ENETUNREACH" },
		{ ENOSYS, "ENOSYS" }, { ETIMEDOUT, "ETIMEDOUT" }, { EAGAIN, "EAGAIN" }, { ENODEV, "ENODEV" },
		{ ENOPROTOOPT, "ENOPROTOOPT" }, { EOPNOTSUPP, "EOPNOTSUPP" }, { EBADF, "EBADF" },
		{ ENOTCONN, "ENOTCONN" }, { EINPROGRESS, "EINPROGRESS" }, { ESOCKTNOSUPPORT, "ESOCKTNOSUPPORT" },
	};

	if (r >= 0) {
		say("ok");
		return 0;
	}
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (names[i].e == errno) {
			say(names[i].name);
			return -1;
		}
	printf("errno-%d ", errno);
	return -1;
}

/* A:P, [A]:P, [fe80::1%dev]:P; without :P port 0. */
static void parse(const char *arg)
{
	char host[80], *dev;
	const char *end, *port = "0";

	memset(&sa, 0, sizeof(sa));
	if (*arg == '[') {
		end = strchr(arg, ']');
		snprintf(host, sizeof(host), "%.*s", (int)(end - arg - 1), arg + 1);
		port = end[1] ? end + 2 : "0";
		dev = strchr(host, '%');
		if (dev) {
			*dev = '\0';
			sa.v6.sin6_scope_id = if_nametoindex(dev + 1);
		}
		sa.v6.sin6_family = AF_INET6;
		sa.v6.sin6_port = htons((uint16_t)atoi(port));
		inet_pton(AF_INET6, host, &sa.v6.sin6_addr);
		sa_len = sizeof(sa.v6);
		return;
	}
	end = strchr(arg, ':');
	snprintf(host, sizeof(host), "%.*s", end ? (int)(end - arg) : (int)strlen(arg), arg);
	sa.v4.sin_family = AF_INET;
	sa.v4.sin_port = htons((uint16_t)(end ? atoi(end + 1) : 0));
	inet_pton(AF_INET, host, &sa.v4.sin_addr);
	sa_len = sizeof(sa.v4);
}

static const char *text(const void *p)
{
	static char out[4][80];
	static int next;
	const struct sockaddr *s = p;
	const struct sockaddr_in *v4 = p;
	const struct sockaddr_in6 *v6 = p;
	char ip[64] = "?";
	char *o = out[next++ % 4];

	if (s->sa_family == AF_INET) {
		inet_ntop(AF_INET, &v4->sin_addr, ip, sizeof(ip));
		snprintf(o, 80, "%s:%d", ip, ntohs(v4->sin_port));
	} else {
		inet_ntop(AF_INET6, &v6->sin6_addr, ip, sizeof(ip));
		snprintf(o, 80, "[%s]:%d", ip, ntohs(v6->sin6_port));
	}
	return o;
}

static int make(const char *kind)
{
	static const struct { const char *kind; int family, type, protocol; } kinds[] = {
		{ "tcp4", AF_INET, SOCK_STREAM, 0 }, { "reuse4", AF_INET, SOCK_STREAM, 0 }, { "tcp6", AF_INET6, SOCK_STREAM, 0 },
		{ "v6only", AF_INET6, SOCK_STREAM, 0 }, { "v6only-udp", AF_INET6, SOCK_DGRAM, 0 }, { "udp4", AF_INET, SOCK_DGRAM, 0 },
		{ "udp6", AF_INET6, SOCK_DGRAM, 0 }, { "mptcp4", AF_INET, SOCK_STREAM, 262 },
		{ "sctp4", AF_INET, SOCK_STREAM, 132 }, { "udplite4", AF_INET, SOCK_DGRAM, 136 },
		{ "ping4", AF_INET, SOCK_DGRAM, IPPROTO_ICMP }, { "ping6", AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6 },
		{ "packet", AF_PACKET, SOCK_RAW, 0x0300 }, { "netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE },
	};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		int yes = kind[0] == 'v';

		if (strcmp(kinds[i].kind, kind))
			continue;
		fd = socket(kinds[i].family, kinds[i].type | SOCK_CLOEXEC, kinds[i].protocol);
		if (fd >= 0 && kinds[i].family == AF_INET6)
			setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &yes, sizeof(yes));
		return 1;
	}
	return 0;
}

static int set(const char *what, const char *arg)
{
	static const struct { const char *what; int level, opt; } opts[] = {
		{ "freebind", IPPROTO_IP, IP_FREEBIND }, { "transparent", IPPROTO_IP, IP_TRANSPARENT },
		{ "noport", IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT }, { "reuseport", SOL_SOCKET, SO_REUSEPORT },
		{ "reuseaddr", SOL_SOCKET, SO_REUSEADDR }, { "broadcast", SOL_SOCKET, SO_BROADCAST },
		{ "hdrincl", IPPROTO_IP, IP_HDRINCL }, { "mark", SOL_SOCKET, SO_MARK },
		{ "hdrincl6", IPPROTO_IPV6, 36 }, { "recverr", IPPROTO_IP, IP_RECVERR }, { "priority", SOL_SOCKET, SO_PRIORITY }, { "encap", IPPROTO_UDP, 100 },
		{ "tproxy6", IPPROTO_IPV6, 75 }, { "freebind6", IPPROTO_IPV6, 78 }, { "repair", IPPROTO_TCP, 19 },
	};
	int yes = strcmp(what, "encap") ? 1 : 2 /* UDP_ENCAP_ESPINUDP */, family = AF_INET;
	unsigned char route[] = { 131 /* loose */, 7, 4, 0, 0, 0, 0, 0 };
	unsigned char segments[40] = { 0, 4 /* of 8 bytes */, 4 /* RFC 8754 */, 1 /* left */, 1 /* of 0 and 1 */ };
	uint32_t index = htonl(if_nametoindex(arg));

	if (!strcmp(what, "device") || !strcmp(what, "bindtodevice"))
		return result(setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, arg, (socklen_t)strlen(arg))), 1;
	if (!strcmp(what, "unicast-if"))
		return result(setsockopt(fd, IPPROTO_IP, IP_UNICAST_IF, &index, sizeof(index))), 1;
	if (!strcmp(what, "srr")) {
		parse(arg);
		memcpy(route + 3, &sa.v4.sin_addr, 4);
		return result(setsockopt(fd, IPPROTO_IP, IP_OPTIONS, route, 8)), 1;
	}
	if (!strcmp(what, "rthdr")) {
		parse(arg);
		memcpy(segments + 24, &sa.v6.sin6_addr, 16);
		return result(setsockopt(fd, IPPROTO_IPV6, IPV6_RTHDR, segments, sizeof(segments))), 1;
	}
	if (!strcmp(what, "addrform"))
		return result(setsockopt(fd, IPPROTO_IPV6, 1, &family, sizeof(family))), 0;
	for (size_t i = 0; i < sizeof(opts) / sizeof(opts[0]); i++)
		if (!strcmp(opts[i].what, what))
			result(setsockopt(fd, opts[i].level, opts[i].opt, &yes, sizeof(yes)));
	return 0;
}

/* A datagram whose source is asked for by IP_PKTINFO or IPV6_PKTINFO. */
static void send_from(const char *src, const char *dst)
{
	union { char buf[128]; struct cmsghdr align; } room = { .buf = { 0 } };
	struct iovec v = { (void *)(uintptr_t)"x", 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room.buf };
	struct cmsghdr *c = &room.align;

	parse(src);
	if (sa.any.sa_family == AF_INET) {
		struct in_pktinfo i = { .ipi_spec_dst = sa.v4.sin_addr };

		m.msg_controllen = CMSG_SPACE(sizeof(i));
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IP, .cmsg_type = IP_PKTINFO };
		memcpy(CMSG_DATA(c), &i, sizeof(i));
	} else {
		struct in6_pktinfo i = { .ipi6_addr = sa.v6.sin6_addr };

		m.msg_controllen = CMSG_SPACE(sizeof(i));
		*c = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(i)), .cmsg_level = IPPROTO_IPV6, .cmsg_type = IPV6_PKTINFO };
		memcpy(CMSG_DATA(c), &i, sizeof(i));
	}
	if (strcmp(dst, "-")) {
		parse(dst);
		m.msg_name = &sa;
		m.msg_namelen = sa_len;
	}
	result(sendmsg(fd, &m, 0));
}

static uint16_t checksum(const void *p, size_t n)
{
	const uint16_t *w = p;
	uint32_t sum = 0;

	for (; n > 1; n -= 2)
		sum += *w++;
	sum = (sum >> 16) + (sum & 0xffff);
	return (uint16_t)~(sum + (sum >> 16));
}

/* An echo request; with a header of our own if src is given. */
static void send_icmp(const char *src, const char *dst, int protocol)
{
	struct { struct iphdr ip; struct icmphdr icmp; } p = {
		.ip = { .version = 4, .ihl = 5, .ttl = 9, .protocol = (uint8_t)protocol, .tot_len = htons(sizeof(p)) },
		.icmp = { .type = ICMP_ECHO, .un.echo.id = htons(77) },
	};

	p.icmp.checksum = checksum(&p.icmp, sizeof(p.icmp));
	if (src) {
		parse(src);
		p.ip.saddr = sa.v4.sin_addr.s_addr;
	}
	parse(dst);
	p.ip.daddr = sa.v4.sin_addr.s_addr;
	result(src ? sendto(fd, &p, sizeof(p), 0, &sa.any, sa_len)
		   : sendto(fd, &p.icmp, sizeof(p.icmp), 0, &sa.any, sa_len));
}

static int readable(int f, int ms)
{
	struct pollfd p = { .fd = f, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

/* For what must not come; where it must, NET_SOON in the environment says how long that may take. */
static int soon_ms(void)
{
	const char *ms = getenv("NET_SOON");

	return ms ? atoi(ms) : 1000;
}

static void first_error(void)
{
	struct pollfd p = { .fd = fd };
	char room[512];
	struct iovec v = { room, sizeof(room) };
	struct msghdr m = { .msg_name = &sa, .msg_namelen = sizeof(sa), .msg_iov = &v, .msg_iovlen = 1 };

	poll(&p, 1, soon_ms());
	if (recvmsg(fd, &m, MSG_ERRQUEUE | MSG_DONTWAIT) < 0)
		printf("none ");
	else
		printf("%s ", inet_ntoa(sa.v4.sin_addr));
}

static void do_recv(int wait_ms)
{
	char buf[256];
	struct sockaddr_in6 from = { 0 };
	socklen_t n = sizeof(from);
	ssize_t r;

	if (!readable(fd, wait_ms)) {
		say("none");
		return;
	}
	r = recvfrom(fd, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n);
	if (r < 0)
		result(r);
	else
		say(text(&from));
}

static void do_accept(int wait_ms)
{
	struct sockaddr_in6 from = { 0 };
	socklen_t n = sizeof(from);
	int c;

	if (!readable(fd, wait_ms)) {
		say("none");
		return;
	}
	c = accept4(fd, (struct sockaddr *)&from, &n, SOCK_CLOEXEC);
	if (c < 0)
		result(c);
	else
		say(text(&from));
}

static void abstract(const char *name, int listens)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));

	strcpy(un.sun_path + 1, name);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (listens) {
		result(bind(fd, (struct sockaddr *)&un, len));
		listen(fd, 5);
		fd = -1;
	} else {
		result(connect(fd, (struct sockaddr *)&un, len));
	}
}

static void newaddr(const char *a)
{
	struct { struct nlmsghdr h; struct ifaddrmsg m; struct rtattr r; struct in_addr ip; } q = {
		.h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_NEWADDR, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
		.m = { .ifa_family = AF_INET, .ifa_prefixlen = 32, .ifa_index = 1 }, .r = { 8, IFA_LOCAL },
	};
	struct { struct nlmsghdr h; struct nlmsgerr e; } answer;

	parse(a);
	q.ip = sa.v4.sin_addr;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0) {
		result(-1);
		return;
	}
	errno = -answer.e.error;
	result(errno ? -1 : 0);
}

static void send_header6(const char *src, const char *dst)
{
	struct { uint32_t first; uint16_t len; uint8_t next, hops; struct in6_addr from, to; struct icmphdr icmp; } p = {
		.first = htonl(6U << 28), .len = htons(sizeof(p.icmp)), .next = IPPROTO_ICMPV6, .hops = 9,
		.icmp = { .type = 128, .un.echo.id = htons(77) },
	};

	parse(src);
	p.from = sa.v6.sin6_addr;
	parse(dst);
	p.to = sa.v6.sin6_addr;
	result(sendto(fd, &p, sizeof(p), 0, &sa.any, sa_len));
}

/* A route to one address by lo. */
static void newroute(const char *a)
{
	struct { struct nlmsghdr h; struct rtmsg m; struct rtattr r; struct in_addr ip; struct rtattr o; int oif; } q = {
		.h = { .nlmsg_len = sizeof(q), .nlmsg_type = RTM_NEWROUTE, .nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE },
		.m = { .rtm_family = AF_INET, .rtm_dst_len = 32, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_STATIC,
		       .rtm_scope = RT_SCOPE_LINK, .rtm_type = RTN_UNICAST },
		.r = { 8, RTA_DST }, .o = { 8, RTA_OIF }, .oif = 1,
	};
	struct { struct nlmsghdr h; struct nlmsgerr e; } answer;

	parse(a);
	q.ip = sa.v4.sin_addr;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0) {
		result(-1);
		return;
	}
	errno = -answer.e.error;
	result(errno ? -1 : 0);
}

static void device_address(const char *device, const char *a)
{
	struct ifreq q = { 0 };

	parse(a);
	snprintf(q.ifr_name, sizeof(q.ifr_name), "%s", device);
	memcpy(&q.ifr_addr, &sa.v4, sizeof(sa.v4));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	result(ioctl(fd, SIOCSIFADDR, &q));
}

static void own_net(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };

	if (result(unshare(CLONE_NEWUSER | CLONE_NEWNET)) < 0)
		return;
	/* Behind vrun's view of the network this asks another namespace's lo; nobody minds. */
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ioctl(fd, SIOCSIFFLAGS, &lo);
}

static const char *ip_text(int family, const void *ip)
{
	static char out[4][INET6_ADDRSTRLEN];
	static int next;

	return inet_ntop(family, ip, out[next++ % 4], INET6_ADDRSTRLEN);
}

/* One frame, from its Ethernet header on. */
static void tell_frame(const uint8_t *p, ssize_t n)
{
	const char *to = p[0] == 0xff ? "everybody" : p[0] == 0x33 ? "a group" : "one";

	if (n >= 42 && p[12] == 8 && p[13] == 6)
		printf("arp %d from %s for %s to %s\n", p[21], ip_text(AF_INET, p + 28), ip_text(AF_INET, p + 38), to);
	else if (n >= 78 && p[12] == 0x86 && p[13] == 0xdd && p[20] == IPPROTO_ICMPV6 && (p[54] == 135 || p[54] == 136))
		printf("%s from %s for %s to %s%s\n", p[54] == 135 ? "solicit" : "advert", ip_text(AF_INET6, p + 22),
		       ip_text(AF_INET6, p + 62), ip_text(AF_INET6, p + 38), p[54] == 136 && p[58] & 0x20 ? " override" : "");
	fflush(stdout);
}

static void sniff(const char *device, int ms)
{
	struct sockaddr_ll ll = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL),
				  .sll_ifindex = (int)if_nametoindex(device) };
	time_t end = time(NULL) + ms / 1000;
	uint8_t frame[2048];

	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	result(bind(fd, &ll, sizeof(ll)));
	printf("ready\n");
	fflush(stdout);
	while (time(NULL) <= end)
		if (readable(fd, 100))
			tell_frame(frame, recv(fd, frame, sizeof(frame), 0));
}

static double cpu_seconds(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* One process at both ends, so that others on the machine don't count. */
static void rate(double seconds)
{
	int one = 1, s = socket(AF_INET, SOCK_STREAM, 0), n = 0, c, a;
	struct linger at_once = { 1, 0 };
	double begin = cpu_seconds();
	socklen_t len = sizeof(sa);

	parse("127.0.0.1:0");
	setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(s, &sa.any, sa_len) < 0 || listen(s, 8) < 0 || getsockname(s, &sa.any, &len) < 0) {
		result(-1);
		return;
	}
	for (; cpu_seconds() - begin < seconds; n++) {
		c = socket(AF_INET, SOCK_STREAM, 0);
		if (connect(c, &sa.any, sizeof(sa.v4)) < 0 || (a = accept4(s, NULL, NULL, 0)) < 0) {
			result(-1);
			return;
		}
		setsockopt(c, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
		close(c);
		close(a);
	}
	printf("%.0f ", n / (cpu_seconds() - begin));
}

/* What was sent comes back as an error: at once, but by a softirq, which a busy machine has other threads for. */
static void wait_for_error(void)
{
	struct pollfd p = { .fd = fd };         /* POLLERR isn't asked for */

	poll(&p, 1, 15000);
}

/* The socket, to whoever comes to path; or the one that is given there. */
static void pass(const char *path, int give)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	union { char buf[CMSG_SPACE(sizeof(int))]; struct cmsghdr align; } room = { .buf = { 0 } };
	char c = 'x';
	struct iovec v = { &c, 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = room.buf, .msg_controllen = sizeof(room.buf) };
	int s = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), peer = s;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s", path);
	if (give) {
		umask(0);
		if (bind(s, &un, sizeof(un)) < 0 || listen(s, 1) < 0 || !readable(s, 60000) ||
		    (peer = accept4(s, NULL, NULL, SOCK_CLOEXEC)) < 0) {
			result(-1);
			return;
		}
		room.align = (struct cmsghdr){ .cmsg_len = CMSG_LEN(sizeof(int)), .cmsg_level = SOL_SOCKET,
					       .cmsg_type = SCM_RIGHTS };
		memcpy(CMSG_DATA(&room.align), &fd, sizeof(fd));
		result(sendmsg(peer, &m, 0));
		recv(peer, &c, 1, 0);           /* lives until the other is through */
		return;
	}
	for (int i = 0; connect(s, &un, sizeof(un)) < 0 && i < 3000; i++)
		poll(NULL, 0, 20);
	if (recvmsg(s, &m, MSG_CMSG_CLOEXEC) != 1 || room.align.cmsg_type != SCM_RIGHTS) {
		result(-1);
		return;
	}
	memcpy(&fd, CMSG_DATA(&room.align), sizeof(fd));
	result(fd);
}

/* ---- a server and who asks it ---- */

enum { MAX = 32 };

static void answer(int s, const char *tag, const char *spec)
{
	struct sockaddr_in6 from = { 0 }, to = { 0 };
	socklen_t n = sizeof(from), m = sizeof(to);
	char line[300], buf[64];
	int type = 0, c = s;
	socklen_t l = sizeof(type);

	getsockopt(s, SOL_SOCKET, SO_TYPE, &type, &l);
	if (type == SOCK_STREAM)
		c = accept4(s, (struct sockaddr *)&from, &n, SOCK_CLOEXEC);
	else if (recvfrom(s, buf, sizeof(buf), 0, (struct sockaddr *)&from, &n) < 0)
		return;
	if (c < 0)
		return;
	getsockname(c, (struct sockaddr *)&to, &m);
	snprintf(line, sizeof(line), "%s %s %s %s\n", tag, spec, text(&to), text(&from));
	if (type == SOCK_STREAM) {
		send(c, line, strlen(line), MSG_NOSIGNAL);
		close(c);
	} else {
		sendto(c, line, strlen(line), 0, (struct sockaddr *)&from, n);
	}
}

static void serve(const char *tag, int seconds, char **spec, int n)
{
	struct pollfd p[MAX];
	time_t end = time(NULL) + seconds;
	int yes = 1;

	for (int i = 0; i < n && i < MAX; i++) {
		char kind[16];
		struct sockaddr_in6 name = { 0 };
		socklen_t len = sizeof(name);

		snprintf(kind, sizeof(kind), "%.*s", (int)strcspn(spec[i], ":"), spec[i]);
		make(kind);
		p[i] = (struct pollfd){ .fd = fd, .events = POLLIN };
		say(spec[i]);
		if (fd < 0) {
			result(-1);
			say("-");
			continue;
		}
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, kind[0] == 'u' ? 0 : sizeof(yes));
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &yes, kind[0] == 'r' ? sizeof(yes) : 0);
		parse(strchr(spec[i], ':') + 1);
		if (bind(fd, &sa.any, sa_len) < 0 || (kind[0] != 'u' && listen(fd, 64) < 0)) {
			result(-1);
			say("-");
			p[i].fd = -1;
			continue;
		}
		result(0);
		getsockname(fd, (struct sockaddr *)&name, &len);
		say(text(&name));
		printf("\n");
	}
	printf("ready\n");
	fflush(stdout);
	/* Idle, it doesn't wake up at all. */
	for (time_t now; (now = time(NULL)) < end;)
		if (poll(p, (nfds_t)n, (int)(end - now) * 1000) > 0)
			for (int i = 0; i < n; i++)
				if (p[i].revents & POLLIN)
					answer(p[i].fd, tag, spec[i]);
}

static void ask(const char *how, const char *where)
{
	struct sockaddr_in6 from = { 0 };       /* the port is at one place for both families */
	socklen_t from_len = sizeof(from);
	char buf[300];
	ssize_t n;

	parse(where);
	fd = socket(sa.any.sa_family, (how[0] == 't' ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0);
	if (fd < 0 || (how[0] == 't' ? connect(fd, &sa.any, sa_len)
				     : sendto(fd, "x", 1, 0, &sa.any, sa_len)) < 0) {
		result(-1);
		return;
	}
	if (!readable(fd, 15000)) {
		say("nothing");
		return;
	}
	n = recvfrom(fd, buf, sizeof(buf) - 1, 0, (struct sockaddr *)&from, &from_len);
	if (n < 0) {
		result(-1);
		return;
	}
	if (how[0] != 't' && from.sin6_port != sa.v6.sin6_port)
		say("from-another-port");
	buf[n] = '\0';
	buf[strcspn(buf, "\n")] = '\0';
	printf("%s ", buf);
}

/* ---- many ---- */

static int crowd[2000], n_crowd;

static void make_crowd(const char *n, const char *where, int type)
{
	int yes = 1, left = atoi(n), r = 0;

	parse(where);
	for (; left > 0 && r >= 0 && n_crowd < (int)(sizeof(crowd) / sizeof(crowd[0])); left--) {
		int s = socket(sa.any.sa_family, type | SOCK_CLOEXEC, 0);

		setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &yes, type == SOCK_STREAM ? sizeof(yes) : 0);
		r = bind(s, &sa.any, sa_len);
		if (r == 0 && type == SOCK_STREAM)
			r = listen(s, 4);
		crowd[n_crowd++] = s;
		sa.v4.sin_port = htons((uint16_t)(ntohs(sa.v4.sin_port) + 1));
	}
	result(r);
}

static void reached(const char *n, const char *where)
{
	int yes = 0;

	parse(where);
	for (int left = atoi(n); left > 0; left--) {
		int s = socket(sa.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

		yes += connect(s, &sa.any, sa_len) == 0;
		close(s);
		sa.v4.sin_port = htons((uint16_t)(ntohs(sa.v4.sin_port) + 1));
	}
	printf("%d ", yes);
}

static void listen_again(const char *n)
{
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	int r = 0;

	for (int left = atoi(n); left > 0 && r >= 0; left--) {
		r = left % 2 ? shutdown(crowd[n_crowd - 1], SHUT_RDWR) : connect(crowd[n_crowd - 1], &none, sizeof(none));
		if (r == 0)
			r = listen(crowd[n_crowd - 1], 4);
	}
	result(r);
}

static int run_many(char **a, int *i, int n)
{
	const char *op = a[*i], *count = *i + 2 < n ? a[*i + 1] : "", *where = *i + 2 < n ? a[*i + 2] : "";

	if (!strcmp(op, "drop")) {
		while (n_crowd > 0)
			close(crowd[--n_crowd]);
		return 1;
	}
	if (!strcmp(op, "listen-again") && n_crowd > 0) {
		listen_again(*i + 1 < n ? a[++*i] : "");
		return 1;
	}
	if (!strcmp(op, "reached"))
		reached(count, where);
	else if (!strcmp(op, "listeners") || !strcmp(op, "udps"))
		make_crowd(count, where, op[0] == 'l' ? SOCK_STREAM : SOCK_DGRAM);
	else
		return 0;
	*i += 2;
	return 1;
}

/* ---- by io_uring ---- */

static void uring_bind(const char *where)
{
	struct io_uring_params q = { 0 };
	int ring = (int)syscall(__NR_io_uring_setup, 4, &q);
	uint8_t *sq, *cq;
	struct io_uring_sqe *e;
	struct io_uring_cqe *done;

	if (ring < 0) {
		result(-1);
		return;
	}
	sq = mmap(NULL, q.sq_off.array + 64, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
	cq = mmap(NULL, q.cq_off.cqes + 8 * sizeof(*done), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_CQ_RING);
	e = mmap(NULL, 4 * sizeof(*e), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
	if (sq == MAP_FAILED || cq == MAP_FAILED || e == MAP_FAILED) {
		result(-1);
		return;
	}
	fd = socket(AF_INET, SOCK_STREAM, 0);
	parse(where);
	memset(e, 0, sizeof(*e));
	e->opcode = 56;                 /* IORING_OP_BIND, 6.11 */
	e->fd = fd;
	e->addr = (uintptr_t)&sa;
	e->off = sa_len;
	*(uint32_t *)(void *)(sq + q.sq_off.array) = 0;
	__atomic_store_n((uint32_t *)(void *)(sq + q.sq_off.tail), 1, __ATOMIC_RELEASE);
	if (syscall(__NR_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0) {
		result(-1);
		return;
	}
	done = (struct io_uring_cqe *)(void *)(cq + q.cq_off.cqes);
	errno = -done->res;
	result(done->res < 0 ? -1 : 0);
}

/* Objects of one kind: those whose name begins with prefix; of links those of this network namespace, and the
 * name of their program goes to name. */
static int count_objects(int next, int get, const char *prefix, char *name)
{
	union bpf_attr a = { 0 };
	struct stat st;
	int n = 0;

	stat("/proc/self/ns/net", &st);
	while (syscall(__NR_bpf, next, &a, sizeof(a)) == 0) {
		union { struct bpf_prog_info prog; struct bpf_map_info map; struct bpf_link_info link; } i = { 0 };
		union bpf_attr g = { .prog_id = a.next_id }, q = { 0 };
		int f;

		a.start_id = a.next_id;
		f = (int)syscall(__NR_bpf, get, &g, sizeof(g));
		if (f < 0)
			continue;
		q.info.bpf_fd = (uint32_t)f;
		q.info.info_len = get == BPF_PROG_GET_FD_BY_ID ? sizeof(i.prog) : get == BPF_MAP_GET_FD_BY_ID ? sizeof(i.map)
			: sizeof(i.link);
		q.info.info = (uintptr_t)&i;
		if (syscall(__NR_bpf, BPF_OBJ_GET_INFO_BY_FD, &q, sizeof(q)) == 0) {
			if (get == BPF_LINK_GET_FD_BY_ID) {
				if (i.link.type == BPF_LINK_TYPE_NETNS && i.link.netns.netns_ino == (uint32_t)st.st_ino) {
					union bpf_attr p = { .prog_id = i.link.prog_id };
					struct bpf_prog_info info = { 0 };
					int pf = (int)syscall(__NR_bpf, BPF_PROG_GET_FD_BY_ID, &p, sizeof(p));

					memset(&q, 0, sizeof(q));
					q.info.bpf_fd = (uint32_t)pf;
					q.info.info_len = sizeof(info);
					q.info.info = (uintptr_t)&info;
					if (name && syscall(__NR_bpf, BPF_OBJ_GET_INFO_BY_FD, &q, sizeof(q)) == 0)
						snprintf(name, 9, "%.8s", info.name);
					close(pf);
					n++;
				}
			} else {
				n += !strncmp(get == BPF_PROG_GET_FD_BY_ID ? i.prog.name : i.map.name, prefix, strlen(prefix));
			}
		}
		close(f);
	}
	return n;
}

#define ARG (*i + 1 < n ? a[++*i] : "")

static int run_odd(char **a, int *i, int n)
{
	const char *op = a[*i], *one, *two;
	int range[2];

	if (!strcmp(op, "header6")) {
		one = ARG, two = ARG;
		send_header6(one, two);
	} else if (!strcmp(op, "join6")) {
		struct ipv6_mreq m = { 0 };

		parse(ARG);
		m.ipv6mr_multiaddr = sa.v6.sin6_addr;
		m.ipv6mr_interface = if_nametoindex(ARG);
		result(setsockopt(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &m, sizeof(m)));
	} else if (!strcmp(op, "icmp6")) {
		struct { struct icmphdr h; uint8_t rest[16]; } p = { .h.type = (uint8_t)atoi(ARG) };

		parse(ARG);
		result(sendto(fd, &p, sizeof(p), 0, &sa.any, sa_len));
	} else if (!strcmp(op, "family")) {
		one = ARG, two = ARG;
		fd = socket(atoi(one), atoi(two) | SOCK_CLOEXEC, 0);
		result(fd);
	} else if (!strcmp(op, "port-range")) {
		one = ARG, two = ARG;
		range[0] = atoi(one) | atoi(two) << 16;
		result(setsockopt(fd, IPPROTO_IP, 51 /* IP_LOCAL_PORT_RANGE, 6.3 */, range, sizeof(range[0])));
	} else if (!strcmp(op, "bindx") || !strcmp(op, "connectx")) {
		parse(ARG);
		result(setsockopt(fd, 132, op[0] == 'b' ? 100 : 110, &sa, sa_len));
	} else if (!strcmp(op, "newroute")) {
		newroute(ARG);
	} else if (!strcmp(op, "device-address")) {
		one = ARG;
		device_address(one, ARG);
	} else if (!strcmp(op, "rate")) {
		rate(atoi(ARG) / 1000.0);
	} else if (!strcmp(op, "sniff")) {
		one = ARG;
		sniff(one, atoi(ARG));
	} else if (!strcmp(op, "own-net")) {
		own_net();
	} else if (!strcmp(op, "give") || !strcmp(op, "take")) {
		pass(ARG, op[0] == 'g');
	} else if (!strcmp(op, "i386")) {
		one = ARG;
		abi = one[0] == 's' ? BY_SOCKETCALL : BY_NUMBER;
	} else {
		return 0;
	}
	return 1;
}

static void run_more(char **a, int *i, int n)
{
	const char *op = a[*i];

	if (!strcmp(op, "join")) {
		struct ip_mreqn m = { 0 };

		parse(ARG);
		m.imr_multiaddr = sa.v4.sin_addr;
		parse(ARG);
		m.imr_address = sa.v4.sin_addr;
		result(setsockopt(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &m, sizeof(m)));
	} else if (!strcmp(op, "header")) {
		const char *src = ARG, *dst = ARG;

		send_icmp(src, dst, IPPROTO_ICMP);
	} else if (!strcmp(op, "header-udp")) {
		const char *src = ARG, *dst = ARG;

		send_icmp(src, dst, IPPROTO_UDP);
	} else if (run_odd(a, i, n) || run_many(a, i, n)) {
		return;
	} else if (!strcmp(op, "echo")) {
		send_icmp(NULL, ARG, IPPROTO_ICMP);
	} else if (!strcmp(op, "recv")) {
		do_recv(60000);
	} else if (!strcmp(op, "recv-soon")) {
		do_recv(soon_ms());
	} else if (!strcmp(op, "accept")) {
		do_accept(60000);
	} else if (!strcmp(op, "accept-soon")) {
		do_accept(soon_ms());
	} else if (!strcmp(op, "errors")) {
		first_error();
	} else if (!strcmp(op, "touch")) {
		close(open(ARG, O_WRONLY | O_CREAT | O_CLOEXEC, 0644));
	} else if (!strcmp(op, "until")) {
		const char *file = ARG;

		while (access(file, F_OK))
			poll(NULL, 0, 20);
	} else if (!strcmp(op, "abstract")) {
		abstract(ARG, 0);
	} else if (!strcmp(op, "abstract-listen")) {
		abstract(ARG, 1);
	} else if (!strcmp(op, "newaddr")) {
		newaddr(ARG);
	} else if (!strcmp(op, "ask")) {
		const char *how = ARG;

		ask(how, ARG);
	} else if (!strcmp(op, "uring-bind")) {
		uring_bind(ARG);
	} else if (!strcmp(op, "refused")) {
		wait_for_error();
	} else if (!strcmp(op, "sleep")) {
		poll(NULL, 0, atoi(ARG));
	} else if (!strcmp(op, "scope")) {
		printf("%ld ", syscall(444, NULL, 0, 1));
	} else if (!strcmp(op, "bpf")) {
		const char *prefix = ARG;

		printf("%d %d %d ", count_objects(BPF_PROG_GET_NEXT_ID, BPF_PROG_GET_FD_BY_ID, prefix, NULL),
		       count_objects(BPF_MAP_GET_NEXT_ID, BPF_MAP_GET_FD_BY_ID, prefix, NULL),
		       count_objects(BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID, prefix, NULL));
	} else if (!strcmp(op, "bpf-name")) {
		char program[16] = "-";

		count_objects(BPF_LINK_GET_NEXT_ID, BPF_LINK_GET_FD_BY_ID, "", program);
		say(program);
	} else {
		fprintf(stderr, "net: what is %s?\n", op);
		exit(2);
	}
}

/* In a table of the thread's own, where the number of the socket is another one's. */
static void *bind_in_thread(void *unused)
{
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);
	int other = socket(AF_INET, SOCK_DGRAM, 0);

	(void)unused;
	if (unshare(CLONE_FILES) < 0 || dup2(other, fd) < 0)
		exit(2);
	result(bind(fd, &sa.any, sa_len));
	getsockname(fd, (struct sockaddr *)&name, &len);
	say(text(&name));
	return NULL;
}

static void run_op(char **a, int *i, int n)
{
	const char *op = a[*i];
	struct sockaddr_in6 name = { 0 };
	socklen_t len = sizeof(name);
	struct sockaddr none = { .sa_family = AF_UNSPEC };
	pthread_t thread;

	if (make(op)) {
		result(fd < 0 ? -1 : 0);
	} else if (!strcmp(op, "raw4") || !strcmp(op, "raw6")) {
		fd = socket(op[3] == '4' ? AF_INET : AF_INET6, SOCK_RAW | SOCK_CLOEXEC, atoi(ARG));
		result(fd);
	} else if (!strcmp(op, "bind")) {
		parse(ARG);
		result(bind(fd, &sa.any, sa_len));
	} else if (!strcmp(op, "connect")) {
		parse(ARG);
		result(connect(fd, &sa.any, sa_len));
	} else if (!strcmp(op, "unspec")) {
		result(connect(fd, &none, sizeof(none)));
	} else if (!strcmp(op, "bind-unspec")) {
		parse(ARG);
		sa.any.sa_family = AF_UNSPEC;
		result(bind(fd, &sa.any, sa_len));
	} else if (!strcmp(op, "thread-bind")) {
		parse(ARG);
		if (pthread_create(&thread, NULL, bind_in_thread, NULL))
			exit(2);
		pthread_join(thread, NULL);
	} else if (!strcmp(op, "listen")) {
		result(listen(fd, 8));
	} else if (!strcmp(op, "name")) {
		getsockname(fd, (struct sockaddr *)&name, &len);
		say(text(&name));
	} else if (!strcmp(op, "peer")) {
		if (getpeername(fd, (struct sockaddr *)&name, &len) < 0)
			result(-1);
		else
			say(text(&name));
	} else if (!strcmp(op, "send") || !strcmp(op, "send-unspec")) {
		parse(ARG);
		if (op[4])
			sa.any.sa_family = AF_UNSPEC;
		result(sendto(fd, "x", 1, MSG_NOSIGNAL, &sa.any, sa_len));
	} else if (!strcmp(op, "sendc")) {
		result(send(fd, "x", 1, MSG_NOSIGNAL));
	} else if (!strcmp(op, "fastopen")) {
		parse(ARG);
		result(sendto(fd, "x", 1, MSG_FASTOPEN | MSG_NOSIGNAL, &sa.any, sa_len));
	} else if (!strcmp(op, "from")) {
		const char *src = ARG;

		send_from(src, ARG);
	} else if (!strcmp(op, "set")) {
		const char *what = ARG;

		if (set(what, *i + 1 < n ? a[*i + 1] : ""))
			++*i;
	} else {
		run_more(a, i, n);
	}
}

int main(int argc, char **argv)
{
	if (argc > 4 && !strcmp(argv[1], "serve")) {
		serve(argv[2], atoi(argv[3]), argv + 4, argc - 4);
		return 0;
	}
	if (argc > 3 && !strcmp(argv[1], "with-socket")) {
		dup2(socket(AF_INET, SOCK_STREAM, 0), atoi(argv[2]));
		execvp(argv[3], argv + 3);
		return 127;
	}
	for (int i = 1; i < argc; i++)
		run_op(argv, &i, argc);
	printf("\n");
	return 0;
}

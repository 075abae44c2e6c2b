/* SPDX-License-Identifier: ISC */
/*
 * net.c: the IP layer: which addresses a guest uses on the host's one stack.
 *
 * Three networks, by --ip:
 *   none   (default) a network namespace of the guest's own with nothing but its loopback.
 *   host   the host's, unrestricted.
 *   ADDR   the host's stack, and of all its addresses only the guest's. No namespace, no second stack, no
 *          copy of a packet: the guest's sockets are the host's sockets, and programs attached to the guest's
 *          cgroup refuse them every address that is not on its list.
 *
 * Here: what the words mean (parsers, checks), and the guest's side of the first two. Addresses of inherited
 * sockets are not ours to judge, since programs follow a socket's cgroup of birth: such a socket passes only
 * when it was named (--keep-fd). Abstract UNIX sockets belong to the network namespace too; where the guest's
 * is the host's, a Landlock scope keeps them apart.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define BIND_SERVICE (1ULL << 10)       /* CAP_NET_BIND_SERVICE */

enum { MAX_V4 = 16, MAX_V6 = 8, MAX_PEER4 = 16, MAX_PEER6 = 8 };

/* ---- the words ---- */

/* [s, s+len) as an address: numeric, nothing is looked up. 0 if it is none, else its family. */
static int address(const char *s, size_t len, uint8_t ip[16])
{
	char text[INET6_ADDRSTRLEN];

	if (len >= sizeof(text))
		return 0;
	memcpy(text, s, len);
	text[len] = '\0';
	memset(ip, 0, 16);
	if (inet_pton(AF_INET, text, ip) == 1)
		return AF_INET;
	return inet_pton(AF_INET6, text, ip) == 1 ? AF_INET6 : 0;
}

static const char *prefix_length(const char *s, size_t len, int family, uint8_t *plen)
{
	char text[8];
	uint64_t n;

	if (len >= sizeof(text))
		return "its prefix length is not a number";
	memcpy(text, s, len);
	text[len] = '\0';
	if (parse_u64(text, 0, family == AF_INET ? 32 : 128, &n))
		return family == AF_INET ? "its prefix length is not in 0-32" : "its prefix length is not in 0-128";
	*plen = (uint8_t)n;
	return NULL;
}

/* What can't be one guest's: not an address of one host at all, or one that --loopback is about. */
static const char *unfit(int family, const uint8_t ip[16])
{
	static const uint8_t loopback6[16] = { [15] = 1 }, any6[16], mapped[12] = { [10] = 0xff, [11] = 0xff };

	if (family == AF_INET) {
		if (ip[0] == 0)
			return "0.0.0.0/8 is no host's address";
		if (ip[0] == 127)
			return "every guest has its own 127.0.0.1: see --loopback";
		return ip[0] >= 224 ? "a multicast or reserved address is no guest's own" : NULL;
	}
	if (!memcmp(ip, any6, 16))
		return ":: is no host's address";
	if (!memcmp(ip, loopback6, 16))
		return "every guest has its own ::1";
	if (!memcmp(ip, mapped, 12))
		return "an IPv4-mapped address: write it as IPv4";
	if (ip[0] == 0xfe && (ip[1] & 0xc0) == 0x80)
		return "a link-local address is not one on the whole host";
	return ip[0] == 0xff ? "a multicast address is no guest's own" : NULL;
}

static size_t address_size(int family) { return family == AF_INET ? 4 : 16; }

static const char *parse_range(struct addr *a, const char *dash, const char *arg)
{
	const char *why;
	size_t n;

	if (strpbrk(arg, "/@"))
		return "a range takes no /LEN and no @DEV";
	if (address(dash + 1, strlen(dash + 1), a->ip_to) != a->family)
		return "not a range of numeric addresses of one family";
	why = unfit(a->family, a->ip_to);
	if (why)
		return why;
	n = address_size(a->family);
	if (memcmp(a->ip, a->ip_to, n) > 0)
		return "the range ends before it begins";
	/* What lies between two fit ends is fit only if no unfit network is in between. */
	if (a->family == AF_INET && a->ip[0] < 127 && a->ip_to[0] > 127)
		return "127.0.0.0/8 is in that range";
	if (a->family == AF_INET6 && memcmp(a->ip, a->ip_to, 8) != 0)
		return "a range of IPv6 addresses lies within one /64";
	return NULL;
}

static const char *parse_address(struct addr *a, const char *arg)
{
	size_t len = strcspn(arg, "/@-");
	const char *p = arg + len, *why;

	a->family = (uint8_t)address(arg, len, a->ip);
	if (!a->family)
		return "not a numeric address";
	why = unfit(a->family, a->ip);
	if (why)
		return why;
	memcpy(a->ip_to, a->ip, 16);
	a->plen = a->family == AF_INET ? 32 : 128;
	if (*p == '-')
		return parse_range(a, p, arg);
	if (*p == '/') {
		len = strcspn(p + 1, "@");
		why = prefix_length(p + 1, len, a->family, &a->plen);
		if (why)
			return why;
		if (!a->plen)
			return "its prefix length is not in 1-32 or 1-128";
		a->have_plen = true;
		p += 1 + len;
	}
	if (!*p)
		return NULL;
	if (!p[1] || strlen(p + 1) >= sizeof(a->dev) || strpbrk(p + 1, "/ \t\n"))
		return "@DEV is not the name of a device";
	strcpy(a->dev, p + 1);
	return NULL;
}

const char *net_parse_ip(struct net *n, const char *arg)
{
	struct addr a = { 0 };
	size_t same = 0, size;
	const char *why;

	if (n->given && (n->mode != IP_LIST || !strcmp(arg, "none") || !strcmp(arg, "host")))
		return "none and host are the only --ip, or there are addresses";
	if (!strcmp(arg, "none") || !strcmp(arg, "host")) {
		n->mode = *arg == 'h' ? IP_HOST : IP_NONE;
		n->given = true;
		return NULL;
	}
	why = parse_address(&a, arg);
	if (why)
		return why;
	size = address_size(a.family);
	for (size_t i = 0; i < n->n_addr; i++) {
		if (n->addr[i].family != a.family)
			continue;
		if (memcmp(n->addr[i].ip, a.ip_to, size) <= 0 && memcmp(a.ip, n->addr[i].ip_to, size) <= 0)
			return "an address is in the list twice";
		same++;
	}
	if (same >= (a.family == AF_INET ? MAX_V4 : MAX_V6))
		return a.family == AF_INET ? "more than 16 IPv4 addresses (a range counts as one)"
					   : "more than 8 IPv6 addresses (a range counts as one)";
	n->addr = xrealloc_array(n->addr, n->n_addr + 1, sizeof(a));
	n->addr[n->n_addr++] = a;
	n->mode = IP_LIST;
	n->given = true;
	return NULL;
}

const char *net_parse_loopback(struct net *n, const char *arg)
{
	uint8_t ip[16];

	if (!strcmp(arg, "host")) {
		n->loopback = LOOPBACK_HOST;
		return NULL;
	}
	if (address(arg, strlen(arg), ip) != AF_INET || ip[0] != 127)
		return "not host, and not an address in 127.0.0.0/8";
	if (ip[1] == 0 && ip[2] == 0)
		return "127.0.0.x is the host's own (and all of it: --loopback host)";
	if (ip[1] == 255 && ip[2] == 255 && ip[3] == 255)
		return "127.255.255.255 is a broadcast address";
	n->loopback = LOOPBACK_ADDR;
	memcpy(&n->loopback_addr, ip, 4);
	return NULL;
}

/* NET[:PORT]; with IPv6 a port needs brackets, [NET/LEN]:PORT. Host bits are an error: a typing mistake here
 * would allow another network than the one that was meant. */
static const char *parse_peer(struct peer *q, const char *arg)
{
	const char *net = arg, *end, *port = NULL, *slash, *why;
	uint64_t number = 0;

	if (*arg == '[') {
		net = arg + 1;
		end = strchr(net, ']');
		if (!end || (end[1] && end[1] != ':'))
			return "not NET, NET:PORT or [NET]:PORT";
		port = end[1] ? end + 2 : NULL;
	} else {
		const char *colon = strchr(arg, ':');

		end = arg + strlen(arg);
		if (colon && !strchr(colon + 1, ':')) {
			end = colon;
			port = colon + 1;
		}
	}
	if (port && parse_u64(port, 1, 65535, &number))
		return "the port is not in 1-65535";
	slash = memchr(net, '/', (size_t)(end - net));
	q->family = (uint8_t)address(net, (size_t)((slash ? slash : end) - net), q->ip);
	if (!q->family)
		return "not a numeric network";
	q->port = (uint16_t)number;
	q->plen = q->family == AF_INET ? 32 : 128;
	if (slash) {
		why = prefix_length(slash + 1, (size_t)(end - slash - 1), q->family, &q->plen);
		if (why)
			return why;
	}
	for (unsigned bit = q->plen; bit < 8 * address_size(q->family); bit++)
		if (q->ip[bit / 8] & (0x80 >> bit % 8))
			return "bits are set beyond the prefix length";
	return NULL;
}

static const char *add_peer(struct net *n, const char *arg, bool deny)
{
	struct peer q = { .deny = deny };
	const char *why = parse_peer(&q, arg);
	size_t same = 0;

	if (why)
		return why;
	for (size_t i = 0; i < n->n_peer; i++)
		same += n->peer[i].family == q.family;
	if (same >= (q.family == AF_INET ? MAX_PEER4 : MAX_PEER6))
		return q.family == AF_INET ? "more than 16 IPv4 peers" : "more than 8 IPv6 peers";
	n->peer = xrealloc_array(n->peer, n->n_peer + 1, sizeof(q));
	n->peer[n->n_peer++] = q;
	return NULL;
}

const char *net_parse_connect_allow(struct net *n, const char *arg) { return add_peer(n, arg, false); }
const char *net_parse_connect_deny(struct net *n, const char *arg) { return add_peer(n, arg, true); }

/* ---- as the caller: is it there? ---- */

static const char *text_of(int family, const uint8_t *ip)
{
	static char ring[4][INET6_ADDRSTRLEN];
	static unsigned next;

	return inet_ntop(family, ip, ring[next++ % 4], INET6_ADDRSTRLEN);
}

/* A bind is the kernel's own answer, also for what is local by a route (ip route add local NET). Linux lets
 * everybody ask it. */
static bool host_has(int family, const uint8_t *ip)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	_cleanup_fd_ int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		die_sys("--ip %s: socket", text_of(family, ip));
	memcpy(&v4.sin_addr, ip, 4);
	memcpy(&v6.sin6_addr, ip, 16);
	if (family == AF_INET ? bind(fd, (struct sockaddr *)&v4, sizeof(v4)) == 0
			      : bind(fd, (struct sockaddr *)&v6, sizeof(v6)) == 0)
		return true;
	if (errno == EADDRNOTAVAIL)
		return false;
	die_sys("--ip %s: bind", text_of(family, ip));
}

static void check_addresses(const struct net *n)
{
	for (size_t i = 0; i < n->n_addr; i++) {
		const struct addr *a = &n->addr[i];

		if (*a->dev && !if_nametoindex(a->dev))
			die_sys("--ip %s@%s: %s", text_of(a->family, a->ip), a->dev, quote(a->dev));
		if (*a->dev || n->later)
			continue;
		if (!host_has(a->family, a->ip))
			die("--ip %s: the host has no such address (@DEV puts it on a device, --ip-later waits for it)",
			    text_of(a->family, a->ip));
		if (memcmp(a->ip, a->ip_to, 16) != 0 && !host_has(a->family, a->ip_to))
			die("--ip: the range ends at %s, and the host has no such address (--ip-later waits for it)",
			    text_of(a->family, a->ip_to));
	}
}

static int landlock_abi(void)
{
	return (int)syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* The guest's sockets live in the host's network namespace (or in another guest's: then in the host's sight). */
static bool scoped(const struct plan *p)
{
	return (p->net.mode != IP_NONE || (p->context.join & NS_NET)) && !(p->context.share & NS_ABSTRACT);
}

void net_check(struct plan *p)
{
	/* These reach the stack below the programs: packet sockets, forged packets, the programs themselves. */
	static const struct { int cap; const char *name; } against[] = {
		{ 12, "NET_ADMIN" }, { 13, "NET_RAW" }, { 39, "BPF" },
	};

	if (scoped(p) && landlock_abi() < LANDLOCK_ABI_SCOPE)
		die("--ip %s: this kernel can't keep the guest off the host's abstract UNIX sockets (Landlock ABI %d, "
		    "Linux 6.12, has it); --share abstract leaves them in reach",
		    p->net.mode == IP_HOST ? "host" : "ADDR", LANDLOCK_ABI_SCOPE);
	if (p->net.mode != IP_LIST)
		return;
	for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++)
		if (p->context.userns != YES && (p->rights.cap_add >> against[i].cap & 1))
			die("--cap-add %s: with it the guest could use any address of the host, whatever --ip says",
			    against[i].name);
	check_addresses(&p->net);
}

/* ---- inherited sockets ---- */

static bool listed(const struct plan *p, int fd)
{
	for (size_t i = 0; i < p->control.n_keep_fd; i++)
		if (p->control.keep_fd[i] == fd)
			return true;
	return false;
}

/*
 * Only 0-2 and --keep-fd come along at all. What is named may be a socket of any kind; 0-2 may be UNIX sockets,
 * or the host's network is the guest's anyway. An anonymous inode (io_uring, say) may hold whatever sockets.
 */
void net_check_inherited(const struct plan *p)
{
	struct stat st;

	if (p->net.mode == IP_HOST)
		return;
	for (int fd = 0; fd <= 2; fd++) {
		int domain = 0;
		socklen_t len = sizeof(domain);

		if (listed(p, fd) || fstat(fd, &st) < 0)
			continue;
		if (!(st.st_mode & S_IFMT))
			die("fd %d is no file (an anonymous inode) and might hold sockets: --keep-fd %d lets it pass",
			    fd, fd);
		if (!S_ISSOCK(st.st_mode))
			continue;
		if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len) < 0)
			die_sys("fd %d: SO_DOMAIN", fd);
		if (domain != AF_UNIX)
			die("fd %d is a socket of the host's network, out of --ip's reach: --keep-fd %d lets it pass",
			    fd, fd);
	}
}

/* ---- the guest's own network namespace (--ip none) ---- */

static void write_sysctl(const char *key, const char *value)
{
	char path[96];

	snprintf(path, sizeof(path), "sys/net/ipv4/%s", key);
	if (write_at(host_proc_fd(), path, value) < 0)
		die_sys("--ip none: write %s to /proc/%s", quote(value), path);
}

void net_apply_own(const struct plan *p, uint32_t id_base)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	char range[32];

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		die_sys("--ip none: bring the guest's lo up");
	/* The namespace belongs to the host's user namespace, so the guest's CAP_NET_BIND_SERVICE doesn't count
	 * there. Both files show the namespace of whoever opens them. */
	if (p->context.userns == YES && !(p->rights.cap_drop & ~p->rights.cap_add & BIND_SERVICE))
		write_sysctl("ip_unprivileged_port_start", "0");
	if (p->rights.ccap & CCAP_RAW_ICMP) {
		snprintf(range, sizeof(range), "%u %u", id_base, id_base + IDS_PER_GUEST - 1);
		write_sysctl("ping_group_range", range);
	}
}

/* ---- abstract UNIX sockets ---- */

/* Guest init has its capabilities still, so no_new_privs isn't needed and setuid programs go on working. */
void net_apply_scope(const struct plan *p)
{
	struct compat_landlock_ruleset rules = { .scoped = LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET };
	int fd;

	if (!scoped(p))
		return;
	fd = (int)syscall(__NR_landlock_create_ruleset, &rules, sizeof(rules), 0);
	if (fd < 0 || syscall(__NR_landlock_restrict_self, fd, 0) < 0)
		die_sys("--ip: Landlock scope for abstract UNIX sockets (--share abstract does without)");
	close(fd);
}

/* ---- a guest with addresses on the host's stack ---- */

void net_apply(const struct plan *p, const struct cgroup *cg, struct net_state *st)
{
	(void)cg, (void)st;
	die("--ip %s: not in this version", text_of(p->net.addr[0].family, p->net.addr[0].ip));
}

void net_undo(struct net_state *st)
{
	(void)st;
}

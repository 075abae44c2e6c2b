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
#include <dirent.h>
#include <endian.h>
#include <net/if.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <linux/bpf.h>
#include <linux/btf.h>

#define BIND_SERVICE (1ULL << 10)       /* CAP_NET_BIND_SERVICE */

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
	if (same >= (a.family == AF_INET ? NET_V4_MAX : NET_V6_MAX))
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
	if (same >= (q.family == AF_INET ? NET_PEER4_MAX : NET_PEER6_MAX))
		return q.family == AF_INET ? "more than 8 IPv4 peers" : "more than 8 IPv6 peers";
	n->peer = xrealloc_array(n->peer, n->n_peer + 1, sizeof(q));
	n->peer[n->n_peer++] = q;
	return NULL;
}

const char *net_parse_connect_allow(struct net *n, const char *arg) { return add_peer(n, arg, false); }

const char *net_parse_connect_deny(struct net *n, const char *arg)
{
	if (strcmp(arg, "none") != 0)
		return add_peer(n, arg, true);
	n->deny_none = true;
	return NULL;
}

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

/* One of the host's networks: bind(2) takes it as an address, connect(2) only with SO_BROADCAST. */
static bool is_broadcast(int family, const uint8_t *ip)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(9) };
	_cleanup_fd_ int fd = family == AF_INET ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;

	memcpy(&a.sin_addr, ip, 4);
	return fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) < 0 && errno == EACCES;
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
		if (is_broadcast(a->family, a->ip) || is_broadcast(a->family, a->ip_to))
			die("--ip %s: a broadcast address is no guest's own",
			    text_of(a->family, is_broadcast(a->family, a->ip) ? a->ip : a->ip_to));
	}
}

static int landlock_abi(void)
{
	return (int)syscall(__NR_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);
}

/* The guest's sockets live in the host's network namespace (or in another guest's: then in the host's sight). */
static bool scoped(const struct plan *p)
{
	/* Behind a view the guest's network namespace, and so its abstract names, are its own on every kernel. */
	if (p->net.view && !p->net.joined)
		return false;
	return (p->net.mode != IP_NONE || (p->context.join & NS_NET)) && !(p->context.share & NS_ABSTRACT);
}

static bool several(const struct net *n)
{
	return n->n_addr > 1 || (n->n_addr == 1 && memcmp(n->addr[0].ip, n->addr[0].ip_to, 16) != 0);
}

static bool has_v6(const struct net *n)
{
	for (size_t i = 0; i < n->n_addr; i++)
		if (n->addr[i].family == AF_INET6)
			return true;
	return false;
}

void net_check(struct plan *p)
{
	/* These reach the stack below the programs: packet sockets, forged packets, the programs themselves. */
	static const struct { int cap; const char *name; } against[] = {
		{ 12, "NET_ADMIN" }, { 13, "NET_RAW" }, { 39, "BPF" },
	};

	if (p->verb != VERB_SET && scoped(p) && landlock_abi() < LANDLOCK_ABI_SCOPE)
		die("--ip %s: this kernel can't keep the guest off the host's abstract UNIX sockets (Landlock ABI %d, "
		    "Linux 6.12, has it); --share abstract leaves them in reach",
		    p->net.mode == IP_HOST ? "host" : "ADDR", LANDLOCK_ABI_SCOPE);
	if (p->net.mode != IP_LIST && !p->net.view)
		return;
	for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++)
		if (p->context.userns != YES && (p->rights.cap_add >> against[i].cap & 1))
			die("--cap-add %s: with it the guest could use any address of the host, whatever --ip says",
			    against[i].name);
	if (p->net.mode != IP_LIST)
		return;
	check_addresses(&p->net);
	/* Alone, an IPv4 address stands for 127.0.0.1 (netprog.c's udp_loopback4); an IPv6 one doesn't for ::1. */
	p->net.steered = (several(&p->net) || has_v6(&p->net)) && !p->net.later && !(p->rights.ccap & CCAP_MULTICAST);
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

/* ---- the kernel's BPF objects ---- */

/* What the programs of one network namespace share; a set lives as long as any guest's cgroup holds it. */
struct set {
	int map_fd[NET_MAPS], prog_fd[NET_HOOKS];
	uint32_t hash;                  /* of this build's programs and the namespace: part of their names */
	bool errnos;
	int netns_fd;
	uint64_t netns;                 /* its inode */
};
enum { IDS_LINK = NET_HOOKS, IDS };     /* indices of the ids map: a program's hook; last the lookup's link */

static int bpf(int cmd, union bpf_attr *a) { return (int)syscall(__NR_bpf, cmd, a, sizeof(*a)); }

static _Noreturn void die_bpf(const char *what, const char *hook, const char *since)
{
	struct utsname u;
	int e = errno;

	uname(&u);
	errno = e;
	die_sys("--ip: %s '%s': this kernel is Linux %s, the hook came with %s", what, hook, u.release, since);
}

static int map_update(int fd, const void *key, const void *value)
{
	union bpf_attr a = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value };

	return bpf(BPF_MAP_UPDATE_ELEM, &a);
}

static int map_lookup(int fd, const void *key, void *value)
{
	union bpf_attr a = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key, .value = (uintptr_t)value };

	return bpf(BPF_MAP_LOOKUP_ELEM, &a);
}

static int map_delete(int fd, const void *key)
{
	union bpf_attr a = { .map_fd = (uint32_t)fd, .key = (uintptr_t)key };

	return bpf(BPF_MAP_DELETE_ELEM, &a);
}

static int by_id(int cmd, uint32_t id)
{
	union bpf_attr a = { .prog_id = id };

	return bpf(cmd, &a);
}

static int object_info(int fd, void *info, uint32_t len)
{
	union bpf_attr a = { .info = { .bpf_fd = (uint32_t)fd, .info_len = len, .info = (uintptr_t)info } };

	return bpf(BPF_OBJ_GET_INFO_BY_FD, &a);
}

static void program_name(const struct set *s, enum net_hook h, char name[BPF_OBJ_NAME_LEN])
{
	snprintf(name, BPF_OBJ_NAME_LEN, "vr%06x_%s", s->hash & 0xffffff, netprog_hook[h].name);
}

/* Socket storage wants its types described: key int, value eight of them. Integers alone, no names. */
static int types_fd(void)
{
	static const struct {
		struct btf_header head;
		struct btf_type integer; uint32_t encoding;
		struct btf_type words; struct btf_array array;
		char strings[4];
	} types = {
		.head = { .magic = BTF_MAGIC, .version = BTF_VERSION, .hdr_len = sizeof(struct btf_header),
			  .type_len = 2 * sizeof(struct btf_type) + 4 + sizeof(struct btf_array),
			  .str_off = 2 * sizeof(struct btf_type) + 4 + sizeof(struct btf_array), .str_len = 4 },
		.integer = { .name_off = 1, .info = BTF_KIND_INT << 24, .size = 4 }, .encoding = BTF_INT_SIGNED << 24 | 32,
		.words = { .info = BTF_KIND_ARRAY << 24 },
		.array = { .type = 1, .index_type = 1, .nelems = sizeof(struct net_mark) / 4 },
		.strings = "\0i",
	};
	union bpf_attr a = { .btf = (uintptr_t)&types, .btf_size = sizeof(types) };

	return bpf(BPF_BTF_LOAD, &a);
}

static const struct {
	const char *name, *since;
	uint32_t type, key, value, entries, flags;
} map_kind[NET_MAPS] = {
	[NET_MAP_CONFIG] = { "config", "5.9", BPF_MAP_TYPE_CGROUP_STORAGE, 8, sizeof(struct net_config) },
	[NET_MAP_COUNTERS] = { "counts", "5.9", BPF_MAP_TYPE_PERCPU_CGROUP_STORAGE, 8, sizeof(struct net_counters) },
	[NET_MAP_MARKS] = { "marks", "5.2", BPF_MAP_TYPE_SK_STORAGE, 4, sizeof(struct net_mark), 0, BPF_F_NO_PREALLOC },
	[NET_MAP_STEER] = { "steer", "4.18", BPF_MAP_TYPE_SOCKHASH, sizeof(struct net_steer), 8, NET_STEER_ENTRIES },
	[NET_MAP_GUESTS] = { "guests", "4.11", BPF_MAP_TYPE_LPM_TRIE, sizeof(struct net_prefix), 8, 65536,
			     BPF_F_NO_PREALLOC },
	[NET_MAP_IDS] = { "ids", "3.19", BPF_MAP_TYPE_ARRAY, 4, 4, IDS },
};

static void create_maps(struct set *s)
{
	_cleanup_fd_ int btf = types_fd();

	if (btf < 0)
		die_bpf("describe a map's types to the kernel", "marks", "4.18");
	for (size_t m = 0; m < NET_MAPS; m++) {
		union bpf_attr a = {
			.map_type = map_kind[m].type, .key_size = map_kind[m].key, .value_size = map_kind[m].value,
			.max_entries = map_kind[m].entries, .map_flags = map_kind[m].flags,
		};

		if (m == NET_MAP_MARKS) {
			a.btf_fd = (uint32_t)btf;
			a.btf_key_type_id = 1;
			a.btf_value_type_id = 2;
		}
		snprintf(a.map_name, sizeof(a.map_name), "vr%06x_%s", s->hash & 0xffffff, map_kind[m].name);
		s->map_fd[m] = bpf(BPF_MAP_CREATE, &a);
		if (s->map_fd[m] < 0)
			die_bpf("make the map", map_kind[m].name, map_kind[m].since);
	}
}

static int load_program(const struct set *s, enum net_hook h)
{
	struct bpf_insn code[NETPROG_ROOM];
	size_t n = netprog_compile(h, s->errnos, code, NULL);
	union bpf_attr a = {
		.prog_type = netprog_hook[h].prog_type, .expected_attach_type = netprog_hook[h].attach_type,
		.insns = (uintptr_t)code, .insn_cnt = (uint32_t)n, .license = (uintptr_t)"Dual BSD/GPL",
	};

	for (size_t i = 0; i < n; i++)
		if (code[i].code == (BPF_LD | BPF_DW | BPF_IMM) && code[i].src_reg == BPF_PSEUDO_MAP_FD)
			code[i].imm = s->map_fd[code[i].imm];
	program_name(s, h, a.prog_name);
	return bpf(BPF_PROG_LOAD, &a);
}

/* The refusing errno came to these hooks with Linux 6.1; without it a refusal is EPERM. Found by trying. */
static void load_first(struct set *s)
{
	s->errnos = true;
	s->prog_fd[NET_CREATE] = load_program(s, NET_CREATE);
	if (s->prog_fd[NET_CREATE] < 0) {
		s->errnos = false;
		s->prog_fd[NET_CREATE] = load_program(s, NET_CREATE);
	}
	if (s->prog_fd[NET_CREATE] < 0)
		die_bpf("load the program", netprog_hook[NET_CREATE].name, netprog_hook[NET_CREATE].since);
	/* This program leads a later guest to all maps. */
	for (size_t m = 0; m < NET_MAPS; m++) {
		union bpf_attr a = { .prog_bind_map = { .prog_fd = (uint32_t)s->prog_fd[NET_CREATE],
							.map_fd = (uint32_t)s->map_fd[m] } };

		if (bpf(BPF_PROG_BIND_MAP, &a) < 0 && errno != EEXIST)
			die_bpf("bind the map to a program", map_kind[m].name, "5.10");
	}
}

static void put_id(const struct set *s, uint32_t index, int fd, uint32_t id)
{
	struct bpf_prog_info info = { 0 };

	if (fd >= 0 && object_info(fd, &info, sizeof(info)) == 0)
		id = info.id;
	if (!id || map_update(s->map_fd[NET_MAP_IDS], &index, &id) < 0)
		die_sys("--ip: remember a program");
}

/* A program of the set: found by its id, else loaded and told to those who come later. */
static int program(struct set *s, enum net_hook h)
{
	uint32_t index = h, id = 0;

	if (s->prog_fd[h] < 0 && map_lookup(s->map_fd[NET_MAP_IDS], &index, &id) == 0 && id)
		s->prog_fd[h] = by_id(BPF_PROG_GET_FD_BY_ID, id);
	if (s->prog_fd[h] >= 0)
		return s->prog_fd[h];
	s->prog_fd[h] = load_program(s, h);
	if (s->prog_fd[h] < 0)
		die_bpf("load the program", netprog_hook[h].name, netprog_hook[h].since);
	put_id(s, h, s->prog_fd[h], 0);
	return s->prog_fd[h];
}

/* Fills *fd with the programs that nobody has loaded yet, the longest first; another process may be at it, too. */
struct loading { atomic_uint next; int fd[NET_HOOKS]; };

static void load_from(const struct set *s, struct loading *l, bool v6)
{
	static const uint8_t order[] = {
		NET_BIND6, NET_CONNECT6, NET_SENDMSG6, NET_EGRESS, NET_SENDMSG4, NET_CONNECT4, NET_BIND4, NET_INGRESS,
		NET_LISTEN, NET_LOOKUP, NET_SOCKNAME6, NET_SOCKNAME4, NET_RECVMSG6, NET_PEERNAME6, NET_RECVMSG4,
		NET_PEERNAME4, NET_SETSOCKOPT,
	};
	unsigned i;

	_Static_assert(sizeof(order) == NET_HOOKS - 1, "all but NET_CREATE");
	while ((i = atomic_fetch_add(&l->next, 1)) < sizeof(order))
		if (v6 || !netprog_hook[order[i]].v6_only)
			l->fd[order[i]] = load_program(s, (enum net_hook)order[i]);
}

/*
 * The first guest's programs, on two cores: the verifier takes 5 ms for them, more than all the rest of a start. A
 * process that shares our descriptors and nothing else, gone before we return. What it can't load, or if it can't be
 * had at all, program() does.
 */
static void load_rest(struct set *s, bool v6)
{
	struct loading *l = mmap(NULL, sizeof(*l), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	cpu_set_t cpus;
	pid_t pid = -1;

	if (l == MAP_FAILED)
		return;
	memset(l->fd, 0xff, sizeof(l->fd));
	if (sched_getaffinity(0, sizeof(cpus), &cpus) == 0 && CPU_COUNT(&cpus) > 1)
		pid = sys_clone3(CLONE_FILES, NULL, -1, 0);
	load_from(s, l, v6);
	if (pid == 0)
		_exit(0);
	while (pid > 0 && waitpid(pid, NULL, __WCLONE) < 0 && errno == EINTR)
		;
	for (size_t h = 0; h < NET_HOOKS; h++)
		if (l->fd[h] >= 0) {
			s->prog_fd[h] = l->fd[h];
			put_id(s, (uint32_t)h, l->fd[h], 0);
		}
	munmap(l, sizeof(*l));
}

static void close_set(struct set *s)
{
	for (size_t m = 0; m < NET_MAPS; m++)
		close_fd(&s->map_fd[m]);
	for (size_t h = 0; h < NET_HOOKS; h++)
		close_fd(&s->prog_fd[h]);
	close_fd(&s->netns_fd);
}

/* The set that the guest with this cgroup directory uses. Trusted: made by root, and under the name of this very
 * build (another version's programs would read another configuration). */
static bool take_set(struct set *s, int cgroup_fd, bool any_name)
{
	struct bpf_prog_info info = { 0 };
	struct bpf_map_info map_info;
	uint32_t ids[8] = { 0 }, maps[NET_MAPS + 2] = { 0 };
	union bpf_attr a = { .query = { .target_fd = (uint32_t)cgroup_fd, .attach_type = BPF_CGROUP_INET_SOCK_CREATE,
					.prog_ids = (uintptr_t)ids, .prog_cnt = 8 } };
	char name[BPF_OBJ_NAME_LEN];
	size_t found = 0;

	if (bpf(BPF_PROG_QUERY, &a) < 0)
		return false;
	program_name(s, NET_CREATE, name);
	for (size_t i = 0; i < a.query.prog_cnt && i < 8; i++) {
		info = (struct bpf_prog_info){ .map_ids = (uintptr_t)maps, .nr_map_ids = NET_MAPS + 2 };
		close_fd(&s->prog_fd[NET_CREATE]);
		s->prog_fd[NET_CREATE] = by_id(BPF_PROG_GET_FD_BY_ID, ids[i]);
		if (s->prog_fd[NET_CREATE] < 0 || object_info(s->prog_fd[NET_CREATE], &info, sizeof(info)) < 0 ||
		    info.created_by_uid != 0 || (any_name ? strncmp(info.name, name, 2) : strcmp(info.name, name)) != 0)
			continue;
		for (size_t m = 0; m < info.nr_map_ids && m < NET_MAPS + 2; m++) {
			int fd = by_id(BPF_MAP_GET_FD_BY_ID, maps[m]);

			memset(&map_info, 0, sizeof(map_info));
			if (fd >= 0 && object_info(fd, &map_info, sizeof(map_info)) == 0)
				for (size_t k = 0; k < NET_MAPS; k++)
					if (map_info.type == map_kind[k].type && map_info.value_size == map_kind[k].value &&
					    s->map_fd[k] < 0) {
						s->map_fd[k] = fd;
						fd = -1;
						found++;
					}
			close_fd(&fd);
		}
		if (found == NET_MAPS)
			return true;
		break;
	}
	close_fd(&s->prog_fd[NET_CREATE]);
	for (size_t m = 0; m < NET_MAPS; m++)
		close_fd(&s->map_fd[m]);
	return false;
}

/* Any other guest below the same directory has what we need. Who came last stands in an attribute of the
 * directory; only if that one is gone all are asked, and without it there never was one. */
static bool find_set(struct set *s, int parent_fd)
{
	char key[40], last[24], path[40];
	struct dirent *e;
	ssize_t n;
	DIR *d;
	bool found = false;

	snprintf(key, sizeof(key), "trusted.vrun.net.%08x", s->hash);
	n = fgetxattr(parent_fd, key, last, sizeof(last) - 1);
	if (n < 0)
		return false;
	last[n] = '\0';
	_cleanup_fd_ int last_fd = openat(parent_fd, last, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (last_fd >= 0 && take_set(s, last_fd, false))
		return true;
	snprintf(path, sizeof(path), "self/fd/%d", parent_fd);
	d = fdopendir(openat(host_proc_fd(), path, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	while (d && !found && (e = readdir(d)) != NULL) {
		_cleanup_fd_ int fd = -1;

		if (e->d_type != DT_DIR || *e->d_name == '.')
			continue;
		fd = openat(parent_fd, e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		found = fd >= 0 && take_set(s, fd, false);
	}
	if (d)
		closedir(d);
	return found;
}

/* Two locks on a file that only root can open for writing, so that nobody else can hold them: one for each directory of
 * guests' cgroups, and one in /vrun, where all guests are claimed. */
enum {
	/* Guests that start at once on a host without any would each make a set of their own, and Linux has room for
	 * 64 of them: one makes it, the others wait the few milliseconds. */
	LOCK_PROGRAMS,
	/* Whose an address is, and on which device, is looked at and changed in several steps: a dead guest's must not
	 * be taken away when the next one has just found it there. */
	LOCK_ADDRESSES,
};
enum { LOCK_WAIT_MS = 10000 };          /* somebody was stopped in there */

/* To be closed; -1 and errno if it can't be had. The lock is the open file's (OFD), and goes with its last holder. */
static int lock_host(int dir_fd, const char *file, int which)
{
	const struct timespec pause = { .tv_nsec = 1000000 };
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = which, .l_len = 1 };
	int fd = openat(dir_fd, file, O_WRONLY | O_CLOEXEC);

	for (int ms = 0; fd >= 0 && fcntl(fd, F_OFD_SETLK, &lock) < 0; ms++) {
		if (ms == LOCK_WAIT_MS || (errno != EAGAIN && errno != EACCES)) {
			close(fd);
			errno = ETIMEDOUT;
			return -1;
		}
		nanosleep(&pause, NULL);
	}
	return fd;
}

static int lock_sets(int parent_fd)
{
	int fd = lock_host(parent_fd, "cgroup.procs", LOCK_PROGRAMS);

	if (fd < 0)
		die_sys("--ip: lock cgroup.procs in the directory of the guests' cgroups");
	return fd;
}

/* Held once, be it asked for again on the way: what fails with it undoes with it. */
static int address_lock_fd = -1;

/* Whoever removes goes on without it rather than not at all. */
static bool lock_addresses(const struct cgroup *cg)
{
	if (address_lock_fd < 0)
		address_lock_fd = lock_host(cg->claim_fd, "../cgroup.procs", LOCK_ADDRESSES);
	return address_lock_fd >= 0;
}

static void unlock_addresses(void) { close_fd(&address_lock_fd); }

static void tell_set(const struct set *s, int parent_fd, uint32_t xid)
{
	char key[40], value[16];
	int n = snprintf(value, sizeof(value), "%u", xid);

	snprintf(key, sizeof(key), "trusted.vrun.net.%08x", s->hash);
	if (fsetxattr(parent_fd, key, value, (size_t)n, 0) < 0)
		die_sys("--ip: set an attribute on the directory of the guests' cgroups");
}

/* Another build's programs, and what they read, may be different ones: the linker's hash of all that is in this one. */
static uint32_t set_hash(uint64_t netns)
{
	uint32_t hash = build_id();
	const uint8_t *p = (const uint8_t *)&netns;

	if (!hash)
		die("--ip: this vrun was linked without --build-id, by which guests know programs of their own version");
	for (size_t i = 0; i < sizeof(netns); i++)      /* FNV-1a */
		hash = (hash ^ p[i]) * 16777619u;
	return hash ^ hash >> 24;
}

static void open_set(struct set *s)
{
	struct stat st;

	memset(s, 0xff, sizeof(*s));            /* every fd -1 */
	s->netns_fd = openat(host_proc_fd(), "self/ns/net", O_RDONLY | O_CLOEXEC);
	if (s->netns_fd < 0 || fstat(s->netns_fd, &st) < 0)
		die_sys("--ip: open /proc/self/ns/net");
	s->netns = st.st_ino;
	s->hash = set_hash(s->netns);
	s->errnos = true;
}

/*
 * The listeners' table is asked by one program of the network namespace, held there by a link: whoever still has
 * a descriptor of the link keeps it. So every supervisor has one. Without it (all supervisors killed, and then
 * their guests are, too) the second and later addresses of a guest refuse; nothing opens.
 */
static int lookup_link(struct set *s)
{
	struct bpf_link_info info = { 0 };
	uint32_t index = IDS_LINK, id = 0;
	int fd = -1, prog = program(s, NET_LOOKUP);
	union bpf_attr a = { .link_create = { .prog_fd = (uint32_t)prog, .target_fd = (uint32_t)s->netns_fd,
					      .attach_type = BPF_SK_LOOKUP } };

	if (map_lookup(s->map_fd[NET_MAP_IDS], &index, &id) == 0 && id)
		fd = by_id(BPF_LINK_GET_FD_BY_ID, id);
	/* of a network that is gone the number is 0 */
	if (fd >= 0 && object_info(fd, &info, sizeof(info)) == 0 && info.type == BPF_LINK_TYPE_NETNS &&
	    info.netns.netns_ino == s->netns)
		return fd;
	close_fd(&fd);
	fd = bpf(BPF_LINK_CREATE, &a);
	if (fd < 0 && errno == E2BIG)
		die("--ip: this network has 64 sk_lookup programs already, the most that Linux allows");
	if (fd < 0)
		die_bpf("attach the program", netprog_hook[NET_LOOKUP].name, netprog_hook[NET_LOOKUP].since);
	if (object_info(fd, &info, sizeof(info)) < 0)
		die_sys("--ip: ask for the id of a link");
	put_id(s, IDS_LINK, -1, info.id);
	return fd;
}

/* The cgroup owns what is attached so, not a process: a killed supervisor leaves no guest without a filter
 * (NETWORK.md section 10: with a link, it did). */
static void attach(struct set *s, enum net_hook h, int cgroup_fd)
{
	union bpf_attr a = { .target_fd = (uint32_t)cgroup_fd, .attach_bpf_fd = (uint32_t)program(s, h),
			     .attach_type = netprog_hook[h].attach_type, .attach_flags = BPF_F_ALLOW_MULTI };

	if (bpf(BPF_PROG_ATTACH, &a) == 0)
		return;
	if (errno == EPERM)
		die("--ip: a program that allows no other below it is attached above the guest's cgroup (%s)",
		    netprog_hook[h].name);
	if (errno == ENOENT)            /* css_tryget_online_from_dir() in the kernel's cgroup.c */
		die("--ip: the guest's cgroup was removed while it started");
	die_bpf("attach the program", netprog_hook[h].name, netprog_hook[h].since);
}

/* ---- a plan as the programs read it ---- */

/* From an earlier list of the guest's: the kernel refuses the same program a second time (EINVAL). */
static bool attached(struct set *s, enum net_hook h, int cgroup_fd)
{
	struct bpf_prog_info info = { 0 };
	uint32_t ids[16] = { 0 };
	union bpf_attr a = { .query = { .target_fd = (uint32_t)cgroup_fd, .attach_type = netprog_hook[h].attach_type,
					.prog_ids = (uintptr_t)ids, .prog_cnt = 16 } };

	if (bpf(BPF_PROG_QUERY, &a) < 0 || object_info(program(s, h), &info, sizeof(info)) < 0)
		return false;
	for (size_t i = 0; i < a.query.prog_cnt && i < 16; i++)
		if (ids[i] == info.id)
			return true;
	return false;
}

static uint32_t word(const uint8_t *p)
{
	uint32_t v;

	memcpy(&v, p, 4);
	return v;
}

static uint64_t half(const uint8_t *p) { return (uint64_t)ntohl(word(p)) << 32 | ntohl(word(p + 4)); }
static uint32_t mask4(unsigned plen) { return plen ? htonl(~0U << (32 - plen)) : 0; }
static uint64_t mask_half(unsigned plen) { return plen == 0 ? 0 : plen >= 64 ? ~0ULL : ~0ULL << (64 - plen); }
static uint64_t mask_hi(unsigned plen) { return mask_half(plen); }
static uint64_t mask_lo(unsigned plen) { return plen <= 64 ? 0 : mask_half(plen - 64); }

static void fill_slot4(struct net_slot4 *s, const struct addr *a, unsigned plen)
{
	s->lo = ntohl(word(a->ip));
	s->count = ntohl(word(a->ip_to)) - s->lo + 1;
	s->addr = word(a->ip);
	s->mask = mask4(plen);
	s->broadcast = plen < 31 ? ntohl(s->addr | ~s->mask) : INADDR_BROADCAST;
}

static void fill_slot6(struct net_slot6 *s, const struct addr *a, unsigned plen)
{
	s->net = half(a->ip);
	s->lo = half(a->ip + 8);
	s->more = half(a->ip_to + 8) - s->lo;
	s->mask_hi = mask_hi(plen);
	s->mask_lo = mask_lo(plen);
	memcpy(s->addr, a->ip, 16);
	s->plen = plen;
}

static void fill_peers(struct net_config *c, const struct net *n)
{
	for (int deny = 1; deny >= 0; deny--)
		for (size_t i = 0; i < n->n_peer; i++) {
			const struct peer *q = &n->peer[i];

			if (q->deny != deny)
				continue;
			c->flags |= NET_PEERS | (deny ? 0 : NET_ALLOWED_ONLY);
			if (q->family == AF_INET)
				c->peer4[c->n_peer4++] = (struct net_peer4){ word(q->ip), mask4(q->plen), htons(q->port),
					q->port ? 0xffff : 0, q->deny };
			else
				c->peer6[c->n_peer6++] = (struct net_peer6){ half(q->ip), half(q->ip + 8), mask_hi(q->plen),
					mask_lo(q->plen), htons(q->port), q->port ? 0xffff : 0, q->deny };
		}
}

/* What holds nothing matches nothing. */
static void empty_slots(struct net_config *c)
{
	for (size_t i = c->n_v4; i < NET_V4_MAX; i++)
		c->v4[i] = (struct net_slot4){ .addr = ~0U, .mask = ~0U, .broadcast = INADDR_BROADCAST };
	for (size_t i = c->n_v6; i < NET_V6_MAX; i++)
		c->v6[i] = (struct net_slot6){ .net = ~0ULL, .lo = ~0ULL, .mask_hi = ~0ULL, .mask_lo = ~0ULL };
	for (size_t i = c->n_peer4; i < NET_PEER4_MAX; i++)
		c->peer4[i].net = 1;
	for (size_t i = c->n_peer6; i < NET_PEER6_MAX; i++)
		c->peer6[i].net_lo = 1;
}

static void fill_config(struct net_config *c, const struct plan *p, uint32_t xid, uint64_t guest)
{
	const struct net *n = &p->net;

	*c = (struct net_config){ .flags = NET_READY, .guest = guest, .loopback6_hi = ~0ULL, .loopback6_lo = ~0ULL };
	for (size_t i = 0; i < n->n_addr; i++) {
		const struct addr *a = &n->addr[i];
		/* without /LEN it is the one that the host uses with the address */
		unsigned plen = a->have_plen ? a->plen : netdev_prefix(a->family, a->ip, a->plen);

		if (a->family == AF_INET)
			fill_slot4(&c->v4[c->n_v4++], a, plen);
		else
			fill_slot6(&c->v6[c->n_v6++], a, plen);
	}
	c->flags |= (c->n_v4 ? NET_V4 : 0) | (c->n_v6 ? NET_V6 : 0);
	c->flags |= several(n) ? NET_SEVERAL : 0;
	c->flags |= n->steered ? NET_UDP_STEERED : 0;
	c->flags |= several(n) || n->later ? NET_TCP_STEERED : 0;
	c->flags |= n->later ? NET_LATER : 0;
	c->flags |= p->rights.ccap & CCAP_RAW_ICMP ? NET_RAW_ICMP : 0;
	c->flags |= p->rights.ccap & CCAP_MULTICAST ? NET_MULTICAST : 0;
	if (p->context.userns == YES && !(p->rights.cap_drop & ~p->rights.cap_add & BIND_SERVICE))
		c->flags |= NET_LOW_PORTS;
	c->loopback = htonl(127U << 24 | (xid & 0xffff) << 8 | 1);
	if (n->loopback == LOOPBACK_ADDR)
		c->loopback = n->loopback_addr;
	if (n->loopback == LOOPBACK_HOST) {
		c->flags |= NET_LOOPBACK_HOST | NET_LOOPBACK6;
		c->loopback = htonl(INADDR_LOOPBACK);
		c->loopback6_hi = 0;
		c->loopback6_lo = 1;
		c->loopback6[3] = htonl(1);
	} else if (c->n_v6) {
		c->flags |= NET_LOOPBACK6;
	}
	if (!(c->flags & NET_LOOPBACK_HOST)) {
		const uint64_t own[2] = { htobe64(NET_LOOPBACK6_HI), htobe64(xid & 0xffff) };

		memcpy(c->loopback6, own, 16);
		c->loopback6_hi = c->flags & NET_LOOPBACK6 ? NET_LOOPBACK6_HI : ~0ULL;
		c->loopback6_lo = c->flags & NET_LOOPBACK6 ? xid & 0xffff : ~0ULL;
	}
	fill_peers(c, n);
	empty_slots(c);
}

/* ---- whose packet: the map from addresses to guests ---- */

static void mapped(struct net_prefix *k, uint32_t ip4, unsigned plen)
{
	*k = (struct net_prefix){ .plen = 96 + plen, .ip = { [10] = 0xff, [11] = 0xff } };
	memcpy(k->ip + 12, &ip4, 4);
}

/* lo..hi as prefixes, each as large as it can be; `base` 32 or 64 is how many bits the numbers have. */
static unsigned next_prefix(uint64_t lo, uint64_t hi, unsigned bits)
{
	unsigned size = 0;

	while (size < bits && !(lo >> size & 1) && lo + ((2ULL << size) - 1) <= hi && lo + ((2ULL << size) - 1) > lo)
		size++;
	return bits - size;
}

typedef void guest_prefix(int map_fd, const struct net_prefix *k, uint64_t guest);

static void set_prefix(int map_fd, const struct net_prefix *k, uint64_t guest)
{
	if (map_update(map_fd, k, &guest) < 0)
		die_sys("--ip: enter an address into the map of the guests");
}

/* Only ours: another guest may have been given the same address since. */
static void clear_prefix(int map_fd, const struct net_prefix *k, uint64_t guest)
{
	uint64_t owner = 0;

	if (map_lookup(map_fd, k, &owner) == 0 && NET_OWNER(owner) == NET_OWNER(guest))
		map_delete(map_fd, k);
}

static void each_prefix(const struct net_config *c, int map_fd, guest_prefix *f)
{
	uint64_t owner = c->guest | (c->flags & NET_UDP_STEERED ? NET_OWNER_UDP : 0) |
		(c->flags & NET_TCP_STEERED ? NET_OWNER_TCP : 0);
	struct net_prefix k;

	for (size_t i = 0; i < c->n_v4; i++)
		for (uint64_t at = c->v4[i].lo, end = at + c->v4[i].count; at < end;) {
			unsigned plen = next_prefix(at, end - 1, 32);

			mapped(&k, htonl((uint32_t)at), plen);
			f(map_fd, &k, owner);
			at += 1ULL << (32 - plen);
		}
	for (size_t i = 0; i < c->n_v6; i++) {
		uint64_t at = c->v6[i].lo, end = at + c->v6[i].more;

		for (;;) {
			unsigned plen = next_prefix(at, end, 64);
			uint64_t last = at + (plen ? (1ULL << (64 - plen)) - 1 : ~0ULL), be = htobe64(at);

			k = (struct net_prefix){ .plen = 64 + plen };
			memcpy(k.ip, c->v6[i].addr, 8);
			memcpy(k.ip + 8, &be, 8);
			f(map_fd, &k, owner);
			if (last >= end)
				break;
			at = last + 1;
		}
	}
	if (c->flags & NET_LOOPBACK_HOST)
		return;
	owner |= NET_OWNER_LOOPBACK | NET_OWNER_TCP;
	mapped(&k, c->loopback, 32);
	f(map_fd, &k, owner);
	if (c->flags & NET_LOOPBACK6) {
		k = (struct net_prefix){ .plen = 128 };
		memcpy(k.ip, c->loopback6, 16);
		f(map_fd, &k, owner);
	}
}

/* ---- a guest with addresses on the host's stack ---- */

/* Before Linux 5.15 a socket with a net_cls or net_prio class has no cgroup2 of its own, and no program runs. */
static void refuse_net_cls(void)
{
	struct utsname u;
	unsigned long major, minor;
	char text[4096], *dot;

	if (uname(&u) < 0)
		return;
	major = strtoul(u.release, &dot, 10);
	minor = *dot == '.' ? strtoul(dot + 1, NULL, 10) : 0;
	if (major > 5 || (major == 5 && minor >= 15))
		return;
	if (read_at(host_proc_fd(), "self/cgroup", text, sizeof(text)) > 0 &&
	    (strstr(text, "net_cls") || strstr(text, "net_prio")))
		die("--ip: with net_cls or net_prio mounted, Linux before 5.15 doesn't run the programs");
}

static struct netdev_address device_address(const struct net_config *c, int family, size_t i)
{
	struct netdev_address a = { .family = (uint8_t)family };

	if (family == AF_INET) {
		a.plen = (uint8_t)(c->v4[i].mask ? 32 - __builtin_ctz(ntohl(c->v4[i].mask)) : 0);
		memcpy(a.ip, &c->v4[i].addr, 4);
		a.ifindex = c->v4[i].ifindex;
	} else {
		a.plen = (uint8_t)c->v6[i].plen;
		memcpy(a.ip, c->v6[i].addr, 16);
		a.ifindex = c->v6[i].ifindex;
	}
	return a;
}

static struct netdev_address loopback_address(const struct net_config *c)
{
	struct netdev_address a = { .family = AF_INET6, .plen = 128, .ifindex = 1 };    /* lo, in every namespace */

	memcpy(a.ip, c->loopback6, 16);
	return a;
}

static uint32_t *ifindex_of(struct net_config *c, int family, size_t i)
{
	return family == AF_INET ? &c->v4[i].ifindex : &c->v6[i].ifindex;
}

/* The configuration of the guest that has this very address, if it is another one. */
static bool other_owner(const struct set *s, const struct netdev_address *a, uint64_t guest, struct net_config *c)
{
	struct net_prefix k = { .plen = 128 };
	uint64_t owner;

	if (a->family == AF_INET)
		mapped(&k, word(a->ip), 32);
	else
		memcpy(k.ip, a->ip, 16);
	if (map_lookup(s->map_fd[NET_MAP_GUESTS], &k, &owner) < 0)
		return false;
	owner = NET_OWNER(owner);
	return owner != guest && map_lookup(s->map_fd[NET_MAP_CONFIG], &owner, c) == 0;
}

/* An address that a guest before us put on a device (its supervisor was killed, or it shares the address) passes
 * to us: whoever comes last removes it. 0: it was there before any guest. */
static uint32_t inherited_device(const struct set *s, const struct netdev_address *a, uint64_t guest)
{
	struct net_config c;

	if (!other_owner(s, a, guest, &c))
		return 0;
	for (size_t i = 0; a->family == AF_INET && i < c.n_v4; i++)
		if (memcmp(&c.v4[i].addr, a->ip, 4) == 0)
			return c.v4[i].ifindex;
	for (size_t i = 0; a->family == AF_INET6 && i < c.n_v6; i++)
		if (memcmp(c.v6[i].addr, a->ip, 16) == 0)
			return c.v6[i].ifindex;
	return 0;
}

/* Which addresses are ours to put on a device: those that the host doesn't have. */
static void plan_devices(const struct set *s, const struct net *n, struct net_config *c)
{
	size_t at[2] = { 0, 0 };

	for (size_t i = 0; i < n->n_addr; i++) {
		const struct addr *a = &n->addr[i];
		size_t slot = at[a->family == AF_INET6]++;
		struct netdev_address d = device_address(c, a->family, slot);

		if (*a->dev)
			*ifindex_of(c, a->family, slot) = host_has(a->family, a->ip)
				? inherited_device(s, &d, c->guest) : if_nametoindex(a->dev);
	}
}

static bool has_device(const struct net_config *c, const struct netdev_address *a)
{
	for (size_t i = 0; a->family == AF_INET && i < c->n_v4; i++)
		if (c->v4[i].ifindex == a->ifindex && memcmp(&c->v4[i].addr, a->ip, 4) == 0)
			return true;
	for (size_t i = 0; a->family == AF_INET6 && i < c->n_v6; i++)
		if (c->v6[i].ifindex == a->ifindex && memcmp(c->v6[i].addr, a->ip, 16) == 0)
			return true;
	return false;
}

typedef void device_work(const struct netdev_address *a);

/* Those in c that vrun has to do with and that aren't in `but`. */
static void each_device(const struct net_config *c, const struct net_config *but, device_work *f)
{
	struct netdev_address a;

	for (size_t i = 0; i < c->n_v4 + c->n_v6; i++) {
		a = i < c->n_v4 ? device_address(c, AF_INET, i) : device_address(c, AF_INET6, i - c->n_v4);
		if (a.ifindex && (!but || !has_device(but, &a)))
			f(&a);
	}
}

static void add_device(const struct netdev_address *a)
{
	char name[IF_NAMESIZE] = "?";

	if (netdev_add(a) < 0 && errno != EEXIST) {
		int e = errno;

		if_indextoname(a->ifindex, name);
		errno = e;
		die_sys("--ip %s@%s: put the address on the device", text_of(a->family, a->ip), name);
	}
}

static void settle_device(const struct netdev_address *a)
{
	if (netdev_settle(a) < 0 && errno == EADDRINUSE)
		die("--ip %s: another host on that network has this address", text_of(a->family, a->ip));
	netdev_announce(a);
}

static void remove_device(const struct netdev_address *a) { netdev_remove(a); }

/* ::1 of a guest is an address on the host's lo: bind() of IPv6 wants one that a device has. */
static void add_loopback6(struct net_config *c)
{
	struct netdev_address a = loopback_address(c);

	if (!(c->flags & NET_LOOPBACK6) || c->flags & NET_LOOPBACK_HOST)
		return;
	if (netdev_add(&a) == 0 || errno == EEXIST)
		return;
	note("--ip: no ::1 in the guest: put %s on lo: %s", text_of(AF_INET6, a.ip), strerror(errno));
	c->flags &= ~(uint32_t)NET_LOOPBACK6;
	c->loopback6_hi = c->loopback6_lo = ~0ULL;
}

static void remove_loopback6(const struct net_config *c)
{
	struct netdev_address a = loopback_address(c);

	if ((c->flags & NET_LOOPBACK6) && !(c->flags & NET_LOOPBACK_HOST))
		netdev_remove(&a);
}

static const char kept_attr[] = "trusted.vrun.net.kept";

/* A directory elsewhere than in /vrun somebody may remove before net_sweep() sees it, and the configuration with it:
 * systemd does, in a unit whose processes were all killed. */
static bool is_kept(const struct cgroup *cg) { return strncmp(cg->path, "/vrun/", 6) != 0; }

static void write_config(const struct set *s, const struct cgroup *cg, const struct net_config *c)
{
	if (is_kept(cg) && fsetxattr(cg->claim_fd, kept_attr, c, sizeof(*c), 0) < 0)
		die_sys("--ip: keep the guest's configuration in an attribute of cgroup /vrun/%u", cg->xid);
	if (map_update(s->map_fd[NET_MAP_CONFIG], &c->guest, c) < 0)
		die_sys("--ip: write the guest's configuration");
}

/* The configuration goes first, and whose the addresses are, so that what is put on devices is known even if we are
 * killed in between; then the addresses, then once more what became of them. */
static void configure(const struct set *s, const struct cgroup *cg, struct net_config *c, const struct net_config *before)
{
	uint32_t flags = c->flags;

	write_config(s, cg, c);
	add_loopback6(c);
	each_prefix(c, s->map_fd[NET_MAP_GUESTS], set_prefix);
	each_device(c, before, add_device);
	unlock_addresses();             /* others don't wait for neighbours to answer */
	each_device(c, before, settle_device);
	if (c->flags != flags)
		write_config(s, cg, c);
}

static void configuration(const struct set *s, struct net_config *c, const struct plan *p, uint32_t xid, uint64_t guest)
{
	fill_config(c, p, xid, guest);
	c->netns = s->netns;
	c->layout = NET_LAYOUT;
	plan_devices(s, &p->net, c);    /* with the lock that configure() lets go of */
}

/* A set that is there, or a new one; in that case the answer is a lock, to be closed when others can find it. */
static int share_set(struct set *s, int parent_fd, bool v6)
{
	int lock_fd = -1;

	open_set(s);
	if (find_set(s, parent_fd))
		return -1;
	lock_fd = lock_sets(parent_fd);
	if (find_set(s, parent_fd))
		return lock_fd;
	create_maps(s);
	load_first(s);
	put_id(s, NET_CREATE, s->prog_fd[NET_CREATE], 0);
	load_rest(s, v6);
	return lock_fd;
}

bool net_device_is_taken(const struct plan *p)
{
	for (size_t i = 0; p->net.mode == IP_LIST && i < p->net.n_addr; i++)
		if (*p->net.addr[i].dev && host_has(p->net.addr[i].family, p->net.addr[i].ip))
			return true;
	return false;
}

void net_apply(const struct plan *p, const struct cgroup *cg, struct net_state *st)
{
	struct net_config c;
	struct set s;
	int lock_fd;

	_cleanup_fd_ int parent_fd = openat(cg->dir_fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (parent_fd < 0)
		die_sys("--ip: open the directory of the guests' cgroups");
	refuse_net_cls();
	lock_fd = share_set(&s, parent_fd, has_v6(&p->net));
	if (!lock_addresses(cg))
		die_sys("--ip: lock /vrun/cgroup.procs");
	configuration(&s, &c, p, cg->xid, cg->id);
	st->lookup_link_fd = lookup_link(&s);
	/* `create` is the first of them and goes last: by it others find the set, which is complete then. */
	for (size_t h = NET_HOOKS; h-- > 0; )
		if (h != NET_LOOKUP && (!netprog_hook[h].v6_only || (c.flags & NET_V6)))
			attach(&s, (enum net_hook)h, cg->dir_fd);
	tell_set(&s, parent_fd, cg->xid);
	close_fd(&lock_fd);
	/* From here on there is something to undo. Until the configuration is written all is refused. */
	st->guests_fd = s.map_fd[NET_MAP_GUESTS];
	st->config_fd = s.map_fd[NET_MAP_CONFIG];
	st->steer_fd = s.map_fd[NET_MAP_STEER];
	st->marks_fd = s.map_fd[NET_MAP_MARKS];
	st->guest = c.guest;
	st->v6_alone = !(c.flags & NET_V4);
	configure(&s, cg, &c, NULL);
	s.map_fd[NET_MAP_GUESTS] = s.map_fd[NET_MAP_CONFIG] = s.map_fd[NET_MAP_STEER] = s.map_fd[NET_MAP_MARKS] = -1;
	close_set(&s);
}

/* A device keeps an address that another guest has taken over. */
static void clean_up(const struct set *s, const struct net_config *c, const struct cgroup *cg)
{
	struct net_config other, mine = *c;

	lock_addresses(cg);
	for (size_t i = 0; i < c->n_v4 + c->n_v6; i++) {
		int family = i < c->n_v4 ? AF_INET : AF_INET6;
		size_t slot = i < c->n_v4 ? i : i - c->n_v4;
		struct netdev_address a = device_address(c, family, slot);

		if (other_owner(s, &a, c->guest, &other) && has_device(&other, &a))
			*ifindex_of(&mine, family, slot) = 0;
	}
	each_device(&mine, NULL, remove_device);
	remove_loopback6(c);
	each_prefix(c, s->map_fd[NET_MAP_GUESTS], clear_prefix);
	unlock_addresses();
}

void net_undo(struct net_state *st, const struct cgroup *cg)
{
	struct net_config c;
	struct set s;

	memset(&s, 0xff, sizeof(s));
	s.map_fd[NET_MAP_CONFIG] = st->config_fd;
	s.map_fd[NET_MAP_GUESTS] = st->guests_fd;
	if (!st->joined && st->config_fd >= 0 && map_lookup(st->config_fd, &st->guest, &c) == 0 && (c.flags & NET_READY))
		clean_up(&s, &c, cg);
	close_fd(&st->lookup_link_fd);
	close_fd(&st->guests_fd);
	close_fd(&st->config_fd);
	close_fd(&st->steer_fd);
	close_fd(&st->marks_fd);
}

bool net_config(const struct net_state *st, struct net_config *c)
{
	return st->config_fd >= 0 && map_lookup(st->config_fd, &st->guest, c) == 0;
}

/* An error is the guest's to find: it sends from what the kernel chooses, or, by the egress filter, not at all. */
void net_bind_source(const struct net_state *st, int sock_fd, int family)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };
	struct net_config c;

	if (!net_config(st, &c))
		return;
	if (family == AF_INET && c.n_v4) {
		v4.sin_addr.s_addr = c.v4[0].addr;
		bind(sock_fd, (struct sockaddr *)&v4, sizeof(v4));
	} else if (family == AF_INET6 && c.n_v6) {
		memcpy(&v6.sin6_addr, c.v6[0].addr, 16);
		bind(sock_fd, (struct sockaddr *)&v6, sizeof(v6));
	}
}

static bool enter_socket(const struct net_state *st, const struct net_steer *k, int sock_fd, uint64_t flags)
{
	uint64_t fd = (uint64_t)sock_fd;
	union bpf_attr a = { .map_fd = (uint32_t)st->steer_fd, .key = (uintptr_t)k, .value = (uintptr_t)&fd, .flags = flags };

	return bpf(BPF_MAP_UPDATE_ELEM, &a) == 0;
}

static void steer_under(const struct net_state *st, struct net_steer *k, unsigned slot, int sock_fd)
{
	k->slot = (uint8_t)slot;
	if (enter_socket(st, k, sock_fd, BPF_NOEXIST))
		return;
	k->slot = (uint8_t)(slot + 1);
	enter_socket(st, k, sock_fd, BPF_ANY);
}

/* Out of the same ones, and in the same way, as netprog.c's take_place. */
static bool take_place(const struct net_state *st, int sock_fd)
{
	struct net_steer k = { .guest = st->guest, .slot = NET_STEER_PLACE };
	uint16_t random[1 + NET_STEER_TRIES];

	if (getrandom(random, sizeof(random), GRND_INSECURE) != sizeof(random))         /* it never waits; 5.6 */
		return false;
	for (size_t i = 0; i <= NET_STEER_TRIES; i++) {
		k.port = random[i] % NET_STEER_PLACES;
		if (enter_socket(st, &k, sock_fd, BPF_NOEXIST))
			return true;
		k.port = NET_STEER_PLACES;
		if (i == 0)
			enter_socket(st, &k, sock_fd, BPF_ANY);
	}
	return false;
}

/* As netprog.c's `listen` does it for TCP: a wildcard for its family, a dual-stack one for both. Where it doesn't
 * work the socket serves the first address, to which it is bound. */
void net_steer(const struct net_state *st, int sock_fd, const struct sockaddr *asked)
{
	enum { V4 = 0, DUAL = 2, V6 = 4 };      /* slots: see netprog.c */
	static const uint8_t any[16], any_mapped[16] = { [10] = 0xff, [11] = 0xff };
	const struct sockaddr_in *v4 = (const void *)asked;
	const struct sockaddr_in6 *v6 = (const void *)asked;
	struct net_steer k = { .guest = st->guest, .protocol = IPPROTO_UDP, .port = ntohs(v4->sin_port) };
	struct net_config c;
	int v6_only = 0;
	socklen_t len = sizeof(v6_only);

	if (!net_config(st, &c) || !take_place(st, sock_fd))
		return;
	if (asked->sa_family == AF_INET6 && memcmp(&v6->sin6_addr, any, 16) == 0) {
		steer_under(st, &k, V6, sock_fd);
		if (getsockopt(sock_fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6_only, &len) < 0 || v6_only)
			return;
		steer_under(st, &k, DUAL, sock_fd);
		return;
	}
	if (asked->sa_family == AF_INET6 && memcmp(&v6->sin6_addr, any_mapped, 16) != 0) {
		memcpy(k.addr, &v6->sin6_addr, 16);
		if (IN6_IS_ADDR_LOOPBACK(&v6->sin6_addr))
			memcpy(k.addr, c.loopback6, 16);
	} else if (asked->sa_family == AF_INET && v4->sin_addr.s_addr) {
		k.addr[2] = htonl(0xffff);
		k.addr[3] = v4->sin_addr.s_addr;
	}
	if (k.addr[2] == htonl(0xffff) && !k.addr[0] && !k.addr[1] && k.addr[3] == htonl(INADDR_LOOPBACK))
		k.addr[3] = c.loopback;
	steer_under(st, &k, V4, sock_fd);
}

/* The configuration of the guest with this cgroup directory; s is to be closed. */
static bool guest_config(int dir_fd, bool any_name, struct set *s, struct net_config *c)
{
	struct stat st;
	uint64_t guest;

	open_set(s);
	if (fstat(dir_fd, &st) < 0 || !take_set(s, dir_fd, any_name))
		return false;
	guest = st.st_ino;
	return map_lookup(s->map_fd[NET_MAP_CONFIG], &guest, c) == 0 && (c->flags & NET_READY) && c->layout == NET_LAYOUT;
}

/* Both stand in one network namespace of the host's, or there would be no set of this name. */
void net_join(const struct cgroup *cg, struct net_state *st)
{
	struct net_config c;
	struct set s;

	if (!guest_config(cg->dir_fd, false, &s, &c))
		die("--join net=%s: its addresses are another version of vrun's, or of another network namespace", cg->name);
	st->config_fd = s.map_fd[NET_MAP_CONFIG];
	st->steer_fd = s.map_fd[NET_MAP_STEER];
	st->marks_fd = s.map_fd[NET_MAP_MARKS];
	st->guest = c.guest;
	st->v6_alone = !(c.flags & NET_V4);
	st->joined = true;
	s.map_fd[NET_MAP_CONFIG] = s.map_fd[NET_MAP_STEER] = s.map_fd[NET_MAP_MARKS] = -1;
	close_set(&s);
}

/* A namespace has no name: whoever lives in it leads there. */
static int find_netns(uint64_t inode)
{
	DIR *d = fdopendir(openat(host_proc_fd(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC));
	struct dirent *e;
	struct stat st;
	int fd = -1;

	while (d && fd < 0 && (e = readdir(d)) != NULL) {
		char path[64];

		if (*e->d_name < '1' || *e->d_name > '9' || strlen(e->d_name) > 10)
			continue;
		snprintf(path, sizeof(path), "%.10s/ns/net", e->d_name);
		if (fstatat(host_proc_fd(), path, &st, 0) < 0 || st.st_ino != inode)
			continue;
		fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0 && (fstat(fd, &st) < 0 || st.st_ino != inode))
			close_fd(&fd);
	}
	if (d)
		closedir(d);
	return fd;
}

static bool kept_config(const struct cgroup *cg, struct net_config *c)
{
	return is_kept(cg) && fgetxattr(cg->claim_fd, kept_attr, c, sizeof(*c)) == sizeof(*c) && c->layout == NET_LAYOUT;
}

/* Whoever comes first sweeps, be it from another network namespace than the dead guest's. */
void net_sweep(const struct cgroup *cg)
{
	_cleanup_fd_ int there_fd = -1;
	struct net_config c;
	struct set s;

	if (guest_config(cg->dir_fd, true, &s, &c) || kept_config(cg, &c)) {
		there_fd = c.netns == s.netns ? -1 : find_netns(c.netns);
		if (c.netns == s.netns || (there_fd >= 0 && setns(there_fd, CLONE_NEWNET) == 0))
			clean_up(&s, &c, cg);
		if (there_fd >= 0 && setns(s.netns_fd, CLONE_NEWNET) < 0)
			die_sys("return to this network namespace");
	}
	close_set(&s);
}

/* What --set can't change stays: rights, loopback. A list that is kept keeps its flags; for those of peers see below. */
static void keep_flags(struct net_config *new, const struct net_config *old, const struct plan *p)
{
	const uint32_t lists = NET_V4 | NET_V6 | NET_SEVERAL | NET_LATER;
	uint32_t taken = p->net.given ? lists : 0;

	new->flags = (old->flags & ~taken) | (new->flags & taken);
	new->loopback = old->loopback;
	if (old->flags & NET_LOOPBACK6) {
		memcpy(new->loopback6, old->loopback6, sizeof(old->loopback6));
		new->loopback6_hi = old->loopback6_hi;
		new->loopback6_lo = old->loopback6_lo;
	} else if (new->flags & NET_V6) {
		new->flags |= NET_LOOPBACK6;
	}
}

static void add_peers(struct net_config *c, const struct net_config *from, bool deny)
{
	for (size_t i = 0; i < from->n_peer4; i++) {
		if (from->peer4[i].deny != deny)
			continue;
		if (c->n_peer4 == NET_PEER4_MAX)
			die("--set: more than %d IPv4 peers, with those of the list that stays", NET_PEER4_MAX);
		c->peer4[c->n_peer4++] = from->peer4[i];
	}
	for (size_t i = 0; i < from->n_peer6; i++) {
		if (from->peer6[i].deny != deny)
			continue;
		if (c->n_peer6 == NET_PEER6_MAX)
			die("--set: more than %d IPv6 peers, with those of the list that stays", NET_PEER6_MAX);
		c->peer6[c->n_peer6++] = from->peer6[i];
	}
}

/* --connect-allow and --connect-deny are a list each, and the one that isn't given stays: who denies one network more
 * must not lift what is denied already. Those that deny come first (netprog.c). */
static void keep_peers(struct net_config *new, const struct net_config *old, const struct net *n)
{
	bool allow_given = false, deny_given = n->deny_none;
	struct net_config both = *new;
	size_t denied;

	for (size_t i = 0; i < n->n_peer; i++)
		*(n->peer[i].deny ? &deny_given : &allow_given) = true;
	both.n_peer4 = both.n_peer6 = 0;
	add_peers(&both, deny_given ? new : old, true);
	denied = both.n_peer4 + both.n_peer6;
	add_peers(&both, allow_given ? new : old, false);
	both.flags &= ~(uint32_t)(NET_PEERS | NET_ALLOWED_ONLY);
	both.flags |= both.n_peer4 + both.n_peer6 ? NET_PEERS : 0;
	both.flags |= both.n_peer4 + both.n_peer6 > denied ? NET_ALLOWED_ONLY : 0;
	*new = both;
}

/* What a lookup in a map with values a CPU returns. "0-3", or "0,2-3": the last number counts. */
static size_t possible_cpus(void)
{
	char text[256];
	ssize_t n = read_at(AT_FDCWD, "/sys/devices/system/cpu/possible", text, sizeof(text));
	const char *last = text;

	if (n <= 0)
		die_sys("read /sys/devices/system/cpu/possible");
	for (const char *q = text; *q; q++)
		if (*q == '-' || *q == ',')
			last = q + 1;
	return strtoul(last, NULL, 10) + 1;
}

/* What net_update has begun: what --set's undoing needs. */
static struct net_change { bool begun; const struct cgroup *cg; struct set s; struct net_config old, new; } change;

static void add_again(const struct netdev_address *a)
{
	if (netdev_add(a) == 0)
		netdev_announce(a);
}

void net_update_undo(void)
{
	const struct set *s = &change.s;

	/* What failed may have been in the guest's namespace, to show the addresses there. */
	if (!change.begun || setns(s->netns_fd, CLONE_NEWNET) < 0)
		return;
	lock_addresses(change.cg);
	each_device(&change.new, &change.old, remove_device);
	if (!(change.old.flags & NET_LOOPBACK6))
		remove_loopback6(&change.new);
	each_prefix(&change.new, s->map_fd[NET_MAP_GUESTS], clear_prefix);
	map_update(s->map_fd[NET_MAP_CONFIG], &change.old.guest, &change.old);
	if (is_kept(change.cg))
		fsetxattr(change.cg->claim_fd, kept_attr, &change.old, sizeof(change.old), 0);
	each_device(&change.old, &change.new, add_again);
	each_prefix(&change.old, s->map_fd[NET_MAP_GUESTS], set_prefix);
	unlock_addresses();
}

/* A list that was given replaces the one that is; the others stay. One write: no packet sees half of it. Devices lose
 * their addresses before that, get them after: whenever we are killed, the configuration names all that are there. */
void net_update(const struct plan *p, const struct cgroup *cg)
{
	struct net_config *old = &change.old, *new = &change.new;
	struct set *s = &change.s;

	if (!guest_config(cg->dir_fd, false, s, old))
		die("--set %s: it has no --ip ADDR, or from another version of vrun or on another network", cg->name);
	if (p->net.later && !p->net.given)
		die("--set %s --ip-later: only with --ip: it is about those addresses", cg->name);
	if (p->net.given && p->net.mode != IP_LIST)
		die("--set %s --ip: none and host can't be changed to in a running guest", cg->name);
	if (!lock_addresses(cg))
		die_sys("--set %s --ip: lock /vrun/cgroup.procs", cg->name);
	configuration(s, new, p, cg->xid, old->guest);
	if (!p->net.given) {
		memcpy(new->v4, old->v4, sizeof(old->v4));
		memcpy(new->v6, old->v6, sizeof(old->v6));
		new->n_v4 = old->n_v4;
		new->n_v6 = old->n_v6;
	}
	keep_flags(new, old, p);
	keep_peers(new, old, &p->net);
	/* Listeners may have moved, which the map told that is written anew. */
	new->flags |= NET_TCP_STEERED;
	old->flags |= NET_TCP_STEERED;
	for (size_t h = 0; h < NET_HOOKS; h++)
		if (netprog_hook[h].v6_only && (new->flags & NET_V6) && !attached(s, (enum net_hook)h, cg->dir_fd))
			attach(s, (enum net_hook)h, cg->dir_fd);
	change.begun = true;
	change.cg = cg;
	each_device(old, new, remove_device);
	each_prefix(old, s->map_fd[NET_MAP_GUESTS], clear_prefix);
	configure(s, cg, new, old);
}

bool net_counters(int dir_fd, struct net_counters *sum)
{
	struct net_counters *cpu = NULL;
	struct net_config c;
	struct set s;
	size_t n = possible_cpus();
	bool ok = false;

	*sum = (struct net_counters){ 0 };
	if (guest_config(dir_fd, true, &s, &c)) {
		cpu = xrealloc_array(NULL, n, sizeof(*cpu));
		ok = map_lookup(s.map_fd[NET_MAP_COUNTERS], &c.guest, cpu) == 0;
	}
	for (size_t i = 0; ok && i < n; i++)
		for (size_t k = 0; k < sizeof(*sum) / sizeof(uint64_t); k++)
			((uint64_t *)sum)[k] += ((const uint64_t *)&cpu[i])[k];
	free(cpu);
	close_set(&s);
	return ok;
}

static size_t peer_line(char *out, size_t room, bool deny, int family, const uint8_t *ip, unsigned plen, uint32_t port)
{
	bool brackets = family == AF_INET6 && port;
	int n = snprintf(out, room, "%s %s%s/%u%s", deny ? "deny" : "allow", brackets ? "[" : "", text_of(family, ip), plen,
			 brackets ? "]" : "");

	if (port)
		n += snprintf(out + n, room - (size_t)n, ":%u", ntohs((uint16_t)port));
	return (size_t)n + (size_t)snprintf(out + n, room - (size_t)n, "\n");
}

void net_peers(int dir_fd, char *out, size_t room)
{
	enum { LINE_MAX_LEN = 80 };
	struct net_config c;
	uint8_t ip[16];
	struct set s;
	size_t n = 0;

	*out = '\0';
	if (!guest_config(dir_fd, true, &s, &c))
		c.n_peer4 = c.n_peer6 = 0;
	close_set(&s);
	for (size_t i = 0; i < c.n_peer4 && n + LINE_MAX_LEN < room; i++) {
		const struct net_peer4 *q = &c.peer4[i];

		memcpy(ip, &q->net, 4);
		n += peer_line(out + n, room - n, q->deny, AF_INET, ip, (unsigned)__builtin_popcount(q->mask), q->port);
	}
	for (size_t i = 0; i < c.n_peer6 && n + LINE_MAX_LEN < room; i++) {
		const struct net_peer6 *q = &c.peer6[i];
		unsigned plen = (unsigned)(__builtin_popcountll(q->mask_hi) + __builtin_popcountll(q->mask_lo));

		for (unsigned k = 0; k < 16; k++)
			ip[k] = (uint8_t)((k < 8 ? q->net_hi : q->net_lo) >> (56 - 8 * (k % 8)));
		n += peer_line(out + n, room - n, q->deny, AF_INET6, ip, plen, q->port);
	}
}

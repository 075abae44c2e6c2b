/* SPDX-License-Identifier: ISC */
/*
 * netsock.c: --hide net: which sockets of the host's stack are the guest's, as /proc/net/tcp and its like have them.
 *
 * The guest's processes live in a network namespace that only shows (netview.c), its IPv4 and IPv6 sockets in the
 * host's: the tables of its own namespace are empty. Here they are made: sock_diag(7) is asked for a dump in which
 * the kernel itself leaves out every socket that wasn't made in the cgroup of the guest's broker
 * (INET_DIAG_BC_CGROUP_COND, Linux 5.9; an accepted socket has its listener's), and each answer becomes a line. The
 * guest decides nothing in it but when.
 *
 * What the kernel keeps of a connection after its end (TIME-WAIT), and of one before its begin (SYN-RECV), has no cgroup
 * any more or yet, and an address of the guest's is no proof: the host's processes may use it, and do when they connect
 * to the guest. But where a listener is the guest's, whoever comes there is: nobody else can listen on that name, and no
 * port with a listener is ever given to an outgoing connection. So these are shown at the names of the guest's
 * listeners, and where they lead to one of these from its IPv4 loopback, which the host's stack gives to nobody that
 * doesn't bind it. Other outgoing connections in TIME-WAIT are left out.
 *
 * A name is what getsockname(2) and getpeername(2) would tell the guest: its loopback is 127.0.0.1 and ::1, and a
 * listener that the address programs put elsewhere (struct net_mark, which the same dump brings along) stands where
 * its program bound it. The same rules as netprog.c's compile_sockname4 and compile_sockname6, in C.
 *
 * The lines are those of the kernel (get_tcp4_sock and its like in net/ipv4, net/ipv6), column by column, under the
 * header of the running one. What sock_diag doesn't tell is a constant: a socket's reference count, its place in
 * memory (which the kernel hides as well), TCP's quick-acknowledge mode.
 *
 * Line i stands at an offset that depends on i alone, and none crosses a page: whoever reads the pages of two
 * generations, or goes on reading in the next one, still gets whole lines. Blanks at the ends of lines make that so,
 * as the kernel has them in its own tables. No line is longer than 255 bytes, which is what ss(8) has room for.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/bpf.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/tcp.h>

enum { PAGE = 4096, LINE_MAX_BYTES = 255, TEXT_MAX_BYTES = 16 << 20, ANSWER_BYTES = 32768 };
/* include/net/tcp_states.h. A request is asked for as SYN_RECV and answers as ANSWERED; TIME-WAIT has FIN_WAIT2 as a first
 * part of it. */
enum { ANSWERED = 3, FIN_WAIT2 = 5, TIME_WAIT = 6, LISTEN = 10, SYN_RECV = 12, BOUND_INACTIVE = 13 };

/* lines: of `width` bytes in a page, but for a page's last, which fills it. */
static const struct table {
	const char *name;
	uint8_t family, protocol;
	uint16_t width, lines;
} tables[] = {
	{ "tcp", AF_INET, IPPROTO_TCP, 157, 26 }, { "tcp6", AF_INET6, IPPROTO_TCP, 227, 18 },
	{ "udp", AF_INET, IPPROTO_UDP, 132, 31 }, { "udp6", AF_INET6, IPPROTO_UDP, 186, 22 },
	{ "udplite", AF_INET, IPPROTO_UDPLITE, 132, 31 }, { "udplite6", AF_INET6, IPPROTO_UDPLITE, 186, 22 },
	{ "raw", AF_INET, IPPROTO_RAW, 132, 31 }, { "raw6", AF_INET6, IPPROTO_RAW, 186, 22 },
	{ "icmp", AF_INET, IPPROTO_ICMP, 132, 31 }, { "icmp6", AF_INET6, IPPROTO_ICMPV6, 186, 22 },
};
enum { TABLES = sizeof(tables) / sizeof(tables[0]), COUNTED = 8 };      /* in sockstat: those before ICMP's */

struct sock {
	struct inet_diag_msg diag;
	struct tcp_info tcp;
	uint32_t drops;
	struct net_mark mark;           /* kind 0: none */
	bool small;                     /* TIME-WAIT or SYN-RECV: no whole socket */
};

/* ---- pure: the kernel's answers ---- */

/* The attributes of [data, data + len), which may be anything: f gets those that are whole. */
static void each_attribute(const uint8_t *data, size_t len, void (*f)(struct sock *, int, const uint8_t *, size_t),
			   struct sock *s)
{
	struct rtattr a;

	for (size_t at = 0; len - at >= sizeof(a); at += RTA_ALIGN(a.rta_len)) {
		memcpy(&a, data + at, sizeof(a));
		if (a.rta_len < sizeof(a) || a.rta_len > len - at)
			return;
		f(s, a.rta_type & NLA_TYPE_MASK, data + at + sizeof(a), a.rta_len - sizeof(a));
		if (RTA_ALIGN(a.rta_len) > len - at)
			return;
	}
}

static void take_storage(struct sock *s, int type, const uint8_t *data, size_t len)
{
	if (type == SK_DIAG_BPF_STORAGE_MAP_VALUE && len >= sizeof(s->mark))
		memcpy(&s->mark, data, sizeof(s->mark));
}

static void take_storages(struct sock *s, int type, const uint8_t *data, size_t len)
{
	if (type == SK_DIAG_BPF_STORAGE)
		each_attribute(data, len, take_storage, s);
}

static void take_attribute(struct sock *s, int type, const uint8_t *data, size_t len)
{
	switch (type) {
	case INET_DIAG_INFO:            /* as much of it as this kernel has */
		memcpy(&s->tcp, data, len < sizeof(s->tcp) ? len : sizeof(s->tcp));
		break;
	case INET_DIAG_SKMEMINFO:
		if (len >= (SK_MEMINFO_DROPS + 1) * sizeof(uint32_t))
			memcpy(&s->drops, data + SK_MEMINFO_DROPS * sizeof(uint32_t), sizeof(s->drops));
		break;
	case INET_DIAG_SK_BPF_STORAGES:
		each_attribute(data, len, take_storages, s);
		break;
	}
}

/* The payload of one message of a dump; false if it is none of a socket. */
static bool parse_sock(const uint8_t *data, size_t len, struct sock *s)
{
	memset(s, 0, sizeof(*s));
	if (len < sizeof(s->diag))
		return false;
	memcpy(&s->diag, data, sizeof(s->diag));
	each_attribute(data + sizeof(s->diag), len - sizeof(s->diag), take_attribute, s);
	return true;
}

/* ---- pure: the names that the guest knows ---- */

static bool is_mapped(const uint32_t ip[4])
{
	return !ip[0] && !ip[1] && ip[2] == htonl(0xffff);
}

static void show_loopback(const struct net_config *c, uint8_t family, uint32_t ip[4])
{
	if (family == AF_INET) {
		if (ip[0] == c->loopback)
			ip[0] = htonl(INADDR_LOOPBACK);
	} else if (is_mapped(ip)) {
		if (ip[3] == c->loopback)
			ip[3] = htonl(INADDR_LOOPBACK);
	} else if (c->flags & NET_LOOPBACK6 && memcmp(ip, c->loopback6, 16) == 0) {
		memset(ip, 0, 16);
		ip[3] = htonl(1);
	}
}

/* As getsockname(2) says it (marks are about names from before a connect), and as getpeername(2) does. */
static void show_names(const struct net_config *c, struct sock *s)
{
	struct inet_diag_sockid *id = &s->diag.id;
	const struct net_mark *m = &s->mark;
	bool v6 = s->diag.idiag_family == AF_INET6;
	uint32_t kind = id->idiag_dport ? 0 : m->kind;

	if (kind & NET_MARK_MOVED) {
		id->idiag_sport = htons(m->port);
		if (!v6)
			id->idiag_src[0] = m->ip4;
		else if (kind & NET_MARK_MAPPED)
			id->idiag_src[3] = m->ip4;
		else
			memcpy(id->idiag_src, m->ip6, 16);
	}
	if (!(kind & NET_MARK_WILD) || !(c->flags & (NET_SEVERAL | NET_LATER)))
		show_loopback(c, s->diag.idiag_family, id->idiag_src);
	else if (v6 && kind & NET_MARK_MAPPED)
		id->idiag_src[3] = 0;
	else
		memset(id->idiag_src, 0, v6 ? 16 : 4);
	show_loopback(c, s->diag.idiag_family, id->idiag_dst);
}

/* A datagram for 127.0.0.1 where nobody listens goes to a server on the guest's address (netprog.c's udp_loopback4); its
 * mark isn't told for UDP, but who is connected from the loopback meant the loopback. */
static void show_loopback_peer(const struct net_config *c, struct sock *s)
{
	struct inet_diag_sockid *id = &s->diag.id;

	if (s->diag.idiag_family == AF_INET && id->idiag_dport && id->idiag_src[0] == c->loopback &&
	    id->idiag_dst[0] == c->v4[0].addr)
		id->idiag_dst[0] = c->loopback;
}

/* The owner on the guest's numbers; nobody's is 65534, as the kernel says it (from_kuid_munged). */
static uint32_t guest_uid(uint32_t uid, uint32_t id_base)
{
	if (!id_base)
		return uid;
	return uid - id_base < IDS_PER_GUEST ? uid - id_base : 65534;
}

/* ---- pure: the lines ---- */

static size_t line_at(const struct table *t, size_t i)
{
	return i / t->lines * PAGE + i % t->lines * t->width;
}

static int put_address(char *out, size_t room, uint8_t family, const uint32_t ip[4], uint16_t port)
{
	if (family == AF_INET)
		return snprintf(out, room, "%08X:%04X ", ip[0], ntohs(port));
	return snprintf(out, room, "%08X%08X%08X%08X:%04X ", ip[0], ip[1], ip[2], ip[3], ntohs(port));
}

/* A listener has no such values yet: the kernel shows what its connections begin with. */
static void put_tcp(char *out, size_t room, const struct sock *s)
{
	const struct tcp_info *t = &s->tcp;
	bool listens = s->diag.idiag_state == LISTEN;

	snprintf(out, room, " %u %u 0 %u %d", listens ? 100 : t->tcpi_rto / 10000, t->tcpi_ato / 10000,
		 listens ? 10 : t->tcpi_snd_cwnd,
		 listens ? 0 : t->tcpi_snd_ssthresh >= INT32_MAX ? -1 : (int)t->tcpi_snd_ssthresh);
}

/* Without its newline; i counts sockets, from 0. */
static void format_line(const struct table *t, size_t i, const struct sock *s, uint32_t id_base,
			char line[LINE_MAX_BYTES])
{
	const struct inet_diag_msg *d = &s->diag;
	bool tcp = t->protocol == IPPROTO_TCP, listens = tcp && d->idiag_state == LISTEN;
	int references = !tcp ? 2 : !s->small ? 1 : d->idiag_state == ANSWERED ? 0 : 3;
	const int pointer = 2 * (int)sizeof(void *), room = LINE_MAX_BYTES;
	int n = snprintf(line, LINE_MAX_BYTES, tcp || t->protocol == IPPROTO_RAW ? "%4zu: " : "%5zu: ", i);

	n += put_address(line + n, (size_t)(room - n), t->family, d->id.idiag_src, d->id.idiag_sport);
	n += put_address(line + n, (size_t)(room - n), t->family, d->id.idiag_dst,
			 t->protocol == IPPROTO_RAW ? 0 : d->id.idiag_dport);
	n += snprintf(line + n, (size_t)(room - n), "%02X %08X:%08X %02X:%08X %08X %5u %8d %u %d %0*d", d->idiag_state,
		      listens ? 0 : d->idiag_wqueue, d->idiag_rqueue, tcp ? d->idiag_timer : 0,
		      tcp ? d->idiag_expires / 10 : 0, s->small ? d->idiag_retrans : s->tcp.tcpi_retransmits,
		      s->small && d->idiag_state != ANSWERED ? 0 : guest_uid(d->idiag_uid, id_base),
		      s->tcp.tcpi_probes, d->idiag_inode, references, pointer, 0);
	if (s->small)
		return;
	if (tcp)
		put_tcp(line + n, (size_t)(room - n), s);
	else
		snprintf(line + n, (size_t)(room - n), " %u", s->drops);
}

/* ---- the text ---- */

struct text { char *s; size_t lines, room; bool full; };

static void put_line(const struct table *t, struct text *o, const char *line)
{
	size_t from = line_at(t, o->lines), end = line_at(t, o->lines + 1), len = strnlen(line, LINE_MAX_BYTES);

	if (!o->s || end > o->room) {
		size_t room = o->room ? 2 * o->room : PAGE;
		char *more = room <= TEXT_MAX_BYTES ? realloc(o->s, room) : NULL;

		if (!more) {
			o->full = true;         /* a table that ends early, and between lines */
			return;
		}
		o->s = more;
		o->room = room;
	}
	memset(o->s + from, ' ', end - from - 1);
	o->s[end - 1] = '\n';
	memcpy(o->s + from, line, len < end - from - 1 ? len : end - from - 1);
	o->lines++;
}

struct dump {                           /* take: what is done with each answer */
	const struct netsock *of;
	const struct table *table;
	const struct net_config *config;
	struct text *text;              /* NULL: only count */
	size_t n, n_small, n_waiting;
	void (*take)(struct dump *d, struct sock *s);
	struct receiver *receiver; size_t n_receivers;
	struct server *server; size_t n_servers;
};

/*
 * The kernel brings marks along for TCP alone. But a UDP socket that isn't bound where its program asked for is in the
 * table of receivers, where the broker has put it (net_steer): under the name that was asked for, known by its cookie.
 */
struct receiver { uint64_t cookie; struct net_steer key; };
enum { RECEIVERS_MAX = 2 * NET_STEER_PLACES };

static int by_cookie(const void *a, const void *b)
{
	const struct receiver *x = a, *y = b;

	return (x->cookie > y->cookie) - (x->cookie < y->cookie);
}

static void read_receivers(struct dump *d)
{
	struct net_steer key = { 0 }, next;
	uint64_t cookie;
	union bpf_attr a = { .map_fd = (uint32_t)d->of->net->steer_fd, .next_key = (uintptr_t)&next }, get = {
		.map_fd = a.map_fd, .key = (uintptr_t)&next, .value = (uintptr_t)&cookie };

	d->receiver = malloc(RECEIVERS_MAX * sizeof(*d->receiver));
	/* A key that is gone is followed by the first. */
	for (size_t i = 0; d->receiver && i < NET_STEER_ENTRIES && d->n_receivers < RECEIVERS_MAX; i++) {
		if (syscall(__NR_bpf, BPF_MAP_GET_NEXT_KEY, &a, sizeof(a)) < 0)
			break;
		if (next.guest == d->of->net->guest && next.protocol == IPPROTO_UDP &&
		    syscall(__NR_bpf, BPF_MAP_LOOKUP_ELEM, &get, sizeof(get)) == 0)
			d->receiver[d->n_receivers++] = (struct receiver){ cookie, next };
		key = next;
		a.key = (uintptr_t)&key;
	}
	if (d->receiver)
		qsort(d->receiver, d->n_receivers, sizeof(*d->receiver), by_cookie);
}

/* A dual-stack one is there twice. */
static void find_mark(const struct dump *d, struct sock *s)
{
	struct receiver own;
	const struct receiver *r = NULL;

	memcpy(&own.cookie, s->diag.id.idiag_cookie, sizeof(own.cookie));
	if (!s->diag.id.idiag_dport && d->n_receivers)
		r = bsearch(&own, d->receiver, d->n_receivers, sizeof(own), by_cookie);
	while (r && r > d->receiver && r[-1].cookie == own.cookie)
		r--;
	for (; r && r < d->receiver + d->n_receivers && r->cookie == own.cookie; r++) {
		const struct net_steer *k = &r->key;
		bool v4 = is_mapped(k->addr), wild = !v4 && !k->addr[0] && !k->addr[1] && !k->addr[2] && !k->addr[3];
		bool mapped = v4 || (wild && k->slot < NET_STEER_DUAL);

		s->mark = (struct net_mark){ .kind = NET_MARK_MOVED, .ip4 = k->addr[3], .port = k->port };
		s->mark.kind |= (wild ? NET_MARK_WILD : 0) | (mapped ? NET_MARK_MAPPED : 0);
		memcpy(s->mark.ip6, k->addr, 16);
	}
}

static void show_sock(struct dump *d, struct sock *s)
{
	char line[LINE_MAX_BYTES];

	d->n++;
	if (!d->text || d->text->full)
		return;
	if (d->table->protocol != IPPROTO_TCP) {
		find_mark(d, s);
		show_loopback_peer(d->config, s);
	}
	show_names(d->config, s);
	format_line(d->table, d->n - 1, s, d->of->id_base, line);
	put_line(d->table, d->text, line);
}

/* ---- what is no whole socket ---- */

/* A listener by the name that the guest knows; IPv4 as mapped. */
struct server { uint32_t ip[4]; uint32_t port; uint32_t uid; };
enum { SERVERS_MAX = 65536, TIME_WAIT_MS = 60000 };   /* TCP_TIMEWAIT_LEN in include/net/tcp.h */

static int by_name(const void *a, const void *b)
{
	return memcmp(a, b, offsetof(struct server, uid));
}

static struct server name_of(const struct sock *s, const __be32 ip[4], __be16 port)
{
	struct server n = { .ip = { 0, 0, htonl(0xffff), ip[0] }, .port = port, .uid = s->diag.idiag_uid };

	if (s->diag.idiag_family == AF_INET6)
		memcpy(n.ip, ip, 16);
	return n;
}

static void take_server(struct dump *d, struct sock *s)
{
	if (d->n_servers == SERVERS_MAX)
		return;
	if (d->n_servers % 256 == 0) {
		struct server *more = realloc(d->server, (d->n_servers + 256) * sizeof(*more));

		if (!more)
			return;
		d->server = more;
	}
	show_names(d->config, s);
	d->server[d->n_servers++] = name_of(s, s->diag.id.idiag_src, s->diag.id.idiag_sport);
}

/* name: as the kernel knows it. */
static bool is_own(const struct net_config *c, const struct server *name)
{
	uint64_t hi = (uint64_t)ntohl(name->ip[0]) << 32 | ntohl(name->ip[1]);
	uint64_t lo = (uint64_t)ntohl(name->ip[2]) << 32 | ntohl(name->ip[3]);

	if (is_mapped(name->ip)) {
		for (size_t i = 0; i < c->n_v4 && i < NET_V4_MAX; i++)
			if (ntohl(name->ip[3]) - c->v4[i].lo < c->v4[i].count)
				return true;
		return name->ip[3] == c->loopback;
	}
	for (size_t i = 0; i < c->n_v6 && i < NET_V6_MAX; i++)
		if (hi == c->v6[i].net && lo - c->v6[i].lo <= c->v6[i].more)
			return true;
	return c->flags & NET_LOOPBACK6 && memcmp(name->ip, c->loopback6, 16) == 0;
}

static const struct server *find_server(const struct dump *d, const struct server *name)
{
	return d->n_servers ? bsearch(name, d->server, d->n_servers, sizeof(*name), by_name) : NULL;
}

static bool is_loopback(const struct net_config *c, const struct server *name)
{
	return is_mapped(name->ip) && name->ip[3] == c->loopback;
}

/* kernel, shown: the two names of one end. On the host's own loopback a wildcard of the guest's isn't. */
static const struct server *find_listener(const struct dump *d, const struct server *kernel, struct server shown)
{
	const struct server *found;

	if (!is_own(d->config, kernel))
		return NULL;
	found = find_server(d, &shown);
	if (found || (d->config->flags & NET_LOOPBACK_HOST && is_loopback(d->config, kernel)))
		return found;
	if (is_mapped(shown.ip)) {
		shown.ip[3] = 0;
		found = find_server(d, &shown);
	}
	memset(shown.ip, 0, sizeof(shown.ip));
	return found ? found : find_server(d, &shown);
}

static void show_sock(struct dump *d, struct sock *s);

static void take_small(struct dump *d, struct sock *s)
{
	struct sock seen = *s;
	const struct inet_diag_sockid *kernel = &s->diag.id, *shown = &seen.diag.id;
	const bool begins = s->diag.idiag_state == ANSWERED;
	const struct server own = name_of(s, kernel->idiag_src, kernel->idiag_sport);
	const struct server peer = name_of(s, kernel->idiag_dst, kernel->idiag_dport), *listener;

	/* From before the guest: its name was another's then. */
	if (!begins && s->diag.idiag_expires + d->of->alive_ms < TIME_WAIT_MS)
		return;
	show_names(d->config, &seen);
	listener = find_listener(d, &own, name_of(&seen, shown->idiag_src, shown->idiag_sport));
	if (!listener && !begins && is_loopback(d->config, &own) && !(d->config->flags & NET_LOOPBACK_HOST))
		listener = find_listener(d, &peer, name_of(&seen, shown->idiag_dst, shown->idiag_dport));
	if (!listener)
		return;
	s->small = true;
	s->diag.idiag_uid = listener->uid;
	d->n_small++;
	d->n_waiting += !begins;
	show_sock(d, s);
}

static void take_sock(struct dump *d, const uint8_t *data, size_t len)
{
	struct sock s;

	if (parse_sock(data, len, &s) && s.diag.idiag_family == d->table->family)
		d->take(d, &s);
}

/* The messages of one receive. 1: more come; 0: this was the end; -1: an error, in errno. */
static int take_answer(struct dump *d, const uint8_t *data, size_t len)
{
	struct nlmsghdr h;
	int error = 0;

	for (size_t at = 0; len - at >= sizeof(h); at += NLMSG_ALIGN(h.nlmsg_len)) {
		memcpy(&h, data + at, sizeof(h));
		if (h.nlmsg_len < sizeof(h) || h.nlmsg_len > len - at)
			break;
		/* A dump that fails once it has begun says so at its end; both messages begin with the errno. */
		if (h.nlmsg_type == NLMSG_DONE || h.nlmsg_type == NLMSG_ERROR) {
			if (h.nlmsg_len >= NLMSG_HDRLEN + sizeof(error))
				memcpy(&error, data + at + NLMSG_HDRLEN, sizeof(error));
			errno = error < 0 && error > -4096 ? -error : EPROTO;
			return h.nlmsg_type == NLMSG_DONE && error >= 0 ? 0 : -1;
		}
		if (h.nlmsg_type == SOCK_DIAG_BY_FAMILY)
			take_sock(d, data + at + NLMSG_HDRLEN, h.nlmsg_len - NLMSG_HDRLEN);
		if (NLMSG_ALIGN(h.nlmsg_len) > len - at)
			break;
	}
	return 1;
}

/* ---- the kernel is asked ---- */

/* The condition is a program of one instruction: is it so, go to its end (the socket is taken), else beyond. */
struct request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 q;
	struct rtattr program; struct inet_diag_bc_op op; uint32_t cgroup[2];
	struct rtattr storages; struct rtattr map; uint32_t map_fd;
};

static void fill_request(struct request *r, const struct table *t, uint64_t cgroup, int marks_fd, uint32_t states)
{
	enum { CONDITION = sizeof(r->op) + sizeof(r->cgroup) };

	*r = (struct request){
		.head = { .nlmsg_len = sizeof(*r), .nlmsg_type = SOCK_DIAG_BY_FAMILY,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.q = { .sdiag_family = t->family, .sdiag_protocol = t->protocol,
		       .idiag_ext = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1),
		       .idiag_states = states },
		.program = { .rta_len = RTA_LENGTH(CONDITION), .rta_type = INET_DIAG_REQ_BYTECODE },
		.op = { .code = INET_DIAG_BC_CGROUP_COND, .yes = CONDITION, .no = CONDITION + 4 },
		.storages = { .rta_len = RTA_LENGTH(RTA_LENGTH(sizeof(r->map_fd))),
			      .rta_type = INET_DIAG_REQ_SK_BPF_STORAGES | NLA_F_NESTED },
		.map = { .rta_len = RTA_LENGTH(sizeof(r->map_fd)), .rta_type = SK_DIAG_BPF_STORAGE_REQ_MAP_FD },
		.map_fd = (uint32_t)marks_fd,
	};
	memcpy(r->cgroup, &cgroup, sizeof(cgroup));
}

static int ask(struct dump *d, const void *request, size_t len)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	uint8_t *answer = malloc(ANSWER_BYTES);
	int more = 1;

	if (fd < 0 || !answer || send(fd, request, len, 0) < 0)
		more = -1;
	while (more > 0) {
		ssize_t n = recv(fd, answer, ANSWER_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		more = n <= 0 ? -1 : take_answer(d, answer, (size_t)n);
	}
	free(answer);
	return more;
}

static int ask_whole(struct dump *d, void (*take)(struct dump *, struct sock *), uint32_t states)
{
	struct request r;

	fill_request(&r, d->table, d->of->cgroup, d->of->net->marks_fd, states);
	d->take = take;
	return ask(d, &r, sizeof(r));
}

/* An address of the guest's, or what a range of them has in common. */
struct host { uint8_t family, plen; uint32_t ip[4]; };
enum { HOSTS_MAX = NET_V4_MAX + NET_V6_MAX + 2 };

static size_t list_hosts(const struct net_config *c, uint8_t family, struct host *out)
{
	size_t n = 0;

	out[n++] = (struct host){ AF_INET, 32, { c->loopback } };
	for (size_t i = 0; i < c->n_v4 && i < NET_V4_MAX; i++) {
		uint32_t differ = c->v4[i].lo ^ (c->v4[i].lo + c->v4[i].count - 1);

		out[n++] = (struct host){ AF_INET, (uint8_t)(differ ? __builtin_clz(differ) : 32), { htonl(c->v4[i].lo) } };
	}
	if (family == AF_INET)
		return n;
	if (c->flags & NET_LOOPBACK6) {
		out[n] = (struct host){ .family = AF_INET6, .plen = 128 };
		memcpy(out[n++].ip, c->loopback6, 16);
	}
	for (size_t i = 0; i < c->n_v6 && i < NET_V6_MAX; i++) {
		const struct net_slot6 *a = &c->v6[i];
		uint64_t differ = a->lo ^ (a->lo + a->more);

		out[n++] = (struct host){ AF_INET6, (uint8_t)(differ ? 64 + __builtin_clzll(differ) : 128),
			{ htonl((uint32_t)(a->net >> 32)), htonl((uint32_t)a->net), htonl((uint32_t)(a->lo >> 32)),
			  htonl((uint32_t)a->lo) } };
	}
	return n;
}

/*
 * Those without a cgroup (its number is 0) and with one of these addresses. An instruction goes to its own `yes` or `no`;
 * the end of the program takes the socket, and beyond it leaves it out. After each address but the last stands a jump to
 * the end.
 */
struct small_request {
	struct nlmsghdr head;
	struct inet_diag_req_v2 q;
	struct rtattr program;
	uint8_t code[12 + HOSTS_MAX * 32];
};

static size_t fill_small_request(struct small_request *r, const struct table *t, const struct net_config *c)
{
	struct host host[HOSTS_MAX];
	size_t n = list_hosts(c, t->family, host), at = sizeof(struct inet_diag_bc_op) + 8, total = at - 4;
	struct inet_diag_bc_op op = { .code = INET_DIAG_BC_CGROUP_COND, .yes = (uint8_t)at };

	for (size_t i = 0; i < n; i++)
		total += sizeof(op) + sizeof(struct inet_diag_hostcond) + (host[i].family == AF_INET ? 4 : 16) + sizeof(op);
	memset(r, 0, sizeof(*r));
	op.no = (uint16_t)(total + 4);
	memcpy(r->code, &op, sizeof(op));
	for (size_t i = 0; i < n; i++) {
		const struct inet_diag_hostcond h = { .family = host[i].family, .prefix_len = host[i].plen, .port = -1 };
		const size_t size = host[i].family == AF_INET ? 4 : 16, len = sizeof(op) + sizeof(h) + size;
		const bool last = i + 1 == n;

		op = (struct inet_diag_bc_op){ INET_DIAG_BC_S_COND, (uint8_t)len,
					       (uint16_t)(last ? len + 4 : len + sizeof(op)) };
		memcpy(r->code + at, &op, sizeof(op));
		memcpy(r->code + at + sizeof(op), &h, sizeof(h));
		memcpy(r->code + at + sizeof(op) + sizeof(h), host[i].ip, size);
		at += len;
		if (last)
			break;
		op = (struct inet_diag_bc_op){ INET_DIAG_BC_JMP, sizeof(op), (uint16_t)(total - at) };
		memcpy(r->code + at, &op, sizeof(op));
		at += sizeof(op);
	}
	r->program = (struct rtattr){ (unsigned short)RTA_LENGTH(at), INET_DIAG_REQ_BYTECODE };
	r->head = (struct nlmsghdr){ .nlmsg_len = (uint32_t)(offsetof(struct small_request, code) + at),
				     .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP };
	r->q = (struct inet_diag_req_v2){ .sdiag_family = t->family, .sdiag_protocol = t->protocol,
					  .idiag_states = 1U << FIN_WAIT2 | 1U << TIME_WAIT | 1U << SYN_RECV };
	return r->head.nlmsg_len;
}

/* A listener of IPv6 may serve IPv4, too. */
static int ask_small(struct dump *d)
{
	struct small_request r;
	struct dump servers = { .of = d->of, .config = d->config };
	int result = 0;

	for (size_t i = 0; i < TABLES && result == 0; i++) {
		servers.table = &tables[i];
		if (servers.table->protocol == IPPROTO_TCP)
			result = ask_whole(&servers, take_server, 1U << LISTEN);
	}
	d->server = servers.server;
	d->n_servers = servers.n_servers;
	if (d->n_servers)
		qsort(d->server, d->n_servers, sizeof(*d->server), by_name);
	d->take = take_small;
	if (result == 0)
		result = ask(d, &r, fill_small_request(&r, d->table, d->config));
	free(d->server);
	d->server = NULL;
	return result;
}

/* "0100007F:0001": the words of the address as they are, the port as a number. False if it's another family's. */
static bool parse_name(const char *text, uint8_t family, __be32 ip[4], __be16 *port)
{
	const size_t words = family == AF_INET ? 1 : 4;
	char word[9] = "";

	if (strlen(text) != 8 * words + 5 || text[8 * words] != ':')
		return false;
	for (size_t i = 0; i < words; i++) {
		memcpy(word, text + 8 * i, 8);
		ip[i] = (uint32_t)strtoul(word, NULL, 16);
	}
	*port = htons((uint16_t)strtoul(text + 8 * words + 1, NULL, 16));
	return true;
}

/* A line of /proc/net/raw (raw_sock_seq_show in net/ipv4/raw.c); false for its header. */
static bool parse_raw(char *line, uint8_t family, struct sock *s)
{
	enum { SLOT, OWN, PEER, STATE, QUEUES, TIMER, RETRANSMITS, UID, TIMEOUT, INODE, COUNT, PLACE, DROPS, FIELDS };
	char *field[FIELDS], *save = NULL, *queue;

	memset(s, 0, sizeof(*s));
	for (size_t i = 0; i < FIELDS; i++) {
		field[i] = strtok_r(i ? NULL : line, " \n", &save);
		if (!field[i])
			return false;
	}
	queue = strchr(field[QUEUES], ':');
	if (!queue || !parse_name(field[OWN], family, s->diag.id.idiag_src, &s->diag.id.idiag_sport) ||
	    !parse_name(field[PEER], family, s->diag.id.idiag_dst, &s->diag.id.idiag_dport))
		return false;
	s->diag.idiag_family = family;
	s->diag.idiag_state = (uint8_t)strtoul(field[STATE], NULL, 16);
	s->diag.idiag_wqueue = (uint32_t)strtoul(field[QUEUES], NULL, 16);
	s->diag.idiag_rqueue = (uint32_t)strtoul(queue + 1, NULL, 16);
	s->diag.idiag_uid = (uint32_t)strtoul(field[UID], NULL, 10);
	s->diag.idiag_inode = (uint32_t)strtoul(field[INODE], NULL, 10);
	s->drops = (uint32_t)strtoul(field[DROPS], NULL, 10);
	return true;
}

/* No kernel has sock_diag for ICMP's sockets, and many have none for raw ones. In a user namespace a socket is the guest's
 * if its owner is: nobody else has these ids. */
static void read_raw(struct dump *d)
{
	char path[24], line[LINE_MAX_BYTES + 1];
	struct sock s;
	FILE *f;
	int fd;

	snprintf(path, sizeof(path), "self/net/%s", d->table->name);
	fd = d->of->id_base ? openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC) : -1;
	f = fd < 0 ? NULL : fdopen(fd, "r");
	while (f && fgets(line, sizeof(line), f))
		if (parse_raw(line, d->table->family, &s) && s.diag.idiag_uid - d->of->id_base < IDS_PER_GUEST)
			show_sock(d, &s);
	if (f)
		fclose(f);
}

/* ENOENT: no sock_diag for this protocol in this kernel (CONFIG_INET_DIAG and its like). */
static int collect(struct dump *d)
{
	const uint8_t protocol = d->table->protocol;
	int result = 0;

	if (protocol == IPPROTO_ICMP || protocol == IPPROTO_ICMPV6) {
		read_raw(d);
		return 0;
	}
	if (d->of->cgroup)
		result = ask_whole(d, show_sock, ~(1U << TIME_WAIT | 1U << SYN_RECV | 1U << BOUND_INACTIVE));
	if (d->of->cgroup && result == 0 && protocol == IPPROTO_TCP)
		result = ask_small(d);
	if (result < 0 && errno == ENOENT) {
		if (protocol == IPPROTO_RAW)
			read_raw(d);
		return 0;
	}
	return result;
}

/* The first line of the running kernel's table, as the guest's own network namespace has it: it is empty there. */
static bool read_header(pid_t guest, const char *name, char *line, size_t size)
{
	char path[48];
	ssize_t n;

	snprintf(path, sizeof(path), "%d/net/%s", (int)guest, name);
	_cleanup_fd_ int fd = openat(host_proc_fd(), path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, line, size - 1);
	if (n <= 0)
		return false;
	line[n] = '\0';
	n = (ssize_t)strcspn(line, "\n");
	while (n > 0 && line[n - 1] == ' ')
		n--;
	line[n] = '\0';
	return true;
}

static char *render_table(const struct netsock *n, const struct net_config *c, const struct table *t, size_t *len)
{
	struct text o = { 0 };
	struct dump d = { .of = n, .table = t, .config = c, .text = &o };
	char header[LINE_MAX_BYTES];

	if (!read_header(n->guest, t->name, header, sizeof(header)))
		return NULL;
	put_line(t, &o, header);
	if (t->protocol == IPPROTO_UDP && c->flags & NET_UDP_STEERED)
		read_receivers(&d);
	if (collect(&d) < 0) {
		free(o.s);
		o.s = NULL;
	}
	free(d.receiver);
	*len = line_at(t, o.lines);
	return o.s;
}

/* ---- /proc/net/sockstat ---- */

static size_t count(const struct netsock *n, const struct net_config *c, const struct table *t, size_t *waiting)
{
	struct dump d = { .of = n, .table = t, .config = c };

	collect(&d);
	*waiting += d.n_waiting;
	return d.n - d.n_small;
}

/* Pure. The guest's namespace's own text, with the guest's sockets in it; what the kernel counts for the whole machine
 * (orphan, tw, alloc, mem), and so tells of the host, is 0 but for alloc, which is what is in use, and tw, what is shown. */
static size_t format_sockstat(const char *text, const size_t in_use[COUNTED], size_t waiting, char *out, size_t room)
{
	static const char *const words[COUNTED] = {
		"TCP:", "TCP6:", "UDP:", "UDP6:", "UDPLITE:", "UDPLITE6:", "RAW:", "RAW6:",
	};
	size_t len = 0, all = 0;

	for (size_t i = 0; i < COUNTED; i++)
		all += in_use[i];
	while (*text && len < room) {
		size_t line = strcspn(text, "\n"), i = 0;

		while (i < COUNTED && strncmp(text, words[i], strlen(words[i])) != 0)
			i++;
		if (i == 0)
			len += (size_t)snprintf(out + len, room - len, "TCP: inuse %zu orphan 0 tw %zu alloc %zu mem 0\n",
						in_use[0], waiting, in_use[0] + in_use[1]);
		else if (i == 2)
			len += (size_t)snprintf(out + len, room - len, "UDP: inuse %zu mem 0\n", in_use[i]);
		else if (i < COUNTED)
			len += (size_t)snprintf(out + len, room - len, "%s inuse %zu\n", words[i], in_use[i]);
		else if (strncmp(text, "sockets: used ", 14) == 0)
			len += (size_t)snprintf(out + len, room - len, "sockets: used %llu\n",
						strtoull(text + 14, NULL, 10) + all);
		else
			len += (size_t)snprintf(out + len, room - len, "%.*s\n", (int)line, text);
		text += line + (text[line] == '\n');
	}
	return len < room ? len : room - 1;
}

static char *render_sockstat(const struct netsock *n, const struct net_config *c, const char *name, size_t *len)
{
	size_t in_use[COUNTED] = { 0 }, waiting = 0;
	char path[48], text[1024], *out;

	snprintf(path, sizeof(path), "%d/net/%s", (int)n->guest, name);
	if (read_at(host_proc_fd(), path, text, sizeof(text)) <= 0)
		return NULL;
	for (size_t i = 0; i < COUNTED; i++)
		if (tables[i].family == AF_INET6 || strcmp(name, "sockstat") == 0)
			in_use[i] = count(n, c, &tables[i], &waiting);
	out = malloc(2 * sizeof(text));
	if (out)
		*len = format_sockstat(text, in_use, waiting, out, 2 * sizeof(text));
	return out;
}

char *netsock_text(const struct netsock *n, const char *name, size_t *len)
{
	struct net_config c;

	if (!net_config(n->net, &c))
		return NULL;
	if (strncmp(name, "sockstat", 8) == 0)
		return render_sockstat(n, &c, name, len);
	for (size_t i = 0; i < TABLES; i++)
		if (strcmp(tables[i].name, name) == 0)
			return render_table(n, &c, &tables[i], len);
	return NULL;
}

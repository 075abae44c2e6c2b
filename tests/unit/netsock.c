/* SPDX-License-Identifier: ISC */
/* netsock.c: sock_diag's answers to the kernel's lines. The expected lines are Linux 6.18's own. */
#include "../../netsock.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static void same(const char *got, const char *expected, const char *what)
{
	check(!strcmp(got, expected), what);
	if (strcmp(got, expected))
		printf("# got      '%s'\n# expected '%s'\n", got, expected);
}

static void set_ip(__be32 *to, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	to[0] = htonl(a);
	to[1] = htonl(b);
	to[2] = htonl(c);
	to[3] = htonl(d);
}

static void lines(void)
{
	struct sock s = { .diag = { .idiag_family = AF_INET, .idiag_state = LISTEN, .idiag_rqueue = 1, .idiag_wqueue = 5,
				    .idiag_uid = 0x70000000, .idiag_inode = 46666221 } };
	char line[LINE_MAX_BYTES];

	s.diag.id.idiag_src[0] = htonl(0x7f000001);
	s.diag.id.idiag_sport = htons(81);
	format_line(&tables[0], 0, &s, 0x70000000, line);
	same(line, "   0: 0100007F:0051 00000000:0000 0A 00000000:00000001 00:00000000 00000000     0        0 46666221 1 "
	     "0000000000000000 100 0 0 10 0", "a TCP listener");
	s.diag.idiag_state = 1;
	s.diag.idiag_timer = 1;
	s.diag.idiag_expires = 230;
	s.diag.id.idiag_dst[0] = htonl(0x0a4e0006);
	s.diag.id.idiag_dport = htons(443);
	s.tcp = (struct tcp_info){ .tcpi_rto = 204000, .tcpi_ato = 40000, .tcpi_snd_cwnd = 10, .tcpi_snd_ssthresh = INT32_MAX,
				   .tcpi_retransmits = 2 };
	s.diag.idiag_uid += 1000;
	format_line(&tables[0], 12, &s, 0x70000000, line);
	same(line, "  12: 0100007F:0051 06004E0A:01BB 01 00000005:00000001 01:00000017 00000002  1000        0 46666221 1 "
	     "0000000000000000 20 4 0 10 -1", "a TCP connection with a timer");
	s.drops = 7;
	s.diag.idiag_state = 7;
	s.diag.id.idiag_dport = s.diag.id.idiag_dst[0] = 0;
	s.tcp = (struct tcp_info){ 0 };
	format_line(&tables[2], 0, &s, 0x70000000, line);
	same(line, "    0: 0100007F:0051 00000000:0000 07 00000005:00000001 00:00000000 00000000  1000        0 46666221 2 "
	     "0000000000000000 7", "a UDP socket");
	set_ip(s.diag.id.idiag_src, 0x20010db8, 0, 0, 5);
	format_line(&tables[7], 0, &s, 0x70000000, line);
	same(line, "   0: B80D0120000000000000000005000000:0051 00000000000000000000000000000000:0000 07 00000005:00000001 "
	     "00:00000000 00000000  1000        0 46666221 2 0000000000000000 7", "a raw IPv6 socket");
	check(guest_uid(5, 0x70000000) == 65534 && guest_uid(0x70010000, 0x70000000) == 65534, "an owner who isn't the guest's");
	check(guest_uid(5, 0) == 5, "without a user namespace owners are the host's");
}

static void longest(void)
{
	struct sock s;
	char line[LINE_MAX_BYTES];
	bool fits = true;

	memset(&s, 0xff, sizeof(s));
	s.small = false;
	s.tcp.tcpi_rto = 120000000;
	s.tcp.tcpi_ato = 200000;
	s.tcp.tcpi_snd_ssthresh = INT32_MAX - 1;
	s.tcp.tcpi_retransmits = s.tcp.tcpi_probes = 255;
	s.drops = 999999999;
	s.diag.idiag_state = 1;
	s.diag.idiag_expires = INT32_MAX;
	s.diag.idiag_uid = 65534;
	for (size_t i = 0; i < TABLES; i++) {
		format_line(&tables[i], 99999, &s, 0, line);
		fits &= strlen(line) < tables[i].width;
		check(tables[i].width * tables[i].lines <= PAGE &&
		      PAGE - tables[i].width * (tables[i].lines - 1) <= LINE_MAX_BYTES, tables[i].name);
	}
	check(fits, "the longest line fits in each of them");
}

/* The rules of getsockname(2) in netprog.c. */
static void names(void)
{
	struct net_config c = { .flags = NET_SEVERAL | NET_LOOPBACK6, .loopback = htonl(0x7f010201),
				.v4[0].addr = htonl(0x0a4e0005), .loopback6 = { htonl(0xfd000000), 0, 0, htonl(0x102) } };
	struct sock s = { .diag.idiag_family = AF_INET };
	struct inet_diag_sockid *id = &s.diag.id;

	id->idiag_src[0] = id->idiag_dst[0] = c.loopback;
	show_names(&c, &s);
	check(id->idiag_src[0] == htonl(0x7f000001) && id->idiag_dst[0] == htonl(0x7f000001), "loopback: 127.0.0.1, both ends");
	id->idiag_src[0] = c.v4[0].addr;
	s.mark.kind = NET_MARK_WILD;
	show_names(&c, &s);
	check(id->idiag_src[0] == 0, "a wildcard of several addresses is 0.0.0.0");
	id->idiag_src[0] = c.v4[0].addr;
	id->idiag_dport = htons(9);
	show_names(&c, &s);
	check(id->idiag_src[0] == c.v4[0].addr, "once connected it is the address");
	id->idiag_dport = 0;
	c.flags = NET_LOOPBACK6;
	show_names(&c, &s);
	check(id->idiag_src[0] == c.v4[0].addr, "a wildcard of one address is that");
	s.mark = (struct net_mark){ .kind = NET_MARK_MOVED, .ip4 = c.v4[0].addr, .port = 22 };
	id->idiag_src[0] = c.loopback;
	id->idiag_sport = htons(534);
	show_names(&c, &s);
	check(id->idiag_src[0] == c.v4[0].addr && id->idiag_sport == htons(22), "one that had to move is where it asked for");

	s = (struct sock){ .diag.idiag_family = AF_INET6 };
	memcpy(id->idiag_src, c.loopback6, 16);
	set_ip(id->idiag_dst, 0, 0, 0xffff, 0x7f010201);
	show_names(&c, &s);
	check(id->idiag_src[0] == 0 && id->idiag_src[3] == htonl(1), "IPv6: its loopback is ::1");
	check(id->idiag_dst[3] == htonl(0x7f000001), "and a mapped one ::ffff:127.0.0.1");
	c.flags |= NET_SEVERAL;
	s.mark.kind = NET_MARK_WILD;
	set_ip(id->idiag_src, 0, 0, 0xffff, 0x0a4e0005);
	show_names(&c, &s);
	check(!id->idiag_src[2] && !id->idiag_src[3], "a dual wildcard is ::");
	s.mark.kind = NET_MARK_WILD | NET_MARK_MAPPED;
	set_ip(id->idiag_src, 0, 0, 0xffff, 0x0a4e0005);
	show_names(&c, &s);
	check(id->idiag_src[2] == htonl(0xffff) && !id->idiag_src[3], "a mapped wildcard is ::ffff:0.0.0.0");
	c.flags = 0;
	memset(c.loopback6, 0, 16);
	memset(id->idiag_src, 0, 16);
	s.mark.kind = 0;
	show_names(&c, &s);
	check(!id->idiag_src[3], "without ::1 of its own the wildcard stays one");
}

static void answers(void)
{
	struct { struct nlmsghdr h; struct nlmsgerr e; } error = {
		.h = { .nlmsg_len = sizeof(error), .nlmsg_type = NLMSG_ERROR }, .e = { .error = -ENOENT } };
	struct { struct nlmsghdr h; struct inet_diag_msg m; struct rtattr a; uint32_t mem[9]; } sock = {
		.h = { .nlmsg_len = sizeof(sock), .nlmsg_type = SOCK_DIAG_BY_FAMILY }, .m = { .idiag_family = AF_INET },
		.a = { .rta_len = RTA_LENGTH(36), .rta_type = INET_DIAG_SKMEMINFO }, .mem = { [SK_MEMINFO_DROPS] = 3 } };
	const struct net_state net = { .steer_fd = -1 };
	const struct netsock of = { .net = &net };
	struct net_config c = { 0 };
	struct text o = { 0 };
	struct dump d = { .of = &of, .table = &tables[2], .config = &c, .text = &o, .take = show_sock };
	struct sock s;

	check(take_answer(&d, (uint8_t *)&error, sizeof(error)) == -1 && errno == ENOENT, "an error is one");
	check(take_answer(&d, (uint8_t *)&sock, sizeof(sock)) == 1 && d.n == 1 && o.lines == 1, "a socket is a line");
	check(take_answer(&d, (uint8_t *)&sock, sizeof(sock) - 1) == 1 && d.n == 1, "one that is cut off isn't");
	check(parse_sock((uint8_t *)&sock.m, sizeof(sock) - sizeof(sock.h), &s) && s.drops == 3, "with its drops");
	sock.h.nlmsg_type = NLMSG_DONE;
	sock.m.idiag_family = 0;
	check(take_answer(&d, (uint8_t *)&sock, sizeof(sock)) == 0, "the end is the end");
	error.h.nlmsg_type = NLMSG_DONE;
	check(take_answer(&d, (uint8_t *)&error, sizeof(error)) == -1 && errno == ENOENT, "an error at the end, too");
	free(o.s);
}

/* A program of inet_diag's as the kernel runs it (inet_diag_bc_run): is a socket without a cgroup taken? */
static bool runs(const struct small_request *r, uint32_t cgroup, uint8_t family, const uint32_t ip[4])
{
	int len = r->program.rta_len - (int)RTA_LENGTH(0), at = 0;

	while (at < len) {
		struct inet_diag_bc_op op;
		struct inet_diag_hostcond h;
		uint32_t addr[4], id[2];
		bool yes = false;

		memcpy(&op, r->code + at, sizeof(op));
		if (op.code == INET_DIAG_BC_CGROUP_COND) {
			memcpy(id, r->code + at + sizeof(op), sizeof(id));
			yes = id[0] == cgroup && !id[1];
		} else if (op.code == INET_DIAG_BC_S_COND) {
			memcpy(&h, r->code + at + sizeof(op), sizeof(h));
			memcpy(addr, r->code + at + sizeof(op) + sizeof(h), h.family == AF_INET ? 4 : 16);
			yes = h.family == family;
			for (int i = 0; yes && i < h.prefix_len; i++)
				yes = !((ntohl(addr[i / 32]) ^ ntohl(ip[i / 32])) >> (31 - i % 32) & 1);
		}
		at += yes ? op.yes : op.no;
	}
	return at == len;
}

static void small(void)
{
	struct net_config c = { .flags = NET_LOOPBACK6, .loopback = htonl(0x7f010201), .n_v4 = 2, .n_v6 = 1,
		.v4 = { { .lo = 0x0a4e0005, .count = 1, .addr = htonl(0x0a4e0005) }, { .lo = 0x0a4e0010, .count = 6 } },
		.v6 = { { .net = 0x20010db800000000, .lo = 5, .more = 0 } }, .loopback6 = { htonl(0xfd000000), 0, 0, htonl(9) } };
	const struct { uint8_t family; uint32_t ip[4]; bool own; } at[] = {
		{ AF_INET, { htonl(0x0a4e0005) }, true }, { AF_INET, { htonl(0x0a4e0006) }, false },
		{ AF_INET, { htonl(0x0a4e0010) }, true }, { AF_INET, { htonl(0x0a4e0015) }, true },
		{ AF_INET, { htonl(0x0a4e0018) }, false }, { AF_INET, { htonl(0x7f010201) }, true },
		{ AF_INET, { htonl(0x7f000001) }, false }, { AF_INET6, { htonl(0x20010db8), 0, 0, htonl(5) }, true },
		{ AF_INET6, { htonl(0x20010db8), 0, 0, htonl(6) }, false }, { AF_INET6, { htonl(0xfd000000), 0, 0, htonl(9) }, true },
		{ AF_INET6, { 0, 0, 0, htonl(1) }, false },
	};
	struct small_request r;
	struct text o = { 0 };
	const struct net_state net = { .steer_fd = -1 };
	const struct netsock of = { .net = &net, .alive_ms = 1000 };
	struct dump d = { .of = &of, .table = &tables[0], .config = &c, .text = &o };
	struct sock s = { .diag = { .idiag_family = AF_INET, .idiag_state = LISTEN, .idiag_uid = 7 } };
	struct inet_diag_sockid *id = &s.diag.id;
	bool right = true, none = false;

	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++) {
		struct server n = name_of(&s, at[i].ip, 0);

		if (at[i].family == AF_INET6)
			memcpy(n.ip, at[i].ip, 16);
		fill_small_request(&r, &tables[1], &c);
		right &= runs(&r, 0, at[i].family, at[i].ip) == at[i].own && is_own(&c, &n) == at[i].own;
		none |= runs(&r, 5, at[i].family, at[i].ip);
	}
	check(right, "without a cgroup: the kernel picks the guest's addresses, each and no other");
	check(!none, "and nothing with one");

	id->idiag_src[0] = htonl(0x0a4e0005);
	id->idiag_sport = htons(80);
	take_server(&d, &s);
	id->idiag_src[0] = c.loopback;
	id->idiag_sport = htons(81);
	take_server(&d, &s);
	qsort(d.server, d.n_servers, sizeof(*d.server), by_name);
	static const struct { uint32_t own; uint16_t port; uint32_t peer; uint16_t peer_port; uint8_t state; bool shown; uint32_t expires; } ends[] = {
		{ 0x0a4e0005, 80, 0x0a4e0007, 999, TIME_WAIT, true, 59500 }, { 0x0a4e0005, 82, 0x0a4e0007, 999, TIME_WAIT, false, 59500 },
		{ 0x0a4e0005, 999, 0x0a4e0005, 80, TIME_WAIT, false, 59500 }, { 0x0a4e0010, 80, 0x0a4e0007, 999, TIME_WAIT, false, 59500 },
		{ 0x7f010201, 999, 0x7f010201, 81, TIME_WAIT, true, 59500 }, { 0x7f010201, 999, 0x7f010201, 82, TIME_WAIT, false, 59500 },
		{ 0x7f000001, 999, 0x7f000001, 81, TIME_WAIT, false, 59500 }, { 0x7f000001, 81, 0x7f000001, 999, TIME_WAIT, false, 59500 },
		{ 0x0a4e0005, 80, 0x0a4e0007, 997, TIME_WAIT, false, 58900 },
		{ 0x0a4e0005, 80, 0x0a4e0007, 998, ANSWERED, true }, { 0x0a4e0005, 83, 0x0a4e0007, 998, ANSWERED, false },
	};
	right = true;
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		size_t before = d.n;

		s = (struct sock){ .diag = { .idiag_family = AF_INET, .idiag_state = ends[i].state } };
		id->idiag_src[0] = htonl(ends[i].own), id->idiag_dst[0] = htonl(ends[i].peer);
		s.diag.idiag_expires = ends[i].expires;
		id->idiag_sport = htons(ends[i].port), id->idiag_dport = htons(ends[i].peer_port);
		take_small(&d, &s);
		right &= (d.n != before) == ends[i].shown;
	}
	check(right, "what ended or begins at a listener of the guest's is shown, and what else it can't have from anybody");
	check(d.n == 3 && d.n_waiting == 2, "and counted");
	free(d.server);
	free(o.s);
}

static void raw(void)
{
	char line[] = "   1: 0500000A:0001 00000000:0000 07 00000000:00000240 00:00000000 00000000 1879048192        0 4711 2 "
		"00000000e4a1b2c3 9\n", header[] = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   "
		"uid  timeout inode ref pointer drops\n", cut[] = "   1: 0500000A:0001 00000000:0000 07";
	struct sock s;

	check(!parse_raw(header, AF_INET, &s) && !parse_raw(cut, AF_INET, &s), "raw: neither a header nor half a line is one");
	check(parse_raw(line, AF_INET, &s) && s.diag.id.idiag_src[0] == 0x0500000a &&
	      s.diag.id.idiag_sport == htons(1) && s.diag.idiag_rqueue == 0x240 && s.diag.idiag_uid == 0x70000000 &&
	      s.diag.idiag_inode == 4711 && s.drops == 9, "raw: a line of the kernel's");
}

static void sockstat(void)
{
	const size_t in_use[COUNTED] = { 3, 2, 1, 1, 0, 0, 1, 0 };
	char out[1024];
	size_t n = format_sockstat("sockets: used 5\nTCP: inuse 0 orphan 4 tw 9 alloc 77 mem 102\nUDP: inuse 0 mem 8\n"
				   "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n", in_use, 6, out, sizeof(out));

	out[n] = '\0';
	same(out, "sockets: used 13\nTCP: inuse 3 orphan 0 tw 6 alloc 5 mem 0\nUDP: inuse 1 mem 0\nUDPLITE: inuse 0\n"
	     "RAW: inuse 1\nFRAG: inuse 0 memory 0\n", "sockstat has the guest's numbers and none of the machine's");
}

int main(void)
{
	lines();
	longest();
	names();
	answers();
	small();
	raw();
	sockstat();
	return failed;
}

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
	struct dump d = { .of = &of, .table = &tables[2], .config = &c, .text = &o };
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
	const size_t in_use[TABLES] = { 3, 2, 1, 1, 0, 0, 1, 0 };
	char out[1024];
	size_t n = format_sockstat("sockets: used 5\nTCP: inuse 0 orphan 4 tw 9 alloc 77 mem 102\nUDP: inuse 0 mem 8\n"
				   "UDPLITE: inuse 0\nRAW: inuse 0\nFRAG: inuse 0 memory 0\n", in_use, out, sizeof(out));

	out[n] = '\0';
	same(out, "sockets: used 13\nTCP: inuse 3 orphan 0 tw 0 alloc 5 mem 0\nUDP: inuse 1 mem 0\nUDPLITE: inuse 0\n"
	     "RAW: inuse 1\nFRAG: inuse 0 memory 0\n", "sockstat has the guest's numbers and none of the machine's");
}

int main(void)
{
	lines();
	longest();
	names();
	answers();
	raw();
	sockstat();
	return failed;
}

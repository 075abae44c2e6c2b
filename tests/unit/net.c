/* SPDX-License-Identifier: ISC */
/* net.c's parsers: what they take, and the reason they give for what they don't. */
#include "../../net.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

typedef const char *parser(struct net *, const char *);

static void takes(parser *f, const char *arg)
{
	struct net n = { 0 };

	check(!f(&n, arg), arg);
	free(n.addr);
	free(n.peer);
}

static void refuses(parser *f, const char *arg)
{
	struct net n = { 0 };
	const char *why = f(&n, arg);

	check(why && !n.n_addr && !n.n_peer && !n.given && n.loopback == LOOPBACK_AUTO, *arg ? arg : "(nothing)");
}

static void ip(void)
{
	static const char *const good[] = {
		"none", "host", "10.1.2.3", "10.1.2.3/24", "10.1.2.3/24@eth0", "10.1.2.3@lo", "2001:db8::1",
		"2001:db8::1/64@eth0.12", "10.0.0.1-10.0.0.9", "10.0.0.1-10.0.0.1", "2001:db8::1-2001:db8::ff",
		"1.0.0.1", "223.255.255.255",
	};
	static const char *const bad[] = {
		"", "10.1.2", "10.1.2.3/", "10.1.2.3/0", "10.1.2.3/33", "10.1.2.3/+8", "10.1.2.3@", "10.1.2.3/24/24",
		"0.0.0.0", "127.0.0.1", "127.3.4.5", "224.0.0.1", "255.255.255.255", "::", "::1", "ff02::1", "fe80::1",
		"::ffff:10.1.2.3", "host1", "localhost", "010.1.2.3", "10.1.2.3-", "10.1.2.3-10.1.2.2",
		"10.1.2.3-2001:db8::1", "10.1.2.3-10.1.2.4/24", "10.1.2.3-10.1.2.4@lo", "126.0.0.1-128.0.0.1",
		"2001:db8::1-2001:db8:0:1::1", "2001:db8::1/129", "10.1.2.3@averyveryverylongname", "10.1.2.3 ",
		"10.1.2.3@a/b", "10.1.2.3/24@eth0/1", "-", "@", "/", "2001:db8::1%lo",
	};
	struct net n = { 0 };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		takes(net_parse_ip, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(net_parse_ip, bad[i]);
	check(!net_parse_ip(&n, "10.1.2.3/24@eth0") && n.n_addr == 1 && n.mode == IP_LIST, "an address is taken");
	check(n.addr[0].plen == 24 && n.addr[0].have_plen && !strcmp(n.addr[0].dev, "eth0"), "with LEN and DEV");
	check(net_parse_ip(&n, "10.1.2.3") != NULL, "twice the same is refused");
	check(net_parse_ip(&n, "10.1.2.1-10.1.2.9") != NULL, "and a range that holds it");
	check(net_parse_ip(&n, "none") && net_parse_ip(&n, "host") && n.n_addr == 1, "none and host stand alone");
	check(!net_parse_ip(&n, "10.1.2.4") && n.addr[1].plen == 32 && !n.addr[1].have_plen, "LEN is 32 if not given");
	check(!net_parse_ip(&n, "2001:db8::1") && n.addr[2].plen == 128, "and 128 for IPv6");
	for (int i = 0; i < 14; i++) {
		char text[32];

		snprintf(text, sizeof(text), "10.9.0.%d", i + 1);
		net_parse_ip(&n, text);
	}
	check(n.n_addr == 17 && net_parse_ip(&n, "10.8.0.1") != NULL, "the seventeenth IPv4 address is refused");
	free(n.addr);
}

static void peers(void)
{
	static const char *const good[] = {
		"10.0.0.0/8", "10.1.2.3", "10.1.2.3:53", "10.0.0.0/8:443", "0.0.0.0/0", "2001:db8::/32", "::/0",
		"[2001:db8::/32]:443", "[::1]:80", "[2001:db8::1]", "127.0.0.53:53",
	};
	static const char *const bad[] = {
		"", "10.1.2.3/8", "10.1.2.3:", "10.1.2.3:0", "10.1.2.3:65536", "10.1.2.3:http", "2001:db8::1/32",
		"[2001:db8::1", "[2001:db8::1]80", "[]:80", "example.org", "10.0.0.0/8:443:1", "10.0.0.0/33", ":80", "[:80",
	};
	struct net n = { 0 };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		takes(net_parse_connect_allow, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(net_parse_connect_deny, bad[i]);
	check(!net_parse_connect_deny(&n, "[2001:db8::/32]:443") && n.peer[0].port == 443 && n.peer[0].plen == 32 &&
	      n.peer[0].deny && n.peer[0].family == AF_INET6, "a denied IPv6 peer has its network and port");
	free(n.peer);
}

static void loopback(void)
{
	static const char *const good[] = { "host", "127.1.2.3", "127.0.1.1" };
	static const char *const bad[] = { "", "127.0.0.1", "127.0.0.53", "10.1.2.3", "::1", "127.255.255.255", "127.1" };

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		takes(net_parse_loopback, good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		refuses(net_parse_loopback, bad[i]);
}

int main(void)
{
	ip();
	peers();
	loopback();
	return failed;
}

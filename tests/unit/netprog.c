/* SPDX-License-Identifier: ISC */
/*
 * netprog.c's programs, run by an interpreter of the few instructions that they use: without root, on any
 * machine. The helpers are played here; the kernel's part (does the verifier take them?) is tests/60-ip.t's.
 */
#include "../../netprog.c"
#include <stdlib.h>

static int failed;
static struct net_config config;
static struct net_counters counters;
static struct net_mark mark;
static bool have_mark;
static int refusal;                     /* set_retval's */
static struct bpf_sock sk, *listener;   /* the context's socket; what a lookup finds */
static struct sockaddr_in6 bound;       /* what bpf_bind got */
static socklen_t bound_len;
static struct net_steer entered[8];
static unsigned n_entered;
static struct { unsigned taken, tried, seated, port_max; } places;     /* taken: so many tries find none */
static uint64_t owner;
static uint32_t n_random;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static uint64_t enter(const struct net_steer *k, uint64_t flags)
{
	if (k->slot != NET_STEER_PLACE) {
		entered[n_entered++ % 8] = *k;
		return 0;
	}
	if (k->guest != config.guest || k->protocol || k->addr[0] || k->addr[1] || k->addr[2] || k->addr[3] || k->zero)
		abort();
	if (k->port > places.port_max)
		places.port_max = k->port;
	if (flags == BPF_ANY) {
		places.seated += k->port == NET_STEER_PLACES;
		return 0;
	}
	return places.tried++ < places.taken ? (uint64_t)-EEXIST : 0;
}

static uint64_t helper(int id, const uint64_t r[11])
{
	switch (id) {
	case BPF_FUNC_get_local_storage:
		return r[1] == NET_MAP_CONFIG ? (uintptr_t)&config : (uintptr_t)&counters;
	case BPF_FUNC_set_retval:
		refusal = -(int)r[1];
		return 0;
	case BPF_FUNC_sk_lookup_tcp:
	case BPF_FUNC_sk_lookup_udp:
		return (uintptr_t)listener;
	case BPF_FUNC_sk_storage_get:
		if (r[4] & BPF_SK_STORAGE_GET_F_CREATE && !have_mark) {
			memcpy(&mark, (void *)(uintptr_t)r[3], sizeof(mark));
			have_mark = true;
		}
		return have_mark ? (uintptr_t)&mark : 0;
	case BPF_FUNC_sk_storage_delete:
		have_mark = false;
		return 0;
	case BPF_FUNC_bind:
		bound_len = (socklen_t)r[3];
		memcpy(&bound, (void *)(uintptr_t)r[2], r[3]);
		return 0;
	case BPF_FUNC_sock_hash_update:
		return enter((const void *)(uintptr_t)r[3], r[4]);
	case BPF_FUNC_get_prandom_u32:
		return 0x9e3779b9U * ++n_random;
	case BPF_FUNC_map_lookup_elem:
		return r[1] == NET_MAP_GUESTS && owner ? (uintptr_t)&owner : 0;
	case BPF_FUNC_probe_read_kernel:
		memset((void *)(uintptr_t)r[1], 0, r[2]);
		return 0;
	case BPF_FUNC_sk_fullsock:
		return r[1];
	}
	return 0;
}

static bool jumps(unsigned op, uint64_t a, uint64_t b)
{
	switch (op) {
	case BPF_JA: return true;
	case BPF_JEQ: return a == b;
	case BPF_JNE: return a != b;
	case BPF_JGT: return a > b;
	case BPF_JGE: return a >= b;
	case BPF_JLT: return a < b;
	case BPF_JLE: return a <= b;
	case BPF_JSET: return a & b;
	case BPF_JSLT: return (int64_t)a < (int64_t)b;
	}
	abort();
}

static uint64_t compute(const struct bpf_insn *i, uint64_t a, uint64_t b)
{
	switch (BPF_OP(i->code)) {
	case BPF_MOV: return b;
	case BPF_ADD: return a + b;
	case BPF_SUB: return a - b;
	case BPF_AND: return a & b;
	case BPF_OR: return a | b;
	case BPF_XOR: return a ^ b;
	case BPF_LSH: return a << b;
	case BPF_RSH: return a >> b;
	case BPF_END:
		return i->imm == 16 ? htons((uint16_t)a) : i->imm == 32 ? htonl((uint32_t)a)
			: (uint64_t)htonl((uint32_t)a) << 32 | htonl((uint32_t)(a >> 32));
	}
	abort();
}

static uint64_t fetch(unsigned size, uint64_t at)
{
	uint64_t v = 0;
	size_t n = size == BPF_B ? 1 : size == BPF_H ? 2 : size == BPF_W ? 4 : 8;

	memcpy(&v, (void *)(uintptr_t)at, n);   /* little-endian hosts */
	return v;
}

/* The kernel widens data and data_end of an skb to pointers; so do we. */
static uint64_t run(enum net_hook h, void *context, const uint8_t *packet_at, size_t len)
{
	static struct bpf_insn code[NETPROG_ROOM];
	size_t n = netprog_compile(h, true, code, NULL), steps = 0;
	uint8_t stack[512] = { 0 };
	uint64_t r[11] = { [1] = (uintptr_t)context, [10] = (uintptr_t)stack + sizeof(stack) };

	refusal = 0;
	for (size_t pc = 0; pc < n && steps++ < 5000; pc++) {
		const struct bpf_insn *i = &code[pc];
		uint64_t b = i->code & BPF_X ? r[i->src_reg] : (uint64_t)(int64_t)i->imm;
		bool ctx = i->src_reg == 6 || r[i->src_reg] == (uintptr_t)context;

		switch (BPF_CLASS(i->code)) {
		case BPF_LD:
			r[i->dst_reg] = (uint64_t)code[pc++].imm;
			break;
		case BPF_LDX:
			if (packet_at && ctx && i->off == offsetof(struct __sk_buff, data))
				r[i->dst_reg] = (uintptr_t)packet_at;
			else if (packet_at && ctx && i->off == offsetof(struct __sk_buff, data_end))
				r[i->dst_reg] = (uintptr_t)packet_at + len;
			else
				r[i->dst_reg] = fetch(BPF_SIZE(i->code), r[i->src_reg] + (uint64_t)i->off);
			break;
		case BPF_STX:
			memcpy((void *)(uintptr_t)(r[i->dst_reg] + (uint64_t)i->off), &r[i->src_reg],
			       BPF_SIZE(i->code) == BPF_B ? 1 : BPF_SIZE(i->code) == BPF_H ? 2 : BPF_SIZE(i->code) == BPF_W ? 4 : 8);
			break;
		case BPF_ALU:
			r[i->dst_reg] = BPF_OP(i->code) == BPF_END ? compute(i, r[i->dst_reg], 0)
				: (uint32_t)compute(i, (uint32_t)r[i->dst_reg], (uint32_t)b);
			break;
		case BPF_ALU64:
			r[i->dst_reg] = compute(i, r[i->dst_reg], b);
			break;
		case BPF_JMP:
			if (BPF_OP(i->code) == BPF_EXIT)
				return r[0];
			if (BPF_OP(i->code) == BPF_CALL)
				r[0] = helper(i->imm, r);
			else if (jumps(BPF_OP(i->code), r[i->dst_reg], b))
				pc += (size_t)(ssize_t)i->off;
			break;
		default:
			abort();
		}
	}
	abort();
}

/* ---- a guest: 10.1.2.3/24, 10.7.0.1-10.7.0.9, 2001:db8::3/64; its loopback 127.5.6.1 ---- */

#define IP(a, b, c, d) ((uint32_t)(a) << 24 | (b) << 16 | (c) << 8 | (d))

static void guest(uint32_t flags)
{
	memset(&config, 0, sizeof(config));
	memset(&counters, 0, sizeof(counters));
	memset(&sk, 0, sizeof(sk));
	have_mark = false;
	listener = NULL;
	bound_len = 0;
	n_entered = 0;
	config.flags = flags;
	config.guest = 99;
	config.loopback = htonl(IP(127, 5, 6, 1));
	config.loopback6_hi = config.loopback6_lo = ~0ULL;
	for (size_t i = 0; i < NET_V4_MAX; i++)
		config.v4[i] = (struct net_slot4){ .addr = ~0U, .mask = ~0U, .broadcast = ~0U };
	for (size_t i = 0; i < NET_V6_MAX; i++)
		config.v6[i] = (struct net_slot6){ .net = ~0ULL, .lo = ~0ULL, .mask_hi = ~0ULL, .mask_lo = ~0ULL };
	config.n_v4 = 2;
	config.v4[0] = (struct net_slot4){ IP(10, 1, 2, 3), 1, htonl(IP(10, 1, 2, 3)), htonl(0xffffff00), IP(10, 1, 2, 255), 0 };
	config.v4[1] = (struct net_slot4){ IP(10, 7, 0, 1), 9, htonl(IP(10, 7, 0, 1)), htonl(0xffff0000), IP(10, 7, 255, 255), 0 };
	config.n_v6 = 1;
	config.v6[0] = (struct net_slot6){ 0x20010db800000000, 3, 0, ~0ULL, 0, { htonl(0x20010db8), 0, 0, htonl(3) }, 0, 64 };
}

static struct bpf_sock_addr address4(uint32_t ip, uint16_t port, uint32_t type)
{
	return (struct bpf_sock_addr){ .user_family = AF_INET, .family = AF_INET, .user_ip4 = htonl(ip),
		.user_port = htons(port), .type = type, .sk = &sk };
}

static void bind4(uint32_t ip, uint64_t want, int want_refusal, uint32_t want_ip, const char *what)
{
	struct bpf_sock_addr a = address4(ip, 80, SOCK_STREAM);
	uint64_t r = run(NET_BIND4, &a, NULL, 0);

	check(r == want && refusal == want_refusal && (!want || a.user_ip4 == htonl(want_ip)), what);
}

static void binds(void)
{
	struct bpf_sock_addr a = address4(0, 80, SOCK_STREAM);
	struct bpf_sock host = { .family = AF_INET };

	guest(0);
	check(run(NET_BIND4, &a, NULL, 0) == 0, "bind: what is not configured is refused");
	guest(NET_READY | NET_V4);
	bind4(0, 1, 0, IP(10, 1, 2, 3), "bind: a wildcard is the first address");
	check(have_mark && mark.kind == MARK_WILD, "and marked");
	bind4(IP(10, 7, 0, 9), 1, 0, IP(10, 7, 0, 9), "bind: the end of a range");
	check(!have_mark, "the mark of an earlier bind is gone");
	bind4(IP(10, 7, 0, 10), 0, EADDRNOTAVAIL, 0, "bind: one beyond it");
	bind4(IP(10, 7, 0, 0), 0, EADDRNOTAVAIL, 0, "bind: one before it");
	bind4(IP(255, 255, 255, 255), 0, EADDRNOTAVAIL, 0, "bind: what empty slots are filled with");
	bind4(IP(127, 0, 0, 1), 1, 0, IP(127, 5, 6, 1), "bind: 127.0.0.1 is the guest's");
	bind4(IP(127, 0, 0, 2), 0, EADDRNOTAVAIL, 0, "bind: 127.0.0.2 is not");
	check(counters.denied_binds == 4, "denials are counted");
	config.flags |= NET_LOW_PORTS;
	bind4(0, 3, 0, IP(10, 1, 2, 3), "bind: low ports by the return value");
	listener = &host;
	bind4(0, 3, 0, IP(127, 5, 6, 1), "bind: where the host listens the socket moves to the loopback");
	check(mark.kind == (MARK_WILD | MARK_MOVED) && mark.port == 80 && mark.ip4 == htonl(IP(10, 1, 2, 3)),
	      "the mark has what it should be");
	host.src_ip4 = htonl(IP(10, 7, 0, 1));
	bind4(IP(10, 1, 2, 3), 0, EADDRINUSE, 0, "bind: where the guest's wildcard listens it is in use");
}

static void connects(void)
{
	const struct sockaddr_in *b = (const void *)&bound;
	struct bpf_sock_addr a;

	guest(NET_READY | NET_V4 | NET_SEVERAL);
	a = address4(IP(10, 7, 200, 1), 80, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1 && b->sin_addr.s_addr == htonl(IP(10, 7, 0, 1)),
	      "connect: the source is the address whose network holds the peer");
	a = address4(IP(192, 0, 2, 1), 80, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1 && b->sin_addr.s_addr == htonl(IP(10, 1, 2, 3)), "connect: else the first");
	a = address4(IP(127, 0, 0, 53), 53, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1 && a.user_ip4 == config.loopback && b->sin_addr.s_addr == config.loopback,
	      "connect: 127.0.0.0/8 is the guest's loopback");
	sk.src_port = 1234;
	bound_len = 0;
	a = address4(IP(192, 0, 2, 1), 80, SOCK_DGRAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1 && !bound_len, "connect: a socket that has a port isn't bound again");
	a = address4(IP(10, 1, 2, 255), 80, SOCK_DGRAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 0 && refusal == EPERM, "connect: a network's broadcast is refused");
	config.flags |= NET_PEERS | NET_ALLOWED_ONLY;
	config.n_peer4 = 2;
	config.peer4[0] = (struct net_peer4){ htonl(IP(192, 0, 2, 0)), htonl(0xffffff00), htons(25), 0xffff, 1 };
	config.peer4[1] = (struct net_peer4){ htonl(IP(192, 0, 0, 0)), htonl(0xffff0000), 0, 0, 0 };
	for (size_t i = 2; i < NET_PEER4_MAX; i++)
		config.peer4[i].net = 1;
	a = address4(IP(192, 0, 2, 1), 25, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 0, "peers: denied by port");
	a = address4(IP(192, 0, 2, 1), 26, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1, "peers: allowed by a wider network");
	a = address4(IP(198, 51, 100, 1), 26, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 0, "peers: the rest is denied");
	a = address4(IP(10, 7, 0, 3), 26, SOCK_STREAM);
	check(run(NET_CONNECT4, &a, NULL, 0) == 1, "peers: own addresses pass");
}

static uint8_t protocol = IPPROTO_TCP;

static uint64_t run_packet4(enum net_hook h, uint32_t src, uint32_t dst)
{
	uint8_t p[28] = { 0x45, [9] = protocol, [20] = 8 };     /* as ICMP: echo */
	struct __sk_buff skb = { .len = sizeof(p), .protocol = htons(ETH_P_IP), .sk = &sk };

	src = htonl(src);
	dst = htonl(dst);
	memcpy(p + 12, &src, 4);
	memcpy(p + 16, &dst, 4);
	return run(h, &skb, p, sizeof(p));
}

static uint64_t run_packet6(enum net_hook h, uint64_t src_lo, uint64_t dst_hi)
{
	uint8_t p[48] = { 0x60, [6] = IPPROTO_UDP, [8] = 0x20, 0x01, 0x0d, 0xb8, [23] = (uint8_t)src_lo };
	struct __sk_buff skb = { .len = sizeof(p), .protocol = htons(ETH_P_IPV6), .sk = &sk };

	for (int i = 0; i < 8; i++)
		p[24 + i] = (uint8_t)(dst_hi >> (56 - 8 * i));
	p[39] = (uint8_t)src_lo;
	return run(h, &skb, p, sizeof(p));
}

static void filters(void)
{
	struct __sk_buff skb = { .len = 19, .protocol = htons(ETH_P_IP) };
	uint8_t shorty[19] = { 0x45 };

	guest(0);
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(8, 8, 8, 8)) == 0, "egress: what is not configured is dropped");
	guest(NET_READY | NET_V4 | NET_V6);
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(8, 8, 8, 8)) == 1, "egress: from an own address");
	check(run_packet4(NET_EGRESS, IP(10, 7, 0, 9), IP(8, 8, 8, 8)) == 1, "egress: from the end of a range");
	check(run_packet4(NET_EGRESS, IP(10, 7, 0, 10), IP(8, 8, 8, 8)) == 0, "egress: not from beyond it");
	check(run_packet4(NET_EGRESS, IP(0, 0, 0, 0), IP(8, 8, 8, 8)) == 0, "egress: not from 0.0.0.0");
	check(run_packet4(NET_EGRESS, IP(255, 255, 255, 255), IP(8, 8, 8, 8)) == 0, "egress: not from what fills empty slots");
	check(run_packet4(NET_EGRESS, IP(127, 5, 6, 1), IP(127, 5, 6, 1)) == 1, "egress: from the loopback");
	check(run_packet4(NET_EGRESS, IP(127, 5, 6, 1), IP(10, 7, 0, 2)) == 1, "egress: from there to an own address");
	check(run_packet4(NET_EGRESS, IP(127, 5, 6, 1), IP(8, 8, 8, 8)) == 0, "egress: from there not to others");
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 5, 6, 1)) == 1, "egress: to the loopback");
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 0, 0, 1)) == 1, "egress: TCP to the host's: it answers");
	sk.type = SOCK_RAW;
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 0, 0, 1)) == 0, "egress: not by a raw socket");
	protocol = IPPROTO_ICMP;
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 0, 0, 1)) == 1, "egress: but for ping");
	sk.type = SOCK_DGRAM;
	protocol = IPPROTO_UDP;
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 0, 0, 1)) == 0, "egress: UDP not to the host's loopback");
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(127, 5, 7, 1)) == 0, "egress: not to another guest's");
	protocol = IPPROTO_TCP;
	sk.type = 0;
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(224, 0, 0, 1)) == 0, "egress: not to multicast");
	check(run_packet4(NET_INGRESS, IP(8, 8, 8, 8), IP(10, 1, 2, 3)) == 1, "ingress: to an own address");
	check(run_packet4(NET_INGRESS, IP(8, 8, 8, 8), IP(10, 1, 2, 4)) == 0, "ingress: not to another");
	check(run_packet6(NET_EGRESS, 3, 0x2a00000000000000) == 1, "egress, IPv6: from an own address");
	check(run_packet6(NET_EGRESS, 4, 0x2a00000000000000) == 0, "egress, IPv6: not from another");
	check(run_packet6(NET_EGRESS, 3, 0xff02000000000000) == 0, "egress, IPv6: not to multicast");
	check(run_packet6(NET_INGRESS, 3, 0x20010db800000000) == 1, "ingress, IPv6: to an own address");
	check(run_packet6(NET_INGRESS, 4, 0x20010db800000000) == 0, "ingress, IPv6: not to another");
	check(run(NET_EGRESS, &skb, shorty, sizeof(shorty)) == 0, "egress: what is too short for a header");
	skb.protocol = htons(ETH_P_ARP);
	check(run(NET_EGRESS, &skb, shorty, sizeof(shorty)) == 0, "egress: what is no IP");
	check(counters.tx_packets[0] == 7 && counters.tx_bytes[0] == 196 && counters.rx_packets[1] == 1, "packets are counted");
	config.flags |= NET_MULTICAST;
	check(run_packet4(NET_EGRESS, IP(10, 1, 2, 3), IP(224, 0, 0, 1)) == 1, "multicast: with the ccap");
	check(run_packet4(NET_INGRESS, IP(8, 8, 8, 8), IP(10, 7, 255, 255)) == 1, "broadcast of an own network: with the ccap");
	check(run_packet4(NET_INGRESS, IP(8, 8, 8, 8), IP(10, 8, 255, 255)) == 0, "of another: not");
}

static void listens(void)
{
	struct bpf_sock_ops o = { .op = BPF_SOCK_OPS_TCP_LISTEN_CB, .family = AF_INET, .local_port = 592, .sk = &sk };

	guest(NET_READY | NET_V4 | NET_SEVERAL);
	mark = (struct net_mark){ .kind = MARK_WILD | MARK_MOVED, .port = 80 };
	have_mark = true;
	owner = 99;
	run(NET_LISTEN, &o, NULL, 0);
	check(owner == (99 | NET_OWNER_TCP), "listen: a moved one is asked for from then on, with one address, too");
	owner = 0;
	check(n_entered == 1 && entered[0].guest == 99 && entered[0].port == 80 && !entered[0].addr[3] &&
	      entered[0].protocol == IPPROTO_TCP && entered[0].slot == SLOT_V4, "listen: a moved wildcard is entered under its port");
	n_entered = 0;
	o.family = AF_INET6;
	mark.kind = MARK_WILD | MARK_DUAL;
	run(NET_LISTEN, &o, NULL, 0);
	check(n_entered == 2 && entered[0].slot == SLOT_V6 && entered[1].slot == SLOT_DUAL, "listen: dual stack under both families");
	check(places.tried == 2 && !places.seated, "listen: the first place that is free does");
	n_entered = 0;
	places.tried = 0;
	places.taken = NET_STEER_TRIES;
	run(NET_LISTEN, &o, NULL, 0);
	check(n_entered == 2 && places.tried == 1 + NET_STEER_TRIES && places.seated == 1 &&
	      places.port_max == NET_STEER_PLACES, "listen: so does the last one that is tried");
	n_entered = places.tried = 0;
	places.taken = ~0U;
	run(NET_LISTEN, &o, NULL, 0);
	check(n_entered == 0 && places.tried == 1 + NET_STEER_TRIES && places.seated == 2, "listen: who finds none isn't entered");
	n_entered = 0;
	o.op = BPF_SOCK_OPS_STATE_CB;
	run(NET_LISTEN, &o, NULL, 0);
	check(n_entered == 0, "listen: nothing else is looked at");
}

static void shapes(void)
{
	static struct bpf_insn code[NETPROG_ROOM];
	bool fits = true, lands = true;

	for (size_t h = 0; h < NET_HOOKS; h++)
		for (int errnos = 0; errnos < 2; errnos++) {
			size_t n = netprog_compile((enum net_hook)h, errnos, code, NULL);

			fits &= n > 4 && n < NETPROG_ROOM;
			for (size_t i = 0; i < n; i++) {
				unsigned op = BPF_OP(code[i].code);

				if (BPF_CLASS(code[i].code) == BPF_JMP && op != BPF_CALL && op != BPF_EXIT)
					lands &= i + (size_t)(ssize_t)code[i].off + 1 < n;
			}
			lands &= code[n - 1].code == (BPF_JMP | BPF_EXIT) || code[n - 1].code == (BPF_JMP | BPF_JA);
		}
	check(fits, "every program fits");
	check(lands, "every jump lands in its program");
}

int main(void)
{
	shapes();
	binds();
	connects();
	filters();
	listens();
	return failed;
}

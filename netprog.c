/* SPDX-License-Identifier: ISC */
/*
 * netprog.c: the address programs, by hand.
 *
 * Eighteen short programs, the same for every guest: what differs is in the guest's struct net_config, which
 * the kernel hands to a program by the cgroup it runs for. Socket address hooks make the semantics (a wildcard
 * is the guest's address, 127.0.0.1 is its own); the two packet filters enforce: whatever way a socket got
 * another address, its packets go nowhere. Storage begins as zeroes, and without NET_READY all is refused.
 *
 * Several addresses on one port, in several guests at once: the kernel's own table has room for one wildcard
 * listener a port. So a listener is bound to one address that is the guest's alone, and marked; when it
 * listens, `listen` puts it into a table under {guest, port}; `lookup` finds there who gets a packet to any of
 * the guest's addresses. If the host itself listens on the port with a wildcard, the guest's listener moves:
 * it is bound to the guest's loopback under another port, and only that table leads to it.
 *
 * Each program has its rule in words above it. Registers, in all of them: r6 context, r7 the guest's
 * configuration; r9 and r8 the address at hand: IPv4 r9 as it is in the packet and r8 as a number, IPv6 its
 * upper and lower half as numbers. r0-r5 are scratch.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <string.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>

/* ---- the assembler ---- */

enum { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, FP };
/* Ways out that programs share; end() makes those that are used, since the kernel takes no dead code. */
enum label { ALLOW, NO_ADDRESS, IN_USE, DENIED, NO_FAMILY, NO_PROTOCOL, FIRST_FREE, LABELS = 160 };

struct code {
	struct bpf_insn *insn;
	size_t n, n_jump;
	unsigned n_label;
	int16_t place[LABELS];
	bool used[LABELS];
	struct { uint16_t at; uint8_t label; } jump[512];
	bool errnos;
	const char **rule;              /* NULL, or for --explain: what begins at an instruction */
};

static void put(struct code *c, unsigned code, unsigned dst, unsigned src, int off, int32_t imm)
{
	c->insn[c->n++ % NETPROG_ROOM] = (struct bpf_insn){ .code = (uint8_t)code, .dst_reg = (uint8_t)(dst & 15),
		.src_reg = (uint8_t)(src & 15), .off = (int16_t)off, .imm = imm };
}

static unsigned label(struct code *c) { return c->n_label++; }
static void here(struct code *c, unsigned l) { c->place[l] = (int16_t)c->n; }

/* What follows, in words; the innermost has the last word. */
static void rule(struct code *c, const char *text)
{
	if (c->rule)
		c->rule[c->n % NETPROG_ROOM] = text;
}

static void part(struct code *c, unsigned l, const char *text)
{
	here(c, l);
	rule(c, text);
}

static void jump_if(struct code *c, unsigned code, unsigned dst, unsigned src, int32_t imm, unsigned l)
{
	c->jump[c->n_jump].at = (uint16_t)c->n;
	c->jump[c->n_jump++].label = (uint8_t)l;
	c->used[l] = true;
	put(c, code, dst, src, 0, imm);
}

static void go(struct code *c, unsigned l) { jump_if(c, BPF_JMP | BPF_JA, 0, 0, 0, l); }
static void when(struct code *c, unsigned op, unsigned a, unsigned b, unsigned l)
{
	jump_if(c, BPF_JMP | op | BPF_X, a, b, 0, l);
}
static void when_is(struct code *c, unsigned op, unsigned a, int32_t imm, unsigned l)
{
	jump_if(c, BPF_JMP | op | BPF_K, a, 0, imm, l);
}
static void load(struct code *c, unsigned size, unsigned dst, unsigned from, size_t off)
{
	put(c, BPF_LDX | size | BPF_MEM, dst, from, (int)off, 0);
}
static void store(struct code *c, unsigned size, unsigned to, int off, unsigned src)
{
	put(c, BPF_STX | size | BPF_MEM, to, src, off, 0);
}
static void move(struct code *c, unsigned dst, unsigned src) { put(c, BPF_ALU64 | BPF_MOV | BPF_X, dst, src, 0, 0); }
static void set(struct code *c, unsigned dst, uint32_t v) { put(c, BPF_ALU | BPF_MOV | BPF_K, dst, 0, 0, (int32_t)v); }
static void alu(struct code *c, unsigned op, unsigned dst, unsigned src) { put(c, BPF_ALU64 | op | BPF_X, dst, src, 0, 0); }
static void alu_is(struct code *c, unsigned op, unsigned dst, int32_t v) { put(c, BPF_ALU64 | op | BPF_K, dst, 0, 0, v); }
/* Between network and host order; no code at all is needed on big-endian hosts, but it clears the upper bits. */
static void swap(struct code *c, unsigned reg, int bits) { put(c, BPF_ALU | BPF_END | BPF_TO_BE, reg, 0, 0, bits); }
static void call(struct code *c, int helper) { put(c, BPF_JMP | BPF_CALL, 0, 0, 0, helper); }
static void map(struct code *c, unsigned dst, enum net_map m)
{
	put(c, BPF_LD | BPF_DW | BPF_IMM, dst, BPF_PSEUDO_MAP_FD, 0, (int32_t)m);
	put(c, 0, 0, 0, 0, 0);
}
static void leave(struct code *c, uint32_t value)
{
	set(c, R0, value);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

static size_t link_jumps(struct code *c)
{
	for (size_t i = 0; i < c->n_jump; i++)
		c->insn[c->jump[i].at].off = (int16_t)(c->place[c->jump[i].label] - c->jump[i].at - 1);
	return c->n;
}

/* ---- what the programs have in common ---- */

#define SA(field) offsetof(struct bpf_sock_addr, field)
#define CF(field) offsetof(struct net_config, field)
#define COUNT(field) offsetof(struct net_counters, field)
enum mark_kind {
	MARK_WILD = NET_MARK_WILD, MARK_MOVED = NET_MARK_MOVED, MARK_MAPPED = NET_MARK_MAPPED,
	MARK_LOOPBACK_PEER = NET_MARK_LOOPBACK_PEER, MARK_DUAL = NET_MARK_DUAL,
};
enum { REFUSE = 0, PASS = 1 };

static void if_flag(struct code *c, uint32_t flag, unsigned l)
{
	load(c, BPF_W, R0, R7, CF(flags));
	when_is(c, BPF_JSET, R0, (int32_t)flag, l);
}

static void unless_flag(struct code *c, uint32_t flag, unsigned l)
{
	load(c, BPF_W, R0, R7, CF(flags));
	alu_is(c, BPF_AND, R0, (int32_t)flag);
	when_is(c, BPF_JEQ, R0, 0, l);
}

static void storage(struct code *c, enum net_map m)
{
	map(c, R1, m);
	set(c, R2, 0);
	call(c, BPF_FUNC_get_local_storage);
}

/* Not configured (yet): what can refuse does. */
static void begin(struct code *c, uint32_t unready)
{
	unsigned ready = label(c);

	rule(c, "the guest's configuration; not written yet: all is refused");
	move(c, R6, R1);
	storage(c, NET_MAP_CONFIG);
	move(c, R7, R0);
	if_flag(c, NET_READY, ready);
	leave(c, unready);
	here(c, ready);
}

static void count(struct code *c, size_t counter)
{
	storage(c, NET_MAP_COUNTERS);
	load(c, BPF_DW, R1, R0, counter);
	alu_is(c, BPF_ADD, R1, 1);
	store(c, BPF_DW, R0, (int)counter, R1);
}

/* The ways out of a hook that may refuse. */
static void end(struct code *c, size_t counter)
{
	static const struct { enum label l; int code; char why[24]; } refusals[] = {
		{ NO_ADDRESS, EADDRNOTAVAIL, "no: EADDRNOTAVAIL" }, { IN_USE, EADDRINUSE, "no: EADDRINUSE" },
		{ DENIED, EPERM, "no: EPERM" }, { NO_FAMILY, EAFNOSUPPORT, "no: EAFNOSUPPORT" },
		{ NO_PROTOCOL, EPROTONOSUPPORT, "no: EPROTONOSUPPORT" },
	};
	unsigned refuse = label(c);

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		if (!c->used[refusals[i].l])
			continue;
		part(c, refusals[i].l, refusals[i].why);
		set(c, R8, (uint32_t)refusals[i].code);
		go(c, refuse);
	}
	if (c->used[refuse]) {
		part(c, refuse, "count the refusal, and say why (Linux 6.1)");
		if (counter)
			count(c, counter);
		if (c->errnos) {
			set(c, R1, 0);
			alu(c, BPF_SUB, R1, R8);
			call(c, BPF_FUNC_set_retval);
		}
		leave(c, REFUSE);
	}
}

/* The sign of r5 says whether one of the slots from `i` on holds r8: without branches, of which the verifier
 * would follow every one. A slot holds x if (uint32_t)(x - lo) < count; so one that is empty holds nothing. */
static void any_slot4(struct code *c, size_t i, size_t lo, size_t count)
{
	set(c, R5, 0);
	for (; i < NET_V4_MAX; i++) {
		load(c, BPF_W, R1, R7, lo + i * sizeof(struct net_slot4));
		put(c, BPF_ALU | BPF_MOV | BPF_X, R2, R8, 0, 0);
		put(c, BPF_ALU | BPF_SUB | BPF_X, R2, R1, 0, 0);
		if (count) {
			load(c, BPF_W, R1, R7, count + i * sizeof(struct net_slot4));
			alu(c, BPF_SUB, R2, R1);
		} else {
			alu_is(c, BPF_SUB, R2, 1);
		}
		alu(c, BPF_OR, R5, R2);
	}
}

/* One slot is all that most guests have. */
static void unless_more4(struct code *c, unsigned l)
{
	load(c, BPF_W, R1, R7, CF(n_v4));
	when_is(c, BPF_JLE, R1, 1, l);
}

/* r8 in the guest's IPv4 list: to l. */
static void if_own4(struct code *c, unsigned l)
{
	unsigned no = label(c);

	rule(c, "on the guest's list of IPv4 addresses?");
	load(c, BPF_W, R1, R7, CF(v4[0].lo));
	put(c, BPF_ALU | BPF_MOV | BPF_X, R2, R8, 0, 0);
	put(c, BPF_ALU | BPF_SUB | BPF_X, R2, R1, 0, 0);
	load(c, BPF_W, R1, R7, CF(v4[0].count));
	when(c, BPF_JLT, R2, R1, l);
	unless_more4(c, no);
	any_slot4(c, 1, CF(v4[0].lo), CF(v4[0].count));
	when_is(c, BPF_JSLT, R5, 0, l);
	here(c, no);
}

static void if_own6(struct code *c, unsigned l)
{
	rule(c, "on the guest's list of IPv6 addresses?");
	for (size_t i = 0; i < NET_V6_MAX; i++) {
		unsigned next = label(c);

		load(c, BPF_DW, R1, R7, CF(v6[i].net));
		when(c, BPF_JNE, R9, R1, next);
		move(c, R2, R8);
		load(c, BPF_DW, R1, R7, CF(v6[i].lo));
		alu(c, BPF_SUB, R2, R1);
		load(c, BPF_DW, R1, R7, CF(v6[i].more));
		when(c, BPF_JLE, R2, R1, l);
		here(c, next);
	}
}

/* r8, r9 is the guest's ::1: to l. Without one the numbers are all ones, which no socket can have. */
static void if_loopback6(struct code *c, unsigned l)
{
	unsigned no = label(c);

	rule(c, "the guest's ::1?");
	load(c, BPF_DW, R1, R7, CF(loopback6_hi));
	when(c, BPF_JNE, R9, R1, no);
	load(c, BPF_DW, R1, R7, CF(loopback6_lo));
	when(c, BPF_JEQ, R8, R1, l);
	here(c, no);
}

/* r9:r8 is a loopback that isn't the guest's: the host's ::1, or another guest's in NET_LOOPBACK6_HI. To l. On the host's
 * stack these are addresses like others, so nothing but the programs keeps guests, and the network, off them. */
static void if_foreign_loopback6(struct code *c, unsigned l)
{
	unsigned no = label(c), not_one = label(c);

	if_loopback6(c, no);
	rule(c, "the host's ::1, or another guest's?");
	when_is(c, BPF_JNE, R9, 0, not_one);
	when_is(c, BPF_JEQ, R8, 1, l);
	here(c, not_one);
	set(c, R1, (uint32_t)(NET_LOOPBACK6_HI >> 32));
	alu_is(c, BPF_LSH, R1, 32);
	set(c, R2, (uint32_t)NET_LOOPBACK6_HI);
	alu(c, BPF_OR, R1, R2);
	when(c, BPF_JEQ, R9, R1, l);
	here(c, no);
}

/* The same for r9, which is r8 as a number. With --loopback host 127.0.0.0/24 is the guest's, too. */
static void if_foreign_loopback4(struct code *c, unsigned l)
{
	unsigned no = label(c);

	rule(c, "the host's 127.0.0.0/8, or another guest's?");
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JNE, R1, 127, no);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, no);
	unless_flag(c, NET_LOOPBACK_HOST, l);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 8);
	when_is(c, BPF_JNE, R1, INADDR_LOOPBACK >> 8, l);
	here(c, no);
}

/* r8 is multicast, reserved, or the broadcast of a network of the guest's: to l. */
static void if_multicast4(struct code *c, unsigned l)
{
	unsigned no = label(c);

	rule(c, "multicast, reserved, or the broadcast of a network of its own?");
	set(c, R1, 0xe0000000);
	when(c, BPF_JGE, R8, R1, l);
	load(c, BPF_W, R1, R7, CF(v4[0].broadcast));
	when(c, BPF_JEQ, R8, R1, l);
	unless_more4(c, no);
	any_slot4(c, 1, CF(v4[0].broadcast), 0);
	when_is(c, BPF_JSLT, R5, 0, l);
	here(c, no);
}

static void if_multicast6(struct code *c, unsigned l)
{
	rule(c, "multicast?");
	move(c, R1, R9);
	alu_is(c, BPF_RSH, R1, 56);
	when_is(c, BPF_JEQ, R1, 0xff, l);
}

/* r0 = the guest's address for a peer r9: the one whose network holds it, else the first. From the end to the
 * beginning, so that the first that fits is what remains. */
static void source4(struct code *c)
{
	unsigned done = label(c);

	rule(c, "its address whose network holds the peer, else the first");
	load(c, BPF_W, R0, R7, CF(v4[0].addr));
	load(c, BPF_W, R1, R7, CF(n_v4));
	when_is(c, BPF_JLE, R1, 1, done);
	for (size_t i = NET_V4_MAX; i-- > 0;) {
		unsigned next = label(c);

		load(c, BPF_W, R1, R7, CF(v4[i].addr));
		move(c, R2, R1);
		alu(c, BPF_XOR, R2, R9);
		load(c, BPF_W, R3, R7, CF(v4[i].mask));
		alu(c, BPF_AND, R2, R3);
		when_is(c, BPF_JNE, R2, 0, next);
		move(c, R0, R1);
		here(c, next);
	}
	here(c, done);
}

static void copy_address6(struct code *c, size_t slot, int at)
{
	for (size_t w = 0; w < 4; w++) {
		load(c, BPF_W, R1, R7, CF(v6[slot].addr[w]));
		store(c, BPF_W, FP, at + 4 * (int)w, R1);
	}
}

/* The same for r9:r8; the four words go to the stack at `at`. */
static void source6(struct code *c, int at)
{
	unsigned done = label(c), first = label(c);

	rule(c, "its address whose network holds the peer, else the first");
	load(c, BPF_W, R1, R7, CF(n_v6));
	when_is(c, BPF_JLE, R1, 1, first);
	for (size_t i = 0; i < NET_V6_MAX; i++) {
		unsigned next = label(c);

		load(c, BPF_DW, R1, R7, CF(v6[i].net));
		alu(c, BPF_XOR, R1, R9);
		load(c, BPF_DW, R2, R7, CF(v6[i].mask_hi));
		alu(c, BPF_AND, R1, R2);
		load(c, BPF_DW, R3, R7, CF(v6[i].lo));
		alu(c, BPF_XOR, R3, R8);
		load(c, BPF_DW, R2, R7, CF(v6[i].mask_lo));
		alu(c, BPF_AND, R3, R2);
		alu(c, BPF_OR, R1, R3);
		when_is(c, BPF_JNE, R1, 0, next);
		copy_address6(c, i, at);
		go(c, done);
		here(c, next);
	}
	here(c, first);
	copy_address6(c, 0, at);
	here(c, done);
}

/* ---- peers: --connect-allow, --connect-deny ---- */

/* Denied ones come first, so the first that matches decides; r4 is the peer's port as in the packet. Own
 * addresses and the loopback have passed already. Falls through when it may. */
static void check_peer4(struct code *c, unsigned refused)
{
	unsigned ok = label(c), verdict = label(c);

	rule(c, "--connect-deny, --connect-allow");
	unless_flag(c, NET_PEERS, ok);
	for (size_t i = 0; i < NET_PEER4_MAX; i++) {
		load(c, BPF_W, R0, R7, CF(peer4[i].deny));
		load(c, BPF_W, R1, R7, CF(peer4[i].mask));
		alu(c, BPF_AND, R1, R9);
		load(c, BPF_W, R2, R7, CF(peer4[i].net));
		alu(c, BPF_XOR, R1, R2);
		load(c, BPF_W, R2, R7, CF(peer4[i].port));
		alu(c, BPF_XOR, R2, R4);
		load(c, BPF_W, R3, R7, CF(peer4[i].port_mask));
		alu(c, BPF_AND, R2, R3);
		alu(c, BPF_OR, R1, R2);
		when_is(c, BPF_JEQ, R1, 0, verdict);
	}
	load(c, BPF_W, R0, R7, CF(flags));
	alu_is(c, BPF_AND, R0, NET_ALLOWED_ONLY);
	here(c, verdict);
	when_is(c, BPF_JNE, R0, 0, refused);
	here(c, ok);
}

static void check_peer6(struct code *c, unsigned refused)
{
	unsigned ok = label(c), verdict = label(c);

	rule(c, "--connect-deny, --connect-allow");
	unless_flag(c, NET_PEERS, ok);
	for (size_t i = 0; i < NET_PEER6_MAX; i++) {
		load(c, BPF_W, R0, R7, CF(peer6[i].deny));
		load(c, BPF_DW, R1, R7, CF(peer6[i].mask_hi));
		alu(c, BPF_AND, R1, R9);
		load(c, BPF_DW, R2, R7, CF(peer6[i].net_hi));
		alu(c, BPF_XOR, R1, R2);
		load(c, BPF_DW, R2, R7, CF(peer6[i].mask_lo));
		alu(c, BPF_AND, R2, R8);
		load(c, BPF_DW, R3, R7, CF(peer6[i].net_lo));
		alu(c, BPF_XOR, R2, R3);
		alu(c, BPF_OR, R1, R2);
		load(c, BPF_W, R2, R7, CF(peer6[i].port));
		alu(c, BPF_XOR, R2, R4);
		load(c, BPF_W, R3, R7, CF(peer6[i].port_mask));
		alu(c, BPF_AND, R2, R3);
		alu(c, BPF_OR, R1, R2);
		when_is(c, BPF_JEQ, R1, 0, verdict);
	}
	load(c, BPF_W, R0, R7, CF(flags));
	alu_is(c, BPF_AND, R0, NET_ALLOWED_ONLY);
	here(c, verdict);
	when_is(c, BPF_JNE, R0, 0, refused);
	here(c, ok);
}

/* ---- create: which sockets there are ----
 *
 *	no address of the family			EAFNOSUPPORT, so that dual-stack software falls back
 *	raw: ICMP of the family, with raw_icmp		else EPERM
 *	0, TCP, UDP, UDPLITE, ICMP, ICMPv6		else EPROTONOSUPPORT (MPTCP, SCTP: addresses of their own accord)
 */
static void compile_create(struct code *c)
{
	static const int32_t protocols[] = { 0, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_UDPLITE, IPPROTO_ICMP, IPPROTO_ICMPV6 };
	unsigned v6 = label(c), family_known = label(c), raw = label(c);

	begin(c, REFUSE);
	load(c, BPF_W, R8, R6, offsetof(struct bpf_sock, family));
	load(c, BPF_W, R9, R6, offsetof(struct bpf_sock, protocol));
	when_is(c, BPF_JEQ, R8, AF_INET6, v6);
	unless_flag(c, NET_V4, NO_FAMILY);
	go(c, family_known);
	part(c, v6, "IPv6");
	unless_flag(c, NET_V6, NO_FAMILY);
	part(c, family_known, "which protocol?");
	load(c, BPF_W, R1, R6, offsetof(struct bpf_sock, type));
	when_is(c, BPF_JEQ, R1, SOCK_RAW, raw);
	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		when_is(c, BPF_JEQ, R9, protocols[i], ALLOW);
	go(c, NO_PROTOCOL);
	part(c, raw, "raw: ICMP, with raw_icmp");
	unless_flag(c, NET_RAW_ICMP, DENIED);
	when_is(c, BPF_JEQ, R9, IPPROTO_ICMPV6, ALLOW);
	when_is(c, BPF_JNE, R9, IPPROTO_ICMP, DENIED);
	part(c, ALLOW, "allowed");
	leave(c, PASS);
	end(c, 0);
}

/* ---- bind ---- */

/* The verifier knows from `and` and `or` that it is 1 or 3. */
static void leave_bind(struct code *c)
{
	rule(c, "allowed; a port below 1024, too, if the guest may");
	here(c, ALLOW);
	load(c, BPF_W, R0, R7, CF(flags));
	alu_is(c, BPF_AND, R0, NET_LOW_PORTS);
	alu_is(c, BPF_OR, R0, PASS);
	put(c, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
	end(c, COUNT(denied_binds));
}

enum { MARK_AT = -40, TUPLE_AT = -80 };        /* on the stack; struct net_mark, struct bpf_sock_tuple */

/* sk_storage of the socket at hand; value on the stack at MARK_AT becomes it. */
static void put_mark(struct code *c)
{
	unsigned none = label(c);

	rule(c, "remember it with the socket");
	map(c, R1, NET_MAP_MARKS);
	load(c, BPF_DW, R2, R6, SA(sk));
	move(c, R3, FP);
	alu_is(c, BPF_ADD, R3, MARK_AT);
	set(c, R4, BPF_SK_STORAGE_GET_F_CREATE);
	call(c, BPF_FUNC_sk_storage_get);
	/* It may be there from an earlier bind that failed: then it isn't initialised by the call. */
	when_is(c, BPF_JEQ, R0, 0, none);
	for (int w = 0; w < (int)sizeof(struct net_mark); w += 4) {
		load(c, BPF_W, R1, FP, (size_t)(MARK_AT + w));
		store(c, BPF_W, R0, w, R1);
	}
	here(c, none);
}

/* The mark on the stack: kind in r1, the rest zero but for the port. */
static void begin_mark(struct code *c)
{
	rule(c, "a mark: what the program asked for");
	store(c, BPF_W, FP, MARK_AT, R1);
	set(c, R1, 0);
	for (int w = 4; w < (int)sizeof(struct net_mark); w += 4)
		store(c, BPF_W, FP, MARK_AT + w, R1);
	load(c, BPF_W, R1, R6, SA(user_port));
	swap(c, R1, 16);
	store(c, BPF_H, FP, MARK_AT + (int)offsetof(struct net_mark, port), R1);
}

/* For a listener that moves: another port, on the guest's loopback. Below 1024 stays below, so that the
 * kernel still asks for the capability; where none is needed it picks one. */
static void move_port(struct code *c)
{
	unsigned any = label(c), done = label(c);

	rule(c, "another port: below 1024 stays below, else the kernel picks one");
	if_flag(c, NET_LOW_PORTS, any);
	load(c, BPF_W, R1, R6, SA(user_port));
	swap(c, R1, 16);
	when_is(c, BPF_JGE, R1, 1024, any);
	alu_is(c, BPF_XOR, R1, 512);
	swap(c, R1, 16);
	store(c, BPF_W, R6, SA(user_port), R1);
	go(c, done);
	here(c, any);
	set(c, R1, 0);
	store(c, BPF_W, R6, SA(user_port), R1);
	here(c, done);
}

/* To `none` unless the context's socket is one whose port may have a wildcard listener before it. */
static void unless_steered(struct code *c, unsigned none)
{
	unsigned stream = label(c);

	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JEQ, R1, SOCK_STREAM, stream);
	unless_flag(c, NET_UDP_STEERED, none);
	here(c, stream);
}

/* r0 = the socket that a packet with the tuple on the stack would reach. */
static void look_up_socket(struct code *c, uint32_t tuple_len)
{
	unsigned udp = label(c), done = label(c);

	load(c, BPF_W, R8, R6, SA(type));
	move(c, R1, R6);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, TUPLE_AT);
	set(c, R3, tuple_len);
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, R4, 0, 0, BPF_F_CURRENT_NETNS);
	set(c, R5, 0);
	when_is(c, BPF_JNE, R8, SOCK_STREAM, udp);
	call(c, BPF_FUNC_sk_lookup_tcp);
	go(c, done);
	here(c, udp);
	call(c, BPF_FUNC_sk_lookup_udp);
	here(c, done);
}

/* The listener that a segment to r9 and the socket's port would reach: r0 its IPv4 address; to `none` if
 * there is none, or if this socket is not steered or has no port yet. On the guest's loopback `lookup` hides a
 * wildcard of the host's, which the kernel counts as in the way of a bind: so it is asked for itself. */
static void listener4(struct code *c, unsigned none)
{
	unsigned found = label(c);

	rule(c, "whom would a packet to this port reach?");
	unless_steered(c, none);
	load(c, BPF_W, R2, R6, SA(user_port));
	when_is(c, BPF_JEQ, R2, 0, none);
	set(c, R1, 0);
	store(c, BPF_W, FP, TUPLE_AT, R1);                      /* saddr: no established socket has this */
	store(c, BPF_W, FP, TUPLE_AT + 4, R9);                  /* daddr */
	store(c, BPF_H, FP, TUPLE_AT + 8, R1);
	store(c, BPF_H, FP, TUPLE_AT + 10, R2);
	look_up_socket(c, 12);
	when_is(c, BPF_JNE, R0, 0, found);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R9, R1, none);
	set(c, R1, 0);
	store(c, BPF_W, FP, TUPLE_AT + 4, R1);
	look_up_socket(c, 12);
	when_is(c, BPF_JEQ, R0, 0, none);
	here(c, found);
	load(c, BPF_W, R8, R0, offsetof(struct bpf_sock, src_ip4));
	move(c, R1, R0);
	call(c, BPF_FUNC_sk_release);
	move(c, R0, R8);
}

enum { KIND_AT = -4, ADDR_AT = -96 };   /* on the stack, too: the mark's kind; four words of an IPv6 address */

static void drop_mark(struct code *c)
{
	rule(c, "forget what an earlier bind left with the socket");
	map(c, R1, NET_MAP_MARKS);
	load(c, BPF_DW, R2, R6, SA(sk));
	call(c, BPF_FUNC_sk_storage_delete);
}

/* The context's socket is V6ONLY: to l. No field of the context tells; it is a bit in the first bytes of the
 * kernel's struct sock_common, where it has been since Linux 3.12 (skc_reuse:4, skc_reuseport:1, skc_ipv6only:1). */
static void if_v6only(struct code *c, unsigned l)
{
	enum { COPY_AT = TUPLE_AT, BYTE = 19, BYTES = 24 };
	bool big_endian = htons(1) == 1;

	rule(c, "an IPV6_V6ONLY socket?");
	move(c, R1, FP);
	alu_is(c, BPF_ADD, R1, COPY_AT);
	set(c, R2, BYTES);
	load(c, BPF_DW, R3, R6, SA(sk));
	call(c, BPF_FUNC_probe_read_kernel);
	load(c, BPF_B, R1, FP, (size_t)(COPY_AT + BYTE));
	when_is(c, BPF_JSET, R1, big_endian ? 0x04 : 0x20, l);
}

/* A UDP wildcard: to ALLOW as it is, with several addresses. One with a port, which two guests may want, and any of
 * IPv4, which may connect later, is steered as TCP's are, if a broker does the bind (no program can put a UDP socket
 * into the table). */
static void leave_wildcard(struct code *c, bool v6)
{
	unsigned not = label(c);

	rule(c, "a UDP wildcard may stay one");
	if_flag(c, NET_MULTICAST | NET_LATER, ALLOW);
	unless_flag(c, NET_SEVERAL, not);
	unless_flag(c, NET_UDP_STEERED, ALLOW);
	if (v6) {
		load(c, BPF_W, R1, R6, SA(user_port));
		when_is(c, BPF_JNE, R1, 0, not);
		if_v6only(c, not);
		go(c, ALLOW);
	}
	here(c, not);
}

/*
 * An IPv4 address, in r9, wanted by bind; `at` is its place in the context, which differs for mapped ones. The
 * mark's kind so far is on the stack.
 *
 *	0.0.0.0, UDP, several addresses or multicast	may stay: the filters and sendmsg see to it
 *	0.0.0.0						the first address, and marked
 *	127.0.0.1					the guest's loopback; no other of 127.0.0.0/8
 *	on the list					that
 *	multicast, broadcast				with the ccap
 *	else						EADDRNOTAVAIL
 *	TCP, and the host listens on 0.0.0.0:port	moves to the loopback, marked with what it should be
 *	UDP, and the host has 0.0.0.0:port		the kernel judges (SO_REUSEADDR): a datagram from a moved
 *							socket would come from the wrong port
 *	the guest's wildcard listens there		EADDRINUSE
 */
static void bind_v4(struct code *c, size_t at)
{
	unsigned wild = label(c), loopback = label(c), take = label(c), plain = label(c), moved = label(c);
	unsigned specific = label(c), keep = label(c);

	move(c, R8, R9);
	swap(c, R8, 32);
	when_is(c, BPF_JEQ, R9, 0, wild);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JEQ, R1, 127, loopback);
	if_own4(c, take);
	unless_flag(c, NET_MULTICAST, NO_ADDRESS);
	if_multicast4(c, ALLOW);
	go(c, NO_ADDRESS);

	part(c, loopback, "127.0.0.0/8: 127.0.0.1 is the guest's loopback");
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, take);
	move(c, R9, R1);
	when_is(c, BPF_JEQ, R8, INADDR_LOOPBACK, take);
	go(c, NO_ADDRESS);

	part(c, wild, "0.0.0.0: the first address");
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JEQ, R1, SOCK_STREAM, keep);
	leave_wildcard(c, at != SA(user_ip4));
	here(c, keep);
	load(c, BPF_W, R9, R7, CF(v4[0].addr));
	load(c, BPF_W, R1, FP, (size_t)KIND_AT);
	alu_is(c, BPF_OR, R1, MARK_WILD);
	store(c, BPF_W, FP, KIND_AT, R1);
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_STREAM, take);
	if_flag(c, NET_LATER, moved);

	part(c, take, "an address of its own: is the port free of listeners that would get its packets?");
	listener4(c, plain);
	when_is(c, BPF_JEQ, R0, 0, moved);
	when(c, BPF_JNE, R0, R9, IN_USE);

	part(c, plain, "bound as it is");
	store(c, BPF_W, R6, (int)at, R9);
	unless_steered(c, ALLOW);
	load(c, BPF_W, R1, FP, (size_t)KIND_AT);
	move(c, R2, R1);
	alu_is(c, BPF_AND, R2, MARK_WILD);
	when_is(c, BPF_JEQ, R2, 0, specific);
	begin_mark(c);
	put_mark(c);
	go(c, ALLOW);
	here(c, specific);              /* an earlier bind, to a wildcard, may have failed */
	drop_mark(c);
	go(c, ALLOW);

	part(c, moved, "the host listens on that port: TCP moves to the guest's loopback");
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_STREAM, plain);
	load(c, BPF_W, R1, FP, (size_t)KIND_AT);
	alu_is(c, BPF_OR, R1, MARK_MOVED);
	begin_mark(c);
	store(c, BPF_W, FP, MARK_AT + (int)offsetof(struct net_mark, ip4), R9);
	put_mark(c);
	load(c, BPF_W, R1, R7, CF(loopback));
	store(c, BPF_W, R6, (int)at, R1);
	move_port(c);
	go(c, ALLOW);
}

/* bind, IPv4. AF_UNSPEC with 0.0.0.0, which the kernel takes for AF_INET, is refused by it after a rewrite. */
static void compile_bind4(struct code *c)
{
	begin(c, REFUSE);
	load(c, BPF_W, R1, R6, SA(user_family));
	when_is(c, BPF_JNE, R1, AF_INET, NO_FAMILY);
	set(c, R1, 0);
	store(c, BPF_W, FP, KIND_AT, R1);
	load(c, BPF_W, R9, R6, SA(user_ip4));
	bind_v4(c, SA(user_ip4));
	leave_bind(c);
}

/* r9, r8 = the context's IPv6 address; the source of a message can't be read in halves. */
static void load6(struct code *c)
{
	load(c, BPF_DW, R9, R6, SA(user_ip6));
	load(c, BPF_DW, R8, R6, SA(user_ip6[2]));
	swap(c, R9, 64);
	swap(c, R8, 64);
}

/* Four words from base + off to the stack, or from the stack to the context. */
static void copy6(struct code *c, unsigned to, int to_off, unsigned from, int from_off)
{
	for (int w = 0; w < 16; w += 4) {
		load(c, BPF_W, R1, from, (size_t)(from_off + w));
		store(c, BPF_W, to, to_off + w, R1);
	}
}

/* ::ffff:r9 into r6's or the stack's four words. */
static void put_mapped(struct code *c, unsigned to, int off, unsigned ip4)
{
	set(c, R1, 0);
	store(c, BPF_W, to, off, R1);
	store(c, BPF_W, to, off + 4, R1);
	set(c, R1, htonl(0xffff));
	store(c, BPF_W, to, off + 8, R1);
	store(c, BPF_W, to, off + 12, ip4);
}

/* Special addresses have an upper half of zero: to the label of :: (any), ::1 (one) or ::ffff:a.b.c.d. */
static void if_special6(struct code *c, unsigned any, unsigned one, unsigned mapped)
{
	unsigned no = label(c);

	when_is(c, BPF_JNE, R9, 0, no);
	when_is(c, BPF_JEQ, R8, 0, any);
	when_is(c, BPF_JEQ, R8, 1, one);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 32);
	when_is(c, BPF_JEQ, R1, 0xffff, mapped);
	here(c, no);
}

/* The listener that a segment to the address at ADDR_AT would reach: r0 = 0 if it is bound to ::, r3 = 0 if
 * to that address itself; to `none` if there is none. */
static void listener6(struct code *c, unsigned none)
{
	enum { TUPLE6_AT = TUPLE_AT };
	unsigned found = label(c);

	rule(c, "whom would a packet to this port reach?");
	unless_steered(c, none);
	load(c, BPF_W, R2, R6, SA(user_port));
	when_is(c, BPF_JEQ, R2, 0, none);
	set(c, R1, 0);
	for (int w = 0; w < 16; w += 4)
		store(c, BPF_W, FP, TUPLE6_AT + w, R1);
	store(c, BPF_H, FP, TUPLE6_AT + 32, R1);
	store(c, BPF_H, FP, TUPLE6_AT + 34, R2);
	copy6(c, FP, TUPLE6_AT + 16, FP, ADDR_AT);
	look_up_socket(c, 36);
	when_is(c, BPF_JNE, R0, 0, found);
	for (int i = 0; i < 16; i += 8) {
		load(c, BPF_DW, R1, FP, (size_t)(ADDR_AT + i));
		load(c, BPF_DW, R2, R7, CF(loopback6) + (size_t)i);
		when(c, BPF_JNE, R1, R2, none);
	}
	set(c, R1, 0);
	for (int w = 0; w < 16; w += 4)
		store(c, BPF_W, FP, TUPLE6_AT + 16 + w, R1);
	look_up_socket(c, 36);
	when_is(c, BPF_JEQ, R0, 0, none);
	here(c, found);
	set(c, R8, 0);
	set(c, R9, 0);
	for (int w = 0; w < 4; w++) {
		load(c, BPF_W, R1, R0, offsetof(struct bpf_sock, src_ip6) + 4 * (size_t)w);
		alu(c, BPF_OR, R8, R1);
		load(c, BPF_W, R2, FP, (size_t)(ADDR_AT + 4 * w));
		alu(c, BPF_XOR, R1, R2);
		alu(c, BPF_OR, R9, R1);
	}
	move(c, R1, R0);
	call(c, BPF_FUNC_sk_release);
	move(c, R0, R8);
	move(c, R3, R9);
}

/*
 * bind, IPv6: as IPv4. A dual-stack `::` listener is bound to the first IPv4 address, as a mapped one (bound to
 * an IPv6 address it would be V6ONLY from then on); its IPv6 side is `lookup`'s. Without a loopback of its own
 * ::1 is no address.
 */
static void compile_bind6(struct code *c)
{
	unsigned wild = label(c), one = label(c), mapped = label(c), take = label(c), plain = label(c);
	unsigned moved = label(c), specific = label(c), found = label(c), tcp = label(c), v6_alone = label(c);
	unsigned as_v4 = label(c);

	begin(c, REFUSE);
	load6(c);
	set(c, R1, 0);
	store(c, BPF_W, FP, KIND_AT, R1);
	copy6(c, FP, ADDR_AT, R6, (int)SA(user_ip6));
	if_special6(c, wild, one, mapped);
	if_own6(c, take);
	if_loopback6(c, take);
	unless_flag(c, NET_MULTICAST, NO_ADDRESS);
	if_multicast6(c, ALLOW);
	go(c, NO_ADDRESS);

	part(c, one, "::1 is the guest's loopback");
	unless_flag(c, NET_LOOPBACK6, NO_ADDRESS);
	copy6(c, FP, ADDR_AT, R7, CF(loopback6));
	go(c, take);

	part(c, wild, "::: the first address");
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JEQ, R1, SOCK_STREAM, tcp);
	leave_wildcard(c, true);
	here(c, tcp);
	unless_flag(c, NET_V4, v6_alone);
	if_v6only(c, v6_alone);
	set(c, R9, 0);
	put_mapped(c, R6, (int)SA(user_ip6), R9);
	set(c, R1, MARK_DUAL);
	store(c, BPF_W, FP, KIND_AT, R1);
	go(c, as_v4);
	part(c, v6_alone, "V6ONLY, or no IPv4: the first IPv6 address");
	copy6(c, FP, ADDR_AT, R7, CF(v6[0].addr));
	set(c, R1, MARK_WILD);
	store(c, BPF_W, FP, KIND_AT, R1);
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_STREAM, take);
	if_flag(c, NET_LATER, moved);

	part(c, take, "an address of its own: is the port free of listeners that would get its packets?");
	listener6(c, plain);
	when_is(c, BPF_JEQ, R0, 0, moved);
	when_is(c, BPF_JNE, R3, 0, IN_USE);

	part(c, plain, "bound as it is");
	copy6(c, R6, (int)SA(user_ip6), FP, ADDR_AT);
	unless_steered(c, ALLOW);
	load(c, BPF_W, R1, FP, (size_t)KIND_AT);
	when_is(c, BPF_JEQ, R1, 0, specific);
	begin_mark(c);
	put_mark(c);
	go(c, ALLOW);
	here(c, specific);
	drop_mark(c);
	go(c, ALLOW);

	part(c, moved, "the host listens on that port: TCP moves to the guest's loopback");
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_STREAM, plain);
	if_flag(c, NET_LOOPBACK6, found);
	go(c, plain);                   /* nowhere to move to: the kernel says what it thinks of it */
	here(c, found);
	load(c, BPF_W, R1, FP, (size_t)KIND_AT);
	alu_is(c, BPF_OR, R1, MARK_MOVED);
	begin_mark(c);
	copy6(c, FP, MARK_AT + (int)offsetof(struct net_mark, ip6), FP, ADDR_AT);
	put_mark(c);
	copy6(c, R6, (int)SA(user_ip6), R7, CF(loopback6));
	move_port(c);
	go(c, ALLOW);

	part(c, mapped, "::ffff:a.b.c.d");
	unless_flag(c, NET_V4, NO_ADDRESS);
	load(c, BPF_W, R9, R6, SA(user_ip6[3]));
	set(c, R1, MARK_MAPPED);
	store(c, BPF_W, FP, KIND_AT, R1);
	part(c, as_v4, "as IPv4's bind");
	bind_v4(c, SA(user_ip6[3]));
	leave_bind(c);
}

/* ---- connect and sendmsg ---- */

enum { SOCKADDR_AT = -72 };             /* on the stack: what bpf_bind gets */

/* Gives the socket its source before the kernel would choose one: r0 IPv4, or (mapped) ::ffff:r0. A socket
 * that has a port already, by bind or by an earlier sendto, can't be bound again (START.md: EPERM from connect
 * after sendto): the kernel chooses, and the egress filter judges. */
static void bind_source4(struct code *c, bool mapped)
{
	rule(c, "this becomes the socket's source");
	if (mapped) {
		put_mapped(c, FP, SOCKADDR_AT + 8, R0);
		set(c, R1, AF_INET6);
		store(c, BPF_W, FP, SOCKADDR_AT, R1);
		set(c, R1, 0);
		store(c, BPF_W, FP, SOCKADDR_AT + 4, R1);
		store(c, BPF_W, FP, SOCKADDR_AT + 24, R1);
	} else {
		store(c, BPF_W, FP, SOCKADDR_AT + 4, R0);
		set(c, R1, AF_INET);
		store(c, BPF_H, FP, SOCKADDR_AT, R1);
		set(c, R1, 0);
		store(c, BPF_H, FP, SOCKADDR_AT + 2, R1);
		store(c, BPF_DW, FP, SOCKADDR_AT + 8, R1);
	}
	move(c, R1, R6);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, SOCKADDR_AT);
	set(c, R3, mapped ? 28 : 16);
	call(c, BPF_FUNC_bind);
	when_is(c, BPF_JNE, R0, 0, NO_ADDRESS);
}

/* Already bound to an address: to l. One that an earlier connect to the loopback left (UDP) may change. */
static void if_bound4(struct code *c, bool mapped, unsigned l)
{
	unsigned unbound = label(c);

	rule(c, "has the socket a source already?");
	load(c, BPF_DW, R1, R6, SA(sk));
	load(c, BPF_W, R2, R1, offsetof(struct bpf_sock, src_port));
	when_is(c, BPF_JNE, R2, 0, l);
	load(c, BPF_W, R2, R1, mapped ? offsetof(struct bpf_sock, src_ip6[3]) : offsetof(struct bpf_sock, src_ip4));
	when_is(c, BPF_JEQ, R2, 0, unbound);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R2, R1, l);
	here(c, unbound);
}

/* Bound, and maybe to the loopback: then the peer, in r8 and r9, is the guest's (to l), or egress would drop all that
 * is sent, and connect wait for an answer in vain. */
static void unless_from_loopback4(struct code *c, bool mapped, unsigned l)
{
	rule(c, "from its loopback only to itself");
	load(c, BPF_DW, R1, R6, SA(sk));
	load(c, BPF_W, R2, R1, mapped ? offsetof(struct bpf_sock, src_ip6[3]) : offsetof(struct bpf_sock, src_ip4));
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R2, R1, l);
	if_flag(c, NET_LOOPBACK_HOST, l);
	if_own4(c, l);
	go(c, DENIED);
}

/* UDP, one address: a server on the wildcard is bound to that address, so nobody is on the loopback. Then what
 * is meant for 127.0.0.1 goes there, and the mark makes the answer come from 127.0.0.1 again. */
static void udp_loopback4(struct code *c, size_t at)
{
	unsigned done = label(c), somebody = label(c);

	rule(c, "UDP: nobody there? Then the server on the one address is meant");
	if_flag(c, NET_SEVERAL | NET_MULTICAST | NET_LATER | NET_LOOPBACK_HOST, done);
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_DGRAM, done);
	/* From this socket's own address: the somebody may be one that is connected to us. */
	load(c, BPF_W, R2, R6, SA(user_port));
	load(c, BPF_DW, R1, R6, SA(sk));
	load(c, BPF_W, R3, R1, offsetof(struct bpf_sock, src_ip4));
	load(c, BPF_W, R4, R1, offsetof(struct bpf_sock, src_port));
	swap(c, R4, 16);
	store(c, BPF_W, FP, TUPLE_AT, R3);
	store(c, BPF_W, FP, TUPLE_AT + 4, R9);
	store(c, BPF_H, FP, TUPLE_AT + 8, R4);
	store(c, BPF_H, FP, TUPLE_AT + 10, R2);
	move(c, R1, R6);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, TUPLE_AT);
	set(c, R3, 12);
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, R4, 0, 0, BPF_F_CURRENT_NETNS);
	set(c, R5, 0);
	call(c, BPF_FUNC_sk_lookup_udp);
	when_is(c, BPF_JNE, R0, 0, somebody);
	load(c, BPF_W, R1, R7, CF(v4[0].addr));
	store(c, BPF_W, R6, (int)at, R1);
	set(c, R1, MARK_LOOPBACK_PEER);
	begin_mark(c);
	put_mark(c);
	go(c, done);
	here(c, somebody);
	move(c, R1, R0);
	call(c, BPF_FUNC_sk_release);
	here(c, done);
}

/*
 * An IPv4 peer, in r9. To `loopback` with the context changed if it is the guest's own 127.0.0.1 (0.0.0.0 is,
 * too); to DENIED if it may not be; else falls through.
 *
 *	0.0.0.0, 127.0.0.0/8		the guest's loopback; with --loopback host the host's, 127.0.0.0/24 (the
 *					rest are other guests')
 *	own addresses			pass
 *	multicast, broadcast		with the ccap
 *	--connect-deny, --connect-allow	as they say
 */
static void peer_v4(struct code *c, size_t at, unsigned loopback)
{
	unsigned own = label(c), local = label(c), remap = label(c), multicast = label(c), not = label(c);

	when_is(c, BPF_JEQ, R9, 0, remap);
	move(c, R8, R9);
	swap(c, R8, 32);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JEQ, R1, 127, local);
	if_own4(c, own);
	if_flag(c, NET_MULTICAST, multicast);
	if_multicast4(c, DENIED);
	part(c, multicast, "neither its own nor the loopback");
	load(c, BPF_W, R4, R6, SA(user_port));
	check_peer4(c, DENIED);
	go(c, own);

	part(c, local, "127.0.0.0/8");
	unless_flag(c, NET_LOOPBACK_HOST, remap);
	alu_is(c, BPF_RSH, R8, 8);
	when_is(c, BPF_JNE, R8, INADDR_LOOPBACK >> 8, DENIED);
	go(c, not);
	part(c, remap, "0.0.0.0, 127.0.0.1: the guest's loopback");
	load(c, BPF_W, R9, R7, CF(loopback));
	store(c, BPF_W, R6, (int)at, R9);
	udp_loopback4(c, at);
	here(c, not);
	go(c, loopback);
	here(c, own);
}

static void connect_v4(struct code *c, size_t at, bool mapped)
{
	unsigned loopback = label(c), bind = label(c), done = label(c), bound = label(c);

	peer_v4(c, at, loopback);
	if_bound4(c, mapped, bound);
	source4(c);
	go(c, bind);
	here(c, bound);
	unless_from_loopback4(c, mapped, done);
	part(c, loopback, "from the loopback");
	if_bound4(c, mapped, done);
	load(c, BPF_W, R0, R7, CF(loopback));
	here(c, bind);
	bind_source4(c, mapped);
	here(c, done);
}

/* connect, IPv4: the peer as above; the source is the guest's address. */
static void compile_connect4(struct code *c)
{
	begin(c, REFUSE);
	load(c, BPF_W, R9, R6, SA(user_ip4));
	connect_v4(c, SA(user_ip4), false);
	leave(c, PASS);
	end(c, COUNT(denied_connects));
}

/* r0 = the mark of the context's socket; to `none` if UDP isn't steered or it has none. */
static void steered_mark(struct code *c, unsigned none)
{
	rule(c, "what a steered UDP socket's program asked for");
	unless_flag(c, NET_UDP_STEERED, none);
	map(c, R1, NET_MAP_MARKS);
	load(c, BPF_DW, R2, R6, SA(sk));
	set(c, R3, 0);
	set(c, R4, 0);
	call(c, BPF_FUNC_sk_storage_get);
	when_is(c, BPF_JEQ, R0, 0, none);
	load(c, BPF_W, R1, R0, offsetof(struct net_mark, kind));
}

/*
 * A datagram with an address or a source of its own, IPv4: the peer as above. Its source
 *	not chosen (0.0.0.0, or what stands for it in a steered wildcard)
 *				the guest's address, or its loopback
 *	a moved socket's	what it was bound to
 *	127.0.0.0/8		the guest's loopback
 *	on the list		that
 *	else			EPERM
 */
static void compile_sendmsg4(struct code *c)
{
	unsigned loopback = label(c), given = label(c), put_it = label(c), is_loopback = label(c), done = label(c);
	unsigned choose = label(c), true_source = label(c), stand_in = label(c), other = label(c);

	begin(c, REFUSE);
	load(c, BPF_W, R9, R6, SA(user_ip4));
	peer_v4(c, SA(user_ip4), loopback);
	here(c, loopback);
	load(c, BPF_W, R8, R6, SA(msg_src_ip4));
	when_is(c, BPF_JNE, R8, 0, given);
	part(c, choose, "no source asked for: chosen");
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, is_loopback);
	unless_flag(c, NET_LOOPBACK_HOST, other);
	move(c, R1, R9);
	swap(c, R1, 32);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JEQ, R1, 127, is_loopback);      /* any of the host's 127.0.0.x */
	here(c, other);
	source4(c);
	go(c, put_it);
	part(c, is_loopback, "from the loopback");
	load(c, BPF_W, R0, R7, CF(loopback));
	here(c, put_it);
	store(c, BPF_W, R6, (int)SA(msg_src_ip4), R0);
	here(c, done);
	leave(c, PASS);

	part(c, given, "a source asked for (IP_PKTINFO), or bound to");
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R8, R1, stand_in);
	load(c, BPF_W, R1, R7, CF(v4[0].addr));
	when(c, BPF_JNE, R8, R1, true_source);
	part(c, stand_in, "what a steered wildcard is bound to?");
	steered_mark(c, true_source);
	when_is(c, BPF_JSET, R1, MARK_WILD, choose);
	alu_is(c, BPF_AND, R1, MARK_MOVED);
	when_is(c, BPF_JEQ, R1, 0, true_source);
	load(c, BPF_W, R0, R0, offsetof(struct net_mark, ip4));
	go(c, put_it);
	part(c, true_source, "the loopback's, or on the list");
	swap(c, R8, 32);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JEQ, R1, 127, is_loopback);
	if_own4(c, done);
	go(c, DENIED);
	end(c, COUNT(denied_connects));
}

/* The four words at SOCKADDR_AT + 8 become the socket's source. */
static void bind_source6(struct code *c)
{
	rule(c, "this becomes the socket's source");
	set(c, R1, AF_INET6);
	store(c, BPF_H, FP, SOCKADDR_AT, R1);
	set(c, R1, 0);
	store(c, BPF_H, FP, SOCKADDR_AT + 2, R1);
	store(c, BPF_W, FP, SOCKADDR_AT + 4, R1);
	store(c, BPF_W, FP, SOCKADDR_AT + 24, R1);
	move(c, R1, R6);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, SOCKADDR_AT);
	set(c, R3, 28);
	call(c, BPF_FUNC_bind);
	when_is(c, BPF_JNE, R0, 0, NO_ADDRESS);
}

static void if_bound6(struct code *c, unsigned l)
{
	unsigned unbound = label(c);

	rule(c, "has the socket a source already?");
	load(c, BPF_DW, R1, R6, SA(sk));
	load(c, BPF_W, R2, R1, offsetof(struct bpf_sock, src_port));
	when_is(c, BPF_JNE, R2, 0, l);
	set(c, R2, 0);
	set(c, R3, 0);
	for (size_t w = 0; w < 4; w++) {
		load(c, BPF_W, R4, R1, offsetof(struct bpf_sock, src_ip6) + 4 * w);
		alu(c, BPF_OR, R2, R4);
		load(c, BPF_W, R5, R7, CF(loopback6) + 4 * w);
		alu(c, BPF_XOR, R4, R5);
		alu(c, BPF_OR, R3, R4);
	}
	when_is(c, BPF_JEQ, R2, 0, unbound);
	when_is(c, BPF_JNE, R3, 0, l);
	here(c, unbound);
}

static void unless_from_loopback6(struct code *c, unsigned l)
{
	rule(c, "from its loopback only to itself");
	load(c, BPF_DW, R1, R6, SA(sk));
	for (size_t w = 0; w < 4; w++) {
		load(c, BPF_W, R2, R1, offsetof(struct bpf_sock, src_ip6) + 4 * w);
		load(c, BPF_W, R3, R7, CF(loopback6) + 4 * w);
		when(c, BPF_JNE, R2, R3, l);
	}
	if_flag(c, NET_LOOPBACK_HOST, l);
	if_own6(c, l);
	if_loopback6(c, l);
	go(c, DENIED);
}

/* A peer r9:r8 that is neither special nor mapped: to DENIED, or falls through. */
static void peer_v6(struct code *c)
{
	unsigned own = label(c), multicast = label(c);

	if_own6(c, own);
	if_loopback6(c, own);
	if_foreign_loopback6(c, DENIED);
	if_flag(c, NET_MULTICAST, multicast);
	if_multicast6(c, DENIED);
	here(c, multicast);
	load(c, BPF_W, R4, R6, SA(user_port));
	check_peer6(c, DENIED);
	here(c, own);
}

/* connect, IPv6. ::1 is the guest's, or if it has none there (no tun device) its 127.0.0.1, so that
 * "localhost" works. */
static void compile_connect6(struct code *c)
{
	unsigned one = label(c), mapped = label(c), bind = label(c), no_own = label(c), v4 = label(c);
	unsigned bound = label(c);

	begin(c, REFUSE);
	load6(c);
	if_special6(c, one, one, mapped);
	peer_v6(c);
	if_bound6(c, bound);
	source6(c, SOCKADDR_AT + 8);
	go(c, bind);
	here(c, bound);
	unless_from_loopback6(c, ALLOW);
	here(c, bind);
	bind_source6(c);
	part(c, ALLOW, "allowed");
	leave(c, PASS);

	part(c, one, "::, ::1: the guest's loopback, else its 127.0.0.1");
	unless_flag(c, NET_LOOPBACK6, no_own);
	copy6(c, R6, (int)SA(user_ip6), R7, CF(loopback6));
	if_bound6(c, ALLOW);
	copy6(c, FP, SOCKADDR_AT + 8, R7, CF(loopback6));
	go(c, bind);
	here(c, no_own);
	unless_flag(c, NET_V4, DENIED);
	load(c, BPF_W, R9, R7, CF(loopback));
	put_mapped(c, R6, (int)SA(user_ip6), R9);
	go(c, v4);
	part(c, mapped, "::ffff:a.b.c.d");
	unless_flag(c, NET_V4, DENIED);
	load(c, BPF_W, R9, R6, SA(user_ip6[3]));
	here(c, v4);
	connect_v4(c, SA(user_ip6[3]), true);
	go(c, ALLOW);
	end(c, COUNT(denied_connects));
}

/* A datagram, IPv6; mapped peers are sendmsg4's. The kernel refuses to be given a mapped peer here, so ::1
 * without a loopback of its own can't become 127.0.0.1. */
static void compile_sendmsg6(struct code *c)
{
	unsigned one = label(c), given = label(c), own_loopback = label(c), put_it = label(c), check = label(c);
	unsigned stand_in = label(c), true_source = label(c), moved = label(c);

	begin(c, REFUSE);
	load6(c);
	if_special6(c, one, one, DENIED);
	peer_v6(c);
	source6(c, ADDR_AT);
	go(c, check);
	part(c, one, "::, ::1: the guest's loopback");
	unless_flag(c, NET_LOOPBACK6, DENIED);
	copy6(c, R6, (int)SA(user_ip6), R7, CF(loopback6));
	copy6(c, FP, ADDR_AT, R7, CF(loopback6));

	part(c, check, "a source asked for?");
	load(c, BPF_W, R9, R6, SA(msg_src_ip6[0]));
	load(c, BPF_W, R1, R6, SA(msg_src_ip6[1]));
	load(c, BPF_W, R8, R6, SA(msg_src_ip6[2]));
	load(c, BPF_W, R2, R6, SA(msg_src_ip6[3]));
	swap(c, R9, 32);
	swap(c, R1, 32);
	swap(c, R8, 32);
	swap(c, R2, 32);
	alu_is(c, BPF_LSH, R9, 32);
	alu_is(c, BPF_LSH, R8, 32);
	alu(c, BPF_OR, R9, R1);
	alu(c, BPF_OR, R8, R2);
	when_is(c, BPF_JNE, R9, 0, given);
	when_is(c, BPF_JEQ, R8, 0, put_it);
	when_is(c, BPF_JEQ, R8, 1, own_loopback);
	part(c, given, "it is");
	steered_mark(c, true_source);
	when_is(c, BPF_JSET, R1, MARK_WILD, stand_in);
	alu_is(c, BPF_AND, R1, MARK_MOVED);
	when_is(c, BPF_JEQ, R1, 0, true_source);
	if_loopback6(c, moved);
	go(c, true_source);
	here(c, moved);
	copy6(c, R6, (int)SA(msg_src_ip6), R0, offsetof(struct net_mark, ip6));
	go(c, ALLOW);
	/* bound to the first address, a mapped one, or the loopback */
	part(c, stand_in, "what a steered wildcard is bound to?");
	when_is(c, BPF_JEQ, R9, 0, put_it);
	if_loopback6(c, put_it);
	load(c, BPF_DW, R1, R7, CF(v6[0].net));
	when(c, BPF_JNE, R9, R1, true_source);
	load(c, BPF_DW, R1, R7, CF(v6[0].lo));
	when(c, BPF_JEQ, R8, R1, put_it);
	part(c, true_source, "on the list, or the loopback");
	if_own6(c, ALLOW);
	if_loopback6(c, ALLOW);
	go(c, DENIED);
	part(c, own_loopback, "::1");
	unless_flag(c, NET_LOOPBACK6, DENIED);
	copy6(c, FP, ADDR_AT, R7, CF(loopback6));
	part(c, put_it, "from the chosen one");
	copy6(c, R6, (int)SA(msg_src_ip6), FP, ADDR_AT);
	part(c, ALLOW, "allowed");
	leave(c, PASS);
	end(c, COUNT(denied_connects));
}

/* ---- the names a program sees ---- */

/* recvmsg, getpeername, accept, IPv4: the guest's loopback is 127.0.0.1; so is the address that a datagram for
 * it was sent to instead (udp_loopback4). */
static void compile_peername4(struct code *c)
{
	unsigned out = label(c), loopback = label(c);

	begin(c, PASS);
	load(c, BPF_W, R9, R6, SA(user_ip4));
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, loopback);
	load(c, BPF_W, R1, R7, CF(v4[0].addr));
	when(c, BPF_JNE, R9, R1, out);
	load(c, BPF_W, R1, R6, SA(type));
	when_is(c, BPF_JNE, R1, SOCK_DGRAM, out);
	map(c, R1, NET_MAP_MARKS);
	load(c, BPF_DW, R2, R6, SA(sk));
	set(c, R3, 0);
	set(c, R4, 0);
	call(c, BPF_FUNC_sk_storage_get);
	when_is(c, BPF_JEQ, R0, 0, out);
	load(c, BPF_W, R1, R0, offsetof(struct net_mark, kind));
	alu_is(c, BPF_AND, R1, MARK_LOOPBACK_PEER);
	when_is(c, BPF_JEQ, R1, 0, out);
	part(c, loopback, "the guest's loopback is shown as 127.0.0.1");
	set(c, R1, htonl(INADDR_LOOPBACK));
	store(c, BPF_W, R6, (int)SA(user_ip4), R1);
	here(c, out);
	leave(c, PASS);
}

/* IPv6 in the context: the guest's loopbacks as ::1 and ::ffff:127.0.0.1. */
static void show_loopback6(struct code *c)
{
	unsigned out = label(c), one = label(c), special = label(c), mapped = label(c);

	rule(c, "the guest's loopbacks are shown as ::1 and ::ffff:127.0.0.1");
	load6(c);
	if_loopback6(c, one);
	if_special6(c, special, special, mapped);
	here(c, special);
	go(c, out);
	here(c, mapped);
	load(c, BPF_W, R9, R6, SA(user_ip6[3]));
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R9, R1, out);
	set(c, R1, htonl(INADDR_LOOPBACK));
	store(c, BPF_W, R6, (int)SA(user_ip6[3]), R1);
	go(c, out);
	here(c, one);
	set(c, R1, 0);
	for (size_t w = 0; w < 3; w++)
		store(c, BPF_W, R6, (int)SA(user_ip6) + 4 * (int)w, R1);
	set(c, R1, htonl(1));
	store(c, BPF_W, R6, (int)SA(user_ip6[3]), R1);
	here(c, out);
}

static void compile_peername6(struct code *c)
{
	begin(c, PASS);
	show_loopback6(c);
	leave(c, PASS);
}

/* r8 = the mark of the context's socket; to `none` if it has none or is connected (then its name is true). */
static void own_mark(struct code *c, unsigned none)
{
	rule(c, "what the socket's program asked for, unless the socket is connected");
	load(c, BPF_DW, R2, R6, SA(sk));
	load(c, BPF_W, R1, R2, offsetof(struct bpf_sock, dst_port));
	when_is(c, BPF_JNE, R1, 0, none);
	map(c, R1, NET_MAP_MARKS);
	set(c, R3, 0);
	set(c, R4, 0);
	call(c, BPF_FUNC_sk_storage_get);
	when_is(c, BPF_JEQ, R0, 0, none);
	move(c, R8, R0);
	load(c, BPF_W, R9, R8, offsetof(struct net_mark, kind));
	alu_is(c, BPF_AND, R9, MARK_WILD | MARK_MOVED | MARK_MAPPED);
	when_is(c, BPF_JEQ, R9, 0, none);
}

static void show_port(struct code *c, unsigned l)
{
	when_is(c, BPF_JSET, R9, MARK_MOVED, l);
}

/* getsockname, IPv4: what the program bound it to. A wildcard is shown as the address if there is only one. */
static void compile_sockname4(struct code *c)
{
	unsigned loopback = label(c), address = label(c), wild = label(c), moved = label(c), out = label(c);

	begin(c, PASS);
	own_mark(c, loopback);
	show_port(c, moved);
	go(c, address);
	part(c, moved, "the port, and the address, that were asked for");
	load(c, BPF_H, R1, R8, offsetof(struct net_mark, port));
	swap(c, R1, 16);
	store(c, BPF_W, R6, (int)SA(user_port), R1);
	load(c, BPF_W, R1, R8, offsetof(struct net_mark, ip4));
	store(c, BPF_W, R6, (int)SA(user_ip4), R1);
	part(c, address, "a wildcard is shown as one, if there are several addresses");
	alu_is(c, BPF_AND, R9, MARK_WILD);
	when_is(c, BPF_JEQ, R9, 0, loopback);
	if_flag(c, NET_SEVERAL | NET_LATER, wild);
	go(c, loopback);
	here(c, wild);
	set(c, R1, 0);
	store(c, BPF_W, R6, (int)SA(user_ip4), R1);
	go(c, out);
	part(c, loopback, "the guest's loopback is shown as 127.0.0.1");
	load(c, BPF_W, R9, R6, SA(user_ip4));
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R9, R1, out);
	set(c, R1, htonl(INADDR_LOOPBACK));
	store(c, BPF_W, R6, (int)SA(user_ip4), R1);
	here(c, out);
	leave(c, PASS);
}

static void compile_sockname6(struct code *c)
{
	unsigned loopback = label(c), address = label(c), wild = label(c), moved = label(c), out = label(c);
	unsigned mapped = label(c), wild_mapped = label(c);

	begin(c, PASS);
	own_mark(c, loopback);
	show_port(c, moved);
	go(c, address);
	part(c, moved, "the port, and the address, that were asked for");
	load(c, BPF_H, R1, R8, offsetof(struct net_mark, port));
	swap(c, R1, 16);
	store(c, BPF_W, R6, (int)SA(user_port), R1);
	when_is(c, BPF_JSET, R9, MARK_MAPPED, mapped);
	copy6(c, R6, (int)SA(user_ip6), R8, offsetof(struct net_mark, ip6));
	go(c, address);
	here(c, mapped);
	load(c, BPF_W, R1, R8, offsetof(struct net_mark, ip4));
	store(c, BPF_W, R6, (int)SA(user_ip6[3]), R1);
	part(c, address, "a wildcard is shown as one, if there are several addresses");
	move(c, R1, R9);
	alu_is(c, BPF_AND, R1, MARK_WILD);
	when_is(c, BPF_JEQ, R1, 0, loopback);
	if_flag(c, NET_SEVERAL | NET_LATER, wild);
	go(c, loopback);
	here(c, wild);
	set(c, R1, 0);
	when_is(c, BPF_JSET, R9, MARK_MAPPED, wild_mapped);
	for (int w = 0; w < 12; w += 4)
		store(c, BPF_W, R6, (int)SA(user_ip6) + w, R1);
	here(c, wild_mapped);
	store(c, BPF_W, R6, (int)SA(user_ip6[3]), R1);
	go(c, out);
	here(c, loopback);
	show_loopback6(c);
	here(c, out);
	leave(c, PASS);
}

/* ---- setsockopt ---- */

/*
 * Joining a group makes the host tell the network so, from its own address and on any of its devices:
 *	membership of a group		with the ccap, else EPERM
 *	a raw socket's error queue	stays off, and it isn't said: ping(8) asks for it, and does without. The kernel puts
 *					there what came of anybody's pings (raw_icmp_error), past the packet filters
 *	all else			passes, as it is
 */
static void compile_setsockopt(struct code *c)
{
	static const int32_t joins4[] = {
		IP_ADD_MEMBERSHIP, IP_ADD_SOURCE_MEMBERSHIP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP,
	};
	static const int32_t joins6[] = { IPV6_JOIN_GROUP, MCAST_JOIN_GROUP, MCAST_JOIN_SOURCE_GROUP };
	unsigned v6 = label(c), join = label(c), errors = label(c);

	rule(c, "the option as it is (0: no copy of it, which may be shorter than a page); does it join a group?");
	set(c, R0, 0);
	store(c, BPF_W, R1, (int)offsetof(struct bpf_sockopt, optlen), R0);
	load(c, BPF_W, R2, R1, offsetof(struct bpf_sockopt, level));
	load(c, BPF_W, R3, R1, offsetof(struct bpf_sockopt, optname));
	when_is(c, BPF_JEQ, R2, IPPROTO_IPV6, v6);
	when_is(c, BPF_JNE, R2, IPPROTO_IP, ALLOW);
	for (size_t i = 0; i < sizeof(joins4) / sizeof(joins4[0]); i++)
		when_is(c, BPF_JEQ, R3, joins4[i], join);
	when_is(c, BPF_JEQ, R3, IP_RECVERR, errors);
	part(c, ALLOW, "allowed");
	leave(c, PASS);
	part(c, errors, "a raw socket's error queue has what came of others' pings: stays off");
	load(c, BPF_DW, R2, R1, offsetof(struct bpf_sockopt, sk));
	load(c, BPF_W, R2, R2, offsetof(struct bpf_sock, type));
	when_is(c, BPF_JNE, R2, SOCK_RAW, ALLOW);
	set(c, R0, UINT32_MAX);                 /* optlen -1: done, says the kernel, and does nothing */
	store(c, BPF_W, R1, (int)offsetof(struct bpf_sockopt, optlen), R0);
	go(c, ALLOW);
	here(c, v6);
	when_is(c, BPF_JEQ, R3, IPV6_RECVERR, errors);
	for (size_t i = 0; i < sizeof(joins6) / sizeof(joins6[0]); i++)
		when_is(c, BPF_JEQ, R3, joins6[i], join);
	go(c, ALLOW);
	here(c, join);
	begin(c, REFUSE);
	if_flag(c, NET_MULTICAST, ALLOW);
	leave(c, REFUSE);                       /* which is EPERM */
}

/* ---- the packet filters ---- */

/* Counts and lets it pass; `family` 0 is IPv4. */
static void count_packet(struct code *c, size_t bytes, size_t packets, size_t family)
{
	rule(c, "count it and let it pass");
	storage(c, NET_MAP_COUNTERS);
	load(c, BPF_W, R2, R6, offsetof(struct __sk_buff, len));
	load(c, BPF_DW, R1, R0, bytes + 8 * family);
	alu(c, BPF_ADD, R1, R2);
	store(c, BPF_DW, R0, (int)(bytes + 8 * family), R1);
	load(c, BPF_DW, R1, R0, packets + 8 * family);
	alu_is(c, BPF_ADD, R1, 1);
	store(c, BPF_DW, R0, (int)(packets + 8 * family), R1);
	leave(c, PASS);
}

/* r4 = the packet, known to hold `len` bytes. */
static void packet(struct code *c, int len)
{
	rule(c, "the whole header is there?");
	load(c, BPF_W, R4, R6, offsetof(struct __sk_buff, data));
	load(c, BPF_W, R3, R6, offsetof(struct __sk_buff, data_end));
	move(c, R1, R4);
	alu_is(c, BPF_ADD, R1, len);
	when(c, BPF_JGT, R1, R3, DENIED);
}

static void packet6(struct code *c, size_t address)
{
	load(c, BPF_DW, R9, R4, address);
	load(c, BPF_DW, R8, R4, address + 8);
	swap(c, R9, 64);
	swap(c, R8, 64);
}

/* The packet (r4: its protocol) is from a socket that no connect or sendmsg hook has seen, a raw one or a ping
 * socket: falls through. Else to l. A raw socket with its own headers sends any protocol: to `other`, or LABELS. */
static void unless_raw(struct code *c, int icmp, unsigned other, unsigned l)
{
	unsigned raw = label(c), look = label(c);

	rule(c, "a raw socket, which no connect or sendmsg hook has seen?");
	when_is(c, BPF_JEQ, R4, icmp, raw);
	when_is(c, BPF_JNE, R4, IPPROTO_TCP, look);
	unless_flag(c, NET_PEERS, l);
	here(c, look);
	load(c, BPF_DW, R1, R6, offsetof(struct __sk_buff, sk));
	when_is(c, BPF_JEQ, R1, 0, l);
	call(c, BPF_FUNC_sk_fullsock);
	when_is(c, BPF_JEQ, R0, 0, l);          /* a connection not yet or no longer whole: TCP */
	load(c, BPF_W, R1, R0, offsetof(struct bpf_sock, type));
	when_is(c, BPF_JNE, R1, SOCK_RAW, l);
	if (other != LABELS)
		go(c, other);
	here(c, raw);
}

/* To a loopback of the host's, or another guest's (r4: the packet). No hook makes a ping of 127.0.0.1 one of the guest's
 * loopback, and the kernel answers as it would there. TCP has connected to where the hook said, or answers the host.
 * Anything else was made by a raw socket. To back with r4 the packet; to known with the protocol. */
static void to_foreign_loopback4(struct code *c, unsigned back, unsigned known)
{
	enum { PLAIN_HEADER = 0x45, ECHO_REQUEST = 8, HEADER = 20 };
	unsigned tcp = label(c), is_tcp = label(c);

	load(c, BPF_B, R1, R4, 9);
	when_is(c, BPF_JEQ, R1, IPPROTO_TCP, tcp);
	when_is(c, BPF_JNE, R1, IPPROTO_ICMP, DENIED);
	load(c, BPF_B, R1, R4, 0);
	when_is(c, BPF_JNE, R1, PLAIN_HEADER, DENIED);
	load(c, BPF_B, R1, R4, HEADER);
	when_is(c, BPF_JEQ, R1, ECHO_REQUEST, back);
	go(c, DENIED);
	here(c, tcp);
	load(c, BPF_DW, R1, R6, offsetof(struct __sk_buff, sk));
	when_is(c, BPF_JEQ, R1, 0, DENIED);
	call(c, BPF_FUNC_sk_fullsock);
	when_is(c, BPF_JEQ, R0, 0, is_tcp);
	load(c, BPF_W, R1, R0, offsetof(struct bpf_sock, type));
	when_is(c, BPF_JEQ, R1, SOCK_RAW, DENIED);
	here(c, is_tcp);
	set(c, R4, IPPROTO_TCP);
	go(c, known);
}

/* r4: the packet; then its next header. Of ICMPv6, which comes from raw and ping sockets alone, only echo: neighbour
 * discovery is ICMPv6, too, and by it a guest could tell the network that it has the addresses of others. No routing
 * header, which anybody may ask for (IPV6_RTHDR): the packet's destination is then a host on the way, which no hook has
 * seen. What may come before one (hop-by-hop and destination options) asks for CAP_NET_RAW on the host. */
static void echo6(struct code *c)
{
	enum { ECHO_REQUEST = 128, HEADER = 40 };       /* RFC 4443; the reply is one more */
	unsigned other = label(c);

	rule(c, "ICMPv6: echo alone");
	load(c, BPF_B, R1, R4, 6);
	when_is(c, BPF_JNE, R1, IPPROTO_ICMPV6, other);
	load(c, BPF_B, R2, R4, HEADER);
	alu_is(c, BPF_AND, R2, ~1);
	when_is(c, BPF_JNE, R2, ECHO_REQUEST, DENIED);
	part(c, other, "no routing header");
	when_is(c, BPF_JEQ, R1, IPPROTO_ROUTING, DENIED);
	move(c, R4, R1);
}

/* What leaves from the loopback (r4: the packet) stays on this host and in this guest: daemons of the host trust
 * 127.0.0.0/8. A datagram for one of its addresses, to `datagram`. */
static void check_from_loopback4(struct code *c, unsigned datagram, unsigned pass)
{
	unsigned own = label(c);

	rule(c, "from the loopback: to an own address or the loopback");
	load(c, BPF_W, R9, R4, 16);
	move(c, R8, R9);
	swap(c, R8, 32);
	move(c, R1, R8);
	alu_is(c, BPF_RSH, R1, 24);
	when_is(c, BPF_JEQ, R1, 127, pass);     /* whose, is asked there */
	if_own4(c, own);
	go(c, DENIED);
	here(c, own);
	load(c, BPF_B, R1, R4, 9);
	when_is(c, BPF_JEQ, R1, IPPROTO_UDP, datagram);
	go(c, pass);
}

enum { DATAGRAM_AT = -40, LEVELS = 32 };        /* on the stack: struct bpf_sock_tuple; how deep a cgroup may be */

/* The level of the guest's cgroup is in its configuration. User space can't tell it (in a cgroup namespace the levels
 * above are not to be seen), so it is found by the first socket that asks. */
static void find_level(struct code *c)
{
	unsigned known = label(c), next = label(c);

	load(c, BPF_W, R0, R7, CF(level));
	when_is(c, BPF_JNE, R0, 0, known);
	set(c, R8, 0);
	part(c, next, "the level of the guest's cgroup, found once");
	alu_is(c, BPF_ADD, R8, 1);
	when_is(c, BPF_JGT, R8, LEVELS, DENIED);
	move(c, R1, R6);
	move(c, R2, R8);
	call(c, BPF_FUNC_skb_ancestor_cgroup_id);
	load(c, BPF_DW, R1, R7, CF(guest));
	when(c, BPF_JNE, R0, R1, next);
	store(c, BPF_W, R7, (int)CF(level), R8);
	here(c, known);
}

/* A raw socket may send fragments, which have no ports. */
static void datagram_tuple(struct code *c, bool v6)
{
	packet(c, v6 ? 40 : 20);
	for (int w = 0; w < (v6 ? 32 : 8); w += 4) {
		load(c, BPF_W, R1, R4, (size_t)((v6 ? 8 : 12) + w));
		store(c, BPF_W, FP, DATAGRAM_AT + w, R1);
	}
	if (v6) {
		alu_is(c, BPF_ADD, R4, 40);
	} else {
		load(c, BPF_H, R1, R4, 6);
		when_is(c, BPF_JSET, R1, htons(0x3fff), DENIED);
		load(c, BPF_B, R1, R4, 0);
		alu_is(c, BPF_AND, R1, 15);
		alu_is(c, BPF_LSH, R1, 2);
		alu(c, BPF_ADD, R4, R1);
	}
	move(c, R1, R4);
	alu_is(c, BPF_ADD, R1, 4);
	when(c, BPF_JGT, R1, R3, DENIED);
	load(c, BPF_W, R1, R4, 0);
	store(c, BPF_W, FP, DATAGRAM_AT + (v6 ? 32 : 8), R1);
}

/*
 * A datagram to or from the guest's loopback: to `pass` if a socket of the guest's would get it, or nobody, of which
 * the kernel tells the sender; to DENIED if the host's, or another guest's, that listens by wildcard. `lookup`, which
 * sees to that for TCP, can't: no program may put a UDP socket into its table.
 */
static void own_receiver(struct code *c, bool v6, unsigned pass)
{
	if_flag(c, NET_LOOPBACK_HOST, pass);
	rule(c, "a datagram over the loopback: would a socket of the guest's get it?");
	find_level(c);
	datagram_tuple(c, v6);
	move(c, R1, R6);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, DATAGRAM_AT);
	set(c, R3, v6 ? 36 : 12);
	put(c, BPF_ALU64 | BPF_MOV | BPF_K, R4, 0, 0, BPF_F_CURRENT_NETNS);
	set(c, R5, 0);
	call(c, BPF_FUNC_sk_lookup_udp);
	when_is(c, BPF_JEQ, R0, 0, pass);
	move(c, R8, R0);
	move(c, R1, R0);
	load(c, BPF_W, R2, R7, CF(level));
	call(c, BPF_FUNC_sk_ancestor_cgroup_id);
	move(c, R9, R0);
	move(c, R1, R8);
	call(c, BPF_FUNC_sk_release);
	load(c, BPF_DW, R1, R7, CF(guest));
	when(c, BPF_JNE, R9, R1, DENIED);
	go(c, pass);
}

static void egress4(struct code *c)
{
	unsigned own = label(c), allowed = label(c), pass = label(c), foreign = label(c), back = label(c);
	unsigned known = label(c), over_loopback = label(c), no_datagram = label(c);

	packet(c, 21);                  /* the header, and of ICMP the type */
	load(c, BPF_W, R9, R4, 12);
	move(c, R8, R9);
	swap(c, R8, 32);
	if_own4(c, own);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R9, R1, DENIED);
	check_from_loopback4(c, over_loopback, own);
	part(c, own, "the source is its own; the destination");
	load(c, BPF_W, R9, R4, 16);
	move(c, R8, R9);
	swap(c, R8, 32);
	if_foreign_loopback4(c, foreign);
	here(c, back);
	load(c, BPF_B, R4, R4, 9);
	here(c, known);
	if_flag(c, NET_MULTICAST, allowed);
	set(c, R1, 0xe0000000);
	when(c, BPF_JGE, R8, R1, DENIED);
	part(c, allowed, "it may go there; a raw socket's packets, only to allowed peers");
	when_is(c, BPF_JNE, R4, IPPROTO_UDP, no_datagram);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, over_loopback);
	here(c, no_datagram);
	unless_raw(c, IPPROTO_ICMP, LABELS, pass);
	if_own4(c, pass);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JEQ, R9, R1, pass);
	set(c, R4, 0);
	check_peer4(c, DENIED);
	if_flag(c, NET_MULTICAST, pass);
	if_multicast4(c, DENIED);
	here(c, pass);
	count_packet(c, COUNT(tx_bytes), COUNT(tx_packets), 0);
	here(c, over_loopback);
	own_receiver(c, false, pass);
	part(c, foreign, "to a loopback that isn't its own: ping, and TCP's own sockets");
	to_foreign_loopback4(c, back, known);
}

static void egress6(struct code *c)
{
	unsigned own = label(c), from_loopback = label(c), pass = label(c), allowed = label(c), foreign = label(c);
	unsigned back = label(c), over_loopback = label(c), no_datagram = label(c);

	packet(c, 41);                  /* the header, and of ICMPv6 the type */
	packet6(c, 8);
	if_own6(c, own);
	if_loopback6(c, from_loopback);
	go(c, DENIED);
	part(c, from_loopback, "from the loopback: to an own address or the loopback");
	packet6(c, 24);
	if_loopback6(c, own);
	if_own6(c, own);
	go(c, DENIED);
	part(c, own, "the source is its own; the destination");
	packet6(c, 24);
	echo6(c);
	if_foreign_loopback6(c, foreign);
	here(c, back);
	if_flag(c, NET_MULTICAST, allowed);
	if_multicast6(c, DENIED);
	part(c, allowed, "it may go there; a raw socket's packets, only to allowed peers");
	when_is(c, BPF_JEQ, R4, IPPROTO_TCP, no_datagram);
	if_loopback6(c, over_loopback);
	here(c, no_datagram);
	unless_raw(c, IPPROTO_ICMPV6, DENIED, pass);
	if_own6(c, pass);
	if_loopback6(c, pass);
	set(c, R4, 0);
	check_peer6(c, DENIED);
	here(c, pass);
	count_packet(c, COUNT(tx_bytes), COUNT(tx_packets), 1);
	part(c, over_loopback, "over the loopback: no extension headers, which hide what follows");
	when_is(c, BPF_JEQ, R4, IPPROTO_ICMPV6, no_datagram);
	when_is(c, BPF_JEQ, R4, IPPROTO_UDPLITE, no_datagram);
	when_is(c, BPF_JNE, R4, IPPROTO_UDP, DENIED);
	own_receiver(c, true, pass);
	part(c, foreign, "ping of ::1");
	when_is(c, BPF_JNE, R9, 0, DENIED);
	when_is(c, BPF_JEQ, R4, IPPROTO_ICMPV6, back);
}

/*
 * Every packet of the guest's sockets: the source is its own, or it goes nowhere (EPERM to the sender). So it does
 * from the loopback to what isn't the guest's, and to loopbacks that aren't, which a raw socket's own header may name.
 * To multicast and broadcast only with the ccap; from raw sockets, which no sendmsg hook sees, only to allowed
 * peers. From its loopback only to itself: daemons of the host trust 127.0.0.0/8. r4 is the packet, then its protocol.
 */
static void compile_egress(struct code *c)
{
	unsigned v6 = label(c);

	begin(c, REFUSE);
	load(c, BPF_W, R1, R6, offsetof(struct __sk_buff, protocol));
	when_is(c, BPF_JEQ, R1, htons(ETH_P_IPV6), v6);
	when_is(c, BPF_JNE, R1, htons(ETH_P_IP), DENIED);
	egress4(c);
	part(c, v6, "IPv6: the source");
	egress6(c);
	part(c, DENIED, "dropped, and counted: EPERM for the sender");
	count(c, COUNT(dropped));
	leave(c, REFUSE);
}

/* Every packet to a socket of the guest: the destination is its own (a wildcard hears what is for others,
 * too), or multicast and broadcast with the ccap. To the loopback only by way of lo: for 127.0.0.0/8 the kernel sees
 * to that (unless route_localnet is set), for the guest's ::1, an address like others, nobody else. */
static void compile_ingress(struct code *c)
{
	enum { LOOPBACK_IFINDEX = 1 };          /* net/flow.h */
	unsigned v6 = label(c), pass4 = label(c), pass6 = label(c), not4 = label(c), not6 = label(c), by_lo6 = label(c);

	begin(c, REFUSE);
	load(c, BPF_W, R1, R6, offsetof(struct __sk_buff, protocol));
	when_is(c, BPF_JEQ, R1, htons(ETH_P_IPV6), v6);
	when_is(c, BPF_JNE, R1, htons(ETH_P_IP), DENIED);
	packet(c, 20);
	load(c, BPF_W, R9, R4, 16);
	move(c, R8, R9);
	swap(c, R8, 32);
	if_own4(c, pass4);
	load(c, BPF_W, R1, R7, CF(loopback));
	when(c, BPF_JNE, R9, R1, not4);
	rule(c, "the loopback, by way of lo?");
	load(c, BPF_W, R1, R6, offsetof(struct __sk_buff, ifindex));
	when_is(c, BPF_JEQ, R1, LOOPBACK_IFINDEX, pass4);
	go(c, DENIED);
	here(c, not4);
	unless_flag(c, NET_MULTICAST, DENIED);
	if_multicast4(c, pass4);
	go(c, DENIED);
	here(c, pass4);
	count_packet(c, COUNT(rx_bytes), COUNT(rx_packets), 0);

	part(c, v6, "IPv6: the destination");
	packet(c, 40);
	packet6(c, 24);
	if_own6(c, pass6);
	if_loopback6(c, by_lo6);
	go(c, not6);
	part(c, by_lo6, "the loopback, by way of lo?");
	load(c, BPF_W, R1, R6, offsetof(struct __sk_buff, ifindex));
	when_is(c, BPF_JEQ, R1, LOOPBACK_IFINDEX, pass6);
	go(c, DENIED);
	here(c, not6);
	unless_flag(c, NET_MULTICAST, DENIED);
	if_multicast6(c, pass6);
	part(c, DENIED, "dropped, and counted");
	count(c, COUNT(dropped));
	leave(c, REFUSE);
	here(c, pass6);
	count_packet(c, COUNT(rx_bytes), COUNT(rx_packets), 1);
}

/* ---- steering ---- */

/* On the stack: struct net_steer, net_prefix; the map's value; struct net_steer of a place. */
enum { KEY_AT = -40, PREFIX_AT = -64, OWNER_AT = -72, PLACE_AT = -104 };
#define KEY(field) (KEY_AT + (int)offsetof(struct net_steer, field))
#define PLACE(field) (PLACE_AT + (int)offsetof(struct net_steer, field))

/* Two places a kind, so that of two processes that share a port (SO_REUSEPORT) one may end. A dual-stack
 * socket is among those for IPv4, after the sockets that are for nothing else. */
enum { SLOT_EXACT, SLOT_V4 = 0, SLOT_DUAL = 2, SLOT_V6 = 4, SLOTS = 2 };

static void add_to_table(struct code *c, int slot)
{
	unsigned done = label(c);

	rule(c, "into the table of listeners");
	for (int i = 0; i < SLOTS; i++) {
		set(c, R1, (uint32_t)(slot + i));
		store(c, BPF_B, FP, KEY(slot), R1);
		move(c, R1, R6);
		map(c, R2, NET_MAP_STEER);
		move(c, R3, FP);
		alu_is(c, BPF_ADD, R3, KEY_AT);
		set(c, R4, i < SLOTS - 1 ? BPF_NOEXIST : BPF_ANY);
		call(c, BPF_FUNC_sock_hash_update);
		when_is(c, BPF_JEQ, R0, 0, done);
	}
	here(c, done);
}

/* ---- a guest's share of the table ---- */

static void sit_down(struct code *c, uint32_t flags)
{
	move(c, R1, R6);
	map(c, R2, NET_MAP_STEER);
	move(c, R3, FP);
	alu_is(c, BPF_ADD, R3, PLACE_AT);
	set(c, R4, flags);
	call(c, BPF_FUNC_sock_hash_update);
}

static void try_place(struct code *c, unsigned taken)
{
	call(c, BPF_FUNC_get_prandom_u32);
	alu_is(c, BPF_AND, R0, NET_STEER_PLACES - 1);
	store(c, BPF_H, FP, PLACE(port), R0);
	sit_down(c, BPF_NOEXIST);
	when_is(c, BPF_JEQ, R0, 0, taken);
}

/*
 * A socket enters if it finds one of its guest's NET_STEER_PLACES free, at random. They are keys of the table as well: who
 * sits there is gone with the socket, so no number is kept, and nobody is called when a socket is closed. Not before that
 * (Linux 5.16 and later leave a socket in the table when it stops listening), so one that listens again takes another:
 * else it could fill the table by itself, with a port of the kernel's choice each time.
 *
 * For a try the kernel makes the socket fit for the table, and undoes that if it isn't in there: 0.8 us, and work for
 * later. Hence one place more, for who hasn't found one at once to sit in meanwhile, until the next comes: 0.2 us.
 */
static void take_place(struct code *c, unsigned none)
{
	unsigned again = label(c), taken = label(c);

	rule(c, "a place of its guest's in the table of listeners; else it doesn't enter");
	load(c, BPF_DW, R1, FP, (size_t)KEY(guest));
	store(c, BPF_DW, FP, PLACE(guest), R1);
	set(c, R1, 0);
	for (int w = 8; w < (int)sizeof(struct net_steer); w += 8)
		store(c, BPF_DW, FP, PLACE_AT + w, R1);
	set(c, R1, NET_STEER_PLACE);
	store(c, BPF_B, FP, PLACE(slot), R1);
	try_place(c, taken);
	rule(c, "more tries, at random");
	set(c, R1, NET_STEER_PLACES);
	store(c, BPF_H, FP, PLACE(port), R1);
	sit_down(c, BPF_ANY);
	set(c, R8, NET_STEER_TRIES);
	here(c, again);
	try_place(c, taken);
	alu_is(c, BPF_SUB, R8, 1);
	when_is(c, BPF_JNE, R8, 0, again);      /* a loop: 5.3 */
	go(c, none);
	here(c, taken);
}

/* ---- who listens ---- */

/* r8 = the mark of a moved listener. With one address `lookup` leaves to the kernel what is for it; not any more. */
static void ask_for_moved(struct code *c)
{
	unsigned v6 = label(c), known = label(c), none = label(c);

	set(c, R1, 128);
	store(c, BPF_W, FP, PREFIX_AT, R1);
	load(c, BPF_W, R3, R8, offsetof(struct net_mark, ip4));
	when_is(c, BPF_JEQ, R3, 0, v6);
	put_mapped(c, FP, PREFIX_AT + 4, R3);
	go(c, known);
	here(c, v6);
	copy6(c, FP, PREFIX_AT + 4, R8, offsetof(struct net_mark, ip6));
	part(c, known, "NET_OWNER_TCP, in the map that tells whose an address is");
	map(c, R1, NET_MAP_GUESTS);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, PREFIX_AT);
	call(c, BPF_FUNC_map_lookup_elem);
	when_is(c, BPF_JEQ, R0, 0, none);
	load(c, BPF_DW, R1, R0, 0);
	set(c, R2, 1);
	alu_is(c, BPF_LSH, R2, 61);
	alu(c, BPF_OR, R1, R2);
	store(c, BPF_DW, R0, 0, R1);
	part(c, none, "into the table");
}

/*
 * A socket listens:
 *	a wildcard			under {guest, port}, for its family; a dual-stack one for both
 *	never bound			the same
 *	moved				under {guest, the address it should have, port}
 *	else				under {guest, its address, port}, so that it goes before a wildcard
 */
static void compile_listen(struct code *c)
{
	unsigned out = label(c), marked = label(c), wild = label(c), unmarked = label(c), exact = label(c);
	unsigned v6 = label(c), moved6 = label(c), v4_only = label(c), fill = label(c), unbound = label(c);

#define SO(field) offsetof(struct bpf_sock_ops, field)
	load(c, BPF_W, R2, R1, SO(op));         /* first: this runs several times a connection */
	when_is(c, BPF_JEQ, R2, BPF_SOCK_OPS_TCP_LISTEN_CB, fill);
	leave(c, PASS);
	part(c, fill, "a socket begins to listen: {guest, port, TCP} is the key");
	begin(c, PASS);
	load(c, BPF_DW, R1, R7, CF(guest));
	store(c, BPF_DW, FP, KEY(guest), R1);
	set(c, R1, 0);
	for (int w = 0; w < 16; w += 4)
		store(c, BPF_W, FP, KEY(addr) + w, R1);
	store(c, BPF_DW, FP, KEY(port), R1);
	load(c, BPF_W, R1, R6, SO(local_port));
	store(c, BPF_H, FP, KEY(port), R1);
	set(c, R1, IPPROTO_TCP);
	store(c, BPF_B, FP, KEY(protocol), R1);
	take_place(c, out);
	rule(c, "what did its program ask for?");
	load(c, BPF_DW, R2, R6, SO(sk));
	when_is(c, BPF_JEQ, R2, 0, out);
	map(c, R1, NET_MAP_MARKS);
	set(c, R3, 0);
	set(c, R4, 0);
	call(c, BPF_FUNC_sk_storage_get);
	when_is(c, BPF_JNE, R0, 0, marked);

	part(c, unmarked, "as it was asked for: its own address goes before a wildcard");
	load(c, BPF_W, R1, R6, SO(family));
	when_is(c, BPF_JEQ, R1, AF_INET6, v6);
	load(c, BPF_W, R9, R6, SO(local_ip4));
	when_is(c, BPF_JEQ, R9, 0, unbound);
	put_mapped(c, FP, KEY(addr), R9);
	go(c, exact);
	part(c, v6, "IPv6");
	copy6(c, FP, KEY(addr), R6, SO(local_ip6));
	load(c, BPF_DW, R1, FP, (size_t)KEY(addr));
	load(c, BPF_DW, R2, FP, (size_t)KEY(addr) + 8);
	alu(c, BPF_OR, R1, R2);
	when_is(c, BPF_JEQ, R1, 0, unbound);
	part(c, exact, "under this very address");
	add_to_table(c, SLOT_EXACT);
	go(c, out);
	part(c, unbound, "listen() without bind(): the kernel's own wildcard; V6ONLY is not for IPv4, whatever the table says");
	set(c, R9, MARK_DUAL);
	go(c, wild);

	here(c, marked);
	move(c, R8, R0);
	load(c, BPF_W, R9, R8, offsetof(struct net_mark, kind));
	when_is(c, BPF_JSET, R9, MARK_MOVED, moved6);
	when_is(c, BPF_JSET, R9, MARK_WILD, wild);
	go(c, unmarked);
	part(c, moved6, "moved: under the port and address it should have");
	ask_for_moved(c);
	load(c, BPF_H, R1, R8, offsetof(struct net_mark, port));
	store(c, BPF_H, FP, KEY(port), R1);
	when_is(c, BPF_JSET, R9, MARK_WILD, wild);
	copy6(c, FP, KEY(addr), R8, offsetof(struct net_mark, ip6));
	load(c, BPF_W, R1, R8, offsetof(struct net_mark, ip4));
	when_is(c, BPF_JEQ, R1, 0, exact);
	move(c, R9, R1);
	put_mapped(c, FP, KEY(addr), R9);
	go(c, exact);

	part(c, wild, "a wildcard: for its family, dual stack for both");
	when_is(c, BPF_JSET, R9, MARK_MAPPED, v4_only);
	load(c, BPF_W, R1, R6, SO(family));
	when_is(c, BPF_JNE, R1, AF_INET6, v4_only);
	add_to_table(c, SLOT_V6);
	alu_is(c, BPF_AND, R9, MARK_DUAL);
	when_is(c, BPF_JEQ, R9, 0, out);
	add_to_table(c, SLOT_DUAL);
	go(c, out);
	here(c, v4_only);
	add_to_table(c, SLOT_V4);
	here(c, out);
	leave(c, PASS);
}

/* The socket under the key on the stack, if there is one and it takes the packet: assigned, to l. */
static void try_slot(struct code *c, int slot, unsigned l)
{
	unsigned none = label(c);

	rule(c, "a listener of the guest's in the table, that takes it?");
	set(c, R1, (uint32_t)slot);
	store(c, BPF_B, FP, KEY(slot), R1);
	map(c, R1, NET_MAP_STEER);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, KEY_AT);
	call(c, BPF_FUNC_map_lookup_elem);
	when_is(c, BPF_JEQ, R0, 0, none);
	move(c, R8, R0);
	move(c, R1, R6);
	move(c, R2, R8);
	set(c, R3, 0);
	call(c, BPF_FUNC_sk_assign);
	move(c, R9, R0);
	move(c, R1, R8);
	call(c, BPF_FUNC_sk_release);
	when_is(c, BPF_JEQ, R9, 0, l);
	here(c, none);
}

/*
 * A packet that belongs to no connection, on the whole host: if its destination is a guest's, the guest's
 * listener of exactly this address, else of a wildcard; else whatever the kernel finds. But a segment for a guest's
 * loopback is for its own listeners, which are all in the table, or for nobody: a wildcard of the host's, or another
 * guest's, is not what is meant by 127.0.0.1. The same where it comes from one: egress lets it go to its own addresses.
 * Six questions to the table, and for a guest of one address the kernel would have found the same: not asked there,
 * unless a listener has moved.
 */
static void compile_lookup(struct code *c)
{
	unsigned v6 = label(c), known = label(c), out = label(c), wild6 = label(c), no_exact = label(c);
	unsigned ask = label(c), none = label(c), drop = label(c);

#define SL(field) offsetof(struct bpf_sk_lookup, field)
	move(c, R6, R1);
	set(c, R1, 128);
	store(c, BPF_W, FP, PREFIX_AT, R1);
	load(c, BPF_W, R7, R6, SL(family));
	when_is(c, BPF_JEQ, R7, AF_INET6, v6);
	load(c, BPF_W, R9, R6, SL(local_ip4));
	put_mapped(c, FP, PREFIX_AT + 4, R9);
	go(c, known);
	part(c, v6, "IPv6");
	copy6(c, FP, PREFIX_AT + 4, R6, SL(local_ip6));
	part(c, known, "whose address is it?");
	map(c, R1, NET_MAP_GUESTS);
	move(c, R2, FP);
	alu_is(c, BPF_ADD, R2, PREFIX_AT);
	call(c, BPF_FUNC_map_lookup_elem);
	when_is(c, BPF_JEQ, R0, 0, out);
	load(c, BPF_DW, R1, R0, 0);
	when_is(c, BPF_JSLT, R1, 0, ask);       /* NET_OWNER_UDP; else every datagram would be looked for in vain */
	load(c, BPF_W, R2, R6, SL(protocol));
	when_is(c, BPF_JEQ, R2, IPPROTO_UDP, out);
	move(c, R2, R1);
	alu_is(c, BPF_LSH, R2, 2);
	when_is(c, BPF_JSLT, R2, 0, ask);       /* NET_OWNER_TCP; else the kernel finds it, sooner */
	when_is(c, BPF_JNE, R7, AF_INET, out);
	load(c, BPF_W, R2, R6, SL(remote_ip4));
	swap(c, R2, 32);
	alu_is(c, BPF_RSH, R2, 24);
	when_is(c, BPF_JNE, R2, 127, out);
	part(c, ask, "its listener of this very address");
	store(c, BPF_DW, FP, OWNER_AT, R1);
	alu_is(c, BPF_LSH, R1, NET_OWNER_FLAGS);
	alu_is(c, BPF_RSH, R1, NET_OWNER_FLAGS);
	store(c, BPF_DW, FP, KEY(guest), R1);
	copy6(c, FP, KEY(addr), FP, PREFIX_AT + 4);
	set(c, R1, 0);
	store(c, BPF_DW, FP, KEY(port), R1);
	load(c, BPF_W, R1, R6, SL(local_port));
	store(c, BPF_H, FP, KEY(port), R1);
	load(c, BPF_W, R1, R6, SL(protocol));
	store(c, BPF_B, FP, KEY(protocol), R1);
	for (int i = 0; i < SLOTS; i++)
		try_slot(c, SLOT_EXACT + i, out);
	part(c, no_exact, "its listener of a wildcard");
	set(c, R1, 0);
	for (int w = 0; w < 16; w += 4)
		store(c, BPF_W, FP, KEY(addr) + w, R1);
	when_is(c, BPF_JEQ, R7, AF_INET6, wild6);
	for (int i = 0; i < 2 * SLOTS; i++)
		try_slot(c, SLOT_V4 + i, out);
	go(c, none);
	here(c, wild6);
	for (int i = 0; i < SLOTS; i++)
		try_slot(c, SLOT_V6 + i, out);
	part(c, none, "TCP to a guest's loopback, or from one, is refused, as where nobody listens");
	load(c, BPF_W, R1, R6, SL(protocol));
	when_is(c, BPF_JEQ, R1, IPPROTO_UDP, out);
	load(c, BPF_DW, R1, FP, (size_t)OWNER_AT);
	alu_is(c, BPF_LSH, R1, 1);
	when_is(c, BPF_JSLT, R1, 0, drop);      /* NET_OWNER_LOOPBACK */
	when_is(c, BPF_JNE, R7, AF_INET, out);
	load(c, BPF_W, R1, R6, SL(remote_ip4));
	swap(c, R1, 32);
	alu_is(c, BPF_RSH, R1, 8);
	when_is(c, BPF_JEQ, R1, INADDR_LOOPBACK >> 8, out);     /* 127.0.0.x: the host's own */
	alu_is(c, BPF_RSH, R1, 16);
	when_is(c, BPF_JNE, R1, 127, out);
	here(c, drop);
	leave(c, SK_DROP);
	part(c, out, "what the kernel finds");
	leave(c, SK_PASS);
}

/* ---- all of them ---- */

const struct net_hook_kind netprog_hook[NET_HOOKS] = {
	[NET_CREATE] = { "create", "4.10", BPF_PROG_TYPE_CGROUP_SOCK, BPF_CGROUP_INET_SOCK_CREATE },
	[NET_BIND4] = { "bind4", "4.17", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_BIND },
	[NET_CONNECT4] = { "conn4", "4.17", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_CONNECT },
	[NET_SENDMSG4] = { "send4", "4.18", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_SENDMSG },
	[NET_RECVMSG4] = { "recv4", "5.2", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP4_RECVMSG },
	[NET_PEERNAME4] = { "peer4", "5.8", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETPEERNAME },
	[NET_SOCKNAME4] = { "name4", "5.8", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET4_GETSOCKNAME },
	[NET_BIND6] = { "bind6", "4.17", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_BIND, true },
	[NET_CONNECT6] = { "conn6", "4.17", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_CONNECT, true },
	[NET_SENDMSG6] = { "send6", "4.18", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_SENDMSG, true },
	[NET_RECVMSG6] = { "recv6", "5.2", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_UDP6_RECVMSG, true },
	[NET_PEERNAME6] = { "peer6", "5.8", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETPEERNAME, true },
	[NET_SOCKNAME6] = { "name6", "5.8", BPF_PROG_TYPE_CGROUP_SOCK_ADDR, BPF_CGROUP_INET6_GETSOCKNAME, true },
	[NET_SETSOCKOPT] = { "setopt", "5.3", BPF_PROG_TYPE_CGROUP_SOCKOPT, BPF_CGROUP_SETSOCKOPT },
	[NET_EGRESS] = { "egress", "4.10", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_EGRESS },
	[NET_INGRESS] = { "ingres", "4.10", BPF_PROG_TYPE_CGROUP_SKB, BPF_CGROUP_INET_INGRESS },
	[NET_LISTEN] = { "listen", "5.7", BPF_PROG_TYPE_SOCK_OPS, BPF_CGROUP_SOCK_OPS },
	[NET_LOOKUP] = { "lookup", "5.9", BPF_PROG_TYPE_SK_LOOKUP, BPF_SK_LOOKUP },
};

size_t netprog_compile(enum net_hook hook, bool errnos, struct bpf_insn *out, const char **rule_at)
{
	static void (*const compile[NET_HOOKS])(struct code *) = {
		[NET_CREATE] = compile_create,
		[NET_BIND4] = compile_bind4, [NET_BIND6] = compile_bind6,
		[NET_CONNECT4] = compile_connect4, [NET_CONNECT6] = compile_connect6,
		[NET_SENDMSG4] = compile_sendmsg4, [NET_SENDMSG6] = compile_sendmsg6,
		[NET_RECVMSG4] = compile_peername4, [NET_RECVMSG6] = compile_peername6,
		[NET_PEERNAME4] = compile_peername4, [NET_PEERNAME6] = compile_peername6,
		[NET_SOCKNAME4] = compile_sockname4, [NET_SOCKNAME6] = compile_sockname6,
		[NET_SETSOCKOPT] = compile_setsockopt,
		[NET_EGRESS] = compile_egress, [NET_INGRESS] = compile_ingress,
		[NET_LISTEN] = compile_listen, [NET_LOOKUP] = compile_lookup,
	};
	struct code c = { .insn = out, .n_label = FIRST_FREE, .errnos = errnos, .rule = rule_at };

	compile[hook](&c);
	return link_jumps(&c);
}

/* SPDX-License-Identifier: ISC */
/*
 * netshow.c: the address programs for people: --explain -v.
 *
 * A disassembler of the few instructions that netprog.c's assembler emits, in the notation of the kernel's verifier
 * log (r1 64 bits, w1 32), with what it knows put in words: the rule that begins at an instruction (netprog.c says
 * so while it compiles), fields of the configuration (r7) and of the context (r6), flags, maps, helpers. An
 * instruction that it doesn't know it shows as its bytes.
 */
#include "vrun.h"

#include <sys/socket.h>
#include <linux/bpf.h>

#define AT(type, field) { offsetof(struct type, field), #field }
struct place { uint16_t at; char name[14]; };
struct names { const struct place *place; size_t n; };
#define NAMES(table) { table, sizeof(table) / sizeof(table[0]) }

static const struct place config_place[] = {
	AT(net_config, flags), AT(net_config, loopback), AT(net_config, n_v4), AT(net_config, n_v6), AT(net_config, guest),
	AT(net_config, loopback6_hi), AT(net_config, loopback6_lo), AT(net_config, loopback6), AT(net_config, level),
}, slot4_place[] = {
	AT(net_slot4, lo), AT(net_slot4, count), AT(net_slot4, addr), AT(net_slot4, mask), AT(net_slot4, broadcast),
}, slot6_place[] = {
	AT(net_slot6, net), AT(net_slot6, lo), AT(net_slot6, more), AT(net_slot6, mask_hi), AT(net_slot6, mask_lo),
	AT(net_slot6, addr),
}, peer4_place[] = {
	AT(net_peer4, net), AT(net_peer4, mask), AT(net_peer4, port), AT(net_peer4, port_mask), AT(net_peer4, deny),
}, peer6_place[] = {
	AT(net_peer6, net_hi), AT(net_peer6, net_lo), AT(net_peer6, mask_hi), AT(net_peer6, mask_lo), AT(net_peer6, port),
	AT(net_peer6, port_mask), AT(net_peer6, deny),
}, address_place[] = {
	AT(bpf_sock_addr, user_family), AT(bpf_sock_addr, user_ip4), AT(bpf_sock_addr, user_ip6),
	AT(bpf_sock_addr, user_port), AT(bpf_sock_addr, type), AT(bpf_sock_addr, msg_src_ip4),
	AT(bpf_sock_addr, msg_src_ip6), AT(bpf_sock_addr, sk),
}, sock_place[] = {
	AT(bpf_sock, family), AT(bpf_sock, type), AT(bpf_sock, protocol),
}, skb_place[] = {
	AT(__sk_buff, len), AT(__sk_buff, protocol), AT(__sk_buff, data), AT(__sk_buff, data_end), AT(__sk_buff, sk),
	AT(__sk_buff, ifindex),
}, option_place[] = {
	AT(bpf_sockopt, level), AT(bpf_sockopt, optname), AT(bpf_sockopt, optlen),
}, ops_place[] = {
	AT(bpf_sock_ops, op), AT(bpf_sock_ops, family), AT(bpf_sock_ops, local_ip4), AT(bpf_sock_ops, local_ip6),
	AT(bpf_sock_ops, local_port), AT(bpf_sock_ops, sk),
}, lookup_place[] = {
	AT(bpf_sk_lookup, family), AT(bpf_sk_lookup, protocol), AT(bpf_sk_lookup, local_ip4), AT(bpf_sk_lookup, remote_ip4),
	AT(bpf_sk_lookup, local_ip6), AT(bpf_sk_lookup, local_port),
};

/* The arrays of struct net_config. */
static const struct { uint16_t at, size, n; char name[6]; struct names names; } group[] = {
	{ offsetof(struct net_config, v4), sizeof(struct net_slot4), NET_V4_MAX, "v4", NAMES(slot4_place) },
	{ offsetof(struct net_config, v6), sizeof(struct net_slot6), NET_V6_MAX, "v6", NAMES(slot6_place) },
	{ offsetof(struct net_config, peer4), sizeof(struct net_peer4), NET_PEER4_MAX, "peer4", NAMES(peer4_place) },
	{ offsetof(struct net_config, peer6), sizeof(struct net_peer6), NET_PEER6_MAX, "peer6", NAMES(peer6_place) },
};

static struct names context_names(enum net_hook h)
{
	switch (netprog_hook[h].prog_type) {
	case BPF_PROG_TYPE_CGROUP_SOCK: return (struct names)NAMES(sock_place);
	case BPF_PROG_TYPE_CGROUP_SKB: return (struct names)NAMES(skb_place);
	case BPF_PROG_TYPE_CGROUP_SOCKOPT: return (struct names)NAMES(option_place);
	case BPF_PROG_TYPE_SOCK_OPS: return (struct names)NAMES(ops_place);
	case BPF_PROG_TYPE_SK_LOOKUP: return (struct names)NAMES(lookup_place);
	default: return (struct names)NAMES(address_place);
	}
}

/* ".flags", ".v4[3].lo", ".loopback6+8"; false: it has no name. */
static bool put_place(char *out, size_t room, struct names names, unsigned at)
{
	for (size_t i = names.n; i-- > 0;)
		if (names.place[i].at <= at && at < names.place[i].at + 16U) {
			unsigned more = at - names.place[i].at;

			snprintf(out, room, more ? ".%s+%u" : ".%s", names.place[i].name, more);
			return true;
		}
	return false;
}

static void put_memory(char *out, size_t room, enum net_hook h, unsigned size, unsigned base, int off)
{
	static const char type[4][4] = { "u32", "u16", "u8", "u64" };  /* BPF_W, BPF_H, BPF_B, BPF_DW */
	const struct names config = NAMES(config_place);
	int n = snprintf(out, room, "%s ", type[size >> 3 & 3]);
	char *rest = out + n, inner[32];

	room -= (size_t)n;
	if (base == 6 && off >= 0 && put_place(inner, sizeof(inner), context_names(h), (unsigned)off)) {
		snprintf(rest, room, "context%s", inner);
		return;
	}
	for (size_t g = 0; base == 7 && g < sizeof(group) / sizeof(group[0]); g++) {
		unsigned at = (unsigned)off - group[g].at;

		if (off < group[g].at || at >= (unsigned)group[g].size * group[g].n)
			continue;
		if (put_place(inner, sizeof(inner), group[g].names, at % group[g].size)) {
			snprintf(rest, room, "config.%s[%u]%s", group[g].name, at / group[g].size, inner);
			return;
		}
	}
	if (base == 7 && put_place(inner, sizeof(inner), config, (unsigned)off))
		snprintf(rest, room, "config%s", inner);
	else if (base == 10)
		snprintf(rest, room, "stack%+d", off);
	else
		snprintf(rest, room, "*(r%u %c %d)", base, off < 0 ? '-' : '+', off < 0 ? -off : off);
}

static const char *helper_name(int32_t id)
{
	static const struct { uint8_t id; char name[24]; } helper[] = {
		{ BPF_FUNC_bind, "bind" }, { BPF_FUNC_get_local_storage, "get_local_storage" },
		{ BPF_FUNC_get_prandom_u32, "get_prandom_u32" },
		{ BPF_FUNC_map_lookup_elem, "map_lookup_elem" }, { BPF_FUNC_probe_read_kernel, "probe_read_kernel" },
		{ BPF_FUNC_set_retval, "set_retval" }, { BPF_FUNC_sk_assign, "sk_assign" },
		{ BPF_FUNC_sk_fullsock, "sk_fullsock" }, { BPF_FUNC_sk_lookup_tcp, "sk_lookup_tcp" },
		{ BPF_FUNC_sk_ancestor_cgroup_id, "sk_ancestor_cgroup_id" },
		{ BPF_FUNC_skb_ancestor_cgroup_id, "skb_ancestor_cgroup_id" },
		{ BPF_FUNC_sk_lookup_udp, "sk_lookup_udp" }, { BPF_FUNC_sk_release, "sk_release" },
		{ BPF_FUNC_sk_storage_delete, "sk_storage_delete" }, { BPF_FUNC_sk_storage_get, "sk_storage_get" },
		{ BPF_FUNC_sock_hash_update, "sock_hash_update" },
	};

	for (size_t i = 0; i < sizeof(helper) / sizeof(helper[0]); i++)
		if (helper[i].id == id)
			return helper[i].name;
	return "?";
}

/* A number that is compared with, or taken from, the guest's flags. */
static void put_flags(char *out, size_t room, uint32_t flags)
{
	static const char name[][14] = {
		"READY", "LOW_PORTS", "V4", "V6", "RAW_ICMP", "MULTICAST", "SEVERAL", "LATER", "LOOPBACK_HOST",
		"LOOPBACK6", "PEERS", "ALLOWED_ONLY", "UDP_STEERED",
	};
	size_t n = 0;

	for (size_t i = 0; i < sizeof(name) / sizeof(name[0]); i++)
		if (flags >> i & 1)
			n += (size_t)snprintf(out + n, n < room ? room - n : 0, "%s%s", n ? "|" : "", name[i]);
}

static bool put_jump(char *out, size_t room, const struct bpf_insn *i, size_t at, const char *operand)
{
	static const char op[16][4] = { "", "==", ">", ">=", "&", "!=", "s>", "s>=", "", "", "<", "<=", "s<", "s<=", "", "" };
	int target = (int)at + i->off + 1;

	switch (BPF_OP(i->code)) {
	case BPF_JA: snprintf(out, room, "goto %d", target); return true;
	case BPF_CALL: snprintf(out, room, "call %s", helper_name(i->imm)); return true;
	case BPF_EXIT: snprintf(out, room, "exit"); return true;
	}
	snprintf(out, room, "if r%u %s %s goto %d", i->dst_reg, op[BPF_OP(i->code) >> 4], operand, target);
	return *op[BPF_OP(i->code) >> 4];
}

static bool put_alu(char *out, size_t room, const struct bpf_insn *i, const char *operand)
{
	static const char op[16][4] = { "+=", "-=", "", "", "|=", "&=", "<<=", ">>=", "", "", "^=", "=", "", "", "", "" };
	char width = BPF_CLASS(i->code) == BPF_ALU ? 'w' : 'r';

	if (i->code == (BPF_ALU | BPF_END | BPF_TO_BE))
		snprintf(out, room, "r%u = be%d r%u", i->dst_reg, i->imm, i->dst_reg);
	else
		snprintf(out, room, "%c%u %s %s", width, i->dst_reg, op[BPF_OP(i->code) >> 4], operand);
	return i->code == (BPF_ALU | BPF_END | BPF_TO_BE) || *op[BPF_OP(i->code) >> 4];
}

/* One instruction; is_flags: its register holds the guest's flags. False: it is none that netprog.c emits. */
static bool instruction(char *out, size_t room, enum net_hook h, const struct bpf_insn *i, size_t at, bool is_flags)
{
	static const char map[NET_MAPS][9] = { "config", "counters", "marks", "steer", "guests", "ids" };
	unsigned class = BPF_CLASS(i->code);
	char operand[96];

	if (BPF_SRC(i->code) == BPF_X)
		snprintf(operand, sizeof(operand), "%c%u", class == BPF_ALU ? 'w' : 'r', i->src_reg);
	else if (is_flags && (BPF_OP(i->code) == BPF_AND || BPF_OP(i->code) == BPF_JSET) && i->imm > 0)
		put_flags(operand, sizeof(operand), (uint32_t)i->imm);
	else
		snprintf(operand, sizeof(operand), i->imm < 0 || i->imm > 4096 ? "%#x" : "%d", (unsigned)i->imm);
	switch (class) {
	case BPF_LD:
		snprintf(out, room, "r%u = map %s", i->dst_reg, (unsigned)i->imm < NET_MAPS ? map[i->imm] : "?");
		return i->code == (BPF_LD | BPF_DW | BPF_IMM);
	case BPF_LDX:
		put_memory(operand, sizeof(operand), h, BPF_SIZE(i->code), i->src_reg, i->off);
		snprintf(out, room, "r%u = %s", i->dst_reg, operand);
		return BPF_MODE(i->code) == BPF_MEM;
	case BPF_STX:
		put_memory(operand, sizeof(operand), h, BPF_SIZE(i->code), i->dst_reg, i->off);
		snprintf(out, room, "%s = r%u", operand, i->src_reg);
		return BPF_MODE(i->code) == BPF_MEM;
	case BPF_JMP:
		return put_jump(out, room, i, at, operand);
	case BPF_ALU:
	case BPF_ALU64:
		return put_alu(out, room, i, operand);
	}
	return false;
}

static void show(FILE *out, enum net_hook h, const struct bpf_insn *code, size_t n, const char *const *rule_at)
{
	int flags_in = -1;              /* the register that the last load of the flags went to */
	char text[128];

	fprintf(out, "\nprogram '%s': %zu instructions  [Linux %s]\n", netprog_hook[h].name, n, netprog_hook[h].since);
	for (size_t i = 0; i < n; i++) {
		const struct bpf_insn *x = &code[i];

		if (rule_at[i])
			fprintf(out, "      ; %s\n", rule_at[i]);
		if (!instruction(text, sizeof(text), h, x, i, x->dst_reg == flags_in))
			snprintf(text, sizeof(text), "? %02x %u %u %d %d", x->code, x->dst_reg, x->src_reg, x->off, x->imm);
		fprintf(out, "%4zu  %s\n", i, text);
		if (x->code == (BPF_LDX | BPF_W | BPF_MEM) && x->src_reg == 7 && x->off == offsetof(struct net_config, flags))
			flags_in = x->dst_reg;
		else if (BPF_CLASS(x->code) != BPF_JMP && x->dst_reg == flags_in)
			flags_in = -1;
		i += x->code == (BPF_LD | BPF_DW | BPF_IMM);    /* its second half */
	}
}

void netshow_programs(FILE *out, const struct net *n)
{
	static struct bpf_insn code[NETPROG_ROOM];
	const char *rule_at[NETPROG_ROOM];
	bool v6 = false;

	for (size_t i = 0; i < n->n_addr; i++)
		v6 |= n->addr[i].family == AF_INET6;
	for (size_t h = 0; h < NET_HOOKS; h++) {
		if (netprog_hook[h].v6_only && !v6)
			continue;
		for (size_t i = 0; i < NETPROG_ROOM; i++)
			rule_at[i] = NULL;
		show(out, (enum net_hook)h, code, netprog_compile((enum net_hook)h, true, code, rule_at), rule_at);
	}
}

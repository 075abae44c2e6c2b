/* SPDX-License-Identifier: ISC */
/* netshow.c: the address programs as text. */
#include "../../netshow.c"
#include <stdlib.h>
#include <string.h>

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static void says(enum net_hook h, struct bpf_insn i, bool is_flags, const char *want)
{
	char text[128];

	check(instruction(text, sizeof(text), h, &i, 10, is_flags) && !strcmp(text, want), want);
}

#define INSN(...) ((struct bpf_insn){ __VA_ARGS__ })

static void each_kind(void)
{
	says(NET_BIND4, INSN(BPF_ALU64 | BPF_MOV | BPF_X, 6, 1, 0, 0), false, "r6 = r1");
	says(NET_BIND4, INSN(BPF_ALU | BPF_MOV | BPF_K, 2, 0, 0, -2), false, "w2 = 0xfffffffe");
	says(NET_BIND4, INSN(BPF_ALU64 | BPF_RSH | BPF_K, 1, 0, 0, 24), false, "r1 >>= 24");
	says(NET_BIND4, INSN(BPF_ALU | BPF_END | BPF_TO_BE, 8, 0, 0, 32), false, "r8 = be32 r8");
	says(NET_BIND4, INSN(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 5, 127), false, "if r1 == 127 goto 16");
	says(NET_BIND4, INSN(BPF_JMP | BPF_JSLT | BPF_X, 1, 2, -3, 0), false, "if r1 s< r2 goto 8");
	says(NET_BIND4, INSN(BPF_JMP | BPF_JSET | BPF_K, 0, 0, 1, NET_SEVERAL | NET_LATER), true,
	     "if r0 & SEVERAL|LATER goto 12");
	says(NET_BIND4, INSN(BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_bind), false, "call bind");
	says(NET_BIND4, INSN(BPF_JMP | BPF_EXIT, 0, 0, 0, 0), false, "exit");
	says(NET_BIND4, INSN(BPF_LD | BPF_DW | BPF_IMM, 1, 1, 0, NET_MAP_MARKS), false, "r1 = map marks");
	says(NET_BIND4, INSN(BPF_LDX | BPF_W | BPF_MEM, 9, 6, offsetof(struct bpf_sock_addr, user_ip6[2]), 0), false,
	     "r9 = u32 context.user_ip6+8");
	says(NET_EGRESS, INSN(BPF_LDX | BPF_W | BPF_MEM, 2, 6, offsetof(struct __sk_buff, len), 0), false, "r2 = u32 context.len");
	says(NET_EGRESS, INSN(BPF_LDX | BPF_DW | BPF_MEM, 2, 7, offsetof(struct net_config, v6[7].mask_lo), 0), false,
	     "r2 = u64 config.v6[7].mask_lo");
	says(NET_EGRESS, INSN(BPF_LDX | BPF_W | BPF_MEM, 2, 7, offsetof(struct net_config, n_v4), 0), false, "r2 = u32 config.n_v4");
	says(NET_EGRESS, INSN(BPF_LDX | BPF_B | BPF_MEM, 4, 4, 9, 0), false, "r4 = u8 *(r4 + 9)");
	says(NET_BIND4, INSN(BPF_STX | BPF_H | BPF_MEM, 10, 1, -40, 0), false, "u16 stack-40 = r1");
}

/* What says nothing to a reader: an unknown instruction, a helper, a map or a field without a name. */
static void nothing_unknown(void)
{
	struct net all = { .mode = IP_LIST };
	struct addr one = { .family = AF_INET6 };
	char *text = NULL;
	size_t len = 0, programs = 0, rules = 0;
	FILE *f = open_memstream(&text, &len);
	struct bpf_insn odd = { .code = BPF_ST | BPF_W | BPF_MEM };
	char buf[128];

	all.addr = &one;
	all.n_addr = 1;
	netshow_programs(f, &all);
	fclose(f);
	for (char *p = text; (p = strstr(p, "program '")); p++)
		programs++;
	for (char *p = text; (p = strstr(p, "      ; ")); p++)
		rules++;
	check(programs == NET_HOOKS, "every program of a guest with IPv6 is shown");
	check(rules > 4 * NET_HOOKS, "with its rules in words");
	check(!strstr(text, "call ?") && !strstr(text, "map ?") && !strstr(text, "  ? "), "no instruction, helper or map is unknown");
	check(!strstr(text, "*(r6") && !strstr(text, "*(r7"), "every field of the context and the configuration has its name");
	check(!instruction(buf, sizeof(buf), NET_BIND4, &odd, 0, false), "what the assembler doesn't emit is not guessed at");
	free(text);
}

int main(void)
{
	each_kind();
	nothing_unknown();
	return failed;
}

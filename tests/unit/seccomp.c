/* SPDX-License-Identifier: ISC */
/*
 * seccomp.c: the program that comes out does what the table says, for every number of both ABIs. An interpreter
 * of the classic BPF that seccomp takes runs it, apart from the kernel's.
 */
#include "../../seccomp.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

struct run { uint32_t action; unsigned steps; bool saw_arguments, fault; };

static bool taken(const struct sock_filter *f, uint32_t a)
{
	switch (BPF_OP(f->code)) {
	case BPF_JEQ: return a == f->k;
	case BPF_JGE: return a >= f->k;
	case BPF_JGT: return a > f->k;
	default: return a & f->k;       /* JSET */
	}
}

static struct run interpret(const struct sock_filter *insns, size_t n, const struct seccomp_data *data)
{
	struct run r = { 0 };
	uint32_t a = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *f = &insns[pc];

		r.steps++;
		switch (BPF_CLASS(f->code)) {
		case BPF_LD:
			memcpy(&a, (const char *)data + f->k, sizeof(a));
			r.saw_arguments |= f->k >= offsetof(struct seccomp_data, args);
			break;
		case BPF_ALU:
			a &= f->k;
			break;
		case BPF_JMP:
			pc += BPF_OP(f->code) == BPF_JA ? f->k : taken(f, a) ? f->jt : f->jf;
			break;
		case BPF_RET:
			r.action = f->k;
			return r;
		}
	}
	r.fault = true;
	return r;
}

static struct sock_filter program[INSNS_MAX];
static size_t length;

static struct run call(uint32_t arch, uint32_t nr, const uint64_t args[3])
{
	struct seccomp_data d = { .nr = (int)nr, .arch = arch, .args = { args[0], args[1], args[2] } };

	return interpret(program, length, &d);
}

static uint32_t action(uint32_t arch, uint32_t nr, uint64_t a0, uint64_t a1)
{
	return call(arch, nr, (const uint64_t[3]){ a0, a1 }).action;
}

static void compile(const struct plan *p)
{
	bool notifies;

	length = seccomp_compile(p, program, INSNS_MAX, &notifies);
	check(length > 0 && !prog_fault(program, length * sizeof(program[0])), "the program is one the kernel takes");
	check(notifies == seccomp_notifies(p), "it has a listener exactly if a rule notifies");
}

/* The table, read a second time and in the simplest way. */
static uint32_t expected(const struct plan *p, bool native, uint32_t nr, const uint64_t *args)
{
	if (native && nr & COMPAT_X32_BIT)
		return SECCOMP_RET_ERRNO | ENOSYS;
	if (p->rights.seccomp != SECCOMP_NONE && nr > (uint32_t)__NR_file_setattr &&
	    !(nr >= 0xf0000 && (native ? COMPAT_ARM_NATIVE : COMPAT_ARM_32)))
		return SECCOMP_RET_ERRNO | ENOSYS;
	for (size_t i = 0; i < N_RULES; i++) {
		const struct rule *r = &rules[i];
		uint32_t value = r->arg == ANY ? 0 : (uint32_t)args[r->arg] & r->mask;

		if ((native ? r->nr : r->nr32) != (int)nr || !rule_applies(r, p) ||
		    (r->arg != ANY && (value < r->from || value > r->to)))
			continue;
		return r->error ? SECCOMP_RET_ERRNO | r->error : SECCOMP_RET_USER_NOTIF;
	}
	return SECCOMP_RET_ALLOW;
}

static bool has_argument_rule(const struct plan *p, bool native, uint32_t nr)
{
	for (size_t i = 0; i < N_RULES; i++)
		if ((native ? rules[i].nr : rules[i].nr32) == (int)nr && rules[i].arg != ANY &&
		    rule_applies(&rules[i], p))
			return true;
	return false;
}

static void every_number(const struct plan *p, const char *what)
{
	static const uint64_t values[] = {
		0, 1, 2, 3, 8, 9, 10, 11, 15, 16, 17, 18, 38, 40, 0x5412, 0x541c, 0x401c5820, CLONE_NEWUSER,
		CLONE_NEWUSER | 17, UINT32_MAX, UINT64_C(1) << 32, UINT64_C(0x100005412), UINT64_C(0xdeadbeef00000028),
		UINT64_C(0x8000000000000000) | CLONE_NEWUSER, UINT64_MAX,
	};
	enum { N = sizeof(values) / sizeof(values[0]) };
	bool same = true, constant = true, ended = true;
	unsigned steps = 0, all_steps = 0, calls = 0;

	for (int abi = 0; abi < (COMPAT_AUDIT_32 ? 2 : 1); abi++)
		for (uint32_t nr = 0; nr < 700; nr++)
			for (size_t v = 0; v < N; v++) {
				const uint64_t args[3] = { values[v], values[(v + 7) % N], values[(v + 3) % N] };
				struct run r = call(abi ? COMPAT_AUDIT_32 : COMPAT_AUDIT_NATIVE, nr, args);

				same &= r.action == expected(p, !abi, nr, args);
				ended &= !r.fault;
				constant &= !r.saw_arguments || has_argument_rule(p, !abi, nr);
				steps = r.steps > steps ? r.steps : steps;
				all_steps += nr <= 470 && !v ? r.steps : 0;
				calls += nr <= 470 && !v;
			}
	printf("# %s: %zu instructions, %u a number, at most %u\n", what, length, all_steps / calls, steps);
	check(same, "every number of both ABIs is decided as its rows say");
	check(ended, "no path runs off the program's end");
	check(constant, "arguments are only looked at where a rule hangs on them");
	check(steps <= 30, "no call takes more than 30 instructions");
}

static void default_list(void)
{
	struct plan p = { .context.userns = YES };
	const uint32_t here = COMPAT_AUDIT_NATIVE, eperm = SECCOMP_RET_ERRNO | EPERM,
		enosys = SECCOMP_RET_ERRNO | ENOSYS, no_family = SECCOMP_RET_ERRNO | EAFNOSUPPORT,
		allow = SECCOMP_RET_ALLOW;

	compile(&p);
	every_number(&p, "default");
	check(action(here, __NR_init_module, 0, 0) == eperm, "init_module is EPERM");
	check(action(here, __NR_kexec_load, 0, 0) == eperm, "kexec_load is EPERM");
	check(action(here, __NR_io_uring_setup, 1, 0) == enosys, "io_uring_setup is ENOSYS");
	check(action(here, __NR_keyctl, 1, 0) == enosys, "keyctl is ENOSYS");
	check(action(here, __NR_clone3, 0, 0) == enosys, "clone3 is ENOSYS");
	check(action(here, __NR_ioctl, 0, 0x5412) == eperm, "TIOCSTI is EPERM");
	check(action(here, __NR_ioctl, 0, UINT64_C(0x100005412)) == eperm, "TIOCSTI with a high bit is EPERM");
	check(action(here, __NR_ioctl, 0, UINT64_C(0xffffffff0000541c)) == eperm, "TIOCLINUX with high bits is EPERM");
	check(action(here, __NR_ioctl, 0, 0x5423) == eperm, "TIOCSETD is EPERM");
	check(action(here, __NR_ioctl, 0, 0x5413) == allow, "TIOCGWINSZ is allowed");
	check(action(here, __NR_ioctl, 0x5412, 0x5401) == allow, "a descriptor of TIOCSTI's number is allowed");
	check(action(here, __NR_socket, 40, 1) == no_family, "AF_VSOCK is EAFNOSUPPORT");
	check(action(here, __NR_socket, UINT64_C(0x100000028), 1) == no_family, "AF_VSOCK with a high bit, too");
	check(action(here, __NR_socket, 43, 1) == no_family, "AF_SMC is EAFNOSUPPORT");
	check(action(here, __NR_socket, 2, 1) == allow && action(here, __NR_socket, 10, 1) == allow &&
	      action(here, __NR_socket, 1, 1) == allow && action(here, __NR_socket, 16, 1) == allow,
	      "UNIX, IPv4, IPv6 and netlink sockets are allowed");
	check(action(here, __NR_unshare, CLONE_NEWUSER | CLONE_NEWNS, 0) == eperm, "unshare of a user namespace is EPERM");
	check(action(here, __NR_unshare, CLONE_NEWNS, 0) == allow, "unshare of others is the kernel's business");
	check(action(here, __NR_read, 0, 0) == allow && action(here, __NR_reboot, 0, 0) == allow, "read and reboot are allowed");
	check(action(here, UINT32_MAX, 0, 0) == enosys && action(here, 0x3fffffff, 0, 0) == enosys, "and so is any that can't be");
	check(action(here, 470, 0, 0) == enosys, "a call newer than the table is ENOSYS");
	check(action(0x12345678, __NR_read, 0, 0) == enosys, "an ABI of another machine is ENOSYS");
#ifdef __x86_64__
	/* A libc whose headers are old must not take a rule away. */
	for (size_t i = 0; i < N_RULES; i++)
		if (rules[i].nr < 0 && strcmp(rules[i].name, "vm86") && strcmp(rules[i].name, "vm86old") &&
		    strcmp(rules[i].name, "socketcall"))
			check(false, rules[i].name);
	check(action(here, 0x40000000u | 0, 0, 0) == enosys, "x32 is ENOSYS");
	check(action(AUDIT_ARCH_I386, 3, 0, 0) == allow, "read of the 32-bit ABI is allowed");
	check(action(AUDIT_ARCH_I386, 128, 0, 0) == eperm, "its init_module is EPERM");
	check(action(AUDIT_ARCH_I386, 175, 0, 0) == allow, "its number 175, init_module elsewhere, is allowed");
	check(action(AUDIT_ARCH_I386, 54, 0, 0x5412) == eperm, "its TIOCSTI is EPERM");
	check(action(AUDIT_ARCH_I386, 359, 40, 0) == no_family, "its AF_VSOCK is EAFNOSUPPORT");
	check(action(AUDIT_ARCH_I386, 102, 1, 0) == SECCOMP_RET_USER_NOTIF &&
	      action(AUDIT_ARCH_I386, 102, 8, 0) == SECCOMP_RET_USER_NOTIF, "its socketcall that makes sockets is brokered");
	check(action(AUDIT_ARCH_I386, 102, 3, 0) == allow && action(AUDIT_ARCH_I386, 102, 2, 0) == allow,
	      "its socketcall that connects is allowed, and that binds where nothing is steered");
#endif
}

static void other_plans(void)
{
	const uint32_t here = COMPAT_AUDIT_NATIVE, eperm = SECCOMP_RET_ERRNO | EPERM, allow = SECCOMP_RET_ALLOW;
	struct plan none = { .context.userns = NO, .rights.seccomp = SECCOMP_NONE };
	struct plan host = { .context.userns = NO, .rights.seccomp = SECCOMP_NONE, .net.mode = IP_HOST };
	struct plan ccaps = { .rights.ccap = CCAP_SET_UTSNAME | CCAP_USERNS };
	struct plan brokered = { .rights.ccap = CCAP_SYSLOG | CCAP_SET_RLIMIT };
	struct plan module = { .context.userns = NO, .rights.cap_add = UINT64_C(1) << CAP_SYS_MODULE };

	compile(&none);
	every_number(&none, "--seccomp none");
#ifdef __x86_64__
	check(action(here, 0x40000000u, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS) &&
	      action(here, 0x40000000u | 520, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS) &&
	      action(here, UINT32_MAX, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS), "x32 is ENOSYS with --seccomp none, too");
#endif
	check(action(here, __NR_bpf, 0, 0) == allow && action(here, __NR_ioctl, 0, 0x5412) == allow,
	      "with --seccomp none the deny list is gone");
	check(action(here, __NR_kexec_load, 0, 0) == eperm &&
	      action(here, __NR_unshare, CLONE_NEWUSER, 0) == eperm &&
	      action(here, __NR_socket, 43, 0) == (SECCOMP_RET_ERRNO | EAFNOSUPPORT) &&
	      action(here, __NR_io_uring_setup, 1, 0) == (SECCOMP_RET_ERRNO | ENOSYS),
	      "what other promises rest on stays");
	compile(&host);
	every_number(&host, "--seccomp none --ip host");
	check(action(here, __NR_socket, 40, 0) == allow, "with --ip host there is nothing for families to pass under");
	check(!seccomp_notifies(&host), "and no call to broker");
	compile(&ccaps);
	every_number(&ccaps, "--ccap set_utsname,userns");
	check(action(here, __NR_sethostname, 0, 0) == SECCOMP_RET_USER_NOTIF, "set_utsname has sethostname brokered");
	check(action(here, __NR_unshare, CLONE_NEWUSER, 0) == allow && action(here, __NR_clone3, 0, 0) == allow,
	      "--ccap userns allows user namespaces and clone3");
	compile(&brokered);
	every_number(&brokered, "--ccap syslog,set_rlimit");
	check(action(here, __NR_syslog, 0, 0) == SECCOMP_RET_USER_NOTIF, "--ccap syslog has syslog brokered, not refused");
	compile(&module);
	check(action(here, __NR_finit_module, 0, 0) == allow, "--userns no --cap-add SYS_MODULE takes its rules away");
	check(action(here, __NR_bpf, 0, 0) == eperm, "and no others");
	module.context.userns = YES;
	compile(&module);
	check(action(here, __NR_finit_module, 0, 0) == eperm, "in a user namespace none goes");
	module.rights.seccomp = SECCOMP_NONE;
	length = seccomp_compile(&module, program, 20, &(bool){ false });
	check(length == 0, "a program that doesn't fit is none");
}

static void files(void)
{
	struct sock_filter good[] = {
		{ BPF_LD | BPF_W | BPF_ABS, 0, 0, 0 }, { BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 39 },
		{ BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ALLOW }, { BPF_RET | BPF_K, 0, 0, SECCOMP_RET_ERRNO | EPERM },
	};
	static const struct { size_t at; struct sock_filter insn; const char *what; } bad[] = {
		{ 0, { BPF_LD | BPF_W | BPF_ABS, 0, 0, 64 }, "a load from beyond the data is refused" },
		{ 0, { BPF_LD | BPF_W | BPF_ABS, 0, 0, 2 }, "a load that isn't aligned is refused" },
		{ 0, { BPF_LD | BPF_H | BPF_ABS, 0, 0, 0 }, "a load of 16 bits is refused" },
		{ 1, { BPF_JMP | BPF_JEQ | BPF_K, 2, 0, 0 }, "a jump past the end is refused" },
		{ 1, { BPF_JMP | BPF_JA, 0, 0, 2 }, "a long jump past the end is refused" },
		{ 1, { BPF_JMP | BPF_JA, 0, 0, UINT32_MAX }, "a long jump around is refused" },
		{ 1, { BPF_ALU | BPF_DIV | BPF_K, 0, 0, 0 }, "a division by 0 is refused" },
		{ 1, { BPF_ST, 0, 0, 16 }, "memory beyond 16 words is refused" },
		{ 1, { 0xffff, 0, 0, 0 }, "an unknown instruction is refused" },
		{ 3, { BPF_LD | BPF_IMM, 0, 0, 0 }, "a program without a return at its end is refused" },
	};

	check(!prog_fault(good, sizeof(good)), "a small filter is taken");
	check(prog_fault(good, sizeof(good) - 1) && prog_fault(good, 0), "half an instruction, or none, is refused");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sock_filter copy[4];

		memcpy(copy, good, sizeof(good));
		copy[bad[i].at] = bad[i].insn;
		check(prog_fault(copy, sizeof(copy)), bad[i].what);
	}
}

/* For tests/31-seccomp.t, which compares it with the manual's table. */
static void print_table(void)
{
	for (size_t i = 0; i < N_RULES; i++)
		printf("%s %s\n", rules[i].name, rules[i].error == EPERM ? "EPERM" : rules[i].error == ENOSYS ? "ENOSYS" :
		       rules[i].error == EAFNOSUPPORT ? "EAFNOSUPPORT" : "broker");
}

int main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "--table") == 0) {
		print_table();
		return 0;
	}
	default_list();
	other_plans();
	files();
	return failed;
}

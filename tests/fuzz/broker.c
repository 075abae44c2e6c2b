/* SPDX-License-Identifier: ISC */
/* Any call with any memory behind it: answered once, never let through, and nothing done for the wrong caller. */
#define main unit_main
#include "../unit/broker.c"
#undef main

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int numbers[] = { __NR_syslog, __NR_prlimit64, __NR_setrlimit, 75, 340, __NR_sethostname, __NR_setdomainname, __NR_socketcall, 74, 121, 102, 0, -1 };
	struct { uint8_t number, native, valid_for, root; uint64_t args[2]; } in;
	static char status[257];
	struct seccomp_notif n = { .id = 5, .pid = 9 };

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	data += sizeof(in);
	size -= sizeof(in);
	fresh(in.root & 1 ? root_status : in.root & 2 ? user_status : status, "");
	memset(status, 0, sizeof(status));
	memcpy(status, data, size < 256 ? size : 256);
	memcpy(world.memory, data, size < sizeof(world.memory) ? size : sizeof(world.memory));
	world.valid_for = in.valid_for;
	n.data.nr = numbers[in.number % (sizeof(numbers) / sizeof(numbers[0]))];
	n.data.arch = in.native & 1 ? COMPAT_AUDIT_NATIVE : in.native & 2 ? COMPAT_AUDIT_32 : in.native;
	n.data.args[0] = in.args[0];
	n.data.args[1] = in.args[1];
	memset(&world.reply, 0xff, sizeof(world.reply));
	answer(&guest, &n);
	if (world.reply.id == 5 ? world.reply.error > 0 : world.added == 0)
		__builtin_trap();
	if (world.name_len > UTS_LEN_MAX || (world.name_len >= 0 && !(in.root & 1) && (in.root & 2)))
		__builtin_trap();
	if (world.euid != 0)
		__builtin_trap();
	return 0;
}

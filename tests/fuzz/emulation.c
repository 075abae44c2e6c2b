/* SPDX-License-Identifier: ISC */
/* Calls of a guest whose network only shows: interfaces asked for, sockets, binds, sysinfo(2); any argument, any memory. */
#define readlinkat fake_readlinkat
#define fstatat fake_fstatat
#define setns fake_setns
#define setfsuid fake_setfsuid
#define setfsgid fake_setfsgid
#define getsockopt fake_getsockopt
#define bind fake_bind
#define main unit_main
#include "../unit/broker.c"
#undef main

static struct { uint8_t number, arch, valid_for, how; uint64_t args[4]; } in;
static int ns;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

ssize_t fake_readlinkat(int dir_fd, const char *path, char *to, size_t room)
{
	(void)dir_fd, (void)path;
	if (in.how & 1)
		return errno = in.how & 2 ? EACCES : ENOENT, -1;
	return snprintf(to, room, in.how & 2 ? "socket:[1]" : "/etc/passwd-and-a-name-that-is-long") < (int)room ? 10 : (ssize_t)room;
}

int fake_fstatat(int dir_fd, const char *path, struct stat *st, int flags)
{
	(void)dir_fd, (void)path, (void)flags;
	*st = (struct stat){ .st_uid = in.how & 4 ? 0 : 655361, .st_gid = 655361 };
	return in.how & 8 ? (errno = ENOENT, -1) : 0;
}

int fake_setns(int fd, int type) { (void)type; ns = fd; return 0; }
int fake_setfsuid(uid_t id) { return (int)id; }
int fake_setfsgid(gid_t id) { return (int)id; }

int fake_getsockopt(int fd, int level, int option, void *value, socklen_t *len)
{
	(void)fd, (void)level, (void)len;
	*(int *)value = option == SO_DOMAIN ? (in.how & 16 ? AF_INET : AF_INET6) : in.how & 32 ? IPPROTO_UDP : IPPROTO_TCP;
	return 0;
}

int fake_bind(int fd, const struct sockaddr *sa, socklen_t len)
{
	if (fd < 0 || !sa || len < sizeof(struct sockaddr_in) || len > sizeof(struct sockaddr_in6) || !world.euid)
		__builtin_trap();
	return 0;
}

static size_t fill(struct view *v, void *to, bool abi_32)
{
	(void)v;
	memset(to, 1, 112);
	return abi_32 ? 64 : 112;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const int numbers[] = { __NR_ioctl, __NR_socket, __NR_bind, __NR_sysinfo, 54, 359, 361, 116, 102 };
	struct seccomp_notif n = { .id = 5, .pid = 9 };
	struct broker b = { .listener_fd = -1, .ccap = CCAP_RAW_ICMP, .id_base = 655360, .net_view = true, .net_fd = 1 };

	if (size < sizeof(in))
		return 0;
	memcpy(&in, data, sizeof(in));
	fresh(in.how & 64 ? user_status : root_status, "");
	memcpy(world.memory, data + sizeof(in), size - sizeof(in) < sizeof(world.memory) ? size - sizeof(in) : sizeof(world.memory));
	world.valid_for = in.valid_for;
	fill_sysinfo = fill;
	host_net_fd = ns = 0;
	n.data.nr = numbers[in.number % (sizeof(numbers) / sizeof(numbers[0]))];
	n.data.arch = in.arch & 1 ? COMPAT_AUDIT_NATIVE : COMPAT_AUDIT_32;
	memcpy(n.data.args, in.args, sizeof(in.args));
	memset(&world.reply, 0xff, sizeof(world.reply));
	answer(&b, &n);
	if (world.reply.id == 5 ? world.reply.error > 0 : world.added == 0)
		__builtin_trap();       /* not answered, or not with an errno */
	if (world.reply.id == 5 && world.reply.flags && n.data.nr != __NR_bind && n.data.nr != 361 &&
	    (n.data.nr != 102 || (uint32_t)in.args[0] != SOCKETCALL_BIND))
		__builtin_trap();       /* let through */
	if (world.euid != 0 || ns != host_net_fd)
		__builtin_trap();       /* still somebody else, or elsewhere */
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* netdev.c: what it makes of rtnetlink's answers, with the kernel's part played here. */
#define socket fake_socket
#define send fake_send
#define recv fake_recv
#include <unistd.h>
#include "../../netdev.c"

static int failed;

static void check(bool ok, const char *what)
{
	printf("%sok - %s\n", ok ? "" : "not ", what);
	failed |= !ok;
}

static uint64_t room[256];
static size_t begin, len;               /* of the answer that comes next; more is in the room behind it */
static int dumps;
static size_t (*next)(void);            /* makes an answer of a dump */

int fake_socket(int family, int type, int protocol)
{
	(void)family, (void)type, (void)protocol;
	return dup(0);
}

ssize_t fake_send(int fd, const void *q, size_t n, int flags)
{
	(void)fd, (void)q, (void)flags;
	dumps++;
	begin = 0;
	return (ssize_t)n;
}

/* What stood in the buffer before stays there, behind the answer. */
ssize_t fake_recv(int fd, void *buf, size_t size, int flags)
{
	(void)fd, (void)flags;
	if (next && begin == 0)
		len = next();
	memcpy(buf, (char *)room + begin, size < sizeof(room) - begin ? size : sizeof(room) - begin);
	begin += len;
	return (ssize_t)len;
}

/* The last octet of 10.0.0.x, and of the peer's if there is one. */
static size_t put(size_t at, uint16_t flags, uint8_t local, uint8_t peer)
{
	struct request *q = (struct request *)(void *)((char *)room + at);
	const uint8_t ip[4] = { 10, 0, 0, local }, other[4] = { 10, 0, 0, peer ? peer : local };

	*q = (struct request){
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q->msg)), .nlmsg_type = RTM_NEWADDR, .nlmsg_flags = flags },
		.msg = { .ifa_family = AF_INET, .ifa_prefixlen = local, .ifa_index = 7 },
	};
	add_attribute(q, IFA_ADDRESS, other, 4);
	add_attribute(q, IFA_LOCAL, ip, 4);
	return at + NLMSG_ALIGN(q->head.nlmsg_len);
}

static size_t put_done(size_t at, uint16_t flags)
{
	struct nlmsghdr h = { .nlmsg_len = NLMSG_LENGTH(4), .nlmsg_type = NLMSG_DONE, .nlmsg_flags = flags };

	memcpy((char *)room + at, &h, sizeof(h));
	return at + h.nlmsg_len;
}

/* One was left out, since another went away; the next time there are all. */
static size_t changing(void)
{
	return dumps == 1 ? put_done(put(0, NLM_F_DUMP_INTR, 1, 0), 0) : put_done(put(put(0, 0, 1, 0), 0, 2, 9), 0);
}

static size_t never_whole(void)
{
	return put_done(put(0, 0, 1, 0), NLM_F_DUMP_INTR);
}

static size_t list(size_t (*with)(void), struct netdev_address **all)
{
	size_t n;

	dumps = 0;
	next = with;
	*all = netdev_list(AF_INET, &n);
	return n;
}

int main(void)
{
	static const uint8_t ip[4] = { 10, 0, 0, 2 }, none[4] = { 10, 0, 0, 9 };
	struct netdev_address *all, a = { .family = AF_INET6 };
	struct rtattr old = { .rta_len = RTA_LENGTH(4), .rta_type = IFA_FLAGS };
	const uint32_t failed_dad = IFA_F_DADFAILED;
	size_t n = list(changing, &all);

	check(n == 2 && dumps == 2 && all[0].ip[3] == 1 && all[1].ip[3] == 2, "a list that changed meanwhile is asked for again");
	check(n == 2 && all[1].ifindex == 7 && all[1].plen == 2, "an address is its own side's, not the peer's");
	free(all);
	n = list(never_whole, &all);
	check(n == 1 && dumps == DUMPS_MAX, "but not for ever");
	free(all);
	dumps = 0;
	next = changing;
	check(netdev_prefix(AF_INET, ip, 32) == 2, "the prefix is the host's");
	check(netdev_prefix(AF_INET, none, 32) == 32, "or, where it hasn't the address, the other");

	/* What once was in the buffer is no attribute of this answer. */
	next = NULL;
	memset(room, 0, sizeof(room));
	len = put(0, 0, 1, 0);
	memcpy((char *)room + len, &old, sizeof(old));
	memcpy((char *)room + len + sizeof(old), &failed_dad, 4);
	check(netdev_settle(&a) == 0, "an answer ends where it ends");
	return failed;
}

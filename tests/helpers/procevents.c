/* SPDX-License-Identifier: ISC */
/*
 * procevents [listen]: "heard" at the first event of a process anywhere on this host, by the netlink connector; or where
 * it ended, and why. With "listen" the kernel begins to tell (which only root may ask for), and it goes on.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/cn_proc.h>
#include <linux/connector.h>
#include <linux/netlink.h>

static int failed(const char *what)
{
	printf("%s %s\n", what, errno == EAFNOSUPPORT ? "EAFNOSUPPORT" : strerror(errno));
	return 1;
}

int main(int argc, char **argv)
{
	struct __attribute__((packed)) { struct nlmsghdr head; struct cn_msg msg; enum proc_cn_mcast_op op; } ask = {
		.head = { .nlmsg_len = sizeof(ask), .nlmsg_type = NLMSG_DONE },
		.msg = { .id = { CN_IDX_PROC, CN_VAL_PROC }, .len = sizeof(ask.op) }, .op = PROC_CN_MCAST_LISTEN,
	};
	struct sockaddr_nl group = { .nl_family = AF_NETLINK, .nl_groups = CN_IDX_PROC };
	int listens = argc > 1 && !strcmp(argv[1], "listen"), fd = socket(AF_NETLINK, SOCK_DGRAM, NETLINK_CONNECTOR);
	char buf[4096];

	alarm(100);
	if (fd < 0)
		return failed("socket");
	if (bind(fd, (struct sockaddr *)&group, sizeof(group)) < 0)
		return failed("bind");
	if (listens && send(fd, &ask, sizeof(ask), 0) < 0)
		return failed("send");
	printf("listens\n");
	fflush(stdout);
	while (recv(fd, buf, sizeof(buf), 0) < 0 || listens)
		;
	printf("heard\n");
	return 0;
}

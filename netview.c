/* SPDX-License-Identifier: ISC */
/*
 * netview.c: --hide net with --ip ADDR: a network namespace that only shows.
 *
 * The guest's processes live in a network namespace of their own, which the host's user namespace owns: the guest
 * can't change it. In it stand the host's devices that carry the guest's addresses, as far as anybody looks: same
 * name, index, hardware address and MTU, with the guest's addresses and no other; nothing is behind them. Whatever
 * asks the kernel (netlink, /proc/net, /sys/class/net, getifaddrs) sees that. The guest's IPv4 and IPv6 sockets are
 * the host stack's: socket(2) is notified, and the broker, which stands in the host's namespace, makes them
 * (broker.c). A way to a socket that nobody thought of ends in here, where nothing is connected: it fails closed.
 *
 * The device is the first kind that this kernel has, of those that need no other end: dummy, ifb, bridge (VIEWS.md
 * A1). Without ARP, so no address is ever tentative.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_arp.h>
#include <linux/if_link.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>

enum { DEVICES_MAX = 32, ADDRESSES_MAX = 256 };

struct device_facts {
	char name[IF_NAMESIZE];
	uint32_t index, mtu;
	bool loopback, has_mac;
	uint8_t mac[6];
};

struct facts {
	struct device_facts device[DEVICES_MAX]; size_t n_device;
	struct netdev_address address[ADDRESSES_MAX]; size_t n_address;
	uint8_t on[ADDRESSES_MAX];      /* which device */
};

/* ---- what the host has: before the namespace is left ---- */

static const struct addr *granted(const struct net *n, const struct netdev_address *there)
{
	size_t size = there->family == AF_INET ? 4 : 16;

	for (size_t i = 0; i < n->n_addr; i++) {
		const struct addr *a = &n->addr[i];

		if (a->family == there->family && memcmp(there->ip, a->ip, size) >= 0 && memcmp(there->ip, a->ip_to, size) <= 0)
			return a;
	}
	return NULL;
}

static uint8_t find_device(struct facts *f, uint32_t index, int sock)
{
	struct device_facts *d = &f->device[f->n_device];
	struct ifreq r;

	for (size_t i = 0; i < f->n_device; i++)
		if (f->device[i].index == index)
			return (uint8_t)i;
	if (f->n_device == DEVICES_MAX)
		die("--hide net: the guest's addresses are on more than %d devices", DEVICES_MAX);
	*d = (struct device_facts){ .index = index };
	memset(&r, 0, sizeof(r));
	if (!if_indextoname(index, d->name))
		die_sys("--hide net: ask for the device %u of an address", index);
	memcpy(r.ifr_name, d->name, sizeof(r.ifr_name));
	if (ioctl(sock, SIOCGIFMTU, &r) < 0)
		die_sys("--hide net: ask for device %s", quote(d->name));
	d->mtu = (uint32_t)r.ifr_mtu;
	if (ioctl(sock, SIOCGIFHWADDR, &r) == 0) {
		d->loopback = r.ifr_hwaddr.sa_family == ARPHRD_LOOPBACK;
		d->has_mac = r.ifr_hwaddr.sa_family == ARPHRD_ETHER;
		memcpy(d->mac, r.ifr_hwaddr.sa_data, sizeof(d->mac));
	}
	return (uint8_t)f->n_device++;
}

static void find_facts(const struct plan *p, struct facts *f)
{
	_cleanup_fd_ int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	size_t n;
	struct netdev_address *all = netdev_list(AF_UNSPEC, &n);

	f->n_device = f->n_address = 0;
	if (sock < 0)
		die_sys("--hide net: ask for the host's devices");
	for (size_t i = 0; i < n; i++) {
		const struct addr *a = granted(&p->net, &all[i]);

		if (!a)
			continue;
		if (f->n_address == ADDRESSES_MAX)
			die("--hide net: more than %d addresses", ADDRESSES_MAX);
		f->on[f->n_address] = find_device(f, all[i].ifindex, sock);
		if (a->have_plen)
			all[i].plen = a->plen;
		f->address[f->n_address++] = all[i];
	}
	free(all);
}

/* ---- the view ---- */

struct link_request {
	struct nlmsghdr head;
	struct ifinfomsg msg;
	uint8_t attributes[160];
};

static struct rtattr *add(struct link_request *q, int type, const void *data, size_t len)
{
	struct rtattr *r = (struct rtattr *)(void *)((uint8_t *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	r->rta_type = (unsigned short)type;
	r->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(r), data, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(r->rta_len);
	return r;
}

static int make_link(const struct device_facts *d, const char *kind)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct { struct nlmsghdr head; struct nlmsgerr error; char more[1024]; } answer;
	struct link_request q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.msg)), .nlmsg_type = RTM_NEWLINK,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK },
		.msg = { .ifi_index = (int)d->index, .ifi_flags = IFF_UP | IFF_NOARP,
			 .ifi_change = IFF_UP | IFF_NOARP },
	};
	struct rtattr *info;

	add(&q, IFLA_IFNAME, d->name, strlen(d->name) + 1);
	add(&q, IFLA_MTU, &d->mtu, sizeof(d->mtu));
	if (d->has_mac)
		add(&q, IFLA_ADDRESS, d->mac, sizeof(d->mac));
	info = add(&q, IFLA_LINKINFO, NULL, 0);
	add(&q, IFLA_INFO_KIND, kind, strlen(kind));
	info->rta_len = (unsigned short)((uint8_t *)&q + q.head.nlmsg_len - (uint8_t *)info);
	if (fd < 0 || send(fd, &q, q.head.nlmsg_len, 0) < 0 || recv(fd, &answer, sizeof(answer), 0) < 0)
		return -1;
	errno = answer.head.nlmsg_type == NLMSG_ERROR ? -answer.error.error : EPROTO;
	return errno ? -1 : 0;
}

/*
 * Where modules for tunnels are loaded (sit, ipip, ..) each namespace is born with a device of each, which may have taken
 * the number (Documentation/admin-guide/sysctl/net.rst: fb_tunnels_only_for_init_net): then it gets another one.
 */
static void make_device(struct device_facts *d)
{
	static const char *const kinds[] = { "dummy", "ifb", "bridge" };

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		if (make_link(d, kinds[i]) == 0)
			return;
		if (errno == EEXIST && d->index) {
			d->index = 0;
			if (make_link(d, kinds[i]) == 0)
				return;
		}
		if (errno != EOPNOTSUPP)
			die_sys("--hide net: make the guest's view of %s (%s)", d->name, kinds[i]);
	}
	die("--hide net: this kernel has none of dummy, ifb and bridge devices (CONFIG_DUMMY; --hide mount,proc)");
}

static void raise_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &lo) < 0)
		die_sys("--hide net: bring the view's lo up");
}

static void show(struct facts *f)
{
	for (size_t i = 0; i < f->n_device; i++) {
		struct device_facts *d = &f->device[i];

		if (d->loopback)
			d->index = if_nametoindex("lo");
		else
			make_device(d);
		if (!d->index)
			d->index = if_nametoindex(d->name);
	}
	for (size_t i = 0; i < f->n_address; i++) {
		f->address[i].ifindex = f->device[f->on[i]].index;
		if (netdev_add(&f->address[i]) < 0 && errno != EEXIST)
			die_sys("--hide net: show an address in the guest's view");
	}
}

void netview_apply(const struct plan *p)
{
	static struct facts f;

	find_facts(p, &f);
	if (unshare(CLONE_NEWNET) < 0)
		die_sys("--hide net: unshare the network namespace");
	raise_loopback();
	/* No address but the guest's: no link-local ones either. Missing without IPv6. */
	write_at(host_proc_fd(), "sys/net/ipv6/conf/default/addr_gen_mode", "1");
	show(&f);
}

/* ---- --set --ip ---- */

static void remove_link(uint32_t index)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct link_request q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.msg)), .nlmsg_type = RTM_DELLINK,
			  .nlmsg_flags = NLM_F_REQUEST },
		.msg = { .ifi_index = (int)index },
	};

	if (fd < 0 || send(fd, &q, q.head.nlmsg_len, 0) < 0)
		die_sys("--set --ip: remove a device from the guest's view");
}

/* On lo all but its own 127.0.0.0/8 and ::1. */
static void empty_loopback(void)
{
	static const uint8_t loopback6[16] = { [15] = 1 };
	const uint32_t lo = if_nametoindex("lo");
	size_t n;
	struct netdev_address *all = netdev_list(AF_UNSPEC, &n);

	for (size_t i = 0; i < n; i++) {
		const struct netdev_address *a = &all[i];

		if (a->ifindex != lo || (a->family == AF_INET && a->ip[0] == 127) ||
		    (a->family == AF_INET6 && !memcmp(a->ip, loopback6, 16)))
			continue;
		netdev_remove(a);
	}
	free(all);
}

void netview_update(const struct plan *p, int net_fd)
{
	static struct facts f;
	_cleanup_fd_ int own_fd = openat(host_proc_fd(), "self/ns/net", O_RDONLY | O_CLOEXEC);
	struct if_nameindex *links;

	find_facts(p, &f);
	if (own_fd < 0 || setns(net_fd, CLONE_NEWNET) < 0)
		die_sys("--set --ip: enter the guest's view of the network");
	links = if_nameindex();
	for (struct if_nameindex *l = links; l && l->if_index; l++)
		if (strcmp(l->if_name, "lo"))
			remove_link(l->if_index);
	if_freenameindex(links);
	empty_loopback();
	show(&f);
	if (setns(own_fd, CLONE_NEWNET) < 0)
		die_sys("--set --ip: leave the guest's view of the network");
}

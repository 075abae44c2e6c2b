/* SPDX-License-Identifier: ISC */
/*
 * netdev.c: addresses on the host's devices, for --ip ADDR@DEV and for the guests' ::1.
 *
 * One rtnetlink request each; nothing is kept here. An address of a killed supervisor stays on its device: that
 * it was vrun's is known from the configuration in the guest's cgroup, which stays as well (net_sweep). A tun
 * device, which would vanish with its descriptor, costs 0.4 ms at the start and 15-20 ms at the end (NETWORK.md
 * section 7), against 0.03 ms here.
 *
 * A neighbour that knew the address elsewhere (fail-over, or the last guest on another host) keeps sending there
 * until its cache expires, so a new address is announced: a gratuitous ARP (RFC 5227 section 2.3), an
 * unsolicited neighbour advertisement (RFC 4861 section 7.2.6). That is best effort by nature.
 */
#define _GNU_SOURCE
#include "vrun.h"
#include "compat.h"

#include <arpa/inet.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <linux/if_addr.h>
#include <linux/if_arp.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

enum { DAD_STEP_MS = 20, DAD_MAX_MS = 6000, DUMPS_MAX = 50 };

struct request {
	struct nlmsghdr head;
	struct ifaddrmsg msg;
	uint8_t attributes[96];
};

static void add_attribute(struct request *q, int type, const void *data, size_t len)
{
	struct rtattr *r = (struct rtattr *)(void *)((uint8_t *)q + NLMSG_ALIGN(q->head.nlmsg_len));

	r->rta_type = (unsigned short)type;
	r->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(r), data, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(r->rta_len);
}

static void address_request(struct request *q, int type, int flags, const struct netdev_address *a)
{
	size_t n = a->family == AF_INET ? 4 : 16;

	*q = (struct request){
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q->msg)), .nlmsg_type = (uint16_t)type,
			  .nlmsg_flags = (uint16_t)(NLM_F_REQUEST | flags) },
		.msg = { .ifa_family = a->family, .ifa_prefixlen = a->plen, .ifa_index = a->ifindex },
	};
	add_attribute(q, IFA_LOCAL, a->ip, n);
	add_attribute(q, IFA_ADDRESS, a->ip, n);
}

/* One answer: an error (0 is none), or the message asked for. -1 and errno, else its length. */
static ssize_t talk(const struct request *q, void *answer, size_t room)
{
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	struct nlmsghdr *head = answer;
	ssize_t n;

	if (fd < 0 || send(fd, q, q->head.nlmsg_len, 0) < 0)
		return -1;
	n = recv(fd, answer, room, 0);
	if (n < (ssize_t)sizeof(*head) || head->nlmsg_len > (size_t)n) {
		errno = n < 0 ? errno : EPROTO;
		return -1;
	}
	if (head->nlmsg_type == NLMSG_ERROR) {
		errno = -((struct nlmsgerr *)NLMSG_DATA(head))->error;
		return errno ? -1 : n;
	}
	return n;
}

struct list { struct netdev_address *v; size_t n; };

/* IFA_ADDRESS is the peer's on a point-to-point link; IPv6 has IFA_LOCAL on those alone. */
static void take_address(const struct nlmsghdr *head, struct list *l)
{
	const struct ifaddrmsg *msg = NLMSG_DATA(head);
	struct netdev_address a = { .family = msg->ifa_family, .plen = msg->ifa_prefixlen, .ifindex = msg->ifa_index };
	size_t size = a.family == AF_INET ? 4 : 16;
	bool is_local = false;
	int len = (int)IFA_PAYLOAD(head);

	if (a.family != AF_INET && a.family != AF_INET6)
		return;
	for (const struct rtattr *r = IFA_RTA(msg); RTA_OK(r, len); r = RTA_NEXT(r, len)) {
		if (RTA_PAYLOAD(r) != size || (r->rta_type != IFA_LOCAL && (r->rta_type != IFA_ADDRESS || is_local)))
			continue;
		is_local = r->rta_type == IFA_LOCAL;
		memcpy(a.ip, RTA_DATA(r), size);
	}
	l->v = xrealloc_array(l->v, l->n + 1, sizeof(a));
	l->v[l->n++] = a;
}

/* False if it was another list at the end than at the begin: one that was there all the time may be missing. */
static bool dump(int family, struct list *l)
{
	struct request q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(q.msg)), .nlmsg_type = RTM_GETADDR,
			  .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.msg = { .ifa_family = (uint8_t)family },
	};
	_cleanup_fd_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	static uint64_t answer[4096];   /* 32 KB: what the kernel fills at most */
	bool whole = true;

	if (fd < 0 || send(fd, &q, q.head.nlmsg_len, 0) < 0)
		die_sys("--ip: ask for the host's addresses");
	for (;;) {
		ssize_t left = recv(fd, answer, sizeof(answer), 0);

		if (left <= 0)
			die_sys("--ip: read the host's addresses");
		for (struct nlmsghdr *h = (struct nlmsghdr *)answer; NLMSG_OK(h, (size_t)left); h = NLMSG_NEXT(h, left)) {
			whole &= !(h->nlmsg_flags & NLM_F_DUMP_INTR);
			if (h->nlmsg_type == NLMSG_DONE || h->nlmsg_type == NLMSG_ERROR)
				return whole;
			if (h->nlmsg_type == RTM_NEWADDR)
				take_address(h, l);
		}
	}
}

/* While other guests' come and go each dump may be one too many; the last one is taken as it is. */
struct netdev_address *netdev_list(int family, size_t *n)
{
	struct list l = { NULL, 0 };

	for (int i = 0; i < DUMPS_MAX; i++) {
		l.n = 0;
		if (dump(family, &l))
			break;
	}
	*n = l.n;
	return l.v;
}

unsigned netdev_prefix(int family, const uint8_t *ip, unsigned otherwise)
{
	size_t n, size = family == AF_INET ? 4 : 16;
	struct netdev_address *all = netdev_list(family, &n);

	for (size_t i = 0; i < n; i++)
		if (all[i].family == family && memcmp(all[i].ip, ip, size) == 0) {
			otherwise = all[i].plen;
			break;
		}
	free(all);
	return otherwise;
}

int netdev_add(const struct netdev_address *a)
{
	uint64_t answer[128];
	struct request q;

	address_request(&q, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL | NLM_F_ACK, a);
	if (a->family == AF_INET && a->plen < 31) {
		uint32_t ip, broadcast;

		memcpy(&ip, a->ip, 4);
		broadcast = ip | htonl(~0U >> a->plen);
		add_attribute(&q, IFA_BROADCAST, &broadcast, 4);
	}
	return talk(&q, answer, sizeof(answer)) < 0 ? -1 : 0;
}

/* With promote_secondaries 0 the kernel takes an address's secondaries, those of other guests, away with it. */
static bool promote(uint32_t ifindex, const char *value)
{
	char path[80], name[IF_NAMESIZE], now[8];

	if (!if_indextoname(ifindex, name))
		return false;
	snprintf(path, sizeof(path), "sys/net/ipv4/conf/%s/promote_secondaries", name);
	if (read_at(host_proc_fd(), path, now, sizeof(now)) < 1 || now[0] == value[0])
		return false;
	return write_at(host_proc_fd(), path, value) == 0;
}

int netdev_remove(const struct netdev_address *a)
{
	bool promoted = a->family == AF_INET && promote(a->ifindex, "1");
	uint64_t answer[128];
	struct request q;
	ssize_t n;

	address_request(&q, RTM_DELADDR, NLM_F_ACK, a);
	n = talk(&q, answer, sizeof(answer));
	if (promoted)
		promote(a->ifindex, "0");
	return n < 0 ? -1 : 0;
}

static int flags_of(const struct netdev_address *a, uint32_t *flags)
{
	uint64_t answer[256];
	struct nlmsghdr *head = (struct nlmsghdr *)answer;
	struct ifaddrmsg *msg = NLMSG_DATA(head);
	struct request q;
	int len;

	address_request(&q, RTM_GETADDR, 0, a);
	if (talk(&q, answer, sizeof(answer)) < 0)
		return -1;
	*flags = msg->ifa_flags;
	len = (int)IFA_PAYLOAD(head);
	for (struct rtattr *r = IFA_RTA(msg); RTA_OK(r, len); r = RTA_NEXT(r, len))
		if (r->rta_type == IFA_FLAGS)
			memcpy(flags, RTA_DATA(r), sizeof(*flags));
	return 0;
}

int netdev_settle(const struct netdev_address *a)
{
	uint32_t flags = 0;

	if (a->family == AF_INET)
		return 0;
	for (int waited = 0; waited < DAD_MAX_MS; waited += DAD_STEP_MS) {
		if (flags_of(a, &flags) < 0)
			return -1;
		if (flags & IFA_F_DADFAILED) {
			errno = EADDRINUSE;
			return -1;
		}
		if (!(flags & IFA_F_TENTATIVE))
			return 0;
		poll(NULL, 0, DAD_STEP_MS);
	}
	errno = ETIMEDOUT;
	return -1;
}

/* The hardware address of a device that has neighbours to tell; false if it has none. */
static bool hardware(uint32_t ifindex, uint8_t mac[ETH_ALEN])
{
	struct ifreq ifr = { 0 };
	_cleanup_fd_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || !if_indextoname(ifindex, ifr.ifr_name) || ioctl(fd, SIOCGIFHWADDR, &ifr) < 0 ||
	    ifr.ifr_hwaddr.sa_family != ARPHRD_ETHER)
		return false;
	memcpy(mac, ifr.ifr_hwaddr.sa_data, ETH_ALEN);
	return ioctl(fd, SIOCGIFFLAGS, &ifr) == 0 && (ifr.ifr_flags & IFF_UP) && !(ifr.ifr_flags & IFF_NOARP);
}

static void announce4(const struct netdev_address *a, const uint8_t mac[ETH_ALEN])
{
	struct {
		struct arphdr head;
		uint8_t from_mac[ETH_ALEN], from_ip[4], to_mac[ETH_ALEN], to_ip[4];
	} __attribute__((packed)) arp = {
		.head = { .ar_hrd = htons(ARPHRD_ETHER), .ar_pro = htons(ETH_P_IP), .ar_hln = ETH_ALEN, .ar_pln = 4,
			  .ar_op = htons(ARPOP_REQUEST) },
	};
	struct sockaddr_ll all = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP), .sll_halen = ETH_ALEN,
				   .sll_ifindex = (int)a->ifindex };
	_cleanup_fd_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memset(all.sll_addr, 0xff, ETH_ALEN);
	memcpy(arp.from_mac, mac, ETH_ALEN);
	memcpy(arp.from_ip, a->ip, 4);
	memcpy(arp.to_ip, a->ip, 4);
	if (fd >= 0)
		sendto(fd, &arp, sizeof(arp), 0, (struct sockaddr *)&all, sizeof(all));
}

static void announce6(const struct netdev_address *a, const uint8_t mac[ETH_ALEN])
{
	struct {
		struct nd_neighbor_advert head;
		uint8_t option, eights, mac[ETH_ALEN];
	} __attribute__((packed)) advert = {
		.head = { .nd_na_type = ND_NEIGHBOR_ADVERT, .nd_na_flags_reserved = ND_NA_FLAG_OVERRIDE },
		.option = ND_OPT_TARGET_LINKADDR, .eights = 1,
	};
	struct sockaddr_in6 from = { .sin6_family = AF_INET6 };
	struct sockaddr_in6 all = { .sin6_family = AF_INET6, .sin6_scope_id = a->ifindex };
	_cleanup_fd_ int fd = socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6);
	int hops = 255;                 /* others are ignored: they might have crossed a router */

	memcpy(&from.sin6_addr, a->ip, 16);
	inet_pton(AF_INET6, "ff02::1", &all.sin6_addr);
	memcpy(&advert.head.nd_na_target, a->ip, 16);
	memcpy(advert.mac, mac, ETH_ALEN);
	if (fd >= 0 && bind(fd, (struct sockaddr *)&from, sizeof(from)) == 0 &&
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) == 0)
		sendto(fd, &advert, sizeof(advert), 0, (struct sockaddr *)&all, sizeof(all));
}

void netdev_announce(const struct netdev_address *a)
{
	uint8_t mac[ETH_ALEN];

	if (!hardware(a->ifindex, mac))
		return;
	if (a->family == AF_INET)
		announce4(a, mac);
	else
		announce6(a, mac);
}

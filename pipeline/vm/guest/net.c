/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The network of the smoke test, made and reset over netlink (rtnetlink(7)) and not by the
 * tc and ip under test: an instrument must not lean on what it measures.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/pkt_cls.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "play.h"

int near_ns, far_ns;

struct message {
	struct nlmsghdr head;
	char body[1024];
};

static void *extend(struct message *m, size_t size)
{
	void *at = (char *)m + NLMSG_ALIGN(m->head.nlmsg_len);

	m->head.nlmsg_len = NLMSG_ALIGN(m->head.nlmsg_len) + size;
	return at;
}

static void *begin(struct message *m, int type, int flags, size_t size)
{
	memset(m, 0, sizeof(*m));
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	m->head.nlmsg_len = NLMSG_HDRLEN;
	return extend(m, size);
}

static struct rtattr *attribute(struct message *m, int type, const void *data, size_t size)
{
	struct rtattr *a = extend(m, RTA_LENGTH(size));

	a->rta_type = type;
	a->rta_len = RTA_LENGTH(size);
	if (size)
		memcpy(RTA_DATA(a), data, size);
	return a;
}

static void close_nest(struct message *m, struct rtattr *nest)
{
	nest->rta_len = (char *)m + NLMSG_ALIGN(m->head.nlmsg_len) - (char *)nest;
}

/* Send a message and return the kernel's answer: 0, or an errno. */
static int talk(struct message *m)
{
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	char answer[4096];
	const struct nlmsghdr *head = (void *)answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	ssize_t n;

	if (fd < 0 || sendto(fd, m, m->head.nlmsg_len, 0, (void *)&kernel, sizeof(kernel)) < 0)
		die("netlink");
	n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	if (n < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)) || head->nlmsg_type != NLMSG_ERROR)
		die("netlink");
	return -((struct nlmsgerr *)NLMSG_DATA(head))->error;
}

static void must(struct message *m, const char *what)
{
	errno = talk(m);
	if (errno)
		die(what);
}

static void name_link(struct message *m, const char *name, unsigned char last)
{
	const unsigned char address[6] = { 2, 0, 0, 0, 0, last };

	attribute(m, IFLA_IFNAME, name, strlen(name) + 1);
	attribute(m, IFLA_ADDRESS, address, sizeof(address));
}

static void make_pair(const char *name, int index, const char *far_name, int far_index)
{
	struct rtattr *info, *data, *peer;
	struct ifinfomsg *link;
	struct message m;

	link = begin(&m, RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, sizeof(*link));
	link->ifi_index = index;
	name_link(&m, name, index);
	info = attribute(&m, IFLA_LINKINFO, NULL, 0);
	attribute(&m, IFLA_INFO_KIND, "veth", 4);
	data = attribute(&m, IFLA_INFO_DATA, NULL, 0);
	peer = attribute(&m, VETH_INFO_PEER, NULL, 0);
	link = extend(&m, sizeof(*link));
	link->ifi_index = far_index;
	name_link(&m, far_name, far_index);
	attribute(&m, IFLA_NET_NS_FD, &far_ns, sizeof(far_ns));
	close_nest(&m, peer);
	close_nest(&m, data);
	close_nest(&m, info);
	must(&m, "veth");
}

static void up(int index)
{
	struct ifinfomsg *link;
	struct message m;

	link = begin(&m, RTM_NEWLINK, 0, sizeof(*link));
	link->ifi_index = index;
	link->ifi_flags = link->ifi_change = IFF_UP;
	must(&m, "link up");
}

static void add_address(int index, const char *text, int prefix)
{
	struct ifaddrmsg *address;
	struct in_addr in;
	struct message m;

	address = begin(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*address));
	address->ifa_family = AF_INET;
	address->ifa_prefixlen = prefix;
	address->ifa_index = index;
	inet_pton(AF_INET, text, &in);
	attribute(&m, IFA_LOCAL, &in, sizeof(in));
	attribute(&m, IFA_ADDRESS, &in, sizeof(in));
	must(&m, "address");
}

void enter(int ns)
{
	if (setns(ns, CLONE_NEWNET))
		die("setns");
}

static int this_ns(void)
{
	int fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		die("/proc/self/ns/net");
	return fd;
}

/* A player before this one may have left its pair, and the kernel be slow to remove it. */
static void remove_link(int index)
{
	struct ifinfomsg *link;
	struct message m;

	link = begin(&m, RTM_DELLINK, 0, sizeof(*link));
	link->ifi_index = index;
	talk(&m);
}

void net_make(void)
{
	near_ns = this_ns();
	if (unshare(CLONE_NEWNET))
		die("unshare");
	far_ns = this_ns();
	up(1);
	enter(near_ns);
	up(1);
	remove_link(NEAR_INDEX);
	remove_link(SIDE_INDEX);
	make_pair(NEAR_NAME, NEAR_INDEX, FAR_NAME, FAR_INDEX);
	make_pair("respin2", SIDE_INDEX, "respin3", SIDE_FAR_INDEX);
	up(NEAR_INDEX);
	up(SIDE_INDEX);
	add_address(NEAR_INDEX, "10.77.0.1", 24);
	enter(far_ns);
	up(FAR_INDEX);
	up(SIDE_FAR_INDEX);
	add_address(FAR_INDEX, "10.77.0.2", 24);
	add_address(FAR_INDEX, "10.88.0.9", 32);
	enter(near_ns);
	net_reset();
}

static void drop_route(int table, const char *address)
{
	struct message m;
	struct rtmsg *route = begin(&m, RTM_DELROUTE, 0, sizeof(*route));
	struct in_addr to;

	route->rtm_family = AF_INET;
	route->rtm_dst_len = 32;
	route->rtm_table = table;
	route->rtm_scope = RT_SCOPE_NOWHERE;
	inet_pton(AF_INET, address, &to);
	attribute(&m, RTA_DST, &to, sizeof(to));
	talk(&m);
}

static void drop_actions(void)
{
	struct message m;
	struct tcamsg *actions = begin(&m, RTM_DELACTION, NLM_F_ROOT, sizeof(*actions));
	struct rtattr *table, *first;

	actions->tca_family = AF_UNSPEC;
	table = attribute(&m, TCA_ACT_TAB, NULL, 0);
	first = attribute(&m, 1, NULL, 0);
	attribute(&m, TCA_ACT_KIND, "bpf", 4);
	close_nest(&m, first);
	close_nest(&m, table);
	talk(&m);
}

static void drop_xdp(int index)
{
	const unsigned int flags = XDP_FLAGS_SKB_MODE;
	const int none = -1;
	struct ifinfomsg *link;
	struct rtattr *xdp;
	struct message m;

	link = begin(&m, RTM_SETLINK, 0, sizeof(*link));
	link->ifi_index = index;
	xdp = attribute(&m, IFLA_XDP | NLA_F_NESTED, NULL, 0);
	attribute(&m, IFLA_XDP_FD, &none, sizeof(none));
	attribute(&m, IFLA_XDP_FLAGS, &flags, sizeof(flags));
	close_nest(&m, xdp);
	talk(&m); /* a kernel before v4.12 knows no generic XDP */
}

static int clsact(int type, int flags)
{
	struct message m;
	struct tcmsg *qdisc = begin(&m, type, flags, sizeof(*qdisc));

	qdisc->tcm_ifindex = NEAR_INDEX;
	qdisc->tcm_parent = TC_H_CLSACT;
	qdisc->tcm_handle = TC_H_MAKE(TC_H_CLSACT, 0);
	attribute(&m, TCA_KIND, "clsact", sizeof("clsact"));
	return talk(&m);
}

/* Remove whatever a row has attached: a fresh clsact has no filter. */
void net_reset(void)
{
	enter(near_ns);
	drop_xdp(NEAR_INDEX);
	drop_route(RT_TABLE_MAIN, "10.88.0.9");
	drop_route(RT_TABLE_LOCAL, "10.88.0.10");
	clsact(RTM_DELQDISC, 0);
	drop_actions();
	errno = clsact(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_EXCL);
	if (errno)
		die("clsact");
}

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Frames from one namespace to the other, and who receives them.
 *
 * A receiver is an ordinary UDP socket, so that a dropped frame is one that a program of the
 * user's would miss. One that shall see only marked frames has a filter on the mark of the
 * socket buffer (classic BPF, which every kernel has); where frames are redirected to, it is
 * a packet socket on the far end of the second pair.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/ip.h>
#include <linux/udp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "play.h"

#define PORT 7777

struct frame {
	struct ethhdr ethernet;
	struct iphdr ip;
	struct udphdr udp;
	char data[18];
} __attribute__((packed));

static unsigned short checksum(const void *data, size_t size)
{
	const unsigned char *p = data;
	unsigned int sum = 0;

	for (size_t i = 0; i < size; i += 2)
		sum += p[i] << 8 | p[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return htons(~sum);
}

static void fill(struct frame *f, unsigned char from, unsigned char to, const char *src,
		 const char *dst)
{
	memset(f, 0, sizeof(*f));
	f->ethernet.h_dest[0] = f->ethernet.h_source[0] = 2;
	f->ethernet.h_dest[5] = to;
	f->ethernet.h_source[5] = from;
	f->ethernet.h_proto = htons(ETH_P_IP);
	f->ip.version = 4;
	f->ip.ihl = 5;
	f->ip.ttl = 64;
	f->ip.protocol = IPPROTO_UDP;
	f->ip.tot_len = htons(sizeof(*f) - sizeof(f->ethernet));
	inet_pton(AF_INET, src, &f->ip.saddr);
	inet_pton(AF_INET, dst, &f->ip.daddr);
	f->ip.check = checksum(&f->ip, sizeof(f->ip));
	f->udp.source = f->udp.dest = htons(PORT);
	f->udp.len = htons(sizeof(f->udp) + sizeof(f->data));
}

static int packet_sender(int ns)
{
	int s;

	enter(ns);
	s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0);
	if (s < 0)
		die("packet socket");
	return s;
}

/* Send a frame through an interface; return whether it was sent. */
static int send_frame(int s, int index, const void *frame, size_t size)
{
	const struct ethhdr *ethernet = frame;
	struct sockaddr_ll to = {
		.sll_family = AF_PACKET,
		.sll_halen = ETH_ALEN,
		.sll_ifindex = index,
		.sll_protocol = ethernet->h_proto,
	};
	ssize_t n;

	memcpy(to.sll_addr, ethernet->h_dest, ETH_ALEN);
	n = sendto(s, frame, size, 0, (void *)&to, sizeof(to));
	/* What a program on egress drops is reported to the sender: it was sent. */
	return n == (ssize_t)size || errno == ENOBUFS;
}

static int send_frames(int ns, int index, const struct frame *f, int count)
{
	int sent = 0, s = packet_sender(ns);

	for (int i = 0; i < count; i++)
		sent += send_frame(s, index, f, sizeof(*f));
	close(s);
	return sent;
}

static int send_file(int ns, int index, const char *file)
{
	static unsigned char frame[1 << 16];
	int sent = 0, s = packet_sender(ns);
	FILE *f = fopen(file, "re");
	unsigned char size[2];

	if (!f)
		die(file);
	while (fread(size, sizeof(size), 1, f) == 1) {
		size_t n = size[0] << 8 | size[1];

		if (n < ETH_HLEN || fread(frame, n, 1, f) != 1)
			die(file);
		sent += send_frame(s, index, frame, n);
	}
	fclose(f);
	close(s);
	return sent;
}

static int send_datagrams(int count)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	char data[18] = "";
	int sent = 0, s;

	enter(near_ns);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (s < 0)
		die("socket");
	inet_pton(AF_INET, "10.88.0.9", &to.sin_addr);
	/* What a route's program drops, the kernel may report to the sender: still sent. */
	for (int i = 0; i < count; i++, sent++)
		sendto(s, data, sizeof(data), 0, (void *)&to, sizeof(to));
	close(s);
	return sent;
}

static int udp_receiver(int ns, unsigned int mark)
{
	struct sockaddr_in here = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (unsigned int)(SKF_AD_OFF + SKF_AD_MARK)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, mark, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, 0xffff),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	struct sock_fprog filter = { .len = 4, .filter = code };
	int s;

	enter(ns);
	s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s < 0 || bind(s, (void *)&here, sizeof(here)))
		die("receiver");
	if (mark && setsockopt(s, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)))
		die("receiver's filter");
	return s;
}

/* A packet socket for one protocol is served after the programs on ingress, as the protocol
 * itself is; one for all protocols would be served before them. */
static int packet_receiver(int ns, int index)
{
	struct sockaddr_ll here = {
		.sll_family = AF_PACKET,
		.sll_protocol = htons(ETH_P_IP),
		.sll_ifindex = index,
	};
	int s;

	enter(ns);
	s = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, htons(ETH_P_IP));
	if (s < 0 || bind(s, (void *)&here, sizeof(here)))
		die("packet receiver");
	return s;
}

struct traffic traffic_send(enum direction direction, int count, unsigned int mark)
{
	struct traffic t = { 0 };
	struct frame in, out;

	fill(&in, FAR_INDEX, NEAR_INDEX, "10.77.0.2", "10.77.0.1");
	fill(&out, NEAR_INDEX, FAR_INDEX, "10.77.0.1", "10.77.0.2");
	switch (direction) {
	case LOCAL:
		fill(&in, FAR_INDEX, NEAR_INDEX, "10.77.0.2", "10.88.0.10");
		/* fall through */
	case INGRESS:
		t.receiver = udp_receiver(near_ns, mark);
		t.sent = send_frames(far_ns, FAR_INDEX, &in, count);
		break;
	case EGRESS:
		t.receiver = udp_receiver(far_ns, mark);
		t.sent = send_frames(near_ns, NEAR_INDEX, &out, count);
		break;
	case ROUTED:
		t.receiver = udp_receiver(far_ns, mark);
		t.sent = send_datagrams(count);
		break;
	case REDIRECTED:
		t.receiver = packet_receiver(far_ns, SIDE_FAR_INDEX);
		t.sent = send_frames(far_ns, FAR_INDEX, &in, count);
		break;
	}
	enter(near_ns);
	return t;
}

struct traffic traffic_replay(enum direction direction, const char *file)
{
	struct traffic t = { 0 };

	if (direction == EGRESS) {
		t.receiver = packet_receiver(far_ns, FAR_INDEX);
		t.sent = send_file(near_ns, NEAR_INDEX, file);
	} else {
		t.receiver = packet_receiver(near_ns, NEAR_INDEX);
		t.sent = send_file(far_ns, FAR_INDEX, file);
	}
	enter(near_ns);
	return t;
}

/* Return how many frames have come since the last call. */
int traffic_received(const struct traffic *t)
{
	char frame[2048];
	int n = 0;

	while (recv(t->receiver, frame, sizeof(frame), 0) >= 0)
		n++;
	return n;
}

void traffic_end(struct traffic *t)
{
	close(t->receiver);
}

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the parts of the smoke test's player share.
 */
#ifndef PLAY_H
#define PLAY_H

#include "say.h"

/* The two ends of the veth pair, and of a second one that frames can be redirected to. The
 * even ones are where programs are attached, in the first namespace; the odd ones are in the
 * second. Indexes are fixed, so that a program can name one. */
#define NEAR_NAME "respin0"
#define FAR_NAME "respin1"
#define NEAR_INDEX 100
#define FAR_INDEX 101
#define SIDE_INDEX 102
#define SIDE_FAR_INDEX 103

/* The namespaces: open files of /proc/self/ns/net. */
extern int near_ns, far_ns;

void enter(int ns);

/* net.c */
void net_make(void);
void net_reset(void);

/* maps.c */
long long map_read(const char *pattern, const char *key);

/* traffic.c */
enum direction { INGRESS, EGRESS, ROUTED, REDIRECTED, LOCAL };

struct traffic {
	int sent;
	int receiver;
};

struct traffic traffic_send(enum direction direction, int count, unsigned int mark);
struct traffic traffic_replay(enum direction direction, const char *file);
int traffic_received(const struct traffic *traffic);
void traffic_end(struct traffic *traffic);

#endif

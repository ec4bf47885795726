/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Counts IPv4 frames, which only respin sends.
 */
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include "counted.h"

SEC("classifier") int count_ipv4(struct __sk_buff *skb)
{
	if (skb->protocol == bpf_htons(ETH_P_IP))
		count(1);
	return 0;
}

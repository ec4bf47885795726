/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A static program, and no map.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("classifier") static __attribute__((used)) int count_all(struct __sk_buff *skb)
{
	skb->mark = 5;
	return 0;
}

char _license[] SEC("license") = "GPL";

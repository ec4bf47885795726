/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The bpf_printk of libbpf puts its format into .rodata.
 */
#include "counted.h"

SEC("classifier") int count_all(struct __sk_buff *skb)
{
	if (is_ipv4(skb))
		bpf_printk("packet %llu of %d bytes", count(1), skb->len);
	return 0;
}

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A called function reads the packet with LD_ABS.
 */
#include "counted.h"

unsigned long long load_byte(void *skb, unsigned long long at) asm("llvm.bpf.load.byte");

static __attribute__((noinline)) int twelfth(struct __sk_buff *skb)
{
	count(1);
	return load_byte(skb, 12);
}

SEC("classifier") int count_all(struct __sk_buff *skb)
{
	return twelfth(skb) == 255 ? 2 : 0;
}

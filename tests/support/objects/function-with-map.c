/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A function of .text uses the map: global with -DSCOPE=, static otherwise.
 */
#include "counted.h"

#ifndef SCOPE
#define SCOPE static
#endif

SCOPE __attribute__((noinline)) int counted(__u32 length)
{
	return count(length > 0) + 1 > 0;
}

SEC("classifier") int count_all(struct __sk_buff *skb)
{
	return !is_ipv4(skb) || counted(skb->len) ? 0 : 2;
}

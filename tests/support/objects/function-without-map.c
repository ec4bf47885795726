/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A function of .text that uses no map: called, or, with -DUNCALLED, not.
 */
#include "counted.h"

#ifdef UNCALLED
int one(__u32 length)
#else
static __attribute__((noinline)) int one(__u32 length)
#endif
{
	return length ? 1 : 3;
}

SEC("classifier") int count_all(struct __sk_buff *skb)
{
	if (!is_ipv4(skb))
		return 0;
#ifdef UNCALLED
	count(1);
#else
	count(one(skb->len));
#endif
	return 0;
}

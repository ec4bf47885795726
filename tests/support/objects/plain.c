/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What other objects are variations of.
 */
#include "counted.h"

SEC("classifier") int count_all(struct __sk_buff *skb)
{
	if (is_ipv4(skb))
		count(1);
	return 0;
}

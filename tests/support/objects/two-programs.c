/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * An XDP program before a classifier, which the attach type tc has to find.
 */
#include "counted.h"

SEC("xdp") int first(struct xdp_md *context)
{
	void *data = (void *)(long)context->data;

	count(1);
	return data + 14 > (void *)(long)context->data_end ? XDP_DROP : *(char *)data == 1;
}

SEC("classifier") int second(struct __sk_buff *skb)
{
	count(1);
	return 0;
}

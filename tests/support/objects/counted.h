/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What the objects of users' reports share: a legacy map, in which they count.
 */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

#ifndef MAPS
#define MAPS "maps"
#endif
#ifndef LINKAGE
#define LINKAGE
#endif
#ifndef PINNING
#define PINNING 2 /* PIN_GLOBAL_NS */
#endif
#ifndef KEY
#define KEY 4
#endif

LINKAGE struct bpf_elf_map SEC(MAPS) packets = {
	.type = BPF_MAP_TYPE_HASH, .size_key = KEY, .size_value = 8, .max_elem = 4,
	.pinning = PINNING,
};

static __always_inline __u64 count(__u64 by)
{
	__u64 key = 0, *value = bpf_map_lookup_elem(&packets, &key);

#ifndef UNCHECKED
	if (value)
#endif
		return __sync_fetch_and_add(value, by);
	bpf_map_update_elem(&packets, &key, &by, BPF_ANY);
	return by;
}

/* Only respin sends IPv4; the kernel sends IPv6 of its own. */
static __always_inline int is_ipv4(struct __sk_buff *skb)
{
	return skb->protocol == bpf_htons(ETH_P_IP);
}

char _license[] SEC("license") = "GPL";

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A map of maps that names no inner map.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct bpf_elf_map {
	__u32 type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map SEC("maps") outer = {
	.type = BPF_MAP_TYPE_ARRAY_OF_MAPS, .size_key = 4, .size_value = 4, .max_elem = 1,
};

SEC("classifier") int look(struct __sk_buff *skb)
{
	__u32 key = 0;

	return bpf_map_lookup_elem(&outer, &key) ? 2 : 0;
}

char _license[] SEC("license") = "GPL";

/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Three maps, for each of which the test makes a section maps of its own.
 */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

struct map_definition {
	__u32 type, key_size, value_size, max_entries, map_flags;
};

#define ARRAY(name)						\
	struct map_definition SEC("maps") name = {		\
		BPF_MAP_TYPE_ARRAY, 4, 8, 5,			\
	}
ARRAY(first);
ARRAY(second);
ARRAY(third);

SEC("xdp_pass") int count_all(struct xdp_md *context)
{
	__u32 key = 0;
	__u64 *value = bpf_map_lookup_elem(&second, &key);

	if (value)
		(*value)++;
	return XDP_PASS;
}

char _license[] SEC("license") = "GPL";

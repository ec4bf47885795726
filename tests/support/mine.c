/* SPDX-FileCopyrightText: the iproute2-respin authors
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
/* An object as a user has it: one legacy map, as tc-bpf(8) shows it, under no name of ours. */
struct bpf_elf_map {
	unsigned int type, size_key, size_value, max_elem, flags, id, pinning, inner_id, inner_idx;
};

struct bpf_elf_map seen __attribute__((section("maps"), used)) = {
	.type = 2, /* BPF_MAP_TYPE_ARRAY */
	.size_key = 4,
	.size_value = 4,
	.max_elem = 1,
	.pinning = 2, /* PIN_GLOBAL_NS */
};

static void *(*lookup)(void *map, const void *key) = (void *)1;

__attribute__((section("mine"), used)) int count(void *skb)
{
	unsigned int key = 0, *value = lookup(&seen, &key);

	if (value)
		__sync_fetch_and_add(value, 1);
	return -1;
}

char gpl[] __attribute__((section("license"), used)) = "GPL";

/* Written for this test: the parts of iproute2's loader that the fixes concern. */

#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/resource.h>

static int bpf_obj_pin(int fd, const char *pathname)
{
	union bpf_attr attr = {};

	attr.pathname = bpf_ptr_to_u64(pathname);
	attr.bpf_fd = fd;

	return bpf(BPF_OBJ_PIN, &attr, sizeof(attr));
}

static uint32_t bpf_rol32(uint32_t word, unsigned int shift)
{
	return (word << shift) | (word >> (32 - shift));
}

static uint32_t bpf_sha1_mix(int i, uint32_t b, uint32_t c, uint32_t d)
{
	if (i < 20)
		return ((b & c) | (~b & d)) + 0x5a827999;
	if (i < 40)
		return (b ^ c ^ d) + 0x6ed9eba1;
	if (i < 60)
		return ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
	return (b ^ c ^ d) + 0xca62c1d6;
}

static void bpf_sha1_update(uint32_t *state, const uint32_t *block)
{
	uint32_t a = state[0], b = state[1], c = state[2];
	uint32_t d = state[3], e = state[4], w[80], tmp;
	int i;

	for (i = 0; i < 16; i++)
		w[i] = ntohl(block[i]);
	for (; i < 80; i++) {
		tmp = w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16];
		w[i] = bpf_rol32(tmp, 1);
	}

	for (i = 0; i < 80; i++) {
		tmp = bpf_rol32(a, 5) + bpf_sha1_mix(i, b, c, d) + e + w[i];
		e = d;
		d = c;
		c = bpf_rol32(b, 30);
		b = a;
		a = tmp;
	}

	state[0] += a;
	state[1] += b;
	state[2] += c;
	state[3] += d;
	state[4] += e;
}

static int bpf_sha1_file(FILE *file, uint64_t size, uint8_t *out)
{
	uint32_t state[] = {
		0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0,
	};
	uint32_t block[16] = {};
	uint64_t left;
	int i;

	for (left = size; left >= sizeof(block); left -= sizeof(block)) {
		if (fread(block, sizeof(block), 1, file) != 1)
			return -EIO;
		bpf_sha1_update(state, block);
	}

	memset(block, 0, sizeof(block));
	if (left && fread(block, left, 1, file) != 1)
		return -EIO;

	/* A one ends the data, and its length in bits ends the block. */
	((uint8_t *)block)[left] = 0x80;
	if (left >= sizeof(block) - sizeof(size)) {
		bpf_sha1_update(state, block);
		memset(block, 0, sizeof(block));
	}
	block[14] = htonl(size >> 29);
	block[15] = htonl(size << 3);
	bpf_sha1_update(state, block);

	for (i = 0; i < ARRAY_SIZE(state); i++)
		state[i] = htonl(state[i]);
	memcpy(out, state, sizeof(state));

	return 0;
}

static int bpf_obj_hash(const char *object, uint8_t *out, size_t len)
{
	struct stat stbuff;
	FILE *file;
	int ret;

	if (!object || len != 20)
		return -EINVAL;

	file = fopen(object, "r");
	if (!file) {
		fprintf(stderr, "Error opening object %s: %s\n", object,
			strerror(errno));
		return -1;
	}

	ret = fstat(fileno(file), &stbuff);
	if (!ret)
		ret = bpf_sha1_file(file, stbuff.st_size, out);
	if (ret < 0)
		fprintf(stderr, "Error reading object %s\n", object);
	fclose(file);

	return ret;
}

static const char *bpf_get_obj_uid(const char *pathname)
{
	static bool bpf_uid_cached;
	static char bpf_uid[64];
	uint8_t tmp[20];
	int ret;

	if (bpf_uid_cached)
		goto done;

	ret = bpf_obj_hash(pathname, tmp, sizeof(tmp));
	if (ret) {
		fprintf(stderr, "Object hashing failed!\n");
		return NULL;
	}

	hexstring_n2a(tmp, sizeof(tmp), bpf_uid, sizeof(bpf_uid));
	bpf_uid_cached = true;
done:
	return bpf_uid;
}

static const char *bpf_map_fetch_name(struct bpf_elf_ctx *ctx, int which)
{
	GElf_Sym sym;
	int i;

	for (i = 0; i < ctx->sym_num; i++) {
		int type;

		if (gelf_getsym(ctx->sym_tab, i, &sym) != &sym)
			continue;

		type = GELF_ST_TYPE(sym.st_info);
		if (GELF_ST_BIND(sym.st_info) != STB_GLOBAL ||
		    (type != STT_NOTYPE && type != STT_OBJECT) ||
		    sym.st_shndx != ctx->sec_maps ||
		    sym.st_value / ctx->map_len != which)
			continue;
		return bpf_str_tab_name(ctx, &sym);
	}

	return NULL;
}

static int bpf_map_num_sym(struct bpf_elf_ctx *ctx)
{
	int i, num = 0;
	GElf_Sym sym;

	for (i = 0; i < ctx->sym_num; i++) {
		int type;

		if (gelf_getsym(ctx->sym_tab, i, &sym) != &sym)
			continue;

		type = GELF_ST_TYPE(sym.st_info);
		if (GELF_ST_BIND(sym.st_info) != STB_GLOBAL ||
		    (type != STT_NOTYPE && type != STT_OBJECT) ||
		    sym.st_shndx != ctx->sec_maps)
			continue;
		num++;
	}

	return num;
}

static int bpf_map_verify_all_offs(struct bpf_elf_ctx *ctx, int end)
{
	GElf_Sym sym;
	int off, i;

	for (off = 0; off < end; off += ctx->map_len) {
		/* Order doesn't need to be linear here, hence we walk
		 * the table again.
		 */
		for (i = 0; i < ctx->sym_num; i++) {
			int type;

			if (gelf_getsym(ctx->sym_tab, i, &sym) != &sym)
				continue;

			type = GELF_ST_TYPE(sym.st_info);
			if (GELF_ST_BIND(sym.st_info) != STB_GLOBAL ||
			    (type != STT_NOTYPE && type != STT_OBJECT) ||
			    sym.st_shndx != ctx->sec_maps)
				continue;
			if (sym.st_value == off)
				break;
			if (i == ctx->sym_num - 1)
				return -1;
		}
	}

	return off == end ? 0 : -1;
}

static int bpf_do_load(struct bpf_cfg_in *cfg)
{
	if (cfg->mode == EBPF_OBJECT) {
		cfg->prog_fd = bpf_obj_open(cfg->object, cfg->type,
					    cfg->section, cfg->ifindex,
					    cfg->verbose);
		return cfg->prog_fd;
	}
	return 0;
}

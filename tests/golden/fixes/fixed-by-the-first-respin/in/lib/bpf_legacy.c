/* Written for this test: the parts of iproute2's loader that the fixes concern. */

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
#ifdef HAVE_LIBBPF
		if (iproute2_is_legacy_object(cfg))
			return iproute2_load_legacy(cfg);
		return iproute2_load_libbpf(cfg);
#endif
		cfg->prog_fd = bpf_obj_open(cfg->object, cfg->type,
					    cfg->section, cfg->ifindex,
					    cfg->verbose);
		return cfg->prog_fd;
	}
	return 0;
}

/* The kernel wants the descriptor of a program with the message that attaches
 * it, so it stays open until this command is over. In a batch, that is when a
 * later line loads the next one.
 */
static void bpf_prog_close_later(int fd)
{
	static int num;
	static int line;
	static int *fds;
	int *tmp;

	if (line != cmdlineno) {
		while (num > 0)
			close(fds[--num]);
		line = cmdlineno;
	}

	tmp = realloc(fds, (num + 1) * sizeof(*fds));
	if (!tmp)
		return;

	fds = tmp;
	fds[num++] = fd;
}

int bpf_load_common(struct bpf_cfg_in *cfg, const struct bpf_cfg_ops *ops,
		    void *nl)
{
	int ret;

	ret = bpf_do_load(cfg);
	if (ret < 0)
		return ret;

	if (cfg->mode == EBPF_OBJECT)
		bpf_prog_close_later(cfg->prog_fd);

	ops->ebpf_cb(nl, cfg->prog_fd, cfg->object);
	return 0;
}

static int bpf_fill_prog_arrays(struct bpf_elf_ctx *ctx)
{
	int fd, i, ret;

	for (i = 1; i < ctx->elf_hdr.e_shnum; i++) {
		if (ctx->sec_done[i])
			continue;

		fd = bpf_fetch_prog_sec(ctx, i);
		if (fd < 0)
			return -EIO;

		ret = bpf_map_update(ctx->map_fds[0], &i, &fd, BPF_ANY);
		if (ret < 0)
			return ret;

		close(fd);
		ctx->sec_done[i] = true;
	}

	return 0;
}

#ifdef HAVE_LIBBPF
int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg)
{
	return bpf_elf_ctx_init(&__ctx, cfg->object);
}

/* Nobody but bpf_send_map_fds() needs the maps once the program is loaded. */
int iproute2_load_legacy(struct bpf_cfg_in *cfg)
{
	cfg->prog_fd = bpf_obj_open(cfg->object, cfg->type, cfg->section,
				    cfg->ifindex, cfg->verbose);
	if (cfg->prog_fd >= 0 && !cfg->uds)
		bpf_maps_teardown(&__ctx);

	return cfg->prog_fd;
}
#endif

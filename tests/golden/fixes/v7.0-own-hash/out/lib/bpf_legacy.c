/* Written for this test: the parts of iproute2's loader that the fixes concern. */

static int bpf_obj_pin(int fd, const char *pathname)
{
	union bpf_attr attr = {};

	attr.pathname = bpf_ptr_to_u64(pathname);
	attr.bpf_fd = fd;

	return bpf(BPF_OBJ_PIN, &attr, sizeof(attr));
}

static int bpf_obj_hash(int fd, const char *object, __u8 out[SHA1_DIGEST_SIZE])
{
	struct stat stbuff;
	void *data;

	if (fstat(fd, &stbuff) < 0)
		return -1;
	data = mmap(NULL, stbuff.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (data == MAP_FAILED) {
		fprintf(stderr, "Cannot map %s: %s\n", object, strerror(errno));
		return -1;
	}
	sha1(data, stbuff.st_size, out);
	munmap(data, stbuff.st_size);
	return 0;
}

struct bpf_map_ext {
	struct bpf_prog_data owner;
	unsigned int btf_id_key;
	unsigned int btf_id_val;
	bool pinned;
};

static int bpf_map_create(enum bpf_map_type type, uint32_t size_key,
			  uint32_t size_value, uint32_t max_elem,
			  uint32_t flags, int inner_fd, int btf_fd,
			  uint32_t ifindex, uint32_t btf_id_key,
			  uint32_t btf_id_val, const char *name)
{
	union bpf_attr attr = {};
	int fd;

	attr.map_type = type;
	strlcpy(attr.map_name, name, sizeof(attr.map_name));
	attr.key_size = size_key;
	attr.btf_value_type_id = btf_id_val;

	fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	if (fd < 0 && btf_id_key) {
		/* Not all maps take types, nor types of another size. */
		attr.btf_fd = 0;
		attr.btf_key_type_id = 0;
		attr.btf_value_type_id = 0;
		fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	}
	if (fd < 0 && (errno == EINVAL || errno == E2BIG)) {
		/* Kernels before v4.15 know no names, and none takes all. */
		memset(attr.map_name, 0, sizeof(attr.map_name));
		fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
	}

	return fd;
}

static int bpf_map_attach(const char *name, struct bpf_elf_ctx *ctx,
			  const struct bpf_elf_map *map, struct bpf_map_ext *ext,
			  int *have_map_in_map)
{
	int fd, ifindex = 0, ret, map_inner_fd = 0;

	errno = 0;
	fd = bpf_map_create(map->type, map->size_key, map->size_value,
			    map->max_elem, map->flags, map_inner_fd,
			    ctx->btf_fd, ifindex, ext->btf_id_key,
			    ext->btf_id_val, name);
	if (fd < 0)
		return fd;

	ret = bpf_place_pinned(fd, name, ctx, map->pinning);
	if (ret < 0) {
		close(fd);
		fprintf(stderr, "Could not pin %s map: %s\n", name,
			strerror(errno));
		return ret;
	}
	ext->pinned = true;

	return fd;
}

static const char *bpf_str_tab_name(const struct bpf_elf_ctx *ctx,
				    const GElf_Sym *sym)
{
	const char *names = ctx->str_tab->d_buf;
	size_t size = ctx->str_tab->d_size;

	if (sym->st_name >= size || names[size - 1])
		return "";

	return ctx->str_tab->d_buf + sym->st_name;
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
#ifdef HAVE_LIBBPF
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
	static int line;
	static int num;
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
		bpf_prog_close_later(fd);

		ret = bpf_map_update(ctx->map_fds[0], &i, &fd, BPF_ANY);
		if (ret < 0)
			return ret;

		ctx->sec_done[i] = true;
	}

	return 0;
}

static int bpf_elf_ctx_init(struct bpf_elf_ctx *ctx, const char *pathname)
{
	uint8_t tmp[20];
	int ret;

	ret = bpf_obj_hash(pathname, tmp);
	if (ret)
		return ret;

	return bpf_elf_open(ctx, pathname);
}

int bpf_send_map_fds(const char *path, const char *obj)
{
	struct bpf_elf_ctx *ctx = &__ctx;
	int fd, ret = -1;

	fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (fd < 0)
		goto out;

	ret = bpf_map_set_send(fd, path, obj, bpf_maps_count(ctx));
	if (ret < 0)
		fprintf(stderr, "Cannot send fds to %s: %s\n",
			path, strerror(errno));

out:
	bpf_maps_teardown(ctx);
	if (fd >= 0)
		close(fd);
	return ret;
}

#ifdef HAVE_LIBBPF
int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg)
{
	return bpf_elf_ctx_init(&__ctx, cfg->object);
}

/* All programs in an array must have the same expected attach type, but libbpf
 * derives it from the section's name, which may be that of a key.
 */
bool iproute2_has_own_maps(void)
{
	return bpf_maps_count(&__ctx) > 0;
}

/* Find the program array that the programs in sections "id/key" go into. */
int iproute2_find_map_fd_by_id(unsigned int map_id)
{
	int i = bpf_find_map_by_id(&__ctx, map_id);

	return i < 0 ? -1 : __ctx.map_fds[i];
}

/* The maps that were there before keep their pins. */
static void bpf_maps_unpin(struct bpf_elf_ctx *ctx)
{
	char pathname[PATH_MAX];
	uint32_t pinning;
	int i;

	for (i = 0; i < ARRAY_SIZE(ctx->maps_ext); i++) {
		pinning = ctx->maps[i].pinning;
		if (!ctx->maps_ext[i].pinned || bpf_no_pinning(ctx, pinning) ||
		    !bpf_get_work_dir(ctx->type))
			continue;

		bpf_make_pathname(pathname, sizeof(pathname),
				  bpf_map_fetch_name(ctx, i), ctx, pinning);
		unlink(pathname);
		/* The directory of an object goes with its last pin. */
		if (pinning == PIN_OBJECT_NS) {
			*strrchr(pathname, '/') = '\0';
			rmdir(pathname);
		}
	}
}

/* Once the program is loaded, only bpf_send_map_fds() needs the maps. */
void iproute2_bpf_elf_ctx_destroy(const struct bpf_cfg_in *cfg, bool failure)
{
	struct bpf_elf_ctx *ctx = &__ctx;

	if (failure)
		bpf_maps_unpin(ctx);

	bpf_elf_ctx_destroy(ctx, failure || !cfg->uds);
}

/* The sections of programs and of functions */
static bool bpf_has_insns(const struct bpf_elf_sec_data *data)
{
	return data->sec_hdr.sh_type == SHT_PROGBITS &&
	       (data->sec_hdr.sh_flags & SHF_EXECINSTR);
}

/* libbpf passes over string tables, whatever their name. The name stays, since
 * BTF refers to the section by it.
 */
static int bpf_hide_section(struct bpf_elf_ctx *ctx, int section,
			    struct bpf_elf_sec_data *data)
{
	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);

	data->sec_hdr.sh_type = SHT_STRTAB;
	return gelf_update_shdr(scn, &data->sec_hdr) ? 0 : -EIO;
}

/* The descriptors of maps go into the instructions that refer to the maps. All
 * other relocations are left to libbpf.
 */
static int bpf_prelink_relo(struct bpf_elf_ctx *ctx, int section,
			    struct bpf_elf_sec_data *data_relo)
{
	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);
	struct bpf_elf_sec_data data_insn;
	struct bpf_relo_props props = {};
	struct bpf_elf_prog prog = {};
	int num = 0;
	GElf_Rel relo;
	GElf_Sym sym;
	int ret;
	int i;

	ret = bpf_fill_section_data(ctx, data_relo->sec_hdr.sh_info,
				    &data_insn);
	if (ret < 0 || !bpf_has_insns(&data_insn))
		return 0;

	prog.insns = data_insn.sec_data->d_buf;
	prog.insns_num = data_insn.sec_data->d_size / sizeof(struct bpf_insn);

	for (i = 0; gelf_getrel(data_relo->sec_data, i, &relo); i++) {
		if (!gelf_getsym(ctx->sym_tab, GELF_R_SYM(relo.r_info), &sym))
			return -EIO;

		if (sym.st_shndx != ctx->sec_maps) {
			gelf_update_rel(data_relo->sec_data, num++, &relo);
			continue;
		}

		ret = bpf_apply_relo_map(ctx, &prog, &relo, &sym, &props);
		if (ret < 0)
			return ret;
	}

	data_relo->sec_hdr.sh_size = num * sizeof(relo);
	return gelf_update_shdr(scn, &data_relo->sec_hdr) ? 0 : -EIO;
}

/* Of a section with instructions: how many symbols are functions, the symbol at
 * its start, and how many calls are those of functions in the same section
 */
struct bpf_sec_funcs {
	size_t size;
	bool text;
	int num;
	int start;
	int calls;
};

static bool bpf_is_func_call(const struct bpf_insn *insn)
{
	return insn->code == (BPF_JMP | BPF_CALL) &&
	       insn->src_reg == BPF_PSEUDO_CALL;
}

/* Count the calls of functions, whatever section they are in. */
static void bpf_count_calls(const struct bpf_elf_sec_data *data,
			    struct bpf_sec_funcs *funcs)
{
	const struct bpf_insn *insns = data->sec_data->d_buf;
	size_t off;

	funcs->size = data->sec_data->d_size;
	funcs->text = !strcmp(data->sec_name, ".text");
	for (off = 0; off < funcs->size / sizeof(*insns); off++)
		funcs->calls += bpf_is_func_call(&insns[off]);
}

/* A call with a relocation is one of a function in another section. */
static void bpf_uncount_calls(struct bpf_elf_ctx *ctx,
			      const struct bpf_elf_sec_data *data_relo,
			      struct bpf_sec_funcs *funcs)
{
	struct bpf_elf_sec_data data;
	const struct bpf_insn *insns;
	GElf_Rel relo;
	size_t off;
	int i;

	if (bpf_fill_section_data(ctx, data_relo->sec_hdr.sh_info, &data) < 0 ||
	    !bpf_has_insns(&data))
		return;

	insns = data.sec_data->d_buf;
	for (i = 0; gelf_getrel(data_relo->sec_data, i, &relo); i++) {
		off = relo.r_offset / sizeof(*insns);
		if (off < data.sec_data->d_size / sizeof(*insns))
			funcs->calls -= bpf_is_func_call(&insns[off]);
	}
}

/* Look once at each instruction and at each symbol, for all sections. */
static struct bpf_sec_funcs *bpf_fetch_funcs(struct bpf_elf_ctx *ctx)
{
	unsigned int num = ctx->elf_hdr.e_shnum;
	struct bpf_sec_funcs *funcs = calloc(num, sizeof(*funcs));
	struct bpf_elf_sec_data data;
	GElf_Sym func;
	int i;

	for (i = 1; funcs && i < num; i++) {
		if (bpf_fill_section_data(ctx, i, &data) < 0)
			continue;

		if (bpf_has_insns(&data))
			bpf_count_calls(&data, &funcs[i]);
		else if (data.sec_hdr.sh_type == SHT_REL &&
			 data.sec_hdr.sh_info < num)
			bpf_uncount_calls(ctx, &data,
					  &funcs[data.sec_hdr.sh_info]);
	}

	for (i = 1; funcs && gelf_getsym(ctx->sym_tab, i, &func); i++) {
		if (func.st_shndx >= num ||
		    GELF_ST_TYPE(func.st_info) == STT_SECTION)
			continue;

		if (GELF_ST_TYPE(func.st_info) == STT_FUNC)
			funcs[func.st_shndx].num++;
		if (!func.st_value)
			funcs[func.st_shndx].start = i;
	}

	return funcs;
}

/* libbpf looks for functions that are called in .text only, and takes .text for
 * a program only if the object has no other function.
 */
bool iproute2_is_own_section(const char *section)
{
	struct bpf_elf_ctx *ctx = &__ctx;
	struct bpf_sec_funcs *funcs = bpf_fetch_funcs(ctx);
	struct bpf_elf_sec_data data;
	unsigned int map_id;
	unsigned int key_id;
	bool calls = false;
	int num = 0;
	int i;

	for (i = 1; funcs && i < ctx->elf_hdr.e_shnum; i++) {
		if (!funcs[i].size || bpf_fill_section_data(ctx, i, &data) < 0)
			continue;

		num += funcs[i].num ? funcs[i].num : 1;
		if (!strcmp(data.sec_name, section) ||
		    sscanf(data.sec_name, "%i/%i", &map_id, &key_id) == 2)
			calls |= funcs[i].calls > 0;
	}

	free(funcs);
	return calls || (!strcmp(section, ".text") && num > 1);
}

/* Load a section as it is, as iproute2 without libbpf does. */
int iproute2_load_section(struct bpf_cfg_in *cfg)
{
	struct bpf_elf_ctx *ctx = &__ctx;
	int fd;
	int ret;

	ret = bpf_fetch_ancillary(ctx, strcmp(cfg->section, ".text"));
	if (ret < 0) {
		fprintf(stderr, "Error fetching ELF ancillary data!\n");
		return ret;
	}

	fd = bpf_fetch_prog_sec(ctx, cfg->section);
	if (fd < 0) {
		fprintf(stderr, "Error fetching program/map!\n");
		return fd;
	}

	ret = bpf_fill_prog_arrays(ctx);
	if (ret < 0) {
		fprintf(stderr, "Error filling program arrays!\n");
		close(fd);
		return ret;
	}

	cfg->prog_fd = fd;
	return 0;
}

/* To libbpf a program is a global function, and the program of a section is the
 * first of these. What starts a section without a typed function, as LLVM up
 * to v7 made it, is its program. libbpf cannot load a section with local calls,
 * and must not look for programs there.
 */
static bool bpf_prelink_func(const struct bpf_sec_funcs *funcs, int which,
			     GElf_Sym *func)
{
	bool hide = !funcs->text && funcs->calls > 0;
	bool typed = GELF_ST_TYPE(func->st_info) == STT_FUNC;
	int bind = GELF_ST_BIND(func->st_info);

	if (!funcs->size ||
	    (!typed && (hide || funcs->num || which != funcs->start)))
		return false;

	if (hide)
		func->st_shndx = SHN_ABS;
	if (!typed || (funcs->num == 1 && !func->st_size))
		func->st_size = funcs->size - func->st_value;
	if (!funcs->text && bind == STB_LOCAL)
		bind = STB_GLOBAL;
	func->st_info = GELF_ST_INFO(bind, STT_FUNC);
	return true;
}

/* Look once at each symbol here, too: an object may have very many of them. */
static int bpf_prelink_funcs(struct bpf_elf_ctx *ctx)
{
	struct bpf_sec_funcs *funcs = bpf_fetch_funcs(ctx);
	GElf_Sym func;
	int ret = funcs ? 0 : -ENOMEM;
	int i;

	for (i = 1; !ret && gelf_getsym(ctx->sym_tab, i, &func); i++)
		if (func.st_shndx < ctx->elf_hdr.e_shnum &&
		    bpf_prelink_func(&funcs[func.st_shndx], i, &func) &&
		    !gelf_update_sym(ctx->sym_tab, i, &func))
			ret = -EIO;

	free(funcs);
	return ret;
}

/* Only kprobes need a version, and libbpf takes no other size than theirs. */
static int bpf_prelink_section(struct bpf_elf_ctx *ctx, int section,
			       struct bpf_elf_sec_data *data)
{
	if (bpf_has_map_data(ctx) && section == ctx->sec_maps)
		return bpf_hide_section(ctx, section, data);
	if (bpf_has_map_data(ctx) && data->sec_hdr.sh_type == SHT_REL)
		return bpf_prelink_relo(ctx, section, data);
	if (data->sec_hdr.sh_type == SHT_PROGBITS &&
	    !strcmp(data->sec_name, "version"))
		return bpf_hide_section(ctx, section, data);
	return 0;
}

/* The file may have changed since its sections were read. */
static int bpf_image_put(void *image, size_t size, size_t off, const void *from,
			 size_t len)
{
	if (off > size || len > size - off)
		return -EINVAL;

	memcpy(image + off, from, len);
	return 0;
}

/* Overwrite a section in the image by what it is in memory. */
static int bpf_image_put_section(struct bpf_elf_ctx *ctx, int section,
				 void *image, size_t size)
{
	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);
	Elf_Data *data = elf_getdata(scn, NULL);
	GElf_Shdr shdr;
	size_t off;
	int ret;

	if (!gelf_getshdr(scn, &shdr))
		return -EIO;

	off = ctx->elf_hdr.e_shoff + section * sizeof(shdr);
	ret = bpf_image_put(image, size, off, &shdr, sizeof(shdr));
	if (ret < 0 || !data || !data->d_buf)
		return ret;

	return bpf_image_put(image, size, shdr.sh_offset, data->d_buf,
			     data->d_size);
}

/* Make a copy of the file, with its sections as they are in memory. */
static int bpf_image_make(struct bpf_elf_ctx *ctx, void **image, size_t *size)
{
	const char *file = elf_rawfile(ctx->elf_fd, size);
	int ret = 0;
	int i;

	if (!file)
		return -EIO;

	*image = malloc(*size);
	if (!*image)
		return -ENOMEM;

	memcpy(*image, file, *size);
	for (i = 1; !ret && i < ctx->elf_hdr.e_shnum; i++)
		ret = bpf_image_put_section(ctx, i, *image, *size);
	if (ret < 0)
		free(*image);

	return ret;
}

/* libbpf before v1.0 made as many elements as there may be CPUs. */
static void bpf_size_perf_arrays(struct bpf_elf_ctx *ctx, unsigned int cpus)
{
	struct bpf_elf_map *map;
	int i;

	for (i = 0; i < ctx->map_num; i++) {
		map = &ctx->maps[i];
		if (map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY &&
		    !map->max_elem)
			map->max_elem = cpus;
	}
}

/* Create the legacy maps, and make an image of the object that refers to them
 * by their descriptors, so that it needs no section "maps".
 */
int iproute2_prelink_object(unsigned int cpus, void **image, size_t *size)
{
	struct bpf_elf_ctx *ctx = &__ctx;
	struct bpf_elf_sec_data data;
	int ret = 0;
	int i;

	if (ctx->elf_hdr.e_ident[EI_CLASS] != ELFCLASS64) {
		fprintf(stderr, "ELF format error, not a 64 bit object?\n");
		return -EINVAL;
	}

	if (bpf_has_map_data(ctx)) {
		bpf_size_perf_arrays(ctx, cpus);
		if (bpf_has_btf_data(ctx))
			bpf_fetch_btf_end(ctx);
		ret = bpf_maps_attach_all(ctx);
	}
	if (ret < 0) {
		fprintf(stderr, "Error loading maps into kernel!\n");
		return ret;
	}

	/* Before relocations are dropped, which tell calls apart. */
	ret = bpf_prelink_funcs(ctx);
	if (ret < 0)
		return ret;

	for (i = 1; i < ctx->elf_hdr.e_shnum; i++) {
		if (bpf_fill_section_data(ctx, i, &data) < 0)
			continue;

		ret = bpf_prelink_section(ctx, i, &data);
		if (ret < 0) {
			fprintf(stderr,
				"Error linking section %d! Perhaps check with readelf -a?\n",
				i);
			return ret;
		}
	}

	return bpf_image_make(ctx, image, size);
}
#endif

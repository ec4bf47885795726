// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// libbpf v1.0 and later refuses objects with legacy maps. iproute2 creates the maps itself and
// gives libbpf an image of the object that refers to them by their descriptors. A function that
// is added stands behind another: one that is put in front of another comes before or after that
// one's comment, depending on Coccinelle's version.

// -- lib/bpf_libbpf.c

@open@
identifier obj;
@@
 static int handle_legacy_maps(struct bpf_object *obj)
 { ... }
+
+static struct bpf_object *open_bpf_object(const struct bpf_cfg_in *cfg,
+					  struct bpf_object_open_opts *opts)
+{
+	const char *base = strrchr(cfg->object, '/');
+	char name[BPF_OBJ_NAME_LEN];
+	struct bpf_object *obj;
+	void *image;
+	size_t size;
+	int ret;
+
+	return bpf_object__open_file(cfg->object, opts);
+	/* libbpf v1.0+ refuses legacy maps, so it gets an image without. */
+	ret = iproute2_prelink_object(libbpf_num_possible_cpus(), &image,
+				      &size);
+	if (ret < 0) {
+		errno = -ret;
+		return NULL;
+	}
+
+	/* The name that bpf_object__open_file() makes of a path */
+	base = base ? base + 1 : cfg->object;
+	snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, "."), base);
+	opts->object_name = name;
+
+	obj = bpf_object__open_mem(image, size, opts);
+	free(image);
+	return obj;
+}

// Coccinelle adds a directive only before or after what is there.
@old_libbpf@
identifier cfg, opts;
@@
+#if LIBBPF_MAJOR_VERSION < 1
 return bpf_object__open_file(cfg->object, opts);
+#endif

// The own loader knows no `program NAME`, which v6.0 brought.
@names_programs@
typedef bool;
identifier prog, exist, section, prog_name;
@@
 static bool find_prog_to_attach(struct bpf_program *prog, struct bpf_program *exist, const char *section, const char *prog_name)
 { ... }

@own_by_section depends on names_programs@
identifier cfg;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 { ... }
+
+static bool wants_own_loader(const struct bpf_cfg_in *cfg)
+{
+	return false;
+	return !cfg->prog_name && iproute2_is_own_section(cfg->section);
+}

@own depends on !names_programs@
identifier cfg;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 { ... }
+
+static bool wants_own_loader(const struct bpf_cfg_in *cfg)
+{
+	return false;
+	return iproute2_is_own_section(cfg->section);
+}

@own_old_libbpf@
identifier cfg;
@@
 static bool wants_own_loader(const struct bpf_cfg_in *cfg)
 {
+#if LIBBPF_MAJOR_VERSION < 1
 return false;
+#endif
 ...
 }

// From here on, all ways out close the object.
@load@
identifier cfg, opts, obj;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 {
 ...
-obj = bpf_object__open_file(cfg->object, &opts);
+obj = open_bpf_object(cfg, &opts);
 ...
 }

@types@
identifier cfg, p;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 {
 <...
 bpf_program__set_ifindex(p, cfg->ifindex);
+if (iproute2_has_own_maps())
+	bpf_program__set_expected_attach_type(p, 0);
 ...>
 }

@leaks@
identifier cfg, ret, p;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 {
 <...
 ret = bpf_program__set_autoload(p, false);
-if (ret)
-	return -EINVAL;
+if (ret)
+	goto unload_obj;
 ...>
 }

@leaks_missing@
identifier cfg, prog, ret;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 {
 ...
 ret = iproute2_get_root_path(...);
 <...
 if (!prog) {
 ...
-return -ENOENT;
+ret = -ENOENT;
+goto unload_obj;
 }
 ...>
 }

// None of the maps that libbpf knows is a legacy map, and each would be looked for among all symbols.
@handled@
identifier obj, ret;
@@
 static int load_bpf_object(...)
 {
 <...
-ret = handle_legacy_maps(obj);
+ret = iproute2_has_own_maps() ? 0 : handle_legacy_maps(obj);
 ...>
 }

// Legacy maps of tail calls are not in the object.
@tail@
identifier pmap, id, ret;
@@
 static int find_legacy_tail_calls(..., struct bpf_map **pmap)
 {
 <...
+if (iproute2_find_map_fd_by_id(id) >= 0) {
+	if (pmap)
+		*pmap = NULL;
+	return 0;
+}
+
 ret = iproute2_find_map_name_by_id(id, ...);
 ...>
 }

@tail_update@
identifier map, map_fd, map_id, key_id, ret;
expression E;
@@
 static int update_legacy_tail_call_maps(...)
 {
 <...
 ret = sscanf(E, "%i/%i", &map_id, &key_id);
 ...
-map_fd = bpf_map__fd(map);
+map_fd = map ? bpf_map__fd(map) : iproute2_find_map_fd_by_id(map_id);
 ...>
 }

@destroy@
identifier cfg, ret;
@@
 int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
 {
 ...
 ret = iproute2_bpf_fetch_ancillary();
 if (ret < 0) {
 ...
-return ret;
+goto out;
 }
-ret = load_bpf_object(cfg);
+if (wants_own_loader(cfg))
+	ret = iproute2_load_section(cfg);
+else
+	ret = load_bpf_object(cfg);
 if (ret)
-	return ret;
+	goto out;
-return cfg->prog_fd;
+ret = cfg->prog_fd;
+out:
+iproute2_bpf_elf_ctx_destroy(cfg, ret < 0);
+return ret;
 }

// -- lib/bpf_legacy.c

// Refusals leave no pin.
@flag@
@@
 struct bpf_map_ext {
 ...
+bool pinned;
 };

@pinned@
identifier n, ctx, map, ext, ret, fd;
@@
 static int bpf_map_attach(const char *n, struct bpf_elf_ctx *ctx, const struct bpf_elf_map *map, struct bpf_map_ext *ext, ...)
 {
 ...
 ret = bpf_place_pinned(...);
 if (ret < 0) { ... }
+ext->pinned = true;
 return fd;
 }

// Maps have names in the kernel.
@named@
identifier attr, type, btf_id_key, val;
@@
 static int bpf_map_create(enum bpf_map_type type, ..., uint32_t btf_id_key, uint32_t val
+, const char *name
 )
 {
 union bpf_attr attr = {};
+int fd;
 ...
 attr.map_type = type;
+strlcpy(attr.map_name, name, sizeof(attr.map_name));
 ...
-return bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
+fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
+if (fd < 0 && btf_id_key) {
+	/* Not all maps take types, nor types of another size. */
+	attr.btf_fd = 0;
+	attr.btf_key_type_id = 0;
+	attr.btf_value_type_id = 0;
+	fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
+}
+if (fd < 0 && (errno == EINVAL || errno == E2BIG)) {
+	/* Kernels before v4.15 know no names, and none takes all. */
+	memset(attr.map_name, 0, sizeof(attr.map_name));
+	fd = bpf(BPF_MAP_CREATE, &attr, sizeof(attr));
+}
+
+return fd;
 }

@names depends on named@
identifier n, ctx, map;
expression E;
@@
 static int bpf_map_attach(const char *n, struct bpf_elf_ctx *ctx, const struct bpf_elf_map *map, ...)
 {
 <...
 bpf_map_create(map->type, ..., E
+, n
 )
 ...>
 }

// Their keys and values have the types of BPF_ANNOTATE_KV_PAIR(), as with libbpf before v1.0.
@typed@
@@
 struct bpf_elf_ctx {
 ...
+Elf_Data		btf_types;
 };

@types_found@
identifier data, ctx, i, ret;
@@
 int iproute2_bpf_fetch_ancillary(void)
 {
 <...
 ret = bpf_fill_section_data(ctx, i, &data);
 if (ret < 0) continue;
+
+if (data.sec_hdr.sh_type == SHT_PROGBITS &&
+    !strcmp(data.sec_name, ".BTF"))
+	ret = bpf_fetch_btf_begin(ctx, i, &data);
 ...>
 }

@types_reduced@
identifier ctx;
@@
 static int bpf_btf_prep_data(struct bpf_elf_ctx *ctx)
 { ... }
+
+static size_t bpf_btf_type_size(const struct btf_type *type)
+{
+	unsigned int num = BTF_INFO_VLEN(type->info);
+
+	switch (BTF_INFO_KIND(type->info)) {
+	case BTF_KIND_INT:
+		return sizeof(*type) + sizeof(int);
+	case BTF_KIND_ARRAY:
+		return sizeof(*type) + sizeof(struct btf_array);
+	case BTF_KIND_STRUCT:
+	case BTF_KIND_UNION:
+		return sizeof(*type) + num * sizeof(struct btf_member);
+	case BTF_KIND_ENUM:
+		return sizeof(*type) + num * sizeof(struct btf_enum);
+	case BTF_KIND_FUNC_PROTO:
+		return sizeof(*type) + num * sizeof(struct btf_param);
+	case BTF_KIND_VAR:
+		return sizeof(*type) + sizeof(struct btf_var);
+	case BTF_KIND_DATASEC:
+		return sizeof(*type) + num * sizeof(struct btf_var_secinfo);
+	default:
+		return sizeof(*type);
+	}
+}
+
+/* Nothing that is stored is a function, a variable or a section. */
+static bool bpf_btf_is_data(const struct btf_type *type)
+{
+	switch (BTF_INFO_KIND(type->info)) {
+	case BTF_KIND_FUNC:
+	case BTF_KIND_FUNC_PROTO:
+	case BTF_KIND_VAR:
+	case BTF_KIND_DATASEC:
+		return false;
+	default:
+		return true;
+	}
+}
+
+/* Maps need the types of data only. The others are not known to every kernel,
+ * and sections have no size before libbpf gives them one. A pointer stands for
+ * each of these, so that all types keep their numbers.
+ */
+static int bpf_btf_reduce(struct bpf_elf_ctx *ctx)
+{
+	const struct btf_type pointer = { .info = BTF_KIND_PTR << 24 };
+	struct btf_header *hdr;
+	const void *cur;
+	const void *end;
+	size_t size;
+	void *to;
+
+	if (!ctx->btf_data->d_buf || ctx->btf_data->d_size < sizeof(*hdr) ||
+	    bpf_btf_check_header(ctx))
+		return -EINVAL;
+
+	hdr = malloc(ctx->btf_data->d_size);
+	if (!hdr)
+		return -ENOMEM;
+
+	*hdr = *ctx->btf.hdr;
+	cur = ctx->btf.raw + hdr->type_off;
+	end = ctx->btf.raw + hdr->str_off;
+	to = hdr + 1;
+	while (end - cur >= sizeof(pointer)) {
+		size = bpf_btf_type_size(cur);
+		if (size > end - cur)
+			break;
+
+		to = bpf_btf_is_data(cur) ?
+		     mempcpy(to, cur, size) :
+		     mempcpy(to, &pointer, sizeof(pointer));
+		cur += size;
+	}
+
+	hdr->hdr_len = sizeof(*hdr);
+	hdr->type_off = 0;
+	hdr->type_len = to - (void *)(hdr + 1);
+	hdr->str_off = hdr->type_len;
+	to = mempcpy(to, ctx->btf.strings, hdr->str_len);
+
+	ctx->btf_types.d_buf = hdr;
+	ctx->btf_types.d_size = to - (void *)hdr;
+	ctx->btf_data = &ctx->btf_types;
+	return 0;
+}

@types_loaded@
identifier ctx, fd;
@@
 static void bpf_fetch_btf_end(struct bpf_elf_ctx *ctx)
 {
-int fd = bpf_btf_attach(ctx);
+int fd = bpf_btf_reduce(ctx);
+
+if (!fd)
+	fd = bpf_btf_attach(ctx);
 ...
 }

// Without this, every line of a batch keeps the program that it loaded.
@later@
identifier cfg, ops, nl, ret;
@@
+/* The kernel wants the descriptor of a program with the message that attaches
+ * it, so it stays open until this command is over. In a batch, that is when a
+ * later line loads the next one.
+ */
+static void bpf_prog_close_later(int fd)
+{
+	static int line;
+	static int num;
+	static int *fds;
+	int *tmp;
+
+	if (line != cmdlineno) {
+		while (num > 0)
+			close(fds[--num]);
+		line = cmdlineno;
+	}
+
+	tmp = realloc(fds, (num + 1) * sizeof(*fds));
+	if (!tmp)
+		return;
+
+	fds = tmp;
+	fds[num++] = fd;
+}
+
 int bpf_load_common(struct bpf_cfg_in *cfg, const struct bpf_cfg_ops *ops, void *nl)
 {
 ...
 ret = bpf_do_load(cfg);
 if (ret < 0)
	return ret;
+
+if (cfg->mode == EBPF_OBJECT)
+	bpf_prog_close_later(cfg->prog_fd);
 ...
 }

// Nor if there is nobody to send the maps to.
@export@
identifier ctx;
@@
 int bpf_send_map_fds(...)
 {
 ...
-bpf_maps_teardown(ctx);
-out:
+out:
+bpf_maps_teardown(ctx);
 ...
 }

// Nor those that it put into program arrays.
@hops@
identifier ctx, fd;
@@
 static int bpf_fill_prog_arrays(struct bpf_elf_ctx *ctx)
 {
 <...
 fd = bpf_fetch_prog_sec(...);
 if (fd < 0)
	return -EIO;
+bpf_prog_close_later(fd);
 ...>
 }

// Nor may its symbols be taken for maps or functions that it does not have.
@targets@
identifier ctx, sym;
statement S, T, U;
@@
 static int bpf_apply_relo_data(struct bpf_elf_ctx *ctx, ...)
 {
 <...
-if (sym.st_shndx == ctx->sec_maps)
+if (bpf_has_map_data(ctx) && sym.st_shndx == ctx->sec_maps)
	S
-else if (sym.st_shndx == ctx->sec_text)
+else if (bpf_has_call_data(ctx) && sym.st_shndx == ctx->sec_text)
	T
 else U
 ...>
 }

// .text is not appended to itself: its instructions move when it grows. A call of a global function
// has the function's place in the symbol, not in the instruction.
@calls@
identifier ctx, prog, relo, sym, props, insn_off;
statement S;
@@
 static int bpf_apply_relo_call(struct bpf_elf_ctx *ctx, struct bpf_elf_prog *prog, GElf_Rel *relo, GElf_Sym *sym, struct bpf_relo_props *props)
 {
 <...
(
-if (!props->main_num)
+if (!props->main_num && prog != &ctx->prog_text)
	S
|
-prog->insns[insn_off].imm += props->main_num - insn_off;
+prog->insns[insn_off].imm += sym->st_value / sizeof(struct bpf_insn) +
+			     props->main_num - insn_off;
)
 ...>
 }

// A later line of a batch may export a pinned program, which has no maps.
@teardown@
identifier ctx;
@@
 static void bpf_maps_teardown(struct bpf_elf_ctx *ctx)
 {
 ...
 free(ctx->btf.types);
+	free(ctx->btf_types.d_buf);
+
+	memset(ctx->map_fds, 0, sizeof(ctx->map_fds));
+	memset(&ctx->btf, 0, sizeof(ctx->btf));
+	memset(&ctx->btf_types, 0, sizeof(ctx->btf_types));
+	ctx->btf_fd = 0;
 }

// A broken object may say that an entry has no size.
@entries@
identifier data, rhdr;
@@
(
-data->sec_hdr.sh_size / data->sec_hdr.sh_entsize
+data->sec_hdr.sh_size / sizeof(GElf_Sym)
|
-rhdr->sh_size / rhdr->sh_entsize
+rhdr->sh_size / sizeof(GElf_Rel)
)

// libbpf refused a file whose symbols have names beyond the string table.
@inside@
typedef GElf_Sym;
identifier ctx, sym;
@@
 static const char *bpf_str_tab_name(const struct bpf_elf_ctx *ctx,
 const GElf_Sym *sym)
 {
+	const char *names = ctx->str_tab->d_buf;
+	size_t size = ctx->str_tab->d_size;
+
+	if (sym->st_name >= size || names[size - 1])
+		return "";
+
 return ctx->str_tab->d_buf + sym->st_name;
 }

@prelink@
identifier cfg;
@@
 int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg)
 { ... }
+
+/* All programs in an array must have the same expected attach type, but libbpf
+ * derives it from the section's name, which may be that of a key.
+ */
+bool iproute2_has_own_maps(void)
+{
+	return bpf_maps_count(&__ctx) > 0;
+}
+
+/* Find the program array that the programs in sections "id/key" go into. */
+int iproute2_find_map_fd_by_id(unsigned int map_id)
+{
+	int i = bpf_find_map_by_id(&__ctx, map_id);
+
+	return i < 0 ? -1 : __ctx.map_fds[i];
+}
+
+/* The maps that were there before keep their pins. */
+static void bpf_maps_unpin(struct bpf_elf_ctx *ctx)
+{
+	char pathname[PATH_MAX];
+	uint32_t pinning;
+	int i;
+
+	for (i = 0; i < ARRAY_SIZE(ctx->maps_ext); i++) {
+		pinning = ctx->maps[i].pinning;
+		if (!ctx->maps_ext[i].pinned || bpf_no_pinning(ctx, pinning) ||
+		    !bpf_get_work_dir(ctx->type))
+			continue;
+
+		bpf_make_pathname(pathname, sizeof(pathname),
+				  bpf_map_fetch_name(ctx, i), ctx, pinning);
+		unlink(pathname);
+		/* The directory of an object goes with its last pin. */
+		if (pinning == PIN_OBJECT_NS) {
+			*strrchr(pathname, '/') = '\0';
+			rmdir(pathname);
+		}
+	}
+}
+
+/* Once the program is loaded, only bpf_send_map_fds() needs the maps. */
+void iproute2_bpf_elf_ctx_destroy(const struct bpf_cfg_in *cfg, bool failure)
+{
+	struct bpf_elf_ctx *ctx = &__ctx;
+
+	if (failure)
+		bpf_maps_unpin(ctx);
+
+	bpf_elf_ctx_destroy(ctx, failure || !cfg->uds);
+}
+
+/* The sections of programs and of functions */
+static bool bpf_has_insns(const struct bpf_elf_sec_data *data)
+{
+	return data->sec_hdr.sh_type == SHT_PROGBITS &&
+	       (data->sec_hdr.sh_flags & SHF_EXECINSTR);
+}
+
+/* libbpf passes over string tables, whatever their name. The name stays, since
+ * BTF refers to the section by it.
+ */
+static int bpf_hide_section(struct bpf_elf_ctx *ctx, int section,
+			    struct bpf_elf_sec_data *data)
+{
+	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);
+
+	data->sec_hdr.sh_type = SHT_STRTAB;
+	return gelf_update_shdr(scn, &data->sec_hdr) ? 0 : -EIO;
+}
+
+/* The descriptors of maps go into the instructions that refer to the maps. All
+ * other relocations are left to libbpf.
+ */
+static int bpf_prelink_relo(struct bpf_elf_ctx *ctx, int section,
+			    struct bpf_elf_sec_data *data_relo)
+{
+	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);
+	struct bpf_elf_sec_data data_insn;
+	struct bpf_relo_props props = {};
+	struct bpf_elf_prog prog = {};
+	int num = 0;
+	GElf_Rel relo;
+	GElf_Sym sym;
+	int ret;
+	int i;
+
+	ret = bpf_fill_section_data(ctx, data_relo->sec_hdr.sh_info, &data_insn);
+	if (ret < 0 || !bpf_has_insns(&data_insn))
+		return 0;
+
+	prog.insns = data_insn.sec_data->d_buf;
+	prog.insns_num = data_insn.sec_data->d_size / sizeof(struct bpf_insn);
+
+	for (i = 0; gelf_getrel(data_relo->sec_data, i, &relo); i++) {
+		if (!gelf_getsym(ctx->sym_tab, GELF_R_SYM(relo.r_info), &sym))
+			return -EIO;
+
+		if (sym.st_shndx != ctx->sec_maps) {
+			gelf_update_rel(data_relo->sec_data, num++, &relo);
+			continue;
+		}
+
+		ret = bpf_apply_relo_map(ctx, &prog, &relo, &sym, &props);
+		if (ret < 0)
+			return ret;
+	}
+
+	data_relo->sec_hdr.sh_size = num * sizeof(relo);
+	return gelf_update_shdr(scn, &data_relo->sec_hdr) ? 0 : -EIO;
+}
+
+/* Of a section with instructions: how many symbols are functions, the symbol at
+ * its start, and how many calls are those of functions in the same section
+ */
+struct bpf_sec_funcs {
+	size_t size;
+	bool text;
+	int num;
+	int start;
+	int calls;
+};
+
+static bool bpf_is_func_call(const struct bpf_insn *insn)
+{
+	return insn->code == (BPF_JMP | BPF_CALL) &&
+	       insn->src_reg == BPF_PSEUDO_CALL;
+}
+
+/* Count the calls of functions, whatever section they are in. */
+static void bpf_count_calls(const struct bpf_elf_sec_data *data,
+			    struct bpf_sec_funcs *funcs)
+{
+	const struct bpf_insn *insns = data->sec_data->d_buf;
+	size_t off;
+
+	funcs->size = data->sec_data->d_size;
+	funcs->text = !strcmp(data->sec_name, ".text");
+	for (off = 0; off < funcs->size / sizeof(*insns); off++)
+		funcs->calls += bpf_is_func_call(&insns[off]);
+}
+
+/* A call with a relocation is one of a function in another section. */
+static void bpf_uncount_calls(struct bpf_elf_ctx *ctx,
+			      const struct bpf_elf_sec_data *data_relo,
+			      struct bpf_sec_funcs *funcs)
+{
+	struct bpf_elf_sec_data data;
+	const struct bpf_insn *insns;
+	GElf_Rel relo;
+	size_t off;
+	int i;
+
+	if (bpf_fill_section_data(ctx, data_relo->sec_hdr.sh_info, &data) < 0 ||
+	    !bpf_has_insns(&data))
+		return;
+
+	insns = data.sec_data->d_buf;
+	for (i = 0; gelf_getrel(data_relo->sec_data, i, &relo); i++) {
+		off = relo.r_offset / sizeof(*insns);
+		if (off < data.sec_data->d_size / sizeof(*insns))
+			funcs->calls -= bpf_is_func_call(&insns[off]);
+	}
+}
+
+/* Look once at each instruction and at each symbol, for all sections. */
+static struct bpf_sec_funcs *bpf_fetch_funcs(struct bpf_elf_ctx *ctx)
+{
+	unsigned int num = ctx->elf_hdr.e_shnum;
+	struct bpf_sec_funcs *funcs = calloc(num, sizeof(*funcs));
+	struct bpf_elf_sec_data data;
+	GElf_Sym func;
+	int i;
+
+	for (i = 1; funcs && i < num; i++) {
+		if (bpf_fill_section_data(ctx, i, &data) < 0)
+			continue;
+
+		if (bpf_has_insns(&data))
+			bpf_count_calls(&data, &funcs[i]);
+		else if (data.sec_hdr.sh_type == SHT_REL &&
+			 data.sec_hdr.sh_info < num)
+			bpf_uncount_calls(ctx, &data,
+					  &funcs[data.sec_hdr.sh_info]);
+	}
+
+	for (i = 1; funcs && gelf_getsym(ctx->sym_tab, i, &func); i++) {
+		if (func.st_shndx >= num ||
+		    GELF_ST_TYPE(func.st_info) == STT_SECTION)
+			continue;
+
+		if (GELF_ST_TYPE(func.st_info) == STT_FUNC)
+			funcs[func.st_shndx].num++;
+		if (!func.st_value)
+			funcs[func.st_shndx].start = i;
+	}
+
+	return funcs;
+}
+
+/* libbpf looks for functions that are called in .text only, and takes .text for
+ * a program only if the object has no other function.
+ */
+bool iproute2_is_own_section(const char *section)
+{
+	struct bpf_elf_ctx *ctx = &__ctx;
+	struct bpf_sec_funcs *funcs = bpf_fetch_funcs(ctx);
+	struct bpf_elf_sec_data data;
+	unsigned int map_id, key_id;
+	bool calls = false;
+	int num = 0;
+	int i;
+
+	for (i = 1; funcs && i < ctx->elf_hdr.e_shnum; i++) {
+		if (!funcs[i].size || bpf_fill_section_data(ctx, i, &data) < 0)
+			continue;
+
+		num += funcs[i].num ? funcs[i].num : 1;
+		if (!strcmp(data.sec_name, section) ||
+		    sscanf(data.sec_name, "%i/%i", &map_id, &key_id) == 2)
+			calls |= funcs[i].calls > 0;
+	}
+
+	free(funcs);
+	return calls || (!strcmp(section, ".text") && num > 1);
+}
+
+/* Load a section as it is, as iproute2 without libbpf does. */
+int iproute2_load_section(struct bpf_cfg_in *cfg)
+{
+	struct bpf_elf_ctx *ctx = &__ctx;
+	int fd;
+	int ret;
+
+	ret = bpf_fetch_ancillary(ctx, strcmp(cfg->section, ".text"));
+	if (ret < 0) {
+		fprintf(stderr, "Error fetching ELF ancillary data!\n");
+		return ret;
+	}
+
+	fd = bpf_fetch_prog_sec(ctx, cfg->section);
+	if (fd < 0) {
+		fprintf(stderr, "Error fetching program/map!\n");
+		return fd;
+	}
+
+	ret = bpf_fill_prog_arrays(ctx);
+	if (ret < 0) {
+		fprintf(stderr, "Error filling program arrays!\n");
+		close(fd);
+		return ret;
+	}
+
+	cfg->prog_fd = fd;
+	return 0;
+}
+
+/* To libbpf a program is a global function, and the program of a section is the
+ * first of these. What starts a section without a typed function, as LLVM up
+ * to v7 made it, is its program. libbpf cannot load a section with local calls,
+ * and must not look for programs there.
+ */
+static bool bpf_prelink_func(const struct bpf_sec_funcs *funcs, int which,
+			     GElf_Sym *func)
+{
+	bool hide = !funcs->text && funcs->calls > 0;
+	bool typed = GELF_ST_TYPE(func->st_info) == STT_FUNC;
+	int bind = GELF_ST_BIND(func->st_info);
+
+	if (!funcs->size ||
+	    (!typed && (hide || funcs->num || which != funcs->start)))
+		return false;
+
+	if (hide)
+		func->st_shndx = SHN_ABS;
+	if (!typed || (funcs->num == 1 && !func->st_size))
+		func->st_size = funcs->size - func->st_value;
+	if (!funcs->text && bind == STB_LOCAL)
+		bind = STB_GLOBAL;
+	func->st_info = GELF_ST_INFO(bind, STT_FUNC);
+	return true;
+}
+
+/* Look once at each symbol here, too: an object may have very many of them. */
+static int bpf_prelink_funcs(struct bpf_elf_ctx *ctx)
+{
+	struct bpf_sec_funcs *funcs = bpf_fetch_funcs(ctx);
+	GElf_Sym func;
+	int ret = funcs ? 0 : -ENOMEM;
+	int i;
+
+	for (i = 1; !ret && gelf_getsym(ctx->sym_tab, i, &func); i++)
+		if (func.st_shndx < ctx->elf_hdr.e_shnum &&
+		    bpf_prelink_func(&funcs[func.st_shndx], i, &func) &&
+		    !gelf_update_sym(ctx->sym_tab, i, &func))
+			ret = -EIO;
+
+	free(funcs);
+	return ret;
+}
+
+/* Only kprobes need a version, and libbpf takes no other size than theirs. */
+static int bpf_prelink_section(struct bpf_elf_ctx *ctx, int section,
+			       struct bpf_elf_sec_data *data)
+{
+	if (bpf_has_map_data(ctx) && section == ctx->sec_maps)
+		return bpf_hide_section(ctx, section, data);
+	if (bpf_has_map_data(ctx) && data->sec_hdr.sh_type == SHT_REL)
+		return bpf_prelink_relo(ctx, section, data);
+	if (data->sec_hdr.sh_type == SHT_PROGBITS &&
+	    !strcmp(data->sec_name, "version"))
+		return bpf_hide_section(ctx, section, data);
+	return 0;
+}
+
+/* The file may have changed since its sections were read. */
+static int bpf_image_put(void *image, size_t size, size_t off,
+			 const void *from, size_t len)
+{
+	if (off > size || len > size - off)
+		return -EINVAL;
+
+	memcpy(image + off, from, len);
+	return 0;
+}
+
+/* Overwrite a section in the image by what it is in memory. */
+static int bpf_image_put_section(struct bpf_elf_ctx *ctx, int section,
+				 void *image, size_t size)
+{
+	Elf_Scn *scn = elf_getscn(ctx->elf_fd, section);
+	Elf_Data *data = elf_getdata(scn, NULL);
+	GElf_Shdr shdr;
+	size_t off;
+	int ret;
+
+	if (!gelf_getshdr(scn, &shdr))
+		return -EIO;
+
+	off = ctx->elf_hdr.e_shoff + section * sizeof(shdr);
+	ret = bpf_image_put(image, size, off, &shdr, sizeof(shdr));
+	if (ret < 0 || !data || !data->d_buf)
+		return ret;
+
+	return bpf_image_put(image, size, shdr.sh_offset, data->d_buf,
+			     data->d_size);
+}
+
+/* Make a copy of the file, with its sections as they are in memory. */
+static int bpf_image_make(struct bpf_elf_ctx *ctx, void **image, size_t *size)
+{
+	const char *file = elf_rawfile(ctx->elf_fd, size);
+	int ret = 0;
+	int i;
+
+	if (!file)
+		return -EIO;
+
+	*image = malloc(*size);
+	if (!*image)
+		return -ENOMEM;
+
+	memcpy(*image, file, *size);
+	for (i = 1; !ret && i < ctx->elf_hdr.e_shnum; i++)
+		ret = bpf_image_put_section(ctx, i, *image, *size);
+	if (ret < 0)
+		free(*image);
+
+	return ret;
+}
+
+/* libbpf before v1.0 made as many elements as there may be CPUs. */
+static void bpf_size_perf_arrays(struct bpf_elf_ctx *ctx, unsigned int cpus)
+{
+	struct bpf_elf_map *map;
+	int i;
+
+	for (i = 0; i < ctx->map_num; i++) {
+		map = &ctx->maps[i];
+		if (map->type == BPF_MAP_TYPE_PERF_EVENT_ARRAY && !map->max_elem)
+			map->max_elem = cpus;
+	}
+}
+
+/* Create the legacy maps, and make an image of the object that refers to them
+ * by their descriptors, so that it needs no section "maps".
+ */
+int iproute2_prelink_object(unsigned int cpus, void **image, size_t *size)
+{
+	struct bpf_elf_ctx *ctx = &__ctx;
+	struct bpf_elf_sec_data data;
+	int ret = 0;
+	int i;
+
+	if (ctx->elf_hdr.e_ident[EI_CLASS] != ELFCLASS64) {
+		fprintf(stderr, "ELF format error, not a 64 bit object?\n");
+		return -EINVAL;
+	}
+
+	if (bpf_has_map_data(ctx)) {
+		bpf_size_perf_arrays(ctx, cpus);
+		if (bpf_has_btf_data(ctx))
+			bpf_fetch_btf_end(ctx);
+		ret = bpf_maps_attach_all(ctx);
+	}
+	if (ret < 0) {
+		fprintf(stderr, "Error loading maps into kernel!\n");
+		return ret;
+	}
+
+	/* Before relocations are dropped, which tell calls apart. */
+	ret = bpf_prelink_funcs(ctx);
+	if (ret < 0)
+		return ret;
+
+	for (i = 1; i < ctx->elf_hdr.e_shnum; i++) {
+		if (bpf_fill_section_data(ctx, i, &data) < 0)
+			continue;
+
+		ret = bpf_prelink_section(ctx, i, &data);
+		if (ret < 0) {
+			fprintf(stderr, "Error linking section %d! Perhaps check with readelf -a?\n",
+				i);
+			return ret;
+		}
+	}
+
+	return bpf_image_make(ctx, image, size);
+}

// -- include/bpf_util.h

@proto@
identifier cfg;
@@
+void iproute2_bpf_elf_ctx_destroy(const struct bpf_cfg_in *cfg, bool failure);
+int iproute2_prelink_object(unsigned int cpus, void **image, size_t *size);
+bool iproute2_is_own_section(const char *section);
+int iproute2_load_section(struct bpf_cfg_in *cfg);
+bool iproute2_has_own_maps(void);
+int iproute2_find_map_fd_by_id(unsigned int map_id);
 int iproute2_load_libbpf(struct bpf_cfg_in *cfg);

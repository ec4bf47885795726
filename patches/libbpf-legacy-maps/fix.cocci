// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// libbpf v1.0 and later refuses objects with legacy maps: hand these, and only these,
// to the loader of iproute2 itself, which is still there behind the return.

// v6.0 on: a program can be chosen by its name.
@named@
identifier cfg;
@@
 load_bpf_object(struct bpf_cfg_in *cfg)
 {
 <+... cfg->prog_name ...+>
 }

@dispatch@
identifier cfg;
@@
 static int bpf_do_load(struct bpf_cfg_in *cfg)
 {
 <...
+if (iproute2_is_legacy_object(cfg))
+	return iproute2_load_legacy(cfg);
 return iproute2_load_libbpf(cfg);
 ...>
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
+	static int num, line;
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

// Nor does a tail-called program need its descriptor once it is in its map.
@tail@
identifier ctx, i, fd, done;
@@
 static int bpf_fill_prog_arrays(struct bpf_elf_ctx *ctx)
 {
 <...
 fd = bpf_fetch_prog_sec(...);
 ...
+close(fd);
 ctx->sec_done[i] = done;
 ...>
 }

@legacy@
identifier cfg;
@@
 int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg)
 { ... }
+
+/* Nobody but bpf_send_map_fds() needs the maps once the program is loaded. */
+int iproute2_load_legacy(struct bpf_cfg_in *cfg)
+{
+	cfg->prog_fd = bpf_obj_open(cfg->object, cfg->type, cfg->section,
+				    cfg->ifindex, cfg->verbose);
+	if (cfg->prog_fd >= 0 && !cfg->uds)
+		bpf_maps_teardown(&__ctx);
+
+	return cfg->prog_fd;
+}

// libbpf refused a file whose symbols have no names; now such a file comes this way.
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

// Which loader an object is for, from its sections alone: error codes do not tell. It stands
// behind a function: one that is put in front of another comes before or after that one's
// comment, depending on Coccinelle's version.
@choose@
typedef bool;
identifier cfg;
@@
 static int load_bpf_object(struct bpf_cfg_in *cfg)
 { ... }
+
+/* libbpf v1.0+ refuses legacy maps, that is, struct bpf_elf_map in a section
+ * "maps". Only the loader of iproute2 itself takes such an object, and that
+ * one knows neither BTF-defined maps nor programs by name.
+ */
+bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)
+{
+	bool legacy = false, btf = false;
+	Elf_Scn *scn = NULL;
+	size_t shstrndx;
+	GElf_Shdr shdr;
+	const char *name;
+	Elf *elf;
+	int fd;
+
+	if (libbpf_major_version() < 1 || elf_version(EV_CURRENT) == EV_NONE)
+		return false;
+
+	fd = open(cfg->object, O_RDONLY);
+	if (fd < 0)
+		return false;
+
+	elf = elf_begin(fd, ELF_C_READ, NULL);
+	if (elf && !elf_getshdrstrndx(elf, &shstrndx)) {
+		while ((scn = elf_nextscn(elf, scn))) {
+			if (gelf_getshdr(scn, &shdr) != &shdr)
+				continue;
+
+			name = elf_strptr(elf, shstrndx, shdr.sh_name);
+			if (!name)
+				continue;
+			if (!strcmp(name, ELF_SECTION_MAPS))
+				legacy = true;
+			else if (!strcmp(name, ".maps"))
+				btf = true;
+		}
+	}
+	elf_end(elf);
+	close(fd);
+
+	/* libbpf refuses these, but not with words that help. */
+	if (legacy && btf) {
+		fprintf(stderr, "Object has legacy maps (section maps) and BTF-defined maps (section .maps), no loader takes both!\n");
+		return false;
+	}
+
+	return legacy;
+}

@unnamed depends on named@
identifier cfg;
@@
 bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)
 {
 ...
+if (legacy && cfg->prog_name) {
+	fprintf(stderr, "Object has legacy maps (section maps), select its program by section, not by name!\n");
+	return false;
+}
+
 return legacy;
 }

@proto@
identifier cfg;
@@
+bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg);
+int iproute2_load_legacy(struct bpf_cfg_in *cfg);
 int iproute2_load_libbpf(struct bpf_cfg_in *cfg);

// Without libelf there is nothing to choose.
@stub@
identifier cfg;
@@
+static inline bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)
+{
+	return false;
+}
+
 static inline int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
 { ... }

@stub_loader depends on stub@
identifier cfg;
@@
+static inline int iproute2_load_legacy(struct bpf_cfg_in *cfg)
+{
+	return -1;
+}
+
 static inline int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
 { ... }

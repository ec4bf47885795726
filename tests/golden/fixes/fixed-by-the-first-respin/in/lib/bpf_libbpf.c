/* Written for this test: the parts of iproute2's loader that the fixes concern. */

static int load_bpf_object(struct bpf_cfg_in *cfg)
{
	return bpf_open(cfg->object, cfg->section, cfg->prog_name);
}

/* libbpf v1.0+ refuses legacy maps, that is, struct bpf_elf_map in a section
 * "maps". Only the loader of iproute2 itself takes such an object, and that
 * one knows neither BTF-defined maps nor programs by name.
 */
bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)
{
	bool legacy = false, btf = false;
	Elf_Scn *scn = NULL;
	size_t shstrndx;
	GElf_Shdr shdr;
	const char *name;
	Elf *elf;
	int fd;

	if (libbpf_major_version() < 1 || elf_version(EV_CURRENT) == EV_NONE)
		return false;

	fd = open(cfg->object, O_RDONLY);
	if (fd < 0)
		return false;

	elf = elf_begin(fd, ELF_C_READ, NULL);
	if (elf && !elf_getshdrstrndx(elf, &shstrndx)) {
		while ((scn = elf_nextscn(elf, scn))) {
			if (gelf_getshdr(scn, &shdr) != &shdr)
				continue;

			name = elf_strptr(elf, shstrndx, shdr.sh_name);
			if (!name)
				continue;
			if (!strcmp(name, ELF_SECTION_MAPS))
				legacy = true;
			else if (!strcmp(name, ".maps"))
				btf = true;
		}
	}
	elf_end(elf);
	close(fd);

	/* libbpf refuses these, but not with words that help. */
	if (legacy && btf) {
		fprintf(stderr,
			"Object has legacy maps (section maps) and BTF-defined maps (section .maps), no loader takes both!\n");
		return false;
	}

	if (legacy && cfg->prog_name) {
		fprintf(stderr,
			"Object has legacy maps (section maps), select its program by section, not by name!\n");
		return false;
	}

	return legacy;
}

/* Load ebpf and return prog fd */
int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
{
	int ret;

	ret = load_bpf_object(cfg);
	if (ret)
		return ret;

	return cfg->prog_fd;
}

/* Written for this test: the parts of iproute2's loader that the fixes concern. */

#ifdef HAVE_ELF
#ifdef HAVE_LIBBPF
int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg);
bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg);
int iproute2_load_legacy(struct bpf_cfg_in *cfg);
int iproute2_load_libbpf(struct bpf_cfg_in *cfg);
#endif /* HAVE_LIBBPF */
#else
#ifdef HAVE_LIBBPF
static inline bool iproute2_is_legacy_object(const struct bpf_cfg_in *cfg)
{
	return false;
}

static inline int iproute2_load_legacy(struct bpf_cfg_in *cfg)
{
	return -1;
}

static inline int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
{
	fprintf(stderr, "No ELF library support compiled in.\n");
	return -1;
}
#endif /* HAVE_LIBBPF */
#endif /* HAVE_ELF */

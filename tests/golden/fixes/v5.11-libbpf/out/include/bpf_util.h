/* Written for this test: the parts of iproute2's loader that the fixes concern. */

#ifdef HAVE_ELF
#ifdef HAVE_LIBBPF
int iproute2_bpf_elf_ctx_init(struct bpf_cfg_in *cfg);
int iproute2_bpf_fetch_ancillary(void);
void iproute2_bpf_elf_ctx_destroy(const struct bpf_cfg_in *cfg, bool failure);
int iproute2_prelink_object(unsigned int cpus, void **image, size_t *size);
bool iproute2_is_own_section(const char *section);
int iproute2_load_section(struct bpf_cfg_in *cfg);
bool iproute2_has_own_maps(void);
int iproute2_find_map_fd_by_id(unsigned int map_id);
int iproute2_load_libbpf(struct bpf_cfg_in *cfg);
#endif /* HAVE_LIBBPF */
#else
#ifdef HAVE_LIBBPF
static inline int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
{
	fprintf(stderr, "No ELF library support compiled in.\n");
	return -1;
}
#endif /* HAVE_LIBBPF */
#endif /* HAVE_ELF */

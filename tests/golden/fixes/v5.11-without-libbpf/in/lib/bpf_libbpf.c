/* Written for this test: the parts of iproute2's loader that the fixes concern. */

static int load_bpf_object(struct bpf_cfg_in *cfg)
{
	return bpf_open(cfg->object, cfg->section);
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

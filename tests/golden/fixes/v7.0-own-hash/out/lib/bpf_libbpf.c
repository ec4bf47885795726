/* Written for this test: the parts of iproute2's loader that the fixes concern. */

static int find_legacy_tail_calls(struct bpf_program *prog, struct bpf_object *obj,
				  struct bpf_map **pmap)
{
	unsigned int map_id, key_id;
	struct bpf_map *map;
	char map_name[128];
	int ret;

	ret = sscanf(section_of(prog), "%i/%i", &map_id, &key_id);
	if (ret != 2)
		return -1;

	if (iproute2_find_map_fd_by_id(map_id) >= 0) {
		if (pmap)
			*pmap = NULL;
		return 0;
	}

	ret = iproute2_find_map_name_by_id(map_id, map_name);
	if (ret < 0)
		return ret;

	map = bpf_object__find_map_by_name(obj, map_name);
	if (!map)
		return -1;

	if (pmap)
		*pmap = map;

	return 0;
}

static int update_legacy_tail_call_maps(struct bpf_object *obj)
{
	int prog_fd, map_fd, ret = 0;
	unsigned int map_id, key_id;
	struct bpf_program *prog;
	struct bpf_map *map;

	bpf_object__for_each_program(prog, obj) {
		if (find_legacy_tail_calls(prog, obj, &map) < 0)
			continue;

		prog_fd = bpf_program__fd(prog);
		ret = sscanf(section_of(prog), "%i/%i", &map_id, &key_id);
		if (ret != 2)
			continue;

		map_fd = map ? bpf_map__fd(map)
			     : iproute2_find_map_fd_by_id(map_id);
		ret = bpf_map_update_elem(map_fd, &key_id, &prog_fd, 0);
		if (ret < 0)
			return ret;
	}

	return 0;
}

static int handle_legacy_maps(struct bpf_object *obj)
{
	struct bpf_map *map;
	int ret = 0;

	bpf_object__for_each_map(map, obj) {
		ret = handle_legacy_map_in_map(obj, map, bpf_map__name(map));
		if (ret)
			return ret;
	}

	return ret;
}

static struct bpf_object *open_bpf_object(const struct bpf_cfg_in *cfg,
					  struct bpf_object_open_opts *opts)
{
	const char *base = strrchr(cfg->object, '/');
	char name[BPF_OBJ_NAME_LEN];
	struct bpf_object *obj;
	void *image;
	size_t size;
	int ret;

#if LIBBPF_MAJOR_VERSION < 1
	return bpf_object__open_file(cfg->object, opts);
#endif
	/* libbpf v1.0+ refuses legacy maps, so it gets an image without. */
	ret = iproute2_prelink_object(libbpf_num_possible_cpus(), &image,
				      &size);
	if (ret < 0) {
		errno = -ret;
		return NULL;
	}

	/* The name that bpf_object__open_file() makes of a path */
	base = base ? base + 1 : cfg->object;
	snprintf(name, sizeof(name), "%.*s", (int)strcspn(base, "."), base);
	opts->object_name = name;

	obj = bpf_object__open_mem(image, size, opts);
	free(image);
	return obj;
}

/* Perf event arrays stay on the host. */
static bool bpf_map_is_offload_neutral(const struct bpf_map *map)
{
	return bpf_map__type(map) == BPF_MAP_TYPE_PERF_EVENT_ARRAY;
}

static int load_bpf_object(struct bpf_cfg_in *cfg)
{
	struct bpf_program *p, *prog = NULL;
	struct bpf_object *obj;
	char root_path[PATH_MAX];
	int prog_fd, ret = 0;

	ret = iproute2_get_root_path(root_path, PATH_MAX);
	if (ret)
		return ret;

	DECLARE_LIBBPF_OPTS(bpf_object_open_opts, open_opts,
			.relaxed_maps = true,
			.pin_root_path = root_path,
	);

#if (LIBBPF_MAJOR_VERSION > 0) || (LIBBPF_MINOR_VERSION >= 7)
	open_opts.kernel_log_level = 1;
	if (cfg->verbose)
		open_opts.kernel_log_level |= 2;
#endif

	obj = open_bpf_object(cfg, &open_opts);
	if (libbpf_get_error(obj)) {
		fprintf(stderr, "ERROR: opening BPF object file failed\n");
		return -ENOENT;
	}

	bpf_object__for_each_program(p, obj) {
		bool prog_to_attach = find_prog_to_attach(p, prog,
							  cfg->section,
							  cfg->prog_name);

		/* Only what is attached or called */
		if (find_legacy_tail_calls(p, obj, NULL) < 0 &&
		    !prog_to_attach) {
			ret = bpf_program__set_autoload(p, false);
			if (ret)
				goto unload_obj;
			continue;
		}

		bpf_program__set_type(p, cfg->type);
		bpf_program__set_ifindex(p, cfg->ifindex);
		if (iproute2_has_own_maps())
			bpf_program__set_expected_attach_type(p, 0);

		if (prog_to_attach)
			prog = p;
	}

	if (!prog) {
		if (cfg->prog_name)
			fprintf(stderr, "object file doesn't contain prog %s\n", cfg->prog_name);
		else
			fprintf(stderr, "object file doesn't contain sec %s\n", cfg->section);
		ret = -ENOENT;
		goto unload_obj;
	}

	ret = iproute2_has_own_maps() ? 0 : handle_legacy_maps(obj);
	if (ret)
		goto unload_obj;

	ret = bpf_object__load(obj);
	if (ret)
		goto unload_obj;

	ret = update_legacy_tail_call_maps(obj);
	if (ret)
		goto unload_obj;

	prog_fd = fcntl(bpf_program__fd(prog), F_DUPFD_CLOEXEC, 1);
	if (prog_fd < 0)
		ret = -errno;
	else
		cfg->prog_fd = prog_fd;

unload_obj:
	bpf_object__close(obj);
	return ret;
}

static bool wants_own_loader(const struct bpf_cfg_in *cfg)
{
#if LIBBPF_MAJOR_VERSION < 1
	return false;
#endif
	return iproute2_is_own_section(cfg->section);
}

/* Load ebpf and return prog fd */
int iproute2_load_libbpf(struct bpf_cfg_in *cfg)
{
	int ret = 0;

	ret = iproute2_bpf_elf_ctx_init(cfg);
	if (ret < 0) {
		fprintf(stderr, "Cannot initialize ELF context!\n");
		return ret;
	}

	ret = iproute2_bpf_fetch_ancillary();
	if (ret < 0) {
		fprintf(stderr, "Error fetching ELF ancillary data!\n");
		goto out;
	}

	if (wants_own_loader(cfg))
		ret = iproute2_load_section(cfg);
	else
		ret = load_bpf_object(cfg);
	if (ret)
		goto out;

	ret = cfg->prog_fd;
out:
	iproute2_bpf_elf_ctx_destroy(cfg, ret < 0);
	return ret;
}

// Back to before v5.11: no libbpf.
@@
identifier cfg;
@@
 bpf_do_load(struct bpf_cfg_in *cfg)
 {
 <...
-return iproute2_load_libbpf(cfg);
 ...>
 }

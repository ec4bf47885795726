// Reports the shape of bpf_do_load(): "respin", shape, function, file, line.

@initialize:python@
@@
def report(shape, p):
    print("respin", shape, p[0].current_element, p[0].file, p[0].line, sep="\t")

// v5.11 on, built with libbpf: nothing behind this return is ever reached.
@guarded@
expression E;
position p;
@@
 if (E) return@p iproute2_load_libbpf(...);

@only@
identifier f = bpf_do_load;
identifier cfg;
position p != guarded.p;
@@
 f(struct bpf_cfg_in *cfg)
 {
 <+...
 if (cfg->mode == EBPF_OBJECT) {
 <+...
 return@p iproute2_load_libbpf(cfg);
 ...+>
 }
 ...+>
 }

@script:python@
p << only.p;
@@
report("libbpf-only", p)

// What fix.cocci makes of it.
@chosen@
identifier f = bpf_do_load;
identifier cfg;
position p;
@@
 f(struct bpf_cfg_in *cfg)
 {
 <+...
 if (cfg->mode == EBPF_OBJECT) {
 <+...
 if@p (iproute2_is_legacy_object(cfg))
 	return iproute2_load_legacy(cfg);
 ...+>
 }
 ...+>
 }

@script:python@
p << chosen.p;
@@
report("chooses-by-section", p)

// Up to v5.10: one loader.
@own@
identifier f = bpf_do_load;
position p;
expression E;
@@
 f(...)
 {
 <+...
 E@p = bpf_obj_open(...);
 ...+>
 }

@script:python@
p << own.p;
@@
report("own-loader", p)

// Every definition that Coccinelle could read: what is missing here was not understood.
@defined@
identifier f = bpf_do_load;
position p;
@@
 f@p(...) { ... }

@script:python@
p << defined.p;
@@
report("defined", p)

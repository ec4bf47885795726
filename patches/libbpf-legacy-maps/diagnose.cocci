// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Reports the shape of bpf_do_load(): "respin", shape, function, file, line, then what it
// calls its argument.

@initialize:python@
@@
def report(shape, p, **names):
    named = [f"{name}={word}" for name, word in names.items()]
    print("respin", shape, p[0].current_element, p[0].file, p[0].line, *named, sep="\t")

// What fix.cocci makes of it: libbpf gets an image of the object that needs no section "maps".
@prelinked@
identifier f = load_bpf_object;
identifier cfg;
@@
 f(struct bpf_cfg_in *cfg)
 {
 <+...
 open_bpf_object(cfg, ...)
 ...+>
 }

// v5.11 on, built with libbpf: nothing behind this return is ever reached.
@guarded@
expression E;
position p;
@@
 if (E) return@p iproute2_load_libbpf(...);

@only depends on !prelinked@
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
cfg << only.cfg;
@@
report("libbpf-only", p, cfg=cfg)

@linked depends on prelinked@
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
p << linked.p;
cfg << linked.cfg;
@@
report("links-maps-first", p, cfg=cfg)

// What the first form of this fix made of it (+bpf1 of an older respin).
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
cfg << chosen.cfg;
@@
report("chooses-by-section", p, cfg=cfg)

// Up to v5.10: one loader.
@own@
identifier f = bpf_do_load;
identifier cfg;
position p;
@@
 f(struct bpf_cfg_in *cfg)
 {
 <+...
 cfg->prog_fd@p = bpf_obj_open(...);
 ...+>
 }

@script:python@
p << own.p;
cfg << own.cfg;
@@
report("own-loader", p, cfg=cfg)

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

// SPDX-FileCopyrightText: the iproute2-respin authors
// SPDX-License-Identifier: GPL-2.0-or-later

// Reports the shape of bpf_obj_hash(): "respin", shape, function, file, line, then what it
// calls its arguments.

@initialize:python@
@@
def report(shape, p, **names):
    named = [f"{name}={word}" for name, word in names.items()]
    print("respin", shape, p[0].current_element, p[0].file, p[0].line, *named, sep="\t")

// v4.5 to v6.19: the kernel computes the hash.
@asks@
identifier f = bpf_obj_hash;
identifier object, out, len, fd, alg;
position p;
@@
 f(const char *object, uint8_t *out, size_t len)
 {
 ...
 struct sockaddr_alg alg = { ... };
 ...
 fd@p = socket(AF_ALG, SOCK_SEQPACKET, 0);
 ... when any
 }

// v4.19 and later ask whether it could only where a map needs it.
@later@
identifier ctx;
symbol true;
@@
 bpf_elf_ctx_init(struct bpf_elf_ctx *ctx, ...)
 {
 <+...
 ctx->noafalg = true;
 ...+>
 }

@script:python depends on !later@
p << asks.p;
object << asks.object;
out << asks.out;
len << asks.len;
fd << asks.fd;
alg << asks.alg;
@@
report("asks-kernel", p, object=object, out=out, len=len, socket=fd, alg=alg)

@script:python depends on later@
p << asks.p;
object << asks.object;
out << asks.out;
len << asks.len;
fd << asks.fd;
alg << asks.alg;
@@
report("asks-kernel-and-notes", p, object=object, out=out, len=len, socket=fd, alg=alg)

// What fix.cocci makes of it.
@computes@
identifier f = bpf_obj_hash;
identifier object, out, len;
position p;
@@
 f@p(const char *object, uint8_t *out, size_t len)
 {
 <+...
 bpf_sha1_file(...)
 ...+>
 }

@script:python@
p << computes.p;
object << computes.object;
out << computes.out;
len << computes.len;
@@
report("computes", p, object=object, out=out, len=len)

// v7.0: upstream's own.
@upstream@
identifier f = bpf_obj_hash;
position p;
@@
 f(...)
 {
 <+...
 sha1@p(...);
 ...+>
 }

@script:python@
p << upstream.p;
@@
report("computes-as-upstream", p)

// Every definition that Coccinelle could read: what is missing here was not understood.
@defined@
identifier f = bpf_obj_hash;
position p;
@@
 f@p(...) { ... }

@script:python@
p << defined.p;
@@
report("defined", p)

# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixed loader compiles without a warning, in the forms and configurations that releases have.

The forms are made from Debian's 6.1.0-3, with what the golden cases have of later ones; the headers
are those of Debian 11, 12 and 13. What compiles with a warning before the fix as well would say
nothing, so that is the control. Two functions of the own loader, which broken and rare objects
reach, are called as they are.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from support import real, rows

from pipeline.errors import DiagnosisRefused
from pipeline.fixes import coccinelle, fixes, patch
from pipeline.host import command

pytestmark = [pytest.mark.needs("spatch"), pytest.mark.needs("gcc")]

FILES = ("lib/bpf_legacy.c", "lib/bpf_libbpf.c")
# As in iproute2's Makefile.
WARNINGS = (
    *("-Wall", "-Wstrict-prototypes", "-Wmissing-prototypes", "-Wmissing-declarations"),
    *("-Wold-style-definition", "-Wformat=2", "-Werror"),
)
DEFINES = ("-O2", "-D_GNU_SOURCE", "-DNEED_STRLCPY", '-DLIBDIR=""', '-DCONFDIR=""')
LIBBPF = {"0.3": ("bullseye", "1:0.3-2"), "1.1": ("bookworm", None), "1.5": ("trixie", None)}
FORMS = {
    "v5.18": ("", "0.3", "1.1", "1.5"),
    "v6.1": ("", "no ELF", "0.3", "1.1", "1.5"),
    # Asks libbpf for the verifier's log, if it is new enough; nothing else is known of v6.9.
    "v6.9": ("", "no ELF", "0.3", "1.1", "1.5"),
    "v6.15": ("", "1.1", "1.5"),
    # Hashes objects itself, so that the fix af-alg is not needed.
    "v7.0": ("", "1.1", "1.5"),
}
GOLDEN = Path(__file__).parents[1] / "golden/fixes"
LOG, HASH = GOLDEN / "v6.4-log-level/in/lib", GOLDEN / "v7.0-own-hash/in/lib"
NAMES = {  # `program NAME` came with v6.0
    "const char *section, const char *prog_name)": "const char *section)",
    "if (prog_name)\n\t\treturn !strcmp(bpf_program__name(prog), prog_name);\n\telse\n\t": "",
    "cfg->section,\n\t\t\t\t\t\t\t  cfg->prog_name)": "cfg->section)",
}
UNHASHED = {
    "\tret = bpf_obj_hash(pathname, tmp, sizeof(tmp));\n\tif (ret)\n\t\tctx->noafalg = true;\n"
    "\telse\n\t\thexstring_n2a(tmp, sizeof(tmp), ctx->obj_uid,\n"
    "\t\t\t      sizeof(ctx->obj_uid));\n\n": "",
    "\tctx->elf_fd = elf_begin(": "\tret = bpf_obj_hash(ctx->obj_fd, pathname, tmp);\n"
    "\tif (ret)\n\t\tgoto out_fd;\n"
    "\thexstring_n2a(tmp, sizeof(tmp), ctx->obj_uid, sizeof(ctx->obj_uid));\n\n"
    "\tctx->elf_fd = elf_begin(",
    "\tbool\t\t\tnoafalg;\n": "",
    '#include "bpf_scm.h"\n': '#include "bpf_scm.h"\n#include <sys/mman.h>\n'
    "#define SHA1_DIGEST_SIZE 20\nvoid sha1(const __u8 *data, size_t len, __u8 *out);\n",
}
Trees = Mapping[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    """Return the source of each form, as released and fixed."""
    top = tmp_path_factory.mktemp("forms")
    command.run(["dpkg-source", "--no-check", "-x", real.dsc(), top / "v6.1"])
    for form in ("v5.18", "v6.9", "v6.15"):
        shutil.copytree(top / "v6.1", top / form, symlinks=True)
    edit(top / "v5.18/lib/bpf_libbpf.c", NAMES)
    before = "\tobj = bpf_object__open_file("
    asked = re.findall(r"(?ms)^#if.*?^#endif\n", (LOG / "bpf_libbpf.c").read_text())
    edit(top / "v6.9/lib/bpf_libbpf.c", {before: f"{asked[0]}\n{before}"})
    shutil.copytree(top / "v6.9", top / "v7.0", symlinks=True)
    edit(top / "v7.0/lib/bpf_legacy.c", own_hash(top / "v7.0/lib/bpf_legacy.c"))
    log = rows.PATCHES / "kernel-log.cocci"
    coccinelle.apply([top / "v6.15"], log, FILES, error=DiagnosisRefused, brief="v6.15")
    made = {form: (top / form, top / f"{form}-fixed") for form in FORMS}
    for released, fixed in made.values():
        shutil.copytree(released, fixed, symlinks=True)
    for fix in fixes.choose(["libbpf-legacy-maps", "af-alg"]):
        needed = [f for form, (_, f) in made.items() if (form, fix.name) != ("v7.0", "af-alg")]
        patch.apply_fix_to_all(needed, fix)
    return made


def edit(path: Path, changes: Mapping[str, str]) -> None:
    """Replace texts in a file that each stand there once."""
    text = path.read_text()
    for old, new in changes.items():
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    path.write_text(text)


def own_hash(path: Path) -> Mapping[str, str]:
    """Return the changes to a loader that make it hash objects as v7.0 does."""
    function = r"(?ms)^static int bpf_obj_hash\(.*?^}\n"
    asks = r"(?m)^\t+if \(ctx->maps\[i\]\.pinning == .*\n\t+ *ctx->noafalg\) \{\n(.*\n){2}"
    old = re.search(function, path.read_text())
    new = re.search(function, (HASH / "bpf_legacy.c").read_text())
    assert old and new
    unasked = {found[0] + "\t\t}\n": "" for found in re.finditer(asks, path.read_text())}
    assert len(unasked) == 2
    return {old[0]: new[0], **UNHASHED, **unasked}


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Path]:
    """Return the directory with the headers of each libbpf."""
    top = tmp_path_factory.mktemp("headers")
    for version, (release, package) in LIBBPF.items():
        deb = real.archive(release).fetch_binary("libbpf-dev", package, top / f"debs-{version}")
        command.run(["dpkg-deb", "--extract", deb.path, top / version])
    return {version: top / version / "usr/include" for version in LIBBPF}


def compiled(tree: Path, libbpf: str, headers: Mapping[str, Path]) -> str:
    """Compile the loader; return what gcc says, or nothing if it says nothing."""
    words = [*DEFINES, *WARNINGS, "-I", "../include", "-I", "../include/uapi"]
    files = [Path(name).name for name in FILES]
    if libbpf != "no ELF":
        words.append("-DHAVE_ELF")
    if libbpf in headers:
        words += ["-DHAVE_LIBBPF", "-DHAVE_LIBBPF_SECTION_NAME", "-isystem", str(headers[libbpf])]
        # The headers of the libbpf that this machine may have stand behind these.
        assert (headers[libbpf] / "bpf/libbpf.h").exists()
    else:
        files = files[:1]
    done = command.run(["gcc", *words, "-c", *files], cwd=tree / "lib", check=False)
    return done.stderr.decode() or ("" if done.status == 0 else f"status {done.status}")


CONFIGURATIONS = [(form, libbpf) for form, all_of in FORMS.items() for libbpf in all_of]


@pytest.mark.parametrize(("form", "libbpf"), CONFIGURATIONS, ids=lambda one: one or "no libbpf")
def test_the_fixed_loader_compiles(
    trees: Trees, headers: Mapping[str, Path], form: str, libbpf: str
) -> None:
    released, fixed = trees[form]
    assert compiled(released, libbpf, headers) == ""
    assert compiled(fixed, libbpf, headers) == ""


@pytest.mark.parametrize("libbpf", LIBBPF)
def test_a_name_that_a_libbpf_lacks_is_noticed(
    trees: Trees, headers: Mapping[str, Path], libbpf: str, tmp_path: Path
) -> None:
    """libbpf_major_version() came with 0.6, and bpf_load_program() went with 1.0."""
    tree = tmp_path / "tree"
    shutil.copytree(trees["v6.1"][1], tree, symlinks=True)
    name = "libbpf_major_version" if libbpf == "0.3" else "bpf_load_program"
    path = tree / "lib/bpf_libbpf.c"
    path.write_text(
        path.read_text() + f"\nvoid *other(void);\nvoid *other(void)\n{{\n\treturn {name};\n}}\n"
    )
    assert name in compiled(tree, libbpf, headers)


CALLS = r"""
#include "bpf_legacy.c"

/* The second function of .text calls the first one and itself, both global. */
int main(void)
{
	struct bpf_insn call = { .code = BPF_JMP | BPF_CALL, .src_reg = BPF_PSEUDO_CALL, .imm = -1 };
	struct bpf_insn leave = { .code = BPF_JMP | BPF_EXIT };
	struct bpf_insn own[] = { call, leave }, text[] = { leave, call, call, leave };
	struct bpf_elf_prog *prog_text = &__ctx.prog_text, prog = { .insns_num = 2 };
	struct bpf_relo_props text_props = {}, props = {};
	GElf_Sym first = { .st_value = 0 }, second = { .st_value = sizeof(leave) };
	struct bpf_insn *insns, *text_insns;
	GElf_Rel relo[] = { { 0 }, { sizeof(leave) }, { 2 * sizeof(leave) } };

	prog_text->insns_num = 4;
	prog_text->size = sizeof(text);
	prog_text->insns = memcpy(malloc(sizeof(text)), text, sizeof(text));
	prog.size = sizeof(own);
	prog.insns = memcpy(malloc(sizeof(own)), own, sizeof(own));
	bpf_apply_relo_call(&__ctx, prog_text, &relo[1], &first, &text_props);
	bpf_apply_relo_call(&__ctx, prog_text, &relo[2], &second, &text_props);
	bpf_apply_relo_call(&__ctx, &prog, &relo[0], &second, &props);
	text_insns = prog_text->insns;
	printf("text %zu: %d %d\n", prog_text->insns_num, text_insns[1].imm, text_insns[2].imm);
	insns = prog.insns;
	printf("program %zu: %d %d %d\n", prog.insns_num, insns[0].imm, insns[3].imm, insns[4].imm);
	return 0;
}
"""
TEARDOWN = r"""
#include "bpf_legacy.c"

int main(void)
{
	__ctx.map_fds[0] = dup(1);
	__ctx.btf_fd = dup(1);
	__ctx.btf.types = malloc(1);
	__ctx.btf.types_num = 1;
	bpf_maps_teardown(&__ctx);
	printf("%d maps, BTF %d, ", bpf_maps_count(&__ctx), __ctx.btf_fd);
	printf("%d types at %d\n", __ctx.btf.types_num, __ctx.btf.types != NULL);
	return 0;
}
"""


def played(tree: Path, program: str, directory: Path) -> str:
    """Run a program that calls functions of the own loader; return what it prints."""
    source = directory / "program.c"
    source.write_text(program)
    words = [*DEFINES, "-DHAVE_ELF", "-w", "-I", "../include", "-I", "../include/uapi", "-I", "."]
    # The rest of iproute2, and libelf, are called by nothing that runs here.
    words += ["-no-pie", "-Wl,--unresolved-symbols=ignore-all"]
    command.run(["gcc", *words, source, "-o", directory / "program"], cwd=tree / "lib")
    return command.run([directory / "program"]).stdout.decode()


@pytest.mark.parametrize("form", FORMS)
def test_calls_reach_their_functions_and_text_is_not_appended_to_itself(
    trees: Trees, form: str, tmp_path: Path
) -> None:
    """The released loader copies .text from memory that it freed, and calls its first function."""
    released, fixed = trees[form]
    assert played(fixed, CALLS, tmp_path) == "text 4: -2 -2\nprogram 6: 2 -2 -2\n"
    assert played(released, CALLS, tmp_path).startswith("text 8:")


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_closed_or_freed_twice(trees: Trees, form: str, tmp_path: Path) -> None:
    """The next line of a batch may export a pinned program: it tears down the same context."""
    released, fixed = trees[form]
    assert played(fixed, TEARDOWN, tmp_path) == "0 maps, BTF 0, 0 types at 0\n"
    assert played(released, TEARDOWN, tmp_path).endswith("1 types at 1\n")

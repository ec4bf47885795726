# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The fixed loader compiles without a warning, in the forms and configurations that releases have.

The forms are made from Debian's 6.1.0-3; the headers are those of Debian 11, 12 and 13. What
compiles with a warning before the fix as well would say nothing, so that is the control.
"""

from __future__ import annotations

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
    # Asks libbpf 0.8 or later for the verifier's log.
    "v6.15": ("", "1.1", "1.5"),
}
NAMES = {  # `program NAME` came with v6.0
    "const char *section, const char *prog_name)": "const char *section)",
    "if (prog_name)\n\t\treturn !strcmp(bpf_program__name(prog), prog_name);\n\telse\n\t": "",
    "cfg->section,\n\t\t\t\t\t\t\t  cfg->prog_name)": "cfg->section)",
}
Trees = Mapping[str, tuple[Path, Path]]


@pytest.fixture(scope="module")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Trees:
    """Return the source of each form, as released and fixed."""
    top = tmp_path_factory.mktemp("forms")
    command.run(["dpkg-source", "--no-check", "-x", real.dsc(), top / "v6.1"])
    for form in ("v5.18", "v6.15"):
        shutil.copytree(top / "v6.1", top / form, symlinks=True)
    libbpf = top / "v5.18/lib/bpf_libbpf.c"
    text = libbpf.read_text()
    for old, new in NAMES.items():
        assert text.count(old) == 1
        text = text.replace(old, new)
    libbpf.write_text(text)
    log = rows.PATCHES / "kernel-log.cocci"
    coccinelle.apply([top / "v6.15"], log, FILES, error=DiagnosisRefused, brief="v6.15")
    made = {form: (top / form, top / f"{form}-fixed") for form in FORMS}
    for released, fixed in made.values():
        shutil.copytree(released, fixed, symlinks=True)
    for fix in fixes.choose(["libbpf-legacy-maps", "af-alg"]):
        patch.apply_fix_to_all([fixed for _, fixed in made.values()], fix)
    return made


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

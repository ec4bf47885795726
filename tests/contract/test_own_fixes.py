# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A fix of the user's own is checked when it is read; the one of docs/fixes.md passes.

tests/e2e/test_own_fix.py goes the whole way of that page.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from support import fixpage, real

from pipeline.cli.request import fixes_of
from pipeline.config import config
from pipeline.errors import FetchError, UsageError
from pipeline.fixes import diagnose, fixes, own_fix, patch, self_check
from pipeline.host.cache import Cache
from pipeline.model import Verdict
from pipeline.nightly import plan
from pipeline.runs import lockfile
from pipeline.smoke import own_cases
from pipeline.smoke.cases import select
from pipeline.vm.machine import machine_for


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(real.checked(tmp_path / "cache"))


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    return fixpage.write(tmp_path)


@pytest.mark.needs("spatch")
@pytest.mark.needs("clang")
def test_the_one_of_the_page(mine: Path, cache: Cache, tmp_path: Path) -> None:
    fix = own_fix.read(mine, cache)
    assert fix.own and fix.directory != mine and fix.directory.is_relative_to(cache.root)
    self_check.check(cache, [fix])
    own_cases.check([fix], machine_for("amd64"), cache, tmp_path / "log")
    (case,) = own_cases.of([fix])
    assert case.id == "function-as-section-tc"
    assert case in select(None, own=[case]) and select(["function-as-section"], own=[case])
    tree = tmp_path / "tree"
    shutil.copytree(mine / "sample", tree)
    assert patch.apply_fix(tree, fix) == ("lib/bpf_libbpf.c",)
    (found,) = diagnose.diagnose(tree, [fix], libraries={"libbpf-dev": "1.1.0-1"})
    assert found.verdict is Verdict.FIXED


def edit(name: str, old: str, new: str) -> Callable[[Path], None]:
    """Return what replaces a text in a file of the fix."""

    def change(directory: Path) -> None:
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, new))

    return change


UNSOUND = {
    "no diagnose.cocci": (lambda d: (d / "diagnose.cocci").unlink(), "no diagnose.cocci"),
    "no sample": (lambda d: shutil.rmtree(d / "sample"), "sample/ has none of the files"),
    "no object": (lambda d: (d / "objects/drop.c").unlink(), r"there is no objects/drop\.c"),
    "no TOML": (edit("fix.toml", "title = ", "title "), "not TOML"),
    "an unknown key": (edit("fix.toml", "directives", "directive"), "no key 'directive'"),
    "a key that is missing": (edit("fix.toml", "directives = []", ""), "directives"),
    "a file elsewhere": (
        edit("fix.toml", '["lib/bpf_libbpf.c"]\nev', '["../../etc/passwd.c"]\nev'),
        "the path of a file in lib/",
    ),
    "a broken expression": (edit("fix.toml", "'[+<>?]'", "'[+<>?'"), "not a regular expression"),
    "evidence of everything": (
        edit("fix.toml", r"'!strcmp\(get_bpf_program__section_name\('", "'x*'"),
        "in every code",
    ),
    "a shape that is not explained": (
        edit("diagnose.cocci", 'report("by-either"', 'report("by-both"'),
        "the shape by-both",
    ),
    "a shape that is not reported": (
        edit("fix.toml", "[releases]", '[shapes.x]\nverdict = "fixed"\nreason = "x"\n[releases]'),
        "the shape x",
    ),
    "no shape that is fixed": (edit("fix.toml", '"fixed"', '"absent"'), "the verdict fixed"),
    "shapes like each other": (
        edit("fix.toml", 'verdict = "fixed"', 'like = "by-either"\nverdict = "fixed"'),
        "like each other",
    ),
    "a turn of no case": (
        edit("fix.toml", 'turns = ["function-as-section"]', 'turns = ["none"]'),
        "no smoke case none",
    ),
    "a case of the project": (
        edit("fix.toml", 'name = "function-as-section"', 'name = "pinned-hash"'),
        "already a smoke case pinned-hash",
    ),
    "no attach type": (edit("fix.toml", 'ways = ["tc"]', 'ways = ["tcp"]'), "no attach type tcp"),
    "behind nothing": (edit("fix.toml", "symptoms", 'behind = ["none"]\nsymptoms'), "no fix none"),
    "a link": (lambda d: (d / "objects/more.c").symlink_to("drop.c"), "symbolic link"),
    "a FIFO": (lambda d: os.mkfifo(d / "objects/more.c"), "not a regular file"),
    "a file without an end": (
        lambda d: os.truncate(d / "objects/drop.c", 1 << 40),
        "more than 1048576 bytes",
    ),
    "too many files": (
        lambda d: [(d / f"objects/{n}.c").touch() for n in range(300)],
        "more than 200 files",
    ),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_what_is_not_sound(mine: Path, cache: Cache, name: str) -> None:
    spoil, says = UNSOUND[name]
    spoil(mine)  # type: ignore[no-untyped-call]
    with pytest.raises(UsageError, match=says) as refused:
        fixes_of([f"{mine}"], config.Config(), cache)
    assert "section-or-name" in refused.value.brief


def test_one_that_is_not_there_is_named_once(cache: Cache, tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        fixes_of([f"{tmp_path}/none"], config.Config(), cache)
    assert refused.value.brief == (
        f"the fix {tmp_path}/none cannot be read: No such file or directory"
    )


def test_a_file_of_one_that_cannot_be_read_is_named(mine: Path, cache: Cache) -> None:
    os.truncate(mine / "objects/drop.c", 1 << 40)
    with pytest.raises(UsageError, match=r"section-or-name cannot be read: .*objects/drop\.c: "):
        own_fix.read(mine, cache)


@pytest.mark.parametrize("name", ["With-Capitals", "x y", "-x", "a" * 60])
def test_a_name_that_is_refused(mine: Path, cache: Cache, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be called"):
        own_fix.read(mine.rename(mine.with_name(name)), cache)


@pytest.mark.needs("spatch")
@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("fix.cocci", " || !strcmp(bpf_program__name(prog), section)", ""),
        ("sample/lib/bpf_libbpf.c", "if (exist_prog)", "if (exist_prog && strange())"),
        ("diagnose.cocci", "@by_section@", "@by section@"),
    ],
)
def test_a_semantic_patch_that_does_not_do_it(
    mine: Path, cache: Cache, file: str, old: str, new: str
) -> None:
    """The self-check of Coccinelle finds it, before anything is fetched."""
    edit(file, old, new)(mine)
    with pytest.raises(UsageError, match="does not do in its own sample what it says") as refused:
        self_check.check(cache, [own_fix.read(mine, cache)])
    assert refused.value.details


@pytest.mark.needs("clang")
def test_an_object_that_does_not_compile(mine: Path, cache: Cache, tmp_path: Path) -> None:
    edit("objects/drop.c", "return is_ours", "return it_is")(mine)
    with pytest.raises(UsageError, match="object of the smoke case function-as-section") as refused:
        own_cases.check([own_fix.read(mine, cache)], machine_for("amd64"), cache, tmp_path / "log")
    assert "it_is" in refused.value.details


@pytest.mark.needs("clang")
@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('asm(".pushsection stolen; .incbin \\"{secret}\\"; .popsection");', "Could not find"),
        ('#include "{secret}"', "file not found"),
        ('asm(".pushsection large; .space 1 << 30; .popsection");', "clang|File size|object"),
        ("char large[1 << 21] = {{1}};", "clang|File size|object"),
    ],
    ids=["a file of the user's", "a header of the user's", "a gigabyte", "two megabytes"],
)
def test_an_object_is_compiled_in_the_sandbox(
    mine: Path, cache: Cache, tmp_path: Path, text: str, says: str
) -> None:
    """The fix may have come with the lock of somebody else's run."""
    secret = tmp_path / "netrc"
    secret.write_text("/* my secret */\n")
    secret.chmod(0o644)
    path = mine / "objects/drop.c"
    path.write_text(path.read_text() + text.format(secret=secret) + "\n")
    with pytest.raises(UsageError, match="object of the smoke case") as refused:
        own_cases.check([own_fix.read(mine, cache)], machine_for("amd64"), cache, tmp_path / "log")
    assert re.search(says, refused.value.details), refused.value.details
    kept = [each for each in cache.directory("objects").rglob("*") if each.is_file()]
    assert all(each.stat().st_size < 1 << 20 for each in kept)
    assert not any(b"my secret" in each.read_bytes() for each in kept)


def test_which_are_looked_for(mine: Path, cache: Cache, tmp_path: Path) -> None:
    project = [fix.name for fix in fixes.all_fixes()]
    plain, own = config.Config(), config.Config(own=config.Own(fixes=(mine,)))

    def names(named: list[str], configuration: config.Config) -> list[str]:
        return [fix.name for fix in fixes_of(named, configuration, cache)]

    assert names([], plain) == project
    assert names([], own) == [*project, "section-or-name"]
    assert names([f"{mine}"], plain) == ["section-or-name"]
    assert names(["stt-object", f"{mine}/"], plain) == ["stt-object", "section-or-name"]
    assert names(["section-or-name"], own) == ["section-or-name"]
    with pytest.raises(UsageError, match="no fix named section-or-name"):
        names(["section-or-name"], plain)
    with pytest.raises(UsageError, match="two fixes are called section-or-name"):
        names([f"{mine}"], own)
    copied = shutil.copytree(mine, tmp_path / "more/stt-object")
    with pytest.raises(UsageError, match="two fixes are called stt-object"):
        names([f"{copied}"], plain)


def test_a_configured_one_that_others_can_write(mine: Path, cache: Cache) -> None:
    (mine / "fix.cocci").chmod(0o666)
    with pytest.raises(UsageError, match="can be written by other users"):
        own_fix.known(cache, [mine])
    assert own_fix.known(cache, [], [mine])  # the user names it, for this run


@pytest.mark.parametrize("text", ['fixes = ["./section-or-name"]\n', 'fixes = "section-or-name"\n'])
def test_the_current_directory_brings_in_none(
    mine: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    (tmp_path / "respin.toml").write_text(text)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "none"))
    monkeypatch.delenv("RESPIN_CONFIG", raising=False)
    with pytest.raises(UsageError, match="must not set fixes"):
        config.load()
    assert config.load(tmp_path / "respin.toml").own.fixes == (mine,)


def test_a_change_meanwhile_changes_nothing(mine: Path, cache: Cache) -> None:
    """What was read is what is used; a night sees the change the next time that it is read."""
    fix = own_fix.read(mine, cache)
    before = plan.inputs_of([fix])
    edit("fix.cocci", "section);\n", "section) && evil();\n")(mine)
    assert plan.inputs_of([fix]) == before
    assert plan.inputs_of([own_fix.read(mine, cache)]) != before


def test_it_is_beside_the_lock(mine: Path, cache: Cache, tmp_path: Path) -> None:
    fix = own_fix.read(mine, cache)
    locked = lockfile.LockedFix(name=fix.name, sha256=lockfile.content_of(fix))
    lock = lockfile.Lock(
        distro="debian",
        codename="bookworm",
        name="iproute2",
        version="1-1",
        kind="archive",
        origin="",
        files=(),
        fixes=(fix.name,),
        own_fixes=(locked,),
        number=1,
        time="20261122T105600Z",
    )
    run = tmp_path / "run"
    run.mkdir()
    lock = replace(lock, path=lockfile.write(lock, run, fixes=[fix]))
    found = lockfile.known_fixes(lock, cache)
    assert [each.name for each in found if each.own] == ["section-or-name"]
    lockfile.check_fixes(lock, found)
    edit("fix.cocci", "section);\n", "section) && evil();\n")(run / "user-fixes/section-or-name")
    with pytest.raises(FetchError, match="has other content"):
        lockfile.known_fixes(lock, cache)
    with pytest.raises(FetchError, match="has other content"):
        lockfile.check_fixes(replace(lock, own_fixes=()), [fix])
    shutil.rmtree(run / "user-fixes")
    with pytest.raises(UsageError, match="section-or-name cannot be read"):
        lockfile.known_fixes(lock, cache)

# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""Every place where a value becomes part of some language: templates, options, patterns.

The attacker chooses a value: a path, a suite, a name in a package or an object, a branch. The aim
is to add more than a value: another field (``Trusted: yes``), another command, another QEMU
option, a link on a page. PLACES is the list: place -> the hostile value -> the expected output,
which is quoted by the rules of the language or refused with a sentence. A template or a use of
patterns, formats or SQL that is not in these lists fails a test.
"""

from __future__ import annotations

import ast
import dataclasses
import fnmatch
import html.parser
import json
import os
import re
import shlex
import subprocess
import tempfile
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast
from xml.etree import ElementTree as ET

import pytest
from ruamel.yaml import YAML
from support import engines, hostile, inprocess
from support.archive import Archive, Signer
from support.cli import CHECKOUT
from support.filled import filled
from support.packages import make_source

from pipeline.archives import credentials
from pipeline.build import build
from pipeline.cli.schedule import Schedule
from pipeline.config.nightly import Publishing
from pipeline.containers import images, oci_engine, roots
from pipeline.errors import BuildError, PatchError, PublishError, RespinError, UsageError
from pipeline.fixes import patch
from pipeline.fixes.fixes import all_fixes
from pipeline.host.cache import Cache
from pipeline.host.resources import LANGUAGES, language, project_data, render
from pipeline.model import AptSource, CaseResult, Cell, Seen, SmokeReport
from pipeline.nightly import notify, status
from pipeline.nightly.state import Need, Notification, RunRow
from pipeline.publish import apt_repository, dput
from pipeline.releases import releases
from pipeline.smoke import guest_image, player_script, user_object
from pipeline.smoke import render as smokepage
from pipeline.smoke.bpf_object import Description
from pipeline.smoke.cases import attach_types
from pipeline.smoke.user_object import UserObject
from pipeline.text import quoting
from pipeline.text.address import Address
from pipeline.vm import devices, qemu
from pipeline.vm.machine import machine_for

TEMPLATES = project_data("templates")
PACKAGE = CHECKOUT / "pipeline"
BOOKWORM = releases.find("bookworm")
REFUSED = "refused"
LINE = "x\nTrusted: yes"
SHELL = "x'; touch pwned; $(touch pwned) `touch pwned` %n #"
FIX = all_fixes()[0]

PLACES: dict[str, Callable[[], object]] = {}


def place(name: str) -> Callable[[Callable[[], object]], Callable[[], object]]:
    """Put a trial into the list: it returns what came out, and what had to, or REFUSED."""

    def add(trial: Callable[[], object]) -> Callable[[], object]:
        PLACES[name] = trial
        return trial

    return add


def refused(
    do: Callable[..., object],
    *args: Any,
    error: type[RespinError] = UsageError,
    said: str = "",
    **options: Any,
) -> str:
    """Hold that it is refused, with a sentence that says this."""
    with pytest.raises(error) as caught:
        do(*args, **options)
    assert caught.value.brief and said in caught.value.brief
    return REFUSED


# -- templates --------------------------------------------------------------------------


@place("templates/apt.conf.j2")
def _apt_conf() -> object:
    """A cache directory; apt itself says what it reads."""
    found = {}
    for root in ('/a b"c;d{e}#f', "//x//y", "/é'%41%", '/z"; Dir::Bin::dpkg "/tmp/evil'):
        values = {
            "root": Path(root),
            "gpgv": Path(root),
            "architectures": ["amd64"],
            "user": "root",
        }
        text = render("apt.conf.j2", machine=(), **values)
        found[root] = _apt_says(text, "Dir"), _apt_says(text, "Apt::Key::gpgvcommand")
    return found, {root: (str(Path(root)), str(Path(root))) for root in found}


def _apt_says(text: str, name: str) -> str:
    with tempfile.NamedTemporaryFile() as conf:
        conf.write(text.encode("utf-8", "surrogateescape"))
        conf.flush()
        done = subprocess.run(
            ["apt-config", "dump", "--format", "%v%n", name],
            env={**os.environ, "APT_CONFIG": conf.name},
            capture_output=True,
            text=True,
            check=True,
        )
    return done.stdout.splitlines()[0]


@place("templates/dep3.patch.j2")
def _dep3() -> object:
    field = [("Description", f"a fix\n{LINE}")]
    good = render("dep3.patch.j2", fields=[("Description", "a\n b\n .")], diff="")
    assert good.startswith("Description: a\n b\n .\n---\n")
    return refused(render, "dep3.patch.j2", fields=field, diff=""), REFUSED


@place("templates/commit.patch.j2")
def _commit() -> object:
    values: dict[str, Any] = {"author": "a <a@b>", "body": "b", "diff": "--- a/f\n"}
    good = render("commit.patch.j2", subject="s", **values)
    assert good.splitlines()[1:3] == ["From: a <a@b>", "Subject: [PATCH iproute2] s"]
    return refused(render, "commit.patch.j2", subject=f"a fix\n{LINE}", **values), REFUSED


@place("templates/unpacked/wrapper.sh.j2")
def _wrapper() -> object:
    """A package with a program, a loader or a directory of this name."""
    evil = "x; reboot $(id) '\n`id`"
    text = render("unpacked/wrapper.sh.j2", loader=evil, program=evil, plugins=evil)
    words = shlex.split(text, comments=True)
    names = ("loader", "program", "plugins")
    return [w for w in words if w.startswith(names)], [f"{name}={evil}" for name in names]


@place("templates/repository/client.sources.j2")
def _client_sources() -> object:
    values: dict[str, Any] = {"origin": "o", "suite": "s", "packages": ("p",)}
    return refused(render, "repository/client.sources.j2", url=LINE, **values), REFUSED


@place("templates/repository/client.pref.j2")
def _client_pref() -> object:
    """A build that makes a package called "*": with its pin our repository would serve all."""
    for name in ("*", "/^lib/", LINE):
        repository = filled(
            apt_repository.Repository,
            packages=("iproute2", name),
            settings=filled(Publishing),
        )
        refused(apt_repository._client_files, repository, Path("x"), error=PublishError)
    values: dict[str, Any] = {"origin": "o", "packages": (LINE,)}
    return refused(render, "repository/client.pref.j2", **values), REFUSED


@place("templates/repository/keyring.control.j2")
def _keyring_control() -> object:
    values: dict[str, Any] = {"package": "p", "version": "1", "to": LINE}
    return refused(render, "repository/keyring.control.j2", **values), REFUSED


UNIT = {
    **{name: "x" for name in ("program", "user", "state_name", "cache_name")},
    **{"config": None, "state": "/s", "cache": "/c"},
}


@place("templates/schedule/systemd.service.j2")
def _systemd() -> object:
    for evil in ("/x %h", "/x\nUser=root", '/x"', "/x$y", "/x;y", "/é"):
        refused(Schedule, program=Path(evil))
        for name in set(UNIT) - {"config"}:
            values: dict[str, Any] = {**UNIT, name: evil}
            refused(render, "schedule/systemd.service.j2", **values)
    return refused(Schedule, program=Path("/x"), user="root\nUser=x"), REFUSED


@place("templates/schedule/systemd.timer.j2")
def _timer() -> object:
    values: dict[str, Any] = {"every": "night", "calendar": "hourly"}
    evil = "1h\nOnCalendar=minutely"
    return refused(render, "schedule/systemd.timer.j2", delay=evil, **values), REFUSED


@place("templates/schedule/crontab.j2")
def _cron() -> object:
    for evil in ("/a%b", "/a b", "/a\n* * * * * root id", "/a;id"):
        refused(Schedule, program=Path("/x"), config=Path(evil))
    refused(quoting.cron, "a\nb")
    return quoting.cron("date +%s"), r"date +\%s"


EVIL_REPOSITORIES = ("-oProxyCommand=x@h:p", "ssh://-oProxyCommand=x/y", "https://x/$(id)", "é@h:p")
EVIL_REFS = ("--upload-pack=x", "a..b", "a b", "$(id)", "${{ github.token }}")


@place("templates/engines/kubernetes/kubernetes.yaml.j2")
def _kubernetes() -> object:
    """An image; and a word of a plan, which is a line of a file that xargs reads."""
    evil = 'x"\n              securityContext: {privileged: true}'
    refused(engines.written, "kubernetes", image=evil)
    refused(engines.written, "kubernetes", sign_with="-x")
    run = {"name": evil, "command": ["respin", evil]}

    def made(plan: object) -> list[Any]:
        text = render(
            "engines/kubernetes/kubernetes.yaml.j2",
            **{"image": evil, "plan": plan, "parallel": "1"},
            **{"sign_with": "", "hourly": False, "minute": 1},
        )
        return list(YAML(typ="safe").load_all(text))

    job, *_ = made("")
    words, runs, *_ = made({"runs": [run], "digest": evil})
    (container,) = job["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
    pod = runs["spec"]["template"]["spec"]
    found = (container["image"], pod["containers"][0]["image"], words["data"]["0"])
    command = f"respin\n{evil}\n--out\n/var/lib/respin-runs/{evil}"
    assert pod["containers"][0]["securityContext"].keys() == {"capabilities", "seccompProfile"}
    return found, (evil, evil, command)


def _ci(kind: str, template: str) -> Any:
    """Return a workflow of which every value is the attacker's."""
    for evil in EVIL_REPOSITORIES:
        refused(engines.written, kind, repository=evil)
    for evil in EVIL_REFS:
        refused(engines.written, kind, ref=evil)
    for evil in ("-x", "$(id)", "a b", "x;id", "x\ny"):
        refused(engines.written, kind, rsync_to=evil)
        refused(engines.written, kind, s3_bucket=evil)
    text = render(
        f"engines/{template}",
        **{"repository": SHELL, "ref": "--upload-pack=x", "rsync_to": SHELL, "s3_bucket": SHELL},
        **{"image": SHELL, "native_arm64": True, "minute": 1, "hour": 1},
    )
    return YAML(typ="safe").load(text)


@place("templates/engines/github/workflow.yml.j2")
def _github() -> object:
    values = _ci("github", "github/workflow.yml.j2")
    steps = [step for job in values["jobs"].values() for step in job["steps"]]
    shells = [step["run"] for step in steps if "run" in step]
    assert shells and not any("touch" in each or "${{" in each for each in shells)
    env = values["env"]
    found = env["REPOSITORY"], env["REF"], env["RSYNC_TO"], env["S3_BUCKET"]
    return found, (SHELL, "--upload-pack=x", SHELL, SHELL)


@place("templates/engines/gitlab/gitlab-ci.yml.j2")
def _gitlab() -> object:
    values = _ci("gitlab", "gitlab/gitlab-ci.yml.j2")
    assert not any("touch" in line for line in values["plan"]["script"])
    env = values["variables"]
    return (env["REPOSITORY"], env["REF"], values["plan"]["image"]), (
        *(SHELL, "--upload-pack=x"),
        SHELL,
    )


@place("templates/engines/gitlab/night.yml.j2")
def _gitlab_night() -> object:
    values = _ci("gitlab", "gitlab/night.yml.j2")
    scripts = [line for job in (".run", "collect", "pages") for line in values[job]["script"]]
    assert not any("touch" in line for line in scripts)
    env = values["variables"]
    found = env["REPOSITORY"], env["RSYNC_TO"], env["S3_BUCKET"], values["default"]["image"]
    return found, (SHELL, SHELL, SHELL, SHELL)


@place("templates/engines/ci/night.sh.j2")
def _night_sh() -> object:
    """It has no holes: everything comes to it as a variable (tests/contract/test_ci_night.py)."""
    return "{{" in (TEMPLATES / "engines/ci/night.sh.j2").read_text(), False


@place("templates/engines/buildbot/master.cfg.j2")
def _master() -> object:
    """Paths, and the endpoint at which the master listens."""
    for evil in ("relative", "/x\ny", "/x\x1b"):
        refused(engines.written, "buildbot", config=evil)
        refused(engines.written, "buildbot", program=evil)
    for evil in ("1:00; id", "24:00", "01:00\n"):
        refused(engines.written, "buildbot", at=evil)
    evil = "/x'; import os; os.system('touch pwned') #\n\""
    text = render(
        "engines/buildbot/master.cfg.j2",
        **{"program": evil, "config": evil, "listen": evil, "at": "01:00", "architectures": [evil]},
    )
    strings = [n.value for n in ast.walk(ast.parse(text)) if isinstance(n, ast.Constant)]
    assert "os.system" not in ast.unparse(ast.parse(text.replace(ascii(evil), "None")))
    return strings.count(evil), 5


@place("templates/engines/buildbot/workers.toml.j2")
def _workers() -> object:
    for evil in ("x", "X=amd64", "master=amd64", "x=y\n[z]", "../x=amd64", "x=am d64"):
        refused(engines.written, "buildbot", worker=(evil,))
    evil = 'x"]\n[y\x7f'
    text = render("engines/buildbot/workers.toml.j2", worker=[f"{evil}={evil}"])
    return tomllib.loads(text), {evil: {"architecture": evil}}


@place("templates/guest/init.sh.j2")
def _init() -> object:
    """A kernel package with a module of this name."""
    module = "x; reboot $(id) '.ko"
    phases = [{"name": "before", "directory": "/f", "installs": True}]
    text = render("guest/init.sh.j2", modules=[module], phases=phases, deadline=1)
    (line,) = [each for each in text.splitlines() if each.startswith("$agent insmod")]
    return shlex.split(line), ["$agent", "insmod", f"/respin/modules/{module}"]


@place("templates/objects/*.j2")
def _objects() -> object:
    """What fills them is ours alone (cases.toml, ways.toml)."""
    values = {"kind": "tc", "size": 36, "verdict": "pass", "maps": 1, "pin": "global"}
    return refused(
        lambda: render("objects/no-map.c.j2", section='x") int f;', type="HASH", **values)
    ), REFUSED


class Page(html.parser.HTMLParser):
    """The elements of a page, and where they lead."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.links: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.tags.append(tag)
        self.links += [value or "" for name, value in attrs if name in ("href", "src")]
        assert not any(name.startswith("on") for name, _ in attrs)


def _same_page(make: Callable[[str], str]) -> tuple[object, object]:
    """Return the elements of a page of the attacker's and those of the same page without harm."""
    evil = make(hostile.TEXT + "\"'><script>x</script><img src=x onerror=y>")
    assert not re.search(
        r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", evil
    )
    assert not any(":" in link for link in Page(evil).links)  # they stay on this site
    return Page(evil).tags, Page(make("x")).tags


def _smoke_report(text: str) -> SmokeReport:
    cell = hostile.record(Cell, text, seen=Seen.NOT_POSSIBLE, maps={text: 1})
    lost = hostile.record(Cell, text, seen=Seen.LOST)
    row = hostile.record(CaseResult, text, way="tc", before=cell, after=lost)
    report: SmokeReport = hostile.record(SmokeReport, text, loaders=("own", "own"), cases=(row,))
    return dataclasses.replace(report, packages=(text, text))


@place("templates/smoke.html.j2")
def _smoke_page() -> object:
    return _same_page(lambda text: smokepage.html([_smoke_report(text)]))


@place("templates/status.html.j2")
def _status_page() -> object:
    def make(text: str) -> str:
        row = hostile.record(status.TargetStatus, text, run=1, ours_run=1)
        run = hostile.record(RunRow, text, id=1)
        links = {kind: [f"runs/000001/{text}"] for kind in ("report", "patch", "logs")}
        finding = {"fix": text, "verdict": text}
        cells = {"ok": True, "seen": text}
        case = {"case": text, "way": text, "before": cells, "after": cells}
        report = {"findings": [finding], "smoke": {"kernel": text, "cases": [case]}}
        return render(
            "status.html.j2",
            **{"version": text, "now": 9, "rows": [row], "reports": {1: report}},
            **{"links": {1: links}, "runs": [run], "iso": status.iso, "ago": status.ago},
            **{"needs": [hostile.record(Need, text, waiting=(text,))], "people": [row]},
            answer=text,
        )

    return _same_page(make)


@place("templates/page.html.j2")
def _page() -> object:
    """Its macro shows the outcome of a run, which the status page here takes from others."""
    return _status_page()


@place("tools/docker/mirror.sh")
def _mirror() -> object:
    """MIRROR comes to stand in a command of sed, which can run programs."""
    script = CHECKOUT / "tools/docker/mirror.sh"
    for evil in ("http://x/#e;s#a#b", "http://x/&", "http://x/\\1", "http://x/\nb", "http://x y"):
        done = subprocess.run(["sh", script, evil], capture_output=True, check=False)
        assert done.returncode == 2 and b"a mirror is an address" in done.stderr
    return REFUSED, REFUSED


# -- files and command lines that code writes -------------------------------------------


@place("model.AptSource.stanza: sources.list(5)")
def _stanza() -> object:
    good: dict[str, Any] = {
        **{"uri": "http://x/y", "suites": ("s", "s-updates")},
        **{"components": ("main",), "keyring": Path("/k.gpg")},
    }
    assert "Suites: s s-updates\n" in AptSource(**good).stanza()
    evil = ("x y", LINE, "x\rTrusted: yes", "", "x\u2028y", "x\x0by")
    for text in evil:
        for changed in ({"uri": text}, {"suites": (text,)}, {"components": ("main", text)}):
            source = AptSource(**{**good, **changed})
            refused(source.stanza)
    for path in (f"/{LINE}", "/a b", "/a,b", "/a:b"):  # Signed-By is a list
        refused(AptSource(**{**good, "keyring": Path(path)}).stanza)
    return REFUSED, REFUSED


@place("containers.roots._reaching: apt.conf, and sh in a hook of mmdebstrap's")
def _hook() -> object:
    """A cache directory of this name; apt itself reads what the hook writes."""
    with tempfile.TemporaryDirectory() as directory:
        work = Path(directory) / "a b'\"$(touch pwned);%n"
        work.mkdir()
        (option,) = roots._reaching(work, [], work / "gpgv")
        hook, conf = option.removeprefix("--setup-hook="), Path(directory) / "mm.conf"
        env = {"PATH": os.environ["PATH"], "MMDEBSTRAP_APT_CONFIG": str(conf)}
        subprocess.run(["sh", "-c", hook], env=env, cwd=directory, check=True)
        assert sorted(p.name for p in Path(directory).iterdir()) == sorted([work.name, "mm.conf"])
        found = [_apt_says(conf.read_text(), name) for name in _NAMED]
        return found, [str(work / "auth.conf"), str(work / "gpgv")]


_NAMED = ("Dir::Etc::netrc", "Apt::Key::gpgvcommand")


@place("archives.credentials.text: apt_auth.conf(5)")
def _netrc() -> object:
    for own in ("u:p%20login%20evil", "u:p%0Amachine%20x", "%09:p", "u:"):
        refused(credentials.text, [Address(f"https://{own}@x/")])
    return credentials.text(
        [Address("https://u:p%40@x/y")]
    ), "machine https://x/y login u password p@\n"


@place("vm.devices.option: options of QEMU's, with commas between")
def _qemu() -> object:
    """``--logs 'a,b'``; QEMU itself opens the file."""
    with tempfile.TemporaryDirectory() as directory:
        names = ["a,b", "c,append=on,,path=x", 'd e"=%n', "logfile=x,"]
        argv = [qemu.program(machine_for("amd64")), "-M", "none", "-nodefaults", "-display", "none"]
        for number, name in enumerate(names):
            path = Path(directory) / name
            argv += ["-chardev", devices.option("file", id=f"c{number}", path=path)]
        done = subprocess.run(
            ["timeout", "--signal=KILL", "3", *argv, "-S"],
            cwd=directory,
            capture_output=True,
            check=False,
        )
        assert b"chardev" not in done.stderr, done.stderr
        return sorted(path.name for path in Path(directory).iterdir()), sorted(names)


@place("containers.images.base: the engine's command line")
def _image() -> object:
    engine = oci_engine.OciEngine(name="nowhere", version="1")
    for name in ("--privileged", "-v/:/host", "x y", "x\ny", "é"):
        refused(
            images.base,
            engine,
            BOOKWORM,
            name,
            Path("/log"),
            said="is not a valid name of an image",
        )
    return REFUSED, REFUSED


@place("handover.dput: dput's and dpkg-genchanges' command lines, fields of a .changes")
def _dput() -> object:
    for host in ("-o", "a b", LINE, ""):
        refused(dput.dput, Path("x"), host, trusted=(), said="is not a valid name of a dput host")
    for name in ("sid\nBinary: evil", "-x", "a b"):
        refused(
            dput.dput,
            Path("x"),
            "h",
            trusted=(),
            distribution=name,
            said="is not a valid name of a distribution",
        )
    return REFUSED, REFUSED


@place("guests._kernels: Python's format")
def _kernel_name() -> object:
    asked: list[str] = []

    class Archive:
        """One without any kernel."""

        release = BOOKWORM

        def candidate(self, name: str) -> None:
            """Note what is asked for."""
            asked.append(name)

    names = ["{kernel.__class__.__init__.__globals__}", "{", "%s", "linux-image-{kernel}"]
    for name in names:
        assert list(guest_image._kernels(cast(Any, Archive()), machine_for("amd64"), name)) == []
    return asked, [*names[:3], "linux-image-amd64"]


@place("describe.user_section: tc's command line, lines of tc -batch")
def _section() -> object:
    names = ("a#b", "a b", "-x", "a'b", "a\nfilter del", 'a"b', "a\\", "{object}", "ф")
    good = ("xdp.frags/cpumap", "?tc", "kprobe/sys_*", "tc/ingress")
    found = filled(Description, programs=(*names, *good))
    with pytest.MonkeyPatch.context() as change:
        change.setattr(user_object, "read", lambda _: found)
        for name in names:
            refused(user_object.user_section, UserObject(path=Path("x.o"), section=name))
        items = [UserObject(path=Path("x.o"), section=name) for name in good]
        return tuple(map(user_object.user_section, items)), good


@place("playbook.plan: words with tabs between")
def _plan() -> object:
    text = "a\tb\nrun\tx %41\r"
    words = player_script._quoted(text)
    assert not set(words) & set("\t\n\r")
    return re.sub(r"%([0-9a-f]{2})", lambda m: chr(int(m[1], 16)), words), text


@place("smokepage.junit: XML")
def _junit() -> object:
    root = ET.fromstring(smokepage.junit([_smoke_report(hostile.TEXT + "]]><x>&amp;")]))
    names = {element.tag for element in root.iter()}
    assert "]]><x>&amp;" in "".join(root.itertext())
    known = {"testsuites", "testsuite", "testcase", "system-out", "error", "failure", "skipped"}
    return names <= known, True


@place("smokepage.markdown: a table")
def _markdown() -> object:
    """The name of the user's object is in it; a CI puts the table on a page."""
    table = smokepage.markdown(_smoke_report("a|b\n| c `d` <img src=x> [l](u) \\| *e*"))
    head, rule, *rows = table.splitlines()
    cells = [len(re.findall(r"(?<!\\)\|", row.replace("\\\\", ""))) for row in (head, rule, *rows)]
    assert not re.search(r"(?<!\\)[<`\[*]", rows[0].replace("**", ""))
    return cells, [5, 5, 5]


@place("notify._body: mails and chats")
def _notification() -> object:
    row = hostile.record(status.TargetStatus)
    body = notify._body(row, notify.FAILURE, 1, "http://x")
    text = "".join(str(value) for value in body.values())
    assert "pwned" in text
    return [c for c in text if not c.isprintable()], []


@place("notify._post: HTTP's headers")
def _header() -> object:
    notification: Any = filled(Notification)
    said = notify._post(notification, "http://127.0.0.1:9/", "x\r\nX-Evil: y")
    assert "Evil" not in said
    return said.startswith("the webhook could not be reached"), True


@place("patch.changelog_entry: debian/changelog")
def _changelog() -> object:
    entry = "{} (6.1.0-3) {}; urgency=medium\n\n  * x\n\n -- A <a@b>  {}\n"
    date = "Mon, 02 Jan 2023 03:04:05 +0000"
    good = entry.format("iproute2", "unstable stable", date)
    text, _ = patch.changelog_entry(good, version="6.1.0-3+bpf1", fixes=[FIX], number=1)
    assert text.startswith("iproute2 (6.1.0-3+bpf1) unstable stable; urgency=medium\n")
    for name, where in (("iproute2\x1b[2J", "sid"), ("iproute2", "sid\x1b]0;x\x07"), ("x y", "s")):
        evil = entry.format(name, where, date)
        refused(patch.changelog_entry, evil, version="1", fixes=[FIX], number=1, error=PatchError)
    return REFUSED, REFUSED


@place("build.names_in: a .changes of the build's")
def _changes() -> object:
    sums = "0" * 64
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "x.changes"
        good = f"Version: 1\nChecksums-Sha256:\n {sums} 1 a.buildinfo\n {sums} 1 a.deb\n"
        for name in ("../x.deb", "-x.deb", "*_1_amd64.deb", "a\x1b.deb", "a'.deb"):
            path.write_text(f"{good} {sums} 1 {name}\n")
            refused(build.names_in, path, "1", error=BuildError)
        path.write_text(good)
        return build.names_in(path, "1"), ["a.buildinfo", "a.deb"]


@place("Cache: apt.conf, options of QEMU, of mmdebstrap and of mount(8)")
def _cache() -> object:
    for name in ("a\nb", "a\x1fb", "a\x1bb"):
        refused(Cache, Path("/nowhere") / name)
    return REFUSED, REFUSED


@pytest.mark.attack
@pytest.mark.parametrize("name", PLACES)
def test_a_value_says_nothing_but_itself(name: str) -> None:
    found: Any = PLACES[name]()
    came_out, had_to = found
    assert came_out == had_to


@pytest.mark.bad_input
def test_control_a_fetch_between_such_names(tmp_path: Path) -> None:
    """Keyrings and caches may be called as their user likes; what apt cannot hold is a sentence."""
    with Signer("distro") as signer, Archive(tmp_path / "archive", signer) as archive:
        archive.add_source(make_source(tmp_path / "source"))
        archive.publish()
        (archive.root / "x|y").symlink_to(archive.root)
        keyring = tmp_path / "my keys, 1:2" / "k.gpg"
        keyring.parent.mkdir()
        keyring.write_bytes(signer.keyring.read_bytes())
        args = ["fetch", "--release", "bookworm", "--mirror", f"{archive.url}/x|y"]
        args += ["--keyring", str(keyring), "--out", str(tmp_path / "out")]
        for cache, status in (("c\"x;#{}%n'd", 0), ("a b", 2)):
            said = inprocess.respin(*args, env={"RESPIN_CACHE": str(tmp_path / cache)})
            assert said.status == status, said.err
            assert status == 0 or "path without blanks" in said.err


# -- that the lists are whole -----------------------------------------------------------

SCRIPTS = {
    "pipeline/containers/*.sh": "each value is an argument",
    "pipeline/releases/default-mirror.sh": "debootstrap's own scripts, and arguments",
    "pipeline/isolation/*.sh": "each value is an argument",
    "pipeline/archives/gpgv-frozen.sh": "arguments of apt's, handed on",
    "pipeline/smoke/force.sh": "batch, object and section are arguments",
    "pipeline/smoke/handover.sh": "object and section are arguments",
    "pipeline/smoke/netns.sh": "arguments, handed on",
    "pipeline/vm/unpack-debs.sh": "names of files are ours: a number",
    "tools/docker/architecture.sh": "the name is compared with a list of ours",
    "tools/docker/build.sh": "reads the .dsc that we made",
    "tools/docker/collect.sh": "paths are ours",
    "tools/docker/foreign.sh": "the name is that of architecture.sh",
    "tools/docker/handover.sh": "paths are ours, and the .dsc that we made",
    "tools/docker/install.sh": "paths are ours",
    "tools/docker/prepare.sh": "paths are ours, and the codename of a release",
    "tools/docker/tools.sh": "paths are ours",
}
"""Scripts without holes: what they are given is in arguments, and quoted (shellcheck says so)."""


@pytest.mark.attack
def test_each_template_is_in_the_list() -> None:
    for path in sorted(p for p in TEMPLATES.rglob("*") if p.is_file()):
        if path.relative_to(TEMPLATES).match("engines/*/engine.toml"):
            continue  # it says what the holes of the templates beside it take
        assert path.suffix == ".j2", f"{path}: templates/ holds text with holes, and nothing else"
        name = str(path.relative_to(TEMPLATES))
        trials = [p for p in PLACES if fnmatch.fnmatchcase(f"templates/{name}", p)]
        assert trials, f"{name}: say in PLACES what a hostile value comes to there"
        assert callable(language(name))
    for pattern in LANGUAGES:
        there = [str(p.relative_to(TEMPLATES)) for p in TEMPLATES.rglob("*.j2")]
        assert fnmatch.filter(there, pattern), f"no template is {pattern}"


@pytest.mark.attack
def test_each_script_is_in_the_list() -> None:
    for path in [*CHECKOUT.glob("pipeline/*/*.sh"), *CHECKOUT.glob("tools/*/*.sh")]:
        name = str(path.relative_to(CHECKOUT))
        assert name in PLACES or any(fnmatch.fnmatchcase(name, s) for s in SCRIPTS), name


RAW = {
    "apt.conf.j2": 1,  # lines of the machine's own configuration, which root wrote
    "commit.patch.j2": 2,  # the words of the fix (plain_patch.message), and the patch itself
    "dep3.patch.j2": 2,  # the names of our fields, and the patch itself
    "objects/own.c.j2": 1,  # the C program of a fix of the user's own, compiled for BPF
    "schedule/crontab.j2": 3,  # the hour is ours; the line, twice, was written by quoting.cron
    "schedule/systemd.timer.j2": 1,  # the calendar is ours
}
"""How many holes of a template take what is written in its language already."""


@pytest.mark.attack
def test_what_is_filled_in_raw_is_known() -> None:
    found = {}
    for path in TEMPLATES.rglob("*.j2"):
        text = path.read_text()
        assert "| safe" not in text and "autoescape" not in text
        if count := len(re.findall(r"\|\s*raw\b", text)):
            found[str(path.relative_to(TEMPLATES))] = count
    assert found == RAW


@pytest.mark.attack
@pytest.mark.needs("shellcheck")
def test_scripts_quote_what_they_are_given() -> None:
    """SC2086 and its like: words that split, patterns that match, a variable as printf's format."""
    codes = "SC2086,SC2046,SC2068,SC2048,SC2059,SC2145,SC2091,SC2294"
    scripts = [*CHECKOUT.glob("pipeline/*/*.sh"), *CHECKOUT.glob("tools/*/*.sh")]
    scripts.append(CHECKOUT / "tools/install-packages")
    argv: list[str | Path] = ["shellcheck", "--norc", f"--include={codes}", *scripts]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    evil = subprocess.run(
        ["shellcheck", "--norc", f"--include={codes}", "-"],
        input="#!/bin/sh\nrm $1\n",
        capture_output=True,
        text=True,
        check=False,
    )
    assert evil.returncode == 1  # the control


SINKS = {
    # Patterns
    "regex archives/paragraphs.py:matching": "guest.toml's, ours",
    "regex archives/release.py:_field": "ours",
    "regex archives/release.py:listed": "escaped",
    "regex archives/resolve.py:unsatisfied": "ours",
    "regex archives/apt_errors.py:_meaning": "ours",
    "regex archives/apt_errors.py:stopped": "ours",
    "regex build/distro_package.py:_control": "escaped",
    "regex nightly/port.py:package": "escaped",
    "regex fixes/c_source.py:definitions": "escaped",
    "regex fixes/c_source.py:mentions": "of a fix, ours or the user's own",
    "regex fixes/own_fix.py:_check_patterns": "of a fix of the user's own, checked here",
    "regex fixes/own_patch.py:text": "ours",
    "regex fixes/diagnose.py:_by_library": "of a fix, ours or the user's own",
    "regex fixes/diagnose.py:_strayed": "of a fix, ours or the user's own",
    "regex smoke/limits.py:causes": "ours",
    "regex smoke/verdict.py:_difference": "of a fix, ours or the user's own",
    "regex smoke/verdict.py:_words": "ways.toml's, ours",
    "regex publish/generations.py:clear": "escaped",
    "regex files/schema.py:_pattern": "of a schema, ours",
    "regex fixes/versions.py:check_against": "escaped",
    "regex text/visible.py:lines": "ours",
    "regex text/visible.py:line": "ours",
    "regex text/visible.py:as_json": "ours",
    # Globs
    "glob source/local_tree.py:make_source": "a name and version: dsc_file.py takes no pattern",
    "glob nightly/runs.py:_leftovers": "the number of a run",
    "glob nightly/prune.py:runs": "the number of a run",
    "glob runs/directory.py:_sweep": "escaped",
    "glob isolation/scratch.py:sweep": "ours",
    "glob host/temporary.py:sweep": "a user's number",
    "glob cli/stages.py:prove_command": "the name of the package, ours",
    "glob build/object_files.py:names": "a suffix, ours",
    "glob runs/unpacked.py:_plugins": "ours",
    "fnmatch host/resources.py:language": "LANGUAGES, ours",
    "fnmatch vm/initramfs.py:_matches": "guest.toml's, ours",
    "glob nightly/lost_state.py:forget": "the name of the state's file, ours",
    "glob cli/engines.py:engines": "a constant name",
    "regex cli/engines.py:check": "engine.toml's, ours",
    "regex cli/engines.py:warnings": "engine.toml's, ours",
    # Python's formats
    "format cli/engines.py:warnings": "engine.toml's, ours",
    "format containers/images.py:official": "images.toml's, ours",
    "format smoke/guest_image.py:kernel_pattern": "guest.toml's, ours",
    "percent proof/envelope.py:encoded": "constant; each value stands behind its length",
    # SQL: each value is a parameter
    "sql nightly/database.py:rows": "names of our columns",
    "sql nightly/database.py:write": "names of our columns",
    "sql nightly/database.py:script": "state.sql, ours",
    # sh -c
    "shell containers/apt_inside.py:install": "a constant path",
    "shell containers/host.py:_clear": "ours",
    "shell containers/oci.py:_start": "oci-init.sh, and a constant path",
    "shell containers/oci.py:_clear": "ours",
}
"""Where code gives a pattern, a format, SQL or a script that is no constant -> why it is sound."""

PATTERNS = {"compile", "search", "match", "fullmatch", "findall", "finditer", "sub", "split"}


def sinks(path: Path) -> Iterator[str]:
    """Yield where a module gives text that is no constant to an interpreter of any kind."""
    name = str(path.relative_to(PACKAGE))
    tree = ast.parse(path.read_text())
    functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    for function in functions:
        inner = {n for f in functions if f is not function for n in ast.walk(f)}
        inner = (
            inner if any(f in ast.walk(function) for f in functions if f is not function) else set()
        )
        for node in ast.walk(function):
            if node in inner and node is not function:
                continue
            for kind in _kinds(node):
                yield f"{kind} {name}:{function.name}"


def _kinds(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
        called, args = node.func, node.args
        module = called.value.id if isinstance(called.value, ast.Name) else ""
        if module == "re" and called.attr in PATTERNS and not _constant(args[0]):
            yield "regex"
        if module == "fnmatch":
            yield "fnmatch"
        if called.attr in ("glob", "rglob") and args and not _constant(args[0]):
            yield "glob"
        if called.attr in ("execute", "executemany", "executescript") and not _constant(args[0]):
            yield "sql"
        if called.attr in ("format", "format_map") and not _constant(called.value):
            yield "format"
    words = node.elts if isinstance(node, ast.List | ast.Tuple) else getattr(node, "args", [])
    if isinstance(words, list) and any(
        isinstance(w, ast.Constant) and w.value == "-c" for w in words
    ):
        before = {w.value for w in words if isinstance(w, ast.Constant)}
        if before & {"sh", "/bin/sh", "bash", "python3"}:
            yield "shell"
    percent = isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mod) and node.left
    if isinstance(percent, ast.JoinedStr) or (percent and _text(percent)):
        yield "percent"
    if isinstance(node, ast.Name) and node.id in ("eval", "exec", "compile"):
        yield "python"


def _constant(node: ast.AST) -> bool:
    if isinstance(node, ast.JoinedStr):
        return all(isinstance(value, ast.Constant) for value in node.values)
    if isinstance(node, ast.BinOp):
        return _constant(node.left) and _constant(node.right)
    return isinstance(node, ast.Constant)


def _text(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)


@pytest.mark.attack
def test_each_interpreter_in_the_code_is_in_the_list() -> None:
    """A pattern, a format, SQL or a script that is no constant has an entry in SINKS."""
    found = {sink for path in PACKAGE.rglob("*.py") for sink in sinks(path)}
    assert found - set(SINKS) == set(), "say in SINKS why this is sound"
    assert set(SINKS) - found == set(), "these are gone"


@pytest.mark.bad_input
def test_control_what_is_harmless_stands_as_it_is() -> None:
    assert quoting.word("/usr/bin/respin") == quoting.shell("/usr/bin/respin") == "/usr/bin/respin"
    assert quoting.apt_conf("/var/cache/respin/apt") == "/var/cache/respin/apt"
    assert quoting.markdown("pinned-hash: one map … by tc") == "pinned-hash: one map … by tc"
    assert json.loads(quoting.yaml("bookworm")) == "bookworm"
    assert set(attach_types()) == {quoting.markdown(name) for name in attach_types()}

"""What releases of Debian and Ubuntu there are, and where their archives and keyrings lie.

Names come from distro-info-data, mirrors from the machine's own apt configuration or else
from python-apt-common, keys from the distros' keyring packages: all data that the distro
keeps up to date, none of it our own.
"""

from __future__ import annotations

import csv
import difflib
import re
from functools import cache
from pathlib import Path

from pipeline.archives import machine
from pipeline.errors import UsageError
from pipeline.model import AptSource, Release

DISTRO_INFO = Path("/usr/share/distro-info")
TEMPLATES = Path("/usr/share/python-apt/templates")
OS_RELEASE = Path("/etc/os-release")

_KEYRINGS = {
    "debian": ("/usr/share/keyrings/debian-archive-keyring.gpg", "debian-archive-keyring"),
    "ubuntu": ("/usr/share/keyrings/ubuntu-archive-keyring.gpg", "ubuntu-keyring"),
}
# Ubuntu builds its main component with universe since 2023.
_COMPONENTS = {"debian": ("main",), "ubuntu": ("main", "universe")}


@cache
def known() -> tuple[Release, ...]:
    """Return every release of Debian and Ubuntu, oldest first, as distro-info-data names them.

    Raises UsageError if that package is missing.
    """
    found = []
    for distro in ("debian", "ubuntu"):
        path = DISTRO_INFO / f"{distro}.csv"
        try:
            with path.open(newline="") as f:
                rows = list(csv.DictReader(f))
        except OSError as e:
            raise UsageError(
                f"{path}: {e.strerror}", hint="apt-get install distro-info-data"
            ) from e
        for row in rows:
            # Ubuntu writes "24.04 LTS"; experimental is a part of sid, no release.
            version = (row["version"] or "").split(" ")[0]
            if row["series"] != "experimental":
                found.append(Release(distro=distro, codename=row["series"], version=version))
    return tuple(found)


def find(name: str | None, *, os_release: Path = OS_RELEASE) -> Release:
    """Return the release called ``name``: ``bookworm``, ``12``, ``debian:12``, ``ubuntu 22.04``.

    None is the release of this machine. A number that both distros have used needs the
    distro's name. Raises UsageError for what is no release, with names that are near.
    """
    if name is None:
        return _this_machine(os_release)
    wanted = name.strip().lower()
    distro, _, rest = wanted.replace(":", " ", 1).partition(" ")
    if not rest.strip():
        distro, rest = "", wanted
    rest = rest.strip()
    found = [
        r for r in known() if distro in ("", r.distro) and rest and rest in (r.codename, r.version)
    ]
    if len(found) == 1:
        return found[0]
    if found:
        names = " or ".join(f"{r.distro}:{r.version} ({r.codename})" for r in found)
        raise UsageError(f"release {name!r} is ambiguous", hint=f"say {names}")
    raise UsageError(f"no release is called {name!r}", hint=_near(rest))


def _near(name: str) -> str:
    names = [n for r in known() for n in (r.codename, r.version) if n]
    near = list(dict.fromkeys(difflib.get_close_matches(name, names, n=3, cutoff=0.6)))
    if near:
        return f"did you mean {' or '.join(near)}?"
    latest = [
        r.codename for d in ("debian", "ubuntu") for r in known() if r.distro == d and r.version
    ]
    return f"name one by codename or number, such as {latest[-1]}, bookworm or ubuntu:22.04"


def _this_machine(path: Path) -> Release:
    fields = {}
    try:
        for line in path.read_text().splitlines():
            key, equals, value = line.partition("=")
            if equals:
                fields[key.strip()] = value.strip().strip("\"'")
    except OSError as e:
        raise UsageError(f"{path}: {e.strerror}", hint="name a release with --release") from e
    distro, codename = fields.get("ID", ""), fields.get("VERSION_CODENAME", "")
    for release in known():
        if (release.distro, release.codename) == (distro, codename):
            return release
    what = fields.get("PRETTY_NAME") or distro or "an unnamed system"
    raise UsageError(
        f"this machine runs {what}, which is no release of Debian or Ubuntu",
        hint="name a release with --release",
    )


def keyring_for(release: Release) -> Path:
    """Return the distro's archive keyring. Raises UsageError naming the package to install."""
    path, package = _KEYRINGS[release.distro]
    if not Path(path).exists():
        raise UsageError(
            f"the keys of {release.distro}'s archive are not on this machine: {path}",
            hint=f"apt-get install {package}, or name a keyring with --keyring FILE",
        )
    return Path(path)


def _security_suite(release: Release) -> str:
    """Return the name of the security pocket: Debian 10 and older call it X/updates."""
    old = release.distro == "debian" and release.version and float(release.version) <= 10
    return f"{release.codename}/updates" if old else f"{release.codename}-security"


def sources(
    release: Release,
    *,
    mirror: str | None = None,
    keyring: Path | None = None,
    etc: Path = machine.ETC,
    lists: Path = machine.LISTS,
) -> tuple[AptSource, ...]:
    """Return the release's pockets: release, updates, security.

    The archive is ``mirror``; else what this machine's apt uses for that distro; else the
    distro's default. With ``mirror`` every pocket is looked for there, and Debian's security
    pocket also beside it (``…/debian`` → ``…/debian-security``); apt's update finds out
    which exist. ``keyring`` replaces the distro's own; ``etc`` and ``lists`` are the folders
    of the machine's apt. Raises UsageError if there is no
    keyring, or no mirror is known.
    """
    keys = keyring or keyring_for(release)
    if mirror is not None:
        base, security = _siblings(mirror.rstrip("/"), release)
    else:
        base, security = _machine_mirrors(release, keys, etc, lists)
        base = base or _default_mirror(release, security=False)
        if release.codename != "sid":
            security = security or _default_mirror(release, security=True)
    pockets, apart = [release.codename], list[str]()
    if release.codename != "sid":  # which has no pockets: uploads go straight to it
        pockets.append(f"{release.codename}-updates")
        apart.append(_security_suite(release))
    if security == base:
        pockets, apart = pockets + apart, []
    elif mirror is not None:
        pockets += apart
    stanzas = [(base, tuple(pockets)), (security, tuple(apart))]
    return tuple(
        AptSource(uri=uri, suites=suites, components=_COMPONENTS[release.distro], keyring=keys)
        for uri, suites in stanzas
        if suites
    )


def _siblings(mirror: str, release: Release) -> tuple[str, str]:
    if not re.match(r"(https?|file|copy|mirror\+\w+):/", mirror) or re.search(r"\s", mirror):
        raise UsageError(
            f"{mirror!r} is not the address of a mirror",
            hint="give one such as http://mirror.example.org/debian",
        )
    beside = release.distro == "debian" and mirror.endswith("/debian")
    return mirror, f"{mirror}-security" if beside else mirror


def _machine_mirrors(release: Release, keys: Path, etc: Path, lists: Path) -> tuple[str, str]:
    """Return the archives (main, security) of the distro that this machine's apt uses, or ''.

    Other vendors use the same suite names, so an archive counts as the distro's if the index
    that apt keeps of it is signed by the distro's keys, or, where apt keeps none, if its
    address ends as the distro's mirrors' do.
    """
    ours = {r.codename for r in known() if r.distro == release.distro}
    ours |= {"stable", "testing", "unstable", "oldstable"} if release.distro == "debian" else set()
    found: dict[bool, list[str]] = {False: [], True: []}
    # What serves this very release comes first.
    entries = sorted(machine.entries(etc), key=lambda e: _stem(e.suite) != release.codename)
    for entry in entries:
        if _stem(entry.suite) not in ours or "main" not in entry.components:
            continue
        signed = machine.signed_by(entry, keys, lists)
        usual = re.search(rf"/{release.distro}(-security)?$", entry.uri) is not None
        if signed or (signed is None and usual):
            found[re.search(r"-security$|/updates$", entry.suite) is not None].append(entry.uri)
    return (found[False] or [""])[0], (found[True] or [""])[0]


def _stem(suite: str) -> str:
    """Return a suite's name without its pocket."""
    return re.split(r"[-/]", suite)[0]


def _default_mirror(release: Release, *, security: bool) -> str:
    """Return the distro's default archive as python-apt-common knows it."""
    path = TEMPLATES / f"{release.distro.capitalize()}.info"
    try:
        stanzas = re.split(r"\n(?=Suite:)", path.read_text())
    except OSError as e:
        raise UsageError(
            f"no mirror of {release.distro} is known: {path}: {e.strerror}",
            hint="apt-get install python-apt-common, or name a mirror with --mirror",
        ) from e
    suite = _security_suite(release) if security else release.codename
    generic = suite.replace(release.codename, "{series}", 1)
    for stanza in stanzas:
        fields: dict[str, str] = dict(re.findall(r"^([\w-]+): *(.*)$", stanza, re.MULTILINE))
        uri = fields.get(f"BaseURI-{machine.architecture()}") or fields.get("BaseURI")
        if (
            fields.get("Suite") in (suite, generic)
            and fields.get("RepositoryType") == "deb"
            and uri
        ):
            return uri.rstrip("/")
    raise UsageError(
        f"no default mirror of {release.distro} {suite} is known",
        hint="name a mirror with --mirror",
    )

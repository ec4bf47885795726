# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""A signed apt archive for the tests, served on loopback.

with Signer("good") as signer, Archive(tmp_path, signer) as archive:
    archive.add_source(dsc)
    archive.add_deb(deb, suite="bookworm-security")
    archive.publish()
    sources = releases.sources(release, mirror=archive.url, keyring=archive.keyring)
"""

from __future__ import annotations

import base64
import contextlib
import gzip
import hashlib
import http.server
import lzma
import os
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Self
from urllib.parse import quote, unquote

CUT = 100
"""Bytes of a file that are sent before a cut connection ends."""
DRIP = 0.1
"""Seconds between two bytes of an answer that drips."""


class Signer:
    """An OpenPGP key with a home of its own."""

    def __init__(self, name: str, *, expired: bool = False, kept: Path | None = None) -> None:
        """Name the key; an ``expired`` one was made in 2020 for a year, and signs then.

        A key that is ``kept`` in a file is the same whenever it is used again.
        """
        self.name = name
        self._kept = kept
        self._then = ("--faked-system-time", "20200601T000000") if expired else ()
        self._expires = "1y" if expired else "never"
        self.digest = ""
        """gpg's name of the hash that it signs (``SHA1``); empty: its default, which is strong."""

    def __enter__(self) -> Self:
        # The path is short, since that of gpg-agent's socket may have 107 characters.
        self._home = Path(tempfile.mkdtemp(prefix="respin-gpg-", dir="/tmp"))
        user = f"{self.name} <{self.name}@example.org>"
        new = ("--passphrase", "", "--quick-generate-key", user, "ed25519", "sign", self._expires)
        if self._kept and self._kept.exists():
            self._gpg("--import", stdin=self._kept.read_bytes())
        else:
            self._gpg(*new)
        if self._kept and not self._kept.exists():
            self._kept.write_bytes(self._gpg("--export-secret-keys"))
        self.keyring = self._home / f"{self.name}.gpg"
        self.keyring.write_bytes(self._gpg("--export"))
        listing = self._gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(
            line.split(":")[9] for line in listing.splitlines() if line.startswith("fpr:")
        )
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run(["gpgconf", "--homedir", self._home, "--kill", "all"], check=True)
        # The agent removes its sockets when it ends, perhaps at the same time as we do.
        shutil.rmtree(self._home, ignore_errors=True)

    def _gpg(self, *argv: str, stdin: bytes = b"") -> bytes:
        base = ("gpg", "--homedir", str(self._home), "--batch", "--quiet", "--pinentry-mode")
        done = subprocess.run(
            [*base, "loopback", *self._then, *argv], input=stdin, check=True, capture_output=True
        )
        return done.stdout

    def armored(self) -> bytes:
        """Return the public key in ASCII armour."""
        return self._gpg("--armor", "--export")

    def clearsign(self, text: str) -> bytes:
        """Return a text with its signature."""
        return self._gpg(*self._digest(), "--clearsign", stdin=text.encode())

    def detach(self, data: bytes) -> bytes:
        """Return a signature over data."""
        return self._gpg(*self._digest(), "--armor", "--detach-sign", stdin=data)

    def _digest(self) -> tuple[str, ...]:
        return ("--digest-algo", self.digest) if self.digest else ()


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves files; those in ``cut`` end early."""

    def __init__(self, *args: object, archive: Archive, **kwargs: object) -> None:
        self._archive = archive
        super().__init__(*args, directory=str(archive.served), **kwargs)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def log_request(self, code: object = "-", size: object = "-") -> None:
        """Record the answer."""
        self._archive.answers.append((int(str(code)), self.path))

    def do_GET(self) -> None:
        """Send a file, or where it can be found."""
        if self.path.startswith("http://"):  # a request to a proxy
            self._archive.through_proxy.append(self.headers.get("Proxy-Authorization", ""))
            self.path = "/" + self.path.split("/", 3)[3]
        given = self.headers.get("Authorization", "")
        self._archive.authorizations.append(given)
        wanted = self._archive.wanted
        if wanted and given != f"Basic {base64.b64encode(wanted.encode()).decode()}":
            self.send_response(401)
            self.send_header("WWW-Authenticate", 'Basic realm="archive"')
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        elsewhere = self._archive.elsewhere.get(unquote(self.path))
        drips = self._archive.drips.get(self.path.partition("?")[0].rpartition("/")[2])
        if drips:
            self._archive.requests.append(self.path)
            self._drip(drips)
            return
        if elsewhere is None:
            super().do_GET()
            return
        self._archive.requests.append(self.path)
        self.send_response(302)
        self.send_header("Location", elsewhere)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self, where: str) -> None:
        """Send a byte now and then, in the ``headers`` or in the ``body``, for ever."""
        path = Path(self.translate_path(self.path))
        size = path.stat().st_size if path.exists() else 9000000
        began = f"HTTP/1.0 200 OK\r\nContent-Length: {size}\r\n"
        self.wfile.write(began.encode() + (b"X-Slow: " if where == "headers" else b"\r\n"))
        with contextlib.suppress(OSError):  # the client has gone
            while not self._archive.closing.wait(DRIP):
                self.wfile.write(b"a")
                self.wfile.flush()
        self.close_connection = True

    def copyfile(self, source: object, outputfile: object) -> None:
        """Send a file, or only its beginning."""
        self._archive.requests.append(self.path)
        if self.path.rpartition("/")[2] in self._archive.cut:
            outputfile.write(source.read(CUT))  # type: ignore[attr-defined]
        else:
            super().copyfile(source, outputfile)  # type: ignore[arg-type]


class Archive:
    """A Debian archive in a directory, and its server."""

    def __init__(
        self,
        directory: Path,
        signer: Signer,
        *,
        suite: str = "bookworm",
        architecture: str = "amd64",
        components: tuple[str, ...] = ("main",),
        at: str = "",
    ) -> None:
        """Begin an archive; packages go into ``suite`` if no other one is given.

        It is ``at`` a path of its server: "" or a name with a slash before it.
        """
        self.served = directory / "archive"
        self.root = self.served / at.removeprefix("/")
        self._at = at
        self.cut: set[str] = set()
        self.requests: list[str] = []
        """The paths of the files that were sent, oldest first."""
        self.answers: list[tuple[int, str]] = []
        """Status and path of every answer."""
        self.drips: dict[str, str] = {}
        """Names of files that drip -> where: in the ``headers`` or in the ``body``."""
        self.wanted = ""
        """``user:password`` that every request must have; empty: none."""
        self.through_proxy: list[str] = []
        """The requests to it as a proxy, with their credentials."""
        self.authorizations: list[str] = []
        """The credentials of the requests."""
        self.closing = threading.Event()
        self.elsewhere: dict[str, str] = {}
        """Path -> address to which its request is redirected."""
        self.keyring = signer.keyring
        self._signer = signer
        self._entries: dict[tuple[str, str], str] = {}
        self._suite = suite
        self.architecture = architecture
        """One, or several with spaces between."""
        self._components = components
        self.forms: tuple[str, ...] = ("", ".gz")
        """How its indexes are compressed; the plain ones are listed in any case."""
        self.phased: dict[str, int] = {}
        """Binary package -> the percentage of machines that are to have it as an update."""
        self._suites = {suite}
        self.says: dict[str, dict[str, str]] = {}
        """Suite -> fields that replace those of Debian in its Release."""
        self._published = time.time() - 86400

    def __enter__(self) -> Self:
        self.closing.clear()
        self.root.mkdir(parents=True, exist_ok=True)
        handler = partial(_Handler, archive=self)
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.closing.set()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The archive's address."""
        return f"http://127.0.0.1:{self._server.server_port}{self._at}"

    def _pool(self, suite: str | None, component: str = "main") -> Path:
        suite = suite or self._suite
        self._suites.add(suite)
        path = self.root / self._below(suite, component)
        path.mkdir(parents=True, exist_ok=True)
        return path

    def _below(self, suite: str, component: str) -> str:
        return f"pool/{suite}" if component == "main" else f"pool/{component}/{suite}"

    def add_source(self, dsc: Path, *, suite: str | None = None) -> None:
        """Add a source package: the .dsc and the files beside it that it names."""
        pool = self._pool(suite)
        shutil.copy(dsc, pool)
        for line in dsc.read_text().splitlines():
            words = line.split()
            if line.startswith(" ") and len(words) == 3 and (dsc.parent / words[2]).is_file():
                shutil.copy(dsc.parent / words[2], pool)

    def add_deb(self, deb: Path, *, suite: str | None = None, component: str = "main") -> None:
        """Add a binary package."""
        shutil.copy(deb, self._pool(suite, component))

    def add_entries(self, entries: str, site: str, *, suite: str | None = None) -> None:
        """List binary packages of ``site``, as paragraphs of its Packages."""
        self._pool(suite)
        place = (suite or self._suite, "main")
        self._entries[place] = self._entries.get(place, "") + entries
        for line in entries.splitlines():
            if line.startswith("Filename: "):
                path = line.removeprefix("Filename: ")
                self.elsewhere[f"{self._at}/{path}"] = f"{site}/{quote(path, safe='/~')}"

    def publish(
        self,
        *,
        signer: Signer | None = None,
        date: datetime | None = None,
        valid_until: datetime | None = None,
        only: str | None = None,
    ) -> None:
        """Write and sign the indexes of every suite, or ``only`` one, with what was added.

        ``signer`` replaces the archive's own key. An index is valid for a week from
        its ``date`` (default: an hour ago) unless ``valid_until`` says otherwise.
        """
        # HTTP dates count seconds: to a cache, two editions of the same second would be one.
        self._published += 60
        for suite in sorted(self._suites if only is None else {only}):
            self._pool(suite)
            self._publish(suite, signer or self._signer, date, valid_until)

    def _publish(
        self, suite: str, signer: Signer, date: datetime | None, valid_until: datetime | None
    ) -> None:
        dists = self.root / "dists" / suite
        sums = []
        for name, plain in self._indexes(suite):
            for form in dict.fromkeys(("", *self.forms)):
                data = _compressed(plain, form)
                sha256 = hashlib.sha256(data).hexdigest()
                names = [f"{name}{form}"] if form in self.forms else []
                if self.says.get(suite, {}).get("Acquire-By-Hash"):
                    names += [f"{Path(name).parent}/by-hash/SHA256/{sha256}"] * len(names)
                for path in names:
                    (dists / path).parent.mkdir(parents=True, exist_ok=True)
                    (dists / path).write_bytes(data)
                sums.append(f" {sha256} {len(data)} {name}{form}")
        made = date or datetime.now(UTC) - timedelta(hours=1)
        until = valid_until or made + timedelta(days=7)
        fields = {
            **_names(suite),
            "Date": _date(made),
            "Valid-Until": _date(until),
            "Architectures": self.architecture,
            "Components": " ".join(self._components),
            **self.says.get(suite, {}),
        }
        lines = [f"{name}: {value}" for name, value in fields.items() if value]
        release = "\n".join((*lines, "SHA256:", *sums, ""))
        (dists / "InRelease").write_bytes(signer.clearsign(release))
        for each in dists.rglob("*"):
            os.utime(each, (self._published, self._published))

    def _indexes(self, suite: str) -> Iterator[tuple[str, bytes]]:
        """Yield the name and content of each of a suite's lists."""
        for component in self._components:
            pool = self._pool(suite, component)
            binary = ("dpkg-scanpackages", "--multiversion")
            for name, argv in (
                *(
                    (f"{component}/binary-{each}/Packages", (*binary, f"--arch={each}"))
                    for each in self.architecture.split()
                ),
                (f"{component}/source/Sources", ("dpkg-scansources",)),
            ):
                argv, plain = (*argv, self._below(suite, component)), ""
                if any(pool.iterdir()):
                    done = subprocess.run(argv, cwd=self.root, check=True, capture_output=True)
                    plain = done.stdout.decode()
                if name.endswith("Packages"):
                    plain += self._entries.get((suite, component), "")
                    for package, share in self.phased.items():
                        line = f"Package: {package}\n"
                        plain = plain.replace(line, f"{line}Phased-Update-Percentage: {share}\n")
                yield name, plain.encode()

    def copy_suite(self, suite: str, *others: str) -> None:
        """Let other suites list the same as a published one, each under its own name."""
        directory = self.root / "dists" / suite
        text = (directory / "InRelease").read_text().partition("\n\n")[2]
        text = text.partition("-----BEGIN PGP SIGNATURE")[0]
        for other in others:
            shutil.copytree(directory, directory.parent / other)
            fields = "".join(f"{name}: {value}\n" for name, value in _names(other).items())
            kept = [n for n in text.splitlines(True) if n.partition(":")[0] not in _names(other)]
            signed = self._signer.clearsign(fields + "".join(kept))
            (directory.parent / other / "InRelease").write_bytes(signed)

    def corrupt(self, name: str, how: str = "bytes") -> None:
        """Spoil a published file, found by its name anywhere in the archive.

        ``bytes``: other content of the same length; ``truncate``: shorter; ``remove``: gone;
        ``cut``: complete on disk, but the connection ends while it is sent.
        """
        found = [p for p in self.root.rglob(name) if p.is_file()]
        assert found, f"{name} is not in the archive"
        for path in found:
            data = path.read_bytes()
            if how == "bytes":
                path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
            elif how == "truncate":
                path.write_bytes(data[: len(data) // 2])
            elif how == "remove":
                path.unlink()
            elif how == "cut":
                assert len(data) > CUT
                self.cut.add(name)
            else:
                raise AssertionError(how)


def _compressed(data: bytes, form: str) -> bytes:
    if form == ".xz":
        return lzma.compress(data, preset=0)
    return gzip.compress(data, mtime=0) if form == ".gz" else data


def _names(suite: str) -> dict[str, str]:
    """Return the names in Debian's Release of a suite, for a release that is stable."""
    release, _, old = suite.partition("/")
    pocket = release.partition("-")[2]
    alias = {"sid": "unstable"}.get(release, f"stable-{pocket}" if pocket else "stable")
    security = old == "updates" or pocket == "security"
    label = "Debian-Security" if security else "Debian"
    return {"Origin": "Debian", "Label": label, "Suite": alias, "Codename": release}


def _date(when: datetime) -> str:
    return when.astimezone(UTC).strftime("%a, %d %b %Y %H:%M:%S UTC")

"""An apt of our own: a folder with its own sources, lists and cache, as chdist(1) makes.

It needs no root and touches nothing of the machine's apt. The lists stay in the cache
between runs, so that what has not changed is not fetched again; a lock keeps runs apart.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from pipeline import command
from pipeline.archives import machine, words
from pipeline.archives.index import Index
from pipeline.cache import Cache, digest, file_sha256
from pipeline.data import render
from pipeline.errors import FetchError, RespinError, UsageError
from pipeline.model import AptSource

DEADLINE = 3600.0
"""Seconds for one apt command; apt's own time-outs of a connection are far shorter."""

_FORMAT = "$(FILENAME)|$(METAKEY)|$(RELEASE)|$(REPO_URI)|$(CREATED_BY)"


class PrivateRoot:
    """A private apt root for some sources."""

    def __init__(
        self, cache: Cache, sources: Sequence[AptSource], architecture: str, log: Path | None
    ) -> None:
        """Name the root after the sources and the keys in their keyrings.

        Raises UsageError if a keyring cannot be read.
        """
        try:
            keys = [file_sha256(source.keyring) for source in sources]
        except OSError as e:
            raise UsageError(
                f"the keyring {e.filename} cannot be read: {e.strerror}",
                hint="name another one with --keyring FILE",
            ) from e
        self.sources = tuple(sources)
        self._architecture = architecture
        self._cache = cache
        self._key = digest(architecture, *(s.stanza() for s in sources), *keys)
        self._log = log
        self.path = cache.folder("apt") / self._key[:32]

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other runs from changing the root; not to be nested."""
        with self._cache.lock("apt", self._key):
            yield

    def _write(self, missing: frozenset[tuple[str, str]]) -> None:
        """Write the configuration, without the suites that are known to be missing."""
        folders = ("etc/trusted.gpg.d", "etc/sources.list.d", "etc/preferences.d")
        for folder in (*folders, "etc/apt.conf.d", "state/lists/partial", "cache/archives/partial"):
            (self.path / folder).mkdir(parents=True, exist_ok=True)
        (self.path / "state/status").touch()
        conf = render(
            "apt.conf.j2",
            root=self.path,
            architecture=self._architecture,
            netrc=machine.netrc(),
            machine=machine.network_settings(),
        )
        stanzas = []
        for source in self.sources:
            suites = tuple(s for s in source.suites if (source.uri.rstrip("/"), s) not in missing)
            if suites:
                here = AptSource(
                    uri=source.uri,
                    suites=suites,
                    components=source.components,
                    keyring=source.keyring.absolute(),
                )
                stanzas.append(here.stanza())
        _replace(self.path / "etc/apt.conf", conf)
        _replace(self.path / "etc/sources.list.d/respin.sources", "\n".join(stanzas))

    def apt(
        self,
        *argv: str,
        cwd: Path | None = None,
        error: type[RespinError] = FetchError,
        brief: str = "",
    ) -> command.Completed:
        """Run a program of apt's in this root; the command is re-runnable as shown."""
        return command.run(
            ["env", f"APT_CONFIG={self.path / 'etc/apt.conf'}", "LC_ALL=C.UTF-8", *argv],
            cwd=cwd,
            env={k: v for k, v in os.environ.items() if k not in ("LANGUAGE", "APT_CONFIG")},
            timeout=DEADLINE,
            log=self._log,
            error=error,
            brief=brief or f"{argv[0]} failed",
        )

    def update(self, required: str) -> tuple[Index, ...]:
        """Bring the lists up to date and return them; the caller holds the lock.

        A suite that an archive does not have is left out, unless it is the ``required`` one
        (the release itself); every other failure raises FetchError: an archive that does not
        answer, or answers with what cannot be verified, is not passed over.
        """
        missing: frozenset[tuple[str, str]] = frozenset()
        while True:
            self._write(missing)
            try:
                # Without the option, apt spends a second on a cache that may not be needed.
                self.apt("apt-get", "update", "-o", "pkgCacheFile::Generate=false")
            except FetchError as e:
                gone = words.missing_suites(e.details) - missing
                if not gone or required in {suite for _, suite in gone}:
                    where = ", ".join(sorted({s.uri for s in self.sources}))
                    raise words.explain(e, f"updating the indexes of {where}") from None
                missing |= gone
            else:
                return self._indexes()

    def _indexes(self) -> tuple[Index, ...]:
        keyrings = {s.uri.rstrip("/"): s.keyring for s in self.sources}
        found = []
        for line in self.apt("apt-get", "indextargets", "--format", _FORMAT).text.splitlines():
            path, meta, suite, site, kind = line.split("|")
            site = site.rstrip("/")
            if kind in ("Packages", "Sources") and Path(path).exists() and site in keyrings:
                found.append(
                    Index(Path(path), meta=meta, suite=suite, site=site, keyring=keyrings[site])
                )
        return tuple(found)


def _replace(path: Path, text: str) -> None:
    """Write a file if it does not say this already."""
    if not path.exists() or path.read_text() != text:
        part = path.with_name(f"{path.name}.part")
        part.write_text(text)
        part.rename(path)

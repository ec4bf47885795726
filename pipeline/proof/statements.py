# SPDX-FileCopyrightText: the iproute2-respin authors
# SPDX-License-Identifier: GPL-2.0-or-later
"""The statements about a run: its report and its lock, in the words of in-toto and SLSA.

Pure: JSON values in, JSON values out. docs/proof.md says what each statement means, and what it
does not. The forms are those of the in-toto attestation framework (Statement v1, ResourceDescriptor
v1, test-result v0.1) and of SLSA (provenance v1); the third predicate is our own.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from pipeline.proof.envelope import canonical

STATEMENT = "https://in-toto.io/Statement/v1"
PROVENANCE = "https://slsa.dev/provenance/v1"
TESTED = "https://in-toto.io/attestation/test-result/v0.1"
RUN = "tag:iproute2-respin,2026:run/v1"
"""Our own predicate: every file of a run's directory. A tag URI (RFC 4151) leads nowhere."""
BUILD = "tag:iproute2-respin,2026:build/v1"
"""Our SLSA buildType."""
BUILDER = "tag:iproute2-respin,2026:builder/v1"
ELSEWHERE = "elsewhere"
"""The report's word for packages that respin did not build."""
KINDS = (PROVENANCE, TESTED, RUN)

JSON = dict[str, Any]


def of_run(
    report: Mapping[str, Any],
    lock: Mapping[str, Any],
    files: Mapping[str, str],
    *,
    fixes: Mapping[str, str],
    begun: datetime,
    ended: datetime,
    made: bool = True,
) -> tuple[JSON, ...]:
    """Return the statements of a run with this report and this lock.

    ``files`` are all files of its directory with their SHA-256; ``fixes`` the SHA-256 of each fix
    that was asked for (``digest_of``). Unless respin ``made`` the packages, no statement says who
    did. The last statement lists the others by their SHA-256, so that none can be taken away.
    """
    elsewhere = (report["built"] or {}).get("container") == ELSEWHERE
    provenance = _provenance(report, lock, fixes, begun, ended) if made and not elsewhere else ()
    others = [*provenance, *_tested(report)]
    return (*others, _run(report, files, others, ended))


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return the SHA-256 of a directory's content: that of what sha256sum prints of its files.

    ``files`` have paths relative to the directory; they are sorted as bytes.
    """
    lines = (f"{hashlib.sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _provenance(
    report: Mapping[str, Any],
    lock: Mapping[str, Any],
    fixes: Mapping[str, str],
    begun: datetime,
    ended: datetime,
) -> Iterable[JSON]:
    """Yield what was made, and from what: nothing if the run made nothing."""
    patched, built = report["patched"], report["built"]
    if not patched:
        return
    debs = [(deb["path"], deb["sha256"]) for deb in (built or {}).get("debs", ())]
    source = {k: lock["source"][k] for k in ("name", "version", "kind", "origin")}
    definition = {
        "buildType": BUILD,
        "externalParameters": {
            "architecture": lock.get("architecture", ""),
            "fixes": lock["fixes"],
            **({"patches": lock["patches"]} if lock.get("patches") else {}),
            "number": lock["number"],
            "pockets": lock["pockets"],
            "release": lock["release"],
            "source": source,
        },
        "internalParameters": {k: built[k] for k in ("container", "cross", "image")}
        if built
        else {},
        "resolvedDependencies": [
            *_sources(lock),
            *_packages(report, (built or {}).get("root", ()), "build root"),
            *_guest(report, lock),
            {
                "name": "iproute2-respin",
                "uri": f"pkg:generic/iproute2-respin@{quote(report['tool_version'])}",
                "annotations": {"role": "respin"},
            },
            *(
                {"name": f"patches/{name}", "digest": {"sha256": sha}, "annotations": role("fix")}
                for name, sha in fixes.items()
            ),
            *(
                {
                    "name": f"user-patches/{each['name']}",
                    "digest": {"sha256": each["sha256"]},
                    "annotations": role("user's patch"),
                }
                for each in lock.get("patches", ())
            ),
        ],
    }
    details = {
        "builder": {"id": BUILDER, "version": {"iproute2-respin": report["tool_version"]}},
        "metadata": {"startedOn": rfc3339(begun), "finishedOn": rfc3339(ended)},
    }
    yield _statement(
        [(patched["dsc"], patched["sha256"]), *debs],
        PROVENANCE,
        {"buildDefinition": definition, "runDetails": details},
    )


def role(of: str) -> dict[str, str]:
    """Return the annotation that says what a dependency was used for."""
    return {"role": of}


def _sources(lock: Mapping[str, Any]) -> Iterable[JSON]:
    for file in lock["source"]["files"]:
        digest = {"sha256": file["sha256"]}
        yield {"name": file["name"], "digest": digest, "annotations": role("source")}


def _guest(report: Mapping[str, Any], lock: Mapping[str, Any]) -> Iterable[JSON]:
    guest = lock["guest"] or {"root": (), "kernel": ()}
    yield from _packages(report, guest["root"], "guest")
    yield from _packages(report, guest["kernel"], "guest kernel")
    yield from _packages(report, [lock["control"]] if lock["control"] else [], "control")


def _packages(
    report: Mapping[str, Any], packages: Iterable[Mapping[str, str]], of: str
) -> Iterable[JSON]:
    """Yield packages by their package URLs (github.com/package-url, type deb)."""
    distro = report["source"]["release"]["distro"]
    for each in packages:
        version, arch = quote(each["version"], safe=".+~-"), quote(each["architecture"])
        uri = f"pkg:deb/{quote(distro)}/{quote(each['name'])}@{version}?arch={arch}"
        digest = {"digest": {"sha256": each["sha256"]}} if each["sha256"] else {}
        yield {"name": each["name"], "uri": uri, **digest, "annotations": role(of)}


def _tested(report: Mapping[str, Any]) -> Iterable[JSON]:
    """Yield what the smoke test saw, with its negative control: nothing without one of ours."""
    smoke, built = report["smoke"], report["built"]
    if not smoke:
        return
    named: dict[str, list[str]] = {"passedTests": [], "warnedTests": [], "failedTests": []}
    for row in smoke["cases"]:
        for when in ("before", "after"):
            cell = row[when]
            if cell and cell["expected"] != "any":
                text = f"{row['case']} {row['way']} {when}: {cell['seen']}"
                possible = "passedTests" if cell["seen"] != "not-possible" else "warnedTests"
                named[possible if cell["ok"] else "failedTests"].append(text)
    worst = [
        name for key, name in (("failedTests", "FAILED"), ("warnedTests", "WARNED")) if named[key]
    ]
    passed = "PASSED" if named["passedTests"] else "WARNED"
    control = [(file["path"], file["sha256"]) for file in report["control"]]
    # Only the package with tc and ip, of the source's name, is put into the guest.
    ours = f"debs/{report['source']['name']}_"
    debs = [
        (deb["path"], deb["sha256"])
        for deb in (built or {}).get("debs", ())
        if deb["path"].startswith(ours)
    ]
    if built and not debs:
        return  # the distro's package is not what this is about
    kernel = list(_packages(report, filter(None, [smoke["kernel_package"]]), "guest kernel"))
    place = {
        key: str(smoke.get(key) or "")
        for key in ("place", "kernel", "accelerator", "machine", "before", "after")
    }
    yield _statement(
        debs or control,
        TESTED,
        {
            "result": worst[0] if worst else passed,
            "configuration": [
                {
                    "name": "smoke test",
                    "uri": "tag:iproute2-respin,2026:smoke-test/v1",
                    "annotations": {
                        **place,
                        "packages": list(smoke["packages"]),
                        "loaders": list(smoke["loaders"]),
                    },
                },
                *kernel,
                *({**each, "annotations": role("before")} for each in (_named(control))),
            ],
            **{key: value for key, value in named.items() if value},
        },
    )


def _run(
    report: Mapping[str, Any],
    files: Mapping[str, str],
    others: Sequence[JSON],
    ended: datetime,
) -> JSON:
    source = report["source"]
    return _statement(
        sorted(files.items()),
        RUN,
        {
            "outcome": report["outcome"],
            "tool": {"name": report["tool"], "version": report["tool_version"]},
            "release": source["release"]["codename"],
            "source": {"name": source["name"], "version": source["version"]},
            "unverified": list(report["unverified"]),
            "finishedOn": rfc3339(ended),
            "statements": [
                {
                    "predicateType": each["predicateType"],
                    "sha256": hashlib.sha256(canonical(each)).hexdigest(),
                }
                for each in others
            ],
        },
    )


def _statement(subjects: Iterable[tuple[str, str]], kind: str, predicate: JSON) -> JSON:
    return {
        "_type": STATEMENT,
        "subject": _named(subjects),
        "predicateType": kind,
        "predicate": predicate,
    }


def _named(files: Iterable[tuple[str, str]]) -> list[JSON]:
    """Return files, by path and SHA-256, as resource descriptors."""
    return [{"name": name, "digest": {"sha256": sha256}} for name, sha256 in files]


def rfc3339(when: datetime) -> str:
    """Return a time as JSON forms have it."""
    return when.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

# SPDX-License-Identifier: Apache-2.0
"""The machine that a job runs on, as far as it counts: one fingerprint, and digests of files outside the repository."""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

IMAGE_VARIABLES = (
    "ImageOS",
    "ImageVersion",
    "RUNNER_OS",
    "RUNNER_ARCH",
    "CI_JOB_IMAGE",
    "BUILDKITE_AGENT_META_DATA_OS",
)
"""Variables by which providers say what image a job runs on."""
TEXT = "text"
ABSENT = "absent"
"""In place of a digest, where nothing is."""
NAMES = "names "
"""With this begins the digest of a folder's names."""
_LARGE = 64 << 20
_RELEASE = "/etc/os-release"


def fingerprint(text: str | None, environ: Mapping[str, str]) -> dict[str, str]:
    """What counts of this machine: `text`, when the user gave one, and nothing else."""
    if text is not None:
        return {TEXT: text}
    import platform  # what a check does not need is not imported, here and below

    found = {"architecture": platform.machine().lower(), "os": _release()}
    return found | {name: environ[name] for name in IMAGE_VARIABLES if environ.get(name)}


def _release() -> str:
    """Name and version of the operating system."""
    import platform

    try:
        with open(_RELEASE, encoding="utf-8", errors="replace") as file:
            fields = dict(line.rstrip("\n").split("=", 1) for line in file if "=" in line)
    except OSError:
        return f"{platform.system()} {platform.release()}"
    return " ".join(fields.get(name, "").strip("\"'") for name in ("ID", "VERSION_ID")).strip()


def digest_of(path: str) -> str:
    """SHA-256 of a file, or what it is instead; a link counts as what it leads to."""
    import hashlib

    try:
        if not os.path.isfile(path):  # a FIFO would be waited for
            return "no file" if os.path.exists(path) else ABSENT
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError):
        return "unreadable"


def digest_of_untracked(path: str) -> str:
    """What counts of an untracked input: the file, whether it is executable, and where a link leads."""
    found = digest_of(path)
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            return f"link {digest_of_text(path, os.readlink(path))} {found}"
    except (OSError, ValueError):
        return found
    return f"executable {found}" if stat.S_ISREG(mode) and mode & 0o100 else found


def digest_of_names(path: str) -> str:
    """What counts of a folder that was listed, or what is there instead."""
    try:
        return digest_of_listed(os.fsencode(name) for name in os.listdir(path))
    except OSError:
        return digest_of(path)


def digest_of_listed(names: Iterable[bytes]) -> str:
    """The same of names; what Python keeps there is its own affair."""
    import hashlib

    data = b"\0".join(sorted(name for name in names if name != b"__pycache__"))
    return NAMES + hashlib.sha256(data).hexdigest()


def digest_of_text(name: str, value: str | None) -> str:
    """What is kept of a variable's value: nobody can read it there."""
    if value is None:
        return "unset"
    import hashlib

    return hashlib.sha256(f"{name}={value}".encode("utf-8", "surrogateescape")).hexdigest()


def digest_of_left(place: str) -> str:
    """What tells apart what a run left at a path, a folder with all below: names, modes and content.

    Of a large file its size and time of change stand for its content.
    """
    import hashlib

    rows, pending = [], [os.fsencode(place)]
    while pending:
        path = pending.pop()
        try:
            found = os.lstat(path)
            told = b"folder"
            if stat.S_ISDIR(found.st_mode):
                pending += [os.path.join(path, name) for name in os.listdir(path) if name != b"__pycache__"]
            else:
                large = f"{found.st_size} {found.st_mtime_ns}" if found.st_size > _LARGE else ""
                told = b"%o %s" % (found.st_mode, (large or _link_or_file(os.fsdecode(path))).encode())
        except OSError:
            told = ABSENT.encode()
        rows.append(path[len(os.fsencode(place)) :] + b"\0" + told)
    return hashlib.sha256(b"\0".join(sorted(rows))).hexdigest()


def outside_digests(paths: Iterable[str]) -> dict[str, str]:
    """The digest of each file outside the repository, and of each link that led to one."""
    return {path: _link_or_file(path) for path in sorted(set(paths))}


def _link_or_file(path: str) -> str:
    try:
        return f"link {digest_of_text(path, os.readlink(path))}"
    except OSError:
        return digest_of(path)

# SPDX-License-Identifier: Apache-2.0
"""What REAPI's `ActionResult` says of a run's outputs beside our effects, and whether the two agree.

Files and links are listed in the message as well, so that a cache that checks completeness keeps their blobs alive and
other clients can show them. Outputs outside the root are listed below `OUTSIDE`, since REAPI's paths are relative.
"""

from __future__ import annotations

from pytrace_cas.reapi import OutputFile, OutputSymlink
from pytrace_cas.recorded.effect_entries import Symlink
from pytrace_cas.recorded.names import outside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_cas.reapi import ActionResult
    from pytrace_cas.recorded.effects import Effects

OUTSIDE = ".pytrace/outside/"


class InconsistentResult(ValueError):
    """An `ActionResult` that does not say what its effects say; `what` names the difference."""

    def __init__(self, what: str) -> None:
        super().__init__(f"the result and its effects differ: {what}")
        self.what = what


def output_files(effects: Effects) -> list[OutputFile]:
    """Return the message's files, in the order of the effects; that of the effects themselves is the caller's."""
    return [
        OutputFile(path=_listed(file.path), digest=file.digest, is_executable=bool(file.mode & 0o100))
        for file in effects.files()
    ]


def output_symlinks(effects: Effects) -> list[OutputSymlink]:
    """Return the message's symbolic links, in the order of the effects."""
    links = (entry for entry in effects.entries if isinstance(entry, Symlink))
    return [OutputSymlink(path=_listed(link.path), target=link.target.decode()) for link in links]


def check_result(effects: Effects, result: ActionResult) -> None:
    """Raise `InconsistentResult` unless the message lists every output of the effects, and the same exit code."""
    files = {file.path: file for file in result.output_files}
    for file in output_files(effects):
        listed = files.get(file.path)
        if listed is None or (listed.digest, listed.is_executable) != (file.digest, file.is_executable):
            raise InconsistentResult(f"output file {file.path}")
    links = {link.path: link for link in result.output_symlinks}
    for link in output_symlinks(effects):
        if link.path not in links or links[link.path].target != link.target:
            raise InconsistentResult(f"output link {link.path}")
    if result.exit_code != effects.exit_code:
        raise InconsistentResult("exit code")
    for descriptor, raw, digest in (
        (1, result.stdout_raw, result.stdout_digest),
        (2, result.stderr_raw, result.stderr_digest),
    ):
        if sum(length for number, length in effects.streams if number == descriptor) != _size(raw, digest):
            raise InconsistentResult(f"length of descriptor {descriptor}")


def _size(raw: bytes, digest: Digest | None) -> int:
    return digest.size_bytes if digest is not None else len(raw)


def _listed(name: bytes) -> str:
    return (OUTSIDE + name.decode().lstrip("/")) if outside(name) else name.decode()

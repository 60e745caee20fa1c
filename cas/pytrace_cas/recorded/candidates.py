# SPDX-License-Identifier: Apache-2.0
"""What stands in the action cache under a weak key: the path sets seen for it, and an index (DESIGN 3.2)."""

from __future__ import annotations

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.reapi import ActionResult, OutputFile

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_SETS = 32
INDEX = "index"
_SETS = "sets/"
_VERSION = b"pytrace index 1"


class Candidates:
    """Path sets of one weak key, most recently useful first; each with the strong key it last led to."""

    __slots__ = ("sets",)

    def __init__(self, sets: Iterable[tuple[Digest, Digest]] = ()) -> None:
        self.sets = list(sets)

    def path_sets(self) -> list[Digest]:
        """The path sets alone."""
        return [path_set for path_set, _ in self.sets]

    def first(self, path_set: Digest, action: Digest) -> Candidates:
        """The same with one path set put first, within the bound."""
        others = [pair for pair in self.sets if pair[0] != path_set]
        return Candidates([(path_set, action), *others][:MAX_SETS])

    def united(self, other: Candidates) -> Candidates:
        """These first, then what only the other has, within the bound."""
        known = {path_set for path_set, _ in self.sets}
        return Candidates([*self.sets, *(pair for pair in other.sets if pair[0] not in known)][:MAX_SETS])

    def index(self) -> bytes:
        """The canonical form of the index: one line a path set, in order, with the strong key it last led to."""
        return b"\n".join([_VERSION, *(f"{path_set} {action}".encode() for path_set, action in self.sets), b""])

    def result(self, index: Digest) -> ActionResult:
        """The entry of the action cache; as output files the sets stay alive where completeness is checked."""
        files = [OutputFile(path=_SETS + path_set.hash, digest=path_set) for path_set, _ in self.sets]
        return ActionResult(output_files=[*files, OutputFile(path=INDEX, digest=index)])


def index_digest(result: ActionResult) -> Digest | None:
    """The digest of an entry's index; None when the entry is not one of ours."""
    return next((file.digest for file in result.output_files if file.path == INDEX), None)


def parse_index(data: bytes) -> Candidates:
    """Read an index; what cannot be read is no candidate."""
    lines = data.split(b"\n")
    sets = []
    for line in lines[1:] if lines[0] == _VERSION else ():
        try:
            path_set, action = line.decode("ascii").split(" ")
            sets.append((Digest.parse(path_set), Digest.parse(action)))
        except (ValueError, UnicodeError, MalformedDigest):
            continue
    return Candidates(sets)

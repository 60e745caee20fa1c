# SPDX-License-Identifier: Apache-2.0
"""Path sets: what a run looked at, without what it saw (DESIGN 3.2).

Canonical form: a first line with the version, then one line a subject, then one line a produced path, each group
sorted. Paths are written with places substituted, arguments percent-escaped, `-` standing for none.
"""

from __future__ import annotations

from pytrace_cas.recorded.subjects import decode_subject, encode_subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.recorded.places import Places
    from pytrace_cas.recorded.subjects import Subject

_VERSION = b"pytrace path set 1"


class MalformedPathSet(ValueError):
    """Bytes that are no path set this version reads; a look-up passes over it."""


class PathSet:
    """Sorted subjects and the paths that the run produced."""

    __slots__ = ("produced", "subjects")

    def __init__(self, subjects: Iterable[Subject], produced: Iterable[bytes]) -> None:
        self.subjects = tuple(subjects)
        self.produced = tuple(produced)

    def encode(self, places: Places) -> bytes:
        """Return the canonical form."""
        facts = sorted(b"fact " + encode_subject(subject, places) for subject in self.subjects)
        made = sorted(b"made " + places.encode_path(path) for path in self.produced)
        return b"\n".join([_VERSION, *facts, *made, b""])

    @classmethod
    def decode(cls, data: bytes, places: Places) -> PathSet:
        """Read the canonical form; raise `MalformedPathSet` for anything else."""
        lines = data.split(b"\n")
        if lines[0] != _VERSION or lines[-1] != b"":
            raise MalformedPathSet("another version, or cut short")
        subjects, produced = [], []
        try:
            for line in lines[1:-1]:
                word, _, rest = line.partition(b" ")
                if word == b"fact":
                    subjects.append(decode_subject(rest, places))
                elif word == b"made":
                    produced.append(places.decode_path(rest))
                else:
                    raise MalformedPathSet(f"a line starts with {word!r}")
        except (ValueError, IndexError, UnicodeError) as error:
            raise MalformedPathSet(str(error)) from None
        return cls(subjects, produced)

# SPDX-License-Identifier: Apache-2.0
"""How the values of a result's facts differ from today's, in the words of those who changed them."""

from __future__ import annotations

import os

from pytrace_cas.explained.reasons import reason
from pytrace_cas.recorded.subjects import Subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from pytrace_cas.recorded.places import Places

_ABSENT = (b"ENOENT", b"ENOTDIR")
_FIRST = ("content", "status", "listing", "link", "access", "error", "change", "target")
"""Of several differences at one path that mean the same, the one whose values say most."""

_BY_KIND = {
    "attribute": "attribute_changed",
    "fact": "machine_changed",
    "link": "link_changed",
    "listing": "listing_changed",
    "order": "order_changed",
}
_OPTION = "option "
STREAMS = {
    "stdin": "content of standard input",
    "kind 0": "standard input",
    "kind 1": "standard output",
    "kind 2": "standard error",
}
"""What stream subjects are called."""
_EXECUTED = str(os.X_OK)
_SECRET = b"= sha256:"
HIDDEN = "(not shown)"
"""What stands for the value of a secret, of which a hash is stored."""


class Comparison:
    """Stored values against today's. `produced`: paths that the stored run made, removed or changed."""

    def __init__(self, stored: Mapping[Subject, bytes], today: Callable[[Subject], bytes], places: Places) -> None:
        self._places = places
        self._tools = {s.paths[0] for s in stored if s.kind == "access" and s.arg == _EXECUTED}
        values = ((subject, old, today(subject)) for subject, old in stored.items())
        self.differing = sorted(
            ((subject, old, new) for subject, old, new in values if old != new), key=lambda item: _rank(item[0])
        )

    def reasons(self, produced: Collection[bytes], digest: Callable[[bytes], str]) -> Iterator[dict[str, object]]:
        """One reason for each path and meaning; `digest` tells that of a file that is new."""
        told: set[tuple[str, object]] = set()
        for subject, old, new in self.differing:
            code = self._code(subject, old, new, produced)
            key = code, subject.paths or subject.arg
            if key in told or ("new_file", subject.paths) in told or ("input_removed", subject.paths) in told:
                continue
            told.add(key)
            yield self._reason(code, subject, old, new, digest)

    def _code(self, subject: Subject, old: bytes, new: bytes, produced: Collection[bytes]) -> str:
        if subject.kind in ("identity", "variable", "stream"):
            meanings = {"identity": "belongs_to_checkout", "variable": "environment_changed"}
            return meanings.get(subject.kind, "stream_changed")
        path = subject.paths[0] if subject.paths else None
        if option_of(subject) is not None:
            return "options_changed"
        if path in produced and subject.kind not in ("listing", "order"):
            return "output_differs"
        if subject.kind != "order" and (old in _ABSENT) != (new in _ABSENT):
            return "new_file" if old in _ABSENT else "input_removed"
        if path in self._tools and subject.kind in ("content", "status", "access"):
            return "tool_changed"
        return _BY_KIND.get(subject.kind, "output_differs" if subject.kind == "target" else "inputs_changed")

    def _reason(
        self, code: str, subject: Subject, old: bytes, new: bytes, digest: Callable[[bytes], str]
    ) -> dict[str, object]:
        if subject.kind == "order":
            names = [self._places.readable(path) for path in subject.paths if path.startswith(self._places.root)]
            told = reason(code, None, name=", ".join(names) or f"{len(subject.paths)} files")
            return {**told, "old": os.fsdecode(old), "new": os.fsdecode(new)}
        before, now = _shown(subject, old, new), _shown(subject, new, old)
        if not subject.paths:
            return reason(code, None, before, now, name=_name(subject))
        path = subject.paths[0]
        if code == "new_file":
            found = digest(path)
            before, now = "absent", found if "/" in found else now
        return reason(code, path, before, now, shown=self._places.readable(path))


def option_of(subject: Subject) -> str | None:
    """The option that a subject says something of, if it does."""
    if subject.kind != "fact" or not subject.arg.startswith(_OPTION):
        return None
    return "--" + subject.arg.removeprefix(_OPTION).replace("_", "-")


def _name(subject: Subject) -> str:
    """What concerns no path, as people call it."""
    return STREAMS[subject.arg] if subject.kind == "stream" else option_of(subject) or subject.arg


def _rank(subject: Subject) -> tuple[int, Subject]:
    return (_FIRST.index(subject.kind) if subject.kind in _FIRST else len(_FIRST)), subject


def _shown(subject: Subject, value: bytes, other: bytes) -> str | None:
    """A value for people; of a status only what tells it from the other one."""
    if value in _ABSENT:
        return "absent"
    if subject.kind in ("identity", "variable"):
        if value.startswith(_SECRET):
            return HIDDEN
        return None if value == b"unset" else os.fsdecode(value.removeprefix(b"= "))
    if subject.kind == "link":
        return os.fsdecode(value.removeprefix(b"-> "))
    if subject.kind == "status" and b" " in value and b" " in other:
        return _status(value.split(b" "), other.split(b" "))
    return os.fsdecode(value)


def _status(words: list[bytes], others: list[bytes]) -> str:
    if words[0] == b"symlink":
        return "-> " + os.fsdecode(bytes.fromhex(words[1].decode()))
    if len(words) == len(others):
        words = [word for word, other in zip(words, others, strict=True) if word != other]
    return os.fsdecode(b" ".join(words))

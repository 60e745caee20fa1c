# SPDX-License-Identifier: Apache-2.0
"""What was invalidated, as a set of lines that only grows: so that any two of them unite in any order (DESIGN 10).

A line is a key, a space and a text that nobody but `pytrace_exec` reads. The set stands in the generations of a
store, and in the action cache of a remote under a key that everybody knows.
"""

from __future__ import annotations

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import Action, ActionResult, Command, Directory, Platform, Property

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.digest import DigestFunction

LONGEST_LINE = 1 << 13
"""Bytes of a line, less its end."""
MOST_LINES = 10_000
"""Lines that a ledger of ours takes from others."""
WHOLE_STORE = "store"
"""The place of what concerns a store whatever the instance."""
_VERSION = b"pytrace generations 1"
_KEY_SIGNS = frozenset("0123456789abcdefghijklmnopqrstuvwxyz-")


class MalformedLedger(ValueError):
    """Bytes that are no ledger which this version reads."""


class Ledger:
    """Lines by their keys. Uniting is commutative, associative and idempotent; nothing is ever taken out."""

    __slots__ = ("lines",)

    def __init__(self, lines: Mapping[str, str] | None = None) -> None:
        self.lines = dict(lines or {})

    def __bool__(self) -> bool:
        return bool(self.lines)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ledger) and self.lines == other.lines

    __hash__ = None  # type: ignore[assignment]

    def united(self, other: Ledger) -> Ledger:
        """What either has; of two texts under one key the one that sorts first."""
        found = dict(self.lines)
        for key, text in other.lines.items():
            found[key] = min(text, found.get(key, text))
        return Ledger(found)

    def holds(self, other: Ledger) -> bool:
        """Whether nothing of the other is missing here."""
        return self.lines.keys() >= other.lines.keys()

    def encode(self) -> bytes:
        """The canonical form: a line with the version, then every line, sorted, LF after each."""
        lines = sorted(f"{key} {text}" for key, text in self.lines.items())
        return b"\n".join([_VERSION, *(line.encode() for line in lines), b""])

    @classmethod
    def decode(cls, data: bytes) -> Ledger:
        """Read the canonical form; raise `MalformedLedger`."""
        version, *lines = data.split(b"\n")
        if version != _VERSION or not lines or lines.pop() != b"":
            raise MalformedLedger("it is of another version, or cut short")
        found = {}
        for line in lines:
            key, space, text = _decoded(line).partition(" ")
            if not space or not 0 < len(key) <= 64 or not _KEY_SIGNS.issuperset(key) or min(text, default=" ") < " ":
                raise MalformedLedger("a line is no key and a text")
            found[key] = text
        return cls(found)

    def result(self) -> ActionResult:
        """What stands in an action cache."""
        return ActionResult(stdout_raw=self.encode())


def _decoded(line: bytes) -> str:
    if len(line) > LONGEST_LINE:
        raise MalformedLedger(f"a line has more than {LONGEST_LINE} bytes")
    try:
        return line.decode()
    except UnicodeDecodeError:
        raise MalformedLedger("a line is not UTF-8") from None


def entry_key(function: DigestFunction, slot: int = 0) -> tuple[Digest, dict[Digest, bytes]]:
    """The key of an instance's ledger in an action cache, and the messages that it is made of, by digest.

    A cache that refuses to change an entry gets the longer ledger in the next slot.
    """
    properties = [Property(name="scheme", value="1"), Property(name="slot", value=str(slot))]
    command = Command(arguments=["pytrace", "generations"], platform=Platform(properties=properties)).encode()
    folder = Directory().encode()
    blobs = {function.of(data): data for data in (command, folder)}
    action = Action(command_digest=function.of(command), input_root_digest=function.of(folder)).encode()
    digest = function.of(action)
    return digest, {**blobs, digest: action}


def of_instance(name: str) -> str:
    """The place of what concerns one instance of a store."""
    return f"instance {name}"


def of_remote(name: str) -> str:
    """The place of what is known of a remote's ledger."""
    return f"remote {name}"


def rows(place: str, ledger: Ledger) -> dict[str, str]:
    """A ledger as generations of a store: one scope a line."""
    return {f"{place}/{key}": text for key, text in ledger.lines.items()}


def ledgers(generations: Mapping[str, str]) -> dict[str, Ledger]:
    """The ledgers among a store's generations, by place."""
    found: dict[str, Ledger] = {}
    for scope, text in generations.items():
        place, slash, key = scope.rpartition("/")
        if slash and (place == WHOLE_STORE or place.startswith(("instance ", "remote "))):
            found.setdefault(place, Ledger()).lines[key] = text
    return found

# SPDX-License-Identifier: Apache-2.0
"""Reading stored keys back: the command, the salt, and what every fact of a result was worth (DESIGN 3.3)."""

from __future__ import annotations

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import Action, Command, Directory, MalformedMessage
from pytrace_cas.recorded.places import MalformedText, unescape
from pytrace_cas.recorded.scheme import FACTS, TOPS
from pytrace_cas.recorded.subjects import MalformedSubject, Subject, decode_subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import TypeAlias

    from pytrace_cas.recorded.places import Places

    Get: TypeAlias = Callable[[Digest], bytes]

_SIGNS = {name: sign for sign, name in TOPS.items()} | {"abs": b""}
MAX_DEPTH = 512


class MalformedKey(ValueError):
    """Blobs that are no key this version wrote: a foreign action's, or one of another scheme."""


class StoredKey:
    """A key that was read back: `action` and `command` as stored, `values` of its facts in terms of some places.

    A weak key has no facts but the content of declared inputs.
    """

    __slots__ = ("action", "command", "digest", "values")

    def __init__(self, digest: Digest, action: Action, command: Command, values: dict[Subject, bytes]) -> None:
        self.digest = digest
        self.action = action
        self.command = command
        self.values = values


def read_command(get: Get, digest: Digest, known: dict[Digest, Command] | None = None) -> tuple[Action, Command]:
    """The action of a digest, and its command; raise `BlobMissing` or `MalformedKey`. `known`: commands read before."""
    commands = {} if known is None else known
    try:
        action = Action.decode(get(digest))
        named = action.command_digest
        if named is None or action.input_root_digest is None:
            raise MalformedKey(f"{digest} is no action")
        if named not in commands:
            commands[named] = Command.decode(get(named))
        return action, commands[named]
    except MalformedMessage as error:
        raise MalformedKey(str(error)) from None


def read_key(get: Get, digest: Digest, places: Places) -> StoredKey:
    """All of a key; `places` are those in whose terms paths are told. Raise `BlobMissing` or `MalformedKey`."""
    action, command = read_command(get, digest)
    assert action.input_root_digest is not None
    try:
        root = Directory.decode(get(action.input_root_digest))
        values = dict(_content(get, root, places))
        facts = next((file.digest for file in root.files if file.name == FACTS), None)
        if facts is not None:
            values.update(_fact(line, places) for line in get(facts).split(b"\n") if line)
    except (MalformedMessage, MalformedSubject, MalformedText, UnicodeError) as error:
        raise MalformedKey(str(error)) from None
    return StoredKey(digest, action, command, values)


def variables(command: Command) -> dict[str, str]:
    """The variables that count always, as stored."""
    return {variable.name: variable.value for variable in command.environment_variables}


def properties(command: Command) -> dict[str, str]:
    """The properties of its platform."""
    return {item.name: item.value for item in command.platform.properties} if command.platform else {}


def _fact(line: bytes, places: Places) -> tuple[Subject, bytes]:
    """Read one line: a subject, then its escaped value, in neither of which a space is left."""
    subject, sign, value = line.rpartition(b" = ")
    if not sign:
        raise MalformedKey(f"a fact without value: {line!r}")
    return decode_subject(subject, places), unescape(value)


def _content(get: Get, root: Directory, places: Places) -> Iterator[tuple[Subject, bytes]]:
    """Every file of the Merkle tree as the content of its path."""
    for top in root.directories:
        sign = _SIGNS.get(top.name)
        if sign is None:
            raise MalformedKey(f"a folder {top.name!r} that is no place")
        for below, digest in _files(get, top.digest, b"", 0):
            yield Subject("content", "", places.decode_path(sign + below)), str(digest).encode()


def _files(get: Get, digest: Digest | None, path: bytes, depth: int) -> Iterator[tuple[bytes, Digest]]:
    if digest is None or depth > MAX_DEPTH:
        raise MalformedKey("a folder without digest, or nested too deeply")
    directory = Directory.decode(get(digest))
    for file in directory.files:
        if file.digest is not None:
            yield path + b"/" + _component(file.name), file.digest
    for folder in directory.directories:
        yield from _files(get, folder.digest, path + b"/" + _component(folder.name), depth + 1)


def _component(name: str) -> bytes:
    """Undo `messages._node_name`, and the mark of a folder beside a file of the same name."""
    return b".." if name == "%2E%2E" else name.encode().removesuffix(b"%2F")

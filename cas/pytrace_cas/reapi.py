# SPDX-License-Identifier: Apache-2.0
"""REAPI's messages as plain values, with the protobuf wire format written out.

The wrapper makes keys out of these on every run; importing protobuf would cost it more than all the rest of
a hit. Fields that are not named here are skipped when reading. Canonical: fields in ascending order, defaults
left out, so that equal values have equal bytes. A test holds every message against protobuf's own.
"""

from __future__ import annotations

from pytrace_cas.digest import Digest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Self, dataclass_transform
else:

    def dataclass_transform(**_options):
        """Stand in for `typing.dataclass_transform`, whose import costs more than a look-up."""
        return lambda cls: cls


INT, BOOL, STRING, BYTES = "int", "bool", "string", "bytes"
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_EXECUTION_METADATA = 9  # of ActionResult


class MalformedMessage(ValueError):
    """Bytes that are no message of the kind that was asked for: `kind` is its name, `why` what is wrong."""

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"not a {kind} message: {why}")
        self.kind = kind
        self.why = why


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    shift = value = 0
    while True:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & ((1 << 64) - 1), at
        shift += 7
        if shift > 63:
            raise IndexError


@dataclass_transform(kw_only_default=True)
class _Fields:
    """What the type checker knows of a message: its annotations are keyword arguments."""


class Message(_Fields):
    """A message whose `FIELDS` are rows of number, name, type (or message class), repeated.

    Subclasses list the same names as annotations. Values compare by content.
    """

    FIELDS: tuple[tuple[int, str, Any, bool], ...] = ()
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, **values: Any) -> None:
        for _, name, kind, repeated in self.FIELDS:
            setattr(self, name, values.pop(name, None) if name in values else _default(kind, repeated))
        if values:
            raise TypeError(f"{type(self).__name__} has no field {sorted(values)[0]!r}")

    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and self.__dict__ == other.__dict__

    def __repr__(self) -> str:
        inner = ", ".join(f"{name}={getattr(self, name)!r}" for _, name, _, _ in self.FIELDS if getattr(self, name))
        return f"{type(self).__name__}({inner})"

    def encode(self) -> bytes:
        """Return the canonical wire form."""
        out = bytearray()
        for number, name, kind, repeated in self.FIELDS:
            value = getattr(self, name)
            for item in value if repeated else (value,):
                if repeated or item not in (None, 0, "", b"", False):
                    out += _encode_field(number, kind, item)
        return bytes(out)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read the wire form; raise `MalformedMessage`. Unknown fields are skipped."""
        message = cls()
        known = {number: (name, kind, repeated) for number, name, kind, repeated in cls.FIELDS}
        try:
            for number, wire, value in _split(data):
                if number in known:
                    name, kind, repeated = known[number]
                    item = _decode_value(kind, wire, value)
                    if repeated:
                        getattr(message, name).append(item)
                    else:
                        setattr(message, name, item)
        except MalformedMessage:
            raise
        except (IndexError, ValueError, AttributeError, TypeError) as error:
            raise MalformedMessage(cls.__name__, str(error) or "it ends too early") from None
        return message


def _default(kind: Any, repeated: bool) -> Any:
    if repeated:
        return []
    return {INT: 0, BOOL: False, STRING: "", BYTES: b""}.get(kind) if isinstance(kind, str) else None


def _encode_digest(digest: Digest) -> bytes:
    out = b""
    if digest.hash:
        out += b"\x0a" + varint(len(digest.hash)) + digest.hash.encode("ascii")
    return out + (b"\x10" + varint(digest.size_bytes) if digest.size_bytes else b"")


def _encode_field(number: int, kind: Any, value: Any) -> bytes:
    if kind in (INT, BOOL):
        return varint(number << 3 | _VARINT) + varint(int(value))
    if kind == STRING:
        body = value.encode("utf-8")
    elif kind == BYTES:
        body = value
    else:
        body = _encode_digest(value) if kind is Digest else value.encode()
    assert isinstance(body, bytes)
    return varint(number << 3 | _LENGTH) + varint(len(body)) + body


def _split(data: bytes) -> Iterator[tuple[int, int, Any]]:
    at, end = 0, len(data)
    while at < end:
        tag, at = read_varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == _VARINT:
            value: Any
            value, at = read_varint(data, at)
        else:
            if wire == _LENGTH:
                length, at = read_varint(data, at)
            elif wire in (_FIXED32, _FIXED64):
                length = 4 if wire == _FIXED32 else 8
            else:
                raise ValueError(f"wire type {wire}")
            value, at = data[at : at + length], at + length
            if at > end:
                raise IndexError
        yield number, wire, value


def _decode_value(kind: Any, wire: int, value: Any) -> Any:
    if (wire == _VARINT) != (kind in (INT, BOOL)) or wire not in (_VARINT, _LENGTH):
        raise ValueError("a field has another type")
    if kind == INT:
        return value - (1 << 64) if value >= 1 << 63 else value
    if kind == BOOL:
        return bool(value)
    if kind == STRING:
        return value.decode("utf-8")
    if kind == BYTES:
        return bytes(value)
    if kind is Digest:
        return _decode_digest(value)
    return kind.decode(value)


def _decode_digest(data: bytes) -> Digest:
    name, size = "", 0
    for number, wire, value in _split(data):
        if number == 1:
            name = _decode_value(STRING, wire, value)
        elif number == 2:
            size = _decode_value(INT, wire, value)
    return Digest(name, size)


class EnvironmentVariable(Message):
    """`Command.EnvironmentVariable`."""

    name: str = ""
    value: str = ""
    FIELDS = ((1, "name", STRING, False), (2, "value", STRING, False))


class Property(Message):
    """`Platform.Property`."""

    name: str = ""
    value: str = ""
    FIELDS = ((1, "name", STRING, False), (2, "value", STRING, False))


class Platform(Message):
    """Requirements of an action; sorted by name, then value."""

    properties: list[Property] = []
    FIELDS = ((1, "properties", Property, True),)


class Command(Message):
    """What is run; environment sorted by name."""

    arguments: list[str] = []
    environment_variables: list[EnvironmentVariable] = []
    platform: Platform | None = None
    working_directory: str = ""
    output_paths: list[str] = []
    FIELDS = (
        (1, "arguments", STRING, True),
        (2, "environment_variables", EnvironmentVariable, True),
        (5, "platform", Platform, False),
        (6, "working_directory", STRING, False),
        (7, "output_paths", STRING, True),
    )


class Action(Message):
    """A command over an input root; its digest is a key of the action cache."""

    command_digest: Digest | None = None
    input_root_digest: Digest | None = None
    do_not_cache: bool = False
    salt: bytes = b""
    platform: Platform | None = None
    FIELDS = (
        (1, "command_digest", Digest, False),
        (2, "input_root_digest", Digest, False),
        (7, "do_not_cache", BOOL, False),
        (9, "salt", BYTES, False),
        (10, "platform", Platform, False),
    )


class FileNode(Message):
    """A file in a `Directory`."""

    name: str = ""
    digest: Digest | None = None
    is_executable: bool = False
    FIELDS = ((1, "name", STRING, False), (2, "digest", Digest, False), (4, "is_executable", BOOL, False))


class DirectoryNode(Message):
    """A sub-folder in a `Directory`."""

    name: str = ""
    digest: Digest | None = None
    FIELDS = ((1, "name", STRING, False), (2, "digest", Digest, False))


class SymlinkNode(Message):
    """A symbolic link in a `Directory`."""

    name: str = ""
    target: str = ""
    FIELDS = ((1, "name", STRING, False), (2, "target", STRING, False))


class Directory(Message):
    """One level of a Merkle tree; each list sorted by name."""

    files: list[FileNode] = []
    directories: list[DirectoryNode] = []
    symlinks: list[SymlinkNode] = []
    FIELDS = (
        (1, "files", FileNode, True),
        (2, "directories", DirectoryNode, True),
        (3, "symlinks", SymlinkNode, True),
    )


class OutputFile(Message):
    """A regular file that an action made."""

    path: str = ""
    digest: Digest | None = None
    is_executable: bool = False
    contents: bytes = b""
    FIELDS = (
        (1, "path", STRING, False),
        (2, "digest", Digest, False),
        (4, "is_executable", BOOL, False),
        (5, "contents", BYTES, False),
    )


class OutputSymlink(Message):
    """A symbolic link that an action made."""

    path: str = ""
    target: str = ""
    FIELDS = ((1, "path", STRING, False), (2, "target", STRING, False))


class Timestamp(Message):
    """`google.protobuf.Timestamp`."""

    seconds: int = 0
    nanos: int = 0
    FIELDS = ((1, "seconds", INT, False), (2, "nanos", INT, False))

    @classmethod
    def of(cls, moment_ns: int) -> Timestamp:
        """Of nanoseconds of Unix time."""
        return cls(seconds=moment_ns // 10**9, nanos=moment_ns % 10**9)


class ExecutedActionMetadata(Message):
    """When an action was executed; what else executors tell is left out."""

    execution_start_timestamp: Timestamp | None = None
    execution_completed_timestamp: Timestamp | None = None
    FIELDS = (
        (7, "execution_start_timestamp", Timestamp, False),
        (8, "execution_completed_timestamp", Timestamp, False),
    )


class ActionResult(Message):
    """What an action gave, less its directories (this project's results name files and links only).

    `execution_metadata` is an encoded `ExecutedActionMetadata`, which a hit has no use for.
    """

    output_files: list[OutputFile] = []
    exit_code: int = 0
    stdout_raw: bytes = b""
    stdout_digest: Digest | None = None
    stderr_raw: bytes = b""
    stderr_digest: Digest | None = None
    execution_metadata: bytes = b""
    output_symlinks: list[OutputSymlink] = []
    FIELDS = (
        (2, "output_files", OutputFile, True),
        (4, "exit_code", INT, False),
        (5, "stdout_raw", BYTES, False),
        (6, "stdout_digest", Digest, False),
        (7, "stderr_raw", BYTES, False),
        (8, "stderr_digest", Digest, False),
        (9, "execution_metadata", BYTES, False),
        (12, "output_symlinks", OutputSymlink, True),
    )

    def needs(self) -> list[Digest]:
        """Return every digest the result refers to."""
        files = [file.digest for file in self.output_files]
        return [digest for digest in (*files, self.stdout_digest, self.stderr_digest) if digest is not None]


def without_times(message: bytes) -> bytes:
    """An encoded `ActionResult` less what says when and where it was made; bytes that are none as they are."""
    kept, at = bytearray(), 0
    try:
        while at < len(message):
            start = at
            tag, at = read_varint(message, at)
            if tag & 7 == _LENGTH:
                length, at = read_varint(message, at)
                at += length
            elif tag & 7 == _VARINT:
                _, at = read_varint(message, at)
            else:
                return message
            if tag >> 3 != _EXECUTION_METADATA:
                kept += message[start:at]
    except IndexError:
        return message
    return bytes(kept)

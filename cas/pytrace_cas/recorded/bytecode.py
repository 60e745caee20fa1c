# SPDX-License-Identifier: Apache-2.0
"""Python's cached bytecode: where it lies (PEP 3147), and the stamp that ties it to its source (PEP 552).

A `.pyc` begins with four bytes of magic and four of flags. With flags of zero there follow the source's modification
time and size, 32 bits each: the stamp. All other flags tie it to the source's content, which is no matter of times.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction

FOLDER = b"__pycache__"
SUFFIX = b".pyc"
_FLAGS = slice(4, 8)
STAMP = slice(8, 16)
_WORD = 0xFFFFFFFF


class Bytecode:
    """What is known of one content of a `.pyc`: its stamp (empty: none), and the digest of the rest (HASH/SIZE)."""

    __slots__ = ("code", "stamp")

    def __init__(self, stamp: bytes, code: str) -> None:
        self.stamp = stamp
        self.code = code


def source_of(path: bytes) -> bytes | None:
    """Path of the source that a `.pyc` in a cache folder belongs to; None for any other path."""
    folder, _, name = path.rpartition(b"/")
    above, _, last = folder.rpartition(b"/")
    if last != FOLDER or not name.endswith(SUFFIX):
        return None
    return above + b"/" + name.partition(b".")[0] + b".py"


def stamp_in(data: bytes) -> bytes:
    """The stamp of a `.pyc`; empty when it has none."""
    return data[STAMP] if len(data) >= STAMP.stop and not any(data[_FLAGS]) else b""


def stamp_for(mtime_ns: int, size: int) -> bytes:
    """The stamp that fits a source of that modification time and size.

    Python rounds the time to a float (as `st_mtime` is) before it drops what is below a second.
    """
    seconds, rest = divmod(mtime_ns, 1_000_000_000)
    return (int(seconds + 1e-9 * rest) & _WORD).to_bytes(4, "little") + (size & _WORD).to_bytes(4, "little")


def split(data: bytes, function: DigestFunction) -> Bytecode:
    """Tell a `.pyc`'s stamp from the rest, which counts as if the stamp were zero."""
    stamp = stamp_in(data)
    rest = data[: STAMP.start] + bytes(len(stamp)) + data[STAMP.stop :] if stamp else data
    return Bytecode(stamp, str(function.of(rest)))

# SPDX-License-Identifier: Apache-2.0
"""The account files, `/etc/passwd` and `/etc/group`: which name has a number, and which number a name (passwd(5))."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PASSWD, GROUP = b"/etc/passwd", b"/etc/group"

_OF_USER, _OF_GROUP = 7, 4


class Asked:
    """The entries that were asked for, by number and by name; `text` is how it stands in a fact's argument."""

    __slots__ = ("names", "numbers")

    def __init__(self, numbers: Iterable[int], names: Iterable[bytes]) -> None:
        self.numbers = frozenset(numbers)
        self.names = frozenset(names)

    @property
    def text(self) -> str:
        """Numbers by commas, a space, and the names in hexadecimal by commas."""
        names = ",".join(name.hex() for name in sorted(self.names))
        return f"{','.join(map(str, sorted(self.numbers)))} {names}"

    @classmethod
    def read(cls, text: str) -> Asked:
        """Read what `text` gave."""
        numbers, _, names = text.partition(" ")
        return cls(map(int, filter(None, numbers.split(","))), map(bytes.fromhex, filter(None, names.split(","))))


def _is_entry(fields: list[bytes]) -> bool:
    """Whether a line is one that is read in one way only."""
    if len(fields) not in (_OF_USER, _OF_GROUP) or not fields[2].isdigit():
        return False
    return fields[0][:1] not in b"+- \t\r\v\f" and (len(fields) == _OF_GROUP or fields[3].isdigit())


def meaning(data: bytes, asked: Asked) -> bytes | None:
    """What a file says of the entries asked for, in canonical form: of each the first that fits.

    None if it cannot be told: a line that is no plain entry, which the C library may read or pass over.
    """
    by_number: dict[int, bytes] = {}
    by_name: dict[bytes, int] = {}
    for line in data.split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        fields = line.split(b":")
        if not _is_entry(fields):
            return None
        name, number = fields[0], int(fields[2])
        by_number.setdefault(number, name)
        by_name.setdefault(name, number)
    named = (b"%d=%s\n" % (number, by_number.get(number, b"")) for number in sorted(asked.numbers))
    numbered = (b"%s=%d\n" % (name, by_name.get(name, -1)) for name in sorted(asked.names))
    return b"".join((*named, *numbered))

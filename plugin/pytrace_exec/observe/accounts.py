# SPDX-License-Identifier: Apache-2.0
"""The account files, `/etc/passwd` and `/etc/group`: which name has a number, and which number a name (passwd(5))."""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

PASSWD, GROUP = b"/etc/passwd", b"/etc/group"

# Of a user seven fields, of a group four.
_ENTRY = re.compile(rb"([^:\s+-][^:]*):[^:]*:(\d+):(?:\d+:[^:]*:[^:]*:[^:]*|[^:]*)")


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


def meaning(data: bytes, asked: Asked) -> bytes | None:
    """What a file says of the entries asked for, in canonical form: of each the first that fits.

    None if it cannot be told: a line that is no plain entry, which the C library may read or pass over.
    """
    by_number: dict[int, bytes] = {}
    by_name: dict[bytes, int] = {}
    for line in data.split(b"\n"):
        if not line or line.startswith(b"#"):
            continue
        entry = _ENTRY.fullmatch(line)
        if entry is None:
            return None
        name, number = entry[1], int(entry[2])
        by_number.setdefault(number, name)
        by_name.setdefault(name, number)
    named = (b"%d=%s\n" % (number, by_number.get(number, b"")) for number in sorted(asked.numbers))
    numbered = (b"%s=%d\n" % (name, by_name.get(name, -1)) for name in sorted(asked.names))
    return b"".join((*named, *numbered))

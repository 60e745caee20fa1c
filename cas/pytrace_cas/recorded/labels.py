# SPDX-License-Identifier: Apache-2.0
"""Labels that a result was given (`--label K=V`): a file beside its effects, no part of any key.

One line a label, sorted: name and value, each percent-escaped (a `=` of the name too), with a `=` between.
"""

from __future__ import annotations

from pytrace_cas.recorded.places import MalformedText, escape, unescape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LABELS_PATH = ".pytrace/labels"


def encode_labels(labels: Iterable[tuple[str, str]]) -> bytes:
    """The canonical form; of a name that is given twice the last value counts."""
    lines = sorted(
        _escaped(name).replace(b"=", b"%3D") + b"=" + _escaped(value) for name, value in dict(labels).items()
    )
    return b"".join(line + b"\n" for line in lines)


def decode_labels(data: bytes) -> dict[str, str]:
    """Read labels; a line that is none is passed over."""
    found = {}
    for line in data.split(b"\n"):
        name, sign, value = line.partition(b"=")
        try:
            if sign:
                found[_text(name.replace(b"%3D", b"="))] = _text(value)
        except MalformedText:
            continue
    return found


def _escaped(text: str) -> bytes:
    return escape(text.encode("utf-8", "surrogateescape"))


def _text(escaped: bytes) -> str:
    return unescape(escaped).decode("utf-8", "replace")

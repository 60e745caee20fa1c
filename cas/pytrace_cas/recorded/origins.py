# SPDX-License-Identifier: Apache-2.0
"""Where a result was made: its root, HOME and TMPDIR, as a small blob that lies beside the result in the store.

Results that do not depend on them say nothing of them. It is no part of any key and never leaves the machine; by it
`pytrace` tells a place that moved from a value that changed, and finds the tree again.
"""

from __future__ import annotations

from pytrace_cas.recorded.places import MalformedText, Places, escape, unescape

_VERSION = b"pytrace origin 1"
LONGEST = 1 << 16
"""No blob of more bytes is an origin."""


def encode_origin(places: Places) -> bytes:
    """The canonical form: one line a place that was set."""
    named = (("root", places.root), ("home", places.home), ("tmp", places.tmp))
    lines = [f"{name} ".encode() + escape(place) for name, place in named if place is not None]
    return b"\n".join([_VERSION, *lines, b""])


def decode_origin(data: bytes) -> Places | None:
    """Read the canonical form; None for any other blob."""
    first, *lines = data.split(b"\n")
    if first != _VERSION:
        return None
    found = dict(line.split(b" ", 1) for line in lines if b" " in line)
    try:
        named = {name: unescape(found[name]) for name in (b"root", b"home", b"tmp") if name in found}
        return Places(named[b"root"], named.get(b"home"), named.get(b"tmp"))
    except (KeyError, MalformedText, ValueError):
        return None

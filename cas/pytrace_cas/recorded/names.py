# SPDX-License-Identifier: Apache-2.0
"""Names of outputs: how a stored result says where something lies, and which names it may never say.

A name is `x/y` below the root, otherwise `%H/x`, `%T/x` or an absolute path, escaped by the rule of `places`. It never
holds `..`, an empty component or one that is reserved for the replay itself.
"""

from __future__ import annotations

from pytrace_cas.recorded.places import SIGNS, MalformedText, Places, escape, unescape

RESERVED = b".pytrace"  # the folder of a result's own files
STAGING = b".pytrace-"  # prefix of the folders that a replay stages in
MAX_NAME, MAX_COMPONENT, MAX_DEPTH = 4000, 255, 128


class UnstorablePath(ValueError):
    """A path that no stored result may name: `path` is it (or its name), `why` the rule it breaks."""

    def __init__(self, path: bytes, why: str) -> None:
        super().__init__(f"no result can hold an output named {path!r}: {why}")
        self.path = path
        self.why = why


def name_of(places: Places, path: bytes) -> bytes:
    """Name an absolute, normalised path; raise `UnstorablePath`. What lies in the root is named from the root."""
    below = places.root.rstrip(b"/") + b"/"
    if path == places.root:
        raise UnstorablePath(path, "it is the root itself")
    name = escape(path[len(below) :]) if path.startswith(below) else places.encode_path(path)
    return check_name(name)


def path_of(places: Places, name: bytes) -> bytes:
    """Absolute path that a name stands for here; raise `MalformedText` if its place is not set."""
    if outside(name):
        return places.decode_path(name)
    return places.root.rstrip(b"/") + b"/" + unescape(name)


_OUTSIDE = (b"/", *(sign + b"/" for sign in SIGNS if sign != b"%R"))


def outside(name: bytes) -> bool:
    """Whether a name says a place other than the root."""
    return name.startswith(_OUTSIDE)


def check_name(name: bytes) -> bytes:
    """Return the name if a result may hold it; raise `UnstorablePath`."""
    try:
        raw = unescape(name[name.index(b"/") + 1 :] if outside(name) else name)
    except MalformedText as error:
        raise UnstorablePath(name, error.why) from None
    components = raw.split(b"/")
    if len(name) > MAX_NAME or len(components) > MAX_DEPTH or max(map(len, components)) > MAX_COMPONENT:
        raise UnstorablePath(name, "it is too long or too deep")
    for component in components:
        if component in (b"", b".", b"..") or b"\0" in component:
            raise UnstorablePath(name, "it has an empty, relative or impossible component")
        if component == RESERVED or component.startswith(STAGING):
            raise UnstorablePath(name, f"names that begin with {STAGING.decode()} are reserved")
    return name


def parent(name: bytes) -> bytes:
    """Name of the directory that holds it; empty for what lies in the root or in a place itself."""
    return name.rpartition(b"/")[0]


def link_text(places: Places, target: bytes) -> bytes:
    """Write a symlink's target: an absolute one with its place, one line, exactly reversible."""
    return places.encode_path(target) if target.startswith(b"/") else escape(target)


def link_target(places: Places, text: bytes) -> bytes:
    """Undo `link_text` for these places; raise `MalformedText`."""
    if text.startswith(b"/") or text[:2] in SIGNS:
        return places.decode_path(text)
    return unescape(text)

# SPDX-License-Identifier: Apache-2.0
"""Bytes as fields of JSON objects: readable under their name and, where that loses something, exact in base64.

On the way of every run with `--stats-log`.
"""

from __future__ import annotations

from binascii import b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any


def text_fields(name: str, raw: bytes | None) -> dict[str, Any]:
    """A field for bytes: readable under its name and, where that loses something, exact under `name_b64`."""
    if raw is None:
        return {name: None}
    try:
        return {name: raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {name: raw.decode("utf-8", "replace"), f"{name}_b64": _exact(raw)}


def list_fields(name: str, raws: Sequence[bytes]) -> dict[str, Any]:
    """As `text_fields` for a list; the exact one is the whole list."""
    readable = {name: [raw.decode("utf-8", "replace") for raw in raws]}
    if all(text.encode() == raw for text, raw in zip(readable[name], raws, strict=True)):
        return readable
    return {**readable, f"{name}_b64": [_exact(raw) for raw in raws]}


def below(path: bytes, root: bytes) -> bytes:
    """A path as answers name it: relative when it lies under the root."""
    if path == root:
        return b"."
    folder = root.rstrip(b"/") + b"/"
    return path[len(folder) :] if path.startswith(folder) else path


def reason_fields(reason: Mapping[str, object], root: bytes) -> dict[str, Any]:
    """A reason for JSON: its message readable, everything else of it exact, its path as `below` names it."""
    fields: dict[str, Any] = {}
    for name, value in reason.items():
        raw = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else None
        if name == "message":
            fields[name] = None if raw is None else raw.decode("utf-8", "replace")
        elif isinstance(value, list):
            fields |= list_fields(name, [str(item).encode("utf-8", "surrogateescape") for item in value])
        elif isinstance(value, int):
            fields[name] = value
        else:
            fields |= text_fields(name, below(raw, root) if name == "path" and raw is not None else raw)
    return fields


def _exact(raw: bytes) -> str:
    return b2a_base64(raw, newline=False).decode("ascii")

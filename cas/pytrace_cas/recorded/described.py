# SPDX-License-Identifier: Apache-2.0
"""Facts as answers show them: one object each, in the words of CLI.md."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from pytrace_cas.json_fields import below, list_fields, text_fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.recorded.subjects import Subject

_ERROR = re.compile(rb"E[A-Z0-9]+")
_TYPE_NAMES = {"dir": "directory"}
_ENTRY_TYPES = {"f": "file", "d": "directory", "l": "symlink", "o": "other"}


def is_error(value: bytes) -> bool:
    """Whether a fact's value is the name of an error."""
    return _ERROR.fullmatch(value) is not None


def described(subject: Subject, value: bytes, root: bytes) -> dict[str, Any]:
    """One observation; paths under the root are relative."""
    kind, fields = subject.kind, _FIELDS[subject.kind](subject, value)
    if kind in ("access", "error"):
        kind = "error" if "error" in fields else "status"
    if len(subject.paths) == 1:
        fields = {**text_fields("path", below(subject.paths[0], root)), **fields}
    elif subject.paths:
        fields = {**list_fields("paths", [below(path, root) for path in subject.paths]), **fields}
    return {"kind": kind, **fields}


def with_entries(observation: dict[str, Any], names: list[tuple[bytes, str]]) -> dict[str, Any]:
    """A listing with the names that it had, and their types in the same order."""
    ordered = sorted(names)
    types = [_ENTRY_TYPES[letter] for _, letter in ordered]
    return {**observation, **list_fields("entries", [name for name, _ in ordered]), "types": types}


def reading_order(subject: Subject, root: bytes) -> tuple[bool, bool, tuple[bytes, ...], Subject]:
    """Sort by path, the project's own first; what concerns several paths, or none, comes last."""
    paths = subject.paths
    outside = not all(path == root or path.startswith(root.rstrip(b"/") + b"/") for path in paths)
    return len(paths) != 1, outside, paths, subject


def _answer(value: bytes, key: str = "type") -> dict[str, Any]:
    """A type or an error."""
    text = value.decode("utf-8", "replace")
    return {"error": text} if is_error(value) else {key: _TYPE_NAMES.get(text, text)}


def _content(subject: Subject, value: bytes) -> dict[str, Any]:
    if b"=" in value:  # a meaning
        return _numbers([value])
    return {"digest": value.decode()} if b"/" in value else _answer(value)


def _status(subject: Subject, value: bytes) -> dict[str, Any]:
    """`TYPE MODE [NAME=NUMBER...] [DIGEST]`, `symlink TARGET` or an error."""
    kind, *words = value.split(b" ")
    if is_error(value):
        return _answer(value)
    fields = _answer(kind)
    if kind == b"symlink":
        return {**fields, **_hex_target(words.pop(0)), **_numbers(words)}
    return {**fields, "mode": words.pop(0).decode(), **_numbers(words)}


def _numbers(words: list[bytes]) -> dict[str, Any]:
    fields: dict[str, Any] = {}
    for word in words:
        name, sign, text = word.decode().partition("=")
        if sign:
            fields[name] = int(text) if text.isdigit() else text
        else:
            fields["digest"] = name
    return fields


def _hex_target(word: bytes) -> dict[str, Any]:
    return _answer(word) if is_error(word) else text_fields("target", bytes.fromhex(word.decode()))


def _access(subject: Subject, value: bytes) -> dict[str, Any]:
    if is_error(value):
        return _answer(value)
    kind, _, answer = value.partition(b" ")
    return {**_answer(kind), "access": _asked(int(subject.arg)), "answer": answer.decode()}


def _asked(mode: int) -> str:
    letters = ((os.R_OK, "r"), (os.W_OK, "w"), (os.X_OK, "x"))
    return "".join(letter for bit, letter in letters if mode & bit) or "f"


def _error(subject: Subject, value: bytes) -> dict[str, Any]:
    if subject.arg.startswith("access"):
        return {**_answer(value, "answer"), "access": _asked(int(subject.arg[6:]))}
    return _answer(value)


def _target(subject: Subject, value: bytes) -> dict[str, Any]:
    mode = {"mode": subject.arg} if subject.arg else {}
    if value.startswith(b"symlink "):
        return {"state": "symlink", **_hex_target(value[8:])}
    text = value.decode("utf-8", "replace")
    states = {"ENOENT": "absent", "plain": "absent or plain"}
    return {"state": states.get(text, _TYPE_NAMES.get(text, text)), **mode}


def _change(subject: Subject, value: bytes) -> dict[str, Any]:
    return {"state": "absent"} if value == b"ENOENT" else _answer(value, "state")


def _link(subject: Subject, value: bytes) -> dict[str, Any]:
    return text_fields("target", value[3:]) if value.startswith(b"-> ") else _answer(value)


def _attribute(subject: Subject, value: bytes) -> dict[str, Any]:
    name = {"attribute": subject.arg[1:]} if subject.arg[1:] else {}
    if value.startswith(b"= "):
        return {**name, **text_fields("value", bytes.fromhex(value[2:].decode()))}
    if value.startswith(b"names"):
        return {"names": [bytes.fromhex(word.decode()).decode("utf-8", "replace") for word in value.split()[1:]]}
    return {**name, **_answer(value)}


def _named(subject: Subject, value: bytes) -> dict[str, Any]:
    """A variable or a part of the identity: unset is null."""
    if value == b"unset":
        return {"name": subject.arg, "value": None}
    return {"name": subject.arg, **text_fields("value", value[2:] if value.startswith(b"= ") else value)}


def _stream(subject: Subject, value: bytes) -> dict[str, Any]:
    if subject.arg == "stdin":
        return {"descriptor": 0, **text_fields("digest", value)}
    return {"descriptor": int(subject.arg.removeprefix("kind ")), **text_fields("type", value)}


def _valued(subject: Subject, value: bytes) -> dict[str, Any]:
    return {**({"name": subject.arg} if subject.arg else {}), **text_fields("value", value)}


_FIELDS: dict[str, Callable[[Subject, bytes], dict[str, Any]]] = {
    "access": _access,
    "attribute": _attribute,
    "change": _change,
    "content": _content,
    "error": _error,
    "fact": _valued,
    "generation": _valued,
    "identity": _named,
    "link": _link,
    "listing": _content,
    "order": _valued,
    "status": _status,
    "stream": _stream,
    "target": _target,
    "variable": _named,
}

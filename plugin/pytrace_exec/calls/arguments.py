# SPDX-License-Identifier: Apache-2.0
"""What kind of value each argument of a traced call is: what the native tracer has to read for it.

It follows from the keys of the call's row.
"""

from __future__ import annotations

from pytrace_exec.calls.table import TABLE

KINDS = {
    "unused": "no row names it: whatever it holds",
    "int": "the register says all",
    "dir": "a descriptor or AT_FDCWD: what it leads to",
    "fd": "a descriptor: what it leads to",
    "path": "a path, at most PATH_MAX",
    "text": "a string that is no path of the tree",
    "argv": "a vector of strings, ended by NULL",
    "how": "a structure; the next argument is its size",
    "address": "a socket's address; the next argument is its size",
    "address_out": "a socket's address that the call fills in; the next argument points to its size (u32)",
    "message": "struct msghdr: the address that it names (msg_name), empty if there is none",
    "messages": "an array of struct mmsghdr; the next argument is its length: an attachment for each",
    "entries": "a buffer that the call filled: as many bytes as its result says",
    "head": "no argument: the beginning of a program that changed since the tracer began",
    "times": "two struct timespec or timeval: 32 bytes; of utime a struct utimbuf: 16 bytes",
}
"""All kinds, with what is attached to the record of a call for them; an address that is NULL has none."""

_BY_KEY = {
    "dir": "dir",
    "dir2": "dir",
    "path": "path",
    "path2": "path",
    "text": "text",
    "name": "text",
    "argv": "argv",
    "how": "how",
    "address": "address",
    "header": "message",
    "entries": "entries",
    "times": "times",
    "head": "head",
    "read": "fd",
    "write": "fd",
}
_EXCEPTIONS = {("getsockname", "address"): "address_out", ("sendmmsg", "header"): "messages"}


def argument_kinds(name: str) -> tuple[str, ...]:
    """The kinds of a call's arguments up to the last that its row names."""
    places = TABLE[name].places
    kinds = ["unused"] * (max(places.values(), default=-1) + 1)
    for key, position in places.items():
        kind = _EXCEPTIONS.get((name, key), _BY_KEY.get(key, "int"))
        kinds[position] = "fd" if kind == "dir" and "path" not in places else kind
    return tuple(kinds)

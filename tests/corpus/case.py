# SPDX-License-Identifier: Apache-2.0
"""A case of the corpus: a small program, and by hand what it must be observed to depend on and to do.

Facts are written one a line, `KIND[/ARGUMENT] PATH... : VALUE`. Paths are relative to the root (`.` is the root), those
of the home and temporary folder begin with `~/` and `$T/`, others are absolute. In values `=PATH` stands for the digest
of what that file holds before the run, `{a d/ l@ f|}` for the digest of a listing, `order`, `nothing counts` and
`times` for times that no hand can write, `uname` and the like for `...`.

Outputs are written `KIND PATH`, then `MODE`, `in place` and `times` where they apply, or `-> TARGET`, `= OTHER` (a name
of the same file), `< EARLIER`, or the earlier type.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from tests.support.runner import interpreter

Change = str | Mapping[str, Any]
"""A change of the world: shell commands run in the root, or other surroundings of the invocation."""

CALLS = "import ctypes, os; libc = ctypes.CDLL(None, use_errno=True); call = libc.syscall\n"
"""How a program of the corpus makes a system call that Python has no function for."""


@attrs.frozen
class Case:
    """One program with what is expected of it.

    `given`: shell commands that make the start state.
    `facts`: all under the root, exactly; None, or left out where only reasons matter: not compared.
    `relaxed`: the facts without `--strict`, where they differ.
    `also`: facts that must be among all; `never`: beginnings of facts that must not be there at all.
    `outputs`, `reasons` (codes): exactly. A case with reasons is never asked again. `unknown_to_strace`: reasons in
    addition under strace, which cannot know what the native tracer proves.
    `misses`, `hits`: changes of the start state; `shared`: those that hit, but under `--strict`.
    `covers`: the cases of the field (`coverage.py`) that this is.
    `around`: fields of the `Invocation`; `outer`: shell text around the command, which stands in it as `"$@"`.
    `source`: the C program that is put into the root. `lacking`: why this machine cannot run it.
    """

    name: str
    command: tuple[str, ...]
    given: str = "echo one > in"
    facts: str | None = ""
    relaxed: str | None = None
    also: str = ""
    never: str = ""
    outputs: str = ""
    reasons: tuple[str, ...] = ()
    unknown_to_strace: tuple[str, ...] = ()
    misses: tuple[Change, ...] = ()
    hits: tuple[Change, ...] = ("true",)
    shared: tuple[Change, ...] = ()
    covers: str = ""
    around: Mapping[str, Any] = attrs.field(factory=dict)
    outer: str = ""
    source: str = ""
    root_only: bool = False
    lacking: str | None = None

    def modes(self) -> tuple[str, ...]:
        """The modes to run in: both where they differ."""
        return ("strict",) if self.relaxed is None else ("strict", "relaxed")


def python(code: str) -> tuple[str, ...]:
    """A Python program that reads nothing of the world but what it says; `os` is imported."""
    return (interpreter(), "-I", "-S", "-B", "-c", "import os\n" + code)


def calling(code: str) -> tuple[str, ...]:
    """A Python program with `libc` and `call`, the bare system call (by numbers that all machines share)."""
    return (interpreter(), "-I", "-S", "-B", "-c", CALLS + code)


def shell(text: str) -> tuple[str, ...]:
    """A program of the shell's."""
    return ("sh", "-c", text)

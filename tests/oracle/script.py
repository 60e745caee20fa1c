# SPDX-License-Identifier: Apache-2.0
"""Programs, worlds and changes as values: instructions for `interpreter.py`, which can be cut down."""

from __future__ import annotations

import inspect
import marshal
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from importlib.util import MAGIC_NUMBER
from pathlib import Path

import attrs

from tests.oracle import interpreter

PROGRAM = b"program"
INTERPRETER = b"interpreter.pyc"
QUICK = b"interpreter"
C_SOURCE = Path(interpreter.__file__).with_suffix(".c")
C_OPTIONS = ("-std=c11", "-O1", "-Wall", "-Wextra", "-Werror", "-pthread")
PYTHON = (os.path.realpath(sys.executable), *interpreter.OPTIONS)
PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789./_-~^,=")
ESCAPES = {one: f"%{one:02x}" for one in range(256) if one not in PLAIN}


@attrs.frozen
class Instruction:
    """One operation, or one block with its body and, for a condition, what to do otherwise."""

    name: str
    words: tuple[bytes, ...] = ()
    body: tuple[Instruction, ...] = ()
    otherwise: tuple[Instruction, ...] = ()

    def lines(self) -> Iterator[str]:
        """Give the lines that the interpreter reads."""
        yield " ".join((self.name, *map(escaped, self.words)))
        if self.name not in interpreter.BLOCKS:
            return
        yield from lines(self.body)
        if self.otherwise:
            yield "else"
            yield from lines(self.otherwise)
        yield "end"

    def shorter(self) -> Iterator[tuple[Instruction, ...]]:
        """Give what could stand in this one's place with less in it, the shortest first."""
        yield ()
        if self.body:
            yield self.body
        if self.otherwise:
            yield self.otherwise
            yield (attrs.evolve(self, otherwise=()),)
        for body in cuts(self.body):
            yield (attrs.evolve(self, body=body),)
        for otherwise in cuts(self.otherwise):
            yield (attrs.evolve(self, otherwise=otherwise),)


Script = tuple[Instruction, ...]


def do(name: str, *words: bytes | str | int) -> Instruction:
    """Write an instruction shortly."""
    return Instruction(name, tuple(_bytes(word) for word in words))


def block(name: str, *words: bytes | str, body: Script, otherwise: Script = ()) -> Instruction:
    """Write a block shortly."""
    return Instruction(name, tuple(_bytes(word) for word in words), body, otherwise)


def _bytes(word: bytes | str | int) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()


def escaped(word: bytes) -> str:
    """Percent-escape a word so that it holds neither spaces nor line ends."""
    return word.decode("latin-1").translate(ESCAPES)


def lines(script: Sequence[Instruction]) -> Iterator[str]:
    """Give a script's lines."""
    for instruction in script:
        yield from instruction.lines()


def text(script: Sequence[Instruction], ticking: bool = False) -> bytes:
    """Give a program file's content; a ticking program never writes twice in one tick of the clock."""
    return "\n".join(("ticking" if ticking else "", *lines(script))).encode()


def cuts(script: Script) -> Iterator[Script]:
    """Give every script with one part less: halves first, then single instructions, then parts of them."""
    size = len(script) // 2
    while size > 1:
        for start in range(0, len(script), size):
            yield script[:start] + script[start + size :]
        size //= 2
    for place, instruction in enumerate(script):
        for instead in instruction.shorter():
            yield script[:place] + instead + script[place + 1 :]


def subjects(script: Sequence[Instruction]) -> frozenset[bytes]:
    """Give every word of a script that may name a path."""
    found: set[bytes] = set()
    for instruction in script:
        found.update(instruction.words)
        found |= subjects(instruction.body) | subjects(instruction.otherwise)
    return frozenset(found)


def apply(script: Sequence[Instruction], place: bytes, ticking: bool = False) -> None:
    """Do a script's operations in a world, in this process; an operation that fails changes nothing."""
    with _inside(place):
        program = text(script, ticking).decode().split("\n")
        for line in program:
            name, *words = line.split(" ")
            if ticking and name in interpreter.TIMED:
                interpreter.tick()
            if name in interpreter.OPERATIONS:
                interpreter.perform(name, words)


@contextmanager
def _inside(place: bytes) -> Iterator[None]:
    """Stand in a world: its working directory, its HOME and TMPDIR, the usual umask."""
    inside = {b"HOME": os.path.join(place, b"home"), b"TMPDIR": os.path.join(place, b"tmp")}
    outside = {name: os.environb.pop(name) for name in inside if name in os.environb}
    directory, umask = os.getcwd(), os.umask(0o022)
    os.environb.update(inside)
    os.chdir(os.path.join(place, b"work"))
    try:
        yield
    finally:
        os.chdir(directory)
        os.umask(umask)
        for name in inside:
            del os.environb[name]
        os.environb.update(outside)


def command(base: bytes, python: bool = False) -> tuple[str, ...]:
    """The command that runs the program file of a world by an interpreter that `install` put beside it.

    `python`: by the one in Python, even where a compiler could make the other.
    """
    if python or _built() is None:
        return (*PYTHON, os.fsdecode(os.path.join(base, INTERPRETER)), os.fsdecode(PROGRAM))
    return (os.fsdecode(os.path.join(base, QUICK)), os.fsdecode(PROGRAM))


def install(base: bytes) -> None:
    """Put the interpreters into a folder, compiled: else each run would compile Python's anew."""
    with open(os.path.join(base, INTERPRETER), "wb") as file:
        file.write(_compiled())
    if (built := _built()) is not None:
        with open(os.path.join(base, QUICK), "wb", opener=lambda path, flags: os.open(path, flags, 0o755)) as file:
            file.write(built)


@cache
def _compiled() -> bytes:
    """A `.pyc` file as Python runs it: its number, twelve bytes that are not looked at then, and the code."""
    code = compile(inspect.getsource(interpreter), os.fsdecode(INTERPRETER), "exec")
    return MAGIC_NUMBER + bytes(12) + marshal.dumps(code)


@cache
def _built() -> bytes | None:
    """Make the interpreter in C; None where there is no compiler."""
    compiler = shutil.which("gcc")
    if compiler is None:
        return None
    with tempfile.TemporaryDirectory() as folder:
        made = os.path.join(folder, os.fsdecode(QUICK))
        subprocess.run([compiler, *C_OPTIONS, "-o", made, C_SOURCE], check=True)
        return Path(made).read_bytes()

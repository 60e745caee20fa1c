# SPDX-License-Identifier: Apache-2.0
"""The small world that generated programs run in, and its names."""

from __future__ import annotations

from random import Random

from tests.oracle.script import Instruction, Script, do

FIRST_STAMP = 1_200_000_000
ODD = b"od d\n\xff'\"\\"
WRITABLE = (b"in1", b"in2", b"d/in3", b"d/sub/in4", ODD)
FILES = (*WRITABLE, b"~/conf")  # what is outside the root is read only: a run that writes there is not stored
DIRECTORIES = (b"d", b"d/sub", b"spare", b"hollow", b"o")
LINKS = {b"ln": b"in1", b"dl": b"d", b"d/up": b"../in2", b"loop": b"loop", b"lost": b"nowhere0"}
OUTPUTS = (b"out1", b"out2", b"o/out3", b"out4")
MISSING = (b"none", b"none/below", b"in1/below", b"d/absent", b"d" * 300, b"~/absent")
TOOL = b"tool"


def world(rng: Random) -> Script:
    """Describe a world: most inputs, some outputs of an earlier run, links, and an executable."""
    made: list[Instruction] = [do("mkdir", path) for path in DIRECTORIES]
    made += [do("write", path, content(rng)) for path in FILES if rng.random() < 0.9]
    made += [do("write", path, content(rng)) for path in OUTPUTS if rng.random() < 0.2]
    made += [do("symlink", target, path) for path, target in LINKS.items()]
    made += [do("write", TOOL, '#!/bin/sh\necho tool "$MODE"; cat in1\n'), do("chmod", TOOL, "755")]
    if rng.random() < 0.3:
        made.append(do("set-attribute", "in1", "key", "first"))
    if rng.random() < 0.2:
        made.append(do("chmod", rng.choice(FILES), rng.choice(("600", "755", "444"))))
    if rng.random() < 0.15:
        made.append(do("link", "in2", "in2.twin"))
    return (*made, *stamps(rng))


def stamps(rng: Random) -> list[Instruction]:
    """Give all files, links and folders different, old times, in an order of their own."""
    paths = [*FILES, *OUTPUTS, TOOL, *LINKS, *DIRECTORIES]
    rng.shuffle(paths)
    return [do("stamp", path, FIRST_STAMP + 1000 * place) for place, path in enumerate(paths)]


def content(rng: Random) -> str:
    """Make a file's content: empty, short, or some kilobytes."""
    size = rng.choice((0, 1, 1, 2, 3, 400))
    return "".join(f"line {rng.randrange(10_000)}\n" for _ in range(size))

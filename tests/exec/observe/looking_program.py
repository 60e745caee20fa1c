# SPDX-License-Identifier: Apache-2.0
"""A program that looks at a few names in many ways, and changes what they stand for: `looking_program.py SEED`."""

from __future__ import annotations

import contextlib
import os
import random
import sys
from collections.abc import Callable

NAMES = ["a", "b", "d", "e", "d/a", "d/b", "e/a", "e/d", "e/d/a", "l", "l/a", "m", "m/b", "d/../a", "a/b", "."]
LOOKS: list[Callable[[str], object]] = [
    os.stat,
    os.lstat,
    lambda name: os.access(name, os.R_OK),
    os.readlink,
    lambda name: _close(os.open(name, os.O_RDONLY)),
    lambda name: _close(os.open(name, os.O_RDONLY | os.O_NOFOLLOW)),
    lambda name: _read(name),
    os.listdir,
    lambda name: _ask(name),
]
CHANGES: list[Callable[[str, str], object]] = [
    lambda name, other: _close(os.open(name, os.O_WRONLY | os.O_CREAT)),
    lambda name, other: _close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)),
    lambda name, other: os.mkdir(name),
    lambda name, other: os.rmdir(name),
    lambda name, other: os.unlink(name),
    lambda name, other: os.rename(name, other),
    lambda name, other: os.symlink(other, name),
    lambda name, other: os.link(name, other),
    lambda name, other: os.chdir("d"),
    lambda name, other: os.chdir(".."),
]


def _close(descriptor: int) -> None:
    os.close(descriptor)


def _read(name: str) -> None:
    descriptor = os.open(name, os.O_RDONLY)
    os.fstat(descriptor)
    os.close(descriptor)


def _ask(name: str) -> None:
    to = [(os.POSIX_SPAWN_OPEN, number, "/dev/null", os.O_WRONLY, 0) for number in (1, 2)]
    os.waitpid(os.posix_spawn("/bin/cat", ["cat", name], {}, file_actions=to), 0)


def main(seed: int) -> None:
    """Look, mostly at what was looked at before, and now and then change something or go on in a child."""
    chance = random.Random(seed)
    for _ in range(60):
        chosen = [(chance.choice(LOOKS), chance.choice(NAMES)) for _ in range(6)]
        for _ in range(3):
            for look, name in chosen:
                with contextlib.suppress(OSError):
                    look(os.path.abspath(name) if chance.random() < 0.3 else name)
        if chance.random() < 0.1 and os.fork():
            os.wait()
            os._exit(0)
        with contextlib.suppress(OSError):
            chance.choice(CHANGES)(chance.choice(NAMES), chance.choice(NAMES))


main(int(sys.argv[1]))

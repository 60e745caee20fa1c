# SPDX-License-Identifier: Apache-2.0
"""Changes of the world between two runs, each a short script about one path."""

from __future__ import annotations

import os
from collections.abc import Callable
from random import Random

import attrs

from tests.oracle.script import Instruction, Script, do

MODES = ("600", "755", "444", "640", "644")
AROUND = frozenset({"variable", "stdin", "stdin offset", "place", "umask"})


@attrs.frozen
class Aim:
    """What part of a program's surroundings a change should hit: a path (or a variable), and how."""

    subject: bytes
    change: str


def aims(subject: bytes, *changes: str) -> tuple[Aim, ...]:
    """Aim several kinds of change at one subject."""
    return tuple(Aim(subject, change) for change in changes)


def parents(path: bytes) -> list[Instruction]:
    """Make every folder above a path; one that is there already stays."""
    parts = path.split(b"/")[:-1]
    return [do("mkdir", b"/".join(parts[: size + 1])) for size in range(len(parts)) if parts[size] != b"~"]


def edit(rng: Random, path: bytes) -> Script:
    """Give a file other content of another size."""
    return (do("write", path, f"edited {rng.randrange(10 ** rng.randrange(1, 9))}\n"),)


def create(rng: Random, path: bytes) -> Script:
    """Make a file, and the folders above it, where the program may have found nothing."""
    return (*parents(path), do("create", path, f"created {rng.randrange(1000)}\n"))


def to_directory(rng: Random, path: bytes) -> Script:
    """Put a folder in a file's place, with something in it or not."""
    inside = (do("write", path + b"/inside", "inside\n"),) if rng.random() < 0.5 else ()
    return (*parents(path), do("wipe", path), do("mkdir", path), *inside)


def dangle(rng: Random, path: bytes) -> Script:
    """Put a symlink in a path's place that leads nowhere, yet could be written through."""
    return (do("wipe", path), do("symlink", f"nowhere{rng.randrange(3)}", path))


def chmod(rng: Random, path: bytes) -> Script:
    """Give other permissions."""
    return (do("chmod", path, rng.choice(MODES)),)


def clutter(rng: Random, path: bytes) -> Script:
    """Add a name to a folder: a file, a folder or a symlink."""
    name = os.path.join(path, b"clutter%d" % rng.randrange(3))
    return (rng.choice((do("write", name, "clutter\n"), do("mkdir", name), do("symlink", "in1", name))),)


def empty(rng: Random, path: bytes) -> Script:
    """Leave a folder with nothing in it."""
    return (do("wipe", path), do("mkdir", path))


def retarget(rng: Random, path: bytes) -> Script:
    """Point a symlink elsewhere; `spare` is a folder and `in2` a file of most worlds."""
    return (do("wipe", path), do("symlink", rng.choice(("in2", "spare", "out1", "loop")), path))


def attribute(rng: Random, path: bytes) -> Script:
    """Set an extended attribute, which moves only the ctime."""
    return (do("set-attribute", path, "key", f"value{rng.randrange(100)}"),)


def one(name: str) -> Callable[[Random, bytes], Script]:
    """Make a change of one operation that takes only the path."""
    return lambda rng, path: (do(name, path),)


CHANGES: dict[str, Callable[[Random, bytes], Script]] = {
    "edit": edit,
    "flip": one("flip"),
    "quiet flip": one("quiet-flip"),
    "touch": one("touch"),
    "delete": one("wipe"),
    "create": create,
    "to directory": to_directory,
    "to symlink": one("hide"),
    "dangle": dangle,
    "chmod": chmod,
    "read only": lambda rng, path: (do("chmod", path, "444"),),
    "clutter": clutter,
    "empty": empty,
    "retarget": retarget,
    "attribute": attribute,
    "hard link": lambda rng, path: (do("link", path, path + b".twin"),),
    "move aside": lambda rng, path: (do("rename", path, path + b".moved"),),
    "recreate": lambda rng, path: (do("copy", path, path + b".copy"), do("rename", path + b".copy", path)),
}
EVERYWHERE = tuple(CHANGES)


def change(rng: Random, aim: Aim) -> Script:
    """Give the script of a change that is one of a path."""
    return CHANGES[aim.change](rng, aim.subject)

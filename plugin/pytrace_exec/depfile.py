# SPDX-License-Identifier: Apache-2.0
"""`--depfile`: what was made and what was read, as one rule of make.

Paths are relative to the working directory, where make runs the command. A path with a line break cannot be said in
make's syntax and is left out.
"""

from __future__ import annotations

import os
import re

from pytrace_exec.observe.world import under

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.recorded.subjects import Subject

_SPECIAL = re.compile(rb"(\\*)([ \t#:])|(\\+)$")


def rule(outputs: Iterable[bytes], inputs: Iterable[bytes], cwd: bytes) -> bytes:
    """The rule by which the outputs depend on the inputs, absolute paths all of them."""
    made = [word.replace(b"%", b"\\%") for word in _words(outputs, cwd)]  # of a target, it would make a pattern
    read = _words(set(inputs) - set(outputs), cwd)
    return b" ".join(made) + b":" + b"".join(b" \\\n  " + word for word in read) + b"\n"


def inputs_of(values: Mapping[Subject, bytes], root: bytes) -> list[bytes]:
    """Files under the root whose content counted, by the values of a result's subjects."""
    return [
        subject.paths[0]
        for subject, value in values.items()
        if subject.kind == "content" and (b"/" in value or b"=" in value) and under(subject.paths[0], root)
    ]


def write(path: bytes, outputs: list[bytes], inputs: list[bytes], cwd: bytes) -> None:
    """Put the rule in place of the file, in one instant; raise OSError. Without outputs it is the file's own rule."""
    path = os.path.join(cwd, path)
    beside = b"%s.%d.tmp" % (path, os.getpid())
    try:
        with open(beside, "wb") as file:
            file.write(rule(outputs or [path], inputs, cwd))
        os.rename(beside, path)
    except OSError:
        if os.path.lexists(beside):
            os.unlink(beside)
        raise


def _words(paths: Iterable[bytes], cwd: bytes) -> list[bytes]:
    return [escape(os.path.relpath(path, cwd)) for path in sorted(paths) if b"\n" not in path]


def escape(name: bytes) -> bytes:
    """Write a name so that make reads it as one word: `$` is doubled, backslashes only where they would escape."""
    return _SPECIAL.sub(_escaped, name).replace(b"$", b"$$")


def _escaped(found: re.Match[bytes]) -> bytes:
    slashes, special, last = found.groups()
    return last * 2 if last else slashes * 2 + b"\\" + special

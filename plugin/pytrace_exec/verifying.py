# SPDX-License-Identifier: Apache-2.0
"""`--verify`: a run held against the stored result that would have answered it (DESIGN 4.3, what a user can see)."""

from __future__ import annotations

import os
import stat

from pytrace_cas.recorded.bytecode import split
from pytrace_cas.recorded.effect_entries import Dir, File, Move, Remove, Symlink
from pytrace_cas.recorded.names import link_target, path_of
from pytrace_exec.observe.view import hash_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.lookup import Hit, LookUp
    from pytrace_exec.miss import Traced


class Difference:
    """One thing that came out otherwise than stored: `what` (a path, or a stream, or the status), `old`, `new`."""

    __slots__ = ("new", "old", "path", "what")

    def __init__(self, what: str, old: str, new: str, path: bytes | None = None) -> None:
        self.what = what
        self.old = old
        self.new = new
        self.path = path

    @property
    def message(self) -> str:
        """One line."""
        return f"differs from the stored result: {self.what}: {self.old} then, {self.new} now"


def differences(look_up: LookUp, expected: Hit, traced: Traced) -> list[Difference]:
    """What the run did otherwise than the result says; empty if a hit would have been the same."""
    found = []
    then, now = expected.effects.exit_code, os.waitstatus_to_exitcode(traced.status)
    if then != now:
        found.append(Difference("exit status", str(then), str(now)))
    found += _streams(look_up, expected, traced)
    found += _stored_outputs(look_up, expected)
    found += _other_outputs(look_up, expected, traced)
    return found


def _streams(look_up: LookUp, expected: Hit, traced: Traced) -> Iterator[Difference]:
    result, function = expected.result, look_up.function
    for what, raw, digest, source in (
        ("standard output", result.stdout_raw, result.stdout_digest, traced.recorded.stdout),
        ("standard error", result.stderr_raw, result.stderr_digest, traced.recorded.stderr),
    ):
        then = digest or function.of(raw)
        now = function.of(b"".join(source.chunks()))
        if then != now:
            yield Difference(what, str(then), str(now))


def _stored_outputs(look_up: LookUp, expected: Hit) -> Iterator[Difference]:
    """Every path that the result changed must now be as the result would have left it."""
    places = look_up.invocation.places
    made = {entry.path for entry in expected.effects.entries if not isinstance(entry, Remove)}
    for entry in expected.effects.entries:
        path = path_of(places, entry.path)
        if isinstance(entry, File) and entry.stamped:
            then = f"file {entry.mode:04o} {split(look_up.cache.get(entry.digest), look_up.function).code}"
        elif isinstance(entry, File):
            then = f"file {entry.mode:04o} {entry.digest}"
        elif isinstance(entry, Symlink):
            then = f"symlink {os.fsdecode(link_target(places, entry.target))}"
        elif isinstance(entry, Dir):
            then = f"directory {entry.mode:04o}"
        elif isinstance(entry, Remove) and entry.path not in made:
            then = "absent"
        else:
            continue
        now = _state(look_up, path, isinstance(entry, File) and entry.stamped)
        if then != now:
            yield Difference(repr(os.fsdecode(path)), then, now, path)


def _other_outputs(look_up: LookUp, expected: Hit, traced: Traced) -> Iterator[Difference]:
    """The run may have changed nothing else."""
    places = look_up.invocation.places
    entries = expected.effects.entries
    names = [entry.path for entry in entries] + [entry.to for entry in entries if isinstance(entry, Move)]
    known = {path_of(places, name) for name in names}
    for path in sorted({output.path for output in traced.seen.outputs} - known):
        yield Difference(repr(os.fsdecode(path)), "not touched", _state(look_up, path), path)


def _state(look_up: LookUp, path: bytes, stamped: bool = False) -> str:
    """What is at a path; of a `.pyc` that is `stamped` anew the stamp is no matter."""
    try:
        found = os.lstat(path)
    except OSError:
        return "absent"
    if stamped and stat.S_ISREG(found.st_mode):
        with open(path, "rb") as file:
            return f"file {stat.S_IMODE(found.st_mode):04o} {split(file.read(), look_up.function).code}"
    if stat.S_ISREG(found.st_mode):
        return f"file {stat.S_IMODE(found.st_mode):04o} {hash_file(path, look_up.function)[0]}"
    if stat.S_ISLNK(found.st_mode):
        return f"symlink {os.fsdecode(os.readlink(path))}"
    if stat.S_ISDIR(found.st_mode):
        return f"directory {stat.S_IMODE(found.st_mode):04o}"
    return "special file"

# SPDX-License-Identifier: Apache-2.0
"""Scratch places and caches, which their own tools re-validate or never read again (DESIGN 4.3).

A row is tools, what is relaxed, a place, and names below it. `all`: no input and no output (logs, locks, counters).
`out`: no output only; what was read there stays an input, since not all that a cache stands for need be in its keys.
A place is the first of its spellings whose variable is set. In names, `*` stands for a part of a name and `**` for
anything below. A row counts for a path that nobody but its tools looked at or wrote, and for the folders that lead to
its place if they made them; never below the root or a declared output place.
"""

from __future__ import annotations

import os
import re
from functools import cache

from pytrace_exec.observe.world import under
from pytrace_exec.policy import programs
from pytrace_exec.policy.globs import Globs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run

PLACES = """
go */pkg/tool/* : out : $GOCACHE | $XDG_CACHE_HOME/go-build | ~/.cache/go-build
                : [0-9a-f][0-9a-f] [0-9a-f][0-9a-f]/*-[ad] README trim.txt testexpire.txt
go */pkg/tool/* : all : $XDG_CONFIG_HOME/go/telemetry | ~/.config/go/telemetry : local local/* upload upload/*
go              : all : $GOMODCACHE/cache | $GOPATH/pkg/mod/cache | ~/go/pkg/mod/cache : lock
cargo rustup    : all : $CARGO_HOME | ~/.cargo : .package-cache* .global-cache*
npm             : all : $npm_config_cache | ~/.npm : _logs _logs/* _update-notifier-last-checked
pytest          : all : $PYTEST_DEBUG_TEMPROOT | $TMPDIR | /tmp : pytest-of-* pytest-of-*/**
java javac jar javadoc : all : /tmp : hsperfdata_* hsperfdata_*/*
"""


class Scratch:
    """The paths of one run that rows of one kind (`all`, `out`) take out of it."""

    __slots__ = ("_heads", "_made", "_places", "_run", "_writers")

    def __init__(self, run: Run, environ: Mapping[bytes, bytes], what: str) -> None:
        self._run = run
        self._places = list(_places(environ, what))
        self._heads = tuple(place for place, _, _ in self._places)
        self._writers: dict[bytes, set[Program]] = {}
        for target in run.targets:
            self._writers.setdefault(target.subject, set()).add(target.program)
        refused = (reason.path for reason in run.reasons.values() if reason.code == "wrote_outside")
        self._made = {path for path in refused if path is not None and os.path.isdir(path)}

    def __contains__(self, path: bytes) -> bool:
        """Whether an absolute path lies in a place, and nobody but the place's tools had to do with it."""
        made = path in self._made
        if not (made or path.startswith(self._heads)) or self._run.setting.writable(path):
            return False
        rows = [tools for place, names, tools in self._places if _holds(place, names, path, made)]
        had_to_do = self._programs(path) if rows else set()
        return bool(had_to_do) and any(all(self._is_in(tools, program) for program in had_to_do) for tools in rows)

    def _programs(self, path: bytes) -> set[Program]:
        """Who looked at a path or wrote it; of a folder or link in a new folder nobody is known but who made that."""
        found = self._run.lookers.get(path, set()) | self._writers.get(path, set())
        node = self._run.world.locate(path)
        if node is not None and node.birth is not None:
            found = found | {node.birth[0]}
        if not found and (node is None or node.kind != "file") and len(path) > 1:
            return self._programs(os.path.dirname(path))
        return found

    def _is_in(self, tools: Globs, program: Program) -> bool:
        return programs.tool_of(program, self._run.setting.root) in tools or program.known_path in tools


def _holds(place: bytes, names: str, path: bytes, made: bool) -> bool:
    """Whether a path is a place, one of the names below it, or a folder that the run made and that leads there."""
    return (under(path, place) and _below(names).fullmatch(path, len(place)) is not None) or (
        made and under(place, path)
    )


def _places(environ: Mapping[bytes, bytes], what: str) -> Iterator[tuple[bytes, str, Globs]]:
    for line in PLACES.replace("\n  ", " ").strip().splitlines():
        tools, kind, spellings, names = (column.strip() for column in line.split(" : "))
        for spelling in spellings.split("|"):
            place = _expanded(spelling.strip().encode(), environ)
            if place is not None:
                if kind == what:
                    yield place, names, Globs(tools.split())
                break


def _expanded(spelling: bytes, environ: Mapping[bytes, bytes]) -> bytes | None:
    """A spelling with its variable's value, as the real path it leads to; None if that is not set or not absolute."""
    name, slash, rest = spelling.partition(b"/")
    if name:
        name = environ.get(b"HOME" if name == b"~" else name[1:], b"")
        if not name.startswith(b"/"):
            return None
    return os.path.realpath(name + slash + rest)


@cache
def _below(names: str) -> re.Pattern[bytes]:
    """What matches a path from the end of its place on: the place itself, or one of the names below it."""
    parts = {b"**": b".*", b"*": b"[^/]*"}
    escaped = (
        re.sub(rb"\*\*|\*|[^*\[\]a-f0-9-]", lambda m: parts.get(m[0]) or re.escape(m[0]), name)
        for name in names.encode().split()
    )
    return re.compile(b"(?:/(?:" + b"|".join(escaped) + b"))?", re.DOTALL)

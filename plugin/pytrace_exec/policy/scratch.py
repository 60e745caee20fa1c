# SPDX-License-Identifier: Apache-2.0
"""Scratch places and caches, which their own tools re-validate or never read again: no inputs, no outputs (DESIGN 4.3).

A row is programs and a place: the first of its spellings whose variable is set, a `*` standing for a part of a name.
It counts for a path below that place that no program but those looked at, and for the folders that lead to the place if
the run made them. Programs under the root are in no row.
"""

from __future__ import annotations

import os

from pytrace_exec.observe.world import under
from pytrace_exec.policy.globs import Globs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pytrace_exec.observe.run import Run

PLACES = """
go */pkg/tool/*              : $GOCACHE | $XDG_CACHE_HOME/go-build | ~/.cache/go-build
go */pkg/tool/*              : $XDG_CONFIG_HOME/go/telemetry | ~/.config/go/telemetry
go                           : $GOMODCACHE/cache/lock | $GOPATH/pkg/mod/cache/lock | ~/go/pkg/mod/cache/lock
cargo rustup rustc           : $CARGO_HOME/.package-cache* | ~/.cargo/.package-cache*
cargo                        : $CARGO_HOME/.global-cache* | ~/.cargo/.global-cache*
node                         : $npm_config_cache/_logs | ~/.npm/_logs
node                         : $npm_config_cache/_update-notifier-last-checked | ~/.npm/_update-notifier-last-checked
pip pip3 python*             : $PIP_CACHE_DIR | $XDG_CACHE_HOME/pip | ~/.cache/pip
python* pytest py.test       : $PYTEST_DEBUG_TEMPROOT/pytest-of-* | $TMPDIR/pytest-of-* | /tmp/pytest-of-*
java javac jar javadoc       : /tmp/hsperfdata_*
*                            : $XDG_CACHE_HOME/fontconfig | ~/.cache/fontconfig
*                            : /var/cache/fontconfig
"""


class Scratch:
    """The paths of one run that the table takes out of it: none below the root, where all that is left counts."""

    __slots__ = ("_heads", "_lookers", "_made", "_places", "_root")

    def __init__(self, run: Run, environ: Mapping[bytes, bytes]) -> None:
        self._root = run.setting.root
        self._lookers = run.lookers
        refused = (reason.path for reason in run.reasons.values() if reason.code == "wrote_outside")
        self._made = {path for path in refused if path is not None and os.path.isdir(path)}
        self._places = [(Globs(programs), place) for programs, place in _rows(environ) if not under(self._root, place)]
        self._heads = tuple(place.partition(b"*")[0] for _, place in self._places)

    def __contains__(self, path: bytes) -> bool:
        """Whether an absolute path lies in a place, and none but the place's programs looked at it."""
        made = path in self._made
        if under(path, self._root) or not (made or path.startswith(self._heads)):
            return False
        return any(_holds(place, path, made) and self._all_in(programs, path) for programs, place in self._places)

    def _all_in(self, programs: Globs, path: bytes) -> bool:
        return all(p.known_as in programs or p.known_path in programs for p in self._lookers.get(path, ()))


def _rows(environ: Mapping[bytes, bytes]) -> Iterator[tuple[list[str], bytes]]:
    for line in PLACES.strip().splitlines():
        programs, _, spellings = line.partition(":")
        for spelling in spellings.split("|"):
            place = _expanded(spelling.strip().encode(), environ)
            if place is not None:
                yield programs.split(), place
                break


def _expanded(spelling: bytes, environ: Mapping[bytes, bytes]) -> bytes | None:
    """A spelling with its variable's value, as the real path it leads to; None if that is not set or not absolute."""
    name, slash, rest = spelling.partition(b"/")
    if name:
        name = environ.get(b"HOME" if name == b"~" else name[1:], b"")
        if not name.startswith(b"/"):
            return None
    return os.path.realpath(name + slash + rest)


def _holds(place: bytes, path: bytes, made: bool) -> bool:
    """Whether a path is the place or below it; `made`: or a folder that the run made and that leads there."""
    head, star, tail = place.partition(b"*")
    if not star:
        return under(path, place) or (made and under(place, path))
    if not path.startswith(head):
        return made and under(head, path)
    return (b"/" + path[len(head) :].partition(b"/")[0]).endswith(tail)

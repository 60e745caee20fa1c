# SPDX-License-Identifier: Apache-2.0
"""Names and paths as a table spells them: `*`, `?` and `[...]` stand for what they do in a shell.

The tables are long and a run asks for few of their entries, so that no entry is compiled before it can match.
"""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

_SPECIAL = frozenset("*?[")
_MOST_KNOWN = 1024
_WILD = r"[*?]|\[!?\]?[^]]*\]"


class Globs:
    """A set of globs; what is `in` it matches one of them as a whole."""

    __slots__ = ("_known", "_names", "_wild")

    def __init__(self, globs: Iterable[str]) -> None:
        chosen = list(globs)
        wild = [glob for glob in chosen if not _SPECIAL.isdisjoint(glob)]
        self._names = frozenset(chosen).difference(wild)
        # Each with a piece that every match contains.
        self._wild = [(max(re.split(_WILD, glob), key=len), glob) for glob in wild]
        self._known: dict[str, bool] = {}

    def __contains__(self, name: str) -> bool:
        known = self._known.get(name)
        if known is None:
            known = self._matches(name)
            if len(self._known) < _MOST_KNOWN:
                self._known[name] = known
        return known

    def _matches(self, name: str) -> bool:
        return name in self._names or any(piece in name and fnmatchcase(name, glob) for piece, glob in self._wild)

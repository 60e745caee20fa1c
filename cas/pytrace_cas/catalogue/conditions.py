# SPDX-License-Identifier: Apache-2.0
"""A query in SQL: conditions on `actions AS a`, beside the attached index of the store."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from pytrace_cas.catalogue.query import Match
from pytrace_cas.catalogue.rows import LIST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytrace_cas.catalogue.query import Query

    IsCommon = Callable[[str, tuple[str, ...]], bool]

_COLUMNS = ("command", "program", "instance", "root", "kind")
_OF_REQUEST = ("tool", "invocation", "target", "mnemonic")
_HELD = ("target", "mnemonic")
_GATHERED = """a.id IN (SELECT b.id FROM store.{} q CROSS JOIN actions b ON b.hash = q.hash
AND b.function = q.function AND b.instance = q.instance AND b.size = q.size{})"""
_REQUESTED = _GATHERED.format("requests", " WHERE {}")
_REQUESTED_BY_MANY = """EXISTS (SELECT 1 FROM store.requests q WHERE q.function = a.function AND q.hash = a.hash
AND q.instance = a.instance AND q.size = a.size AND {})"""
_REPLACED = _GATHERED.format("replaced", "")
# Groups first, each once: a folder of many files is one group of every action that reads it.
_PATHS = """a.id IN (SELECT action FROM used WHERE grp IN
(SELECT m.grp FROM paths p CROSS JOIN members m ON m.path = p.id WHERE {}))"""
_PATHS_ONE_WAY = """a.id IN (SELECT action FROM used WHERE grp IN (SELECT m.grp FROM paths p
CROSS JOIN members m ON m.path = p.id CROSS JOIN groups g ON g.id = m.grp AND g.written = {} WHERE {{}}))"""


class Conditions:
    """Conditions that must all hold, and their parameters in order."""

    def __init__(self, is_common: IsCommon | None = None) -> None:
        self._texts = ["a.kind <> 'hidden'"]
        self._is_common = is_common
        self.parameters: list[Any] = []

    @classmethod
    def of(cls, query: Query, roots: Iterable[str] = (), is_common: IsCommon | None = None) -> Conditions:
        """Those of a query; `roots` of results, to which an absolute path may belong.

        `is_common` says whether a condition on the requests holds for many of them; without it none is taken to.
        """
        found = cls(is_common)
        if query.kind is None:
            found.add(f"a.kind <> '{LIST}'")
        for name in _COLUMNS:
            found._match(f"a.{name}", getattr(query, name))
        for word in query.word:
            found._word(word)
        for name in _OF_REQUEST:
            found._requested(name, getattr(query, name))
        for label, value in query.labels:
            found._label(label, value)
        if query.outcome is not None:
            found.add("a.exit_code = 0" if query.outcome == "ok" else "a.exit_code <> 0")
        found._ages(query)
        for match, form in (
            (query.path, _PATHS),
            (query.reads, _PATHS_ONE_WAY.format(0)),
            (query.writes, _PATHS_ONE_WAY.format(1)),
        ):
            if match is not None:
                found._path(match, form, roots)
        if query.nondeterministic:
            found.add(_REPLACED)
        return found

    def add(self, text: str, *parameters: Any) -> None:
        """Add a condition."""
        self._texts.append(text)
        self.parameters += parameters

    def narrowed(self, text: str, *parameters: Any) -> Conditions:
        """These and one more."""
        found = Conditions(self._is_common)
        found._texts = [*self._texts, text]
        found.parameters = [*self.parameters, *parameters]
        return found

    def __str__(self) -> str:
        return " AND ".join(self._texts)

    def _match(self, column: str, match: Match | None) -> None:
        if match is not None:
            text, parameters = _matching(column, match)
            self.add(text, *parameters)

    def _word(self, word: str) -> None:
        text, parameters = _matching("q.target", Match(word, "contains"))
        self.add(
            f"(instr(a.command, ?) OR instr(a.target, ?) OR {self._of_requests(text, parameters)})",
            word,
            word,
            *parameters,
        )

    def _requested(self, name: str, match: Match | None) -> None:
        if match is None:
            return
        text, parameters = _matching(f"q.{name}", match)
        if name not in _HELD:
            self.add(self._of_requests(text, parameters), *parameters)
            return
        held, more = _matching(f"a.{name}", match)
        self.add(f"({held} OR {self._of_requests(text, parameters)})", *more, *parameters)

    def _of_requests(self, text: str, parameters: tuple[str, ...]) -> str:
        """A condition on what was said in requests: few are gathered first, of many each action asks in its turn."""
        common = self._is_common is not None and self._is_common(text, parameters)
        return (_REQUESTED_BY_MANY if common else _REQUESTED).format(text)

    def _label(self, name: str, value: str | None) -> None:
        if value is None:
            self.add("a.labels <> '' AND EXISTS (SELECT 1 FROM json_each(a.labels) WHERE key = ?)", name)
        else:
            self.add(
                "a.labels <> '' AND EXISTS (SELECT 1 FROM json_each(a.labels) WHERE key = ? AND value = ?)", name, value
            )

    def _ages(self, query: Query) -> None:
        now = time.time()
        if query.younger is not None:
            self.add("r.stored >= ?", int(now - query.younger))
        if query.older is not None:
            self.add("r.stored < ?", int(now - query.older))

    def _path(self, match: Match, form: str, roots: Iterable[str]) -> None:
        known = () if match.how == "exact" else roots
        above = [root for root in known if root != "/" and (match.text + "/").startswith(root + "/")]
        matches = [match, *(Match("%R" + match.text[len(root) :], match.how) for root in above)]
        found = [_matching("p.path", one) for one in matches]
        text = " OR ".join(text for text, _ in found)
        self.add(form.format(f"({text})"), *(value for _, values in found for value in values))


def _matching(column: str, match: Match) -> tuple[str, tuple[str, ...]]:
    if match.how == "glob":
        return f"{column} GLOB ?", (match.text.replace("[!", "[^"),)
    if match.how == "contains":
        return f"instr({column}, ?)", (match.text,)
    if match.how == "below":  # "0" follows "/"
        return f"({column} >= ? AND {column} < ?)", (match.text + "/", match.text + "0")
    return f"{column} = ?", (match.text,)

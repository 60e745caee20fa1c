# SPDX-License-Identifier: Apache-2.0
"""What is looked for among the actions of a store, as a value and as text (`--filter`, the search field)."""

from __future__ import annotations

import re
import shlex
from typing import Any

import attrs

from pytrace_cas.recorded.places import escape

FILTER_HELP = """Terms, all of which must hold, with blanks between; quotes as in a shell.

NAME=TEXT is equal, or matches if TEXT has *, ? or [; NAME~TEXT contains. NAME is one of: command, program, target,
mnemonic, tool, invocation, instance, root, kind (traced, other, list), outcome (ok, failed), label (K or K=V), path
(read or written), reads, writes. A path is relative to the root, or absolute; with / at its end, all below it.
age<DUR and age>DUR: stored since, or before (90s, 24h, 30d). nondeterministic: gave other outputs before.
Any other word must be in the command or the target.
"""
"""The grammar, as help pages and documentation print it."""

TEXTS = ("command", "program", "target", "mnemonic", "tool", "invocation", "instance", "root", "kind")
PATHS = ("path", "reads", "writes")
_TERM = re.compile(r"([a-z]+)([=~<>])(.*)", re.DOTALL)
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
_MAGIC = re.compile(r"[*?\[]")


class InvalidQuery(ValueError):
    """A filter that cannot be read: `term` is the part, the message says what would be right."""

    def __init__(self, term: str, why: str) -> None:
        super().__init__(f"{term!r}: {why}")
        self.term = term


@attrs.frozen
class Match:
    """How a text is looked for: `how` is `equal`, `glob`, `contains`, or of paths only `below` (a folder) and `exact`.

    An absolute path may lie below the root of a result, which keeps it as `%R/x`; not if it is `exact`.
    """

    text: str
    how: str = "equal"

    @classmethod
    def of(cls, text: str) -> Match:
        """A glob if it looks like one, else that very text."""
        return cls(text, "glob" if _MAGIC.search(text) else "equal")


@attrs.frozen
class Query:
    """Which actions are wanted; all that is set must hold. Ages are seconds since the result was stored.

    `word`: in the command or the target. `labels`: names with a value, or None for any. `path`: read or written. Lists
    of path sets are left out unless `kind` asks for them.
    """

    word: tuple[str, ...] = ()
    command: Match | None = None
    program: Match | None = None
    target: Match | None = None
    mnemonic: Match | None = None
    tool: Match | None = None
    invocation: Match | None = None
    instance: Match | None = None
    root: Match | None = None
    kind: Match | None = None
    outcome: str | None = None
    labels: tuple[tuple[str, str | None], ...] = ()
    path: Match | None = None
    reads: Match | None = None
    writes: Match | None = None
    younger: float | None = None
    older: float | None = None
    nondeterministic: bool = False

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read a filter (`FILTER_HELP`); raise `InvalidQuery`."""
        try:
            terms = shlex.split(text)
        except ValueError as error:
            raise InvalidQuery(text, f"{error}; close the quotes") from None
        query = cls()
        for term in terms:
            query = query._with(term)
        return query

    def _with(self, term: str) -> Query:
        found = _TERM.fullmatch(term)
        if term == "nondeterministic":
            return attrs.evolve(self, nondeterministic=True)
        if found is None or found[1] not in (*TEXTS, *PATHS, "label", "outcome", "age"):
            return attrs.evolve(self, word=(*self.word, term))
        name, sign, value = found.groups()
        if name == "age":
            return self._with_age(term, sign, value)
        if sign not in "=~" or not value:
            raise InvalidQuery(term, f"write {name}=TEXT or {name}~TEXT")
        if name == "label":
            key, given, wanted = value.partition("=")
            return attrs.evolve(self, labels=(*self.labels, (key, wanted if given else None)))
        if name == "outcome":
            if value not in ("ok", "failed"):
                raise InvalidQuery(term, "the outcome is ok or failed")
            return attrs.evolve(self, outcome=value)
        if getattr(self, name) is not None:
            raise InvalidQuery(term, f"{name} is given twice")
        changed: dict[str, Any] = {name: _match(name, value, sign == "~")}
        return attrs.evolve(self, **changed)

    def _with_age(self, term: str, sign: str, value: str) -> Query:
        number, unit = value[:-1], value[-1:]
        if sign not in "<>" or unit not in _UNITS or not number.isdecimal():
            raise InvalidQuery(term, "write age<24h or age>30d, with s, m, h, d or w")
        seconds = float(int(number) * _UNITS[unit])
        return attrs.evolve(self, younger=seconds) if sign == "<" else attrs.evolve(self, older=seconds)


def _match(name: str, value: str, contains: bool) -> Match:
    if name in PATHS:
        return path_match(value, contains)
    return Match(value, "contains") if contains else Match.of(value)


def path_match(text: str, contains: bool = False, exact: bool = False) -> Match:
    """How a path that a person wrote is looked for: paths are kept as `%R/x` below the root, else absolute, escaped.

    A glob that does not begin with `/`, `%` or `*` is one below the root. With `exact` nothing is a glob or a folder.
    """
    raw = text.encode("utf-8", "surrogateescape")
    placed = text[:2] in ("%R", "%H", "%T") and text[2:3] in ("", "/")
    escaped = text[:2] + escape(raw[2:]).decode() if placed else escape(raw).decode()
    if contains:
        return Match(escaped, "contains")
    if not placed and not text.startswith("/" if exact else ("/", "*")):
        escaped = "%R" if text in (".", "./") else "%R/" + escaped.removeprefix("./")
    if exact:
        return Match(escaped)
    if _MAGIC.search(text):
        return Match(escaped, "glob")
    return Match(escaped.rstrip("/"), "below") if text.endswith("/") else Match(escaped)

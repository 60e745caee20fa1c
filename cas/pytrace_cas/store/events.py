# SPDX-License-Identifier: Apache-2.0
"""Lines that say what happened, appended to `counters` until they are folded into the index (`history`).

Fields are escaped by the rule of `recorded.places` and separated by tabs, so that every line is one event. On the path
of a hit.
"""

from __future__ import annotations

import time

from pytrace_cas.recorded.places import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.digest import Digest, DigestFunction

MARK = "@"
"""What a line begins with that is no statistic."""

LONGEST = 4096
"""Characters of a field that are kept."""


class Event:
    """One line: a kind and its fields, the time first."""

    __slots__ = ("fields", "kind", "time")

    def __init__(self, kind: str, *fields: str, time: int) -> None:
        self.kind = kind
        self.time = time
        self.fields = fields

    def line(self) -> bytes:
        """The line with its end."""
        texts = (self.kind, str(self.time), *self.fields)
        words = (escape(text[:LONGEST].encode("utf-8", "surrogateescape")) for text in texts)
        return MARK.encode() + b"\t".join(words) + b"\n"


def hit(function: DigestFunction, instance: str, action: Digest, times: int = 1) -> Event:
    """A stored result answered, once or that often."""
    return Event("hit", str(function.number), str(action), instance, str(times), time=int(time.time()))


def run(
    outcome: str, function: DigestFunction, instance: str, weak: Digest | None, action: Digest | None, command: str,
    reasons: str,
) -> Event:  # fmt: skip
    """A command was run, since no result answered; `command`: as stored, quoted for a shell; `reasons`: a JSON list."""
    named = (str(weak or ""), str(action or ""))
    return Event("run", outcome, str(function.number), instance, *named, command, reasons, time=int(time.time()))


def request(kind: str, function: DigestFunction, instance: str, action: Digest, *metadata: str) -> Event:
    """Somebody stored a result or asked for it (`stored`, `asked`); `metadata` as `history.REQUEST_FIELDS` names it."""
    return Event("request", kind, str(function.number), str(action), instance, *metadata, time=int(time.time()))

# SPDX-License-Identifier: Apache-2.0
"""The terms on which a result was stored: a user who did not agree to them is not answered from it.

What an option lets through, or leaves out, is a fact of the path set, `option NAME`. Its value is today's option, so
that only those find the result who choose the same. An option that asks for more exact facts is a fact with a constant
value: everybody may have such a result, and who asks for them takes no other.
"""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import ASKED_FOR, Subject
from pytrace_exec.policy.storing import ALLOWING

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytrace_cas.recorded.places import Places
    from pytrace_exec.options import Options
    from pytrace_exec.policy.reasons import Reason

EXACT = ("mtime", "strict")
"""Options that make facts more exact."""

OWN_WORLD = ("pid_namespace",)
"""Options that let the command see something else: their results answer those who choose the same, and nobody else."""

LOOSE = ("portable", "ignore", "disposable", "output")
"""Options that make a result depend on less."""


def terms_of(options: Options, reasons: Iterable[Reason]) -> list[Subject]:
    """The subjects that say on which terms a result with these reasons, all of them allowed, is stored."""
    used = {ALLOWING[reason.code] for reason in reasons if reason.code in ALLOWING}
    names = [name for name in (*EXACT, *OWN_WORLD, *LOOSE) if getattr(options, name)]
    return [_subject(name) for name in (*names, *sorted(used))]


def value(options: Options, places: Places, name: str) -> bytes:
    """Today's value of the subject `option NAME`."""
    chosen = getattr(options, name, None)
    if name in EXACT:
        return ASKED_FOR
    if chosen and name in OWN_WORLD:
        from pytrace_exec.pid_namespace import kind

        return kind().encode()
    if name == "output":
        return _together(places.encode_path(os.path.abspath(path)) for path in options.output)
    if isinstance(chosen, tuple):
        return _together(chosen)
    return b"yes" if chosen is True else b"no"


def serves(options: Options, subjects: Iterable[Subject]) -> bool:
    """Whether results with these subjects are of the kind that is asked for, and exact enough."""
    asked = _required(options)
    return not asked or asked.issubset(subjects)


def asked_for(options: Options, subjects: Iterable[Subject]) -> str:
    """What is asked for that results with these subjects lack, in words."""
    missing = _required(options).difference(subjects)
    exact = any(_subject(name) in missing for name in EXACT)
    return "more exact facts are asked for" if exact else "a PID namespace is asked for"


def _required(options: Options) -> set[Subject]:
    return {_subject(name) for name in (*EXACT, *OWN_WORLD) if getattr(options, name)}


def _subject(name: str) -> Subject:
    return Subject("fact", f"option {name}")


def _together(values: Iterable[bytes]) -> bytes:
    """One value for several, in any order."""
    import hashlib

    distinct = sorted(set(values))
    return hashlib.sha256(b"\0".join(distinct)).hexdigest().encode() if distinct else b"none"

# SPDX-License-Identifier: Apache-2.0
"""What `pytrace doctor` finds out about a remote, by questions that leave nothing behind in it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.digest import Digest, function_named
from pytrace_exec.cache.errors import RemoteDenied
from pytrace_exec.cache.remote import Address, connect
from pytrace_exec.cli.checks import OK, PROBLEM, WARNING, Finding

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.cache.errors import RemoteFailed
    from pytrace_exec.cache.remote import Remote, Terms
    from pytrace_exec.options import Options

MAJOR = 2
"""The version of the Remote Execution API that is spoken."""
_ROUNDS = 5


@attrs.frozen
class Answers:
    """What a remote said: its terms, and in how many seconds at best it told that it does not have something.

    `function` is the digest function to share with it; None when it does not offer that. `seconds` is None when it
    offers no function that is known here, and so could not be asked. `invents`: whether it answered a question for what
    nobody has; `has_empty`: False if it is asked over HTTP and lacks the empty blob, which a cache always has.
    """

    name: str
    terms: Terms
    function: DigestFunction | None
    seconds: float | None
    invents: bool = False
    has_empty: bool = True

    def described(self) -> dict[str, Any]:
        """One object."""
        versions = self.terms.versions
        return {
            "name": self.name,
            "round_trip_ms": None if self.seconds is None else round(self.seconds * 1000, 3),
            "api_versions": None if versions is None else [_dotted(version) for version in versions],
            "digest_functions": list(self.terms.functions),
            "digest_function": None if self.function is None else self.function.name,
            "may_write": self.terms.may_write,
        }


def ask(url: str, options: Options) -> Answers:
    """Ask a remote for its terms, for a result and for a blob; raise `RemoteFailed`."""
    address = Address(url, options.instance_name)
    remote = connect(address, options)
    try:
        terms = remote.terms()
        told = Answers(address.name, terms, None, None)
        if terms.function is not None:
            seconds, invents = _round_trip(remote, terms.function)
            # Who states terms in REAPI's own words is a cache; over HTTP nothing else says so.
            has_empty = not address.scheme.startswith("http") or _has_empty(remote, terms.function)
            told = attrs.evolve(told, seconds=seconds, invents=invents, has_empty=has_empty)
        function = terms.function if options.digest_function is None else function_named(options.digest_function)
        shared = function is not None and function.name in terms.functions
        return attrs.evolve(told, function=function if shared else None)
    finally:
        remote.close()


def _round_trip(remote: Remote, function: DigestFunction) -> tuple[float, bool]:
    """Ask for a blob and a result that nobody has; the shortest time (s) of several questions, and if it gave any."""
    absent = Digest(os.urandom(function.length // 2).hex(), 1)
    given = bool(list(remote.read_many(function, [absent])))
    times = []
    for _ in range(_ROUNDS):
        begun = time.perf_counter()
        given |= remote.get_result(function, absent, ()) is not None
        times.append(time.perf_counter() - begun)
    return min(times), given


def _has_empty(remote: Remote, function: DigestFunction) -> bool:
    empty = function.empty_digest()
    return list(remote.read_many(function, [empty])) == [(empty, b"")]


def unreached(error: RemoteFailed) -> Finding:
    """The one finding about a remote that did not answer."""
    if isinstance(error, RemoteDenied):
        return Finding("remote", PROBLEM, str(error), "ask those who run it for credentials that may read")
    return Finding("remote", PROBLEM, str(error), "start it, or correct its options; until then only the store is used")


def reached(answers: Answers) -> tuple[str, ...]:
    """That it answers, how soon, and whether it speaks our version of the protocol."""
    told = f"{answers.name} answers"
    if answers.seconds is not None:
        told += f" in {answers.seconds * 1000:.1f} ms"
    if answers.terms.versions is None:
        return OK, told
    low, high = answers.terms.versions
    told += f", Remote Execution API {_dotted(low)} to {_dotted(high)}"
    if not low[0] <= MAJOR <= high[0]:
        return PROBLEM, told, f"use a server of version {MAJOR}"
    return OK, told


def functions(answers: Answers) -> tuple[str, ...]:
    """Which digest functions it offers, and which is shared with it."""
    offered = f"it offers {', '.join(answers.terms.functions) or 'none that is known here'}"
    if answers.function is None:
        return PROBLEM, offered, "choose one of those with --digest-function, or another remote"
    return OK, f"{offered}; {answers.function.name} is shared"


def reading(answers: Answers) -> tuple[str, ...]:
    """Whether results and blobs can be read."""
    if answers.seconds is None:
        return PROBLEM, "not tried", "it takes a digest function that is known here"
    if answers.invents:
        return PROBLEM, "it answers questions for what nobody has: it is no cache", "correct the address, or its path"
    if not answers.has_empty:
        advice = "make sure that it is one: any web server says that what it was asked for is absent"
        return WARNING, "it does not have the empty blob, so it may be no cache", advice
    return OK, "a result and a blob that nobody has were asked for, and said to be absent"


def writing(answers: Answers) -> tuple[str, ...]:
    """Whether it takes results, as far as it says so: a trial would stay there."""
    if answers.terms.may_write is None:
        advice = "run something new with --verbose, which tells when a result is refused"
        return WARNING, "it does not say whether it takes results", advice
    if not answers.terms.may_write:
        return WARNING, "it takes no results (update_enabled)", "results are read from it and none is sent"
    return OK, "it takes results (update_enabled)"


REMOTE_CHECKS: tuple[tuple[str, Callable[[Answers], tuple[str, ...]]], ...] = (
    ("remote", reached),
    ("functions", functions),
    ("reading", reading),
    ("writing", writing),
)


def _dotted(version: tuple[int, int]) -> str:
    return f"{version[0]}.{version[1]}"

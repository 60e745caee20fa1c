# SPDX-License-Identifier: Apache-2.0
"""The circuit breaker, by a clock of the test's own."""

from __future__ import annotations

from pytrace_cas.upstream.breaker import FAILURES, FIRST_REST, LONGEST_REST, Breaker


class Clock:
    """A clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def opened(clock: Clock) -> Breaker:
    """A breaker that has just opened."""
    breaker = Breaker(clock)
    for _ in range(FAILURES):
        assert breaker.admits()
        breaker.failed()
    return breaker


def test_failures_in_a_row_open_it() -> None:
    breaker = Breaker(Clock())
    for _ in range(FAILURES - 1):
        breaker.failed()
    breaker.succeeded()
    for _ in range(FAILURES - 1):
        breaker.failed()
    assert breaker.state == "closed"
    assert breaker.admits()
    breaker.failed()
    assert breaker.state == "open"
    assert not breaker.admits()


def test_one_probe_decides() -> None:
    clock = Clock()
    breaker = opened(clock)
    clock.now += FIRST_REST
    assert breaker.state == "half_open"
    assert breaker.admits()
    assert not breaker.admits()
    breaker.failed()
    assert breaker.state == "open"
    clock.now += FIRST_REST
    assert not breaker.admits()
    clock.now += FIRST_REST
    assert breaker.admits()
    breaker.succeeded()
    assert breaker.state == "closed"
    assert all(breaker.admits() for _ in range(10))


def test_calls_that_began_before_do_not_lengthen_the_rest() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(50):
        breaker.failed()
    clock.now += FIRST_REST
    assert breaker.admits()


def test_the_rest_is_bounded() -> None:
    clock = Clock()
    breaker = opened(clock)
    for _ in range(20):
        clock.now += LONGEST_REST
        assert breaker.admits()
        breaker.failed()
    clock.now += LONGEST_REST
    assert breaker.admits()

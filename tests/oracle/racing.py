# SPDX-License-Identifier: Apache-2.0
"""Two commands at one time in one tree and over one store: they must end as in one of the two serial orders."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor

import attrs

from tests.support import tree
from tests.support.runner import Invocation, NoOutcome, Outcome, Pair, Record, Runner, lines_of, run_to_end
from tests.support.tree import Difference, Tree


@attrs.frozen
class Order:
    """What both commands said when one ran after the other, and the world that they left."""

    outcomes: tuple[Outcome, ...]
    left: Tree


def race(runner: Runner, pair: tuple[Invocation, Invocation], lead: float, loose: bool) -> Pair:
    """Run both through the wrapper, the first `lead` seconds before the second, and compare with plain serial runs.

    `loose`: no serial order need come out, as when one reads twice what the other writes meanwhile. Both worlds are
    alike afterwards: what is asked next has to fit what the race left.
    """
    orders = _orders(runner, pair)
    before = len(lines_of(runner.sandbox.log))
    with runner.sandbox.placed("cached", pair[0].place) as place:
        outcomes = _together(runner, pair, place, lead)
    records = [Record.parse(line) for line in lines_of(runner.sandbox.log)[before:]]
    if len(records) != len(pair):
        raise NoOutcome(pair[0].command, b"; ".join(outcome.stderr for outcome in outcomes))
    first = (list(pair[0].command), outcomes[0].status)  # of two equal commands one may have failed
    records.sort(key=lambda record: (record.line["command"], record.line["exit_code"]) != first)
    raced = Order(outcomes, runner.sandbox.take("cached"))
    found = [] if loose else min((_differences(runner, order, raced) for order in orders), key=len)
    found += [Difference("outcome", b"", "no error", one.line) for one in records if one.outcome == "error"]
    _copy(runner.sandbox.twin("cached"), runner.sandbox.twin("plain"))
    plain, cached = (attrs.evolve(one.outcomes[0], tree=one.left) for one in (orders[0], raced))
    return Pair(plain, cached, records[0], tuple(found))


def _orders(runner: Runner, pair: tuple[Invocation, Invocation]) -> list[Order]:
    """Run both plainly in each order, from the same world."""
    world, kept = runner.sandbox.twin("plain"), os.path.join(runner.sandbox.base, b"before-the-race")
    _copy(world, kept)
    orders = []
    for turns in ((0, 1), (1, 0)):
        with runner.sandbox.placed("plain", pair[0].place) as place:
            ended = {turn: run_to_end(runner.start, pair[turn].command, pair[turn], place) for turn in turns}
        orders.append(Order((ended[0], ended[1]), runner.sandbox.take("plain")))
        _copy(kept, world)
    return orders


def _together(
    runner: Runner, pair: tuple[Invocation, Invocation], place: bytes, lead: float
) -> tuple[Outcome, ...]:  # fmt: skip
    def run(invocation: Invocation, delay: float) -> Outcome:
        time.sleep(delay)
        return run_to_end(runner.start, invocation.wrapped(runner.sandbox, place, runner.wrapper), invocation, place)

    with ThreadPoolExecutor(len(pair)) as pool:
        return tuple(pool.map(run, pair, (0, lead)))


def _differences(runner: Runner, order: Order, raced: Order) -> list[Difference]:
    found = [one for pair in zip(order.outcomes, raced.outcomes, strict=True) for one in runner.compare(*pair)]
    return found + runner.compare_trees(order.left, raced.left)


def _copy(source: bytes, target: bytes) -> None:
    tree.remove(target)
    tree.copy(source, target)

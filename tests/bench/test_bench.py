# SPDX-License-Identifier: Apache-2.0
"""`python -m bench --quick`: every figure appears."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.catalogue import compilation, composed
from tests.bench.printed import CALLS, bench, rows

WORKLOADS = [
    "one C compile",
    "the same under make -j",
    "make -j2",
    "1,600 processes",
    "find + stat",
    "Python imports",
    "processor-bound",
]

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.strace, pytest.mark.make, pytest.mark.compiler]


@pytest.fixture(scope="module")
def whole(lua: Path) -> list[str]:
    """What it prints."""
    return bench("--quick")


def test_it_says_how_many_cores_there_are(whole: list[str]) -> None:
    assert whole[0].split()[1] == "cores"


def test_overhead_of_every_workload_is_measured(whole: list[str]) -> None:
    head, *table = rows(whole, "Tracing and storing")
    assert [row[0] for row in table] == WORKLOADS
    for row in table:
        assert len(row) == len(head)
        assert "-" not in row


def test_lists_of_a_large_store_are_measured(whole: list[str]) -> None:
    head, *table = rows(whole, "A store of 300 actions")
    assert [row[0].split()[0] for row in table] == ["interpreter", "ls", "ls", "ls", "ls", "find", "find", "show"]
    assert all(len(row) == len(head) for row in table)


def test_an_action_of_the_large_store_is_as_the_wrapper_composes_it() -> None:
    for number in (7, 207, 199_999):
        made, wanted = compilation(number), composed(number)
        assert (made.digest, made.blobs) == (wanted.digest, wanted.blobs)
        assert made.result.encode() == wanted.result.encode()


def test_fixed_cost_is_measured(whole: list[str]) -> None:
    _, *table = rows(whole, "Fixed cost")
    assert [row[0] for row in table] == ["bare", "python -c pass", "strace true", "recache true", "hit true"]


def test_hits_are_measured_where_the_workload_hits(whole: list[str]) -> None:
    _, *table = rows(whole, "A hit")
    assert [row[0] for row in table] == [*WORKLOADS, "true", "true, over python -c pass"]
    for name, _, hit, *_ in table:
        assert hit != "-" or any(line.startswith(f"{name}: no hit, but ") for line in whole)


def test_every_call_is_measured_on_our_server_and_on_the_floor(whole: list[str]) -> None:
    _, *table = rows(whole, "Servers")
    assert [row[:2] for row in table] == [[call, name] for call in CALLS for name in ("pytrace-cas", "floor")]
    for _, _, speed, cpu, *_ in table:
        assert float(speed.split()[0]) > 0
        assert float(cpu.split()[0]) > 0


def test_pages_are_measured(whole: list[str]) -> None:
    head, *table = rows(whole, "Pages")
    assert len(head) == 3
    assert {"overview", "list", "action", "memory at the end"} <= {row[0] for row in table}

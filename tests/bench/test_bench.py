# SPDX-License-Identifier: Apache-2.0
"""`python -m bench --quick`: every figure appears, and both verbs take peers."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.server import running_server

ROOT = Path(__file__).parents[2]
WORKLOADS = (
    "one C compile", "the same under make -j", "make -j2", "400 processes", "find + stat", "Python imports",
)  # fmt: skip
CALLS = (
    "GetActionResult, hit",
    "GetActionResult, miss",
    "FindMissingBlobs of 100",
    "ByteStream read",
    "ByteStream write",
)


def bench(*arguments: str) -> list[str]:
    """Run the benchmark; return its lines."""
    command = [sys.executable, "-m", "bench", *arguments]
    return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.splitlines()


def rows(lines: list[str], title: str) -> list[list[str]]:
    """The cells of a table, its head first."""
    start = next(number for number, line in enumerate(lines) if line.startswith(title))
    end = lines.index("", start)
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[start + 1 : end]]


@pytest.fixture(scope="module")
def whole(lua: Path) -> list[str]:
    """What `python -m bench --quick` prints."""
    return bench("--quick")


pytestmark = [pytest.mark.strace, pytest.mark.make, pytest.mark.compiler]


def test_it_says_how_many_cores_there_are(whole: list[str]) -> None:
    assert whole[0].split()[1] == "cores"


def test_overhead_of_every_workload_is_measured(whole: list[str]) -> None:
    head, *table = rows(whole, "Tracing and storing")
    assert [row[0] for row in table] == list(WORKLOADS)
    for row in table:
        assert len(row) == len(head)
        assert "-" not in row


def test_fixed_cost_is_measured(whole: list[str]) -> None:
    _, *table = rows(whole, "Fixed cost")
    assert [row[0] for row in table] == ["true", "python -c pass", "strace true", "recache true", "hit true"]


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


def test_any_endpoint_can_be_given_and_a_peer_beside_it(tmp_path: Path) -> None:
    with running_server(tmp_path / "one") as one, running_server(tmp_path / "two") as two:
        lines = bench("server", "--quick", one.grpc_url, "--peer", two.grpc_url)
    _, *table = rows(lines, "Servers")
    assert [row[1] for row in table] == [one.grpc_url, two.grpc_url] * len(CALLS)
    assert all(row[3] != "-" for row in table)

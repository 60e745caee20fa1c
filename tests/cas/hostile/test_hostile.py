# SPDX-License-Identifier: Apache-2.0
"""Thousands of hostile requests: each gets its code, the store stays sound and the server's memory flat."""

from __future__ import annotations

import time
from collections import Counter
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import pytest

from pytrace_cas.allocation import REST
from pytrace_cas.store import Store
from tests.cas.hostile import grpc_attacks, http_attacks, lingering, zstd_attacks
from tests.support import messages
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import RunningServer

GROWTH = 48 << 20  # bytes that buffers and pools may take once everything was tried
LATER_GROWTH = 32 << 20  # ... and of these in the second half
ROUNDS = 3
SETTLING = 30  # seconds in which the server notices that clients are gone
ATTACKS = grpc_attacks.ATTACKS | zstd_attacks.ATTACKS | lingering.ATTACKS
MEBIBYTE = 1 << 20


def _resident(server: RunningServer) -> int:
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize(("requests", "rest"), [(300, 0.0), pytest.param(20_000, REST + 5, marks=pytest.mark.soak)])
def test_hostile_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str], requests: int, rest: float) -> None:
    chance, answers = Random(requests), Counter[str]()
    with running_server(tmp_path / "store") as server, grpc.insecure_channel(server.grpc) as channel:
        address = urlsplit(server.http_url)
        assert address.hostname is not None
        assert address.port is not None
        target = grpc_attacks.Target(channel, (address.hostname, address.port))
        tried = _everything(target, chance, answers)
        open_before, first = _settled(target, server, rest), _resident(server)
        _play(target, chance, requests // 2 - tried, answers)
        _settled(target, server, rest)
        before = _resident(server)
        _play(target, chance, requests - requests // 2, answers)
        open_after, after = _settled(target, server, rest), _resident(server)
        assert target.read(messages.read_name(target.held)) == len(target.held)
        assert server.blobs_open() == 0
    with capsys.disabled():
        print(f"\n{requests} hostile requests: {dict(answers.most_common())}")
        figures = " ".join(f"{memory / MEBIBYTE:.0f}" for memory in (first, before, after))
        print(f"memory in MiB, once everything was tried, after half of the requests, and in the end: {figures}")
    assert after - first < GROWTH
    assert after - before < LATER_GROWTH
    assert open_after - open_before < 32
    with Store.open(str(tmp_path / "store")) as store:
        assert store.check(read_data=True).problems == ()
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def _settled(target: grpc_attacks.Target, server: RunningServer, rest: float) -> int:
    """Let go of what hangs about; return the server's open descriptors once it has noticed and rested for `rest` s."""
    target.let_go()
    deadline = time.monotonic() + SETTLING
    while server.blobs_open() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(rest)
    return server.descriptors_open()


def _everything(target: grpc_attacks.Target, chance: Random, answers: Counter[str]) -> int:
    """Try everything in turn, so that buffers and pools are as large as they get; return how many requests it took."""
    for _ in range(ROUNDS):
        for attack in ATTACKS:
            _attack(target, chance, attack, answers)
        for trick in http_attacks.ATTACKS:
            _trick(target, chance, trick, answers)
    return ROUNDS * (len(ATTACKS) + len(http_attacks.ATTACKS))


def _play(target: grpc_attacks.Target, chance: Random, count: int, answers: Counter[str]) -> None:
    for number in range(count):
        if number % 3:
            _attack(target, chance, chance.choice(list(ATTACKS)), answers)
        else:
            _trick(target, chance, chance.choice(http_attacks.ATTACKS), answers)


def _attack(target: grpc_attacks.Target, chance: Random, attack: grpc_attacks.Attack, answers: Counter[str]) -> None:
    found = grpc_attacks.answer(attack, target, chance)
    assert found in ATTACKS[attack], attack.__name__
    answers[found] += 1


def _trick(target: grpc_attacks.Target, chance: Random, trick: http_attacks.Attack, answers: Counter[str]) -> None:
    data, codes = trick(chance)
    hang_up = trick in http_attacks.HANG_UP
    status = http_attacks.answer(target.http, data, hang_up)
    right = status in codes or (status is None and hang_up)
    assert right, (trick.__name__, status, data[:300])
    answers[f"HTTP {status}"] += 1

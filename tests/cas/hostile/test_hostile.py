# SPDX-License-Identifier: Apache-2.0
"""Thousands of hostile requests: each gets its code, the store stays sound and the server's memory flat."""

from __future__ import annotations

from collections import Counter
from random import Random
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import grpc
import pytest

from pytrace_cas.store import Store
from tests.cas.hostile import grpc_attacks, http_attacks
from tests.support import messages
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.server import RunningServer

GROWTH = 48 << 20  # bytes that buffers and pools may take once everything was tried
MEBIBYTE = 1 << 20


def _resident(server: RunningServer) -> int:
    with open(f"/proc/{server.process.pid}/status", encoding="ascii") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))


@pytest.mark.parametrize("requests", [600, pytest.param(20_000, marks=pytest.mark.soak)])
def test_hostile_requests(tmp_path: Path, capsys: pytest.CaptureFixture[str], requests: int) -> None:
    chance, answers = Random(requests), Counter[str]()
    with running_server(tmp_path / "store") as server, grpc.insecure_channel(server.grpc) as channel:
        target = grpc_attacks.Target(channel)
        _play(target, server, chance, requests // 10, answers)
        before, open_before = _resident(server), server.descriptors_open()
        _play(target, server, chance, requests - requests // 10, answers)
        after, open_after = _resident(server), server.descriptors_open()
        assert target.read(messages.read_name(target.held)) == len(target.held)
        assert server.blobs_open() == 0
    with capsys.disabled():
        print(f"\n{requests} hostile requests: {dict(answers.most_common())}")
        print(f"memory: {before / MEBIBYTE:.0f} MiB after a tenth of them, {after / MEBIBYTE:.0f} MiB in the end")
    assert after - before < GROWTH
    assert open_after - open_before < 32
    with Store.open(str(tmp_path / "store")) as store:
        assert store.check(read_data=True).problems == ()
    assert list((tmp_path / "store" / "tmp").iterdir()) == []


def _play(
    target: grpc_attacks.Target, server: RunningServer, chance: Random, count: int, answers: Counter[str]
) -> None:
    address = urlsplit(server.http_url)
    assert address.hostname is not None
    assert address.port is not None
    for number in range(count):
        if number % 3:
            attack, expected = chance.choice(list(grpc_attacks.ATTACKS.items()))
            found = grpc_attacks.answer(attack, target, chance)
            assert found in expected, attack.__name__
            answers[found] += 1
        else:
            trick = chance.choice(http_attacks.ATTACKS)
            data, codes = trick(chance)
            hang_up = trick in http_attacks.HANG_UP
            status = http_attacks.answer((address.hostname, address.port), data, hang_up)
            right = status in codes or (status is None and hang_up)
            assert right, (trick.__name__, status, data[:300])
            answers[f"HTTP {status}"] += 1

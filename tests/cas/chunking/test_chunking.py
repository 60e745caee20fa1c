# SPDX-License-Identifier: Apache-2.0
"""Cuts are where everybody else's are (WIRE 53, 54).

The figures are facts about a stream that anybody can make (`stream`), got from pyfastcdc 0.3.1 (its two versions) and
buildbarn/go-cdc v0.0.10 (likewise). REAPI's own vectors are about a picture that is nobody's to pass on.
"""

from __future__ import annotations

import hashlib
import random

import pytest

from pytrace_cas.chunking.fast_cdc import FastCdc
from pytrace_cas.chunking.gear import gear_table
from pytrace_cas.chunking.rep_max_cdc import RepMaxCdc

Cutter = FastCdc | RepMaxCdc

FAST = {
    (16384, 0): [21855, 21458, 36387, 16982, 19890, 18183, 16753, 17660, 19803, 16436, 18416, 19984, 17600, 737],
    (16384, 666): [11487, 19046, 19277, 20780, 18641, 23483, 16535, 19865, 20855, 18726, 18739, 24651, 21264, 8795],
    (65536, 0): [82763, 68745, 109899, 737],
}
REP_MAX = {
    (
        8192,
        65536,
    ): "8617 8813 8776 15666 12478 8870 9390 8393 10494 9468 9849 10357 9025 8270 16275 13154 11236 15884 10122"
    " 15362 11577 15099 14969",
    (8192, 0): " ".join(["8192"] * 32),
    (
        8192,
        9000,
    ): "8617 14523 13360 12975 13745 9390 8393 12297 14761 13110 15311 13854 12774 16021 15884 10122 15362 11577"
    " 15099 14969",
}
# Of 8 MiB, with the numbers that the server announces.
FAST_ANNOUNCED = [
    531262,
    525085,
    991789,
    696984,
    537977,
    612845,
    707042,
    563246,
    573771,
    607205,
    678852,
    550657,
    534607,
]
FAST_ANNOUNCED += [277286]
REP_MAX_ANNOUNCED = [511373, 268121, 374092, 409911, 362412, 287351, 366083, 336535, 313142, 301961, 267070, 340601]
REP_MAX_ANNOUNCED += [419586, 335985, 498347, 317140, 514497, 291673, 291623, 475507, 279940, 336197, 489461]


def stream(size: int) -> bytes:
    """SHA-256 of 0, 1, 2, ... as four bytes each, the most significant first."""
    return b"".join(hashlib.sha256(number.to_bytes(4, "big")).digest() for number in range(size // 32))


def cut(cutter: Cutter, data: bytes, step: int = 1 << 18) -> list[bytes]:
    return list(cutter.chunks(data[start : start + step] for start in range(0, len(data), step)))


def sizes(cutter: Cutter, data: bytes, step: int = 1 << 18) -> list[int]:
    return [len(chunk) for chunk in cut(cutter, data, step)]


def test_rule_53_the_gear_table() -> None:
    assert gear_table()[:2] == [0x3B5D3C7D207E37DC, 0x784D68BA91123086]
    assert gear_table()[255] == 0xAABD2B2A451504E1


@pytest.mark.parametrize(("average", "seed"), FAST)
def test_rule_53_fast_cdc_cuts_as_others_do(average: int, seed: int) -> None:
    data = stream(1 << 18)
    for step in (1 << 18, 40_000, 1_000):
        assert sizes(FastCdc(average, seed), data, step) == FAST[average, seed]


@pytest.mark.parametrize(("least", "horizon"), REP_MAX)
def test_rule_54_rep_max_cdc_cuts_as_others_do(least: int, horizon: int) -> None:
    data = stream(1 << 18)
    for step in (1 << 18, 40_000, 1_000):
        assert sizes(RepMaxCdc(least, horizon), data, step) == [int(size) for size in REP_MAX[least, horizon].split()]


def test_large_streams_with_the_announced_numbers() -> None:
    data = stream(8 << 20)
    assert sizes(FastCdc(524288), data) == FAST_ANNOUNCED
    assert sizes(RepMaxCdc(262144, 8 * 262144), data) == REP_MAX_ANNOUNCED


def _fast_plainly(cutter: FastCdc, data: bytes) -> list[int]:
    """As the published program does it: byte by byte, the hash begun anew in each chunk."""
    table, found = gear_table(), []
    while data:
        place = min(len(data), cutter.most)
        if place > cutter.least:
            value, place = 0, cutter.least
            while place < min(len(data), cutter.most):
                value = ((value << 1) + table[data[place]]) % (1 << 64)
                if not value & (cutter.strict if place < cutter.average else cutter.lax):
                    break
                place += 1
        found.append(place)
        data = data[place:]
    return found


def _rep_max_plainly(cutter: RepMaxCdc, data: bytes) -> list[int]:
    table, found, value, values = gear_table(), [], 0, [0]
    for byte in data:
        value = ((value << 1) + table[byte]) % (1 << 64)
        values.append(value)  # that of the 64 bytes before the place
    begin = 0
    while size := len(data) - begin:
        last = min(size, 2 * cutter.least + cutter.horizon) - cutter.least
        place = size
        while size >= 2 * cutter.least:
            place = max(range(cutter.least, last + 1), key=lambda place: values[begin + place])
            if place < 2 * cutter.least:
                break
            last = place - cutter.least
        found.append(place)
        begin += place
    return found


@pytest.mark.parametrize("size", [0, 1, 63, 64, 127, 128, 256, 257, 1024, 4096, 7_000])
@pytest.mark.parametrize("kind", ["random", "zeros", "repeating", "mixed"])
def test_same_as_byte_by_byte(kind: str, size: int) -> None:
    choice = random.Random(size)
    made = {
        "random": choice.randbytes(size),
        "zeros": bytes(size),
        "repeating": (choice.randbytes(100) * size)[:size],
        "mixed": b"".join(choice.randbytes(300) + bytes(300) for _ in range(size // 600 + 1))[:size],
    }
    data = made[kind]
    fast, rep_max = FastCdc(1024), RepMaxCdc(64, 300)
    for step in (777, 20_000):
        assert b"".join(cut(fast, data, step)) == data
        assert sizes(fast, data, step) == _fast_plainly(fast, data)
        assert b"".join(cut(rep_max, data, step)) == data
        assert sizes(rep_max, data, step) == _rep_max_plainly(rep_max, data)


def test_a_change_moves_few_cuts() -> None:
    data = stream(1 << 20)
    changed = data[:500_000] + b"something new" + data[500_000:]
    for cutter in (FastCdc(16384), RepMaxCdc(8192, 65536)):
        new = set(cut(cutter, changed)) - set(cut(cutter, data))
        assert 0 < len(new) < 6


@pytest.mark.parametrize("average", [512, 1000, 1025, 2 << 20])
def test_averages_that_nobody_announces(average: int) -> None:
    with pytest.raises(ValueError, match=str(average)):
        FastCdc(average)

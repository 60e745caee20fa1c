# SPDX-License-Identifier: Apache-2.0
"""Large files written in pieces, directly or not."""

from __future__ import annotations

import errno
import fcntl
import os
import random
from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store, WrongOffset
from pytrace_cas.store.pieces import LARGE, PIECE, Pace, Pieces

SIZES = (1, PIECE - 1, PIECE, 3 * PIECE, 3 * PIECE + 5000)


class Steady(Pace):
    """A pace that always says the same."""

    def __init__(self, says: bool) -> None:
        super().__init__()
        self.says = says
        self.refusals = 0

    def direct(self) -> bool:
        return self.says

    def refused(self) -> None:
        self.refusals += 1
        self.says = False


@pytest.mark.parametrize("direct", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_what_is_appended_is_in_the_file(tmp_path: Path, size: int, direct: bool) -> None:
    data = random.Random(size).randbytes(size)
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    _append(Pieces(fd, Steady(direct)), data, 70_001)
    assert not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT
    os.write(fd, b"more")
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == data + b"more"


def test_the_ways_are_mixed(tmp_path: Path) -> None:
    data = random.Random(7).randbytes(70 * PIECE + 1)
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    _append(Pieces(fd, Pace()), data, PIECE + 17)
    os.close(fd)
    assert (tmp_path / "file").read_bytes() == data


@pytest.mark.parametrize("at_open", [False, True])
def test_a_file_system_without_direct_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at_open: bool) -> None:
    real_write, real_fcntl = os.write, fcntl.fcntl

    def write(fd: int, data: memoryview) -> int:
        if real_fcntl(fd, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EINVAL, "direct")
        return real_write(fd, data)

    def set_flags(fd: int, command: int, flags: int = 0) -> int:
        if command == fcntl.F_SETFL and flags & os.O_DIRECT:
            raise OSError(errno.EINVAL, "direct")
        return int(real_fcntl(fd, command, flags))

    if at_open:
        monkeypatch.setattr(fcntl, "fcntl", set_flags)
    else:
        monkeypatch.setattr(os, "write", write)
    data = random.Random(9).randbytes(3 * PIECE + 9)
    pace = Steady(True)
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDWR)
    _append(Pieces(fd, pace), data, PIECE // 3)
    os.close(fd)
    assert pace.refusals == 1
    assert (tmp_path / "file").read_bytes() == data


def test_what_could_not_be_written_is_not_passed_over(tmp_path: Path) -> None:
    fd = os.open(tmp_path / "file", os.O_CREAT | os.O_RDONLY)
    file = Pieces(fd, Steady(False))
    file.append(bytes(PIECE - 1))
    for _ in range(2):
        with pytest.raises(OSError, match=r"Bad file descriptor|could not be written"):
            file.append(bytes(PIECE))
    with pytest.raises(OSError, match="could not be written"):
        file.finish()
    os.close(fd)


def test_the_faster_way_is_taken_and_the_other_tried_again() -> None:
    pace = Pace()
    taken = []
    for _ in range(320):
        taken.append(pace.direct())
        pace.took(taken[-1], 0.001 if taken[-1] else 0.003)
    assert 300 < sum(taken) < 320
    for _ in range(3200):
        taken.append(pace.direct())
        pace.took(taken[-1], 0.1 if taken[-1] else 0.003)
    assert sum(taken[-320:]) == 10
    pace.refused()
    assert not any(pace.direct() for _ in range(320))


def test_one_slow_piece_changes_nothing() -> None:
    pace = Pace()
    for direct in (False, True):
        for _ in range(50):
            pace.took(direct, 0.001 if direct else 0.003)
    pace.took(True, 60.0)
    assert sum(pace.direct() for _ in range(64)) == 62


def test_a_blob_that_comes_in_odd_messages(store: Store) -> None:
    data = random.Random(1).randbytes(LARGE + 12345)
    digest = SHA256.of(data)
    upload = store.upload("name", SHA256, digest, 0)
    waited = 0
    for start in range(0, len(data), 60_000):
        chunk = data[start : start + 60_000]
        waited += upload.waits(len(chunk))
        upload.write(chunk)
    assert waited == len(data) // PIECE
    upload.commit()
    assert store.get(SHA256, digest) == data
    assert store.check(read_data=True).problems == ()


def test_an_upload_that_is_left_within_a_piece_is_kept_whole(store: Store) -> None:
    data = random.Random(2).randbytes(LARGE + 12345)
    digest = SHA256.of(data)
    came = PIECE + 777
    upload = store.upload("name", SHA256, digest, 0)
    upload.write(data[:came])
    with pytest.raises(WrongOffset):
        store.upload("name", SHA256, digest, came)  # of which only whole pieces survive a kill
    assert store.uploaded("name") == PIECE
    upload.leave()
    assert store.uploaded("name") == came
    upload = store.upload("name", SHA256, digest, came)
    upload.write(data[came:])
    upload.commit()
    assert store.get(SHA256, digest) == data
    assert store.check(read_data=True).problems == ()


def _append(file: Pieces, data: bytes, step: int) -> None:
    for start in range(0, len(data), step):
        file.append(data[start : start + step])
    file.finish()

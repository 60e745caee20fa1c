# SPDX-License-Identifier: Apache-2.0
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pytrace_exec.streams.spool import Pieces, Spool

MIB = 1 << 20


@settings(deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=20))
def test_what_is_appended_is_read(parts: list[bytes]) -> None:
    spool = Spool(b"/nowhere")
    for part in parts:
        spool.append(part)
    assert b"".join(spool.chunks()) == b"".join(parts)
    assert spool.size == sum(map(len, parts))


def test_a_long_record_is_a_file_without_a_name(tmp_path: Path) -> None:
    spool = Spool(os.fsencode(tmp_path))
    parts = [bytes((number,)) * MIB for number in range(7)]
    for part in parts:
        spool.append(part)
    assert list(tmp_path.iterdir()) == []
    assert b"".join(spool.chunks()) == b"".join(parts)
    assert b"".join(spool.chunks()) == b"".join(parts)  # Any number of times.
    spool.close()


def test_pieces_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"0123456789")
    pieces = Pieces(os.open(tmp_path / "f", os.O_RDONLY), [(2, 3), (8, 2)])
    assert b"".join(pieces.chunks()) == b"23489"
    assert pieces.size == 5
    (tmp_path / "f").write_bytes(b"0123456")
    with pytest.raises(EOFError):
        b"".join(pieces.chunks())
    pieces.close()

# SPDX-License-Identifier: Apache-2.0
"""What is read out of a `.pyc`, held against what Python itself writes and looks for."""

from __future__ import annotations

import importlib.util
import os
import py_compile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.recorded.bytecode import STAMP, source_of, split, stamp_for, stamp_in
from pytrace_cas.recorded.effect_entries import File, read_entry


@pytest.mark.parametrize("optimization", ["", 1])
def test_the_source_is_where_python_looks_for_it(optimization: str | int) -> None:
    path = importlib.util.cache_from_source("/a/b.py", optimization=optimization)
    assert source_of(os.fsencode(path)) == b"/a/b.py"


@pytest.mark.parametrize("path", [b"/a/b.pyc", b"/__pycache__/b.py", b"/a/x__pycache__/b.pyc"])
def test_other_paths_have_no_source(path: bytes) -> None:
    assert source_of(path) is None


@pytest.mark.parametrize(
    "mtime_ns", [0, 1, 1_500_000_000_999_999_999, 1_500_000_000_999_999_000, (1 << 32) * 10**9 + 5]
)
def test_the_stamp_is_that_of_python(tmp_path: Path, mtime_ns: int) -> None:
    source = tmp_path / "one.py"
    source.write_text("VALUE = 1\n")
    os.utime(source, ns=(mtime_ns, mtime_ns))
    made = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.TIMESTAMP)
    assert made is not None
    data = Path(made).read_bytes()
    assert stamp_in(data) == stamp_for(source.stat().st_mtime_ns, source.stat().st_size)


def test_bytecode_tied_by_hash_has_no_stamp(tmp_path: Path) -> None:
    source = tmp_path / "one.py"
    source.write_text("VALUE = 1\n")
    made = py_compile.compile(str(source), invalidation_mode=py_compile.PycInvalidationMode.CHECKED_HASH)
    assert made is not None
    data = Path(made).read_bytes()
    assert stamp_in(data) == b""
    assert split(data, SHA256).code == str(SHA256.of(data))


@given(st.binary(max_size=40), st.binary(min_size=8, max_size=8))
def test_only_the_stamp_is_left_out(data: bytes, stamp: bytes) -> None:
    found = split(data, SHA256)
    if not found.stamp:
        assert found.code == str(SHA256.of(data))
        return
    other = data[: STAMP.start] + stamp + data[STAMP.stop :]
    assert split(other, SHA256).code == found.code
    changed = data + b"x"
    assert split(changed, SHA256).code != found.code


def test_a_stamped_file_is_read_back() -> None:
    digest = Digest("0" * 64, 16)
    file = File(b"__pycache__/one.cpython-311.pyc", 0o644, digest, stamped=True)
    assert read_entry(file.line()) == file
    with pytest.raises(ValueError, match="stamp"):
        File(b"one.py", 0o644, digest, stamped=True)

# SPDX-License-Identifier: Apache-2.0
"""What is read out of account files, held against what the C library says."""

from __future__ import annotations

import grp
import pwd
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_exec.observe.accounts import Asked, meaning

DATA = b"root:x:0:0:root:/:/bin/sh\ntwin:x:0:0::/:/bin/sh\nuser:x:7:8::/:\nodd:x\n:x:9:9::/:\nlike:x:seven:1::/:\n"


def test_the_first_that_fits_counts_as_with_the_c_library() -> None:
    passwd, group = Path("/etc/passwd").read_bytes(), Path("/etc/group").read_bytes()
    for number in (0, 1, 65534):
        try:
            names = pwd.getpwuid(number).pw_name, grp.getgrgid(number).gr_name
        except KeyError:
            continue
        for data, name in zip((passwd, group), names, strict=True):
            assert meaning(data, Asked([number], [])) == f"{number}={name}\n".encode()
            assert meaning(data, Asked([], [name.encode()])) == f"{name}={number}\n".encode()


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked([0], []), b"0=root\n"),
        (Asked([7, 0], [b"twin", b"none"]), b"0=root\n7=user\nnone=-1\ntwin=0\n"),
        (Asked([9, 3], [b"odd", b"like"]), b"3=\n9=\nlike=-1\nodd=-1\n"),
    ],
)
def test_entries_that_are_none_are_passed_over(asked: Asked, said: bytes) -> None:
    assert meaning(DATA, asked) == said


def test_entries_from_elsewhere_cannot_be_told() -> None:
    assert meaning(DATA + b"+@others::::::\n", Asked([0], [])) is None


@given(st.sets(st.integers(0, 1 << 32)), st.sets(st.binary(max_size=9)))
def test_what_was_asked_is_read_again(numbers: set[int], names: set[bytes]) -> None:
    names.discard(b"")
    read = Asked.read(Asked(numbers, names).text)
    assert read.numbers == numbers
    assert read.names == names

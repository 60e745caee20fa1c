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

DATA = b"root:x:0:0:root:/:/bin/sh\ntwin:x:0:0::/:\n#old:x:7:8::/:\n\nuser:x:7:8::/:\n"


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
        (Asked([9, 3], [b"odd", b"#old"]), b"3=\n9=\n#old=-1\nodd=-1\n"),
    ],
)
def test_comments_and_empty_lines_are_passed_over(asked: Asked, said: bytes) -> None:
    assert meaning(DATA, asked) == said


@pytest.mark.parametrize(
    "line",
    [b"+@others::::::", b"-no", b" blank:x:1:1:::", b"short:x:77", b"like:x:seven:1:::", b":x:9:9:::"],
)
def test_lines_that_are_read_in_ways_of_their_own_cannot_be_told(line: bytes) -> None:
    assert meaning(DATA + line + b"\n", Asked([0], [])) is None


def test_groups_have_four_fields() -> None:
    assert meaning(b"wheel:x:10:a,b\nusers:*:100:\n", Asked([10], [b"users"])) == b"10=wheel\nusers=100\n"


@given(st.sets(st.integers(0, 1 << 32)), st.sets(st.binary(max_size=9)))
def test_what_was_asked_is_read_again(numbers: set[int], names: set[bytes]) -> None:
    names.discard(b"")
    read = Asked.read(Asked(numbers, names).text)
    assert read.numbers == numbers
    assert read.names == names

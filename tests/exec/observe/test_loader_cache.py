# SPDX-License-Identifier: Apache-2.0
"""What is read out of the loader's cache, held against what ldconfig prints of it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_exec.observe.loader_cache import PATH, entries_of, meaning

DATA = Path(os.fsdecode(PATH)).read_bytes() if os.path.exists(PATH) else b""
there = pytest.mark.skipif(not DATA, reason="this system has no loader's cache")


@there
def test_the_entries_are_those_of_ldconfig() -> None:
    printed = subprocess.run(["/sbin/ldconfig", "-p"], capture_output=True, check=True).stdout
    expected = re.findall(rb"^\t(\S+) \(.*\) => (.+)$", printed, re.MULTILINE)
    entries = entries_of(DATA)
    assert entries is not None
    assert [(entry.name, entry.path) for entry in entries] == expected


@there
def test_only_the_names_asked_for_count() -> None:
    entries = entries_of(DATA)
    assert entries is not None
    one, other = entries[0].name, next(entry.name for entry in entries if entry.name != entries[0].name)
    assert meaning(DATA, frozenset({one})) != meaning(DATA, frozenset({other}))
    assert meaning(DATA, frozenset({one, b"libabsent.so"})) == meaning(DATA, frozenset({one}))
    assert meaning(DATA, frozenset()) == b""
    without = DATA.replace(other + b"\0", b"X" * len(other) + b"\0")
    assert meaning(without, frozenset({one})) == meaning(DATA, frozenset({one}))


@there
@given(st.integers(0, len(DATA) - 1), st.integers(0, 255))
def test_a_damaged_cache_is_read_or_refused(place: int, byte: int) -> None:
    damaged = DATA[:place] + bytes([byte]) + DATA[place + 1 :]
    assert isinstance(meaning(damaged, frozenset({b"libc.so.6"})), bytes | None)
    assert entries_of(DATA[:place]) is None or place >= len(DATA) - 512


def test_another_format_is_not_read() -> None:
    assert entries_of(b"ld.so-1.7.0" + bytes(100)) is None
    assert meaning(b"", frozenset({b"libc.so.6"})) is None

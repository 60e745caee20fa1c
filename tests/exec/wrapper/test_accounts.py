# SPDX-License-Identifier: Apache-2.0
"""A user was added: the account files are others, and say the same of whom the command asks for."""

from __future__ import annotations

import pytest

from tests.exec.wrapper.place import Place
from tests.exec.wrapper.system_files import outcomes
from tests.support.runner import interpreter

pytestmark = [pytest.mark.strace]

TRACERS = [pytest.param("native", marks=pytest.mark.native), "strace"]
ADDED = "sleep 0.05; echo 'somebody:x:4321:4321::/home/somebody:/bin/sh' >> /etc/passwd"
RENAMED = "sed 's/^root:/boss:/' /etc/passwd > new; cat new > /etc/passwd; rm new"
SHOW = [
    ("tar", "cf", "out.tar", "in"),
    ("tar", "--create", "--file=out.tar", "in"),
    ("ls", "-l", "--time-style=+%s", "in"),
    ("stat", "-c", "%U %n", "in"),
    ("find", "in", "-printf", "%u\\n"),
    ("sh", "-c", "stat -c %U in > out"),
]
OTHERWISE = [
    ("sh", "-c", "stat -c %U in; grep -c x /etc/passwd"),
    ("sh", "-c", "stat -c %U:%s in /etc/passwd"),
    ("id", "-un", "root"),
    (interpreter(), "-I", "-c", "import pwd; print(len(pwd.getpwall()))"),
]


@pytest.fixture(autouse=True)
def an_input(place: Place) -> None:
    """Put a file there."""
    place.put("in", "one\n")


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("command", SHOW, ids=" ".join)
def test_another_user_is_no_matter_and_the_owner_s_name_is(place: Place, tracer: str, command: tuple[str, ...]) -> None:
    options = "--tracer", tracer
    assert outcomes(place, "/etc/passwd", command, ADDED, *options) == ["miss", "hit"]
    assert outcomes(place, "/etc/passwd", command, RENAMED, *options)[2:] == ["hit", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_name_that_was_told_counts_once_it_is_there(place: Place, tracer: str) -> None:
    command = ("sh", "-c", "find in -user somebody 2> /dev/null || echo nobody")
    assert outcomes(place, "/etc/passwd", command, ADDED, "--tracer", tracer) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("command", OTHERWISE, ids=" ".join)
def test_who_reads_them_otherwise_counts_every_byte(place: Place, tracer: str, command: tuple[str, ...]) -> None:
    assert outcomes(place, "/etc/passwd", command, ADDED, "--tracer", tracer) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_strictly_every_byte_counts(place: Place, tracer: str) -> None:
    assert outcomes(place, "/etc/passwd", SHOW[0], ADDED, "--tracer", tracer, "--strict") == ["miss", "miss"]

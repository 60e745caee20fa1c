# SPDX-License-Identifier: Apache-2.0
"""A user was added: the account files are others, and say the same of whom the command asks for."""

from __future__ import annotations

import os

import pytest

from tests.exec.wrapper.place import Place
from tests.exec.wrapper.system_files import outcomes
from tests.support.runner import interpreter
from tests.support.tracers import TRACERS

pytestmark = [pytest.mark.strace]

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
@pytest.mark.parametrize("owner", ["0", ":0", "+0", "root"])
def test_tar_asks_for_the_name_of_an_owner_that_it_was_told(place: Place, tracer: str, owner: str) -> None:
    command = ("tar", f"--owner={owner}", "--mtime=2020-01-01", "-cf", "out.tar", "in")
    (place.root / "in").chmod(0o600)
    os.chown(place.root / "in", 65534, 65534)
    asked = outcomes(place, "/etc/passwd", command, RENAMED, "--tracer", tracer)
    plain_names = owner in ("0", "root")
    assert asked == (["miss", "miss"] if plain_names else ["miss", asked[1]])


@pytest.mark.parametrize("tracer", TRACERS)
def test_options_of_tar_in_a_variable_let_every_byte_count(place: Place, tracer: str) -> None:
    command = ("sh", "-c", "TAR_OPTIONS=--owner=daemon tar -cf out.tar in")
    assert outcomes(place, "/etc/passwd", command, ADDED, "--tracer", tracer) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_what_is_made_in_a_folder_that_gives_its_group_lets_every_byte_count(place: Place, tracer: str) -> None:
    os.chown(place.root, -1, 1)
    place.root.chmod(0o2755)
    command = ("sh", "-c", "mkdir d; touch d/a; stat -c %G d/a; rm -r d")
    renamed = "sed 's/^daemon:/demon:/' /etc/group > ../new; cat ../new > /etc/group"
    assert outcomes(place, "/etc/group", command, renamed, "--tracer", tracer) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_the_time_of_a_file_given_on_a_descriptor_counts(place: Place, tracer: str) -> None:
    command = ("sh", "-c", "stat -c '%U %Y' - < /etc/passwd")
    changed = "touch -d 2019-01-01 /etc/passwd"
    assert outcomes(place, "/etc/passwd", command, changed, "--tracer", tracer) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_strictly_every_byte_counts(place: Place, tracer: str) -> None:
    assert outcomes(place, "/etc/passwd", SHOW[0], ADDED, "--tracer", tracer, "--strict") == ["miss", "miss"]

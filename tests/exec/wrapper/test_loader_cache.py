# SPDX-License-Identifier: Apache-2.0
"""A package was installed: the loader's cache is another, and says the same of what the command asks for."""

from __future__ import annotations

import os
import shlex
import shutil
import tempfile
from pathlib import Path

import pytest

from pytrace_exec.observe.loader_cache import entries_of
from tests.exec.wrapper.place import Place
from tests.exec.wrapper.system_files import outcomes
from tests.support.runner import interpreter
from tests.support.tracers import TRACERS

pytestmark = [pytest.mark.strace]

CACHE = "/etc/ld.so.cache"


def counted(place: Place, tracer: str, command: tuple[str, ...], change: str, *options: str) -> list[str]:
    """Run a command twice with a change of the cache between; return what became of each run."""
    place.put("in", "one\n")
    return outcomes(place, CACHE, command, change, "--tracer", tracer, *options)


def lying(former: bytes, now: bytes) -> str:
    """A script that lets the cache name another folder for a library, in as many bytes."""
    data = Path(CACHE).read_bytes()
    if data.count(former + b"\0") != 1 or len(now) > len(former):
        pytest.skip(f"the loader's cache does not name {os.fsdecode(former)} as it is needed here")
    now = b"/" * (len(former) - len(now)) + now
    program = (
        f"from pathlib import Path; p = Path({CACHE!r}); p.write_bytes(p.read_bytes().replace({former!r}, {now!r}))"
    )
    return shlex.join([interpreter(), "-I", "-c", program])


def path_of(library: str) -> bytes:
    """Where the cache says that a library lies."""
    data = Path(CACHE).read_bytes() if os.path.exists(CACHE) else b""
    found = [entry.path for entry in entries_of(data) or () if entry.name == library.encode()]
    if not found:
        pytest.skip(f"{library} is not in the loader's cache")
    return found[0]


@pytest.mark.parametrize("tracer", TRACERS)
def test_what_it_says_of_another_library_is_no_matter(place: Place, tracer: str) -> None:
    change = lying(path_of("libz.so.1"), b"/none/libz.so.1")
    assert counted(place, tracer, ("cat", "in"), change) == ["miss", "hit"]
    assert counted(place, tracer, ("cat", "in"), change, "--strict")[-2:] == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_what_it_says_of_the_program_s_own_library_counts(place: Place, tracer: str) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        shutil.copy(os.fsdecode(path_of("libc.so.6")), folder)
        change = lying(path_of("libc.so.6"), os.fsencode(folder) + b"/libc.so.6")
        assert counted(place, tracer, ("cat", "in"), change) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
def test_a_program_whose_loader_does_not_need_it_reads_it_itself(place: Place, tracer: str) -> None:
    folder = os.path.dirname(os.fsdecode(path_of("libc.so.6")))
    command = ("sh", "-c", f"LC_ALL=C LD_LIBRARY_PATH={folder} sha256sum {CACHE}")
    assert counted(place, tracer, command, lying(path_of("libz.so.1"), b"/none/libz.so.1")) == ["miss", "miss"]


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("command", [("/sbin/ldconfig", "-p"), ("wc", "-c", CACHE), ("grep", "-c", "x", CACHE)])
def test_a_program_that_reads_it_itself_counts_every_byte(place: Place, tracer: str, command: tuple[str, ...]) -> None:
    change = lying(path_of("libz.so.1"), b"/none/libz.so.1")
    assert counted(place, tracer, ("sh", "-c", f"cat in; {shlex.join(command)}"), change) == ["miss", "miss"]

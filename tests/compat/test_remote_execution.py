# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec` before the command of an action that a worker runs: buildbox-casd by itself, or one of BuildGrid's."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from tests.support.buildgrid_workers import running_buildgrid_executor
from tests.support.executors import WRAPPER, Executor, Work, running_casd_executor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.executors import Executed

pytestmark = pytest.mark.bubblewrap

MAKES = """\
mkdir -p made/deep && cp read.txt made/deep/copy && ln -s deep/copy made/link && rm away.txt
echo scratch > scratch && rm scratch
tr a-z A-Z < read.txt > upper.txt; chmod 755 upper.txt
echo told; echo warned >&2
"""
INPUTS = {"read.txt": b"some\n", "away.txt": b"away\n"}
LISTED = "find . ! -name listed -printf '%p %y %m %l\\n' | sort > listed"
NO_PTRACE = """
import ctypes, os, struct, sys
# Allow every call but ptrace (seccomp(2), a classic BPF program), which then gives EPERM.
number = {"x86_64": 101, "aarch64": 117}[os.uname().machine]
rules = [(0x20, 0, 0, 0), (0x15, 0, 1, number), (0x06, 0, 0, 0x50001), (0x06, 0, 0, 0x7FFF0000)]
program = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *rule) for rule in rules))
libc = ctypes.CDLL(None, use_errno=True)
filter = ctypes.create_string_buffer(struct.pack("@HP", len(rules), ctypes.addressof(program)))
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


@attrs.frozen
class Bench:
    """A worker, and what its actions may write of the host: a store and the log of outcomes."""

    executor: Executor
    place: Path

    def wrapped(self, *command: str, options: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A command line with the prefix."""
        places = ("--dir", str(self.place / "store"), "--stats-log", str(self.place / "log"))
        return (WRAPPER, *places, *options, "--", *command)

    def run(self, *command: str, options: tuple[str, ...] = (), **fields: Any) -> tuple[Executed, dict[str, Any]]:
        """Run a wrapped command in an action; give what the worker and what the wrapper says of it."""
        done = self.executor.run(Work(self.wrapped(*command, options=options), **fields))
        return done, self.told()

    def told(self) -> dict[str, Any]:
        """What the last wrapper said."""
        line: dict[str, Any] = json.loads((self.place / "log").read_text().splitlines()[-1])
        return line


WORKERS = {"casd": running_casd_executor, "buildgrid": running_buildgrid_executor}


@pytest.fixture(scope="module", params=["casd", pytest.param("buildgrid", marks=pytest.mark.soak)])
def executor(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Executor, Path]]:
    place = tmp_path_factory.mktemp("executor")
    (place / "writable").mkdir()
    with WORKERS[request.param](place / "worker", place / "writable") as running:
        yield running, place / "writable"


@pytest.fixture
def bench(executor: tuple[Executor, Path], tmp_path: Path) -> Bench:
    """The module's worker with a store of this test's."""
    place = executor[1] / tmp_path.name
    place.mkdir()
    return Bench(executor[0], place)


@pytest.mark.parametrize("folder", ["work", ""], ids=["in-a-folder", "in-the-root"])
def test_another_action_that_reads_the_same(bench: Bench, folder: str) -> None:
    command = ("sh", "-c", "cat read.txt > copy.txt; echo told; echo warned >&2")
    seen = []
    for unread in (b"one", b"two"):
        inputs = {"read.txt": b"read\n", "unread.txt": unread}
        done, told = bench.run(*command, inputs=inputs, outputs=["copy.txt"], folder=folder)
        assert (done.exit_code, done.stdout, done.stderr) == (0, b"told\n", b"warned\n")
        assert done.files == {"copy.txt": b"read\n"}
        seen.append((done.action, told["outcome"]))
    assert [outcome for _, outcome in seen] == ["miss", "hit"]
    assert seen[0][0] != seen[1][0]
    changed, told = bench.run(*command, inputs={"read.txt": b"other\n"}, outputs=["copy.txt"], folder=folder)
    assert (changed.files, told["outcome"]) == ({"copy.txt": b"other\n"}, "miss")


def test_outputs_are_exact(bench: Bench) -> None:
    """A plain run, one that is traced and one that is replayed leave the same tree, and the worker the same result."""
    declared = ["made", "upper.txt", "listed"]
    plain = bench.executor.run(Work(("sh", "-c", f"{MAKES}{LISTED}"), INPUTS, declared))
    assert plain.files["made/deep/copy"] == b"some\n"
    assert plain.links == {"made/link": "deep/copy"}
    assert b"scratch" not in plain.files["listed"]
    assert b"./upper.txt f 755" in plain.files["listed"]
    outcomes = []
    for unread in (b"one", b"two"):
        words = ("sh", "-c", f'"$@" && {LISTED}', "sh", *bench.wrapped("sh", "-c", MAKES))
        done = bench.executor.run(Work(words, {**INPUTS, "unread.txt": unread}, declared))
        outcomes.append(bench.told()["outcome"])
        files = {**done.files, "listed": done.files["listed"].replace(b"./unread.txt f 644 \n", b"")}
        assert files == plain.files
        assert (done.links, done.stdout, done.stderr) == (plain.links, plain.stdout, plain.stderr)
    assert outcomes == ["miss", "hit"]


def test_exit_codes(bench: Bench) -> None:
    command = ("sh", "-c", "echo why >&2; exit 7")
    for options, outcomes in (((), ["not_stored"] * 2), (("--cache-failures",), ["miss", "hit"])):
        for unread, outcome in zip((b"one", b"two"), outcomes, strict=True):
            done, told = bench.run(*command, options=options, inputs={"unread.txt": unread})
            assert (done.exit_code, done.stderr, told["outcome"]) == (7, b"why\n", outcome)


@pytest.mark.parametrize("executor", ["casd"], indirect=True)
def test_through_the_workers_own_cache(bench: Bench) -> None:
    """Where the worker lends its cache to actions, results outlive a store that goes with the sandbox."""
    command = ("sh", "-c", "cat read.txt > copy.txt")
    options = ("--dir", "/tmp/store", "--remote", "unix:/cas.socket")
    sources = []
    for unread in (b"one", b"two"):
        done, told = bench.run(
            *command,
            options=options,
            inputs={"read.txt": b"read\n", "unread.txt": unread},
            outputs=["copy.txt"],
            properties={"remoteApisSocketPath": "cas.socket"},
        )
        assert (done.exit_code, done.files) == (0, {"copy.txt": b"read\n"})
        sources.append((told["outcome"], told["source"]))
    assert sources == [("miss", None), ("hit", "remote")]


@pytest.mark.parametrize("tracer", ["auto", "native", "strace"])
def test_where_tracing_is_forbidden(bench: Bench, tracer: str) -> None:
    words = (sys.executable, "-c", NO_PTRACE, *bench.wrapped("sh", "-c", MAKES, options=("--tracer", tracer)))
    done = bench.executor.run(Work(words, INPUTS, ["made", "upper.txt"]))
    assert (done.exit_code, done.stdout, done.stderr) == (0, b"told\n", b"warned\n")
    assert done.files == {"made/deep/copy": b"some\n", "upper.txt": b"SOME\n"}
    told = bench.told()
    assert told["outcome"] == "bypass"
    assert "trac" in told["reasons"][0]["code"], told["reasons"]


def test_a_store_that_cannot_be_written(bench: Bench) -> None:
    done, told = bench.run("sh", "-c", MAKES, options=("--dir", "/usr/none"), inputs=INPUTS, outputs=["upper.txt"])
    assert (done.exit_code, done.stdout, done.files) == (0, b"told\n", {"upper.txt": b"SOME\n"})
    assert told["outcome"] in ("bypass", "not_stored")

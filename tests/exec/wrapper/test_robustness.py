# SPDX-License-Identifier: Apache-2.0
"""Places where tracing is hard or not allowed: the command does the same as without us, and hits where it can."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

import pytest

from pytrace_cas.store import Store
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import Record, interpreter, wrapper_command
from tests.support.tracers import FIRST_TRACER, TRACERS

pytestmark = [pytest.mark.strace]

NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
DEEP = """
import os
fd = os.open(".", os.O_RDONLY)
for level in range(30):
    name = "x" * 200
    if not os.access(name, os.F_OK, dir_fd=fd):
        os.mkdir(name, dir_fd=fd)
    fd = os.open(name, os.O_RDONLY | os.O_DIRECTORY, dir_fd=fd)
inner = os.open("f", os.O_RDWR | os.O_CREAT, dir_fd=fd)
open("out", "w").write(os.read(inner, 99).decode() or "empty")
os.pwrite(inner, b"full", 0)
"""

# As process 1 of a container often is: it gets every orphan, and waits for none.
ADOPTING = """
import ctypes, os, subprocess, sys
assert ctypes.CDLL(None, use_errno=True).prctl(36, 1, 0, 0, 0) == 0  # PR_SET_CHILD_SUBREAPER
status = subprocess.run(sys.argv[1:]).returncode
try:
    sys.exit(f"left behind: {os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)}")
except ChildProcessError:
    sys.exit(status)
"""


def run_under(
    place: Place, around: Sequence[str], *words: str
) -> tuple[subprocess.CompletedProcess[bytes], Record | None]:
    """Run the wrapper as the argument of another program."""
    before = len(place.lines())
    done = subprocess.run(
        [*around, *wrapper_command(), *words], cwd=place.root, env=place.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    lines = place.lines()[before:]
    return done, Record.parse(lines[-1]) if lines else None


def hits_under(place: Place, around: Sequence[str], tracer: str) -> None:
    """Run a command twice: the second time it hits, and its output is there again."""
    place.put("in", "one\n")
    for outcome in ("miss", "hit"):
        done, record = run_under(place, around, "--tracer", tracer, "--", "sh", "-c", "cat in | tee out")
        assert (done.returncode, done.stdout, done.stderr) == (0, b"one\n", b"")
        assert record is not None
        assert record.outcome == outcome, record.line
        assert (place.root / "out").read_text() == "one\n"
        (place.root / "out").unlink()


def owned_by_nobody(place: Place) -> None:
    """Give the place away, as far as the user can reach what runs there."""
    for path in (place.base, place.root, place.base / "home"):
        os.chown(path, 65534, 65534)
    if subprocess.run([*NOBODY, *wrapper_command(), "--help"], capture_output=True, check=False).returncode:
        pytest.skip("the installation cannot be reached by other users")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
@pytest.mark.parametrize("tracer", TRACERS)
def test_as_a_user(place: Place, tracer: str) -> None:
    owned_by_nobody(place)
    hits_under(place, NOBODY, tracer)


@pytest.mark.parametrize("tracer", TRACERS)
@pytest.mark.parametrize("bounded", [False, True])
def test_in_a_user_namespace(place: Place, tracer: str, bounded: bool) -> None:
    """As in an unprivileged container; `bounded`: without the right to trace what is not one's own."""
    around = ["unshare", "--user", "--map-root-user"]
    if bounded:
        around += ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
    if subprocess.run([*around, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    hits_under(place, around, tracer)


@pytest.mark.parametrize("tracer", TRACERS)
def test_with_few_descriptors(place: Place, tracer: str) -> None:
    hits_under(place, ("prlimit", "--nofile=64:64"), tracer)


@pytest.mark.parametrize("tracer", TRACERS)
def test_within_another(place: Place, tracer: str) -> None:
    """A process has one tracer: the inner wrapper runs its command plainly."""
    place.put("in", "one\n")
    inner = (*wrapper_command(), "--tracer", tracer, "--", "sh", "-c", "cat in > out; cat out; exit 3")
    ended = place.run("--tracer", tracer, "--", *inner)
    assert (ended.status, ended.stdout, ended.stderr) == (3, b"one\n", b"")
    assert (place.root / "out").read_text() == "one\n"


@pytest.mark.parametrize("tracer", TRACERS)
def test_under_strace(place: Place, tracer: str) -> None:
    place.put("in", "one\n")
    around = ("strace", "-f", "-o", "/dev/null")
    done, record = run_under(place, around, "--tracer", tracer, "--", "sh", "-c", "cat in; exit 3")
    assert (done.returncode, done.stdout, done.stderr) == (3, b"one\n", b"")
    assert record is not None
    assert record.outcome in ("bypass", "not_stored")


@pytest.mark.gdb
@pytest.mark.native
def test_under_gdb(place: Place) -> None:
    around = ("gdb", "-q", "-batch", "-ex", "run", "--args", sys.executable)
    done, _ = run_under(place, around, "--", "sh", "-c", "echo made > out")
    assert (place.root / "out").read_text() == "made\n", done


@pytest.mark.slow
@pytest.mark.parametrize("tracer", FIRST_TRACER)
def test_five_thousand_children(place: Place, tracer: str) -> None:
    script = "i=0; while [ $i -lt 5000 ]; do (: < in); i=$((i + 1)); done; echo $i"
    place.put("in", "one\n")
    for outcome in ("miss", "hit"):
        ended = place.run("--tracer", tracer, "--", "sh", "-c", script)
        assert (ended.status, ended.stdout, ended.outcome) == (0, b"5000\n", outcome)
    place.put("in", "two\n")
    assert place.run("--tracer", tracer, "--", "sh", "-c", script).outcome == "miss"


@pytest.mark.slow
def test_a_hundred_at_once(place: Place) -> None:
    place.put("in", "one\n")
    wrappers = [
        subprocess.Popen(
            [*wrapper_command(), "--", "sh", "-c", f"cat in > out{number}; echo {number % 10}"], cwd=place.root,
            env=place.environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for number in range(100)
    ]  # fmt: skip
    for number, wrapper in enumerate(wrappers):
        assert wrapper.communicate(timeout=2 * SECONDS) == (b"%d\n" % (number % 10), b"")
        assert wrapper.returncode == 0
        assert (place.root / f"out{number}").read_text() == "one\n"
    assert len(place.lines()) == 100
    with Store.open(os.fsencode(place.store)) as store:
        assert store.check(read_data=True).problems == ()


@pytest.mark.parametrize("tracer", TRACERS)
def test_paths_longer_than_a_path_may_be(place: Place, tracer: str) -> None:
    """What cannot be named cannot be a fact: it runs each time, and what it reads is always of now."""
    said = []
    for _ in range(2):
        ended = place.run("--tracer", tracer, "--", interpreter(), "-c", DEEP)
        assert (ended.status, ended.stderr) == (0, b"")
        said.append((place.root / "out").read_text())
    assert said == ["empty", "full"]


@pytest.mark.native
def test_nothing_is_left_to_whoever_gets_orphans(place: Place) -> None:
    place.put("in", "one\n")
    for command, status in (("cat in > out", 0), ("echo no > out; exit 3", 3), ("kill -9 $$", -9 % 256)):
        around = (interpreter(), "-c", ADOPTING)
        done, record = run_under(place, around, "--tracer", "native", "--", "sh", "-c", command)
        assert (done.returncode, done.stderr) == (status, b""), done
        assert record is not None
        assert record.outcome in ("miss", "not_stored"), record.line

# SPDX-License-Identifier: Apache-2.0
"""`--pid-namespace`: the same process numbers each run, who is answered from such a result, and who gets none."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence

import pytest

from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import Record, interpreter, wrapper_command

pytestmark = [pytest.mark.native, pytest.mark.pid_namespace]

OPTION = "--pid-namespace"
NUMBERS = ("sh", "-c", "echo $$ $PPID; sleep 0 & echo $!; wait")
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")
SELF = """
import os
seen = {int(name) for name in os.listdir("/proc") if name.isdigit()}
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
assert int(os.readlink("/proc/self")) == int(status["Pid"]) == os.getpid() == 2, status
assert int(status["PPid"]) == os.getppid() == 0, status
assert seen == {1, 2}, seen
assert open("/proc/1/comm").read() == "pytrace-traced\\n"
assert os.stat("/proc/self/cwd").st_ino == os.stat(".").st_ino
assert os.getpgrp() == os.getsid(0) == 0
os.kill(0, 0)
"""
ORPHANS = """
(sleep 0.1 &); (sh -c 'exit 3' &)
sleep 0.5
for status in /proc/[0-9]*/stat; do read -r line < $status; echo "${line##*) }" | cut -c1; done | sort -u
"""
UNSHARE = {"x86_64": 272, "aarch64": 97}
REFUSING = f"""
import ctypes, os, struct, sys
os.environ.pop("LC_CTYPE", None)  # which Python sets
steps = ((0x20, 0, 0, 0), (0x15, 0, 1, {UNSHARE.get(platform.machine(), 0)}), (6, 0, 0, 0x50001), (6, 0, 0, 0x7fff0000))
code = b"".join(struct.pack("<HBBI", *step) for step in steps)
place = ctypes.create_string_buffer(code)
filter = struct.pack("<HxxxxxxQ", len(steps), ctypes.addressof(place))
libc = ctypes.CDLL(None)
assert libc.prctl(38, 1, 0, 0, 0) == 0 and libc.prctl(22, 2, filter, 0, 0) == 0
os.execvp(sys.argv[1], sys.argv[1:])
"""


def run_under(place: Place, around: Sequence[str], *words: str) -> tuple[int, bytes, bytes, Record | None]:
    """Run the wrapper as the argument of another program."""
    before = len(place.lines())
    done = subprocess.run(
        [*around, *wrapper_command(), *words], cwd=place.root, env=place.environment(), stdin=subprocess.DEVNULL,
        capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    lines = place.lines()[before:]
    return done.returncode, done.stdout, done.stderr, Record.parse(lines[-1]) if lines else None


def test_numbers_are_the_same_each_run(place: Place) -> None:
    for _ in range(2):
        ended = place.run("--mode", "recache", OPTION, "--", *NUMBERS)
        assert (ended.status, ended.stdout, ended.stderr) == (0, b"2 0\n3\n", b"")
        assert ended.outcome == "miss"
    ended = place.run(OPTION, "--", *NUMBERS)
    assert (ended.stdout, ended.outcome) == (b"2 0\n3\n", "hit")
    plain = {place.run("--mode", "recache", "--", *NUMBERS).stdout for _ in range(2)}
    assert len(plain) == 2
    assert b"2 0\n3\n" not in plain


def test_a_name_made_of_a_number_is_replayed(place: Place) -> None:
    command = ("sh", "-c", "echo made > out.$$; (exec sh -c 'echo inner > out.$$')")
    for outcome in ("miss", "hit"):
        assert place.run(OPTION, "--", *command).outcome == outcome
        assert (place.root / "out.2").read_text() == "made\n"
        assert (place.root / "out.3").read_text() == "inner\n"
        for number in (2, 3):
            (place.root / f"out.{number}").unlink()


@pytest.mark.parametrize("first", [OPTION, f"--no-{OPTION[2:]}"])
def test_neither_answers_the_other(place: Place, first: str) -> None:
    second = f"--no-{OPTION[2:]}" if first == OPTION else OPTION
    said = {}
    for option in (first, second):
        ended = place.run(option, "--", *NUMBERS)
        assert ended.outcome == "miss"
        said[option] = ended.stdout
    assert said[OPTION] == b"2 0\n3\n" != said[f"--no-{OPTION[2:]}"]
    for option in (first, second):
        ended = place.run(option, "--", *NUMBERS)
        assert (ended.stdout, ended.outcome) == (said[option], "hit")


def test_the_option_is_told_as_the_reason(place: Place) -> None:
    place.run("--", *NUMBERS)
    assert place.run(OPTION, "--", *NUMBERS).reasons == ("options_changed",)
    assert place.run("--", *NUMBERS).outcome == "hit"


def test_the_environment_turns_it_on(place: Place) -> None:
    assert place.run("--", *NUMBERS, variables={"PYTRACE_PID_NAMESPACE": "1"}).stdout == b"2 0\n3\n"


def test_the_process_file_system_shows_the_same_numbers(place: Place) -> None:
    ended = place.run(OPTION, "--", interpreter(), "-c", SELF)
    assert (ended.status, ended.stderr) == (0, b"")


def test_a_process_that_is_not_there_is_no_fact(place: Place) -> None:
    """There is one of that number outside, now and then."""
    command = ("sh", "-c", f"test -e /proc/{os.getpid()} || test -e /proc/{os.getpid()}/cwd || echo none")
    for outcome in ("miss", "hit"):
        ended = place.run(OPTION, "--", *command)
        assert (ended.stdout, ended.outcome) == (b"none\n", outcome)


def test_files_are_reached_through_the_process_file_system(place: Place) -> None:
    """The descriptors and folders of a process lead to files, which are inputs like any other."""
    place.put("in", "one\n")
    command = ("sh", "-c", "cat /proc/self/cwd/in; cat /dev/stdin < in; cat /proc/$$/../../$PWD/in")
    for outcome in ("miss", "hit"):
        ended = place.run(OPTION, "--", *command)
        assert (ended.stdout, ended.outcome) == (b"one\n" * 3, outcome), ended
    place.put("in", "two\n")
    ended = place.run(OPTION, "--", *command)
    assert (ended.stdout, ended.outcome) == (b"two\n" * 3, "miss")


def test_orphans_are_reaped(place: Place) -> None:
    ended = place.run(OPTION, "--", "sh", "-c", ORPHANS)
    assert (ended.status, b"Z" in ended.stdout.split()) == (0, False), ended


def test_within_another(place: Place) -> None:
    """The inner wrapper cannot trace, and runs its command in the namespace that is there."""
    inner = (*wrapper_command(), OPTION, "--", "sh", "-c", "echo $PPID $(cat /proc/1/comm); exit 3")
    ended = place.run(OPTION, "--", *inner)
    assert (ended.status, ended.stdout, ended.stderr) == (3, b"2 pytrace-traced\n", b"")


def test_strace_does_not_do(place: Place) -> None:
    ended = place.run(OPTION, "--tracer", "strace", "--", "touch", "made")
    assert (ended.status, ended.record) == (125, None)
    assert b"native" in ended.stderr
    assert os.listdir(place.root) == ["WORKSPACE"]


@pytest.mark.skipif(platform.machine() not in UNSHARE, reason="knows the call's number for some processors only")
@pytest.mark.parametrize("options", [(), ("--mode", "off"), ("--mode", "readonly")])
def test_where_it_cannot_be_had_the_command_does_not_run(place: Place, options: tuple[str, ...]) -> None:
    around = (interpreter(), "-c", REFUSING)
    status, stdout, stderr, record = run_under(place, around, *options, OPTION, "--", "sh", "-c", "echo ran > made")
    assert (status, stdout, record) == (125, b"", None)
    assert stderr.startswith(b"pytrace-exec: --pid-namespace: ")
    assert stderr.count(b"\n") == 1
    assert os.listdir(place.root) == ["WORKSPACE"]


def test_a_hit_needs_no_namespace(place: Place) -> None:
    assert place.run(OPTION, "--", *NUMBERS).outcome == "miss"
    _, stdout, _, record = run_under(place, (interpreter(), "-c", REFUSING), OPTION, "--", *NUMBERS)
    assert record is not None
    assert (stdout, record.outcome) == (b"2 0\n3\n", "hit")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_as_a_user(place: Place) -> None:
    for path in (place.base, place.root, place.base / "home"):
        os.chown(path, 65534, 65534)
    if subprocess.run([*NOBODY, *wrapper_command(), "--help"], capture_output=True, check=False).returncode:
        pytest.skip("the installation cannot be reached by other users")
    if subprocess.run([*NOBODY, "unshare", "-Upf", "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    command = ("sh", "-c", "echo $$; id -u; stat -c %u . /; grep CapEff /proc/self/status; echo made > out")
    status, stdout, stderr, _ = run_under(place, NOBODY, OPTION, "--", *command)
    assert (status, stderr) == (0, b"")
    assert stdout.split() == b"2 65534 65534 65534 CapEff: 0000000000000000".split()
    assert (place.root / "out").stat().st_uid == 65534
    for outcome in ("miss", "hit"):
        status, stdout, stderr, record = run_under(place, NOBODY, OPTION, "--", *NUMBERS)
        assert (status, stdout, stderr) == (0, b"2 0\n3\n", b"")
        assert record is not None
        assert record.outcome == outcome


@pytest.mark.skipif(os.geteuid() != 0, reason="needs to be root")
def test_root_without_the_right_gets_none(place: Place) -> None:
    around = ("setpriv", "--bounding-set=-sys_admin", "--inh-caps=-sys_admin")
    status, stdout, stderr, record = run_under(place, around, OPTION, "--", "touch", "made")
    assert (status, stdout, record) == (125, b"", None)
    assert b"CAP_SYS_ADMIN" in stderr
    assert os.listdir(place.root) == ["WORKSPACE"]

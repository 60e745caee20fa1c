# SPDX-License-Identifier: Apache-2.0
"""How a command in a PID namespace ends, and what it leaves: as without one."""

from __future__ import annotations

import os
import signal
import subprocess
import time

import pytest

from tests.exec.tracer.driving import wait_for
from tests.exec.wrapper.kills.orphans import adopted, marked, tracer_of
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import wrapper_command

pytestmark = [pytest.mark.native, pytest.mark.pid_namespace]

OPTION = "--pid-namespace"
MODES = [("--mode", "off", OPTION), (OPTION,)]
MARK = f"PYTRACE_NAMESPACE_TEST={os.getpid()}"
TRAP = "trap 'echo caught; exit 5' INT TERM HUP USR1; echo ready; while :; do sleep 0.05; done"


def start(place: Place, options: tuple[str, ...], script: str) -> subprocess.Popen[bytes]:
    """Start a script through the wrapper, in a session of its own, marked."""
    name, _, value = MARK.partition("=")
    words = [*wrapper_command(), *options, "--", "sh", "-c", script]
    return subprocess.Popen(
        words, cwd=place.root, env=place.environment({name: value}), stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
def test_ends_by_the_signal_that_ended_the_command(place: Place, options: tuple[str, ...], number: int) -> None:
    assert place.run(*options, "--", "sh", "-c", f"kill -{number:d} $$").status == -number


@pytest.mark.parametrize("options", MODES)
def test_statuses(place: Place, options: tuple[str, ...]) -> None:
    place.put("script", "echo $0 $$; exit 7\n").chmod(0o755)
    place.put("broken", "#!/nonexistent/interpreter\n").chmod(0o755)
    assert place.run(*options, "--", "sh", "-c", "exit 3").status == 3
    assert place.run(*options, "--", "no-such-command").status == 127
    assert place.run(*options, "--", "./broken").status == 126
    ended = place.run(*options, "--", "./script")
    assert (ended.status, ended.stdout) == (7, b"./script 2\n")


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGUSR1])
def test_signals_for_the_wrapper_reach_the_command(place: Place, options: tuple[str, ...], number: int) -> None:
    with start(place, options, TRAP) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, number)
        assert process.stdout.read() == b"caught\n"
        assert process.wait(SECONDS) == 5


@pytest.mark.parametrize("options", MODES)
def test_interrupting_the_whole_group(place: Place, options: tuple[str, ...]) -> None:
    with start(place, options, "sh -c 'echo ready; exec sleep 50'; echo not reached") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == b""
        assert process.wait(SECONDS) == -signal.SIGINT


@pytest.mark.parametrize("options", [*MODES, (), ("--mode", "off")])
def test_stopping_stops_the_wrapper(place: Place, options: tuple[str, ...]) -> None:
    with start(place, options, "kill -STOP $$; echo on") as process:
        assert process.stdout is not None
        _, status = os.waitpid(process.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        os.kill(process.pid, signal.SIGCONT)
        assert process.stdout.read() == b"on\n"
        assert process.wait(SECONDS) == 0


@pytest.mark.parametrize("options", MODES)
def test_standard_input_is_passed_on(place: Place, options: tuple[str, ...]) -> None:
    ended = place.run(*options, "--", "sh", "-c", "cat; cat /dev/null /dev/stdin", input=b"given\n")
    assert (ended.status, ended.stdout) == (0, b"given\n")


@pytest.mark.parametrize("options", MODES)
def test_a_terminal_stays_one(place: Place, options: tuple[str, ...]) -> None:
    ours, theirs = os.openpty()
    script = "test -t 0 && test -t 1 && test -t 2 && echo yes > said"
    words = [*wrapper_command(), *options, "--", "sh", "-c", script]
    done = subprocess.run(
        words, cwd=place.root, env=place.environment(), stdin=theirs, stdout=theirs, stderr=theirs, check=False,
        timeout=SECONDS,
    )  # fmt: skip
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 0
    assert (place.root / "said").read_text() == "yes\n"


@pytest.mark.parametrize("options", MODES)
def test_what_is_left_running_runs_on(place: Place, options: tuple[str, ...]) -> None:
    script = "(sleep 3.5; echo $$ > late) >/dev/null 2>&1 & exit 4"
    begun = time.monotonic()
    with adopted():
        with start(place, options, script) as process:
            assert process.wait(SECONDS) == 4
        assert time.monotonic() - begun < 3.4
        assert not (place.root / "late").exists()
        wait_for((place.root / "late").exists)
        wait_for(lambda: not marked(MARK))
    assert (place.root / "late").read_text() == "2\n"


def test_time_limits_end_the_command(place: Place) -> None:
    with adopted():
        ended = place.run(OPTION, "--timeout", "1s", "--", "sh", "-c", "sleep 50 & sleep 50")
    assert (ended.status, ended.reasons[0]) == (-signal.SIGTERM, "timeout")


def test_killing_the_wrapper_lets_the_command_end(place: Place) -> None:
    with adopted(), start(place, (OPTION,), "sleep 1; echo late > out") as process:
        wait_for(lambda: any(tracer_of(pid) for pid in marked(MARK)))
        process.kill()
        wait_for((place.root / "out").exists)
        wait_for(lambda: not marked(MARK))


@pytest.mark.parametrize("victim", ["tracer", "pytrace-traced"])
def test_killing_what_is_beside_the_command_ends_it(place: Place, victim: str) -> None:
    with adopted(), start(place, (OPTION,), "sleep 50 & echo ready; sleep 50") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        traced = next(pid for pid in marked(MARK) if tracer_of(pid))
        os.kill(tracer_of(traced) if victim == "tracer" else _named(victim), signal.SIGKILL)
        assert process.wait(SECONDS) == -signal.SIGKILL
        wait_for(lambda: not marked(MARK))


def _named(name: str) -> int:
    """The marked process of that name."""
    for pid in marked(MARK):
        with open(f"/proc/{pid}/comm") as comm:
            if comm.read().strip() == name:
                return pid
    raise AssertionError(name)

# SPDX-License-Identifier: Apache-2.0
"""How the wrapper ends: as the command did, whatever state it was started in."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import wrapper_command

pytestmark = [pytest.mark.strace, pytest.mark.anew]


MODES = [("--mode", "off"), ()]


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, signal.SIGKILL])
def test_ends_by_the_signal_that_ended_the_command(place: Place, options: tuple[str, ...], number: int) -> None:
    ended = place.run(*options, "--", "sh", "-c", f"kill -{number:d} $$")
    assert ended.status == -number
    assert ended.outcome in ("bypass", "not_stored")


@pytest.mark.parametrize("options", MODES)
def test_commands_that_cannot_be_run(place: Place, options: tuple[str, ...]) -> None:
    place.put("plain", "echo\n")
    place.put("broken", "#!/nonexistent/interpreter\n").chmod(0o755)
    assert place.run(*options, "--", "no-such-command").status == 127
    assert place.run(*options, "--", "./no-such-command").status == 127
    assert place.run(*options, "--", "./plain").status == 126
    assert place.run(*options, "--", "./broken").status == 126
    assert place.run(*options, "--", "/").status == 126


@pytest.mark.parametrize("options", MODES)
def test_a_script_without_an_interpreter_is_run_by_the_shell(place: Place, options: tuple[str, ...]) -> None:
    place.put("script", "echo $0 $1; exit 7\n").chmod(0o755)
    ended = place.run(*options, "--", "./script", "word")
    assert (ended.status, ended.stdout) == (7, b"./script word\n")


@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_descriptors_stay_closed(place: Place, closed: str) -> None:
    place.put("in", "one\n")
    script = "for n in 0 1 2; do [ -e /proc/self/fd/$n ] && echo $n; done > seen; ls /proc/self/fd | wc -l >> seen"
    words = [*wrapper_command(), "--explain", "--", "sh", "-c", script]
    results = []
    for begin in ((), words[:2], words[:2]):
        command = [*begin, "--", "sh", "-c", script] if begin else ["sh", "-c", script]
        done = subprocess.run(
            ["sh", "-c", f'exec "$@" {closed}', "sh", *command], cwd=place.root, env=place.environment(), check=False
        )
        results.append((done.returncode, (place.root / "seen").read_bytes()))
        (place.root / "seen").unlink()
    assert results[0] == results[1] == results[2]


def test_a_store_stands_on_no_closed_descriptor(place: Place) -> None:
    for _ in range(2):
        command = [*wrapper_command(), "--explain", "--", "sh", "-c", "echo out; echo err >&2"]
        subprocess.run(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command],
            cwd=place.root,
            env=place.environment(),
            stdout=-3,
            check=False,
        )
    assert place.run("--", "true").outcome == "miss"
    assert place.run("--", "true").outcome == "hit"


@pytest.mark.parametrize("options", [(), ("--explain",)])
def test_a_deleted_working_directory(place: Place, options: tuple[str, ...]) -> None:
    gone = place.root / "gone"
    gone.mkdir()
    command = [*wrapper_command(), *options, "--", "sh", "-c", "echo ran; exit 3"]
    done = subprocess.run(
        ["sh", "-c", 'rmdir ../gone; exec "$@"', "sh", *command],
        cwd=gone, env=place.environment(), capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (3, b"ran\n")
    assert (b"pytrace: bypass: " in done.stderr) == bool(options)


@pytest.mark.parametrize("options", MODES)
def test_a_reader_that_goes_away_ends_the_command(place: Place, options: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*wrapper_command(), *options, "--", "yes"], cwd=place.root, env=place.environment(), stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.read(2) == b"y\n"
        process.stdout.close()
        assert process.wait(SECONDS) == -signal.SIGPIPE


def test_a_hit_whose_reader_has_gone_ends_as_the_command_would(place: Place) -> None:
    command = ("sh", "-c", "echo made > out; exec head -c 3000000 /dev/zero")
    assert place.run("--", *command).outcome == "miss"
    (place.root / "out").unlink()
    for read in (0, 10):
        with subprocess.Popen(
            [*wrapper_command(), "--", *command], cwd=place.root, env=place.environment(), stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.read(read)
            process.stdout.close()
            status = process.wait(SECONDS)
        plain = subprocess.Popen(command, cwd=place.root, stdout=subprocess.PIPE)
        assert plain.stdout is not None
        plain.stdout.read(read)
        plain.stdout.close()
        assert status == plain.wait(SECONDS) == -signal.SIGPIPE
        assert sorted(os.listdir(place.root)) == ["WORKSPACE", "out"]


def test_a_hit_on_a_full_output_runs_the_command(place: Place) -> None:
    command = ("--", "sh", "-c", "echo made > out; echo said")
    assert place.run(*command).outcome == "miss"
    with open("/dev/full", "wb") as full:
        plain = subprocess.run(command[1:], cwd=place.root, stdout=full, stderr=subprocess.PIPE, check=False)
        wrapped = subprocess.run(
            [*wrapper_command(), *command], cwd=place.root, env=place.environment(), stdout=full,
            stderr=subprocess.PIPE, check=False,
        )  # fmt: skip
    assert (wrapped.returncode, wrapped.stderr) == (plain.returncode, plain.stderr)


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_for_the_wrapper_reach_the_command(place: Place, options: tuple[str, ...], number: int) -> None:
    script = "trap 'echo caught; exit 5' INT TERM HUP; echo ready; while :; do sleep 0.05; done"
    with subprocess.Popen(
        [*wrapper_command(), *options, "--", "sh", "-c", script],
        cwd=place.root, env=place.environment(), stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.kill(process.pid, number)
        assert process.stdout.read() == b"caught\n"
        assert process.wait(SECONDS) == 5


@pytest.mark.parametrize("options", MODES)
def test_interrupting_the_whole_group(place: Place, options: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [*wrapper_command(), *options, "--", "sh", "-c", "sh -c 'echo ready; exec sleep 50'; echo not reached"],
        cwd=place.root, env=place.environment(), stdout=subprocess.PIPE, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stdout.read() == b""
        assert process.wait(SECONDS) == -signal.SIGINT


@pytest.mark.parametrize("options", MODES)
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGHUP])
def test_a_signal_that_the_caller_ignores_stays_ignored(place: Place, options: tuple[str, ...], number: int) -> None:
    command = ("sh", "-c", f"kill -{number:d} $$; echo alive")
    words = (*wrapper_command(), *options, "--", *command)
    shell = ["sh", "-c", f'trap "" {number:d}; exec "$@"', "sh", *words]
    ended = subprocess.run(shell, cwd=place.root, env=place.environment(), stdout=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"alive\n")


def test_a_wrapper_that_fails_before_the_command_runs_it_plainly(place: Place) -> None:
    assert _with_failing("pytrace_exec.lookup.LookUp.hits", place) == (3, "bypass", ("cache_failed",), 1)
    assert _with_failing("pytrace_exec.miss.known_before", place) == (3, "bypass", ("wrapper_failed",), 1)
    assert _with_failing("pytrace_exec.observe.snapshot.Snapshot.take", place) == (3, "bypass", ("wrapper_failed",), 1)


def test_a_wrapper_that_fails_after_the_command_passes_its_status_on(place: Place) -> None:
    for name in ("miss.observe", "miss.store_result", "outcome.Outcome.missed"):
        status, outcome, reasons, runs = _with_failing(f"pytrace_exec.{name}", place)
        assert (status, runs) == (3, 1), name
        assert outcome in ("error", "not_stored"), name
        assert reasons, name


@pytest.mark.parametrize(
    ("tracer", "parser"),
    [
        pytest.param("strace", "strace_log.LogParser.feed", marks=pytest.mark.strace),
        pytest.param("native", "native_stream.StreamParser.feed", marks=pytest.mark.native),
    ],
)
def test_a_command_whose_trace_cannot_be_read_is_not_run_again(place: Place, tracer: str, parser: str) -> None:
    status, outcome, reasons, runs = _with_failing(f"pytrace_exec.tracer.{parser}", place, "--tracer", tracer)
    assert (status, outcome, runs) == (3, "not_stored", 1)
    assert "not_whole" in reasons


def _with_failing(name: str, place: Place, *options: str) -> tuple[int, str, tuple[str, ...], int]:
    """Run a command that counts its runs with one function of the wrapper broken."""
    module, _, function = name.rpartition(".")
    code = f"""if True:
        import pkgutil, sys
        owner = pkgutil.resolve_name({module!r})
        def broken(*_, **__):
            raise RuntimeError("broken")
        setattr(owner, {function!r}, broken)
        sys.argv[0] = "pytrace-exec"
        from pytrace_exec.wrapper import main
        main()
    """
    interpreter = Path(wrapper_command()[0]).with_name("python")
    counted = place.base / "runs"
    counted.unlink(missing_ok=True)
    before = len(place.lines())
    script = f"echo ran >> {counted}; exit 3"
    done = subprocess.run(
        [interpreter, "-c", code, *options, "--", "sh", "-c", script], cwd=place.root, env=place.environment(),
        stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=SECONDS,
    )  # fmt: skip
    from tests.support.runner import Record

    record = Record.parse(place.lines()[before])
    return done.returncode, record.outcome, record.reasons, len(counted.read_text().splitlines())


def test_a_process_that_is_left_running_goes_on(place: Place) -> None:
    script = "(sleep 0.7; echo late > late) >/dev/null 2>&1 & echo early"
    ended = place.run("--timeout", "40s", "--", "sh", "-c", script)
    assert (ended.status, ended.stdout) == (0, b"early\n")
    deadline = time.monotonic() + SECONDS
    while not (place.root / "late").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert (place.root / "late").exists()

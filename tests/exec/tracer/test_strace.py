# SPDX-License-Identifier: Apache-2.0
"""Real programs under the real tracer."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytrace_exec.tracer.events import Call, Exited, Killed, Superseded, Unparsed
from tests.exec.tracer.driving import Driver, Ran, wait_for

pytestmark = pytest.mark.strace

AWKWARD = [
    b"a\nb",
    b"\xff\xfe",
    b'q"q',
    b"<x>",
    b"a b",
    b"a -> b",
    b"-x",
    b"z" * 255,
    b"x(deleted)",
    b"\x01\x7f1",
    b"a\\b",
]


def calls(result: Any, *names: str) -> list[Any]:
    return [event for event in result.events if isinstance(event, Call) and event.name in names]


def unparsed(result: Any) -> list[Unparsed]:
    return [event for event in result.events if isinstance(event, Unparsed)]


def python(driver: Driver, code: str, *args: str, **options: Any) -> Ran:
    return driver.run(sys.executable, "-S", "-c", code, *args, **options)


def test_awkward_names_come_through(driver: Driver, tmp_path: Path) -> None:
    code = """if True:
        import os, sys
        for name in eval(sys.argv[1]):
            d = os.open(name, os.O_CREAT | os.O_RDWR); os.fstat(d); os.unlink(name); os.fstat(d)
    """
    result, _, _ = python(driver, code, repr(AWKWARD), cwd=tmp_path)
    assert result.complete
    assert not unparsed(result)
    opened = {call.args[1]: call for call in calls(result, "openat") if call.args[1] in AWKWARD}
    assert list(opened) == AWKWARD
    for name, call in opened.items():
        assert call.result_fd.path == os.fsencode(tmp_path) + b"/" + name
    assert sum(call.args[0].deleted for call in calls(result, "newfstatat", "fstat") if call.args[0].path) == len(
        AWKWARD
    )


def test_threads_vfork_and_exec_from_a_thread(driver: Driver) -> None:
    code = """if True:
        import os, subprocess, sys, threading
        subprocess.run(["true"])
        threading.Thread(target=lambda: os.execv("/bin/echo", ["echo", "from", "thread"])).start()
        threading.Event().wait()
    """
    result, out, _ = python(driver, code)
    assert out == b"from thread\n"
    assert result.complete
    assert not unparsed(result)
    (superseded,) = [event for event in result.events if isinstance(event, Superseded)]
    after = result.events[result.events.index(superseded) :]
    assert any(isinstance(e, Call) and (e.pid, e.name, e.result) == (superseded.pid, "execve", 0) for e in after)
    assert result.events[-1] == Exited(superseded.pid, 0, result.events[-1].line)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGKILL, signal.SIGTERM, signal.SIGALRM, signal.SIGPIPE])
def test_an_end_by_signal(driver: Driver, number: signal.Signals) -> None:
    result, _, _ = driver.run("sh", "-c", f"kill -{int(number)} $$")
    assert os.WTERMSIG(result.status) == number
    assert result.complete
    assert [event.signal for event in result.events if isinstance(event, Killed)] == [number.name]


def test_an_exit_status(driver: Driver) -> None:
    result, _, _ = driver.run("sh", "-c", "exit 42")
    assert os.waitstatus_to_exitcode(result.status) == 42
    assert isinstance(result.events[-1], Exited)
    assert result.events[-1].code == 42


def test_unknown_calls_appear(driver: Driver) -> None:
    result, _, _ = python(driver, "import ctypes; ctypes.CDLL(None).syscall(1000, 1, 2, 3)")
    (call,) = calls(result, "syscall_0x3e8")
    assert call.error == "ENOSYS"


SURROUNDINGS = """if True:
    import os, resource, signal, sys
    status = [line for line in open("/proc/self/status") if line.startswith(("SigIgn", "SigBlk", "SigPnd", "Umask"))]
    # posix_spawn of glibc ignores the two signals of its thread library, which handles them when it uses them.
    status = [line for line in status if not line.startswith("SigIgn")] + [
        "%x" % (int(line.split()[1], 16) & ~0x180000000) for line in status if line.startswith("SigIgn")
    ]
    print(sorted(os.environb.items()), list(os.environb), sys.argv, os.getcwd(), *status)
    print(os.getpgrp(), os.getsid(0), [resource.getrlimit(n) for n in range(16)])
    # One more is that of the listing itself.
    print([n for n in os.listdir("/proc/self/fd")], file=sys.stderr)
    print(os.getppid(), file=sys.stderr)
"""


@pytest.mark.parametrize(
    "env",
    [{}, {"LD_PRELOAD": "", "LD_LIBRARY_PATH": "/nowhere", "B": "1"}, {"A": "x=y\n\udcff"}],
    ids=["plain", "linker", "bytes"],
)
def test_the_command_notices_nothing(driver: Driver, env: dict[str, str], tmp_path: Path) -> None:
    # A bare name, found by PATH, whose folder is no part of strace's own business.
    (tmp_path / "snake").symlink_to(sys.executable)
    env = {"PYTHONPATH": driver.root, **env, "PATH": f"{tmp_path}:/usr/bin:/bin"}
    outside = os.open("/dev/null", os.O_RDONLY)
    options: dict[str, Any] = {"env": env, "pass_fds": (outside,), "preexec_fn": lambda: os.umask(0o027)}
    result, out, err = driver.run("snake", "-S", "-c", SURROUNDINGS, "-x", "a b", **options)
    plain = subprocess.run(
        ["snake", "-S", "-c", SURROUNDINGS, "-x", "a b"],
        **{**options, "env": {**os.environ, **env}},
        executable=tmp_path / "snake",
        capture_output=True,
        input=b"",
    )
    os.close(outside)
    assert result.complete
    assert out == plain.stdout
    listing, parent = err.splitlines()
    assert listing == plain.stderr.splitlines()[0]
    assert int(parent) == result.driver


def test_the_name_in_the_kernel_is_the_one_typed(driver: Driver) -> None:
    result, out, _ = driver.run("cat", "/proc/self/cmdline")
    assert out == b"cat\0/proc/self/cmdline\0"
    assert result.complete


def test_a_child_that_writes_a_little_later_is_part_of_the_run(driver: Driver, tmp_path: Path) -> None:
    result, _, _ = driver.run("sh", "-c", "(sleep 0.2; echo late > late) & exit 0", cwd=tmp_path)
    assert result.complete
    assert (tmp_path / "late").read_bytes() == b"late\n"
    assert any(call.args[1] == b"late" for call in calls(result, "openat"))


def test_what_outlives_the_grace_lives_on(driver: Driver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    result, out, err = None, b"", b""
    script = "(read x < go; echo late; echo also >&2; cat /etc/passwd > copy) & echo $!"
    with driver.start(
        "sh", "-c", script, grace=0.1, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        assert run.wait(60) == 0
        result = driver.result()
        # It runs, and what it writes now still arrives.
        (tmp_path / "go").write_bytes(b"\n")
        out, err = run.communicate(timeout=60)
    assert not result.complete
    assert [b"%d" % pid for pid in result.left_running] == out.splitlines()[:1]
    assert out.endswith(b"\nlate\n")
    assert err == b"also\n"
    with open("/etc/passwd", "rb") as original:
        assert (tmp_path / "copy").read_bytes() == original.read()


def test_a_daemon_without_our_outputs_does_not_hold_them(driver: Driver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    script = "(exec > /dev/null 2>&1; read x < go; echo done > done) & echo $!"
    with driver.start(
        "sh", "-c", script, grace=0.1, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as run:
        out, err = run.communicate(timeout=60)  # Ends although the daemon and its tracer are still there.
        os.kill(int(out), 0)
        (tmp_path / "go").write_bytes(b"\n")
    assert driver.result().left_running == [int(out)]
    assert err == b""
    wait_for((tmp_path / "done").exists)


def test_a_script_without_a_first_line_is_the_shells(driver: Driver, tmp_path: Path) -> None:
    result, out, err = driver.run(executable(tmp_path, b"echo plain\n"))
    assert "neither" in result.unavailable
    assert (out, err) == (b"plain\n", b"")


def test_a_script_without_its_interpreter_is_left_to_the_caller(driver: Driver, tmp_path: Path) -> None:
    with driver.start(executable(tmp_path, b"#!/nowhere/sh\necho x\n"), stderr=subprocess.DEVNULL) as run:
        assert run.wait(60) == 1  # posix_spawn raises in the driver; the point is that strace never ran.
    assert not os.path.exists(driver.path)


def test_an_execution_that_fails_under_the_tracer(driver: Driver, tmp_path: Path) -> None:
    result, _, err = driver.run(executable(tmp_path, b"\x7fELF and nothing else"))
    # Run plainly it is the shell's, who fails likewise; strace's own complaint is nowhere.
    assert os.waitstatus_to_exitcode(result.status) == 127
    assert result.unavailable == "executing it fails with ENOEXEC"
    assert b"strace:" not in err


def executable(folder: Path, content: bytes) -> str:
    """Make a program and return its path."""
    program = folder / "program"
    program.write_bytes(content)
    program.chmod(0o755)
    return str(program)


def test_a_tracer_that_fails_leaves_the_command_to_run_plainly(driver: Driver, tmp_path: Path) -> None:
    broken = tmp_path / "strace"
    broken.write_text("#!/bin/sh\necho oops >&2\nexit 1\n")
    broken.chmod(0o755)
    result, out, err = driver.run("sh", "-c", "echo once; echo err >&2", strace=str(broken))
    assert result.unavailable == "oops"
    assert (out, err) == (b"once\n", b"err\n")
    assert (result.stdout, result.stderr) == (b"once\n", b"err\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a program that gains another user's rights")
def test_a_program_that_gains_privileges_is_not_traced(driver: Driver, tmp_path: Path) -> None:
    program = tmp_path / "whoami"
    shutil.copy("/usr/bin/id", program)
    os.chown(program, 65534, 65534)
    program.chmod(0o4755)
    tmp_path.chmod(0o755)
    result, out, _ = driver.run(str(program), "-u")
    assert result.unavailable is not None
    assert out == b"65534\n"


def test_arguments_that_leave_no_room_for_the_tracer(driver: Driver) -> None:
    # 127 of 128 KiB an argument; together just below the limit, which is a quarter of the stack's.
    limits: dict[str, Any] = {
        "preexec_fn": lambda: resource.setrlimit(resource.RLIMIT_STACK, (1 << 20, resource.RLIM_INFINITY))
    }
    used = sum(len(name) + len(value) + 10 for name, value in os.environb.items())
    args = ["x" * 1000] * ((256 * 1024 - used - 4096) // 1009)
    result, out, _ = driver.run("echo", *args, **limits)
    assert out.split() == [arg.encode() for arg in args]
    assert result.complete or result.unavailable is not None


def test_no_tracing_below_a_tracer(driver: Driver) -> None:
    result, out, _ = driver.run("echo", "once", before=["strace", "-f", "-qq", "-o", "/dev/null"])
    assert result.unavailable is not None
    assert out == b"once\n"


def test_a_tracer_killed_midway_is_reported(driver: Driver, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "go")
    with driver.start("sh", "-c", "echo $$; read x < go", cwd=tmp_path, stdout=subprocess.PIPE) as run:
        pid = int(run.stdout.readline())
        with open(f"/proc/{pid}/status") as status:
            (tracer,) = [int(line.split()[1]) for line in status if line.startswith("TracerPid")]
        os.kill(tracer, signal.SIGKILL)
        # Every call that the filter sends to nobody fails from now on: the command cannot go on.
        go = os.open(tmp_path / "go", os.O_RDWR)  # Never waits, should it have died before it opened this.
        os.write(go, b"\n")
        run.wait(60)
        os.close(go)
    result = driver.result()
    assert not result.complete
    assert result.problem == "strace ended before what it traced did"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1])
def test_signals_are_passed_on(driver: Driver, number: signal.Signals) -> None:
    script = f"trap 'echo got; exit 7' {int(number)}; echo ready; while :; do sleep 0.05; done"
    options: dict[str, Any] = {"stdout": subprocess.PIPE, "start_new_session": True}
    with driver.start("sh", "-c", script, **options) as run:
        assert run.stdout.readline() == b"ready\n"
        run.send_signal(number)
        out, _ = run.communicate(timeout=60)
    assert out == b"got\n"
    assert run.returncode == 7
    assert driver.result().complete


def test_stopping_is_shared(driver: Driver) -> None:
    with driver.start("sh", "-c", "kill -STOP $$; echo on", stdout=subprocess.PIPE) as run:
        _, status = os.waitpid(run.pid, os.WUNTRACED)
        assert os.WIFSTOPPED(status)
        run.send_signal(signal.SIGCONT)
        out, _ = run.communicate(timeout=60)
    assert out == b"on\n"
    assert driver.result().complete


def test_the_wrapper_ends_as_the_command_did(driver: Driver) -> None:
    with driver.start("sh", "-c", "kill -USR2 $$") as run:
        assert run.wait(60) == -signal.SIGUSR2

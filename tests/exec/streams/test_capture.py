# SPDX-License-Identifier: Apache-2.0
"""What stands on 0, 1 and 2 of real commands."""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pytrace_exec.streams.outlet import Outlet, Sink
from tests.exec.tracer.driving import Driver

pytestmark = pytest.mark.strace

BOTH = "echo out; echo err >&2; echo more"


def writes(*pairs: tuple[int, int]) -> dict[str, str]:
    """The environment that tells the driver which sizes the command writes to files."""
    return {"WRITES": pickle.dumps(list(pairs)).hex()}


def test_two_pipes(driver: Driver) -> None:
    result, out, err = driver.run("sh", "-c", BOTH)
    assert (out, err) == (b"out\nmore\n", b"err\n")
    assert (result.stdout, result.stderr) == (out, err)
    assert result.kinds == ("pipe", "pipe", "pipe")
    assert sum(length for stream, length in result.segments if stream == 1) == len(out)
    assert not result.merged
    assert not result.problems


def test_one_pipe_for_both_keeps_the_order(driver: Driver) -> None:
    result, out, _ = driver.run("sh", "-c", BOTH, stderr=subprocess.STDOUT)
    assert out == b"out\nerr\nmore\n"
    assert result.merged
    assert (result.segments, result.stdout, result.stderr) == ([(1, len(out))], out, b"")


def test_the_order_between_two_pipes(driver: Driver) -> None:
    # Each write is received before the next is made: the reader answers on stdin.
    script = "for n in 1 2 3; do echo o; read x; echo e >&2; read x; done"
    with driver.start("sh", "-c", script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as run:
        for _ in range(3):
            for stream in (run.stdout, run.stderr):
                stream.readline()
                run.stdin.write(b"\n")
                run.stdin.flush()
        run.communicate(timeout=60)
    assert driver.result().segments == [(1, 2), (2, 2)] * 3


def test_a_long_output_is_whole(driver: Driver) -> None:
    result, out, _ = driver.run("head", "-c", "12000000", "/dev/zero")
    assert out == bytes(12_000_000)
    assert result.stdout == out


def test_a_record_has_a_limit_and_the_output_has_none(driver: Driver) -> None:
    result, out, _ = driver.run("head", "-c", "600000", "/dev/zero", env={"RECORD_LIMIT": "500000"})
    assert out == bytes(600_000)
    assert result.problems == ["unrecorded"]
    assert (result.segments, result.stdout) == ([], b"")


def test_a_socket_is_replaced_by_a_pipe(driver: Driver) -> None:
    ours, theirs = socket.socketpair()
    script = "[ -p /dev/stdout ] && head -c 500000 /dev/zero"
    with ours, driver.start("sh", "-c", script, stdout=theirs) as run:
        theirs.close()
        received = b"".join(iter(lambda: ours.recv(65536), b""))
        run.wait(60)
    assert received == bytes(500_000)
    assert driver.result().stdout == received
    assert driver.result().kinds[1] == "socket"


def test_a_reader_that_goes_away(driver: Driver) -> None:
    with driver.start("yes", stdout=subprocess.PIPE) as run:
        run.stdout.read(2)
        run.stdout.close()
        assert run.wait(60) == -signal.SIGPIPE
    assert "reader_gone" in driver.result().problems


def test_a_reader_that_goes_away_unnoticed_by_writing(driver: Driver) -> None:
    # The command asks by poll whether anybody still reads.
    code = "import select, os; p = select.poll(); p.register(1, 0); os.write(1, b'x'); p.poll()"
    with driver.start(sys.executable, "-S", "-c", code, stdout=subprocess.PIPE) as run:
        run.stdout.read(1)
        run.stdout.close()
        assert run.wait(60) == 0


@pytest.mark.parametrize("mode", [os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_APPEND])
def test_a_file_is_left_in_place_and_read_back(driver: Driver, tmp_path: Path, mode: int) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"before")
    descriptor = os.open(path, mode)
    os.lseek(descriptor, 0, os.SEEK_END)
    result, _, _ = driver.run(
        "sh", "-c", "[ -f /dev/stdout ] && " + BOTH, stdout=descriptor, env=writes((1, 4), (1, 5))
    )
    os.close(descriptor)
    assert path.read_bytes() == b"beforeout\nmore\n"
    assert (result.stdout, result.stderr) == (b"out\nmore\n", b"err\n")
    assert result.kinds[1] == "file"
    assert not result.problems


def test_one_file_for_both(driver: Driver, tmp_path: Path) -> None:
    with (tmp_path / "out").open("wb") as file:
        known = writes((1, 4), (2, 4), (1, 5))
        result, _, _ = driver.run("sh", "-c", BOTH, stdout=file, stderr=file, env=known)
    assert (tmp_path / "out").read_bytes() == b"out\nerr\nmore\n"
    assert (result.stdout, result.stderr) == (b"out\nmore\n", b"err\n")
    assert result.segments == [(1, 4), (2, 4), (1, 5)]
    assert not result.problems


@pytest.mark.parametrize("append", [False, True])
@pytest.mark.parametrize("known", [[(1, 4)], [(1, 4), (1, 5), (1, 1)], None])
def test_a_file_that_gained_something_else(
    driver: Driver, tmp_path: Path, append: bool, known: list[tuple[int, int]] | None
) -> None:
    with (tmp_path / "out").open("ab" if append else "wb") as file:
        env = {} if known is None else writes(*known)
        result, _, _ = driver.run("sh", "-c", BOTH, stdout=file, env=env)
    assert result.problems == ["foreign_writes"]
    assert result.stdout == b""


def test_dev_null_and_closed_stay_what_they_are(driver: Driver) -> None:
    script = "[ -c /dev/stdout ] && [ ! -e /proc/self/fd/2 ]"
    result, _, _ = driver.run("sh", "-c", script, stdout=subprocess.DEVNULL, preexec_fn=lambda: os.close(2))
    assert result.status == 0
    assert result.kinds[1:] == ("null", "closed")


def test_all_three_closed(driver: Driver) -> None:
    script = "[ ! -e /proc/self/fd/0 ] && [ ! -e /proc/self/fd/1 ] && [ ! -e /proc/self/fd/2 ]"
    options: dict[str, Any] = {"stdin": None, "stdout": None, "stderr": None, "preexec_fn": lambda: os.closerange(0, 3)}
    result, _, _ = driver.run("sh", "-c", script, **options)
    assert result.status == 0
    assert result.kinds == ("closed",) * 3


def test_an_unread_stdin_is_never_waited_for(driver: Driver) -> None:
    with driver.start("echo", "done", stdin=subprocess.PIPE, stdout=subprocess.PIPE) as run:
        assert run.stdout.read() == b"done\n"
        assert run.wait(60) == 0


def test_a_file_on_stdin_is_shared(driver: Driver, tmp_path: Path) -> None:
    (tmp_path / "in").write_bytes(b"one\ntwo\n")
    with (tmp_path / "in").open("rb", buffering=0) as file:
        driver.run("sh", "-c", "read x", stdin=file)
        assert file.tell() == 4


@pytest.mark.parametrize("command", [("cat",), ("head", "-c", "3"), ("true",)])
def test_stdin_read_ahead(driver: Driver, command: tuple[str, ...]) -> None:
    content = b"x" * 300_000
    result, out, _ = driver.run(*command, input=content, env={"READ_AHEAD": "1"})
    assert result.read_ahead == content
    assert out == {"cat": content, "head": b"xxx", "true": b""}[command[0]]


def test_a_reader_that_went_leaves_nothing_to_wait_for() -> None:
    arriving, command_end = os.pipe()
    reader, caller = os.pipe()
    sink = Sink(caller)
    os.close(caller)
    outlet = Outlet(arriving, os.fstat(command_end), sink, lambda data: None)
    sink.put(b"x" * 10)
    os.close(reader)
    outlet.ready(sink.descriptor, select.POLLERR)
    assert outlet.polled() == []
    assert sink.pending == 0
    os.close(command_end)
    outlet.close()

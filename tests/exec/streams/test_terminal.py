# SPDX-License-Identifier: Apache-2.0
"""Commands whose outputs are a terminal: the test holds the other side of it."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.exec.tracer.driving import Driver, wait_for

pytestmark = pytest.mark.strace

SECONDS = 60  # for what a command writes


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """A terminal of 30 lines and 90 columns: (keyboard and screen, what programs get)."""
    screen, line = os.openpty()
    fcntl.ioctl(line, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 90, 0, 0))
    yield screen, line
    os.close(screen)
    os.close(line)


def start(driver: Driver, line: int, *command: str, **options: Any) -> Any:
    """Start in a session whose controlling terminal is `line`."""

    def control() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)

    options = {"stdin": line, "stdout": line, "stderr": line, **options}
    return driver.start(*command, start_new_session=True, preexec_fn=control, **options)


def read_until(screen: int, mark: bytes) -> bytes:
    seen = b""
    while mark not in seen:
        ready, _, _ = select.select([screen], [], [], SECONDS)
        assert ready, f"{mark!r} does not come after {seen!r}"
        seen += os.read(screen, 4096)
    return seen


def test_the_command_sees_a_terminal_and_bytes_pass_as_written(driver: Driver, terminal: tuple[int, int]) -> None:
    screen, line = terminal
    code = "import os; print(os.isatty(1), os.isatty(2), *os.get_terminal_size(1)); print('end')"
    with start(driver, line, sys.executable, "-S", "-c", code) as run:
        seen = read_until(screen, b"end\r\n")
        run.wait(60)
    assert seen == b"True True 90 30\r\nend\r\n"
    result = driver.result()
    assert result.stdout == b"True True 90 30\nend\n"
    assert result.kinds == ("tty", "tty", "tty")
    assert result.merged
    assert not result.problems


def test_a_new_size_is_passed_on(driver: Driver, terminal: tuple[int, int]) -> None:
    screen, line = terminal
    script = "trap 'stty size <&1; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    with start(driver, line, "sh", "-c", script) as run:
        read_until(screen, b"ready")
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 31, 91, 0, 0))
        assert b"31 91" in read_until(screen, b"91")
        run.wait(60)


def test_settings_made_through_the_output_reach_the_terminal(driver: Driver, terminal: tuple[int, int]) -> None:
    screen, line = terminal
    script = "stty -echo -icanon <&1; echo set; read x; stty echo icanon <&1"
    before = termios.tcgetattr(line)
    with start(driver, line, "sh", "-c", script) as run:
        read_until(screen, b"set")
        wait_for(lambda: not termios.tcgetattr(line)[3] & (termios.ECHO | termios.ICANON))
        os.write(screen, b"\n")
        run.wait(60)
    assert termios.tcgetattr(line) == before


def test_the_keyboard_interrupts_the_command_once(driver: Driver, terminal: tuple[int, int]) -> None:
    screen, line = terminal
    script = "trap 'echo got' INT; echo ready; read x; read x; echo end"
    with start(driver, line, "sh", "-c", script) as run:
        read_until(screen, b"ready")
        os.write(screen, b"\x03")
        read_until(screen, b"got")
        os.write(screen, b"\n\n\n")
        seen = read_until(screen, b"end")
        assert run.wait(60) == 0
    assert b"got" not in seen


def test_only_stderr_is_a_terminal(driver: Driver, terminal: tuple[int, int], tmp_path: Path) -> None:
    screen, line = terminal
    with (tmp_path / "out").open("wb") as file, start(driver, line, "sh", "-c", "echo x >&2", stdout=file) as run:
        assert read_until(screen, b"\n") == b"x\r\n"
        run.wait(60)
    assert driver.result().stderr == b"x\n"
    assert driver.result().kinds == ("tty", "file", "tty")

# SPDX-License-Identifier: Apache-2.0
"""Both decoders over damaged logs of real runs: they never raise, and a log that lost its end never looks whole."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from pytrace_exec.calls.table import HARMLESS, READS, WRITES, untraced
from pytrace_exec.miss import ABBREVIATED
from pytrace_exec.tracer.events import Unparsed
from pytrace_exec.tracer.native import PROGRAM
from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.strace import Detail, Strace
from pytrace_exec.tracer.strace_log import LogParser
from tests.exec.tracer.driving import STRACE
from tests.exec.tracer.test_both_tracers import CALLS, SHELL

if TYPE_CHECKING:
    from pytrace_exec.tracer.events import Event

COMMANDS = (["/bin/sh", "-c", SHELL], [sys.executable, "-S", "-c", CALLS])


class Parser(Protocol):
    """A decoder of a log."""

    events: list[Event]

    def feed(self, data: bytes) -> None:
        """Decode."""

    def finish(self) -> None:
        """End."""


def native_log(command: list[str], folder: Path) -> bytes:
    """The native tracer's stream of a command."""
    log = folder / "stream"
    with open(log, "wb"):
        subprocess.run(
            [PROGRAM, "--reads", "--writes", log, command[0], *command],
            cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False,
        )  # fmt: skip
    # The tracer ends after the command, which it is no child of.
    deadline = time.monotonic() + 30
    while not (data := log.read_bytes()).endswith(END) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert data.endswith(END)
    return data


END = b"\x0c\0\0\0\x08\0\0\0\0\0\0\0"


def strace_log(command: list[str], folder: Path) -> bytes:
    """strace's log of a command, in the wrapper's detail."""
    assert STRACE is not None
    words = [os.fsencode(word) for word in command]
    detail = Detail(untraced(True, True), abbreviated=ABBREVIATED, moving=READS | WRITES | HARMLESS)
    log = folder / "log"
    args, environment = Strace(STRACE.encode(), detail).command_line(
        os.fsencode(log), words, words[0], dict(os.environb)
    )
    args.remove(b"-DDD")
    subprocess.run(
        args, env=environment, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    return log.read_bytes()


def damaged(log: bytes, rng: random.Random) -> bytes:
    """A log with some bytes changed, taken out, put in, moved, or its end cut off."""
    data = bytearray(log)
    for _ in range(rng.choice((1, 1, 2, 5, 50))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 2, 4, 12, 80, 4000)))
        kind = rng.randrange(6)
        if kind == 0 and at < len(data):
            data[at] = rng.randrange(256)
        elif kind == 1:
            del data[at:end]
        elif kind == 2:
            data[at:at] = rng.randbytes(end - at)
        elif kind == 3:
            data[at:end] = rng.randbytes(end - at)
        elif kind == 4:
            data[at:at] = data[rng.randrange(len(data) + 1) :][: end - at]
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def pieces(data: bytes, rng: random.Random) -> Iterator[bytes]:
    """The same in pieces, as a pipe may give them."""
    at = 0
    while at < len(data):
        size = rng.choice((1, 7, 100, 4096, 1 << 16))
        yield data[at : at + size]
        at += size


KINDS: dict[str, tuple[Callable[[list[str], Path], bytes], Callable[[], Parser]]] = {
    "native": (native_log, StreamParser),
    "strace": (strace_log, lambda: LogParser(READS | WRITES)),
}


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in KINDS])
@pytest.mark.parametrize("seconds", [2, pytest.param(600, marks=pytest.mark.soak)])
def test_no_damage_makes_a_decoder_fail(
    kind: str, seconds: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    take, make = KINDS[kind]
    logs = []
    for number, command in enumerate(COMMANDS):
        folder = tmp_path / str(number)
        folder.mkdir()
        logs.append(take(command, folder))
    seed, tries = random.randrange(1 << 30), 0
    rng = random.Random(seed)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        tries += 1
        data = damaged(rng.choice(logs), rng)
        parser = make()
        try:
            for piece in pieces(data, rng):
                parser.feed(piece)
            parser.finish()
        except Exception:
            (tmp_path / "damaged").write_bytes(data)
            pytest.fail(f"seed {seed}, try {tries}: {tmp_path}/damaged")
    with capsys.disabled():
        print(f"\n{kind}: {tries} damaged logs in {seconds} s")


@pytest.mark.parametrize("kind", [pytest.param(kind, marks=getattr(pytest.mark, kind)) for kind in KINDS])
def test_a_log_without_its_end_is_not_whole(kind: str, tmp_path: Path) -> None:
    take, make = KINDS[kind]
    log = take(COMMANDS[0], tmp_path)
    for cut in (1, len(END), len(log) // 2, len(log) - 20):
        parser = make()
        parser.feed(log[:-cut])
        parser.finish()
        living: set[int] = getattr(parser, "living", set())
        assert living or any(isinstance(event, Unparsed) for event in parser.events)

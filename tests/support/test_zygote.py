# SPDX-License-Identifier: Apache-2.0
"""A fork of a prepared program gets from its caller what a fresh process gets, and nothing of the run before."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.runner import Start
from tests.support.zygote import SETTLED, Zygote

SECONDS = 30
PROGRAM = """
import os, resource, sys, time
seen = []
def main():
    mask = os.umask(0)
    status = open("/proc/self/status").read().splitlines()
    print(sys.argv[1:], dict(os.environ), os.getcwd(), mask, sorted(os.listdir("/proc/self/fd")), os.getpgrp())
    print([line for line in status if line[:6] in ("SigBlk", "SigIgn", "SigCgt")], seen)
    print(resource.getrlimit(resource.RLIMIT_NOFILE))
    print(sys.stdin.readline(), os.lseek(0, 0, os.SEEK_CUR), file=sys.stderr)
    seen.append(1)
    if "kill" in sys.argv:
        os.kill(os.getpid(), 9)
    if "hang" in sys.argv:
        time.sleep(60)
    sys.exit(7)
if __name__ == "__main__":
    main()
"""


@pytest.fixture
def zygote(tmp_path: Path) -> Iterator[Zygote]:
    """A program that tells what it finds."""
    (tmp_path / "told.py").write_text(PROGRAM)
    prepared = Zygote([sys.executable], str(tmp_path), "told")
    yield prepared
    prepared.close()


@pytest.mark.parametrize("stdout", [subprocess.PIPE, subprocess.DEVNULL])
@pytest.mark.parametrize("stderr", [subprocess.PIPE, subprocess.STDOUT])
def test_a_fork_finds_what_a_fresh_process_finds(zygote: Zygote, tmp_path: Path, stdout: int, stderr: int) -> None:
    (tmp_path / "stdin").write_text("skipped, read\nand not\n")
    starts: list[tuple[Start, list[str]]] = [(subprocess.run, [sys.executable]), (zygote.run, [])]
    ends = []
    for word in ("one", "two", "kill"):
        for start, before in starts:
            with open(tmp_path / "stdin", "rb", buffering=0) as stdin, open(os.devnull, "wb") as null:
                stdin.seek(9)
                ended = start(
                    [*before, "told.py", word], cwd=str(tmp_path), env={**SETTLED, "WORD": word}, umask=0o27,
                    stdin=stdin.fileno(), stdout=null.fileno() if stdout == subprocess.DEVNULL else stdout,
                    stderr=stderr, timeout=SECONDS,
                )  # fmt: skip
            ends.append(ended)
    for fresh, forked in zip(ends[::2], ends[1::2], strict=True):
        assert (fresh.returncode, fresh.stdout, fresh.stderr) == (forked.returncode, forked.stdout, forked.stderr)
    assert [end.returncode for end in ends[::2]] == [7, 7, -9]


def test_one_that_hangs_is_killed(zygote: Zygote, tmp_path: Path) -> None:
    with open(os.devnull, "rb") as stdin, pytest.raises(subprocess.TimeoutExpired):
        zygote.run(
            ["told.py", "hang"], cwd=str(tmp_path), env=SETTLED, stdin=stdin.fileno(), stdout=subprocess.PIPE,
            stderr=subprocess.PIPE, umask=0o22, timeout=0.5,
        )  # fmt: skip

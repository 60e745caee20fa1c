# SPDX-License-Identifier: Apache-2.0
"""What is written beside the command's own output: statistics, the log, depfiles, the help page."""

from __future__ import annotations

import json
import os
import subprocess

import pytest

from pytrace_exec.depfile import escape
from tests.exec.wrapper.place import SECONDS, Place
from tests.support.runner import wrapper_command

pytestmark = [pytest.mark.strace]


def test_a_hundred_writers_keep_whole_lines(place: Place) -> None:
    # The label makes lines longer than what is written in one piece by chance; without a cache they all write at once.
    words = [*wrapper_command(), "--mode", "off", "--label", f"long={'x' * 20_000}", "--", "true"]
    script = 'i=0; while [ $i -lt 100 ]; do "$@" & i=$((i + 1)); done; wait'
    subprocess.run(
        ["sh", "-c", script, "sh", *words], cwd=place.root, env=place.environment(), stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=True, timeout=4 * SECONDS,
    )  # fmt: skip
    lines = [json.loads(line) for line in place.lines()]
    assert len(lines) == 100
    assert all(len(line["labels"]["long"]) == 20_000 for line in lines)


def test_nothing_is_said_unasked(place: Place) -> None:
    place.put("in", "one\n")
    for _ in range(2):
        ended = place.run("--", "cat", "in")
        assert (ended.stdout, ended.stderr) == (b"one\n", b"")


def test_the_first_line_of_an_explanation(place: Place) -> None:
    place.put("in", "one\n")
    first = [place.run("--explain", "--", *command).stderr.splitlines()[0] for command in (("cat", "in"),) * 2]
    assert [line.split()[:2] for line in first] == [[b"pytrace:", b"miss"], [b"pytrace:", b"hit"]]
    assert first[0].split()[2] == first[1].split()[2]
    assert place.run("--explain", "--", "date").stderr.startswith(b"pytrace: not stored: ")
    assert place.run("--explain", "--mode", "off", "--", "date").stderr.startswith(b"pytrace: bypass: ")


@pytest.mark.parametrize(("level", "count"), [("error", 0), ("warning", 1), ("info", 3), ("debug", 4)])
def test_a_log_of_a_level(place: Place, level: str, count: int) -> None:
    log = place.base / "log"
    place.put("in", "one\n")
    for command in (("cat", "in"), ("cat", "in"), ("date",)):
        place.run("--", *command, variables={"PYTRACE_LOG": str(log), "PYTRACE_LOG_LEVEL": level})
    lines = log.read_text().splitlines() if log.exists() else []
    assert len(lines) == count


def test_a_long_command_is_logged_in_part(place: Place) -> None:
    log = place.base / "log"
    place.run("--", "echo", "a" * 50_000, variables={"PYTRACE_LOG": str(log), "PYTRACE_LOG_LEVEL": "info"})
    (line,) = log.read_text().splitlines()
    assert len(line) < 1000
    assert "echo aaa" in line
    assert "aaa..." in line


def test_logs_that_cannot_be_written_stop_nothing(place: Place) -> None:
    elsewhere = {"PYTRACE_LOG": "/no/folder/log", "PYTRACE_STATS_LOG": "/no/folder/log"}
    ended = place.run("--", "sh", "-c", "echo ran; exit 3", variables=elsewhere)
    assert (ended.status, ended.stdout, ended.stderr) == (3, b"ran\n", b"")


def test_a_log_that_cannot_be_written_is_told_to_who_asks(place: Place) -> None:
    ended = place.run("-v", "--", "echo", "ran", variables={"PYTRACE_STATS_LOG": "/no/folder/log"})
    assert (ended.status, ended.stdout) == (0, b"ran\n")
    assert ended.stderr.startswith(b"pytrace: a log is not written: ")
    assert ended.stderr.count(b"\n") == 1


def test_a_depfile_that_cannot_be_written_is_told_to_everybody(place: Place) -> None:
    for _ in ("miss", "hit"):
        ended = place.run("--depfile", "/no/folder/d", "--", "echo", "ran")
        assert (ended.status, ended.stdout) == (0, b"ran\n")
        assert ended.stderr.startswith(b"pytrace: --depfile is not written: ")
        assert ended.stderr.count(b"\n") == 1


def test_a_depfile_is_the_same_on_a_miss_and_on_a_hit(place: Place) -> None:
    place.put("sub/in put", "one\n")
    place.put("other", "two\n")
    script = "cat 'in put' ../other > ../out; : > ../out2"
    for outcome in ("miss", "hit"):
        ended = place.run("--depfile", "d", "--", "sh", "-c", script, cwd="sub")
        assert ended.outcome == outcome
        words = (place.root / "sub" / "d").read_bytes().replace(b"\\\n", b"").split(b":")
        assert words[0] == rb"../out ../out2"
        assert words[1] == b"   ../other   in\\ put\n"
        for name in ("out", "out2", "sub/d"):
            (place.root / name).unlink()


@pytest.mark.make
@pytest.mark.parametrize("name", ["a b", "a#$b", "a%:b", "a\\ b", "a\\b", "a\\#b", "back\\", "a\\\\ b"])
def test_make_reads_every_name(place: Place, name: str) -> None:
    place.put(name, "one\n")
    place.put("last", "one\n")
    copy = "import sys; open('out', 'w').write(open(sys.argv[1]).read() + open('last').read())"
    assert place.run("--depfile", "d", "--", "python3", "-I", "-c", copy, name).status == 0
    (place.root / "Makefile").write_text("all: out\ninclude d\nout:\n\ttouch out\n")
    made = ["make", "-s"]
    assert subprocess.run([*made, "-q"], cwd=place.root, check=False).returncode == 0
    os.utime(place.root / name, (2_000_000_000, 2_000_000_000))
    assert subprocess.run([*made, "-q"], cwd=place.root, check=False, capture_output=True).returncode == 1


def test_a_name_that_make_reads_as_it_is() -> None:
    assert escape(b"plain/na-me.c") == b"plain/na-me.c"


def test_help_and_version_need_no_command(place: Place) -> None:
    assert place.run("--help").stdout.endswith(b"COMMAND was not found\n")
    assert place.run("--version").stdout.startswith(b"pytrace-exec ")

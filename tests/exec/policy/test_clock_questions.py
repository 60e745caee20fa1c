# SPDX-License-Identifier: Apache-2.0
"""Which programs ask for the clock, by their arguments; what is fixed is held against the real `date`."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from pytrace_exec.observe.processes import Program
from pytrace_exec.policy.clock_questions import asks_for_the_clock
from pytrace_exec.policy.dates import is_absolute

ABSOLUTE = (
    "@0", "@-1.5", "2001-01-01", "20010101", "2001/1/2", "2001-01-01 12:30", "2001-01-01T12:30:01.5Z",
    "2001-01-01 12:30 +0100", "2001-01-01 12:30-05:00", "1 Jan 2001", "Mon, 1 Jan 2001 12:30:01 +0100",
    "Thu Mar  3 23:05:25 UTC 2005", "thu mar 3 23:05:25 2005",
)  # fmt: skip
RELATIVE = (
    "", "now", "yesterday", "tomorrow", "today", "-1 sec", "1 day", "1 hour ago", "next Fri", "12:30", "0", "1230",
    "Jan 1", "1 Jan", "Mon", "2001-01-01 now", "2001-01-01 yesterday", "2001-01-01 1 day", "01-01", "01-01-01", "@",
    "2001", 'TZ="UTC" 12:30',
)  # fmt: skip

ASKS = """
date
date +%s
date -u
date -d yesterday +%s.%N
date -d '-1 sec'
date -dtomorrow
date -ud yesterday
date -Rudnow
date --date='1 day'
date --dat yesterday
date --dat=yesterday
date -d 2001-01-01 --date=now
date -f dates
date --fil=dates
date -d @0 -f dates
date -Id2001-01-01
date --d @0
date -s @0
date 010100002001
date +-d
touch -d '1 hour ago' f
touch -cd now f
touch --dat=yesterday f
touch -t 01010000 f
touch -d @0 --date=now f
ls -l
ls -la d
ls -1g
ls --format=long
ls --form=verbose
ls --numeric f
ls -l --time-style=iso
ls -l --time-style=locale
ls --full-time --time-style=iso
dir -l
vdir
git commit -m x
git -C d merge b
git-commit
git log --format=%ar
git log --pretty='%h %cr'
git log --format=%ch
git log --date=relative
git log --date human
git log --relative-date
git log --since=2001-01-01
git log --until 2001-01-01
git log --after=yesterday
git log --before=yesterday
git -c log.date=relative log
git show 'HEAD@{yesterday}'
git show '@{2001-01-01}'
git branch --format='%(creatordate:relative)'
git tag -a v1 -m one
find . -mmin 5
find . -newermt '1 hour ago'
find . -newerat 2001-01-01
tar --mtime=now -cf o d
tar --mti yesterday -cf o d
tar cf o --newer '2 days ago' d
tar -cNf yesterday o d
cpio -itv
bsdtar tvf o
bsdtar -t --verbose -f o
tree -D
busybox date
busybox touch -d now f
uptime
who
w
last
pr f
"""
FIXED = """
date -d @0
date -u -d 2001-01-01 +%s
date -d2001-01-01
date -ud2001-01-01
date -uRd '2001-01-01 12:30'
date --dat=2001-01-01
date -Iseconds -d @0
date -r f
date --ref=f
date --version
touch f
touch -d 2001-01-01 f
touch -d @0 -c f
touch -t 200101010000.30 f
touch -t 0101010000 f
touch -r f g
ls
ls -a d
ls -1tr
ls --full-time
ls -l --time-style=+%F
ls -l --time-style=long-iso
ls --format=commas
git log --oneline
git log --format=%an%ad
git log --date=iso
git show 'HEAD@{1}'
git show '@{u}'
git diff --relative
git tag --points-at HEAD --sort=refname
git describe
git status
find . -newer f
find . -mtimes
tar --mtime=@0 -cf o d
tar --mtime=./f -cf o d
tar cf o d
tree .git
bsdtar -tf vendor.tar
busybox date -d @0
cat date
"""  # `-mtimes` is no test of find's: it fails whenever it runs.


def _program(line: str) -> Program:
    argv = tuple(word.encode() for word in shlex.split(line))
    return Program(1, 0, b"/usr/bin/" + argv[0], argv)


@pytest.mark.parametrize("line", ASKS.strip().splitlines())
def test_asks(line: str) -> None:
    assert asks_for_the_clock(_program(line))


@pytest.mark.parametrize("line", FIXED.strip().splitlines())
def test_does_not_ask(line: str) -> None:
    assert not asks_for_the_clock(_program(line))


@pytest.mark.parametrize("called", [b"date", b"/bin/date"])
def test_a_program_of_many_names_is_what_it_is_called_as(called: bytes) -> None:
    assert asks_for_the_clock(Program(1, 0, b"/usr/bin/busybox", (called,)))
    assert not asks_for_the_clock(Program(1, 0, b"/usr/bin/busybox", (b"cat", b"date")))


@pytest.mark.parametrize("text", ABSOLUTE)
def test_an_absolute_date_is_whole_for_date_itself(text: str) -> None:
    assert is_absolute(text.encode())
    asked = [shutil.which("date") or "date", "-u", "-d", text, "+%N"]
    # A part of a second that is the clock's would be seen here.
    assert subprocess.run(asked, capture_output=True, check=True).stdout in (b"000000000\n", b"500000000\n")


@pytest.mark.parametrize("text", RELATIVE)
def test_a_relative_date_is_not_absolute(text: str) -> None:
    assert not is_absolute(text.encode())

# SPDX-License-Identifier: Apache-2.0
"""What a program's arguments make of its looks: type and mode alone, or times as well."""

from __future__ import annotations

import shlex

import pytest

from pytrace_exec.observe.processes import Program
from pytrace_exec.policy import programs

MODE_ONLY = """
cp a b
cp -rf a b
cp -t d a
cp --no-clobber a b
cp --no-cl a b
mv -n a b
mv -T a b
install -Dm644 a b
install -m 755 a b
ln -sf a b
rm -rf d
mkdir -p d
unlink f
ls
ls -aR d
ls -1p --group-directories-first d
"""
MORE = """
ls -l
ls -t d
ls -s d
ls --sort=size d
ls --color d
ls --full-time
cp -p a b
cp -a a b
cp -d a b
cp -u a b
cp -x a d
cp --arch a b
cp --archive a b
cp --pres a b
cp --preserve=timestamps a b
cp --upd a b
cp --update=older a b
cp --attributes-only a b
cp --attr a b
cp --backup a b
cp -b a b
cp -rp a b
cp --unknown a b
cp --re a b
mv -u a b
mv --upd a b
install -C a b
install --comp a b
install -p a b
install --preserve-timestamps a b
install --preserve-t a b
rm -i f
rm --interactive=always f
cat f
"""
COPIES_TIMES = """
cp --pres a b
cp --arch a b
cp -p a b
install --preserve-t a b
date -r f
date --reference=f
date --ref f
date -ur f
strip -p f
strip --preserve-dates f
objcopy --pres a b
pr -t f
coreutils cp -p a b
ls -l f
ls -t f
dir f
"""
NO_TIMES = """
ls f
ls -R
cp a b
install a b
date -d @0
strip f
strip -g f
cat f
"""
ORDERED = """
make
[ a -nt b ]
cp -u a b
mv -u a b
install -C a b
ls -t
find . -newer f
"""
UNORDERED = """
gcc -c a.c
cat f
cp -r a b
mv a b
install -m 755 a b
ls -R d
"""
INODES = """
ls -i
ls --ino
dir -i
busybox ls -i
busybox stat f
ls --time=atime
ls -lc
find . -ls
find . -newerma f
find . -printf %i
stat f
stat -t f
stat -f -c %a .
stat --file-sys -c %a .
stat -c %i f
stat -c%X f
"""
PLAIN = """
ls -a
ls --time-style=+%F -l
find . -newermm f
stat -c %s f
stat -Lc%s f
stat --format=%a f
stat --form %a f
"""


def _program(line: str) -> Program:
    argv = tuple(word.encode() for word in shlex.split(line))
    return Program(1, 0, b"/usr/bin/" + argv[0], argv)


@pytest.mark.parametrize(("lines", "expected"), [(MODE_ONLY, True), (MORE, False)], ids=["mode only", "more"])
def test_looks_at_mode_only(lines: str, expected: bool) -> None:
    wrong = [line for line in lines.split("\n")[1:-1] if programs.looks_at_mode_only(_program(line)) is not expected]
    assert wrong == []


@pytest.mark.parametrize(("lines", "expected"), [(COPIES_TIMES, True), (NO_TIMES, False)], ids=["times", "none"])
def test_copies_times(lines: str, expected: bool) -> None:
    wrong = [line for line in lines.split("\n")[1:-1] if programs.copies_times(_program(line)) is not expected]
    assert wrong == []


@pytest.mark.parametrize(("lines", "expected"), [(ORDERED, True), (UNORDERED, False)], ids=["order", "none"])
def test_compares_times(lines: str, expected: bool) -> None:
    wrong = [line for line in lines.split("\n")[1:-1] if programs.compares_times(_program(line)) is not expected]
    assert wrong == []


@pytest.mark.parametrize(("lines", "expected"), [(INODES, True), (PLAIN, False)], ids=["inodes", "plain"])
def test_shows_inodes(lines: str, expected: bool) -> None:
    wrong = [line for line in lines.split("\n")[1:-1] if programs.shows_inodes(_program(line)) is not expected]
    assert wrong == []

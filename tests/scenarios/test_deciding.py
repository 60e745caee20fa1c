# SPDX-License-Identifier: Apache-2.0
"""Real tools that decide by times of folders and links, owners, limits and the like: each change must be seen.

The start state is old and of one moment; a change moves one thing away from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest

from tests.support.runner import Invocation
from tests.support.scenario import Scenario

pytestmark = [pytest.mark.strace]

OLD = "find . -exec touch -h -d @1500000000 {} +"
Change = str | Mapping[str, Any]
"""Shell commands that change the start state, or other surroundings of the run."""


@attrs.frozen
class Case:
    """A command that is stored from the start state, and what must make it run again, or must not."""

    name: str
    command: tuple[str, ...]
    given: str
    misses: tuple[Change, ...]
    hits: tuple[Change, ...] = ("true",)
    options: tuple[str, ...] = ()
    marks: tuple[pytest.MarkDecorator, ...] = ()


def shell(text: str) -> tuple[str, ...]:
    """A program of the shell's."""
    return ("sh", "-c", text)


MAKEFILE = "printf 'out: d f\\n\\tcat f > out\\n' > Makefile; mkdir d; echo x > d/x; echo f > f; echo o > out"
HEADERS = """mkdir a b; printf '#pragma once\\nstruct s { int a; };\\n' | tee a/x.h > b/x.h
printf '#include "a/x.h"\\n#include "b/x.h"\\n' > m.c"""
CASES: tuple[Case, ...] = (
    Case(
        "make, a directory that is a prerequisite and was listed before",
        ("make",),
        given=f"{MAKEFILE}; sed -i '1i SRC := $(wildcard d/*.c)' Makefile",
        misses=("touch -d 2022-01-01 d",),
    ),
    Case(
        "make, a directory that is a prerequisite by a pattern",
        ("make",),
        given=f"{MAKEFILE}; sed -i 's/: d f/: d $(wildcard d\\/*)/' Makefile",
        misses=("touch -d 2022-01-01 d",),
    ),
    Case(
        "make, a directory that is searched and a prerequisite",
        ("make",),
        given=f"{MAKEFILE}; sed -i '1i VPATH = d' Makefile",
        misses=("touch -d 2022-01-01 d",),
    ),
    Case(
        "make, a directory that is a target",
        ("make",),
        given="printf 'X := $(wildcard d/*)\\nd: f\\n\\ttouch d\\n' > Makefile; mkdir d; echo x > d/x; echo f > f",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "make, a directory that is only listed",
        ("make",),
        given="printf 'out: d/x\\n\\tcat d/x > out\\n' > Makefile; mkdir d; echo x > d/x; echo o > out",
        misses=("touch -d 2022-01-01 d/x",),
        hits=("touch -d 2022-01-01 d",),
    ),
    Case(
        "make, a link's own time",
        ("make", "-L"),
        given="printf 'out: l\\n\\tcat l > out\\n' > Makefile; echo a > a; ln -s a l; echo o > out",
        misses=("touch -h -d 2022-01-01 l", "touch -d 2022-01-01 a"),
    ),
    Case(
        "make, the time of an archive's member",
        ("make",),
        given="echo 'int a;' > a.c; gcc -c a.c; touch -d @1500000000 a.o; ar rcUS lib.a a.o\n"
        "printf 'ARFLAGS = rvUS\\nlib.a: lib.a(a.o)\\na.o: ;\\n' > Makefile",
        misses=("touch -d 2021-01-01 a.o",),
    ),
    Case(
        "mv -u, a link's own time",
        ("mv", "-u", "a", "d/"),
        given="ln -s 1 a; mkdir d; ln -s 2 d/a",
        misses=("touch -h -d 2022-01-01 a",),
    ),
    Case(
        "a shell, a file newer than a directory",
        shell("if [ f -nt d ]; then echo newer; else echo older; fi"),
        given="echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "a shell script, a file older than a directory",
        ("./s",),
        given="printf '#!/bin/sh\\n[ f -ot d ] && echo older\\ntrue\\n' > s; chmod +x s; echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 d",),
    ),
    Case(
        "test, a file newer than a directory",
        shell("/usr/bin/test d -nt f || echo older"),
        given="echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 d",),
    ),
    Case(
        "Python, a file newer than a directory",
        ("python3", "-c", "import os; print(os.path.getmtime('f') > os.path.getmtime('d'))"),
        given="echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "make, a folder that is the working directory of make",
        ("make", "-s", "-C", "s"),
        given="mkdir s; printf 'out: .\\n\\techo made > out\\n' > s/Makefile; echo o > s/out",
        misses=("touch -d 2022-01-01 s",),
    ),
    Case(
        "make, the folder above",
        ("make", "-s", "-C", "s/t"),
        given="mkdir -p s/t; printf 'out: ..\\n\\techo made > out\\n' > s/t/Makefile; echo o > s/t/out",
        misses=("touch -d 2022-01-01 s",),
    ),
    Case(
        "make, an archive that is not called so",
        ("make",),
        given="echo 'int a;' > a.c; gcc -c a.c; touch -d @1500000000 a.o; ar rcUS x.lib a.o\n"
        "printf 'x.lib(a.o): a.o\\n\\t@echo ar\\n' > Makefile",
        misses=("touch -d 2021-01-01 a.o",),
    ),
    Case(
        "a shell script outside the root",
        shell("sh ../home/s.sh"),
        given="echo '[ f -nt d ] && echo newer; true' > ../home/s.sh; echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "a shell script that is read by another one",
        shell(". ../home/lib.sh; newer f d; true"),
        given="echo 'newer() { [ $1 -nt $2 ] && echo newer; }' > ../home/lib.sh; echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "a path that ends in ..",
        shell("[ f -nt s/t/.. ] && echo newer; true"),
        given="echo f > f; mkdir -p s/t",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "Python, by what stat returns",
        ("python3", "-c", "import os; print(os.stat('f')[8] > os.stat('d')[8])"),
        given="echo f > f; mkdir d",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "a Python module that was compiled before",
        ("python3", "main.py"),
        given="echo 'import os\\ndef newer(a, b): return os.path.getmtime(a) > os.path.getmtime(b)' > util.py\n"
        "echo \"import util; print(util.newer('f', 'd'))\" > main.py; echo f > f; mkdir d\n"
        "find . -exec touch -h -d @1500000000 {} +; python3 main.py > ../tmp/out",
        misses=("touch -d 2022-01-01 f",),
    ),
    Case(
        "Perl, the owner",
        ("perl", "-e", "print +(lstat 'f')[4]"),
        given="echo f > f",
        misses=("chown 1000 f",),
    ),
    Case(
        "chown from an owner",
        ("chown", "--from=1000", "0", "f"),
        given="echo f > f",
        misses=("chown 1000 f",),
    ),
    Case(
        "a shell, a file of its own",
        shell("[ -O f ] && echo mine; true"),
        given="echo f > f",
        misses=("chown 1000 f",),
    ),
    Case(
        "headers of one content that ask to be read once",
        ("gcc", "-c", "m.c"),
        given=HEADERS,
        misses=("touch -d 2022-01-01 b/x.h",),
        hits=("touch -d 2022-01-01 a/x.h b/x.h",),
    ),
    Case(
        "unzip of what is newer",
        shell("unzip -q -o -u o.zip; cat d/a"),
        given="mkdir d; echo a > d/a; touch -d @1500000000 d/a d; python3 -m zipfile -c o.zip d; echo mine > d/a",
        misses=("touch -d 2022-01-01 d/a",),
    ),
)
COMMIT = "git init -q .; git -c user.name=a -c user.email=b commit -q --allow-empty -m one"
PRELOADED = """cat > p.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
__attribute__((constructor)) void look(void) {
  struct stat a, b;
  if (!strcmp(program_invocation_short_name, "sort") && !stat("a", &a) && !stat("b", &b))
    write(1, a.st_mtime > b.st_mtime ? "newer\\n" : "older\\n", 6);
}
END
gcc -shared -fPIC -o p.so p.c; echo a > a; echo b > b"""
PRELOADED_LATE = """cat > p.c <<'END'
#define _GNU_SOURCE
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
__attribute__((constructor)) void look(void) {
  struct stat a;
  if (!strcmp(program_invocation_short_name, "mkdir") && !stat("a", &a))
    write(1, a.st_size > 2 ? "long\\n" : "short\\n", 5);
}
END
gcc -shared -fPIC -o p.so p.c; gcc -print-file-name=libm.so.6 > m; echo a > a"""
CASES += (
    Case(
        "rmdir of what else is there after a removal",
        shell("rm d/x; rmdir d 2>/dev/null || true"),
        given="mkdir d; echo x > d/x; echo y > d/y",
        misses=("rm d/y",),
        hits=(),
    ),
    Case(
        "two names of one file, by inodes",
        shell("[ f -ef g ] && echo same; true"),
        given="echo x > f; ln f g",
        misses=("rm g; cp -p f g",),
    ),
    Case(
        "two names of one file, copied",
        shell("cp f g || true"),
        given="echo x > f; ln f g",
        misses=("rm g; cp -p f g",),
        hits=(),
    ),
    Case(
        "a library of the user's in a known program",
        shell("LD_PRELOAD=./p.so sort a"),
        given=PRELOADED,
        misses=("touch -d 2022-01-01 a",),
        hits=(),
    ),
    Case(
        "a library of the user's in a program that looked the same without it",
        shell("for own in '' '' '' ./p.so; do LD_PRELOAD=\"$(cat m) $own\" mkdir -p a 2> /dev/null; done; true"),
        given=PRELOADED_LATE,
        misses=("echo longer > a; touch -d @1500000000 a",),
        hits=(),
    ),
    Case(
        "an input's time, by another name that the run gives it",
        shell("ln a c; [ c -nt b ] && echo newer; true"),
        given="echo one > a; echo two > b",
        misses=("touch -d 2022-01-01 a",),
        hits=("touch -d @1500000000 a b",),
    ),
    Case(
        "an input's time, by the name that the run moves it to",
        shell("mv a c; [ c -nt b ] && echo newer; true"),
        given="echo one > a; echo two > b",
        misses=("touch -d 2022-01-01 a",),
        hits=("touch -d @1500000000 a b",),
    ),
    Case(
        "variables that programs outside the root read",
        ("bash", "-c", "dircolors -b | cut -c1-12; column f; git var GIT_EDITOR; cd - > /dev/null; cat g"),
        given="seq 40 > f; mkdir a; echo one > a/g; echo two > g",
        misses=tuple(
            {"variables": {name: value}}
            for name, value in {"TERM": "xterm", "COLUMNS": "40", "EDITOR": "ed", "OLDPWD": "a"}.items()
        ),
        hits=({"variables": {"LINES": "10"}},),
    ),
)


@pytest.mark.parametrize("tracer", [pytest.param("native", marks=pytest.mark.native), "strace"])
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name, marks=case.marks) for case in CASES])
def test_what_tools_decide_by(scenario: Scenario, case: Case, tracer: str) -> None:
    options = ("--tracer", tracer, *case.options)
    scenario.do(f"{case.given}\n{OLD}")
    scenario.keep()
    scenario.ask(*case.command, outcome="miss", options=options)
    for change in case.hits:
        ask_after(scenario, case, change, "hit", options)
    for change in case.misses:
        ask_after(scenario, case, change, "miss|not_stored", options)


def ask_after(scenario: Scenario, case: Case, change: Change, outcome: str, options: tuple[str, ...]) -> None:
    """Ask again from the start state after a change; both worlds must agree."""
    scenario.anew()
    if isinstance(change, str):
        scenario.do(change)
    around: dict[str, Any] = {} if isinstance(change, str) else dict(change)
    command = around.pop("command", case.command)
    scenario.ask(*command, outcome=outcome, options=options, **around)


@pytest.mark.parametrize("tracer", [pytest.param("native", marks=pytest.mark.native), "strace"])
@pytest.mark.parametrize(
    ("given", "command", "reason"),
    [
        ("true", "read a b c < /proc/meminfo", "machine"),
        ("true", "getconf _PHYS_PAGES > /dev/null", "machine"),
        (COMMIT, "git branch x", "clock"),
        ("git init -q .", "git var GIT_COMMITTER_IDENT > /dev/null", "clock"),
    ],
    ids=["bash, memory", "getconf, memory", "git, a log of refs", "git, an identity with the time"],
)
def test_what_is_never_stored(scenario: Scenario, given: str, command: str, reason: str, tracer: str) -> None:
    scenario.do(given)
    who = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "b"}
    _, record = scenario.runner.cached(Invocation(("bash", "-c", command), ("--tracer", tracer), variables=who))
    assert (record.outcome, reason in record.reasons) == ("not_stored", True), record.line


@pytest.mark.make
def test_a_file_from_the_future_is_the_clock_s(scenario: Scenario) -> None:
    scenario.do("printf 'out: a\\n\\tcat a > out\\n' > Makefile; echo a > a; echo o > out; touch -d 'now + 1 hour' out")
    pair = scenario.ask("sh", "-c", "make 2>/dev/null", outcome="not_stored")
    assert "clock" in pair.record.reasons


def test_colours(scenario: Scenario) -> None:
    scenario.do(f"echo one > in; {OLD}")
    command, options = ("ls", "--color=always", "in"), ("--allow-clock",)
    scenario.ask(*command, outcome="miss", options=options, variables={"LS_COLORS": "*=01;31"})
    scenario.ask(*command, outcome="hit", options=options, variables={"LS_COLORS": "*=01;31"})
    scenario.ask(*command, outcome="miss", options=options, variables={"LS_COLORS": "*=01;32"})

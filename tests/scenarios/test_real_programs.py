# SPDX-License-Identifier: Apache-2.0
"""Real programs, plain and wrapped in twin worlds: run, run again, an input changed, the change taken back."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import attrs
import pytest

from tests.exec.wrapper.test_toolchains import go_cache, sysroot
from tests.support import forks
from tests.support.runner import Runner, interpreter, wrapper_command
from tests.support.sandbox import Sandbox
from tests.support.scenario import Scenario
from tests.support.tracers import FIRST_TRACER

__all__ = ["go_cache"]

pytestmark = [pytest.mark.strace, pytest.mark.slow]

PATH = "/usr/local/bin:/usr/bin:/bin"
MAIN = '#include <stdio.h>\n#include "word.h"\nint main(void) { puts(WORD); return 0; }\n'
C_FILES = {"main.c": MAIN, "word.h": '#define WORD "one"\n'}
CMAKE = "cmake_minimum_required(VERSION 3.10)\nproject(x C)\nadd_executable(x main.c)\n"
SUITE = """
import unittest
from word import WORD
class Test(unittest.TestCase):
    def test_word(self):
        self.assertIn(WORD, open("words").read())
    def test_count(self):
        self.assertEqual(len(open("words").read().split()), 2)
"""
CONFIGURE = """#!/bin/sh
exec 5> config.log
for name in stdio.h sys/mman.h no/such.h "$(cat word.txt).h"; do
    printf 'checking for %s... ' "$name"
    printf '#include <%s>\\nint main(void) { return 0; }\\n' "$name" > conftest.c
    if gcc -o conftest conftest.c 2>&5 && ./conftest; then
        echo yes; echo "#define HAVE_$(echo "$name" | tr a-z/. A-Z__) 1" >> confdefs.h
    else
        echo no; sed 's/^/| /' conftest.c >&5
    fi
    rm -f conftest*
done
mv confdefs.h config.h
sed "s/@word@/$(cat word.txt)/" Makefile.in > Makefile
"""
PACKAGE = '{"name": "x", "version": "1.0.0", "scripts": {"build": "node main.js > out.txt"}}\n'
SCRIPT = """const fs = require("fs");
fs.writeFileSync("out.json", JSON.stringify(fs.readFileSync("words", "utf8").split(" ")));
"""
GIT = """export GIT_AUTHOR_DATE=@1500000000+0000 GIT_COMMITTER_DATE=@1500000000+0000
git -c init.defaultBranch=main init -q .; git config user.name somebody; git config user.email some@body
git add .; git commit -qm first; git tag -a v1 -m tagged; rm -r .git/hooks"""
INDEX = ("work/.git/index",)
"""It holds times and inode numbers."""


@attrs.frozen
class Program:
    """A command in a small project; `change` makes it end otherwise, `hits` is false where times decide too much.

    `differing`: what differs between two plain runs already. `destroys`: it overwrites what it has read, or removes
    what it has executed, which only the native tracer can store.
    """

    name: str
    command: str | tuple[str, ...]
    files: Mapping[str, str]
    change: str
    needs: str = ""
    prepare: str = ":"
    differing: tuple[str, ...] = ()
    hits: bool = True
    destroys: bool = False
    variables: Mapping[str, str] = attrs.field(factory=dict)

    def words(self) -> tuple[str, ...]:
        """The command line."""
        return ("sh", "-c", self.command) if isinstance(self.command, str) else self.command


WORDS = {"words": "one two", "d/more": "three\n", "d/e/most": "four\n"}
GO_FILES = {
    "main.go": 'package main\n\nfunc main() { println("one") }\n',
    "go.mod": "module example.com/x\n\ngo 1.19\n",
}
CRATE = '[package]\nname = "x"\nversion = "1.0.0"\n'
RUST_FILES = {"src/main.rs": 'fn main() { println!("one"); }\n', "Cargo.toml": CRATE}
SCRATCH = ("work/build/CMakeFiles/CMakeOutput.log", "work/build/CMakeFiles/CMakeError.log")
UNITTEST = f"{interpreter()} -B -m unittest -q 2>&1 | sed 's/ in .*s$//'"
CONFIGURED = {"configure": CONFIGURE, "Makefile.in": "all:;echo @word@\n", "word.txt": "math"}
CMAKE_FILES = {"CMakeLists.txt": CMAKE, **C_FILES}
NINJA_FILES = {"build.ninja": "rule c\n command = gcc -o $out $in\nbuild x: c main.c | word.h\n", **C_FILES}
SUITE_FILES = {"test_word.py": SUITE, "word.py": "WORD = 'one'\n", **WORDS}
ARCHIVED = "tar cf d.tar --mtime=@1500000000 d; rm -r d"
NPM_FILES = {"main.js": "console.log('one')\n", "package.json": PACKAGE}
OTHER = "sed -i s/one/two/"
BUILT = "cmake -B build . > told && make -C build"
BUILT_BY_NINJA = "cmake -G Ninja -B build . > told && ninja -C build"
MAKE_FILES = {"Makefile": "x: main.c word.h\n\tgcc -o $@ main.c\n", **C_FILES}
PROGRAMS = (
    Program("a Python test suite", UNITTEST, SUITE_FILES, "echo x > words"),
    Program("sed -i", ("sed", "-i", "-e", "s/o/0/g", "words", "d/more"), WORDS, "echo other > d/more", destroys=True),
    Program("tar c", ("tar", "czf", "d.tar.gz", "d"), WORDS, "echo other > d/e/most; touch -d @1500000000 d/e/most"),
    # It stamps what it makes, by what it has read.
    Program("tar x", ("tar", "xf", "d.tar"), WORDS, "mkdir d; echo x > d/x; " + ARCHIVED, prepare=ARCHIVED, hits=False),
    # It asks for times of folders, that of the sandbox among them.
    Program("rsync", ("rsync", "-a", "--delete", "d/", "copy"), WORDS, "mkdir copy; rm d/more", "rsync", hits=False),
    Program("git log", ("git", "log", "--stat", "--decorate"), WORDS, "git tag other", "git", GIT, INDEX),
    # They compare the times of files with that of the index, and write it anew.
    Program("git status", ("git", "status", "--short"), WORDS, "echo x > words", "git", GIT, INDEX, hits=False),
    Program("git diff", ("git", "diff"), WORDS, "echo other > words", "git", GIT, INDEX, hits=False),
    Program("git describe", ("git", "describe", "--dirty"), WORDS, "echo x > words", "git", GIT, INDEX, hits=False),
    Program("git archive", "git archive v1 | tar t", WORDS, "git tag -d v1; git tag v1 HEAD", "git", GIT, hits=False),
    Program("git checkout", ("git", "checkout", "-q", "v1", "--", "."), WORDS, "rm words", "git", GIT, INDEX,
            destroys=True),
    # It executes programs that it has made and that it removes: what strace tells of them comes too late.
    Program("configure", ("./configure",), CONFIGURED, "echo no > word.txt", "compiler", "chmod +x *e", destroys=True),
    Program("make", ("make",), MAKE_FILES, f"{OTHER} word.h", "make"),
    Program("CMake and make", BUILT, CMAKE_FILES, f"{OTHER} word.h", "cmake",
            differing=SCRATCH),
    # Its log holds times.
    Program("CMake and Ninja", BUILT_BY_NINJA, CMAKE_FILES, f"{OTHER} word.h", "ninja",
            differing=(*SCRATCH, "work/build/.ninja_"), hits=False),
    Program("Ninja", ("ninja",), NINJA_FILES, f"{OTHER} word.h", "ninja", differing=("work/.ninja_",),
            hits=False),
    Program("Node.js", ("node", "main.js"), {"main.js": SCRIPT, **WORDS}, "echo other > words", "node"),
    Program("npm run", ("npm", "run", "--silent", "build"), NPM_FILES,
            f"{OTHER} main.js", "npm", differing=("home/",), variables={"npm_config_update_notifier": "false"}),
    Program("Go", ("go", "build", "-o", "app", "."), GO_FILES, f"{OTHER} main.go", "go", differing=("home/",)),
    Program("Cargo", ("cargo", "build", "--offline", "--quiet"), RUST_FILES, f"{OTHER} src/main.rs", "cargo",
            differing=("home/", "work/target/.rustc_info.json"), variables={"CARGO_INCREMENTAL": "0"}),
    Program("javac", ("javac", "A.java"), {"A.java": 'class A { String a = "one"; }\n'}, f"{OTHER} A.java", "java"),
)  # fmt: skip


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """Two empty worlds and an empty store."""
    with Sandbox() as made:
        yield made


def variables_for(program: Program, request: pytest.FixtureRequest) -> dict[str, str | None]:
    """What a program needs of its caller's environment."""
    if program.needs == "go":
        cache = str(request.getfixturevalue("go_cache"))
        return {"PATH": os.environ["PATH"], "GOCACHE": cache, "GOFLAGS": "-buildvcs=false"}
    path = f"{sysroot()}/bin:{PATH}" if program.needs == "cargo" else PATH
    return {"PATH": path, **program.variables}


def begun(program: Program, sandbox: Sandbox, tracer: str, sources: Path) -> Scenario:
    """Put a program's project into both worlds, the very same bytes, all of it old."""
    for name, content in program.files.items():
        path = sources / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    aged = f"{program.prepare}\nfind . -exec touch -h -d @1500000000 {{}} +"
    subprocess.run(["sh", "-ec", aged], cwd=sources, env={"PATH": PATH, "HOME": "/nonexistent"}, check=True)
    wrapper = (*wrapper_command(), "--tracer", tracer)
    differing = tuple(map(os.fsencode, program.differing))
    scenario = Scenario(sandbox, Runner(sandbox, wrapper, scratch=differing, start=forks.start))
    scenario.put(f"{sources}/.", ".")
    scenario.keep()
    return scenario


@pytest.mark.parametrize("tracer", FIRST_TRACER)
@pytest.mark.parametrize(
    "program",
    [pytest.param(one, id=one.name, marks=getattr(pytest.mark, one.needs) if one.needs else ()) for one in PROGRAMS],
)
def test_a_history(
    program: Program, tracer: str, sandbox: Sandbox, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    scenario = begun(program, sandbox, tracer, tmp_path / "sources")
    variables = variables_for(program, request)
    hits = program.hits and not (program.destroys and tracer == "strace")

    def ask(outcome: str | None = None) -> bytes:
        pair = scenario.ask(*program.words(), outcome=outcome if hits else None, variables=variables)
        assert pair.plain.status == 0
        return pair.plain.stdout

    def ask_from_the_start(outcome: str | None, change: str = ":") -> bytes:
        scenario.anew()
        scenario.do(change)
        return ask(outcome)

    first = ask("miss")
    warm = "hit|miss" if program.needs == "go" else "hit"  # a cache that the first run filled is another input
    assert ask_from_the_start(warm) == first
    ask()
    ask()
    ask_from_the_start("miss", program.change)
    ask()
    ask_from_the_start(warm, program.change)
    assert ask_from_the_start(warm) == first

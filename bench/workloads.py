# SPDX-License-Identifier: Apache-2.0
"""The commands that are timed: real steps over real sources, of two seconds or more each."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import attrs

from tests.support.fetching import NotFetched
from tests.support.sources import lua_sources

# What Lua's sources define for themselves must be there before the first header is read.
UNIT_HEAD = "#define LUA_CORE\n#define LUA_LIB\n#define ltable_c\n#define lvm_c\n" + '#include "lprefix.h"\n'
UNIT = (
    "lzio lctype lopcodes lmem lundump ldump lstate lgc llex lcode lparser ldebug lfunc lobject ltm lstring ltable ldo "
    "lvm lapi lauxlib lbaselib lcorolib ldblib liolib lmathlib loadlib loslib lstrlib ltablib lutf8lib linit"
)
MAKEFILE = """OBJECTS = $(patsubst %.c,out/%.o,$(SOURCES))
out/liblua.a: $(OBJECTS)
\tar rc $@ $(OBJECTS)
out/%.o: src/%.c
\tgcc -O2 -c -o $@ $<
"""
# Four programs a turn, beside the subshells that the shell itself makes.
SCRIPT = """#!/bin/sh
set -e
turn=0
while [ "$turn" -lt "$1" ]; do
    name=$(basename "/usr/share/part-$turn.txt" .txt)
    folder=$(dirname "/usr/share/part-$turn.txt")
    echo "$folder $name" | tr a-z A-Z
    turn=$(expr "$turn" + 1)
done > out/listing
"""
MODULES = (
    "asyncio, concurrent.futures, csv, ctypes, decimal, difflib, email.mime.multipart, html.parser, http.server, "
    "json, logging.config, multiprocessing, sqlite3, tarfile, unittest.mock, urllib.request, xml.dom.minidom, zipfile"
)


AS_JOB = "the same under make -j"


class Unavailable(Exception):
    """This machine lacks what a workload runs; the message says what."""


@attrs.frozen
class Workload:
    """A command, to be run in `directory`; what it makes is in `directory/out`, empty before each run."""

    name: str
    command: tuple[str, ...]
    directory: Path

    @property
    def is_job(self) -> bool:
        """Whether it runs as a job of `make -j`."""
        return self.name == AS_JOB

    def reset(self) -> None:
        """Empty the folder of outputs."""
        with os.scandir(self.directory / "out") as entries:
            for entry in entries:
                os.unlink(entry)


Makers = dict[str, Callable[[Path, bool], tuple[str, ...]]]


def nothing(_folder: Path, _quick: bool) -> tuple[str, ...]:
    """A command that does nothing: what wrapping it costs is the fixed cost."""
    return _programs("true")


def one_compile(folder: Path, quick: bool) -> tuple[str, ...]:
    """The whole of Lua as one translation unit, 23,000 lines before its headers, optimised as its makefile does."""
    _copy_lua(folder)
    parts = UNIT.split()[: 5 if quick else None]
    included = "".join(f'#include "{part}.c"\n' for part in parts)
    (folder / "src/one.c").write_text(UNIT_HEAD + included)
    return (*_programs("gcc"), "-O2", "-c", "-o", "out/one.o", "src/one.c")


def two_jobs(folder: Path, quick: bool) -> tuple[str, ...]:
    """The library of Lua from its 32 sources, by make with two jobs."""
    sources = _copy_lua(folder)
    (folder / "Makefile").write_text(MAKEFILE)
    chosen = " ".join(sources[:4] if quick else sources)
    _programs("gcc", "ar")
    return (*_programs("make"), "-j2", f"SOURCES={chosen}")


def short_processes(folder: Path, quick: bool) -> tuple[str, ...]:
    """A shell script that starts 1,600 programs, one after another."""
    script = folder / "script.sh"
    script.write_text(SCRIPT)
    script.chmod(0o755)
    return ("./script.sh", "10" if quick else "400")


def header_tree(_folder: Path, quick: bool) -> tuple[str, ...]:
    """`find` over the system's headers, and `stat` of each, again and again."""
    headers = Path("/usr/include", "linux" if quick else "")
    if not headers.is_dir():
        raise Unavailable(f"{headers} is not there")
    find = (*_programs("find"), str(headers), "-type", "f", "-exec", "stat", "-c", "%n %s", "{}", "+")
    return _repeated(find, 1 if quick else 48)


def imports(_folder: Path, quick: bool) -> tuple[str, ...]:
    """A Python program that imports a good part of the standard library, again and again."""
    return _repeated((sys.executable, "-c", f"import {MODULES}"), 1 if quick else 12)


def processor_bound(_folder: Path, quick: bool) -> tuple[str, ...]:
    """A Python program that only counts."""
    return (sys.executable, "-I", "-S", "-c", f"sum(n * n for n in range({1 if quick else 35}_000_000))")


WORKLOADS: Makers = {
    "one C compile": one_compile,
    AS_JOB: one_compile,
    "make -j2": two_jobs,
    "1,600 processes": short_processes,
    "find + stat": header_tree,
    "Python imports": imports,
    "processor-bound": processor_bound,
}
FIXED_COST: Makers = {"true": nothing}


def prepare(name: str, makers: Makers, folder: Path, quick: bool) -> Workload:
    """Lay out a workload in a new folder below `folder`; raise `Unavailable`."""
    directory = folder / name.replace(" ", "-")
    (directory / "out").mkdir(parents=True)
    return Workload(name, makers[name](directory, quick), directory)


def environment(folder: Path) -> dict[str, str]:
    """The whole environment of what is timed, whoever runs the benchmark; its home and TMPDIR are below `folder`.

    PYTHONDONTWRITEBYTECODE and its like are not in it: an interpreter without its bytecode is another program.
    """
    places = {"HOME": folder / "home", "TMPDIR": folder / "tmp"}
    for place in places.values():
        place.mkdir(exist_ok=True)
    return {
        **{name: str(place) for name, place in places.items()},
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "LC_ALL": "C.UTF-8",
        "TZ": "UTC0",
    }


def installed(script: str) -> str:
    """The path of a console script of this installation."""
    return os.path.join(sysconfig.get_path("scripts"), script)


def _repeated(command: tuple[str, ...], times: int) -> tuple[str, ...]:
    """A command several times, one after another, as one command."""
    loop = f"for turn in $(seq {times}); do {shlex.join(command)} || exit; done"
    return (*_programs("sh"), "-c", loop)


def _programs(*names: str) -> tuple[str, ...]:
    """The same names, all of them found on the PATH that commands get."""
    absent = [name for name in names if shutil.which(name, path="/usr/local/bin:/usr/bin:/bin") is None]
    if absent:
        raise Unavailable(f"not installed: {', '.join(absent)}")
    return names


def _copy_lua(folder: Path) -> list[str]:
    """Copy Lua to `src`; return the names of its C files."""
    try:
        shutil.copytree(lua_sources(), folder / "src")
    except NotFetched as error:
        raise Unavailable(f"no C sources: {error}") from None
    return sorted(path.name for path in (folder / "src").glob("*.c"))

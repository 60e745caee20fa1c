# SPDX-License-Identifier: Apache-2.0
"""Tables of programs by what they do with times and variables (DESIGN 4.2, 5, 6).

A row counts for a program whose real path lies outside the root; a name may hold `*`. A user's own program that is
called `gcc` is in no table.
"""

from __future__ import annotations

import os
import re
from functools import lru_cache

from pytrace_exec.policy.clock_questions import asks_for_the_clock, called, options_of
from pytrace_exec.policy.globs import Globs
from pytrace_exec.policy.gnu_options import OPERAND, rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call

COMPILERS = """
gcc g++ cc c++ gcc-* g++-* *-gcc *-g++ *-gcc-[0-9]* *-g++-[0-9]* cpp *-cpp cpp-[0-9]* *-cpp-[0-9]* cc1 cc1plus
collect2 lto1 lto-wrapper clang clang++ clang-[0-9]* clang++-[0-9]* as *-as ld *-ld ld.bfd *-ld.bfd ld.gold *-ld.gold
ld.lld lld rustc
"""
"""Compilers, preprocessors, assemblers and linkers."""

PREPROCESSORS = (
    "cc1 cc1plus cc1obj cc1objplus f951 cpp *-cpp cpp-[0-9]* *-cpp-[0-9]* clang clang++ clang-[0-9]* clang++-[0-9]*"
)
"""Those of them, and their like for other languages, that expand `__DATE__` and its like."""

BINARY_TOOLS = """
nm *-nm objdump *-objdump objcopy *-objcopy strip *-strip readelf *-readelf ranlib *-ranlib size *-size strings
"""

PLAIN_TOOLS = """
cat echo printf true false sort uniq wc head tail cut tr tee paste join comm fold nl od expr seq basename dirname
readlink realpath mkdir rmdir rm ln cmp sum cksum md5sum sha1sum sha256sum sha512sum b2sum base64 sed grep egrep
fgrep protoc mktemp chmod sleep env uname arch nproc id whoami hostname
"""
"""Tools that use content and names; none of them compares two files' times."""

NEUTRAL_TOOLS = """
true false sort uniq wc head tail cut tr paste join comm fold nl od expr seq basename dirname cmp sum cksum md5sum
sha1sum sha256sum sha512sum b2sum base64 protoc flex bison m4 gperf
"""
"""Tools whose results depend on no user, place or machine."""

COPY_TIMES = """
ls dir vdir tar bsdtar zip jar cpio pax rsync stat find install cp ar *-ar bsdcpio du touch diff sdiff diff3 gzip pigz
bzip2 xz zstd lzip lz4 compress 7z 7za busybox toybox coreutils tree
pr unzip
"""
"""Programs that print or copy times, owners, links and sizes: for them these are the value."""

MODE_ONLY = """
rm -d -f -r -R -v --dir --force --recursive --verbose
rmdir -p -v --ignore-fail-on-non-empty --parents --verbose
unlink
mkdir -m= -p -v --mode= --parents --verbose
ln -b -f -L -n -P -r -s -S= -t= -T -v --backup? --force --logical --no-dereference --physical --relative --symbolic
    --suffix= --target-directory= --no-target-directory --verbose
mv -f -n -t= -T -v --force --no-clobber --target-directory= --no-target-directory --verbose
cp -f -H -L -n -P -r -R -t= -T -v --force --dereference --no-clobber --no-dereference --recursive --reflink?
    --remove-destination --target-directory= --no-target-directory --verbose
install -c -d -D -m= -t= -T -v --directory --mode= --target-directory= --no-target-directory --verbose
ls -1 -a -A -b -B -C -d -F -H -I= -L -m -N -p -q -Q -r -R -U -v -w= -x -X --all --almost-all --classify --dereference
    --directory --escape --file-type --group-directories-first --hide= --ignore= --ignore-backups --literal
    --quote-name --recursive --reverse --width= --zero
"""
"""Programs that look at what they change, copy or list for its type and mode alone, given no other options than these.

`rm -i` asks by size; `cp -p` and `-d` copy times and links, `-u` and `-C` compare, `-x` tells devices apart; `ls -l`,
`-s`, `-t` and `-S` show times and sizes or sort by them, `--color` tells files with several links.
"""

STAT_OPTIONS = "stat -c= -L --format= --printf= --dereference"
"""Options of `stat` with which its format alone says what is printed."""

PLAIN_FORMATS = "n N s a A f F u U g G h y Y"
"""Letters of `stat`'s formats that print what is a fact of a tree: not inodes, devices, or times of access."""

INODE_OPTIONS = frozenset({b"-c", b"-i", b"-u", b"--inode", b"--time"})
"""Options of `ls` that show or sort by inodes, or times of access and change."""

KEEP_DATES = rb"-[a-zA-Z]*p|--p"
"""Options of `strip` and `objcopy` that give the output the times of the input."""

INTERFACES_TO_CONNECT = "npm"
"""Tools that ask for the network's interfaces only to choose how to connect."""

PRINT_ENVIRONMENT = "env printenv"
"""Programs that print every variable when they are given no command."""

PYTHON = "python python[23] python[23].[0-9]*"
"""Python interpreters."""


def _globs(*tables: str) -> Globs:
    return Globs(name for table in tables for name in table.split())


_NO_TIMES = _globs(COMPILERS, BINARY_TOOLS, PLAIN_TOOLS)
_COPIES = _globs(COPY_TIMES)
_INTERFACES_TO_CONNECT = _globs(INTERFACES_TO_CONNECT)
_ENVIRONMENT = _globs(PRINT_ENVIRONMENT)
_PYTHON = _globs(PYTHON)
_COMPILERS = _globs(COMPILERS)
_PREPROCESSORS = _globs(PREPROCESSORS)
_NEUTRAL = _globs(COMPILERS, BINARY_TOOLS, NEUTRAL_TOOLS)
_NATIVE = rb"(?:-m(?:arch|tune|cpu)=|-C ?target-cpu=|--target-cpu=|target-cpu=)?native"
_FORMAT = rb"%[-+#0-9. ]*([A-Za-z])"
_STATE = {"go": frozenset({b"clean", b"telemetry", b"env"}), "cargo": frozenset({b"clean"})}
_SCRIPTS = {b"npm-cli.js": "npm", b"npx-cli.js": "npm"}
_PYTEST = frozenset({b"pytest", b"py.test"})
_INODE_FORMAT = rb"%[-0-9.]*[iDaAcCB]|^-ls$|^-(?:inum|samefile|[ac]newer|newer(?:[aBc].|.[aBc]))$"
_MODE_ONLY = rows(MODE_ONLY)
_STRIPS = _globs("strip *-strip objcopy *-objcopy")
_STAT = rows(STAT_OPTIONS)["stat"]


def compares_times(program: Program) -> bool:
    """Whether the order of two files' times can decide what the program does."""
    return program.known_as not in _NO_TIMES and not looks_at_mode_only(program)


def tool_of(program: Program, root: bytes, real_path: Callable[[bytes], bytes] = os.path.realpath) -> str:
    """Name of the tool that a program is: of an interpreter that of the script it was started with, if it is known.

    `real_path` tells where a script lies. Empty for one of the user's own, and for a command whose purpose is the
    tool's own state (`go clean`).
    """
    name, words = program.known_as, program.argv[1:]
    if name in _STATE and words and words[0] in _STATE[name]:
        return ""
    if name == "node" and words:
        script = real_path(words[0])
        own = not words[0].startswith(b"/") or (script + b"/").startswith(root.rstrip(b"/") + b"/")
        return "" if own else _SCRIPTS.get(os.path.basename(script), name)
    if name in _PYTHON and words and (words[:2] == (b"-m", b"pytest") or os.path.basename(words[0]) in _PYTEST):
        return "pytest"
    return name


def uses_interfaces_to_connect(program: Program, root: bytes, real_path: Callable[[bytes], bytes]) -> bool:
    """Whether it asks for the network's interfaces only to choose how to connect."""
    return tool_of(program, root, real_path) in _INTERFACES_TO_CONNECT


def copies_times(program: Program) -> bool:
    """Whether it prints or copies times, owners, links and sizes."""
    if program.name in ("cp", "install", "ls"):
        return not looks_at_mode_only(program)
    if program.name == "date":
        return not {b"-r", b"--reference"}.isdisjoint(name for name, _ in options_of(program) or ())
    return program.name in _COPIES or _keeps_dates(program)


def _keeps_dates(program: Program) -> bool:
    """Whether `strip` or `objcopy` was asked to give its output the times of its input."""
    return program.name in _STRIPS and any(re.match(KEEP_DATES, word) for word in program.argv[1:])


def looks_at_mode_only(program: Program) -> bool:
    """Whether a look of the program at a path tells it no more than type and mode (content is a fact when read)."""
    return program.known_as in _MODE_ONLY and _understood(program.name, program.argv[1:])


@lru_cache(maxsize=64)
def _understood(name: str, words: tuple[bytes, ...]) -> bool:
    return _MODE_ONLY[name].split(words) is not None


def is_compiler(program: Program) -> bool:
    """Whether it is a compiler, an assembler or a linker."""
    return program.name in _COMPILERS


def expands_macros(program: Program) -> bool:
    """Whether it preprocesses what it reads."""
    return program.name in _PREPROCESSORS


def is_neutral(program: Program) -> bool:
    """Whether what it makes depends on nobody and no place but what it reads and is told."""
    return program.known_as in _NEUTRAL


def is_python(program: Program) -> bool:
    """Whether it is a Python interpreter."""
    return program.known_as in _PYTHON


def started(run: Run, program: Program, call: Call) -> None:
    """Note what follows from the mere start of a program with its arguments."""
    if asks_for_the_clock(program):
        run.refuse("clock", program.path, call)
    if shows_inodes(program):
        run.refuse("machine", program.path, call)
    if any(word.endswith(b"native") and re.fullmatch(_NATIVE, word) for word in program.argv):
        run.note_plain(call, "fact", "cpu features")
    if program.name in _ENVIRONMENT and not _gives_command(program):
        run.environment_dumped = True


def shows_inodes(program: Program) -> bool:
    """Whether `ls`, `find` or `stat` was asked for inodes, devices, or times of access or change."""
    name, words = called(program)
    if name == "stat":
        options = _STAT.split(words)
        formats = [
            letter for option, value in options or () if option != OPERAND for letter in re.findall(_FORMAT, value)
        ]
        return not formats or any(letter.decode() not in PLAIN_FORMATS.split() for letter in formats)
    if name in ("ls", "dir", "vdir"):
        return not INODE_OPTIONS.isdisjoint(option for option, _ in options_of(program) or ())
    return name == "find" and any(re.search(_INODE_FORMAT, word) for word in words)


def _gives_command(program: Program) -> bool:
    """Whether `env` runs a command in place of printing."""
    return program.name == "env" and any(not w.startswith(b"-") and b"=" not in w for w in program.argv[1:])

# SPDX-License-Identifier: Apache-2.0
"""Tables of programs by what they do with times and variables (DESIGN 4.2, 5, 6).

A row counts for a program whose real path lies outside the root; a name may hold `*`. A user's own program that is
called `gcc` is in no table.
"""

from __future__ import annotations

import fnmatch
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.observe.processes import Program
    from pytrace_exec.observe.run import Run
    from pytrace_exec.tracer.events import Call

COMPILERS = """
gcc g++ cc c++ gcc-* g++-* *-gcc *-g++ *-gcc-[0-9]* *-g++-[0-9]* cpp *-cpp cpp-[0-9]* *-cpp-[0-9]* cc1 cc1plus
collect2 lto1 lto-wrapper clang clang++ clang-[0-9]* clang++-[0-9]* as *-as ld *-ld ld.bfd *-ld.bfd ld.gold *-ld.gold
ld.lld lld rustc
"""
"""Compilers, preprocessors, assemblers and linkers."""

PREPROCESSORS = "cc1 cc1plus cpp *-cpp cpp-[0-9]* *-cpp-[0-9]* clang clang++ clang-[0-9]* clang++-[0-9]*"
"""Those of them that expand `__DATE__` and its like."""

BINARY_TOOLS = """
nm *-nm objdump *-objdump objcopy *-objcopy strip *-strip readelf *-readelf ranlib *-ranlib size *-size strings
"""

PLAIN_TOOLS = """
cat echo printf true false sort uniq wc head tail cut tr tee paste join comm fold nl od expr seq basename dirname
readlink realpath mkdir rmdir rm ln cmp diff sum cksum md5sum sha1sum sha256sum sha512sum b2sum base64 sed grep egrep
fgrep protoc mktemp chmod sleep env uname arch nproc id whoami hostname
"""
"""Tools that use content and names; none of them compares two files' times."""

NEUTRAL_TOOLS = """
true false sort uniq wc head tail cut tr paste join comm fold nl od expr seq basename dirname cmp sum cksum md5sum
sha1sum sha256sum sha512sum b2sum base64 protoc flex bison m4 gperf
"""
"""Tools whose results depend on no user, place or machine."""

COPY_TIMES = "ls dir vdir tar bsdtar zip cpio pax rsync stat find install cp mv ar *-ar git bsdcpio du touch"
"""Programs that print or copy times, owners, links and sizes: for them these are the value."""

COMPARE_FOLDERS = "make gmake find rsync ninja"
"""Programs that compare times of directories too."""

CLOCK = "date uptime w who last cal ncal hwclock timedatectl"
"""Programs that ask for the clock whatever their arguments."""

PRINT_ENVIRONMENT = "env printenv"
"""Programs that print every variable when they are given no command."""

SHELLS = "sh dash bash ash zsh ksh mksh busybox"


def _pattern(*tables: str) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(name) for table in tables for name in table.split()))


_NO_TIMES = _pattern(COMPILERS, BINARY_TOOLS, PLAIN_TOOLS)
_COPIES = _pattern(COPY_TIMES)
_FOLDERS = _pattern(COMPARE_FOLDERS)
_CLOCK = _pattern(CLOCK)
_ENVIRONMENT = _pattern(PRINT_ENVIRONMENT)
_SHELLS = _pattern(SHELLS)
_COMPILERS = _pattern(COMPILERS)
_PREPROCESSORS = _pattern(PREPROCESSORS)
_NEUTRAL = _pattern(COMPILERS, BINARY_TOOLS, NEUTRAL_TOOLS)
_NATIVE = re.compile(rb"(?:-m(?:arch|tune|cpu)=|-C ?target-cpu=|--target-cpu=|target-cpu=)?native")
_MINUTES = re.compile(rb"-(?:[amc]min|[amc]time|newer[aBcm]t|used)")


def compares_times(program: Program) -> bool:
    """Whether the order of two files' times can decide what the program does."""
    return not _NO_TIMES.match(program.name)


def compares_folders(program: Program) -> bool:
    """Whether it compares directories' times as well."""
    return bool(_FOLDERS.match(program.name))


def copies_times(program: Program) -> bool:
    """Whether it prints or copies times, owners, links and sizes."""
    if program.name in ("cp", "mv", "install"):
        return program.name != "mv" and _preserves(program.argv)
    if program.name == "git":
        return False
    return bool(_COPIES.match(program.name))


def _preserves(argv: tuple[bytes, ...]) -> bool:
    """Whether the arguments of `cp` or `install` ask for times, or for a comparison of times."""
    for word in argv[1:]:
        if word.startswith((b"--preserve", b"--archive", b"--update")):
            return True
        if word.startswith(b"-") and not word.startswith(b"--") and set(word[1:]) & set(b"pau"):
            return True
    return False


def is_compiler(program: Program) -> bool:
    """Whether it is a compiler, an assembler or a linker."""
    return bool(_COMPILERS.match(program.name))


def expands_macros(program: Program) -> bool:
    """Whether it preprocesses what it reads."""
    return bool(_PREPROCESSORS.match(program.name))


def is_neutral(program: Program) -> bool:
    """Whether what it makes depends on nobody and no place but what it reads and is told."""
    return bool(_NEUTRAL.match(program.name))


def is_shell(program: Program) -> bool:
    """Whether it is a shell."""
    return bool(_SHELLS.match(program.name))


def started(run: Run, program: Program, call: Call) -> None:
    """Note what follows from the mere start of a program with its arguments."""
    if _CLOCK.match(program.name) or (program.name == "find" and any(_MINUTES.fullmatch(w) for w in program.argv)):
        if not _fixed_date(program):
            run.refuse("clock", program.path, call)
    elif program.name == "git" and b"commit" in program.argv:
        run.refuse("clock", program.path, call)
    elif program.name == "touch" and not run.setting.writable(program.path):
        return
    if any(_NATIVE.fullmatch(word) for word in program.argv):
        run.note_plain(call, "fact", "cpu features")
    if _ENVIRONMENT.match(program.name) and not _gives_command(program):
        run.environment_dumped = True


def _fixed_date(program: Program) -> bool:
    """Whether `date` was told which date, or which file's, to print."""
    words = program.argv[1:]
    told = (b"-d", b"--date", b"-r", b"--reference", b"--help", b"--version")
    return program.name == "date" and any(word.startswith(told) for word in words) and b"now" not in words


def _gives_command(program: Program) -> bool:
    """Whether `env` runs a command in place of printing."""
    return program.name == "env" and any(not w.startswith(b"-") and b"=" not in w for w in program.argv[1:])

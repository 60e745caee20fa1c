# SPDX-License-Identifier: Apache-2.0
"""Tables of programs by what they do with times and variables (DESIGN 4.2, 5, 6).

A row counts for a program whose real path lies outside the root; a name may hold `*`. A user's own program that is
called `gcc` is in no table.
"""

from __future__ import annotations

import re

from pytrace_exec.policy.globs import Globs

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
bzip2 xz zstd lzip lz4 compress 7z 7za busybox toybox tree
"""
"""Programs that print or copy times, owners, links and sizes: for them these are the value."""

MODE_ONLY = "rm rmdir unlink mkdir ln mv cp install"
"""Programs that look at what they are about to change or copy for its type and mode, not for its size or times."""

PLAIN_FORMATS = "n N s a A f F u U g G h y Y"
"""Letters of `stat`'s formats that print what is a fact of a tree: not inodes, devices, or times of access."""

COMPARE_FOLDERS = "make gmake find rsync ninja"
"""Programs that compare times of directories too."""

CLOCK = "date uptime w who last cal ncal hwclock timedatectl"
"""Programs that ask for the clock whatever their arguments."""

PRINT_ENVIRONMENT = "env printenv"
"""Programs that print every variable when they are given no command."""

PYTHON = "python python[23] python[23].[0-9]*"
"""Python interpreters."""


def _globs(*tables: str) -> Globs:
    return Globs(name for table in tables for name in table.split())


_NO_TIMES = _globs(COMPILERS, BINARY_TOOLS, PLAIN_TOOLS)
_COPIES = _globs(COPY_TIMES)
_FOLDERS = _globs(COMPARE_FOLDERS)
_CLOCK = _globs(CLOCK)
_ENVIRONMENT = _globs(PRINT_ENVIRONMENT)
_PYTHON = _globs(PYTHON)
_COMPILERS = _globs(COMPILERS)
_PREPROCESSORS = _globs(PREPROCESSORS)
_NEUTRAL = _globs(COMPILERS, BINARY_TOOLS, NEUTRAL_TOOLS)
_NATIVE = rb"(?:-m(?:arch|tune|cpu)=|-C ?target-cpu=|--target-cpu=|target-cpu=)?native"
_FORMAT = rb"%[-+#0-9. ]*([A-Za-z])"
_INODE_FORMAT = rb"%[-0-9.]*[iDaAcC]|^-ls$|^-(?:inum|samefile)$"
_MODE_ONLY = _globs(MODE_ONLY)
_MINUTES = rb"-(?:[amc]min|[amc]time|newer[aBcm]t|used)"


def compares_times(program: Program) -> bool:
    """Whether the order of two files' times can decide what the program does."""
    return program.name not in _NO_TIMES


def compares_folders(program: Program) -> bool:
    """Whether it compares directories' times as well."""
    return program.name in _FOLDERS


def copies_times(program: Program) -> bool:
    """Whether it prints or copies times, owners, links and sizes."""
    if program.name in ("cp", "install"):
        return _preserves(program.argv)
    return program.name in _COPIES


def looks_at_mode_only(program: Program) -> bool:
    """Whether a look of the program at a path tells it no more than type and mode (content is a fact when read)."""
    if program.name in ("cp", "install", "mv"):
        return not _preserves(program.argv)
    return program.name in _MODE_ONLY


def _preserves(argv: tuple[bytes, ...]) -> bool:
    """Whether the arguments of `cp`, `mv` or `install` ask for times, or for a comparison of times or content."""
    for word in argv[1:]:
        if word.startswith((b"--preserve", b"--archive", b"--update", b"--compare")):
            return True
        if word.startswith(b"-") and not word.startswith(b"--") and set(word[1:]) & set(b"pauC"):
            return True
    return False


def is_compiler(program: Program) -> bool:
    """Whether it is a compiler, an assembler or a linker."""
    return program.name in _COMPILERS


def expands_macros(program: Program) -> bool:
    """Whether it preprocesses what it reads."""
    return program.name in _PREPROCESSORS


def is_neutral(program: Program) -> bool:
    """Whether what it makes depends on nobody and no place but what it reads and is told."""
    return program.name in _NEUTRAL


def is_python(program: Program) -> bool:
    """Whether it is a Python interpreter."""
    return program.name in _PYTHON


def started(run: Run, program: Program, call: Call) -> None:
    """Note what follows from the mere start of a program with its arguments."""
    if program.name in _CLOCK or (program.name == "find" and any(re.fullmatch(_MINUTES, w) for w in program.argv)):
        if not _fixed_date(program):
            run.refuse("clock", program.path, call)
    elif program.name == "git" and b"commit" in program.argv:
        run.refuse("clock", program.path, call)
    if _shows_inodes(program):
        run.refuse("machine", program.path, call)
    if any(re.fullmatch(_NATIVE, word) for word in program.argv):
        run.note_plain(call, "fact", "cpu features")
    if program.name in _ENVIRONMENT and not _gives_command(program):
        run.environment_dumped = True


def _shows_inodes(program: Program) -> bool:
    """Whether `ls`, `find` or `stat` was asked for inodes, devices, or times of access or change."""
    if program.name == "stat":
        formats = [letter for word in program.argv[1:] for letter in re.findall(_FORMAT, word)]
        return not formats or any(letter.decode() not in PLAIN_FORMATS.split() for letter in formats)
    if program.name == "ls":
        short = b"".join(word[1:] for word in program.argv[1:] if re.fullmatch(rb"-[A-Za-z0-9]+", word))
        return bool(set(short) & set(b"icu")) or any(w.startswith((b"--inode", b"--time=")) for w in program.argv)
    return program.name == "find" and any(re.search(_INODE_FORMAT, word) for word in program.argv[1:])


def _fixed_date(program: Program) -> bool:
    """Whether `date` was told which date, or which file's, to print."""
    words = program.argv[1:]
    told = (b"-d", b"--date", b"-r", b"--reference", b"--help", b"--version")
    return program.name == "date" and any(word.startswith(told) for word in words) and b"now" not in words


def _gives_command(program: Program) -> bool:
    """Whether `env` runs a command in place of printing."""
    return program.name == "env" and any(not w.startswith(b"-") and b"=" not in w for w in program.argv[1:])

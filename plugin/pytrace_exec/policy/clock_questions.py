# SPDX-License-Identifier: Apache-2.0
"""Programs that ask for the clock, by their names and arguments (DESIGN 5): the clock itself is read unseen.

Where options decide, a row of the table has all options of the program; arguments that it does not explain count as a
question.
"""

from __future__ import annotations

import os
import re

from pytrace_exec.policy.dates import is_absolute, is_whole_stamp
from pytrace_exec.policy.gnu_options import OPERAND, rows

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_exec.observe.processes import Program

CLOCK = "uptime w w.procps who last lastb pinky finger cal ncal hwclock timedatectl pr"
"""Programs that ask for the clock whatever their arguments (`pr` for the head of a page)."""

CLOCK_OPTIONS = """
date -d= -f= -I? -R -r= -s= -u --date= --debug --file= --iso-8601? --rfc-email --rfc-3339= --reference= --set= --utc
    --universal --help --version
touch -a -c -d= -f -h -m -r= -t= --no-create --date= --no-dereference --reference= --time= --help --version
ls -a -A -b -B -c -C -d -D -f -F -g -G -h -H -i -I= -k -l -L -m -n -N -o -p -q -Q -r -R -s -S -t -T= -u -U -v -w= -x
    -X -Z -1 --all --almost-all --author --escape --block-size= --ignore-backups --color? --directory --dired
    --classify? --file-type --format= --full-time --group-directories-first --no-group --human-readable --si
    --dereference-command-line --dereference-command-line-symlink-to-dir --hide= --hyperlink? --indicator-style=
    --inode --ignore= --kibibytes --dereference --numeric-uid-gid --literal --hide-control-chars
    --show-control-chars --quote-name --quoting-style= --reverse --recursive --size --sort= --time= --time-style=
    --tabsize= --width= --context --zero --help --version
"""
"""Programs that ask for the clock by their options, with all options they have."""

LISTING_FORMATS = "across commas horizontal vertical single-column"
"""Values of `ls --format` that show no times."""

TIME_STYLES = rb"full-iso|long-iso|\+[^\n]*"
"""Values of `ls --time-style` that show a time in the same way however old it is."""

GIT_MAKES = "commit commit-tree am merge rebase cherry-pick revert stash pull notes archive gc prune"
"""Commands of git that write the time at which they run, or remove what is old; `archive` does for a tree."""

GIT_ASKS = (
    rb"^--(?:relative-date|since|until|before|after|expire)",
    rb"(?:^|[=:,(])(?:relative|human|auto:|auto$)",
    rb"%[<>|(]*[acg][rh]",
    rb"@\{(?!-?\d+\}|u(?:pstream)?\}|push\})",
)
"""Arguments of git with dates that are read, or shown, by the clock: git adds the time of day to a date without one."""

GIT_IDENTITIES = rb"-l|GIT_(?:AUTHOR|COMMITTER)_IDENT"
"""Arguments of `git var` that tell who with the time."""

GIT_SIGNED_TAG = rb"-[a-zA-Z]*[asmFu].*|--(?:an|si|mes|fi|lo).*"
"""Arguments of `git tag` that make an object with a date."""

FIND_ASKS = rb"-(?:[amc]min|[amc]time|newer[aBcm]t|used)"
"""Tests of `find` that compare with the clock."""

LISTING_ARCHIVERS = "cpio pax bsdcpio bsdtar tree"
"""Programs that show a time of day in place of a year while a file is young: with -v, --verbose, or -D of `tree`."""

TAR_DATES = ("--mtime", "--newer", "--newer-mtime", "--after-date")
"""Options of `tar` whose value is a date, or a file's name that begins with `/` or `.`; `-N` is one too."""

MULTI_CALL = "busybox toybox coreutils"
"""Programs that are what they are called as, or what their first argument says."""

_OPTIONS = rows(CLOCK_OPTIONS)
_OPTIONS["dir"] = _OPTIONS["vdir"] = _OPTIONS["ls"]


def asks_for_the_clock(program: Program) -> bool:
    """Whether the program, by its name and arguments, gives what depends on the time at which it runs."""
    name, words = called(program)
    if name in CLOCK.split():
        return True
    if (question := _QUESTIONS.get(name)) is not None:
        return question(words)
    if name.startswith("git-"):
        return _git((name[4:].encode(), *words))
    return name in LISTING_ARCHIVERS.split() and _shows_ages(words)


def options_of(program: Program) -> list[tuple[bytes, bytes]] | None:
    """The options of a program of the table, as `GnuOptions.split` gives them; None: not understood or in no row."""
    name, words = called(program)
    return _OPTIONS[name].split(words) if name in _OPTIONS else None


def called(program: Program) -> tuple[str, tuple[bytes, ...]]:
    """As which program it runs, which for one of many names its arguments say, and the arguments of that."""
    name, words = program.name, program.argv[1:]
    if name not in MULTI_CALL.split() or not program.argv:
        return name, words
    first = os.fsdecode(os.path.basename(program.argv[0]))
    if first != name or not words:
        return first, words
    return os.fsdecode(os.path.basename(words[0])), words[1:]


def _date(words: tuple[bytes, ...]) -> bool:
    """`date` unless it is told which date, or whose, to print; a date to set is an operand without a plus."""
    options = _OPTIONS["date"].split(words)
    if options is None or any(name == OPERAND and not value.startswith(b"+") for name, value in options):
        return True
    names = {name for name, _ in options}
    if names & {b"-f", b"--file", b"-s", b"--set"} or not all(is_absolute(text) for text in _dates(options)):
        return True
    return not names & {b"-d", b"--date", b"-r", b"--reference", b"--help", b"--version"}


def _touch(words: tuple[bytes, ...]) -> bool:
    """`touch` with a date that is read by the clock; without any it does the same in every run."""
    options = _OPTIONS["touch"].split(words)
    if options is None:
        return True
    stamps = [value for name, value in options if name == b"-t"]
    return not all(map(is_absolute, _dates(options))) or not all(map(is_whole_stamp, stamps))


def _dates(options: list[tuple[bytes, bytes]]) -> list[bytes]:
    return [value for name, value in options if name in (b"-d", b"--date")]


def _ls(words: tuple[bytes, ...]) -> bool:
    """A long listing, unless its style of times does not depend on their age."""
    options = _OPTIONS["ls"].split(words)
    if options is None:
        return True
    formats = LISTING_FORMATS.encode().split()
    long = {b"-l", b"-g", b"-o", b"-n", b"--numeric-uid-gid", b"--full-time"}
    return any(name in long or (name == b"--format" and value not in formats) for name, value in options) and not (
        _in_one_style(options)
    )


def _vdir(words: tuple[bytes, ...]) -> bool:
    return _ls((b"-l", *words))


def _in_one_style(options: list[tuple[bytes, bytes]]) -> bool:
    styles = [value for name, value in options if name == b"--time-style"]
    if any(name == b"--full-time" for name, _ in options):
        styles.append(b"full-iso")
    return bool(styles) and all(re.fullmatch(TIME_STYLES, style) for style in styles)


def _git(words: tuple[bytes, ...]) -> bool:
    if not {word.decode("utf-8", "replace") for word in words}.isdisjoint(GIT_MAKES.split()):
        return True
    if b"tag" in words and any(re.fullmatch(GIT_SIGNED_TAG, word) for word in words):
        return True
    if b"var" in words and any(re.fullmatch(GIT_IDENTITIES, word) for word in words):
        return True
    return any(re.search(pattern, word) for word in words for pattern in GIT_ASKS)


def _shows_ages(words: tuple[bytes, ...]) -> bool:
    """Whether `-v`, `--verbose` or `-D` is among the arguments; the letters of `bsdtar` need no dash."""
    return any(
        re.match(rb"-[a-zA-Z]*[vD]|--v" if place else rb"-?[a-zA-Z]*[vD]|--v", w) for place, w in enumerate(words)
    )


def _find(words: tuple[bytes, ...]) -> bool:
    return any(re.fullmatch(FIND_ASKS, word) for word in words)


def _tar(words: tuple[bytes, ...]) -> bool:
    """A date that is no file's and not absolute; every `N` among letters is taken for one."""
    if any(re.match(rb"-[a-zA-Z]*N" if place else rb"-?[a-zA-Z]*N", word) for place, word in enumerate(words)):
        return True
    for place, word in enumerate(words):
        spelled, equals, value = word.partition(b"=")
        if len(spelled) > 2 and any(name.encode().startswith(spelled) for name in TAR_DATES):
            text = value if equals else b"".join(words[place + 1 : place + 2])
            if not text.startswith((b"/", b".")) and not is_absolute(text):
                return True
    return False


_QUESTIONS: dict[str, Callable[[tuple[bytes, ...]], bool]] = {
    "date": _date,
    "touch": _touch,
    "ls": _ls,
    "dir": _ls,
    "vdir": _vdir,
    "git": _git,
    "find": _find,
    "tar": _tar,
}

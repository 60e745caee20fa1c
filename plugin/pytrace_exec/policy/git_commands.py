# SPDX-License-Identifier: Apache-2.0
"""Commands of git whose results follow from refs, the index, files and objects by their ids, and from nothing else.

Which packs there are, how many objects, what they weigh, or how files stood when git last looked, none of them tells
(HEAD's abbreviated id apart). A command, an option or an argument that is not understood makes git's files count by
their bytes.
"""

from __future__ import annotations

import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrace_exec.observe.processes import Program

GIT_OPTIONS = "-C= -c= -P --no-pager --no-optional-locks --literal-pathspecs --version"
"""Options of git itself, before its command; `-c` with settings that change no answer alone."""

HARMLESS_SETTINGS = rb"(?i:log\.showsignature=false|safe\.directory=.*|advice\.\w+=.*|color\.\w+=.*|core\.quotepath=.*)"
"""What may be set by `-c`."""

GIT_COMMANDS = """
rev-parse -q --quiet --verify --short? --abbrev-ref? --symbolic-full-name --symbolic --git-dir --absolute-git-dir
    --git-common-dir --show-toplevel --show-prefix --show-cdup --is-inside-work-tree --is-inside-git-dir
    --is-bare-repository --is-shallow-repository
describe --always --tags --long --dirty? --exact-match --first-parent --match= --exclude= --abbrev? --candidates?
status -s --short --porcelain? -b --branch -z -u? --untracked-files? --ignored? --no-renames --renames --ahead-behind
    --no-ahead-behind
diff --quiet --name-only --name-status --stat? --shortstat --numstat --full-index --exit-code --cached --staged -z
    --diff-filter? --no-ext-diff --no-renames -w -b --ignore-all-space --ignore-space-change
ls-files -c -d -m -o -i -s -t -u -v -z -k --cached --deleted --modified --others --ignored --stage --unmerged --killed
    --directory --no-empty-directory --eol --deduplicate --exclude-standard --exclude= --error-unmatch --full-name
log -# -n= --max-count? --format? --pretty? --date? --no-decorate --reverse --no-merges --merges --first-parent
    --topo-order --date-order --author-date-order --name-only --name-status --stat? --shortstat --numstat -s --no-patch
    -z
show -s --no-patch --format? --pretty? --date? --no-decorate --name-only --name-status --stat? --shortstat --numstat
    -z
rev-list --count -# -n= --max-count? --no-merges --merges --first-parent --reverse --topo-order --date-order
    --left-right --all --branches --tags --remotes
tag -l --list --points-at= --sort= -i --ignore-case
symbolic-ref -q --quiet --short
branch --show-current
ls-tree -r -t -d -z -l --long --name-only --name-status --full-name --full-tree
merge-base --is-ancestor
"""
"""Commands, each with the options that are understood: `=` takes a value, `?` may have one glued, `-#` is a number."""

PLACEHOLDERS = rb"%[+ -]?(?:[HTP]|[ac][neNElLdDtiIs]|[sfbBemn%]|x[0-9a-fA-F]{2})"
"""What a format of `log` and `show` may ask for: nothing abbreviated, decorated, signed or noted."""

SHORT_HEAD = b"%h"
"""What it may ask for besides if HEAD alone is shown."""

_HEX = rb"[0-9a-fA-F]{4,}|.*-g[0-9a-fA-F]{4,}"
_REVISION = rb"(?s)\^?(@|[\w./+-]*)((?:~\d*|\^\d*|\^\{\w*\})*)(:.*)?"
_PLAIN_FORMATS = frozenset({b"oneline", b"raw"})
_SHOWN = frozenset({b"-s", b"--no-patch", b"--name-only", b"--name-status", b"--stat", b"--shortstat", b"--numstat"})
_TOLD = frozenset({b"--quiet", b"--full-index"}) | (_SHOWN - {b"-s", b"--no-patch"})
_NAMING_NONE = frozenset({b"ls-files", b"status", b"tag"})
_HEAD = frozenset({b"HEAD", b"@"})
_SEPARATING = frozenset({b"log", b"show", b"diff", b"rev-list", b"status", b"ls-files", b"tag"})
_SORTING = frozenset({b"--topo-order", b"--date-order", b"--author-date-order"})
_BY_ITSELF, _LEAST = 7, 4


class Reading:
    """What a command reads of a repository.

    `prefixes`: through which refs it goes besides those that it names. `head_only`: it names none but HEAD, though it
    looks at more as it goes. `short`: to how many digits, at least, it abbreviates the id of HEAD; 0: not at all.
    `log_unused`: it reads where HEAD was before, and does not tell.
    """

    __slots__ = ("head_only", "log_unused", "prefixes", "short")

    def __init__(self, *prefixes: bytes, head_only: bool = False, short: int = 0, log_unused: bool = False) -> None:
        self.prefixes = prefixes
        self.head_only = head_only
        self.short = short
        self.log_unused = log_unused


class Words:
    """The arguments of a command: options in order with their values, and operands before and after `--`."""

    __slots__ = ("options", "paths", "revisions", "separated")

    def __init__(self, options: list[tuple[bytes, bytes]], revisions: list[bytes], paths: list[bytes]) -> None:
        self.separated = False
        self.options = options
        self.revisions = revisions
        self.paths = paths

    @property
    def names(self) -> set[bytes]:
        """The options that were given."""
        return {name for name, _ in self.options}

    def values(self, *names: bytes) -> list[bytes]:
        """Values of the options of these names."""
        return [value for name, value in self.options if name in names]


def is_git(program: Program) -> bool:
    """Whether it is git, by its real path."""
    return program.known_as == "git"


def splits(program: Program) -> bool:
    """Whether git's own options are understood: others may mean settings that its children have, too."""
    return _command(program.argv) is not None


def reading_of(program: Program) -> Reading | None:
    """What a program reads of a repository; None unless it is git with a command that is understood."""
    if not is_git(program):
        return None
    words = _command(program.argv)
    if not words or (table := _TABLE.get(words[0])) is None:
        return None
    split = _split(words[1:], table)
    if split is None:
        return None
    revisions = [] if words[0] in _NAMING_NONE else split.revisions
    if split.separated and words[0] not in _SEPARATING:
        return None  # what follows may be revisions all the same
    if not all(map(names_no_object, [*revisions, *split.values(b"--points-at")])):
        return None
    return _READINGS[words[0]](split)


def names_no_object(word: bytes) -> bool:
    """Whether a word can be read as names of refs, with steps from there, but not as an id or a part of one."""
    if b"..." in word:
        return False  # from a common ancestor: which of several depends on a commit graph's being there
    for part in word.split(b".."):
        match = re.fullmatch(_REVISION, part)
        if match is None or re.fullmatch(_HEX, match[1]) or (match[3] and not match[1]):
            return False
    return True


def _command(argv: tuple[bytes, ...]) -> list[bytes] | None:
    """The command and its arguments; empty: none is given. None: an option of git's own is not understood."""
    if not argv or argv[0].rpartition(b"/")[2] != b"git":
        return None
    rest = list(argv[1:])
    while rest and rest[0].startswith(b"-"):
        option = rest.pop(0)
        takes = _OPTIONS.get(option)
        if takes is None or (takes and not rest):
            return None
        if option == b"-c" and not re.fullmatch(HARMLESS_SETTINGS, rest[0]):
            return None
        del rest[: len(takes)]
    return rest


def _split(words: Sequence[bytes], table: dict[bytes, bytes]) -> Words | None:
    """Tell options from operands; None if an option is not in the table, spelled in full."""
    split, rest = Words([], [], []), list(words)
    while rest:
        word = rest.pop(0)
        if word == b"--":
            split.paths, split.separated = rest, True
            break
        if not word.startswith(b"-") or word == b"-":
            split.revisions.append(word)
        elif (found := _options(word, rest, table)) is not None:
            split.options += found
        else:
            return None
    return split


def _options(word: bytes, rest: list[bytes], table: dict[bytes, bytes]) -> list[tuple[bytes, bytes]] | None:
    """The option, or the letters, of one word; a value may be the next one."""
    long = word.startswith(b"--")
    name, glued, value = word.partition(b"=") if long else (word[:2], word[2:], word[2:])
    takes = table.get(name)
    if word[1:].isdigit() and b"-#" in table:
        return [(b"-#", word[1:])]
    if takes == b"" and glued and not long:
        letters = [b"-" + word[place : place + 1] for place in range(1, len(word))]
        return [(letter, b"") for letter in letters] if all(table.get(x) == b"" for x in letters) else None
    if takes is None or (glued and not takes) or (takes == b"=" and not glued and not rest):
        return None
    return [(name, value if glued or takes != b"=" else rest.pop(0))]


def _rev_parse(words: Words) -> Reading | None:
    lengths = words.values(b"--short")
    if lengths and not _HEAD.issuperset(words.revisions + words.paths):
        return None
    return Reading(short=_least(lengths) if lengths else 0)


def _describe(words: Words) -> Reading | None:
    if not _HEAD.issuperset(words.revisions) or words.paths:
        return None
    return Reading(b"refs/tags/", head_only=True, short=_least(words.values(b"--abbrev")))


def _least(lengths: list[bytes]) -> int:
    """The least number of digits: git's own if none is asked for."""
    return _LEAST if any(lengths) else _BY_ITSELF


def _status(words: Words) -> Reading | None:
    """In its long format it tells from where HEAD was detached, and what is being rebased."""
    return Reading(log_unused=True) if words.names & {b"-s", b"--short", b"--porcelain"} else None


def _diff(words: Words) -> Reading | None:
    """As a patch it tells abbreviated ids."""
    return Reading() if words.names & _TOLD else None


def _walks_by_dates(words: Words) -> bool:
    """Whether commits are left out and the rest is sorted: then it matters whether there is a commit graph."""
    excludes = any(b".." in word or word.startswith(b"^") for word in words.revisions)
    return excludes and not words.names.isdisjoint(_SORTING)


def _log(words: Words) -> Reading | None:
    if _walks_by_dates(words):
        return None
    once = words.values(b"-#", b"-n", b"--max-count") == [b"1"]
    return _formatted(words, once and words.names <= {b"-#", b"-n", b"--max-count", *_FORMATTING})


def _show(words: Words) -> Reading | None:
    if not words.names & _SHOWN:
        return None
    return _formatted(words, words.names <= _FORMATTING)


_FORMATTING = frozenset({b"--format", b"--pretty", b"--date", b"--no-decorate", b"-s", b"--no-patch", b"-z"})


def _formatted(words: Words, one: bool) -> Reading | None:
    """What `log` and `show` read with a format of the user's; `one`: they show but one commit, and all of it."""
    formats = words.values(b"--format", b"--pretty")
    if not formats:
        return None
    rest = [re.sub(PLACEHOLDERS, b"", text) for text in formats]
    if short := any(SHORT_HEAD in text for text in rest):
        if not one or words.paths or not _HEAD.issuperset(words.revisions):
            return None
        rest = [text.replace(SHORT_HEAD, b"") for text in rest]
    if any(b"%" in text for text in rest):
        return None
    if not all(b"%" in text or text in _PLAIN_FORMATS for text in formats):
        return None
    return Reading(short=_BY_ITSELF if short else 0)


def _rev_list(words: Words) -> Reading | None:
    if _walks_by_dates(words):
        return None
    through_all = words.names & {b"--all", b"--branches", b"--tags", b"--remotes"}
    return Reading(*[b"refs/"] * bool(through_all))


def _tag(words: Words) -> Reading | None:
    """Without an option that says that it lists, it makes a tag."""
    return Reading(b"refs/tags/") if words.names & {b"-l", b"--list", b"--points-at"} else None


def _symbolic_ref(words: Words) -> Reading | None:
    return Reading() if len(words.revisions) == 1 and not words.paths else None


def _branch(words: Words) -> Reading | None:
    return Reading() if words.names and not words.revisions and not words.paths else None


def _merge_base(words: Words) -> Reading | None:
    """Which of several bases it tells depends on a commit graph's being there."""
    return Reading() if b"--is-ancestor" in words.names else None


def _anything(words: Words) -> Reading | None:
    return Reading()


def _row(options: str) -> dict[bytes, bytes]:
    words = options.encode().split()
    return {word.rstrip(b"=?"): word[len(word.rstrip(b"=?")) :] for word in words}


_OPTIONS = _row(GIT_OPTIONS)
_ROWS = (line.partition(" ") for line in GIT_COMMANDS.strip().replace("\n ", " ").splitlines())
_TABLE = {name.encode(): _row(options) for name, _, options in _ROWS}
_READINGS: dict[bytes, Callable[[Words], Reading | None]] = {
    b"rev-parse": _rev_parse,
    b"describe": _describe,
    b"status": _status,
    b"diff": _diff,
    b"ls-files": _anything,
    b"log": _log,
    b"show": _show,
    b"rev-list": _rev_list,
    b"tag": _tag,
    b"symbolic-ref": _symbolic_ref,
    b"branch": _branch,
    b"ls-tree": _anything,
    b"merge-base": _merge_base,
}

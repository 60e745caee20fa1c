# SPDX-License-Identifier: Apache-2.0
"""Which variables count (DESIGN 6): all but a list of those that vary without meaning.

One of the list becomes a fact of the run when something shows that it may have mattered: its name is a word of the
command line or of content read under the root, its value stands in an output, or its reader ran.
"""

from __future__ import annotations

from pytrace_cas.recorded.secrets import looks_secret

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

VARYING = """
_ OLDPWD SHLVL PYTRACE_* HOSTNAME INIT_CWD SSH_* DISPLAY XDG_SESSION_* DBUS_* USER LOGNAME LS_COLORS MAIL EDITOR PAGER
KUBERNETES_* TERM COLUMNS LINES MAKELEVEL MAKE_TERMOUT MAKE_TERMERR
BUILD_ID BUILD_NUMBER BUILD_TAG BUILD_URL BUILDKITE_BUILD_ID BUILDKITE_BUILD_NUMBER BUILDKITE_JOB_ID
CI_JOB_ID CI_JOB_TOKEN CI_JOB_URL CI_PIPELINE_ID CI_PIPELINE_IID CI_PIPELINE_URL CIRCLE_BUILD_NUM CIRCLE_WORKFLOW_ID
GITHUB_RUN_ID GITHUB_RUN_NUMBER GITHUB_RUN_ATTEMPT GITHUB_TOKEN GITHUB_ACTION GITHUB_STEP_SUMMARY GITHUB_OUTPUT
GITHUB_ENV GITHUB_PATH GITHUB_STATE RUNNER_TRACKING_ID TRAVIS_BUILD_ID TRAVIS_JOB_ID JENKINS_SERVER_COOKIE
WINDOWID TERM_SESSION_ID INVOCATION_ID JOURNAL_STREAM
"""
"""Variables that vary without meaning; `*` stands for anything."""

PLACED = frozenset({b"HOME", b"TMPDIR", b"PWD"})
"""Variables whose values are facts of their own (identity), so that they are no part of the weak key."""

JOBS = frozenset({b"MAKEFLAGS", b"MFLAGS"})
"""Variables in which the number of jobs and the job server vary without meaning."""

MIN_VALUE = 8
"""A value shorter than this is not searched for in outputs, unless its variable is one of `TOLD`."""

TOLD = frozenset({b"USER", b"LOGNAME", b"EDITOR", b"PAGER", b"MAIL", b"DISPLAY", b"HOSTNAME"})
"""Variables that programs print as they are: a value of any length is searched for, as a word, in outputs of text."""

_BACK = rb"\s+(?:-[LPe@]+\s+)*[\"']?-[\"']?(?=[\s;&|)`}]|$)"

READ_BY_WORDS = {
    b"USER": rb"getuser|getlogin|user-login-name",
    b"LOGNAME": rb"getuser|getlogin|user-login-name",
    b"EDITOR": rb"var(?<!\wvar)\s+(?:-l\b|GIT_EDITOR|GIT_SEQUENCE_EDITOR)",
    b"PAGER": rb"var(?<!\wvar)\s+(?:-l\b|GIT_PAGER)",
    b"OLDPWD": rb"cd(?<![\w-]cd)" + _BACK + rb"|pushd(?<![\w-]pushd)" + _BACK + rb"|~-",
    b"COLUMNS": rb"select(?<![\w-]select)\s+\w+\s+in\b",
}
"""Variables, and what a script or a command line says (a regular expression) when it reads them without their name.

An expression that begins with plain letters is found much faster: what must not stand before them comes after.
"""

_HEAD = 1024
"""An output with a NUL among so many bytes at its beginning is no text."""

_FIRST = bytes({name[0] for name in VARYING.encode().split()})
_NAME = rb"[%s](?<![A-Za-z0-9_][%s])[A-Za-z0-9_]*+" % (_FIRST, _FIRST)
"""A word that begins as one of the names does."""
_WHOLE = frozenset(name.encode() for name in VARYING.split() if not name.endswith("*"))
_BEGINNINGS = tuple(name[:-1].encode() for name in VARYING.split() if name.endswith("*"))


def varies(name: bytes) -> bool:
    """Whether a variable is in the list of those that vary without meaning."""
    return name in _WHOLE or name.startswith(_BEGINNINGS)


def counting(
    environ: Mapping[bytes, bytes], chosen: Iterable[bytes] = (), only: bool = False, redacted: Iterable[bytes] = ()
) -> dict[bytes, bytes]:
    """The variables that count always, with what of their values counts; secrets as a hash.

    `chosen` ones count although they vary; with `only` no others do.
    """
    wanted, hidden = frozenset(chosen), frozenset(redacted)
    found = {}
    for name, value in environ.items():
        if name in wanted or (not only and name not in PLACED and not varies(name)):
            found[name] = stored_value(name, value, name in hidden)
    return found


def stored_value(name: bytes, value: bytes, redacted: bool = False) -> bytes:
    """What is kept of a value: without job counts, and hashed when it looks like a secret."""
    if name in JOBS:
        value = _without_jobs(value)
    if redacted or looks_secret(name):
        import hashlib

        return b"sha256:" + hashlib.sha256(value).hexdigest().encode()
    return value


def _without_jobs(flags: bytes) -> bytes:
    import re

    jobs = rb"(?:^|(?<= ))(?:-j ?\d*|--jobs(?:=\d+)?|--jobserver-(?:auth|fds)=[^ ]*|-l ?[\d.]*)(?= |$)"
    return b" ".join(re.sub(jobs, b"", flags).split())


def named_in(texts: Iterable[bytes]) -> set[bytes]:
    """Names of varying variables that occur as words in texts, set or not."""
    import re

    named: set[bytes] = set()
    for text in texts:
        named.update(_named(re.findall(_NAME, text)))
        named.update(name for name, words in READ_BY_WORDS.items() if re.search(words, text))
    return named


def _named(words: Iterable[bytes]) -> Iterator[bytes]:
    return (word for word in words if varies(word) and word not in _BEGINNINGS)


def values_in(environ: Mapping[bytes, bytes], texts: Iterable[bytes]) -> set[bytes]:
    """Names of varying variables whose value, if it is long enough to mean something, occurs in texts."""
    long = {name: value for name, value in environ.items() if varies(name) and len(value) >= MIN_VALUE}
    return {name for text in texts for name, value in long.items() if value in text}


def told_in(environ: Mapping[bytes, bytes], results: Iterable[bytes]) -> set[bytes]:
    """Names of varying variables that outputs show: with name and value, as a dump does, or by a short value alone."""
    import re

    shown = rb"(" + _NAME + rb")[\"']?(?:=|: ?| => )"
    short = {name: environ[name] for name in TOLD if 0 < len(environ.get(name, b"")) < MIN_VALUE}
    words = {name: re.compile(rb"(?<!\w)" + re.escape(value) + rb"(?!\w)") for name, value in short.items()}
    told: set[bytes] = set()
    for text in results:
        if b"\0" not in text[:_HEAD]:
            told.update(_named(re.findall(shown, text)))
            told.update(name for name, word in words.items() if name not in told and word.search(text))
    return told


TERMINAL = frozenset({b"TERM", b"COLUMNS", b"LINES"})
"""Variables that count with a terminal on a standard descriptor, or when a terminal's description was looked for."""


READ_BY = """
MAKELEVEL : make gmake
LS_COLORS : ls dir vdir tree
TERM      : ls dir vdir tree dircolors
COLUMNS   : ls dir vdir tree python python[23] python[23].[0-9]* git node column
          : dpkg dpkg-query man psql ruby ruby[0-9]*
LINES     : python python[23] python[23].[0-9]*
"""
"""Varying variables, and the programs that are known to read them."""


def read_by(programs: Iterable[str]) -> set[bytes]:
    """Names of the varying variables that programs of these names are known to read."""
    from pytrace_exec.policy.globs import Globs

    names = set(programs)
    rows = (line.partition(":") for line in READ_BY.replace("\n          :", " ").strip().splitlines())
    readers = [(variable.strip().encode(), Globs(row.split())) for variable, _, row in rows]
    return {variable for variable, globs in readers if any(name in globs for name in names)}

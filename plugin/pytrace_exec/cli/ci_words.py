# SPDX-License-Identifier: Apache-2.0
"""The command line of `pytrace ci check` read without click, whose loading takes longer than the check.

Only what is well formed and asks no help is read here. All else is click's, which says what is wrong.
"""

from __future__ import annotations

import os

from pytrace_exec.ci.opening import Opening
from pytrace_exec.cli.ci_options import COUNT, DURATION, FLAG, JOB, MANY, PATH, PLACE, QUESTION
from pytrace_exec.cli.failed import Failed
from pytrace_exec.cli.given import BY_NAME, REMOTE, options_of
from pytrace_exec.option_values import positive_duration
from pytrace_exec.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any

    from pytrace_exec.cli.ci_options import CiOption

OF_CACHE = ("dir", *REMOTE)
"""Options of `pytrace-exec` that a check has."""
_FLAGS = {option.flag: option for option in (*JOB, *PLACE, *QUESTION)}
FORMS = {"--format": ("format", ("text", "json"), "PYTRACE_FORMAT"),
         "--color": ("color", ("auto", "always", "never"), "PYTRACE_COLOR")}  # fmt: skip
"""How to answer: attribute, allowed words with the default first, and variable of each option."""
_TRUE, _FALSE = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")


class _NotHere(Exception):
    """A command line that click is to deal with."""


def answer(argv: Sequence[str]) -> int | None:
    """Answer a check; return its exit status, None when nothing was done and click is to deal with it."""
    try:
        values, given = read(argv, os.environ)
        options = options_of(given)
    except (_NotHere, UsageError, Failed, ValueError, OSError):
        return None
    opening = Opening(values.pop("repo"))  # git starts while we import the rest
    from pytrace_exec.cli.ci_checking import check

    try:
        return check(options, opening, **values)
    except (UsageError, Failed):  # nothing was answered yet
        return None
    except KeyboardInterrupt:
        from pytrace_exec.cli.exit_status import INTERRUPTED

        return INTERRUPTED


def read(argv: Sequence[str], environ: Mapping[str, str]) -> tuple[dict[str, Any], dict[str, object]]:
    """What the words and the variables say: by attribute, and the options of `pytrace-exec` by name."""
    values: dict[str, Any] = {}
    given: dict[str, object] = {}
    words = iter(argv)
    for word in words:
        flag, sign, value = word.partition("=")
        if flag in _FLAGS:
            _take(_FLAGS[flag], values, sign, value, words)
        elif flag in FORMS:
            values[FORMS[flag][0]] = _choice(flag, value if sign else _next(words))
        elif word == "--json":
            values["as_json"] = True
        elif flag.startswith("--") and flag[2:] in OF_CACHE:
            _gather(flag[2:], given, value if sign else _next(words))
        else:
            raise _NotHere
    _from_variables(values, environ)
    return values, given


def _take(option: CiOption, values: dict[str, object], sign: str, value: str, words: Iterator[str]) -> None:
    if option.kind == FLAG:
        if sign:
            raise _NotHere
        values[option.attribute] = True
        return
    found = _read(option, value if sign else _next(words))
    known = values.get(option.attribute, ())
    values[option.attribute] = (*known, found) if isinstance(known, tuple) and option.kind == MANY else found


def _gather(name: str, given: dict[str, object], value: str) -> None:
    known = given.get(name, ())
    given[name] = (*known, value) if BY_NAME[name].many and isinstance(known, tuple) else value


def _from_variables(values: dict[str, object], environ: Mapping[str, str]) -> None:
    """Take from the variables what no word has set; an empty variable is as good as none."""
    for option in _FLAGS.values():
        if option.attribute in values:
            continue
        text = environ.get(option.variable)
        if text and option.kind == MANY:
            values[option.attribute] = tuple(text.split())
        elif text:
            values[option.attribute] = _switch(text) if option.kind == FLAG else _read(option, text)
        elif option.required:
            raise _NotHere
        else:
            values[option.attribute] = {MANY: (), FLAG: False}.get(option.kind, option.default)
    for flag, (attribute, allowed, variable) in FORMS.items():
        if attribute not in values:
            values[attribute] = _choice(flag, environ.get(variable) or allowed[0])
    values.setdefault("as_json", False)


def _next(words: Iterator[str]) -> str:
    found = next(words, None)
    if found is None:
        raise _NotHere
    return found


def _read(option: CiOption, text: str) -> object:
    if option.kind == PATH:
        return os.fsencode(text)
    if option.kind == DURATION:
        return positive_duration(os.fsencode(text))
    if option.kind == COUNT:
        if not (text.isascii() and text.isdigit()):
            raise _NotHere
        return int(text)
    return text


def _choice(flag: str, text: str) -> str:
    if text not in FORMS[flag][1]:
        raise _NotHere
    return text


def _switch(text: str) -> bool:
    word = text.strip().lower()
    if word not in _TRUE + _FALSE:
        raise _NotHere
    return word in _TRUE

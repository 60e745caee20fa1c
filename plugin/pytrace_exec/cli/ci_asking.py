# SPDX-License-Identifier: Apache-2.0
"""The options that the verbs of `pytrace ci` share, as click has them."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pytrace_exec.cli.choices import chosen, twin, wrapper_options
from pytrace_exec.cli.ci_options import COUNT, DURATION, FLAG, JOB, MANY, PATH, PLACE, QUESTION
from pytrace_exec.cli.ci_question import shelf_of
from pytrace_exec.cli.ci_words import OF_CACHE
from pytrace_exec.option_values import positive_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from pytrace_exec.ci.shelf import Shelf
    from pytrace_exec.cli.ci_options import CiOption


class Duration(click.ParamType[float]):
    """Seconds, written as `90s`, `24h`, `30d`."""

    name = "duration"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read a duration."""
        if isinstance(value, float):
            return value
        try:
            return positive_duration(os.fsencode(str(value)))
        except ValueError as error:
            self.fail(str(error), param, ctx)


_TYPES: dict[str, Any] = {PATH: click.Path(path_type=bytes), COUNT: click.IntRange(min=0), DURATION: Duration()}


def job_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say whose records are meant, and where they are."""
    return _adding(JOB, OF_CACHE)


def place_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say which commit of which clone is meant."""
    return _adding(PLACE, ())


def question_options() -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Add the options that say what is asked."""
    return _adding(QUESTION, ())


def _adding(options: Sequence[CiOption], wrappers: Sequence[str]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(command: Callable[..., Any]) -> Callable[..., Any]:
        command = wrapper_options(*wrappers)(command)
        for option in reversed(options):
            command = _as_click(option)(command)
        return command

    return add


def _as_click(option: CiOption) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    attributes: dict[str, Any] = {"help": option.help, **twin(option.variable)}
    if option.kind == FLAG:
        return click.option(option.flag, option.attribute, is_flag=True, **attributes)
    if option.kind == MANY:
        return click.option(option.flag, option.attribute, metavar=option.metavar, multiple=True, **attributes)
    if not option.required:  # a default counts as a value, None too
        attributes["default"] = option.default
    return click.option(
        option.flag, option.attribute, metavar=option.metavar, type=_TYPES.get(option.kind), required=option.required,
        **attributes,
    )  # fmt: skip


def open_shelf(make: bool) -> Shelf:
    """The records in the cache that the command line names; raise `ShelfTrouble`. `make`: a local store if need be."""
    return shelf_of(chosen(), make)

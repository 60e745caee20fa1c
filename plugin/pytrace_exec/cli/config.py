# SPDX-License-Identifier: Apache-2.0
"""`pytrace config`: what the options are, where each value came from, and setting one for this user."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import click

from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import chosen, format_options, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, USAGE, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.user_file import UserFile
from pytrace_exec.option_table import OPTIONS, Option
from pytrace_exec.options import SYSTEM_FILE, Options, files
from pytrace_exec.places import find_places

if TYPE_CHECKING:
    from collections.abc import Iterator

_SETTABLE = tuple(option for option in OPTIONS if {"env", "file"} & set(option.scope.split()))
_FLAGS = tuple(option.name for option in _SETTABLE if "flag" in option.scope)
_BY_NAME = {option.name: option for option in _SETTABLE}
_HIDDEN = "***"


@cli.group(epilog=stated("0 done", store=False), short_help="Options, and where their values came from.")
def config() -> None:
    """Look at the options of `pytrace-exec` and `pytrace`, and set them for yourself.

    A value comes from a flag, else the environment, else the first file that has it: pytrace.toml or [tool.pytrace] of
    pyproject.toml in the root, $XDG_CONFIG_HOME/pytrace/config.toml, /etc/pytrace/config.toml.
    """


@config.command(epilog=stated("0 shown", store=False))
@format_options()
@wrapper_options(*_FLAGS)
@click.option("--all", "everything", is_flag=True, help="Those at their defaults as well.")
def show(everything: bool, format: str, as_json: bool, color: str) -> None:
    """Print each value that was chosen and where it came from; takes the options of pytrace-exec, too."""
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    rows = [row for row in _rows(options) if everything or row["kind"] != "default"]
    if answer.format == "json":
        answer.json({"values": rows})
        return
    cells = [(row["name"], one_line(" ".join(_words(row["value"]))), row["source"] or "default") for row in rows]
    answer.table(cells, ("option", "value", "from"))


@config.command(epilog=stated("0 it has a value", store=False, more="20 it has none"))
@format_options()
@wrapper_options("root")
@click.argument("name")
def get(name: str, format: str, as_json: bool, color: str) -> None:
    """Print the value of the option NAME, of several one a line."""
    _known(name)
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    (row,) = (row for row in _rows(options) if row["name"] == name)
    if answer.format == "json":
        answer.json(row)
    elif row["value"] in (None, []):
        raise Failed(f"{name} has no value", NOT_FOUND)
    else:
        for word in _words(row["value"]):
            answer.line(word)


@config.command(name="set", epilog=stated("0 set; 1 the file cannot be written", store=False))
@format_options()
@click.option("--unset", is_flag=True, help="Take the option out of the file.")
@click.argument("name")
@click.argument("values", nargs=-1, metavar="[VALUE]...")
def set_(name: str, values: tuple[str, ...], unset: bool, format: str, as_json: bool, color: str) -> None:
    """Set the option NAME in the user's file, keeping the rest of it with its comments.

    Only repeatable options take several values. A relative path is made absolute. Flags, the environment and a
    project's file count for more.
    """
    option = _known(name)
    answer = Answer.on_stdout("json" if as_json else format, color)
    if "file" not in option.scope:
        raise Failed(f"{name} is for the environment and flags only, not for files", USAGE)
    if bool(values) == unset or (len(values) > 1 and not option.many):
        raise Failed(f"give {'values' if option.many else 'one value'} for {name}, or --unset alone", USAGE)
    file = UserFile(_user_file())
    if unset:
        changed = file.remove(name)
    else:
        changed = file.set(name, [_checked(option, value) for value in values], bool(option.many))
    if answer.format == "json":
        answer.json({"name": name, "file": os.fsdecode(file.path), "changed": changed})


@config.command(epilog=stated("0 shown", store=False))
@format_options()
@wrapper_options("root")
def path(format: str, as_json: bool, color: str) -> None:
    """Print the files that are read, the nearest first, and which of them exist."""
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    root = find_places(options, os.getcwdb(), os.environb).root
    rows = [(_kind_of_file(file), os.fsdecode(file), os.path.exists(file)) for file in files(root, os.environb)]
    if answer.format == "json":
        answer.json({"files": [{"kind": kind, "path": name, "exists": there} for kind, name, there in rows]})
    else:
        answer.table([(kind, name, "" if there else "absent") for kind, name, there in rows], ("", "file", ""))


def _known(name: str) -> Option:
    if name not in _BY_NAME:
        raise Failed(f"there is no option {name!r}; pytrace config show --all names them", USAGE)
    return _BY_NAME[name]


def _rows(options: Options) -> Iterator[dict[str, Any]]:
    """Each option with its value, where that came from, and of which kind that is; secrets are hidden."""
    for option in _SETTABLE:
        source = options.sources.get(option.attribute)
        yield {
            "name": option.name,
            "value": _plain(option, getattr(options, option.attribute)),
            "kind": "default" if source is None else _kind(source.split(", ")[0]),
            "source": source,
        }


def _plain(option: Option, value: Any) -> Any:
    if option.many:
        return [_HIDDEN if option.secret else _one(item) for item in value]
    if option.name == "remote" and isinstance(value, str) and "@" in value:
        scheme, _, rest = value.partition("://")
        return f"{scheme}://{_HIDDEN}@{rest.rpartition('@')[2]}"
    return value if value is None or isinstance(value, bool | int | float) else _one(value)


def _one(value: Any) -> str:
    return "=".join(value) if isinstance(value, tuple) else os.fsdecode(value)


def _words(value: Any) -> list[str]:
    if isinstance(value, list):
        return value
    return ["" if value is None else str(value).lower() if isinstance(value, bool) else str(value)]


def _kind(source: str) -> str:
    if source.startswith("-"):
        return "flag"
    return "environment" if source.startswith("PYTRACE_") else _kind_of_file(os.fsencode(source))


def _kind_of_file(file: bytes) -> str:
    if file == SYSTEM_FILE:
        return "system"
    return "project" if file.endswith((b"/pytrace.toml", b"/pyproject.toml")) else "user"


def _user_file() -> bytes:
    found = [file for file in files(b"/", os.environb) if _kind_of_file(file) == "user"]
    if not found:
        raise Failed("HOME is not set, so that there is no file of the user's; set it, or XDG_CONFIG_HOME", DIFFERENT)
    return found[0]


def _checked(option: Option, text: str) -> str | bool:
    """A value as it is to stand in the file; raise `Failed` if the wrapper would not take it."""
    raw = os.fsencode(text)
    try:
        value = option.read(raw)
    except ValueError as error:
        raise Failed(f"{option.name} {error}", USAGE) from None
    if isinstance(value, bool):
        return value
    if option.metavar in ("DIR", "FILE", "PATH"):
        text = os.path.abspath(os.path.expanduser(text))
    if not text.isprintable():
        raise Failed(f"{option.name} cannot stand in a file: TOML takes UTF-8 text only", USAGE)
    return text

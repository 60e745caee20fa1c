# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec --help`, from the table of options."""

from __future__ import annotations

import textwrap

from pytrace_exec.option_table import GROUPS, Option
from pytrace_exec.options import MODE_VARIABLES

WIDTH = 80
INDENT = " " * 6

HEAD = """\
Usage: pytrace-exec [OPTIONS] [--] COMMAND [ARG...]

Run COMMAND under a tracer, store what it made under what it read, and answer the next run from the cache.
"""
FILES = """\
Values come from flags, then the environment, then the first of these files that has them: pytrace.toml or
[tool.pytrace] of pyproject.toml in the root, $XDG_CONFIG_HOME/pytrace/config.toml, /etc/pytrace/config.toml.
Sizes take suffixes (500M, 20GiB), durations too (90s, 24h, 30d). In variables, the values of a repeatable option are
separated by colons, pairs K=V by newlines.
"""
STATUSES = """\
Exit status:
  that of COMMAND; if a signal ended it, the wrapper ends by the same signal
  125  the wrapper failed before COMMAND could run, usage errors included
  126  COMMAND was found but cannot be executed
  127  COMMAND was not found
"""


def page() -> str:
    """Write the help page; it ends with the exit statuses."""
    parts = [_paragraphs(HEAD)]
    for title, group in GROUPS:
        parts.append(f"{title}:\n" + "".join(_entry(option) for option in group))
    short = ", ".join(f"{variable.decode()}=1 for {mode}" for variable, mode in MODE_VARIABLES)
    parts.append(_paragraphs(f"{FILES}Short forms of PYTRACE_MODE: {short}."))
    parts.append(STATUSES)
    return "\n".join(parts)


def _entry(option: Option) -> str:
    """One option: its forms on a line, what it does below."""
    name = f"--{option.name}" if "flag" in option.scope else option.variable.decode()
    if not option.metavar and "file" in option.scope:
        name = f"--[no-]{option.name}"
    forms = f"-{option.short}, {name}" if option.short else name
    told = [option.help, *_notes(option)]
    body = textwrap.fill(
        " ".join(note for note in told if note), WIDTH, initial_indent=INDENT, subsequent_indent=INDENT
    )
    return f"  {forms} {option.metavar}".rstrip() + f"\n{body}\n"


def _notes(option: Option) -> list[str]:
    notes = []
    if option.many:
        notes.append("(repeatable)")
    if option.default:
        notes.append(f"[default: {_default(option)}]")
    if "env" in option.scope and "flag" in option.scope:
        notes.append(f"[env: {option.variable.decode()}]")
    return notes


def _default(option: Option) -> str:
    if option.metavar == "SIZE" and isinstance(option.default, int):
        return f"{option.default >> 20}MiB"
    return f"{option.default:g}s" if isinstance(option.default, float) else str(option.default)


def _paragraphs(text: str) -> str:
    return "\n\n".join(textwrap.fill(part, WIDTH) for part in text.split("\n\n")) + "\n"

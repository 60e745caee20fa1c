# SPDX-License-Identifier: Apache-2.0
"""How an answer is written: JSON, aligned lines, or tables and colours where a person reads them on a terminal."""

from __future__ import annotations

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import Any, TextIO

STYLES = {"good": 32, "doubtful": 33, "bad": 31, "faint": 90, "strong": 1}
"""Numbers of ECMA-48's SGR: colours of letters, and bold."""


class Answer:
    """Writes to one stream. `colored`: whether colours are wanted there; `terminal`: whether it is a terminal."""

    __slots__ = ("colored", "format", "stream", "terminal")

    def __init__(self, stream: TextIO, format: str = "text", colored: bool = False, terminal: bool = False) -> None:
        self.stream = stream
        self.format = format
        self.colored = colored
        self.terminal = terminal

    @classmethod
    def on_stdout(cls, format: str, color: str) -> Answer:
        """Write to standard output; `color` is auto, always or never (auto: `NO_COLOR`, `FORCE_COLOR`, a terminal)."""
        if sys.stdout is None:  # it was closed when we began
            return cls(io.StringIO(), format)
        terminal = sys.stdout.isatty()
        if color == "auto":
            colored = (terminal or bool(os.environ.get("FORCE_COLOR"))) and not os.environ.get("NO_COLOR")
        else:
            colored = color == "always"
        return cls(sys.stdout, format, colored, terminal)

    def json(self, answer: dict[str, Any]) -> None:
        """Write one object, its `schema` first."""
        import json

        self.line(json.dumps({"schema": 1, **answer}))

    def given(self, status: int, write: Callable[[], None]) -> int:
        """Have an answer written; return its exit status, or 1 in place of 0 when it could not be written.

        Whoever closed a pipe has seen enough, and the answer stands.
        """
        try:
            write()
            self.stream.flush()
        except OSError as error:
            sys.stdout = None  # what is still buffered has nowhere to go
            return status if isinstance(error, BrokenPipeError) else status or 1
        return status

    def line(self, text: str = "", style: str | None = None) -> None:
        """Write a line."""
        if style and self.colored:
            text = f"\x1b[{STYLES[style]}m{text}\x1b[0m"
        self.stream.write(text + "\n")

    def table(self, rows: Iterable[Sequence[str]], headings: Sequence[str] = ()) -> None:
        """Write rows: a table with headings on a terminal, else columns that line up."""
        listed = [list(row) for row in rows]
        if not listed:
            return
        if self.terminal:
            self._rich_table(listed, headings)
            return
        widths = [max(map(len, column)) for column in zip(*listed, strict=True)]
        for row in listed:
            self.line("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def _rich_table(self, rows: list[list[str]], headings: Sequence[str]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*headings, box=box.SIMPLE_HEAD, show_header=bool(headings), pad_edge=False)
        for row in rows:
            table.add_row(*map(Text, row))
        Console(file=self.stream, no_color=not self.colored).print(table)


def say(line: str) -> None:
    """Write a line to stderr if that is possible: what is said there decides nothing."""
    try:
        print(f"pytrace: {one_line(line)}", file=sys.stderr, flush=True)
    except (OSError, ValueError):
        sys.stderr = None  # else the interpreter tries again in the end, and its exit status says that it failed


def one_line(text: str) -> str:
    """Text that keeps to its line and its characters on a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def line_of(observation: dict[str, Any]) -> str:
    """An observation, or an output, as one line: its kind, its path or name, then what is known of it."""
    rest = dict(observation)
    kind, name = rest.pop("kind"), rest.pop("path", rest.pop("name", None))
    exact = [key for key in rest if key.endswith("_b64")]
    words = [f"{key}={_word(value)}" for key, value in rest.items() if key not in exact and value is not None]
    return one_line("  ".join([f"{kind:9}", *([str(name)] if name is not None else []), *words]))


def _word(value: object) -> str:
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)

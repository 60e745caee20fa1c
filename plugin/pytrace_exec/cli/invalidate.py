# SPDX-License-Identifier: Apache-2.0
"""`pytrace invalidate`: drop one thing without emptying the cache; list what was dropped; take it back."""

from __future__ import annotations

import getpass
import os
import socket
import time
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.digest import Digest, MalformedDigest
from pytrace_cas.generations import WHOLE_STORE
from pytrace_cas.json_fields import list_fields, text_fields
from pytrace_cas.recorded.invalidations import LONGEST_TEXT, Invalidation
from pytrace_cas.recorded.places import MalformedText, unescape
from pytrace_exec.cache.errors import RemoteRefused, RemoteTrouble
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.choices import (
    REMOTE,
    chosen,
    folder_of,
    format_options,
    open_store_for_remote,
    twin,
    wrapper_options,
)
from pytrace_exec.cli.exit_status import NOT_AUTHORISED, NOT_FOUND, USAGE, stated, status_of
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder
from pytrace_exec.generations.dropping import Ledgers, NoSuchInvalidation
from pytrace_exec.option_values import pair
from pytrace_exec.places import discover
from pytrace_exec.store_opening import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_cas.store import Store
    from pytrace_exec.options import Options

_STATUSES = stated("0 done", more="13 remote unreachable; 20 no such result or invalidation")
# How a place is told of, alone and before what lies below it.
_SIGNS = {b"%R": (".", ""), b"%H": ("~", "~/"), b"%T": ("$TMPDIR", "$TMPDIR/")}
_PATH = click.Path(path_type=bytes)


def _scope(name: str, help: str, **attributes: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return click.option(f"--{name}", help=help, **twin(f"PYTRACE_INVALIDATE_{name.upper()}"), **attributes)


@cli.command(epilog=_STATUSES, short_help="Drop one thing, or take that back.")
@format_options()
@wrapper_options("dir", *REMOTE)
@_scope("command", "Runs whose command line, program or program's name this fits.", metavar="GLOB")
@_scope("label", "Runs with this label.", metavar="K=V", multiple=True)
@_scope("path", "Runs that read this file, or anything below this folder.", metavar="PATH", type=_PATH)
@_scope("target", "Runs of this Bazel target, or of those that //a/... or //a:all names.", metavar="LABEL")
@_scope("mnemonic", "Runs of actions of this mnemonic.", metavar="M")
@_scope("root", "Runs whose root is this folder or lies below it.", metavar="DIR", type=_PATH)
@click.option("--all", "everything", is_flag=True, **twin("PYTRACE_INVALIDATE_ALL"), help="Everything.")
@click.option("--reason", metavar="TEXT", **twin("PYTRACE_INVALIDATE_REASON"), help="Why, for those who wonder.")
@click.option("--list", "listing", is_flag=True, **twin("PYTRACE_INVALIDATE_LIST"), help="What was invalidated.")
@click.option("--undo", metavar="ID", **twin("PYTRACE_INVALIDATE_UNDO"), help="Take an invalidation back.")
@click.argument("ref", required=False)
@click.pass_context
def invalidate(
    ctx: click.Context,
    ref: str | None,
    command: str | None,
    label: tuple[str, ...],
    path: bytes | None,
    target: str | None,
    mnemonic: str | None,
    root: bytes | None,
    everything: bool,
    reason: str | None,
    listing: bool,
    undo: str | None,
    format: str,
    as_json: bool,
    color: str,
) -> None:
    """Drop the stored results that fit all that is given: the next such run misses, everything else hits on.

    REF is one action: a digest or the beginning of one, 'latest', or the path of an output. Nothing is deleted: the
    results serve again after --undo with the ID that is printed. Without --remote, the local store is meant, and with
    --instance-name only that instance of it; with --remote, the remote's instance, for all who use it.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    scopes = {"command": command, "label": label, "path": path, "target": target, "mnemonic": mnemonic, "root": root}
    given = {name: value for name, value in scopes.items() if value}
    by_instance = "instance-name" in ctx.ensure_object(dict)
    _check(ref, given, everything, by_instance, listing, undo, reason)
    instance = options.instance_name if by_instance or options.instance_name else None
    # What is invalidated need not exist, nor the store; a list of nothing needs one.
    with open_store_for_remote(options) if listing else open_folder(folder_of(options)) as store:
        known = Ledgers(store, options, instance)
        try:
            if listing:
                _list(answer, list(known.all()))
            elif undo is not None:
                _told(answer, "undone", *known.undo(undo, _who()))
            else:
                one = Invalidation.new(_stated(store, options, ref, given), _who(), _text("--reason", reason or ""))
                known.invalidate(one)
                _told(answer, "invalidated", known.place, one)
        except NoSuchInvalidation as error:
            raise Failed(str(error), NOT_FOUND) from None
        except RemoteTrouble as error:
            status = NOT_AUTHORISED if isinstance(error, RemoteRefused) else status_of(error)
            raise Failed(str(error), status) from None


def _check(
    ref: str | None,
    given: dict[str, Any],
    everything: bool,
    by_instance: bool,
    listing: bool,
    undo: str | None,
    reason: str | None,
) -> None:
    """Raise a usage error for what cannot be meant together, and for nothing at all."""
    scoped = bool(ref or given or everything)
    if (listing and (scoped or undo is not None)) or (undo is not None and scoped):
        raise click.UsageError("--list and --undo stand alone: they take no REF and no scope")
    if (listing or undo is not None) and reason is not None:
        raise click.UsageError("--reason is said when something is invalidated")
    if listing or undo is not None:
        return
    if ref is not None and (given or everything):
        raise click.UsageError("REF names one action: leave the other scopes out, or REF")
    if everything and given:
        raise click.UsageError("--all is everything: leave it out to invalidate only what the other scopes say")
    if not scoped and not by_instance:
        raise click.UsageError("say what to invalidate: REF, --command, --label, --path, --target, ... or --all")


def _stated(store: Store, options: Options, ref: str | None, given: dict[str, Any]) -> Iterator[tuple[str, bytes]]:
    """The scope in the words of an invalidation."""
    if ref is not None:
        yield "action", _action(store, options, ref).encode()
    root: bytes | None = os.path.realpath(given["root"]) if "root" in given else None
    for name in ("command", "target", "mnemonic"):
        if name in given:
            yield name, _text(f"--{name}", given[name])
    for text in given.get("label", ()):
        try:
            yield "label", _text("--label", "=".join(pair(os.fsencode(text))))
        except ValueError as error:
            raise Failed(f"--label {error}", USAGE) from None
    if root is not None:
        yield "root", root
    if "path" in given:
        named: bytes = given["path"]
        folder, last = os.path.split(os.path.abspath(named))
        path = os.path.join(os.path.realpath(folder), last)
        places = discover(os.getcwdb(), os.environb, root or options.root)
        yield "path", places.encode_path(path)
        yield "at", path


def _action(store: Store, options: Options, ref: str) -> str:
    """The digest of an action; a whole one need not be stored."""
    try:
        return str(Finder(store, options).find(ref).digest)
    except Failed:
        try:
            return str(Digest.parse(ref))
        except MalformedDigest:
            pass
        raise


def _text(name: str, text: str) -> bytes:
    raw = os.fsencode(text)
    if len(raw) > LONGEST_TEXT:
        raise Failed(f"{name} takes at most {LONGEST_TEXT} bytes", USAGE)
    return raw


def _who() -> bytes:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = str(os.getuid())
    return os.fsencode(f"{user}@{socket.gethostname()}")


def _told(answer: Answer, what: str, place: str, one: Invalidation) -> None:
    if answer.format == "json":
        answer.json({what: _described(place, one)})
    else:
        answer.line(f"{what} {one.id}: {_scope_words(one)} in {_where(place)}")


def _list(answer: Answer, found: list[tuple[str, Invalidation]]) -> None:
    if answer.format == "json":
        answer.json({"invalidations": [_described(place, one) for place, one in found]})
        return
    rows = []
    for place, one in found:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(one.made))
        undone = "" if one.undone is None else f"undone by {os.fsdecode(one.undone[1])}"
        cells = (one.id, when, os.fsdecode(one.by), _scope_words(one), _where(place), os.fsdecode(one.why), undone)
        rows.append([one_line(cell) for cell in cells])
    answer.table(rows, ("id", "when", "who", "what", "where", "why", ""))


def _described(place: str, one: Invalidation) -> dict[str, Any]:
    """One invalidation; its `scope` is empty when everything is concerned."""
    undone = None if one.undone is None else {"time": one.undone[0], **text_fields("by", one.undone[1])}
    scope: dict[str, Any] = {}
    for name in dict.fromkeys(name for name, _ in one.scope):
        values = one.get(name)
        scope |= list_fields(name, values) if name == "label" else text_fields(name, values[0])
    who = {**text_fields("by", one.by), **text_fields("reason", one.why)}
    return {"id": one.id, "time": one.made, **who, "scope": scope, "where": _where(place), "undone": undone}


def _scope_words(one: Invalidation) -> str:
    """What is concerned, as it would be asked for."""
    words = [f"{name} {_shown(name, value)}" for name, value in one.scope if name != "at"]
    return one_line(", ".join(words)) or "everything"


def _shown(name: str, value: bytes) -> str:
    if name != "path":
        return os.fsdecode(value)
    sign, slash, rest = value.partition(b"/")
    before = _SIGNS.get(sign)
    try:
        return os.fsdecode(unescape(value)) if before is None else before[bool(slash)] + os.fsdecode(unescape(rest))
    except MalformedText:
        return os.fsdecode(value)


def _where(place: str) -> str:
    return "the store" if place == WHOLE_STORE else place

# SPDX-License-Identifier: Apache-2.0
"""`pytrace explain`: would a command, or a stored result, be answered from the cache now, and if not, why not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_exec.cache.candidates import lists
from pytrace_exec.cache.errors import BlobMissing, CacheFailed
from pytrace_exec.cache.opening import open_cache
from pytrace_exec.cli.answer import Answer, below, one_line, text_fields
from pytrace_exec.cli.asking import asked
from pytrace_exec.cli.choices import chosen, format_options, open_store_for_remote, wrapper_options
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, UNREACHABLE, USAGE, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder, StoredRun
from pytrace_exec.explain import why_missed
from pytrace_exec.explain.commands import properties
from pytrace_exec.explain.facts import STREAMS
from pytrace_exec.explain.nearest import differences, stored_in
from pytrace_exec.invocation import find_places
from pytrace_exec.keys.values import MalformedKey, read_key
from pytrace_exec.lookup import LookUp
from pytrace_exec.standard_streams import inherited_descriptors

if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_cas.store import Store
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.options import Options

_STATUSES = stated("0 it would hit; 1 it would miss", more="13 remote unreachable; 20 never seen, or no such result")
_KEYED = ("dir", "root", "instance-name", "digest-function", "env", "env-only", "redact", "input", "output", "probe")
_MORE = ("probe-limit", "portable", "strict", "mtime", "stdin", "ignore", "disposable", "trust-stat")
_OWN_DESCRIPTORS = frozenset(STREAMS.values()) - {STREAMS["stdin"]}
_REMOTE = ("remote", "remote-header", "remote-ca", "remote-cert", "remote-key", "remote-timeout")
_ALLOWED = ("allow-network", "allow-clock", "cache-failures")


class CommandOrReference(click.Command):
    """A verb that takes one argument, or a command after `--`."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Set the command aside, which options do not concern."""
        if "--" in args:
            at = args.index("--")
            ctx.meta["command"] = args[at + 1 :]
            args = args[:at]
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: click.Context) -> list[str]:
        """Both forms."""
        return ["[OPTIONS]", "REF | -- COMMAND..."]


@cli.command(cls=CommandOrReference, epilog=_STATUSES, short_help="Why a command would hit or miss.")
@format_options()
@wrapper_options(*_KEYED, *_MORE, *_ALLOWED, *_REMOTE)
@click.argument("ref", required=False)
@click.pass_context
def explain(ctx: click.Context, ref: str | None, format: str, as_json: bool, color: str) -> None:
    """Tell whether COMMAND would be answered from the cache now, and if not every reason why not.

    COMMAND is looked up as `pytrace-exec` with the same options would, and is not run. REF, a digest or the beginning
    of one, 'latest' or the path of an output, stands for the command of a stored result, in its working directory.
    """
    inherited = inherited_descriptors()
    command: list[str] | None = ctx.meta.get("command")
    if (ref is None) == (command is None) or command == []:
        raise click.UsageError("give either REF, or -- and a command", ctx)
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_for_remote(options) as store:
        if command is not None:
            words = [os.fsencode(word) for word in command]
            found = explain_command(store, options, words, inherited)
        else:
            assert ref is not None
            found = explain_result(store, options, ref, inherited)
    _tell(answer, found)
    sys.exit({"hit": 0, "miss": DIFFERENT, "never_seen": NOT_FOUND}[found["outcome"]])


def explain_command(
    store: Store, options: Options, command: list[bytes], inherited: dict[int, bytes]
) -> dict[str, Any]:
    """Look a command up without running it."""
    invocation = asked(options, command, inherited)
    if options.stdin:
        invocation.streams.read_stdin()
    look_up = LookUp(invocation, _cache(store, options), None)
    for listed in lists(stored_in(look_up), look_up.weak_in):
        for _, action in listed.sets:
            _assume_descriptors(look_up, action)
    hit = next(look_up.hits(), None)
    if hit is not None:
        return _found(look_up, "hit", str(hit.action), [])
    for trouble in look_up.cache.troubles:
        raise Failed(f"the store has no answer, and the remote was not to be asked: {trouble}", UNREACHABLE)
    reasons = [found for found in why_missed(look_up) if found.get("name") not in _OWN_DESCRIPTORS]
    never = any(reason["code"] == "never_seen" for reason in reasons)
    return _found(look_up, "never_seen" if never else "miss", None, reasons)


def _cache(store: Store, options: Options) -> LocalCache:
    try:
        return open_cache(store, options)
    except CacheFailed as error:
        raise Failed(str(error), UNREACHABLE) from None


def explain_result(store: Store, options: Options, ref: str, inherited: dict[int, bytes]) -> dict[str, Any]:
    """Hold one stored result against today, in the directory in which it was made."""
    finder = Finder(store, options.instance_name, find_places(options, os.getcwdb(), os.environb))
    run = finder.find(ref)
    options.root = finder.places.root
    _go_to(run, finder)
    invocation = asked(options, [finder.places.restore(w.encode()) for w in run.key.command.arguments], inherited)
    look_up = LookUp(invocation, run.cache, None)
    _assume_descriptors(look_up, run.digest)
    reasons = differences(look_up, run.digest)
    return _found(look_up, "miss" if reasons else "hit", str(run.digest), reasons)


def _assume_descriptors(look_up: LookUp, action: Digest) -> None:
    """Take it that a command would get descriptors of the kinds it had: ours say nothing of what it will get."""
    try:
        values = read_key(stored_in(look_up).get, action, look_up.invocation.places).values
    except (BlobMissing, MalformedKey):
        return
    for subject, value in values.items():
        if subject.kind == "stream" and STREAMS[subject.arg] in _OWN_DESCRIPTORS:
            look_up.values.setdefault(subject, value)


def _go_to(run: StoredRun, finder: Finder) -> None:
    """Be where the result was made, as a shell would go there."""
    folder = finder.places.decode_path(properties(run.key.command).get("working-directory", "%R").encode())
    if folder == os.getcwdb():
        return
    try:
        os.chdir(folder)
    except OSError as error:
        raise Failed(
            f"its working directory {os.fsdecode(folder)}: {error.strerror}; name its root with --root", USAGE
        ) from None
    os.environb[b"PWD"] = folder


def _found(look_up: LookUp, outcome: str, action: str | None, reasons: list[dict[str, object]]) -> dict[str, Any]:
    root = look_up.invocation.places.root
    told = [{**reason, **_path_fields(reason, root)} for reason in reasons]
    return {"outcome": outcome, "action": action, "weak": str(look_up.weak.digest), "reasons": told}


def _path_fields(reason: dict[str, object], root: bytes) -> dict[str, Any]:
    path = reason["path"]
    return text_fields("path", below(os.fsencode(path), root) if isinstance(path, str) else None)


def _tell(answer: Answer, found: dict[str, Any]) -> None:
    if answer.format == "json":
        answer.json(found)
        return
    titles = {"hit": "would hit", "miss": "would miss", "never_seen": "would miss"}
    action = f" {found['action']}" if found["action"] else ""
    answer.line(titles[found["outcome"]] + action, "good" if found["outcome"] == "hit" else "bad")
    for reason in found["reasons"]:
        answer.line(f"  {one_line(reason['message'])}")

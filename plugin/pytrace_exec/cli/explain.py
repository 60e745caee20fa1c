# SPDX-License-Identifier: Apache-2.0
"""`pytrace explain`: would a command, or a stored result, be answered from the cache now, and if not, why not."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import reason_fields
from pytrace_cas.recorded.keys import MalformedKey, properties, read_key
from pytrace_exec.cache.candidates import lists
from pytrace_exec.cache.errors import BlobMissing, RemoteLacks
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.asking import asked
from pytrace_exec.cli.choices import (
    REMOTE,
    chosen,
    format_options,
    open_chosen_cache,
    open_store_for_remote,
    wrapper_options,
)
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, USAGE, stated, status_of
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder, StoredRun, open_store_to_find
from pytrace_exec.explain import why_missed
from pytrace_exec.explain.facts import STREAMS
from pytrace_exec.explain.nearest import differences, stored_in
from pytrace_exec.lookup import LookUp
from pytrace_exec.standard_streams import inherited_descriptors

if TYPE_CHECKING:
    from pytrace_cas.digest import Digest
    from pytrace_cas.store import Store
    from pytrace_exec.options import Options

_STATUSES = stated("0 it would hit; 1 it would miss", more="13 remote unreachable; 20 never seen, or no such result")
_KEYED = ("dir", "root", "env", "env-only", "redact", "input", "output", "probe")
_MORE = ("probe-limit", "portable", "strict", "mtime", "stdin", "ignore", "disposable", "trust-stat", "pid-namespace")
_OWN_DESCRIPTORS = frozenset(STREAMS.values()) - {STREAMS["stdin"]}
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
@wrapper_options(*_KEYED, *_MORE, *_ALLOWED, *REMOTE)
@click.argument("ref", required=False)
@click.pass_context
def explain(ctx: click.Context, ref: str | None, format: str, as_json: bool, color: str) -> None:
    """Tell whether COMMAND would be answered from the cache now, and if not every reason why not.

    COMMAND is looked up as `pytrace-exec` with the same options would, and is not run. REF, a digest or the beginning
    of one, 'latest' or the path of an output, stands for the command of a stored result, in its working directory. A
    remote is asked for what the local store does not have: for COMMAND as by a run, for REF if it is the whole digest,
    HASH/SIZE.
    """
    inherited = inherited_descriptors()
    command: list[str] | None = ctx.meta.get("command")
    if (ref is None) == (command is None) or command == []:
        raise click.UsageError("give either REF, or -- and a command", ctx)
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    if ref is not None:
        with open_store_to_find(options, ref) as store:
            found = explain_result(store, options, ref, inherited)
    else:
        with open_store_for_remote(options) as store:
            found = explain_command(store, options, [os.fsencode(word) for word in command or ()], inherited)
    _tell(answer, found)
    sys.exit({"hit": 0, "miss": DIFFERENT, "never_seen": NOT_FOUND}[found["outcome"]])


def explain_command(
    store: Store, options: Options, command: list[bytes], inherited: dict[int, bytes]
) -> dict[str, Any]:
    """Look a command up without running it."""
    invocation = asked(options, command, inherited)
    if options.stdin:
        invocation.streams.read_stdin()
    look_up = LookUp(invocation, open_chosen_cache(store, options), None)
    for listed in lists(stored_in(look_up), look_up.weak_in):
        for _, action in listed.sets:
            _assume_descriptors(look_up, action)
    hit = next(look_up.hits(), None)
    if hit is not None:
        return _found(look_up, "hit", str(hit.action), [])
    lacking: list[dict[str, object]] = []
    for trouble in look_up.cache.troubles:
        if not isinstance(trouble, RemoteLacks):
            raise Failed(f"the store has no answer, and the remote gave none: {trouble}", status_of(trouble))
        lacking.append({"code": trouble.code, "message": str(trouble), "path": None})
    reasons = [found for found in why_missed(look_up) if found.get("name") not in _OWN_DESCRIPTORS]
    never = any(reason["code"] == "never_seen" for reason in reasons)
    return _found(look_up, "never_seen" if never else "miss", None, [*lacking, *reasons])


def explain_result(store: Store, options: Options, ref: str, inherited: dict[int, bytes]) -> dict[str, Any]:
    """Hold one stored result against today, in the directory in which it was made."""
    # gRPC leaves traces in our environment, which are none of the command's.
    environ = dict(os.environb)
    finder = Finder(store, options)
    run = finder.find(ref)
    cache = run.at_hand()
    options.root = finder.places.root
    _go_to(run, finder, environ)
    words = [finder.places.restore(word.encode()) for word in run.key.command.arguments]
    look_up = LookUp(asked(options, words, inherited, environ), cache, None)
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


def _go_to(run: StoredRun, finder: Finder, environ: dict[bytes, bytes]) -> None:
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
    environ[b"PWD"] = folder


def _found(look_up: LookUp, outcome: str, action: str | None, reasons: list[dict[str, object]]) -> dict[str, Any]:
    root = look_up.invocation.places.root
    told = [reason_fields(reason, root) for reason in reasons]
    return {"outcome": outcome, "action": action, "weak": str(look_up.weak.digest), "reasons": told}


def _tell(answer: Answer, found: dict[str, Any]) -> None:
    if answer.format == "json":
        answer.json(found)
        return
    titles = {"hit": "would hit", "miss": "would miss", "never_seen": "would miss"}
    action = f" {found['action']}" if found["action"] else ""
    answer.line(titles[found["outcome"]] + action, "good" if found["outcome"] == "hit" else "bad")
    for reason in found["reasons"]:
        answer.line(f"  {one_line(reason['message'])}")

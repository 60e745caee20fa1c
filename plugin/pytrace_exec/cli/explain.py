# SPDX-License-Identifier: Apache-2.0
"""`pytrace explain`: would a command, or a stored result, be answered from the cache now, and if not, why not."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import contextmanager
from itertools import groupby
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.explained.facts import STREAMS
from pytrace_cas.explained.reasons import group_of, reason, title_of
from pytrace_cas.json_fields import reason_fields
from pytrace_cas.recorded.keys import MalformedKey, properties, read_key
from pytrace_cas.store import Store
from pytrace_exec.cache.candidates import lists
from pytrace_exec.cache.errors import BlobMissing, RemoteLacks
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.asking import asked
from pytrace_exec.cli.choices import (
    REMOTE,
    chosen,
    folder_of,
    format_options,
    open_chosen_cache,
    open_store,
    wrapper_options,
)
from pytrace_exec.cli.exit_status import DIFFERENT, NOT_FOUND, USAGE, stated, status_of
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder, StoredRun
from pytrace_exec.explain import Explanation, explain_miss
from pytrace_exec.explain.candidates import MANY, stored_in
from pytrace_exec.explain.details import add_details
from pytrace_exec.explain.nearest import Nearest, differences, read
from pytrace_exec.lookup import LookUp
from pytrace_exec.standard_streams import inherited_descriptors
from pytrace_exec.store_opening import open_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest
    from pytrace_exec.options import Options

_STATUSES = stated("0 it would hit; 1 it would miss", more="13 remote unreachable; 20 never seen, or no such result")
_KEYED = ("dir", "root", "env", "env-only", "redact", "input", "output", "probe")
_MORE = (
    "probe-limit",
    "portable",
    "strict",
    "mtime",
    "stdin",
    "ignore",
    "disposable",
    "trust-stat",
    "pid-namespace",
    "label",
)
_OWN_DESCRIPTORS = frozenset(STREAMS.values()) - {STREAMS["stdin"]}
_DIFF_STYLES = {"+": "good", "-": "bad", "@": "faint"}
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
@wrapper_options(*_KEYED, *_MORE, *_ALLOWED, "generation-max-age", *REMOTE)
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
        with _store(options) as store:
            found = explain_result(store, options, ref, inherited)
    else:
        with _store(options) as store:
            found = explain_command(store, options, [os.fsencode(word) for word in command or ()], inherited)
    _tell(answer, found)
    sys.exit({"hit": 0, "miss": DIFFERENT, "never_seen": NOT_FOUND}[found["outcome"]])


@contextmanager
def _store(options: Options) -> Iterator[Store]:
    """The local store; with a remote and none here, one that is thrown away: an answer leaves nothing behind."""
    if options.remote is None:
        with open_store(options) as store:
            yield store
    elif os.path.exists(folder_of(options)):
        with open_folder(folder_of(options)) as store:
            yield store
    else:
        with tempfile.TemporaryDirectory(prefix="pytrace-explain-") as folder, Store.open(folder) as store:
            yield store


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
            assume_descriptors(look_up, action)
    hit = next(look_up.hits(), None)
    if hit is not None:
        return _found(look_up, "hit", str(hit.action), Explanation([]))
    lacking: list[dict[str, object]] = []
    for trouble in look_up.cache.troubles:
        if not isinstance(trouble, RemoteLacks):
            raise Failed(f"the store has no answer, and the remote gave none: {trouble}", status_of(trouble))
        lacking.append({"code": trouble.code, "message": str(trouble), "path": None})
    explanation = explain_miss(look_up, MANY)
    explanation.reasons = [found for found in explanation.reasons if found.get("name") not in _OWN_DESCRIPTORS]
    never = any(reason["code"] == "never_seen" for reason in explanation.reasons)
    return _found(look_up, "never_seen" if never else "miss", None, explanation, lacking)


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
    assume_descriptors(look_up, run.digest)
    key = read(look_up, run.digest)
    if key is None:
        return _found(look_up, "miss", str(run.digest), Explanation([reason("unknown")]))
    nearest = Nearest(look_up, key)
    explanation = Explanation(differences(look_up, nearest), nearest)
    return _found(look_up, "miss" if explanation.reasons else "hit", str(run.digest), explanation)


def assume_descriptors(look_up: LookUp, action: Digest) -> None:
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


def _found(
    look_up: LookUp,
    outcome: str,
    action: str | None,
    explanation: Explanation,
    lacking: list[dict[str, object]] | None = None,
) -> dict[str, Any]:
    """The answer: all reasons as one list, and once more by their group."""
    add_details(look_up, explanation)
    root, nearest = look_up.invocation.places.root, explanation.nearest
    told = [reason_fields(reason, root) for reason in (*(lacking or ()), *explanation.reasons)]
    groups = [
        {"group": group, "title": title_of(group), "reasons": list(reasons)}
        for group, reasons in groupby(told, key=lambda reason: group_of(reason["code"]))
    ]
    return {
        "outcome": outcome,
        "action": action,
        "weak": str(look_up.weak.digest),
        "nearest": None if nearest is None else str(nearest.key.digest),
        "compared": 0 if nearest is None else nearest.compared,
        "reasons": told,
        "groups": groups,
    }


def _tell(answer: Answer, found: dict[str, Any]) -> None:
    if answer.format == "json":
        answer.json(found)
        return
    titles = {"hit": "would hit", "miss": "would miss", "never_seen": "would miss"}
    action = f" {found['action']}" if found["action"] else ""
    answer.line(titles[found["outcome"]] + action, "good" if found["outcome"] == "hit" else "bad")
    if found["nearest"] is not None and found["nearest"] != found["action"]:
        answer.line(f"nearest   {found['nearest']} (of {found['compared']} compared)", "faint")
    for group in found["groups"]:
        answer.line(group["title"], "strong")
        for told in group["reasons"]:
            answer.line(f"  {one_line(told['message'])}")
            for line in more_lines(told):
                answer.line(f"    {one_line(line)}", _DIFF_STYLES.get(line[:1]) if "diff" in told else None)


def more_lines(told: dict[str, Any]) -> Iterator[str]:
    """What is known of a reason beyond its message."""
    if told.get("package"):
        yield f"owned by {told['package']} {told['package_version']} ({told['package_system']})"
    elif "package" in told:
        yield "owned by no package"
    yield from told.get("diff", ())
    if told.get("diff_omitted"):
        yield f"... and {told['diff_omitted']} more lines"
    if "no_diff" in told:
        yield f"no diff: {told['no_diff']}"
    if "offset" in told:
        yield f"from byte {told['offset']}: {told['old_bytes'] or 'end'} -> {told['new_bytes'] or 'end'}"

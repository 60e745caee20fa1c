# SPDX-License-Identifier: Apache-2.0
"""`pytrace verify`: run a stored command again, out of harm's way, and tell what comes out otherwise than stored."""

from __future__ import annotations

import json
import os
import select
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import list_fields, reason_fields
from pytrace_cas.recorded.keys import properties, variables
from pytrace_cas.store import StoreError
from pytrace_exec.cache.local import LocalCache
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.asking import asked
from pytrace_exec.cli.choices import (
    REMOTE,
    chosen,
    folder_of,
    format_options,
    open_store,
    twin,
    wrapper_options,
)
from pytrace_exec.cli.exit_status import DIFFERENT, USAGE, stated
from pytrace_exec.cli.explain import assume_descriptors, more_lines
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.stored import Finder, StoredRun, open_store_to_find
from pytrace_exec.explain.beside import origin_of
from pytrace_exec.lookup import LookUp
from pytrace_exec.policy import environment
from pytrace_exec.standard_streams import inherited_descriptors
from pytrace_exec.tracer.possible import TracerUnavailable
from pytrace_exec.verify.again import changed_folders, run_again, undo
from pytrace_exec.verify.covering import NotCovered, cover

if TYPE_CHECKING:
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.options import Options

_STATUSES = stated(
    "0 every run gave what is stored; 1 one did not, or cannot be compared",
    more="13 remote unreachable; 20 no such result",
)
_HASHED = b"sha256:"
_KEYED = ("dir", "root", "env", "redact", "output", "tracer", "portable", "strict", "mtime", "ignore", "disposable")


@cli.command(epilog=_STATUSES, short_help="Run a stored command again and compare.")
@format_options()
@wrapper_options(*_KEYED, *REMOTE)
@click.option(
    "--runs",
    type=click.IntRange(1, 1000),
    default=1,
    show_default=True,
    help="How often.",
    **twin("PYTRACE_VERIFY_RUNS"),
)
@click.argument("ref")
def verify(ref: str, runs: int, format: str, as_json: bool, color: str) -> None:
    """Run the command of the stored result REF again, --runs times, and tell what came out otherwise, and where.

    It runs in the root in which it was made, if that is there, else in this one. What it writes there is seen by it
    alone and vanishes: the tree is covered with overlayfs in a mount namespace, so that it keeps its paths. Only what
    a run would find as the stored one did can be compared; else the reasons are told, as by `explain`.
    """
    inherited = inherited_descriptors()
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_to_find(options, ref) as store:
        finder = Finder(store, options)
        run = finder.find(ref)
        run.at_hand()
        origin = origin_of(run.cache.at_hand, run.digest)
    places = origin if origin is not None and os.path.isdir(origin.root) else finder.places
    found = [_run_apart(run, places, options, inherited) for _ in range(runs)]
    told = _described(run, places, found)
    if told["outcome"] == "different":
        _keep(run, options, found)
    _tell(answer, told)
    sys.exit(0 if told["outcome"] == "same" else DIFFERENT)


def _run_apart(run: StoredRun, places: Places, options: Options, inherited: dict[int, bytes]) -> dict[str, Any]:
    """One run in a process of its own, whose outputs lead nowhere; what it found out, or raise `Failed`."""
    scratch = tempfile.mkdtemp(prefix="pytrace-verify-").encode()
    report, outputs = os.pipe(), [os.pipe(), os.pipe()]
    try:
        child = os.fork()
        if child == 0:
            _in_child(run, places, options, inherited, scratch, report[1], [end for _, end in outputs])
        for end in (report[1], *(end for _, end in outputs)):
            os.close(end)
        data = _read_all(report[0], [end for end, _ in outputs])
        os.waitpid(child, 0)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    try:
        found: dict[str, Any] = json.loads(data)
    except ValueError:
        raise Failed("the run ended without a report", DIFFERENT) from None
    if "failed" in found:
        raise Failed(found["failed"], found["status"])
    return found


def _read_all(report: int, others: list[int]) -> bytes:
    """Read every pipe to its end; only what the first one says is wanted."""
    said = bytearray()
    waiting = {report, *others}
    while waiting:
        for fd in select.select(list(waiting), [], [])[0]:
            data = os.read(fd, 1 << 16)
            if fd == report:
                said += data
            if not data:
                os.close(fd)
                waiting.discard(fd)
    return bytes(said)


def _in_child(
    run: StoredRun,
    places: Places,
    options: Options,
    inherited: dict[int, bytes],
    scratch: bytes,
    report: int,
    outputs: list[int],
) -> None:
    """Run and report; never return."""
    found: dict[str, Any]
    try:
        found = _run(run, places, options, inherited, scratch, outputs)
    except Failed as error:
        found = {"failed": str(error), "status": error.status}
    except (NotCovered, TracerUnavailable, StoreError, OSError) as error:
        found = {"failed": str(error), "status": DIFFERENT}
    except BaseException as error:
        found = {"failed": f"the run cannot be compared: {error!r}", "status": DIFFERENT}
    try:
        with open(report, "wb") as file:
            file.write(json.dumps(found).encode())
    finally:
        os._exit(0)


def _run(
    run: StoredRun, places: Places, options: Options, inherited: dict[int, bytes], scratch: bytes, outputs: list[int]
) -> dict[str, Any]:
    told = properties(run.key.command)
    store = open_store(options)  # before anything is covered: the store may lie there
    cache = LocalCache(store, run.cache.function, run.cache.instance)
    _stand(places, told.get("working-directory", "%R"))
    cover(changed_folders(run.effects, places, options.output), scratch)
    undo(run.effects, places)
    os.umask(int(told.get("umask", "0022"), 8))
    _take_descriptors(run, outputs)
    options.root = places.root
    words = [places.restore(word.encode()) for word in run.key.command.arguments]
    look_up = LookUp(asked(options, words, inherited, _environment(run, places, options)), cache, None)
    return run_again(look_up, run.digest, run.result, run.effects, assume_descriptors)


def _stand(places: Places, folder: str) -> None:
    path = places.decode_path(folder.encode())
    try:
        os.chdir(path)
    except OSError as error:
        where = os.fsdecode(path)
        raise Failed(f"its working directory {where}: {error.strerror}; --root names another root", USAGE) from None


def _take_descriptors(run: StoredRun, outputs: list[int]) -> None:
    """Nothing on standard input, pipes on the others: one for both where the stored run had one place for both.

    What went to `/dev/null` then, of which nothing is stored, goes there again.
    """
    kinds = {subject.arg: value for subject, value in run.key.values.items() if subject.kind == "stream"}
    merged = kinds.get("kind 2", b"").endswith(b"as 1")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null if _is_null(kinds, 1) else outputs[0], 1)
    os.dup2(1 if merged else null if _is_null(kinds, 2) else outputs[1], 2)


def _is_null(kinds: dict[str, bytes], number: int) -> bool:
    return kinds.get(f"kind {number}", b"").partition(b" ")[0] == b"null"


def _environment(run: StoredRun, places: Places, options: Options) -> dict[bytes, bytes]:
    """Today's variables where they do not count, the stored ones where they do; raise `Failed` for a secret."""
    today = dict(os.environb)
    counting = environment.counting(today, options.env, False, options.redact)
    stored = {places.restore(n.encode()): places.restore(v.encode()) for n, v in variables(run.key.command).items()}
    found = {name: value for name, value in today.items() if name not in counting}
    for name, value in stored.items():
        if not value.startswith(_HASHED):
            found[name] = value
        elif environment.stored_value(name, today.get(name, b""), True) == value:
            found[name] = today[name]
        else:
            raise Failed(f"{os.fsdecode(name)} is stored as a hash only: set it as it was", USAGE)
    for subject, identity in run.key.values.items():
        variable = {"home": b"HOME", "tmp": b"TMPDIR", "pwd": b"PWD"}.get(subject.arg)
        if subject.kind == "identity" and variable is not None and identity.startswith(b"= "):
            found[variable] = identity.removeprefix(b"= ")
    found.setdefault(b"PWD", os.getcwdb())
    return found


def _described(run: StoredRun, places: Places, found: list[dict[str, Any]]) -> dict[str, Any]:
    reasons = [reason_fields(reason, places.root) for reason in found[0]["reasons"]]
    runs = [
        {
            "same": not one.get("differences"),
            "seconds": one.get("seconds"),
            "differences": [_exact(difference, places) for difference in one.get("differences", ())],
            "refused": [reason_fields(reason, places.root) for reason in one.get("refused", ())],
        }
        for one in found
        if not one["reasons"]
    ]
    outcome = "not_comparable" if reasons else "same" if all(one["same"] for one in runs) else "different"
    command = [places.restore(word.encode()) for word in run.key.command.arguments]
    told = {"outcome": outcome, "action": str(run.digest), **list_fields("command", command)}
    return {**told, "reasons": reasons, "runs": runs}


def _exact(difference: dict[str, Any], places: Places) -> dict[str, Any]:
    return reason_fields(difference, places.root)


def _keep(run: StoredRun, options: Options, found: list[dict[str, Any]]) -> None:
    """Note in the store that the action gave other outputs, if it can be written: `ls --nondeterministic` tells."""
    from pytrace_exec.store_opening import open_folder
    from pytrace_exec.verify.other_result import other_result

    try:
        with open_folder(folder_of(options)) as store:
            for one in found:
                message = other_result(run.result, one.get("differences", ()), run.cache.function)
                store.keep_other_result(run.cache.function, run.cache.instance, run.digest, message.encode())
    except StoreError:
        return


def _tell(answer: Answer, told: dict[str, Any]) -> None:
    if answer.format == "json":
        answer.json(told)
        return
    titles = {"same": "the same", "different": "different", "not_comparable": "cannot be compared"}
    answer.line(f"{titles[told['outcome']]} {told['action']}", "good" if told["outcome"] == "same" else "bad")
    for reason in told["reasons"]:
        answer.line(f"  {one_line(reason['message'])}")
    for number, run in enumerate(told["runs"], 1):
        answer.line(f"run {number}: {'the same' if run['same'] else 'different'} ({run['seconds']} s)", "strong")
        for one in run["differences"]:
            answer.line(f"  {one_line(one['message'])}")
            if one.get("cause"):
                answer.line(f"    only {one['cause']}")
            for line in more_lines(one):
                answer.line(f"    {one_line(line)}")

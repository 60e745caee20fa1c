# SPDX-License-Identifier: Apache-2.0
"""`pytrace show`: one stored result: its command, what it depends on, what it did."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.json_fields import below, list_fields, text_fields
from pytrace_cas.reapi import ExecutedActionMetadata, MalformedMessage
from pytrace_cas.recorded.described import described, reading_order
from pytrace_cas.recorded.described_effects import described_effect
from pytrace_cas.recorded.keys import properties, variables
from pytrace_exec.cli.answer import Answer, line_of, one_line
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, twin, wrapper_options
from pytrace_exec.cli.exit_status import stated
from pytrace_exec.cli.main import cli
from pytrace_exec.cli.rerun_script import download_words, script_of
from pytrace_exec.cli.stored import Finder, StoredRun, open_store_to_find

if TYPE_CHECKING:
    from pytrace_cas.recorded.places import Places

_STATUSES = stated("0 shown", more="13 remote unreachable; 20 no such result")


@cli.command(epilog=_STATUSES, short_help="One stored result.")
@format_options("sh")
@wrapper_options("dir", "root", *REMOTE)
@click.option("--inputs", is_flag=True, **twin("PYTRACE_SHOW_INPUTS"), help="What the result depends on.")
@click.option("--outputs", is_flag=True, **twin("PYTRACE_SHOW_OUTPUTS"), help="What the command did.")
@click.option("--env", is_flag=True, **twin("PYTRACE_SHOW_ENV"), help="The variables that count.")
@click.argument("ref")
def show(ref: str, inputs: bool, outputs: bool, env: bool, format: str, as_json: bool, color: str) -> None:
    """Show the stored result REF: a digest or the beginning of one, 'latest', or the path of an output.

    A remote is asked for a result that the local store does not have, if REF is the whole digest, HASH/SIZE.

    Without --inputs, --outputs and --env all three are told in JSON, and how many there are in text. --format sh
    writes a script that runs the command again: where it ran, or over its inputs in a folder that pytrace download
    --inputs has put them in.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_to_find(options, ref) as store:
        finder = Finder(store, options)
        run = finder.find(ref)
        if answer.format == "sh":
            answer.stream.write(script_of(run, finder.places, download_words(options)))
            return
    parts = {"inputs": inputs, "outputs": outputs, "env": env}
    if answer.format == "json":
        answer.json(_described(run, finder.places, parts if any(parts.values()) else dict.fromkeys(parts, True)))
    else:
        _print(answer, _described(run, finder.places, dict.fromkeys(parts, True)), parts)


def _described(run: StoredRun, places: Places, parts: dict[str, bool]) -> dict[str, Any]:
    told = properties(run.key.command)
    folder = places.decode_path(told.get("working-directory", "%R").encode())
    found: dict[str, Any] = {
        "action": str(run.digest),
        "digest_function": run.cache.function.name,
        **list_fields("command", [places.restore(word.encode()) for word in run.key.command.arguments]),
        **text_fields("cwd", below(folder, places.root)),
        "umask": told.get("umask"),
        "platform": told,
        "exit_code": run.effects.exit_code,
        "execution_seconds": _seconds(run),
        "stdout": _stream(run, 1),
        "stderr": _stream(run, 2),
    }
    if parts["env"]:
        found["env"] = [_variable(name, value, places) for name, value in variables(run.key.command).items()]
    if parts["inputs"]:
        subjects = sorted(run.key.values, key=lambda subject: reading_order(subject, places.root))
        found["inputs"] = [described(subject, run.key.values[subject], places.root) for subject in subjects]
    if parts["outputs"]:
        found["outputs"] = [described_effect(entry, places) for entry in run.effects.entries]
    return found


def _stream(run: StoredRun, number: int) -> str:
    """Digest of what was written to a standard descriptor."""
    digest = run.result.stdout_digest if number == 1 else run.result.stderr_digest
    raw = run.result.stdout_raw if number == 1 else run.result.stderr_raw
    return str(digest if digest is not None else run.cache.function.of(raw))


def _seconds(run: StoredRun) -> float | None:
    """How long the command ran, under the tracer; None where nobody wrote that down."""
    try:
        metadata = ExecutedActionMetadata.decode(run.result.execution_metadata)
    except MalformedMessage:
        return None
    began, ended = metadata.execution_start_timestamp, metadata.execution_completed_timestamp
    if began is None or ended is None:
        return None
    return round(ended.seconds - began.seconds + (ended.nanos - began.nanos) / 1e9, 3)


def _variable(name: str, value: str, places: Places) -> dict[str, Any]:
    return {
        **text_fields("name", places.restore(name.encode())),
        **text_fields("value", places.restore(value.encode())),
    }


def _print(answer: Answer, found: dict[str, Any], parts: dict[str, bool]) -> None:
    answer.line(f"action    {found['action']} ({found['digest_function']})", "strong")
    answer.line(one_line(f"command   {shlex.join(found['command'])}"))
    answer.line(one_line(f"in        {found['cwd']} (umask {found['umask']})"))
    answer.line(f"exit      {found['exit_code']}")
    if found["execution_seconds"] is not None:
        answer.line(f"took      {found['execution_seconds']:.3f} s, traced")
    for name in ("stdout", "stderr"):
        if not found[name].endswith("/0"):
            answer.line(f"{name}    {found[name]}")
    answer.line(f"env       {len(found['env'])} variables", "strong")
    for item in found["env"] if parts["env"] else ():
        answer.line(one_line(f"  {item['name']}={shlex.quote(item['value'])}"))
    for part in ("inputs", "outputs"):
        answer.line(f"{part:9} {len(found[part])}", "strong")
        for item in found[part] if parts[part] else ():
            answer.line(f"  {line_of(item)}")

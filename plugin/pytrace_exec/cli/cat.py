# SPDX-License-Identifier: Apache-2.0
"""`pytrace cat`: one object of a cache, raw or readable."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click
from google.protobuf import json_format, text_format

from pytrace_cas.digest import Digest
from pytrace_cas.json_fields import text_fields
from pytrace_cas.recorded.effects import EFFECTS_PATH
from pytrace_cas.recorded.labels import LABELS_PATH
from pytrace_cas.recorded.scheme import FACTS
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.blobs import Named, named, parsed
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, open_store_for_remote, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, stated
from pytrace_exec.cli.main import Failed, cli
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from google.protobuf.message import Message

_MESSAGES: dict[str, type[Message]] = {
    "action": reapi.Action,
    "command": reapi.Command,
    "directory": reapi.Directory,
    "tree": reapi.Tree,
    "result": reapi.ActionResult,
}
KINDS = (*_MESSAGES, "file", "facts", "effects", "stdout", "stderr")


@cli.command(epilog=stated("0 shown", more="13 remote unreachable; 20 no such object"), short_help="One object.")
@format_options("raw")
@wrapper_options("dir", "root", *REMOTE)
@click.argument("kind", type=click.Choice(KINDS), metavar="KIND")
@click.argument("ref")
def cat(kind: str, ref: str, format: str, as_json: bool, color: str) -> None:
    """Write one object to standard output: the KIND that REF is, or that belongs to the action REF.

    KIND is action, command, directory (an action's input root), tree, result, file, facts, effects, stdout or stderr.
    REF is the object's own digest or an action: a digest, the beginning of one, 'latest', or the path of an output.

    Messages are written in protobuf's text form, with --json as JSON, and with --format raw as they are stored; other
    kinds as they are.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_for_remote(options) as store:
        found = named(store, options, ref)
        digest, data = _object(found, kind)
    if answer.format == "raw":
        _write(data)
    elif kind in _MESSAGES:
        message = parsed(_MESSAGES[kind], data, digest)
        if answer.format == "json":
            told = json_format.MessageToDict(message, preserving_proto_field_name=True)
            answer.json({"kind": kind, "digest": str(digest), "message": told})
        else:
            _write(text_format.MessageToString(message, as_utf8=True).encode())
    elif answer.format == "json":
        answer.json({"kind": kind, "digest": str(digest), **text_fields("content", data)})
    else:
        _write(data)


def _write(data: bytes) -> None:
    sys.stdout.flush()
    sys.stdout.buffer.write(data)


def _object(found: Named, kind: str) -> tuple[Digest, bytes]:
    """The digest and the bytes of what is asked for; a result's digest is its action's."""
    if kind == "result":
        if found.result is None:
            raise Failed(f"no result of an action {found.digest} is in the cache", NOT_FOUND)
        return found.digest, found.result.SerializeToString(deterministic=True)
    if found.result is None or kind == "action":
        return found.digest, found.get(found.digest)
    return _of_action(found, found.result, kind)


def _of_action(found: Named, result: reapi.ActionResult, kind: str) -> tuple[Digest, bytes]:
    if kind in ("stdout", "stderr"):
        raw: bytes = getattr(result, f"{kind}_raw")
        named_by: reapi.Digest = getattr(result, f"{kind}_digest")
        return (found.cache.function.of(raw), raw) if raw or not named_by.hash else _blob(found, named_by)
    wanted: dict[str, Any] = {
        "command": lambda: found.action().command_digest,
        "directory": lambda: found.action().input_root_digest,
        "facts": lambda: next((file.digest for file in found.root().files if file.name == FACTS), None),
        "effects": lambda: next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None),
        "file": lambda: _outputs(result)[0].digest if len(_outputs(result)) == 1 else None,
        "tree": lambda: result.output_directories[0].tree_digest if len(result.output_directories) == 1 else None,
    }
    digest = wanted[kind]()
    if digest is None:
        raise Failed(_lacking(found, result, kind), NOT_FOUND)
    return _blob(found, digest)


def _outputs(result: reapi.ActionResult) -> list[reapi.OutputFile]:
    return [file for file in result.output_files if file.path not in (EFFECTS_PATH, LABELS_PATH)]


def _lacking(found: Named, result: reapi.ActionResult, kind: str) -> str:
    if kind in ("file", "tree"):
        files: Any = _outputs(result) if kind == "file" else result.output_directories
        outputs = ", ".join(file.path for file in files) or "none"
        return f"{found.digest} has not one output of kind {kind} ({outputs}); give the digest of one"
    return f"{found.digest} was not stored by pytrace-exec: it has no {kind}"


def _blob(found: Named, digest: reapi.Digest) -> tuple[Digest, bytes]:
    return Digest(digest.hash, digest.size_bytes), found.get(digest)

# SPDX-License-Identifier: Apache-2.0
"""One action as pages and the API tell it: what ran, on what, and what came of it.

An action that `pytrace-exec` stored is told by what was observed; any other by its input root alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas import store as storage
from pytrace_cas.digest import Digest
from pytrace_cas.json_fields import list_fields, text_fields
from pytrace_cas.recorded.described import described, reading_order
from pytrace_cas.recorded.described_effects import described_effect
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.keys import MalformedKey, read_key
from pytrace_cas.recorded.places import MalformedText, Places
from pytrace_cas.recorded.secrets import looks_secret
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.web.errors import TooLargeToShow
from pytrace_cas.web.messages import read_bytes, read_message
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.timestamp_pb2 import Timestamp

    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

HIDDEN = "(hidden)"
# What stands for the places of whoever ran it, which are nobody's business here.
PLACES = Places(b"/<root>", b"/<home>", b"/<tmp>")
# Folders of a key may name one another without end: so many bytes of them are read, and a row's worth for each.
_MOST_OF_KEY, _FOLDER = 32 << 20, 256
_STEPS = (
    ("queued", "queued_timestamp", "worker_start_timestamp"),
    ("input fetch", "input_fetch_start_timestamp", "input_fetch_completed_timestamp"),
    ("execution", "execution_start_timestamp", "execution_completed_timestamp"),
    ("output upload", "output_upload_start_timestamp", "output_upload_completed_timestamp"),
)


def describe_action(store: Store, address: BlobAddress) -> dict[str, Any]:
    """Tell all of an action; raise `BlobNotFound` if neither it nor a result of it is here, or `InvalidRequest`."""
    result = read_result(store, address)
    found: dict[str, Any] = {
        "action": str(address.digest),
        "digest_function": address.function.name,
        "instance": address.instance,
        "result": None if result is None else _result(result, address),
        "observations": None,
    }
    try:
        action = read_message(store, address, reapi.Action)
    except storage.BlobNotFound:
        if result is None:
            raise
        return {**found, "command": None}
    found |= {
        "command_digest": _digest(action.command_digest),
        "input_root_digest": _digest(action.input_root_digest),
        "do_not_cache": action.do_not_cache,
        **_command(store, address, action),
    }
    if result is not None and any(file.path == EFFECTS_PATH for file in result.output_files):
        found |= _traced(store, address, result)
    return found


def read_result(store: Store, address: BlobAddress) -> reapi.ActionResult | None:
    """The result of an action, if it is complete here."""
    message = store.get_action_result(address.function, address.instance, address.digest)
    return None if message is None else reapi.ActionResult.FromString(message)


def describe_command(command: reapi.Command) -> dict[str, Any]:
    """Tell a command; places of traced ones as `<root>`, `<home>` and `<tmp>`."""
    return {
        **list_fields("command", [_restored(word) for word in command.arguments]),
        "working_directory": command.working_directory,
        "environment": [
            {"name": variable.name, **text_fields("value", _value(variable.name, variable.value))}
            for variable in command.environment_variables
        ],
        "platform": [{"name": item.name, "value": item.value} for item in command.platform.properties],
        "output_paths": list(command.output_paths or (*command.output_files, *command.output_directories)),
    }


def _command(store: Store, address: BlobAddress, action: reapi.Action) -> dict[str, Any]:
    named = Digest(action.command_digest.hash, action.command_digest.size_bytes)
    try:
        return describe_command(read_message(store, address.other(named), reapi.Command))
    except (storage.BlobNotFound, InvalidRequest, TooLargeToShow, ValueError):
        return {"command": None}


def is_hidden(name: str, value: str) -> bool:
    """Whether of a variable only that there is one is told."""
    return looks_secret(name.encode()) and bool(value) and not value.startswith("sha256:")


def _value(name: str, value: str) -> bytes:
    """A variable's value; of a secret only that there is one, or the hash that the wrapper left of it."""
    return HIDDEN.encode() if is_hidden(name, value) else _restored(value)


def _restored(text: str) -> bytes:
    """A word as it was, with names for its places; as it is where it is none of the wrapper's."""
    try:
        return (
            PLACES.restore(text.encode())
            .replace(b"/<root>", b"<root>")
            .replace(b"/<home>", b"<home>")
            .replace(b"/<tmp>", b"<tmp>")
        )
    except MalformedText:
        return text.encode()


def _traced(store: Store, address: BlobAddress, result: reapi.ActionResult) -> dict[str, Any]:
    """What was observed and what was done, as the wrapper wrote it down."""
    try:
        key = read_key(bounded(store, address), address.digest, PLACES)
        subjects = sorted(key.values, key=lambda subject: reading_order(subject, PLACES.root))
        effects = next(file.digest for file in result.output_files if file.path == EFFECTS_PATH)
        text = read_bytes(store, address.other(Digest(effects.hash, effects.size_bytes)))
        return {
            "observations": [described(subject, key.values[subject], PLACES.root) for subject in subjects],
            "effects": [described_effect(entry, PLACES) for entry in Effects.decode(text).entries],
        }
    except (storage.BlobNotFound, MalformedKey, TooLargeToShow, ValueError) as error:
        return {"unreadable": str(error)}


def bounded(store: Store, address: BlobAddress) -> Callable[[Digest], bytes]:
    """A reader of the blobs of a key; it raises `TooLargeToShow` for too many."""
    left = _MOST_OF_KEY

    def get(digest: Digest) -> bytes:
        nonlocal left
        left -= digest.size_bytes + _FOLDER
        if left < 0:
            raise TooLargeToShow(address.digest, _MOST_OF_KEY)
        return read_bytes(store, address.other(digest))

    return get


def _result(result: reapi.ActionResult, address: BlobAddress) -> dict[str, Any]:
    outputs = [
        {"kind": "file", "path": file.path, "digest": _digest(file.digest), "executable": file.is_executable}
        for file in result.output_files
    ]
    outputs += [_directory(directory) for directory in result.output_directories]
    links = result.output_symlinks or (*result.output_file_symlinks, *result.output_directory_symlinks)
    outputs += [{"kind": "symlink", "path": link.path, "target": link.target} for link in links]
    metadata = result.execution_metadata
    return {
        "exit_code": result.exit_code,
        "stdout": _stream(result, "stdout", address),
        "stderr": _stream(result, "stderr", address),
        "outputs": outputs,
        "worker": metadata.worker,
        "timings": [
            {"step": step, "seconds": seconds}
            for step, begun, ended in _STEPS
            if (seconds := _between(metadata, begun, ended)) is not None
        ],
    }


def _directory(directory: reapi.OutputDirectory) -> dict[str, Any]:
    """An output directory: by its tree, or by its root."""
    if directory.HasField("tree_digest"):
        return {"kind": "tree", "path": directory.path, "digest": _digest(directory.tree_digest)}
    return {"kind": "directory", "path": directory.path, "digest": _digest(directory.root_directory_digest)}


def _stream(result: reapi.ActionResult, name: str, address: BlobAddress) -> str | None:
    """Digest of what was written; None if nothing was."""
    if result.HasField(f"{name}_digest"):  # type: ignore[arg-type]
        return _digest(getattr(result, f"{name}_digest"))
    raw: bytes = getattr(result, f"{name}_raw")
    return str(address.function.of(raw)) if raw else None


def _between(metadata: reapi.ExecutedActionMetadata, begun: str, ended: str) -> float | None:
    if not (metadata.HasField(begun) and metadata.HasField(ended)):  # type: ignore[arg-type]
        return None
    return round(_seconds(getattr(metadata, ended)) - _seconds(getattr(metadata, begun)), 6)


def _seconds(stamp: Timestamp) -> float:
    return stamp.seconds + stamp.nanos / 1e9


def _digest(digest: reapi.Digest) -> str:
    return f"{digest.hash}/{digest.size_bytes}"

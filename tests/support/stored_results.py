# SPDX-License-Identifier: Apache-2.0
"""Traced results put into a store as the wrapper stores them, without running anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.reapi import ActionResult, OutputFile
from pytrace_cas.recorded.effect_entries import File, Symlink
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.labels import LABELS_PATH, encode_labels
from pytrace_cas.recorded.names import name_of
from pytrace_cas.recorded.places import Places
from pytrace_cas.recorded.subjects import Subject
from pytrace_cas.store import Store
from pytrace_exec.keys.messages import make_command, strong_key

PLACES = Places(b"/work/root", b"/home/u", b"/tmp")


def store_traced(
    store: Store,
    argv: Sequence[bytes],
    reads: Mapping[bytes, bytes] | None = None,
    writes: Mapping[bytes, bytes] | None = None,
    *,
    facts: Mapping[Subject, bytes] | None = None,
    labels: Mapping[str, str] | None = None,
    instance: str = "",
    exit_code: int = 0,
) -> Digest:
    """Store a result of a command that read and wrote files of that content, by absolute path; return its key."""
    function = BLAKE3
    command = make_command(tuple(argv), {}, PLACES, PLACES.root, 0o22, 0)
    values = {Subject("content", "", path): str(function.of(data)).encode() for path, data in (reads or {}).items()}
    key = strong_key(command, values | dict(facts or {}), b"", PLACES, function)
    made = {name_of(PLACES, path): data for path, data in (writes or {}).items()}
    entries = [File(name, 0o644, function.of(data)) for name, data in made.items()]
    effects = Effects([*entries, Symlink(b"link-of-all", b"x")] if made else [], exit_code=exit_code).encode()
    files = [OutputFile(path=name.decode(), digest=function.of(data)) for name, data in made.items()]
    blobs = {**key.blobs, function.of(effects): effects, **{function.of(data): data for data in made.values()}}
    files.append(OutputFile(path=EFFECTS_PATH, digest=function.of(effects)))
    if labels:
        data = encode_labels(labels.items())
        blobs[function.of(data)] = data
        files.append(OutputFile(path=LABELS_PATH, digest=function.of(data)))
    store.put_many(function, blobs.items())
    result = ActionResult(output_files=files, exit_code=exit_code)
    needs = [*result.needs(), *key.blobs]
    store.put_action_result(function, instance, key.digest, result.encode(), needs)
    return key.digest

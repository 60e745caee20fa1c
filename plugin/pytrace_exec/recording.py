# SPDX-License-Identifier: Apache-2.0
"""From observations to what is stored: effects with their digests, the result message, and the entries of the cache."""

from __future__ import annotations

import os
import stat

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import ActionResult, ExecutedActionMetadata, OutputFile, Timestamp
from pytrace_cas.recorded.effect_entries import (
    DIRECTORY,
    NOW,
    PLAIN,
    Dir,
    File,
    Hardlink,
    LinkTo,
    Mode,
    Move,
    Remove,
    State,
    Symlink,
    Times,
)
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects, InvalidEffects
from pytrace_cas.recorded.labels import LABELS_PATH, encode_labels
from pytrace_cas.recorded.names import UnstorablePath, link_text, name_of
from pytrace_cas.recorded.origins import encode_origin
from pytrace_cas.recorded.path_sets import PathSet
from pytrace_cas.recorded.subjects import Subject
from pytrace_cas.store import StoreError
from pytrace_exec.cache.candidates import put_first
from pytrace_exec.cache.errors import BlobMissing, CacheFailed
from pytrace_exec.policy.bytecode import made_by_import
from pytrace_exec.replay.plan import Plan, ReplayRefused
from pytrace_exec.replay.results import output_files, output_symlinks
from pytrace_exec.writers import has_writer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_cas.recorded.effect_entries import Entry
    from pytrace_exec.cache.local import LocalCache
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.keys.messages import Key
    from pytrace_exec.lookup import Hit, LookUp
    from pytrace_exec.observe.before import EarlierView
    from pytrace_exec.observe.conclude import Observations
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.streams.capture import Recorded


class Unstorable(Exception):
    """The result cannot be put into words that a replay could follow: `code` of `policy.reasons`, and the path."""

    def __init__(self, code: str, path: bytes | None = None) -> None:
        super().__init__(code)
        self.code = code
        self.path = path


class Recording:
    """Builds what is stored of one run, keeping each output's content in the cache on the way."""

    def __init__(self, invocation: Invocation, cache: LocalCache, seen: Observations, earlier: EarlierView) -> None:
        self._invocation = invocation
        self._places = invocation.places
        self._cache = cache
        self._seen = seen
        self._earlier = earlier
        targets = ((subject, value) for subject, value in seen.values.items() if subject.kind == "target")
        self._plain = {subject.paths[0] for subject, value in targets if value == b"plain"}
        self.digests: dict[bytes, tuple[os.stat_result, Digest]] = {}

    def effects(self, recorded: Recorded, exit_code: int, stdin_moved: int | None) -> Effects:
        """Return the effects; raise `Unstorable`."""
        entries: list[Entry] = []
        targets: dict[bytes, State] = {}
        remade = {output.path for output in self._seen.outputs if output.kind not in ("removed", "metadata")}
        for output in self._seen.outputs:
            if output.kind == "removed" and output.path in remade:
                continue
            entries += self._entries(output)
            if output.kind not in ("removed", "metadata"):
                state = self._state(output)
                if state is not None:
                    targets[self._name(output.path)] = state
        try:
            effects = Effects(
                entries, self._order(), targets, recorded.segments, stdin_offset=stdin_moved, exit_code=exit_code
            )
        except (InvalidEffects, UnstorablePath):
            raise Unstorable("special_file", None) from None
        if sum(isinstance(entry, Move) for entry in entries) > 1:
            self._check_renames(effects)
        return effects

    def _check_renames(self, effects: Effects) -> None:
        try:
            Plan(effects, self._places, self._invocation.outputs)
        except ReplayRefused as refused:
            raise Unstorable("rename_ring", refused.path) from None

    def _name(self, path: bytes) -> bytes:
        try:
            return name_of(self._places, path)
        except UnstorablePath:
            raise Unstorable("wrote_outside", path) from None

    def _entries(self, output: Output) -> list[Entry]:
        name = self._name(output.path)
        out: list[Entry] = []
        if output.kind == "file":
            assert output.mode is not None
            stamped = made_by_import(self._seen.run, self._seen.outputs, output.path)
            out.append(File(name, output.mode, self._keep(output), output.in_place, stamped))
        elif output.kind == "dir":
            out.append(Dir(name, output.mode or 0))
        elif output.kind == "symlink":
            out.append(Symlink(name, link_text(self._places, output.other)))
        elif output.kind == "hardlink":
            out.append(Hardlink(name, self._name(output.other)))
        elif output.kind == "linked":
            out.append(LinkTo(name, self._name(output.other)))
        elif output.kind == "moved":
            out.append(Move(self._name(output.other), name))
        elif output.kind == "removed":
            out.append(Remove(name, output.other.decode()))
        if output.kind == "metadata" and output.mode is not None:
            out.append(Mode(name, output.mode))
        if output.times is not None:
            accessed, modified = (NOW if time == -1 else time for time in output.times)
            out.append(Times(name, accessed, modified))
        return out

    def _keep(self, output: Output) -> Digest:
        """Put an output's content into the cache; it must not have changed since the run, nor be about to."""
        path = output.path
        try:
            before = os.lstat(path)
            if before.st_mtime_ns != output.mtime:
                raise Unstorable("foreign_writes", path)
            digest = self._cache.put_file(path)
            written = has_writer(path)
            after = os.lstat(path)
        except OSError:
            raise Unstorable("input_changed", path) from None
        if written:
            raise Unstorable("foreign_writes", path)
        if (before.st_ino, before.st_size, before.st_mtime_ns) != (after.st_ino, after.st_size, after.st_mtime_ns):
            raise Unstorable("input_changed", path)
        self.digests[path] = (after, digest)
        return digest

    def _state(self, output: Output) -> State | None:
        """The earlier state that a replay must still find; None for absence."""
        path = output.path
        if isinstance(self._earlier.lstat(os.path.dirname(path)), str):
            return None  # its directory is new
        if path in self._plain:
            return PLAIN
        if any(output.kind == "moved" and output.other == path for output in self._seen.outputs):
            return None
        found = self._earlier.lstat(path)
        if isinstance(found, str):
            return None
        if stat.S_ISREG(found.st_mode):
            return State.file(stat.S_IMODE(found.st_mode))
        if stat.S_ISDIR(found.st_mode):
            return DIRECTORY
        if stat.S_ISLNK(found.st_mode):
            target = self._earlier.readlink(path)
            return State.symlink(link_text(self._places, target if isinstance(target, bytes) else b""))
        raise Unstorable("special_file", path)

    def _order(self) -> list[list[bytes]]:
        """What was made or touched, and folders whose entries changed, by the order of their times, equal together."""
        touched = {output.path for output in self._seen.outputs if output.times is not None and -1 in output.times[1:]}
        made = {output.path for output in self._seen.outputs if output.kind in ("file", "dir", "symlink")} | touched
        named = (output for output in self._seen.outputs if output.kind != "metadata")
        spots = {path for output in named for path in (output.path, output.other if output.kind == "moved" else b"")}
        groups: dict[int, list[bytes]] = {}
        for path in made | {os.path.dirname(spot) for spot in spots if spot}:
            try:
                moment = os.lstat(path).st_mtime_ns
                name = b"." if path == self._places.root else name_of(self._places, path)
            except (OSError, UnstorablePath):
                continue
            groups.setdefault(moment, []).append(name)
        return [groups[moment] for moment in sorted(groups)]

    def produced(self) -> list[bytes]:
        """Paths that the run made, removed or changed."""
        return [output.path for output in self._seen.outputs]


def result_message(
    effects: Effects, own: dict[str, Digest], stdout: Digest | None, stderr: Digest | None, ran: tuple[int, int]
) -> ActionResult:
    """The `ActionResult` of these effects; `own`: our own files in it; `ran`: from when to when (ns of Unix time)."""
    began, ended = map(Timestamp.of, ran)
    metadata = ExecutedActionMetadata(execution_start_timestamp=began, execution_completed_timestamp=ended)
    return ActionResult(
        output_files=[*output_files(effects), *(OutputFile(path=path, digest=digest) for path, digest in own.items())],
        output_symlinks=output_symlinks(effects),
        exit_code=effects.exit_code,
        stdout_digest=stdout,
        stderr_digest=stderr,
        execution_metadata=metadata.encode(),
    )


def store(
    look_up: LookUp,
    values: dict[Subject, bytes],
    produced: list[bytes],
    effects: Effects,
    recorded: Recorded,
    listings: dict[Digest, bytes],
    ran: tuple[int, int],
) -> Key:
    """Store a result: blobs first, then the result, last the list of path sets (DESIGN 3). Return its strong key.

    `listings`: directories as they were seen, for those who ask later which names came and went. `ran`: from when to
    when the command ran, in nanoseconds of Unix time.
    """
    places = look_up.invocation.places
    key = look_up.key(values)
    path_set = PathSet(values, produced).encode(places)
    encoded = effects.encode()
    set_digest, effects_digest = look_up.function.of(path_set), look_up.function.of(encoded)
    streams = [b"".join(source.chunks()) for source in (recorded.stdout, recorded.stderr)]
    stdout, stderr = (look_up.function.of(data) if data else None for data in streams)
    blobs = {look_up.function.of(data): data for data in (path_set, encoded, *streams) if data}
    own = {EFFECTS_PATH: effects_digest}
    labels = encode_labels(look_up.invocation.options.label)
    if labels:
        own[LABELS_PATH] = look_up.function.of(labels)
        blobs[own[LABELS_PATH]] = labels
    message = result_message(effects, own, stdout, stderr, ran)
    # What says what the key was made of lasts as long as the result: `show` and `explain` need it.
    told = {**key.blobs, **look_up.weak.blobs, **listings}
    uploaded = _uploaded_inputs(look_up, values)
    kept = False
    for tier in look_up.cache.tiers:
        if tier.writable:
            here = {**told, **_origin(look_up)} if tier is look_up.cache.at_hand else told
            tier.put({**blobs, **here})
            if tier.put_result(key.digest, message, [*here, *uploaded]):
                put_first(tier, look_up.weak_in, set_digest, key.digest)
                kept = True
    if not kept:
        raise CacheFailed("no cache took the result")
    return key


def _origin(look_up: LookUp) -> dict[Digest, bytes]:
    """Where this run was, which concerns nobody on another machine."""
    data = encode_origin(look_up.invocation.places)
    return {look_up.function.of(data): data}


def _uploaded_inputs(look_up: LookUp, values: dict[Subject, bytes]) -> list[Digest]:
    """Keep what the command read, as far as it is still there, so that it is stored along (`--upload-inputs`)."""
    options = look_up.invocation.options
    if not options.upload_inputs:
        return []
    kept = []
    for subject, value in values.items():
        if subject.kind == "content" and b"/" in value:
            try:
                digest = look_up.cache.put_file(subject.paths[0])
            except OSError:
                continue
            if str(digest) == value.decode():
                kept.append(digest)
    return kept


def keep_nearer(look_up: LookUp, hit: Hit) -> None:
    """Keep a farther tier's result in the nearest one, whose next look-up then needs no other."""
    nearest = look_up.cache.tiers[0]
    if hit.source == nearest.source or not nearest.writable:
        return
    key = next(key for path_set, _, key in look_up.tried if path_set == hit.path_set)
    try:
        told = {**key.blobs, **look_up.weak.blobs}
        nearest.put(told)
        nearest.put_result(key.digest, hit.result, told)
        put_first(nearest, look_up.weak_in, hit.path_set, key.digest)
    except (StoreError, BlobMissing, OSError):
        return  # It costs another question the next time; the command is answered.

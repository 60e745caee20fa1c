# SPDX-License-Identifier: Apache-2.0
"""A hit: put the recorded result in place of running the command (DESIGN 7)."""

from __future__ import annotations

import os
import stat
import sys

from pytrace_cas.recorded.names import path_of
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.replay.apply import ReplayRefused, UndoFailed, prepare
from pytrace_exec.streams.replay import StreamFailed, replay_streams

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytrace_cas.digest import Digest
    from pytrace_exec.lookup import Hit, LookUp
    from pytrace_exec.observe.digest_cache import DigestCache
    from pytrace_exec.replay.apply import Prepared


class RecordedStream:
    """Bytes of standard output or error as a result holds them."""

    __slots__ = ("_data", "size")

    def __init__(self, look_up: LookUp, raw: bytes, digest: Digest | None) -> None:
        self._data = look_up.cache.get(digest) if digest is not None else raw
        self.size = len(self._data)

    def chunks(self) -> Iterator[bytes]:
        """All of it."""
        yield self._data

    def close(self) -> None:
        """Give up the bytes."""
        self._data = b""


class NotReplayed(Exception):
    """A result could not be put in place: everything is as it was, and the command is to be run. `path`: where."""

    def __init__(self, why: str, path: bytes | None) -> None:
        super().__init__(why)
        self.path = path


class OutputCut(Exception):
    """Standard output or error took only a part of what was recorded; `status` is how the command would have ended."""

    def __init__(self, cause: OSError) -> None:
        import signal

        super().__init__(f"an output cannot be written: {cause.strerror}")
        self.status = signal.SIGPIPE if isinstance(cause, BrokenPipeError) else 1 << 8


def replay(look_up: LookUp, hit: Hit, digests: DigestCache | None) -> None:
    """Replay a result; raise `NotReplayed`, or `OutputCut` after the first byte of output."""
    invocation, result = look_up.invocation, hit.result
    _check_apart(look_up, hit)
    try:
        stdout = RecordedStream(look_up, result.stdout_raw, result.stdout_digest)
        stderr = RecordedStream(look_up, result.stderr_raw, result.stderr_digest)
        prepared = prepare(
            hit.effects,
            look_up.cache,
            invocation.places,
            allowed=invocation.outputs,
            newest_input_ns=look_up.newest_input(),
            digest_of=_digest_of(look_up),
            status_of=_status_of(look_up),
        )
        prepared.commit()
    except BlobMissing as error:
        raise NotReplayed(f"an output is missing from the cache: {error.digest}", None) from None
    except ReplayRefused as error:
        raise NotReplayed(error.why, error.path) from None
    except UndoFailed as error:
        # What could not be put back lies beside its place; the command makes its outputs anew.
        sys.stderr.write(f"pytrace-exec: {error}\n")
        raise NotReplayed(str(error), None) from None
    try:
        replay_streams(hit.effects.streams, stdout, stderr)
    except StreamFailed as error:
        if not error.begun:
            # Nothing was seen yet: the command itself meets the full disk, or the reader that has gone.
            prepared.rollback()
            raise NotReplayed(f"an output cannot be written: {error.cause.strerror}", None) from None
        prepared.forget()
        raise OutputCut(error.cause) from None
    if hit.effects.stdin_offset is not None:
        invocation.streams.move_stdin(hit.effects.stdin_offset)
    prepared.forget()
    if digests is not None:
        _keep_digests(prepared, digests)


def _check_apart(look_up: LookUp, hit: Hit) -> None:
    """Refuse when an output has become the same file as an input, by a link that the run did not find.

    The facts cannot tell: `cp a b` is answered by a's content, though `a` may have become a link to `b`.
    """
    made = {path_of(look_up.invocation.places, file.path) for file in hit.effects.files()}
    replaced = {_inode(status): path for path in made if (status := _regular(path)) is not None}
    if not replaced:
        return
    subjects = look_up.subjects_of(hit)
    links = [subject.paths[0] for subject in subjects if subject.kind == "link"]
    for path in {path for subject in subjects for path in subject.paths} - made:
        found = look_up.view.stat(path)
        if (
            isinstance(found, str)
            or _inode(found) not in replaced
            or any(path == link or path.startswith(link + b"/") for link in links)
        ):
            continue
        raise NotReplayed("an input is the same file as an output now", path)


def _regular(path: bytes) -> os.stat_result | None:
    try:
        found = os.lstat(path)
    except OSError:
        return None
    return found if stat.S_ISREG(found.st_mode) else None


def _inode(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def _keep_digests(prepared: Prepared, digests: DigestCache) -> None:
    """Spare the next run the hashing of what was just written; somebody may have changed it already."""
    for path, digest in prepared.written:
        try:
            digests.keep(os.lstat(path), str(digest), replayed=True)
        except OSError:
            continue


def _digest_of(look_up: LookUp) -> Callable[[bytes, os.stat_result], str | None]:
    def digest_of(path: bytes, status: os.stat_result) -> str | None:
        digest = look_up.view.digest(path)
        return digest if "/" in digest else None

    return digest_of


def _status_of(look_up: LookUp) -> Callable[[bytes], os.stat_result | None]:
    def status_of(path: bytes) -> os.stat_result | None:
        found = look_up.view.stat(path)
        return None if isinstance(found, str) else found

    return status_of

# SPDX-License-Identifier: Apache-2.0
"""What the services ask of what is behind them: a store alone, or a store with an upstream tier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.store import BlobReader, CompressedReader, Evicted


class Writer(Protocol):
    """Takes one blob a chunk at a time; nothing is seen of it before `commit`."""

    @property
    def written(self) -> int:
        """Bytes that have arrived."""

    def write(self, chunk: bytes | memoryview) -> None:
        """Append bytes; raise `DigestMismatch`, `OutOfSpace`."""

    def commit(self) -> Digest:
        """Store the blob; when it returns, the blob is durable here."""

    def discard(self) -> None:
        """Drop what was written; after `commit`, nothing."""


class UploadWriter(Writer, Protocol):
    """Takes a blob of which what has arrived is kept until somebody goes on with it."""

    def waits(self, count: int) -> bool:
        """Whether so many more bytes have to wait for the disk."""

    def leave(self) -> None:
        """Keep what was written for whoever goes on."""


class SpoolWriter(Writer, Protocol):
    """Takes a blob whose size shows at its end."""

    @property
    def digest(self) -> Digest:
        """Digest of what has arrived."""


class Store(Protocol):
    """Blobs and action results; `pytrace_cas.store.Store` documents each method. Any thread may call.

    `waits`: whether what is not here may be asked of another machine, so that reading belongs into a thread.
    """

    path: bytes
    read_only: bool
    waits: bool

    def missing(self, function: DigestFunction, digests: Iterable[Digest]) -> list[Digest]: ...

    def contains(self, function: DigestFunction, digest: Digest) -> bool:
        """Whether a blob is here, on this machine."""

    def find(self, function: DigestFunction, hash: str) -> Digest | None: ...

    def put(self, function: DigestFunction, data: bytes, digest: Digest | None = None) -> Digest: ...

    def put_file(self, function: DigestFunction, file: int | bytes | str, digest: Digest | None = None) -> Digest: ...

    def put_many(self, function: DigestFunction, items: Iterable[tuple[Digest, bytes]]) -> None: ...

    def writer(self, function: DigestFunction, digest: Digest) -> Writer: ...

    def spool(self, function: DigestFunction, hash: str | None) -> SpoolWriter: ...

    def upload(self, name: str, function: DigestFunction, digest: Digest, offset: int) -> UploadWriter: ...

    def uploaded(self, name: str) -> int: ...

    def expire_uploads(self) -> None: ...

    def get(self, function: DigestFunction, digest: Digest) -> bytes: ...

    def open_compressed(self, function: DigestFunction, digest: Digest, offset: int = 0) -> CompressedReader: ...

    def open_blob(
        self, function: DigestFunction, digest: Digest, offset: int = 0, *, verify: bool = False
    ) -> BlobReader: ...

    def split(
        self,
        function: DigestFunction,
        digest: Digest,
        chunking: int,
        cut: Callable[[Iterable[bytes]], Iterable[bytes]],
    ) -> tuple[int, list[Digest]]: ...

    def splice(self, function: DigestFunction, digest: Digest, chunks: Iterable[Digest], chunking: int) -> None: ...

    def get_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bytes | None: ...

    def get_action_result_by_hash(self, function: DigestFunction, instance: str, hash: str) -> bytes | None: ...

    def put_action_result(
        self, function: DigestFunction, instance: str, digest: Digest, message: bytes, needs: Iterable[Digest]
    ) -> None: ...

    def remove_action_result(self, function: DigestFunction, instance: str, digest: Digest) -> bool: ...

    def put_opaque(self, instance: str, key: str, body: bytes) -> None: ...

    def get_opaque(self, instance: str, key: str) -> bytes | None: ...

    def generations(self) -> dict[str, str]: ...

    def unite_generations(self, generations: Mapping[str, str]) -> None: ...

    def size(self) -> tuple[int, int]: ...

    def evict(self, down_to: int | None = None, older_than: float | None = None, dry_run: bool = False) -> Evicted: ...

    def counters(self) -> dict[str, int]: ...

# SPDX-License-Identifier: Apache-2.0
"""Blobs as Bazel's HTTP protocol names them: by their SHA-256 alone (WIRE 3.10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytrace_cas.compression import CorruptStream, Inflater
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.services.byte_stream import CompressedDownload, Download
from pytrace_cas.services.digests import check, check_hash
from pytrace_cas.services.errors import HashNotFound, InvalidRequest, refuse_when_read_only
from pytrace_cas.services.resource_names import check_instance_name

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.limits import Limits


class BlobsByHash:
    """Blobs over one store; safe to call from many threads, each sink from one at a time."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits

    def open(self, instance: str, hash: str) -> Download:
        """Open the blob for reading; raise `HashNotFound`, `BlobNotFound`."""
        check_instance_name(instance)
        digest = self._store.find(SHA256, check_hash(hash, SHA256))
        if digest is None:
            raise HashNotFound(hash)
        reader = self._store.open_blob(SHA256, digest, verify=True)
        return Download(reader, digest, digest.size_bytes)

    def open_compressed(self, instance: str, hash: str) -> CompressedDownload:
        """Open the blob as a zstd stream; raise `HashNotFound`, `BlobNotFound`."""
        check_instance_name(instance)
        digest = self._store.find(SHA256, check_hash(hash, SHA256))
        if digest is None:
            raise HashNotFound(hash)
        return CompressedDownload(self._store.open_compressed(SHA256, digest), digest.size_bytes)

    def upload(self, instance: str, hash: str, size: int | None, *, compressed: bool = False) -> Sink:
        """Begin to take a blob; `size` is the blob's, None where the client does not say. Raise `BlobTooLarge`.

        What is `compressed` comes as a zstd stream, and its size must be said.
        """
        check_instance_name(instance)
        check_hash(hash, SHA256)
        refuse_when_read_only(self._store)
        if size is None and compressed:
            raise InvalidRequest("X-Digest-SizeBytes", "a compressed blob's size must be given")
        if size is None:
            return SpoolingSink(self._store, self._limits, hash)
        digest = check(Digest(hash, size), SHA256)
        self._limits.check_blob(digest)
        sink = WritingSink(self._store, digest)
        return InflatingSink(sink) if compressed else sink


class Sink(Protocol):
    """Takes a blob's bytes in order."""

    def close(self) -> None:
        """Drop them unless they were committed."""

    def write(self, data: bytes) -> None:
        """Take the next bytes; raise `OutOfSpace`, `BlobTooLarge`."""

    def commit(self) -> Digest:
        """Make them a blob; raise `DigestMismatch`, `OutOfSpace`."""


class WritingSink:
    """A blob whose size is known: into the store at once."""

    def __init__(self, store: Store, digest: Digest) -> None:
        self._writer = store.writer(SHA256, digest)

    def close(self) -> None:
        """Drop what was not committed."""
        self._writer.discard()

    def write(self, data: bytes) -> None:
        """Hand the bytes to the store."""
        self._writer.write(data)

    def commit(self) -> Digest:
        """Let the store verify and keep them."""
        return self._writer.commit()


class InflatingSink:
    """A blob that comes as a zstd stream; raises `CorruptStream` too. The store stops it at the blob's size."""

    def __init__(self, sink: WritingSink) -> None:
        self._sink = sink
        self._inflater = Inflater()

    def close(self) -> None:
        """Drop what was not committed."""
        self._sink.close()

    def write(self, data: bytes) -> None:
        """Hand what the bytes hold to the store."""
        for piece in self._inflater.feed(data):
            self._sink.write(piece)

    def commit(self) -> Digest:
        """Let the store verify and keep it."""
        if not self._inflater.at_end:
            raise CorruptStream("the stream ends within a frame")
        return self._sink.commit()


class SpoolingSink:
    """A blob whose size shows only at its end."""

    def __init__(self, store: Store, limits: Limits, hash: str) -> None:
        self._limits = limits
        self._hash = hash
        self._writer = store.spool(SHA256, hash)

    def close(self) -> None:
        """Drop the file."""
        self._writer.discard()

    def write(self, data: bytes) -> None:
        """Append to what has come."""
        self._limits.check_blob(Digest(self._hash, self._writer.written + len(data)))
        self._writer.write(data)

    def commit(self) -> Digest:
        """Let the store verify and keep them."""
        check(Digest(self._hash, self._writer.written), SHA256)
        return self._writer.commit()

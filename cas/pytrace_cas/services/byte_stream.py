# SPDX-License-Identifier: Apache-2.0
"""google.bytestream.ByteStream over the store (WIRE 32-46), plain or as zstd."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from pytrace_cas.compression import CorruptStream, Inflater
from pytrace_cas.services.errors import BlobCutShort, InvalidRequest, OffsetOutOfRange, refuse_when_read_only
from pytrace_cas.services.limits import CHUNK
from pytrace_cas.services.resource_names import ResourceName, parse_download, parse_upload
from pytrace_cas.store import WrongOffset
from pytrace_proto import bytestream_pb2 as bytestream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest
    from pytrace_cas.services.backing import Store, UploadWriter
    from pytrace_cas.services.limits import Limits
    from pytrace_cas.store import BlobReader, CompressedReader

# Bytes of an upload between two looks whether the blob has come by another way.
LOOK_EVERY = 256 << 10


class WriteMessage(Protocol):
    """What is asked of a `google.bytestream.WriteRequest`."""

    @property
    def resource_name(self) -> str: ...
    @property
    def write_offset(self) -> int: ...
    @property
    def finish_write(self) -> bool: ...
    @property
    def data(self) -> bytes | memoryview: ...


class ByteStream:
    """Large blobs over one store; safe to call from many threads, each stream from one at a time."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.waits = store.waits
        self._store = store
        self._limits = limits

    def read(self, request: bytestream.ReadRequest) -> Download | CompressedDownload:
        """Open a blob for reading; raise `BlobNotFound`, `OffsetOutOfRange` before anything is sent."""
        resource = parse_download(request.resource_name)
        offset, limit, size = request.read_offset, request.read_limit, resource.digest.size_bytes
        if limit < 0:
            raise InvalidRequest("read_limit", f"{limit} is negative")
        if offset < 0:
            raise OffsetOutOfRange(offset, size)
        if resource.compressed:
            return self._read_compressed(resource, offset, limit)
        whole = offset == 0 and not 0 < limit < size
        reader = self._store.open_blob(resource.function, resource.digest, min(offset, size), verify=whole)
        if offset > size:
            reader.close()
            raise OffsetOutOfRange(offset, size)
        return Download(reader, resource.digest, min(limit or size, size - offset))

    def _read_compressed(self, resource: ResourceName, offset: int, limit: int) -> CompressedDownload:
        size = resource.digest.size_bytes
        if limit:
            raise InvalidRequest("read_limit", "a compressed read has none")
        reader = self._store.open_compressed(resource.function, resource.digest, min(offset, size))
        if offset > size:
            reader.close()
            raise OffsetOutOfRange(offset, size)
        return CompressedDownload(reader, size - offset)

    def write(self) -> Upload:
        """Begin to take the messages of one Write call."""
        return Upload(self._store, self._limits)

    def query_write_status(self, request: bytestream.QueryWriteStatusRequest) -> bytestream.QueryWriteStatusResponse:
        """Say how much has arrived; of an upload that nobody has begun, nothing."""
        resource = parse_upload(request.resource_name)
        if self._store.contains(resource.function, resource.digest):
            size = resource.digest.size_bytes
            return bytestream.QueryWriteStatusResponse(committed_size=size, complete=True)
        return bytestream.QueryWriteStatusResponse(committed_size=self._store.uploaded(request.resource_name))


class Download:
    """Bytes of one blob, in pieces of at most `CHUNK`; a context manager that closes the blob.

    `remaining` counts the bytes still to come.
    """

    def __init__(self, reader: BlobReader, digest: Digest, size: int) -> None:
        self._reader = reader
        self._digest = digest
        self.remaining = size

    def __enter__(self) -> Download:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> bytes | None:
        """Read the next bytes; None at the end.

        Raises `BlobCorrupt` or `BlobCutShort` when the bytes are not the blob's.
        """
        if not self.remaining:
            return None
        data = self._reader.read(min(CHUNK, self.remaining))
        if not data:
            raise BlobCutShort(self._digest)
        self.remaining -= len(data)
        return data

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self.next()) is not None:
            yield piece

    def close(self) -> None:
        """Close the blob; it may be read to its end or not."""
        self._reader.close()


class CompressedDownload:
    """One blob as a zstd stream, a frame of at most `CHUNK` of its bytes at a time; a context manager.

    `remaining` counts the blob's bytes at the beginning.
    """

    def __init__(self, reader: CompressedReader, size: int) -> None:
        self._reader = reader
        self.remaining = size

    def __enter__(self) -> CompressedDownload:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def next(self) -> bytes | None:
        """Read the next bytes; None at the end. Raises `BlobCorrupt`."""
        return self._reader.next() or None

    def __iter__(self) -> Iterator[bytes]:
        while (frame := self.next()) is not None:
            yield frame

    def close(self) -> None:
        """Close the blob; it may be read to its end or not."""
        self._reader.close()


class Upload:
    """One Write call: `feed` it every message, then `finish`; `abandon` it when the stream breaks.

    An answer from `feed` ends the call at once, whatever the client still sends. When `feed` raises, what has
    arrived is dropped, so that the next try begins at 0. Of a compressed upload, the blob's bytes are kept, and the
    first message's offset counts those; the later ones count what was sent (WIRE 34).
    """

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        self._name = ""
        self._resource: ResourceName | None = None
        self._writer: UploadWriter | None = None
        self._inflater: Inflater | None = None
        # Where the next message must begin, and how much of the blob has come with the last one.
        self._offset = 0
        self._position = 0
        self._look_again_at = 0
        self._received = 0
        self._complete = False
        self._was_here = False

    def feed(self, request: WriteMessage) -> bytestream.WriteResponse | None:
        """Take a message; answer when the blob is here already, so that the rest need not be sent."""
        try:
            return self._feed(request)
        except BaseException:
            self._drop()
            raise

    def _feed(self, request: WriteMessage) -> bytestream.WriteResponse | None:
        if self._complete:
            raise InvalidRequest("finish_write", "a message follows the one that ends the write")
        resource = self._resource or self._begin(request)
        if request.resource_name not in ("", self._name):
            raise InvalidRequest("resource_name", f"{request.resource_name!r} is not the first message's")
        if self._is_here(resource):
            self._drop()
            self._was_here = True
            return self._answer(-1 if resource.compressed else resource.digest.size_bytes)
        if self._writer is None:
            self._writer = self._open(resource, request.write_offset)
            self._offset = self._position = request.write_offset
            self._look_again_at = self._position + LOOK_EVERY
        if request.write_offset != self._offset:
            raise InvalidRequest("write_offset", f"{request.write_offset} is not {self._offset}")
        self._take(self._writer, resource.digest.size_bytes, request)
        return None

    def _begin(self, request: WriteMessage) -> ResourceName:
        resource = parse_upload(request.resource_name)
        if request.write_offset < 0:
            raise InvalidRequest("write_offset", f"{request.write_offset} is negative")
        refuse_when_read_only(self._store)
        self._limits.check_blob(resource.digest)
        self._name = request.resource_name
        self._resource = resource
        if resource.compressed:
            self._inflater = Inflater()
        return resource

    def _open(self, resource: ResourceName, offset: int) -> UploadWriter:
        try:
            return self._store.upload(self._name, resource.function, resource.digest, offset)
        except WrongOffset as error:
            raise InvalidRequest("write_offset", str(error)) from None

    def _is_here(self, resource: ResourceName) -> bool:
        """Look whether somebody else has brought the blob: at the start, and now and then."""
        if self._position < self._look_again_at:
            return False
        self._look_again_at = self._position + LOOK_EVERY
        return self._store.contains(resource.function, resource.digest)

    def _take(self, writer: UploadWriter, size: int, request: WriteMessage) -> None:
        sent = request.data
        for data in self._inflater.feed(bytes(sent)) if self._inflater else (sent,):
            self._append(writer, size, data)
        self._offset += len(sent)
        self._received += len(sent)
        if request.finish_write:
            if self._inflater and not self._inflater.at_end:
                raise CorruptStream("the stream ends within a frame")
            if self._position != size:
                raise InvalidRequest("finish_write", f"only {self._position} of {size} bytes have come")
            writer.commit()
            self._writer = None
            self._complete = True

    def _append(self, writer: UploadWriter, size: int, data: bytes | memoryview) -> None:
        end = self._position + len(data)
        if end > size:
            raise InvalidRequest("data", f"{end} bytes have come for a blob of {size}")
        # After a restart at 0 the first bytes are here already; the digest will tell if they differ.
        known = writer.written - self._position
        if known < len(data):
            writer.write(data[known:] if known else data)
        self._position = end

    def waits(self, request: WriteMessage) -> bool:
        """Whether even a small message takes its time: it may hold much, or have a large piece written."""
        return self._inflater is not None or (self._writer is not None and self._writer.waits(len(request.data)))

    @property
    def is_open(self) -> bool:
        """Whether there is something to keep."""
        return self._writer is not None

    @property
    def size(self) -> int | None:
        """Bytes of the blob once all of it is here; None before."""
        return self._resource.digest.size_bytes if self._resource and (self._complete or self._was_here) else None

    def finish(self) -> bytestream.WriteResponse:
        """Answer when the client has sent everything: how much has arrived, complete or not."""
        if self._resource is None:
            raise InvalidRequest("resource_name", "the stream ended before its first message")
        if self._complete:
            return self._answer(self._received if self._inflater else self._resource.digest.size_bytes)
        self.abandon()
        return self._answer(self._store.uploaded(self._name))

    def abandon(self) -> None:
        """Keep what has arrived for a client that comes back."""
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.leave()

    def _drop(self) -> None:
        if self._writer is not None:
            writer, self._writer = self._writer, None
            writer.discard()

    @staticmethod
    def _answer(size: int) -> bytestream.WriteResponse:
        return bytestream.WriteResponse(committed_size=size)

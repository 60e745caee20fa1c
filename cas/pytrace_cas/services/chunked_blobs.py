# SPDX-License-Identifier: Apache-2.0
"""SplitBlob and SpliceBlob (WIRE 21, 50-54): large blobs travel as chunks, of which only the unknown ones are sent.

A blob keeps the chunks that it was first cut into, whoever cut it. What is smaller than the largest chunk of a
function is its own only chunk.
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from pytrace_cas.services.digests import digest_of, function_of, to_message
from pytrace_cas.services.errors import InvalidRequest, refuse_when_read_only
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.limits import Limits

# What REAPI recommends, and buildbox-casd uses whatever is announced.
FAST_CDC = reapi.FastCdc2020Params(avg_chunk_size_bytes=512 << 10, seed=0)
REP_MAX_CDC = reapi.RepMaxCdcParams(min_chunk_size_bytes=256 << 10, horizon_size_bytes=2 << 20)
_FAST, _REP_MAX = reapi.ChunkingFunction.FAST_CDC_2020, reapi.ChunkingFunction.REP_MAX_CDC
# The size from which on a function makes more than one chunk of a blob.
_FROM: dict[int, int] = {_FAST: 4 * FAST_CDC.avg_chunk_size_bytes, _REP_MAX: 2 * REP_MAX_CDC.min_chunk_size_bytes}


class ChunkedBlobs:
    """Splits and splices over one store; safe to call from many threads. One a processor cuts at a time."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self._store = store
        self._limits = limits
        # Cutting holds some megabytes, and a processor.
        self._cutting = threading.BoundedSemaphore(os.cpu_count() or 1)

    def split(self, request: reapi.SplitBlobRequest) -> reapi.SplitBlobResponse:
        """Name a blob's chunks, which are here; cut it if nobody has. Raise `BlobNotFound`, `OutOfSpace`.

        FAST_CDC_2020 unless REP_MAX_CDC is asked for; a function that is not known here is none.
        """
        check_instance_name(request.instance_name)
        function = function_of(request.digest_function, request.blob_digest.hash)
        digest = digest_of(request.blob_digest, function, "blob_digest")
        chunking = _REP_MAX if request.chunking_function == _REP_MAX else _FAST
        used, chunks = self._store.split(
            function, digest, chunking, lambda blocks: self._cut(blocks, chunking, digest.size_bytes)
        )
        return reapi.SplitBlobResponse(
            chunk_digests=map(to_message, chunks), chunking_function=reapi.ChunkingFunction.Value.ValueType(used)
        )

    def splice(self, request: reapi.SpliceBlobRequest) -> reapi.SpliceBlobResponse:
        """Make a blob of chunks that are here; one that is here already stays. However it was cut, it is taken.

        Raise `InvalidRequest`, `BlobNotFound`, `DigestMismatch`, `OutOfSpace`.
        """
        check_instance_name(request.instance_name)
        refuse_when_read_only(self._store)
        function = function_of(request.digest_function, request.blob_digest.hash)
        digest = digest_of(request.blob_digest, function, "blob_digest")
        self._limits.check_blob(digest)
        chunks = [digest_of(message, function, "chunk_digests") for message in request.chunk_digests]
        size = sum(chunk.size_bytes for chunk in chunks)
        if size != digest.size_bytes:
            raise InvalidRequest("chunk_digests", f"they come to {size} bytes, the blob to {digest.size_bytes}")
        known = request.chunking_function in (_FAST, _REP_MAX)
        self._store.splice(function, digest, chunks, request.chunking_function if known else 0)
        return reapi.SpliceBlobResponse(blob_digest=request.blob_digest)

    def _cut(self, blocks: Iterable[bytes], chunking: int, size: int) -> Iterator[bytes]:
        if size < _FROM[chunking]:
            yield b"".join(blocks)
            return
        with self._cutting:
            yield from _chunks(blocks, chunking)


def _chunks(blocks: Iterable[bytes], chunking: int) -> Iterator[bytes]:
    if chunking == _REP_MAX:
        from pytrace_cas.chunking.rep_max_cdc import RepMaxCdc  # numpy comes with it

        return RepMaxCdc(REP_MAX_CDC.min_chunk_size_bytes, REP_MAX_CDC.horizon_size_bytes).chunks(blocks)
    from pytrace_cas.chunking.fast_cdc import FastCdc

    return FastCdc(FAST_CDC.avg_chunk_size_bytes, FAST_CDC.seed).chunks(blocks)

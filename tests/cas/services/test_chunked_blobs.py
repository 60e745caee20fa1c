# SPDX-License-Identifier: Apache-2.0
"""WIRE 21, 50-52: SplitBlob and SpliceBlob."""

from __future__ import annotations

import hashlib
import random
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.chunking.fast_cdc import FastCdc
from pytrace_cas.chunking.rep_max_cdc import RepMaxCdc
from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.services.errors import BlobTooLarge, InvalidRequest, grpc_code
from pytrace_cas.store import BlobCorrupt, BlobNotFound, DigestMismatch, ReadOnlyStore
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from pathlib import Path

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services import Services
    from pytrace_cas.store import Store

FAST, REP_MAX = reapi.ChunkingFunction.FAST_CDC_2020, reapi.ChunkingFunction.REP_MAX_CDC
DATA = random.Random(50).randbytes(5 << 20)
CUTTERS: dict[int, FastCdc | RepMaxCdc] = {FAST: FastCdc(512 << 10), REP_MAX: RepMaxCdc(256 << 10, 2 << 20)}


def split(services: Services, data: bytes, chunking: int = 0, function: DigestFunction = SHA256) -> list[reapi.Digest]:
    number = function.number if function is BLAKE3 else 0
    request = reapi.SplitBlobRequest(
        blob_digest=messages.digest(data, function),
        chunking_function=chunking,  # type: ignore[arg-type]
        digest_function=number,  # type: ignore[arg-type]
    )
    return list(services.chunked_blobs.split(request).chunk_digests)


def splice(
    services: Services, data: bytes, chunks: list[bytes], chunking: int = 0, function: DigestFunction = SHA256
) -> reapi.SpliceBlobResponse:
    request = reapi.SpliceBlobRequest(
        blob_digest=messages.digest(data, function),
        chunk_digests=[messages.digest(chunk, function) for chunk in chunks],
        chunking_function=chunking,  # type: ignore[arg-type]
        digest_function=function.number if function is BLAKE3 else 0,  # type: ignore[arg-type]
    )
    return services.chunked_blobs.splice(request)


def cut(chunking: int, data: bytes = DATA) -> list[bytes]:
    return list(CUTTERS[chunking].chunks([data]))


def read(services: Services, name: str, offset: int = 0) -> bytes:
    request = bytestream.ReadRequest(resource_name=name, read_offset=offset)
    return b"".join(services.byte_stream.read(request))


@pytest.mark.parametrize("function", [SHA256, BLAKE3])
@pytest.mark.parametrize("chunking", [FAST, REP_MAX])
def test_rule_50_chunks_are_those_of_the_function(
    services: Services, store: Store, chunking: int, function: DigestFunction
) -> None:
    store.put(function, DATA)
    before = store.size()[0]
    expected = cut(chunking)
    assert len(expected) > 4
    assert split(services, DATA, chunking, function) == [messages.digest(chunk, function) for chunk in expected]
    assert store.size()[0] - before < 1000 * len(expected)
    assert b"".join(store.get(function, function.of(chunk)) for chunk in expected) == DATA
    answer = services.chunked_blobs.split(
        reapi.SplitBlobRequest(
            blob_digest=messages.digest(DATA, function),
            digest_function=function.number,  # type: ignore[arg-type]
        )
    )
    assert answer.chunking_function == chunking  # the first cut stays


@pytest.mark.parametrize("chunking", [0, 77])
def test_rule_52_a_function_that_is_not_known_leaves_the_choice(
    services: Services, store: Store, chunking: int
) -> None:
    store.put(SHA256, DATA)
    assert split(services, DATA, chunking) == [messages.digest(chunk) for chunk in cut(FAST)]


@pytest.mark.parametrize(("chunking", "largest"), [(FAST, (2 << 20) - 1), (REP_MAX, (512 << 10) - 1)])
def test_small_blobs_are_one_chunk(services: Services, store: Store, chunking: int, largest: int) -> None:
    for size in (1, 30_000, largest):
        data = DATA[:size]
        store.put(SHA256, data)
        assert split(services, data, chunking) == [messages.digest(data)]
    assert split(services, b"", chunking) == []
    store.put(SHA256, DATA[: largest + 1])
    assert len(split(services, DATA[: largest + 1], chunking)) > 1


def test_rule_50_a_blob_that_is_not_here(services: Services, store: Store) -> None:
    with pytest.raises(BlobNotFound):
        split(services, DATA)
    store.put(SHA256, DATA)
    with pytest.raises(BlobNotFound):
        split(services, DATA, FAST, BLAKE3)


def test_rule_50_what_may_only_be_read_is_not_cut(services: Services, reading: Services, store: Store) -> None:
    store.put(SHA256, DATA)
    with pytest.raises(BlobNotFound):
        split(reading, DATA)
    chunks = split(services, DATA)
    assert split(reading, DATA) == chunks
    with pytest.raises(ReadOnlyStore):
        splice(reading, DATA, cut(FAST))


@pytest.mark.parametrize("chunking", [0, FAST, REP_MAX, 77])
def test_rule_52_a_spliced_blob_is_read_like_any_other(services: Services, store: Store, chunking: int) -> None:
    chunks = [DATA[: 1 << 20], DATA[1 << 20 : 4_000_000], DATA[4_000_000:]]
    for chunk in chunks:
        store.put(SHA256, chunk)
    before = store.size()[0]
    assert splice(services, DATA, chunks, chunking).blob_digest == messages.digest(DATA)
    assert store.size()[0] - before < 1000
    missing = services.content_addressable_storage.find_missing(messages.missing_request(DATA))
    assert not missing.missing_blob_digests
    name = f"blobs/{hashlib.sha256(DATA).hexdigest()}/{len(DATA)}"
    for offset in (0, 1, 1 << 20, 4_000_001, len(DATA)):
        assert read(services, name, offset) == DATA[offset:]
    assert split(services, DATA, REP_MAX) == [messages.digest(chunk) for chunk in chunks]
    answer = services.chunked_blobs.split(reapi.SplitBlobRequest(blob_digest=messages.digest(DATA)))
    assert answer.chunking_function == (0 if chunking == 77 else chunking)
    batch = services.content_addressable_storage.batch_read(messages.read_request(chunks[0]))
    assert batch.responses[0].data == chunks[0]


def test_rule_51_what_is_wrong_is_refused_and_nothing_is_stored(services: Services, store: Store) -> None:
    chunks = cut(FAST)
    with pytest.raises(BlobNotFound) as absent:
        splice(services, DATA, chunks)
    assert grpc_code(absent.value) == 5
    for chunk in chunks:
        store.put(SHA256, chunk)
    for wrong, kind in ((chunks[1:], InvalidRequest), ([], InvalidRequest), (chunks[::-1], DigestMismatch)):
        with pytest.raises(kind) as refused:
            splice(services, DATA, wrong)
        assert grpc_code(refused.value) == 3
    with pytest.raises(InvalidRequest):
        services.chunked_blobs.splice(reapi.SpliceBlobRequest())
    mixed = reapi.SpliceBlobRequest(
        blob_digest=messages.digest(DATA), chunk_digests=[reapi.Digest(hash="00", size_bytes=len(DATA))]
    )
    with pytest.raises(InvalidRequest):
        services.chunked_blobs.splice(mixed)
    assert store.missing(SHA256, [SHA256.of(DATA)])


def test_rule_51_a_blob_that_is_here_is_no_work(services: Services, store: Store) -> None:
    store.put(SHA256, DATA)
    assert splice(services, DATA, cut(REP_MAX), REP_MAX).blob_digest == messages.digest(DATA)
    assert split(services, DATA, FAST) == [messages.digest(chunk) for chunk in cut(REP_MAX)]
    halves = [DATA[:100], DATA[100:]]
    assert splice(services, DATA, halves[::-1]).blob_digest == messages.digest(DATA)
    assert splice(services, b"", []).blob_digest == messages.digest(b"")
    assert store.get(SHA256, SHA256.of(DATA)) == DATA


def test_rule_19_a_blob_that_is_too_large(bounded: Services, store: Store) -> None:
    data = DATA[:2000]
    for half in (data[:1000], data[1000:]):
        store.put(SHA256, half)
    with pytest.raises(BlobTooLarge):
        splice(bounded, data, [data[:1000], data[1000:]])


def test_a_damaged_chunk_is_not_blamed_on_the_client(services: Services, store: Store, tmp_path: Path) -> None:
    chunks = cut(FAST)
    for chunk in chunks:
        store.put(SHA256, chunk)
    hash = hashlib.sha256(chunks[2]).hexdigest()
    with open(tmp_path / "store" / "cas" / "sha256" / hash[:2] / hash, "r+b") as file:
        file.write(b"damage")
    with pytest.raises(BlobCorrupt):
        splice(services, DATA, chunks)
    assert store.missing(SHA256, [SHA256.of(chunk) for chunk in chunks]) == [SHA256.of(chunks[2])]
    store.put(SHA256, chunks[2])
    splice(services, DATA, chunks)
    assert store.get(SHA256, SHA256.of(DATA)) == DATA


def test_numpy_is_imported_where_something_is_cut() -> None:
    """It takes tens of megabytes, of each worker."""
    program = (
        "import sys, pytrace_cas.services.chunked_blobs as module\nassert 'numpy' not in sys.modules\n"
        "list(module._chunks([b'x'], 1))\nassert 'numpy' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

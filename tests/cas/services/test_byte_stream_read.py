# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.6: ByteStream.Read."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.services import Services
from pytrace_cas.services.errors import InvalidRequest, OffsetOutOfRange
from pytrace_cas.store import BlobCorrupt, BlobNotFound
from pytrace_proto import bytestream_pb2 as bytestream
from tests.support import messages

SMALL, LARGE = b"0123456789", bytes(range(256)) * 20_000


def read(services: Services, data: bytes, offset: int = 0, limit: int = 0) -> list[bytes]:
    request = bytestream.ReadRequest(resource_name=messages.read_name(data), read_offset=offset, read_limit=limit)
    with services.byte_stream.read(request) as download:
        return list(download)


@pytest.fixture(params=[SMALL, LARGE], ids=["small", "large"])
def data(request: pytest.FixtureRequest, services: Services) -> bytes:
    """A blob that is stored."""
    content: bytes = request.param
    services.store.put(SHA256, content)
    return content


def test_rule_42_missing_blobs_are_not_found(services: Services) -> None:
    with pytest.raises(BlobNotFound):
        read(services, b"never stored")


def test_rule_42_offsets_up_to_the_size(services: Services, data: bytes) -> None:
    for offset in (0, 1, len(data) - 1, len(data)):
        assert b"".join(read(services, data, offset)) == data[offset:]
    for offset in (-1, len(data) + 1):
        with pytest.raises(OffsetOutOfRange):
            read(services, data, offset)


def test_rule_43_a_limit_cuts_and_ends_well(services: Services, data: bytes) -> None:
    for limit in (1, len(data) - 1, len(data), len(data) + 1, 1 << 62):
        for offset in (0, 3, len(data)):
            assert b"".join(read(services, data, offset, limit)) == data[offset : offset + limit]
    with pytest.raises(InvalidRequest):
        read(services, data, 0, -1)


def test_rule_45_messages_stay_small(services: Services, data: bytes) -> None:
    assert max(map(len, read(services, data))) < 4 << 20


def test_rule_45_a_read_survives_eviction(services: Services) -> None:
    services.store.put(SHA256, LARGE)
    request = bytestream.ReadRequest(resource_name=messages.read_name(LARGE))
    with services.byte_stream.read(request) as download:
        first = download.next()
        assert first is not None
        services.store.evict(down_to=0)
        assert not services.store.contains(SHA256, SHA256.of(LARGE))
        assert first + b"".join(download) == LARGE


def test_rule_45_corruption_is_found_and_the_blob_dropped(services: Services, tmp_path: Path) -> None:
    services.store.put(SHA256, LARGE)
    (file,) = (path for path in (tmp_path / "store" / "cas").rglob("*") if path.is_file())
    file.chmod(0o600)
    with file.open("r+b") as opened:
        opened.seek(1000)
        opened.write(b"torn")
    with pytest.raises(BlobCorrupt):
        read(services, LARGE)
    with pytest.raises(BlobNotFound):
        read(services, LARGE)
    services.store.put(SHA256, LARGE)
    assert b"".join(read(services, LARGE)) == LARGE

# SPDX-License-Identifier: Apache-2.0
"""buildbox-casd with chunking in front of our server: what changed is all that travels."""

from __future__ import annotations

import random
import tempfile
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_cas.chunking.fast_cdc import FastCdc
from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto import remote_execution_pb2_grpc as reapi_grpc
from tests.support import messages
from tests.support.casd import running_casd
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.server import RunningServer

pytestmark = pytest.mark.casd

DATA = random.Random(54).randbytes(20 << 20)
CHANGED = DATA[:7_000_000] + b"something new" + DATA[7_000_000:]


@pytest.fixture
def place() -> Iterator[Path]:
    """A folder whose name is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="casd-") as name:
        yield Path(name)


def _stored(server: RunningServer) -> tuple[int, int]:
    """Blobs and bytes in the server's store."""
    with Store.open(bytes(server.store), read_only=True) as store, store._index.read() as db:
        blobs, used = db.execute("SELECT blobs, bytes FROM store").fetchone()
    return blobs, used


def _calls(server: RunningServer, method: str) -> int:
    """How often a method was called, by the server's metrics."""
    url = f"{server.http_url}/metrics"
    with urllib.request.urlopen(url) as answer:
        lines = answer.read().decode().splitlines()
    found = (
        line for line in lines if line.startswith("grpc_server_started_total") and f'grpc_method="{method}"' in line
    )
    return sum(int(float(line.rpartition(" ")[2])) for line in found)


def test_only_changed_chunks_travel(place: Path) -> None:
    chunks = [SHA256.of(chunk) for chunk in FastCdc(512 << 10).chunks([DATA])]
    changed = [SHA256.of(chunk) for chunk in FastCdc(512 << 10).chunks([CHANGED])]
    new = set(changed) - set(chunks)
    assert len(chunks) > 20
    assert 0 < len(new) < 5
    file = place / "file"
    with running_server(place / "store") as server:
        url = server.grpc_url.replace("grpc:", "http:")
        with running_casd(place / "a", url) as casd:
            file.write_bytes(DATA)
            casd.capture(file)
            blobs, used = _stored(server)
            assert blobs == len(chunks) + 1
            assert used < len(DATA) * 1.02
            file.write_bytes(CHANGED)
            casd.capture(file)
            assert _stored(server)[0] == blobs + len(new) + 1
            assert _stored(server)[1] - used < sum(digest.size_bytes for digest in new) * 1.02 + 10_000
        assert (_calls(server, "SpliceBlob"), _calls(server, "Write")) == (2, 0)
        with grpc.insecure_channel(server.grpc) as channel:
            cas = reapi_grpc.ContentAddressableStorageStub(channel)
            answer = cas.SplitBlob(reapi.SplitBlobRequest(blob_digest=messages.digest(CHANGED)))
        assert [digest.hash for digest in answer.chunk_digests] == [digest.hash for digest in changed]
        with running_casd(place / "b", url) as other:
            for data in (CHANGED, DATA):
                other.fetch(data)
                assert other.read(data) == data
        assert (_calls(server, "SplitBlob"), _calls(server, "Read")) == (3, 0)


def test_a_blob_that_came_whole_leaves_in_chunks(place: Path) -> None:
    with running_server(place / "store") as server:
        with Store.open(bytes(server.store)) as store:
            store.put(SHA256, DATA)
        used = _stored(server)[1]
        with running_casd(place / "a", server.grpc_url.replace("grpc:", "http:")) as casd:
            casd.fetch(DATA)
            assert casd.read(DATA) == DATA
        assert (_calls(server, "SplitBlob"), _calls(server, "Read")) == (1, 0)
        assert _stored(server)[1] - used < 100 * 1000

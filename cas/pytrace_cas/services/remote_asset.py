# SPDX-License-Identifier: Apache-2.0
"""The Remote Asset services, Fetch and Push (WIRE 3.11): URIs and qualifiers in, digests out.

What was pushed or fetched before is answered from the store. Blobs that are not known are fetched from allowed
origins, if there are any; directories are only what was pushed.
"""

from __future__ import annotations

import tempfile
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

import attrs
from google.rpc import code_pb2, status_pb2

from pytrace_cas import origins
from pytrace_cas.digest import SHA256
from pytrace_cas.services import action_results, directory_tree
from pytrace_cas.services.asset_records import BLOB, DIRECTORY, Asset, AssetRecords, Name, seconds_of
from pytrace_cas.services.digests import digest_of, function_of, to_message
from pytrace_cas.services.errors import InvalidRequest, refuse_when_read_only
from pytrace_cas.services.qualifiers import FetchRules, pairs_of
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_proto import remote_asset_pb2 as asset
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.origins.download import Downloader
    from pytrace_cas.store import Store

Q = TypeVar("Q")
R = TypeVar("R")
Request = asset.FetchBlobRequest | asset.FetchDirectoryRequest
Response = TypeVar("Response", asset.FetchBlobResponse, asset.FetchDirectoryResponse)

FETCHES_AT_ONCE = 8
DEFAULT_SECONDS, MOST_SECONDS = 300.0, 900.0
# Error, code in the answer's status.
OUTCOMES: tuple[tuple[type[origins.FetchError], int], ...] = (
    (origins.NotAllowed, code_pb2.PERMISSION_DENIED),
    (origins.OriginRefused, code_pb2.PERMISSION_DENIED),
    (origins.AssetAbsent, code_pb2.NOT_FOUND),
    (origins.OriginTimeout, code_pb2.DEADLINE_EXCEEDED),
    (origins.ChecksumMismatch, code_pb2.ABORTED),
    (origins.TruncationPossible, code_pb2.ABORTED),
    (origins.AssetTooLarge, code_pb2.RESOURCE_EXHAUSTED),
    (origins.NoRoom, code_pb2.RESOURCE_EXHAUSTED),
    (origins.OriginFailed, code_pb2.ABORTED),
)


@attrs.frozen
class AssetSettings:
    """Which origins are fetched from, none at first, and how large an asset from there may be."""

    allowed: origins.AllowList = attrs.field(factory=origins.AllowList)
    max_bytes: int = 2 << 30


@attrs.frozen
class _Wanted:
    """A request to fetch, checked."""

    name: Name
    uris: tuple[str, ...]
    oldest: float | None
    seconds: float

    @classmethod
    def of(cls, request: Request, kind: str) -> _Wanted:
        name = Name(
            check_instance_name(request.instance_name),
            function_of(request.digest_function or SHA256.number, ""),
            kind,
            pairs_of(request.qualifiers),
        )
        oldest = request.oldest_content_accepted if request.HasField("oldest_content_accepted") else None
        seconds = _seconds(request.timeout) if request.HasField("timeout") else DEFAULT_SECONDS
        moment = None if oldest is None else _moment(oldest, "oldest_content_accepted")
        return cls(name, _uris(request.uris), moment, seconds)


class RemoteAsset:
    """Fetch and Push over one store; safe to call from many threads. A pushed asset is in the store on return."""

    def __init__(self, store: Store, settings: AssetSettings, *, clock: Callable[[], float] = time.time) -> None:
        self._store = store
        self._records = AssetRecords(store)
        self._settings = settings
        self._clock = clock
        self._threads: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()
        self._downloads: Downloader | None = None
        self._closed = False

    def close(self) -> None:
        """Break off downloads."""
        with self._lock:
            self._closed = True
            if self._downloads is not None:
                self._downloads.close()
        if self._threads is not None:
            self._threads.shutdown(cancel_futures=True)

    def in_background(self, call: Callable[[Q], R], request: Q) -> Future[R]:
        """Run a call that may take minutes in one of a few threads of its own; it goes on when nobody waits."""
        if self._threads is None:
            self._threads = ThreadPoolExecutor(FETCHES_AT_ONCE, thread_name_prefix="fetch")
        return self._threads.submit(call, request)

    def known_blob(self, request: asset.FetchBlobRequest) -> asset.FetchBlobResponse | None:
        """Answer from the store alone; None when it cannot."""
        return self._known_blob(_Wanted.of(request, BLOB))

    def fetch_blob(self, request: asset.FetchBlobRequest) -> asset.FetchBlobResponse:
        """Answer from the store, else from the first origin that has it; the status says what is in the way."""
        wanted = _Wanted.of(request, BLOB)
        if (known := self._known_blob(wanted)) is not None:
            return known
        rules = FetchRules.of(wanted.name.qualifiers)
        response = asset.FetchBlobResponse(digest_function=_number(wanted))
        if self._store.read_only or not self._settings.allowed.entries:
            return _absent(response, wanted)
        deadline = time.monotonic() + wanted.seconds
        _absent(response, wanted)
        for index, uri in enumerate(wanted.uris):
            if "://" not in uri:
                continue  # a name, not a place
            response.uri = uri
            try:
                digest = self._fetch(wanted.name, uri, index, rules, deadline)
            except origins.FetchError as error:
                response.status.CopyFrom(_status(error))
            else:
                response.status.CopyFrom(status_pb2.Status())
                response.blob_digest.CopyFrom(to_message(digest))
                break
        return response

    def fetch_directory(self, request: asset.FetchDirectoryRequest) -> asset.FetchDirectoryResponse:
        """Answer with a directory that was pushed, if all of its tree is here."""
        wanted = _Wanted.of(request, DIRECTORY)
        response = asset.FetchDirectoryResponse(digest_function=_number(wanted))
        found = self._find(wanted)
        if found is None:
            FetchRules.of(wanted.name.qualifiers)
            return _absent(response, wanted)
        response.uri = found[0]
        response.status.CopyFrom(status_pb2.Status())
        response.root_directory_digest.CopyFrom(to_message(found[1].digest))
        return response

    def push_blob(self, request: asset.PushBlobRequest) -> asset.PushBlobResponse:
        """Give URIs a blob; raise `MissingBlobs` when it is not here."""
        name, content = self._pushed(request, request.blob_digest, "blob_digest", BLOB)
        self._records.put(name, _uris(request.uris), content, (), self._hints(request, name.function))
        return asset.PushBlobResponse()

    def push_directory(self, request: asset.PushDirectoryRequest) -> asset.PushDirectoryResponse:
        """Give URIs a directory; raise `MissingBlobs` when not all of its tree is here."""
        name, content = self._pushed(request, request.root_directory_digest, "root_directory_digest", DIRECTORY)
        tree = tuple(self._tree(name.function, content.digest))
        self._records.put(name, _uris(request.uris), content, tree, self._hints(request, name.function))
        return asset.PushDirectoryResponse()

    def _known_blob(self, wanted: _Wanted) -> asset.FetchBlobResponse | None:
        found = self._find(wanted)
        if found is None:
            return None
        return asset.FetchBlobResponse(
            status=status_pb2.Status(),
            uri=found[0],
            blob_digest=to_message(found[1].digest),
            digest_function=_number(wanted),
        )

    def _find(self, wanted: _Wanted) -> tuple[str, Asset] | None:
        now = self._clock()
        for uri in wanted.uris:
            found = self._records.get(wanted.name, uri)
            if found is not None and found.acceptable(now, wanted.oldest):
                return uri, found
        return None

    def _fetch(self, name: Name, uri: str, index: int, rules: FetchRules, deadline: float) -> Digest:
        """Download, verify and store one asset; nothing of it is stored unless all of it is right."""
        begun, seconds = self._clock(), deadline - time.monotonic()
        state = rules.checksum.begin() if rules.checksum else None
        with tempfile.TemporaryFile() as file:

            def write(data: bytes) -> None:
                if state is not None:
                    state.update(data)
                try:
                    file.write(data)
                except OSError:
                    raise origins.NoRoom from None

            verified = rules.checksum is not None
            self._downloader().fetch(uri, rules.headers(index, uri), seconds, write, verified=verified)
            if rules.checksum is not None:
                rules.checksum.verify(state)
            try:
                file.flush()
            except OSError:
                raise origins.NoRoom from None
            digest = self._store.put_file(name.function, file.fileno())
        self._records.put(name, (uri,), Asset(digest, begun), ())
        return digest

    def _downloader(self) -> Downloader:
        """Return the one downloader of this service, which is made for the first download."""
        # Imported here: a server that fetches nothing needs no HTTP client.
        from pytrace_cas.origins.download import Downloader

        with self._lock:
            if self._downloads is None:
                self._downloads = Downloader(self._settings.allowed, self._settings.max_bytes)
                if self._closed:
                    self._downloads.close()
            return self._downloads

    def _pushed(
        self, request: asset.PushBlobRequest | asset.PushDirectoryRequest, digest: reapi.Digest, field: str, kind: str
    ) -> tuple[Name, Asset]:
        """Check a push; return what it names and what that is from now on."""
        instance, pairs = check_instance_name(request.instance_name), pairs_of(request.qualifiers)
        _uris(request.uris)
        function = function_of(request.digest_function, digest.hash)
        content = digest_of(digest, function, field)
        expires = _moment(request.expire_at, "expire_at") if request.HasField("expire_at") else None
        refuse_when_read_only(self._store)
        return Name(instance, function, kind, pairs), Asset(content, self._clock(), expires)

    def _hints(
        self, request: asset.PushBlobRequest | asset.PushDirectoryRequest, function: DigestFunction
    ) -> Iterator[Digest]:
        """Name what the client wants to live as long as the asset, as far as it is here."""
        for blob in request.references_blobs:
            yield digest_of(blob, function, "references_blobs")
        for directory in request.references_directories:
            yield from self._tree(function, digest_of(directory, function, "references_directories"))

    def _tree(self, function: DigestFunction, root: Digest) -> Iterator[Digest]:
        for digest, directory in directory_tree.walk(self._store, function, root):
            yield digest
            yield from action_results.file_needs(directory, function) if directory else ()


def _absent(response: Response, wanted: _Wanted) -> Response:
    why = "nothing was pushed under these URIs and qualifiers, and this server does not fetch it"
    response.uri = wanted.uris[0]
    response.status.CopyFrom(status_pb2.Status(code=code_pb2.NOT_FOUND, message=why))
    return response


def _status(error: origins.FetchError) -> status_pb2.Status:
    code = next(code for kind, code in OUTCOMES if isinstance(error, kind))
    return status_pb2.Status(code=code, message=str(error))


def _number(wanted: _Wanted) -> reapi.DigestFunction.Value.ValueType:
    return reapi.DigestFunction.Value.Value(wanted.name.function.name.upper())


def _uris(stated: object) -> tuple[str, ...]:
    uris = tuple(dict.fromkeys(stated))  # type: ignore[call-overload]
    if not uris:
        raise InvalidRequest("uris", "there is none")
    if "" in uris:
        raise InvalidRequest("uris", "one is empty")
    return uris


def _moment(stated: Timestamp, field: str) -> float:
    if not 0 <= stated.nanos < 10**9 or abs(stated.seconds) > 1 << 38:
        raise InvalidRequest(field, "it is no moment between the years 1 and 9999")
    return seconds_of(stated)


def _seconds(stated: Duration) -> float:
    seconds = stated.seconds + stated.nanos / 1e9
    if seconds <= 0:
        raise InvalidRequest("timeout", "it is not positive")
    return min(seconds, MOST_SECONDS)

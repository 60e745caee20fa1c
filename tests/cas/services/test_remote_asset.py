# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.11: what is pushed, what is fetched, what is answered from the store, and when it is not any more."""

from __future__ import annotations

import base64
import hashlib
from typing import TYPE_CHECKING

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from google.rpc import code_pb2

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.origins import AllowedOrigin, AllowList
from pytrace_cas.services import AssetSettings
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.qualifiers import UnsupportedQualifiers
from pytrace_cas.services.remote_asset import RemoteAsset
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_cas.store import MissingBlobs, ReadOnlyStore, Store
from pytrace_proto import remote_asset_pb2 as asset
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages
from tests.support.origin import Page, running_origin

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.origin import Origin

NOW = 1_700_000_000.0
URN = "urn:test:asset"
CONTENT = b"content" * 10_000


class World:
    """The service under test over a store, beside an origin that it may fetch from, at a time of the test's."""

    def __init__(self, store: Store, origin: Origin) -> None:
        self.store = store
        self.origin = origin
        self.now = NOW
        settings = AssetSettings(AllowList((AllowedOrigin.parse(f"http://127.0.0.1:{origin.port}"),)), 1 << 20)
        self.service = RemoteAsset(store, settings, clock=lambda: self.now)

    def push(self, data: bytes = CONTENT, *uris: str, stored: bool = True, **fields: object) -> None:
        if stored:
            self.store.put(SHA256, data)
        request = asset.PushBlobRequest(uris=uris or [URN], blob_digest=messages.digest(data), **fields)  # type: ignore[arg-type]
        self.service.push_blob(request)

    def fetch(self, *uris: str, **fields: object) -> asset.FetchBlobResponse:
        return self.service.fetch_blob(asset.FetchBlobRequest(uris=uris or [URN], **fields))  # type: ignore[arg-type]

    def code(self, *uris: str, **fields: object) -> int:
        return int(self.fetch(*uris, **fields).status.code)


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with running_origin() as origin:
        yield origin


@pytest.fixture
def world(store: Store, origin: Origin) -> Iterator[World]:
    origin.pages.clear()
    origin.asked.clear()
    world = World(store, origin)
    yield world
    world.service.close()


def qualified(**values: str) -> list[asset.Qualifier]:
    return [asset.Qualifier(name=name.replace("__", "."), value=value) for name, value in values.items()]


def sri(data: bytes, function: str = "sha256") -> list[asset.Qualifier]:
    value = base64.b64encode(hashlib.new(function, data).digest()).decode()
    return qualified(checksum__sri=f"{function}-{value}")


def moment(seconds: float) -> Timestamp:
    return Timestamp(seconds=int(seconds))


def test_what_was_pushed_is_fetched_under_each_uri(world: World) -> None:
    world.push(CONTENT, URN, "http://nowhere.invalid/x")
    for uris in ([URN], ["urn:other", "http://nowhere.invalid/x"]):
        response = world.fetch(*uris)
        assert (response.status.code, response.uri) == (code_pb2.OK, uris[-1])
        assert response.blob_digest == messages.digest(CONTENT)
        assert response.digest_function == reapi.DigestFunction.SHA256
    assert world.code("urn:other") == code_pb2.NOT_FOUND


def test_the_last_push_counts(world: World) -> None:
    world.push(b"one")
    world.push(b"two")
    assert world.fetch().blob_digest == messages.digest(b"two")


def test_instances_functions_kinds_and_qualifiers_tell_assets_apart(world: World) -> None:
    world.push(qualifiers=qualified(a="1", b="2"), instance_name="one/two")
    both = qualified(b="2", a="1")
    assert world.code(qualifiers=both, instance_name="one/two") == code_pb2.OK
    for fields in (
        {"qualifiers": qualified(a="1"), "instance_name": "one/two"},
        {"qualifiers": both, "instance_name": "one"},
        {"qualifiers": both},
        {"qualifiers": both, "instance_name": "one/two", "digest_function": reapi.DigestFunction.BLAKE3},
    ):
        with pytest.raises(UnsupportedQualifiers):
            world.fetch(**fields)
    request = asset.FetchDirectoryRequest(uris=[URN], qualifiers=both, instance_name="one/two")
    with pytest.raises(UnsupportedQualifiers):
        world.service.fetch_directory(request)


def test_no_client_can_name_where_records_are_kept(world: World) -> None:
    world.push()
    (instance,) = {result.instance for result in world.store.action_results()}
    with pytest.raises(InvalidRequest):
        check_instance_name(instance)


def test_a_blob_has_to_be_there_first(world: World) -> None:
    with pytest.raises(MissingBlobs):
        world.push(stored=False)
    assert world.code() == code_pb2.NOT_FOUND


def test_an_asset_goes_with_its_blob(world: World) -> None:
    world.push()
    world.store.evict(down_to=0)
    assert not world.store.contains(SHA256, SHA256.of(CONTENT))
    assert world.code() == code_pb2.NOT_FOUND
    world.store.put(SHA256, CONTENT)
    assert world.code() == code_pb2.NOT_FOUND
    assert list(world.store.action_results()) == []


def test_hints_that_are_here_live_as_long(world: World) -> None:
    leaf = reapi.Directory(files=[reapi.FileNode(name="f", digest=messages.digest(b"in the tree"))]).SerializeToString()
    for data in (b"named", b"in the tree", leaf):
        world.store.put(SHA256, data)
    world.push(
        references_blobs=[messages.digest(b"named"), messages.digest(b"absent")],
        references_directories=[messages.digest(leaf), messages.digest(b"absent too")],
    )
    assert world.code() == code_pb2.OK
    (record,) = world.store.action_results()
    with world.store._index.read() as db:
        needed = {bytes(row[0]).hex() for row in db.execute("SELECT hash FROM refs")}
    assert needed == {SHA256.of(data).hash for data in (CONTENT, b"named", b"in the tree", leaf)}
    assert record.instance == "actions/assets"


def test_expiry_and_age(world: World) -> None:
    world.push(expire_at=moment(NOW + 10))
    assert world.code(oldest_content_accepted=moment(NOW)) == code_pb2.OK
    assert world.code(oldest_content_accepted=moment(NOW + 1)) == code_pb2.NOT_FOUND
    world.now = NOW + 10
    assert world.code() == code_pb2.NOT_FOUND
    world.push()
    assert world.code(oldest_content_accepted=moment(NOW + 10)) == code_pb2.OK


def test_directories(world: World) -> None:
    leaf = reapi.Directory(files=[reapi.FileNode(name="f", digest=messages.digest(b"file"))]).SerializeToString()
    node = reapi.DirectoryNode(name="d", digest=messages.digest(leaf))
    root = reapi.Directory(directories=[node]).SerializeToString()
    push = asset.PushDirectoryRequest(uris=[URN], root_directory_digest=messages.digest(root))
    fetch = asset.FetchDirectoryRequest(uris=["urn:other", URN])
    for data in (root, leaf, b"file"):
        assert world.service.fetch_directory(fetch).status.code == code_pb2.NOT_FOUND
        with pytest.raises(MissingBlobs):
            world.service.push_directory(push)
        world.store.put(SHA256, data)
    world.service.push_directory(push)
    response = world.service.fetch_directory(fetch)
    assert (response.status.code, response.uri) == (code_pb2.OK, URN)
    assert response.root_directory_digest == messages.digest(root)
    assert world.code() == code_pb2.NOT_FOUND


def test_what_an_origin_has_is_fetched_once(world: World) -> None:
    url = world.origin.publish("/a", CONTENT)
    for qualifiers in ([], sri(CONTENT), sri(CONTENT, "sha512"), qualified(bazel__canonical_id="x")):
        for _ in range(2):
            response = world.fetch(url, qualifiers=qualifiers)
            assert (response.status.code, response.uri) == (code_pb2.OK, url)
            assert response.blob_digest == messages.digest(CONTENT)
    assert len(world.origin.asked) == 4
    assert world.store.get(SHA256, SHA256.of(CONTENT)) == CONTENT
    world.store.evict(down_to=0)
    assert world.code(url) == code_pb2.OK
    assert len(world.origin.asked) == 5


def test_other_functions(world: World) -> None:
    url = world.origin.publish("/a", CONTENT)
    response = world.fetch(url, digest_function=reapi.DigestFunction.BLAKE3)
    assert response.blob_digest == messages.digest(CONTENT, BLAKE3)
    assert response.digest_function == reapi.DigestFunction.BLAKE3
    assert not world.store.contains(SHA256, SHA256.of(CONTENT))


def test_the_empty_asset(world: World) -> None:
    assert world.fetch(world.origin.publish("/empty", b"")).blob_digest == messages.digest(b"")


def test_content_that_is_too_old_is_fetched_again(world: World) -> None:
    url = world.origin.publish("/a", b"old")
    world.fetch(url)
    world.origin.publish("/a", b"new")
    assert world.fetch(url, oldest_content_accepted=moment(NOW)).blob_digest == messages.digest(b"old")
    world.now += 5
    assert world.fetch(url, oldest_content_accepted=moment(NOW + 1)).blob_digest == messages.digest(b"new")


def test_a_wrong_checksum_stores_nothing(world: World) -> None:
    url = world.origin.publish("/a", CONTENT)
    response = world.fetch(url, qualifiers=sri(b"other"))
    assert (response.status.code, response.uri, response.blob_digest.hash) == (code_pb2.ABORTED, url, "")
    assert not world.store.contains(SHA256, SHA256.of(CONTENT))
    assert list(world.store.action_results()) == []


def test_the_next_uri_is_tried(world: World) -> None:
    good = world.origin.publish("/good", CONTENT)
    bad = world.origin.publish("/bad", b"other")
    absent = world.origin.url("/absent")
    response = world.fetch(absent, "http://other.invalid/", URN, bad, good, qualifiers=sri(CONTENT))
    assert (response.status.code, response.uri) == (code_pb2.OK, good)


@pytest.mark.parametrize(
    ("uri", "code"),
    [
        ("/absent", code_pb2.NOT_FOUND),
        ("/forbidden", code_pb2.PERMISSION_DENIED),
        ("/broken", code_pb2.ABORTED),
        ("/large", code_pb2.RESOURCE_EXHAUSTED),
        ("/hang", code_pb2.DEADLINE_EXCEEDED),
        ("http://other.invalid/", code_pb2.PERMISSION_DENIED),
        ("file:///etc/passwd", code_pb2.PERMISSION_DENIED),
    ],
)
def test_what_goes_wrong_is_in_the_status(world: World, uri: str, code: int) -> None:
    world.origin.pages |= {
        "/forbidden": Page(status=403),
        "/broken": Page(status=503),
        "/large": Page(length=(1 << 20) + 1),
        "/hang": Page(length=5, hang=True),
    }
    url = world.origin.url(uri) if uri.startswith("/") else uri
    response = world.fetch(url, timeout=Duration(nanos=300_000_000))
    assert (response.status.code, response.uri, response.HasField("blob_digest")) == (code, url, False)


def test_headers_go_where_they_are_meant_for(world: World) -> None:
    url = world.origin.url("/a")
    pairs = {
        "http_header:X-All": "all", "http_header_url:1:X-One": "one", "http_header:Host": "evil",
        "bazel.auth_headers": f'{{"{url}": {{"Authorization": "Basic x"}}, "http://b/": {{"X-No": "no"}}}}',
    }  # fmt: skip
    qualifiers = [asset.Qualifier(name=name, value=value) for name, value in pairs.items()]
    world.fetch(world.origin.url("/b"), url, qualifiers=qualifiers)
    (first, sent_first), (second, sent) = world.origin.asked
    assert (first, second) == ("/b", "/a")
    assert {"X-All"} == {name for name in sent_first if name.startswith(("X-", "Auth"))}
    assert (sent["X-All"], sent["X-One"], sent["Authorization"]) == ("all", "one", "Basic x")
    assert sent["Host"] == f"127.0.0.1:{world.origin.port}"


@pytest.mark.parametrize(
    "fields",
    [
        {"uris": []},
        {"uris": [""]},
        {"qualifiers": [asset.Qualifier(value="x")]},
        {"qualifiers": [asset.Qualifier(name="a", value=value) for value in "xy"]},
        {"qualifiers": qualified(unheard_of="x")},
        {"qualifiers": qualified(checksum__sri="md5-x")},
        {"qualifiers": [asset.Qualifier(name="http_header:A", value="x\r\nB: y")]},
        {"qualifiers": [asset.Qualifier(name="http_header:A B", value="x")]},
        {"qualifiers": [asset.Qualifier(name="http_header_url:x:A", value="x")]},
        {"qualifiers": qualified(bazel__auth_headers="[1]")},
        {"qualifiers": qualified(bazel__auth_headers='{"a": {"b": 1}}')},
        {"instance_name": "actions/assets"},
        {"timeout": Duration(seconds=-1)},
        {"oldest_content_accepted": Timestamp(nanos=-1)},
        {"digest_function": 99},
    ],
)
def test_bad_requests(world: World, fields: dict[str, object]) -> None:
    with pytest.raises(InvalidRequest):
        world.service.fetch_blob(asset.FetchBlobRequest(**{"uris": [URN], **fields}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "fields",
    [
        {"uris": []},
        {"blob_digest": reapi.Digest(hash="x")},
        {"instance_name": "a//b"},
        {"expire_at": Timestamp(nanos=-1)},
    ],
)
def test_bad_pushes(world: World, fields: dict[str, object]) -> None:
    request = {"uris": [URN], "blob_digest": messages.digest(b"")}
    with pytest.raises(InvalidRequest):
        world.service.push_blob(asset.PushBlobRequest(**{**request, **fields}))  # type: ignore[arg-type]


def test_without_origins_nothing_is_fetched(store: Store, origin: Origin) -> None:
    url, service = origin.publish("/a", b"x"), RemoteAsset(store, AssetSettings())
    before = len(origin.asked)
    assert service.fetch_blob(asset.FetchBlobRequest(uris=[url])).status.code == code_pb2.NOT_FOUND
    assert len(origin.asked) == before


def test_a_read_only_server_answers_what_it_has(world: World, tmp_path: Path) -> None:
    world.push()
    with Store.open(bytes(tmp_path / "store"), read_only=True) as reading:
        other = World(reading, world.origin)
        assert other.code() == code_pb2.OK
        assert other.code(world.origin.publish("/a", b"x")) == code_pb2.NOT_FOUND
        with pytest.raises(ReadOnlyStore):
            other.service.push_blob(asset.PushBlobRequest(uris=[URN], blob_digest=messages.digest(CONTENT)))


def test_assets_survive_the_process_that_stored_them(world: World, tmp_path: Path) -> None:
    world.push()
    with Store.open(bytes(tmp_path / "store")) as again:
        assert World(again, world.origin).code() == code_pb2.OK

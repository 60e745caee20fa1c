# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.1: digests, digest functions, instance names, resource names."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.services.errors import InvalidRequest, ResultNotFound
from pytrace_cas.services.resource_names import RESERVED, check_instance_name, parse_download, parse_upload
from pytrace_cas.store import BlobNotFound
from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.services import Services


GOOD = SHA256.of(b"content")
H, N = GOOD.hash, GOOD.size_bytes
UUID = "6fa459ea-ee8a-4ca4-894e-db77e160355e"


def find(
    services: Services,
    *digests: reapi.Digest,
    function: reapi.DigestFunction.Value.ValueType = reapi.DigestFunction.UNKNOWN,
) -> list[reapi.Digest]:
    request = reapi.FindMissingBlobsRequest(blob_digests=digests, digest_function=function)
    return list(services.content_addressable_storage.find_missing(request).missing_blob_digests)


@pytest.mark.parametrize("hash", [H.upper(), H[:-1], H + "0", H[:-1] + "g", "", H[:-1] + "é"])
def test_rule_1_malformed_hashes_are_refused(services: Services, hash: str) -> None:
    with pytest.raises(InvalidRequest):
        find(services, reapi.Digest(hash=hash, size_bytes=N))
    with pytest.raises(InvalidRequest):
        parse_download(f"blobs/{hash}/{N}")


def test_rule_2_size_belongs_to_the_key(services: Services) -> None:
    cas = services.content_addressable_storage
    cas.batch_update(messages.update_request(b"content"))
    wrong = reapi.Digest(hash=H, size_bytes=N + 1)
    assert find(services, wrong) == [wrong]
    with pytest.raises(BlobNotFound):
        services.byte_stream.read(bytestream.ReadRequest(resource_name=f"blobs/{H}/{N + 1}"))
    update = messages.update_request(b"content")
    update.requests[0].digest.size_bytes = N + 1
    assert cas.batch_update(update).responses[0].status.code == 3
    with pytest.raises(InvalidRequest):
        find(services, reapi.Digest(hash=H, size_bytes=-1))


@pytest.mark.parametrize("function", [SHA256, BLAKE3], ids=lambda function: function.name)
def test_rule_3_the_empty_blob_is_always_there(services: Services, function: DigestFunction) -> None:
    empty = messages.digest(b"", function)
    number = reapi.DigestFunction.BLAKE3 if function is BLAKE3 else reapi.DigestFunction.UNKNOWN
    cas, segment = services.content_addressable_storage, "blake3/" if number else ""
    assert find(services, empty, function=number) == []
    read = cas.batch_read(reapi.BatchReadBlobsRequest(digests=[empty], digest_function=number))
    assert (read.responses[0].status.code, read.responses[0].data) == (0, b"")
    update = reapi.BatchUpdateBlobsRequest(digest_function=number)
    update.requests.add(digest=empty)
    assert cas.batch_update(update).responses[0].status.code == 0
    with services.byte_stream.read(bytestream.ReadRequest(resource_name=f"blobs/{segment}{empty.hash}/0")) as download:
        assert b"".join(download) == b""
    name = f"uploads/{UUID}/blobs/{segment}{empty.hash}/0"
    response = services.byte_stream.write().feed(bytestream.WriteRequest(resource_name=name, finish_write=True))
    assert response == bytestream.WriteResponse(committed_size=0)


def test_rule_3_results_may_name_the_empty_blob(services: Services) -> None:
    request = messages.put_result_request(b"action", messages.result_of({"empty": b""}))
    services.action_cache.update(request)
    assert services.action_cache.get(messages.get_result_request(b"action")) == request.action_result


def test_rule_4_only_the_empty_blob_has_size_0(services: Services) -> None:
    for wrong in (
        reapi.Digest(hash=messages.EMPTY.hash, size_bytes=1),
        reapi.Digest(hash=H, size_bytes=0),
    ):
        with pytest.raises(InvalidRequest):
            find(services, wrong)
        with pytest.raises(InvalidRequest):
            parse_download(f"blobs/{wrong.hash}/{wrong.size_bytes}")


def test_rule_5_sha256_is_inferred_and_blake3_must_be_named(services: Services) -> None:
    assert parse_download(f"blobs/{H}/{N}").function is SHA256
    assert parse_download(f"blobs/blake3/{H}/{N}").function is BLAKE3
    blob = messages.digest(b"content", BLAKE3)
    request = reapi.BatchUpdateBlobsRequest(digest_function=reapi.DigestFunction.BLAKE3)
    request.requests.add(digest=blob, data=b"content")
    cas = services.content_addressable_storage
    assert cas.batch_update(request).responses[0].status.code == 0
    request.digest_function = reapi.DigestFunction.UNKNOWN
    assert cas.batch_update(request).responses[0].status.code == 3


@pytest.mark.parametrize("name", ["VSO", "MURMUR3", "SHA256TREE", "GITSHA1"])
def test_rule_6_a_function_that_is_not_offered_is_refused(services: Services, name: str) -> None:
    number = reapi.DigestFunction.Value.Value(name)
    with pytest.raises(InvalidRequest):
        find(services, reapi.Digest(hash=H, size_bytes=N), function=number)
    with pytest.raises(InvalidRequest):
        parse_download(f"blobs/{name.lower()}/{H}/{N}")


def test_rule_6_the_digests_of_a_request_share_a_function(services: Services) -> None:
    sha1 = reapi.Digest(hash="a9" * 20, size_bytes=5)
    with pytest.raises(InvalidRequest):
        find(services, reapi.Digest(hash=H, size_bytes=N), sha1)
    with pytest.raises(InvalidRequest):
        find(services, reapi.Digest(hash="a9" * 25, size_bytes=5))


def test_rule_7_functions_of_one_length_do_not_alias(services: Services) -> None:
    services.content_addressable_storage.batch_update(messages.update_request(b"content"))
    digest = reapi.Digest(hash=H, size_bytes=N)
    assert find(services, digest) == []
    assert find(services, digest, function=reapi.DigestFunction.BLAKE3) == [digest]


@pytest.mark.parametrize("prefix", ["", "a/", "a/b/c/"])
def test_rule_8_the_function_is_a_segment_before_the_hash(prefix: str) -> None:
    resource = parse_upload(f"{prefix}uploads/{UUID}/blobs/blake3/{H}/{N}")
    assert (resource.instance_name, resource.function) == (prefix.rstrip("/"), BLAKE3)
    assert parse_download(f"{prefix}blobs/sha256/{H}/{N}").function is SHA256


@pytest.mark.parametrize("word", sorted(RESERVED))
def test_rule_9_reserved_words_are_no_instance_names(services: Services, word: str) -> None:
    for name in (word, f"a/{word}", f"{word}/a"):
        with pytest.raises(InvalidRequest):
            check_instance_name(name)
        with pytest.raises(InvalidRequest):
            services.capabilities.get(reapi.GetCapabilitiesRequest(instance_name=name))


@pytest.mark.parametrize("name", ["/a", "a/", "a//b", "/", "//"])
def test_rule_9_slashes_only_separate(name: str) -> None:
    with pytest.raises(InvalidRequest):
        check_instance_name(name)
    with pytest.raises(InvalidRequest):
        parse_download(f"{name}/blobs/{H}/{N}")
    with pytest.raises(InvalidRequest):
        parse_upload(f"{name}/uploads/{UUID}/blobs/{H}/{N}")


def test_rule_9_an_empty_instance_name_has_no_slash() -> None:
    with pytest.raises(InvalidRequest):
        parse_download(f"/blobs/{H}/{N}")


@pytest.mark.parametrize("tail", ["", "/name.txt", "/a/b/c", "/blobs/uploads", "/"])
def test_rule_10_metadata_may_follow_an_upload(tail: str) -> None:
    assert parse_upload(f"one/two/uploads/{UUID}/blobs/{H}/{N}{tail}").digest == GOOD


def test_rule_11_nothing_follows_a_download() -> None:
    with pytest.raises(InvalidRequest):
        parse_download(f"blobs/{H}/{N}/name.txt")


def test_rule_11_compressed_blobs_are_named_by_their_own_digest() -> None:
    for resource in (
        parse_download(f"i/compressed-blobs/zstd/{H}/{N}"),
        parse_download(f"i/compressed-blobs/zstd/sha256/{H}/{N}"),
        parse_upload(f"i/uploads/{UUID}/compressed-blobs/zstd/{H}/{N}/blobs/x"),
    ):
        assert (resource.instance_name, resource.digest, resource.compressed) == ("i", GOOD, True)
    assert not parse_download(f"blobs/{H}/{N}").compressed
    for tail in ("", f"/{H}", f"/{H}/{N}/x"):
        with pytest.raises(InvalidRequest):
            parse_download(f"compressed-blobs/zstd{tail}")


@pytest.mark.parametrize("compressor", ["ZSTD", "blobs", "identity", "gzip", ""])
def test_rule_12_compressors_that_are_not_offered_are_refused(compressor: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_download(f"compressed-blobs/{compressor}/{H}/{N}")
    with pytest.raises(InvalidRequest):
        parse_upload(f"uploads/{UUID}/compressed-blobs/{compressor}/{H}/{N}")


@pytest.mark.parametrize(
    "name",
    [
        f"uploads/{UUID}/blobs/{H}/x",
        f"uploads/{UUID}/blobs/{H}/-1",
        f"uploads/{UUID}/blobs/{H}/+7",
        f"uploads/{UUID}/blobs/{H}/9223372036854775808",
        f"uploads/{UUID}/blobs/{H}/" + "9" * 5000,
        f"uploads/{UUID}/blobs/{H}/",
        f"uploads/{UUID}/blobs/{H}",
        f"uploads/{UUID}/blobs",
        f"uploads/{UUID}",
        "uploads",
        f"uploads//blobs/{H}/{N}",
        f"uploads/blobs/{H}/{N}",
        f"{UUID}/blobs/{H}/{N}",
        f"blobs/{H}/{N}",
        "",
    ],
)
def test_rule_13_malformed_upload_names_are_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        parse_upload(name)


@given(st.text(alphabet="/ablobsuploads-0123456789compressed", max_size=60))
def test_rule_13_any_text_is_read_or_refused(name: str) -> None:
    for parse in (parse_upload, parse_download):
        with suppress(InvalidRequest):
            parse(name)


def test_rule_14_results_belong_to_their_instance_and_blobs_to_all(services: Services) -> None:
    services.content_addressable_storage.batch_update(messages.update_request(b"out"))
    result = messages.result_of({"out": b"out"})
    services.action_cache.update(messages.put_result_request(b"action", result, "team/a"))
    assert services.action_cache.get(messages.get_result_request(b"action", "team/a")) == result
    for other in ("", "team", "team/b"):
        with pytest.raises(ResultNotFound):
            services.action_cache.get(messages.get_result_request(b"action", other))
    with services.byte_stream.read(
        bytestream.ReadRequest(resource_name=f"team/b/{messages.read_name(b'out')}")
    ) as download:
        assert list(download) == [b"out"]

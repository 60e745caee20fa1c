# SPDX-License-Identifier: Apache-2.0
"""A store with a remote behind it: what goes through, over gRPC and HTTP, and whatever the remote is like."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc
import pytest

from pytrace_cas.digest import BLAKE3, SHA256, Digest, DigestFunction
from pytrace_cas.reapi import ActionResult, OutputFile
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.cache.interface import Tier
from pytrace_exec.cache.tiered import SMALL, TieredCache
from tests.exec.cache.conftest import Open
from tests.support import foreign_grpc
from tests.support.foreign_grpc import ForeignCache
from tests.support.foreign_http import ForeignHttp, foreign_http

PROTOCOLS = ("grpc", "http")
SIZES = (0, 1, 5000, SMALL, SMALL + 1, 5 << 20)
KEY = SHA256.of(b"a key")


@contextmanager
def served(cache: ForeignCache | ForeignHttp) -> Iterator[str]:
    """Serve a cache of either kind."""
    with foreign_grpc.foreign_grpc(cache) if isinstance(cache, ForeignCache) else foreign_http(cache) as url:
        yield url


def new(protocol: str) -> ForeignCache | ForeignHttp:
    """Make an empty cache."""
    return ForeignCache() if protocol == "grpc" else ForeignHttp()


def remote_of(cache: TieredCache) -> Tier:
    """Take the remote tier."""
    return cache.tiers[-1]


def some_blobs(function: DigestFunction, sizes: Sequence[int] = SIZES) -> dict[Digest, bytes]:
    """Make blobs of these sizes."""
    source = random.Random(7)
    return {function.of(data): data for data in map(source.randbytes, sizes)}


def result_of(blobs: dict[Digest, bytes], exit_code: int = 0) -> ActionResult:
    """Make a result that needs all of some blobs."""
    files = [OutputFile(path=f"out/{number}", digest=digest) for number, digest in enumerate(blobs)]
    return ActionResult(output_files=files, exit_code=exit_code)


def codes(cache: TieredCache) -> list[str]:
    """List what went wrong."""
    return [trouble.code for trouble in cache.troubles]


def put(cache: TieredCache, blobs: dict[Digest, bytes], key: Digest = KEY) -> bool:
    """Put a result into the remote."""
    remote = remote_of(cache)
    remote.put(blobs)
    return remote.put_result(key, result_of(blobs))


def check_round_trip(tiered: Open, url: str, *flags: str, function: DigestFunction = SHA256) -> None:
    """Put a result from one store and get it into another, empty one."""
    blobs = some_blobs(function)
    near, far = tiered("near", url, *flags), tiered("far", url, *flags)
    assert put(near, blobs)
    remote = remote_of(far)
    result = remote.get_result(KEY)
    assert result == result_of(blobs)
    assert remote.fetch(result.needs()) == []
    assert all(far.get(digest) == data for digest, data in blobs.items())
    assert (codes(near), codes(far)) == ([], [])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_one_store_sent_another_gets(tiered: Open, protocol: str) -> None:
    with served(new(protocol)) as url:
        check_round_trip(tiered, url)


@pytest.mark.parametrize("lacking", [{"FindMissingBlobs"}, {"BatchReadBlobs", "BatchUpdateBlobs"}])
@pytest.mark.parametrize("batch_limit", [0, 6000])
def test_a_cache_that_can_do_less(tiered: Open, lacking: set[str], batch_limit: int) -> None:
    with served(ForeignCache(lacking=frozenset(lacking), batch_limit=batch_limit, update_enabled=None)) as url:
        check_round_trip(tiered, url)


def test_a_unix_socket(tiered: Open, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("socket") / "s"
    with foreign_grpc.foreign_grpc(ForeignCache(), f"unix:{path}") as url:
        check_round_trip(tiered, url)


def test_names_of_blobs_and_functions_on_the_wire(tiered: Open) -> None:
    cache = ForeignCache(functions=(foreign_grpc.BLAKE3,))
    with served(cache) as url:
        check_round_trip(tiered, f"{url}/team", "--instance-name", "a/b", function=BLAKE3)
    blob = BLAKE3.of(random.Random(7).randbytes(1))
    assert all(name.startswith("team/a/b/") for name in cache.names)
    assert any(f"/blobs/blake3/{digest}" in name for name in cache.names for digest in some_blobs(BLAKE3))
    assert f"team/a/b/blobs/{blob}" not in cache.names
    assert {instance for instance, _ in cache.results} == {"team/a/b"}


def test_paths_on_the_wire(tiered: Open) -> None:
    cache = ForeignHttp()
    with served(cache) as url:
        put(tiered("near", f"{url}/base", "--instance-name", "in stance"), some_blobs(SHA256, [3]))
    assert f"/base/in%20stance/ac/{KEY.hash}" in cache.bodies


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_headers_and_credentials(tiered: Open, protocol: str) -> None:
    cache = new(protocol)
    with served(cache) as url:
        near = tiered("near", url.replace("//", "//user:secret@"), "--remote-header", "X-Token=t")
        assert put(near, some_blobs(SHA256, [3]))
    for headers in cache.metadata if isinstance(cache, ForeignCache) else cache.headers:
        assert (headers["x-token"], headers["authorization"]) == ("t", "Basic dXNlcjpzZWNyZXQ=")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_troubles_show_no_credentials(tiered: Open, protocol: str, closed: int) -> None:
    near = tiered("near", f"{protocol}://user:secret@127.0.0.1:{closed}")
    assert remote_of(near).get_result(KEY) is None
    assert "secret" not in str(near.troubles[0])


def test_a_connection_that_the_server_closed_is_opened_again(tiered: Open) -> None:
    cache = ForeignHttp(forgetful=True)
    with served(cache) as url:
        check_round_trip(tiered, url)
    assert cache.connections > 2


def test_a_connection_is_kept(tiered: Open) -> None:
    cache = ForeignHttp()
    with served(cache) as url:
        near = tiered("near", url)
        assert put(near, some_blobs(SHA256, [1, 2, 3]))
        assert remote_of(near).get_result(KEY) is not None
    assert cache.connections == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_can_be_asked_again_after_hanging_up(tiered: Open, protocol: str) -> None:
    with served(new(protocol)) as url:
        near = tiered("near", url)
        put(near, some_blobs(SHA256, [3]))
        near.hang_up()
        assert remote_of(near).get_result(KEY) is not None


def test_what_is_there_already_is_not_sent_again(tiered: Open) -> None:
    cache = ForeignHttp()
    large = some_blobs(SHA256, [SMALL + 1])
    with served(cache) as url:
        put(tiered("near", url), large)
        put(tiered("far", url), large)
    assert sum(method == "PUT" and "/cas/" in path for method, path in cache.requests) == 1


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("size", [5000, SMALL + 1])
def test_wrong_bytes_are_not_taken(tiered: Open, protocol: str, size: int) -> None:
    cache = new(protocol)
    blobs = some_blobs(SHA256, [size, 7])
    with served(cache) as url:
        put(tiered("near", url), blobs)
        cache.corrupt = True
        far = tiered("far", url)
        assert remote_of(far).fetch(blobs)
        assert codes(far) == ["remote_failed"]
        with pytest.raises(BlobMissing):
            far.get(next(iter(blobs)))
        # Not asked again in this run, nor by the next one.
        assert remote_of(far).get_result(KEY) is None
        later = tiered("far", url)
        assert remote_of(later).get_result(KEY) is None
        assert codes(later) == ["remote_skipped"]


@pytest.mark.parametrize("size", [5000, SMALL + 1])
def test_a_blob_that_is_cut_short_is_not_taken(tiered: Open, size: int) -> None:
    cache = ForeignHttp()
    blobs = some_blobs(SHA256, [size])
    with served(cache) as url:
        put(tiered("near", url), blobs)
        cache.cut = True
        far = tiered("far", url)
        assert remote_of(far).fetch(blobs) == list(blobs)
    assert codes(far) == ["remote_failed"]


@pytest.mark.parametrize("fault", ["torn", "stalled"])
def test_an_answer_that_does_not_come_whole(tiered: Open, fault: str) -> None:
    cache = ForeignHttp()
    blobs = some_blobs(SHA256, [5000])
    with served(cache) as url:
        put(tiered("near", url), blobs)
        setattr(cache, fault, True)
        result, blob = tiered("a", url, "--remote-timeout", "300ms"), tiered("b", url, "--remote-timeout", "300ms")
        assert remote_of(result).get_result(KEY) is None
        assert remote_of(blob).fetch(blobs) == list(blobs)
    assert (codes(result), codes(blob)) == (["remote_failed"], ["remote_failed"])


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_result_whose_blob_is_gone(tiered: Open, protocol: str) -> None:
    cache = new(protocol)
    blobs = some_blobs(SHA256, [5000, 6000, SMALL + 1])
    with served(cache) as url:
        put(tiered("near", url), blobs)
        held = cache.blobs if isinstance(cache, ForeignCache) else cache.bodies
        for digest in list(blobs)[1:]:
            del held[next(name for name in held if digest.hash in name)]
        far = tiered("far", url)
        assert remote_of(far).fetch(blobs) == list(blobs)[1:]
        assert remote_of(far).get_result(KEY) is not None
    assert codes(far) == ["remote_lacks_blob"]


@pytest.mark.parametrize("garbage", [b"\x12\xff", b"\x12\x06\x12\x04\x0a\x02xy"])
def test_a_result_that_makes_no_sense(tiered: Open, garbage: bytes) -> None:
    with served(ForeignHttp(bodies={f"/ac/{KEY.hash}": garbage})) as url:
        near = tiered("near", url)
        assert remote_of(near).get_result(KEY) is None
    assert codes(near) == ["remote_failed"]


@pytest.mark.parametrize("status", [301, 401, 403, 500, 503])
def test_statuses_that_say_nothing_of_a_result(tiered: Open, status: int) -> None:
    with served(ForeignHttp(status={"GET": status})) as url:
        near = tiered("near", url)
        assert remote_of(near).get_result(KEY) is None
    assert codes(near) == ["remote_failed"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_remote_that_is_down(tiered: Open, protocol: str, closed: int) -> None:
    url = f"{protocol}://127.0.0.1:{closed}"
    near = tiered("near", url)
    assert remote_of(near).get_result(KEY) is None
    assert not put(near, some_blobs(SHA256, [3]))
    assert codes(near) == ["remote_failed"]
    # Another remote is none the worse for it.
    with served(new(protocol)) as other:
        assert put(tiered("near", other), some_blobs(SHA256, [3]))


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_remote_that_does_not_answer(tiered: Open, protocol: str, silent: int) -> None:
    near = tiered("near", f"{protocol}://127.0.0.1:{silent}", "--remote-timeout", "200ms")
    assert remote_of(near).get_result(KEY) is None
    assert codes(near) == ["remote_failed"]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_remote_that_refuses_writes_is_still_read(tiered: Open, protocol: str) -> None:
    cache = new(protocol)
    with served(cache) as url:
        put(tiered("near", url), some_blobs(SHA256, [3]))
        if isinstance(cache, ForeignCache):
            cache.refusing = grpc.StatusCode.PERMISSION_DENIED
        else:
            cache.status["PUT"] = 403
        far = tiered("far", url)
        assert not put(far, some_blobs(SHA256, [5]), SHA256.of(b"another key"))
        assert remote_of(far).get_result(KEY) is not None
    assert codes(far) == ["remote_refused"]


def test_a_remote_that_says_it_takes_no_results_is_sent_nothing(tiered: Open) -> None:
    cache = ForeignCache(update_enabled=False)
    with served(cache) as url:
        near = tiered("near", url)
        assert not put(near, some_blobs(SHA256, [3]))
        assert not remote_of(near).writable
    assert (codes(near), cache.calls) == ([], ["GetCapabilities"])


def test_a_blob_that_is_too_large_for_the_remote(tiered: Open) -> None:
    cache = ForeignCache(blob_limit=100)
    with served(cache) as url:
        near = tiered("near", url)
        assert not put(near, some_blobs(SHA256, [101]))
    assert (codes(near), cache.results) == (["remote_refused"], {})


def test_a_header_that_cannot_be_sent(tiered: Open) -> None:
    with served(ForeignCache()) as url:
        near = tiered("near", url, "--remote-header", "not a header=v")
        assert remote_of(near).get_result(KEY) is None
    assert codes(near) == ["remote_failed"]


def test_certificates_that_cannot_be_read(tiered: Open) -> None:
    for scheme in ("grpcs", "https"):
        near = tiered("near", f"{scheme}://127.0.0.1:1", "--remote-ca", "/nonexistent")
        assert remote_of(near).get_result(KEY) is None
        assert codes(near) == ["remote_failed"]


def test_with_the_remote_only_results_are_not_looked_up_in_the_store(tiered: Open) -> None:
    with served(ForeignCache()) as url:
        near = tiered("near", url, PYTRACE_REMOTE_ONLY="1")
        assert [tier.source for tier in near.tiers] == ["remote"]
        assert [tier.source for tier in tiered("near", url).tiers] == ["local", "remote"]

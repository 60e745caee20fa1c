# SPDX-License-Identifier: Apache-2.0
"""Where a tier is: what is taken, and what is shown of it."""

from __future__ import annotations

import pytest

from pytrace_cas.upstream import Header, Location, MalformedLocation, Upstream
from pytrace_cas.upstream.location import safe_path


@pytest.mark.parametrize(
    ("url", "shown", "name", "prefix"),
    [
        ("grpc://cache", "grpc://cache:9092", "grpc://cache:9092", ""),
        ("grpcs://cache/main/x", "grpcs://cache:443/main/x", "grpcs://cache:443", "main/x"),
        ("grpc://[::1]:80", "grpc://[::1]:80", "grpc://[::1]:80", ""),
        ("http://who:secret@cache:81/p", "http://cache:81/p", "http://cache:81", "p"),
        ("unix:/run/cache.sock", "unix:/run/cache.sock", "unix", ""),
        ("unix:///run/cache.sock", "unix:/run/cache.sock", "unix", ""),
        ("s3://bucket/a/b", "s3://bucket/a/b", "s3://bucket", "a/b"),
        ("gs://bucket", "gs://bucket", "gs://bucket", ""),
        ("az://container/a/", "az://container/a", "az://container", "a"),
    ],
)
def test_urls(url: str, shown: str, name: str, prefix: str) -> None:
    location = Location.parse(url)
    assert (str(location), location.name, location.prefix) == (shown, name, prefix)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "cache",
        "ftp://cache",
        "grpc:cache",
        "grpc://",
        "grpc://cache:port",
        "http://cache?x=1",
        "http://cache/a/../b",
        "http://cache/a//b",
        "unix:cache.sock",
        "s3://",
        "s3://key:secret@bucket",
    ],
)
def test_no_urls(url: str) -> None:
    with pytest.raises(MalformedLocation) as caught:
        Location.parse(url)
    assert "secret" not in str(caught.value)


def test_secrets_are_not_shown() -> None:
    upstream = Upstream(Location.parse("http://who:geheim%21@cache"), (Header("X-Token", "verborgen"),))
    assert upstream.all_headers() == {"x-token": "verborgen", "authorization": "Basic d2hvOmdlaGVpbSE="}
    for shown in (repr(upstream), str(upstream), str(upstream.location), str(upstream.headers[0])):
        assert "geheim" not in shown
        assert "verborgen" not in shown


def test_paths() -> None:
    assert safe_path("a/b", "", "team/one %", "cas") == "a/b/team/one%20%25/cas"
    assert safe_path("a", "team/../other", "ac") is None
    assert safe_path("", "./x") is None

# SPDX-License-Identifier: Apache-2.0
"""Downloads from a real web server that answers well and badly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from pytrace_cas import origins
from pytrace_cas.origins import AllowedOrigin, AllowList
from pytrace_cas.origins.download import MOST_REDIRECTS, Downloader
from tests.support.origin import Page, running_origin

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.origin import Origin

LIMIT = 1 << 20
REDIRECT = {"Location": "/target"}


@pytest.fixture(scope="module")
def origin() -> Iterator[Origin]:
    with running_origin() as origin:
        yield origin


def downloader(*entries: str) -> Downloader:
    return Downloader(AllowList(tuple(AllowedOrigin.parse(entry) for entry in entries)), LIMIT)


def fetch(origin: Origin, path: str, seconds: float = 20, verified: bool = False, **headers: str) -> bytes:
    received: list[bytes] = []
    tool = downloader(f"http://127.0.0.1:{origin.port}")
    tool.fetch(origin.url(path), headers, seconds, received.append, verified=verified)
    return b"".join(received)


def test_an_asset_comes_whole(origin: Origin) -> None:
    origin.publish("/a?b=c", b"x" * LIMIT)
    assert fetch(origin, "/a?b=c", Authorization="Basic eA==") == b"x" * LIMIT
    path, headers = origin.asked[-1]
    assert (path, headers["Authorization"], headers["Host"]) == ("/a?b=c", "Basic eA==", f"127.0.0.1:{origin.port}")
    assert fetch(origin, "/a?b=c#part") == b"x" * LIMIT


def test_redirects_are_followed_and_keep_headers_to_themselves(origin: Origin) -> None:
    origin.publish("/target", b"moved")
    origin.pages["/here"] = Page(status=302, headers=REDIRECT)
    assert fetch(origin, "/here", Authorization="secret") == b"moved"
    assert origin.asked[-1][1]["Authorization"] == "secret"
    origin.pages["/elsewhere"] = Page(status=307, headers={"Location": origin.url("/target", "localhost")})
    received: list[bytes] = []
    tool = downloader(f"http://127.0.0.1:{origin.port}", f"http://localhost:{origin.port}")
    tool.fetch(origin.url("/elsewhere"), {"Authorization": "secret"}, 20, received.append, verified=False)
    assert received == [b"moved"]
    assert "Authorization" not in origin.asked[-1][1]


@pytest.mark.parametrize("location", ["http://localhost:{}/target", "file:///etc/passwd", "http://127.0.0.1:1/"])
def test_a_redirect_off_the_list_is_not_followed(origin: Origin, location: str) -> None:
    origin.pages["/away"] = Page(status=301, headers={"Location": location.format(origin.port)})
    before = len(origin.asked)
    with pytest.raises(origins.NotAllowed):
        fetch(origin, "/away")
    assert len(origin.asked) == before + 1


def test_a_circle_ends(origin: Origin) -> None:
    origin.pages["/circle"] = Page(status=302, headers={"Location": "/circle"})
    before = len(origin.asked)
    with pytest.raises(origins.OriginFailed):
        fetch(origin, "/circle")
    assert len(origin.asked) == before + MOST_REDIRECTS + 1


def test_a_star_does_not_reach_loopback(origin: Origin) -> None:
    before = len(origin.asked)
    for host in ("127.0.0.1", "localhost"):
        with pytest.raises(origins.NotAllowed):
            downloader(f"http://*:{origin.port}").fetch(origin.url("/a", host), {}, 20, bytes, verified=False)
    assert len(origin.asked) == before


@pytest.mark.parametrize(
    ("page", "error"),
    [
        (Page(status=404), origins.AssetAbsent),
        (Page(status=410), origins.AssetAbsent),
        (Page(status=401), origins.OriginRefused),
        (Page(status=403), origins.OriginRefused),
        (Page(status=500), origins.OriginFailed),
        (Page(status=204, length=None), origins.OriginFailed),
        (Page(status=302), origins.OriginFailed),
        (Page(b"x" * (LIMIT + 1)), origins.AssetTooLarge),
        (Page(b"x" * (LIMIT + 1), length=None), origins.TruncationPossible),
        (Page(b"short", length=100), origins.OriginFailed),
        (Page(b"x", length=None), origins.TruncationPossible),
        (Page(b"x", headers={"Content-Encoding": "gzip"}), origins.OriginFailed),
        (Page(b"zz\r\n", length=None, headers={"Transfer-Encoding": "chunked"}), origins.OriginFailed),
        (Page(b"3\r\nabc\r\n", length=None, headers={"Transfer-Encoding": "chunked"}), origins.OriginFailed),
    ],
)
def test_bad_answers(origin: Origin, page: Page, error: type[Exception]) -> None:
    origin.pages["/bad"] = page
    with pytest.raises(error):
        fetch(origin, "/bad")


def test_bodies_without_length(origin: Origin) -> None:
    origin.pages["/chunked"] = Page(b"3\r\nabc\r\n0\r\n\r\n", length=None, headers={"Transfer-Encoding": "chunked"})
    assert fetch(origin, "/chunked") == b"abc"
    origin.pages["/open"] = Page(b"abc", length=None)
    assert fetch(origin, "/open", verified=True) == b"abc"
    origin.pages["/open"] = Page(b"x" * (LIMIT + 1), length=None)
    with pytest.raises(origins.AssetTooLarge):
        fetch(origin, "/open", verified=True)


@pytest.mark.parametrize("length", [100, None])
def test_an_origin_that_hangs(origin: Origin, length: int | None) -> None:
    origin.pages["/hang"] = Page(b"begun", length=length, hang=True)
    with pytest.raises(origins.OriginTimeout):
        fetch(origin, "/hang", seconds=0.3, verified=True)


def test_closing_breaks_off(origin: Origin) -> None:
    origin.pages["/hang"] = Page(b"begun", length=100, hang=True)
    tool = downloader(f"http://127.0.0.1:{origin.port}")
    begun = threading.Event()

    def close() -> None:
        begun.wait(20)
        tool.close()

    threading.Thread(target=close).start()
    for _ in range(2):  # what runs, and what comes after
        with pytest.raises(origins.OriginFailed):
            tool.fetch(origin.url("/hang"), {}, 60, lambda _: begun.set(), verified=False)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-name.invalid/"])
def test_nobody_there(url: str) -> None:
    with pytest.raises(origins.OriginFailed):
        downloader("http://127.0.0.1:1", "http://no-such-name.invalid").fetch(url, {}, 20, bytes, verified=False)

# SPDX-License-Identifier: Apache-2.0
"""WebDAV as far as sccache speaks it, against a real server."""

from __future__ import annotations

import http.client
import os
import xml.etree.ElementTree as xml
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

LARGE = os.urandom(1 << 20) * 3
DAV = "{DAV:}"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with running_server(tmp_path_factory.mktemp("served") / "store", "--max-blob-size", "4MiB") as server:
        yield server


def ask(
    server: RunningServer, method: str, path: str, body: bytes | Iterable[bytes] | None = None, **headers: str
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(urlsplit(server.http_url).netloc, timeout=30)
    try:
        connection.request(method, path, body, headers, encode_chunked=not isinstance(body, bytes | None))
        response = connection.getresponse()
        data = response.read()
        if method == "HEAD":
            data = response.headers["content-length"].encode()
        return response.status, data
    finally:
        connection.close()


@pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "large"])
def test_a_file_comes_back_until_it_is_removed(server: RunningServer, data: bytes) -> None:
    path = f"/webdav/a/b/{len(data)}%20c"
    assert ask(server, "GET", path)[0] == 404
    assert ask(server, "MKCOL", "/webdav/a/b/")[0] == 201
    assert ask(server, "PUT", path, data)[0] == 201
    assert ask(server, "GET", path) == (200, data)
    assert ask(server, "HEAD", path) == (200, str(len(data)).encode())
    assert ask(server, "DELETE", path)[0] == 204
    assert [ask(server, method, path)[0] for method in ("GET", "PROPFIND", "DELETE")] == [404] * 3


def test_the_last_write_counts(server: RunningServer) -> None:
    for data in (b"one", LARGE, b"two"):
        assert ask(server, "PUT", "/webdav/again", iter((data,)), **{"Transfer-Encoding": "chunked"})[0] == 201
        assert ask(server, "GET", "/webdav/again") == (200, data)


def test_properties(server: RunningServer) -> None:
    ask(server, "PUT", "/webdav/x/a&b", b"12345")
    for path, size in (("/webdav/x/a&b", "5"), ("/webdav/x/", None), ("/webdav/", None)):
        status, text = ask(server, "PROPFIND", path, Depth="0")
        assert status == 207
        tree = xml.fromstring(text)
        assert tree.findtext(f".//{DAV}href") == path
        assert tree.findtext(f".//{DAV}getcontentlength") == size
        assert (tree.find(f".//{DAV}collection") is None) is (size is not None)
        assert str(tree.findtext(f".//{DAV}getlastmodified")).endswith(" GMT")


def test_what_is_refused(server: RunningServer) -> None:
    assert ask(server, "PUT", "/webdav/large", b"x" * ((4 << 20) + 1))[0] == 413
    assert ask(server, "PUT", "/webdav/a//b", b"x")[0] == 400
    assert ask(server, "PUT", "/webdav/" + "n" * 1025, b"x")[0] == 400
    assert ask(server, "POST", "/webdav/a", b"x")[0] == 405
    assert ask(server, "GET", "/webdav/large")[0] == 404


def test_files_go_with_their_bytes_and_survive_the_server(tmp_path: Path) -> None:
    with running_server(tmp_path / "store") as server:
        ask(server, "PUT", "/webdav/a", LARGE)
    with running_server(tmp_path / "store", "--read-only") as server:
        assert ask(server, "GET", "/webdav/a") == (200, LARGE)
        assert ask(server, "PUT", "/webdav/b", b"x")[0] == 403
        assert ask(server, "DELETE", "/webdav/a")[0] == 403
    with Store.open(bytes(tmp_path / "store")) as store:
        assert store.contains(SHA256, SHA256.of(LARGE))
        store.evict(down_to=0)
    with running_server(tmp_path / "store") as server:
        assert ask(server, "GET", "/webdav/a")[0] == 404

# SPDX-License-Identifier: Apache-2.0
"""`GET /` for browsers and for everybody else."""

from __future__ import annotations

import re
import urllib.request
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.support.server import RunningServer

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"


def ask(server: RunningServer, path: str, accept: str | None) -> tuple[str, str]:
    """Return the type and the text of a page."""
    request = urllib.request.Request(server.http_url + path, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request) as response:
        return response.headers.get_content_type(), response.read().decode()


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        (None, "text/plain"),
        ("*/*", "text/plain"),
        ("", "text/plain"),
        ("text/plain", "text/plain"),
        ("text/html;q=0", "text/plain"),
        ("text/html;q=0.5, text/plain;q=0.9", "text/plain"),
        ("text/html;q=odd", "text/plain"),
        (BROWSER, "text/html"),
        ("TEXT/HTML", "text/html"),
    ],
)
def test_the_client_chooses_the_form(server: RunningServer, accept: str | None, expected: str) -> None:
    kind, text = ask(server, "/", accept)
    assert kind == expected
    assert "pytrace-cas" in text


def test_its_links_lead_somewhere_and_nowhere_else(server: RunningServer) -> None:
    class Links(HTMLParser):
        found: list[str] = []
        open: list[str] = []

        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            self.found += [value or "" for name, value in attrs if name in ("href", "src")]
            if tag != "meta":
                self.open.append(tag)

        def handle_endtag(self, tag: str) -> None:
            assert self.open.pop() == tag

    page = ask(server, "/", BROWSER)[1]
    links = Links()
    links.feed(page)
    assert links.open == []
    assert {"/status", "/metrics"} <= set(links.found)
    for path in links.found:
        assert path.startswith("/")
        assert ask(server, path, None)[1]
    assert not re.search(r"<(script|link|img|iframe)|@import|url\(", page)

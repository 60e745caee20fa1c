# SPDX-License-Identifier: Apache-2.0
"""Asking a server for pages as a program does, and taking them apart."""

from __future__ import annotations

import http.client
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode, urlsplit

import attrs

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from email.message import Message

_VOID = frozenset(("area", "br", "hr", "img", "input", "link", "meta", "path", "rect", "line", "wbr"))


@attrs.frozen
class Answer:
    """Status, headers and body of an answer."""

    status: int
    headers: Message
    body: bytes

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode()


def ask(
    url: str,
    path: str,
    *,
    method: str = "GET",
    form: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    context: ssl.SSLContext | None = None,
) -> Answer:
    """Make one request, following nothing; a `form` is sent as browsers do."""
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=60)
    sent: dict[str, str] = dict(headers or {})
    body = None
    if form is not None:
        body, sent["content-type"] = urlencode(form).encode(), "application/x-www-form-urlencoded"
    try:
        connection.request("POST" if form is not None else method, path, body, sent)
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


class Parsed(HTMLParser):
    """A page: `links` and what else it refers to, `tags` that it has, `text` that it shows, `attributes` by tag."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.inputs: dict[str, str] = {}
        self._open: list[str] = []
        self.feed(page)
        assert self._open == [], f"not closed: {self._open}"

    @property
    def text(self) -> str:
        """All text."""
        return "".join(self.words)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        found: dict[str, Any] = dict(attrs)
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.links += [found[name] for name in ("href", "src", "action") if name in found]
        if tag == "input" and "name" in found:
            self.inputs[found["name"]] = found.get("value", "")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """See that it closes what was opened last."""
        if tag not in _VOID:
            assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        self.words.append(data)

# SPDX-License-Identifier: Apache-2.0
"""Qualifiers of assets: which are understood when an asset is fetched, and what they ask for (WIRE 3.11).

`checksum.sri` is verified; `bazel.canonical_id` only tells assets of one URI apart; `http_header:NAME`,
`http_header_url:INDEX:NAME` and `bazel.auth_headers` (JSON: headers by URL) are headers to send.
"""

from __future__ import annotations

import json
import re
from itertools import pairwise
from typing import TYPE_CHECKING

import attrs
from google.rpc import error_details_pb2

from pytrace_cas.origins import Checksum, MalformedChecksum
from pytrace_cas.services.errors import InvalidRequest

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from pytrace_proto import remote_asset_pb2 as asset

CHECKSUM, CANONICAL_ID, AUTH_HEADERS = "checksum.sri", "bazel.canonical_id", "bazel.auth_headers"
HEADER, HEADER_OF_URL = "http_header:", "http_header_url:"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")
# Ours to say: they decide whom we talk to, and what a body means.
_OURS = frozenset(
    ("accept-encoding", "connection", "content-length", "expect", "host", "range", "te", "transfer-encoding", "upgrade")
)


class UnsupportedQualifiers(InvalidRequest):
    """A request asks for what no fetching here can see to; `names` are the qualifiers' names."""

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__("qualifiers.name", ", ".join(f'"{name}" not supported' for name in names))
        self.names = tuple(names)

    def details(self) -> error_details_pb2.BadRequest:
        """Say it as the protocol asks for."""
        violation = error_details_pb2.BadRequest.FieldViolation
        return error_details_pb2.BadRequest(
            field_violations=[
                violation(field="qualifiers.name", description=f'"{name}" not supported') for name in self.names
            ]
        )


def pairs_of(qualifiers: Iterable[asset.Qualifier]) -> tuple[tuple[str, str], ...]:
    """Return names and values, sorted; raise `InvalidRequest` for a name that is empty or occurs twice."""
    pairs = sorted((qualifier.name, qualifier.value) for qualifier in qualifiers)
    names = [name for name, _ in pairs]
    if "" in names:
        raise InvalidRequest("qualifiers.name", "one is empty")
    if twice := next((name for name, other in pairwise(names) if name == other), None):
        raise InvalidRequest("qualifiers.name", f"{twice!r} occurs twice")
    return tuple(pairs)


@attrs.frozen
class FetchRules:
    """What the qualifiers of a request ask of a download."""

    checksum: Checksum | None
    _common: dict[str, str]
    _by_index: dict[int, dict[str, str]]
    _by_url: dict[str, dict[str, str]]

    @classmethod
    def of(cls, pairs: Iterable[tuple[str, str]]) -> FetchRules:
        """Read them; raise `UnsupportedQualifiers`, `InvalidRequest`."""
        checksum: Checksum | None = None
        common: dict[str, str] = {}
        by_index: dict[int, dict[str, str]] = {}
        by_url: dict[str, dict[str, str]] = {}
        unsupported = []
        for name, value in pairs:
            if name == CHECKSUM:
                checksum = _checksum(value)
            elif name == AUTH_HEADERS:
                by_url = _auth_headers(value)
            elif name.startswith(HEADER):
                common |= _header(name.removeprefix(HEADER), value)
            elif name.startswith(HEADER_OF_URL):
                index, _, header = name.removeprefix(HEADER_OF_URL).partition(":")
                if not (index.isascii() and index.isdigit()):
                    raise InvalidRequest("qualifiers.name", f"{name!r} has no index of a URI")
                by_index.setdefault(int(index), {}).update(_header(header, value))
            elif name != CANONICAL_ID:
                unsupported.append(name)
        if unsupported:
            raise UnsupportedQualifiers(unsupported)
        return cls(checksum, common, by_index, by_url)

    def headers(self, index: int, uri: str) -> dict[str, str]:
        """Return the headers for one of the request's URIs."""
        return {**self._common, **self._by_url.get(uri, {}), **self._by_index.get(index, {})}


def _checksum(value: str) -> Checksum:
    try:
        return Checksum.parse(value)
    except MalformedChecksum as error:
        raise InvalidRequest("qualifiers.value", str(error)) from None


def _auth_headers(value: str) -> dict[str, dict[str, str]]:
    try:
        stated = json.loads(value)
        return {
            str(url): {name: text for pair in headers.items() for name, text in _header(*pair).items()}
            for url, headers in stated.items()
        }
    except (ValueError, AttributeError, TypeError):
        # What is wrong is not repeated: it holds secrets.
        raise InvalidRequest("qualifiers.value", f"{AUTH_HEADERS} is no JSON of headers by URL") from None


def _header(name: str, value: str) -> dict[str, str]:
    if not _TOKEN.fullmatch(name):
        raise InvalidRequest("qualifiers.name", f"{name!r} is no name of a header")
    if not _VALUE.fullmatch(value):
        raise InvalidRequest("qualifiers.value", f"the value of header {name!r} cannot be sent")
    return {} if name.lower() in _OURS else {name: value}

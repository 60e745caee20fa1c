# SPDX-License-Identifier: Apache-2.0
"""`/api/v1/`: what the pages show, as JSON, for programs. It only reads."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from pytrace_cas.catalogue import described_row, described_statistics
from pytrace_cas.nondeterminism import known_of
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.store.history import DAYS
from pytrace_cas.web.actions import describe_action
from pytrace_cas.web.answers import DATA_HEADERS, download
from pytrace_cas.web.comparing import compare
from pytrace_cas.web.diff_page import pair
from pytrace_cas.web.errors import explain, status_of
from pytrace_cas.web.folders import describe_directory
from pytrace_cas.web.invalidating import Invalidating
from pytrace_cas.web.openapi import CODES, description
from pytrace_cas.web.searching import FIELDS, PAGING, query_of, search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

    from pytrace_cas.web.site import Asked, Site

_JSON = "application/json"


class Api:
    """Views that answer with JSON, and with bytes for a blob."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._invalidating = Invalidating(site)

    def statistics(self, asked: Asked) -> Response:
        """How the cache does, by hour."""
        asked.only("hours")
        hours = asked.number("hours", 7 * 24, DAYS * 24)
        used, limit = self._site.store.size()
        found = described_statistics(self._site.catalogue.statistics(hours * 3600))
        return _told({"size_bytes": used, "size_limit_bytes": limit, **found})

    def actions(self, asked: Asked) -> Response:
        """Actions listed and searched."""
        asked.only(*FIELDS, *PAGING)
        return self._listed(asked)

    def paths(self, asked: Asked) -> Response:
        """Actions that read or wrote a path."""
        asked.only("path", "instance", *PAGING)
        if not asked.get("path"):
            raise InvalidRequest("path", "name one: below the root, absolute, a glob, or a folder with / at its end")
        return self._listed(asked)

    def _listed(self, asked: Asked) -> Response:
        found = search(self._site, asked)
        rows = [described_row(row) for row in found.rows]
        if query_of(asked).nondeterministic:
            differing = (known_of(self._site.store, row.function, row.instance, row.digest) for row in found.rows)
            rows = [{**row, "differs": one.outputs if one else {}} for row, one in zip(rows, differing, strict=True)]
        return _told({"actions": rows, "cursor": found.cursor})

    def invalidations(self, asked: Asked) -> Response:
        """What was invalidated in an instance."""
        asked.only("instance")
        return _told({"instance": asked.instance, "invalidations": self._invalidating.described(asked)})

    def described(self, asked: Asked) -> Response:
        """The API itself, as OpenAPI has it."""
        asked.only()
        return as_json(description())

    def action(self, asked: Asked) -> Response:
        """One action."""
        asked.only("instance")
        return _told(describe_action(self._site.backing, asked.address()))

    def blob(self, asked: Asked) -> Response:
        """The bytes of a blob."""
        asked.only("instance", "name")
        return download(self._site.backing, asked.address(), asked.get("name"))

    def directory(self, asked: Asked) -> Response:
        """One directory of a Merkle tree."""
        asked.only("instance")
        address = asked.address()
        return _told({"directory": str(address.digest), **describe_directory(self._site.backing, address)})

    def diff(self, asked: Asked) -> Response:
        """Two actions side by side."""
        asked.only("instance", "function", "a", "b")
        return _told(compare(self._site.backing, *pair(self._site, asked)))


def _told(found: Mapping[str, Any]) -> Response:
    return as_json({"schema": 1, **found})


def as_json(found: Mapping[str, Any], status: int = 200) -> Response:
    """An object as the body of an answer; ASCII, so that nothing in it is anything but JSON to anybody."""
    return Response(json.dumps(found, ensure_ascii=True) + "\n", status, dict(DATA_HEADERS), _JSON)


def failure(request: Request, error: Exception) -> Response:
    """An error: a code for programs and a sentence for people."""
    status = status_of(error)
    response = as_json({"schema": 1, "code": CODES.get(status, "failed"), "message": str(error)}, status)
    return explain(response, error)

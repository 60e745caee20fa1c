# SPDX-License-Identifier: Apache-2.0
"""The page of two actions side by side."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.web.addresses import UI, BlobAddress, with_query
from pytrace_cas.web.answers import Page
from pytrace_cas.web.comparing import compare

if TYPE_CHECKING:
    from pytrace_cas.web.site import Asked, Site

LETTERS = {"+": "only in the new one", "-": "only in the old one", "M": "other content", "T": "other type", "U": "mode"}


def pair(asked: Asked) -> tuple[BlobAddress, BlobAddress]:
    """The two actions that a query names; raise `InvalidRequest`."""
    function = asked.get("function") or "sha256"
    for name in ("a", "b"):
        if not asked.get(name):
            raise InvalidRequest(name, "name two actions: a=HASH-SIZE and b=HASH-SIZE")
    first, second = (BlobAddress.parse(asked.instance, function, asked.get(name)) for name in ("a", "b"))
    return first, second


class DiffPage:
    """The view of two actions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """Tell how they differ."""
        first, second = pair(asked)
        found = compare(self._site.backing, first, second)
        values = {"first": first, "second": second, "swapped": address_of(second, first), "letters": LETTERS}
        return Page("diff.html", {"diff": found, **values})


def address_of(first: BlobAddress, second: BlobAddress) -> str:
    """The page of two actions."""
    query = {**first.query(), "function": first.function.name, "a": first.short(), "b": second.short()}
    return with_query(f"{UI}diff/", query)

# SPDX-License-Identifier: Apache-2.0
"""The page of two actions side by side."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pytrace_cas.catalogue import AmbiguousReference
from pytrace_cas.digest import FUNCTIONS
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.web.action_list import address_of_row
from pytrace_cas.web.addresses import UI, BlobAddress, with_query
from pytrace_cas.web.answers import Page
from pytrace_cas.web.comparing import compare

if TYPE_CHECKING:
    from pytrace_cas.web.site import Asked, Site

_BEGINNING = re.compile(r"[0-9a-f]{4,128}")
LETTERS = {"+": "only in the new one", "-": "only in the old one", "M": "other content", "T": "other type", "U": "mode"}


def pair(site: Site, asked: Asked) -> tuple[BlobAddress, BlobAddress]:
    """The two actions that a query names, by digest or the beginning of one; raise `InvalidRequest`."""
    function = asked.choice("function", tuple(FUNCTIONS), "sha256")
    for name in ("a", "b"):
        if not asked.get(name):
            raise InvalidRequest(name, "name two actions: a=HASH-SIZE and b=HASH-SIZE")
    digests = (_whole(site, asked.instance, asked.get(name)) for name in ("a", "b"))
    first, second = (BlobAddress.parse(asked.instance, function, digest) for digest in digests)
    return first, second


def _whole(site: Site, instance: str, text: str) -> str:
    """A digest, HASH-SIZE, for the beginning of one that only one action has; any other text as it is."""
    if not _BEGINNING.fullmatch(text):
        return text
    try:
        row = site.catalogue.resolve_digest(text, instance)
    except AmbiguousReference as error:
        raise InvalidRequest("a or b", str(error)) from None
    return text if row is None else address_of_row(row).short()


class DiffPage:
    """The view of two actions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """Tell how they differ."""
        first, second = pair(self._site, asked)
        found = compare(self._site.backing, first, second)
        values = {"first": first, "second": second, "swapped": address_of(second, first), "letters": LETTERS}
        return Page("diff.html", {"diff": found, **values})


def address_of(first: BlobAddress, second: BlobAddress) -> str:
    """The page of two actions."""
    query = {**first.query(), "function": first.function.name, "a": first.short(), "b": second.short()}
    return with_query(f"{UI}diff/", query)

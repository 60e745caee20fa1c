# SPDX-License-Identifier: Apache-2.0
"""The page that lists and searches actions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.web.addresses import UI, BlobAddress, with_query
from pytrace_cas.web.answers import Page
from pytrace_cas.web.searching import FIELDS, PAGING, search

if TYPE_CHECKING:
    from pytrace_cas.catalogue import ActionRow
    from pytrace_cas.web.site import Asked, Site

LIST = f"{UI}actions/"
_SEARCHED = ("command", "target", "mnemonic", "label", "path", "instance")


class ActionList:
    """The view of many actions."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """List those that the fields ask for."""
        found = search(self._site, asked)
        given = {name: asked.get(name) for name in (*FIELDS, *PAGING)}
        later = with_query(LIST, {**given, "cursor": found.cursor}) if found.cursor else None
        first = with_query(LIST, {**given, "cursor": ""}) if given["cursor"] else None
        values = {"given": given, "fields": _SEARCHED, "later": later, "first": first}
        return Page("actions.html", {"rows": [(row, page_of(row)) for row in found.rows], **values})


def address_of_row(row: ActionRow) -> BlobAddress:
    """Where a row's action is."""
    return BlobAddress(row.instance, row.function, row.digest)


def page_of(row: ActionRow) -> str:
    """The page of a row's action."""
    return address_of_row(row).page("action")

# SPDX-License-Identifier: Apache-2.0
"""From the fields of an address to a search of the catalogue, for the list of actions and the API alike."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas.catalogue import InvalidQuery, Match, Page, Query, path_match
from pytrace_cas.catalogue.catalogue import MOST
from pytrace_cas.catalogue.pages import SORTS
from pytrace_cas.services.errors import InvalidRequest

if TYPE_CHECKING:
    from pytrace_cas.web.site import Asked, Site

FIELDS = ("filter", "command", "target", "mnemonic", "label", "path", "outcome", "instance")
"""What may be searched for; all that is given must hold."""
OUTCOMES = ("", "ok", "failed")
PAGING = ("sort", "limit", "cursor")
_LONGEST, _MOST_TERMS = 1000, 30
_CURSOR = re.compile(r"[0-9]{1,18}\.[0-9]{1,18}")
# Pages of rows that the caller may not see, one after the other, before the rest is left to the next request.
_MOST_PAGES = 10


def query_of(asked: Asked) -> Query:
    """What the fields ask for; raise `InvalidRequest`."""
    given = {name: asked.get(name) for name in FIELDS}
    for name, text in given.items():
        if len(text) > _LONGEST or "\0" in text:
            raise InvalidRequest(name, f"give at most {_LONGEST} characters, and no NUL")
    if len(given["filter"].split()) > _MOST_TERMS:
        raise InvalidRequest("filter", f"it has more than {_MOST_TERMS} terms")
    try:
        query = Query.parse(given["filter"])
        for name in ("command", "target", "mnemonic", "instance"):
            if given[name]:
                changed: dict[str, Any] = {name: _match(name, given[name])}
                query = attrs.evolve(query, **changed)
        if given["path"]:
            query = attrs.evolve(query, path=path_match(given["path"]))
        if given["label"]:
            key, sign, value = given["label"].partition("=")
            query = attrs.evolve(query, labels=(*query.labels, (key, value if sign else None)))
    except InvalidQuery as error:
        raise InvalidRequest("filter", str(error)) from None
    except OverflowError:
        raise InvalidRequest("filter", "an age is longer than anybody lives") from None
    outcome = asked.choice("outcome", OUTCOMES, "")
    return attrs.evolve(query, outcome=outcome) if outcome else query


def _match(name: str, text: str) -> Match:
    """A glob fits as a whole; of a command and a target any part will do."""
    found = Match.of(text)
    return Match(text, "contains") if found.how == "equal" and name in ("command", "target") else found


def search(site: Site, asked: Asked, default: int = 50) -> Page:
    """Rows that are asked for and that the caller may see; raise `InvalidRequest`.

    A page may have fewer rows than it is to have, and still be followed by another.
    """
    query, limit = query_of(asked), asked.number("limit", default, MOST)
    sort, cursor = asked.choice("sort", tuple(SORTS), "time"), asked.get("cursor") or None
    if cursor is not None and not _CURSOR.fullmatch(cursor):
        raise InvalidRequest("cursor", "give one as the answer before told it")
    try:
        for _ in range(_MOST_PAGES):
            found = site.catalogue.actions(query, sort, limit, cursor)
            rows = tuple(row for row in found.rows if site.may_read(asked, row.instance))
            cursor = found.cursor
            if rows or cursor is None:
                break
    except OverflowError:
        raise InvalidRequest("filter", "an age is longer than anybody lives") from None
    return Page(rows, cursor)

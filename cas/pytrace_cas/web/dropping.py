# SPDX-License-Identifier: Apache-2.0
"""The page that removes one stored result, after a question: how what other clients stored is dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas import store as storage
from pytrace_cas.web import forgery
from pytrace_cas.web.answers import Page, see_other

if TYPE_CHECKING:
    from starlette.responses import Response

    from pytrace_cas.web.site import Asked, Site


class Dropping:
    """Views of the removal of one result."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def ask(self, asked: Asked) -> Page:
        """Ask whether the result is to be removed."""
        self._writable()
        token, cookie = forgery.token(asked.request)
        return Page("drop.html", {"address": asked.address(), "token": token}, cookie=cookie)

    def drop(self, asked: Asked) -> Response:
        """Remove it, and show the action, which misses from now on."""
        self._writable()
        forgery.check(asked.request, asked.form)
        address = asked.address()
        self._site.backing.remove_action_result(address.function, address.instance, address.digest)
        return see_other(address.page("action"))

    def _writable(self) -> None:
        if self._site.store.read_only:
            raise storage.ReadOnlyStore(self._site.store.path)

# SPDX-License-Identifier: Apache-2.0
"""The first page: how full the cache is and how well it answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.web.answers import Page

if TYPE_CHECKING:
    from pytrace_cas.web.site import Asked, Site


class Overview:
    """The view of the whole cache."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """Tell how it is."""
        used, limit = self._site.store.size()
        return Page(
            "overview.html",
            {"used": used, "limit": limit, "read_only": self._site.store.read_only},
        )

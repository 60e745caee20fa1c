# SPDX-License-Identifier: Apache-2.0
"""The routes of the web view and of the API. What none of them takes is the cache's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response
from starlette.routing import Route

from pytrace_cas.web import invalidating
from pytrace_cas.web.action_list import LIST, ActionList
from pytrace_cas.web.addresses import API, UI
from pytrace_cas.web.answers import Page, error_page, see_other, to_response
from pytrace_cas.web.api import Api, failure
from pytrace_cas.web.blob_pages import BlobPages
from pytrace_cas.web.diff_page import DiffPage
from pytrace_cas.web.dropping import Dropping
from pytrace_cas.web.files import static_file
from pytrace_cas.web.invalidating import Invalidating
from pytrace_cas.web.overview import Overview
from pytrace_cas.web.site import Asked, Site

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from starlette.requests import Request
    from starlette.types import ASGIApp

    Handle = Callable[[Request], Awaitable[Response]]
    View = Callable[[Asked], Page | Response]

_BLOB = "blobs/{function}/{kind}/{digest}/"
_DROPPED = "blobs/{function}/drop/{digest}/"
_SAVED = "blobs/{function}/download/{digest}/"


_READ = ("GET", "HEAD")


def web_routes(site: Site, watched: Callable[[Handle], ASGIApp]) -> list[Route]:
    """All routes; `watched` puts what every request has around it."""

    def page(route: str, view: View, methods: tuple[str, ...] = _READ) -> ASGIApp:
        return watched(site.endpoint(route, "page", lambda asked: _answer(asked, view(asked)), methods, _refused))

    def api(route: str, view: Callable[[Asked], Response]) -> ASGIApp:
        return watched(site.endpoint(route, "api", view, _READ, failure))

    def asking(route: str, ask: View, do: View) -> ASGIApp:
        """A question, and what is done when it is answered."""
        return page(route, lambda asked: (do if asked.request.method == "POST" else ask)(asked), (*_READ, "POST"))

    changes, dropping = Invalidating(site), Dropping(site)
    drop = asking("drop", dropping.ask, dropping.drop)
    blobs, diff, data = BlobPages(site), DiffPage(site), Api(site)
    show, save = page("blob", blobs.show), page("download", blobs.save)
    return [
        Route(UI.rstrip("/"), page("static", lambda asked: see_other(UI))),
        Route(UI, page("overview", Overview(site).show)),
        Route(f"{UI}static/{{name}}", page("static", static_file)),
        Route(LIST, page("actions", ActionList(site).show)),
        Route(invalidating.LIST, page("invalidations", changes.show)),
        Route(invalidating.ASK, asking("invalidate", changes.ask, changes.invalidate)),
        Route(invalidating.UNDO, asking("undo", changes.ask_undo, changes.undo)),
        Route(f"{UI}{_DROPPED}", drop),
        Route(f"{UI}{{instance:path}}/{_DROPPED}", drop),
        Route(f"{UI}diff/", page("diff", diff.show)),
        Route(f"{UI}{_SAVED}", save),
        Route(f"{UI}{{instance:path}}/{_SAVED}", save),
        Route(f"{UI}{_BLOB}", show),
        Route(f"{UI}{{instance:path}}/{_BLOB}", show),
        Route(f"{API}openapi.json", api("api_description", data.described)),
        Route(f"{API}statistics", api("api_statistics", data.statistics)),
        Route(f"{API}actions", api("api_actions", data.actions)),
        Route(f"{API}paths", api("api_paths", data.paths)),
        Route(f"{API}invalidations", api("api_invalidations", data.invalidations)),
        Route(f"{API}actions/{{function}}/{{digest}}", api("api_action", data.action)),
        Route(f"{API}directories/{{function}}/{{digest}}", api("api_directory", data.directory)),
        Route(f"{API}blobs/{{function}}/{{digest}}", api("api_blob", data.blob)),
        Route(f"{API}diff", api("api_diff", data.diff)),
    ]


def _answer(asked: Asked, found: Page | Response) -> Response:
    if isinstance(found, Response):
        return found
    return to_response(found, here=asked.request.url.path, caller=asked.caller.name if asked.caller else "")


def _refused(request: Request, error: Exception) -> Response:
    return error_page(error, here="", caller="")

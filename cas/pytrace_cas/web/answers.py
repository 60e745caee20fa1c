# SPDX-License-Identifier: Apache-2.0
"""Answers of the web view: pages, files to download, and what every answer tells browsers to forbid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import attrs
from starlette.responses import HTMLResponse, RedirectResponse, Response

from pytrace_cas.http_server.bodies import stream
from pytrace_cas.services.byte_stream import Download
from pytrace_cas.web.addresses import UI
from pytrace_cas.web.errors import explain, status_of
from pytrace_cas.web.templating import render

if TYPE_CHECKING:
    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

_EVERYWHERE = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
# Nothing but our own style sheet and script; nobody frames a page, and forms lead back here.
PAGE_HEADERS = {
    **_EVERYWHERE,
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
    "cache-control": "no-store",
    "vary": "cookie",
}
# A blob is bytes to be saved; were it opened all the same, it may do nothing.
BLOB_HEADERS = {
    **_EVERYWHERE,
    "content-security-policy": "default-src 'none'; sandbox; frame-ancestors 'none'",
    "cache-control": "private, max-age=3600",
}
DATA_HEADERS = {**_EVERYWHERE, "content-security-policy": "default-src 'none'; sandbox", "cache-control": "no-store"}
_LONGEST_NAME = 200


@attrs.frozen
class Page:
    """A template and what it is given."""

    template: str
    values: dict[str, Any]
    status: int = 200
    cookie: str = ""


def to_response(page: Page, **shown: object) -> Response:
    """Render a page."""
    response = HTMLResponse(render(page.template, {**shown, **page.values}), page.status, dict(PAGE_HEADERS))
    if page.cookie:
        response.headers.append("set-cookie", page.cookie)
    return response


def error_page(error: Exception, **shown: object) -> Response:
    """Say what went wrong, and what to do."""
    status = status_of(error)
    values = {"title": _TITLES.get(status, "This did not work"), "message": str(error), "status": status}
    return explain(to_response(Page("error.html", values, status), **shown), error)


_TITLES = {
    400: "This address cannot be right",
    401: "Who are you?",
    403: "Not yours to see",
    404: "Not here",
    413: "Too much",
    503: "Busy",
}


def see_other(path: str = UI) -> Response:
    """Go on at another page."""
    return RedirectResponse(path, 303, dict(PAGE_HEADERS))


def download(store: Store, address: BlobAddress, name: str) -> Response:
    """A blob to be saved under a name; raise `BlobNotFound`."""
    size = address.digest.size_bytes
    reader = store.open_blob(address.function, address.digest, verify=True)
    disposition = f"attachment; filename*=UTF-8''{quote(_file_name(name) or address.digest.hash, safe='')}"
    return stream(Download(reader, address.digest, size), {**BLOB_HEADERS, "content-disposition": disposition})


def _file_name(path: str) -> str:
    """The last part of a path, as far as a file can be called so."""
    name = path.replace("\\", "/").rpartition("/")[2].encode("utf-8", "replace").decode()
    return "".join(sign for sign in name if sign.isprintable()).strip(". ")[:_LONGEST_NAME]

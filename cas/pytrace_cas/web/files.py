# SPDX-License-Identifier: Apache-2.0
"""The style sheet, the script and the icon: by names that are known here, cached by browsers until they change."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from starlette.responses import Response

from pytrace_cas.services.errors import FileNotHere
from pytrace_cas.web.answers import DATA_HEADERS

if TYPE_CHECKING:
    from pytrace_cas.web.site import Asked

_TYPES = {"style.css": "text/css", "view.js": "text/javascript", "icon.svg": "image/svg+xml"}


@cache
def _content(name: str) -> tuple[bytes, str]:
    data = files("pytrace_cas.web").joinpath("static", name).read_bytes()
    return data, f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def static_file(asked: Asked) -> Response:
    """One of the files; raise `FileNotHere`."""
    name = asked.path["name"]
    if name not in _TYPES:
        raise FileNotHere(name)
    data, tag = _content(name)
    headers = {**DATA_HEADERS, "cache-control": "public, max-age=300", "etag": tag}
    if tag in asked.request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=_TYPES[name], headers=headers)

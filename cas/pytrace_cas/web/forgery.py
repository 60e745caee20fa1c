# SPDX-License-Identifier: Apache-2.0
"""Forms that change something are taken only from our own pages (cross-site request forgery).

A browser sends passwords and certificates along with whatever page asks. So a form carries a token that a cookie has
too, which no other site can read or set; and where the browser says which site a request comes from, that counts.
Nothing is kept here: any worker takes any form.
"""

from __future__ import annotations

import hmac
import secrets
from typing import TYPE_CHECKING

from pytrace_cas.web.errors import ForeignForm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.requests import Request

_NAME = "pytrace_form"
# With this prefix browsers take it over TLS only, and only from this very host (RFC 6265bis, 4.1.3.2).
_NAME_TLS = f"__Host-{_NAME}"
_LENGTH = 43


def token(request: Request) -> tuple[str, str]:
    """The token for a form, and the value of Set-Cookie that goes with it; none where the browser has one."""
    known = request.cookies.get(_name(request), "")
    if len(known) == _LENGTH and known.replace("-", "").replace("_", "").isalnum():
        return known, ""
    fresh = secrets.token_urlsafe(32)
    secure = "; Secure" if request.url.scheme == "https" else ""
    return fresh, f"{_name(request)}={fresh}; Path=/; HttpOnly; SameSite=Strict{secure}"


def check(request: Request, form: Mapping[str, str]) -> None:
    """Raise `ForeignForm` unless the form is ours."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in (None, "same-origin", "none"):
        raise ForeignForm
    if origin is not None and origin.partition("://")[2] != request.headers.get("host"):
        raise ForeignForm
    known = request.cookies.get(_name(request), "")
    if not known or not hmac.compare_digest(known.encode(), form.get("token", "").encode("utf-8", "replace")):
        raise ForeignForm


def _name(request: Request) -> str:
    return _NAME_TLS if request.url.scheme == "https" else _NAME

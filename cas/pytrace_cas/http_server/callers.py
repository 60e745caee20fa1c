# SPDX-License-Identifier: Apache-2.0
"""Who makes an HTTP request, and what they are told when they may not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import PlainTextResponse

from pytrace_cas.access import identity as identities
from pytrace_cas.services.errors import Unauthenticated, http_status

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.access.identity import Identity

# Where a connection's certificate is in the scope of its requests, as `ssl.SSLObject.getpeercert` has it.
CERTIFICATE = "pytrace_cas.certificate"


async def identify(guard: Guard, request: Request) -> Identity | None:
    """Say who asks: by the Authorization header, else by the certificate of the connection."""
    if guard.open:
        return None
    return await guard.identify(request.headers.get("authorization"), lambda: _of_certificate(request))


def _of_certificate(request: Request) -> Identity | None:
    found = request.scope.get(CERTIFICATE) or {}
    names = [value for part in found.get("subject", ()) for key, value in part if key == "commonName"]
    return identities.of_certificate(names, [value for _, value in found.get("subjectAltName", ())])


def refusal(error: Exception) -> Response:
    """Answer with the status that says what the error says; 401 tells how to show who one is."""
    response = PlainTextResponse(f"{error}\n", status_code=http_status(error))
    if isinstance(error, Unauthenticated):
        for challenge in error.challenges:
            response.headers.append("www-authenticate", challenge)
    return response

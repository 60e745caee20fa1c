# SPDX-License-Identifier: Apache-2.0
"""What pages and the API refuse beside what the services do, and the status and the headers of every refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.services.errors import Refusal, Unauthenticated, http_status
from pytrace_cas.web.viewing import CatalogueBeingMade

if TYPE_CHECKING:
    from starlette.responses import Response

    from pytrace_cas.digest import Digest


class TooLargeToShow(Refusal):
    """A blob is too large to be taken apart; `limit` in bytes."""

    def __init__(self, digest: Digest, limit: int) -> None:
        super().__init__(f"{digest} is too large to be shown (more than {limit} bytes); download it as a file")
        self.digest = digest
        self.limit = limit


class ForeignForm(Refusal):
    """A form was not sent from a page of ours, or from one that has aged."""

    def __init__(self) -> None:
        super().__init__("the form is not from a page of this server: open the page again, and let it set cookies")


class WrongMethod(Refusal):
    """An address does not take such a request; `methods` are those that it takes."""

    def __init__(self, method: str, methods: tuple[str, ...]) -> None:
        super().__init__(f"this address takes {', '.join(methods)} and no {method}")
        self.methods = methods


_STATUSES: tuple[tuple[type[Refusal], int], ...] = (
    (TooLargeToShow, 413),
    (ForeignForm, 403),
    (WrongMethod, 405),
    (CatalogueBeingMade, 503),
)
_PAUSE = "5"


def status_of(error: Exception) -> int:
    """HTTP status that says what the error says."""
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), 0) or http_status(error)


def explain(response: Response, error: Exception) -> Response:
    """Add what the status asks for: how to show who one is, which methods there are, or when to come back."""
    if isinstance(error, Unauthenticated):
        for challenge in error.challenges:
            response.headers.append("www-authenticate", challenge)
    elif isinstance(error, WrongMethod):
        response.headers["allow"] = ", ".join(error.methods)
    elif isinstance(error, CatalogueBeingMade):
        response.headers["retry-after"] = _PAUSE
    return response

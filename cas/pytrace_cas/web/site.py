# SPDX-License-Identifier: Apache-2.0
"""What every page and every part of the API has around it: who asks, whether they may, and that it is counted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
from starlette.requests import ClientDisconnect

from pytrace_cas.access.demands import of_web
from pytrace_cas.access.rights import Right
from pytrace_cas.blocking import in_thread
from pytrace_cas.http_server.bodies import outcome
from pytrace_cas.http_server.callers import identify
from pytrace_cas.http_server.watched import CALL
from pytrace_cas.services.errors import EXPECTED, InvalidRequest
from pytrace_cas.services.resource_names import check_instance_name
from pytrace_cas.web.addresses import BlobAddress
from pytrace_cas.web.errors import WrongMethod
from pytrace_cas.web.viewing import Viewing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from starlette.requests import Request
    from starlette.responses import Response

    from pytrace_cas.access.guard import Guard
    from pytrace_cas.access.identity import Identity
    from pytrace_cas.server_metrics import ServerMetrics
    from pytrace_cas.services import Services
    from pytrace_cas.services.backing import Store as Backing
    from pytrace_cas.store import Store

_LARGEST_FORM = 64 << 10
_LISTING = ("overview", "actions", "api_actions", "api_paths")
_COUNTED = {"GET": "get", "HEAD": "get", "POST": "put"}


@attrs.frozen
class Asked:
    """A request, by whom, and its form where it has one."""

    request: Request
    caller: Identity | None
    form: Mapping[str, str]

    @property
    def path(self) -> Mapping[str, str]:
        """Parts of the path."""
        return self.request.path_params

    def get(self, name: str) -> str:
        """A field of the query, empty if it is not given; raise `InvalidRequest` if it is given twice."""
        values = self.request.query_params.getlist(name)
        if len(values) > 1:
            raise InvalidRequest(name, "it is given more than once")
        return values[0].strip() if values else ""

    def only(self, *names: str) -> None:
        """Raise `InvalidRequest` for a field of the query that means nothing here: it would do nothing."""
        if unknown := sorted(set(self.request.query_params) - set(names)):
            known = f"it knows {', '.join(names)}" if names else "it takes none"
            raise InvalidRequest(unknown[0], f"this address knows no such field; {known}")

    def number(self, name: str, default: int, most: int) -> int:
        """A field of the query that is a number from 1 on."""
        text = self.get(name)
        if name not in self.request.query_params:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10 and 0 < int(text) <= most):
            raise InvalidRequest(name, f"{text!r} is no number from 1 to {most}")
        return int(text)

    def choice(self, name: str, words: Sequence[str], default: str) -> str:
        """A field of the query that is one of some words."""
        text = self.get(name) if name in self.request.query_params else default
        if text not in words:
            raise InvalidRequest(name, f"it is one of {', '.join(filter(None, words))}")
        return text

    @property
    def instance(self) -> str:
        """The instance that is asked about: of the path, the form or the query; the default one has no name."""
        found = self.path.get("instance") or self.form.get("instance") or self.get("instance")
        return check_instance_name(found)

    def address(self) -> BlobAddress:
        """The blob that the path names; raise `InvalidRequest`."""
        return BlobAddress.parse(self.instance, self.path["function"], self.path["digest"])


class Site:
    """What the views work on: `store` is what is here, `backing` that and what is behind it."""

    def __init__(self, services: Services, store: Store, metrics: ServerMetrics, guard: Guard) -> None:
        self.backing: Backing = services.store
        self.store = store
        self.guard = guard
        self._viewing = Viewing(store)
        self.catalogue = self._viewing.catalogue
        self._metrics = metrics

    def close(self) -> None:
        """Let running views end, and let go of the catalogue."""
        self._viewing.close()

    def may_read(self, asked: Asked, instance: str) -> bool:
        """Whether the caller may read in an instance: what is listed is filtered by it."""
        return self.guard.may(asked.caller, instance, Right.READ)

    def may_write(self, asked: Asked, instance: str) -> bool:
        """Whether the caller may invalidate there."""
        return not self.store.read_only and self.guard.may(asked.caller, instance, Right.AC)

    def endpoint(
        self,
        route: str,
        kind: str,
        view: Callable[[Asked], Response],
        methods: tuple[str, ...],
        refused: Callable[[Request, Exception], Response],
    ) -> Callable[[Request], Awaitable[Response]]:
        """A handler around a view, which may block; `kind` is what it is counted as."""
        rights = of_web(route)

        async def handle(request: Request) -> Response:
            try:
                if request.method not in methods:
                    raise WrongMethod(request.method, methods)
                caller = await identify(self.guard, request) if rights != () else None
                request.scope[CALL].identity = caller.name if caller else ""
                asked = Asked(request, caller, await _form(request) if request.method == "POST" else {})
                if rights is None:
                    self.guard.check_anywhere(caller)
                elif rights:
                    self.guard.check(caller, asked.instance, rights)
                # A page of an action tells what the catalogue knows of it; those of other blobs do without.
                listed = route in _LISTING or (route == "blob" and asked.path["kind"] == "action")
                response = await self._viewing.run(lambda: view(asked), listed)
            except EXPECTED as error:
                response = await in_thread(refused, request, error)
            except ClientDisconnect:
                response = refused(request, InvalidRequest("body", "it broke off"))
            self._metrics.requested(
                _COUNTED.get(request.method, "get"), kind, outcome(request.method, response.status_code)
            )
            return response

        return handle


async def _form(request: Request) -> dict[str, str]:
    """The fields of a form, as browsers send one without files; raise `InvalidRequest`."""
    from urllib.parse import parse_qsl

    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise InvalidRequest("Content-Type", "a form is application/x-www-form-urlencoded")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _LARGEST_FORM:
            raise InvalidRequest("body", f"a form has at most {_LARGEST_FORM} bytes")
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=100)
    except ValueError as error:
        raise InvalidRequest("body", f"it is no form: {error}") from None
    return {name: value.strip() for name, value in pairs}

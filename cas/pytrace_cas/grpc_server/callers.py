# SPDX-License-Identifier: Apache-2.0
"""Who makes a gRPC call, and whether they may: what the adapters ask the guard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytrace_cas.access import identity as identities
from pytrace_cas.access.demands import DEMANDS
from pytrace_cas.services.errors import NotPermitted

if TYPE_CHECKING:
    from pytrace_cas.access.guard import Guard
    from pytrace_cas.access.identity import Identity
    from pytrace_cas.grpc_server.calls import Context


class Entrance:
    """Where the calls of one method come in; `method` is its full name."""

    def __init__(self, guard: Guard, method: str) -> None:
        self._guard = guard
        self._demand = DEMANDS.get(method)
        self._method = method

    async def identify(self, context: Context) -> Identity | None:
        """Say who calls, before anything they sent is read; raise `Unauthenticated`."""
        return await identify(self._guard, context)

    def check(self, identity: Identity | None, request: Any) -> None:
        """Raise `Unauthenticated` or `NotPermitted` unless they may; `request` is the first of a stream."""
        if self._guard.open:
            return
        if identity is None:
            # Whether their request makes sense is for those to know who may make it.
            self._guard.check_anywhere(identity)
        if self._demand is None:
            raise NotPermitted("everybody", self._method, "*")
        self._guard.check(identity, self._demand.instance(request), self._demand.rights)


async def identify(guard: Guard, context: Context) -> Identity | None:
    """Say who calls: by their `authorization` metadata, else by the certificate of their connection."""
    if guard.open:
        return None
    header = next((value for name, value in context.invocation_metadata() or () if name == "authorization"), None)
    if isinstance(header, bytes):
        header = header.decode("latin-1")
    return await guard.identify(header, lambda: _of_certificate(context))


def _of_certificate(context: Context) -> Identity | None:
    found = context.auth_context()
    names, others = (
        [name.decode("utf-8", "replace") for name in found.get(key, ())]
        for key in ("x509_common_name", "x509_subject_alternative_name")
    )
    return identities.of_certificate(names, others)

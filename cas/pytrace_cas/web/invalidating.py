# SPDX-License-Identifier: Apache-2.0
"""Pages that invalidate, after a question, and that take an invalidation back (docs/invalidation.md)."""

from __future__ import annotations

import posixpath
from typing import TYPE_CHECKING, Any

from pytrace_cas import store as storage
from pytrace_cas.digest import SHA256, Digest, MalformedDigest
from pytrace_cas.generations import Ledger
from pytrace_cas.recorded.invalidations import LONGEST_TEXT, Invalidation, invalidations, undoing
from pytrace_cas.recorded.places import escape
from pytrace_cas.services import shared_generations
from pytrace_cas.services.errors import FileNotHere, InvalidRequest
from pytrace_cas.web import forgery
from pytrace_cas.web.addresses import UI, with_query
from pytrace_cas.web.answers import Page, see_other
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.responses import Response

    from pytrace_cas.web.site import Asked, Site

LIST, ASK, UNDO = f"{UI}invalidations/", f"{UI}invalidate/", f"{UI}undo/"
SCOPES = ("action", "command", "label", "target", "mnemonic", "root", "path")
"""What a form may state; nothing at all is everything in the instance."""


class Invalidating:
    """Views of the invalidations of one instance."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """List what was invalidated, the last first."""
        found = [_described(one) for one in reversed(self._known(asked.instance))]
        may_write = self._site.may_write(asked, asked.instance)
        return Page("invalidations.html", {"rows": found, "instance": asked.instance, "may_write": may_write})

    def ask(self, asked: Asked) -> Page:
        """Say what would be invalidated, and ask whether it is to be."""
        self._writable()
        scope = list(_scope({name: asked.get(name) for name in SCOPES}))
        if not scope and asked.get("everything") != "yes":
            raise InvalidRequest("scope", "say what to invalidate, or tick that everything in the instance is meant")
        token, cookie = forgery.token(asked.request)
        fields = {name: asked.get(name) for name in (*SCOPES, "everything") if asked.get(name)}
        values = {"scope": _shown(scope), "fields": fields, "instance": asked.instance, "token": token}
        return Page("invalidate.html", {**values, "reason": asked.get("reason")}, cookie=cookie)

    def invalidate(self, asked: Asked) -> Response:
        """Invalidate, and show the list."""
        self._writable()
        forgery.check(asked.request, asked.form)
        scope = list(_scope({name: asked.form.get(name, "") for name in SCOPES}))
        if not scope and asked.form.get("everything") != "yes":
            raise InvalidRequest("scope", "say what to invalidate")
        one = Invalidation.new(scope, _who(asked), _text("reason", asked.form.get("reason", "")))
        self._unite(asked.instance, one.ledger())
        return see_other(with_query(LIST, {"instance": asked.instance, "done": one.id}))

    def ask_undo(self, asked: Asked) -> Page:
        """Say which invalidation would be taken back, and ask whether it is to be."""
        self._writable()
        one = self._one(asked.instance, asked.get("id"))
        token, cookie = forgery.token(asked.request)
        values = {"row": _described(one), "instance": asked.instance, "token": token}
        return Page("undo.html", values, cookie=cookie)

    def undo(self, asked: Asked) -> Response:
        """Take an invalidation back, and show the list."""
        self._writable()
        forgery.check(asked.request, asked.form)
        one = self._one(asked.instance, asked.form.get("id", ""))
        self._unite(asked.instance, undoing(one.id, _who(asked)))
        return see_other(with_query(LIST, {"instance": asked.instance}))

    def described(self, asked: Asked) -> list[dict[str, Any]]:
        """The list as the API tells it."""
        return [_described(one) for one in reversed(self._known(asked.instance))]

    def _known(self, instance: str) -> list[Invalidation]:
        found = shared_generations.read(self._site.backing, instance)
        return [] if found is None else list(invalidations(Ledger.decode(found.stdout_raw)))

    def _one(self, instance: str, id: str) -> Invalidation:
        for one in self._known(instance):
            if one.id == id and one.undone is None:
                return one
        raise FileNotHere(f"invalidation {id}")

    def _unite(self, instance: str, ledger: Ledger) -> None:
        result = reapi.ActionResult.FromString(ledger.result().encode())
        shared_generations.unite(self._site.backing, instance, SHA256, result)

    def _writable(self) -> None:
        if self._site.store.read_only:
            raise storage.ReadOnlyStore(self._site.store.path)


def _scope(fields: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """What fields state, in the words of an invalidation; raise `InvalidRequest`."""
    for name, text in fields.items():
        if not text:
            continue
        if name == "action":
            try:
                yield name, str(Digest.parse(text)).encode()
            except MalformedDigest as error:
                raise InvalidRequest(name, str(error)) from None
        elif name == "path":
            yield from _path(text)
        elif name == "root":
            if not text.startswith("/"):
                raise InvalidRequest(name, "give the absolute path of the root, as it is on the machine of the runs")
            yield name, posixpath.normpath(_text(name, text))
        elif name == "label" and not text.partition("=")[0]:
            raise InvalidRequest(name, "write K=V")
        else:
            yield name, _text(name, text)


def _path(text: str) -> Iterator[tuple[str, bytes]]:
    """A path relative to the root, in a place (`%H/x`), or absolute."""
    raw = _text("path", text)
    if raw.startswith(b"/"):
        yield "path", escape(raw)
        yield "at", raw
    elif raw[:2] in (b"%R", b"%H", b"%T") and raw[2:3] in (b"", b"/"):
        yield "path", raw[:2] + escape(raw[2:])
    else:
        yield "path", b"%R/" + escape(raw.removeprefix(b"./"))


def _text(name: str, text: str) -> bytes:
    raw = text.encode("utf-8", "replace")
    if len(raw) > LONGEST_TEXT:
        raise InvalidRequest(name, f"it has more than {LONGEST_TEXT} bytes")
    return raw


def _who(asked: Asked) -> bytes:
    """Who is said to have done it: the caller's name, or where they called from."""
    client = asked.request.client
    name = asked.caller.name if asked.caller else f"somebody at {client.host if client else 'this machine'}"
    return name.encode("utf-8", "replace")


def _shown(scope: list[tuple[str, bytes]]) -> list[tuple[str, str]]:
    return [(name, value.decode("utf-8", "replace")) for name, value in scope if name != "at"]


def _described(one: Invalidation) -> dict[str, Any]:
    """An invalidation as `pytrace invalidate --list --json` tells it, less where it holds."""
    scope: dict[str, Any] = {}
    for name, value in one.scope:
        text = value.decode("utf-8", "replace")
        if name == "label":
            scope.setdefault(name, []).append(text)
        else:
            scope[name] = text
    undone = None
    if one.undone is not None:
        undone = {"time": one.undone[0], "by": one.undone[1].decode("utf-8", "replace")}
    return {
        "id": one.id,
        "time": one.made,
        "by": one.by.decode("utf-8", "replace"),
        "reason": one.why.decode("utf-8", "replace"),
        "scope": scope,
        "undone": undone,
    }

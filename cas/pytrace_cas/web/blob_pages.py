# SPDX-License-Identifier: Apache-2.0
"""Pages of one blob: an action, a command, a directory, a tree, a file; and a blob to be saved."""

from __future__ import annotations

from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any

from pytrace_cas.services.errors import FileNotHere
from pytrace_cas.store import BlobNotFound
from pytrace_cas.web.action_history import around
from pytrace_cas.web.actions import describe_action, describe_command
from pytrace_cas.web.addresses import API, with_query
from pytrace_cas.web.answers import Page, download
from pytrace_cas.web.folders import describe_directory, describe_tree
from pytrace_cas.web.messages import read_message
from pytrace_cas.web.observations import grouped
from pytrace_cas.web.previews import preview
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from starlette.responses import Response

    from pytrace_cas.web.addresses import BlobAddress
    from pytrace_cas.web.previews import Preview
    from pytrace_cas.web.site import Asked, Site

PREVIEWED, PREVIEW_OF_OUTPUT = 20, 4 << 10
"""Output files of which an action's page shows the beginning, and bytes of each."""
# Rows of a directory on one page.
ROWS = 1000


class BlobPages:
    """Views of what an address with a digest names."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def show(self, asked: Asked) -> Page:
        """Show a blob as what the address says that it is."""
        views = {
            "action": self._action,
            "command": self._command,
            "directory": self._directory,
            "file": self._file,
            "tree": self._tree,
        }
        view = views.get(asked.path["kind"])
        if view is None:
            raise FileNotHere(asked.request.url.path)
        return view(asked, asked.address())

    def save(self, asked: Asked) -> Response:
        """A blob's bytes, to be saved and never shown."""
        return download(self._site.backing, asked.address(), asked.get("name"))

    def _action(self, asked: Asked, address: BlobAddress) -> Page:
        found = describe_action(self._site.backing, address)
        streams = {name: self._stream(address, found, name) for name in ("stdout", "stderr")}
        observations = found["observations"]
        return Page(
            "action.html",
            {
                "address": address,
                "action": found,
                "streams": streams,
                "previews": self._previews(address, found),
                "observed": None if observations is None else grouped(observations),
                **around(self._site, address),
                "most": ROWS,
                "api": with_query(f"{API}actions/{address.function.name}/{address.short()}", address.query()),
                "may_write": self._site.may_write(asked, address.instance),
            },
        )

    def _previews(self, address: BlobAddress, found: dict[str, Any]) -> dict[str, Preview]:
        """How the first output files begin, by digest; of one that is not here nothing is shown."""
        outputs = found.get("effects") or (found["result"] or {}).get("outputs", ())
        named = (one["digest"] for one in outputs if "digest" in one and one["kind"] not in ("tree", "directory"))
        shown: dict[str, Preview] = {}
        for digest in islice(dict.fromkeys(named), PREVIEWED):
            blob = address.of(digest)
            with suppress(BlobNotFound):
                shown[digest] = preview(self._site.backing, blob, PREVIEW_OF_OUTPUT)
        return shown

    def _stream(self, address: BlobAddress, found: dict[str, Any], name: str) -> tuple[BlobAddress, Preview] | None:
        """What a command wrote, if there is a result and it wrote something."""
        digest = (found["result"] or {}).get(name)
        if digest is None:
            return None
        blob = address.of(digest)
        try:
            return (blob, preview(self._site.backing, blob)) if blob.digest.size_bytes else None
        except BlobNotFound:
            return None

    def _command(self, asked: Asked, address: BlobAddress) -> Page:
        command = describe_command(read_message(self._site.backing, address, reapi.Command))
        return Page("command.html", {"address": address, "command": command})

    def _directory(self, asked: Asked, address: BlobAddress) -> Page:
        return _listing(asked, address, "directory", describe_directory(self._site.backing, address), "")

    def _tree(self, asked: Asked, address: BlobAddress) -> Page:
        path = asked.get("path").strip("/")
        return _listing(asked, address, "tree", describe_tree(self._site.backing, address, path), path)

    def _file(self, asked: Asked, address: BlobAddress) -> Page:
        shown = preview(self._site.backing, address)
        return Page("file.html", {"address": address, "preview": shown, "name": asked.get("name")})


def _listing(asked: Asked, address: BlobAddress, kind: str, found: dict[str, Any], path: str) -> Page:
    """A directory, as many rows of it as a page has."""
    rows = [{"kind": part, **row} for part, name in _PARTS for row in found[name]]
    first = asked.number("from", 1, 10_000_000)
    shown = rows[first - 1 : first - 1 + ROWS]
    values = {"rows": shown, "all": len(rows), "first": first, "last": first - 1 + len(shown), "step": ROWS}
    return Page("directory.html", {"address": address, "kind": kind, "path": path, "name": asked.get("name"), **values})


_PARTS = (("directory", "directories"), ("file", "files"), ("symlink", "symlinks"))

# SPDX-License-Identifier: Apache-2.0
"""Lists over `/api/v1/` of a pytrace-cas: the protocol itself cannot list."""

from __future__ import annotations

import json
import os
import ssl
import urllib.error
import urllib.request
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import attrs

from pytrace_exec.cli.exit_status import NOT_AUTHORISED, NOT_FOUND, UNREACHABLE, USAGE
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from pytrace_exec.options import Options

_MOST = 1000
_LONGEST = 64 << 20


@attrs.frozen
class RemoteListing:
    """The API of one server; `base` is its address without `/` at the end."""

    base: str
    instance: str | None
    headers: dict[str, str]
    timeout: float
    context: ssl.SSLContext | None

    @classmethod
    def of(cls, options: Options) -> RemoteListing:
        """Of the remote that the options name; raise `Failed` if it is no HTTP address."""
        remote = options.remote or ""
        if not remote.startswith(("http://", "https://")):
            raise Failed(
                f"--remote {remote}: the protocol cannot list or search; give the HTTP address of a pytrace-cas "
                "(http://HOST:PORT), or a whole digest to `pytrace show`",
                USAGE,
            )
        headers = dict(options.remote_header)
        context = _tls(options) if remote.startswith("https://") else None
        return cls(remote.rstrip("/"), options.instance_name or None, headers, options.remote_timeout, context)

    def actions(self, filter: str, sort: str, limit: int) -> list[dict[str, Any]]:
        """The first rows that a filter wants."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        while len(rows) < limit:
            asked = {"filter": filter, "sort": sort, "limit": min(limit - len(rows), _MOST), "cursor": cursor}
            found = self.get("/api/v1/actions", {**asked, "instance": self.instance or ""})
            rows += found.get("actions", [])
            cursor = found.get("cursor") or ""
            if not cursor:
                break
        return rows[:limit]

    def differing(self, row: dict[str, Any]) -> dict[str, Any]:
        """What the server said along with the row; nothing of a server that is too old to say it."""
        return {"differs": row.get("differs", {})}

    def get(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        """Ask for an object; raise `Failed` with what the server says."""
        given = {name: value for name, value in asked.items() if value not in ("", None)}
        url = f"{self.base}{path}?{urlencode(given)}" if given else f"{self.base}{path}"
        request = urllib.request.Request(url, headers=self.headers)
        try:
            with urllib.request.urlopen(request, timeout=self.timeout, context=self.context) as answer:
                found = json.loads(answer.read(_LONGEST))
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(self.base, error.code, error.read(1 << 16)) from None
        except (OSError, ValueError) as error:
            raise Failed(f"{self.base} cannot be asked: {error}; is it a pytrace-cas?", UNREACHABLE) from None
        if not isinstance(found, dict):
            raise Failed(f"{self.base}{path} does not answer as a pytrace-cas does", UNREACHABLE)
        return found


def _refused(base: str, code: int, body: bytes) -> Failed:
    try:
        said = str(json.loads(body).get("message", ""))
    except (ValueError, AttributeError):
        said = ""
    if code in (401, 403):
        return Failed(f"{base}: {said or 'not allowed'}; give credentials with --remote-header", NOT_AUTHORISED)
    if code == 400:
        return Failed(f"{base}: {said or 'it does not understand the question'}", USAGE)
    if code == 404:
        return Failed(f"{base}: {said or 'it has no /api/v1/; only pytrace-cas can list and search'}", NOT_FOUND)
    return Failed(f"{base}: HTTP {code} {said}".rstrip(), UNREACHABLE)


def _tls(options: Options) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=os.fsdecode(options.remote_ca) if options.remote_ca else None)
    if options.remote_cert:
        context.load_cert_chain(
            os.fsdecode(options.remote_cert), os.fsdecode(options.remote_key) if options.remote_key else None
        )
    return context

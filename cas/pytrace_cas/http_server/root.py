# SPDX-License-Identifier: Apache-2.0
"""`GET /`: what this is, for somebody who found the port; as HTML for browsers, else as text."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import HTMLResponse, PlainTextResponse

from pytrace_cas import __version__

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response

TITLE = f"pytrace-cas {__version__}: a Remote Execution API cache, and it is up."
USES = (
    ("Bazel over HTTP", "--remote_cache=http://HOST:PORT"),
    ("Bazel over gRPC", "--remote_cache=grpc://HOST:GRPC-PORT"),
    ("ccache", 'CCACHE_REMOTE_STORAGE="http://HOST:PORT|layout=bazel"'),
    ("sccache", "SCCACHE_WEBDAV_ENDPOINT=http://HOST:PORT/webdav"),
)
CACHE = "/[INSTANCE/]ac/HASH, /[INSTANCE/]cas/HASH"
PAGES = (
    ("/status", "how full it is, as JSON"),
    ("/metrics", "for Prometheus"),
    ("/healthz", "200 while it is alive"),
    ("/readyz", "200 while it takes work"),
)
DOCUMENTED = (
    "pytrace-cas serve --help lists the options; docs/server.md and docs/operating.md in its sources say the rest."
)


def root_page(request: Request) -> Response:
    """Answer with the form that the client prefers."""
    headers = {"vary": "accept"}
    if _wants_html(request.headers.get("accept", "")):
        # Nothing is loaded from anywhere.
        headers["content-security-policy"] = "default-src 'none'; style-src 'unsafe-inline'"
        return HTMLResponse(HTML, headers=headers)
    return PlainTextResponse(TEXT, headers=headers)


def _wants_html(accept: str) -> bool:
    """Whether the header names HTML, with a weight, and no greater one for plain text (RFC 9110, 12.5.1)."""
    weights = {}
    for part in accept.split(","):
        kind, *parameters = (word.strip().lower() for word in part.split(";"))
        given = [word.removeprefix("q=") for word in parameters if word.startswith("q=")]
        weights[kind] = _weight(given[0]) if given else 1.0
    return weights.get("text/html", 0.0) > weights.get("text/plain", 0.0)


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _as_text() -> str:
    uses = "".join(f"{name:<18}{what}\n" for name, what in USES)
    pages = "".join(f"{path:<11}{what}\n" for path, what in PAGES)
    return f"{TITLE}\n\n{uses}\n{CACHE}   the cache: GET, HEAD, PUT\n{pages}\n{DOCUMENTED}\n"


def _as_html() -> str:
    uses = "".join(f"<dt>{name}</dt><dd><code>{what}</code></dd>\n" for name, what in USES)
    pages = "".join(f'<dt><a href="{path}">{path}</a></dt><dd>{what}</dd>\n' for path, what in PAGES)
    style = "body{font:1rem/1.5 sans-serif;max-width:45rem;margin:2rem auto;padding:0 1rem}dd{margin:0 0 .5rem 1rem}"
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>pytrace-cas</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{style}</style>\n</head>\n<body>\n'
        f"<h1>pytrace-cas</h1>\n<p>{TITLE}</p>\n<dl>\n{uses}"
        f"<dt><code>{CACHE}</code></dt><dd>the cache: GET, HEAD, PUT</dd>\n{pages}</dl>\n"
        f"<p>{DOCUMENTED}</p>\n</body>\n</html>\n"
    )


TEXT, HTML = _as_text(), _as_html()

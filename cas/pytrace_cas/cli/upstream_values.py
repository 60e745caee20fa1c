# SPDX-License-Identifier: Apache-2.0
"""Values of the options that describe an upstream tier; none of them shows a secret when it is printed."""

from __future__ import annotations

from typing import Any

import click

from pytrace_cas.upstream import Header, Location, MalformedLocation, Upstream


class LocationType(click.ParamType[Location]):
    """A tier's URL."""

    name = "url"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Location:
        """Read a URL; errors do not show it, since it may hold credentials."""
        if isinstance(value, Location):
            return value
        try:
            return Location.parse(str(value))
        except MalformedLocation as error:
            self.fail(f"that is the address of no upstream: {error.why}", param, ctx)


class HeaderType(click.ParamType[Header]):
    """`NAME=VALUE`; in the environment one a line."""

    name = "name=value"
    envvar_list_splitter = "\n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Header:
        """Read a header; errors do not show its value."""
        if isinstance(value, Header):
            return value
        name, separator, content = str(value).partition("=")
        name = name.strip()
        if not separator or not name or not all(c.isascii() and (c.isalnum() or c in "-_.") for c in name):
            self.fail("write NAME=VALUE", param, ctx)
        if not (content.isascii() and content.isprintable()):
            self.fail(f"the value of {name} has characters that no header has", param, ctx)
        return Header(name, content)


def upstream_of(
    upstream: Location | None,
    upstream_read_only: bool,
    upstream_header: tuple[Header, ...],
    upstream_ca: str | None,
    upstream_cert: str | None,
    upstream_key: str | None,
    upstream_timeout: float,
) -> Upstream | None:
    """Put the options together; raise `UsageError` when there is no upstream that they describe."""
    if upstream is None:
        described = upstream_header or upstream_ca or upstream_cert or upstream_key or upstream_read_only
        if described:
            raise click.UsageError("--upstream-... options describe --upstream URL, which is not given")
        return None
    if (upstream_cert is None) != (upstream_key is None):
        raise click.UsageError("--upstream-cert and --upstream-key belong together")
    return Upstream(
        upstream, upstream_header, upstream_ca, upstream_cert, upstream_key, upstream_timeout, upstream_read_only
    )

# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas conform`: the rules of the protocol, asked of any REAPI cache."""

from __future__ import annotations

import json
import logging
import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas.cli.exit_status import PROBLEMS
from pytrace_cas.cli.main import cli
from pytrace_cas.cli.serve_options import SizeType
from pytrace_cas.cli.values import duration
from pytrace_cas.conform.endpoint import Access, Endpoint, MalformedEndpoint

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache
    from pytrace_cas.conform.registry import Finding

CONFORM_SHOWN = "Exit status: 0 no rule failed; 1 some did, or nobody answered; 2 usage."


class EndpointType(click.ParamType[Endpoint]):
    """The URL of a cache; with `http`, of one that speaks HTTP."""

    name = "url"

    def __init__(self, *, http: bool = False) -> None:
        self._http = http

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Endpoint:
        """Read a URL."""
        try:
            endpoint = Endpoint.parse(str(value))
        except MalformedEndpoint as error:
            self.fail(str(error), param, ctx)
        if self._http and not endpoint.is_http:
            self.fail(f"{value!r} is no http:// or https:// address", param, ctx)
        return endpoint


def _headers(ctx: click.Context, param: click.Parameter, given: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    pairs = [text.partition("=") for text in given]
    if not all(name and sign for name, sign, _ in pairs):
        # The value may be a credential, so it is not repeated.
        raise click.BadParameter("needs the form NAME=VALUE")
    return tuple((name, value) for name, _, value in pairs)


def _seconds(ctx: click.Context, param: click.Parameter, text: str) -> float:
    return duration(text)


def _content(ctx: click.Context, param: click.Parameter, file: Any) -> bytes | None:
    return None if file is None else file.read()


@cli.command(epilog=CONFORM_SHOWN)
@click.argument("endpoint", type=EndpointType())
@click.option("--instance-name", default="", metavar="NAME", help="Instance of the cache that is asked.")
@click.option("--http", type=EndpointType(http=True), metavar="URL", help="The same cache over HTTP: rules H1 to H18.")
@click.option(
    "--header",
    "headers",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_headers,
    help="Sent with every call, never shown; repeatable.",
)
@click.option(
    "--read-only-header",
    "reader_headers",
    multiple=True,
    metavar="NAME=VALUE",
    callback=_headers,
    help="Sent in place of --header as somebody who may only read: rules 18, 41, 68; repeatable.",
)
@click.option("--ca", type=click.File("rb"), callback=_content, help="Certificates that the cache's may be signed by.")
@click.option("--cert", type=click.File("rb"), callback=_content, help="The client's certificate.")
@click.option("--key", type=click.File("rb"), callback=_content, help="The key of the client's certificate.")
@click.option("--timeout", default="20s", show_default=True, callback=_seconds, help="What one call may take.")
@click.option(
    "--overfill",
    type=SizeType(),
    default=0,
    metavar="SIZE",
    help="Upload as much to see what is evicted: rules 23 and 45. It pushes others' blobs out.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def conform(
    endpoint: Endpoint, instance_name: str, http: Endpoint | None, headers: tuple[tuple[str, str], ...],
    reader_headers: tuple[tuple[str, str], ...], ca: bytes | None, cert: bytes | None, key: bytes | None,
    timeout: float, overfill: int, as_json: bool,
) -> None:  # fmt: skip
    """Ask the cache at ENDPOINT for what the protocol's rules say: pass, fail or not offered, rule by rule.

    ENDPOINT is grpc://HOST:PORT, grpcs://HOST:PORT, unix:PATH, or http://HOST:PORT for the HTTP rules alone. What is
    uploaded is new and random, some 30 MB in all; it stays until the cache evicts it.
    """
    from pytrace_cas.conform import Status

    # An answer that is no message is a finding, and not to be told by gRPC's library too.
    logging.getLogger("grpc").setLevel(logging.CRITICAL)
    access = Access(headers, ca, cert, key, timeout)
    reader = Access(reader_headers, ca, cert, key, timeout) if reader_headers else None
    instance = "/".join(filter(None, (endpoint.instance, instance_name)))
    with ExitStack() as stack:
        cache = _open(stack, endpoint, http, instance, access, reader, overfill)
        findings = _told(cache, endpoint.url, as_json)
    if any(finding.status is Status.FAIL for finding in findings):
        sys.exit(PROBLEMS)


def _open(
    stack: ExitStack, endpoint: Endpoint, http: Endpoint | None, instance: str, access: Access,
    reader: Access | None, overfill: int,
) -> Cache:  # fmt: skip
    # Imported here: `pytrace-cas --help` needs neither gRPC nor HTTP.
    from pytrace_cas.conform.cache import Cache
    from pytrace_cas.conform.web import Web
    from pytrace_cas.conform.wire import Wire

    web = http or (endpoint if endpoint.is_http else None)
    path = instance if web is http else instance.removeprefix(endpoint.instance).lstrip("/")
    wire = None if endpoint.is_http else stack.enter_context(Wire(endpoint, access))
    other = stack.enter_context(Wire(endpoint, reader)) if reader and wire else None
    found = None if web is None else Web(web, access, path)
    return Cache(wire, found, instance, reader=other, overfill=overfill)


def _told(cache: Cache, url: str, as_json: bool) -> list[Finding]:
    """Judge the rules and print what was found."""
    from pytrace_cas.conform import judge_all, report

    findings: list[Finding] = []
    terminal = sys.stdout.isatty()
    for finding in judge_all(cache):
        findings.append(finding)
        if not as_json and not terminal:
            click.echo(report.as_line(finding))
        elif sys.stderr.isatty():
            click.echo(f"\rrule {finding.rule.id:<4}", err=True, nl=False)
    if sys.stderr.isatty() and (as_json or terminal):
        click.echo("\r          \r", err=True, nl=False)
    if as_json:
        click.echo(json.dumps(report.as_json(url, findings)))
        return findings
    if terminal:
        report.print_table(findings)
    click.echo(report.summary(findings), err=True)
    return findings

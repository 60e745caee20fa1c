# SPDX-License-Identifier: Apache-2.0
"""The options of `serve`, from the command line, else the environment, else a TOML file, else their defaults."""

from __future__ import annotations

import os
import re
import tomllib
from typing import TYPE_CHECKING, Any, TypeVar

import click

from pytrace_cas.cli.upstream_values import HeaderType, LocationType
from pytrace_cas.cli.values import duration
from pytrace_cas.listening import Address, MalformedAddress
from pytrace_cas.logs import FORMATS
from pytrace_cas.origins import AllowedOrigin, MalformedOrigin

if TYPE_CHECKING:
    from collections.abc import Callable

F = TypeVar("F", bound="Callable[..., Any]")

# A worker more than cores helps nobody; on a large machine, four keep up with what one disk and one index give.
MOST_WORKERS = 4

_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_UNITS |= {f"{letter}I": 1 << 10 * power for power, letter in enumerate("KMGT", 1)}
_SIZE = re.compile(r"([0-9]+)\s*([KMGT]I?)?B?", re.IGNORECASE)


class SizeType(click.ParamType[int]):
    """Bytes: `500M` is 500 * 1000^2, `20GiB` is 20 * 1024^3; a bare number counts `unit` bytes."""

    name = "size"

    def __init__(self, unit: int = 1) -> None:
        self._unit = unit

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read a size, or what a TOML file holds as a number."""
        text = str(value)
        match = _SIZE.fullmatch(text.strip())
        if match is None:
            self.fail(f"{text!r} is no size: write 500M or 20GiB", param, ctx)
        unit = self._unit if text.strip().isdigit() else _UNITS[(match[2] or "").upper()]
        return int(match[1]) * unit


class AddressType(click.ParamType[Address | None]):
    """`HOST:PORT` or `unix:PATH`; with `optional`, also `none`."""

    name = "address"

    def __init__(self, *, optional: bool = False) -> None:
        self._optional = optional

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Address | None:
        """Read an address."""
        if isinstance(value, Address):
            return value
        if self._optional and value == "none":
            return None
        try:
            return Address.parse(str(value))
        except MalformedAddress as error:
            self.fail(str(error), param, ctx)


class OriginType(click.ParamType[AllowedOrigin]):
    """`SCHEME://HOST[:PORT]`, HOST also `*.DOMAIN` or `*`."""

    name = "origin"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> AllowedOrigin:
        """Read an origin."""
        if isinstance(value, AllowedOrigin):
            return value
        try:
            return AllowedOrigin.parse(str(value))
        except MalformedOrigin as error:
            self.fail(str(error), param, ctx)


def _read_config(ctx: click.Context, param: click.Parameter, path: str | None) -> str | None:
    """Make a TOML file's values the defaults; its keys are the options' names, with `-` or `_`."""
    if path is None:
        return None
    try:
        with open(path, "rb") as file:
            values = {key.replace("-", "_"): value for key, value in tomllib.load(file).items()}
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise click.BadParameter(f"cannot read {path}: {error}") from None
    known = {option.name for option in ctx.command.params} - {"config"}
    if unknown := sorted(values.keys() - known):
        raise click.BadParameter(f"{path} has an unknown key {unknown[0]!r}")
    ctx.default_map = values
    return path


def _seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> int | None:
    """Read a duration; None if it is not given."""
    return None if text is None else int(duration(str(text)))


def _positive_seconds(ctx: click.Context, param: click.Parameter, text: str | None) -> float | None:
    """Read a duration that is not 0; None if it is not given."""
    if text is None:
        return None
    if not (seconds := duration(str(text))):
        raise click.BadParameter("it must be more than nothing")
    return seconds


class _Option(click.Option):
    """An option that reads bazel-remote's spelling too (`--grpc_address`), and does not show it."""

    def get_help_record(self, ctx: click.Context) -> tuple[str, str] | None:
        """Describe it under its own names."""
        opts, self.opts = self.opts, [name for name in self.opts if "_" not in name]
        try:
            return super().get_help_record(ctx)
        finally:
            self.opts = opts


def _option(name: str, help: str, **attributes: Any) -> Callable[[F], F]:
    own = name.partition("/")[0]
    spelled = "--" + own.removeprefix("--").replace("-", "_")
    attributes |= {"show_default": True, "show_envvar": True, "envvar": f"PYTRACE_CAS_{spelled[2:].upper()}"}
    # bazel-remote's --max_size counts GiB, so it is an option of its own.
    names = [name] if spelled in (own, "--max_size") else [name, spelled]
    return click.option(*names, help=help, cls=_Option, **attributes)


def _file(name: str, help: str) -> Callable[[F], F]:
    return _option(name, help, metavar="FILE", type=click.Path(dir_okay=False))


_OPTIONS = (
    _option("--max-size", "Limit of the store, kept in it; a new store has 10GiB.", type=SizeType()),
    click.option("--max_size", "max_size_gib", type=SizeType(1 << 30), hidden=True),
    _option("--grpc-address", "Where gRPC listens: HOST:PORT or unix:PATH; port 0 takes a free one.",
            type=AddressType(), default="127.0.0.1:9092"),
    _option("--http-address", "Where HTTP listens: HOST:PORT, unix:PATH or none.",
            type=AddressType(optional=True), default="127.0.0.1:8080"),
    _option("--workers", "Processes that serve.  [default: one a core, at most 4; 1 for gRPC at unix:PATH]",
            type=click.IntRange(1, 256), metavar="N"),
    _option("--max-blob-size", "Refuse larger blobs; 0 takes all that the store holds.",
            type=SizeType(), default=0),
    _option("--min-lifetime", "Never evict what is younger (3h, 7d), kept in the store; uploads are refused instead.",
            metavar="DUR", callback=_seconds),
    _option("--storage-mode", "How new blobs are kept in files; both kinds are served either way.",
            type=click.Choice(("zstd", "uncompressed")), default="uncompressed"),
    _option("--fsync/--no-fsync", "Let what was acknowledged survive a loss of power too.", default=False),
    _option("--strict-ac/--no-strict-ac", "Refuse results over HTTP that are no ActionResult.", default=False),
    _option("--access-log", "Log every call on stderr.", type=click.Choice(("none", "all")), default="none"),
    _option("--log-format", "Lines on stderr for people, or JSON objects for programs.",
            type=click.Choice(FORMATS), default="console"),
    _option("--idle-timeout", "Stop when no call of a cache client has been running for that long (90s, 1h).",
            metavar="DUR", callback=_positive_seconds),
    _option("--drain-uploads/--no-drain-uploads", "Read uploads of what is here to their end, for HAProxy's sake.",
            default=False),
    _option("--read-only/--no-read-only", "Refuse uploads.", default=False),
    _file("--tls-cert-file", "Serve TLS with this certificate and its chain (PEM)."),
    _file("--tls-key-file", "The certificate's key (PEM)."),
    _file("--tls-ca-file", "Ask clients for certificates of these authorities (PEM)."),
    _file("--htpasswd-file", "Names and passwords, as `htpasswd -B` writes them."),
    _file("--bearer-token-file", "Lines NAME:TOKEN or NAME:sha256:HASH."),
    _file("--jwks-file", "Public keys of those who issue JSON Web Tokens."),
    _option("--jwt-audience", "What tokens must have as their audience."),
    _option("--jwt-issuer", "What tokens must have as their issuer."),
    _file("--rights-file", "Who may do what in which instance (TOML); without it, all who are known may do all."),
    _option("--allow-unauthenticated-reads/--no-allow-unauthenticated-reads",
            "Let those read who do not say who they are.", default=False),
    _option("--max-calls", "Calls at once over each protocol; more are refused. 0: any number.",
            type=click.IntRange(0), default=1000),
    _option("--remote-asset/--no-remote-asset", "Offer the Remote Asset API: which blob a URI has.", default=False),
    _option("--remote-asset-allow", "Fetch assets from SCHEME://HOST[:PORT], HOST also *.DOMAIN or *; repeatable. "
            "Nothing is fetched without it.", type=OriginType(), multiple=True, metavar="ORIGIN"),
    _option("--remote-asset-max-size", "Fetch no larger assets.", type=SizeType(), default="2GiB"),
    _option("--upstream", "Ask this cache for what is not here, write to it what is stored here: grpc, grpcs, unix, "
            "http, https, s3, gs or az.", metavar="URL", type=LocationType()),
    _option("--upstream-read-only/--no-upstream-read-only", "Write nothing upstream.", default=False),
    _option("--upstream-header", "Header sent upstream, NAME=VALUE; repeatable.", type=HeaderType(), multiple=True),
    _file("--upstream-ca", "Certificates that upstream's is checked with."),
    _file("--upstream-cert", "Certificate shown upstream."),
    _file("--upstream-key", "Its key."),
    _option("--upstream-timeout", "How long one answer of upstream may take, beside what its bytes take.",
            metavar="DUR", default="10s", callback=_positive_seconds),
    click.option("--config", metavar="FILE", help="TOML file with these options as keys.", is_eager=True,
                 expose_value=False, callback=_read_config, envvar="PYTRACE_CAS_CONFIG", show_envvar=True),
)  # fmt: skip


def serve_options(*, complete: bool) -> Callable[[F], F]:
    """Give a command all options of `serve`; `complete`: whether those that it cannot do without must be given."""

    def add(command: F) -> F:
        for option in reversed(_OPTIONS):
            command = option(command)
        return _option("--dir", "The store's directory; made when there is none.", metavar="DIR", required=complete)(
            command
        )

    return add


def size_limit(bytes_given: int | None, gib_given: int | None) -> int | None:
    """Join the two spellings of `--max-size`; raise `UsageError` when both are given."""
    if bytes_given is not None and gib_given is not None:
        raise click.UsageError("--max-size and --max_size are one option: give it once")
    return bytes_given if gib_given is None else gib_given


def worker_count(given: int | None, grpc_address: Address) -> int:
    """How many processes serve; raise `UsageError` when they cannot share the address."""
    if grpc_address.path:
        if given not in (None, 1):
            raise click.UsageError("gRPC at unix:PATH has one worker: leave out --workers, or listen at HOST:PORT")
        return 1
    return given or min(MOST_WORKERS, len(os.sched_getaffinity(0)))

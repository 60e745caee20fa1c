# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas serve`: the store as a Remote Execution API cache, over gRPC and HTTP."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING

import click

from pytrace_cas.cli.exit_status import ADDRESS_IN_USE, SERVE_SHOWN
from pytrace_cas.cli.main import cli
from pytrace_cas.cli.serve_options import serve_options, size_limit
from pytrace_cas.listening import AddressInUse, AddressNotAvailable
from pytrace_cas.services import Limits
from pytrace_cas.store import Store

if TYPE_CHECKING:
    from pytrace_cas.listening import Address
    from pytrace_cas.serving import Bound


@cli.command(epilog=SERVE_SHOWN)
@serve_options(complete=True)
def serve(
    dir: str,
    max_size: int | None,
    max_size_gib: int | None,
    grpc_address: Address,
    http_address: Address | None,
    max_blob_size: int,
    min_lifetime: int | None,
    storage_mode: str,
    fsync: bool,
    strict_ac: bool,
    access_log: str,
    read_only: bool,
) -> None:
    """Serve a store over gRPC and HTTP until SIGTERM.

    Once both listen, one line on stdout says where: `ready grpc://HOST:PORT http://HOST:PORT`.
    """
    # Imported here: the other verbs need neither gRPC nor an HTTP server.
    import prometheus_client

    from pytrace_cas.serving import Settings
    from pytrace_cas.serving import serve as serve_until_told

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(name)s: %(message)s")
    # What uvicorn says of its life is said by us.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
    limits = Limits(blob_bytes=max_blob_size)
    settings = Settings(grpc_address, http_address, limits, strict_ac, access_log == "all")
    limit = size_limit(max_size, max_size_gib)
    with Store.open(
        dir,
        max_size=limit,
        min_lifetime=min_lifetime,
        fsync=fsync,
        read_only=read_only,
        compress=storage_mode == "zstd",
    ) as store:
        try:
            asyncio.run(serve_until_told(store, settings, _ready))
        except AddressInUse as error:
            click.echo(f"pytrace-cas: {error}", err=True)
            sys.exit(ADDRESS_IN_USE)
        except AddressNotAvailable as error:
            raise click.UsageError(str(error)) from None


def _ready(bound: Bound) -> None:
    click.echo(f"ready {bound}")

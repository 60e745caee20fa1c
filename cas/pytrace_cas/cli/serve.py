# SPDX-License-Identifier: Apache-2.0
"""`pytrace-cas serve`: the store as a Remote Execution API cache, over gRPC and HTTP."""

from __future__ import annotations

import logging
import os
import sys
from typing import TYPE_CHECKING, Any

import click

from pytrace_cas import logs
from pytrace_cas.access import AccessSettings, BadAccessFile, UselessOption
from pytrace_cas.cli.exit_status import ADDRESS_IN_USE, SERVE_SHOWN, USAGE, status_of
from pytrace_cas.cli.main import cli
from pytrace_cas.cli.serve_options import serve_options, size_limit, worker_count
from pytrace_cas.cli.upstream_values import upstream_of
from pytrace_cas.listening import AddressInUse, AddressNotAvailable, Bound
from pytrace_cas.origins import AllowList
from pytrace_cas.store import Store, StoreError
from pytrace_cas.upstream import UpstreamUnusable, check_usable
from pytrace_cas.workers.service_manager import ServiceManager
from pytrace_cas.workers.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytrace_cas.listening import Address
    from pytrace_cas.origins import AllowedOrigin
    from pytrace_cas.upstream import Upstream

    Work = Callable[[Worker, Bound, Callable[[Bound], None]], None]

log = logging.getLogger(__name__)


@cli.command(epilog=SERVE_SHOWN)
@serve_options(complete=True)
def serve(
    dir: str,
    max_size: int | None,
    max_size_gib: int | None,
    grpc_address: Address,
    http_address: Address | None,
    workers: int | None,
    max_blob_size: int,
    min_lifetime: int | None,
    storage_mode: str,
    fsync: bool,
    strict_ac: bool,
    access_log: str,
    log_format: str,
    idle_timeout: float | None,
    drain_uploads: bool,
    read_only: bool,
    max_calls: int,
    remote_asset: bool,
    remote_asset_allow: tuple[AllowedOrigin, ...],
    remote_asset_max_size: int,
    **others: Any,
) -> None:
    """Serve a store over gRPC and HTTP until SIGTERM.

    Once both listen, one line on stdout says where: `ready grpc://HOST:PORT http://HOST:PORT`.
    """
    logs.configure(log_format)
    limit, number = size_limit(max_size, max_size_gib), worker_count(workers, grpc_address)
    manager = ServiceManager.of(os.environ)
    upstream = upstream_of(**{name: others.pop(name) for name in tuple(others) if name.startswith("upstream")})
    asked_access = _access_settings(others)
    if remote_asset_allow and not remote_asset:
        raise click.UsageError("--remote-asset-allow is of no use without --remote-asset")

    # In a supervisor, what this imports is imported by its workers alone.
    def work(worker: Worker, bound: Bound, ready: Callable[[Bound], None]) -> None:
        import asyncio

        import prometheus_client

        from pytrace_cas.services import AssetSettings, Limits
        from pytrace_cas.serving import Settings
        from pytrace_cas.serving import serve as serve_until_told

        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        limits = Limits(blob_bytes=max_blob_size)
        settings = Settings(
            bound.grpc,
            bound.http,
            limits,
            strict_ac,
            access_log == "all",
            asked_access,
            max_calls or None,
            drain_uploads=drain_uploads,
            assets=AssetSettings(AllowList(remote_asset_allow), remote_asset_max_size) if remote_asset else None,
            upstream=upstream,
            fsync=fsync,
        )
        compress = storage_mode == "zstd"
        with Store.open(dir, fsync=fsync, read_only=read_only, compress=compress) as store:
            asyncio.run(serve_until_told(store, settings, worker, ready))

    # Made and set up here, once: what is wrong with it is said once.
    with Store.open(dir, max_size=limit, min_lifetime=min_lifetime, fsync=fsync, read_only=read_only) as store:
        if not read_only:
            store.keep_spare()
    asked = Bound(grpc_address, http_address, asked_access.tls)
    for warning in asked_access.warnings(beyond_loopback=asked.beyond_loopback):
        log.warning("%s", warning)
    if number == 1:
        worker = Worker(manager=manager, idle_timeout=idle_timeout)
        sys.exit(_status(lambda: work(worker, asked, _ready)))
    if failed := _checked(asked_access, upstream, read_only):
        sys.exit(failed)
    sys.exit(_status(lambda: _supervise(number, asked, idle_timeout, manager, work)))


def _checked(access: AccessSettings, upstream: Upstream | None, read_only: bool) -> int:
    """Try what workers will use in a process of its own, since what does so is large; return its exit status."""
    sys.stderr.flush()
    child = os.fork()
    if child:
        return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    os._exit(_status(lambda: _try(access, upstream, read_only)))


def _try(access: AccessSettings, upstream: Upstream | None, read_only: bool) -> None:
    from pytrace_cas.access.certificates import Certificates
    from pytrace_cas.access.guard import Guard

    Guard(access).close()
    if access.tls:
        Certificates(access)
    if upstream is not None:
        check_usable(upstream, read_only=read_only)


def _supervise(number: int, asked: Bound, idle_timeout: float | None, manager: ServiceManager, work: Work) -> int:
    from pytrace_cas.workers.addresses import held
    from pytrace_cas.workers.run_folder import run_folder
    from pytrace_cas.workers.supervisor import Plan, Supervisor

    with held(asked) as (bound, inherited), run_folder() as folder:
        plan = Plan(number, inherited, folder, idle_timeout, manager, lambda: _ready(bound))
        return Supervisor(plan, lambda worker: _status(lambda: work(worker, bound, _silently))).supervise()


def _status(run: Callable[[], int | None]) -> int:
    """Serve, and turn what went wrong into one line and the exit status."""
    try:
        return run() or 0
    except AddressInUse as error:
        click.echo(f"pytrace-cas: {error}", err=True)
        return ADDRESS_IN_USE
    except (AddressNotAvailable, BadAccessFile, UpstreamUnusable) as error:
        click.echo(f"pytrace-cas: {error}", err=True)
        return USAGE
    except StoreError as error:
        click.echo(f"pytrace-cas: {error}", err=True)
        return status_of(error)


def _access_settings(values: dict[str, Any]) -> AccessSettings:
    settings = AccessSettings(**values)
    try:
        settings.check()
    except UselessOption as error:
        raise click.UsageError(str(error)) from None
    return settings


def _ready(bound: Bound) -> None:
    click.echo(f"ready {bound}")


def _silently(bound: Bound) -> None:
    """Leave it to the supervisor to say so once all are ready."""

# SPDX-License-Identifier: Apache-2.0
"""Invalidating in caches by others: BuildGrid and buildbox-casd, alone and as proxies in front of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytrace_cas.recorded.invalidations import Invalidation
from pytrace_cas.store import Store
from pytrace_exec.generations.dropping import Ledgers
from pytrace_exec.options import parse
from tests.compat.test_buildgrid import insecure, proxy
from tests.compat.test_wrapper_remote import checkouts
from tests.support.foreign_servers import running_buildgrid, running_casd
from tests.support.server import running_server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.compat.test_wrapper_remote import Checkout

pytestmark = pytest.mark.strace


def _invalidates(checkout: Checkout, url: str, folder: Path) -> None:
    """One machine drops a label's runs; another, which had them, misses, and hits again once that is taken back."""
    always = ("--instance-name", "", "--generation-max-age", "0", "--label", "kind=copy")

    def outcomes() -> list[str]:
        return [checkout.run(store, url, *always).how[0] for store in ("a", "b")]

    assert outcomes() == ["miss", "hit"]
    options, _ = parse(["--remote", url, "--", "true"], {})
    with Store.open(bytes(folder / "mine")) as store:
        ledgers = Ledgers(store, options, None)
        one = Invalidation.new((("label", b"kind=copy"),), b"me", b"")
        ledgers.invalidate(one)
        assert outcomes() == ["miss", "hit"]
        ledgers.undo(one.id, b"me")
        assert outcomes() == ["hit", "hit"]
        ((_, listed),) = ledgers.all()
        assert listed.undone is not None


@pytest.mark.parametrize("kind", ["buildgrid", "casd"])
def test_in_a_cache_by_others(tmp_path: Path, kind: str) -> None:
    running = running_buildgrid if kind == "buildgrid" else running_casd
    with running(tmp_path / "other") as url, checkouts(1) as (checkout,):
        _invalidates(checkout, url, tmp_path)


def test_through_a_proxy(tmp_path: Path) -> None:
    with (
        running_server(tmp_path / "served") as server,
        proxy("buildgrid", tmp_path / "proxy", insecure(server)) as url,
        checkouts(1) as (checkout,),
    ):
        _invalidates(checkout, url, tmp_path)

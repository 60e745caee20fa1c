# SPDX-License-Identifier: Apache-2.0
"""Ledgers in remotes: of all kinds, lost, taken by others at the same time, and of remotes that take nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.generations import Ledger, entry_key
from pytrace_cas.recorded.invalidations import Invalidation, invalidations
from pytrace_cas.store import Store
from pytrace_exec.cache.errors import RemoteRefused
from pytrace_exec.cache.remote import Address, connect
from pytrace_exec.generations.dropping import Ledgers, NoSuchInvalidation
from pytrace_exec.generations.shared import SharedLedger
from pytrace_exec.options import Options, parse
from tests.exec.cache.conftest import Open, closed, tiered
from tests.support.foreign_grpc import Code, ForeignCache, foreign_grpc
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.server import running_server

if TYPE_CHECKING:
    from pytrace_exec.cache.remote import Remote
    from pytrace_exec.cache.tiered import TieredCache

__all__ = ["closed", "tiered"]

_connections: list[Remote] = []
KEY = ("", entry_key(SHA256)[0].hash)


def options_for(url: str) -> Options:
    """Options with a remote."""
    return parse(["--remote", url, "--", "true"], {})[0]


def shared(url: str) -> SharedLedger:
    """The ledger in a remote."""
    remote = connect(Address(url, ""), options_for(url))
    _connections.append(remote)
    return SharedLedger(remote, remote.terms(), url)


def names(ledger: Ledger | None) -> list[str]:
    """What keys a ledger has."""
    assert ledger is not None
    return sorted(ledger.lines)


@pytest.mark.parametrize("url", ["grpc://h", "http://h/x", "unix:/s"])
def test_instances_of_one_remote_are_told_apart(url: str) -> None:
    """What one has invalidated is not missed in another: that would be taken for a loss."""
    assert len({Address(url, instance).name for instance in ("", "a", "b")}) == 3


@pytest.fixture(autouse=True)
def _close() -> Iterator[None]:
    yield
    while _connections:
        _connections.pop().close()


@pytest.fixture
def cache() -> ForeignCache:
    """A remote of somebody else's."""
    return ForeignCache()


@pytest.fixture
def url(cache: ForeignCache) -> Iterator[str]:
    """Its address."""
    with foreign_grpc(cache) as found:
        yield found


@pytest.fixture
def stores(tmp_path: Path) -> Iterator[list[Store]]:
    """Three machines."""
    found = [Store.open(bytes(tmp_path / f"store{number}")) for number in range(3)]
    yield found
    for store in found:
        store.close()


@pytest.mark.parametrize("kind", ["foreign grpc", "foreign http", "ours grpc", "ours http"])
def test_a_ledger_grows(kind: str, tmp_path: Path) -> None:
    if kind.startswith("ours"):
        with running_server(tmp_path / "served") as server:
            _grows(server.grpc_url if kind.endswith("grpc") else server.http_url)
    elif kind.endswith("grpc"):
        with foreign_grpc(ForeignCache()) as url:
            _grows(url)
    else:
        with foreign_http(ForeignHttp()) as url:
            _grows(url)


def _grows(url: str) -> None:
    ledger = shared(url)
    assert ledger.read() is None
    ledger.add(Ledger({"aa": "x"}))
    assert names(shared(url).add(Ledger({"bb": "y"}))) == ["aa", "bb"]
    assert names(ledger.read()) == ["aa", "bb"]


@pytest.mark.parametrize("how", ["silently", "aloud"])
def test_a_cache_that_overwrites_nothing_has_slots(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pytrace_exec.generations.shared.SLOTS", 4)
    with foreign_grpc(ForeignCache(overwriting=how)) as url:
        ledger = shared(url)
        for number in range(4):
            assert len(ledger.add(Ledger({f"{number:02x}": "x"})).lines) == number + 1
        with pytest.raises(RemoteRefused):
            ledger.add(Ledger({"ff": "x"}))
        assert len(names(shared(url).read())) == 4


def test_a_cache_that_takes_nothing_says_so(cache: ForeignCache, url: str) -> None:
    cache.refusing = Code.PERMISSION_DENIED
    with pytest.raises(RemoteRefused):
        shared(url).add(Ledger({"aa": "x"}))
    cache.refusing, cache.update_enabled = None, False
    with pytest.raises(RemoteRefused):
        shared(url).add(Ledger({"aa": "x"}))


def test_one_who_writes_meanwhile_is_not_lost(cache: ForeignCache, url: str) -> None:
    ledger, other = shared(url), shared(url)
    other.add(Ledger({"00": "x"}))
    cache.before_update = lambda: _written(cache, Ledger({"00": "x", "bb": "y"}))
    ledger.add(Ledger({"aa": "x"}))
    cache.after_update = lambda: _written(cache, Ledger({"00": "x", "bb": "y"}))
    assert "cc" in names(ledger.add(Ledger({"cc": "x"})))
    assert {"00", "bb", "cc"} <= set(names(ledger.read()))


def _written(cache: ForeignCache, ledger: Ledger) -> None:
    cache.results[KEY] = ledger.result().encode()


def test_many_machines_at_once_lose_nothing(url: str, stores: list[Store]) -> None:
    made: list[str] = []

    def invalidate(store: Store) -> None:
        for _ in range(3):
            one = Invalidation.new((("command", b"x"),), b"", b"")
            Ledgers(store, options_for(url), None).invalidate(one)
            made.append(one.id)

    threads = [threading.Thread(target=invalidate, args=(store,)) for store in stores]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    standing = shared(url).read()
    assert standing is not None
    assert set(made) <= standing.lines.keys()
    assert len(made) == 9


class Machine:
    """A store with a remote, whose knowledge of it is always asked anew."""

    def __init__(self, open_one: Open, name: str, url: str, *flags: str) -> None:
        self._open_one, self._name, self._url, self._flags = open_one, name, url, flags

    def _open(self, *more: str) -> TieredCache:
        return self._open_one(self._name, self._url, *self._flags, *more)

    def knows(self, *flags: str) -> dict[str, Invalidation]:
        """What holds now as far as this machine knows."""
        ledger = self._open("--generation-max-age", "0", *flags).invalidated()
        return {one.id: one for one in invalidations(ledger or Ledger()) if one.undone is None}

    def as_known(self) -> tuple[set[str], list[str]]:
        """What a run of the default age goes by, and what went wrong."""
        cache = self._open()
        ledger = cache.invalidated()
        return set((ledger or Ledger()).lines), [trouble.code for trouble in cache.troubles]


def test_never_seen_and_absent_is_none_and_costs_one_question(cache: ForeignCache, url: str, tiered: Open) -> None:
    machine = Machine(tiered, "a", url)
    assert machine.knows() == {}
    before = len(cache.calls)
    assert machine.as_known() == (set(), [])
    assert len(cache.calls) == before


def test_seen_and_absent_is_everything_anew(cache: ForeignCache, url: str, tiered: Open, stores: list[Store]) -> None:
    one = Invalidation.new((("command", b"x"),), b"me", b"")
    a, b = Machine(tiered, "a", url), Machine(tiered, "b", url)
    Ledgers(stores[0], options_for(url), None).invalidate(one)
    assert set(a.knows()) == set(b.knows()) == {one.id}
    del cache.results[KEY]
    lost = a.knows()
    (new,) = [found for id, found in lost.items() if id != one.id]
    assert new.scope == ()
    # Who reads it afterwards knows the same, and so does a machine that had never seen it.
    assert set(b.knows()) == set(lost)
    assert set(Machine(tiered, "c", url).knows()) == set(lost)
    assert set(a.knows()) == set(lost)


def test_a_ledger_that_lacks_something_was_lost_as_well(
    cache: ForeignCache, url: str, tiered: Open, stores: list[Store]
) -> None:
    ones = [Invalidation.new((("command", b"x"),), b"me", b"") for _ in range(2)]
    a = Machine(tiered, "a", url)
    Ledgers(stores[0], options_for(url), None).invalidate(ones[0])
    a.knows()
    del cache.results[KEY]
    Ledgers(stores[1], options_for(url), None).invalidate(ones[1])
    known = a.knows()
    assert {one.id for one in ones} < set(known)
    assert [found.scope for id, found in known.items() if id not in {one.id for one in ones}] == [()]


def test_where_nothing_may_be_written_it_is_new_each_time(
    cache: ForeignCache, url: str, tiered: Open, stores: list[Store]
) -> None:
    one = Invalidation.new((("command", b"x"),), b"me", b"")
    a = Machine(tiered, "a", url)
    Ledgers(stores[0], options_for(url), None).invalidate(one)
    a.knows()
    held = dict(cache.results)
    cache.results.clear()
    cache.refusing = Code.PERMISSION_DENIED
    first, second = a.knows(), a.knows()
    assert len(first) == len(second) == 2
    assert set(first) & set(second) == {one.id}
    assert len(Machine(tiered, "a", url).as_known()[0]) == 2
    cache.results.update(held)
    assert set(a.knows()) == {one.id}


def test_an_entry_that_cannot_be_read_was_lost(cache: ForeignCache, url: str, tiered: Open) -> None:
    cache.results[KEY] = b"\x2a\x01x"
    (new,) = Machine(tiered, "a", url).knows().values()
    assert new.scope == ()
    assert set(Machine(tiered, "b", url).knows()) == {new.id}


def test_a_remote_that_is_down_is_known_as_last_seen(tiered: Open, stores: list[Store], closed: int) -> None:
    one = Invalidation.new((("command", b"x"),), b"me", b"")
    with foreign_grpc(ForeignCache()) as url:
        Ledgers(stores[0], options_for(url), None).invalidate(one)
        assert set(Machine(tiered, "a", url).knows()) == {one.id}
    cache = tiered("a", url, "--generation-max-age", "0")
    assert set((cache.invalidated() or Ledger()).lines) == {one.id}
    assert [trouble.code for trouble in cache.troubles] == ["remote_failed", "generations_old"]
    # A moment later it is not asked, which is no more than that.
    cache = tiered("a", url, "--generation-max-age", "0")
    assert set((cache.invalidated() or Ledger()).lines) == {one.id}
    assert [trouble.code for trouble in cache.troubles] == ["generations_old"]


def test_a_reading_wrapper_knows_as_well(url: str, tiered: Open, stores: list[Store]) -> None:
    one = Invalidation.new((), b"me", b"")
    Ledgers(stores[0], options_for(url), None).invalidate(one)
    assert set(Machine(tiered, "a", url, "--mode", "readonly").knows()) == {one.id}


def test_undoing_in_a_remote(url: str, tiered: Open, stores: list[Store]) -> None:
    one = Invalidation.new((), b"me", b"")
    mine = Ledgers(stores[0], options_for(url), None)
    mine.invalidate(one)
    with pytest.raises(NoSuchInvalidation):
        Ledgers(stores[0], parse(["--", "true"], {})[0], None).undo(one.id, b"me")
    with pytest.raises(NoSuchInvalidation):
        mine.undo("ffff" + one.id, b"me")
    assert Ledgers(stores[1], options_for(url), None).undo(one.id[:8], b"you")[1].id == one.id
    assert Machine(tiered, "a", url).knows() == {}
    ((_, listed),) = mine.all()
    assert listed.undone is not None
    assert listed.undone[1] == b"you"

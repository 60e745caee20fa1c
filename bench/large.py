# SPDX-License-Identifier: Apache-2.0
"""A server over a store of millions of blobs, beside one over an empty store: how soon it is ready, what looks cost."""

from __future__ import annotations

import os
import random
import statistics
import time
from typing import TYPE_CHECKING

import attrs
import grpc

from bench.endpoint import started
from bench.idle import children, share_bytes
from bench.report import Table, seconds, spread
from bench.timing import Spread
from bench.workloads import installed
from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.store import Store
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.remote_execution_pb2_grpc import ContentAddressableStorageStub

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from bench.endpoint import Endpoint

BLOBS, QUICK_BLOBS = 2_000_000, 20_000
ASKED = 10_000
STARTS, QUICK_STARTS = 7, 1
CALLS, QUICK_CALLS = 15, 3
MEBIBYTE = 1 << 20
_AT_ONCE = 1 << 14
_EVERY = 1 << 10  # one blob in so many is a file
_SMALL, _FILE = 64, 20_000  # bytes


@attrs.frozen
class Seen:
    """Figures of one store: seconds from start to ready, seconds a call, and bytes (PSS) before and after the calls."""

    blobs: int
    ready: list[float]
    calls: list[float]
    idle: int
    after: int


def measure_all(folder: Path, quick: bool, begins: Callable[[str], None]) -> Iterator[Table]:
    """Fill one store in bulk, leave another empty, and serve each."""
    blobs = QUICK_BLOBS if quick else BLOBS
    begins(f"loading {blobs} blobs")
    began = time.monotonic()
    present = load(folder / "large", blobs)
    took = time.monotonic() - began
    load(folder / "empty", 0)
    rows = []
    for name, count in (("empty", 0), ("large", blobs)):
        begins(f"the {name} store")
        rows.append(_row(_measure(folder / name, count, present, quick)))
    columns = ("blobs", "ready after", f"FindMissingBlobs of {ASKED}", "memory idle", "memory after")
    yield Table(f"A large store (filled in {seconds(took)}; memory: PSS)", columns, rows)


def load(folder: Path, count: int) -> list[Digest]:
    """Fill a store with many small blobs and some files; return some of them."""
    chance = random.Random(count)
    kept: list[Digest] = []
    with Store.open(os.fsencode(folder), max_size=1 << 40) as store:
        for start in range(0, count, _AT_ONCE):
            datas = [_content(chance, start + number) for number in range(min(_AT_ONCE, count - start))]
            items = [(SHA256.of(data), data) for data in datas]
            store.put_many(SHA256, items)
            kept += [digest for digest, _ in items[:: max(1, count // ASKED)]]
    return kept


def _content(chance: random.Random, number: int) -> bytes:
    return chance.randbytes(_SMALL if number % _EVERY else _FILE)


def _measure(store: Path, blobs: int, present: Sequence[Digest], quick: bool) -> Seen:
    chance = random.Random(blobs)
    asked = [reapi.Digest(hash=one.hash, size_bytes=one.size_bytes) for one in present[: ASKED // 2]]
    asked += [reapi.Digest(hash=chance.randbytes(32).hex(), size_bytes=1) for _ in range(ASKED - len(asked))]
    ready = []
    for _ in range(QUICK_STARTS if quick else STARTS):
        began = time.monotonic()
        with _serving(store) as endpoint:
            ready.append(time.monotonic() - began)
            idle = _memory(endpoint)
            calls = _calls(endpoint, asked, QUICK_CALLS if quick else CALLS)
            after = _memory(endpoint)
    return Seen(blobs, ready, calls, idle, after)


def _serving(store: Path) -> AbstractContextManager[Endpoint]:
    options = ("--dir", str(store), "--grpc-address", "127.0.0.1:0", "--http-address", "none")
    return started("large", (installed("pytrace-cas"), "serve", *options))


def _calls(endpoint: Endpoint, asked: list[reapi.Digest], count: int) -> list[float]:
    taken = []
    request = reapi.FindMissingBlobsRequest(blob_digests=asked)
    with grpc.insecure_channel(endpoint.url.removeprefix("grpc://")) as channel:
        find = ContentAddressableStorageStub(channel).FindMissingBlobs
        find(request)
        for _ in range(count):
            began = time.monotonic()
            find(request)
            taken.append(time.monotonic() - began)
    return taken


def _memory(endpoint: Endpoint) -> int:
    """What its processes hold, shared pages counted once for all."""
    return share_bytes([*endpoint.pids, *(child for pid in endpoint.pids for child in children(pid))])


def _row(seen: Seen) -> tuple[str, ...]:
    return (
        f"{seen.blobs:,}",
        f"{spread(Spread.of(seen.ready))} s",
        f"{statistics.median(seen.calls) * 1000:.1f} ms",
        f"{seen.idle / MEBIBYTE:.0f} MiB",
        f"{seen.after / MEBIBYTE:.0f} MiB",
    )

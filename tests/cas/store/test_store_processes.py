# SPDX-License-Identifier: Apache-2.0
"""Many processes and threads on one store, forks among them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pytrace_cas.digest import BLAKE3, Digest
from pytrace_cas.store import IndexFailed, Store, StoreBusy, staging

VICTIM = Path(__file__).with_name("victim.py")


def test_processes_write_at_once(tmp_path: Path) -> None:
    """Six processes, in pairs that write the same blobs; all that was acknowledged is there."""
    root = tmp_path / "s"
    arguments = [sys.executable, str(VICTIM), str(root)]
    writers = [subprocess.Popen([*arguments, str(number // 2), "15"], stdout=subprocess.PIPE) for number in range(6)]
    texts = [writer.communicate()[0].decode() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * 6
    assert texts[0] == texts[1]
    with Store.open(str(root), create=False) as store:
        lines = [line.partition(" ") for text in texts for line in text.splitlines()]
        blobs = [Digest.parse(rest) for kind, _, rest in lines if kind == "blob"]
        chunks = [Digest.parse(rest) for kind, _, rest in lines if kind == "chunk"]
        assert len(blobs) == 6 * 45
        assert store.missing(BLAKE3, blobs + chunks) == []
        for kind, _, rest in lines:
            if kind == "result":
                assert store.get_action_result(BLAKE3, "", Digest.parse(rest)) == rest.encode()
        report = store.check(read_data=True)
        assert (report.problems, report.blobs, report.results) == ((), len({*blobs, *chunks}), 3 * 15)


def test_threads_share_a_store(store: Store) -> None:
    data = [os.urandom(size) for size in (50, 20_000) for _ in range(20)]
    failures: list[BaseException] = []

    def work() -> None:
        try:
            for item in data:
                assert store.get(BLAKE3, store.put(BLAKE3, item)) == item
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert store.check(read_data=True).blobs == 40


def _in_child(work: Callable[[], None]) -> int:
    """Run something in a forked child; its exit status: 0 if it returned."""
    child = os.fork()
    if not child:
        status = 1
        try:
            work()
            status = 0
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_forked_child_uses_the_store(store: Store) -> None:
    digest = store.put(BLAKE3, b"before")

    def work() -> None:
        assert store.get(BLAKE3, digest) == b"before"
        store.put(BLAKE3, bytes(30_000))

    assert _in_child(work) == 0
    assert store.get(BLAKE3, BLAKE3.of(bytes(30_000))) == bytes(30_000)
    store.put(BLAKE3, b"after")
    assert store.check(read_data=True).problems == ()


def test_child_holds_its_own_locks(store: Store) -> None:
    """The child opens the index anew: its write lock keeps out the parent, and its end frees it."""
    store.size()
    go, done = os.pipe(), os.pipe()

    def work() -> None:
        with store._index.write():
            os.write(done[1], b"locked")
            os.read(go[0], 1)

    child = os.fork()
    if not child:
        try:
            work()
        finally:
            os._exit(0)
    assert os.read(done[0], 6) == b"locked"
    with pytest.raises(StoreBusy), store._index.write(0.05):
        pass
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    store.put(BLAKE3, b"free again")
    for fd in (*go, *done):
        os.close(fd)


def test_child_of_a_busy_process_says_so(store: Store) -> None:
    def work() -> None:
        with pytest.raises(IndexFailed):
            store.size()

    with store._index.write() as db:
        db.execute("UPDATE store SET added = added")
        assert _in_child(work) == 0
    store.put(BLAKE3, b"x")
    assert store.check().problems == ()


def test_sweep_spares_what_is_in_use(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    data = os.urandom(50_000)
    with store.writer(BLAKE3, BLAKE3.of(data)) as writer:
        writer.write(data)
        with open(store.path + b"/tmp/leftover", "wb"):
            pass
        with open(store.path + b"/trash/leftover", "wb"):
            pass
        monkeypatch.setattr(staging, "FORGOTTEN_SECONDS", -1)
        assert staging.sweep(store._layout) == 1
        assert b"leftover" not in os.listdir(store.path + b"/tmp")
        assert os.listdir(store.path + b"/trash") == []
        writer.commit()
    assert store.get(BLAKE3, BLAKE3.of(data)) == data

# SPDX-License-Identifier: Apache-2.0
"""The queue in its file: what is kept, in which order, for how long, and what fits."""

from __future__ import annotations

import os
import sqlite3
import threading
from typing import TYPE_CHECKING

from pytrace_cas.digest import BLAKE3, SHA256, Digest
from pytrace_cas.upstream.write_queue import DOUBT_SECONDS, LONGEST_WAIT, WriteQueue
from tests.cas.upstream.test_breaker import Clock

if TYPE_CHECKING:
    from pathlib import Path

DIGESTS = [SHA256.of(bytes([number])) for number in range(10)]


def queue_in(folder: Path, clock: Clock | None = None, longest: int = 100) -> WriteQueue:
    """Open the queue of a folder."""
    return WriteQueue(bytes(folder), longest=longest, clock=clock or Clock())


def due(queue: WriteQueue) -> list[tuple[Digest, str | None]]:
    """What is due, in order."""
    return [(entry.digest, entry.instance) for entry in queue.due(100)]


def test_what_was_added_survives(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    assert queue.add_blobs(SHA256, DIGESTS[:3]) == 0
    assert queue.add_result(SHA256, "team", DIGESTS[0]) == 0
    assert queue.add_result(SHA256, "", DIGESTS[0]) == 0
    queue.close()
    queue = queue_in(tmp_path)
    assert due(queue) == [*((digest, None) for digest in DIGESTS[:3]), (DIGESTS[0], "team"), (DIGESTS[0], "")]
    assert queue.length() == 5
    assert os.stat(tmp_path / "upstream.sqlite").st_mode & 0o777 == 0o600
    queue.close()


def test_one_entry_for_one_thing_and_the_last_one_counts(tmp_path: Path) -> None:
    queue = queue_in(tmp_path)
    queue.add_result(SHA256, "", DIGESTS[0])
    (old,) = queue.due(10)
    queue.add_result(SHA256, "", DIGESTS[0])
    assert queue.length() == 1
    queue.done((old,))  # whoever wrote the older one does not end the newer one
    assert due(queue) == [(DIGESTS[0], "")]
    queue.add_blobs(BLAKE3, DIGESTS[:1])
    queue.add_blobs(SHA256, DIGESTS[:1] * 2)
    assert queue.length() == 3
    queue.close()


def test_the_wait_doubles(tmp_path: Path) -> None:
    clock = Clock()
    queue = queue_in(tmp_path, clock)
    queue.add_blobs(SHA256, DIGESTS[:1])
    waits = []
    for _ in range(12):
        (entry,) = queue.due(10)
        queue.later(entry)
        begun = clock.now
        while not queue.due(10):
            clock.now += 1
        waits.append(clock.now - begun)
    assert waits[:5] == [1, 2, 4, 8, 16]
    assert waits[-1] == LONGEST_WAIT
    queue.close()


def test_it_is_bounded(tmp_path: Path) -> None:
    queue = queue_in(tmp_path, longest=4)
    assert queue.add_blobs(SHA256, DIGESTS[:3]) == 0
    assert queue.add_blobs(SHA256, DIGESTS[3:6]) == 2
    assert queue.add_blobs(SHA256, DIGESTS[:1]) == 0  # it was there
    assert queue.add_result(SHA256, "", DIGESTS[0]) == 1
    assert queue.length() == len(queue.due(10)) == 4
    queue.done(queue.due(10))
    assert (queue.length(), queue.due(10)) == (0, [])
    queue.close()


def test_doubts_pass(tmp_path: Path) -> None:
    clock = Clock()
    queue, other = queue_in(tmp_path, clock), queue_in(tmp_path, clock)
    queue.doubt(SHA256, DIGESTS[0])
    queue.doubt(SHA256, DIGESTS[1])
    assert other.doubted(SHA256, DIGESTS) == set(DIGESTS[:2])
    assert other.doubted(BLAKE3, DIGESTS) == set()
    other.trust(SHA256, DIGESTS[0])
    assert queue.doubted(SHA256, DIGESTS) == {DIGESTS[1]}
    clock.now += DOUBT_SECONDS
    assert queue.doubted(SHA256, DIGESTS) == set()
    queue.close()
    other.close()


def test_many_threads_and_two_connections(tmp_path: Path) -> None:
    queues = [queue_in(tmp_path, longest=10_000) for _ in range(2)]

    def add(number: int) -> None:
        for index in range(50):
            queues[number % 2].add_blobs(SHA256, [SHA256.of(b"%d %d" % (number, index))])

    threads = [threading.Thread(target=add, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert queues[0].length() == queues[1].length() == len(queues[0].due(1000)) == 400
    for queue in queues:
        queue.close()


def test_a_damaged_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "upstream.sqlite").write_bytes(b"no database" * 100)
    queue = queue_in(tmp_path)
    queue.add_blobs(SHA256, DIGESTS[:1])
    assert queue.length() == 1
    queue.close()
    (aside,) = tmp_path.glob("upstream.sqlite.damaged-*")
    assert aside.read_bytes() == b"no database" * 100


def test_a_newer_file_is_set_aside(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "upstream.sqlite") as db:
        db.execute("PRAGMA user_version = 7")
    db.close()
    queue = queue_in(tmp_path)
    assert queue.length() == 0
    queue.close()
    assert len(list(tmp_path.glob("upstream.sqlite.damaged-*"))) == 1

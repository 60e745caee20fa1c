# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a store until it is killed, and says on stdout what was acknowledged.

`victim.py DIR SEED ROUNDS [POINT COUNT]`: with a crash point's name, it kills itself the COUNT-th time it gets there.
"""

from __future__ import annotations

import os
import random
import signal
import sys
from typing import TYPE_CHECKING

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import BlobNotFound, MissingBlobs, Store, crashpoints

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytrace_cas.digest import Digest


def _die_at(point: str, count: int) -> None:
    left = count

    def reached(name: str) -> None:
        nonlocal left
        left -= name == point
        if name == point and not left:
            os.kill(os.getpid(), signal.SIGKILL)

    crashpoints.reached = reached


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _round(store: Store, choice: random.Random) -> None:
    digests = []
    for size in (100, 20_000, 90_000):
        data = 2 * choice.randbytes((size + choice.randrange(1000)) // 2)  # half of which a compressing store saves
        if size > PIECE and choice.random() < 0.5:
            digest = _put_in_chunks(store, data)
        elif choice.random() < 0.5:
            digest = store.put(BLAKE3, data)
        else:
            with store.writer(BLAKE3, BLAKE3.of(data)) as writer:
                writer.write(data[:1000])
                writer.write(data[1000:])
                digest = writer.commit()
        _say(f"blob {digest}")
        digests.append(digest)
        if size > PIECE and choice.random() < 0.5:
            _split(store, digest)
    action = BLAKE3.of(choice.randbytes(8))
    try:
        store.put_action_result(BLAKE3, "", action, str(action).encode(), digests)
        _say(f"result {action}")
    except MissingBlobs:
        _say(f"evicted {action}")


def _cut(blocks: Iterable[bytes]) -> Iterator[bytes]:
    data = b"".join(blocks)
    yield from (data[start : start + PIECE] for start in range(0, len(data), PIECE))


def _put_in_chunks(store: Store, data: bytes) -> Digest:
    """Splice what was put in pieces; as a whole if another process evicts one of them."""
    digest = BLAKE3.of(data)
    pieces = [store.put(BLAKE3, piece) for piece in _cut([data])]
    for piece in pieces:
        _say(f"chunk {piece}")
    try:
        store.splice(BLAKE3, digest, pieces, 1)
    except BlobNotFound:
        return store.put(BLAKE3, data)
    return digest


def _split(store: Store, digest: Digest) -> None:
    try:
        for chunk in store.split(BLAKE3, digest, 1, _cut)[1]:
            _say(f"chunk {chunk}")
    except BlobNotFound:
        _say(f"evicted {digest}")


def main() -> None:
    """Write rounds of blobs and results."""
    choice = random.Random(int(sys.argv[2]))
    if len(sys.argv) > 4:
        _die_at(sys.argv[4], int(sys.argv[5]))
    with Store.open(sys.argv[1], compress=COMPRESS) as store:
        for number in range(int(sys.argv[3])):
            _round(store, choice)
            if number % 5 == 4:
                gone = store.evict(down_to=store.size()[0] // 2) if choice.random() < EVICT else None
                _say(f"evicted-bytes {gone.bytes if gone else 0}")


COMPRESS = "VICTIM_COMPRESSES" in os.environ
PIECE = 30_000
EVICT = float(os.environ.get("VICTIM_EVICTS", "0"))

if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""A process that writes to a store until it is killed, and says on stdout what was acknowledged.

`victim.py DIR SEED ROUNDS [POINT COUNT]`: with a crash point's name, it kills itself the COUNT-th time it gets there.
"""

from __future__ import annotations

import os
import random
import signal
import sys

from pytrace_cas.digest import BLAKE3
from pytrace_cas.store import MissingBlobs, Store, crashpoints


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
        if choice.random() < 0.5:
            digest = store.put(BLAKE3, data)
        else:
            with store.writer(BLAKE3, BLAKE3.of(data)) as writer:
                writer.write(data[:1000])
                writer.write(data[1000:])
                digest = writer.commit()
        _say(f"blob {digest}")
        digests.append(digest)
    action = BLAKE3.of(choice.randbytes(8))
    try:
        store.put_action_result(BLAKE3, "", action, str(action).encode(), digests)
        _say(f"result {action}")
    except MissingBlobs:
        _say(f"evicted {action}")


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
EVICT = float(os.environ.get("VICTIM_EVICTS", "0"))

if __name__ == "__main__":
    main()

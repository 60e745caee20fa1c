# SPDX-License-Identifier: Apache-2.0
"""`docs/store-format.md` says what the code does, and a program that knows only the page can use a store."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import time
from pathlib import Path

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store, index, layout, pending, schema, spare

PAGE = Path(__file__).parents[3] / "docs" / "store-format.md"


def test_page_has_the_tables_and_numbers() -> None:
    text = PAGE.read_text()
    assert f"{schema.TABLES.strip()}\n{schema.PARTS.strip()}\n{schema.HISTORY.strip()}\n" in text
    assert f"Format {index.FORMAT}." in text
    assert hex(index.APPLICATION_ID) in text
    assert f"`pending` | {len(pending.EMPTY)} bytes" in text
    assert f"| `spare` | a server's: {spare.SPARE} bytes" in text
    assert f"| `{os.path.basename(layout.Layout(b'').mark).decode()}` |" in text


def test_stranger_reads_what_we_wrote(store: Store) -> None:
    small, large = b"small", os.urandom(40_000)
    for data in (small, large):
        store.put(SHA256, data)
    db = sqlite3.connect(os.fsdecode(store.path) + "/index.sqlite")
    for data in (small, large):
        name = hashlib.sha256(data)
        size, inside = db.execute(
            "SELECT size, data FROM blobs WHERE function = 1 AND hash = ?", (name.digest(),)
        ).fetchone()
        path = Path(os.fsdecode(store.path), "cas", "sha256", name.hexdigest()[:2], name.hexdigest())
        assert size == len(data)
        assert (path.read_bytes() if inside is None else inside) == data
    db.close()


def test_we_read_what_a_stranger_wrote(store: Store) -> None:
    """By the letter of the page: a blob in a file, a result that needs it."""
    root = Path(os.fsdecode(store.path))
    data = os.urandom(5_000)
    name = hashlib.sha256(data)
    place = f"sha256/{name.hexdigest()[:2]}/{name.hexdigest()}"
    (root / "tmp" / "stranger").write_bytes(data)
    db = sqlite3.connect(root / "index.sqlite", isolation_level=None)
    db.execute("BEGIN IMMEDIATE")
    with open(root / "pending", "r+b") as account:
        account.write(f"{place}\n\n".encode())
    (root / "cas" / place).parent.mkdir(parents=True)
    (root / "tmp" / "stranger").rename(root / "cas" / place)
    (turn,) = db.execute("SELECT added FROM store").fetchone()
    now = int(time.time())
    db.execute(
        "INSERT INTO blobs (function, hash, size, charge, used, turn) VALUES (1, ?, 5000, ?, ?, ?)",
        (name.digest(), 256 + 8192, now, turn),
    )
    columns = "id, instance, function, hash, size, complete, charge, used, turn, message"
    row = db.execute(
        f"INSERT INTO results ({columns}) VALUES (1, 'i', 1, ?, 7, 1, ?, ?, ?, x'00')",
        (bytes(32), 256 + 1 + 96, now, turn),
    ).lastrowid
    db.execute("INSERT INTO refs VALUES (?, ?, 5000)", (row, name.digest()))
    db.execute("COMMIT")
    db.close()
    assert store.get(SHA256, SHA256.of(data)) == data
    assert store.get_action_result_by_hash(SHA256, "i", "00" * 32) == b"\0"
    assert store.check(read_data=True).problems == ()
    store.evict(down_to=0)
    assert store.size()[0] == 0
    assert not (root / "cas" / place).exists()

# SPDX-License-Identifier: Apache-2.0
"""A server over a store with actions to look at, for each module's tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest

from pytrace_cas.digest import SHA256
from pytrace_cas.store import Store
from pytrace_cas.web.addresses import BlobAddress
from tests.support.actions import HOSTILE_NAME, HOSTILE_TEXT, put_action
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.server import RunningServer

LONG_LINE = b"x" * 10_000_000


@attrs.frozen
class Shown:
    """A server, and where what it shows is."""

    server: RunningServer
    old: BlobAddress
    new: BlobAddress
    hostile: BlobAddress


def fill(folder: Path) -> tuple[BlobAddress, BlobAddress, BlobAddress]:
    """Put two actions that differ, and a hostile one, into a new store."""
    with Store.open(str(folder)) as store:
        old = put_action(
            store,
            ["gcc", "-c", "src/main.c", "-o", "main.o", "-DX=a b"],
            inputs={"src/main.c": b"int main() {}\n", "src/lib/old.h": b"x", "README": b"read me\n"},
            outputs={"main.o": b"\x7fELF\0\1\2" * 100},
            environment={"PATH": "/bin", "API_TOKEN": "very secret"},
            stdout=b"\x1b[1;32mok\x1b[0m done\n",
            stderr=b"\x1b[33mwarning:\x1b[0m unused\n",
        )
        new = put_action(
            store,
            ["gcc", "-c", "src/main.c", "-o", "main.o", "-O2"],
            inputs={"src/main.c": b"int main() { return 1; }\n", "src/lib/new.h": b"x", "README": b"read me\n"},
            outputs={"main.o": b"\x7fELF\0\1\3" * 100},
            environment={"PATH": "/usr/bin"},
            exit_code=1,
        )
        hostile = put_action(
            store,
            [HOSTILE_NAME],
            inputs={HOSTILE_NAME.replace("/", "_"): HOSTILE_TEXT},
            outputs={HOSTILE_NAME: HOSTILE_TEXT, "long": LONG_LINE},
            environment={HOSTILE_NAME: HOSTILE_NAME},
            stdout=HOSTILE_TEXT,
            stderr=LONG_LINE,
            instance="team/x",
        )
    place = BlobAddress("", SHA256, old)
    return place, place.other(new), BlobAddress("team/x", SHA256, hostile)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    """Serve a filled store."""
    folder = tmp_path_factory.mktemp("web") / "store"
    addresses = fill(folder)
    with running_server(folder) as server:
        yield Shown(server, *addresses)

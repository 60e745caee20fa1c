# SPDX-License-Identifier: Apache-2.0
"""Caches over stores of their own, in front of remotes that are not ours."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from pytrace_cas.store import Store
from pytrace_exec.cache.opening import open_cache
from pytrace_exec.cache.tiered import TieredCache
from pytrace_exec.options import parse

Open = Callable[..., TieredCache]


@pytest.fixture
def tiered(tmp_path: Path) -> Iterator[Open]:
    """Open a cache: the store's name, the remote's URL, further options, variables; one name is one store."""
    with ExitStack() as stack:

        def open_one(name: str, url: str, *flags: str, **variables: str) -> TieredCache:
            environ = {os.fsencode(key): os.fsencode(value) for key, value in variables.items()}
            options, _ = parse(["--remote", url, "--remote-timeout", "10s", *flags, "--", "true"], environ)
            store = stack.enter_context(Store.open(os.fsencode(tmp_path / name)))
            cache = open_cache(store, options)
            assert isinstance(cache, TieredCache)
            stack.callback(cache.hang_up)
            return cache

        yield open_one


@pytest.fixture
def silent() -> Iterator[int]:
    """Port of a server that takes connections and never says anything."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield listener.getsockname()[1]


@pytest.fixture
def closed() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port

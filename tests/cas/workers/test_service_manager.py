# SPDX-License-Identifier: Apache-2.0
"""What a service manager hears of a server: sd_notify(3) over a real socket."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.workers.service_manager import ServiceManager
from tests.support.server import running_server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[socket.socket]:
    """Be the service manager of every server that the test starts; it wants to hear from them twice a second."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind(f"{tmp_path}/notify")
        inbox.settimeout(30)
        monkeypatch.setenv("NOTIFY_SOCKET", f"{tmp_path}/notify")
        monkeypatch.setenv("WATCHDOG_USEC", "500000")
        yield inbox


def next_state(inbox: socket.socket) -> str:
    """Wait for something else than that it is alive."""
    while (state := inbox.recv(1000).decode()) == "WATCHDOG=1":
        pass
    return state.partition("\n")[0]


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_hears_all_the_way_from_ready_to_stopping(tmp_path: Path, heard: socket.socket, workers: str) -> None:
    with running_server(tmp_path / "s", "--workers", workers) as server:
        assert next_state(heard) == "READY=1"
        assert [heard.recv(100) for _ in range(3)] == [b"WATCHDOG=1"] * 3
        server.process.send_signal(signal.SIGHUP)
        assert [next_state(heard), next_state(heard)] == ["RELOADING=1", "READY=1"]
        assert server.terminate() == 0
        assert next_state(heard) == "STOPPING=1"


def test_it_hears_nothing_more_when_a_worker_hangs(tmp_path: Path, heard: socket.socket) -> None:
    with running_server(tmp_path / "s", "--workers", "2") as server:
        hanging = server.workers()[0]
        os.kill(hanging, signal.SIGSTOP)
        heard.settimeout(2)
        with suppress(TimeoutError):
            while heard.recv(1000):
                pass
        os.kill(hanging, signal.SIGCONT)
        heard.settimeout(30)
        assert heard.recv(1000) == b"WATCHDOG=1"


def test_without_one_nothing_is_sent() -> None:
    manager = ServiceManager.of({})
    for say in (manager.ready, manager.reloading, manager.stopping, manager.alive):
        say()
    assert manager.watchdog_seconds is None


def test_a_watchdog_of_another_process_is_not_ours() -> None:
    environment = {"NOTIFY_SOCKET": "/nowhere", "WATCHDOG_USEC": "1000000"}
    assert ServiceManager.of(environment | {"WATCHDOG_PID": "1"}).watchdog_seconds is None
    assert ServiceManager.of(environment | {"WATCHDOG_PID": str(os.getpid())}).watchdog_seconds == 1.0
    gone = ServiceManager.of(environment)
    gone.ready()


def test_a_socket_without_a_file_is_heard_too() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as inbox:
        inbox.bind("\0pytrace-cas-test-" + str(os.getpid()))
        ServiceManager(inbox.getsockname().decode().replace("\0", "@")).ready()
        assert inbox.recv(100) == b"READY=1"

# SPDX-License-Identifier: Apache-2.0
"""Telling the service manager how we are: the protocol of sd_notify(3)."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


class ServiceManager:
    """Whoever reads the datagrams sent to a socket; nobody when `address` is empty.

    `watchdog_seconds`: it expects to hear from us that often, and restarts us otherwise.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = watchdog_seconds

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> ServiceManager:
        """The one that the environment names: NOTIFY_SOCKET, WATCHDOG_USEC, WATCHDOG_PID."""
        text = environment.get("WATCHDOG_USEC", "")
        ours = environment.get("WATCHDOG_PID") in (None, str(os.getpid()))
        seconds = int(text) / 1e6 if text.isdecimal() and ours else None
        return cls(environment.get("NOTIFY_SOCKET", ""), seconds or None)

    def ready(self) -> None:
        """Say that calls are answered, at first or after a reload."""
        self._say("READY=1")

    def reloading(self) -> None:
        """Say that files are being read again."""
        self._say(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        """Say that no new calls are taken."""
        self._say("STOPPING=1")

    def alive(self) -> None:
        """Say that all is well, to one that wants to hear it again and again."""
        if self.watchdog_seconds is not None:
            self._say("WATCHDOG=1")

    def _say(self, state: str) -> None:
        if not self._address:
            return
        # One that is gone or does not read is no reason to stop serving.
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.setblocking(False)
            out.sendto(state.encode(), self._address)

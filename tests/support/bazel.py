# SPDX-License-Identifier: Apache-2.0
"""Bazel (Debian's unless another is named): a workspace of its own, no network, a server that is ended afterwards."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs

from tests.support.server import server_environment
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.other_users import User

BAZEL = shutil.which("bazel")
# A short life on few cores: neither the best compiler nor a collector with threads is worth its start.
_JVM = tuple(f"--host_jvm_args={flag}" for flag in ("-Xmx1g", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC"))
_COUNTS = re.compile(r"INFO: (\d+) processes?: (.*)\.")


@attrs.frozen
class Build:
    """How a build ended; `processes` counts actions by where they ran, as Bazel's summary names it."""

    status: int
    log: str
    processes: dict[str, int]


class Bazel:
    """A workspace and one output base: its Bazel server knows nothing of other ones. `user`: who runs it."""

    def __init__(
        self,
        workspace: Path,
        output_user_root: Path,
        output_base: Path,
        program: Path | str | None = BAZEL,
        user: User | None = None,
    ) -> None:
        self.workspace = workspace
        self.program = program
        self._user = user
        self._base = output_base
        self._startup = (f"--output_user_root={output_user_root}", f"--output_base={output_base}")

    @property
    def startup_options(self) -> tuple[str, ...]:
        """What stands before each command."""
        return ("--nohome_rc", "--noworkspace_rc", *self._startup, *_JVM)

    def run(self, command: str, *arguments: str) -> Build:
        """Run a command in the workspace."""
        assert self.program is not None
        done = subprocess.run(
            [self.program, *self.startup_options, command, *arguments],
            cwd=self.workspace,
            env=server_environment() if self._user is None else self._user.environment(),
            user=None if self._user is None else self._user.number,
            group=None if self._user is None else self._user.number,
            extra_groups=None if self._user is None else (),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        return Build(done.returncode, done.stderr, _processes(done.stderr))

    def build(self, *arguments: str, command: str = "build") -> Build:
        """Build with what a machine without network needs; Debian's bazelrc asks for kept sandboxes."""
        return self.run(
            command, "--nosandbox_debug", "--color=no", "--curses=no", "--show_progress_rate_limit=60", *arguments
        )

    def end_server(self) -> None:
        """Kill its server, if there is one, and see it gone.

        `bazel shutdown` waits a minute for it where nobody waits for orphans, and for ever for one that hangs.
        """
        if pid := self._server():
            os.kill(pid, signal.SIGKILL)
            until(lambda: not self._server(), f"the end of Bazel's server {pid}")

    def _server(self) -> int:
        """The server's process; 0 when there is none, or it has only not been waited for."""
        try:
            pid = int((self._base / "server" / "server.pid.txt").read_text())
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except FileNotFoundError:
            return 0
        return pid if os.fsencode(self._base) in command else 0


def _processes(log: str) -> dict[str, int]:
    found = _COUNTS.search(log)
    parts = found[2].split(", ") if found else []
    return {name: int(number) for number, _, name in (part.partition(" ") for part in parts)}


@contextmanager
def running_bazel(
    workspace: Path,
    output_user_root: Path,
    name: str,
    program: Path | str | None = BAZEL,
    user: User | None = None,
) -> Iterator[Bazel]:
    """Use Bazel with a fresh output base of that name; end its server and remove the base in the end.

    Output bases under one `output_user_root` share what Bazel unpacks of itself.
    """
    base = output_user_root / name
    bazel = Bazel(workspace, output_user_root, base, program, user)
    try:
        yield bazel
    finally:
        bazel.end_server()
        subprocess.run(["chmod", "-R", "u+w", base], check=True)
        shutil.rmtree(base)

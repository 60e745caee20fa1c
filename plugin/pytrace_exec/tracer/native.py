# SPDX-License-Identifier: Apache-2.0
"""The native tracer: a program of ours (`plugin/native/`) that is there when a C compiler was at installation."""

from __future__ import annotations

import os

from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.possible import TracerUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrace_exec.tracer.namespace import Launch

PROGRAM = os.path.join(os.path.dirname(os.fsencode(__file__)), b"pytrace-tracer")


def is_built() -> bool:
    """Whether this installation has it."""
    return os.access(PROGRAM, os.X_OK)


class Native:
    """The native tracer; `reads` and `writes`: calls that move bytes are traced too.

    `everything`: looks that are repeated are told each time, and every call that opens tells its descriptor.
    `launch`: the command gets a PID namespace. `inside`: looks may be told by the command's own processes, where
    nothing of the other speaks against it.
    """

    __slots__ = ("_launch", "_options")

    name = "the native tracer"
    complains = False
    abandons = False

    def __init__(
        self,
        reads: bool = False,
        writes: bool = False,
        everything: bool = False,
        launch: Launch | None = None,
        inside: bool = False,
    ) -> None:
        """Raises TracerUnavailable if it was not built."""
        if not is_built():
            raise TracerUnavailable("the native tracer was not built (it needs a C compiler at installation)")
        told_inside = inside and not everything and launch is None
        options = ((b"--reads", reads), (b"--writes", writes), (b"--all", everything), (b"--inside", told_inside))
        self._options = [option for option, wanted in options if wanted]
        self._launch = launch

    def parser(self) -> StreamParser:
        """Return what reads its stream."""
        return StreamParser()

    def named(self, argv: Sequence[bytes], executable: bytes) -> bytes:
        """Return by what path it executes the command."""
        return executable

    def command_line(
        self, log: bytes, argv: Sequence[bytes], executable: bytes, env: Mapping[bytes, bytes]
    ) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Return its arguments and environment; the environment is the command's own."""
        options = [*self._options, *self._launch.options()] if self._launch else self._options
        return [PROGRAM, *options, log, executable, *argv], dict(env)

    def begun(self, started: int) -> int:
        """Return the command's process: the one that was started, which becomes it, but in a namespace."""
        return self._launch.command_of(started) if self._launch else started

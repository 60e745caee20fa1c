# SPDX-License-Identifier: Apache-2.0
"""The native tracer: a program of ours (`plugin/native/`) that is there when a C compiler was at installation."""

from __future__ import annotations

import os

from pytrace_exec.tracer.native_stream import StreamParser
from pytrace_exec.tracer.possible import TracerUnavailable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = os.path.join(os.path.dirname(os.fsencode(__file__)), b"pytrace-tracer")


def is_built() -> bool:
    """Whether this installation has it."""
    return os.access(PROGRAM, os.X_OK)


class Native:
    """The native tracer; `reads` and `writes`: calls that move bytes are traced too.

    `everything`: looks that are repeated are told each time, and every call that opens tells its descriptor.
    """

    __slots__ = ("_options",)

    name = "the native tracer"
    complains = False
    abandons = False

    def __init__(self, reads: bool = False, writes: bool = False, everything: bool = False) -> None:
        """Raises TracerUnavailable if it was not built."""
        if not is_built():
            raise TracerUnavailable("the native tracer was not built (it needs a C compiler at installation)")
        options = ((b"--reads", reads), (b"--writes", writes), (b"--all", everything))
        self._options = [option for option, wanted in options if wanted]

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
        return [PROGRAM, *self._options, log, executable, *argv], dict(env)

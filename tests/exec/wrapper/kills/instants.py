# SPDX-License-Identifier: Apache-2.0
"""The native tracer in a build that ends itself at named instants."""

from __future__ import annotations

from pathlib import Path

from hatch_build import compile_tracer

SOURCES = Path(__file__).parents[4] / "plugin/native"
DYING = Path(__file__).with_name("dying_tracer.c")
LAUNCHING = ("unfiltered", "filtered")
"""Instants of the process that becomes the command."""
BEFORE_BEGIN = ("attaching", "attached")
UNDER_WAY = ("told", "secured", "within", "returned")
ALL_ENDED = ("all ended", "ending", "ended")
"""Instants of the tracer after the last process that it traced has ended."""
WRAPPED = (
    "ptrace", "handshake_reach", "filter_install", "stream_put", "secured_before", "capture_exit", "tracing_end",
    "stream_drain", "stream_wait_closed",
)  # fmt: skip
"""The functions that `dying_tracer.c` stands before."""


def build_dying_tracer(folder: Path) -> Path:
    """Build the tracer that takes `--die=INSTANT:SIGNAL` as its first argument."""
    program = folder / "dying-tracer"
    wraps = [f"-Wl,--wrap={name}" for name in WRAPPED]
    compile_tracer(SOURCES, program, ("-static", f"-I{SOURCES}", *wraps, str(DYING)))
    return program

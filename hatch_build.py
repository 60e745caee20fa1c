# SPDX-License-Identifier: Apache-2.0
"""Builds the native tracer into the package when a C compiler is there; without it the package traces with strace.

`PYTRACE_PURE=1` leaves it out, `PYTRACE_REQUIRE_NATIVE=1` makes its absence an error. `CC` and `CFLAGS` are heeded. The
program is linked statically, so that nothing in the environment of the command it traces (`LD_PRELOAD`,
`LD_LIBRARY_PATH`) touches it, and one wheel serves every distribution.
"""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "plugin/pytrace_exec/tracer/pytrace-tracer"
MACHINES = {"x86_64", "aarch64"}
FLAGS = ("-std=c11", "-O2", "-Wall", "-Wextra")


class NotBuilt(Exception):
    """The tracer cannot be built here; the message says why."""


def compile_tracer(sources: Path, program: Path, flags: tuple[str, ...] = ("-static",)) -> None:
    """Compile all `.c` files of a folder into a program; raise `NotBuilt`."""
    if sys.platform != "linux" or platform.machine() not in MACHINES:
        raise NotBuilt(f"it is written for Linux on {' and '.join(sorted(MACHINES))}")
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        raise NotBuilt(f"there is no C compiler ({compiler[0]})")
    files = sorted(map(str, sources.glob("*.c")))
    unfinished = program.with_name(f"{program.name}.{os.getpid()}")
    options = [*FLAGS, *shlex.split(os.environ.get("CFLAGS", ""))]
    options += [*flags, *([] if _stands_alone(sources, [*compiler, *options]) else ["-DPYTRACE_STOPS_ONLY"])]
    built = subprocess.run([*compiler, *options, "-o", unfinished, *files], capture_output=True, text=True, check=False)
    if built.returncode:
        unfinished.unlink(missing_ok=True)
        raise NotBuilt(built.stderr.strip() or f"{compiler[0]} ended with {built.returncode}")
    unfinished.rename(program)


def _stands_alone(sources: Path, compiler: list[str]) -> bool:
    """Whether the code that is brought into programs refers to nothing else: a compiler may be told to add calls."""
    alone = ["-nostdlib", "-static", "-no-pie", f"-Wl,-T,{sources / 'inside.ld'}", "-o", os.devnull]
    code = str(sources / "inside_x86_64.c")
    return subprocess.run([*compiler, *alone, code], capture_output=True, check=False).returncode == 0


class NativeTracer(BuildHookInterface[Any]):
    """Hatchling's hook: compiles before the wheel (or the editable installation) is put together."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build, and mark the wheel as one for this machine."""
        root = Path(self.root)
        program = root / PROGRAM
        program.unlink(missing_ok=True)
        if os.environ.get("PYTRACE_PURE") == "1":
            return
        try:
            compile_tracer(root / "plugin/native", program)
        except NotBuilt as error:
            if os.environ.get("PYTRACE_REQUIRE_NATIVE") == "1":
                raise RuntimeError(f"the native tracer was not built: {error}") from None
            self.app.display_warning(f"the native tracer was not built, strace will be used: {error}")
            return
        build_data["artifacts"].append(f"/{PROGRAM}")
        build_data["pure_python"] = False
        build_data["tag"] = f"py3-none-linux_{platform.machine()}"

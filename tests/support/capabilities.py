# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack, by the name of the marker of the tests that need it."""

from __future__ import annotations

import functools
import shutil
import subprocess

PROGRAMS = {
    "acl": ("setfacl", "getfacl"),
    "bazel": ("bazel",),
    "ccache": ("ccache",),
    "compiler": ("gcc",),
    "git": ("git",),
    "make": ("make", "gcc"),
    "rsync": ("rsync",),
    "strace": ("strace",),
    "xattr": ("setfattr", "getfattr"),
}


@functools.cache
def lacking(capability: str) -> str | None:
    """Say what this machine lacks for a capability; None when nothing, or when it is no capability."""
    absent = [program for program in PROGRAMS.get(capability, ()) if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    return _tracing_refused() if capability == "strace" else None


def _tracing_refused() -> str | None:
    """Try to trace a process; a container may forbid it."""
    done = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    return None if done.returncode == 0 else f"strace cannot trace here: {done.stderr.decode(errors='replace').strip()}"

# SPDX-License-Identifier: Apache-2.0
"""What a machine may lack, by the name of the marker of the tests that need it."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess

from pytrace_exec.tracer import native
from pytrace_exec.tracer.namespace import NamespaceUnavailable
from pytrace_exec.tracer.plain import run_plain

PROGRAMS = {
    "acl": ("setfacl", "getfacl"),
    "bazel": ("bazel",),
    "browser": ("chromium", "node", "npm"),
    "bubblewrap": ("bwrap",),
    "cargo": ("cargo", "rustc"),
    "ccache": ("ccache",),
    "cmake": ("cmake", "gcc", "make"),
    "compiler": ("gcc",),
    "gdb": ("gdb",),
    "git": ("git",),
    "git_lfs": ("git", "git-lfs"),
    "go": ("go",),
    "haproxy": ("haproxy",),
    "hmmer": ("hmmbuild", "hmmsearch"),
    "nginx": ("nginx",),
    "java": ("javac",),
    "make": ("make", "gcc"),
    "ninja": ("ninja", "cmake", "gcc"),
    "node": ("node",),
    "npm": ("node", "npm"),
    "prometheus": ("prometheus", "promtool"),
    "rsync": ("rsync",),
    "strace": ("strace",),
    "systemd_analyze": ("systemd-analyze",),
    "fish": ("fish",),
    "zsh": ("zsh",),
    "zstd": ("zstd",),
    "xattr": ("setfattr", "getfattr"),
}


@functools.cache
def lacking(capability: str) -> str | None:
    """Say what this machine lacks for a capability; None when nothing, or when it is no capability."""
    absent = [program for program in PROGRAMS.get(capability, ()) if shutil.which(program) is None]
    if absent:
        return f"not installed: {', '.join(absent)}"
    if capability == "bubblewrap":
        return _refused("bwrap", "--ro-bind", "/", "/", "true")
    if capability == "strace":
        return _refused("strace", "-f", "-o", "/dev/null", "true")
    if capability == "native":
        return _native_lacking()
    return _namespace_lacking() if capability == "pid_namespace" else None


def strace_knows(call: str) -> bool:
    """Whether strace has a name for a system call."""
    asked = ("strace", "-e", f"trace={call}", "-o", "/dev/null", "true")
    return (
        shutil.which("strace") is not None and subprocess.run(asked, capture_output=True, check=False).returncode == 0
    )


def _native_lacking() -> str | None:
    if not native.is_built():
        return "the native tracer was not built: no C compiler when the package was installed, or PYTRACE_PURE=1"
    return _refused(os.fsdecode(native.PROGRAM), "/dev/null", "/bin/true", "true")


def _namespace_lacking() -> str | None:
    """Try to run a process in a PID namespace; a container may forbid it."""
    try:
        run_plain((b"true",), b"/bin/true", os.environb, pid_namespace=True)
    except NamespaceUnavailable as error:
        return str(error)
    return None


def _refused(*command: str) -> str | None:
    """Try to trace a process; a container may forbid it."""
    done = subprocess.run(command, capture_output=True, check=False)
    said = done.stderr.decode(errors="replace").strip()
    return None if done.returncode == 0 else f"{os.path.basename(command[0])} does not work here: {said}"

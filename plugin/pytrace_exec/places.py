# SPDX-License-Identifier: Apache-2.0
"""Finding the places of a run: its root, HOME and TMPDIR (DESIGN 3, 6)."""

from __future__ import annotations

import os

from pytrace_cas.recorded.places import Places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_exec.options import Options

MARKERS = (b"WORKSPACE", b"WORKSPACE.bazel", b"MODULE.bazel", b"REPO.bazel", b".git")


class BadRoot(Exception):
    """The root cannot be used; the message says what to do."""


def find_places(options: Options, cwd: bytes, environ: Mapping[bytes, bytes]) -> Places:
    """Find root, home and temporary directory; raise `BadRoot` for a `--root` that cannot be one."""
    root = options.root
    if root is not None:
        real = os.path.realpath(root)
        if not os.path.isdir(real) or not os.access(real, os.R_OK | os.X_OK):
            raise BadRoot(f"--root {os.fsdecode(root)}: no folder that can be read; name an existing one")
        if cwd != real and not cwd.startswith(real.rstrip(b"/") + b"/"):
            raise BadRoot(f"--root {os.fsdecode(root)} does not hold the working directory; name a folder above it")
    return discover(cwd, environ, root)


def discover(cwd: bytes, environment: Mapping[bytes, bytes], root: bytes | None = None) -> Places:
    """Find the places of a run; `cwd` is real and absolute, `root` what `--root` says."""
    home = _real(environment.get(b"HOME"))
    tmp = _real(environment.get(b"TMPDIR"))
    return Places(os.path.realpath(root) if root is not None else find_root(cwd, home), home, tmp)


def find_root(cwd: bytes, home: bytes | None = None) -> bytes:
    """Return the nearest folder upward that holds a marker, never `home` or `/`; without one `cwd` itself."""
    folder = cwd
    while folder != b"/":
        if folder != home and any(os.path.exists(folder + b"/" + marker) for marker in MARKERS):
            return folder
        folder = os.path.dirname(folder)
    return cwd


def _real(value: bytes | None) -> bytes | None:
    """Path that a variable names, without links; None when it names none."""
    return os.path.realpath(value) if value is not None and value.startswith(b"/") else None

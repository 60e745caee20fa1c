# SPDX-License-Identifier: Apache-2.0
"""What the interpreter that runs us made of the caller's environment, taken back before anything uses it."""

from __future__ import annotations

import os
import sys

# What Python puts into LC_CTYPE when the caller's locale is C (PEP 538).
_COERCED = (b"C.UTF-8", b"C.utf8", b"UTF-8")


def take_back() -> None:
    """Give the environment the caller's own LC_CTYPE, and forget the caller's PYTHONPATH for our own imports."""
    if os.environb.get(b"LC_CTYPE") in _COERCED:
        _restore_locale()
    given = os.environ.get("PYTHONPATH")
    if given:
        ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        theirs = {os.path.abspath(place) for place in given.split(os.pathsep)} - {ours}
        sys.path[:] = [place for place in sys.path if place not in theirs]


def _restore_locale() -> None:
    """Set LC_CTYPE to what the environment held when this process was executed (proc(5))."""
    try:
        with open("/proc/self/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except OSError:
        return
    given = next((entry for entry in entries if entry.startswith(b"LC_CTYPE=")), None)
    if given is None:
        del os.environb[b"LC_CTYPE"]
    else:
        os.environb[b"LC_CTYPE"] = given.partition(b"=")[2]

# SPDX-License-Identifier: Apache-2.0
"""Freed memory is kept for what comes next, and given back when nothing comes."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

BLOCKS, BLOCK = 32, 1 << 20
PROGRAM = f"""
import ctypes
from pytrace_cas.allocation import give_back_freed_memory, keep_freed_memory

def resident():
    with open("/proc/self/status") as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmRSS:"))

keep_freed_memory()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
blocks = [libc.malloc({BLOCK}) for _ in range({BLOCKS})]
for block in blocks:
    ctypes.memset(block, 1, {BLOCK})
used = resident()
for block in blocks:
    libc.free(block)
kept = resident()
give_back_freed_memory()
print(used, kept, resident())
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only the GNU C library can be told to keep memory")
def test_freed_memory_is_kept_and_then_given_back() -> None:
    printed = subprocess.run([sys.executable, "-c", PROGRAM], check=True, capture_output=True, text=True).stdout
    used, kept, given_back = map(int, printed.split())
    assert used - kept < BLOCK
    assert kept - given_back > (BLOCKS - 2) * BLOCK

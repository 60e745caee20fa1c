# SPDX-License-Identifier: Apache-2.0
"""C programs of tests."""

from __future__ import annotations

import subprocess
from pathlib import Path


def compiled(folder: Path, source: str, *options: str) -> Path:
    """Compile a program's source in a folder of its own; return the program."""
    place = folder / "compiled"
    place.mkdir()
    (place / "program.c").write_text(source)
    program = place / "program"
    subprocess.run(["cc", "-O2", *options, "-o", program, place / "program.c"], check=True)
    return program

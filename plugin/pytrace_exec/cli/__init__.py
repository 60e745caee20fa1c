# SPDX-License-Identifier: Apache-2.0
"""`pytrace`: one verb a module."""

from __future__ import annotations


def main() -> None:
    """Run `pytrace` with the arguments in `sys.argv`."""
    from pytrace_exec.cli import start  # what a check does not need is not imported

    start.main()

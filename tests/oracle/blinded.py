# SPDX-License-Identifier: Apache-2.0
"""The wrapper with one kind of fact switched off, for the proof that the oracle notices: `blinded.py KIND OPTIONS...`.

The product has no such switch; a test has to prove that its judge would see what is missing.
"""

from __future__ import annotations

import os
import sys

# Kinds as the design names them, where the table of values splits them further.
SPLIT = {"status": ("status", "access")}
KINDS = (
    "content", "status", "error", "change", "target", "listing", "link", "attribute", "order", "variable", "identity",
    "stream",
)  # fmt: skip


def command(kind: str) -> tuple[str, ...]:
    """The command line of a wrapper that is blind to a kind."""
    return (sys.executable, os.path.abspath(__file__), kind)


def blind(kind: str) -> None:
    """Let every value of a kind be the same, whatever the world holds."""
    from pytrace_exec.observe import facts

    for name in SPLIT.get(kind, (kind,)):
        if name not in facts.VALUES:
            raise SystemExit(f"no facts of kind {name!r}: there are {', '.join(sorted(facts.VALUES))}")
        facts.VALUES[name] = _unseen


def _unseen(*arguments: object) -> bytes:
    return b"-"


def main() -> None:
    """Switch off the kind that the first argument names, then be `pytrace-exec`."""
    kind = sys.argv.pop(1)
    blind(kind)
    from pytrace_exec.wrapper import main as wrapped

    wrapped()


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""Why the last run of a command was not stored, as a note in the local store under its weak key."""

from __future__ import annotations

import time

from pytrace_cas.store import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytrace_cas.digest import Digest
    from pytrace_cas.store import Store

KIND = "not stored"
MAX_REASONS = 32
LONGEST = 400
"""Characters of a path or message that are noted."""


def note(store: Store, weak: Digest, reasons: Sequence[dict[str, object]]) -> None:
    """Note why a run was not stored; without reasons, that it was. No failure of it counts."""
    key = str(weak).encode()
    try:
        if reasons:
            import json

            told = [{name: _short(value) for name, value in reason.items()} for reason in reasons[:MAX_REASONS]]
            store.remember(KIND, key, json.dumps({"time": time.time(), "reasons": told}).encode())
        elif store.recall(KIND, key) is not None:
            store.forget(KIND, key)
    except (StoreError, ValueError):
        return


def noted(store: Store, weak: Digest) -> tuple[float, list[dict[str, object]]] | None:
    """When a command was last run without being stored (Unix time), and why; None if it was not, or is not known."""
    import json

    value = store.recall(KIND, str(weak).encode())
    try:
        found = json.loads(value) if value is not None else None
        return None if found is None else (float(found["time"]), list(found["reasons"]))
    except (ValueError, KeyError, TypeError):
        return None


def _short(value: object) -> object:
    return value if not isinstance(value, str) or len(value) <= LONGEST else f"{value[:LONGEST]}..."

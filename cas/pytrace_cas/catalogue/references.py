# SPDX-License-Identifier: Apache-2.0
"""Why a reference names no action, or more than one."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytrace_cas.catalogue.rows import ActionRow


class UnknownReference(LookupError):
    """No action of the store is called that."""

    def __init__(self, reference: str) -> None:
        super().__init__(
            f"no stored result is called {reference!r}; give a digest, the beginning of one, 'latest' or an output, "
            "as `pytrace ls` and `pytrace find` name them"
        )
        self.reference = reference


class AmbiguousReference(LookupError):
    """Several actions have digests that begin so; `rows` are some of them."""

    def __init__(self, reference: str, rows: list[ActionRow], more: bool) -> None:
        names = ", ".join(row.digest.hash[:16] for row in rows)
        super().__init__(
            f"{len(rows)}{' or more' if more else ''} stored results begin with {reference} ({names}); "
            "give more of the digest"
        )
        self.reference = reference
        self.rows = rows

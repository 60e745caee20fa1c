# SPDX-License-Identifier: Apache-2.0
"""Who a caller is, and how they showed it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

CERTIFICATE, PASSWORD, TOKEN, JWT = WAYS = ("certificate", "password", "token", "jwt")


# Each call looks rights up by it.
@attrs.frozen(cache_hash=True)
class Identity:
    """A name, and `by` which of `WAYS` it was shown: rights may ask for one of them."""

    name: str
    by: str


def of_certificate(common_names: Sequence[str], alternative_names: Iterable[str]) -> Identity | None:
    """Take the subject's common name, else the first alternative name; None when it has neither."""
    name = next((name for name in (*common_names[:1], *alternative_names) if name), None)
    return None if name is None else Identity(name, CERTIFICATE)

# SPDX-License-Identifier: Apache-2.0
"""Services, and what is behind them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.store import Store

if TYPE_CHECKING:
    from pytrace_cas.services import Services


def plain_store(services: Services) -> Store:
    """The store behind services that have no tier."""
    assert isinstance(services.store, Store)
    return services.store

# SPDX-License-Identifier: Apache-2.0
"""Named instants at which a kill must do no harm.

The store calls `reached(name)` at each of them, which does nothing. The kill tests assign another function
in a process that they are about to lose.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


def _go_on(name: str) -> None:
    """Do nothing: the store runs on."""


reached: Callable[[str], None] = _go_on

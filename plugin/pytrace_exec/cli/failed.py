# SPDX-License-Identifier: Apache-2.0
"""How a verb says that it cannot do what was asked."""

from __future__ import annotations


class Failed(Exception):
    """A verb cannot do what was asked: the message says why and what to do, `status` how to end."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status

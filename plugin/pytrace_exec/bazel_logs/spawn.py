# SPDX-License-Identifier: Apache-2.0
"""One executed command of a build, whichever log told of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from collections.abc import Mapping


@attrs.frozen
class Spawn:
    """A command with what it read and made; paths are relative to the execution root.

    Values of `inputs` and `outputs` are digests, `empty`, or what `link_to` makes; None: an output was not made.
    """

    mnemonic: str
    target: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    platform: Mapping[str, str]
    inputs: Mapping[str, str]
    tools: frozenset[str]
    outputs: Mapping[str, str | None]
    exit_code: int

    @property
    def output(self) -> str:
        """The output by which it is known: the first by name."""
        return min(self.outputs, default="")


def link_to(target: str) -> str:
    """The value of an unresolved symbolic link."""
    return f"-> {target}"

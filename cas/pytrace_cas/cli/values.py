# SPDX-License-Identifier: Apache-2.0
"""Kinds of values that options take."""

from __future__ import annotations

import re

import click

_SECONDS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhdw]?)")


def duration(text: str) -> float:
    """Seconds in a duration: `90s`, `24h`, `30d`; a bare number counts seconds."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise click.BadParameter(f"{text!r} is no duration: write 90s, 24h or 30d")
    return float(match[1]) * _SECONDS[match[2]]

# SPDX-License-Identifier: Apache-2.0
"""Long values in lines for people, cut to what tells them apart."""

from __future__ import annotations

LONGEST = 200  # characters of a value that are shown
_LED_IN = 40  # characters before the first difference
_CUT = "..."


def shortened(text: str, other: str = "") -> str:
    """A text of at most `LONGEST` characters as it is; of a longer one the part where it begins to differ from another.

    What is left out at either end is an ellipsis.
    """
    if len(text) <= LONGEST:
        return text
    same = next((at for at, (ours, theirs) in enumerate(zip(text, other, strict=False)) if ours != theirs), len(other))
    start = max(0, min(same - _LED_IN, len(text) - LONGEST))
    end = start + LONGEST
    return f"{_CUT if start else ''}{text[start:end]}{_CUT if end < len(text) else ''}"

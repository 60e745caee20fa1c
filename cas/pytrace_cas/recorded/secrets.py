# SPDX-License-Identifier: Apache-2.0
"""Which variables are secrets, by their names: keys hold a hash of their values, and pages no value."""

from __future__ import annotations

_WORDS = b"TOKEN SECRET PASSW CREDENTIAL PRIVATE APIKEY API_KEY ACCESSKEY ACCESS_KEY AUTH".split()


def looks_secret(name: bytes) -> bool:
    """Whether a variable's name says that its value is a secret."""
    upper = name.upper().replace(b"AUTHOR", b"")
    return any(word in upper for word in _WORDS)

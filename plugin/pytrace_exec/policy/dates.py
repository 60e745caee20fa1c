# SPDX-License-Identifier: Apache-2.0
"""Texts that name a moment by themselves, whenever they are read; GNU's programs read all others by the clock.

A date without a time of day is midnight. A time of day without a date, a day of the week or a number of days is of the
day on which it is read.
"""

from __future__ import annotations

import re

_MONTH = rb"(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)"
_DAY = rb"(?:(?:mon|tue|wed|thu|fri|sat|sun),? )?"
_ZONE = rb"(?: ?(?:z|utc|gmt|[+-]\d\d:?\d\d))?"
_TIME = rb"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?"

ABSOLUTE = (
    rb"@-?\d+(?:\.\d+)?",
    rb"(?:\d{4}-\d{1,2}-\d{1,2}|\d{4}/\d{1,2}/\d{1,2}|\d{8})(?:[t ]" + _TIME + _ZONE + rb")?",
    _DAY + rb"\d{1,2} " + _MONTH + rb" \d{4}(?: " + _TIME + _ZONE + rb")?",
    _DAY + _MONTH + rb" {1,2}\d{1,2} " + _TIME + rb"(?: (?:utc|gmt))? \d{4}",
)
"""Seconds since the epoch; ISO 8601; RFC 5322; as `date` prints it in the C locale."""

STAMP = rb"(?:\d\d)?\d{10}(?:\.\d\d)?"
"""The value of `touch -t` with a year: [CC]YYMMDDhhmm[.ss]."""

_ABSOLUTE = rb"|".join(ABSOLUTE)


def is_absolute(text: bytes) -> bool:
    """Whether the text of a `--date` option means the same whenever it is read."""
    return re.fullmatch(_ABSOLUTE, text.strip(b" ").lower()) is not None


def is_whole_stamp(text: bytes) -> bool:
    """Whether the value of `touch -t` holds its year."""
    return re.fullmatch(STAMP, text) is not None

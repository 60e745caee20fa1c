# SPDX-License-Identifier: Apache-2.0
"""The form of log lines on stderr: for people, or a JSON object each for programs."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Any

FORMATS = ("console", "json")
# What is logged with `extra={FIELDS: {...}}` is in the line as fields of its own.
FIELDS = "fields"
_PLAIN = re.compile(r"[\w./:@%+,\[\]-]+", re.ASCII)


def configure(form: str) -> None:
    """Log to stderr from INFO on, in one of `FORMATS`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Json() if form == "json" else _Console())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    # What uvicorn says of its life is said by us.
    logging.getLogger("uvicorn").setLevel(logging.WARNING)


def in_one_word(value: object) -> str:
    """Write a value that came from outside so that it is one word of a line, whatever is in it."""
    text = str(value)
    return text if _PLAIN.fullmatch(text) else json.dumps(text)


class _Console(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = getattr(record, FIELDS, {})
        return super().formatMessage(record) + "".join(f" {key}={in_one_word(fields[key])}" for key in fields)


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)

# SPDX-License-Identifier: Apache-2.0
"""Options from TOML files: `pytrace.toml`, `[tool.pytrace]` in `pyproject.toml`, and the user's and system's own.

Keys are the long flags without dashes. A relative path is relative to the file's folder, and `~/` is the home
directory. Tables belong to other verbs and are left to them.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from typing import Any

from pytrace_exec.option_table import OPTIONS, Option
from pytrace_exec.option_values import path as read_path
from pytrace_exec.option_values import shown
from pytrace_exec.options import Options, UsageError

_KEYS = {option.name: option for option in OPTIONS if "file" in option.scope}
_NUMBERS = ("SIZE", "DUR")


def apply(options: Options, path: bytes, content: bytes, environ: Mapping[bytes, bytes]) -> None:
    """Take from one file what nothing nearer has set; raise `UsageError` when it is malformed."""
    source = shown(path)
    table = _table(path, content, source)
    for key, raw in table.items():
        option = _KEYS.get(key)
        if option is None:
            if isinstance(raw, dict):
                continue
            raise UsageError(f"{source}: unknown option {shown(key.encode())}: see pytrace-exec --help", source)
        items = raw if option.many and isinstance(raw, list) else [raw]
        try:
            found = [_value(option, item, os.path.dirname(path), environ) for item in items]
        except ValueError as error:
            raise UsageError(f"{source}: {key} {error}", source) from None
        if found:
            options.set_farther(option, found, source)


def _table(path: bytes, content: bytes, source: str) -> dict[str, Any]:
    """Parse the file; of a `pyproject.toml`, our part."""
    try:
        document = tomllib.loads(content.decode())
    except ValueError as error:
        # tomllib names the line; a parser's message may quote the text around it.
        reason = " ".join(str(error).split())
        raise UsageError(f"{source} is not TOML: {reason}", source) from None
    if not path.endswith(b"/pyproject.toml"):
        return document
    tool = document.get("tool", {})
    ours = tool.get("pytrace", {}) if isinstance(tool, dict) else {}
    if not isinstance(ours, dict):
        raise UsageError(f"{source}: tool.pytrace is no table: write [tool.pytrace]", source)
    return ours


def _value(option: Option, raw: object, folder: bytes, environ: Mapping[bytes, bytes]) -> object:
    """Read one value; a number may stand for a size or a duration."""
    if not option.metavar:
        if not isinstance(raw, bool):
            raise ValueError("is true or false")
        return raw
    if isinstance(raw, int | float) and not isinstance(raw, bool) and option.metavar in _NUMBERS:
        raw = str(raw)
    if not isinstance(raw, str):
        raise ValueError(f"needs a string{' or a list of strings' if option.many else ''}")
    value = option.read(raw.encode())
    if option.read is not read_path:
        return value
    home = environ.get(b"HOME", b"")
    given = raw.encode()
    return home + given[1:] if given.startswith(b"~/") and home else os.path.join(folder, given)

# SPDX-License-Identifier: Apache-2.0
"""Why a stored result did not serve: each reason's code and sentence, as one table in the order of telling."""

from __future__ import annotations

import os

from pytrace_exec.shortening import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

SENTENCES = {
    "never_seen": "never seen: no result is stored for this command",
    "recache": "the mode is recache, which answers nothing from the cache",
    "invalidated": "invalidated",
    "scheme_changed": "stored by a version whose keys differ",
    "arguments_changed": "arguments changed",
    "directory_changed": "working directory changed",
    "environment_changed": "environment changed",
    "umask_changed": "umask changed",
    "user_changed": "user changed",
    "machine_changed": "machine changed",
    "options_changed": "it was stored under other options",
    "belongs_to_checkout": "it belongs to its checkout, user or folders",
    "tool_changed": "tool changed",
    "new_file": "a file that was looked for and absent now exists",
    "input_removed": "an input is gone",
    "inputs_changed": "input changed",
    "link_changed": "a symbolic link leads elsewhere",
    "listing_changed": "listing changed",
    "order_changed": "order of modification times changed",
    "attribute_changed": "extended attribute changed",
    "output_differs": "an output that was looked at differs",
    "stream_changed": "a standard descriptor is another one",
    "outputs_missing": "outputs missing from the cache",
    "unusable": "the stored result is of a form that this version does not replay",
    "unknown": "what the nearest result depended on is not in the local store, so that it cannot be compared",
}
_PLACES = {code: place for place, code in enumerate(SENTENCES)}


def reason(
    code: str,
    path: bytes | None = None,
    old: str | None = None,
    new: str | None = None,
    *,
    name: str | None = None,
    shown: str | None = None,
) -> dict[str, object]:
    """One reason; `name`: of a variable or the like, `shown`: the path as the message names it.

    The message is for people and shortens long values; `old` and `new` are whole.
    """
    message = SENTENCES[code]
    where = name or shown or (os.fsdecode(path) if path is not None else None)
    if where is not None:
        message += f": {where}"
    if old is not None or new is not None:
        message += f" ({_shown(old, new)} -> {_shown(new, old)})"
    found: dict[str, object] = {"code": code, "message": message.replace("\n", "\\n")}
    found |= {"path": None if path is None else os.fsdecode(path), "old": old, "new": new}
    return found if name is None else {**found, "name": name}


def _shown(value: str | None, other: str | None) -> str:
    return "unset" if value is None else shortened(value, other or "")


def in_order(reasons: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """The reasons in the order of the table, then by path."""
    return sorted(reasons, key=lambda found: (_PLACES[str(found["code"])], str(found["path"])))

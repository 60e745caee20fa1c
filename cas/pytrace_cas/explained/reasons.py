# SPDX-License-Identifier: Apache-2.0
"""Why a stored result did not serve: each reason's code, sentence and group, as one table in the order of telling.

First what makes every other reason moot, then what a person would mend first: how the command was called, its tools,
its inputs, what its outputs met, the cache itself.
"""

from __future__ import annotations

import os

from pytrace_cas.explained.shortening import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

GROUPS = {
    "never_seen": ("Never seen", {"never_seen": "never seen: no result is stored for this command"}),
    "not_stored": ("Its last run was not stored", {"not_stored": "its last run was not stored"}),
    "mode": ("Not looked up", {"recache": "the mode is recache, which answers nothing from the cache"}),
    "invalidated": ("Invalidated", {"invalidated": "invalidated"}),
    "arguments": ("Arguments changed", {"arguments_changed": "arguments changed"}),
    "environment": (
        "Environment changed",
        {
            "environment_changed": "environment changed",
            "directory_changed": "working directory changed",
            "umask_changed": "umask changed",
            "user_changed": "user changed",
            "machine_changed": "machine changed",
            "stream_changed": "a standard descriptor is another one",
            "belongs_to_checkout": "it belongs to its checkout, user or folders",
        },
    ),
    "options": (
        "Options changed",
        {
            "options_changed": "it was stored under other options",
            "scheme_changed": "stored by a version whose keys differ",
        },
    ),
    "tools": ("Tools changed", {"tool_changed": "tool changed"}),
    "conflicts": ("Outputs that another command makes as well", {"output_conflict": "two commands claim one output"}),
    "inputs": (
        "Inputs changed",
        {
            "new_file": "a file that was looked for and absent now exists",
            "input_removed": "an input is gone",
            "inputs_changed": "input changed",
            "link_changed": "a symbolic link leads elsewhere",
            "attribute_changed": "extended attribute changed",
        },
    ),
    "listings": ("Listings changed", {"listing_changed": "listing changed"}),
    "times": ("Times changed", {"order_changed": "order of modification times changed"}),
    "outputs": ("Outputs that were looked at", {"output_differs": "an output that was looked at differs"}),
    "cache": (
        "The cache",
        {
            "outputs_missing": "outputs missing from the cache",
            "unusable": "the stored result is of a form that this version does not replay",
            "unknown": "what the nearest result depended on is not in the local store, so that it cannot be compared",
        },
    ),
}
"""Each group's title and reasons."""

SENTENCES = {code: sentence for _, sentences in GROUPS.values() for code, sentence in sentences.items()}
_PLACES = {code: place for place, code in enumerate(SENTENCES)}
_GROUP_OF = {code: group for group, (_, sentences) in GROUPS.items() for code in sentences}
OTHERS = "remote"
"""The group of what is no reason of this table: what a remote lacked or refused."""


def reason(
    code: str,
    path: bytes | None = None,
    old: str | None = None,
    new: str | None = None,
    *,
    name: str | None = None,
    shown: str | None = None,
    said: str | None = None,
) -> dict[str, object]:
    """One reason; `name`: of a variable or the like, `shown`: the path as the message names it.

    The message is for people and shortens long values; `old` and `new` are whole. `said` stands in place of both.
    """
    message = SENTENCES[code]
    where = name or shown or (os.fsdecode(path) if path is not None else None)
    if where is not None:
        message += f": {where}"
    if said is not None:
        message += f" ({said})"
    elif old is not None or new is not None:
        message += f" ({_shown(old, new)} -> {_shown(new, old)})"
    found: dict[str, object] = {"code": code, "message": message.replace("\n", "\\n")}
    found |= {"path": None if path is None else os.fsdecode(path), "old": old, "new": new}
    return found if name is None else {**found, "name": name}


def _shown(value: str | None, other: str | None) -> str:
    return "unset" if value is None else shortened(value, other or "")


def in_order(reasons: Iterable[dict[str, object]]) -> list[dict[str, object]]:
    """The reasons in the order of the table, then by path and name."""
    return sorted(
        reasons, key=lambda found: (_PLACES[str(found["code"])], str(found["path"]), str(found.get("name", "")))
    )


def group_of(code: str) -> str:
    """The group that a code belongs to."""
    return _GROUP_OF.get(code, OTHERS)


def title_of(group: str) -> str:
    """What a group is called."""
    return GROUPS[group][0] if group in GROUPS else "The remote"

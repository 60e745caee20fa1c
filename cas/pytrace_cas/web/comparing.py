# SPDX-License-Identifier: Apache-2.0
"""Two actions side by side, as rows: `+` only in the second, `-` only in the first, `M` another content,
`T` another type, `U` only mode or the like.
"""

from __future__ import annotations

from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Any

import attrs

from pytrace_cas import store as storage
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.web.actions import HIDDEN, describe_action, is_hidden
from pytrace_cas.web.errors import TooLargeToShow
from pytrace_cas.web.explaining import explain_pair
from pytrace_cas.web.messages import read_message
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytrace_cas.services.backing import Store
    from pytrace_cas.web.addresses import BlobAddress

MOST_ROWS = 2000
_MOST_DIRECTORIES = 5000
# What is found, if not shown; and pairs of arguments that are compared, each with each.
_MOST_FOUND, _MOST_PAIRS = 20 * MOST_ROWS, 1_000_000
Named = dict[str, dict[str, Any]]


@attrs.frozen
class Row:
    """One difference; `old` and `new` are texts, None where there is nothing."""

    letter: str
    name: str
    old: str | None
    new: str | None


def compare(store: Store, first: BlobAddress, second: BlobAddress) -> dict[str, Any]:
    """Tell how two actions differ, as reasons and part by part; raise `BlobNotFound`, `InvalidRequest`."""
    left, right = describe_action(store, first), describe_action(store, second)
    parts = {
        "arguments": _arguments(left.get("command"), right.get("command")),
        "environment": [
            *_pairs(left.get("environment"), right.get("environment")),
            *_secrets(store, first, second, left, right),
        ],
        "platform": _pairs(left.get("platform"), right.get("platform")),
        "inputs": _inputs(store, first, second, left, right),
        "outputs": _by_name(_outputs(left), _outputs(right)),
        "result": _streams(left["result"], right["result"]),
    }
    explained = explain_pair(store, first, second, left, right, parts["inputs"][:MOST_ROWS])
    shown = {name: rows[:MOST_ROWS] for name, rows in parts.items()}
    return {
        "first": str(first.digest),
        "second": str(second.digest),
        "same": not any(parts.values()),
        **explained,
        "parts": {name: [attrs.asdict(row) for row in rows] for name, rows in shown.items()},
        "left_out": sum(len(rows) - len(shown[name]) for name, rows in parts.items()),
    }


def _arguments(old: list[str] | None, new: list[str] | None) -> list[Row]:
    """Arguments that came and went, in order."""
    before, now, rows = old or [], new or [], []
    for tag, a, b, c, d in _matched(before, now):
        if tag == "replace" and b - a == d - c:
            pairs = zip(range(a, b), range(c, d), strict=True)
            rows += [Row("M", f"argument {j}", before[i], now[j]) for i, j in pairs]
        elif tag != "equal":
            rows += [Row("-", f"argument {i}", before[i], None) for i in range(a, b)]
            rows += [Row("+", f"argument {j}", None, now[j]) for j in range(c, d)]
    return rows


def _matched(before: list[str], now: list[str]) -> Sequence[tuple[str, int, int, int, int]]:
    """What became what, as `SequenceMatcher` tells it; very long commands are compared place by place."""
    from difflib import SequenceMatcher

    if len(before) * len(now) <= _MOST_PAIRS:
        return SequenceMatcher(None, before, now, autojunk=False).get_opcodes()
    common = min(len(before), len(now))
    pairs = [("replace", i, i + 1, i, i + 1) for i in range(common) if before[i] != now[i]]
    return [*pairs, ("replace", common, len(before), common, len(now))]


def _pairs(old: list[dict[str, Any]] | None, new: list[dict[str, Any]] | None) -> list[Row]:
    before = {item["name"]: {"value": item["value"]} for item in old or ()}
    return _by_name(before, {item["name"]: {"value": item["value"]} for item in new or ()})


def _secrets(
    store: Store, first: BlobAddress, second: BlobAddress, left: dict[str, Any], right: dict[str, Any]
) -> list[Row]:
    """Variables of which only that they differ is told."""
    named = left.get("command_digest"), right.get("command_digest")
    if named[0] == named[1] or None in (left.get("command"), right.get("command")):
        return []
    commands = [
        read_message(store, place.of(str(digest)), reapi.Command)
        for place, digest in zip((first, second), named, strict=True)
    ]
    old, new = ({one.name: one.value for one in command.environment_variables} for command in commands)
    both = (name for name in sorted(old.keys() & new.keys()) if old[name] != new[name])
    return [
        Row("M", name, HIDDEN, HIDDEN) for name in both if is_hidden(name, old[name]) and is_hidden(name, new[name])
    ]


def _by_name(old: Named, new: Named) -> list[Row]:
    rows = []
    for name in sorted(old.keys() | new.keys()):
        before, now = old.get(name), new.get(name)
        if before != now:
            rows.append(Row(_letter(before, now), name, _text(before), _text(now)))
    return rows


def _letter(old: dict[str, Any] | None, new: dict[str, Any] | None) -> str:
    if old is None or new is None:
        return "+" if old is None else "-"
    if old.get("kind") != new.get("kind") or old.get("type") != new.get("type"):
        return "T"
    content = ("digest", "value", "target", "error", "entries", "state")
    return "M" if any(old.get(name) != new.get(name) for name in content) else "U"


def _text(item: dict[str, Any] | None) -> str | None:
    """The fields of a thing in one line, without the name that stands beside it."""
    if item is None:
        return None
    if item.keys() == {"value"}:
        return str(item["value"])
    fields = ((name, value) for name, value in item.items() if name not in ("path", "name", "kind"))
    words = [f"{name} {value}" for name, value in fields if value not in (None, False) and not name.endswith("_b64")]
    return ", ".join([*([str(item["kind"])] if "kind" in item else []), *words])


def _outputs(found: dict[str, Any]) -> Named:
    if found.get("effects") is not None:
        return {item["path"]: item for item in found["effects"]}
    return {item["path"]: item for item in (found["result"] or {}).get("outputs", ())}


def _streams(old: dict[str, Any] | None, new: dict[str, Any] | None) -> list[Row]:
    return _by_name(_values(old), _values(new))


def _values(result: dict[str, Any] | None) -> Named:
    """Exit status and streams; one on which nothing was written is not there."""
    names = ("exit_code", "stdout", "stderr") if result else ()
    return {name: {"value": result[name]} for name in names if result and result[name] is not None}


def _inputs(
    store: Store, first: BlobAddress, second: BlobAddress, left: dict[str, Any], right: dict[str, Any]
) -> list[Row]:
    """By what was observed where both were traced, else by their input roots."""
    if left["observations"] is not None and right["observations"] is not None:
        return _by_name(_observed(left["observations"]), _observed(right["observations"]))
    roots = left.get("input_root_digest"), right.get("input_root_digest")
    if None in roots or (roots[0] == roots[1] and first.function == second.function):
        return []
    old, new = (place.of(str(root)) for place, root in zip((first, second), roots, strict=True))
    return list(islice(_differing(store, old, new), _MOST_FOUND))


def _observed(observations: list[dict[str, Any]]) -> Named:
    found: Named = {}
    for item in observations:
        name = item.get("path") or item.get("name") or " ".join(item.get("paths", ())) or item["kind"]
        found[f"{name} ({item['kind']})"] = item
    return found


def _differing(store: Store, old: BlobAddress, new: BlobAddress) -> Iterator[Row]:
    """Walk two Merkle trees at once, going down only where they differ."""
    queue, seen = deque([("", old, new)]), 0
    while queue and seen < _MOST_DIRECTORIES:
        seen += 1
        path, first, second = queue.popleft()
        before, now = _entries(store, first), _entries(store, second)
        if before is None or now is None:
            yield Row("M", path or ".", str(first.digest), str(second.digest))
            continue
        for row in _by_name(before, now):
            a, b = before.get(row.name, {}), now.get(row.name, {})
            if a.get("kind") == b.get("kind") == "directory":
                below = old.of(a["digest"]), new.of(b["digest"])
                queue.append((f"{path}{row.name}/", *below))
            else:
                yield attrs.evolve(row, name=path + row.name)


def _entries(store: Store, address: BlobAddress) -> Named | None:
    """The entries of a directory, None if it cannot be read."""
    try:
        directory = read_message(store, address, reapi.Directory)
    except (storage.BlobNotFound, InvalidRequest, TooLargeToShow, ValueError):
        return None
    found: Named = {}
    for node in directory.directories:
        found[node.name] = {"kind": "directory", "digest": f"{node.digest.hash}/{node.digest.size_bytes}"}
    for file in directory.files:
        digest = f"{file.digest.hash}/{file.digest.size_bytes}"
        found[file.name] = {"kind": "file", "digest": digest, "executable": file.is_executable}
    for link in directory.symlinks:
        found[link.name] = {"kind": "symlink", "target": link.target}
    return found

# SPDX-License-Identifier: Apache-2.0
"""What a run looked at, as a tree of folders: one node a name, with what was observed there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

if TYPE_CHECKING:
    from collections.abc import Sequence

MOST = 3000
_DEEPEST = 40


@attrs.define
class Node:
    """A folder or file: `facts` were observed of it, `below` are the names in it."""

    name: str
    facts: list[dict[str, Any]] = attrs.field(factory=list)
    below: dict[str, Node] = attrs.field(factory=dict)

    def child(self, name: str) -> Node:
        """The node of a name in this folder."""
        return self.below.setdefault(name, Node(name))

    def count(self) -> int:
        """How many facts are here and below."""
        return len(self.facts) + sum(child.count() for child in self.below.values())


@attrs.frozen
class Grouped:
    """Observations for people: `roots` by path, `others` that concern none or several, `left_out` how many more."""

    roots: list[Node]
    others: list[dict[str, Any]]
    left_out: int


def grouped(observations: Sequence[dict[str, Any]]) -> Grouped:
    """Sort observations into trees, the project's own first."""
    top, others = Node(""), []
    for item in observations[:MOST]:
        path = item.get("path")
        if path is None:
            others.append(item)
            continue
        node = top
        for part in _parts(path):
            node = node.child(part)
        node.facts.append(item)
    roots = [_joined(child) for child in top.below.values()]
    return Grouped(roots, others, max(0, len(observations) - MOST))


def _parts(path: str) -> list[str]:
    """Names of a path; the first says where it lies. What is nested very deeply stays one name."""
    place, rest = ("/", path[1:]) if path.startswith("/") else ("project", path)
    for sign in ("<home>", "<tmp>"):
        if rest == sign or rest.startswith(f"{sign}/"):
            place, rest = sign, rest[len(sign) :]
    names = [name for name in rest.split("/") if name] if rest != "." else []
    return [place, *names[:_DEEPEST], *(["/".join(names[_DEEPEST:])] if len(names) > _DEEPEST else [])]


def _joined(node: Node) -> Node:
    """Folders in which there is only one folder stand in one line with it."""
    below = [_joined(child) for child in node.below.values()]
    if len(below) == 1 and not node.facts and below[0].below and node.name not in ("project", "/"):
        return Node(f"{node.name}/{below[0].name}", below[0].facts, below[0].below)
    return Node(node.name, node.facts, {child.name: child for child in below})

# SPDX-License-Identifier: Apache-2.0
"""What differs between two trees: no fact of another value is left out, whatever the trees and the facts are."""

from __future__ import annotations

import hashlib
from typing import TypeAlias

from hypothesis import given
from hypothesis import strategies as st

from pytrace_exec.ci.changed import changes, concerned
from pytrace_exec.ci.facts import ATTRIBUTES, Values, strongest, with_attributes
from pytrace_exec.ci.objects import FOLDER, GITLINK, LINK, Objects

Tree: TypeAlias = "dict[bytes, Tree | tuple[bytes, int]]"
_NAMES = st.sampled_from([b"a", b"b", b"c", ATTRIBUTES])
_LEAVES = st.tuples(st.sampled_from([b"100644", b"100755", LINK, GITLINK]), st.integers(0, 2))
_TREES = st.recursive(
    st.dictionaries(_NAMES, _LEAVES, max_size=4), lambda inner: st.dictionaries(_NAMES, inner | _LEAVES, max_size=4)
)
_PATHS = st.lists(_NAMES, max_size=4).map(b"/".join)
_FACTS = st.lists(st.tuples(_PATHS, st.sampled_from("vtlw")), max_size=12).map(strongest)


class Made(Objects):
    """Trees that a test has made, as git would keep them; it counts how many were asked for."""

    def __init__(self) -> None:
        super().__init__()
        self._kept: dict[bytes, bytes] = {}
        self.asked: list[bytes] = []

    def put(self, tree: Tree) -> bytes:
        """Keep a tree; return its id."""
        data = b""
        for name, found in sorted(tree.items()):
            mode, id = (FOLDER, self.put(found)) if isinstance(found, dict) else (found[0], bytes([found[1]]) * 20)
            data += mode + b" " + name + b"\0" + id
        id = hashlib.sha1(data).digest()
        self._kept[id] = data
        return id

    def _read(self, tree: bytes) -> bytes | None:
        self.asked.append(tree)
        return self._kept.get(tree)


@given(_TREES, _TREES, _FACTS)
def test_every_fact_of_another_value_is_concerned(old: Tree, new: Tree, facts: list[tuple[bytes, str]]) -> None:
    objects = Made()
    before, after = objects.put(old), objects.put(new)
    found = concerned(facts, changes(objects, before, after))
    was, now = Values(objects, before), Values(objects, after)
    other = {fact for fact in with_attributes(facts) if was.value(fact) != now.value(fact)}
    assert other <= set(found)


def test_only_folders_that_differ_are_read() -> None:
    objects = Made()
    big: Tree = {b"%d" % number: (b"100644", 0) for number in range(50)}
    same = objects.put(big)
    before, after = (objects.put({b"same": big, b"in": {b"a": (b"100644", n)}}) for n in (0, 1))
    assert changes(objects, before, after).keys() == {b"", b"in", b"in/a"}
    assert same not in objects.asked
    assert concerned([(b"in/a", "v"), (b"same/1", "v")], changes(objects, before, after)) == [(b"in/a", "v")]
    assert changes(objects, before, before) == {}

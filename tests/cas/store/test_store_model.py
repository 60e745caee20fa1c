# SPDX-License-Identifier: Apache-2.0
"""Random sequences of calls against a dictionary that does the same."""

from __future__ import annotations

import shutil
import tempfile

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from pytrace_cas.digest import BLAKE3, SHA256, Digest, DigestFunction
from pytrace_cas.store import BlobNotFound, MissingBlobs, Store

FUNCTIONS = st.sampled_from([SHA256, BLAKE3])
# Few contents, on both sides of where a blob moves to a file, so that calls meet.
CONTENTS = st.builds(lambda seed, size: bytes([seed]) * size, st.integers(0, 3), st.sampled_from([0, 1, 16384, 16385]))
NAMES = st.sampled_from(["", "a", "b/c"])
MESSAGES = st.binary(max_size=9)
NEEDS = st.lists(CONTENTS, max_size=4)


class StoreModel(RuleBasedStateMachine):
    """The store, and what it should hold."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.mkdtemp(prefix="pytrace-model-")
        self.store = Store.open(self.folder)
        self.blobs: dict[tuple[str, Digest], bytes] = {}
        self.results: dict[tuple[str, str, Digest], tuple[bytes, set[Digest]]] = {}

    def teardown(self) -> None:
        self.store.close()
        shutil.rmtree(self.folder)

    def holds(self, function: DigestFunction, digest: Digest) -> bool:
        return not digest.size_bytes or (function.name, digest) in self.blobs

    @rule(function=FUNCTIONS, data=CONTENTS, streamed=st.booleans())
    def put(self, function: DigestFunction, data: bytes, streamed: bool) -> None:
        digest = function.of(data)
        if streamed:
            with self.store.writer(function, digest) as writer:
                writer.write(data)
                writer.commit()
        else:
            assert self.store.put(function, data) == digest
        if data:
            self.blobs[function.name, digest] = data

    @rule(function=FUNCTIONS, contents=NEEDS)
    def put_many(self, function: DigestFunction, contents: list[bytes]) -> None:
        items = [(function.of(data), data) for data in contents]
        self.store.put_many(function, items)
        self.blobs.update({(function.name, digest): data for digest, data in items if data})

    @rule(function=FUNCTIONS, data=CONTENTS)
    def get(self, function: DigestFunction, data: bytes) -> None:
        digest = function.of(data)
        try:
            assert self.store.get(function, digest) == data
            assert self.holds(function, digest)
        except BlobNotFound:
            assert not self.holds(function, digest)

    @rule(
        function=FUNCTIONS, name=NAMES, action=CONTENTS, needs=NEEDS, allow=st.booleans(), message=st.binary(max_size=9)
    )
    def put_result(
        self, function: DigestFunction, name: str, action: bytes, needs: list[bytes], allow: bool, message: bytes
    ) -> None:
        wanted = {function.of(data) for data in needs}
        absent = sorted(digest for digest in wanted if not self.holds(function, digest))
        key = (name, function.of(action), message, wanted)
        if absent and not allow:
            with pytest.raises(MissingBlobs) as caught:
                self.store.put_action_result(function, *key)
            assert caught.value.missing == absent
        else:
            self.store.put_action_result(function, *key, allow_missing=allow)
            self.results[function.name, name, function.of(action)] = (message, wanted)

    @rule(function=FUNCTIONS, name=NAMES, action=CONTENTS)
    def get_result(self, function: DigestFunction, name: str, action: bytes) -> None:
        message, needs = self.results.get((function.name, name, function.of(action)), (None, set()))
        whole = all(self.holds(function, digest) for digest in needs)
        expected = message if whole else None
        assert self.store.get_action_result(function, name, function.of(action)) == expected
        assert self.store.get_action_result_by_hash(function, name, function.of(action).hash) == expected

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(self.folder)

    @rule(share=st.integers(0, 4))
    def evict(self, share: int) -> None:
        self.store.evict(down_to=self.store.size()[0] * share // 4)
        for function in (SHA256, BLAKE3):
            held = [digest for name, digest in self.blobs if name == function.name]
            for digest in self.store.missing(function, held):
                del self.blobs[function.name, digest]
        listed = {(r.function.name, r.instance, r.digest) for r in self.store.action_results()}
        self.results = {key: value for key, value in self.results.items() if key in listed}

    @invariant()
    def is_sound(self) -> None:
        report = self.store.check()
        assert report.problems == ()
        assert (report.blobs, report.results) == (len(self.blobs), len(self.results))


def test_store_does_what_a_dictionary_does() -> None:
    run_state_machine_as_test(
        StoreModel, settings=settings(max_examples=25, stateful_step_count=25, deadline=None, database=None)
    )

# SPDX-License-Identifier: Apache-2.0
"""`traced_test`: log, XML and exit code are replayed; shards and runs have results of their own; failures run again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.bazel import BAZEL, running_bazel
from tests.support.bazel_stubs import write_stubs
from tests.support.traced_workspace import TracedWorkspace, bazel_root

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [
    pytest.mark.soak,
    pytest.mark.bazel,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]

FILES = {
    "BUILD": """\
load("@pytrace//rules:traced_test.bzl", "traced_test")

traced_test(
    name = "checked",
    arguments = ["$(location data.txt)"],
    data = ["data.txt"],
    shard_count = 2,
    tool = "checked.sh",
)

traced_test(
    name = "failing",
    tool = "failing.sh",
)
""",
    "data.txt": "data\n",
    "checked.sh": """\
#!/bin/bash
[ -z "${TEST_SHARD_STATUS_FILE:-}" ] || touch "$TEST_SHARD_STATUS_FILE"
echo "shard ${TEST_SHARD_INDEX:-} run ${TEST_RUN_NUMBER:-}"
cat "$1" OUTSIDE
echo '<testsuites><testsuite name="own" tests="1"/></testsuites>' > "$XML_OUTPUT_FILE"
""",
    "failing.sh": "#!/bin/bash\necho it fails\nexit 3\n",
}


def test_tests_are_replayed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("first\n")
    workspace = TracedWorkspace(tmp_path / "workspace", tmp_path / "writable")
    workspace.write({path: text.replace("OUTSIDE", str(outside)) for path, text in FILES.items()})
    logs = workspace.folder / "bazel-testlogs"
    stubs = write_stubs(tmp_path / "stubs")
    with bazel_root(tmp_path / "bazel") as root, running_bazel(workspace.folder, root, "base") as bazel:

        def run(*arguments: str) -> list[str]:
            built = workspace.build(bazel, *stubs, *arguments, command="test")
            return [str(line["outcome"]) for line in built.lines]

        def told() -> dict[str, bytes]:
            wanted = (*logs.rglob("test.log"), *logs.rglob("test.xml"))
            return {str(path.relative_to(logs)): path.read_bytes() for path in wanted}

        assert run("//:checked") == ["miss", "miss"]
        first = told()
        assert len(first) == 4
        assert all(b'name="own"' in text for path, text in first.items() if path.endswith("xml"))
        assert run("//:checked") == []
        assert run("//:checked", "--cache_test_results=no") == ["hit", "hit"]
        assert told() == first
        assert run("//:checked", "--runs_per_test=2") == ["miss"] * 4
        assert run("//:checked", "--runs_per_test=2", "--cache_test_results=no") == ["hit"] * 4
        outside.write_text("second\n")
        assert run("//:checked") == ["miss", "miss"]
        assert all(b"second" in text for path, text in told().items() if path.endswith("log") and "run_" not in path)
        for _ in range(2):
            failed = workspace.build(bazel, *stubs, "//:failing", command="test")
            assert failed.build.status == 3  # Bazel's: tests failed
            assert [line["outcome"] for line in failed.lines] == ["not_stored"]
            assert b"it fails" in (logs / "failing" / "test.log").read_bytes()

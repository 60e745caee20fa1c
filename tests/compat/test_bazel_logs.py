# SPDX-License-Identifier: Apache-2.0
"""The execution logs that a real Bazel writes, in both older forms: `pytrace diff` names what was changed."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from pytrace_exec.bazel_logs.comparing import NON_HERMETIC, compare
from pytrace_exec.bazel_logs.spawns import read_log
from tests.support.bazel import BAZEL, running_bazel

pytestmark = [
    pytest.mark.bazel,
    pytest.mark.slow,
    pytest.mark.skipif(BAZEL is None, reason="Bazel is not installed (Debian: bazel-bootstrap)"),
]

BUILD = """
genrule(name = "a", srcs = ["in"], outs = ["a.out"], cmd = "cat $(SRCS) > $@; echo $${MODE:-} >> $@")
genrule(name = "b", srcs = ["a.out"], outs = ["b.out"], cmd = "cat $(SRCS) > $@")
genrule(name = "wild", outs = ["wild.out"], cmd = "echo $$$$ > $@; date +%N >> $@")
"""


def test_both_forms_of_a_real_build(tmp_path: Path) -> None:
    folder, root = tmp_path / "workspace", tmp_path / "bazel"
    folder.mkdir()
    (folder / "WORKSPACE").write_text('workspace(name = "logs")\n')
    (folder / "BUILD").write_text(BUILD)
    logs: dict[str, str] = {}
    try:
        with running_bazel(folder, root, "base") as bazel:
            for form, name, text in (("binary", "one", "1"), ("json", "same", "1"), ("json", "two", "2")):
                (folder / "in").write_text(text)
                bazel.run("clean")
                logs[name] = str(tmp_path / name)
                done = bazel.build("//...", f"--execution_log_{form}_file={logs[name]}")
                assert done.status == 0, done.log
    finally:
        subprocess.run(["chmod", "-R", "u+w", root], check=True)
        shutil.rmtree(root)
    one, same, two = (read_log(logs[name]) for name in ("one", "same", "two"))
    assert len(one) == 3
    assert {change.output.rpartition("/")[2]: change.changes for change in compare(one, same)} == {
        "wild.out": (NON_HERMETIC,)
    }
    found = {change.output.rpartition("/")[2]: change for change in compare(same, two)}
    assert {name: change.changes for name, change in found.items()} == {
        "a.out": ("inputs changed", "outputs changed"),
        "b.out": ("inputs changed", "outputs changed"),
        "wild.out": (NON_HERMETIC,),
    }
    assert [row.made_by for row in found["a.out"].rows if row.part == "inputs"] == [None]
    (made_by,) = [row.made_by for row in found["b.out"].rows if row.part == "inputs"]
    assert str(made_by).endswith("a.out")

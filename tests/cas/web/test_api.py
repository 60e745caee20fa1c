# SPDX-License-Identifier: Apache-2.0
"""The API is as its description says, whatever it is asked: schemathesis asks (a bounded number of times)."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import caller
from tests.support.pages import ask
from tests.support.tools import SCHEMATHESIS

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cas.web.conftest import Shown


def fuzz(shown: Shown, folder: Path, examples: int, phases: str = "examples,coverage,fuzzing") -> None:
    """Have the API asked, and fail with what schemathesis says is wrong."""
    program = SCHEMATHESIS.program("bin/schemathesis")
    bounds = ("--max-examples", str(examples), "--phases", phases, "--seed", "7")
    # Whether a digest fits its function no schema can say: such a request is valid by the schema, and refused.
    options = (*bounds, "--no-color", "--workers", "1", "--exclude-checks", "positive_data_acceptance")
    done = subprocess.run(
        (program, "run", f"{shown.server.http_url}/api/v1/openapi.json", *options),
        cwd=folder,
        env=caller.ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]


def test_it_answers_as_it_says(shown: Shown, tmp_path: Path) -> None:
    fuzz(shown, tmp_path, examples=5)


@pytest.mark.soak
def test_it_answers_as_it_says_for_long(shown: Shown, tmp_path: Path) -> None:
    fuzz(shown, tmp_path, examples=300)


def test_errors_have_a_code_and_a_sentence(shown: Shown) -> None:
    for path, status, code in (
        (f"/api/v1/actions/sha256/{'0' * 64}-7", 404, "not_found"),
        (f"/api/v1/actions/sha256/{shown.old.short()}?nonsense=1", 400, "invalid_request"),
        (f"/api/v1/diff?a={shown.old.short()}", 400, "invalid_request"),
    ):
        answer = ask(shown.server.http_url, path)
        found = json.loads(answer.body)
        assert (answer.status, found["schema"], found["code"]) == (status, 1, code)
        assert found["message"]


def test_an_action_is_told(shown: Shown) -> None:
    path = f"/api/v1/actions/sha256/{shown.hostile.short()}?instance=team/x"
    found = json.loads(ask(shown.server.http_url, path).body)
    assert found["action"] == str(shown.hostile.digest)
    assert found["result"]["exit_code"] == 0
    assert {output["path"] for output in found["result"]["outputs"]} >= {"long"}
    directory = found["input_root_digest"].replace("/", "-")
    told = json.loads(ask(shown.server.http_url, f"/api/v1/directories/sha256/{directory}?instance=team/x").body)
    assert len(told["files"]) == 1

# SPDX-License-Identifier: Apache-2.0
"""The steps of `action.yml` and of the templates, read from those files and run by `bash -e` as a runner does."""

from __future__ import annotations

import re
import socket
import subprocess
from pathlib import Path
from typing import Any

import attrs
import click
import pytest
import yaml

from pytrace_exec.cli.ci_check import check
from pytrace_exec.cli.ci_run import run
from tests.support.foreign_http import ForeignHttp, foreign_http
from tests.support.repositories import Repository

pytestmark = [pytest.mark.git, pytest.mark.native]

TOP = Path(__file__).parents[3]
_EXPRESSION = re.compile(r"\$\{\{ *([A-Za-z._()-]+) *\}\}")
JOB = "test:\n\t@cat src/a; echo ran\n"


@attrs.frozen
class Step:
    """A step as its file has it: its script, and its variables before expressions are replaced."""

    script: str
    variables: dict[str, str]


def _action() -> Step:
    steps = yaml.safe_load((TOP / "action.yml").read_text())["runs"]["steps"]
    return next(Step(step["run"], step["env"]) for step in steps if step.get("id") == "pytrace")


def _gitlab() -> Step:
    job = yaml.safe_load((TOP / "examples/ci/gitlab-ci.yml").read_text())["test"]
    names = {"$CI_JOB_NAME": "test", "$CI_PROJECT_PATH": "owner/work"}
    return Step("\n".join(job["script"]), {name: names[value] for name, value in job["variables"].items()})


def _buildkite() -> Step:
    step = yaml.safe_load((TOP / "examples/ci/buildkite.yml").read_text())["steps"][0]
    return Step(step["command"], step["env"])


def _jenkins() -> Step:
    text = (TOP / "examples/ci/Jenkinsfile").read_text()
    script = re.search(r"sh '''\n(.*?)'''", text, re.DOTALL)
    assert script is not None
    return Step(script[1], dict(re.findall(r'(PYTRACE\w+) = "(\w+)"', text)))


@attrs.frozen
class Runner:
    """A machine of the CI system: it runs a step in a folder, with files for outputs and summary."""

    repository: Repository

    def run(self, step: Step, cwd: Any = None, **variables: Any) -> tuple[int, str, str, str]:
        """Status, what was said, outputs and summary of a step."""
        base = self.repository.pytrace.base
        files = {"GITHUB_OUTPUT": base / "output", "GITHUB_STEP_SUMMARY": base / "summary"}
        for file in files.values():
            file.write_text("")
        given = {**self.repository.pytrace.environment(), **{name: str(file) for name, file in files.items()}}
        given |= step.variables
        merged = {name: value for name, value in {**given, **variables}.items() if value is not None}
        done = subprocess.run(
            ["bash", "-e", "-c", step.script], cwd=cwd or self.repository.path, env=merged, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        return (
            done.returncode,
            done.stdout,
            files["GITHUB_OUTPUT"].read_text(),
            files["GITHUB_STEP_SUMMARY"].read_text(),
        )

    def github(
        self, cwd: Any = None, without: Any = "", matrix: str = "null", event: str = "null", **inputs: Any
    ) -> tuple[int, str, str, str]:
        """The action's step, with its inputs and what GitHub sets."""
        sha = self.repository.git("rev-parse", "HEAD")
        about = {
            "GITHUB_ACTIONS": "true", "GITHUB_SERVER_URL": f"file://{self.repository.path.parent}",
            "GITHUB_REPOSITORY": "work", "GITHUB_SHA": sha, "GITHUB_REF_NAME": "main", "GITHUB_RUN_ID": "7",
            "RUNNER_TEMP": str(self.repository.pytrace.base / "tmp"),
        }  # fmt: skip
        if without:
            about.pop(without, None)
        declared: dict[str, Any] = yaml.safe_load((TOP / "action.yml").read_text())["inputs"]
        contexts = {"github.repository": "work", "github.event.repository.default_branch": "main"}
        contexts |= {"github.workflow": "ci", "github.job": "test", "github.token": "", "toJSON(matrix)": matrix}
        contexts["toJSON(github.event.inputs)"] = event

        def filled(text: str) -> str:
            return _EXPRESSION.sub(lambda found: contexts[found[1]], text)

        contexts |= {f"inputs.{name}": inputs.get(name, filled(row["default"])) for name, row in declared.items()}
        inputs = {name.replace("_", "-"): value for name, value in inputs.items()}
        contexts |= {f"inputs.{name}": value for name, value in inputs.items()}
        assert inputs.keys() <= declared.keys()
        step = _action()
        return self.run(Step(step.script, {name: filled(text) for name, text in step.variables.items()}), cwd, **about)


@pytest.fixture
def runner(repository: Repository) -> Runner:
    """A machine with the work tree of a project whose `make test` reads one file."""
    repository.commit(Makefile=JOB)
    repository.git("config", "uploadpack.allowFilter", "true")
    return Runner(repository)


@pytest.mark.make
def test_github(runner: Runner, tmp_path: Path) -> None:
    """Before checkout and after; outputs and summary say what the exit status cannot."""
    status, _, output, summary = runner.github(cwd=tmp_path)
    assert (status, output.splitlines()[0]) == (0, "skip=false")
    assert "no store" in output.splitlines()[1]
    status, said, output, summary = runner.github(mode="run", command="make test")
    assert (status, "ran" in said, output.splitlines()[0]) == (0, True, "skip=false")
    status, _, output, summary = runner.github(cwd=tmp_path)
    assert (status, output.splitlines()[0], summary.splitlines()[0]) == (0, "skip=true", "### `ci/test`: skipped")
    assert list((runner.repository.pytrace.base / "tmp").iterdir()) == []
    assert "runs/7/attempts/1" in output
    status, said, output, _ = runner.github(mode="run", command="make test")
    assert (status, "ran" in said, output.splitlines()[0]) == (0, False, "skip=true")
    runner.repository.commit(src__a="A\n")
    status, said, output, summary = runner.github(cwd=tmp_path)
    assert (status, output.splitlines()[0], "src/a" in summary) == (0, "skip=false", True)
    assert runner.github(mode="run", command="exit 3")[0] == 3


@pytest.mark.make
def test_github_before_a_checkout_that_an_earlier_run_left(runner: Runner) -> None:
    """What lies in the workspace of a runner that is kept is not what the event is about."""
    place = Path(runner.repository.clone("left"))
    assert runner.github(mode="run", command="make test")[0] == 0
    assert runner.github(cwd=place)[2].startswith("skip=true")
    old = runner.repository.git("rev-parse", "HEAD")
    new = runner.repository.commit(src__a="A\n")
    status, _, output, _ = runner.github(cwd=place)
    assert (status, output.splitlines()[0], "the input commit" in output) == (0, "skip=false", True)
    assert "src/a" in runner.github(cwd=place, commit=new)[2]
    assert runner.github(cwd=place, commit=old)[2].startswith("skip=true")
    assert runner.github(mode="run")[0] == 2


@pytest.mark.make
def test_github_with_things_missing(runner: Runner, tmp_path: Path) -> None:
    """The job runs, and the reason is printed."""
    for name in ("GITHUB_SERVER_URL", "GITHUB_SHA"):
        status, said, output, _ = runner.github(cwd=tmp_path, without=name)
        assert (status, output.splitlines()[0], name in said) == (0, "skip=false", True)
    status, said, output, _ = runner.github(workflow="")
    assert (status, output) == (0, "skip=false\nreason=the input workflow is missing\n")
    status, said, _, _ = runner.github(mode="run", command="make test", remote="grpc://127.0.0.1:1")
    assert (status, "ran" in said, "127.0.0.1:1" in said) == (0, True, True)
    status, said, output, _ = runner.github(remote="http://127.0.0.1:1")
    assert (status, output.splitlines()[0], "127.0.0.1:1" in said) == (0, "skip=false", True)
    assert runner.github(mode="neither")[0] == 2


@pytest.mark.make
def test_github_inputs(runner: Runner, tmp_path: Path) -> None:
    """Each input reaches the option that it stands for."""
    runner.repository.commit(ci__steps="1\n", sub__Makefile="test:\n\t@cat ../src/b; cat ../local; echo ran\n")
    runner.repository.write(local="l\n")
    given = {"mode": "run", "command": "make test", "working_directory": "sub"}
    asked = {"definition": "ci", "allow_untracked": "local", "fingerprint": "f", "max_age": "1h", "project": "p"}
    status, said, _, _ = runner.github(**given, **asked)
    assert (status, "ran" in said, "recorded" in said) == (0, True, True)
    assert runner.github(**asked)[2].startswith("skip=true")
    assert runner.github(**{**asked, "project": "q"})[2].startswith("skip=false")
    assert runner.github(**asked, force="true")[2].startswith("skip=false")
    runner.repository.commit(ci__steps="2\n")
    assert "ci/steps" in runner.github(**asked)[2]
    given = {"mode": "run", "workflow": "net"}
    with socket.create_server(("127.0.0.1", 0)) as server:
        given["command"] = f"exec 3<>/dev/tcp/127.0.0.1/{server.getsockname()[1]}"
        assert "it talked to" in runner.github(**given)[1]
        assert "it talked to" not in runner.github(**given, allow_network="*")[1]
    assert "history" in runner.github(mode="run", workflow="git", command="git describe --always")[1]
    said = runner.github(mode="run", workflow="git", command="git describe --always", allow_history="true")[1]
    assert "not recorded" not in said
    assert runner.github(mode="run", workflow="slow", command="sleep 60", timeout="1s")[0] != 0


@pytest.mark.make
def test_jobs_of_a_matrix(runner: Runner) -> None:
    """What a matrix sets or a run by hand is given tells jobs apart, and so do numbers of jobs that share the work."""
    given = {"mode": "run", "command": "make test"}
    assert runner.github(**given, matrix='{"python": "3.11"}')[2].startswith("skip=false")
    assert runner.github(**given, matrix='{"python": "3.12"}')[2].startswith("skip=false")
    assert runner.github(**given, matrix='{"python": "3.11"}')[2].startswith("skip=true")
    assert runner.github(matrix='{"python": "3.11"}')[2].startswith("skip=true")
    assert runner.github(matrix='{"python": "3.11"}', event='{"target": "all"}')[2].startswith("skip=false")
    for name, mark, variable in (
        ("gitlab", "GITLAB_CI", "CI_NODE_INDEX"),
        ("buildkite", "BUILDKITE", "BUILDKITE_PARALLEL_JOB"),
    ):
        step = {"gitlab": _gitlab, "buildkite": _buildkite}[name]()
        for number in ("0", "1"):
            assert "ran" in runner.run(step, **{mark: "true", variable: number})[1]
        assert "ran" not in runner.run(step, **{mark: "true", variable: "0"})[1]


def test_every_option_has_an_input() -> None:
    """The action has an input for each option that a workflow needs; the others are the runner's affair."""
    others = {
        "repo", "format", "as_json", "color", "dir", "root", "tracer", "pid-namespace", "disposable", "remote-ca",
        "remote-cert", "remote-key", "remote-timeout", "digest-function",
    }  # fmt: skip
    given = {value for value in _action().variables.values() if "inputs." in value}
    for verb in (check, run):
        for option in verb.params:
            if isinstance(option, click.Option) and option.name not in others | {"help"}:
                flag = next(form for form in option.opts if form.startswith("--"))
                if flag[2:] not in others:
                    assert f"${{{{ inputs.{flag[2:]} }}}}" in given, flag


def test_without_outputs_or_pytrace(runner: Runner) -> None:
    step = Step(_action().script, {"MODE": "run", "COMMAND": "echo ran", "PYTRACE_CI_WORKFLOW": "w"})
    status, said, output, _ = runner.run(step, PATH="/usr/bin:/bin")
    assert (status, "ran" in said, output.splitlines()[0]) == (0, True, "skip=false")
    check = Step(_action().script, {"MODE": "check", "PYTRACE_CI_WORKFLOW": "w"})
    assert runner.run(check, GITHUB_OUTPUT=None, GITHUB_STEP_SUMMARY=None)[0] == 0


@pytest.mark.make
def test_a_corrupt_record(runner: Runner) -> None:
    cache = ForeignHttp()
    with foreign_http(cache) as url:
        given = {"remote": url, "command": "make test"}
        assert runner.github(mode="run", **given)[0] == 0
        assert runner.github(remote=url)[2].startswith("skip=true")
        assert "ran" not in runner.github(mode="run", **given)[1]
        cache.corrupt = True
        status, said, output, _ = runner.github(mode="run", **given)
        assert (status, "ran" in said, output.startswith("skip=false")) == (0, True, True)
        cache.corrupt = False
        for path in [path for path in cache.bodies if "/cas/" in path]:
            cache.bodies[path] = b""
        status, said, output, _ = runner.github(mode="run", **given)
        assert (status, "ran" in said) == (0, True)
        cache.status["GET"] = 500
        assert "500" in runner.github(remote=url)[2]


@pytest.mark.make
@pytest.mark.parametrize("name", ["gitlab", "buildkite", "jenkins"])
def test_templates(runner: Runner, name: str) -> None:
    step = {"gitlab": _gitlab, "buildkite": _buildkite, "jenkins": _jenkins}[name]()
    marks = {"gitlab": "GITLAB_CI", "buildkite": "BUILDKITE", "jenkins": "JENKINS_URL"}
    about = {marks[name]: "true", "CI_COMMIT_BRANCH": "main"}
    assert "ran" in runner.run(step, **about)[1]
    status, said, _, _ = runner.run(step, **about)
    assert (status, "ran" in said, "skip test" in said) == (0, False, True)
    status, said, _, _ = runner.run(Step(step.script, {}), **about)
    assert (status, "ran" in said, "missing" in said) == (0, True, True)
    status, said, _, _ = runner.run(step, PYTRACE_REMOTE="grpc://127.0.0.1:1", **about)
    assert (status, "ran" in said, "127.0.0.1:1" in said) == (0, True, True)
    runner.repository.commit(Makefile="test:\n\t@cat src/a; exit 7\n")
    assert runner.run(step, **about)[0] != 0


def test_the_example_uses_the_actions_inputs() -> None:
    """The workflow of the examples names inputs and outputs that the action has."""
    action = yaml.safe_load((TOP / "action.yml").read_text())
    text = (TOP / "examples/ci/github.yml").read_text()
    for step in yaml.safe_load(text)["jobs"]["test"]["steps"]:
        if "pytrace" in step["uses"]:
            assert step["with"].keys() <= action["inputs"].keys()
    assert set(re.findall(r"steps\.ci\.outputs\.(\w+)", text)) <= action["outputs"].keys()

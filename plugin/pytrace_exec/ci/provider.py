# SPDX-License-Identifier: Apache-2.0
"""What CI systems say in their variables, and where they want answers: one row a system."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytrace_exec.ci.decision import Reason

FORCED = "[full ci]"
"""Words in a commit's message that have every job run."""


class Provider:
    """Names of variables: the branch (the first that is set counts), the default branch, the run's address.

    `split` tells jobs of one name apart, of which each does a part, or the same elsewhere; `workspace` is the folder in
    which repositories are checked out.
    """

    __slots__ = ("branch", "default", "mark", "name", "run", "split", "workspace")

    def __init__(
        self, name: str, mark: str, branch: tuple[str, ...], default: tuple[str, ...], run: tuple[str, ...],
        split: tuple[str, ...] = (), workspace: str = "",
    ) -> None:  # fmt: skip
        self.name = name
        self.mark = mark
        self.branch = branch
        self.default = default
        self.run = run
        self.split = split
        self.workspace = workspace


PROVIDERS = (
    Provider("github", "GITHUB_ACTIONS", ("GITHUB_HEAD_REF", "GITHUB_REF_NAME"), (), ("GITHUB_RUN_ID",),
             ("PYTRACE_MATRIX", "PYTRACE_INPUTS"), "GITHUB_WORKSPACE"),
    Provider(
        "gitlab", "GITLAB_CI",
        ("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_COMMIT_BRANCH", "CI_COMMIT_REF_NAME"),
        ("CI_DEFAULT_BRANCH",), ("CI_JOB_URL",), ("CI_NODE_INDEX", "CI_NODE_TOTAL"),
    ),
    Provider(
        "buildkite", "BUILDKITE", ("BUILDKITE_BRANCH",),
        ("BUILDKITE_PIPELINE_DEFAULT_BRANCH",), ("BUILDKITE_BUILD_URL",),
        ("BUILDKITE_PARALLEL_JOB", "BUILDKITE_PARALLEL_JOB_COUNT"),
    ),
    Provider("jenkins", "JENKINS_URL", ("CHANGE_BRANCH", "BRANCH_NAME", "GIT_LOCAL_BRANCH"), (), ("BUILD_URL",),
             workspace="WORKSPACE"),
)  # fmt: skip


_BUILDKITE = tuple(
    os.fsencode(f"{name}.{kind}")
    for name in ("buildkite", ".buildkite/pipeline", "buildkite/pipeline")
    for kind in ("yml", "yaml", "json")
)
"""Where `buildkite-agent pipeline upload` looks for the pipeline: one that is new decides as well."""


class Surroundings:
    """Branch, default branch and address of this run, as far as somebody says; and the job's definition.

    `definition`: files of the repository that say what the job does; what they hold counts. `split`: variables that
    are set and tell this job from others of its name.
    """

    __slots__ = ("branch", "default", "definition", "run", "split")

    def __init__(
        self,
        branch: str = "",
        default: str = "main",
        run: str = "",
        definition: tuple[bytes, ...] = (),
        split: tuple[str, ...] = (),
    ) -> None:
        self.branch = branch
        self.default = default
        self.run = run
        self.definition = definition
        self.split = split


def surroundings(environ: Mapping[str, str]) -> Surroundings:
    """What the CI system that we run under says; nothing outside of one."""
    provider = next((one for one in PROVIDERS if environ.get(one.mark)), None)
    if provider is None:
        return Surroundings()
    return Surroundings(
        _first(environ, provider.branch),
        _first(environ, provider.default) or "main",
        _run(provider, environ),
        _definition(provider, environ),
        tuple(name for name in provider.split if environ.get(name)),
    )


def workspace(environ: Mapping[str, str]) -> bytes | None:
    """The folder, without links, in which the CI system checks out this repository and others, as far as it says."""
    named = next((environ.get(one.workspace) for one in PROVIDERS if one.workspace and environ.get(one.mark)), None)
    return os.path.realpath(os.fsencode(named)) if named else None


def _first(environ: Mapping[str, str], names: Sequence[str]) -> str:
    return next((environ[name] for name in names if environ.get(name)), "")


def _run(provider: Provider, environ: Mapping[str, str]) -> str:
    run = _first(environ, provider.run)
    if provider.name != "github" or not run:
        return run
    server, repository = environ.get("GITHUB_SERVER_URL", ""), environ.get("GITHUB_REPOSITORY", "")
    attempt = environ.get("GITHUB_RUN_ATTEMPT") or "1"
    return f"{server}/{repository}/actions/runs/{run}/attempts/{attempt}"


def _definition(provider: Provider, environ: Mapping[str, str]) -> tuple[bytes, ...]:
    if provider.name == "github":
        # OWNER/REPOSITORY/PATH@REF; a reusable workflow of another repository is none of this one's files.
        named = environ.get("GITHUB_WORKFLOW_REF", "").partition("@")[0]
        prefix = environ.get("GITHUB_REPOSITORY", "") + "/"
        return (os.fsencode(named[len(prefix) :]),) if len(prefix) > 1 and named.startswith(prefix) else ()
    if provider.name == "buildkite":
        return _BUILDKITE
    named = "Jenkinsfile" if provider.name == "jenkins" else environ.get("CI_CONFIG_PATH") or ".gitlab-ci.yml"
    return () if "@" in named or ":" in named else (os.path.normpath(os.fsencode(named)).lstrip(b"/"),)


def write_outputs(skip: bool, reason: str, environ: Mapping[str, str]) -> None:
    """Tell GitHub's later steps (`GITHUB_OUTPUT`) whether the job is skipped, and why; raise `OSError`."""
    path = environ.get("GITHUB_OUTPUT")
    if path:
        line = " ".join(reason.split())
        _append(path, f"skip={'true' if skip else 'false'}\nreason={line}\n")


def write_summary(lines: Sequence[str], environ: Mapping[str, str]) -> None:
    """Append Markdown to the run's summary page (`GITHUB_STEP_SUMMARY`); raise `OSError`."""
    path = environ.get("GITHUB_STEP_SUMMARY")
    if path:
        _append(path, "\n".join([*lines, ""]) + "\n")


def _append(path: str, text: str) -> None:
    with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
        file.write(text)


def code(text: str) -> str:
    """Text as Markdown's code, whatever it holds."""
    ticks = "`"
    while ticks in text:
        ticks += "`"
    return f"{ticks} {text} {ticks}" if "`" in text else f"`{text}`"


def listed(reasons: Sequence[Reason]) -> list[str]:
    """Reasons as lines of Markdown, the first hundred."""
    lines = [f"- {code(' '.join(reason.message.split()))}" for reason in reasons[:100]]
    return lines if len(reasons) <= 100 else [*lines, f"- and {len(reasons) - 100} more"]

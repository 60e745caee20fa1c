# SPDX-License-Identifier: Apache-2.0
"""`pytrace bazel-audit`: what `audit.bzl` runs: audits one action, or puts reports together."""

from __future__ import annotations

import json
from typing import Any

import click

from pytrace_exec.bazel.audit import KINDS, Action, audit
from pytrace_exec.bazel.sarif import document
from pytrace_exec.cli.choices import twin
from pytrace_exec.cli.exit_status import USAGE, stated
from pytrace_exec.cli.main import Failed, cli

_FILE = click.Path(dir_okay=False)
_FORMATS = click.Choice(("text", "json", "sarif"))


@cli.command("bazel-audit", epilog=stated("0 told, whatever was found", store=False), short_help="Audit Bazel actions.")
@click.option(
    "--format", type=_FORMATS, default="text", **twin("PYTRACE_FORMAT"), show_default=True, help="How to answer."
)
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
@click.option("--action", type=_FILE, **twin("PYTRACE_AUDIT_ACTION"), help="Audit the action that this file describes.")
@click.option(
    "-o", "--output", type=_FILE, **twin("PYTRACE_AUDIT_OUTPUT"), help="Where the answer goes; default: stdout."
)
@click.argument("reports", nargs=-1, type=_FILE)
def bazel_audit(format: str, as_json: bool, action: str | None, output: str | None, reports: tuple[str, ...]) -> None:
    """Put REPORTS of audited actions together; with --action, audit one, here, and report in JSON.

    A finding has `target`, `mnemonic`, `kind`, `subject` and `message`. The aspect and the rule of
    `@pytrace//rules:audit.bzl` call this; docs/bazel.md says what is found.
    """
    try:
        findings = _audited(action) if action is not None else [one for path in reports for one in _read(path)]
        text = _told(findings, "json" if as_json or action is not None else format)
        if output is None:
            click.echo(text, nl=False)
        else:
            with open(output, "w", encoding="utf-8") as file:
                file.write(text)
    except (OSError, ValueError) as error:
        raise Failed(str(error), USAGE) from None


def _audited(path: str) -> list[dict[str, Any]]:
    action = Action.read(path)
    named = {"target": action.target, "mnemonic": action.mnemonic}
    return [{**named, "kind": one.kind, "subject": one.subject, "message": one.message} for one in audit(action)]


def _read(path: str) -> list[dict[str, Any]]:
    with open(path, encoding="utf-8") as file:
        found = json.load(file)["findings"]
    assert isinstance(found, list)
    return found


def _told(findings: list[dict[str, Any]], format: str) -> str:
    findings = sorted(findings, key=lambda one: (one["target"], one["mnemonic"], one["kind"], one["subject"]))
    if format == "json":
        return json.dumps({"schema": 1, "findings": findings}) + "\n"
    if format == "sarif":
        return json.dumps(document(findings), indent=1) + "\n"
    lines = []
    for kind, title in KINDS.items():
        own = [one for one in findings if one["kind"] == kind]
        lines += [f"{title}: {len(own)}", *(f"  {one['target']} ({one['mnemonic']}): {one['message']}" for one in own)]
    return "\n".join(lines) + "\n"

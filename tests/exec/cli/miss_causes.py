# SPDX-License-Identifier: Apache-2.0
"""Causes of a miss, made one at a time or together; each knows by itself what an explanation has to name."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from random import Random

import attrs

from pytrace_cas.digest import BLAKE3
from tests.exec.cli.project import Ended, Project, settle
from tests.support import tree

SCRIPT = """cat inputs/a > out; cat one/x 2>/dev/null || cat two/x; cat optional; echo list/*; cat link; ./tool
[ -s own ] || echo own > own; if [ times/a -nt times/b ]; then echo newer; fi; echo $$ > /dev/null"""
SECRET = "of-this-test-only"


@attrs.define
class Call:
    """How the command is asked for."""

    words: list[str]
    variables: dict[str, str]
    options: list[str]
    folder: str = "root"
    umask: int = 0o022


@attrs.frozen
class Cause:
    """A cause: what is done to the project or to the call, and the code and name or path to be told.

    `brings`: codes that it may bring along. `never_with`: causes that cannot be told together with it.
    """

    name: str
    code: str
    told: str | None
    change: Callable[[Project, Call], object]
    brings: tuple[str, ...] = ()
    never_with: tuple[str, ...] = ()


def _written(path: str, text: str = "other\n") -> Callable[[Project, Call], object]:
    def change(project: Project, _: Call) -> None:
        (project.root / path).parent.mkdir(exist_ok=True)
        (project.root / path).write_text(text)

    return change


def _set(name: str, value: str) -> Callable[[Project, Call], object]:
    return lambda _, call: call.variables.update({name: value})


def _relinked(project: Project, _: Call) -> None:
    (project.root / "link").unlink()
    (project.root / "link").symlink_to("two/same")


def _older(project: Project, _: Call) -> None:
    os.utime(project.root / "times/a", (1, 1))


def _without_output(project: Project, _: Call) -> None:
    """Take away a blob that the result needs, as eviction or a broken disk would."""
    with sqlite3.connect(project.store / "index.sqlite") as index:
        index.execute("DELETE FROM blobs WHERE hash = ?", (bytes.fromhex(BLAKE3.of(b"content a\n").hash),))
    index.close()


def _invalidated(project: Project, _: Call) -> None:
    done = project.pytrace("invalidate", "--path", str(project.root / "inputs/a"), "--reason", "a bad tool")
    assert done.status == 0, done


def _from_below(_: Project, call: Call) -> None:
    call.folder = "root/two"


def _umask(_: Project, call: Call) -> None:
    call.umask = 0o027


CAUSES = (
    Cause("content", "inputs_changed", "inputs/a", _written("inputs/a")),
    Cause("shadowed", "new_file", "one/x", _written("one/x")),
    Cause("removed", "input_removed", "optional", lambda p, _: (p.root / "optional").unlink()),
    Cause("listing", "listing_changed", "list", _written("list/new")),
    Cause("link", "link_changed", "link", _relinked),
    Cause("tool", "tool_changed", "tool", _written("tool", "#!/bin/sh\necho 2\n")),
    Cause("environment", "environment_changed", "MODE", _set("MODE", "slow")),
    Cause("secret", "environment_changed", "API_TOKEN", _set("API_TOKEN", f"another-{SECRET}")),
    Cause("arguments", "arguments_changed", None, lambda _, call: call.words.append("more"), ("never_seen",)),
    Cause("directory", "directory_changed", None, _from_below, ("belongs_to_checkout",)),
    Cause("umask", "umask_changed", None, _umask),
    Cause("home", "belongs_to_checkout", "home", lambda p, call: call.variables.update(HOME=str(p.base / "tmp"))),
    Cause("options", "options_changed", None, lambda _, call: call.options.append("--strict")),
    Cause("own output", "output_differs", "own", _written("own")),
    Cause("order", "order_changed", None, _older),
    Cause("declared", "inputs_changed", "declared", _written("declared"), never_with=("missing",)),
    Cause("invalidated", "invalidated", "inputs/a", _invalidated),
    Cause("missing", "outputs_missing", None, _without_output, never_with=("declared",)),
)
ALWAYS = ("order_changed",)
"""What anything that is written may bring along: times are compared by the shell's `-nt`, and by whatever looks."""


class Workshop:
    """A project whose command has been run once; each case begins with the tree and the store as they were then."""

    def __init__(self, project: Project, run: Callable[[Project, Call, tuple[str, ...]], Ended]) -> None:
        self._project = project
        self._run = run
        root = project.root
        project.write(inputs__a="content a\n", two__x="x\n", two__same="x\n", optional="o\n", declared="d\n")
        project.write(list__one="1", times__b="b", times__a="a")
        os.utime(root / "times/b", (1000, 1000))
        (root / "tool").write_text("#!/bin/sh\necho 1\n")
        (root / "tool").chmod(0o755)
        (root / "link").symlink_to("two/x")
        settle()
        _copy(root, project.base / "root.kept")
        call = self.call()
        done = project.wrapped(*call.words, options=tuple(call.options), **call.variables)
        assert (done.status, project.last()["outcome"]) == (0, "miss"), (done, project.last())
        _copy(project.store, project.base / "store.kept")

    def call(self) -> Call:
        """The command as it was asked for."""
        words = ["sh", "-c", SCRIPT, "sh"]
        return Call(words, {"MODE": "fast", "API_TOKEN": SECRET}, ["--input", str(self._project.root / "declared")])

    def explained(self, causes: tuple[Cause, ...]) -> tuple[Ended, Ended]:
        """Make the causes and ask for an explanation, in JSON and in text."""
        for name in ("root", "store"):
            tree.remove(os.fsencode(self._project.base / name))
            _copy(self._project.base / f"{name}.kept", self._project.base / name)
        call = self.call()
        for cause in causes:
            cause.change(self._project, call)
        settle()
        return self._run(self._project, call, ("--json",)), self._run(self._project, call, ())


def _copy(source: Path, target: Path) -> None:
    """With times and links."""
    import shutil

    shutil.copytree(source, target, symlinks=True)


def check(causes: tuple[Cause, ...], found: Ended, text: Ended) -> None:
    """Every cause is named in both forms, and nothing that none of them can have brought."""
    names = " + ".join(cause.name for cause in causes)
    reasons = found.json["reasons"]
    told = {(reason["code"], reason.get("path") or reason.get("name")) for reason in reasons}
    codes = {code for code, _ in told}
    for cause in causes:
        assert cause.code in codes, f"{names}: {cause.name} is not named: {reasons}"
        assert cause.told is None or (cause.code, cause.told) in told, f"{names}: {cause.told} is not named: {reasons}"
    wanted = {cause.code for cause in causes}
    extra = codes - wanted - set(ALWAYS) - {code for cause in causes for code in cause.brings}
    assert not extra, f"{names}: {extra} is named as well: {reasons}"
    unseen = any(cause.code == "arguments_changed" for cause in causes)
    assert found.status == text.status == (20 if unseen else 1), (names, found, text)
    grouped = [reason for group in found.json["groups"] for reason in group["reasons"]]
    assert grouped == reasons
    said = text.stdout.decode()
    for reason in reasons:
        assert reason["message"] in said, f"{names}: the text lacks {reason['message']!r}"
    assert SECRET.encode() not in found.stdout + text.stdout


def chosen(seed: int, number: int) -> list[tuple[Cause, ...]]:
    """So many different pairs and triples that can be told together."""
    random = Random(seed)
    found: dict[frozenset[str], tuple[Cause, ...]] = {}
    while len(found) < number:
        some = tuple(random.sample(CAUSES, random.choice((2, 2, 3))))
        if not any(other.name in one.never_with for one in some for other in some):
            found[frozenset(cause.name for cause in some)] = some
    return list(found.values())

# SPDX-License-Identifier: Apache-2.0
"""A story told to two twin worlds: things are put there, changed, and asked for, plainly and wrapped."""

from __future__ import annotations

import os
import subprocess
from typing import Unpack

import attrs

from tests.support import forks, tree
from tests.support.runner import Invocation, Pair, Runner, Surroundings
from tests.support.sandbox import TWINS, Sandbox, environment

EXPLAINED = b"pytrace: "


@attrs.frozen
class Scenario:
    """Two worlds that go through the same; every run must come out the same in both."""

    sandbox: Sandbox
    runner: Runner

    @classmethod
    def over(cls, sandbox: Sandbox) -> Scenario:
        """Begin with empty worlds."""
        return cls(sandbox, Runner(sandbox, start=forks.start))

    def do(self, commands: str) -> None:
        """Change both worlds by shell commands, run in the root."""
        for twin in TWINS:
            with self.sandbox.placed(twin) as place:
                work = os.path.join(place, b"work")
                subprocess.run(["sh", "-ec", commands], cwd=work, env=environment(place), check=True)

    def put(self, folder: str, target: str) -> None:
        """Copy a real folder into both worlds."""
        for twin in TWINS:
            tree.copy(os.fsencode(folder), os.path.join(self.sandbox.twin(twin), b"work", os.fsencode(target)))

    def keep(self) -> None:
        """Remember the worlds as they are, for `anew`."""
        self.runner.sandbox.keep()

    def anew(self) -> None:
        """Put back the worlds as they were kept, times included, like a clean checkout."""
        self.runner.sandbox.restore()

    def ask(self, *command: str, outcome: str | None = None, **surroundings: Unpack[Surroundings]) -> Pair:
        """Run in both worlds; they must agree, and the wrapped run must have come about as `outcome` says."""
        pair = self.runner.both(Invocation(command, **surroundings))
        assert not pair.differences, "\n".join(map(str, pair.differences))
        if outcome is not None:
            assert pair.record.outcome in outcome.split("|"), pair.record.line
        return pair

    def explained(self, *command: str, **surroundings: Unpack[Surroundings]) -> list[str]:
        """Run in both worlds with `--explain`; give the explanation, once the rest is found to agree."""
        invocation = Invocation(command, **surroundings)
        plain = self.runner.plain(invocation)
        cached, _ = self.runner.cached(attrs.evolve(invocation, options=(*invocation.options, "--explain")))
        lines = cached.stderr.splitlines(keepends=True)
        own = [line for line in lines if line.startswith(EXPLAINED)]
        said = b"".join(line for line in lines if not line.startswith(EXPLAINED))
        differences = self.runner.compare(plain, attrs.evolve(cached, stderr=said))
        assert not differences, "\n".join(map(str, differences))
        return [line.decode().rstrip("\n") for line in own]

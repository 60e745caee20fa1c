# SPDX-License-Identifier: Apache-2.0
"""All relaxations of one run, in order; `--strict` turns them off (DESIGN 4.3)."""

from __future__ import annotations

from pytrace_exec.observe.variables import read_text
from pytrace_exec.policy import accounts, bytecode, identity, left_out, loader_cache, own_outputs
from pytrace_exec.policy.scratch import Scratch

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_exec.invocation import Invocation
    from pytrace_exec.observe.outputs import Output
    from pytrace_exec.observe.run import Run


class Relaxing:
    """What the relaxations need to know besides the run; `streams`: what came out on standard output and error."""

    def __init__(self, invocation: Invocation, streams: list[bytes], function: DigestFunction) -> None:
        self._invocation = invocation
        self._streams = streams
        self._function = function

    def relax(self, run: Run, outputs: list[Output]) -> None:
        """Take away what the user leaves out, and what a plain run could not tell apart."""
        options = self._invocation.options
        if self._invocation.left_out:
            left_out.drop(run, outputs, self._invocation.left_out)
        if options.strict:
            return
        places, environ = self._invocation.places, self._invocation.environ
        left_out.drop(run, outputs, Scratch(run, environ, "all"))
        left_out.drop(run, outputs, Scratch(run, environ, "out"), inputs=False)
        own_outputs.relax(run, outputs)
        bytecode.relax(run)
        loader_cache.relax(run)
        accounts.relax(run, environ)
        if options.probe == "content":  # else a tracked file does not count by its content
            self._relax_git(run, outputs)
        identity.relax(run, places, environ, self._texts(run, outputs), options.portable)

    def _relax_git(self, run: Run, outputs: list[Output]) -> None:
        if any(program.known_as == "git" for program in run.processes.programs):
            from pytrace_exec.policy import git

            git.relax(run, outputs, self._invocation.environ, self._function)

    def _texts(self, run: Run, outputs: list[Output]) -> Iterator[bytes]:
        """Everything in which a place, a user or a variable could have left its name."""
        yield from self._streams
        for output in outputs:
            yield output.path[len(run.setting.root) :]
            yield output.other if output.kind == "symlink" else b""
            if output.kind == "file":
                yield read_text(output.path)
        for subject in list(run.subjects):
            if subject.kind in ("content", "link") and run.setting.own(subject.paths[0]):
                yield read_text(subject.paths[0])

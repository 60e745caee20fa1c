# SPDX-License-Identifier: Apache-2.0
"""Opening a repository to read commits and trees: by git where it is installed, else by pygit2."""

from __future__ import annotations

from pytrace_exec.ci.program import NotByProgram, ProgramObjects

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pytrace_exec.ci.objects import Objects


class Opening:
    """The repository that a path lies in. Git starts at once; whoever enters waits for it, or gets a `GitTrouble`."""

    def __init__(self, repo: bytes) -> None:
        self._repo = repo
        try:
            self._program: ProgramObjects | None = ProgramObjects(repo)
        except NotByProgram:
            self._program = None

    def __enter__(self) -> Objects:
        if self._program is not None:
            try:
                self._program.settle()
                return self._program
            except NotByProgram:
                self._program = None
        from pytrace_exec.ci.library import LibraryObjects

        return LibraryObjects(self._repo)

    def __exit__(self, *_: object) -> None:
        if self._program is not None:
            self._program.close()
            self._program = None

# SPDX-License-Identifier: Apache-2.0
"""Declared inputs (`--inputs-file`), the trees that they lie in, and which of them a run used.

Bazel links inputs into the root of an action: in its sandbox file by file, `pkg/x -> EXECROOT/pkg/x`, where
`EXECROOT/pkg` in turn is a link into the workspace; without a sandbox the root is that execution root. What a program
sees that resolves such a link differs by user and machine, but says nothing more than which input was meant. So these
trees are places (`%X` the execution root behind a sandbox, `%W` the workspace, `%O` the output base above both).
"""

from __future__ import annotations

import os

from pytrace_exec.options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

GENERATED = b"bazel-out"
EXTERNAL = b"external"


class Declared:
    """Declared inputs: `names` as they are listed, relative to the working directory; `paths` absolute.

    A folder stands for all that is below it.
    """

    __slots__ = ("names", "paths")

    def __init__(self, names: Iterable[bytes], cwd: bytes) -> None:
        self.names = {os.path.normpath(os.path.join(cwd, name)): name for name in names}
        self.paths = frozenset(self.names)

    @classmethod
    def read(cls, file: bytes, cwd: bytes) -> Declared:
        """Read the list, one path a line; raise `UsageError` for one that cannot be read."""
        try:
            with open(os.path.join(cwd, file), "rb") as lines:
                return cls((line for line in lines.read().split(b"\n") if line), cwd)
        except OSError as error:
            name = os.fsdecode(file)
            raise UsageError(
                f"--inputs-file {name} cannot be read ({error.strerror}): name a file that lists the declared inputs, "
                "a path a line",
                "--inputs-file",
            ) from None

    def trees(self, root: bytes) -> tuple[tuple[bytes, bytes], ...]:
        """The trees behind the links by which inputs are found, by sign; each a real path outside the root."""
        execroot = self._execroot(root)
        found = {b"%X": execroot, b"%W": self._workspace(root, execroot or root)}
        if os.path.basename(os.path.dirname(execroot or root)) == b"execroot":
            found[b"%O"] = os.path.dirname(os.path.dirname(execroot or root))
        return tuple((sign, tree) for sign, tree in found.items() if tree is not None and tree != root)

    def _execroot(self, root: bytes) -> bytes | None:
        """Of the first input that is itself a link to a path that ends like its own: what stands before that end."""
        for path in sorted(self.paths):
            end = path[len(root) :]
            target = _target(path) if path.startswith(root + b"/") else None
            if target is not None and target.endswith(end) and target != path:
                return os.path.realpath(target[: -len(end)])
        return None

    def _workspace(self, root: bytes, execroot: bytes) -> bytes | None:
        """Where the top-level names of an execution root lead that are neither generated nor of other repositories."""
        below = (path[len(root) + 1 :] for path in self.paths if path.startswith(root + b"/"))
        tops = {path.split(b"/")[0] for path in below}
        for top in sorted(tops - {GENERATED, EXTERNAL}):
            target = _target(execroot + b"/" + top)
            if target is not None and os.path.basename(target) == top:
                return os.path.realpath(os.path.dirname(target))
        return None

    def aliases(self) -> Iterator[tuple[bytes, bytes]]:
        """Every path by which a program may have reached an input, with the name in the list."""
        for path, name in self.names.items():
            yield path, name
            target = _target(path)
            if target is not None:
                yield target, name
            real = os.path.realpath(path)
            if real not in (path, target):
                yield real, name


def _target(path: bytes) -> bytes | None:
    """Absolute target of a link; None for anything else."""
    try:
        target = os.readlink(path)
    except OSError:
        return None
    return target if target.startswith(b"/") else None

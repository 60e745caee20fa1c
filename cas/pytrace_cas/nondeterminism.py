# SPDX-License-Identifier: Apache-2.0
"""Equal inputs, other outputs: actions whose result took the place of one with other outputs.

Two machines that raced, a run that was made again, and any client of the server leave such results; the store keeps a
bounded number of those that were replaced. Only what an action put out counts: no times, and of a `.pyc` not the stamp
of its source.
"""

from __future__ import annotations

from itertools import pairwise

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import ActionResult, MalformedMessage, Message, OutputFile, OutputSymlink
from pytrace_cas.store.layout import StoreError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store import Store

RESERVED = "actions/"
"""What instance names of a server's own records begin with, which change in place; no client's name can (REAPI)."""

_OWN_FILES = ".pytrace/"
_STAMPED = ".pyc"
_LARGEST = 16 << 20
_HEADER, _CHECKED = 16, b"\1"
"""A `.pyc` begins with 16 bytes: magic, flags, then time and size of its source, or (flag bit 0) a hash of it."""


class _OutputDirectory(Message):
    path: str = ""
    tree_digest: Digest | None = None
    root_directory_digest: Digest | None = None
    FIELDS = (
        (1, "path", "string", False),
        (3, "tree_digest", Digest, False),
        (5, "root_directory_digest", Digest, False),
    )


class _Outputs(Message):
    """All that an `ActionResult` says of what came out."""

    output_directories: list[_OutputDirectory] = []
    output_file_symlinks: list[OutputSymlink] = []
    output_directory_symlinks: list[OutputSymlink] = []
    FIELDS = (
        *ActionResult.FIELDS,
        (3, "output_directories", _OutputDirectory, True),
        (10, "output_file_symlinks", OutputSymlink, True),
        (11, "output_directory_symlinks", OutputSymlink, True),
    )


class Nondeterminism:
    """One action that gave different outputs for equal inputs.

    `outputs`: the values seen of each output that differed, the earliest first: HASH/SIZE of a file (with ` x` if it is
    executable), a link's target after `-> `, an exit status, or None where there was none. `last`: when the one before
    the present one was stored (seconds of Unix time); `times`: how many different ones are known.
    """

    __slots__ = ("action", "function", "instance", "last", "outputs", "times")

    def __init__(
        self,
        function: DigestFunction,
        instance: str,
        action: Digest,
        last: int,
        times: int,
        outputs: dict[str, list[str | None]],
    ) -> None:
        self.function = function
        self.instance = instance
        self.action = action
        self.last = last
        self.times = times
        self.outputs = outputs


def nondeterministic(store: Store) -> Iterator[Nondeterminism]:
    """Every action of which results with other outputs are known, the last changed first."""
    for function, instance, action in store.replaced_keys():
        found = known_of(store, function, instance, action)
        if found is not None:
            yield found


def known_of(store: Store, function: DigestFunction, instance: str, action: Digest) -> Nondeterminism | None:
    """The different outputs that are known of one action; None if there is but one result."""
    if instance.startswith(RESERVED):
        return None
    earlier = store.replaced_results(function, instance, action)
    present = store.peek_action_result(function, instance, action)
    messages = [message for _, message in reversed(earlier)] + ([present] if present is not None else [])
    outputs: dict[str, list[str | None]] = {}
    times = 1
    for old, new in pairwise(messages):
        differing = differences(store, function, old, new)
        times += bool(differing)
        for name, values in differing.items():
            seen = outputs.setdefault(name, [])
            seen += [value for value in values if value not in seen]
    if not outputs:
        return None
    return Nondeterminism(function, instance, action, earlier[0][0], times, dict(sorted(outputs.items())))


def differences(
    store: Store, function: DigestFunction, old: bytes, new: bytes
) -> dict[str, tuple[str | None, str | None]]:
    """What two results of one action put out differently, by name; none for lists of path sets, which are to change."""
    try:
        before, now = _outputs(_Outputs.decode(old), function), _outputs(_Outputs.decode(new), function)
    except MalformedMessage:
        return {}
    if before is None or now is None:
        return {}
    names = (name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name))
    found = {name: (before.get(name), now.get(name)) for name in names}
    return {name: values for name, values in found.items() if not _same_code(store, function, name, values)}


def _outputs(result: _Outputs, function: DigestFunction) -> dict[str, str | None] | None:
    """Each output's value by its name; None for what is no result of an action."""
    files: list[OutputFile] = result.output_files  # type: ignore[attr-defined]
    if files and all(file.path.startswith("sets/") or file.path == "index" for file in files):
        return None
    found: dict[str, str | None] = {}
    for file in files:
        if not file.path.startswith(_OWN_FILES):
            found[file.path] = str(file.digest or function.of(file.contents)) + (" x" if file.is_executable else "")
    for folder in result.output_directories:
        found[folder.path + "/"] = str(folder.root_directory_digest or folder.tree_digest)
    for kind in ("output_symlinks", "output_file_symlinks", "output_directory_symlinks"):
        found.update({link.path: f"-> {link.target}" for link in getattr(result, kind)})
    for stream in ("stdout", "stderr"):
        digest = getattr(result, f"{stream}_digest") or function.of(getattr(result, f"{stream}_raw"))
        found[f"<{stream}>"] = str(digest)
    found["<exit status>"] = str(result.exit_code)  # type: ignore[attr-defined]
    return found


def _same_code(store: Store, function: DigestFunction, name: str, values: tuple[str | None, str | None]) -> bool:
    """Whether two files are compiled Python that differs only in the stamp of its source."""
    old, new = values
    if not name.endswith(_STAMPED) or old is None or new is None:
        return False
    try:
        digests = [Digest.parse(value.split(" ")[0]) for value in (old, new)]
        if any(digest.size_bytes > _LARGEST for digest in digests):
            return False
        datas = [store.peek(function, digest) for digest in digests]
    except (StoreError, ValueError):
        return False
    return _unstamped(datas[0]) == _unstamped(datas[1])


def _unstamped(data: bytes) -> bytes:
    return data if data[4:5] == _CHECKED else data[: _HEADER - 8] + data[_HEADER:]

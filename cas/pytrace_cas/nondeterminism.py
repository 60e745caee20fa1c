# SPDX-License-Identifier: Apache-2.0
"""Equal inputs, other outputs: noted in the store when a result takes the place of one that says something else.

Two machines that raced, a run that was made again, and any client of the server leave such notes. Only what an action
put out counts: no times, and of a `.pyc` not the stamp of its source. A note has both digests of each output that
came out differently; it is bounded, and so is the number of notes (`store.notes`).
"""

from __future__ import annotations

import json
import time

from pytrace_cas.digest import FUNCTIONS, Digest
from pytrace_cas.reapi import ActionResult, MalformedMessage, Message, OutputFile, OutputSymlink
from pytrace_cas.store.layout import StoreError
from pytrace_cas.store.notes import LONGEST_NOTE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.store import Store

KIND = "nondeterministic"
MAX_OUTPUTS = 64
"""Of so many outputs of one action the digests are kept."""
MAX_VALUES = 8
"""So many different values of one output are kept, those seen last."""
LONGEST_NAME = 400

_OWN_FILES = ".pytrace/"
_STAMPED = ".pyc"
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
    executable), a link's target after `-> `, an exit status, or None where there was none. `times`: how often.
    """

    __slots__ = ("action", "first", "function", "instance", "last", "omitted", "outputs", "times")

    def __init__(self, function: DigestFunction, instance: str, action: Digest) -> None:
        self.function = function
        self.instance = instance
        self.action = action
        self.outputs: dict[str, list[str | None]] = {}
        self.first = self.last = time.time()
        self.times = 0
        self.omitted = 0

    def add(self, differing: dict[str, tuple[str | None, str | None]]) -> None:
        """Note that a result with other outputs was stored."""
        self.last, self.times = time.time(), self.times + 1
        for name, values in differing.items():
            short = name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}..."
            if short not in self.outputs and len(self.outputs) >= MAX_OUTPUTS:
                self.omitted += 1
                continue
            seen = self.outputs.setdefault(short, [])
            seen += [value for value in values if value not in seen]
            del seen[:-MAX_VALUES]

    def encode(self) -> bytes:
        """The note; what does not fit into one is left out."""
        while len(data := self._encoded()) > LONGEST_NOTE:
            self.outputs.popitem()
            self.omitted += 1
        return data

    def _encoded(self) -> bytes:
        fields = {name: getattr(self, name) for name in ("first", "last", "times", "omitted", "outputs")}
        named = {"function": self.function.name, "instance": self.instance, "action": str(self.action)}
        return json.dumps({**named, **fields}).encode()

    @classmethod
    def decode(cls, data: bytes) -> Nondeterminism:
        """Read a note; raise ValueError or KeyError for what is none."""
        fields = json.loads(data)
        functions = {function.name: function for function in FUNCTIONS.values()}
        found = cls(functions[fields["function"]], fields["instance"], Digest.parse(fields["action"]))
        for name in ("first", "last", "times", "omitted", "outputs"):
            setattr(found, name, fields[name])
        return found


def note(store: Store, function: DigestFunction, instance: str, action: Digest, old: bytes, new: bytes) -> bool:
    """Hold the message of a result against the one that it took the place of; say whether the outputs differ."""
    differing = differences(store, function, old, new)
    if not differing:
        return False
    key = _key(function, instance, action)
    found = _read(store.recall(KIND, key)) or Nondeterminism(function, instance, action)
    found.add(differing)
    store.remember(KIND, key, found.encode())
    return True


def noted(store: Store) -> Iterator[Nondeterminism]:
    """Every action whose outputs were seen to differ, the latest first."""
    for value in store.noted(KIND):
        found = _read(value)
        if found is not None:
            yield found


def noted_of(store: Store, function: DigestFunction, instance: str, action: Digest) -> Nondeterminism | None:
    """What is known of one action."""
    return _read(store.recall(KIND, _key(function, instance, action)))


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


def _key(function: DigestFunction, instance: str, action: Digest) -> bytes:
    return f"{function.number} {action} {instance}".encode()


def _read(value: bytes | None) -> Nondeterminism | None:
    try:
        return None if value is None else Nondeterminism.decode(value)
    except (ValueError, KeyError, TypeError):
        return None


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
        datas = [store.get(function, Digest.parse(value.split(" ")[0])) for value in (old, new)]
    except (StoreError, ValueError):
        return False
    return _unstamped(datas[0]) == _unstamped(datas[1])


def _unstamped(data: bytes) -> bytes:
    return data if data[4:5] == _CHECKED else data[: _HEADER - 8] + data[_HEADER:]

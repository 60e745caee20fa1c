# SPDX-License-Identifier: Apache-2.0
"""What a stored result says of itself: its command, what it read and wrote, its labels.

Read from its message and from blobs that may be gone, which leaves gaps and never fails.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs

from pytrace_cas.catalogue.rows import LIST, OTHER, TRACED
from pytrace_cas.digest import MalformedDigest
from pytrace_cas.reapi import Action, ActionResult, Command, Directory, MalformedMessage
from pytrace_cas.recorded.candidates import INDEX, index_digest
from pytrace_cas.recorded.command_lines import command_line, shell_line
from pytrace_cas.recorded.effect_entries import Move
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.keys import properties
from pytrace_cas.recorded.labels import LABELS_PATH, decode_labels
from pytrace_cas.recorded.names import outside
from pytrace_cas.recorded.places import MalformedText, escape, unescape
from pytrace_cas.recorded.scheme import FACTS, TOPS
from pytrace_cas.store import BlobNotFound

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytrace_cas.digest import Digest, DigestFunction
    from pytrace_cas.store import Store

MOST_PATHS = 50_000
"""Of one result, no more paths are found again."""

MOST_FOLDERS = 50_000
"""Of one result, no more folders are read: a few small blobs can name one another without end."""

MOST_KNOWN = 10_000
"""Folders, and commands, that are remembered."""

LARGEST, LARGEST_LABELS = 32 << 20, 64 << 10
"""Bytes of a blob that is read."""

MAX_DEPTH = 256
_SIGNS = {name: sign.decode() for sign, name in TOPS.items()} | {"abs": ""}
_ROOT = b"identity root = "


@attrs.define
class Extracted:
    """What is known of one result. `groups`: numbers of the groups of paths that it read and wrote."""

    kind: str = OTHER
    program: str = ""
    command: str = ""
    cwd: str = ""
    exit_code: int = 0
    output_size: int = 0
    inputs: int = 0
    outputs: int = 0
    root: str = ""
    labels: dict[str, str] = attrs.field(factory=dict)
    groups: set[int] = attrs.field(factory=set)


class Extractor:
    """Reads results of one store; `group` gives the number of names in a folder (with its slash), written or not.

    Trees that were met are remembered: most results share most of their folders.
    """

    def __init__(self, store: Store, group: Callable[[bool, str, tuple[str, ...]], int]) -> None:
        self._store = store
        self._group = group
        self._trees: dict[tuple[str, Digest], tuple[frozenset[int], int]] = {}
        self._commands: dict[Digest, tuple[str, str, str]] = {}
        self._folders = MOST_FOLDERS

    def extract(self, function: DigestFunction, digest: Digest, message: bytes) -> Extracted:
        """Everything that can be read of a result."""
        found = Extracted()
        self._folders = MOST_FOLDERS
        try:
            result = ActionResult.decode(message)
        except MalformedMessage:
            return found
        files = {file.path: file.digest for file in result.output_files if file.digest is not None}
        found.exit_code = result.exit_code
        if INDEX in files and index_digest(result) is not None and all("/" in path or path == INDEX for path in files):
            found.kind = LIST if all(path.startswith("sets/") for path in files if path != INDEX) else OTHER
        found.kind = TRACED if EFFECTS_PATH in files else found.kind
        action = self._action(function, digest)
        if action is not None:
            self._add_command(found, function, action)
        if found.kind == TRACED:
            self._add_effects(found, function, files[EFFECTS_PATH])
            self._add_labels(found, function, files.get(LABELS_PATH))
            self._add_facts(found, function, action)
        elif found.kind == OTHER:
            self._add_outputs(found, function, message)
            self._add_tree(found, function, action)
        return found

    def _blob(self, function: DigestFunction, digest: Digest | None, most: int = LARGEST) -> bytes | None:
        """A blob of at most so many bytes; looking at it is no use of it."""
        if digest is None or digest.size_bytes > most:
            return None
        try:
            return self._store.peek(function, digest)
        except (BlobNotFound, MalformedDigest):
            return None

    def _action(self, function: DigestFunction, digest: Digest) -> Action | None:
        if digest.size_bytes > 1 << 20:
            return None  # no action is so large: HTTP names some without their size
        data = self._blob(function, digest)
        try:
            return Action.decode(data) if data is not None else None
        except MalformedMessage:
            return None

    def _add_command(self, found: Extracted, function: DigestFunction, action: Action) -> None:
        named = action.command_digest
        if named is None:
            return
        if len(self._commands) > MOST_KNOWN:
            self._commands.clear()
        if named not in self._commands:
            self._commands[named] = self._read_command(function, named)
        found.command, found.program, found.cwd = self._commands[named]

    def _read_command(self, function: DigestFunction, digest: Digest) -> tuple[str, str, str]:
        data = self._blob(function, digest)
        try:
            command = Command.decode(data) if data is not None else None
        except MalformedMessage:
            command = None
        if command is None or not command.arguments:
            return "", "", ""
        told = properties(command)
        line = command_line(command.arguments) if "scheme" in told else shell_line(command.arguments)
        cwd = told.get("working-directory", command.working_directory)
        return _storable(line), _storable(os.path.basename(command.arguments[0])), _storable(cwd)

    # -- results of the wrapper

    def _add_effects(self, found: Extracted, function: DigestFunction, digest: Digest) -> None:
        data = self._blob(function, digest)
        try:
            effects = Effects.decode(data) if data is not None else Effects()
        except ValueError:
            return
        found.outputs = len(effects.entries)
        found.output_size = sum(file.digest.size_bytes for file in effects.files())
        found.output_size += sum(length for _, length in effects.streams)
        found.exit_code = effects.exit_code
        names = {entry.path for entry in effects.entries}
        names |= {entry.to for entry in effects.entries if isinstance(entry, Move)}
        self._add_paths(found, True, [_placed(name) for name in names])

    def _add_labels(self, found: Extracted, function: DigestFunction, digest: Digest | None) -> None:
        data = self._blob(function, digest, LARGEST_LABELS)
        if data is not None:
            found.labels = {_storable(name): _storable(value) for name, value in decode_labels(data).items()}

    def _add_facts(self, found: Extracted, function: DigestFunction, action: Action | None) -> None:
        """The content that it read is a tree, every other fact a line of one file."""
        root = self._directory(function, action.input_root_digest if action is not None else None)
        if root is None:
            return
        for top in root.directories:
            sign = _SIGNS.get(top.name)
            if sign is not None and top.digest is not None:
                groups, count = self._tree(function, top.digest, sign, True)
                found.groups |= groups
                found.inputs += count
        for file in root.files:
            if file.name == FACTS:
                self._add_lines(found, (self._blob(function, file.digest) or b"").split(b"\n"))

    def _add_lines(self, found: Extracted, lines: list[bytes]) -> None:
        paths = []
        for line in lines:
            subject, sign, _ = line.rpartition(b" = ")
            if not sign:
                continue
            found.inputs += 1
            paths += subject.decode("utf-8", "replace").split(" ")[2:]
            if line.startswith(_ROOT):
                found.root = _value(line[len(_ROOT) :])
        self._add_paths(found, False, paths)

    # -- results of others

    def _add_outputs(self, found: Extracted, function: DigestFunction, message: bytes) -> None:
        from google.protobuf.message import DecodeError

        from pytrace_proto import remote_execution_pb2 as reapi

        try:
            result = reapi.ActionResult.FromString(message)
        except DecodeError:
            return
        links = [*result.output_symlinks, *result.output_file_symlinks, *result.output_directory_symlinks]
        paths = [file.path for file in result.output_files] + [link.path for link in links]
        found.output_size = sum(file.digest.size_bytes for file in result.output_files)
        paths += [folder.path for folder in result.output_directories]
        found.outputs = len(paths)
        self._add_paths(found, True, [_below_root(path) for path in paths])

    def _add_tree(self, found: Extracted, function: DigestFunction, action: Action | None) -> None:
        if action is not None and action.input_root_digest is not None:
            groups, count = self._tree(function, action.input_root_digest, "%R", False)
            found.groups |= groups
            found.inputs = count

    # -- paths

    def _add_paths(self, found: Extracted, written: bool, paths: Iterable[str]) -> None:
        folders: dict[str, set[str]] = {}
        for number, path in enumerate(paths):
            if number == MOST_PATHS:
                break
            folder, slash, name = path.rpartition("/")
            folders.setdefault(folder + slash, set()).add(name)
        found.groups |= {self._group(written, folder, tuple(sorted(names))) for folder, names in folders.items()}

    def _directory(self, function: DigestFunction, digest: Digest | None) -> Directory | None:
        data = self._blob(function, digest)
        try:
            return Directory.decode(data) if data is not None else None
        except MalformedMessage:
            return None

    def _tree(
        self, function: DigestFunction, digest: Digest, path: str, traced: bool, depth: int = 0
    ) -> tuple[frozenset[int], int]:
        """Groups of all files below a directory, and how many there are; folders that are known cost nothing."""
        known = self._trees.get((path, digest))
        if known is not None:
            return known
        folder = self._directory(function, digest) if depth <= MAX_DEPTH and self._folders else None
        if folder is None:
            return frozenset(), 0
        self._folders -= 1
        groups: set[int] = set()
        count = len(folder.files) + len(folder.symlinks)
        if count:
            names = [*(file.name for file in folder.files), *(link.name for link in folder.symlinks)]
            groups.add(self._group(False, path + "/", tuple(sorted({_component(name, traced) for name in names}))))
        for child in folder.directories:
            if child.digest is not None and count < MOST_PATHS:
                below = f"{path}/{_component(child.name, traced)}"
                inside, number = self._tree(function, child.digest, below, traced, depth + 1)
                groups |= inside
                count += number
        if len(self._trees) > MOST_KNOWN:
            self._trees.clear()
        found = frozenset(groups), count
        if self._folders:  # else something may be left out, which another result need not do without
            self._trees[path, digest] = found
        return found


def _component(name: str, traced: bool) -> str:
    """A name of a tree as paths spell it: a traced result's are escaped already."""
    if not traced:
        return _storable(escape(name.encode("utf-8", "surrogateescape")).decode())
    return ".." if name == "%2E%2E" else name.removesuffix("%2F")


def _placed(name: bytes) -> str:
    """A name of the effects as paths are kept: below `%R` unless it says another place."""
    text = name.decode("utf-8", "replace")
    return text if outside(name) else f"%R/{text}"


def _below_root(path: str) -> str:
    escaped = escape(path.encode("utf-8", "surrogateescape")).decode()
    return escaped if escaped.startswith("/") else f"%R/{escaped}"


def _value(escaped: bytes) -> str:
    try:
        value = unescape(escaped)
    except MalformedText:
        return ""
    return value.removeprefix(b"= ").decode("utf-8", "replace")


def _storable(text: str) -> str:
    """Text that SQLite takes."""
    return text.encode("utf-8", "replace").decode()

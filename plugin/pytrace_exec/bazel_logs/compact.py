# SPDX-License-Identifier: Apache-2.0
"""The compact log: entries refer to earlier ones by number; sets of inputs share their parts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.reapi import Message
from pytrace_exec.bazel_logs.messages import (
    EntryDirectory,
    EntryFile,
    EntrySymlink,
    ExecLogEntry,
    InputSet,
    RunfilesTree,
    SymlinkEntrySet,
)
from pytrace_exec.bazel_logs.spawn import Spawn, link_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_exec.bazel_logs.messages import EntryOutput, EntrySpawn, SymlinkAction

_KINDS = ("file", "directory", "unresolved_symlink", "input_set", "symlink_entry_set", "runfiles_tree")


class CompactLog:
    """Takes entries in their order and makes spawns of them."""

    def __init__(self) -> None:
        self._entries: dict[int, Message] = {}
        self._sets: dict[int, dict[str, str]] = {0: {}}

    def add(self, entry: ExecLogEntry) -> Spawn | None:
        """Take an entry; return the command that it tells of. Raise ValueError for a reference that leads nowhere."""
        if entry.spawn is not None:
            return self._spawn(entry.spawn)
        if entry.symlink_action is not None:
            return _link(entry.symlink_action)
        for kind in _KINDS:
            found = getattr(entry, kind)
            if found is not None and entry.id:
                self._entries[entry.id] = found
        return None

    def _spawn(self, found: EntrySpawn) -> Spawn:
        return Spawn(
            mnemonic=found.mnemonic,
            target=found.target_label,
            arguments=tuple(found.args),
            environment={item.name: item.value for item in found.env_vars},
            platform={item.name: item.value for item in (found.platform.properties if found.platform else ())},
            inputs=self._set(found.input_set_id),
            tools=frozenset(self._set(found.tool_set_id)),
            outputs={path: value for output in found.outputs for path, value in self._output(output)},
            exit_code=found.exit_code,
        )

    def _output(self, output: EntryOutput) -> Iterator[tuple[str, str | None]]:
        if output.invalid_output_path:
            yield output.invalid_output_path, None
            return
        number = output.output_id or output.file_id or output.directory_id or output.symlink_id
        yield from self._contents(number)

    def _set(self, number: int) -> dict[str, str]:
        """Every input of a set by its path; a set that others share is expanded once.

        Without recursion: chains of sets can be longer than Python's stack.
        """
        pending = [number]
        while pending:
            top = pending[-1]
            if top in self._sets:
                pending.pop()
                continue
            found = self._entry(top)
            if not isinstance(found, InputSet):
                raise ValueError(f"entry {top} is no set of inputs")
            below = [id for packed in found.transitive_set_ids for id in packed]
            missing = [id for id in below if id not in self._sets]
            if missing:
                if len(pending) > len(self._entries) + 1:
                    raise ValueError("a set of inputs holds itself")
                pending += missing
                continue
            inputs: dict[str, str] = {}
            for id in below:
                inputs.update(self._sets[id])
            for id in found.direct():
                inputs.update(self._contents(id))
            self._sets[top] = inputs
            pending.pop()
        return self._sets[number]

    def _contents(self, number: int) -> Iterator[tuple[str, str]]:
        """The files that one entry stands for, by path."""
        found = self._entry(number)
        if isinstance(found, EntryFile):
            yield found.path, _digest(found)
        elif isinstance(found, EntryDirectory):
            for file in found.files:
                yield f"{found.path}/{file.path}", _digest(file)
            if not found.files:
                yield f"{found.path}/", "empty"
        elif isinstance(found, EntrySymlink):
            yield found.path, link_to(found.target_path)
        elif isinstance(found, RunfilesTree):
            yield from self._runfiles(found)
        else:
            raise ValueError(f"entry {number} is no input or output")

    def _runfiles(self, tree: RunfilesTree) -> Iterator[tuple[str, str]]:
        """What a runfiles tree leads to; what stands at its canonical place is told by the path it leads to."""
        for path, value in self._set(tree.input_set_id).items():
            yield f"{tree.path}: {path}", value
        for number in (tree.symlinks_id, tree.root_symlinks_id):
            yield from ((f"{tree.path}: {path}", value) for path, value in self._places(number))
        for path in tree.empty_files:
            yield f"{tree.path}: {path}", "empty"
        if tree.repo_mapping_manifest is not None:
            yield f"{tree.path}: _repo_mapping", _digest(tree.repo_mapping_manifest)

    def _places(self, number: int) -> Iterator[tuple[str, str]]:
        pending, seen = [number] if number else [], set()
        while pending:
            top = pending.pop()
            found = self._entry(top)
            if not isinstance(found, SymlinkEntrySet):
                raise ValueError(f"entry {top} is no set of links")
            seen.add(top)
            pending += [id for packed in found.transitive_set_ids for id in packed if id not in seen]
            for place in found.direct_entries:
                for _, value in self._contents(place.value):
                    yield place.key, value

    def _entry(self, number: int) -> Message:
        try:
            return self._entries[number]
        except KeyError:
            raise ValueError(f"entry {number} is referred to before it is told") from None


def _digest(file: EntryFile) -> str:
    return "empty" if file.digest is None else str(file.digest)


def _link(found: SymlinkAction) -> Spawn:
    """A link that Bazel made by itself, without a command."""
    made = {found.output_path: link_to(found.input_path)}
    return Spawn(found.mnemonic, found.target_label, (), {}, {}, {}, frozenset(), made, 0)

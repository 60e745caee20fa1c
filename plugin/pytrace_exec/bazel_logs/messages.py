# SPDX-License-Identifier: Apache-2.0
"""The messages of Bazel's execution logs, as far as differences need them, by their published field numbers.

`SpawnExec` is what `--execution_log_binary_file` holds (and, as JSON, `--execution_log_json_file`); `ExecLogEntry` what
`--execution_log_compact_file` holds. Numbers that newer versions of Bazel have left are read as well.
"""

from __future__ import annotations

from typing import Any, Self

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import BOOL, INT, STRING, EnvironmentVariable, Message, Platform


class Numbers(list[int]):
    """Packed numbers: one after the other, without tags."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read them; raise ValueError for a number that is cut."""
        found, value, shift = cls(), 0, 0
        for byte in data:
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                found.append(value)
                value = shift = 0
        if shift:
            raise ValueError("a number is cut")
        return found


class LogFile(Message):
    """A file of a `SpawnExec`."""

    path: str = ""
    digest: Digest | None = None
    is_tool: bool = False
    symlink_target_path: str = ""
    FIELDS = (
        (1, "path", STRING, False),
        (2, "digest", Digest, False),
        (3, "is_tool", BOOL, False),
        (4, "symlink_target_path", STRING, False),
    )


class SpawnExec(Message):
    """One executed command of the older logs."""

    command_args: list[str] = []
    environment_variables: list[EnvironmentVariable] = []
    platform: Platform | None = None
    inputs: list[LogFile] = []
    listed_outputs: list[str] = []
    mnemonic: str = ""
    actual_outputs: list[LogFile] = []
    exit_code: int = 0
    target_label: str = ""
    FIELDS = (
        (1, "command_args", STRING, True),
        (2, "environment_variables", EnvironmentVariable, True),
        (3, "platform", Platform, False),
        (4, "inputs", LogFile, True),
        (5, "listed_outputs", STRING, True),
        (10, "mnemonic", STRING, False),
        (11, "actual_outputs", LogFile, True),
        (15, "exit_code", INT, False),
        (18, "target_label", STRING, False),
    )


class EntryFile(Message):
    """`ExecLogEntry.File`."""

    path: str = ""
    digest: Digest | None = None
    FIELDS = ((1, "path", STRING, False), (2, "digest", Digest, False))


class EntryDirectory(Message):
    """`ExecLogEntry.Directory`: paths of its files are relative to it."""

    path: str = ""
    files: list[EntryFile] = []
    FIELDS = ((1, "path", STRING, False), (2, "files", EntryFile, True))


class EntrySymlink(Message):
    """`ExecLogEntry.UnresolvedSymlink`."""

    path: str = ""
    target_path: str = ""
    FIELDS = ((1, "path", STRING, False), (2, "target_path", STRING, False))


class InputSet(Message):
    """`ExecLogEntry.InputSet`; 1 to 3 are how Bazel 7.0 to 7.3 say what 5 says."""

    file_ids: list[Numbers] = []
    directory_ids: list[Numbers] = []
    symlink_ids: list[Numbers] = []
    transitive_set_ids: list[Numbers] = []
    input_ids: list[Numbers] = []
    FIELDS = (
        (1, "file_ids", Numbers, True),
        (2, "directory_ids", Numbers, True),
        (3, "symlink_ids", Numbers, True),
        (4, "transitive_set_ids", Numbers, True),
        (5, "input_ids", Numbers, True),
    )

    def direct(self) -> list[int]:
        """What the set holds itself."""
        lists: tuple[list[Numbers], ...] = (self.file_ids, self.directory_ids, self.symlink_ids, self.input_ids)
        return [number for numbers in lists for packed in numbers for number in packed]


class _Place(Message):
    key: str = ""
    value: int = 0
    FIELDS = ((1, "key", STRING, False), (2, "value", INT, False))


class SymlinkEntrySet(Message):
    """`ExecLogEntry.SymlinkEntrySet`: where in a runfiles tree entries stand."""

    direct_entries: list[_Place] = []
    transitive_set_ids: list[Numbers] = []
    FIELDS = ((1, "direct_entries", _Place, True), (2, "transitive_set_ids", Numbers, True))


class RunfilesTree(Message):
    """`ExecLogEntry.RunfilesTree`."""

    path: str = ""
    input_set_id: int = 0
    symlinks_id: int = 0
    root_symlinks_id: int = 0
    empty_files: list[str] = []
    repo_mapping_manifest: EntryFile | None = None
    FIELDS = (
        (1, "path", STRING, False),
        (2, "input_set_id", INT, False),
        (3, "symlinks_id", INT, False),
        (4, "root_symlinks_id", INT, False),
        (5, "empty_files", STRING, True),
        (6, "repo_mapping_manifest", EntryFile, False),
    )


class EntryOutput(Message):
    """`ExecLogEntry.Output`; 1 to 3 are how Bazel 7.0 to 7.3 say what 5 says."""

    file_id: int = 0
    directory_id: int = 0
    symlink_id: int = 0
    invalid_output_path: str = ""
    output_id: int = 0
    FIELDS = (
        (1, "file_id", INT, False),
        (2, "directory_id", INT, False),
        (3, "symlink_id", INT, False),
        (4, "invalid_output_path", STRING, False),
        (5, "output_id", INT, False),
    )


class EntrySpawn(Message):
    """`ExecLogEntry.Spawn`."""

    args: list[str] = []
    env_vars: list[EnvironmentVariable] = []
    platform: Platform | None = None
    input_set_id: int = 0
    tool_set_id: int = 0
    outputs: list[EntryOutput] = []
    target_label: str = ""
    mnemonic: str = ""
    exit_code: int = 0
    FIELDS = (
        (1, "args", STRING, True),
        (2, "env_vars", EnvironmentVariable, True),
        (3, "platform", Platform, False),
        (4, "input_set_id", INT, False),
        (5, "tool_set_id", INT, False),
        (6, "outputs", EntryOutput, True),
        (7, "target_label", STRING, False),
        (8, "mnemonic", STRING, False),
        (9, "exit_code", INT, False),
    )


class SymlinkAction(Message):
    """`ExecLogEntry.SymlinkAction`."""

    input_path: str = ""
    output_path: str = ""
    target_label: str = ""
    mnemonic: str = ""
    FIELDS = (
        (1, "input_path", STRING, False),
        (2, "output_path", STRING, False),
        (3, "target_label", STRING, False),
        (4, "mnemonic", STRING, False),
    )


class ExecLogEntry(Message):
    """One entry of a compact log; the invocation (2) says nothing of what is compared."""

    id: int = 0
    file: EntryFile | None = None
    directory: EntryDirectory | None = None
    unresolved_symlink: EntrySymlink | None = None
    input_set: InputSet | None = None
    spawn: EntrySpawn | None = None
    symlink_action: SymlinkAction | None = None
    symlink_entry_set: SymlinkEntrySet | None = None
    runfiles_tree: RunfilesTree | None = None
    FIELDS: tuple[tuple[int, str, Any, bool], ...] = (
        (1, "id", INT, False),
        (3, "file", EntryFile, False),
        (4, "directory", EntryDirectory, False),
        (5, "unresolved_symlink", EntrySymlink, False),
        (6, "input_set", InputSet, False),
        (7, "spawn", EntrySpawn, False),
        (8, "symlink_action", SymlinkAction, False),
        (9, "symlink_entry_set", SymlinkEntrySet, False),
        (10, "runfiles_tree", RunfilesTree, False),
    )

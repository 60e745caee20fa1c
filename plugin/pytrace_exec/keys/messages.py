# SPDX-License-Identifier: Apache-2.0
"""The REAPI messages that keys are digests of: weak and strong actions (DESIGN 3.1 to 3.3)."""

from __future__ import annotations

import os

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import (
    Action,
    Command,
    Directory,
    DirectoryNode,
    EnvironmentVariable,
    FileNode,
    Platform,
    Property,
)
from pytrace_cas.recorded.places import escape
from pytrace_cas.recorded.scheme import FACTS, SCHEME, TOPS
from pytrace_cas.recorded.subjects import encode_subject

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.recorded.places import Places
    from pytrace_cas.recorded.subjects import Subject


class Key:
    """A digest of an `Action` with every message that it is made of, by digest."""

    __slots__ = ("blobs", "digest")

    def __init__(self, digest: Digest, blobs: dict[Digest, bytes]) -> None:
        self.digest = digest
        self.blobs = blobs


def make_command(
    argv: tuple[bytes, ...], variables: Mapping[bytes, bytes], places: Places, cwd: bytes, umask: int, slot: int
) -> Command:
    """The `Command` that both keys share: places in it are substituted, output paths are relative to the root."""
    properties = {
        "effective-root": "yes" if os.geteuid() == 0 else "no",
        "machine": os.uname().machine,
        "operating-system": os.uname().sysname,
        "scheme": SCHEME,
        "slot": str(slot),
        "umask": f"{umask:04o}",
        "working-directory": places.encode_path(cwd).decode(),
    }
    return Command(
        arguments=[places.substitute(word).decode() for word in argv],
        environment_variables=[
            EnvironmentVariable(name=escape(name).decode(), value=places.substitute(value).decode())
            for name, value in sorted(variables.items())
        ],
        platform=Platform(properties=[Property(name=name, value=value) for name, value in sorted(properties.items())]),
    )


def weak_key(
    command: Command, inputs: Mapping[bytes, str], salt: bytes, places: Places, function: DigestFunction
) -> Key:
    """The key under which candidates are found; `inputs`: digests of what the caller declared, by path."""
    return _key(command, _tree(inputs, b"", places, function), salt, function)


def strong_key(
    command: Command, values: Mapping[Subject, bytes], salt: bytes, places: Places, function: DigestFunction
) -> Key:
    """The key of a result: content that was read as a Merkle tree, every other fact in one file beside it."""
    content: dict[bytes, str] = {}
    lines = []
    for subject, value in values.items():
        if subject.kind == "content" and b"/" in value:
            content[subject.paths[0]] = value.decode()
        else:
            lines.append(encode_subject(subject, places) + b" = " + escape(value))
    return _key(command, _tree(content, b"\n".join(sorted(lines)) + b"\n", places, function), salt, function)


def _key(command: Command, tree: tuple[Digest, dict[Digest, bytes]], salt: bytes, function: DigestFunction) -> Key:
    root, blobs = tree
    data = command.encode()
    named = function.of(data)
    blobs[named] = data
    action = Action(command_digest=named, input_root_digest=root, salt=salt).encode()
    digest = function.of(action)
    blobs[digest] = action
    return Key(digest, blobs)


def _tree(
    content: Mapping[bytes, str], facts: bytes, places: Places, function: DigestFunction
) -> tuple[Digest, dict[Digest, bytes]]:
    """Merkle tree of digests by absolute path, under `root/`, `home/`, `tmp/` and `abs/`, with the facts beside it."""
    top: dict[str, object] = {}
    for path, digest in content.items():
        encoded = places.encode_path(path)
        head, _, rest = encoded.partition(b"/")
        folder = _folder(top, TOPS.get(head, "abs"))
        *parents, name = rest.split(b"/")
        for parent in parents:
            folder = _folder(folder, _node_name(parent))
        folder[_node_name(name)] = Digest.parse(digest)
    blobs: dict[Digest, bytes] = {}
    if facts:
        top[FACTS] = function.of(facts)
        blobs[function.of(facts)] = facts
    return _directory(top, blobs, function), blobs


def _folder(parent: dict[str, object], name: str) -> dict[str, object]:
    found = parent.setdefault(name, {})
    if not isinstance(found, dict):
        found = parent[name + "%2F"] = {}
    return found


def _node_name(encoded: bytes) -> str:
    """A component as it stands in the tree: `..` (a path spelled from below the root) is no name REAPI allows."""
    return "%2E%2E" if encoded == b".." else encoded.decode()


def _directory(tree: dict[str, object], blobs: dict[Digest, bytes], function: DigestFunction) -> Digest:
    directory = Directory()
    for name, node in sorted(tree.items()):
        if isinstance(node, Digest):
            directory.files.append(FileNode(name=name, digest=node))
        elif isinstance(node, dict):
            directory.directories.append(DirectoryNode(name=name, digest=_directory(node, blobs, function)))
    data = directory.encode()
    digest = function.of(data)
    blobs[digest] = data
    return digest

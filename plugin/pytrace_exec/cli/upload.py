# SPDX-License-Identifier: Apache-2.0
"""`pytrace upload`: a file or a folder into a cache."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import attrs
import click

from pytrace_cas.digest import Digest
from pytrace_cas.reapi import Directory, DirectoryNode, FileNode, SymlinkNode
from pytrace_exec.cache.tiered import TieredCache
from pytrace_exec.cli.answer import Answer
from pytrace_exec.cli.choices import REMOTE, chosen, folder_of, format_options, open_chosen_cache, wrapper_options
from pytrace_exec.cli.exit_status import NOT_AUTHORISED, NOT_FOUND, USAGE, stated, status_of
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.store_opening import open_folder

if TYPE_CHECKING:
    from pytrace_exec.cache.local import LocalCache

_DEEPEST = 512


@attrs.define
class Uploaded:
    """What was put into a cache so far."""

    cache: LocalCache
    digests: dict[Digest, None] = attrs.field(factory=dict)
    files: int = 0
    size: int = 0

    def file(self, path: bytes) -> Digest:
        """Keep a file's content."""
        digest = self.cache.put_file(path)
        self.digests[digest] = None
        self.files += 1
        self.size += digest.size_bytes
        return digest

    def folder(self, path: bytes, depth: int = 0) -> Digest:
        """Keep a folder with all below it; raise `Failed` for what no `Directory` can hold."""
        if depth > _DEEPEST:
            raise Failed(f"{os.fsdecode(path)} lies deeper than {_DEEPEST} folders", USAGE)
        message = Directory()
        with os.scandir(path) as entries:
            for entry in sorted(entries, key=lambda one: one.name):
                self._add(message, entry, depth)
        data = message.encode()
        digest = self.cache.function.of(data)
        self.cache.put({digest: data})
        self.digests[digest] = None
        return digest

    def _add(self, message: Directory, entry: os.DirEntry[bytes], depth: int) -> None:
        status = entry.stat(follow_symlinks=False)
        name = _text(entry.path, entry.name)
        if stat.S_ISLNK(status.st_mode):
            target = _text(entry.path, os.readlink(entry.path))
            message.symlinks.append(SymlinkNode(name=name, target=target))
        elif stat.S_ISDIR(status.st_mode):
            message.directories.append(DirectoryNode(name=name, digest=self.folder(entry.path, depth + 1)))
        elif stat.S_ISREG(status.st_mode):
            executable = bool(status.st_mode & 0o100)
            message.files.append(FileNode(name=name, digest=self.file(entry.path), is_executable=executable))
        else:
            raise Failed(f"{os.fsdecode(entry.path)} is no file, folder or link; leave it out", USAGE)


def _text(path: bytes, raw: bytes) -> str:
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Failed(f"{os.fsdecode(path)!r}: names and targets are UTF-8 in the protocol; rename it", USAGE) from None


@cli.command(
    epilog=stated("0 uploaded", more="13 remote unreachable; 20 no such file"),
    short_help="A file or folder into a cache.",
)
@format_options()
@wrapper_options("dir", *REMOTE)
@click.argument("path", type=click.Path(path_type=bytes))
def upload(path: bytes, format: str, as_json: bool, color: str) -> None:
    """Store the file or folder PATH, and print its digest: of the file's bytes, or of the folder's Directory message.

    It goes into the local store, which is made when there is none, and with --remote to the remote as well. Links are
    stored as links. `pytrace download DIGEST DIR` brings it back.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    if not os.path.lexists(path):
        raise Failed(f"{os.fsdecode(path)}: there is no such file or folder", NOT_FOUND)
    with open_folder(folder_of(options)) as store:
        cache = open_chosen_cache(store, options)
        uploaded = Uploaded(cache.at_hand)
        is_folder = os.path.isdir(path)
        if not is_folder and not os.path.isfile(path):
            raise Failed(f"{os.fsdecode(path)} is no file or folder", USAGE)
        digest = uploaded.folder(path) if is_folder else uploaded.file(path)
        if isinstance(cache, TieredCache):
            _send(cache, uploaded)
    if answer.format == "json":
        kind = "directory" if is_folder else "file"
        function = cache.function.name
        told = {"digest": str(digest), "digest_function": function, "kind": kind}
        answer.json({**told, "files": uploaded.files, "bytes": uploaded.size})
    else:
        answer.line(str(digest))


def _send(cache: TieredCache, uploaded: Uploaded) -> None:
    """Send to the remote what it lacks; raise `Failed`."""
    taken = cache.send(uploaded.digests)
    cache.hang_up()
    for trouble in cache.troubles:
        refused = trouble.code == "remote_refused"
        raise Failed(str(trouble), NOT_AUTHORISED if refused else status_of(trouble))
    assert taken

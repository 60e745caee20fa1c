# SPDX-License-Identifier: Apache-2.0
"""`pytrace download`: outputs or inputs of an action, a directory or a blob, put below a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import attrs
import click

from pytrace_cas.digest import Digest
from pytrace_cas.json_fields import list_fields
from pytrace_cas.recorded.effect_entries import Dir, File
from pytrace_cas.recorded.effects import EFFECTS_PATH, Effects
from pytrace_cas.recorded.names import outside
from pytrace_cas.recorded.places import MalformedText, unescape
from pytrace_exec.cache.errors import BlobMissing
from pytrace_exec.cli.answer import Answer, one_line
from pytrace_exec.cli.blobs import Named, named
from pytrace_exec.cli.choices import REMOTE, chosen, format_options, open_store_for_remote, twin, wrapper_options
from pytrace_exec.cli.exit_status import NOT_FOUND, stated, status_of
from pytrace_exec.cli.main import Failed, cli
from pytrace_exec.cli.merkle import walk
from pytrace_exec.cli.placing import Place, components
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUSES = stated("0 downloaded; 1 something is in the way", more="13 remote unreachable; 20 no such object")


@attrs.frozen
class Item:
    """One thing to put: a file of that digest, a link to `target`, or with neither a folder."""

    name: bytes
    digest: Digest | None = None
    target: bytes | None = None
    mode: int | None = None


@cli.command(epilog=_STATUSES, short_help="Put outputs, a directory or a blob below a folder.")
@format_options()
@wrapper_options("dir", "root", *REMOTE)
@click.option("--inputs", is_flag=True, **twin("PYTRACE_DOWNLOAD_INPUTS"), help="What an action read.")
@click.option("--force", is_flag=True, **twin("PYTRACE_DOWNLOAD_FORCE"), help="Replace files that are there.")
@click.argument("ref")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=bytes))
def download(ref: str, folder: bytes, inputs: bool, force: bool, format: str, as_json: bool, color: str) -> None:
    """Put into the folder DIR what REF stands for: an action's outputs, a directory's or tree's content, or a blob.

    An action is called by a digest, the beginning of one, 'latest', or the path of an output; everything else by its
    digest, HASH/SIZE. What an action wrote outside its root lies below .pytrace/outside. A blob is named by its hash.
    With --inputs, what the action read is put there, in root, home, tmp and abs, as far as it was uploaded
    (pytrace-exec --upload-inputs).

    Nothing is written outside DIR, and nothing that is there is replaced without --force. All is fetched and verified
    before anything is written.
    """
    options = chosen()
    answer = Answer.on_stdout("json" if as_json else format, color)
    with open_store_for_remote(options) as store:
        found = named(store, options, ref)
        items = list(_items(found, inputs))
        _fetch(found, items, inputs)
        with Place(folder, force) as place:
            for item in items:
                place.check(item.name, folder=item.digest is None and item.target is None)
            for item in items:
                _put(found, place, item)
    names = [item.name for item in items if item.digest is not None or item.target is not None]
    if answer.format == "json":
        answer.json({"digest": str(found.digest), **list_fields("paths", names)})
    else:
        for name in names:
            path = os.fsdecode(os.path.join(folder, name))
            answer.line(one_line(path) if answer.terminal else path)


def _items(found: Named, inputs: bool) -> Iterator[Item]:
    """What is to be put, each name once, folders before what they hold."""
    if inputs:
        yield from _below(found, found.message(reapi.Directory, found.action().input_root_digest), b"", escaped=True)
    elif found.result is not None:
        yield from _outputs(found, found.result)
    else:
        try:
            root = found.root()
        except Failed as error:
            if error.status != NOT_FOUND:
                raise
            yield Item(found.digest.hash.encode(), found.digest, mode=0o644)
            return
        yield from _below(found, root, b"", escaped=False)


def _outputs(found: Named, result: reapi.ActionResult) -> Iterator[Item]:
    named_by = next((file.digest for file in result.output_files if file.path == EFFECTS_PATH), None)
    effects = Effects.decode(found.get(named_by)) if named_by is not None else None
    modes: dict[str, int] = {}
    for entry in effects.entries if effects is not None else ():
        if isinstance(entry, Dir) and not outside(entry.path):
            yield Item(_unescaped(entry.path), mode=entry.mode)
        elif isinstance(entry, File) and not outside(entry.path):
            modes[entry.path.decode()] = entry.mode & 0o777
    for file in result.output_files:
        if file.path != EFFECTS_PATH:
            mode = modes.get(file.path, 0o755 if file.is_executable else 0o644)
            name = _unescaped(file.path.encode()) if effects is not None else os.fsencode(file.path)
            yield Item(name, Digest(file.digest.hash, file.digest.size_bytes), mode=mode)
    for link in [*result.output_symlinks, *result.output_file_symlinks, *result.output_directory_symlinks]:
        both = (link.path.encode(), link.target.encode())
        name, target = map(_unescaped, both) if effects is not None else both
        yield Item(name, target=target)
    for directory in result.output_directories:
        tree = found.message(reapi.Tree, directory.tree_digest)
        known = {found.cache.function.of(child.SerializeToString()): child for child in tree.children}
        yield Item(os.fsencode(directory.path))
        yield from _of_tree(tree.root, known, os.fsencode(directory.path), found)


def _of_tree(
    folder: reapi.Directory, known: dict[Digest, reapi.Directory], name: bytes, found: Named
) -> Iterator[Item]:
    """What a `Tree` message holds, whose directories are in it."""
    stack = [(folder, name)]
    while stack:
        folder, name = stack.pop()
        for file in folder.files:
            mode = 0o755 if file.is_executable else 0o644
            digest = Digest(file.digest.hash, file.digest.size_bytes)
            yield Item(os.path.join(name, os.fsencode(file.name)), digest, mode=mode)
        for link in folder.symlinks:
            yield Item(os.path.join(name, os.fsencode(link.name)), target=os.fsencode(link.target))
        for node in folder.directories:
            child = known.get(Digest(node.digest.hash, node.digest.size_bytes))
            if child is None:
                raise Failed(f"the tree of {found.digest} lacks its directory {node.digest.hash}", NOT_FOUND)
            below = os.path.join(name, os.fsencode(node.name))
            yield Item(below)
            stack.append((child, below))


def _below(found: Named, root: reapi.Directory, name: bytes, escaped: bool) -> Iterator[Item]:
    for entry in walk(found, root):
        parts = [_component(part.encode()) if escaped else os.fsencode(part) for part in entry.names]
        path = b"/".join(parts)
        if entry.missing:
            raise Failed(f"directory {entry.digest} ({entry.path}) is not in the cache", NOT_FOUND)
        if entry.type == "symlink":
            yield Item(path, target=os.fsencode(entry.target))
        elif entry.type == "directory":
            yield Item(path)
        else:
            yield Item(path, entry.digest, mode=0o755 if entry.executable else 0o644)


def _component(name: bytes) -> bytes:
    """A component of an input root as it was on disk; one that no folder can hold stays as it is written."""
    plain = _unescaped(name)
    return name if b"/" in plain or b"\0" in plain or plain in (b"", b".", b"..") else plain


def _unescaped(name: bytes) -> bytes:
    try:
        return unescape(name)
    except MalformedText:
        return name


def _fetch(found: Named, items: list[Item], inputs: bool) -> None:
    """Check every name, and have every blob at hand, before anything is written; raise `Failed`."""
    for item in items:
        components(item.name)
    wanted = list(dict.fromkeys(item.digest for item in items if item.digest is not None))
    found.cache.tiers[-1].fetch(wanted)
    lost = set(found.cache.at_hand.missing(wanted))
    if not lost:
        return
    for trouble in found.cache.troubles:
        if status_of(trouble) != NOT_FOUND:
            raise Failed(str(trouble), status_of(trouble))
    what = f"{len(lost)} of {len(wanted)} files are not in the cache"
    advice = "; run the command again with pytrace-exec --upload-inputs" if inputs else ""
    raise Failed(f"{what}, such as {next(iter(lost))}{advice}", NOT_FOUND)


def _put(found: Named, place: Place, item: Item) -> None:
    digest = item.digest
    if item.target is not None:
        place.symlink(item.name, item.target)
    elif digest is None:
        place.folder(item.name, item.mode)
    else:
        try:
            place.file(item.name, item.mode or 0o644, lambda fd: found.cache.copy_to(digest, fd))
        except BlobMissing:
            raise Failed(f"blob {digest} is not in the cache any more", NOT_FOUND) from None

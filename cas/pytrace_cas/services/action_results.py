# SPDX-License-Identifier: Apache-2.0
"""What an action result may look like, and which blobs it needs (WIRE 55, 58, 59, 63)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from pytrace_cas.services.digests import digest_of, to_message
from pytrace_cas.services.errors import InvalidRequest
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytrace_cas.digest import Digest, DigestFunction


def check_fields(result: reapi.ActionResult, function: DigestFunction) -> None:
    """Raise `InvalidRequest` unless paths, targets and digests are what rule 58 asks for.

    A path that occurs twice is refused: no client can put two outputs there.
    """
    seen: set[str] = set()
    for file in result.output_files:
        _check_path("output_files.path", file.path, seen)
        digest_of(file.digest, function, "output_files.digest")
    for directory in result.output_directories:
        _check_directory(directory, function, seen)
    for link in _links(result):
        if not link.target:
            raise InvalidRequest("output_symlinks.target", f"{link.path!r} leads nowhere")
    for link in result.output_symlinks:
        _check_path("output_symlinks.path", link.path, seen)
    if result.HasField("stdout_digest"):
        digest_of(result.stdout_digest, function, "stdout_digest")
    if result.HasField("stderr_digest"):
        digest_of(result.stderr_digest, function, "stderr_digest")


def _links(result: reapi.ActionResult) -> Iterator[reapi.OutputSymlink]:
    yield from result.output_symlinks
    yield from result.output_file_symlinks
    yield from result.output_directory_symlinks


def _check_directory(directory: reapi.OutputDirectory, function: DigestFunction, seen: set[str]) -> None:
    # The empty path is the working directory itself.
    if directory.path:
        _check_path("output_directories.path", directory.path, seen)
    if directory.HasField("tree_digest"):
        digest_of(directory.tree_digest, function, "output_directories.tree_digest")
    elif not directory.HasField("root_directory_digest"):
        raise InvalidRequest("output_directories", f"{directory.path!r} has no digest")
    if directory.HasField("root_directory_digest"):
        digest_of(directory.root_directory_digest, function, "output_directories.root_directory_digest")


def _check_path(field: str, path: str, seen: set[str]) -> None:
    if not path or path.startswith("/"):
        raise InvalidRequest(field, f"{path!r} is not a relative path")
    if path in seen:
        raise InvalidRequest(field, f"{path!r} occurs twice")
    seen.add(path)


def take_inlined(
    result: reapi.ActionResult, function: DigestFunction
) -> tuple[reapi.ActionResult, list[tuple[Digest, bytes]]]:
    """Return the result without inlined bytes, and those bytes as blobs that it refers to instead.

    Raises `InvalidRequest` when bytes and digest of one field disagree.
    """
    if not (result.stdout_raw or result.stderr_raw or any(file.contents for file in result.output_files)):
        return result, []
    bare = reapi.ActionResult()
    bare.CopyFrom(result)
    inlined = [("output_files.contents", file.contents, file.digest) for file in bare.output_files]
    inlined.append(("stdout_raw", bare.stdout_raw, bare.stdout_digest))
    inlined.append(("stderr_raw", bare.stderr_raw, bare.stderr_digest))
    blobs = [_as_blob(*entry, function) for entry in inlined if entry[1]]
    for file in bare.output_files:
        file.ClearField("contents")
    bare.ClearField("stdout_raw")
    bare.ClearField("stderr_raw")
    return bare, blobs


def _as_blob(field: str, data: bytes, stated: reapi.Digest, function: DigestFunction) -> tuple[Digest, bytes]:
    """Return inlined bytes as a blob; the digest beside them is filled in, or must agree."""
    digest = function.of(data)
    if not stated.hash:
        stated.CopyFrom(to_message(digest))
    elif stated != to_message(digest):
        raise InvalidRequest(field, f"the bytes are {digest}, not what the digest says")
    return digest, data


def direct_needs(result: reapi.ActionResult, function: DigestFunction) -> Iterator[Digest]:
    """Name the blobs that the result itself names."""
    for file in result.output_files:
        yield digest_of(file.digest, function)
    for directory in result.output_directories:
        if directory.HasField("tree_digest"):
            yield digest_of(directory.tree_digest, function)
        if directory.HasField("root_directory_digest"):
            yield digest_of(directory.root_directory_digest, function)
    if result.HasField("stdout_digest"):
        yield digest_of(result.stdout_digest, function)
    if result.HasField("stderr_digest"):
        yield digest_of(result.stderr_digest, function)


def parse_tree(data: bytes) -> reapi.Tree:
    """Read a `Tree` blob; raise `InvalidRequest` when it is none."""
    try:
        return reapi.Tree.FromString(data)
    except DecodeError:
        raise InvalidRequest("output_directories.tree_digest", "the blob is no Tree") from None


def from_json(text: bytes) -> reapi.ActionResult:
    """Read a result in JSON; raise `InvalidRequest` when it is none."""
    from google.protobuf import json_format

    try:
        return json_format.Parse(text, reapi.ActionResult())
    except (json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise InvalidRequest("body", f"it is no ActionResult in JSON: {error}") from None


def to_json(message: bytes) -> bytes:
    """Write a stored result in JSON; fields that no version of the protocol has are left out."""
    # Imported here: few clients ask for it.
    from google.protobuf import json_format

    return json_format.MessageToJson(reapi.ActionResult.FromString(message), indent=None).encode()


def file_needs(directory: reapi.Directory, function: DigestFunction) -> Iterator[Digest]:
    """Name the files of one directory."""
    for file in directory.files:
        yield digest_of(file.digest, function, "files.digest")

# SPDX-License-Identifier: Apache-2.0
"""Hostile gRPC calls: each says which codes are right answers to it."""

from __future__ import annotations

import uuid
from collections import deque
from typing import TYPE_CHECKING, Any

import grpc

from pytrace_proto import bytestream_pb2 as bytestream
from pytrace_proto import bytestream_pb2_grpc, remote_execution_pb2_grpc
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from random import Random

    Attack = Callable[["Target", Random], object]

SECONDS = 60
INVALID, MISSING, RANGE, FINE = "INVALID_ARGUMENT", "NOT_FOUND", "OUT_OF_RANGE", "OK"
PRECONDITION, CANCELLED = "FAILED_PRECONDITION", "CANCELLED"
RESERVED = ("blobs", "uploads", "actions", "actionResults", "operations", "capabilities", "compressed-blobs")
DEEP = 600
WIDE = 40  # levels of a tree whose every directory holds the next one twice: 2^40 paths
FILES = 20_000  # in one directory
LINGERING = 24  # calls and connections that hang about at once


class Target:
    """The services of one server, what it holds, and a channel for bytes that are no messages.

    Attackers that hang about are told to end, the oldest first, once there are many.
    """

    def __init__(self, channel: grpc.Channel, http: tuple[str, int]) -> None:
        self.channel = channel
        self.http = http
        self.ac = remote_execution_pb2_grpc.ActionCacheStub(channel)
        self.cas = remote_execution_pb2_grpc.ContentAddressableStorageStub(channel)
        self.stream = bytestream_pb2_grpc.ByteStreamStub(channel)
        self.held = bytes(range(256)) * 4096
        self.stream.Write(messages.write_requests(self.held, messages.upload_name(self.held)))
        self.large = self.held * 8
        self.stream.Write(messages.write_requests(self.large, messages.upload_name(self.large)))
        self._lingering: deque[Callable[[], None]] = deque()
        self.deep = self._chain(DEEP, 1)
        self.wide = self._chain(WIDE, 2)

    def _chain(self, levels: int, copies: int) -> reapi.Digest:
        """Store directories that each hold the one before, so many times under other names."""
        below = reapi.Directory()
        stored = [below.SerializeToString()]
        for _ in range(levels):
            inside = messages.digest(stored[-1])
            nodes = [reapi.DirectoryNode(name=f"d{number}", digest=inside) for number in range(copies)]
            stored.append(reapi.Directory(directories=nodes).SerializeToString())
        self.cas.BatchUpdateBlobs(messages.update_request(*stored))
        return messages.digest(stored[-1])

    def linger(self, end: Callable[[], None]) -> None:
        """Leave something as it is, and end it later; `end` says whether it went as it should."""
        self._lingering.append(end)
        if len(self._lingering) > LINGERING:
            self._lingering.popleft()()

    def let_go(self) -> None:
        """End all that hangs about."""
        while self._lingering:
            self._lingering.popleft()()

    def read(self, name: str, **fields: int) -> int:
        """Read all that a name gives; return how much."""
        request = bytestream.ReadRequest(resource_name=name, **fields)
        return sum(len(part.data) for part in self.stream.Read(request, timeout=SECONDS))

    def write(self, requests: Iterator[bytestream.WriteRequest]) -> object:
        """Write a stream."""
        return self.stream.Write(requests, timeout=SECONDS)


def answer(attack: Attack, target: Target, chance: Random) -> str:
    """Make the call; return its code's name."""
    try:
        attack(target, chance)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()
        return code.name
    return FINE


def _digest(chance: Random, size: int | None = None) -> reapi.Digest:
    return reapi.Digest(hash=chance.randbytes(32).hex(), size_bytes=chance.randrange(1, 99) if size is None else size)


def _bad_digest(chance: Random) -> reapi.Digest:
    good = _digest(chance)
    return chance.choice(
        (
            reapi.Digest(hash=good.hash.upper() + "A", size_bytes=1),
            reapi.Digest(hash=good.hash[:-1], size_bytes=1),
            reapi.Digest(hash=good.hash[:-1] + "g", size_bytes=1),
            reapi.Digest(hash=good.hash[:-1] + "A", size_bytes=1),
            reapi.Digest(hash=good.hash, size_bytes=-1),
            reapi.Digest(hash=good.hash, size_bytes=0),
            reapi.Digest(hash=messages.EMPTY.hash, size_bytes=5),
            reapi.Digest(hash="../" * 20 + "etcp", size_bytes=1),
            reapi.Digest(hash="\x00" * 64, size_bytes=1),
            reapi.Digest(hash="", size_bytes=1),
            reapi.Digest(hash="f" * 100_000, size_bytes=1),
        )
    )


def _bad_name(chance: Random) -> str:
    good = chance.randbytes(32).hex()
    return chance.choice(
        (
            "",
            "/",
            "blobs",
            f"/blobs/{good}/1",
            f"blobs//{good}/1",
            f"a//blobs/{good}/1",
            f"blobs/{good}",
            f"blobs/{good}/",
            f"blobs/{good}/-1",
            f"blobs/{good}/1e3",
            f"blobs/{good}/{1 << 63}",
            f"blobs/{good}/1/more",
            f"blobs/{good[:-1]}/1",
            f"blobs/{good.upper()}AA/1",
            f"blobs/../../{good}/1",
            f"blobs/nonsense/{good}/1",
            f"compressed-blobs/identity/{good}/1",
            f"compressed-blobs/nonsense/{good}/1",
            f"{chance.choice(RESERVED)}/blobs/{good}/1",
            f"uploads/{uuid.UUID(int=chance.getrandbits(128), version=4)}/blobs/{good}/1",
            "blobs/" + good * 2000 + "/1",
            f"blobs/{good}/1\x00",
            "é" * 3000,
        )
    )


def _read_bad_name(target: Target, chance: Random) -> object:
    return target.read(_bad_name(chance))


def _read_unknown(target: Target, chance: Random) -> object:
    digest = _digest(chance, chance.choice((1, 4096, 1 << 40)))
    return target.read(f"blobs/{digest.hash}/{digest.size_bytes}")


def _read_outside(target: Target, chance: Random) -> object:
    outside = chance.choice((-1, len(target.held) + 1, (1 << 63) - 1, -(1 << 63)))
    return target.read(messages.read_name(target.held), read_offset=outside)


def _read_negative_limit(target: Target, chance: Random) -> object:
    return target.read(messages.read_name(target.held), read_limit=-chance.randrange(1, 1 << 40))


def _read_and_leave(target: Target, chance: Random) -> object:
    """Take a message and go, or do not even take one."""
    call = target.stream.Read(bytestream.ReadRequest(resource_name=messages.read_name(target.held)), timeout=SECONDS)
    if chance.random() < 0.5:
        next(iter(call))
    call.cancel()
    return list(call)


def _write_other_bytes(target: Target, chance: Random) -> object:
    data = chance.randbytes(chance.choice((1, 1000, 100_000)))
    name = messages.upload_name(data)
    other = chance.choice((data[:-1], data + b"x", bytes([data[0] ^ 1]) + data[1:]))
    return target.write(messages.write_requests(other, name))


def _write_bad_name(target: Target, chance: Random) -> object:
    name = _bad_name(chance)
    if name.startswith("uploads/"):
        name = name.replace("blobs", "Blobs")
    return target.write(messages.write_requests(b"x", name))


def _write_at_wrong_offset(target: Target, chance: Random) -> object:
    data = chance.randbytes(50_000)
    first, *rest = messages.write_requests(data, messages.upload_name(data), piece=10_000)
    wrong = chance.choice((-1, 1, 1 << 62))
    if chance.random() < 0.5:
        first.write_offset = wrong
    else:
        rest[0].write_offset += wrong
    return target.write(iter((first, *rest)))


def _write_another_name(target: Target, chance: Random) -> object:
    data = chance.randbytes(30_000)
    first, *rest = messages.write_requests(data, messages.upload_name(data), piece=10_000)
    rest[0].resource_name = messages.upload_name(b"other")
    return target.write(iter((first, *rest)))


def _write_half(target: Target, chance: Random) -> object:
    """An upload that ends, or is cut off, in the middle: nothing is seen of it."""
    data = chance.randbytes(chance.choice((20_000, 300_000)))
    parts = list(messages.write_requests(data, messages.upload_name(data), piece=10_000))[:-1]
    if chance.random() < 0.5:
        target.write(iter(parts))
    else:
        call = target.stream.Write.future(iter(parts[: chance.randrange(1, len(parts) + 1)]), timeout=SECONDS)
        call.cancel()
    missing = target.cas.FindMissingBlobs(messages.missing_request(data), timeout=SECONDS).missing_blob_digests
    assert len(missing) == 1
    return missing


def _write_too_large(target: Target, chance: Random) -> object:
    digest = _digest(chance, chance.choice((1 << 45, (1 << 63) - 1)))
    name = f"uploads/{uuid.UUID(int=chance.getrandbits(128), version=4)}/blobs/{digest.hash}/{digest.size_bytes}"
    return target.write(iter([bytestream.WriteRequest(resource_name=name, data=b"x")]))


def _find_bad_digests(target: Target, chance: Random) -> object:
    digests = [_digest(chance) for _ in range(chance.choice((0, 3, 500)))]
    digests.insert(chance.randrange(len(digests) + 1), _bad_digest(chance))
    return target.cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(blob_digests=digests), timeout=SECONDS)


def _find_in_bad_instance(target: Target, chance: Random) -> object:
    name = chance.choice((*RESERVED, "a//b", "/a", "a/", f"a/{chance.choice(RESERVED)}/b"))
    return target.cas.FindMissingBlobs(reapi.FindMissingBlobsRequest(instance_name=name), timeout=SECONDS)


def _batch_of_lies(target: Target, chance: Random) -> object:
    """Each entry is refused for itself, and nothing of it stored."""
    data = chance.randbytes(64)
    Request = reapi.BatchUpdateBlobsRequest.Request
    lies = [Request(digest=messages.digest(data), data=data + b"x"), Request(digest=_bad_digest(chance), data=data)]
    lies.append(Request(digest=reapi.Digest(hash=messages.digest(data).hash, size_bytes=65), data=data))
    answer = target.cas.BatchUpdateBlobs(reapi.BatchUpdateBlobsRequest(requests=lies), timeout=SECONDS)
    assert {entry.status.code for entry in answer.responses} == {grpc.StatusCode.INVALID_ARGUMENT.value[0]}
    assert target.cas.FindMissingBlobs(messages.missing_request(data)).missing_blob_digests
    return answer


def _batch_too_large(target: Target, chance: Random) -> object:
    if chance.random() < 0.5:
        digests = [_digest(chance, 1 << 30) for _ in range(8)]
        return target.cas.BatchReadBlobs(reapi.BatchReadBlobsRequest(digests=digests), timeout=SECONDS)
    return target.cas.BatchUpdateBlobs(messages.update_request(chance.randbytes(4 << 20)), timeout=SECONDS)


def _tree_of_nonsense(target: Target, chance: Random) -> object:
    root = messages.digest(target.held)
    token = chance.choice(("", "made up", "\x00", "0" * 10_000))
    if token:
        root = target.wide
    return list(target.cas.GetTree(reapi.GetTreeRequest(root_digest=root, page_token=token), timeout=SECONDS))


def _tree_that_grows(target: Target, chance: Random) -> object:
    """A tree of very many paths, or of very many levels, is each of its directories once."""
    root, count = chance.choice(((target.wide, WIDE), (target.deep, DEEP)))
    pages = target.cas.GetTree(
        reapi.GetTreeRequest(root_digest=root, page_size=chance.choice((0, 1, 100))), timeout=SECONDS
    )
    found = sum(len(page.directories) for page in pages)
    assert found == count + 1
    return found


def _result_with_bad_fields(target: Target, chance: Random) -> object:
    held = messages.digest(target.held)
    file = reapi.OutputFile
    result = chance.choice(
        (
            reapi.ActionResult(output_files=[file(path="/etc/passwd", digest=held)]),
            reapi.ActionResult(output_files=[file(path="", digest=held)]),
            reapi.ActionResult(output_files=[file(path="a", digest=_bad_digest(chance))]),
            reapi.ActionResult(output_files=[file(path="a", digest=held)] * 2),
            reapi.ActionResult(output_directories=[reapi.OutputDirectory(path="d")]),
            reapi.ActionResult(output_directories=[reapi.OutputDirectory(path="d", tree_digest=held)]),
            reapi.ActionResult(output_symlinks=[reapi.OutputSymlink(path="l")]),
            reapi.ActionResult(stdout_digest=_bad_digest(chance)),
            reapi.ActionResult(stdout_raw=b"said", stdout_digest=held),
        )
    )
    return target.ac.UpdateActionResult(messages.put_result_request(chance.randbytes(8), result), timeout=SECONDS)


def _result_without_blobs(target: Target, chance: Random) -> object:
    result = messages.result_of({"out": chance.randbytes(8)})
    return target.ac.UpdateActionResult(messages.put_result_request(chance.randbytes(8), result), timeout=SECONDS)


def _result_of_a_huge_tree(target: Target, chance: Random) -> object:
    """A tree whose files are not here, all of which the answer could name."""
    files = [reapi.FileNode(name=f"f{number}", digest=_digest(chance)) for number in range(FILES)]
    tree = reapi.Tree(root=reapi.Directory(files=files)).SerializeToString()
    target.cas.BatchUpdateBlobs(messages.update_request(tree), timeout=SECONDS)
    folder = reapi.OutputDirectory(path="d", tree_digest=messages.digest(tree))
    result = reapi.ActionResult(output_directories=[folder])
    return target.ac.UpdateActionResult(messages.put_result_request(chance.randbytes(8), result), timeout=SECONDS)


def _huge_directory(target: Target, chance: Random) -> object:
    """A directory of very many others, none of which is here."""
    nodes = [reapi.DirectoryNode(name=f"d{number}", digest=_digest(chance)) for number in range(FILES)]
    root = reapi.Directory(directories=nodes).SerializeToString()
    target.cas.BatchUpdateBlobs(messages.update_request(root), timeout=SECONDS)
    request = reapi.GetTreeRequest(root_digest=messages.digest(root))
    (found,) = [one for page in target.cas.GetTree(request, timeout=SECONDS) for one in page.directories]
    assert len(found.directories) == FILES
    return found


def _no_message(target: Target, chance: Random) -> object:
    method = chance.choice(
        (
            "/build.bazel.remote.execution.v2.ActionCache/GetActionResult",
            "/build.bazel.remote.execution.v2.ActionCache/UpdateActionResult",
            "/build.bazel.remote.execution.v2.ContentAddressableStorage/FindMissingBlobs",
            "/build.bazel.remote.execution.v2.ContentAddressableStorage/BatchReadBlobs",
            "/google.bytestream.ByteStream/QueryWriteStatus",
        )
    )
    call: Any = target.channel.unary_unary(method)
    return call(b"\xff\xff" + chance.randbytes(20), timeout=SECONDS)


def _unknown_method(target: Target, chance: Random) -> object:
    call: Any = target.channel.unary_unary("/build.bazel.remote.execution.v2.ActionCache/DropEverything")
    return call(chance.randbytes(20), timeout=SECONDS)


ATTACKS: dict[Attack, frozenset[str]] = {
    _read_bad_name: frozenset({INVALID}),
    _read_unknown: frozenset({MISSING}),
    _read_outside: frozenset({RANGE}),
    _read_negative_limit: frozenset({INVALID, RANGE}),
    _read_and_leave: frozenset({CANCELLED, FINE}),
    _write_other_bytes: frozenset({INVALID}),
    _write_bad_name: frozenset({INVALID}),
    _write_at_wrong_offset: frozenset({INVALID}),
    _write_another_name: frozenset({INVALID}),
    _write_half: frozenset({FINE}),
    _write_too_large: frozenset({"RESOURCE_EXHAUSTED", INVALID}),
    _find_bad_digests: frozenset({INVALID}),
    _find_in_bad_instance: frozenset({INVALID}),
    _batch_of_lies: frozenset({FINE}),
    _batch_too_large: frozenset({INVALID}),
    _tree_of_nonsense: frozenset({INVALID}),
    _tree_that_grows: frozenset({FINE}),
    _result_with_bad_fields: frozenset({INVALID}),
    _result_without_blobs: frozenset({PRECONDITION}),
    _result_of_a_huge_tree: frozenset({PRECONDITION}),
    _huge_directory: frozenset({FINE}),
    _no_message: frozenset({INVALID}),
    _unknown_method: frozenset({"UNIMPLEMENTED"}),
}

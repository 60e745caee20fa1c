# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.7: GetTree."""

from __future__ import annotations

import pytest

from pytrace_cas.digest import SHA256, Digest
from pytrace_cas.services import Services
from pytrace_cas.services.errors import InvalidRequest
from pytrace_cas.services.limits import LARGEST_DIRECTORY
from pytrace_cas.store import BlobNotFound
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages


def put(services: Services, directory: reapi.Directory) -> reapi.Digest:
    data = directory.SerializeToString()
    services.store.put(SHA256, data)
    return messages.digest(data)


def folder(**children: reapi.Digest) -> reapi.Directory:
    nodes = [reapi.DirectoryNode(name=name, digest=child) for name, child in sorted(children.items())]
    return reapi.Directory(directories=nodes)


def leaf(name: str) -> reapi.Directory:
    return reapi.Directory(files=[reapi.FileNode(name=name, digest=messages.digest(name.encode()))])


def pages(services: Services, root: reapi.Digest, size: int = 0, token: str = "") -> list[reapi.GetTreeResponse]:
    request = reapi.GetTreeRequest(root_digest=root, page_size=size, page_token=token)
    return list(services.content_addressable_storage.get_tree(request))


def listed(found: list[reapi.GetTreeResponse]) -> list[reapi.Directory]:
    return [directory for page in found for directory in page.directories]


def test_rule_47_a_root_that_is_missing_or_no_directory(services: Services) -> None:
    with pytest.raises(BlobNotFound):
        pages(services, messages.digest(leaf("gone").SerializeToString()))
    services.store.put(SHA256, b"\xff\xff no message")
    with pytest.raises(InvalidRequest):
        pages(services, messages.digest(b"\xff\xff no message"))


def test_a_blob_that_is_too_large_for_a_directory_is_not_read(services: Services) -> None:
    """It would be in memory as a whole."""
    digest = services.store.put(SHA256, bytes(LARGEST_DIRECTORY + 1))
    inner = folder(large=reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes))
    for root in (reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes), put(services, inner)):
        with pytest.raises(InvalidRequest):
            pages(services, root)


def test_rule_47_inner_directories_that_are_missing_are_left_out(services: Services) -> None:
    here = put(services, leaf("here"))
    root = folder(here=here, gone=messages.digest(leaf("gone").SerializeToString()))
    assert listed(pages(services, put(services, root))) == [root, leaf("here")]


def test_rule_47_the_empty_directory(services: Services) -> None:
    assert listed(pages(services, messages.digest(b""))) == [reapi.Directory()]


@pytest.mark.parametrize("size", [0, 1, 3, 7, 1000])
def test_rule_48_pages_and_tokens(services: Services, size: int) -> None:
    leaves = {f"d{number:02}": put(services, leaf(str(number))) for number in range(20)}
    root = put(services, folder(**leaves))
    whole = pages(services, root, size)
    assert [bool(page.next_page_token) for page in whole] == [True] * (len(whole) - 1) + [False]
    if size:
        assert max(len(page.directories) for page in whole) <= size
    assert len(listed(whole)) == 21
    for index, page in enumerate(whole[:-1]):
        rest = pages(services, root, size, page.next_page_token)
        assert listed(rest) == listed(whole[index + 1 :])


@pytest.mark.parametrize("token", ["x", "1", "1-0000000000000000", "-1", "1" * 5000, "é"])
def test_rule_48_made_up_tokens_are_refused(services: Services, token: str) -> None:
    root = put(services, leaf("a"))
    with pytest.raises(InvalidRequest):
        pages(services, root, 1, token)


def test_rule_48_a_token_belongs_to_its_tree(services: Services) -> None:
    one = put(services, folder(a=put(services, leaf("a"))))
    two = put(services, folder(b=put(services, leaf("b"))))
    token = pages(services, one, 1)[0].next_page_token
    with pytest.raises(InvalidRequest):
        pages(services, two, 1, token)
    with pytest.raises(InvalidRequest):
        pages(services, one, -1)


def test_rule_49_shared_subtrees_come_once(services: Services) -> None:
    digest = put(services, leaf("bottom"))
    for _ in range(100):
        # 2^100 paths lead to the bottom.
        digest = put(services, folder(left=digest, right=digest))
    assert len(listed(pages(services, digest))) == 101


def test_rule_49_depth_costs_no_stack(services: Services) -> None:
    data, items = leaf("bottom").SerializeToString(), []
    for _ in range(10_000):
        items.append((SHA256.of(data), data))
        data = folder(down=messages.digest(data)).SerializeToString()
    items.append((SHA256.of(data), data))
    services.store.put_many(SHA256, items)
    top: Digest = items[-1][0]
    found = pages(services, reapi.Digest(hash=top.hash, size_bytes=top.size_bytes))
    assert len(listed(found)) == 10_001


def test_rule_49_messages_stay_small(services: Services) -> None:
    names = {
        f"d{number}": put(services, reapi.Directory(files=[reapi.FileNode(name=f"{number}" * 400_000)]))
        for number in range(10)
    }
    found = pages(services, put(services, folder(**names)))
    assert len(listed(found)) == 11
    assert max(page.ByteSize() for page in found) < 4 << 20

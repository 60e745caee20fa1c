# SPDX-License-Identifier: Apache-2.0
"""WIRE 3.8: the action cache and its messages."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from pytrace_cas.digest import BLAKE3, SHA256
from pytrace_cas.services import Services, result_needs
from pytrace_cas.services.errors import InvalidRequest, ResultNotFound
from pytrace_cas.services.limits import LARGEST_TREE
from pytrace_cas.store import MissingBlobs, ReadOnlyStore, StoreBusy
from pytrace_proto import remote_execution_pb2 as reapi
from tests.support import messages

if TYPE_CHECKING:
    from pytrace_cas.store import Store

ACTION = b"an action"
OUT, ERR, FILE = b"stdout bytes", b"stderr bytes", b"file bytes"


def put(services: Services, result: reapi.ActionResult, action: bytes = ACTION) -> reapi.ActionResult:
    return services.action_cache.update(messages.put_result_request(action, result))


def get(services: Services, action: bytes = ACTION) -> reapi.ActionResult:
    return services.action_cache.get(messages.get_result_request(action))


def with_streams() -> reapi.ActionResult:
    return messages.result_of({"file": FILE}, stdout_digest=messages.digest(OUT), stderr_digest=messages.digest(ERR))


def store_blobs(services: Services, *blobs: bytes) -> None:
    services.store.put_many(SHA256, [(SHA256.of(blob), blob) for blob in blobs])


def tree_result(tree: bytes, root: bytes | None = None) -> reapi.ActionResult:
    directory = reapi.OutputDirectory(path="dir", tree_digest=messages.digest(tree))
    if root is not None:
        directory.root_directory_digest.CopyFrom(messages.digest(root))
    return reapi.ActionResult(output_directories=[directory])


def test_rule_55_unknown_actions_are_not_found(services: Services) -> None:
    with pytest.raises(ResultNotFound):
        get(services)


@pytest.mark.parametrize("lost", [OUT, ERR, FILE])
def test_rule_55_a_result_is_answered_while_all_it_names_is_here(services: Services, lost: bytes) -> None:
    store_blobs(services, *({OUT, ERR, FILE} - {lost}))
    with pytest.raises(MissingBlobs) as raised:
        put(services, with_streams())
    assert raised.value.missing == [SHA256.of(lost)]
    store_blobs(services, lost)
    put(services, with_streams())
    assert get(services) == with_streams()
    services.store.evict(down_to=0)
    with pytest.raises(ResultNotFound):
        get(services)


def test_rule_55_the_files_of_a_tree_are_needed(services: Services) -> None:
    child = reapi.Directory(files=[reapi.FileNode(name="b", digest=messages.digest(b"deep"))])
    root = reapi.Directory(
        files=[reapi.FileNode(name="a", digest=messages.digest(FILE))],
        directories=[
            reapi.DirectoryNode(name="c", digest=messages.digest(child.SerializeToString(deterministic=True)))
        ],
    )
    tree = reapi.Tree(root=root, children=[child]).SerializeToString()
    result = tree_result(tree)
    for blob in (tree, FILE, b"deep"):
        with pytest.raises(MissingBlobs) as raised:
            put(services, result)
        assert SHA256.of(blob) in raised.value.missing
        store_blobs(services, blob)
    put(services, result)
    assert get(services) == result


def test_rule_55_root_directory_and_all_below_it_are_needed(services: Services) -> None:
    child = reapi.Directory(files=[reapi.FileNode(name="b", digest=messages.digest(b"deep"))])
    below = child.SerializeToString()
    root = reapi.Directory(
        directories=[reapi.DirectoryNode(name="c", digest=messages.digest(below))]
    ).SerializeToString()
    directory = reapi.OutputDirectory(path="dir", root_directory_digest=messages.digest(root))
    result = reapi.ActionResult(output_directories=[directory])
    for blob in (root, below, b"deep"):
        with pytest.raises(MissingBlobs) as raised:
            put(services, result)
        assert raised.value.missing == [SHA256.of(blob)]
        store_blobs(services, blob)
    put(services, result)
    assert get(services) == result


def test_rule_55_a_tree_that_is_none_is_refused(services: Services) -> None:
    store_blobs(services, b"\xff no tree")
    with pytest.raises(InvalidRequest):
        put(services, tree_result(b"\xff no tree"))


def test_rule_56_nothing_is_inlined_unless_asked(services: Services) -> None:
    store_blobs(services, OUT, ERR, FILE)
    put(services, with_streams())
    assert get(services) == with_streams()
    request = messages.get_result_request(ACTION)
    request.inline_stdout = request.inline_stderr = True
    request.inline_output_files.extend(["file", "unknown"])
    found = services.action_cache.get(request)
    assert (found.stdout_raw, found.stderr_raw, found.output_files[0].contents) == (OUT, ERR, FILE)
    assert found.output_files[0].digest == messages.digest(FILE)


def test_rule_56_what_would_make_the_message_too_large_is_left_out(services: Services) -> None:
    large = b"x" * (3 << 20)
    other = b"y" * (3 << 20)
    store_blobs(services, large, other)
    put(services, messages.result_of({"one": large, "two": other}))
    request = messages.get_result_request(ACTION)
    request.inline_output_files.extend(["one", "two"])
    found = services.action_cache.get(request)
    assert [len(file.contents) for file in found.output_files] == [3 << 20, 0]
    assert found.ByteSize() < 4 << 20


def test_rule_57_the_answer_to_an_update_is_the_result(services: Services) -> None:
    store_blobs(services, OUT, ERR, FILE)
    assert put(services, with_streams()) == with_streams()
    with pytest.raises(InvalidRequest):
        services.action_cache.update(reapi.UpdateActionResultRequest(action_digest=messages.digest(ACTION)))


def test_rule_57_an_action_need_be_no_action(services: Services) -> None:
    action = b'{"moon": "writes JSON"}'
    store_blobs(services, action)
    put(services, reapi.ActionResult(), action)
    assert get(services, action) == reapi.ActionResult()


FILE_DIGEST = messages.digest(FILE)
BAD_RESULTS = {
    "file without path": reapi.ActionResult(output_files=[reapi.OutputFile(digest=FILE_DIGEST)]),
    "absolute file": reapi.ActionResult(output_files=[reapi.OutputFile(path="/a", digest=FILE_DIGEST)]),
    "file without digest": reapi.ActionResult(output_files=[reapi.OutputFile(path="a")]),
    "file twice": reapi.ActionResult(output_files=[reapi.OutputFile(path="a", digest=FILE_DIGEST)] * 2),
    "negative size": reapi.ActionResult(
        output_files=[reapi.OutputFile(path="a", digest=reapi.Digest(hash=FILE_DIGEST.hash, size_bytes=-1))]
    ),
    "link without path": reapi.ActionResult(output_symlinks=[reapi.OutputSymlink(target="t")]),
    "link without target": reapi.ActionResult(output_symlinks=[reapi.OutputSymlink(path="l")]),
    "old link without target": reapi.ActionResult(output_file_symlinks=[reapi.OutputSymlink(path="l")]),
    "directory without digest": reapi.ActionResult(output_directories=[reapi.OutputDirectory(path="d")]),
    "absolute directory": reapi.ActionResult(
        output_directories=[reapi.OutputDirectory(path="/d", tree_digest=FILE_DIGEST)]
    ),
    "stdout of nonsense": reapi.ActionResult(stdout_digest=reapi.Digest(hash="x", size_bytes=1)),
    "stderr of another function": reapi.ActionResult(stderr_digest=reapi.Digest(hash="a9" * 20, size_bytes=1)),
}


@pytest.mark.parametrize("result", BAD_RESULTS.values(), ids=BAD_RESULTS.keys())
def test_rule_58_bad_fields_are_refused(services: Services, result: reapi.ActionResult) -> None:
    store_blobs(services, FILE)
    with pytest.raises(InvalidRequest):
        put(services, result)


def test_rule_58_a_directory_may_be_the_working_directory(services: Services) -> None:
    tree = reapi.Tree(root=reapi.Directory()).SerializeToString()
    store_blobs(services, tree)
    result = tree_result(tree)
    result.output_directories[0].path = ""
    assert put(services, result) == get(services) == result


def test_rule_59_inlined_bytes_become_blobs(services: Services) -> None:
    result = reapi.ActionResult(
        output_files=[reapi.OutputFile(path="f", digest=FILE_DIGEST, contents=FILE)],
        stdout_raw=OUT,
        stderr_raw=ERR,
        stderr_digest=messages.digest(ERR),
    )
    assert put(services, result) == result
    expected = messages.result_of({"f": FILE}, stdout_digest=messages.digest(OUT), stderr_digest=messages.digest(ERR))
    assert get(services) == expected
    assert services.store.get(SHA256, SHA256.of(OUT)) == OUT


def test_rule_59_inlined_bytes_agree_with_their_digests(services: Services) -> None:
    with pytest.raises(InvalidRequest):
        put(services, reapi.ActionResult(stdout_raw=OUT, stdout_digest=messages.digest(ERR)))
    with pytest.raises(InvalidRequest):
        put(
            services,
            reapi.ActionResult(output_files=[reapi.OutputFile(path="f", digest=FILE_DIGEST, contents=b"no")]),
        )


def test_rule_60_the_last_write_wins_and_failures_are_kept(services: Services) -> None:
    put(services, reapi.ActionResult(exit_code=0))
    put(services, reapi.ActionResult(exit_code=7))
    assert get(services).exit_code == 7


def test_rule_60_actions_that_say_so_are_not_cached(services: Services) -> None:
    action = reapi.Action(do_not_cache=True, command_digest=messages.digest(b"c")).SerializeToString()
    store_blobs(services, action)
    with pytest.raises(InvalidRequest):
        put(services, reapi.ActionResult(), action)


def test_rule_61_function_and_size_belong_to_the_key(services: Services) -> None:
    put(services, reapi.ActionResult(exit_code=1))
    request = messages.get_result_request(ACTION)
    request.action_digest.size_bytes += 1
    with pytest.raises(ResultNotFound):
        services.action_cache.get(request)
    request.action_digest.size_bytes -= 1
    request.digest_function = reapi.DigestFunction.BLAKE3
    with pytest.raises(ResultNotFound):
        services.action_cache.get(request)
    blake3 = reapi.UpdateActionResultRequest(
        action_digest=messages.digest(ACTION, BLAKE3),
        action_result=reapi.ActionResult(exit_code=3),
        digest_function=reapi.DigestFunction.BLAKE3,
    )
    services.action_cache.update(blake3)
    assert get(services).exit_code == 1


def test_rule_61_the_empty_blob_is_a_key_like_any_other(services: Services) -> None:
    with pytest.raises(ResultNotFound):
        get(services, b"")
    put(services, reapi.ActionResult(exit_code=5), b"")
    assert get(services, b"").exit_code == 5


def test_rule_62_unknown_and_deprecated_fields_survive(services: Services) -> None:
    link = reapi.OutputSymlink(path="l", target="t")
    known = reapi.ActionResult(output_symlinks=[link], output_file_symlinks=[link], output_directory_symlinks=[link])
    # Field 999, a string: nobody knows it.
    sent = reapi.ActionResult.FromString(known.SerializeToString() + b"\xba\x3e\x03new")
    put(services, sent)
    found = get(services)
    assert found == sent
    assert found.SerializeToString().endswith(b"\xba\x3e\x03new")
    assert (list(found.output_file_symlinks), list(found.output_directory_symlinks)) == ([link], [link])


def test_a_blob_that_is_too_large_for_a_tree_is_not_read(services: Services) -> None:
    """It would be in memory as a whole."""
    large = reapi.Digest(hash=messages.digest(b"large").hash, size_bytes=LARGEST_TREE + 1)
    folder = reapi.OutputDirectory(path="d", tree_digest=large)
    request = messages.put_result_request(b"action", reapi.ActionResult(output_directories=[folder]))
    with pytest.raises(InvalidRequest):
        services.action_cache.update(request)


def test_trees_that_are_too_large_together_are_not_read(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """One tree, however often, or one for each of many directories; of either kind."""
    nodes = [reapi.FileNode(name=name, digest=FILE_DIGEST) for name in "abcd"]
    roots = [reapi.Directory(files=[node]) for node in nodes]
    trees = [reapi.Tree(root=root).SerializeToString() for root in roots]
    plain = [root.SerializeToString() for root in roots]
    store_blobs(services, FILE, *trees, *plain)
    monkeypatch.setattr(result_needs, "LARGEST_TREE", 3 * len(trees[0]))
    for blobs, field in ((trees, "tree_digest"), (plain, "root_directory_digest")):
        digests = [messages.digest(blob) for blob in blobs]
        folders = [reapi.OutputDirectory(path=f"{n}", **{field: digests[n % 2]}) for n in range(9)]  # type: ignore[arg-type]
        put(services, reapi.ActionResult(output_directories=folders))
        folders = [reapi.OutputDirectory(path=f"{n}", **{field: digests[n]}) for n in range(4)]  # type: ignore[arg-type]
        with pytest.raises(InvalidRequest):
            put(services, reapi.ActionResult(output_directories=folders))


def test_large_trees_are_read_one_result_at_a_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    tree = (
        reapi.Tree(root=reapi.Directory()).SerializeToString()
        + reapi.Tree(children=[reapi.Directory()]).SerializeToString()
    )
    under_way, most = 0, 0

    def put_slowly(*arguments: object) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        time.sleep(0.02)
        under_way -= 1

    monkeypatch.setattr(result_needs, "LARGE_TREES", 1)
    monkeypatch.setattr(store, "put_action_result", put_slowly)
    with Services(store) as services, ThreadPoolExecutor(4) as pool:
        store_blobs(services, tree)
        results = [(services, tree_result(tree), str(number).encode()) for number in range(8)]
        list(pool.map(lambda one: put(*one), results))
        assert most == 1
        list(pool.map(lambda one: put(services, reapi.ActionResult(), one[2]), results))
        assert most > 1


def test_who_waits_too_long_for_large_trees_is_told_to_try_again(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    tree = (
        reapi.Tree(root=reapi.Directory()).SerializeToString()
        + reapi.Tree(children=[reapi.Directory()]).SerializeToString()
    )
    store_blobs(services, tree)
    monkeypatch.setattr(result_needs, "LARGE_TREES", 1)
    monkeypatch.setattr(result_needs, "TURN_SECONDS", 0.05)
    with result_needs.needs_of(services.store, tree_result(tree), SHA256), pytest.raises(StoreBusy):
        put(services, tree_result(tree))
    assert put(services, tree_result(tree)) == tree_result(tree)


def test_rule_63_tree_and_root_must_agree(services: Services) -> None:
    root = reapi.Directory(files=[reapi.FileNode(name="a", digest=FILE_DIGEST)])
    tree = reapi.Tree(root=root).SerializeToString()
    data, other = root.SerializeToString(), reapi.Directory().SerializeToString()
    store_blobs(services, tree, data, FILE)
    result = tree_result(tree, data)
    result.output_directories[0].is_topologically_sorted = True
    assert put(services, result) == get(services) == result
    with pytest.raises(InvalidRequest):
        put(services, tree_result(tree, other))


def test_rule_65_node_properties_are_kept(services: Services) -> None:
    store_blobs(services, FILE)
    result = messages.result_of({"f": FILE})
    properties = result.output_files[0].node_properties
    properties.mtime.FromJsonString("2026-01-02T03:04:05.678Z")
    properties.unix_mode.value = 0o640
    properties.properties.add(name="n", value="v")
    put(services, result)
    assert get(services) == result


def test_rule_41_who_may_only_read_is_told_so(services: Services, reading: Services) -> None:
    put(services, reapi.ActionResult(exit_code=4))
    assert get(reading).exit_code == 4
    with pytest.raises(ReadOnlyStore):
        put(reading, reapi.ActionResult())

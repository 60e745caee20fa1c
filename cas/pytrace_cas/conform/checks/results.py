# SPDX-License-Identifier: Apache-2.0
"""Results: what they need, what may be inlined, which are taken, how they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.conform.cache import DENIED, Blob
from pytrace_cas.conform.checks.digests import INVALID
from pytrace_cas.conform.registry import Broken, expect, rule
from pytrace_cas.conform.wire import CallFailed, Code
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from pytrace_cas.conform.cache import Cache

Result = reapi.ActionResult
REFUSED = (Code.FAILED_PRECONDITION, Code.INVALID_ARGUMENT, Code.NOT_FOUND)


def _file(blob: Blob, path: str = "out/file") -> reapi.OutputFile:
    return reapi.OutputFile(path=path, digest=blob.digest)


def _tree(cache: Cache, file: Blob) -> tuple[Blob, Blob]:
    """A `Tree` with one file, and its root as a blob."""
    root = reapi.Directory(files=[reapi.FileNode(name="file", digest=file.digest)])
    return cache.blob(reapi.Tree(root=root)), cache.blob(root)


def lacking(cache: Cache) -> dict[str, Result]:
    """Results that lack one blob each, by what it is to them."""
    gone = cache.fresh()
    gone_file, _ = _tree(cache, cache.fresh())
    cache.put(gone_file)
    gone_tree, gone_root = _tree(cache, cache.fresh())
    return {
        "an output file": Result(output_files=[_file(gone)]),
        "stdout": Result(stdout_digest=gone.digest),
        "stderr": Result(stderr_digest=gone.digest),
        "a tree": Result(output_directories=[reapi.OutputDirectory(path="d", tree_digest=gone_tree.digest)]),
        "a file of a tree": Result(output_directories=[reapi.OutputDirectory(path="d", tree_digest=gone_file.digest)]),
        "a root directory": Result(
            output_directories=[reapi.OutputDirectory(path="d", root_directory_digest=gone_root.digest)]
        ),
    }


@rule("55")
def completeness(cache: Cache) -> str:
    """Ask for results that nobody stored, that are complete, and that lack something."""
    unknown = reapi.GetActionResultRequest(**cache.about(), action_digest=cache.fresh().digest)
    cache.refused((Code.NOT_FOUND,), "an unknown action", "GetActionResult", unknown)
    whole, action = cache.stored(), cache.action()
    cache.update(action, Result(output_files=[_file(whole)], stdout_digest=Blob.of(b"", cache.function).digest))
    cache.result(action)
    seen = {}
    for what, result in lacking(cache).items():
        action = cache.action()
        try:
            cache.update(action, result)
        except CallFailed as error:
            expect(error.code in REFUSED, f"an update that lacks {what}: {error}", "refused, or NOT_FOUND later")
            seen[what] = error.code.name
            continue
        request = reapi.GetActionResultRequest(**cache.about(), action_digest=action.digest)
        cache.refused((Code.NOT_FOUND,), f"a result that lacks {what}", "GetActionResult", request)
        seen[what] = "taken, never answered"
    ways = " or ".join(sorted(set(seen.values())))
    return f"complete ones are answered; what lacks {', '.join(seen)}: {ways}"


@rule("56")
def inlining(cache: Cache) -> str:
    """Ask for inlined bytes, for none, and for more than a message holds."""
    out, err, file, action = cache.stored(), cache.stored(), cache.stored(), cache.action()
    cache.update(
        action, Result(stdout_digest=out.digest, stderr_digest=err.digest, output_files=[_file(file, "a/file")])
    )
    bare = cache.result(action)
    unasked = bare.stdout_raw or bare.stderr_raw or bare.output_files[0].contents
    expect(not unasked, "bytes inlined that nobody asked for", "none")
    full = cache.result(action, inline_stdout=True, inline_stderr=True, inline_output_files=["a/file", "no/such"])
    inlined = {
        "stdout": (full.stdout_raw, out),
        "stderr": (full.stderr_raw, err),
        "a file": (full.output_files[0].contents, file),
    }
    for what, (data, blob) in inlined.items():
        expect(data in (b"", blob.data), f"{what}: other bytes are inlined", "its own, or none")
    action = cache.action()
    cache.update(action, Result(stdout_digest=cache.large.digest))
    try:
        large = cache.result(action, inline_stdout=True)
    except CallFailed as error:
        raise Broken(f"5 MiB of stdout asked for: {error}", "the result without them") from None
    expect(large.ByteSize() < 4 << 20, f"an answer of {large.ByteSize()} bytes", "less than 4 MiB")
    names = [what for what, (data, _) in inlined.items() if data]
    return f"unasked: nothing; asked: {', '.join(names) or 'nothing'}; more than a message holds: left out"


@rule("57")
def updates(cache: Cache) -> str:
    """Store a result, one under no digest, and one whose action is not there."""
    file, action = cache.stored(), cache.action()
    result = Result(output_files=[_file(file)], exit_code=0)
    answer = cache.update(action, result)
    expect(
        [(one.path, one.digest.hash) for one in answer.output_files] == [("out/file", file.digest.hash)],
        "other files are returned",
        "what was stored",
    )
    unset = reapi.UpdateActionResultRequest(**cache.about(), action_result=result)
    cache.refused(INVALID, "no action_digest", "UpdateActionResult", unset)
    foreign = cache.put(cache.blob(b'{"no": "Action"}' + cache.fresh().data))
    told = []
    for what, blob in (("an action that is not there", cache.fresh()), ("one that is JSON", foreign)):
        try:
            cache.update(blob, result)
            told.append(f"{what} is taken")
        except CallFailed as error:
            expect(error.code is Code.FAILED_PRECONDITION, f"{what}: {error}", "OK or FAILED_PRECONDITION")
            told.append(f"{what}: {error.code.name}")
    return f"returned as it was stored; {'; '.join(told)}"


@rule("58")
def fields(cache: Cache) -> str:
    """Store results with fields that no result has."""
    file = cache.stored()
    negative = reapi.Digest(hash=file.digest.hash, size_bytes=-1)
    link = reapi.OutputSymlink
    wrong = {
        "an empty path": Result(output_files=[_file(file, "")]),
        "an absolute path": Result(output_files=[_file(file, "/abs")]),
        "an absolute directory": Result(
            output_directories=[reapi.OutputDirectory(path="/abs", tree_digest=file.digest)]
        ),
        "a file without a digest": Result(output_files=[reapi.OutputFile(path="x")]),
        "a negative size": Result(output_files=[reapi.OutputFile(path="x", digest=negative)]),
        "a link without a path": Result(output_symlinks=[link(target="t")]),
        "a link without a target": Result(output_symlinks=[link(path="p")]),
    }
    for what, result in wrong.items():
        request = cache.update_request(cache.action(), result)
        cache.refused(INVALID, what, "UpdateActionResult", request)
    tree, _ = _tree(cache, file)
    cache.put(tree)
    here = Result(output_directories=[reapi.OutputDirectory(path="", tree_digest=tree.digest)])
    cache.update(cache.action(), here)
    twice = Result(output_files=[_file(file), _file(file)])
    try:
        cache.update(cache.action(), twice)
        duplicated = "taken"
    except CallFailed as error:
        expect(error.code is Code.INVALID_ARGUMENT, f"one path twice: {error}", "OK or INVALID_ARGUMENT")
        duplicated = error.code.name
    return f"INVALID_ARGUMENT for {', '.join(wrong)}; one path twice: {duplicated}"


@rule("59")
def inlined_updates(cache: Cache) -> str:
    """Store bytes inline: alone, and beside a digest that is not theirs."""
    raw, other, action = cache.fresh(), cache.stored(), cache.action()
    lying = cache.update_request(action, Result(stdout_raw=raw.data, stdout_digest=other.digest))
    code = cache.refused(
        (*INVALID, Code.FAILED_PRECONDITION), "bytes that are not the digest's", "UpdateActionResult", lying
    )
    try:
        cache.update(action, Result(stdout_raw=raw.data))
    except CallFailed as error:
        expect(error.code is Code.INVALID_ARGUMENT, str(error), "OK, or INVALID_ARGUMENT")
        return f"inlined bytes are refused ({error.code.name})"
    answer = cache.result(action, inline_stdout=True)
    kept = answer.stdout_raw == raw.data
    moved = answer.stdout_digest == raw.digest and cache.has(raw)
    expect(kept or moved, "the inlined stdout is lost", "kept inline, or as a blob")
    return f"beside another digest {code}; alone {'moved into the CAS' if moved else 'kept inline'}"


@rule("60")
def last_write(cache: Cache) -> str:
    """Store two results under one key; a failed one; one of an action that is not to be cached."""
    action = cache.action()
    for code in (0, 7):
        cache.update(action, Result(exit_code=code, stdout_digest=Blob.of(b"", cache.function).digest))
    try:
        seen = cache.result(action).exit_code
        expect(seen == 7, f"exit code {seen} after 7 was stored last", "7")
        failed = "failed results are kept"
    except CallFailed as error:
        expect(error.code is Code.NOT_FOUND, str(error), "the failed result, or NOT_FOUND")
        failed = "failed results are not kept"
        action = cache.action()
        first, second = cache.stored(), cache.stored()
        for blob in (first, second):
            cache.update(action, Result(stdout_digest=blob.digest))
        digest = cache.result(action).stdout_digest
        expect(digest == second.digest, "the first of two results", "the second")
    return f"the last one is answered; {failed}; do_not_cache: {_uncacheable(cache)}"


def _uncacheable(cache: Cache) -> str:
    message = reapi.Action.FromString(cache.action().data)
    message.do_not_cache = True
    action = cache.put(cache.blob(message))
    try:
        cache.update(action, Result(exit_code=0, stdout_digest=Blob.of(b"", cache.function).digest))
        cache.result(action)
    except CallFailed as error:
        allowed = (*REFUSED, *DENIED)
        expect(error.code in allowed, f"do_not_cache: {error}", "not cached, or cached all the same")
        return "not cached"
    return "cached all the same (SHOULD NOT)"


@rule("61")
def action_sizes(cache: Cache) -> str:
    """Ask for a result under its action's hash and another size."""
    action = cache.action()
    cache.update(action, Result(stdout_digest=Blob.of(b"", cache.function).digest))
    other = reapi.Digest(hash=action.digest.hash, size_bytes=action.digest.size_bytes + 1)
    request = reapi.GetActionResultRequest(**cache.about(), action_digest=other)
    cache.refused((Code.NOT_FOUND,), "the same hash with another size", "GetActionResult", request)
    return "the same hash with another size is NOT_FOUND"


@rule("62")
def survival(cache: Cache) -> str:
    """Store a result with a field that no version has, and with those of old ones."""
    action = cache.action()
    unknown = bytes([0xC2, 0x3E, 5]) + b"later"  # field 1000, five bytes
    result = Result(
        output_symlinks=[reapi.OutputSymlink(path="a", target="t")],
        output_file_symlinks=[reapi.OutputSymlink(path="a", target="t")],
        output_directory_symlinks=[reapi.OutputSymlink(path="b", target="t")],
    )
    result.MergeFromString(unknown)
    cache.update(action, result)
    answer = cache.result(action)
    old = [link.path for link in (*answer.output_file_symlinks, *answer.output_directory_symlinks)]
    expect(old == ["a", "b"] and len(answer.output_symlinks) == 1, f"links {old}", "fields 10, 11 and 12 as stored")
    expect(unknown in answer.SerializeToString(), "the unknown field is lost", "kept")
    return "fields 10, 11 and 12 and an unknown one come back"


@rule("63")
def trees(cache: Cache) -> str:
    """Store results with a tree and a root: one that is the tree's, one that is not."""
    file = cache.stored()
    tree, root = _tree(cache, file)
    _, other = _tree(cache, cache.stored())
    cache.put_all([tree, root, other])
    directory = reapi.OutputDirectory(
        path="d", tree_digest=tree.digest, root_directory_digest=root.digest, is_topologically_sorted=True
    )
    action = cache.action()
    cache.update(action, Result(output_directories=[directory]))
    [answer] = cache.result(action).output_directories
    expect(answer == directory, "another directory than was stored", "both digests and is_topologically_sorted")
    directory.root_directory_digest.CopyFrom(other.digest)
    request = cache.update_request(cache.action(), Result(output_directories=[directory]))
    codes = (*INVALID, Code.FAILED_PRECONDITION)
    code = cache.refused(codes, "a root that is not the tree's", "UpdateActionResult", request)
    return f"both digests are kept; a root that is not the tree's: {code}"


@rule("65")
def node_properties(cache: Cache) -> str:
    """Store a result whose nodes have properties."""
    file, action = cache.stored(), cache.action()
    output = _file(file)
    output.node_properties.properties.add(name="kind", value="x")
    output.node_properties.unix_mode.value = 0o640
    output.node_properties.mtime.seconds = 1234
    cache.update(action, Result(output_files=[output]))
    [answer] = cache.result(action).output_files
    expect(answer.node_properties == output.node_properties, "other properties", "those that were stored")
    return "mtime, unix_mode and properties come back"

# SPDX-License-Identifier: Apache-2.0
"""Our protos against those that BuildGrid carries: what both have is the same, and only newer parts are ours alone."""

from __future__ import annotations

import ast
import zipfile
from typing import TYPE_CHECKING

import pytest
from google.protobuf import descriptor_pb2

from pytrace_proto import bytestream_pb2, remote_asset_pb2, remote_execution_pb2, semver_pb2
from tests.support.fetching import download

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    Facts = dict[str, tuple[object, ...]]

FILES = {
    "build/bazel/remote/execution/v2/remote_execution_pb2.py": remote_execution_pb2,
    "build/bazel/remote/asset/v1/remote_asset_pb2.py": remote_asset_pb2,
    "build/bazel/semver/semver_pb2.py": semver_pb2,
    "google/bytestream/bytestream_pb2.py": bytestream_pb2,
}
# What came after the definitions that BuildGrid 0.4.4 has.
NEWER = {
    *(f"CacheCapabilities.{name}" for name in ("fast_cdc_2020_params", "rep_max_cdc_params")),
    *(f"CacheCapabilities.{name}" for name in ("max_cas_blob_size_bytes", "split_blob_support", "splice_blob_support")),
    *(f"ChunkingFunction.Value.{name}" for name in ("UNKNOWN", "FAST_CDC_2020", "REP_MAX_CDC")),
    *("ContentAddressableStorage.SplitBlob()", "ContentAddressableStorage.SpliceBlob()"),
    *("DigestFunction.Value.GITSHA1", "ExecuteOperationMetadata.digest_function"),
    *(f"ExecuteRequest.inline_{name}" for name in ("output_files", "stderr", "stdout")),
    *(f"FastCdc2020Params.{name}" for name in ("avg_chunk_size_bytes", "seed")),
    *(f"RepMaxCdcParams.{name}" for name in ("horizon_size_bytes", "min_chunk_size_bytes")),
    *(f"SpliceBlobRequest.{name}" for name in ("blob_digest", "chunk_digests", "chunking_function")),
    *(f"SpliceBlobRequest.{name}" for name in ("digest_function", "instance_name")),
    *(f"SplitBlobRequest.{name}" for name in ("blob_digest", "chunking_function", "digest_function", "instance_name")),
    *("SpliceBlobResponse.blob_digest", "SplitBlobResponse.chunk_digests", "SplitBlobResponse.chunking_function"),
    *(f"Fetch{kind}{way}.digest_function" for kind in ("Blob", "Directory") for way in ("Request", "Response")),
    *("PushBlobRequest.digest_function", "PushDirectoryRequest.digest_function"),
}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    """BuildGrid's package, read and not installed: its messages have the names of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    download("buildgrid==0.4.4", folder)
    [path] = folder.iterdir()
    with zipfile.ZipFile(path) as wheel:
        yield wheel


def _theirs(source: bytes) -> Facts:
    """Read the descriptor that a generated module holds, without running the module."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "AddSerializedFile":
            return _facts(descriptor_pb2.FileDescriptorProto.FromString(ast.literal_eval(node.args[0])))
    raise AssertionError("no descriptor in the module")


def _ours(module: ModuleType) -> Facts:
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    return _facts(file)


def _facts(file: descriptor_pb2.FileDescriptorProto) -> Facts:
    facts = {name: fact for message in file.message_type for name, fact in _message("", message)}
    for service in file.service:
        for one in service.method:
            streams = (one.client_streaming, one.server_streaming)
            facts[f"{service.name}.{one.name}()"] = (one.input_type, one.output_type, *streams)
    return facts


def _message(scope: str, message: descriptor_pb2.DescriptorProto) -> Iterator[tuple[str, tuple[object, ...]]]:
    name = f"{scope}{message.name}"
    for field in message.field:
        yield f"{name}.{field.name}", (field.number, field.type, field.label, field.type_name)
    for enum in message.enum_type:
        for value in enum.value:
            yield f"{name}.{enum.name}.{value.name}", (value.number,)
    for nested in message.nested_type:
        yield from _message(f"{name}.", nested)


def test_descriptors_agree_with_buildgrids(wheel: zipfile.ZipFile) -> None:
    ours: Facts = {}
    theirs: Facts = {}
    for path, module in FILES.items():
        ours |= _ours(module)
        theirs |= _theirs(wheel.read(f"buildgrid/_protos/{path}"))
    assert {name: ours.get(name) for name in theirs} == theirs
    assert ours.keys() - theirs.keys() == NEWER

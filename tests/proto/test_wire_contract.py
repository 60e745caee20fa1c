# SPDX-License-Identifier: Apache-2.0
"""Our protos against the public definition: names, numbers, types, labels; none missing, none more."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from google.protobuf import descriptor_pb2

from pytrace_proto import bytestream_pb2, remote_asset_pb2, remote_execution_pb2, semver_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

    Row = tuple[str, ...]

TABLES = [Path(__file__).with_name(name) for name in ("reapi-2.12.tsv", "remote-asset-1.tsv")]
ROOT = Path(__file__).resolve().parents[2]
Field = descriptor_pb2.FieldDescriptorProto


def _fields(scope: str, message: descriptor_pb2.DescriptorProto) -> Iterator[Row]:
    for field in message.field:
        kind = Field.Type.Name(field.type).removeprefix("TYPE_").lower()
        label = Field.Label.Name(field.label).removeprefix("LABEL_").lower()
        oneof = message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else "-"
        deprecated = "deprecated" if field.options.deprecated else "-"
        typed = f"{kind} {field.type_name.lstrip('.')}".rstrip()
        yield ("field", scope, field.name, str(field.number), typed, label, oneof, deprecated)


def _message(scope: str, message: descriptor_pb2.DescriptorProto) -> Iterator[Row]:
    name = f"{scope}.{message.name}"
    yield from _fields(name, message)
    if not message.field:
        yield ("message", name, *"------")
    for span in message.reserved_range:
        yield ("reserved", name, "-", f"{span.start}-{span.end - 1}", *"----")
    for nested in message.nested_type:
        yield from _message(name, nested)
    for enum in message.enum_type:
        for value in enum.value:
            yield ("value", f"{name}.{enum.name}", value.name, str(value.number), *"----")


def _methods(scope: str, service: descriptor_pb2.ServiceDescriptorProto) -> Iterator[Row]:
    many = ("one", "stream")
    for method in service.method:
        types = f"{method.input_type.lstrip('.')} -> {method.output_type.lstrip('.')}"
        streams = f"{many[method.client_streaming]} -> {many[method.server_streaming]}"
        yield ("rpc", f"{scope}.{service.name}", method.name, "-", types, streams, "-", "-")


def _stated() -> list[Row]:
    rows: list[Row] = []
    for module in (remote_execution_pb2, remote_asset_pb2, semver_pb2, bytestream_pb2):
        file = descriptor_pb2.FileDescriptorProto()
        module.DESCRIPTOR.CopyToProto(file)
        for message in file.message_type:
            rows += _message(file.package, message)
        for service in file.service:
            rows += _methods(file.package, service)
    return sorted(rows)


def _published() -> list[Row]:
    lines = [line for table in TABLES for line in table.read_text().splitlines()[2:]]
    return sorted(tuple(line.split("\t")) for line in lines)


@pytest.mark.parametrize("kind", ["field", "message", "reserved", "value", "rpc"])
def test_descriptors_state_the_public_definition(kind: str) -> None:
    assert [row for row in _stated() if row[0] == kind] == [row for row in _published() if row[0] == kind]


def test_generated_code_is_up_to_date() -> None:
    run = subprocess.run(
        [sys.executable, ROOT / "scripts" / "protos", "--check"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")

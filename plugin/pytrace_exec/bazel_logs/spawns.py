# SPDX-License-Identifier: Apache-2.0
"""Executed commands of a build, and reading them from a log of any of Bazel's three forms."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Any, BinaryIO

from pytrace_exec.bazel_logs.compact import CompactLog
from pytrace_exec.bazel_logs.messages import ExecLogEntry, SpawnExec
from pytrace_exec.bazel_logs.spawn import Spawn, link_to

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Iterator

_ZSTD = b"\x28\xb5\x2f\xfd"
_LARGEST = 1 << 30
"""Bytes of one message: more is no log."""


class NotALog(ValueError):
    """A file is no execution log of Bazel's: the message says why."""


def read_log(path: str) -> list[Spawn]:
    """Every command of a log; raise `NotALog`, OSError."""
    with open(path, "rb") as file:
        head = file.read(1 << 16)
        file.seek(0)
        try:
            if head.startswith(_ZSTD):
                with zstd.open(file, "rb") as entries:
                    return list(_compact(io.BufferedReader(entries)))
            if _looks_like_json(head):
                return list(_json(file.read().decode("utf-8")))
            return [_of_exec(SpawnExec.decode(data)) for data in _delimited(file)]
        except (ValueError, EOFError, KeyError, TypeError, AttributeError, zstd.ZstdError) as error:
            raise NotALog(f"{path} is no execution log of Bazel's: {error}") from None


def is_log(path: str) -> bool:
    """Whether a file begins as an execution log does."""
    try:
        with open(path, "rb") as file:
            head = file.read(1 << 16)
            file.seek(0)
            if head.startswith(_ZSTD) or _looks_like_json(head):
                return True
            first = next(_delimited(file), None)
            return first is not None and bool(SpawnExec.decode(first).mnemonic)
    except (OSError, ValueError):
        return False


def _compact(file: BinaryIO) -> Iterator[Spawn]:
    log = CompactLog()
    for data in _delimited(file):
        found = log.add(ExecLogEntry.decode(data))
        if found is not None:
            yield found


def _delimited(file: BinaryIO) -> Iterator[bytes]:
    """Messages, each after its size as a varint."""
    while (size := _size(file)) is not None:
        if size > _LARGEST:
            raise ValueError(f"a message of {size} bytes")
        data = file.read(size)
        if len(data) != size:
            raise ValueError("it is cut short")
        yield data


def _size(file: BinaryIO) -> int | None:
    value = shift = 0
    while byte := file.read(1):
        value |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            return value
        if shift > 63:
            raise ValueError("no size of a message")
    if shift:
        raise ValueError("it is cut short")
    return None


def _of_exec(found: SpawnExec) -> Spawn:
    inputs = {file.path: _value(file.digest, file.symlink_target_path) for file in found.inputs}
    outputs = {file.path: _value(file.digest, file.symlink_target_path) for file in found.actual_outputs}
    return Spawn(
        mnemonic=found.mnemonic,
        target=found.target_label,
        arguments=tuple(found.command_args),
        environment={item.name: item.value for item in found.environment_variables},
        platform={item.name: item.value for item in (found.platform.properties if found.platform else ())},
        inputs=inputs,
        tools=frozenset(file.path for file in found.inputs if file.is_tool),
        outputs={**dict.fromkeys(found.listed_outputs), **outputs},
        exit_code=found.exit_code,
    )


def _value(digest: object, target: str) -> str:
    return link_to(target) if target else str(digest) if digest is not None else "empty"


def _looks_like_json(head: bytes) -> bool:
    """A length of 123 looks like a brace: only what stands in it tells."""
    text = head.lstrip()
    return text.startswith(b"{") and text[1:].lstrip()[:1] in (b'"', b"}")


def _json(text: str) -> Iterator[Spawn]:
    """Objects one after the other, with or without space between (`JsonFormat` of protobuf)."""
    decoder, at = json.JSONDecoder(), 0
    while at < len(text):
        if text[at].isspace():
            at += 1
            continue
        found, at = decoder.raw_decode(text, at)
        if not isinstance(found, dict):
            raise ValueError("something that is no object")
        yield _of_json(found)


def _of_json(found: dict[str, Any]) -> Spawn:
    inputs = found.get("inputs", [])
    outputs = {file["path"]: _json_value(file) for file in found.get("actualOutputs", [])}
    return Spawn(
        mnemonic=found.get("mnemonic", ""),
        target=found.get("targetLabel", ""),
        arguments=tuple(found.get("commandArgs", [])),
        environment={item["name"]: item.get("value", "") for item in found.get("environmentVariables", [])},
        platform={i["name"]: i.get("value", "") for i in (found.get("platform") or {}).get("properties", [])},
        inputs={file["path"]: _json_value(file) for file in inputs},
        tools=frozenset(file["path"] for file in inputs if file.get("isTool")),
        outputs={**dict.fromkeys(found.get("listedOutputs", [])), **outputs},
        exit_code=int(found.get("exitCode", 0)),
    )


def _json_value(file: dict[str, Any]) -> str:
    if file.get("symlinkTargetPath"):
        return link_to(file["symlinkTargetPath"])
    digest = file.get("digest") or {}
    return f"{digest['hash']}/{digest.get('sizeBytes', 0)}" if digest.get("hash") else "empty"

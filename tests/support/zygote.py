# SPDX-License-Identifier: Apache-2.0
"""A Python program that has imported its modules once and forks for every start; the starting is what most tests pay.

Each fork takes over what a fresh process would have got: arguments, the three streams and no other descriptor, the
working directory, the whole environment and the umask. Process group, signal dispositions and limits are those of the
caller, as for any child. Nothing has run before the fork but imports.
"""

from __future__ import annotations

import gc
import importlib
import marshal
import os
import pkgutil
import select
import signal
import socket
import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    import subprocess
    from collections.abc import Mapping, Sequence

LARGEST = 1 << 20
SETTLED = {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C.UTF-8", "TZ": "UTC0"}
"""What an interpreter looks at while it starts, as every fork will find it."""
UNSETTLED = ("PYTHON", "LANG", "LC_CTYPE", "LD_", "GLIBC_", "GCONV_", "MALLOC_")
"""Beginnings of what a fork would not have looked at. Without any locale, Python takes UTF-8, too."""


class Zygote:
    """The caller's end of one program that waits to be forked, for one run at a time; ended by `close`.

    `python`: the interpreter and its options; `module` is imported from `folder` and its `main` called, after all its
    sibling modules were imported where it stands in a package, and the modules `also`.
    """

    def __init__(self, python: Sequence[str], folder: str, module: str, also: Sequence[str] = ()) -> None:
        import subprocess

        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        command = [*python, __file__, str(theirs.fileno()), folder, module, *also]
        with theirs:
            self._process = subprocess.Popen(
                command, pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, cwd="/", env=SETTLED
            )
        self._socket = ours

    def close(self) -> None:
        """Let it end."""
        self._socket.close()
        self._process.wait()

    def run(
        self, argv: Sequence[str], *, cwd: str | bytes, env: Mapping[str, str], stdin: int, stdout: int, stderr: int,
        umask: int, timeout: float,
    ) -> subprocess.CompletedProcess[bytes]:  # fmt: skip
        """Do what `subprocess.run` does with the same words; `argv` is what `sys.argv` is to be, stdin no new pipe."""
        import subprocess

        pipes: list[int] = []
        opened: list[int] = []
        given: list[int] = []
        for wanted in (stdin, stdout, stderr):
            if wanted == subprocess.PIPE:
                end, wanted = os.pipe()
                pipes.append(end)
                opened.append(wanted)
            elif wanted == subprocess.DEVNULL:
                wanted = os.open(os.devnull, os.O_RDWR)
                opened.append(wanted)
            given.append(given[1] if wanted == subprocess.STDOUT else wanted)
        words = (list(argv), os.fsencode(cwd), dict(env), umask)
        socket.send_fds(self._socket, [marshal.dumps(words)], given)
        for one in opened:
            os.close(one)
        said = self._heard(pipes, argv, timeout)
        status = marshal.loads(self._socket.recv(LARGEST))
        taken = iter(said)
        out = next(taken) if stdout == subprocess.PIPE else None
        err = next(taken) if stderr == subprocess.PIPE else None
        return subprocess.CompletedProcess(argv, os.waitstatus_to_exitcode(status), out, err)

    def _heard(self, pipes: list[int], argv: Sequence[str], timeout: float) -> list[bytes]:
        """Read all pipes to their ends, then wait until the program's status can be read; kill one that hangs."""
        import subprocess

        said = dict.fromkeys(pipes, b"")
        child, deadline = marshal.loads(self._socket.recv(LARGEST)), time.monotonic() + timeout
        poll = select.poll()
        for one in (*pipes, self._socket.fileno()):
            poll.register(one, select.POLLIN)
        left = {*pipes, self._socket.fileno()}
        while left:
            ready = poll.poll(max(deadline - time.monotonic(), 0) * 1000)
            if not ready:
                os.kill(child, signal.SIGKILL)
                raise subprocess.TimeoutExpired(list(argv), timeout)
            for one, _ in ready:
                if one in said and (data := os.read(one, LARGEST)):
                    said[one] += data
                    continue
                poll.unregister(one)
                left.remove(one)
                if one in said:
                    os.close(one)
        return list(said.values())


def is_settled(variables: Mapping[str, str]) -> bool:
    """Tell whether an interpreter that starts with these variables would find what a fork has found."""
    return all(variables.get(name, value) == value for name, value in SETTLED.items()) and not any(
        name.startswith(UNSETTLED) for name in variables
    )


def serve(connection: socket.socket) -> bool:
    """Fork for each request until there are none; True in a fork."""
    while True:
        request, descriptors, _, _ = socket.recv_fds(connection, LARGEST, 3)
        if not request:
            return False
        if not (child := os.fork()):
            connection.detach()
            take_over(descriptors, *marshal.loads(request))
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        connection.send(marshal.dumps(child))
        connection.send(marshal.dumps(os.waitpid(child, 0)[1]))


def take_over(streams: Sequence[int], argv: list[str], directory: bytes, variables: dict[str, str], umask: int) -> None:
    """Become what a fresh process would have been."""
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
    os.closerange(3, os.sysconf("SC_OPEN_MAX"))
    os.chdir(directory)
    os.umask(umask)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv[:] = argv
    sys.stdin = os.fdopen(0, errors="surrogateescape", closefd=False)
    sys.stdout = os.fdopen(1, "w", errors="surrogateescape", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)


def siblings(module: str) -> list[str]:
    """Name all modules of the package that a module stands in."""
    package = sys.modules.get(module.rpartition(".")[0])
    if package is None:
        return []
    return [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]


def main() -> None:
    """Import, wait, and be the program in each fork."""
    descriptor, folder, name, *also = sys.argv[1:]
    sys.path[0] = folder
    module = importlib.import_module(name)
    for other in (*siblings(name), *also):
        importlib.import_module(other)
    gc.collect()
    gc.freeze()
    with socket.socket(fileno=int(descriptor)) as connection:
        forked = serve(connection)
    if forked:
        module.main()


if __name__ == "__main__":
    main()

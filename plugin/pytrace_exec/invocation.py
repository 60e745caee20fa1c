# SPDX-License-Identifier: Apache-2.0
"""One call of the wrapper: the command, where and as whom it runs, and what it would find there."""

from __future__ import annotations

import os

from pytrace_cas.recorded.subjects import Subject
from pytrace_exec.keys.messages import make_command
from pytrace_exec.observe.surroundings import Surroundings
from pytrace_exec.places import find_places
from pytrace_exec.policy import environment, terms
from pytrace_exec.policy.left_out import LeftOut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_cas.digest import DigestFunction
    from pytrace_cas.reapi import Command
    from pytrace_cas.recorded.places import Places
    from pytrace_exec.bazel.inputs import Declared
    from pytrace_exec.options import Options
    from pytrace_exec.standard_streams import StandardStreams


class NothingDeclared:
    """What there is without `--inputs-file`."""

    __slots__ = ()
    paths: frozenset[bytes] = frozenset()


NOTHING_DECLARED = NothingDeclared()


class CommandNotFound(Exception):
    """The command is no program: `status` 127 when nothing has that name, 126 when it may not be executed."""

    def __init__(self, name: bytes, status: int) -> None:
        what = "not found" if status == 127 else "found, but not executable"
        super().__init__(f"{os.fsdecode(name)}: {what}")
        self.status = status


class Invocation:
    """Everything that is known before a look-up.

    `executable`: absolute path of the program; `searched`: what looking for it in PATH depended on.
    `environ`: what the command gets; `inputs`, `outputs`: declared places, absolute; `left_out`: neither of both;
    `declared`: what `--inputs-file` lists.
    """

    __slots__ = (
        "argv",
        "cwd",
        "declared",
        "environ",
        "executable",
        "inputs",
        "left_out",
        "options",
        "outputs",
        "places",
        "searched",
        "streams",
        "umask",
    )

    def __init__(
        self,
        options: Options,
        argv: list[bytes],
        environ: Mapping[bytes, bytes],
        streams: StandardStreams,
        places: Places | None = None,
    ) -> None:
        """Find the program; raise `CommandNotFound`. `places`: those that `find_places` finds for these options."""
        self.options = options
        self.argv = tuple(argv)
        self.streams = streams
        self.cwd = os.getcwdb()
        self.environ = given_environment(options, environ)
        self.places = places or find_places(options, self.cwd, environ)
        self.declared: Declared | NothingDeclared = NOTHING_DECLARED
        if options.inputs_file is not None:
            from pytrace_exec.bazel.inputs import Declared

            declared = self.declared = Declared.read(options.inputs_file, self.cwd)
            self.places = self.places.with_trees(declared.trees(self.places.root))
        self.umask = _umask()
        patterns = options.ignore if options.strict else (*options.ignore, *options.disposable)
        self.left_out = LeftOut(self.places.root, patterns)
        self.inputs = tuple(_absolute(path) for path in options.input)
        self.outputs = tuple(_absolute(path) for path in options.output)
        self.searched: list[Subject] = []
        self.executable = self._search(environ)

    def _search(self, environ: Mapping[bytes, bytes]) -> bytes:
        """Find the program as execvp(3) does, and note what that depended on."""
        name = self.argv[0]
        if b"/" in name:
            return _executable(name, os.path.join(self.cwd, name))
        denied = False
        for folder in environ.get(b"PATH", b"/bin:/usr/bin").split(b":"):
            path = os.path.join(self.cwd, folder, name)
            self.searched.append(Subject("access", str(os.X_OK), path))
            if os.path.isfile(path):
                if os.access(path, os.X_OK, effective_ids=True):
                    return path
                denied = True
        raise CommandNotFound(name, 126 if denied else 127)

    def command(self, slot: int = 0) -> Command:
        """The command as both keys name it."""
        options = self.options
        variables = environment.counting(self.environ, options.env, options.env_only, options.redact)
        return make_command(self.argv, variables, self.places, self.cwd, self.umask, slot)

    def surroundings(self, function: DigestFunction) -> Surroundings:
        """The circumstances under which facts have their values."""
        options = self.options
        return Surroundings(
            function,
            self.places,
            self.environ,
            self.streams.value,
            options.probe,
            options.probe_limit,
            self.inputs,
            frozenset(options.redact),
            lambda name: terms.value(options, self.places, name),
            self.left_out,
            self.declared.paths,
        )


def given_environment(options: Options, environ: Mapping[bytes, bytes]) -> dict[bytes, bytes]:
    """What the command is started with: everything, or with `--env-only` exactly the chosen variables."""
    if options.env_only:
        return {name: environ[name] for name in options.env if name in environ}
    return dict(environ)


def _absolute(path: bytes) -> bytes:
    folder, name = os.path.split(os.path.abspath(path))
    return os.path.join(os.path.realpath(folder), name)


def _umask() -> int:
    mask = os.umask(0o77)
    os.umask(mask)
    return mask


def _executable(name: bytes, path: bytes) -> bytes:
    if not os.path.exists(path):
        raise CommandNotFound(name, 127)
    if not os.path.isfile(path) or not os.access(path, os.X_OK, effective_ids=True):
        raise CommandNotFound(name, 126)
    return path

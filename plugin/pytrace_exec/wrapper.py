# SPDX-License-Identifier: Apache-2.0
"""`pytrace-exec`: answer a command from the cache, or run it, see what it depended on, and store the result."""

from __future__ import annotations

import errno
import gc
import os
import sys
import time

from pytrace_exec import interpreter

interpreter.take_back()  # before more is imported

from pytrace_exec.options import UsageError, check, load_files, parse  # noqa: E402

TYPE_CHECKING = False
if TYPE_CHECKING:
    import signal
    from collections.abc import Mapping
    from typing import NoReturn

    from pytrace_exec.options import Options
    from pytrace_exec.session import Session
else:
    # `signal` is the same with enumerations, whose making costs a hit two milliseconds.
    import _signal as signal

FAILED = 125
"""Exit status when the wrapper failed before the command could run."""

# How many objects are made before garbage is looked for: Python's own 700 costs a tenth of a hit or of a small miss.
_OBJECTS = 50_000


def main() -> None:
    """Run the command line in `sys.argv`; ends with the command's status, or by the signal that ended it."""
    started = time.monotonic_ns()
    gc.set_threshold(_OBJECTS)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # else the caller ignores it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        options, command = parse(sys.argv[1:], os.environb)
    except UsageError as error:
        _fail(str(error))
    if options.help or options.version:
        _tell(options)
    if options.unused_inputs_list is not None:
        _forget_unused(options.unused_inputs_list)
    if options.mode == "off" and _is_bare(options):
        _become(options, command)
    session = _session(options, command, started)
    from pytrace_exec.session import NotAsAsked
    from pytrace_exec.store_opening import StoreRefused

    try:
        status = session.run()
    except (NotAsAsked, StoreRefused) as error:
        _fail(str(error))
    _end(status)


def _session(options: Options, command: list[bytes], started: int) -> Session:
    """Learn all that a run needs; whatever keeps us from it, but a mistake of the user's, leads to a plain run."""
    from pytrace_exec.invocation import CommandNotFound, Invocation
    from pytrace_exec.places import BadRoot, find_places
    from pytrace_exec.standard_streams import StandardStreams, inherited_descriptors
    from pytrace_exec.store_opening import store_folder

    environ = os.environb
    try:
        inherited = inherited_descriptors()
        places = find_places(options, os.getcwdb(), environ)
        if options.mode != "off":
            load_files(options, places.root, environ)
        check(options)
        if options.mode == "off" and _is_bare(options):
            _become(options, command)
        streams = StandardStreams(store_folder(options, environ) or b"/tmp", inherited)
        streams.hold_closed()
        invocation = Invocation(options, command, environ, streams, places)
        from pytrace_exec.session import Session

        return Session(invocation, started)
    except CommandNotFound as error:
        _fail(str(error), error.status)
    except (BadRoot, UsageError) as error:
        _fail(str(error))
    except FileNotFoundError:
        _become(options, command, "the working directory is gone")
    except Exception as error:
        _become(options, command, f"the wrapper failed: {error!r}")


def _forget_unused(path: bytes) -> None:
    """Begin with a list that says nothing: whatever becomes of the run, Bazel finds a file, and takes no old one."""
    try:
        with open(path, "wb"):
            return
    except OSError as error:
        _fail(f"--unused-inputs-list {os.fsdecode(path)} cannot be written ({error.strerror}): name another file")


def _is_bare(options: Options) -> bool:
    """Whether nothing but the command itself is asked for."""
    return not (options.stats_log or options.explain or options.log or options.timeout or options.pid_namespace)


def _become(options: Options, command: list[bytes], why: str = "") -> NoReturn:
    """Run the command in our place, without a cache."""
    if options.pid_namespace:
        _fail(f"--pid-namespace: {why}; mend that, or run without it")
    if why and options.explain:
        _say(f"pytrace: bypass: {why}\n")
    environ: Mapping[bytes, bytes] = os.environb
    if options.env_only:
        environ = {name: environ[name] for name in options.env if name in environ}
    for number in (signal.SIGPIPE, signal.SIGXFSZ):
        signal.signal(number, signal.SIG_DFL)  # Python ignores them
    try:
        _execute(command, environ)
    except FileNotFoundError:
        _fail(f"{os.fsdecode(command[0])}: not found", 127 if _is_absent(command[0]) else 126)
    except OSError as error:
        _fail(f"{os.fsdecode(command[0])}: {error.strerror}", 126)


def _execute(command: list[bytes], environ: Mapping[bytes, bytes]) -> NoReturn:
    """Do what execvp(3) does; raise OSError."""
    try:
        os.execvpe(command[0], command, environ)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
    name = command[0]
    for folder in [b""] if b"/" in name else os.get_exec_path():
        path = os.path.join(os.fsencode(folder), name)
        if os.access(path, os.X_OK):
            os.execve(b"/bin/sh", [b"sh", path, *command[1:]], environ)
    raise FileNotFoundError


def _is_absent(name: bytes) -> bool:
    """Whether a name leads to no file; a file that is there may lack its interpreter."""
    return b"/" not in name or not os.path.exists(name)


def _tell(options: Options) -> NoReturn:
    if options.version:
        from pytrace_cas import __version__

        print(f"pytrace-exec {__version__}")
    else:
        from pytrace_exec.option_help import page

        print(page(), end="")
    sys.exit(0)


def _fail(message: str, status: int = FAILED) -> NoReturn:
    _say(f"pytrace-exec: {message}\n")
    sys.exit(status)


def _say(text: str) -> None:
    if sys.stderr is not None:  # it was closed
        sys.stderr.write(text)


def _end(status: int) -> NoReturn:
    """End as the command did."""
    if os.WIFSIGNALED(status):
        from pytrace_exec.tracer.child import end_like

        os._exit(end_like(status))
    os._exit(os.waitstatus_to_exitcode(status))

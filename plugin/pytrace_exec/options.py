# SPDX-License-Identifier: Apache-2.0
"""Reading the options of `pytrace-exec` from flags, the environment and files.

Order: flag, environment, project file, user file, system file. A repeatable option gathers what all of them say,
the nearer source last. On the wrapper's start-up path: files are parsed, and help is written, by modules that are
imported only then.
"""

from __future__ import annotations

import os

from pytrace_exec.option_table import OPTIONS, Option
from pytrace_exec.option_values import flag as read_flag
from pytrace_exec.option_values import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

# Short forms of PYTRACE_MODE; of several that are true the first counts: the most careful one.
MODE_VARIABLES = ((b"PYTRACE_DISABLE", "off"), (b"PYTRACE_READONLY", "readonly"), (b"PYTRACE_RECACHE", "recache"))
SYSTEM_FILE = b"/etc/pytrace/config.toml"
_BY_NAME = {option.name: option for option in OPTIONS}
_FLAGS = {
    **{f"--{option.name}".encode(): (option, True) for option in OPTIONS if "flag" in option.scope},
    **{
        f"--no-{option.name}".encode(): (option, False)
        for option in OPTIONS
        if "file" in option.scope and not option.metavar
    },
    **{f"-{option.short}".encode(): (option, True) for option in OPTIONS if option.short},
}


class UsageError(Exception):
    """A command line, variable or file that says something `pytrace-exec` does not take.

    The message is one line: what is wrong and what to do. `source` is the flag, variable or file at fault, "" for
    the command line as a whole. It ends `pytrace-exec` with 125 and `pytrace` with 2.
    """

    def __init__(self, message: str, source: str = "") -> None:
        super().__init__(message)
        self.source = source


class Options:
    """What was chosen: one attribute an option, and where each value came from.

    Paths, globs and names of variables are bytes as given; sizes are bytes, durations seconds. `sources` has the
    flag, variable or file of every attribute that is not at its default.
    """

    __slots__ = (*(option.attribute for option in OPTIONS), "sources")

    allow_clock: bool
    allow_network: bool
    cache_failures: bool
    depfile: bytes | None
    digest_function: str | None
    dir: bytes | None
    disposable: tuple[bytes, ...]
    env: tuple[bytes, ...]
    env_only: bool
    explain: bool
    generation_max_age: float
    help: bool
    ignore: tuple[bytes, ...]
    input: tuple[bytes, ...]
    inputs_file: bytes | None
    instance_name: str
    label: tuple[tuple[str, str], ...]
    log: bytes | None
    log_level: str
    max_size: int | None
    mode: str
    mtime: bool
    output: tuple[bytes, ...]
    pid_namespace: bool
    portable: bool
    probe: str
    probe_limit: int
    redact: tuple[bytes, ...]
    remote: str | None
    remote_ca: bytes | None
    remote_cert: bytes | None
    remote_header: tuple[tuple[str, str], ...]
    remote_key: bytes | None
    remote_only: bool
    remote_timeout: float
    root: bytes | None
    stats_log: bytes | None
    stdin: bool
    strict: bool
    timeout: float | None
    stops_only: bool
    tracer: str
    trust_stat: bool
    unused_inputs_list: bytes | None
    upload_inputs: bool
    verbose: bool
    verify: bool
    version: bool
    sources: dict[str, str]

    def __init__(self) -> None:
        for option in OPTIONS:
            setattr(self, option.attribute, option.default)
        self.sources = {}

    def set(self, option: Option, value: object, source: str) -> None:
        """Set from a flag; one more value of an option that gathers."""
        name = option.attribute
        setattr(self, name, (*getattr(self, name), value) if option.many else value)
        self.sources[name] = source

    def set_farther(self, option: Option, found: Sequence[object], source: str) -> None:
        """Set from a source that counts less than all before it; what gathers goes in front."""
        name = option.attribute
        known = self.sources.get(name)
        if option.many:
            setattr(self, name, (*found, *getattr(self, name)))
            self.sources[name] = f"{source}, {known}" if known else source
        elif known is None:
            setattr(self, name, found[-1])
            self.sources[name] = source


def parse(argv: Sequence[bytes | str], environ: Mapping[bytes, bytes]) -> tuple[Options, list[bytes]]:
    """Read flags up to the first word that is none, or `--`, then the environment; return options and command.

    `argv` is without the program's name, `environ` as `os.environb`. The command is empty only with `--help` or
    `--version`. Raises `UsageError`. Files are read by `load_files`, once the root is known.
    """
    options = Options()
    command = _read_flags(options, [os.fsencode(word) for word in argv])
    if options.help or options.version:
        return options, command
    if not command:
        raise UsageError("no command to run: pytrace-exec [OPTIONS] [--] COMMAND [ARG...]")
    read_environment(options, environ)
    return options, command


def read_environment(options: Options, environ: Mapping[bytes, bytes]) -> None:
    """Take from the variables what no flag has set; an empty variable is as good as none. Raises `UsageError`."""
    for option in OPTIONS:
        value = environ.get(option.variable)
        if value and "env" in option.scope:
            source = option.variable.decode()
            words = [word for word in value.split(option.many) if word] if option.many else [value]
            if words:
                options.set_farther(option, [_read(option, word, source) for word in words], source)
    mode = _BY_NAME["mode"]
    for variable, short_for in MODE_VARIABLES:
        value = environ.get(variable)
        if value and _read_switch(value, variable.decode()):
            options.set_farther(mode, [short_for], variable.decode())


def check(options: Options) -> None:
    """Raise `UsageError` for options that exclude each other; to be asked when all of them are known."""
    if options.unused_inputs_list is not None and options.inputs_file is None:
        raise UsageError(
            "--unused-inputs-list needs --inputs-file: name the file that lists the declared inputs",
            "--unused-inputs-list",
        )
    if options.pid_namespace and options.tracer == "strace":
        raise UsageError(
            "--pid-namespace needs the native tracer: leave --tracer strace out, or --pid-namespace", "--pid-namespace"
        )


def load_files(options: Options, root: bytes, environ: Mapping[bytes, bytes]) -> None:
    """Take from the project's, the user's and the system's file what nothing nearer has set. Raises `UsageError`."""
    for path in files(root, environ):
        content = _content(path)
        # Most projects that have a pyproject.toml say nothing there to us, and parsing it costs as much as a hit.
        if content is None or (path.endswith(b"/pyproject.toml") and b"pytrace" not in content):
            continue
        from pytrace_exec import option_files

        option_files.apply(options, path, content, environ)


def files(root: bytes, environ: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """The files that may say something, nearest first; a project has one of the two."""
    own = os.path.join(root, b"pytrace.toml")
    yield own if os.path.lexists(own) else os.path.join(root, b"pyproject.toml")
    home = environ.get(b"HOME", b"")
    folder = environ.get(b"XDG_CONFIG_HOME", b"")
    if not folder.startswith(b"/") and home.startswith(b"/"):
        folder = os.path.join(home, b".config")
    if folder.startswith(b"/"):
        yield os.path.join(folder, b"pytrace/config.toml")
    yield SYSTEM_FILE


def _content(path: bytes) -> bytes | None:
    """The content of a file, None when there is none that this user can reach."""
    try:
        os.stat(path)
    except OSError:
        return None
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as error:
        source = shown(path)
        raise UsageError(f"{source} cannot be read ({error.strerror}): make it readable or remove it", source) from None


def _read_flags(options: Options, argv: list[bytes]) -> list[bytes]:
    """Set what the flags say; return what follows them."""
    index = 0
    while index < len(argv) and argv[index].startswith(b"-") and argv[index] != b"-":
        word = argv[index]
        index += 1
        if word == b"--":
            break
        name, given, value = _split(word)
        option, on = _known(name)
        source = name.decode()
        if not option.metavar:
            if given:
                raise UsageError(f"{source} takes no value; its opposite is --no-{option.name}", source)
            options.set(option, on, source)
            continue
        if not given:
            if index == len(argv):
                raise UsageError(f"{source} needs a value: {source} {option.metavar}", source)
            value = argv[index]
            index += 1
        options.set(option, _read(option, value, source), source)
    return argv[index:]


def _split(word: bytes) -> tuple[bytes, bool, bytes]:
    """Split `--name=value` and `-ovalue` into flag, whether a value is there, and value."""
    if word.startswith(b"--"):
        name, sign, value = word.partition(b"=")
        return name, bool(sign), value
    return word[:2], len(word) > 2, word[2:]


def _known(name: bytes) -> tuple[Option, bool]:
    """Find a flag's row, and whether it turns it on."""
    found = _FLAGS.get(name)
    if found is None:
        # The name may be a misspelt command's, so the message says how to tell them apart.
        word = shown(name)
        raise UsageError(f"unknown option {word}: see pytrace-exec --help, or put -- before the command", word)
    return found


def _read(option: Option, value: bytes, source: str) -> object:
    """Read one value of an option; say whose it was when it is malformed."""
    try:
        return option.read(value)
    except ValueError as error:
        raise UsageError(f"{source} {error}", source) from None


def _read_switch(value: bytes, source: str) -> bool:
    try:
        return read_flag(value)
    except ValueError as error:
        raise UsageError(f"{source} {error}", source) from None

# SPDX-License-Identifier: Apache-2.0
"""The options of `pytrace-exec` as data: name, type, default, environment twin and help of each.

On the wrapper's start-up path.
"""

from __future__ import annotations

from pytrace_exec import option_values as values

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

MODES = ("readwrite", "readonly", "recache", "off")
LEVELS = ("debug", "info", "warning", "error")
# What separates the values of a repeatable option in its variable.
_PATHS = b":"
_LINES = b"\n"


class Option:
    """One row of the table.

    `name` is the long flag without its dashes and the key in files; `scope` says which of "flag", "env" and "file"
    may set it. `metavar` is "" for a boolean. `many` separates the values of a repeatable option in its variable;
    it is b"" for an option that has one value. A `secret` is never printed.
    """

    __slots__ = (
        "attribute",
        "default",
        "help",
        "many",
        "metavar",
        "name",
        "read",
        "scope",
        "secret",
        "short",
        "variable",
    )

    def __init__(
        self,
        name: str,
        metavar: str,
        read: Callable[[bytes], object],
        help: str,
        *,
        default: object = None,
        short: str = "",
        many: bytes = b"",
        scope: str = "flag env file",
        secret: bool = False,
    ) -> None:
        self.name = name
        self.metavar = metavar
        self.read = read
        self.help = help
        self.default = () if many else default
        self.short = short
        self.many = many
        self.scope = scope
        self.secret = secret
        self.attribute = name.replace("-", "_")
        self.variable = b"PYTRACE_" + self.attribute.upper().encode()


def _switch(name: str, help: str, *, short: str = "", scope: str = "flag env file") -> Option:
    """A boolean, off unless somebody turns it on."""
    return Option(name, "", values.flag, help, default=False, short=short, scope=scope)


CACHE = (
    Option("dir", "DIR", values.path, "the store; default: $XDG_CACHE_HOME/pytrace"),
    Option("max-size", "SIZE", values.positive_size, "limit of the store, kept in it; a new store has 10GiB"),
    Option("remote", "URL", values.remote, "a cache behind the store: grpc://, grpcs://, http://, https:// or unix:"),
    Option("remote-header", "K=V", values.pair, "a header that the remote gets", many=_LINES, secret=True),
    Option("remote-ca", "FILE", values.path, "certificates that vouch for the remote"),
    Option("remote-cert", "FILE", values.path, "certificate that the remote gets"),
    Option("remote-key", "FILE", values.path, "private key of --remote-cert"),
    Option("remote-timeout", "DUR", values.positive_duration, "how long one answer may take", default=10.0),
    Option("digest-function", "NAME", values.Choice("sha256", "blake3"), "default: the remote's own, else blake3"),
    Option("instance-name", "NAME", values.text, "instance of the remote", default=""),
    Option("mode", "MODE", values.Choice(*MODES), f"one of {', '.join(MODES)}", default="readwrite"),
    Option("generation-max-age", "DUR", values.duration, "how old what is known of invalidations may be", default=60.0),
    _switch("upload-inputs", "upload what the command read, too"),
    _switch("remote-only", "keep results in the remote only", scope="env"),
)
IDENTITY = (
    Option("root", "DIR", values.path, "default: the nearest folder upward that is a workspace", scope="flag env"),
    Option("output", "PATH", values.path, "a place that the command writes", short="o", many=_PATHS),
    Option("input", "PATH", values.path, "a declared input; its age does not count", many=_PATHS),
    Option(
        "inputs-file", "FILE", values.path, "declared inputs, a path a line; no key by themselves", scope="flag env"
    ),
    Option("ignore", "GLOB", values.pattern, "paths that are neither inputs nor outputs; * matches / too", many=_PATHS),
    Option("disposable", "GLOB", values.pattern, "scratch files, and caches that a tool checks itself", many=_PATHS),
    Option("env", "NAME", values.variable, "a variable that counts", many=_PATHS),
    _switch("env-only", "start the command with the variables of --env and no others"),
    Option("redact", "NAME", values.variable, "a variable whose value is hashed, never stored", many=_PATHS),
    Option(
        "probe", "HOW", values.Choice("content", "stat"), "what a look at a file's status counts", default="content"
    ),
    Option("probe-limit", "SIZE", values.size, "a larger file that is looked at counts by its time", default=256 << 20),
    _switch("mtime", "count times, owners and modes of what is looked at"),
    _switch("stdin", "read a pipe on stdin ahead, and count its content"),
    _switch("trust-stat", "believe times and inode numbers on every file system"),
    _switch("portable", "vouch that results do not depend on root, home directory and user"),
    _switch("strict", "exact facts only, no relaxation"),
)
STORING = (
    _switch("allow-network", "store results of commands that used the network"),
    _switch("allow-clock", "store results of commands that asked for the time"),
    _switch("cache-failures", "store results of commands that failed"),
    Option("label", "K=V", values.pair, "a label of the result", many=_LINES),
)
RUNNING = (
    Option("tracer", "NAME", values.Choice("auto", "native", "strace"), "auto, native or strace", default="auto"),
    _switch("stops-only", "let every look stop at the native tracer, none be told by the command's own processes"),
    _switch("pid-namespace", "give the command the same process numbers every run"),
    Option("timeout", "DUR", values.positive_duration, "end the command after this time"),
    _switch("verify", "run even on a hit, and compare"),
)
TELLING = (
    _switch("explain", "say on stderr what happened and why"),
    _switch("verbose", "say on stderr when the cache failed", short="v"),
    Option("stats-log", "FILE", values.path, "append one JSON object a run"),
    Option("depfile", "FILE", values.path, "write what was read as a rule of make"),
    Option("unused-inputs-list", "FILE", values.path, "write which of --inputs-file were not read", scope="flag env"),
    Option("log", "FILE", values.path, "append what --explain would say", scope="env"),
    Option("log-level", "LEVEL", values.Choice(*LEVELS), f"one of {', '.join(LEVELS)}", default="info", scope="env"),
    _switch("version", "print the version", scope="flag"),
    _switch("help", "print this page", short="h", scope="flag"),
)
GROUPS = (
    ("The cache", CACHE),
    ("What a result depends on", IDENTITY),
    ("What is stored", STORING),
    ("How the command runs", RUNNING),
    ("What is told", TELLING),
)
OPTIONS = tuple(option for _, group in GROUPS for option in group)

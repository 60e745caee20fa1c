# SPDX-License-Identifier: Apache-2.0
"""Which environment variables a command line or a script names, by the words of its language, as data."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

READ = (
    r"\$\{?([A-Za-z_][A-Za-z0-9_]*)",  # shells, make
    r"environ(?:\.get\(|\[)\s*[\"']([A-Za-z_][A-Za-z0-9_]*)",  # Python
    r"(?:getenv|env::var|Getenv|ENV\[|ENV\.fetch)\(?\s*[\"']([A-Za-z_][A-Za-z0-9_]*)",  # Python, C, Rust, Go, Ruby
    r"\$ENV\{[\"']?([A-Za-z_][A-Za-z0-9_]*)",  # Perl
    r"process\.env\.([A-Za-z_][A-Za-z0-9_]*)",  # JavaScript
)
SET = (
    r"(?<![\w$])([A-Za-z_][A-Za-z0-9_]*)\+?=",
    r"\bfor\s+([A-Za-z_][A-Za-z0-9_]*)\b",
    r"\bread\s+(?:-\w+\s+)*([A-Za-z_][A-Za-z0-9_]*)",
)
OF_SHELLS = """
_ BASH BASHPID BASH_SOURCE BASH_VERSION COLUMNS DIRSTACK ENV EUID FUNCNAME GROUPS HOSTTYPE IFS LINENO LINES MACHTYPE
OLDPWD OPTARG OPTIND OSTYPE PATH PIPESTATUS PPID PS1 PS4 PWD RANDOM REPLY SECONDS SHELL SHELLOPTS SHLVL TMPDIR UID
"""
"""Variables that a shell has by itself, or that every action has."""

_READ = [re.compile(pattern) for pattern in READ]
_SET = [re.compile(pattern) for pattern in SET]


def names_in(texts: Iterable[str]) -> set[str]:
    """Names of variables that the texts read and do not set."""
    read: set[str] = set()
    own: set[str] = set(OF_SHELLS.split())
    for text in texts:
        for pattern in _READ:
            read.update(pattern.findall(text))
        for pattern in _SET:
            own.update(pattern.findall(text))
    return read - own

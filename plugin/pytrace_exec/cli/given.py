# SPDX-License-Identifier: Apache-2.0
"""Options of `pytrace-exec` that a verb was given, with the environment and the files, as `pytrace-exec` reads them."""

from __future__ import annotations

import os

from pytrace_exec.cli.exit_status import USAGE
from pytrace_exec.cli.failed import Failed
from pytrace_exec.option_table import OPTIONS
from pytrace_exec.options import Options, UsageError, check, load_files, read_environment
from pytrace_exec.places import BadRoot, find_places

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from pytrace_exec.option_table import Option

BY_NAME = {option.name: option for option in OPTIONS}
REMOTE = (
    "remote", "remote-header", "remote-ca", "remote-cert", "remote-key", "remote-timeout", "digest-function",
    "instance-name",
)  # fmt: skip
"""The options that say which remote is asked, and how."""


def options_of(given: Mapping[str, object]) -> Options:
    """What flags (values by name, a tuple of those that gather), the environment and the files say.

    Raises `UsageError`, or `Failed` for a root that cannot be one.
    """
    options = Options()
    for name, value in given.items():
        option = BY_NAME[name]
        for item in value if isinstance(value, tuple) else (value,):
            options.set(option, _read(option, item), f"--{name}")
    read_environment(options, os.environb)
    try:
        root = find_places(options, os.getcwdb(), os.environb).root
    except BadRoot as error:
        raise Failed(str(error), USAGE) from None
    load_files(options, root, os.environb)
    check(options)
    return options


def _read(option: Option, value: object) -> object:
    if isinstance(value, bool):
        return value
    try:
        return option.read(os.fsencode(str(value)))
    except ValueError as error:
        raise UsageError(f"--{option.name} {error}", f"--{option.name}") from None

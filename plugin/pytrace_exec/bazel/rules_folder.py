# SPDX-License-Identifier: Apache-2.0
"""Where Bazel's rules are: in a wheel beside this module, in a checkout at its top."""

from __future__ import annotations

from pathlib import Path


class NoRules(Exception):
    """Neither a wheel's nor a checkout's rules are there."""

    def __init__(self) -> None:
        super().__init__("the Bazel rules are not there: install the package as a wheel, or use a checkout")


def rules_folder() -> Path:
    """The folder for a `local_repository`, which holds WORKSPACE and `rules/`; raise `NoRules`."""
    here = Path(__file__).resolve()
    for folder in (here.parent / "workspace", here.parents[3]):
        if (folder / "WORKSPACE").is_file() and (folder / "rules" / "repositories.bzl").is_file():
            return folder
    raise NoRules

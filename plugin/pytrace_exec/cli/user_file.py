# SPDX-License-Identifier: Apache-2.0
"""Changing one value of a TOML file that a person wrote: everything else of it stays as it is."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import tomlkit
from tomlkit.exceptions import TOMLKitError

from pytrace_exec.cli.exit_status import DIFFERENT, USAGE
from pytrace_exec.cli.main import Failed

if TYPE_CHECKING:
    from tomlkit import TOMLDocument


class UserFile:
    """A file at `path`, which need not exist. A change is written at once, whole or not at all; raise `Failed`."""

    def __init__(self, path: bytes) -> None:
        # What a link leads to is changed: dotfiles are often links into a repository.
        self.path = os.path.realpath(path)

    def set(self, name: str, values: list[str | bool], many: bool) -> bool:
        """Give a key a value, or a list of them; say whether that changed anything."""
        document = self._read()
        value = values if many else values[0]
        if name in document and document[name] == value:
            return False
        document[name] = value
        self._write(document)
        return True

    def remove(self, name: str) -> bool:
        """Take a key out; say whether it was there."""
        document = self._read()
        if name not in document:
            return False
        document.remove(name)
        self._write(document)
        return True

    def _read(self) -> TOMLDocument:
        try:
            with open(self.path, encoding="utf-8") as file:
                return tomlkit.parse(file.read())
        except FileNotFoundError:
            return tomlkit.document()
        except (TOMLKitError, UnicodeDecodeError) as error:
            raise Failed(f"{os.fsdecode(self.path)} is not TOML ({error}); mend it first", USAGE) from None
        except OSError as error:
            raise Failed(f"{os.fsdecode(self.path)}: {error.strerror}", DIFFERENT) from None

    def _write(self, document: TOMLDocument) -> None:
        staged = self.path + b"." + os.urandom(4).hex().encode()
        try:
            os.makedirs(os.path.dirname(self.path), exist_ok=True)
            # It may hold credentials.
            fd = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with open(fd, "w", encoding="utf-8") as file:
                file.write(tomlkit.dumps(document))
            with suppress(FileNotFoundError):
                os.chmod(staged, os.stat(self.path).st_mode & 0o777)
            os.rename(staged, self.path)
        except OSError as error:
            with suppress(FileNotFoundError):
                os.unlink(staged)
            raise Failed(f"{os.fsdecode(self.path)} cannot be written: {error.strerror}", DIFFERENT) from None

# SPDX-License-Identifier: Apache-2.0
"""Other users of this machine: an installation that they reach, and folders that are theirs."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import attrs
import pytest

REPOSITORY = Path(__file__).parents[2]
FIRST, SECOND = 61001, 61002
_SCRIPT = """\
#!{python}
import sys
from {module} import main
sys.exit(main())
"""
_PROGRAMS = {"pytrace-exec": "pytrace_exec.wrapper", "pytrace": "pytrace_exec.cli"}


@attrs.frozen
class User:
    """An ordinary user with a folder that is his own."""

    number: int
    home: Path

    @classmethod
    def at_home(cls, number: int, place: Path) -> User:
        """Make a user's folder below a place that everybody reaches."""
        user = cls(number, place / f"home-{number}")
        user.home.mkdir()
        user.own(user.home)
        return user

    def run(self, *command: str | Path) -> int:
        """Run a command as this user, silently; return its status."""
        try:
            return subprocess.run(
                command, user=self.number, group=self.number, extra_groups=(), env=self.environment(), cwd=self.home,
                stdin=subprocess.DEVNULL, capture_output=True, check=False,
            ).returncode  # fmt: skip
        except PermissionError:
            return 126

    def environment(self) -> dict[str, str]:
        """What a login gives."""
        return {"PATH": "/usr/bin:/bin", "HOME": str(self.home), "LC_ALL": "C.UTF-8", "USER": f"user{self.number}"}

    def own(self, folder: Path) -> None:
        """Give a folder and all that is in it to this user."""
        subprocess.run(["chown", "-hR", f"{self.number}:{self.number}", folder], check=True)


def installation(place: Path, user: User) -> Path:
    """Make programs that others can run, over this installation's packages; skip where those cannot be reached.

    The interpreter of this installation may lie in a private folder; then the system's is taken, if it is of the same
    version.
    """
    folder = place / "installation"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    asks = f"import sys; sys.exit(sys.version_info[:2] != {sys.version_info[:2]})"
    for python in (os.path.realpath(sys.executable), f"/usr/bin/python{version}"):
        if not user.run(python, "-c", asks):
            break
    else:
        pytest.skip("no interpreter of this version can be reached by other users")
    subprocess.run([python, "-m", "venv", "--without-pip", folder], check=True)
    paths = [sysconfig.get_path("purelib"), *(str(REPOSITORY / name) for name in ("cas", "plugin", "proto"))]
    packages = folder / "lib" / f"python{version}" / "site-packages"
    (packages / "shared.pth").write_text("".join(f"{path}\n" for path in paths))
    for name, module in _PROGRAMS.items():
        script = folder / "bin" / name
        script.write_text(_SCRIPT.format(python=folder / "bin" / "python", module=module))
        script.chmod(0o755)
    if user.run(folder / "bin" / "pytrace-exec", "--version"):
        pytest.skip("the installation cannot be reached by other users")
    return folder / "bin"

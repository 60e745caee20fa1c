# SPDX-License-Identifier: Apache-2.0
"""A wrapped command in a mount namespace in which a file of the system is a copy that can be changed.

What happens there is one shell script, since a namespace ends with its process.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess

import pytest

from tests.exec.wrapper.place import Place
from tests.support.runner import wrapper_command


def outcomes(place: Place, system_file: str, command: tuple[str, ...], change: str, *options: str) -> list[str]:
    """Run a command twice with a change of the file between; return what became of all runs in that place."""
    if os.geteuid() != 0 or subprocess.run(["unshare", "-m", "true"], capture_output=True, check=False).returncode:
        pytest.skip("needs to be root, and a mount namespace")
    log = place.base / "log"
    stores = ["--dir", str(place.store), "--stats-log", str(log)]
    wrapped = shlex.join([*wrapper_command(), *stores, *options, "--", *command])
    copied = f"cd {place.base}; mount --make-rprivate /; cp {system_file} mine; mount --bind mine {system_file}"
    script = f"set -e; {copied}; cd {place.root}; {wrapped}; {change}; {wrapped}"
    environment = {"PATH": os.environ["PATH"], "HOME": str(place.base / "home")}
    subprocess.run(["unshare", "-m", "sh", "-c", script], env=environment, capture_output=True, check=True)
    return [json.loads(line)["outcome"] for line in log.read_text().splitlines()]

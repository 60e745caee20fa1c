# SPDX-License-Identifier: Apache-2.0
"""The recipes of docs/access.md, as they stand there, against a server that is started as they say."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.support.credentials import htpasswd
from tests.support.server import running_server

PAGE = (Path(__file__).parents[3] / "docs" / "access.md").read_text()
RECIPES = re.findall(r"^```sh\n(.*?)^```", PAGE, re.DOTALL | re.MULTILINE)
TOOLS = ("openssl", "curl")

pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, TOOLS)), reason="openssl or curl is not installed (Debian: openssl, curl)"
)


def run(folder: Path, script: str) -> str:
    """Run a shell script in a folder; it has to succeed."""
    done = subprocess.run(["sh", "-euc", script], cwd=folder, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_recipes_work(tmp_path: Path) -> None:
    certificates, secrets, _, by_certificate = RECIPES
    run(tmp_path, certificates)
    (tmp_path / "passwords").write_text(htpasswd(ann="secret"))
    # `htpasswd` is Apache's, and asks on the terminal.
    _, _, tokens = secrets.partition("\n")
    token = run(tmp_path, tokens + '\nprintf %s "$token"')
    (curl, *_) = by_certificate.splitlines()
    files = {"tls-cert": "server.pem", "tls-key": "server.key", "tls-ca": "ca.pem"}
    files |= {"htpasswd": "passwords", "bearer-token": "tokens"}
    options = [part for name, file in files.items() for part in (f"--{name}-file", str(tmp_path / file))]
    with running_server(tmp_path / "s", *options) as server:
        port = urlsplit(server.http_url).port
        assert '"schema":1' in run(tmp_path, curl.replace(":8080", f":{port}"))
        url = f"https://localhost:{port}/status"
        assert '"schema":1' in run(tmp_path, f"curl -sf --cacert ca.pem -u ann:secret {url}")
        assert '"schema":1' in run(tmp_path, f"curl -sf --cacert ca.pem -H 'Authorization: Bearer {token}' {url}")

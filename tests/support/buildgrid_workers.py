# SPDX-License-Identifier: Apache-2.0
"""BuildGrid with its scheduler, which needs PostgreSQL, and a worker that runs buildbox-run."""

from __future__ import annotations

import pwd
import shutil
import subprocess
import tempfile
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.executors import Executor, buildbox_run, runner_arguments, top_links
from tests.support.foreign_servers import bgd, logged, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

BOT = Path(__file__).with_name("buildgrid_bot.py")
_CONFIG = """\
description: execution
server:
  - !channel
    address: unix:{folder}/socket
    insecure-mode: true
authorization:
  method: none
monitoring:
  enabled: false
connections:
  - !sql-connection &sql
    connection-string: {database}
storages:
  - !disk-storage &cas
    path: {folder}/cas
caches:
  - !lru-action-cache &ac
    storage: *cas
    max-cached-refs: 1000
    allow-updates: true
schedulers:
  - !sql-scheduler &scheduler
    sql: *sql
    storage: *cas
    action-cache: *ac
    property-set: !dynamic-property-set
      match-property-keys: []
      wildcard-property-keys: []
    assigners:
      - !priority-age-assigner
        count: 1
        interval: 0.1
instances:
  - name: ''
    services:
      - !cas
        storage: *cas
      - !bytestream
        storage: *cas
      - !action-cache
        cache: *ac
      - !execution
        scheduler: *scheduler
thread-pool-size: 30
"""


@contextmanager
def running_buildgrid_executor(folder: Path, writable: Path) -> Iterator[Executor]:
    """Run BuildGrid, its database and one worker; `writable` is what actions may write of the host."""
    folder.mkdir()
    program = bgd()
    with ExitStack() as stack:
        database = stack.enter_context(_running_postgres())
        subprocess.run([program, "migrate", "apply", database], check=True)
        config = folder / "buildgrid.yml"
        config.write_text(_CONFIG.format(folder=folder, database=database))
        url = stack.enter_context(serving(folder, str(program), "server", "start", str(config)))
        runner = [str(buildbox_run()), f"--remote={url}", "--disable-localcas", *runner_arguments(writable)]
        python = program.with_name("python")
        stack.enter_context(logged(folder / "bot.log", (str(python), str(BOT), url, str(folder), *runner), Path("/")))
        yield Executor(url, top_links())


@contextmanager
def _running_postgres() -> Iterator[str]:
    """Run a PostgreSQL server of its own on a unix socket; give the URL of an empty database."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("not installed: postgresql")
    programs = found[-1].parent
    nobody = pwd.getpwnam("nobody")
    # It refuses to be root's, and a socket's path must be short.
    with tempfile.TemporaryDirectory(prefix="pytrace-pg-") as name:
        place = Path(name)
        shutil.chown(place, nobody.pw_uid, nobody.pw_gid)
        as_nobody = ("setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups")
        made = (
            programs / "initdb",
            "-D",
            place / "data",
            "-A",
            "trust",
            "-U",
            "bgd",
            "--no-sync",
            "--locale=C",
            "-E",
            "UTF8",
        )
        subprocess.run([*as_nobody, *made], cwd="/", check=True, capture_output=True)
        options = ("-D", place / "data", "-k", place, "-c", "listen_addresses=", "-c", "fsync=off")
        with logged(Path("/dev/null"), (*as_nobody, str(programs / "postgres"), *map(str, options)), Path("/")):
            client = ("-h", str(place), "-U", "bgd")
            for _ in range(300):
                if not subprocess.run(["pg_isready", *client, "-q", "-t", "1"], check=False).returncode:
                    break
            subprocess.run(["createdb", *client, "bgd"], check=True)
            yield f"postgresql+psycopg2://bgd@/bgd?host={place}"

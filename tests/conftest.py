# SPDX-License-Identifier: Apache-2.0
"""Every test runs in the same bare environment, with an empty home directory."""

from __future__ import annotations

import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from pytrace_cas.store import Store
from tests.support import caller, capabilities, skips, tree
from tests.support.summary import Summary
from tests.support.time_limit import TimeLimit

# All that tests and what they start may know of the session that runs them. Among what goes: our own PYTRACE_*,
# git's GIT_*, make's MAKEFLAGS (tests run under make), proxies (gRPC would send loopback through them).
KEPT = ("PATH", "TMPDIR", "USER", "LOGNAME")
KEPT_PREFIXES = ("PYTEST_", "COVERAGE_", "COV_")
SET = {"LC_ALL": "C.UTF-8", "TZ": "UTC0"}


def pytest_configure(config: pytest.Config) -> None:
    """Scrub the environment, before any test module is imported, and watch the skips."""
    # How long a case takes says how busy the machine is.
    hypothesis.settings.register_profile("unhurried", deadline=None)
    hypothesis.settings.load_profile("unhurried")
    home = tempfile.mkdtemp(prefix="pytrace-home-")
    umask = os.umask(0o022)
    kept = {name: value for name, value in caller.ENVIRONMENT.items() if name in KEPT or name.startswith(KEPT_PREFIXES)}
    _replace_environment({**kept, **SET, "HOME": home})
    # What the caller ignores (nohup: SIGHUP; a shell's background job: SIGINT), everything it starts would ignore too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def restore() -> None:
        _replace_environment(caller.ENVIRONMENT)
        os.umask(umask)
        tree.remove(os.fsencode(home))

    config.add_cleanup(restore)
    config.pluginmanager.register(Summary())
    config.pluginmanager.register(TimeLimit.of(config))
    if skips.on_reference_machine():
        allowed = skips.allowances(Path(__file__).parent / "ALLOWED_SKIPS")
        pure = caller.ENVIRONMENT.get("PYTRACE_PURE") == "1"
        waived = [capabilities.lacking("native")] if pure else []
        config.pluginmanager.register(skips.AllowedSkips(allowed, waived))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what this machine cannot run."""
    skips.mark_incapable(items)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store of its own."""
    with Store.open(os.fsencode(tmp_path / "store")) as opened:
        yield opened


def _replace_environment(variables: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(variables)
